"""The composition root: builds every part from the settings, starts them in order, ends them in
order. Owns the task tree; must not decide anything.

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
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from random import Random, SystemRandom
from secrets import token_hex
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

from gatewayd import __version__
from gatewayd.alarms import AlarmDesk
from gatewayd.boot import keep_secret
from gatewayd.clock import SystemClock
from gatewayd.devices import DeviceDesk
from gatewayd.domain.alarm import OpenAlarm
from gatewayd.domain.events import OperatorOrdered, SystemStarted, SystemStopped
from gatewayd.domain.linkage import Linkage, SwitchRelay
from gatewayd.domain.model import AccessPointId, AlarmKind, CameraId, DeviceId, DoorId, Stamp
from gatewayd.domain.modes import Orders, effective
from gatewayd.domain.ports import DriverContext, JournalError, Pictures
from gatewayd.doors import DoorTask, DoorTasks
from gatewayd.fire import FireDesk
from gatewayd.health import MEGABYTE, watch_clock, watch_list, watch_space
from gatewayd.hours import DoorHours
from gatewayd.linkages import Linkages, Surroundings
from gatewayd.memory import SiteLayout, SiteMemory, TryLimit
from gatewayd.modes import ModeDesk
from gatewayd.outputs import Output
from gatewayd.recorder import Recorder
from gatewayd.rulings import Rulings, Site
from gatewayd.selftest import DecisionPath
from gatewayd.settings.bind import (
    access_points,
    areas,
    domain_doors,
    domain_linkage,
    interlocks,
)
from gatewayd.settings.load import LoadedSettings
from gatewayd.settings.model import ConsoleSettings, Settings
from gatewayd.settings.secrets import read_secret
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.supervisor import feed_watchdog, notify, supervise, watchdog_interval_ns
from gatewayd.tap import TapPath
from gatewayd.wiring import ControllerSink, door_wiring, escape_doors, fire_input, reader_sink

if TYPE_CHECKING:
    from gatewayd.cameras.station import CameraStation
    from gatewayd.console.deps import SystemStatus
    from gatewayd.link.session import Link
    from gatewayd.store.media import PictureFiles
    from gatewayd.store.operators import OperatorStore

log = logging.getLogger(__name__)
_Part = TypeVar("_Part")

OK, FAILED = 0, 1  # gatewayd.cli tells what they mean
CONSOLE_START_S = 5.0
FINISH_S = 5.0  # at the end, for grants under way: unlock and lock of a dead board are twice 2 s
FLUSH_S = 5.0  # at the end, for events that wait for the disk


class NoPictures:
    """Implements `ports.Pictures` on a box without cameras."""

    def request(self, for_seq: int, camera_ids: object, at: Stamp) -> None:
        """There is nothing to keep."""

    def open_picture(self, name: str) -> Path:
        """There is none. Raises FileNotFoundError."""
        raise FileNotFoundError(f"no picture {name!r}: this box has no cameras")


class LatePictures:
    """Implements `ports.Pictures`: taps are decided before the cameras' part is loaded."""

    def __init__(self) -> None:
        self.desk: Pictures = NoPictures()

    def request(self, for_seq: int, camera_ids: Any, at: Stamp) -> None:  # noqa: ANN401  # as the port
        self.desk.request(for_seq, camera_ids, at)


