"""One of the demo's processes: its start, ready line, log and end. Must not know what it is.

Each runs in a session of its own, so that Ctrl-C reaches only the demo, which then ends them in
order; and tethered (tether.py), so that none is left behind even if the demo is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.tether import tethered

MAX_LINE = 1024 * 1024  # of a child's stdout; a longer line is cut by the reader
TAIL_LINES = 15


class ProcessFailed(Exception):  # noqa: N818  # it reads as what happened
    """A process ended, or never got ready; the text has its name and the end of its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """What to start. `log` gets its stderr, and its stdout."""

    name: str
    argv: Sequence[str]
    log: Path
    ready_s: float = 20.0
    end_s: float = 10.0


class Process:
    """`await launch()`, then `await wait_ready()`: several may get ready beside each other."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.ready: Mapping[str, Any] = {}
        self._child: asyncio.subprocess.Process | None = None

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child else None

    async def launch(self) -> None:
        """Raises OSError where the system refuses."""
        self.command.log.parent.mkdir(parents=True, exist_ok=True)
        with self.command.log.open("ab") as log:
            self._child = await asyncio.create_subprocess_exec(
                *tethered(self.command.argv),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=MAX_LINE,
                start_new_session=True,
            )

    async def wait_ready(self) -> Mapping[str, Any]:
        """What its ready line says. Raises ProcessFailed when it ends, or says nothing, before."""
        assert self._child is not None  # noqa: S101  # only called once it runs
        try:
            async with asyncio.timeout(self.command.ready_s):
                while line := await self._line():
                    if line.startswith(b"ready "):
                        self.ready = json.loads(line[len(b"ready ") :])
                        return self.ready
                status = await self._child.wait()
        except TimeoutError:
            raise self.failed(f"was not ready after {self.command.ready_s:g} s") from None
        raise self.failed(f"ended with status {status} before it was ready")

    async def _line(self) -> bytes:
        """The next line of its stdout, which also goes to the log; b"" at its end."""
        assert self._child is not None  # noqa: S101  # only called once it runs
        assert self._child.stdout is not None  # noqa: S101  # it is a pipe
        line = await self._child.stdout.readline()
        with self.command.log.open("ab") as log:
            log.write(line)
        return line

    async def ended(self) -> int:
        """Read its output to the end; its exit status, negative for a signal."""
        assert self._child is not None  # noqa: S101  # only called once it runs
        while await self._line():
            pass
        return await self._child.wait()

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """Ask it to end, and end it where it does not; its status, None if it never ran."""
        child = self._child
        if child is None:
            return None
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(number)
            try:  # not asyncio.timeout, which is no bound in a cancelled task of Python 3.11.2
                await asyncio.wait_for(child.wait(), self.command.end_s)
            except TimeoutError:
                child.kill()
        return await child.wait()

    def failed(self, what: str) -> ProcessFailed:
        """The error that says what this process did, with the last lines of its log."""
        text = self.command.log.read_text(encoding="utf-8", errors="replace")
        tail = "\n".join(f"  | {line}" for line in text.splitlines()[-TAIL_LINES:])
        return ProcessFailed(f"{self.name} {what}; its log {self.command.log} ends with:\n{tail}")
