"""Orders to a simulated device: JSON Lines over a Unix socket, one reply for each request.

Owns the framing, the checks of a request and the client. Must not know any device.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MAX_LINE = 64 * 1024  # an order is a few hundred bytes; a longer line ends the connection
MAX_CONNECTIONS = 32  # scenario, tests and a person at a terminal; more is a leak
T_REPLY_S = 30.0  # the client's patience: longer than any presentation that a reader may hold

ORDERS = {"do": "orders"}

Reply = dict[str, Any]


class ControlError(Exception):
    """An order that the device can't carry out; the text says what to write instead."""


@dataclass(frozen=True, slots=True)
class Request:
    """One order's fields. Each getter raises ControlError with the field's name and its limits."""

    fields: Mapping[str, Any]

    def number(
        self, key: str, default: float | None = None, *, least: float = 0, most: float
    ) -> float:
        """A finite number within the limits; `default` None makes the field compulsory."""
        value = self.fields.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ControlError(f"'{key}' must be a number from {least:g} to {most:g}: write it so")
        if not least <= value <= most:
            raise ControlError(f"'{key}' is {value:g}: write a number from {least:g} to {most:g}")
        return float(value)

    def integer(self, key: str, default: int | None = None, *, least: int = 0, most: int) -> int:
        """A whole number within the limits; `default` None makes the field compulsory."""
        value = self.fields.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ControlError(f"'{key}' must be a whole number from {least} to {most}")
        return value

    def text(self, key: str, default: str | None = None, *, most: int = 256) -> str:
        """A string of at most `most` characters; `default` None makes the field compulsory."""
        value = self.fields.get(key, default)
        if not isinstance(value, str) or len(value) > most:
            raise ControlError(f"'{key}' must be a string of at most {most} characters")
        return value

    def choice(self, key: str, choices: tuple[str, ...], default: str | None = None) -> str:
        """One of `choices`; `default` None makes the field compulsory."""
        value = self.fields.get(key, default)
        if not isinstance(value, str) or value not in choices:
            raise ControlError(f"'{key}' must be one of: {', '.join(choices)}")
        return value

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self.fields.get(key, default)
        if not isinstance(value, bool):
            raise ControlError(f"'{key}' must be true or false")
        return value


@dataclass(frozen=True, slots=True)
class Verb:
    """What a device does on one order, and the fields that this order may carry."""

    run: Callable[[Request], Awaitable[Reply]]
    keys: tuple[str, ...] = ()


ControlTable = Mapping[str, Verb]


async def obey(table: ControlTable, line: bytes) -> Reply:
    """The reply to one request line; a wrong request is a reply too, never an exception."""
    try:
        fields = json.loads(line)
        if fields == ORDERS:  # of every device: what it can be told
            return {"ok": True, "orders": {name: verb.keys for name, verb in table.items()}}
        verb = _find_verb(table, fields)
        return {"ok": True, **await verb.run(Request(fields))}
    except ControlError as error:
        return {"ok": False, "error": str(error)}
    except (ValueError, RecursionError) as error:  # JSONDecodeError and bad UTF-8 are ValueErrors
        return {"ok": False, "error": f'not JSON ({error}): write e.g. {{"do": "status"}}'}


def _find_verb(table: ControlTable, fields: object) -> Verb:
    if not isinstance(fields, dict):
        raise ControlError('write one JSON object per line, e.g. {"do": "status"}')
    name = fields.get("do")
    if not isinstance(name, str) or name not in table:
        near = difflib.get_close_matches(str(name), table, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ControlError(f"unknown 'do': {name!r}; {hint}known: {', '.join(sorted(table))}")
    verb = table[name]
    unknown = sorted(set(fields) - {"do", *verb.keys})
    if unknown:
        known = ", ".join(verb.keys) or "none"
        raise ControlError(f"'{name}' has no field {unknown[0]!r}; its fields: {known}")
    return verb


class ControlServer:
    """Listens on a Unix socket that only its owner may use; its tasks live in the given group."""

    def __init__(self, path: Path, table: ControlTable, group: asyncio.TaskGroup) -> None:
        self._path = path
        self._table = table
        self._group = group
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    async def open(self) -> None:
        """Listen. Replaces a socket left behind; raises OSError where it is something else."""
        if self._path.exists() and not stat.S_ISSOCK(self._path.stat().st_mode):
            raise FileExistsError(f"--control {self._path} exists and is no socket: name another")
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._connected, path=self._path, limit=MAX_LINE
        )
        os.chmod(self._path, 0o600)  # noqa: PTH101  # Path.chmod would do the same; no await here

    def close(self) -> None:
        """Stop listening, end the connections, remove the socket."""
        self._closed = True
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
        for task in self._tasks:
            task.cancel()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # a connection accepted just before the end is handed over after it
        if self._closed or len(self._tasks) >= MAX_CONNECTIONS:
            writer.close()
            return
        task = self._group.create_task(self._serve(reader, writer), name="control connection")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # not within the task: one cancelled before its first step runs none of its lines
        task.add_done_callback(lambda _: writer.close())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                if line.strip():
                    writer.write(json.dumps(await obey(self._table, line)).encode() + b"\n")
                    await writer.drain()
        except ValueError:  # what readline makes of a line beyond the limit
            error = f"line longer than {MAX_LINE} bytes: send shorter ones"
            writer.write(json.dumps({"ok": False, "error": error}).encode() + b"\n")
        except ConnectionError:
            pass  # who asked has left; there is nobody to tell


class ControlClient:
    """Asks one device: `async with ControlClient(path) as c: await c.ask({"do": "status"})`."""

    def __init__(self, path: Path | str, *, timeout_s: float = T_REPLY_S) -> None:
        self._path = Path(path)
        self._timeout_s = timeout_s
        self._lock = asyncio.Lock()  # replies carry no id: one question at a time

    async def __aenter__(self) -> Self:
        """Connect. Raises OSError (nobody listens) or TimeoutError."""
        async with asyncio.timeout(self._timeout_s):
            self._reader, self._writer = await asyncio.open_unix_connection(
                self._path, limit=MAX_LINE
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._writer.close()

    async def ask(self, request: Mapping[str, Any]) -> Reply:
        """The reply's fields. Raises ControlError (refused), OSError (gone) or TimeoutError."""
        async with self._lock, asyncio.timeout(self._timeout_s):
            self._writer.write(json.dumps(request).encode() + b"\n")
            await self._writer.drain()
            line = await self._reader.readline()
        if not line:
            raise ConnectionResetError(f"{self._path}: the simulated device closed the connection")
        reply: Reply = json.loads(line)
        if not reply.get("ok"):
            raise ControlError(f"{request.get('do')}: {reply.get('error', 'no reason given')}")
        return reply
