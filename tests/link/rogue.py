"""A broker that misbehaves to order: enough of MQTT 3.1.1 and 5 on the wire to be believed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14


@dataclass
class Rogue:
    """`connack` is what a CONNECT gets (b"": silence, None: it hangs up). With `properties` the
    CONNACK of version 5 says more. `withheld` counts the PUBACKs still to be kept back."""

    connack: bytes | None = b"\x00\x00"
    properties: bytes = b""
    granted: int = 1
    withheld: int = 0
    puback_reason: bytes = b""
    port: int = 0
    versions: list[int] = field(default_factory=list)
    waiting: list[bytes] = field(default_factory=list)
    most_waiting: int = 0
    published: int = 0
    goodbyes: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    writer: asyncio.StreamWriter | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, published: int) -> None:
        async with asyncio.timeout(10), self.changed:
            await self.changed.wait_for(lambda: self.published >= published)

    def release(self, count: int) -> None:
        """Send so many of the PUBACKs that were kept back."""
        assert self.writer is not None
        for mid in self.waiting[:count]:
            self.writer.write(self._puback(mid))
        del self.waiting[:count]

    def send(self, raw: bytes) -> None:
        assert self.writer is not None
        self.writer.write(raw)

    def hang_up(self) -> None:
        assert self.writer is not None
        self.writer.close()

    def _puback(self, mid: bytes) -> bytes:
        body = mid + self.puback_reason
        return bytes([0x40, len(body)]) + body

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        try:
            while True:
                kind, body = await _packet(reader)
                self._answer(kind, body, writer)
                async with self.changed:
                    self.changed.notify_all()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.ended.set()

    def _answer(self, kind: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        match kind:
            case 1:
                self.versions.append(body[6])
                self._welcome(body[6], writer)
            case 8:
                extra = b"\x00" if self.versions[-1] == 5 else b""
                grants = bytes([self.granted]) * 4
                answer = body[:2] + extra + grants
                writer.write(bytes([0x90, len(answer)]) + answer)
            case 3:
                self._take(body, writer)
            case 12:
                writer.write(b"\xd0\x00")
            case 14:
                self.goodbyes += 1
            case _:
                pass  # PUBACKs of ours, of no interest here

    def _welcome(self, version: int, writer: asyncio.StreamWriter) -> None:
        if self.connack is None:
            writer.close()
        elif self.connack:
            extra = bytes([len(self.properties)]) + self.properties if version == 5 else b""
            answer = self.connack + (extra if len(self.connack) == 2 else b"")
            writer.write(bytes([0x20, len(answer)]) + answer)

    def _take(self, body: bytes, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(body[:2])
        self.waiting.append(body[2 + length : 4 + length])
        self.most_waiting = max(self.most_waiting, len(self.waiting))
        self.published += 1
        if self.withheld >= len(self.waiting):
            return
        writer.write(self._puback(self.waiting.pop(0)))


async def _packet(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readexactly(1))[0]
    length, shift = 0, 0
    while True:
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return head >> 4, await reader.readexactly(length)


@asynccontextmanager
async def serving(rogue: Rogue) -> AsyncIterator[Rogue]:
    server = await asyncio.start_server(rogue.serve, "127.0.0.1", 0)
    rogue.port = server.sockets[0].getsockname()[1]
    try:
        yield rogue
    finally:
        server.close()
        if rogue.writer is not None:
            rogue.writer.close()
            async with asyncio.timeout(10):
                await rogue.ended.wait()
        await server.wait_closed()
