"""How every simulated device lives: its tasks, its control socket, its ready line, its end.

Owns the life cycle only. Must not know what a device does.
"""

from __future__ import annotations

import abc
import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from simulators.control import ControlServer, ControlTable


class Device(abc.ABC):
    """An asynchronous context manager: usable inside the block, wholly gone after it.

    A task that fails with a bug ends the block with an ExceptionGroup.
    """

    def __init__(self, control: Path | None = None) -> None:
        self._control = control
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: ControlServer | None = None

    @abc.abstractmethod
    async def open(self) -> None:
        """Make the device usable. Raises OSError where the system refuses."""

    @abc.abstractmethod
    def close(self) -> None:
        """Give back what `open` took; called once, with the device's tasks already cancelled."""

    @abc.abstractmethod
    def controls(self) -> ControlTable:
        """The orders this device obeys."""

    @abc.abstractmethod
    def ready(self) -> Mapping[str, Any]:
        """What whoever started it must know: addresses and paths."""

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run a task that ends with the device."""
        task = self._group.create_task(work, name=name)
        self._tasks = [old for old in self._tasks if not old.done()]
        self._tasks.append(task)
        return task

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        try:
            await self.open()
            if self._control is not None:
                self._server = ControlServer(self._control, self.controls(), self._group)
                await self._server.open()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        try:
            self.close()
        finally:
            await self._group.__aexit__(None, None, None)


async def run_device(device: Device) -> int:
    """Print the ready line, then stay until cancelled or told 'quit' on stdin; exit status."""
    async with device:
        ready = dict(device.ready())
        if device._control is not None:  # noqa: SLF001  # the same module's own field
            ready["control"] = str(device._control)  # noqa: SLF001  # the same
        print("ready " + json.dumps(ready), flush=True)
        await told_to_quit()
    return 0


async def told_to_quit() -> None:
    """Returns when stdin says 'quit'; never, where stdin can't say it."""
    quit_said = asyncio.Event()
    loop = asyncio.get_running_loop()
    buffer = bytearray()

    def readable() -> None:
        chunk = os.read(fd, 4096)
        if not chunk:  # end of input is no order: daemons start with stdin closed
            loop.remove_reader(fd)
        buffer.extend(chunk)
        if b"quit" in bytes(buffer).split():
            quit_said.set()
        del buffer[:-64]  # enough to join a 'quit' that came in two pieces

    try:
        fd = sys.stdin.fileno()
        loop.add_reader(fd, readable)
    except (OSError, ValueError, AttributeError):  # a file, /dev/null, or no stdin at all
        await quit_said.wait()
        return
    try:
        await quit_said.wait()
    finally:
        loop.remove_reader(fd)
