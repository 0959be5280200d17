"""The orders of doors' modes in SQLite: as the pure fold has them, and from an older journal."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DesiredApplied,
    DoorModeChanged,
    DoorModeOrdered,
    Event,
    FireDetected,
    FireReset,
)
from gatewayd.domain.model import DeviceId, DoorId, DoorMode, ModeSlot
from gatewayd.domain.modes import ModeOrder, OrderKey, Orders, apply
from gatewayd.store.codec import encode_text
from gatewayd.store.journal import JournalStore
from gatewayd.store.sqlite import migrations
from gatewayd.store.verify import verify
from tests.clock import ManualClock
from tests.store.samples import SECRET

GATE, SIDE, BACK = DoorId("main-gate"), DoorId("side-gate"), DoorId("back")

doors = st.sampled_from([GATE, SIDE, BACK])
modes = st.sampled_from([mode for mode in DoorMode if mode is not DoorMode.ACCESSED])
causes = st.builds(Cause, st.sampled_from(CauseKind), st.just("li"), st.sampled_from(["", "drill"]))
orders: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        DoorModeOrdered, doors, st.sampled_from(ModeSlot), modes | st.none(),
        st.none() | st.integers(0, 9), causes, st.booleans(),
    ),
    st.builds(
        DesiredApplied, st.integers(1, 9), st.just("centre"),
        st.lists(st.tuples(doors, modes), max_size=3).map(tuple),
    ),
    st.builds(FireDetected, st.just(DeviceId("board")), st.just(8), st.sets(doors).map(tuple)),
    st.builds(FireReset, causes),
)  # fmt: skip


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=st.lists(orders, max_size=12))
async def test_what_the_file_has_is_what_the_events_fold_to(
    tmp_path: Path, events: list[Event]
) -> None:
    path = tmp_path / "journal.db"
    path.unlink(missing_ok=True)
    folded: dict[DoorId, Orders] = {}
    store = await JournalStore.open(path, ManualClock(), secret=SECRET)
    async with store.running():
        for event in events:
            folded = apply(folded, event)
            await store.append(event)
        assert await store.mode_orders() == {door: kept for door, kept in folded.items() if kept}


def old_journal(path: Path) -> None:
    """As version 1 left it: each door's last mode, with the event that set it."""
    operator = Cause(CauseKind.OPERATOR, "chen", "drill")
    events: list[tuple[Event, DoorId, DoorMode]] = [
        (
            DoorModeChanged(GATE, DoorMode.LOCKED_DOWN, DoorMode.LOCKED, operator),
            GATE,
            DoorMode.LOCKED_DOWN,
        ),
        (DesiredApplied(4, "centre", ((SIDE, DoorMode.LOCKED_DOWN),)), SIDE, DoorMode.LOCKED_DOWN),
        (
            DoorModeChanged(BACK, DoorMode.LOCKED, DoorMode.LOCKED_DOWN, operator),
            BACK,
            DoorMode.LOCKED,
        ),
    ]
    [(_, first)] = migrations("journal")[:1]
    database = sqlite3.connect(path)
    database.executescript(f"BEGIN; {first} PRAGMA user_version=1; COMMIT;")
    for seq, (event, door, mode) in enumerate(events, 1):
        row = (seq, seq - 1, "evt", event.KIND, event.subject, "boot", 1, 1, 1, encode_text(event))
        database.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?)", (*row, b""))
        database.execute("INSERT INTO door_mode VALUES (?, ?, ?)", (door, mode.value, seq))
    database.commit()
    database.close()


def test_the_modes_of_an_older_journal_become_orders_of_whoever_set_them(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    old_journal(path)
    database = sqlite3.connect(path)
    for _, step in migrations("journal")[1:]:
        database.executescript(f"BEGIN; {step} COMMIT;")
    rows = database.execute("SELECT * FROM door_mode_order ORDER BY door_id").fetchall()
    database.close()
    assert rows == [
        (GATE, "operator", 1, "LockedDown", None, "operator", "chen", "drill", 1),
        (SIDE, "centre", 1, "LockedDown", None, "centre", "desired 4", "", 2),
    ]


async def test_a_journal_of_before_the_orders_is_verified_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    [(_, first)] = migrations("journal")[:1]
    database = sqlite3.connect(path)
    database.executescript(f"BEGIN; {first} PRAGMA user_version=1; COMMIT;")
    database.close()
    assert verify(path).bad is None
    store = await JournalStore.open(path, ManualClock(), secret=SECRET)
    async with store.running():
        await store.append(
            DoorModeOrdered(GATE, ModeSlot.CENTRE, DoorMode.BLOCKED, None, Cause(CauseKind.CENTRE))
        )
        found = await store.mode_orders()
    order = ModeOrder(DoorMode.BLOCKED, Cause(CauseKind.CENTRE))
    assert found == {GATE: {OrderKey(ModeSlot.CENTRE): order}}
    assert verify(path).bad is None
