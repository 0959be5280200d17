"""Waiting for the outside world in tests: a condition, or bytes from a file descriptor."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

T_S = 20.0


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until the condition holds; TimeoutError after 20 s."""
    async with asyncio.timeout(T_S):
        while not condition():  # the devices under test offer no event for it
            await asyncio.sleep(0)  # the devices under test offer no event for it


class Tty:
    """A client's end of a serial line. A pty delivers a little after it was written to."""

    def __init__(self, link: Path) -> None:
        self._fd = os.open(link, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def close(self) -> None:
        os.close(self._fd)

    def write(self, data: bytes) -> None:
        os.write(self._fd, data)

    def read_some(self, most: int = 65_536) -> bytes:
        """What is there now. Raises OSError or returns b'' on a line that was unplugged."""
        try:
            return os.read(self._fd, most)
        except BlockingIOError:
            return b""

    async def read(self, size: int) -> bytes:
        """Exactly that many bytes."""
        data = bytearray()

        def full() -> bool:
            data.extend(self.read_some(size - len(data)))
            return len(data) == size

        await until(full)
        return bytes(data)

    def hung_up(self) -> bool:
        """Whether the line was taken away: end of file, or EIO."""
        try:
            return os.read(self._fd, 1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


def is_there(path: Path) -> bool:
    """Whether the path exists, be it a link to nowhere."""
    return os.path.lexists(path)
