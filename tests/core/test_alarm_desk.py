"""The alarm desk over time: chatter, the shelf, escalation, and all of it after a restart."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gatewayd.alarms import MAX_SIGNALS, AlarmDesk
from gatewayd.domain import alarm as rules
from gatewayd.domain.alarm import MAX_ALIKE, MAX_SHELF_MS, NEVER_SUPPRESSED, ShelveRefusal
from gatewayd.domain.events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmRaised,
    AlarmReopened,
    AlarmRepeated,
    AlarmShelved,
    AlarmUnshelved,
    Escalation,
)
from gatewayd.domain.model import NS_PER_S, AlarmKind
from gatewayd.domain.ports import JournalError, ShelveRefusedError
from gatewayd.recorder import Recorder
from gatewayd.store.journal import JournalStore
from gatewayd.store.journal_reader import OPEN
from tests.clock import ManualClock
from tests.fakes import MemoryJournal, running
from tests.store.samples import SECRET

HELD, TAMPER = AlarmKind.DOOR_HELD, AlarmKind.TAMPER
MINUTE_MS, HOUR_S = 60_000, 3600.0


class Desk:
    """An alarm desk over a journal in memory, with its clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.journal = MemoryJournal(self.clock)
        self.recorder = Recorder(self.journal, self.clock, lambda _bad, _why: None)
        self.alarms = AlarmDesk(self.journal, self.recorder, self.clock)

    async def flap(self, kind: AlarmKind = HELD, times: int = 1, gap_s: float = 0.36) -> None:
        """So many raises and clears, each after a gap."""
        for _ in range(times):
            await self.clock.advance(gap_s)
            await self.alarms.raise_alarm(kind, "gate")
            await self.clock.advance(gap_s)
            await self.alarms.clear(kind, "gate")

    def told(self, *kinds: type) -> list[str]:
        return [event.KIND for event in self.journal.events if isinstance(event, kinds)]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    made = Desk()
    async with running(made.alarms.run()):
        yield made


# --------------------------------------------------------------------------------- chatter


async def test_ten_thousand_transitions_in_an_hour_are_one_alarm_and_an_event_a_minute(
    desk: Desk,
) -> None:
    await desk.flap(times=5_000)
    [alarm] = desk.alarms.open_alarms()
    assert alarm.repeats == 4_999
    assert desk.told(AlarmRaised) == ["alarm.raised"]
    assert len(desk.told(AlarmRepeated, AlarmCleared)) <= 62
    await desk.clock.advance(60)
    last = desk.journal.events[-2]
    assert isinstance(last, AlarmCleared)
    assert last.repeats == 4_999


async def test_a_chattering_alarm_that_was_taken_waits_six_times_an_hour_at_most(
    desk: Desk,
) -> None:
    waits = 0
    for _ in range(500):
        await desk.flap(times=10)
        for alarm in desk.alarms.open_alarms():
            if alarm.waiting:
                waits += 1
                await desk.alarms.acknowledge(alarm.alarm_id, "li")
    assert waits in {5, 6}
    assert len(desk.told(AlarmRaised)) == 1
    assert len(desk.told(AlarmReopened)) == waits - 1


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    gaps=st.lists(st.sampled_from([0.1, 1.0, 59.0, 61.0, 300.0, 599.0, 601.0]), max_size=120),
    takes=st.sets(st.integers(0, 120)),
    kind=st.sampled_from([HELD, TAMPER, AlarmKind.NOTICE]),
)
async def test_however_an_input_chatters_a_guard_hears_of_it_and_not_more_than_six_times_an_hour(
    gaps: list[float], takes: set[int], kind: AlarmKind
) -> None:
    desk = Desk()
    heard: set[tuple[int, str]] = set()  # when an alarm began to wait for a guard

    def waiting() -> list[str]:
        found = [alarm for alarm in desk.alarms.open_alarms() if alarm.waiting]
        heard.update((alarm.waiting_since.monotonic_ns, alarm.alarm_id) for alarm in found)
        return [alarm.alarm_id for alarm in found]

    async with running(desk.alarms.run()):
        for number, gap_s in enumerate(gaps):
            await desk.clock.advance(gap_s)
            waiting()
            if number % 2:
                await desk.alarms.clear(kind, "gate")
            else:
                await desk.alarms.raise_alarm(kind, "gate")
            for alarm_id in waiting() if number in takes else ():
                await desk.alarms.acknowledge(alarm_id, "li")
        await desk.clock.advance(601)
        waiting()
    if kind is not AlarmKind.NOTICE:
        times = sorted(ns for ns, _ in heard)
        assert all(later - sooner >= 600 * NS_PER_S for sooner, later in itertools.pairwise(times))
    seconds = sum(gaps) + 601
    assert len(desk.told(AlarmRepeated, AlarmCleared)) <= 2 * seconds / 60 + 3 * len(heard)
    if len(gaps) % 2:  # it is up: whoever looks finds it, as the journal tells it
        assert [a.active for a in desk.alarms.open_alarms()] == [True]
    every = [
        e for e in desk.journal.events if isinstance(e, AlarmRaised | AlarmRepeated | AlarmCleared)
    ]
    assert not gaps or isinstance(every[-1], AlarmCleared) is (len(gaps) % 2 == 0)


