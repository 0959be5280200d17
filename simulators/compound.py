"""The simulated compound: who lives and works there, with which cards, from a seed.

Owns the people and their cards; compound_records.py has them as whitelist records. Must not talk to
anything: the simulated centre and the scenario both build the same compound from the same seed.
Every name, phone and card is invented.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

DAY_S = 86_400
RESIDENTS = 300
BUILDINGS = 6
DOORS = ("main-gate", "side-door")
INNER_DOORS = ("office", "archive-outer", "archive-inner", "strong-room")  # for a few of the staff
LANES = ("lane",)  # for those who drive
VISITORS = 100  # one each hour
GUESTS = 100  # likewise, with a QR pass in place of a card
SITE_ZONE = ZoneInfo("Asia/Shanghai")

SURNAMES = "王李张刘陈杨黄赵吴周徐孙马朱胡林郭何高罗郑梁谢宋唐许邓冯韩曹曾彭萧蔡潘田董袁于余"
GIVEN = (
    *("芳", "伟", "娜", "敏", "静", "丽", "强", "磊", "军", "洋"),
    *("勇", "艳", "杰", "涛", "明", "超", "秀英", "桂英", "建华", "志强"),
    *("海燕", "晓明", "雨桐", "子涵", "浩然", "欣怡", "梓萱", "宇轩", "一诺", "思远"),
    *("嘉怡", "文博", "雅婷", "俊杰", "婉清", "国栋", "春梅", "立新", "佳琪", "晨曦"),
)

# Three shifts, so that at any hour one of them is off for at least eight more.
SHIFTS = {
    "cleaners-early": ("06:00:00", "14:00:00"),
    "cleaners-late": ("14:00:00", "22:00:00"),
    "cleaners-night": ("22:00:00", "06:00:00"),  # until the next morning
}
SHIFT_NAMES = {
    "cleaners-early": "保洁早班",
    "cleaners-late": "保洁中班",
    "cleaners-night": "保洁夜班",
}


class Tech(StrEnum):
    """What a card speaks: a 125 kHz tag (40 bits), or one of the two usual Wiegand lengths. A QR
    pass and a plate are shown to readers of their own."""

    EM4100 = "em4100"
    WIEGAND_26 = "wiegand-26"
    WIEGAND_34 = "wiegand-34"
    QR = "qr"
    PLATE = "plate"


# The accountant's; a scenario that types them writes them out.
PIN, DURESS_PIN = "471108", "471109"

BITS = {Tech.EM4100: 40, Tech.WIEGAND_26: 26, Tech.WIEGAND_34: 34, Tech.QR: 0, Tech.PLATE: 0}
TEXTS = (Tech.QR, Tech.PLATE)
_QR_SIGNS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"  # none that a person takes for another
_PLATE_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # GA 36: neither I nor O


@dataclass(frozen=True, slots=True)
class Card:
    """A card's raw bits, first transmitted bit most significant, as upper-case hexadecimal; or the
    text of a QR pass or a plate."""

    tech: Tech
    value: str = field(repr=False)

    @property
    def bits(self) -> int:
        return BITS[self.tech]

    @property
    def kind(self) -> str:
        """As the whitelist has it."""
        return self.tech.value if self.tech in TEXTS else "card"

    @property
    def masked(self) -> str:
        """What a log or the terminal may show: the last four digits."""
        return "•" * (len(self.value) - 4) + self.value[-4:]


@dataclass(frozen=True, slots=True)
class Issued:
    """A card as it was issued. Times are seconds since 1970 UTC, or None."""

    card: Card
    status: str = "active"
    valid_from: int | None = None
    valid_until: int | None = None
    uses: int | None = None  # how often it opens in all
    permit_until: int | None = None  # of a vehicle: paid until


@dataclass(frozen=True, slots=True)
class Someone:
    """A resident or a member of staff, with what was issued to them."""

    id: str
    name: str = field(repr=False)
    role: str
    building: str
    unit: str
    room: str
    phone: str = field(repr=False)
    levels: tuple[str, ...]
    issued: tuple[Issued, ...]
    pin: str = field(default="", repr=False)
    duress_pin: str = field(default="", repr=False)
    watch: str = field(default="", repr=False)

    def card_for(self, bits: Sequence[int]) -> Card:
        """The newest card of one of these lengths. Raises KeyError where there is none."""
        for issued in reversed(self.issued):
            if issued.card.bits in bits:
                return issued.card
        raise KeyError(f"{self.id} holds no card of {'/'.join(map(str, bits))} bits")

    def text_for(self, kind: str) -> Card:
        """The newest QR pass or plate. Raises KeyError where there is none."""
        for issued in reversed(self.issued):
            if issued.card.kind == kind:
                return issued.card
        raise KeyError(f"{self.id} has no {kind}")


@dataclass(frozen=True, slots=True)
class Compound:
    """All of it. `special` names the characters of a scenario by their part in it."""

    people: tuple[Someone, ...]
    special: dict[str, Someone]
    strangers: tuple[Card, ...]  # cards that are nobody's
    doors: tuple[str, ...]
    visitors: tuple[Someone, ...] = ()  # each with a pass for one opening
    guests: tuple[Someone, ...] = ()  # each with a QR pass for one opening

    @property
    def residents(self) -> tuple[Someone, ...]:
        """Those whose cards simply work, without the special characters and the staff."""
        named = {someone.id for someone in self.special.values()}
        away = {"staff", "visitor"}
        return tuple(p for p in self.people if p.role not in away and p.id not in named)

    def off_duty_cleaner(self, now_ms: int) -> Someone:
        """The cleaner whose shift is farthest away at that moment (at least eight hours)."""
        return self.special[off_duty_shift(now_ms)]


def off_duty_shift(now_ms: int) -> str:
    """The shift that has just ended: the one farthest from its next start."""
    hour = datetime.fromtimestamp(now_ms / 1000, SITE_ZONE).hour
    if 6 <= hour < 14:
        return "cleaners-night"
    return "cleaners-early" if 14 <= hour < 22 else "cleaners-late"


def make_compound(seed: int, today: date, doors: Sequence[str] = DOORS) -> Compound:
    """The same compound for the same arguments, always. `today` dates the expired card."""
    maker = _Maker(random.Random(seed), today)
    residents = tuple(maker.residents())
    special = maker.special()
    guards = tuple(maker.staff(f"guard-{n}", "保安", ("guards",)) for n in range(1, 5))
    cards = tuple(tech for tech in Tech if tech not in TEXTS)
    strangers = tuple(maker.card(tech) for tech in cards for _ in range(4))
    clerk = maker.staff("office-1", "物业", ("office",))
    special |= maker.named()
    visitors = tuple(maker.visitor(n) for n in range(1, VISITORS + 1))
    guests = tuple(maker.guest(n) for n in range(1, GUESTS + 1))
    special |= {who: maker.with_plate(special[who]) for who in ("driver", "late-payer")}
    strangers += tuple(maker.card(tech) for tech in TEXTS for _ in range(4))
    people = (*residents, *special.values(), *guards, clerk, *visitors, *guests)
    return Compound(people, special, strangers, tuple(doors), visitors, guests)


class _Maker:
    """Draws people and cards; no card twice."""

    def __init__(self, rng: random.Random, today: date) -> None:
        self._rng = rng
        self._today = today
        self._taken: set[str] = set()
        self._phone = iter(rng.sample(range(10_000), 2_000))

    def residents(self) -> Iterator[Someone]:
        """Households of one to five until there are RESIDENTS people in BUILDINGS buildings."""
        homes = self._homes()
        number = 0
        while number < RESIDENTS:
            building, unit, room = next(homes)
            tenants = self._rng.random() < 0.3
            surname = self._rng.choice(SURNAMES)
            for member in range(min(self._rng.randint(1, 5), RESIDENTS - number)):
                number += 1
                role = "family" if member else ("tenant" if tenants else "owner")
                name = (surname if member % 3 != 1 else self._rng.choice(SURNAMES)) + self._given()
                yield self._resident(f"p-{number}", name, role, (building, unit, room))

    def _homes(self) -> Iterator[tuple[str, str, str]]:
        every = [
            (str(b), str(u), f"{floor}{flat:02d}")
            for b in range(1, BUILDINGS + 1)
            for u in (1, 2)
            for floor in range(1, 19)
            for flat in (1, 2, 3)
        ]
        yield from self._rng.sample(every, len(every))

    def _resident(
        self,
        person_id: str,
        name: str,
        role: str,
        home: tuple[str, str, str],
        **issue: Any,  # noqa: ANN401  # Issued's own fields
    ) -> Someone:
        """With a tag for the main gate and a Wiegand card for the side door."""
        wiegand = Tech.WIEGAND_34 if self._rng.random() < 0.4 else Tech.WIEGAND_26
        issued = tuple(Issued(self.card(tech), **issue) for tech in (Tech.EM4100, wiegand))
        levels = ("residents",)
        return Someone(person_id, name, role, *home, self._new_phone(), levels, issued)

    @property
    def _midnight(self) -> datetime:
        """Of today, at the site."""
        return datetime(self._today.year, self._today.month, self._today.day, tzinfo=SITE_ZONE)

    def special(self) -> dict[str, Someone]:
        """The characters that a scenario calls by their part."""
        ended = int((self._midnight - timedelta(days=4)).timestamp())
        new = self._resident
        cast = {
            "expired": new("p-301", "钱立新", "tenant", ("3", "1", "804"), valid_until=ended),
            "suspended": new("p-302", "孔德明", "owner", ("2", "2", "1503"), status="suspended"),
            "lost": new("p-303", "沈春梅", "owner", ("5", "1", "602"), status="lost"),
        }
        for shift in SHIFTS:
            cast[shift] = self.staff(shift, SHIFT_NAMES[shift], (shift,))
        return cast

    def named(self) -> dict[str, Someone]:
        """More of them: who is known to the rules for something else than a card's state."""
        keys = ("keyholders",)
        accountant = self.staff("accountant", "财务", keys)
        watched = self._resident("p-304", "冯国栋", "tenant", ("4", "2", "1101"))
        return {
            "accountant": replace(accountant, pin=PIN, duress_pin=DURESS_PIN),
            "archivist": self.staff("archivist", "档案", keys),
            "trainee": self.staff("trainee", "档案", keys),
            "watched": replace(watched, watch="请联系物业值班室"),
            "lender": self._resident("p-305", "高子涵", "family", ("1", "1", "302")),
            "keeper": self.staff("keeper", "保险库", keys),
            "auditor": self.staff("auditor", "审计", keys),
            "driver": self._driver("p-306", "罗志强", ("6", "1", "901"), paid_days=180),
            "late-payer": self._driver("p-307", "梁文博", ("6", "2", "1204"), paid_days=-3),
        }

    def _driver(
        self, person_id: str, name: str, home: tuple[str, str, str], *, paid_days: int
    ) -> Someone:
        """A resident who drives, with a permit that is paid until so many days from today."""
        until = int((self._midnight + timedelta(days=paid_days)).timestamp())
        someone = self._resident(person_id, name, "owner", home, permit_until=until)
        return replace(someone, levels=("residents", "drivers"))

    def visitor(self, number: int) -> Someone:
        return self._passing(f"visitor-{number}", Tech.EM4100)

    def guest(self, number: int) -> Someone:
        return self._passing(f"guest-{number}", Tech.QR)

    def _passing(self, person_id: str, tech: Tech) -> Someone:
        """Somebody with a pass for one opening."""
        name = self._rng.choice(SURNAMES) + self._given()
        issued = (Issued(self.card(tech), uses=1),)
        who = (person_id, name, "visitor", "访客", "", "", self._new_phone())
        return Someone(*who, ("residents",), issued)

    def with_plate(self, someone: Someone) -> Someone:
        """With the vehicle's plate, whose permit is that of the cards."""
        plate = replace(someone.issued[-1], card=self.card(Tech.PLATE))
        return replace(someone, issued=(*someone.issued, plate))

    def staff(self, person_id: str, place: str, levels: tuple[str, ...]) -> Someone:
        name = self._rng.choice(SURNAMES) + self._given()
        issued = (Issued(self.card(Tech.EM4100)), Issued(self.card(Tech.WIEGAND_26)))
        return Someone(person_id, name, "staff", place, "", "", self._new_phone(), levels, issued)

    def card(self, tech: Tech) -> Card:
        while (value := self._draw(tech)) in self._taken:
            pass
        self._taken.add(value)
        return Card(tech, value)

    def _draw(self, tech: Tech) -> str:
        if tech is Tech.EM4100:
            return f"{0x10:02X}{self._rng.getrandbits(32):08X}"  # 10: the customer code
        if tech is Tech.QR:
            return "YX-" + "".join(self._rng.choices(_QR_SIGNS, k=16))
        if tech is Tech.PLATE:
            return f"沪{self._rng.choice(_PLATE_LETTERS)}{self._rng.randrange(100_000):05d}"
        payload_bits = BITS[tech] - 2
        bits = with_parity(self._rng.getrandbits(payload_bits), payload_bits)
        return f"{bits:0{(BITS[tech] + 3) // 4}X}"

    def _given(self) -> str:
        return self._rng.choice(GIVEN)

    def _new_phone(self) -> str:
        return f"1380000{next(self._phone):04d}"


def with_parity(payload: int, payload_bits: int) -> int:
    """Wiegand 26 and 34: even parity over the first half in front, odd over the second behind."""
    half = payload_bits // 2
    even = (payload >> half).bit_count() & 1
    odd = 1 - ((payload & ((1 << half) - 1)).bit_count() & 1)
    return even << (payload_bits + 1) | payload << 1 | odd


def utc_today(wall_ms: int) -> date:
    """The date that dates the expired card."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).date()
