"""The devices' side of a capture in clear text, on a pseudo-terminal: a panel that asks what the
captured one asked gets the captured answer, byte for byte, noise and all.

Owns the pseudo-terminal. Of each address the exchanges are gone through in their order; a question
that was never asked again gets silence, as the device gave none.
"""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from drivers.protocols.osdp.capture import CaptureError, Direction, Record
from drivers.protocols.osdp.frame import Frame
from drivers.protocols.osdp.pieces import Splitter

_READ = 4096
NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Exchange:
    """A command, and all that came before the next one: with their delays since the command."""

    command: bytes = field(repr=False)
    address: int
    sent_ns: int
    answers: list[tuple[int, bytes]] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class Played:
    """How the play went. `asked_otherwise`: what only one of the two panels asked."""

    exchanges: int
    played: int = 0
    asked_otherwise: int = 0


def exchanges_of(records: Iterable[Record]) -> list[Exchange]:
    """Of captures by a panel and by a listener alike. Raises CaptureError for one in which a secure
    channel was opened: no panel takes its random number twice, so no captured answer fits."""
    splitters = {direction: Splitter() for direction in Direction}
    found: list[Exchange] = []
    for record in records:
        if record.direction is Direction.INPUT:
            _answered(found, record.time_ns, record.data)
            continue
        for piece in splitters[record.direction].feed(record.data):
            frame = piece.found
            if not isinstance(frame, Frame) or frame.is_reply:
                if record.direction is Direction.TRACE:
                    _answered(found, record.time_ns, piece.raw)
                continue
            if frame.block is not None:
                raise CaptureError(
                    "the capture is of a secure channel, which can't be played to a panel: its"
                    " random numbers are new each time. Leave --pty out: the capture then goes"
                    " through the panel's session with the captured ones"
                )
            found.append(Exchange(frame.raw, frame.address, record.time_ns))
    begun = {each.address for each in found if not each.command[4] & 3}
    if not begun:
        raise CaptureError(
            "the capture has no frame with which a panel begins (sequence 0), so none would follow"
            " it: capture from the start of the panel or the reader on"
        )
    return [each for each in found if each.address in begun]


def _answered(found: list[Exchange], time_ns: int, data: bytes) -> None:
    if found:
        found[-1].answers.append((max(0, time_ns - found[-1].sent_ns), data))


@contextmanager
def playing(link: Path, exchanges: list[Exchange], *, paced: bool) -> Iterator[Player]:
    """A player at `link`, which the panel opens as its port. Raises OSError."""
    if link.exists() and not link.is_symlink():
        raise FileExistsError(f"{link} exists and is no link: name another path")
    device, client = os.openpty()
    try:
        tty.setraw(client)
        os.set_blocking(device, False)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(client))
        try:
            yield Player(device, exchanges, paced=paced)
        finally:
            link.unlink(missing_ok=True)
    finally:
        os.close(device)
        os.close(client)


class Player:
    """One play of a capture; `run` returns once every exchange was asked for."""

    def __init__(self, device: int, exchanges: list[Exchange], *, paced: bool) -> None:
        self._device = device
        self._waiting = list(exchanges)
        self._paced = paced
        self._heard = bytearray()
        self._more = asyncio.Event()
        self.told = Played(len(exchanges))

    async def run(self) -> Played:
        """Raises CancelledError where it is given up; `told` is then how far it came."""
        loop, splitter = asyncio.get_running_loop(), Splitter()
        loop.add_reader(self._device, self._readable)
        try:
            while self._waiting:
                await self._more.wait()
                self._more.clear()
                heard, self._heard = bytes(self._heard), bytearray()
                for piece in splitter.feed(heard):
                    if isinstance(piece.found, Frame):
                        await self._answer(piece.found)
        finally:
            loop.remove_reader(self._device)
        return self.told

    async def _answer(self, asked: Frame) -> None:
        exchange = next((each for each in self._waiting if each.command == asked.raw), None)
        if exchange is None:
            self.told.asked_otherwise += 1
            return
        # What this address was asked before it, and this panel did not ask, is passed over.
        at = self._waiting.index(exchange)
        passed = [each for each in self._waiting[:at] if each.address == exchange.address]
        self._waiting = [
            each for each in self._waiting if each is not exchange and each not in passed
        ]
        self.told.asked_otherwise += len(passed)
        self.told.played += 1
        begun_ns = 0
        for delay_ns, data in exchange.answers:
            if self._paced:
                await asyncio.sleep((delay_ns - begun_ns) / NS_PER_S)
                begun_ns = delay_ns
            with suppress(BlockingIOError):  # nobody reads: a line drops it too
                os.write(self._device, data)

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            self._heard += os.read(self._device, _READ)
            self._more.set()
