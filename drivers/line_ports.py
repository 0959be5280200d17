"""The ways to a serial device, opened: a local port, a TCP socket, an RFC 2217 server. Owns the
descriptors, sockets and threads; must not retry, decode or keep more than one read's bytes.

Each raises OSError when the device or its line is gone and returns b"" at the end of the stream.
Reading is a pull: nobody asks, nothing is taken, so a flood waits in the kernel's buffers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import termios
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol, TypeVar

import serial
import serial.rfc2217

MAX_READ = 1024  # bytes of one read: 90 ms of a 115200 baud line; the rest comes with the next
MAX_BACKLOG = 65_536  # bytes that pyserial's RFC 2217 client may pile up before we hang up
READ_WAIT_S = 0.2  # how long a thread waits for bytes before it looks whether it should end
KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))

T = TypeVar("T")


class Port(Protocol):
    """An open way to the device. One reader and one writer at a time."""

    async def read(self) -> bytes:
        """1 to MAX_READ bytes as they come; b"" at the end; OSError when the line is gone."""

    async def write(self, data: bytes) -> None:
        """Hand all bytes to the kernel. OSError when the line is gone."""

    async def close(self) -> None:
        """Let go of the device; whoever still waits in read or write gets an OSError."""


# ------------------------------------------------------------------------------ local port


class LocalPort:
    """A serial port of this machine: pyserial opens and configures, the event loop reads."""

    def __init__(self, path: str, baud_rate: int) -> None:
        """Raises OSError, with a hint where another process holds the port."""
        try:
            self._serial = serial.Serial(path, baud_rate, exclusive=True, timeout=0)
        except serial.SerialException as error:
            if error.errno == errno.EWOULDBLOCK:
                raise OSError("in use by another process: stop one of the two") from error
            raise
        except (termios.error, ValueError) as error:  # pyserial lets these through
            raise OSError(f"the port can't be set to {baud_rate} baud 8N1: {error}") from error
        self._fd: int = self._serial.fileno()
        self._watched = False  # for reading: from one read to the next, and no longer
        self._wants_bytes: asyncio.Future[bytes] | None = None
        self._wants_room: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        loop = asyncio.get_running_loop()
        self._check_open()
        self._wants_bytes = loop.create_future()
        if not self._watched:
            self._watched = True
            loop.add_reader(self._fd, self._readable)
        try:
            return await self._wants_bytes
        finally:
            self._wants_bytes = None

    def _readable(self) -> None:
        """Bytes have come. A line at work is read hundreds of times a second, so it stays watched
        while its reader comes back for more."""
        waiter = self._wants_bytes
        if waiter is None or waiter.done():
            self._watched = False
            asyncio.get_running_loop().remove_reader(self._fd)
            return
        try:
            waiter.set_result(os.read(self._fd, MAX_READ))
        except BlockingIOError:
            pass  # woken for nothing
        except OSError as error:
            waiter.set_exception(error)

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                await self._room()

    async def _room(self) -> None:
        """Wait until the descriptor takes bytes."""
        loop = asyncio.get_running_loop()
        self._check_open()
        self._wants_room = waiter = loop.create_future()
        loop.add_writer(self._fd, _wake, waiter)
        try:
            await waiter
        finally:
            self._wants_room = None
            if self._serial.is_open:  # else `close` has, and the number may be another's by now
                loop.remove_writer(self._fd)

    def _check_open(self) -> None:
        if not self._serial.is_open:
            raise OSError("the port was closed")

    async def close(self) -> None:
        for waiter in (self._wants_bytes, self._wants_room):
            if waiter is not None and not waiter.done():
                waiter.set_exception(OSError("the port was closed"))
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._fd)
        loop.remove_writer(self._fd)
        self._serial.close()


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


# -------------------------------------------------------------------------------- over TCP


class SocketPort:
    """Raw bytes over TCP, as serial servers and converters in "TCP server" mode carry them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        return await self._reader.read(MAX_READ)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        # abort, not close: what is still unsent must not reach the device after a reconnect
        self._writer.transport.abort()
        with contextlib.suppress(OSError):  # it is gone, which is what was wanted
            await self._writer.wait_closed()


async def open_socket(host: str, port: int) -> SocketPort:
    """Connect; raises OSError. A peer that dies in silence is noticed in about 25 s."""
    reader, writer = await asyncio.open_connection(host, port, limit=MAX_READ)
    _keep_alive(writer.get_extra_info("socket"))
    return SocketPort(reader, writer)


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        connection.setsockopt(socket.IPPROTO_TCP, option, value)


# -------------------------------------------------------------------------------- RFC 2217


class Rfc2217Port:
    """A port of an RFC 2217 server, through pyserial's client, which needs threads of its own.

    Two: one waits for bytes, the other opens, writes and closes.
    """

    def __init__(self, url: str, baud_rate: int) -> None:
        """Prepares only; `open` connects."""
        self._url = url
        self._serial = serial.rfc2217.Serial(None, baud_rate, timeout=READ_WAIT_S)
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="rfc2217")
        self._closing = threading.Event()

    async def open(self) -> None:
        """Connect and set the baud rate; raises OSError. When cancelled, the thread tidies up."""
        try:
            await self._in_thread(self._open)
        except BaseException:
            self._closing.set()
            self._threads.shutdown(wait=False)
            raise

    async def read(self) -> bytes:
        return await self._in_thread(self._read)

    async def write(self, data: bytes) -> None:
        await self._in_thread(partial(self._serial.write, data))

    async def close(self) -> None:
        self._closing.set()
        try:
            await self._in_thread(self._hang_up)
        finally:
            self._threads.shutdown(wait=False)

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _open(self) -> None:
        self._serial.port = self._url
        self._serial.open()
        _keep_alive(self._serial._socket)  # noqa: SLF001  # pyserial has no other way to it
        if self._closing.is_set():
            self._hang_up()

    def _hang_up(self) -> None:
        connection = self._serial._socket  # noqa: SLF001  # see below
        self._serial.close()
        if connection is not None:
            connection.close()  # pyserial leaves it open where its shutdown failed

    def _read(self) -> bytes:
        while not self._closing.is_set():
            if data := self._serial.read(1):
                waiting = self._serial.in_waiting
                if waiting > MAX_BACKLOG:
                    raise OSError(f"the device sends faster than can be read: {waiting} bytes wait")
                return bytes(data + self._serial.read(min(waiting, MAX_READ - 1)))
        raise OSError("the port was closed")


async def open_rfc2217(url: str, baud_rate: int) -> Rfc2217Port:
    """Connect and set the baud rate; raises OSError."""
    port = Rfc2217Port(url, baud_rate)
    await port.open()
    return port
