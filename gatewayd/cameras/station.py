"""One camera at run time: its ring, its last sign of life. Owns the way from the camera's thread to
the rest; must not open a stream (drivers do) or restart it (`gatewayd.supervisor` does).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gatewayd.cameras.ring import MAX_RING_BYTES, PacketRing
from gatewayd.domain.model import CameraId
from gatewayd.domain.ports import Camera, StreamInfo, VideoPacket, VideoSink


class CameraStation:
    """Goes through reconnects: the supervisor calls `watch` again and again on the same station."""

    def __init__(
        self,
        camera_id: CameraId,
        ring_s: float,
        on_online: Callable[[str], None] = lambda _detail: None,
        max_bytes: int = MAX_RING_BYTES,
    ) -> None:
        """`on_online(detail)` is called on the event loop at each connection's first packet."""
        self.camera_id = camera_id
        self.ring = PacketRing(ring_s, max_bytes)
        self.last_packet_ns: int | None = None
        self._on_online = on_online

    async def watch(self, camera: Camera) -> None:
        """Fill the ring until the stream ends. Raises DeviceError, as the driver does."""
        await camera.run(self.sink(asyncio.get_running_loop()))

    def sink(self, loop: asyncio.AbstractEventLoop) -> VideoSink:
        """What one connection's packets go into; `loop` is where `on_online` is called."""
        return _Intake(self, loop)

    def arrived(self, arrival_ns: int) -> None:
        """A sign of life at that moment (monotonic)."""
        self.last_packet_ns = arrival_ns

    def announce(self, detail: str) -> None:
        """Called on the event loop: pictures come."""
        self._on_online(detail)


class _Intake:
    """Implements VideoSink in the camera's thread, for one connection."""

    def __init__(self, station: CameraStation, loop: asyncio.AbstractEventLoop) -> None:
        self._station = station
        self._loop = loop
        self._detail = ""
        self._announced = False

    def opened(self, info: StreamInfo) -> None:
        self._detail = f"{info.codec} {info.width}x{info.height}"
        self._station.ring.opened(info)

    def packet(self, packet: VideoPacket) -> None:
        self._station.arrived(packet.arrival_ns)
        self._station.ring.packet(packet)
        if not self._announced:
            self._announced = True
            self._loop.call_soon_threadsafe(self._station.announce, self._detail)
