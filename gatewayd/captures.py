"""Captures of what goes over a bus, written by the running daemon: for a while, and no larger than
was said. Owns the files; must not know what is in them.

Cards and what was typed are in a capture: only the box's own user may read the file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gatewayd.domain.model import NS_PER_S, DeviceId
from gatewayd.domain.ports import (
    Capturable,
    CaptureRefusal,
    CaptureRefusedError,
    CaptureState,
    Clock,
)

log = logging.getLogger(__name__)

MAX_FOR_S = 3600.0
MEGABYTE = 1_000_000
MAX_BYTES = 64 * MEGABYTE  # a line of 115200 baud, wholly busy, fills it in half an hour
MAX_FILES = 16  # kept: nobody else removes them
WRITE_EVERY_S = 1.0


@dataclass(slots=True)
class _Running:
    """The capture that is under way."""

    bus: Capturable
    path: Path
    ends_ns: int
    max_bytes: int
    waiting: bytearray = field(default_factory=bytearray)  # for the disk
    taken: int = 0
    over: str | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, line: str) -> None:
        """A record, as the bus hands it over; never waits."""
        data = line.encode()
        if self.taken + len(data) > self.max_bytes:
            self.end("its size was reached")
        if self.over is None:
            self.taken += len(data)
            self.waiting += data

    def end(self, why: str) -> None:
        if self.over is None:
            self.over = why
            self.bus.capture(None)
            self.ended.set()


class CaptureDesk:
    """Implements `gatewayd.domain.ports.Captures`. `run` writes, for ever."""

    def __init__(
        self, buses: Mapping[DeviceId, Capturable | None], folder: Path, clock: Clock
    ) -> None:
        """`buses`: None for one whose driver can't."""
        self._buses = buses
        self._folder = folder
        self._clock = clock
        self._running: _Running | None = None
        self._state: CaptureState | None = None
        self._work = asyncio.Event()

    @property
    def state(self) -> CaptureState | None:
        if self._state is None or self._running is None:
            return self._state
        return replace(self._state, size=self._running.taken)

    async def start(self, bus_id: DeviceId, for_s: float, max_bytes: int) -> CaptureState:
        """As the port tells."""
        if not 0 < for_s <= MAX_FOR_S or not 0 < max_bytes <= MAX_BYTES:
            raise ValueError(f"a capture lasts {MAX_FOR_S:g} s and has {MAX_BYTES} bytes at most")
        bus = self._buses.get(bus_id)
        if bus is None:
            raise CaptureRefusedError(CaptureRefusal.NO_BUS)
        if self._running is not None:
            raise CaptureRefusedError(CaptureRefusal.RUNS)
        now = self._clock.now()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now.wall_ms // 1000))
        path = self._folder / f"{bus_id}-{stamp}.osdpcap"
        ends_ns = now.monotonic_ns + round(for_s * NS_PER_S)
        running = self._running = _Running(bus, path, ends_ns, max_bytes)
        try:
            await asyncio.to_thread(_make, path)
        except BaseException:
            self._running = None
            raise
        self._state = CaptureState(bus_id, str(path), now.wall_ms + round(for_s * 1000))
        bus.capture(running.take)
        self._work.set()
        log.info("capture of %s into %s, for %g s", bus_id, path, for_s)
        return self._state

    def stop(self) -> bool:
        """As the port tells."""
        if self._running is None or self._running.over is not None:
            return False
        self._running.end("it was stopped")
        return True

    async def run(self) -> None:
        """Write each capture as it comes."""
        while True:
            await self._work.wait()
            self._work.clear()
            running, state = self._running, self._state
            if running is None or state is None:
                continue
            try:
                await self._write_until_over(running)
            except OSError as error:  # a capture is no reason to stop deciding
                log.error("%s: %s", running.path, error)
                running.end(f"it could not be written: {error}")
            finally:
                running.end("the box ends")
                self._state = replace(state, size=running.taken, over=running.over)
                self._running = None
                log.info("capture %s is over: %s", running.path, running.over)

    async def _write_until_over(self, running: _Running) -> None:
        with running.path.open("ab") as file:
            over = False
            while not over:
                await self._a_moment(running)
                if self._clock.monotonic_ns() >= running.ends_ns:
                    running.end("its time was over")
                over = running.over is not None  # nothing comes after this: the last is written
                data, running.waiting = bytes(running.waiting), bytearray()
                await asyncio.to_thread(_append, file.fileno(), data)

    async def _a_moment(self, running: _Running) -> None:
        """Until there is something to write, or the capture is over."""
        next_ns = self._clock.monotonic_ns() + round(WRITE_EVERY_S * NS_PER_S)
        async with asyncio.TaskGroup() as group:
            pause = group.create_task(
                self._clock.sleep_until(min(next_ns, running.ends_ns)), name="capture, pause"
            )
            ended = group.create_task(running.ended.wait(), name="capture, end")
            await asyncio.wait({pause, ended}, return_when=asyncio.FIRST_COMPLETED)
            pause.cancel()
            ended.cancel()


def _make(path: Path) -> None:
    """A new, empty file, its owner's alone. Raises CaptureRefusedError and OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if len(list(path.parent.glob("*.osdpcap"))) >= MAX_FILES:
        raise CaptureRefusedError(CaptureRefusal.FULL)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))


def _append(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
