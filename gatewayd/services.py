"""What the doors can do without: cameras, the line to the centre, a site's own lists, the console.
Owns their start: each is imported late, and one that can't start is an alarm, no obstacle.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, TypeVar

from gatewayd import __version__
from gatewayd.alarms import AlarmDesk
from gatewayd.box import Box, NoPictures
from gatewayd.domain.model import AlarmKind, CameraId, DeviceId
from gatewayd.health import MEGABYTE
from gatewayd.settings.model import ConsoleSettings, Settings
from gatewayd.supervisor import supervise
from gatewayd.tasks import running_tasks, supervised

if TYPE_CHECKING:
    from gatewayd.cameras.station import CameraStation
    from gatewayd.console.deps import SystemStatus
    from gatewayd.link.session import Link
    from gatewayd.store.media import PictureFiles
    from gatewayd.store.operators import OperatorStore

log = logging.getLogger(__name__)
_Part = TypeVar("_Part")
CONSOLE_START_S = 5.0


@asynccontextmanager
async def services(box: Box) -> AsyncIterator[dict[str, Any]]:
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
        tasks[f"camera {camera_id}"] = supervised(box, camera_id, watch)
    await stack.enter_async_context(running_tasks(tasks))
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
    await stack.enter_async_context(running_tasks({"link": link.run()}))
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
    await stack.enter_async_context(running_tasks({"arrivals": arrivals.run()}))


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
        installs=box.installs,
        captures=box.captures,
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
    await stack.enter_async_context(running_tasks({"console": work}))
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
