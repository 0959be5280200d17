"""The devices' side of a capture in clear text, on a pseudo-terminal: a panel that asks what the
captured one asked gets the captured answer, noise, silence and all.

Owns the pseudo-terminal.
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
from drivers.protocols.osdp.commands import POLL
from drivers.protocols.osdp.frame import Frame, encode_frame
from drivers.protocols.osdp.pieces import Splitter
from drivers.protocols.osdp.replies import ACK_CODE, BUSY_CODE

_READ = 4096
NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class Exchange:
    """A command, and all that came before the next one: with their delays since the command."""

    command: bytes = field(repr=False)
    address: int
    code: int
    data: bytes = field(repr=False)
    sent_ns: int
    answers: list[tuple[int, bytes]] = field(default_factory=list, repr=False)


@dataclass(slots=True)
class Played:
    """How many of the panel's questions were answered how."""

    as_captured: int = 0  # byte for byte
    renumbered: int = 0  # the captured answer, under the sequence number that was asked with
    made_up: int = 0  # an ACK: the captured panel never asked that

    @property
    def in_words(self) -> str:
        return (
            f"{self.as_captured} answers byte for byte, {self.renumbered} under another number,"
            f" {self.made_up} acknowledged that the capture does not have"
        )


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
            found.append(Exchange(frame.raw, frame.address, frame.code, frame.data, record.time_ns))
    if not found:
        raise CaptureError("the capture has no command of a panel, so there is nothing to play")
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
    """One play of a capture; `run` returns once the answers to all its polls were given.

    A panel asks again what it asked then, as long as it does nothing else in between; the moment at
    which it moves a light is another one each time, and all later numbers with it. The answer to a
    poll is therefore always the next one that was captured, that to another command the next to the
    same, and only the number is made to fit.
    """

    def __init__(self, device: int, exchanges: list[Exchange], *, paced: bool) -> None:
        self._device = device
        self._waiting: dict[int, list[Exchange]] = {}
        for exchange in exchanges:
            self._waiting.setdefault(exchange.address, []).append(exchange)
        self._given: dict[tuple[int, int], Exchange] = {}  # the last, by address and code
        self._last: tuple[bytes, list[tuple[int, bytes]]] = b"", []
        self._paced = paced
        self._heard = bytearray()
        self._more = asyncio.Event()
        self.told = Played()

    async def run(self) -> Played:
        """Given up by its task's end, `told` is how far it came."""
        loop, splitter = asyncio.get_running_loop(), Splitter()
        loop.add_reader(self._device, self._readable)
        try:
            while self._polls_wait:
                await self._more.wait()
                self._more.clear()
                heard, self._heard = bytes(self._heard), bytearray()
                for piece in splitter.feed(heard):
                    if isinstance(piece.found, Frame):
                        await self._send(self._answers_to(piece.found))
        finally:
            loop.remove_reader(self._device)
        return self.told

    @property
    def _polls_wait(self) -> bool:
        return any(each.code == POLL.code for waiting in self._waiting.values() for each in waiting)

    def _answers_to(self, asked: Frame) -> list[tuple[int, bytes]]:
        if asked.raw == self._last[0]:
            return self._last[1]  # a repeat gets what the first got
        if asked.address not in self._waiting:
            return []  # no such device in the capture
        exchange = self._taken(asked)
        if exchange is None:
            self.told.made_up += 1
            answers = [(0, _reply_to(asked, ACK_CODE, b""))]
        elif exchange.command == asked.raw:
            self.told.as_captured += 1
            answers = exchange.answers
        else:
            self.told.renumbered += 1
            answers = _renumbered(exchange.answers, asked)
        self._last = asked.raw, answers
        return answers

    def _taken(self, asked: Frame) -> Exchange | None:
        """The next exchange with this command, or the last where it comes no more."""
        waiting = self._waiting[asked.address]
        like = [each for each in waiting if each.code == asked.code]
        alike = [each for each in like if each.data == asked.data] or like
        exchange = alike[0] if alike else self._given.get((asked.address, asked.code))
        if alike:
            waiting.remove(alike[0])
        if exchange is not None:
            self._given[asked.address, asked.code] = exchange
        return exchange

    async def _send(self, answers: list[tuple[int, bytes]]) -> None:
        begun_ns = 0
        for delay_ns, data in answers:
            if self._paced:
                await asyncio.sleep((delay_ns - begun_ns) / NS_PER_S)
                begun_ns = delay_ns
            with suppress(BlockingIOError):  # nobody reads: a line drops it too
                os.write(self._device, data)

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            self._heard += os.read(self._device, _READ)
            self._more.set()


def _reply_to(asked: Frame, code: int, data: bytes) -> bytes:
    return encode_frame(
        asked.address,
        code,
        data,
        sequence=asked.sequence,
        use_crc=asked.has_crc,
        is_reply=True,
    )


def _renumbered(answers: list[tuple[int, bytes]], asked: Frame) -> list[tuple[int, bytes]]:
    """Whole frames under the number asked with; what is none stays as it is. All comes when the
    last of it did."""
    splitter, parts = Splitter(), list[bytes]()
    came = b"".join(data for _, data in answers)
    for piece in (*splitter.feed(came), *splitter.quiet()):
        frame = piece.found
        if isinstance(frame, Frame) and frame.is_reply and frame.code != BUSY_CODE:
            parts.append(_reply_to(asked, frame.code, frame.data))
        else:
            parts.append(piece.raw)
    return [(answers[-1][0], b"".join(parts))] if answers else []
