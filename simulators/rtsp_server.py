"""The RTSP server of the simulated camera: listens, keeps its clients, hands pictures round.

Owns sockets and the GOP under way. Must not produce pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from simulators.rtp import AccessUnit
from simulators.rtsp_messages import MAX_HEAD
from simulators.rtsp_session import RtspSession

MAX_CLIENTS = 128  # 16 cameras' paths with a few viewers each
MAX_GOP = 600  # pictures kept for those who join: 20 s at 30 a second

StartTask = Callable[[Coroutine[Any, Any, None], str], object]


class RtspServer:
    """Serves one stream under several paths. `start_task` runs a client's task."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        paths: frozenset[str],
        fps: int,
        user: str,
        password: str,
        sets: tuple[bytes, bytes],
        start_task: StartTask,
    ) -> None:
        self.host, self.port, self.fps = host, port, fps
        self.user, self.password = user, password
        self.udp_ports = (0, 0)
        self.refusing_sessions = False
        self.stalled = False
        self._paths = paths
        self._sets = sets
        self._start_task = start_task
        self._listener: asyncio.Server | None = None
        self._udp: tuple[asyncio.DatagramTransport, asyncio.DatagramTransport] | None = None
        self._sessions: set[RtspSession] = set()
        self._gop: list[AccessUnit] = []

    # --------------------------------------------------------------------------- life cycle

    async def listen(self) -> None:
        """Accept clients; a port of 0 becomes the one found. Raises OSError (port taken)."""
        if self._listener is not None:
            return
        self._listener = await asyncio.start_server(
            self._connected, self.host, self.port, limit=MAX_HEAD
        )
        self.port = self._listener.sockets[0].getsockname()[1]
        if self._udp is None:
            first, second = await self._bind_datagram(), await self._bind_datagram()
            self._udp = first, second
            self.udp_ports = (
                first.get_extra_info("sockname")[1],
                second.get_extra_info("sockname")[1],
            )

    def stop_listening(self) -> None:
        """New connections are refused; those there are go on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def drop_clients(self) -> None:
        """Abort each connection."""
        for session in tuple(self._sessions):
            session.abort()

    def close(self) -> None:
        self.stop_listening()
        self.drop_clients()
        for transport in self._udp or ():
            transport.close()

    @property
    def listening(self) -> bool:
        return self._listener is not None

    @property
    def clients(self) -> int:
        """How many connections play."""
        return sum(session.playing for session in self._sessions)

    @property
    def dropped(self) -> int:
        """Pictures that the present clients did not get, being slow or late."""
        return sum(session.dropped for session in self._sessions)

    # ----------------------------------------------------------------------------- pictures

    def deliver(self, unit: AccessUnit) -> None:
        """Hand a picture to every client; where stalled, only remember it."""
        if unit.keyframe or len(self._gop) >= MAX_GOP:
            self._gop.clear()
        if unit.keyframe or self._gop:
            self._gop.append(unit)
        for session in self._sessions:
            if self.stalled:
                session.expect_keyframe()
            else:
                session.send(unit)

    # ------------------------------------------------------------- what a session may ask

    def serves(self, path: str) -> bool:
        return path in self._paths

    def parameter_sets(self) -> tuple[bytes, bytes]:
        return self._sets

    def current_gop(self) -> list[AccessUnit]:
        """The pictures since the last keyframe; none where the camera is stalled."""
        return [] if self.stalled else self._gop

    def send_datagram(self, data: bytes, address: tuple[str, int], *, control: bool) -> None:
        if self._udp is not None and not self._udp[control].is_closing():
            self._udp[control].sendto(data, address)

    # ----------------------------------------------------------------------------- sockets

    async def _bind_datagram(self) -> asyncio.DatagramTransport:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=(self.host, 0)
        )
        return transport

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # a connection accepted just before the end is handed over after it
        if self._listener is None or len(self._sessions) >= MAX_CLIENTS:
            writer.transport.abort()
            return
        session = RtspSession(self, reader, writer)
        self._sessions.add(session)
        self._start_task(self._serve(session), "rtsp client")

    async def _serve(self, session: RtspSession) -> None:
        try:
            await session.run()
        finally:
            self._sessions.discard(session)
