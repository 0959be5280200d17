"""The far ends of lines: ptys that can be unplugged, and an ear for what is emitted."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

WAIT_S = 10.0  # a hung test ends here; none is meant to come near it

T = TypeVar("T")


class PtyDevice:
    """A serial device at a stable path, as /dev/serial/by-id is one."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._link = path
        self.master: int | None = None
        self._slave: int | None = None

    def plug_in(self) -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self._slave)
        tty.setraw(self.master)
        os.set_blocking(self.master, False)
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        """The kernel hangs up on whoever has the port open."""
        if self.master is None or self._slave is None:
            return
        os.close(self.master)
        os.close(self._slave)
        self.master = self._slave = None
        self._link.unlink()

    def send(self, data: bytes) -> None:
        assert self.master is not None
        assert os.write(self.master, data) == len(data)

    async def receive(self, size: int) -> bytes:
        """Exactly so many bytes."""
        data = b""
        while len(data) < size:
            await self._readable()
            assert self.master is not None
            data += os.read(self.master, size - len(data))
        return data

    async def _readable(self) -> None:
        assert self.master is not None
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.master, ready.set)
        try:
            async with asyncio.timeout(WAIT_S):
                await ready.wait()
        finally:
            loop.remove_reader(self.master)


class Ear(Generic[T]):
    """Keeps what is emitted, and lets a test wait for the next of it."""

    def __init__(self) -> None:
        self._heard: asyncio.Queue[T] = asyncio.Queue()

    def emit(self, event: T) -> None:
        self._heard.put_nowait(event)

    async def next(self) -> T:
        async with asyncio.timeout(WAIT_S):
            return await self._heard.get()

    async def until(self, wanted: Callable[[T], bool]) -> list[T]:
        """Everything up to and with the first that is wanted."""
        heard: list[T] = []
        while not heard or not wanted(heard[-1]):
            heard.append(await self.next())
        return heard

    @property
    def waiting(self) -> int:
        return self._heard.qsize()


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[asyncio.Task[None]]:
    """A task for the length of the block; its bugs become the test's."""
    async with asyncio.TaskGroup() as tg:
        task = tg.create_task(work, name="the driver under test")
        yield task
        task.cancel()