@pytest.mark.parametrize("kind", sorted(NEVER_SUPPRESSED))
async def test_each_duress_forced_door_and_fire_has_an_event_of_its_own(
    desk: Desk, kind: AlarmKind
) -> None:
    await desk.flap(kind, MAX_ALIKE + 5, gap_s=0.1)
    assert len(desk.told(AlarmRaised)) == MAX_ALIKE
    assert len(desk.told(AlarmRaised, AlarmRepeated)) == MAX_ALIKE + 5
    assert len(desk.told(AlarmCleared)) == MAX_ALIKE + 5


async def test_of_two_that_are_up_at_once_both_are_over_at_once(desk: Desk) -> None:
    for _ in range(2):
        await desk.alarms.raise_alarm(AlarmKind.DURESS, "gate-in")
    await desk.alarms.clear(AlarmKind.DURESS, "gate-in")
    assert [a.active for a in desk.alarms.open_alarms()] == [False, False]


async def test_who_takes_a_chattering_alarm_takes_it_as_it_stands(desk: Desk) -> None:
    await desk.flap(times=3)
    [alarm] = desk.alarms.open_alarms()
    await desk.alarms.acknowledge(alarm.alarm_id, "li")
    *_, told, taken = desk.journal.events
    assert told == AlarmCleared(alarm.alarm_id, "gate", 2, HELD)
    assert isinstance(taken, AlarmAcknowledged)


async def test_at_the_end_the_journal_says_how_each_alarm_stands(desk: Desk) -> None:
    await desk.flap(times=2)
    await desk.alarms.raise_alarm(HELD, "gate", "third time")
    assert len(desk.journal.events) == 3
    await desk.alarms.tell_all()
    last = desk.journal.events[-1]
    assert isinstance(last, AlarmRepeated)
    assert (last.repeats, last.detail) == (2, "third time")


# ---------------------------------------------------------------------------------- the shelf


async def until(desk: Desk, minutes: float) -> int:
    return desk.clock.now().wall_ms + round(minutes * MINUTE_MS)


async def test_a_shelved_alarm_comes_back_by_itself_and_sooner_if_someone_wants_it(
    desk: Desk,
) -> None:
    alarm_id = await desk.alarms.raise_alarm(TAMPER, "gate")
    shelved = await desk.alarms.shelve(alarm_id, "li", "box is open", await until(desk, 15))
    assert shelved.shelf is not None
    assert (shelved.shelf.operator, shelved.shelf.reason) == ("li", "box is open")
    await desk.clock.advance(15 * 60)
    assert desk.told(AlarmUnshelved) == ["alarm.unshelved"]
    assert desk.alarms.open_alarms()[0].waiting
    await desk.alarms.shelve(alarm_id, "li", "still", await until(desk, 15))
    back = await desk.alarms.unshelve(alarm_id, "chen")
    assert back.waiting
    assert await desk.alarms.unshelve(alarm_id, "chen") == back
    told = desk.journal.of(AlarmUnshelved)
    assert [e.operator for e in told if isinstance(e, AlarmUnshelved)] == ["", "chen"]


