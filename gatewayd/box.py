"""One gateway's parts, built of the settings and not yet running. Owns what is made of what; must
not start a task, and decides nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any
from zoneinfo import ZoneInfo

from gatewayd.alarms import AlarmDesk
from gatewayd.boards import BoardDesk
from gatewayd.boot import keep_secret
from gatewayd.captures import CaptureDesk
from gatewayd.clock import SystemClock
from gatewayd.devices import DeviceDesk
from gatewayd.domain.alarm import OpenAlarm
from gatewayd.domain.linkage import Linkage, SwitchRelay
from gatewayd.domain.model import AccessPointId, AlarmKind, DeviceId, DoorId, Stamp
from gatewayd.domain.modes import Orders, effective
from gatewayd.domain.ports import Capturable, DriverContext, Pairable, Pictures
from gatewayd.doors import DoorTask, DoorTasks
from gatewayd.fallback import FallbackDesk, terminals_of
from gatewayd.feedback import FeedbackDesk, SignPost
from gatewayd.fire import FireDesk
from gatewayd.hours import DoorHours
from gatewayd.installs import InstallDesk
from gatewayd.linkages import Linkages, Surroundings
from gatewayd.memory import SiteLayout, SiteMemory, TryLimit
from gatewayd.modes import ModeDesk
from gatewayd.outputs import Output
from gatewayd.recorder import Recorder
from gatewayd.rulings import Rulings, Site
from gatewayd.settings.bind import (
    access_points,
    areas,
    domain_doors,
    domain_linkage,
    interlocks,
    reader_signs,
)
from gatewayd.settings.load import LoadedSettings
from gatewayd.settings.model import Settings
from gatewayd.settings.secrets import read_secret
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.tap import TapPath
from gatewayd.wiring import door_wiring, escape_doors, fire_input

log = logging.getLogger(__name__)


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
    boards: BoardDesk
    fallback: FallbackDesk
    memory: SiteMemory
    taps: TapPath
    feedback: FeedbackDesk
    site: Site
    pictures: LatePictures
    built: Mapping[str, Any]  # buses, readers, controllers and cameras by id
    outputs: Mapping[tuple[DeviceId, int], Output]  # relays that linkages switch
    linkages: Linkages
    installs: InstallDesk
    captures: CaptureDesk
    nonce: str

    @property
    def directory(self) -> Path:
        return self.loaded.settings.storage.directory


async def open_box(loaded: LoadedSettings, stack: AsyncExitStack) -> Box:
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
    built = _build_devices(loaded, clock)
    kinds = [(DeviceId(device), driver.kind.value) for device, driver in loaded.drivers.items()]
    devices = DeviceDesk(kinds, clock, recorder, alarms)
    devices.end_of_removed()
    orders = await journal.mode_orders()
    memory = await _open_memory(settings, site, journal, recorder, alarms)
    doors = _build_doors(loaded, site, built, clock, recorder, alarms, orders, memory)
    hours = DoorHours(whitelist, clock, site.zone)
    modes = ModeDesk(doors, journal, recorder, clock, hours, orders)
    fire = FireDesk(
        fire_input(settings), escape_doors(settings), modes, journal, recorder, alarms
    )  # fmt: skip
    feedback = FeedbackDesk(_sign_posts(loaded, built), modes.status)
    doors.follow(feedback.door_changed)
    rulings = Rulings(site, whitelist, modes, memory, clock)
    taps = TapPath(
        rulings, memory, journal, recorder, modes, pictures, alarms, clock,
        modes.first_person_came, feedback,
    )  # fmt: skip
    installs = InstallDesk(_paired(loaded, built), journal, recorder, feedback, clock)
    await installs.restore()
    linkages = [domain_linkage(linkage) for linkage in settings.linkage]
    outputs = _build_outputs(linkages, built, clock)
    around = Surroundings(
        journal, recorder, clock, site.zone, whitelist, modes, outputs, alarms, pictures,
        feedback, _names(settings),
    )  # fmt: skip
    return Box(
        loaded, clock, journal, whitelist, recorder, alarms, devices, doors, modes, fire,
        BoardDesk(journal, clock), _build_fallback(loaded, built, whitelist, clock), memory, taps,
        feedback, site, pictures, built, outputs, Linkages(linkages, around), installs,
        CaptureDesk(_captured(loaded, built), directory / "captures", clock), token_hex(16),
    )  # fmt: skip


def _build_devices(loaded: LoadedSettings, clock: SystemClock) -> dict[str, Any]:
    """Every device by its id; `loaded.drivers` has the buses first."""
    built: dict[str, Any] = {}
    for device, driver in loaded.drivers.items():
        options = loaded.options[device]
        on_bus = driver.bus is not None and options.bus is not None
        bus = built[options.bus] if on_bus else None
        built[device] = driver.build(options, DriverContext(device, clock, bus))
    return built


def _sign_posts(loaded: LoadedSettings, built: Mapping[str, Any]) -> dict[AccessPointId, SignPost]:
    """Every reader that has something to show things with."""
    posts = {}
    for reader in loaded.settings.reader:
        if loaded.drivers[reader.id].signs:
            own = reader_signs(reader)
            posts[AccessPointId(reader.id)] = SignPost(
                built[reader.id], DoorId(reader.door), own.signs, own.moments_s
            )
    return posts


def _captured(
    loaded: LoadedSettings, built: Mapping[str, Any]
) -> dict[DeviceId, Capturable | None]:
    """Buses, None where their driver can't write down what it says and hears."""
    ids = [bus.id for bus in loaded.settings.bus]
    return {DeviceId(i): built[i] if loaded.drivers[i].captures else None for i in ids}


def _paired(loaded: LoadedSettings, built: Mapping[str, Any]) -> dict[DeviceId, Pairable | None]:
    """Readers and controllers, None where they take no key from us."""
    ids = [device.id for device in loaded.settings.reader]
    ids += [device.id for device in loaded.settings.controller]
    return {DeviceId(i): built[i] if loaded.drivers[i].pairs else None for i in ids}


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


def _build_fallback(
    loaded: LoadedSettings, built: Mapping[str, Any], whitelist: WhitelistStore, clock: SystemClock
) -> FallbackDesk:
    """Every board that decides by itself while the box is away."""
    boards = {
        DeviceId(board.id): (built[board.id], terminals_of(loaded.settings, board.id))
        for board in loaded.settings.controller
        if loaded.drivers[board.id].keeps_list
    }
    return FallbackDesk(loaded.settings.storage.directory / "whitelist", boards, whitelist, clock)


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
