"""A lockdown of 64 doors on eight Modbus boards: from the order to the last relay's frame.

The doors stand unlocked before, so that every relay has to move. The order goes to the mode desk
for all doors at once, as the console and the line to the centre give it; it is answered once the
relay was read back and the journal has it. The floor is the wire's bytes alone, on the fullest
line: Modbus wants a silence after each frame besides (1.75 ms at 115200 baud, 4 ms at 9600), and
the boards think as long in this very process.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from zoneinfo import ZoneInfo

from benchmarks.table import Row
from drivers.doors import modbus_relay
from gatewayd.alarms import AlarmDesk
from gatewayd.clock import SystemClock
from gatewayd.devices import DeviceDesk
from gatewayd.domain.events import Cause, CauseKind, Outcome
from gatewayd.domain.model import DeviceId, Door, DoorId, DoorMode
from gatewayd.domain.ports import ControllerEvent, DriverContext, Online
from gatewayd.doors import DoorTask, DoorTasks, DoorWiring
from gatewayd.hours import DoorHours
from gatewayd.modes import ModeDesk
from gatewayd.recorder import Recorder
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.wiring import ControllerSink
from simulators.relay_board import SimulatedRelayBoard

BOARDS, RELAYS = 8, 8
RUNS = 7
BITS_A_BYTE = 10
WRITE_BYTES, READ_BYTES = 8 + 8, 8 + 6  # FC05 and FC01, each with its answer
GOAL_S = 1.0
START_S, SETTLE_S = 30.0, 1.0
WU = Cause(CauseKind.OPERATOR, "wu", "benchmark")


@dataclass(frozen=True, slots=True)
class Site:
    modes: ModeDesk
    boards: Sequence[SimulatedRelayBoard]
    door_ids: Sequence[DoorId]  # by board, then by relay


async def run(scale: float = 1.0) -> list[Row]:
    """`scale` shrinks the number of lockdowns, never that of the doors."""
    runs = max(1, round(RUNS * scale))
    rows: list[Row] = []
    for baud in (115_200, 9_600):
        rows += await _measured(baud, runs, dead=False)
        rows += await _measured(baud, 1, dead=True)
    return rows


async def _measured(baud: int, runs: int, *, dead: bool) -> list[Row]:
    frames_s, confirmed_s = [], []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        async with _site(Path(folder), baud) as site:
            for _ in range(runs):
                frame_s, all_s = await _lockdown(site, dead=dead)
                frames_s.append(frame_s)
                confirmed_s.append(all_s)
    what = f"lockdown of {BOARDS * RELAYS} doors on {BOARDS} boards, {baud} baud"
    if dead:
        what += ", one board dead: the others"
    last = (RELAYS - 1) * (WRITE_BYTES + READ_BYTES) + WRITE_BYTES // 2
    whole = RELAYS * (WRITE_BYTES + READ_BYTES)
    return [
        _row(f"{what}, last relay frame", frames_s, last * BITS_A_BYTE / baud),
        _row(f"{what}, every order answered", confirmed_s, whole * BITS_A_BYTE / baud),
    ]


def _row(name: str, taken_s: Sequence[float], floor_s: float) -> Row:
    worst = max(taken_s)
    return Row(
        f"{name}, median" if len(taken_s) > 1 else name,
        median(taken_s), "s", floor_s, median(taken_s) / floor_s,
        f"worst ≤ {GOAL_S:g} s", worst <= GOAL_S,
    )  # fmt: skip


async def _lockdown(site: Site, *, dead: bool) -> tuple[float, float]:
    """Seconds from the order to the last relay's frame, and to the last confirmation, of the
    boards that live."""
    await _at_each(site, site.door_ids, DoorMode.UNLOCKED)
    await _all_relays(site.boards, energised=True)
    living = site.boards[dead:]
    if dead:
        site.boards[0].faults.put("silence")
    begun_ns = time.monotonic_ns()
    async with asyncio.TaskGroup() as group:
        lost = site.door_ids[: RELAYS * dead]
        hanging = [
            group.create_task(site.modes.set_mode(door, DoorMode.LOCKED_DOWN, WU), name=door)
            for door in lost
        ]
        outcomes = await _at_each(site, site.door_ids[len(lost) :], DoorMode.LOCKED_DOWN)
        confirmed_ns = time.monotonic_ns()
        for task in hanging:
            task.cancel()
    assert set(outcomes) == {Outcome.UNLOCKED}
    await _all_relays(living, energised=False)
    last_ns = max(r.received_ns or 0 for board in living for r in board.terminals.relays)
    if not dead:
        async with asyncio.TaskGroup() as lifting:
            for door in site.door_ids:
                lifting.create_task(site.modes.lift(door, WU), name=door)
    return (last_ns - begun_ns) / 1e9, (confirmed_ns - begun_ns) / 1e9


async def _at_each(site: Site, door_ids: Sequence[DoorId], mode: DoorMode) -> list[Outcome]:
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(site.modes.set_mode(door, mode, WU), name=door) for door in door_ids
        ]
    return [task.result() for task in tasks]


async def _all_relays(boards: Sequence[SimulatedRelayBoard], *, energised: bool) -> None:
    async with asyncio.timeout(START_S):
        for board in boards:
            for relay in range(1, RELAYS + 1):
                await board.terminals.wait_for_relay(relay, energised)


# ---------------------------------------------------------------------------------- the site


@asynccontextmanager
async def _site(folder: Path, baud: int) -> AsyncIterator[Site]:
    """The doors as the daemon builds them, with a journal on the disk, polling their boards."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        opened = await JournalStore.open(folder / "journal.db", clock, secret=os.urandom(32))
        journal = await stack.enter_async_context(opened.running())
        whitelist = await WhitelistStore.open(folder / "whitelist")
        stack.callback(whitelist.close)
        boards = [
            await stack.enter_async_context(SimulatedRelayBoard(folder / f"board-{n}", baud=baud))
            for n in range(BOARDS)
        ]
        recorder = Recorder(journal, clock, lambda _failing, _why: None)
        alarms = AlarmDesk(journal, recorder, clock)
        drivers = [_driver(folder / f"board-{n}", baud, clock) for n in range(BOARDS)]
        tasks = _doors(drivers, clock, recorder, alarms)
        hours = DoorHours(whitelist, clock, ZoneInfo("Asia/Shanghai"))
        modes = ModeDesk(DoorTasks(tasks), journal, recorder, clock, hours)
        devices = DeviceDesk(
            [(DeviceId(f"board-{n}"), "controller") for n in range(BOARDS)], clock, recorder, alarms
        )
        group = await stack.enter_async_context(asyncio.TaskGroup())
        work = [recorder.run(), alarms.run(), *(task.run() for task in tasks.values())]
        heard = asyncio.Semaphore(0)
        for n, driver in enumerate(drivers):
            own = [task for task in tasks.values() if task.wiring.controller is driver]
            sink = ControllerSink(DeviceId(f"board-{n}"), own, devices)
            work.append(driver.run(_hearing(sink, heard)))
        work.append(modes.run())
        running = [group.create_task(each, name=f"benchmark {n}") for n, each in enumerate(work)]
        await _online(heard)
        try:
            yield Site(modes, boards, list(tasks))
        finally:
            for task in running:
                task.cancel()