async def test_what_may_not_be_shelved_is_refused_with_why(desk: Desk) -> None:
    forced = await desk.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "gate")
    tamper = await desk.alarms.raise_alarm(TAMPER, "gate")
    eight_hours = desk.clock.now().wall_ms + MAX_SHELF_MS
    for alarm_id, until_ms, why in (
        (forced, eight_hours, ShelveRefusal.NEVER),
        (tamper, eight_hours + 1, ShelveRefusal.TOO_LONG),
        (tamper, desk.clock.now().wall_ms, ShelveRefusal.PAST),
    ):
        with pytest.raises(ShelveRefusedError) as caught:
            await desk.alarms.shelve(alarm_id, "li", "noise", until_ms)
        assert caught.value.refusal is why
    assert desk.told(AlarmShelved) == []


async def test_only_what_is_listed_can_be_taken_shelved_or_brought_back(desk: Desk) -> None:
    alarm_id = await desk.alarms.raise_alarm(HELD, "gate")
    await desk.alarms.acknowledge(alarm_id, "li")
    await desk.alarms.clear(HELD, "gate")
    for act in (
        desk.alarms.acknowledge(alarm_id, "wu"),
        desk.alarms.shelve(alarm_id, "wu", "noise", await until(desk, 1)),
        desk.alarms.unshelve("none", "wu"),
    ):
        with pytest.raises(KeyError):
            await act


async def test_a_shelving_that_is_not_durable_is_none(desk: Desk) -> None:
    alarm_id = await desk.alarms.raise_alarm(TAMPER, "gate")
    desk.journal.refuse = "disk full"
    with pytest.raises(JournalError):
        await desk.alarms.shelve(alarm_id, "li", "noise", await until(desk, 1))
    assert desk.alarms.open_alarms()[0].waiting


async def test_what_is_done_about_an_alarm_never_stands_before_it_in_the_journal() -> None:
    desk = Desk()
    desk.journal.refuse = "disk full"
    alarm_id = await desk.alarms.raise_alarm(TAMPER, "gate")
    desk.journal.refuse = None
    with pytest.raises(JournalError, match="not on disk yet"):
        await desk.alarms.shelve(alarm_id, "li", "noise", await until(desk, 1))
    await desk.alarms.clear(TAMPER, "gate")
    assert desk.journal.events == []
    async with running(desk.recorder.run()):
        await desk.journal.until(AlarmCleared)
        await desk.recorder.flushed()
        assert (await desk.alarms.acknowledge(alarm_id, "li")).acknowledged_by == "li"
    told = [type(event) for event in desk.journal.events]
    assert told == [AlarmRaised, AlarmCleared, AlarmAcknowledged]


# --------------------------------------------------------------------------- a disk that hangs


async def test_a_hanging_disk_hides_no_alarm_and_their_events_follow_in_order(desk: Desk) -> None:
    told: list[tuple[AlarmKind, int]] = []
    desk.alarms._on_raised = lambda alarm: told.append((alarm.kind, alarm.raised_seq))
    async with running(desk.recorder.run()):
        desk.journal.hold()
        desk.alarms.signal(HELD, "gate", active=True)
        desk.alarms.signal(AlarmKind.DURESS, "gate", active=True)
        desk.alarms.signal(HELD, "gate", active=False)
        await desk.clock.advance(0.25)
        assert [a.kind for a in desk.alarms.open_alarms()] == [AlarmKind.DURESS, HELD]
        assert told == [(HELD, 0), (AlarmKind.DURESS, 0)]
        await desk.clock.advance(120)
        assert desk.journal.events == []
        desk.journal.release()
        await desk.clock.advance(1)
    assert told[2:] == [(HELD, 1)]  # its picture can be kept now
    assert [a.raised_seq for a in desk.alarms.open_alarms() if a.kind is HELD] == [1]
    assert [type(event) for event in desk.journal.events] == [
        AlarmRaised, AlarmRaised, AlarmCleared,
    ]  # fmt: skip