def run(loaded: LoadedSettings) -> int:
    """Decide at the doors until SIGTERM or SIGINT. Returns the process's exit code."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        asyncio.run(_until_signal(loaded))
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
        box = await _open_box(loaded, stack)
        await stack.enter_async_context(
            _tasks({"recorder": box.recorder.run(), "alarms": box.alarms.run()})
        )
        box.recorder.record(SystemStarted(__version__, loaded.sha256, box.whitelist.revision))
        _tell_hand_over(box)
        async with _tasks(_controller_tasks(box)):
            async with _tasks(_gate_tasks(box)):
                log.info("doors decide, whitelist revision %d", box.whitelist.revision)
                await _serve_until(box, stop)
            # No task moves a door any more, and the boards still listen.
            for door in box.doors.tasks.values():
                await door.lock_before_the_end()
            for output in box.outputs.values():
                await output.off_before_the_end()
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
    async with _services(box) as told:
        notify("READY=1")
        print(f"ready {json.dumps(told)}", flush=True)  # noqa: T201  # for whoever started us
        await stop.wait()
        notify("STOPPING=1")
        await box.taps.finish(FINISH_S)


# ------------------------------------------------------------------------------------ parts


@dataclass(frozen=True, slots=True)
class Box:
    """The parts of one gateway, built and not yet running."""

    loaded: LoadedSettings
    clock: SystemClock
    journal: JournalStore
    whitelist: WhitelistStore
    recorder: Recorder
    alarms: AlarmDesk
    devices: DeviceDesk
    doors: DoorTasks
    modes: ModeDesk
    fire: FireDesk
    memory: SiteMemory
    taps: TapPath
    site: Site
    pictures: LatePictures
    built: Mapping[str, Any]  # readers, controllers and cameras by id
    outputs: Mapping[tuple[DeviceId, int], Output]  # relays that linkages switch
    linkages: Linkages
    nonce: str

    @property
    def directory(self) -> Path:
        return self.loaded.settings.storage.directory


async def _open_box(loaded: LoadedSettings, stack: AsyncExitStack) -> Box:
    """Open the files and build the parts. Raises where the doors could not be decided safely."""
    settings, clock = loaded.settings, SystemClock()
    directory = settings.storage.directory
    directory.mkdir(parents=True, exist_ok=True)
    secret = keep_secret(directory / "secret")
    journal = await JournalStore.open(settings.storage.journal_file, clock, secret=secret)
    await stack.enter_async_context(journal.running())
    pictures = LatePictures()
    site = Site(access_points(settings), domain_doors(settings), ZoneInfo(settings.site.time_zone))
    recorder = Recorder(journal, clock, lambda bad, why: _journal_alarm(alarms, bad, why))
    escalate_min = settings.alarms.escalate_min
    on_raised = partial(_picture_of_alarm, site, pictures)
    alarms = AlarmDesk(journal, recorder, clock, on_raised, escalate_min=escalate_min)
    alarms.restore(await journal.alarm_events())
    whitelist = await WhitelistStore.open(
        directory / "whitelist", partial(_whitelist_alarm, alarms)
    )
    stack.callback(whitelist.close)
    built = {
        device: driver.build(loaded.options[device], DriverContext(device, clock))
        for device, driver in loaded.drivers.items()
    }
    kinds = [(DeviceId(device), driver.kind.value) for device, driver in loaded.drivers.items()]
    devices = DeviceDesk(kinds, clock, recorder, alarms)
    orders = await journal.mode_orders()
    memory = await _open_memory(settings, site, journal, recorder, alarms)
    doors = _build_doors(loaded, site, built, clock, recorder, alarms, orders, memory)
    hours = DoorHours(whitelist, clock, site.zone)
    modes = ModeDesk(doors, journal, recorder, clock, hours, orders)
    fire = FireDesk(
        fire_input(settings), escape_doors(settings), modes, journal, recorder, alarms
    )  # fmt: skip
    rulings = Rulings(site, whitelist, modes, memory, clock)
    taps = TapPath(
        rulings, memory, journal, recorder, modes, pictures, alarms, clock, modes.first_person_came
    )  # fmt: skip
    linkages = [domain_linkage(linkage) for linkage in settings.linkage]
    outputs = _build_outputs(linkages, built, clock)
    around = Surroundings(
        journal, recorder, clock, site.zone, whitelist, modes, outputs, alarms, pictures,
        _names(settings),
    )  # fmt: skip
    return Box(
        loaded, clock, journal, whitelist, recorder, alarms, devices, doors, modes, fire,
        memory, taps, site, pictures, built, outputs, Linkages(linkages, around), token_hex(16),
    )  # fmt: skip


async def _open_memory(
    settings: Settings, site: Site, journal: JournalStore, recorder: Recorder, alarms: AlarmDesk
) -> SiteMemory:
    """What the box remembers between taps, as it was before the start."""
    key_file = settings.site.pin_key_file
    tries = TryLimit(settings.site.wrong_tries, settings.site.wrong_tries_pause_s)
    key = None if key_file is None else read_secret(key_file).encode()
    layout = SiteLayout(site.doors, areas(settings), tries, key)
    memory = SiteMemory(layout, journal, recorder, alarms)
    memory.restore(await journal.whereabouts(), await journal.credential_uses())
    return memory


def _build_outputs(
    linkages: Sequence[Linkage], built: Mapping[str, Any], clock: SystemClock
) -> dict[tuple[DeviceId, int], Output]:
    """Every relay that a linkage switches."""
    actions = [action for linkage in linkages for action in linkage.then]
    relays = {(a.controller_id, a.relay) for a in actions if isinstance(a, SwitchRelay)}
    return {(board, relay): Output(built[board], relay, clock) for board, relay in relays}


def _names(settings: Settings) -> dict[str, str]:
    """What the guard calls doors, readers and cameras, by id."""
    names = {door.id: door.name for door in settings.door}
    names |= {reader.id: reader.name for reader in settings.reader}
    return names | {camera.id: camera.name for camera in settings.camera}


def _journal_alarm(alarms: AlarmDesk, failing: bool, why: str) -> None:
    detail = f"events wait in memory: {why}" if failing else ""
    alarms.signal(AlarmKind.JOURNAL_FAILED, "journal", active=failing, detail=detail)


def _whitelist_alarm(alarms: AlarmDesk, fault: str | None) -> None:
    active = fault is not None
    alarms.signal(AlarmKind.WHITELIST_REJECTED, "whitelist", active=active, detail=fault or "")


def _picture_of_alarm(site: Site, pictures: Pictures, alarm: OpenAlarm) -> None:
    """An alarm about a door has the pictures of the cameras at its access points; one about an
    access point, where somebody stands, those of its own."""
    points = [p for p in site.access_points.values() if alarm.about in {p.door_id, p.id}]
    cameras = sorted({camera for point in points for camera in point.camera_ids})
    if alarm.raised_seq and cameras:
        pictures.request(alarm.raised_seq, cameras, alarm.raised)


def _build_doors(
    loaded: LoadedSettings,
    site: Site,
    built: Mapping[str, Any],
    clock: SystemClock,
    recorder: Recorder,
    alarms: AlarmDesk,
    orders: Mapping[DoorId, Orders],
    memory: SiteMemory,
) -> DoorTasks:
    """Each door in the mode that its orders from before the start give it now."""
    now, sets = clock.now(), interlocks(loaded.settings)
    interlocked = {door for each in sets for door in each.door_ids}
    tasks = {}
    for settings in loaded.settings.door:
        door = site.doors[DoorId(settings.id)]
        governs = effective(
            orders.get(door.id, {}),
            now.wall_ms,
            now.wall_trusted,
            interlocked=door.id in interlocked,
        )
        wiring = door_wiring(settings, built[settings.controller])
        passed = partial(memory.passed, door.id)
        tasks[door.id] = DoorTask(door, wiring, clock, recorder, alarms, governs.mode, passed)
    return DoorTasks(tasks, sets)


# ------------------------------------------------------------------------------------ tasks


@asynccontextmanager
async def _tasks(named: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """These tasks for as long as the block lasts. One that fails ends the block and the process."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(work, name=name) for name, work in named.items()]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def _controller_tasks(box: Box) -> dict[str, Coroutine[Any, Any, None]]:
    """The boards, which outlive the doors' tasks: at the end they still take the last lock."""
    settings = box.loaded.settings
    tasks = {}
    for board in settings.controller:
        doors = [box.doors.tasks[DoorId(d.id)] for d in settings.door if d.controller == board.id]
        sink = ControllerSink(DeviceId(board.id), doors, box.devices)
        if settings.fire is not None and settings.fire.controller == board.id:
            sink.on_input = box.fire.input_changed
        run = partial(box.built[board.id].run, sink)
        tasks[f"controller {board.id}"] = _supervised(box, board.id, run)
    return tasks


