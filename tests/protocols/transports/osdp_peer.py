"""A device at the far end of a pty that answers as it is told to, byte by byte. Real time."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from tests.protocols.osdp_pd import Reader
from tests.protocols.transports.lines import PtyDevice

Spoil = Callable[[bytes, bytes], list[bytes]]


class Peer:
    """`spoil` gets each command and its right answer, and gives what is sent instead, in pieces
    that come `apart_s` after each other."""

    def __init__(self, device: PtyDevice, reader: Reader) -> None:
        self.device = device
        self.reader = reader
        self.spoil: Spoil = lambda _command, answer: [answer]
        self.apart_s = 0.0
        self.frames: list[bytes] = []
        self.heard = asyncio.Event()
        self._held = b""
        self._sending: set[asyncio.Task[None]] = set()

    def attach(self) -> None:
        assert self.device.master is not None
        asyncio.get_running_loop().add_reader(self.device.master, self._read)

    def detach(self) -> None:
        if self.device.master is not None:
            asyncio.get_running_loop().remove_reader(self.device.master)
        for task in self._sending:
            task.cancel()

    def send(self, data: bytes) -> None:
        if self.device.master is not None:
            os.write(self.device.master, data)

    def _read(self) -> None:
        assert self.device.master is not None
        self._held += os.read(self.device.master, 4096)
        while len(self._held) >= 5 and len(self._held) >= (size := self._held[2]):
            frame, self._held = self._held[:size], self._held[size:]
            self.frames.append(frame)
            self.heard.set()
            if frame[1] == self.reader.address:
                self._answer(self.spoil(frame, self.reader.answer(frame)))

    def _answer(self, pieces: list[bytes]) -> None:
        if not self.apart_s:
            self.send(b"".join(pieces))
            return
        task = asyncio.get_running_loop().create_task(self._send_slowly(pieces))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send_slowly(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self.send(piece)
            await asyncio.sleep(self.apart_s)
