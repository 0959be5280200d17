"""The journal on real SQLite files: durable or refused, in order, chained, and read back."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd.domain.alarm import OpenAlarms, apply
from gatewayd.domain.events import (
    ALARM_EVENTS,
    AccessDenied,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmRaised,
    Cause,
    CauseKind,
    CommandAccepted,
    CommandDone,
    DesiredApplied,
    DoorModeOrdered,
    PictureStored,
    Stream,
)
from gatewayd.domain.model import (
    AlarmKind,
    CameraId,
    DoorId,
    DoorMode,
    ModeSlot,
    Priority,
    card,
)
from gatewayd.domain.modes import ModeOrder, OrderKey
from gatewayd.domain.ports import JournalEntry, JournalError
from gatewayd.store import journal as module
from gatewayd.store import journal_reader, sqlite
from gatewayd.store.journal import JournalStore
from tests.clock import ManualClock
from tests.store.samples import SECRET, closed, denied


def raised(alarm_id: str) -> AlarmRaised:
    return AlarmRaised(alarm_id, AlarmKind.DOOR_HELD, Priority.MEDIUM, "main-gate")


async def opened(path: Path) -> JournalStore:
    return await JournalStore.open(path, ManualClock(), secret=SECRET)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[JournalStore]:
    async with (await opened(tmp_path / "journal.db")).running() as store:
        yield store


async def test_append_returns_what_can_be_read_back_with_its_stamp(journal: JournalStore) -> None:
    clock = ManualClock()
    assert await journal.append(closed(), clock.now()) == 1
    assert await journal.append(denied()) == 2
    entry = await journal.entry(1)
    assert entry is not None
    assert (entry.seq, entry.event, entry.stamp) == (1, closed(), clock.now())
    assert await journal.entry(3) is None
    assert journal.last_seq == 2


async def test_what_was_appended_is_on_disk_in_full_durability(
    journal: JournalStore, tmp_path: Path
) -> None:
    await journal.append(denied())
    with sqlite3.connect(tmp_path / "journal.db") as other:
        assert other.execute("SELECT count(*) FROM event").fetchone() == (1,)
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    assert list(await journal._writer.execute_fetchall("PRAGMA synchronous")) == [(2,)]


async def test_many_waiters_are_committed_together_each_with_its_own_seq(
    journal: JournalStore,
) -> None:
    seqs = await asyncio.gather(*(journal.append(denied(n)) for n in range(100)))
    assert sorted(seqs) == list(range(1, 101))
    entries = await journal.entries_after(0, 200)
    assert [e.event for e in entries] == [denied(n) for n in range(100)]


async def test_reopening_goes_on_in_the_same_epoch_and_chain(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with (await opened(path)).running() as first:
        epoch = first.epoch
        await first.append(denied())
    async with (await opened(path)).running() as second:
        assert (second.epoch, second.last_seq) == (epoch, 1)
        assert await second.append(denied()) == 2
        [one, two] = await second.outbox(Stream.EVENTS, 0, 10)
        assert two.prev_hash == one.hash


async def test_reads_are_paged_and_filtered(journal: JournalStore) -> None:
    for n in range(10):
        await journal.append(denied(n) if n % 2 else closed(f"door-{n}"))
    assert [e.seq for e in await journal.entries_after(3, 2)] == [4, 5]
    assert [e.seq for e in await journal.entries_after(0, 9, kinds=["access.denied"])] == [
        2,
        4,
        6,
        8,
        10,
    ]
    assert [e.seq for e in await journal.entries_before(None, 2)] == [10, 9]
    assert [e.seq for e in await journal.entries_before(5, 9, subject="door-2")] == [3]
    assert await journal.counts() == {"access.denied": 5, "door.closed": 5}


async def test_whoever_waits_for_more_is_woken_by_the_commit(journal: JournalStore) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waits = [group.create_task(journal.wait_beyond(0), name="wait") for _ in range(20)]
        await asyncio.sleep(0)
        await journal.append(closed())
    assert [w.result() for w in waits] == [1] * 20


async def test_streams_are_numbered_through_and_linked_within(journal: JournalStore) -> None:
    for event in (closed(), raised("a"), closed(), raised("b")):
        await journal.append(event)
    assert [(r.seq, r.prev) for r in await journal.outbox(Stream.ALARMS, 0, 9)] == [(2, 0), (4, 2)]
    assert [(r.seq, r.prev) for r in await journal.outbox(Stream.EVENTS, 1, 9)] == [(3, 1)]


async def test_only_news_of_this_epoch_moves_the_cursor(journal: JournalStore) -> None:
    for _ in range(3):
        await journal.append(closed())
    assert not await journal.acknowledge(Stream.EVENTS, "other", 2)
    assert not await journal.acknowledge(Stream.EVENTS, journal.epoch, 4)
    assert await journal.acknowledge(Stream.EVENTS, journal.epoch, 2)
    assert not await journal.acknowledge(Stream.EVENTS, journal.epoch, 1)
    assert journal.acknowledged(Stream.EVENTS) == 2
    assert await journal.outbox_depth() == {Stream.EVENTS: 1, Stream.ALARMS: 0}


async def test_the_cursor_survives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with (await opened(path)).running() as store:
        await store.append(closed())
        await store.acknowledge(Stream.EVENTS, store.epoch, 1)
    async with (await opened(path)).running() as store:
        assert store.acknowledged(Stream.EVENTS) == 1


async def test_open_alarms_door_modes_commands_and_pictures_are_derived(
    journal: JournalStore,
) -> None:
    cause = Cause(CauseKind.SYSTEM)
    gate, side = DoorId("main-gate"), DoorId("side-door")
    for event in (
        raised("open"),
        raised("done"),
        AlarmAcknowledged("done", "main-gate", "li"),
        AlarmCleared("done", "main-gate"),
        AlarmAcknowledged("open", "main-gate", "li"),
        DoorModeOrdered(gate, ModeSlot.OPERATOR, DoorMode.BLOCKED, 5, cause),
        CommandAccepted("c-1", "centre", 41, "open", "main-gate"),
        DesiredApplied(4, "centre", ((side, DoorMode.LOCKED_DOWN),)),
        PictureStored(1, CameraId("cam"), "a/b.jpg", "00", 9, 40),
    ):
        await journal.append(event)
    assert [e.seq for e in await journal.alarm_events()] == [1, 2, 3, 4, 5]  # 2 may come back
    assert await journal.mode_orders() == {
        gate: {OrderKey(ModeSlot.OPERATOR): ModeOrder(DoorMode.BLOCKED, cause, 5)},
        side: {
            OrderKey(ModeSlot.CENTRE, lockdown=True): ModeOrder(
                DoorMode.LOCKED_DOWN, Cause(CauseKind.CENTRE, "desired 4")
            )
        },
    }
    assert [c.command_id for c in await journal.unfinished_commands()] == ["c-1"]
    await journal.append(CommandDone("c-1", "open", "main-gate", "done"))
    command = await journal.command("c-1")
    assert command is not None
    assert (command.outcome, command.counter, command.done_seq) == ("done", 41, 10)
    assert await journal.command("c-2") is None
    assert (await journal.last_counter("centre"), await journal.last_counter("x")) == (41, 0)
    assert await journal.desired_revision() == 4
    pictures = await journal.pictures_for([1, 2])
    assert [p.name for p in pictures[1]] == ["a/b.jpg"]


async def test_a_command_id_is_durable_once_and_spoils_no_neighbour(journal: JournalStore) -> None:
    command = CommandAccepted("c-1", "centre", 1, "open", "main-gate")
    results = await asyncio.gather(
        journal.append(closed()),
        journal.append(command),
        journal.append(command),
        journal.append(closed()),
        return_exceptions=True,
    )
    assert [r for r in results if isinstance(r, int)] == [1, 2, 3]
    assert [type(r) for r in results].count(JournalError) == 1
    assert journal.last_seq == 3


async def test_a_locked_file_refuses_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.store.sqlite.BUSY_MS", 20)
    path = tmp_path / "journal.db"
    async with (await opened(path)).running() as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="another process holds the file"):
            await store.append(closed())
        with pytest.raises(JournalError, match="acknowledge"):
            store._tail = module._Tail(1, store._tail.hash, store._tail.last_of)
            await store.acknowledge(Stream.EVENTS, store.epoch, 1)
        store._tail = module._Tail(0, store._tail.hash, store._tail.last_of)
        other.rollback()
        other.close()
        assert await store.append(closed()) == 1


async def test_a_full_disk_refuses_and_the_next_one_goes_on(journal: JournalStore) -> None:
    await journal.append(closed())
    await journal._writer.execute("PRAGMA max_page_count = 1")
    with pytest.raises(JournalError, match="make room"):
        for n in range(200):
            await journal.append(denied(n))
    await journal._writer.execute("PRAGMA max_page_count = 1000000")
    before = journal.last_seq
    assert await journal.append(closed()) == before + 1
    assert len(await journal.entries_after(0, 500)) == before + 1


async def test_more_than_can_wait_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 2)
    store = await opened(tmp_path / "journal.db")
    async with asyncio.TaskGroup() as group:
        waits = [group.create_task(_refused(store), name="append") for _ in range(3)]
        await asyncio.sleep(0)
        await store.close()
    assert sorted(w.result().split(": ")[-1] for w in waits) == [
        "2 events wait for the disk already",
        "the journal was closed",
        "the journal was closed",
    ]


async def _refused(store: JournalStore) -> str:
    with pytest.raises(JournalError) as caught:
        await store.append(closed())
    return str(caught.value)


async def test_flushed_waits_for_all_that_was_handed_over(journal: JournalStore) -> None:
    async with asyncio.TaskGroup() as group:
        writes = [group.create_task(journal.append(closed()), name="append") for _ in range(5)]
        await asyncio.sleep(0)
        await journal.flushed()
        assert journal.last_seq == 5
    assert len(writes) == 5


async def test_a_file_that_is_no_database_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"this is not SQLite at all, but long enough to be looked at" * 50)
    with pytest.raises(JournalError, match=r"journal\.db.*not a database"):
        await opened(path)
    assert path.read_bytes().startswith(b"this is not")


async def test_a_newer_version_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with (await opened(path)).running() as store:
        await store._writer.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="install the newer gatewayd"):
        await opened(path)


async def test_a_changed_tail_is_noticed_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with (await opened(path)).running() as store:
        for n in range(3):
            await store.append(denied(n))
    with sqlite3.connect(path) as other:
        other.execute("DROP TRIGGER event_is_never_edited")
        other.execute("UPDATE event SET wall_ms = 1 WHERE seq = 2")
    other.close()
    with pytest.raises(JournalError, match="row 2 does not verify"):
        await opened(path)


async def test_a_long_journal_checks_only_its_tail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TAIL_ROWS", 3)
    path = tmp_path / "journal.db"
    async with (await opened(path)).running() as store:
        for n in range(10):
            await store.append(denied(n))
    async with (await opened(path)).running() as store:
        assert await store.append(closed()) == 11


@pytest.mark.parametrize("sql", ["UPDATE event SET data = '{}'", "DELETE FROM event"])
async def test_events_are_append_only(journal: JournalStore, tmp_path: Path, sql: str) -> None:
    await journal.append(closed())
    other = sqlite3.connect(tmp_path / "journal.db")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(sql)
    other.close()


def test_a_credential_reference_is_keyed_and_hides_the_number(journal: JournalStore) -> None:
    one, other = journal.credential_ref(card(5, 26)), journal.credential_ref(card(6, 26))
    assert one.digest != other.digest
    assert len(one.digest) == 32
    assert one == journal.credential_ref(card(5, 26))


async def test_an_undecodable_row_is_a_clear_error(journal: JournalStore) -> None:
    await journal.append(closed())
    await journal._writer.execute("DROP TRIGGER event_is_never_edited")
    await journal._writer.execute("UPDATE event SET kind = 'door.exploded'")
    await journal._writer.commit()
    with pytest.raises(JournalError, match="row 1: unknown event kind"):
        await journal.entry(1)


async def test_the_schema_page_tells_what_migrations_make(
    journal: JournalStore, tmp_path: Path
) -> None:
    page = Path(module.__file__).with_name("schema.sql").read_text(encoding="utf-8")
    with sqlite3.connect(tmp_path / "journal.db") as other:
        made = other.execute("SELECT sql FROM sqlite_master WHERE type = 'table'").fetchall()
    other.close()

    def shape(sql: str) -> str:
        plain = re.sub(r"\s+", " ", re.sub(r"--[^\n]*", "", sql)).strip().rstrip(";")
        return plain.replace(" ,", ",").replace(" )", ")")  # a column that a migration added

    told = {shape(part) for part in re.sub(r"--[^\n]*", "", page).split(";") if part.strip()}
    assert {shape(sql) for (sql,) in made if "sqlite_" not in sql} == told
    assert isinstance(denied(), AccessDenied)


async def test_a_caller_that_gave_up_has_still_handed_its_event_over(journal: JournalStore) -> None:
    async with asyncio.TaskGroup() as group:
        late = group.create_task(journal.append(closed("late")), name="append")
        await asyncio.sleep(0)
        late.cancel()
    assert await journal.append(closed("next")) == 2
    assert [e.event for e in await journal.entries_after(0, 9)] == [closed("late"), closed("next")]


async def test_a_writer_cancelled_in_a_commit_tells_nobody_durable(tmp_path: Path) -> None:
    store = await opened(tmp_path / "journal.db")
    async with asyncio.TaskGroup() as group:
        writer = group.create_task(store.run(), name="writer")
        waiting = group.create_task(_refused(store), name="append")
        await asyncio.sleep(0)  # both begin
        await asyncio.sleep(0)  # the writer takes the event to the disk
        writer.cancel()
    assert "is being closed" in waiting.result()
    await store.close()
    async with (await opened(tmp_path / "journal.db")).running() as again:
        assert await again.append(closed()) == again.last_seq


async def test_the_file_is_its_owners_only(journal: JournalStore, tmp_path: Path) -> None:
    await journal.append(closed())
    assert _modes(tmp_path) == dict.fromkeys(
        ("journal.db", "journal.db-wal", "journal.db-shm"), 0o600
    )


def _modes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (a)")
    other.close()
    with pytest.raises(JournalError, match="another program's database"):
        await opened(path)
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("theirs",)]
    other.close()


async def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="No such file or directory"):
        await opened(tmp_path / "none" / "journal.db")


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    async with (await opened(path)).running() as store:
        await store.append(closed())
    steps = [*sqlite.migrations("journal"), (99, "CREATE TABLE more (a); CREATE TABLE event (b);")]
    monkeypatch.setattr(sqlite, "migrations", lambda _name: steps)
    with pytest.raises(JournalError, match="table event already exists"):
        await opened(path)
    monkeypatch.undo()
    async with (await opened(path)).running() as store:
        assert store.last_seq == 1
        assert await store._read("SELECT 1 FROM sqlite_master WHERE name = 'more'") == []


async def test_kinds_and_subjects_are_found_among_many(journal: JournalStore) -> None:
    for n in range(6):
        await journal.append(closed(f"door-{n % 2}"))
        await journal.append(denied(n))
        await journal.append(raised(f"a-{n}"))
    kinds = ["door.closed", "alarm.raised"]
    assert [e.seq for e in await journal.entries_after(4, 3, kinds=kinds)] == [6, 7, 9]
    assert [e.seq for e in await journal.entries_before(7, 3, kinds=kinds)] == [6, 4, 3]
    of_door = await journal.entries_before(None, 2, subject="door-0")
    assert [e.seq for e in of_door] == [13, 7]
    assert await journal.entries_before(None, 9, subject="door-0", kinds=["alarm.raised"]) == []
    assert await journal.entries_after(0, 9, kinds=[]) == []


async def test_no_question_reads_the_whole_journal(
    journal: JournalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans: list[str] = []
    read = journal._read

    async def explained(sql: str, *values: object) -> list[Any]:
        plans.extend(row[3] for row in await read(f"EXPLAIN QUERY PLAN {sql}", *values))
        return await read(sql, *values)

    monkeypatch.setattr(journal, "_read", explained)
    await journal.append(closed())
    await journal.entries_after(0, 1)
    await journal.entries_after(0, 1, kinds=["alarm.raised", "door.closed"])
    await journal.entries_before(None, 1, kinds=["door.closed"])
    await journal.entries_before(None, 1, subject="main-gate", kinds=["door.closed"])
    await journal.alarm_events()
    of_alarms = len(plans)
    await journal.outbox(Stream.ALARMS, 0, 1)
    await journal.outbox_depth()
    await journal._read(journal_reader.LAST_OF[Stream.ALARMS])
    over_index = [plan for plan in plans[of_alarms:] if "INDEX event_alarm" in plan]
    assert len(over_index) == 4  # depth asks twice
    assert plans
    assert not [p for p in plans if re.search(r"SCAN (event|e|alarm)\b(?! USING)", p)]


_alarm_steps = st.lists(
    st.tuples(st.sampled_from(["raise", "ack", "clear"]), st.integers(0, 2)), max_size=25
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_alarm_steps)
async def test_alarm_events_fold_to_the_same_table_as_the_whole_journal(
    tmp_path: Path, steps: list[tuple[str, int]]
) -> None:
    (tmp_path / "journal.db").unlink(missing_ok=True)
    async with (await opened(tmp_path / "journal.db")).running() as store:
        ids: dict[int, str] = {}
        for number, (step, which) in enumerate(steps):
            if step == "raise":
                ids[which] = f"a-{number}"
                await store.append(raised(ids[which]))
            elif step == "ack":
                who = f"guard {number}"
                await store.append(AlarmAcknowledged(ids.get(which, "none"), "main-gate", who))
            else:
                await store.append(AlarmCleared(ids.get(which, "none"), "main-gate"))
        every = await store.entries_after(0, 100)
        assert _folded(await store.alarm_events()) == _folded(every)


def _folded(entries: list[JournalEntry]) -> OpenAlarms:
    alarms: OpenAlarms = {}
    for entry in entries:
        assert isinstance(entry.event, ALARM_EVENTS)
        alarms = apply(alarms, entry.event, entry.seq, entry.stamp)
    return alarms
