"""A bare RTSP client for what ffmpeg does not show: each byte of the talk, and RTP as it comes."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from types import TracebackType
from typing import Self

T_S = 10.0


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: dict[str, str]
    body: str


class RtspClient:
    """Talks to one server; interleaved packets that come between responses are kept."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._cseq = 0
        self.base = f"rtsp://127.0.0.1:{port}/gate"
        self.packets: list[tuple[int, bytes]] = []

    async def __aenter__(self) -> Self:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.writer.close()

    async def ask(self, method: str, url: str | None = None, **headers: str) -> Response:
        return await self.send(self.request(method, url, **headers))

    def request(self, method: str, url: str | None = None, **headers: str) -> bytes:
        self._cseq += 1
        lines = [f"{method} {url or self.base} RTSP/1.0", f"CSeq: {self._cseq}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def send(self, data: bytes) -> Response:
        self.writer.write(data)
        return await self.read()

    async def read(self) -> Response:
        """The next response, past packets."""
        async with asyncio.timeout(T_S):
            while True:
                first = await self.reader.readexactly(1)
                if first != b"$":
                    return await self._response(first)
                await self._packet()

    async def play(self, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> str:
        """Set the stream up and start it; the session's id."""
        setup = await self.ask("SETUP", self.base + "/trackID=0", Transport=transport)
        assert setup.status == 200
        session = setup.headers["session"].partition(";")[0]
        played = await self.ask("PLAY", Session=session)
        assert played.status == 200
        return session

    async def next_packet(self) -> tuple[int, bytes]:
        """Channel and bytes of the next interleaved packet."""
        if not self.packets:
            async with asyncio.timeout(T_S):
                assert await self.reader.readexactly(1) == b"$"
                await self._packet()
        return self.packets.pop(0)

    async def _packet(self) -> None:
        channel, length = struct.unpack("!BH", await self.reader.readexactly(3))
        self.packets.append((channel, await self.reader.readexactly(length)))

    async def _response(self, first: bytes) -> Response:
        head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.rstrip().split("\r\n")
        pairs = (line.partition(": ") for line in lines[1:])
        headers = {name.lower(): value for name, _, value in pairs}
        body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Response(int(lines[0].split()[1]), headers, body.decode())