async def test_what_a_hanging_disk_refuses_in_the_end_is_journaled_before_what_followed(
    desk: Desk,
) -> None:
    async with running(desk.recorder.run()):
        desk.journal.hold()
        desk.alarms.signal(TAMPER, "gate", active=True)
        desk.alarms.signal(TAMPER, "gate", active=False)
        await desk.clock.advance(0.25)
        desk.journal.refuse = "disk full"
        desk.journal.release()
        await desk.clock.advance(0.5)
        desk.journal.refuse = None
        await desk.alarms.raise_alarm(HELD, "gate")
        assert desk.journal.events == []
        await desk.clock.advance(1)
    alarms = [event.KIND for event in desk.journal.events]
    assert alarms == ["alarm.raised", "alarm.cleared", "alarm.raised"]


async def test_an_act_that_waits_for_the_disk_holds_up_no_alarm_and_no_other_act_passes_it(
    desk: Desk,
) -> None:
    alarm_id = await desk.alarms.raise_alarm(TAMPER, "gate")
    other_id = await desk.alarms.raise_alarm(HELD, "gate")
    async with running(desk.recorder.run()):
        desk.journal.hold()
        taking = asyncio.create_task(desk.alarms.acknowledge(alarm_id, "li"))
        await desk.clock.advance(0)
        second = asyncio.create_task(desk.alarms.acknowledge(alarm_id, "wu"))
        desk.alarms.signal(AlarmKind.FIRE, "fire", active=True)
        desk.alarms.signal(TAMPER, "gate", active=False)
        await desk.clock.advance(1)
        assert not taking.done()
        assert [a.kind for a in desk.alarms.open_alarms()] == [AlarmKind.FIRE, TAMPER, HELD]
        with pytest.raises(JournalError, match="acknowledge it again"):
            await desk.alarms.acknowledge(other_id, "wu")
        assert not second.done()
        desk.journal.release()
        assert (await taking).acknowledged_by == "li"
        with pytest.raises(KeyError):  # taken and over: it is listed no more
            await second
        await desk.clock.advance(1)
    assert [a.kind for a in desk.alarms.open_alarms()] == [AlarmKind.FIRE, HELD]
    assert [event.KIND for event in desk.journal.events] == [
        "alarm.raised", "alarm.raised", "alarm.acknowledged", "alarm.raised", "alarm.cleared",
    ]  # fmt: skip


async def test_who_comes_second_learns_who_was_first_however_slow_the_disk(desk: Desk) -> None:
    alarm_id = await desk.alarms.raise_alarm(TAMPER, "gate")
    desk.journal.hold()
    acts = [asyncio.create_task(desk.alarms.acknowledge(alarm_id, who)) for who in ("li", "wu")]
    await desk.clock.advance(10)
    desk.journal.release()
    assert [(await act).acknowledged_by for act in acts] == ["li", "li"]


async def test_whoever_waited_for_an_act_that_the_disk_refused_acts_in_its_place(
    desk: Desk,
) -> None:
    alarm_id = await desk.alarms.raise_alarm(TAMPER, "gate")
    desk.journal.hold()
    taking = asyncio.create_task(desk.alarms.acknowledge(alarm_id, "li"))
    await desk.clock.advance(1)
    second = asyncio.create_task(desk.alarms.acknowledge(alarm_id, "wu"))
    await desk.clock.advance(1)
    desk.journal.refuse = "disk full"
    desk.journal.release()
    with pytest.raises(JournalError, match="disk full"):
        await taking
    desk.journal.refuse = None
    assert (await second).acknowledged_by == "wu"
    assert desk.told(AlarmAcknowledged) == ["alarm.acknowledged"]


