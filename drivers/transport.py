"""A line to a serial device, named by a URL, that reopens itself. Owns connecting and retrying;
must not know what the bytes mean.

`/dev/serial/by-id/…` is a port of this machine, `socket://host:port` raw bytes over TCP,
`rfc2217://host:port` a port of an RFC 2217 server.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from drivers.line_ports import LocalPort, Port, Source, open_rfc2217, open_socket
from gatewayd.domain.model import NS_PER_S, Stamp
from gatewayd.domain.ports import Clock, DeviceError

FIRST_RETRY_S = 0.1
MAX_RETRY_S = 5.0  # protocols.md: unplugged devices are reopened with a back-off of at most 5 s
STABLE_S = 5.0  # a line that broke sooner than this goes on backing off
CONNECT_TIMEOUT_S = 5.0
RFC2217_TIMEOUT_S = 15.0  # connecting, negotiating and setting the baud rate each have their own
WRITE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Connected:
    """The line is open, and nothing of what came before is part of what comes next."""


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes as one read gave them, and the moment of that read."""

    data: bytes = field(repr=False)
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The line broke or could not be opened; told once, then retried until Connected."""

    reason: str


LineEvent = Connected | Received | Disconnected


def check_url(url: str) -> str:
    """The URL, unchanged. Raises ValueError that says what to write instead."""
    if url.startswith(("socket://", "rfc2217://")):
        _host_and_port(url)
    elif "://" in url or "/" not in url:
        raise ValueError(
            f"{url!r} is no serial line: write a path such as '/dev/serial/by-id/…',"
            " 'socket://host:port' or 'rfc2217://host:port'"
        )
    return url


OpenSource = Callable[[], Awaitable[Source]]


class Reopening:
    """What bytes come from, opened again whenever it breaks. `events` has one consumer."""

    def __init__(self, name: str, open_source: OpenSource, clock: Clock) -> None:
        """Opens nothing: `events` does. `open_source` raises OSError where it can't now."""
        self._name = name
        self._open_source = open_source
        self._clock = clock
        self._source: Source | None = None

    async def events(self) -> AsyncGenerator[LineEvent]:
        """For ever: Connected, Received…, Disconnected, and again. Use `contextlib.aclosing`."""
        retry_s = FIRST_RETRY_S
        told = False
        while True:
            opened_ns = None
            try:
                self._source = await self._open_source()
                opened_ns, told = self._clock.monotonic_ns(), False
                yield Connected()
                while data := await self._source.read():
                    yield Received(data, self._clock.now())
                reason = f"{self._name}: the device hung up"
            except OSError as error:
                reason = f"{self._name}: {error}"
            finally:
                await self._close()
            if not told:
                told = True
                yield Disconnected(reason)
            now_ns = self._clock.monotonic_ns()
            if opened_ns is not None and now_ns - opened_ns >= STABLE_S * NS_PER_S:
                retry_s = FIRST_RETRY_S
            await self._clock.sleep_until(now_ns + round(retry_s * NS_PER_S))
            retry_s = min(retry_s * 2, MAX_RETRY_S)

    async def _close(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            await source.close()


class Line(Reopening):
    """One device's serial line. `write` may be called from any task."""

    def __init__(self, url: str, baud_rate: int, clock: Clock) -> None:
        """Opens nothing: `events` does. Raises ValueError for a URL that names no line."""
        super().__init__(check_url(url), self._open_port, clock)
        self._url = url
        self._baud_rate = baud_rate
        self._port: Port | None = None
        self._write_turn = asyncio.Lock()

    async def write(self, data: bytes) -> None:
        """Send all of it. Raises DeviceError when the line is down, breaks or takes no bytes."""
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S), self._write_turn:
                await self._send(data)
        except TimeoutError as error:
            raise DeviceError(f"{self._url} took no bytes for {WRITE_TIMEOUT_S:g} s") from error
        except OSError as error:
            raise DeviceError(f"{self._url}: {error}") from error

    async def _send(self, data: bytes) -> None:
        if self._port is None:
            raise OSError("the line is not connected")
        await self._port.write(data)

    async def _open_port(self) -> Port:
        self._port = await open_port(self._url, self._baud_rate)
        return self._port

    async def _close(self) -> None:
        self._port = None
        await super()._close()


async def open_port(url: str, baud_rate: int) -> Port:
    """Raises OSError when the device can't be reached now."""
    limit_s = RFC2217_TIMEOUT_S if url.startswith("rfc2217://") else CONNECT_TIMEOUT_S
    try:
        async with asyncio.timeout(limit_s):
            if url.startswith("socket://"):
                return await open_socket(*_host_and_port(url))
            if url.startswith("rfc2217://"):
                return await open_rfc2217(url, baud_rate)
            return LocalPort(url, baud_rate)
    except TimeoutError as error:
        raise OSError(f"no connection within {limit_s:g} s") from error


def _host_and_port(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if not parts.hostname or not port or parts.path.strip("/") or parts.query:
        raise ValueError(f"{url!r} names no line: write '{parts.scheme}://host:port'")
    return parts.hostname, port
