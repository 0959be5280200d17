"""What the box remembers between taps: who is where, who waits at which door, how often a pass was
used, how many wrong PINs were typed. Owns these folds; must not decide (the rules do) nor open.

The facts go into `Situation`, so that a decision stays a function of its arguments. What must
outlast a restart is journaled (`area.passed`, `area.forgiven`, the uses in `access.outcome`) and
comes back through `restore`; the rest is a matter of seconds and starts empty, which admits nobody.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gatewayd.domain import area, company, keypad
from gatewayd.domain.area import Places, Seen
from gatewayd.domain.company import Company, Pass
from gatewayd.domain.events import Cause, Event, PersonPassed, WhereaboutsForgiven
from gatewayd.domain.keypad import Tries
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AlarmKind,
    Area,
    AreaId,
    Credential,
    CredentialKind,
    Door,
    DoorId,
    Passage,
    Person,
    PersonId,
    PinCheck,
    Situation,
    Snapshot,
    Stamp,
    Tap,
    Whereabouts,
)
from gatewayd.domain.pin import access_code, check_pin
from gatewayd.domain.ports import DoorStatus, Journal


class Signals(Protocol):
    """The alarm desk, as far as this room needs it."""

    def signal(self, kind: AlarmKind, about: str, *, active: bool, detail: str = "") -> None: ...


class Keeps(Protocol):
    """The recorder, as far as this room needs it."""

    def record(self, event: Event, stamp: Stamp | None = None) -> None: ...


# After the time for which the door unlocks: the wait for its turn, the disk and the board, and the
# way through. Whoever has not passed by then did not go in.
PASSAGE_MARGIN_S = 15.0
# More people than mistype at once: past it, who mistyped longest ago is forgotten. Whoever guesses
# would need as many cards to make the box forget one.
MAX_MISTYPED = 4_096


@dataclass(frozen=True, slots=True)
class TryLimit:
    """So many wrong PINs in a row (GB 50396: at most 5) at a reader, or of a person at any readers,
    and for so long none is compared there, or of theirs anywhere."""

    wrong: int = 5
    pause_s: float = 60.0


@dataclass(frozen=True, slots=True)
class SiteLayout:
    """What of the settings this room needs. `pin_key` is the site's own secret; without one no PIN
    is ever right."""

    doors: Mapping[DoorId, Door]
    areas: Mapping[AreaId, Area] = field(default_factory=dict)
    tries: TryLimit = TryLimit()
    pin_key: bytes | None = field(default=None, repr=False)


class SiteMemory:
    """One for the box. All methods return at once, but for `forgive`, which waits for the disk."""

    def __init__(
        self, layout: SiteLayout, journal: Journal, recorder: Keeps, alarms: Signals
    ) -> None:
        self._layout = layout
        self._journal = journal
        self._recorder = recorder
        self._alarms = alarms
        self._places = Places()
        self._company = Company()
        self._uses: dict[str, int] = {}
        self._tries: dict[AccessPointId, Tries] = {}
        self._own_tries: dict[PersonId, Tries] = {}  # at all readers; the least recent first
        # Who was granted a way in and has not passed yet, until when (monotonic).
        self._coming: dict[AreaId, dict[PersonId, int]] = {}
        self._odd: set[tuple[AlarmKind, AreaId]] = set()

    def restore(self, people: Iterable[tuple[PersonId, Seen]], uses: Mapping[str, int]) -> None:
        """What was journaled before the restart; `uses` by the digest of the credential."""
        self._places = area.gathered(people)
        self._uses = dict(uses)
        for each in self._layout.areas.values():
            self._judge_count(each, anew=True)

    # ------------------------------------------------------------------ what a decision asks for

    def situation(
        self, tap: Tap, point: AccessPoint, door: Door, snapshot: Snapshot, status: DoorStatus
    ) -> Situation:
        """The facts of this moment. Counts a wrong PIN, so ask once a tap."""
        left, entered = area.crossed(door, point.direction)
        entering = None if entered is None else self._layout.areas[entered]
        person, way = snapshot.person, (door.id, point.direction)
        now_ns = tap.stamp.monotonic_ns
        waiting = self._company.waiting(way, now_ns, self._uses)
        themselves = {
            None if person is None else person.id,
            None if waiting is None else waiting.person_id,
        }
        return Situation(
            pin=self._check_pin(tap, person),
            used=self._used(tap, snapshot),
            entering=entering,
            leaving=None if left is None else self._layout.areas[left],
            whereabouts=None if person is None else self._whereabouts(person.id, tap.stamp),
            inside=0 if entering is None else self._taken(entering, themselves, now_ns),
            blocked_by=status.blocked_by,
            vehicle=status.vehicle,
            companion=self._company.companion(way, now_ns, person),
            waiting=waiting,
        )

    def _taken(self, where: Area, themselves: Container[PersonId | None], now_ns: int) -> int:
        """How many places of the area are taken: by those inside, and, where they are limited, by
        the others whose passage is still to come."""
        inside = self._places.inside(where.id)
        if where.maximum is None or where.id not in self._coming:
            return inside
        still = {who: until for who, until in self._coming[where.id].items() if now_ns < until}
        self._coming[where.id] = still
        others = (who for who in still if who not in themselves)
        return inside + sum(not area.counted(self._places, who, where.id) for who in others)

    def _whereabouts(self, person_id: PersonId, now: Stamp) -> Whereabouts | None:
        return area.whereabouts(self._places, person_id, now)

    def _used(self, tap: Tap, snapshot: Snapshot) -> int:
        """How often a pass has opened a door; asked only for those that may not always."""
        if snapshot.record is None or snapshot.record.uses is None:
            return 0
        return self._uses.get(self._journal.credential_ref(tap.credential).digest, 0)

    def code(self, digits: str) -> Credential | None:
        """The credential that the digits alone are; None where the site has no key for PINs."""
        key = self._layout.pin_key
        return None if key is None else access_code(key, digits)

    def _check_pin(self, tap: Tap, person: Person | None) -> PinCheck:
        """What was typed, compared and counted. A code that alone should open is looked up in the
        list, and counts as a wrong one where nobody has it."""
        alone = tap.credential.kind is CredentialKind.PIN
        if tap.pin is None and not alone:
            return PinCheck.NOT_TYPED
        who = None if person is None else person.id
        if self._locked_out(tap.access_point_id, who, tap.stamp.monotonic_ns):
            return PinCheck.LOCKED_OUT
        found = PinCheck.NOT_TYPED
        if not alone:
            key = self._layout.pin_key
            found = PinCheck.WRONG
            if person is not None and key is not None:
                found = check_pin(person, key, tap.pin)
        right = person is not None if alone else found in {PinCheck.RIGHT, PinCheck.DURESS}
        self._count_try(tap.access_point_id, who, right=right, now_ns=tap.stamp.monotonic_ns)
        return found

    def _locked_out(self, point: AccessPointId, who: PersonId | None, now_ns: int) -> bool:
        own = None if who is None else self._own_tries.get(who)
        there = self._tries.get(point)
        return any(t is not None and keypad.locked_out(t, now_ns) for t in (there, own))

    def _count_try(
        self, point: AccessPointId, who: PersonId | None, *, right: bool, now_ns: int
    ) -> None:
        """At the reader and for the person; both may be due, and that is one alarm."""
        limit, there = self._layout.tries, self._tries.get(point, Tries())
        self._tries[point], due = keypad.tried(
            there, who, right=right, now_ns=now_ns, limit=limit.wrong, pause_s=limit.pause_s
        )
        theirs = who is not None and self._count_own(who, right=right, now_ns=now_ns)
        if due or theirs:
            whose = "" if due else f" at cards of {who}"
            counts = "typed counts" if due else "of theirs counts"
            detail = (
                f"{limit.wrong} wrong in a row{whose}; nothing {counts} for {limit.pause_s:g} s"
            )
            self._happened(AlarmKind.WRONG_TRIES, point, detail)

    def _count_own(self, who: PersonId, *, right: bool, now_ns: int) -> bool:
        """At whatever readers; whether their alarm is due now."""
        limit, own = self._layout.tries, self._own_tries.pop(who, Tries())
        own, due = keypad.tried(
            own, who, right=right, now_ns=now_ns, limit=limit.wrong, pause_s=limit.pause_s
        )
        if own != Tries():
            self._own_tries[who] = own
        if len(self._own_tries) > MAX_MISTYPED:
            del self._own_tries[next(iter(self._own_tries))]
        return due

    def _happened(self, kind: AlarmKind, about: str, detail: str) -> None:
        """An alarm about a moment: over at once, and it stays until someone has seen it."""
        self._alarms.signal(kind, about, active=True, detail=detail)
        self._alarms.signal(kind, about, active=False)

    # ------------------------------------------------------------------- what comes of decisions

    def admitted(self, point: AccessPoint, person: Person, stamp: Stamp) -> None:
        """After a grant."""
        way = (point.door_id, point.direction)
        self._company = company.admitted(self._company, way, person, stamp.monotonic_ns)

    def waits(
        self, point: AccessPoint, person: Person, stamp: Stamp, shown: Pass | None = None
    ) -> None:
        """After a denial for the want of a second person only; `shown` where its uses count."""
        way = (point.door_id, point.direction)
        self._company = company.waits(self._company, way, person, stamp.monotonic_ns, shown)

    def pass_of_first(self, point: AccessPoint, first: PersonId | None) -> str:
        """The digest of the pass of which a use counts, if this first of two goes in; or empty."""
        return self._company.pass_of((point.door_id, point.direction), first)

    def take_use(self, digest: str) -> None:
        """A grant counts before its door opens: a pass shown at two gates at once opens one."""
        self._uses[digest] = self._uses.get(digest, 0) + 1

    def give_back_use(self, digest: str) -> None:
        """The door did not open after all."""
        self._uses[digest] -= 1

    def comes(self, point: AccessPoint, people: Iterable[PersonId], until_ns: int) -> None:
        """A grant takes their places at once: of two who tap before the door opens, both pass."""
        _, entered = area.crossed(self._layout.doors[point.door_id], point.direction)
        if entered is not None and self._layout.areas[entered].maximum is not None:
            self._coming.setdefault(entered, {}).update(dict.fromkeys(people, until_ns))

    def comes_not(self, point: AccessPoint, people: Iterable[PersonId], until_ns: int) -> None:
        """The door did not open; a later grant's place, which has another end, is kept."""
        _, entered = area.crossed(self._layout.doors[point.door_id], point.direction)
        coming = {} if entered is None else self._coming.get(entered, {})
        for who in people:
            if coming.get(who) == until_ns:
                del coming[who]

    def passed(self, door_id: DoorId, passage: Passage, stamp: Stamp) -> None:
        """Someone with a grant went through: their area changes now, not when it was given."""
        door = self._layout.doors[door_id]
        left, entered = area.crossed(door, passage.direction)
        if left is None and entered is None:
            return
        point_id, seq = passage.access_point_id, passage.decision_seq
        for person_id in (passage.person_id, passage.companion_id):
            if person_id is not None:
                event = PersonPassed(person_id, door_id, point_id, seq, left, entered)
                self._recorder.record(event, stamp)
                self._places = area.moved(self._places, event, stamp)
                if entered is not None:
                    self._coming.get(entered, {}).pop(person_id, None)
        for area_id in (left, entered):
            if area_id is not None:
                self._judge_count(self._layout.areas[area_id])

    def _judge_count(self, where: Area, *, anew: bool = False) -> None:
        """An area that is over its limit or under its minimum: an alarm for as long as it is so.
        `anew`: an alarm from before a restart may be up, and over."""
        inside = self._places.inside(where.id)
        crowd = f"{inside} inside, at most {where.maximum}"
        few = f"{inside} inside, at least {where.minimum} together"
        for kind, active, detail in (
            (AlarmKind.AREA_OVER_LIMIT, area.over_limit(where, inside), crowd),
            (AlarmKind.AREA_UNDER_MINIMUM, area.under_minimum(where, inside), few),
        ):
            if anew or active is not ((kind, where.id) in self._odd):
                self._set(kind, where.id, active, detail)

    def _set(self, kind: AlarmKind, area_id: AreaId, active: bool, detail: str) -> None:
        (self._odd.add if active else self._odd.discard)((kind, area_id))
        self._alarms.signal(kind, area_id, active=active, detail=detail if active else "")

    # ---------------------------------------------------------------------- what operators ask for

    @property
    def areas(self) -> Mapping[AreaId, Area]:
        return self._layout.areas

    def count(self, area_id: AreaId) -> int:
        """How many are in the area, the neutral ones left out."""
        return self._places.inside(area_id)

    def inside(self, area_id: AreaId) -> list[tuple[PersonId, Seen]]:
        """Who is in the area, for a head count; in no order."""
        return self._seen_in(area_id, neutral=False)

    def neutral(self, area_id: AreaId) -> list[tuple[PersonId, Seen]]:
        """Who was there last and was forgiven since: they may be there or not; in no order."""
        return self._seen_in(area_id, neutral=True)

    def _seen_in(self, area_id: AreaId, *, neutral: bool) -> list[tuple[PersonId, Seen]]:
        return [
            (person, seen)
            for person, seen in self._places.everyone()
            if seen.area_id == area_id and seen.neutral is neutral
        ]

    def knows(self, person_id: PersonId) -> bool:
        """Whether a passage of this person is known, or that they were forgiven."""
        return self._places.seen(person_id) is not None

    async def forgive(
        self, person_id: PersonId | None, area_id: AreaId | None, cause: Cause, stamp: Stamp
    ) -> int:
        """The person, or everyone in the area, or simply everyone is neutral until their next
        passage. Returns the journal's seq; raises JournalError, and nothing has changed then."""
        event = WhereaboutsForgiven(person_id, area_id, cause)
        seq = await self._journal.append(event, stamp)
        self._places = area.forgiven(self._places, person_id, area_id, stamp)
        for each in self._layout.areas.values():
            self._judge_count(each)
        return seq
