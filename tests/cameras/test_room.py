"""Driver, station, supervisor and desk of pictures together, on a real stream."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from drivers.cameras.rtsp import RtspCamera
from gatewayd.cameras.pictures import PictureDesk
from gatewayd.cameras.station import CameraStation
from gatewayd.domain.events import PictureMissed, PictureStored
from gatewayd.domain.model import CameraId
from gatewayd.store.media import PictureFiles
from gatewayd.supervisor import supervise
from simulators.camera import CameraOptions, SimulatedCamera
from tests.cameras.test_pictures import Record
from tests.cameras.video import number_in
from tests.cameras.wire import (
    CLOCK,
    T_S,
    driver,
    listening,
    mute,
    order,
)


class LoudStation(CameraStation):
    """A station whose packets a test can await."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def arrived(self, arrival_ns: int) -> None:
        super().arrived(arrival_ns)
        self._loop.call_soon_threadsafe(self._more.set)

    async def beyond(self, moment_ns: int) -> None:
        """Pictures that arrived after that moment are in the ring."""
        async with asyncio.timeout(T_S):
            while (self.last_packet_ns or 0) < moment_ns:
                self._more.clear()
                await self._more.wait()


class Watch:
    """A station under supervision, with its desk of pictures."""

    def __init__(self, folder: Path, **drivers: RtspCamera) -> None:
        self.drivers = drivers
        self.online: asyncio.Queue[str] = asyncio.Queue()
        self.failures: asyncio.Queue[str] = asyncio.Queue()
        self.record = Record()
        self.stations = {
            CameraId(name): LoudStation(CameraId(name), 10, self.online.put_nowait)
            for name in drivers
        }
        self.desk = PictureDesk(self.stations, PictureFiles(folder, 10_000_000), self.record)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tg:
            tasks = [tg.create_task(self.desk.run(), name="pictures")]
            tasks += [tg.create_task(self._supervise(name), name=name) for name in self.drivers]
            yield
            for task in tasks:
                task.cancel()

    async def _supervise(self, name: str) -> None:
        station = self.stations[CameraId(name)]
        watch = self.drivers[name]
        await supervise(name, lambda: station.watch(watch), CLOCK, self.failures.put_nowait)


async def test_the_picture_of_a_tap_shows_the_tap_s_own_moment(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(fps=15)) as camera:
        watch = Watch(tmp_path, gate=driver(camera.url))
        async with watch.running():
            for seq in range(1, 6):
                await watch.stations[CameraId("gate")].beyond(CLOCK.monotonic_ns() + 300_000_000)
                newest, at = camera.last_unit, CLOCK.now()
                watch.desk.request(seq, [CameraId("gate")], at)
                stored = (await watch.record.have(seq))[-1]
                assert isinstance(stored, PictureStored)
                shown = number_in((tmp_path / stored.name).read_bytes())
                assert shown is not None
                assert 0 <= newest.number - shown <= 2  # never after the tap, two frames at most
                assert 0 <= stored.age_ms <= 2 * 67


async def test_a_camera_that_comes_back_gives_pictures_again(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(fps=15)) as camera:
        watch = Watch(tmp_path, gate=driver(camera.url))
        async with watch.running(), asyncio.timeout(T_S):
            assert await watch.online.get() == "h264 640x360"
            await order(camera, do="die")
            assert "can't read" in await watch.failures.get()
            assert "can't connect" in await watch.failures.get()
            await order(camera, do="revive")
            assert await watch.online.get() == "h264 640x360"
            at = CLOCK.now()
            watch.desk.request(1, [CameraId("gate")], at)
            [stored] = await watch.record.have(1)
    assert isinstance(stored, PictureStored)


async def test_of_two_cameras_the_dead_one_delays_nothing(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(fps=15)) as camera, listening(mute) as port:
        dead = driver(f"rtsp://127.0.0.1:{port}/x", "yard")
        watch = Watch(tmp_path, yard=dead, gate=driver(camera.url))
        async with watch.running(), asyncio.timeout(T_S):
            await watch.online.get()
            asked_ns = time.monotonic_ns()
            watch.desk.request(1, [CameraId("yard"), CameraId("gate")], CLOCK.now())
            missed, stored = await watch.record.have(2)
            took_ns = time.monotonic_ns() - asked_ns
            await order(camera, do="clear")
    assert isinstance(missed, PictureMissed)
    assert isinstance(stored, PictureStored)
    assert (missed.camera_id, stored.camera_id) == ("yard", "gate")
    assert took_ns < 1e9
