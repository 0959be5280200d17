"""Doors with their mode and fire desks, on boards that can be silent; the clock moves by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.door import ContactChanged, ControllerBack
from gatewayd.domain.events import (
    AlarmRaised,
    Cause,
    CauseKind,
    DesiredApplied,
    DoorModeOrdered,
    Event,
)
from gatewayd.domain.interlock import Interlock
from gatewayd.domain.model import (
    NS_PER_S,
    AlarmKind,
    DeviceId,
    Door,
    DoorId,
    DoorMode,
    HolidayCalendar,
    Schedule,
    ScheduleId,
)
from gatewayd.domain.modes import Orders, apply, effective
from gatewayd.domain.ports import InputChanged, JournalEntry, WhitelistReadError
from gatewayd.doors import DoorTask, DoorTasks, DoorWiring
from gatewayd.fire import FireDesk, FireInput
from gatewayd.hours import DoorHours
from gatewayd.modes import ModeDesk
from gatewayd.recorder import Recorder
from tests.clock import ManualClock
from tests.domain.world import ALWAYS, GATE, NATIONAL, SHANGHAI, WORKDAYS
from tests.fakes import FakeBoard, MemoryJournal, running

GATE_ID, SIDE = GATE.id, DoorId("side-gate")
CHEN = Cause(CauseKind.OPERATOR, "chen", "moving house")
CENTRE = Cause(CauseKind.CENTRE, "c-1")
PANEL = FireInput(DeviceId("board-1"), 8, active_means_fire=False)


class Lists:
    """Implements hours.Schedules; what it has may be changed, or not be readable."""

    def __init__(self) -> None:
        self.have: dict[ScheduleId, Schedule] = {ALWAYS.id: ALWAYS, WORKDAYS.id: WORKDAYS}
        self.holidays: dict[str, HolidayCalendar] = {NATIONAL.id: NATIONAL}
        self.broken = False

    def schedules(self) -> Mapping[ScheduleId, Schedule]:
        if self.broken:
            raise WhitelistReadError("whitelist-7.db: disk I/O error")
        return self.have

    def calendars(self) -> Mapping[str, HolidayCalendar]:
        return self.holidays


class SilentBoard(FakeBoard):
    """A board whose line takes what is sent and never answers."""

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        self.orders.append((relay, energised))
        await asyncio.Event().wait()


class SlowBoard(FakeBoard):
    """A board that answers late: `answers_s` after it was told."""

    def __init__(self, clock: ManualClock, answers_s: float) -> None:
        super().__init__()
        self.clock = clock
        self.answers_s = answers_s

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        if self.answers_s:
            wait_ns = round(self.answers_s * NS_PER_S)
            await self.clock.sleep_until(self.clock.monotonic_ns() + wait_ns)
        await super().set_relay(relay, energised, for_s, shut=shut)


@dataclass
class Gatehouse:
    clock: ManualClock
    journal: MemoryJournal
    board: FakeBoard
    doors: DoorTasks
    modes: ModeDesk
    fire: FireDesk
    lists: Lists
    alarms: AlarmDesk
    revision: int = 0  # of what the centre wants

    def unlocked(self, door: DoorId = GATE_ID) -> bool:
        return bool(self.board.relays.get(self.doors.tasks[door].wiring.relay))

    async def settled(self, seconds: float = 0) -> None:
        await self.clock.advance(seconds)

    async def later(self, seconds: float) -> None:
        """The same for hours: the wall clock is set, and only the last two seconds are lived."""
        self.clock.jump_wall(seconds - 2)
        await self.clock.advance(2)

    async def want(self, mode: DoorMode, door: DoorId = GATE_ID) -> None:
        """The centre does, in its next revision."""
        self.revision += 1
        await self.modes.want(DesiredApplied(self.revision, "centre", ((door, mode),)))

    def alarmed(self, kind: AlarmKind) -> bool:
        return any(a.kind is kind and a.active for a in self.alarms.open_alarms())

    def orders(self) -> list[DoorModeOrdered]:
        return [e for e in self.journal.events if isinstance(e, DoorModeOrdered)]

    def panel(self, active: bool, fault: str = "") -> None:
        event = InputChanged(8, active, self.clock.now(), fault)  # type: ignore[arg-type]  # a literal
        self.fire.input_changed(event)


def two_doors(**changes: object) -> dict[DoorId, Door]:
    """The gate, changed as told, and a side gate; the gate is an escape door."""
    gate = replace(GATE, escape=True, **changes)  # type: ignore[arg-type]  # test sugar
    return {GATE_ID: gate, SIDE: replace(GATE, id=SIDE, name="Side gate")}


@asynccontextmanager
async def gatehouse(
    doors: Mapping[DoorId, Door] | None = None,
    *,
    journal: MemoryJournal | None = None,
    clock: ManualClock | None = None,
    boards: Mapping[DoorId, FakeBoard] | None = None,
    board: FakeBoard | None = None,
    interlocks: tuple[Interlock, ...] = (),
    panel: FireInput | None = PANEL,
    lists: Lists | None = None,
) -> AsyncIterator[Gatehouse]:
    """Running until the block ends; the same journal again is a restart."""
    doors, clock = doors or two_doors(), clock or ManualClock()
    journal, lists = journal or MemoryJournal(clock), lists or Lists()
    board = board or FakeBoard()
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    alarms.restore(JournalEntry(seq, stamp, event) for seq, event, stamp in journal.entries)
    before = orders_of(journal.events)
    now, interlocked = clock.now(), {door for each in interlocks for door in each.door_ids}
    tasks = {}
    for relay, (door_id, door) in enumerate(doors.items(), 1):
        wiring = DoorWiring((boards or {}).get(door_id, board), relay, relay, None, True, True)
        governs = effective(
            before.get(door_id, {}), now.wall_ms, now.wall_trusted,
            interlocked=door_id in interlocked,
        )  # fmt: skip
        tasks[door_id] = DoorTask(door, wiring, clock, recorder, alarms, governs.mode)
    every = DoorTasks(tasks, interlocks)
    hours = DoorHours(lists, clock, SHANGHAI)
    modes = ModeDesk(every, journal, recorder, clock, hours, before)
    escape = [door.id for door in doors.values() if door.escape]
    fire = FireDesk(panel, escape, modes, journal, recorder, alarms)
    work = [recorder.run(), alarms.run(), *(task.run() for task in tasks.values())]
    async with running(*work):
        for task in tasks.values():
            task.post(ControllerBack())
            task.post(ContactChanged(False))
        await clock.advance(0)
        async with running(modes.run()):
            await clock.advance(0)
            yield Gatehouse(clock, journal, board, every, modes, fire, lists, alarms)


def orders_of(events: list[Event]) -> dict[DoorId, Orders]:
    found: dict[DoorId, Orders] = {}
    for event in events:
        found = apply(found, event)
    return found


def raised(journal: MemoryJournal, kind: AlarmKind) -> int:
    """How often an alarm of this kind was raised."""
    return sum(isinstance(e, AlarmRaised) and e.alarm is kind for e in journal.events)
