"""A serial line on a pseudo-terminal: a link to the client's end, bytes at the pace of a baud rate,
unplug and replug. Owns the pty; must not know what the bytes mean.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
import tty
from collections.abc import Callable
from pathlib import Path

from simulators import pace

BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
BITS_PER_BYTE = 10  # start, eight data, stop: 8N1
MAX_FRAGMENT = 4  # bytes handed over at once, as a UART's small FIFO does
GAP_BYTES = 20  # length of the pause in a slow line's frame, in byte times
_READ = 4096


class PtyLine:
    """The device's end of the line. The client opens `link` as it would /dev/ttyUSB0."""

    def __init__(
        self, link: Path, baud: int, seed: int, received: Callable[[bytes], None] | None = None
    ) -> None:
        self.link = link
        self._byte_s = BITS_PER_BYTE / baud
        self._random = random.Random(seed)
        self._received = received
        self._fds: tuple[int, int] | None = None
        self.bytes_sent = 0
        self.bytes_lost = 0  # nobody read, and the buffer was full: a real line drops them too

    @property
    def plugged(self) -> bool:
        return self._fds is not None

    @property
    def byte_s(self) -> float:
        """Seconds that one byte takes on the wire."""
        return self._byte_s

    def plug(self) -> None:
        """Make a pty and its link; no change where it is plugged. Raises OSError."""
        if self._fds is not None:
            return
        if self.link.exists() and not self.link.is_symlink():
            raise FileExistsError(f"--link {self.link} exists and is no link: name another path")
        device, client = os.openpty()
        # `client` stays open here too: the device's end would see EIO until somebody opens it
        tty.setraw(client)
        os.set_blocking(device, False)
        new = self.link.with_name(self.link.name + ".new")
        try:
            new.unlink(missing_ok=True)
            new.symlink_to(os.ttyname(client))
            new.replace(self.link)
        except OSError as error:
            os.close(device)
            os.close(client)
            hint = f"make the folder {self.link.parent}, or name another path"
            what = f"--link {self.link} can't be made: {error.strerror} ({hint})"
            raise type(error)(what) from error
        self._fds = device, client
        asyncio.get_running_loop().add_reader(device, self._readable)

    def unplug(self) -> None:
        """Take the line away: the client's reads end, the link is gone."""
        if self._fds is None:
            return
        fds, self._fds = self._fds, None
        asyncio.get_running_loop().remove_reader(fds[0])
        self.link.unlink(missing_ok=True)
        for fd in fds:
            os.close(fd)

    async def send(self, data: bytes, *, slowdown: float = 1.0) -> int | None:
        """Write in fragments, each when its last byte would have come over the wire.

        Returns monotonic ns after the last byte, or None where the line is or gets unplugged.
        A slowdown above 1 stretches each byte and adds one pause within the data.
        """
        plugged_as = self._fds
        if plugged_as is None:
            return None
        due = time.monotonic()
        gap_at = self._random.randrange(len(data)) if slowdown > 1 else -1
        at = 0
        while at < len(data):
            size = 1 if slowdown > 1 else self._random.randint(1, MAX_FRAGMENT)
            piece = data[at : at + size]
            due += len(piece) * self._byte_s * slowdown
            if at == gap_at:
                due += GAP_BYTES * self._byte_s * slowdown
            await pace.until(due)
            if self._fds is not plugged_as:
                return None
            self._write(plugged_as[0], piece)
            at += len(piece)
        return time.monotonic_ns()

    def noise(self, most: int = 8) -> bytes:
        """Random bytes, at least one, from the line's seed."""
        return self._random.randbytes(self._random.randint(1, most))

    def _write(self, fd: int, piece: bytes) -> None:
        try:
            written = os.write(fd, piece)
        except BlockingIOError:
            written = 0
        self.bytes_sent += written
        self.bytes_lost += len(piece) - written

    def _readable(self) -> None:
        if self._fds is None:
            return
        try:
            data = os.read(self._fds[0], _READ)
        except BlockingIOError:
            return
        if self._received is not None:
            self._received(data)
