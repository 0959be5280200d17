"""The composition root: starts one gateway's parts in order and ends them in order. Owns the task
tree; must not decide anything. What is made of what is `gatewayd.box`.

Doors first: journal, whitelist, doors and readers decide before cameras, link and console are even
imported. The end goes the other way round: no new taps, those in hand finished, cameras, link and
console ended, locks settled, what happened journaled, then the files.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from gatewayd import __version__
from gatewayd.boot import OtherGatewayError, sole_gateway
from gatewayd.box import Box, open_box
from gatewayd.domain.events import OperatorOrdered, SystemStarted, SystemStopped
from gatewayd.domain.model import AccessPointId, DeviceId, DoorId
from gatewayd.domain.ports import JournalError
from gatewayd.health import watch_clock, watch_list, watch_space
from gatewayd.selftest import DecisionPath
from gatewayd.services import services
from gatewayd.settings.load import LoadedSettings
from gatewayd.supervisor import feed_watchdog, notify, watchdog_interval_ns
from gatewayd.tasks import running_tasks, supervised
from gatewayd.wiring import ControllerSink, bus_sink, reader_sink

log = logging.getLogger(__name__)

OK, FAILED, REFUSED = 0, 1, 3  # gatewayd.cli tells what they mean
FINISH_S = 5.0  # at the end, for grants under way: unlock and lock of a dead board are twice 2 s
FLUSH_S = 5.0  # at the end, for events that wait for the disk


def run(loaded: LoadedSettings) -> int:
    """Decide at the doors until SIGTERM or SIGINT. Returns the process's exit code."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        with sole_gateway(loaded.settings.storage.directory):
            asyncio.run(_until_signal(loaded))
    except OtherGatewayError as error:
        print(f"gatewayd run: {error}, nothing was opened", file=sys.stderr)  # noqa: T201  # for the shell
        return REFUSED
    except (JournalError, ValueError, OSError) as error:
        # Not "refused": a locked or failing disk may be well when systemd tries again.
        print(f"gatewayd run: could not start: {error}", file=sys.stderr)  # noqa: T201  # for the shell
        return FAILED
    except BaseExceptionGroup as errors:
        log.critical("a part failed, the process ends: %s", errors, exc_info=errors)
        return FAILED
    return OK


async def _until_signal(loaded: LoadedSettings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(loaded, stop)


async def serve(loaded: LoadedSettings, stop: asyncio.Event) -> None:
    """Everything, until `stop` is set. Raises JournalError or OSError where it can't start, and an
    exception group where a part failed by a bug."""
    async with AsyncExitStack() as stack:
        box = await open_box(loaded, stack)
        await stack.enter_async_context(
            running_tasks({"recorder": box.recorder.run(), "alarms": box.alarms.run()})
        )
        box.recorder.record(SystemStarted(__version__, loaded.sha256, box.whitelist.revision))
        _tell_hand_over(box)
        async with running_tasks(_controller_tasks(box)):
            async with running_tasks(_gate_tasks(box)):
                box.feedback.show_all()
                log.info("doors decide, whitelist revision %d", box.whitelist.revision)
                await _serve_until(box, stop)
            # No task moves a door any more, and the boards still listen.
            await box.doors.lock_before_the_end()
            async with asyncio.TaskGroup() as group:
                for (board, relay), output in box.outputs.items():
                    name = f"last word to {board} relay {relay}"
                    group.create_task(output.off_before_the_end(), name=name)
        await _flush(box)


def _tell_hand_over(box: Box) -> None:
    """For as long as it holds, each start says that a lower revision will be taken, and by whom."""
    mark = box.whitelist.handed_over
    if mark is not None:
        box.recorder.record(
            OperatorOrdered(mark.operator, "hand-over", "whitelist", f"revision {mark.revision}")
        )


async def _serve_until(box: Box, stop: asyncio.Event) -> None:
    """What doors can do without, until the end is asked for."""
    async with services(box) as told:
        notify("READY=1")
        print(f"ready {json.dumps(told)}", flush=True)  # noqa: T201  # for whoever started us
        await stop.wait()
        notify("STOPPING=1")
        await box.taps.finish(FINISH_S)


# ------------------------------------------------------------------------------------ tasks


def _controller_tasks(box: Box) -> dict[str, Coroutine[Any, Any, None]]:
    """Boards and buses, which outlive the doors' tasks: at the end they take the last lock."""
    settings = box.loaded.settings
    tasks = {}
    for bus in settings.bus:
        run = partial(box.built[bus.id].run, bus_sink(DeviceId(bus.id), box.devices))
        tasks[f"bus {bus.id}"] = supervised(box, bus.id, run)
    for board in settings.controller:
        doors = [box.doors.tasks[DoorId(d.id)] for d in settings.door if d.controller == board.id]
        sink = ControllerSink(DeviceId(board.id), doors, box.devices)
        sink.on_acted = partial(box.boards.acted, DeviceId(board.id))
        if settings.fire is not None and settings.fire.controller == board.id:
            sink.on_input, sink.on_lost = box.fire.input_changed, box.fire.input_lost
        run = partial(box.built[board.id].run, sink)
        tasks[f"controller {board.id}"] = supervised(box, board.id, run)
    return tasks


def _gate_tasks(box: Box) -> dict[str, Coroutine[Any, Any, None]]:
    """What deciding at the doors needs, and what watches it."""
    settings, clock, alarms = box.loaded.settings, box.clock, box.alarms
    tasks: dict[str, Coroutine[Any, Any, None]] = {
        "taps": box.taps.run(),
        "modes": box.modes.run(),
        "boards": box.boards.run(),
        "installs": box.installs.run(),
        "captures": box.captures.run(),
    }
    for door_id, door in box.doors.tasks.items():
        tasks[f"door {door_id}"] = door.run()
    for reader in settings.reader:
        board = box.doors.tasks[DoorId(reader.door)].wiring.controller
        emit = reader_sink(AccessPointId(reader.id), box.taps, box.devices, board)
        tasks[f"reader {reader.id}"] = supervised(
            box, reader.id, partial(box.built[reader.id].run, emit)
        )
    for (board_id, relay), output in box.outputs.items():
        tasks[f"output {board_id} relay {relay}"] = output.run()
    if box.fallback.boards:
        tasks["fallback"] = box.fallback.run()
    if settings.linkage:
        tasks["linkages"] = box.linkages.run()
    low_mb = settings.storage.low_space_mb
    tasks["clock"] = watch_clock(clock, box.recorder, alarms)
    tasks["list"] = watch_list(box.whitelist, clock)
    tasks["space"] = watch_space(box.directory, low_mb, clock, alarms)
    interval_ns = watchdog_interval_ns()
    if interval_ns is not None:
        test = DecisionPath(box.doors, box.whitelist)
        tasks["watchdog"] = feed_watchdog(test.check, clock, interval_ns)
    return tasks


async def _flush(box: Box) -> None:
    """Say how all stands and that we stop, and wait for the disk, but not for ever."""
    try:
        async with asyncio.timeout(FLUSH_S):
            await box.alarms.tell_all()
            box.recorder.record(SystemStopped("asked to stop"))
            await box.recorder.flushed()
    except TimeoutError:
        log.error("%d events could not be written before the end", box.recorder.waiting)
