"""Cameras on the wire for tests: a sink to wait on, a driver as the settings would build it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers.cameras.rtsp import DRIVER, RtspCamera
from gatewayd.clock import SystemClock
from gatewayd.domain.ports import DeviceError, DriverContext, StreamInfo, VideoPacket
from simulators.camera import SimulatedCamera
from simulators.control import obey

T_S = 20.0
CLOCK = SystemClock()


class Seen:
    """A VideoSink that a test can wait on."""

    def __init__(self, on_packet: Callable[[VideoPacket], None] = lambda _packet: None) -> None:
        self.infos: list[StreamInfo] = []
        self.packets: list[VideoPacket] = []
        self.threads: set[str] = set()
        self._on_packet = on_packet
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def opened(self, info: StreamInfo) -> None:
        self.infos.append(info)

    def packet(self, packet: VideoPacket) -> None:
        self.threads.add(threading.current_thread().name)
        self.packets.append(packet)
        self._on_packet(packet)
        self._loop.call_soon_threadsafe(self._more.set)

    async def have(self, count: int) -> None:
        async with asyncio.timeout(T_S):
            while len(self.packets) < count:
                self._more.clear()
                await self._more.wait()


async def order(camera: SimulatedCamera, **request: Any) -> dict[str, Any]:
    return await obey(camera.controls(), json.dumps(request).encode())


def driver(url: str, camera_id: str = "gate", **options: Any) -> RtspCamera:
    made = DRIVER.build(
        DRIVER.options.model_validate({"url": url, **options}), DriverContext(camera_id, CLOCK)
    )
    assert isinstance(made, RtspCamera)
    return made


@asynccontextmanager
async def task_of(camera: RtspCamera, sink: Seen) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.get_running_loop().create_task(camera.run(sink), name="camera")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def failure(camera: RtspCamera, sink: Seen | None = None) -> str:
    with pytest.raises(DeviceError) as caught:
        async with asyncio.timeout(T_S):
            await camera.run(sink or Seen())
    return str(caught.value)


async def all_gone(camera: SimulatedCamera) -> None:
    """The camera's side of the sockets, which is in this process too, is closed."""
    async with asyncio.timeout(T_S):
        for _ in itertools.count():
            if not (await order(camera, do="status"))["clients"]:
                return
            await asyncio.sleep(0)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no Path object opens itself here


@asynccontextmanager
async def listening(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