async def test_an_alarm_that_was_given_up_while_the_disk_hung_is_not_journaled(
    desk: Desk,
) -> None:
    desk.journal.hold()
    raising = asyncio.create_task(desk.alarms.raise_alarm(TAMPER, "gate"))
    await desk.clock.advance(0.1)
    raising.cancel()
    await desk.clock.advance(0)
    desk.journal.release()
    await desk.clock.advance(1)
    assert raising.cancelled()
    assert desk.journal.events == []
    assert desk.alarms.open_alarms() == []


async def test_a_full_desk_does_without_what_may_be_suppressed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    desk = Desk()
    for number in range(MAX_SIGNALS):
        desk.alarms.signal(HELD, f"d{number}", active=True)
    desk.alarms.signal(AlarmKind.FIRE, "fire", active=True)
    desk.alarms.signal(HELD, "one too many", active=True)
    async with running(desk.alarms.run()):
        await desk.journal.until(AlarmRaised, MAX_SIGNALS)
        await desk.clock.advance(0)
    about = {alarm.about for alarm in desk.alarms.open_alarms()}
    assert "fire" in about
    assert about.isdisjoint({"d0", "one too many"})
    assert "door_held about d0 not taken" in caplog.text


# ----------------------------------------------------------------------------- escalation


async def test_what_nobody_takes_is_escalated_once_to_each(desk: Desk) -> None:
    await desk.alarms.raise_alarm(TAMPER, "gate")
    await desk.clock.advance(179)
    assert desk.told(AlarmEscalated) == []
    await desk.clock.advance(2)
    assert desk.alarms.open_alarms()[0].escalated_to is Escalation.LEADER
    await desk.clock.advance(HOUR_S)
    told = desk.journal.of(AlarmEscalated)
    assert [e.to for e in told if isinstance(e, AlarmEscalated)] == list(Escalation)


async def test_how_long_an_alarm_may_wait_is_a_setting() -> None:
    desk = Desk()
    desk.alarms = AlarmDesk(desk.journal, desk.recorder, desk.clock, escalate_min=0.5)
    async with running(desk.alarms.run()):
        await desk.alarms.raise_alarm(TAMPER, "gate")
        await desk.clock.advance(31)
        assert desk.told(AlarmEscalated) == ["alarm.escalated"]


# --------------------------------------------------------------------------------- restarts


@asynccontextmanager
async def opened(path: Path, clock: ManualClock) -> AsyncIterator[tuple[AlarmDesk, JournalStore]]:
    """The desk of a box that has just started, over a real journal."""
    store = await JournalStore.open(path, clock, secret=SECRET)
    async with store.running():
        desk = AlarmDesk(store, Recorder(store, clock, lambda _bad, _why: None), clock)
        desk.restore(await store.alarm_events())
        yield desk, store


async def test_a_restart_in_the_midst_of_chatter_goes_on_with_the_same_alarm(
    tmp_path: Path,
) -> None:
    clock, path = ManualClock(), tmp_path / "journal.db"
    async with opened(path, clock) as (desk, _):
        alarm_id = await desk.raise_alarm(HELD, "gate")
        await desk.acknowledge(alarm_id, "li")
        await desk.clear(HELD, "gate")
        shelved = await desk.raise_alarm(TAMPER, "box")
        await desk.shelve(shelved, "li", "box is open", clock.now().wall_ms + 60 * MINUTE_MS)
        await desk.clear(TAMPER, "box")
    await clock.advance(120)
    clock.boot_id = "boot-2"
    async with opened(path, clock) as (desk, store):
        assert desk.open_alarms() == []
        assert await desk.raise_alarm(HELD, "gate") == alarm_id
        assert await desk.raise_alarm(TAMPER, "box") == shelved
        held, tamper = desk.open_alarms()
        assert (held.acknowledged_by, held.repeats) == ("li", 1)
        assert not tamper.waiting
        assert len(await store.entries_after(0, 99, kinds=["alarm.raised"])) == 2