def _gate_tasks(box: Box) -> dict[str, Coroutine[Any, Any, None]]:
    """What deciding at the doors needs, and what watches it."""
    settings, clock, alarms = box.loaded.settings, box.clock, box.alarms
    tasks: dict[str, Coroutine[Any, Any, None]] = {
        "taps": box.taps.run(),
        "modes": box.modes.run(),
    }
    for door_id, door in box.doors.tasks.items():
        tasks[f"door {door_id}"] = door.run()
    for reader in settings.reader:
        board = box.doors.tasks[DoorId(reader.door)].wiring.controller
        emit = reader_sink(AccessPointId(reader.id), box.taps, box.devices, board)
        tasks[f"reader {reader.id}"] = _supervised(
            box, reader.id, partial(box.built[reader.id].run, emit)
        )
    for (board_id, relay), output in box.outputs.items():
        tasks[f"output {board_id} relay {relay}"] = output.run()
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


def _supervised(box: Box, device: str, run: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401  # a driver's run
    return supervise(device, run, box.clock, partial(box.devices.offline, DeviceId(device)))


async def _flush(box: Box) -> None:
    """Say how all stands and that we stop, and wait for the disk, but not for ever."""
    try:
        async with asyncio.timeout(FLUSH_S):
            await box.alarms.tell_all()
            box.recorder.record(SystemStopped("asked to stop"))
            await box.recorder.flushed()
    except TimeoutError:
        log.error("%d events could not be written before the end", box.recorder.waiting)


# ----------------------------------------------------------------- what doors can do without


@asynccontextmanager
async def _services(box: Box) -> AsyncIterator[dict[str, Any]]:
    """Cameras, link and console, as far as the settings have them; yields what to tell of them."""
    settings = box.loaded.settings
    await asyncio.to_thread(_load_services, settings)
    told: dict[str, Any] = {"gateway": settings.site.gateway, "version": __version__}
    async with AsyncExitStack() as stack:
        files, link = None, None
        if settings.camera:
            files = await _or_alarm(box, "cameras", _start_cameras(box, stack))
        if settings.link is not None:
            link = await _or_alarm(box, "link", _start_link(box, stack))
        else:
            await _start_arrivals(box, stack)
        if settings.console is not None:
            work = _start_console(box, stack, files, link)
            told["console"] = await _or_alarm(box, "console", work)
        yield told


async def _or_alarm(box: Box, what: str, starting: Coroutine[Any, Any, _Part]) -> _Part | None:
    """The part, or an alarm where it can't start: the doors decide without it."""
    try:
        return await starting
    except (OSError, ValueError) as error:
        log.error("%s can't start: %s", what, error)
        detail = f"{what} can't start: {error} (mend it, then restart gatewayd)"
        box.alarms.signal(AlarmKind.DEVICE_OFFLINE, what, active=True, detail=detail)
        return None


def _load_services(settings: Settings) -> None:
    """Import what the settings need, in a thread: a second of imports on the event loop would be a
    second in which no tap is decided and no board is polled."""
    if settings.camera:
        import_module("gatewayd.cameras.pictures")
    if settings.link is not None:
        import_module("gatewayd.link.build")
    else:
        import_module("gatewayd.directory.arrivals")
    if settings.console is not None:
        import_module("gatewayd.console.server")


async def _start_cameras(box: Box, stack: AsyncExitStack) -> PictureFiles:
    from gatewayd.cameras.pictures import PictureDesk
    from gatewayd.cameras.station import CameraStation
    from gatewayd.store.media import PictureFiles

    settings, folder = box.loaded.settings, box.directory / "pictures"
    budget = settings.storage.picture_budget_mb * MEGABYTE
    reserve = settings.storage.low_space_mb * MEGABYTE
    files = await asyncio.to_thread(PictureFiles, folder, budget, reserve)
    stations: dict[CameraId, CameraStation] = {}
    for camera in settings.camera:
        online = partial(box.devices.online, DeviceId(camera.id))
        station = CameraStation(CameraId(camera.id), camera.ring_s, online)
        stations[station.camera_id] = station
    desk = PictureDesk(stations, files, box.recorder.record, lambda: _alarm_seqs(box.alarms))
    tasks = {"pictures": desk.run()}
    for camera_id, station in stations.items():
        watch = partial(station.watch, box.built[camera_id])
        tasks[f"camera {camera_id}"] = _supervised(box, camera_id, watch)
    await stack.enter_async_context(_tasks(tasks))
    box.pictures.desk = desk
    return files


def _alarm_seqs(alarms: AlarmDesk) -> set[int]:
    return {alarm.raised_seq for alarm in alarms.open_alarms()}


async def _start_link(box: Box, stack: AsyncExitStack) -> Link:
    from gatewayd.link.build import build_link

    random: Random = SystemRandom()
    link = build_link(
        box.loaded.settings, box.journal, box.whitelist, box.modes, box.alarms, box.recorder,
        box.clock, box.nonce, random, box.memory,
    )  # fmt: skip
    await stack.enter_async_context(_tasks({"link": link.run()}))
    return link


async def _start_arrivals(box: Box, stack: AsyncExitStack) -> None:
    """A site without a centre: its own lists come over the inbox."""
    from gatewayd.directory.arrivals import Arrivals
    from gatewayd.directory.package import Inbox
    from gatewayd.list_updates import ListUpdates

    gateway = box.loaded.settings.site.gateway
    updates = ListUpdates(gateway, box.whitelist, box.journal, box.alarms)
    inbox = Inbox(box.directory)
    arrivals = Arrivals(inbox, box.whitelist, updates, box.journal, box.clock)
    await stack.enter_async_context(_tasks({"arrivals": arrivals.run()}))


async def _start_console(
    box: Box, stack: AsyncExitStack, files: PictureFiles | None, link: Link | None
) -> str | None:
    """The console's address; None where it can't be had now: the doors don't wait for it."""
    from gatewayd.console.deps import ConsoleDeps
    from gatewayd.console.server import serve as serve_console

    settings = box.loaded.settings.console
    assert settings is not None  # noqa: S101  # asked by _services
    operators = await _open_operators(box, settings)
    stack.push_async_callback(operators.close)
    deps = ConsoleDeps(
        settings=box.loaded.settings,
        journal=box.journal,
        whitelist=box.whitelist,
        doors=box.modes,
        alarms=box.alarms,
        media=NoPictures() if files is None else files,
        operators=operators,
        clock=box.clock,
        system_status=partial(_system_status, box, box.clock.now().wall_ms),
        link_status=None if link is None else lambda: link.status,
        fire=box.fire,
        areas=box.memory,
    )
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def ready(url: str) -> None:
        box.alarms.signal(AlarmKind.DEVICE_OFFLINE, "console", active=False)
        if not address.done():
            address.set_result(url)

    def failed(why: str) -> None:
        box.alarms.signal(AlarmKind.DEVICE_OFFLINE, "console", active=True, detail=why)

    async def run_console() -> None:
        await serve_console(
            deps,
            settings.host,
            settings.port,
            certificate_file=settings.certificate_file,
            key_file=settings.key_file,
            on_ready=ready,
        )

    work = supervise("console", run_console, box.clock, failed)
    await stack.enter_async_context(_tasks({"console": work}))
    await asyncio.wait({address}, timeout=CONSOLE_START_S)
    return address.result() if address.done() else None


async def _open_operators(box: Box, settings: ConsoleSettings) -> OperatorStore:
    """The operators, with the first ones from their file where there are none yet."""
    from gatewayd.store.operators import OperatorStore
    from gatewayd.store.operators_file import read_operators_file

    life_s = settings.session_hours * 3600
    store = await OperatorStore.open(box.directory / "operators.db", box.clock, life_s=life_s)
    if settings.operators_file is not None:
        await store.add_first(await asyncio.to_thread(read_operators_file, settings.operators_file))
    return store


def _system_status(box: Box, started_wall_ms: int) -> SystemStatus:
    from gatewayd.console.deps import DeviceStatus, SystemStatus

    drivers = box.loaded.drivers
    devices = tuple(
        DeviceStatus(
            state.device_id,
            state.kind,
            drivers[state.device_id].name,
            bool(state.online),
            state.detail,
        )
        for state in box.devices.states()
    )
    return SystemStatus(started_wall_ms, devices)