def _driver(port: Path, baud: int, clock: SystemClock) -> modbus_relay.ModbusRelayBoard:
    options = modbus_relay.ModbusRelayOptions(port=str(port), baud_rate=baud)
    return modbus_relay.build(options, DriverContext(port.name, clock))


def _doors(
    drivers: Sequence[modbus_relay.ModbusRelayBoard],
    clock: SystemClock,
    recorder: Recorder,
    alarms: AlarmDesk,
) -> Mapping[DoorId, DoorTask]:
    make = partial(DoorTask, clock=clock, recorder=recorder, alarms=alarms)
    tasks = {}
    for n, driver in enumerate(drivers):
        for relay in range(1, RELAYS + 1):
            door_id = DoorId(f"door-{n}-{relay}")
            door = Door(door_id, f"Door {n}-{relay}", has_contact=False)
            wiring = DoorWiring(driver, relay, None, None, True, True)
            tasks[door_id] = make(door, wiring)
    return tasks


def _hearing(sink: ControllerSink, heard: asyncio.Semaphore) -> Callable[[ControllerEvent], None]:
    """Counts the boards that have answered, beside what the sink does."""

    def emit(event: ControllerEvent) -> None:
        sink(event)
        if isinstance(event, Online):
            heard.release()

    return emit


async def _online(heard: asyncio.Semaphore) -> None:
    """Once every board has answered, and its doors have been told their mode."""
    async with asyncio.timeout(START_S):
        for _ in range(BOARDS):
            await heard.acquire()
    await asyncio.sleep(SETTLE_S)