async def test_after_a_restart_without_a_clock_nothing_is_put_aside(tmp_path: Path) -> None:
    clock, path = ManualClock(), tmp_path / "journal.db"
    async with opened(path, clock) as (desk, _):
        shelved = await desk.raise_alarm(TAMPER, "box")
        await desk.shelve(shelved, "li", "box is open", clock.now().wall_ms + 60 * MINUTE_MS)
    clock.boot_id, clock.wall_trusted = "boot-2", False
    async with opened(path, clock) as (desk, _), running(desk.run()):
        await clock.advance(1)
        async with asyncio.timeout(5):
            while not desk.open_alarms()[0].waiting:
                await asyncio.sleep(0)


_steps = st.lists(
    st.tuples(
        st.sampled_from(["raise", "clear", "take", "shelve", "unshelve", "wait", "long wait"]),
        st.sampled_from([HELD, TAMPER, AlarmKind.DURESS, AlarmKind.NOTICE]),
    ),
    max_size=40,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=_steps)
@example(steps=[(step, TAMPER) for step in ("raise", "clear", "take", "raise")])
@example(steps=[(step, TAMPER) for step in ("raise", "shelve", "unshelve", "clear")])
@example(steps=[(s, TAMPER) for s in ("raise", "take", "clear", "raise", "clear", "long wait")])
async def test_whatever_happened_a_restart_knows_the_same_alarms(
    tmp_path: Path, steps: list[tuple[str, AlarmKind]]
) -> None:
    path, clock = tmp_path / "journal.db", ManualClock()
    path.unlink(missing_ok=True)
    async with opened(path, clock) as (desk, store):
        for step, kind in steps:
            await _step(desk, clock, step, kind)
        await desk.tell_all()
        after = AlarmDesk(store, Recorder(store, clock, lambda _bad, _why: None), clock)
        after.restore(await store.alarm_events())
        whole = AlarmDesk(store, Recorder(store, clock, lambda _bad, _why: None), clock)
        whole.restore(await store.entries_after(0, 10_000))
        assert after.open_alarms() == whole.open_alarms()
        listed = {row[0] for row in await store._read(f"SELECT alarm_id FROM alarm WHERE {OPEN}")}
        assert listed == {alarm.alarm_id for alarm in desk.open_alarms()}
        assert [_known(a) for a in after.open_alarms()] == [_known(a) for a in desk.open_alarms()]
        for kind in (HELD, TAMPER, AlarmKind.DURESS, AlarmKind.NOTICE):
            found = [rules.again(d._alarms, kind, "gate", clock.now()) for d in (desk, after)]
            assert len({alarm and alarm.alarm_id for alarm in found}) == 1


def _known(alarm: object) -> tuple[object, ...]:
    names = (
        "alarm_id", "kind", "active", "acknowledged_by", "repeats", "shelf", "escalated_to",
        "waiting_since", "over", "latest",
    )  # fmt: skip
    return tuple(getattr(alarm, name) for name in names)


async def _step(desk: AlarmDesk, clock: ManualClock, step: str, kind: AlarmKind) -> None:
    chosen = next((a for a in desk.open_alarms() if a.kind is kind), None)
    match step:
        case "raise":
            await desk.raise_alarm(kind, "gate", f"at {clock.now().wall_ms}")
        case "clear":
            await desk.clear(kind, "gate")
        case "take" if chosen is not None:
            await desk.acknowledge(chosen.alarm_id, "li")
        case "shelve" if chosen is not None and kind not in NEVER_SUPPRESSED:
            await desk.shelve(chosen.alarm_id, "li", "noise", clock.now().wall_ms + MINUTE_MS * 30)
        case "unshelve" if chosen is not None:
            await desk.unshelve(chosen.alarm_id, "wu")
        case "wait" | "long wait":
            for _ in range(1 if step == "wait" else 40):
                await clock.advance(20)
                async with desk._one_at_a_time:
                    await desk._pass_time()
        case _:
            return
