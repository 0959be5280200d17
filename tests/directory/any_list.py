"""Any list that the store would take, with what spreadsheets get wrong in its texts."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from gatewayd.directory import listing
from gatewayd.directory.listing import Listing
from gatewayd.domain.model import card
from gatewayd.store.whitelist_records import WEEKDAYS

ids = st.text("ABab019._:-", min_size=1, max_size=6)
TRICKY = ["=1+1", "+86", "-", "@x", "'", "''", " ", "1E+5", "3月1日", "#N/A", "业主", "Owner", "是"]
words = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))
texts = st.one_of(st.sampled_from(TRICKY), words.map(lambda text: text[:20]), st.just("a\tb\nc"))
seconds = st.one_of(st.none(), st.integers(-(2**53), 2**53), st.integers(10**9, 2 * 10**9))
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)
clocks = st.integers(0, 86_399).map(lambda s: f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}")
spans = st.lists(st.tuples(clocks, clocks | st.just("24:00:00")).map(list), max_size=2)


def some(strategy: st.SearchStrategy[Any], known: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(strategy, max_size=3, unique=True) if known else st.just([])


@st.composite
def lists(draw: st.DrawFn) -> Listing:
    """Any list that the store would take, with references that lead somewhere, and names for
    people: without one an import refuses them."""
    records: list[dict[str, Any]] = []

    def named(t: str, **more: Any) -> list[str]:
        made = draw(st.lists(ids, max_size=3, unique=True))
        for one in made:
            fields = {key: draw(value) for key, value in more.items()}
            name = draw(texts.filter(bool) if t == "person" else texts)
            records.append({"t": t, "id": one, "name": name, **fields})
        return made

    days = st.lists(st.dates().map(str), max_size=4)
    calendars = named("calendar", dates=days, kind=st.sampled_from(["holiday", "workday"]))
    calendar = st.sampled_from(calendars or ["none"])
    special = st.one_of(
        st.fixed_dictionaries({"calendar": calendar, "hours": spans}),
        st.fixed_dictionaries({"calendar": calendar, "as": st.sampled_from(WEEKDAYS)}),
    )
    weeks = st.lists(spans, min_size=7, max_size=7)
    more = some(special, []) if not calendars else st.lists(special, max_size=2)
    schedules = named("schedule", week=weeks, special_days=more)
    doors = st.lists(ids, max_size=2)
    groups = named("group", doors=doors)
    levels: list[str] = []
    if schedules:
        in_groups = some(st.sampled_from(groups or ["none"]), groups)
        schedule = st.sampled_from(schedules)
        levels = named("level", doors=doors, groups=in_groups, schedule=schedule)
    pins = st.sampled_from(["", "a" * 64])
    people = named(
        "person", role=texts | st.sampled_from(["owner", "staff"]), building=texts, unit=texts,
        room=texts, phone=texts, photo=texts, levels=some(st.sampled_from(levels or [""]), levels),
        pin=pins, watch=texts, may_escort=st.booleans(), needs_escort=st.booleans(),
        extended_opening=st.booleans(), duress_pin=st.sampled_from(["", "b" * 64]),
    )  # fmt: skip
    for record in records:
        others = [id_ for id_ in people if record.get("id") != id_]
        if record["t"] == "person" and others and draw(st.booleans()):
            record["escorts"] = others[:2]
    if people:
        records += draw(st.lists(credentials(people), max_size=4))
    return listing.listing_of(records)


def credentials(people: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    cards = st.tuples(st.integers(1, 70), st.integers(0)).map(
        lambda pair: card(pair[1] % (1 << pair[0]), pair[0])
    )
    plates = texts.map(lambda text: "".join(text.upper().split())).filter(
        lambda text: text and text == text.upper() and text.split() == [text]
    )
    what = st.one_of(
        cards.map(lambda c: {"kind": "card", "bits": c.bit_count, "value": c.value}),
        hashes.map(lambda text: {"kind": "pin", "value": text}),
        texts.filter(bool).map(lambda text: {"kind": "qr", "value": text}),
        plates.map(lambda text: {"kind": "plate", "value": text}),
    )
    status = st.sampled_from(["active", "suspended", "lost", "revoked"])
    rest = st.fixed_dictionaries(
        {
            "t": st.just("credential"), "person": st.sampled_from(people), "status": status,
            "valid_from": seconds, "valid_until": seconds, "permit_until": seconds,
            "uses": st.none() | st.integers(1, 2**53), "duress": st.booleans(), "watch": texts,
        }
    )  # fmt: skip
    return st.tuples(rest, what).map(lambda pair: {**pair[0], **pair[1]}).filter(in_order)


def in_order(record: dict[str, Any]) -> bool:
    begins, ends = record["valid_from"], record["valid_until"]
    return begins is None or ends is None or begins < ends
