"""Lines on ptys and TCP: what is sent arrives, and every way to break one heals."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import termios
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
import serial

from drivers import line_ports, transport
from drivers.line_ports import MAX_READ
from drivers.transport import Connected, Disconnected, Line, LineEvent, Received, check_url
from gatewayd.domain.ports import DeviceError
from tests.clock import ManualClock
from tests.protocols.transports.lines import WAIT_S, Ear, PtyDevice, running


async def listen(line: Line, ear: Ear[LineEvent]) -> None:
    async with aclosing(line.events()) as events:
        async for event in events:
            ear.emit(event)


@asynccontextmanager
async def listening(line: Line) -> AsyncIterator[Ear[LineEvent]]:
    ear: Ear[LineEvent] = Ear()
    async with running(listen(line, ear)):
        yield ear


async def read_bytes(ear: Ear[LineEvent], size: int) -> bytes:
    data = b""
    while len(data) < size:
        event = await ear.next()
        assert isinstance(event, Received)
        data += event.data
    return data


# ------------------------------------------------------------------------------- local port


async def test_bytes_pass_both_ways_and_carry_the_moment_of_the_read(
    device: PtyDevice, clock: ManualClock
) -> None:
    line = Line(device.path, 9600, clock)
    async with listening(line) as ear:
        assert await ear.next() == Connected()
        device.send(b"hello")
        assert await ear.next() == Received(b"hello", clock.now())
        await clock.advance(3)
        device.send(b"again")
        assert await ear.next() == Received(b"again", clock.now())
        await line.write(bytes(range(256)))
        assert await device.receive(256) == bytes(range(256))


async def test_an_unplugged_device_is_told_once_and_reopened_by_its_path(
    device: PtyDevice, clock: ManualClock
) -> None:
    line = Line(device.path, 9600, clock)
    async with listening(line) as ear:
        assert await ear.next() == Connected()
        device.send(b"one")
        assert await read_bytes(ear, 3) == b"one"
        device.unplug()
        gone = await ear.next()
        assert isinstance(gone, Disconnected)
        assert device.path in gone.reason
        await clock.advance(60)
        assert ear.waiting == 0
        with pytest.raises(DeviceError, match="not connected"):
            await line.write(b"x")
        device.plug_in()
        await clock.advance(5)
        assert await ear.next() == Connected()
        device.send(b"two")
        assert await read_bytes(ear, 3) == b"two"


async def test_a_device_that_was_never_there_is_told_with_its_path(
    device: PtyDevice, clock: ManualClock
) -> None:
    device.unplug()
    async with listening(Line(device.path, 9600, clock)) as ear:
        gone = await ear.next()
        assert isinstance(gone, Disconnected)
        assert "No such file" in gone.reason
        assert device.path in gone.reason


async def test_retries_back_off_to_five_seconds_and_start_anew_after_a_stable_time(
    device: PtyDevice, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried_ns: list[int] = []
    local_port = line_ports.LocalPort

    def counting(path: str, baud_rate: int) -> line_ports.LocalPort:
        tried_ns.append(clock.monotonic_ns())
        return local_port(path, baud_rate)

    monkeypatch.setattr(transport, "LocalPort", counting)
    device.unplug()
    async with listening(Line(device.path, 9600, clock)) as ear:
        await ear.next()
        await clock.advance(60)
        waits = [(b - a) / 1e9 for a, b in itertools.pairwise(tried_ns)]
        assert waits[:6] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2]
        assert set(waits[6:]) == {5.0}
        device.plug_in()
        await clock.advance(5)
        assert await ear.next() == Connected()
        device.unplug()  # at once: the back-off goes on
        assert isinstance(await ear.next(), Disconnected)
        device.plug_in()
        await clock.advance(4.9)
        assert ear.waiting == 0
        await clock.advance(0.1)
        assert await ear.next() == Connected()
        await clock.advance(5)
        device.unplug()  # after a stable time: it begins anew
        assert isinstance(await ear.next(), Disconnected)
        device.plug_in()
        await clock.advance(0.1)
        assert await ear.next() == Connected()


async def test_two_owners_of_one_port_get_a_clear_error(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with listening(Line(device.path, 9600, clock)) as first:
        assert await first.next() == Connected()
        async with listening(Line(device.path, 9600, clock)) as second:
            refused = await second.next()
            assert isinstance(refused, Disconnected)
            assert "in use by another process" in refused.reason
        device.send(b"still mine")
        assert await read_bytes(first, 10) == b"still mine"


async def test_a_port_that_takes_no_such_setting_is_an_outage_not_a_crash(
    device: PtyDevice, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise termios.error(22, "Invalid argument")

    monkeypatch.setattr(serial, "Serial", refuse)
    async with listening(Line(device.path, 12345, clock)) as ear:
        refused = await ear.next()
        assert isinstance(refused, Disconnected)
        assert "can't be set to 12345 baud 8N1" in refused.reason


async def test_a_flood_is_read_in_bounded_pieces_and_waits_in_the_kernel(
    device: PtyDevice, clock: ManualClock
) -> None:
    line = Line(device.path, 9600, clock)
    async with aclosing(line.events()) as events:
        assert await anext(events) == Connected()
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:  # nobody reads, so the line fills up and takes no more
                assert device.master is not None
                sent += os.write(device.master, b"x" * 1000)
        assert 1000 < sent < 1_000_000
        received = 0
        async with asyncio.timeout(WAIT_S):
            while received < sent:
                event = await anext(events)
                assert isinstance(event, Received)
                assert len(event.data) <= MAX_READ
                received += len(event.data)


async def test_a_write_waits_for_room_and_is_whole(device: PtyDevice, clock: ManualClock) -> None:
    line = Line(device.path, 9600, clock)
    data = os.urandom(200_000)
    async with listening(line) as ear:
        assert await ear.next() == Connected()
        async with running(line.write(data)):
            assert await device.receive(len(data)) == data


async def test_a_device_that_takes_nothing_fails_the_write_in_time(
    device: PtyDevice, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "WRITE_TIMEOUT_S", 0.05)
    line = Line(device.path, 9600, clock)
    async with listening(line) as ear:
        assert await ear.next() == Connected()
        with pytest.raises(DeviceError, match=r"took no bytes for 0\.05 s"):
            await line.write(b"x" * 200_000)


async def test_unplugging_fails_a_write_that_waits(device: PtyDevice, clock: ManualClock) -> None:
    line = Line(device.path, 9600, clock)
    async with listening(line) as ear:
        assert await ear.next() == Connected()

        async def write() -> None:
            with pytest.raises(DeviceError):
                await line.write(b"x" * 200_000)

        async with asyncio.TaskGroup() as tg:
            tg.create_task(write(), name="a write that waits for room")
            await device.receive(1)
            device.unplug()
        assert isinstance(await ear.next(), Disconnected)


async def test_an_ended_listener_gives_the_port_back(device: PtyDevice, clock: ManualClock) -> None:
    for _ in range(3):
        async with listening(Line(device.path, 9600, clock)) as ear:
            assert await ear.next() == Connected()


async def test_a_read_that_was_woken_for_nothing_waits_on(
    device: PtyDevice, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, failures = os.read, [BlockingIOError()]

    def sometimes(fd: int, size: int) -> bytes:
        if failures:
            raise failures.pop()
        return read(fd, size)

    monkeypatch.setattr(os, "read", sometimes)
    async with listening(Line(device.path, 9600, clock)) as ear:
        assert await ear.next() == Connected()
        device.send(b"x")
        assert await read_bytes(ear, 1) == b"x"
        assert not failures


async def test_a_port_that_was_closed_is_not_waited_for(device: PtyDevice) -> None:
    port = line_ports.LocalPort(device.path, 9600)
    async with asyncio.TaskGroup() as tg:
        reading = tg.create_task(_fails_with(port, "the port was closed"), name="a reader")
        await asyncio.sleep(0)
        await port.close()
        await reading
    await _fails_with(port, "the port was closed")


async def _fails_with(port: line_ports.Port, words: str) -> None:
    with pytest.raises(OSError, match=words):
        await port.read()


# -------------------------------------------------------------------------------------- TCP


class Peer:
    """A TCP serial server with one client."""

    def __init__(self) -> None:
        self.clients: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
            asyncio.Queue()
        )

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.clients.put((reader, writer))

    async def client(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(WAIT_S):
            return await self.clients.get()


@asynccontextmanager
async def serial_server(port: int = 0) -> AsyncIterator[tuple[Peer, str]]:
    peer = Peer()
    server = await asyncio.start_server(peer.take, "127.0.0.1", port)
    async with server:
        yield peer, f"socket://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def test_a_socket_carries_bytes_both_ways_and_heals(clock: ManualClock) -> None:
    async with serial_server() as (peer, url):
        line = Line(url, 9600, clock)
        async with listening(line) as ear:
            assert await ear.next() == Connected()
            reader, writer = await peer.client()
            writer.write(b"hello")
            assert await read_bytes(ear, 5) == b"hello"
            await line.write(b"world")
            async with asyncio.timeout(WAIT_S):
                assert await reader.readexactly(5) == b"world"
            await hang_up(writer)
            gone = await ear.next()
            assert gone == Disconnected(f"{url}: the device hung up")
            await clock.advance(5)
            assert await ear.next() == Connected()
            _, writer = await peer.client()
            writer.write(b"back")
            assert await read_bytes(ear, 4) == b"back"
            await hang_up(writer)
            await ear.next()


async def test_a_server_that_accepts_and_hangs_up_is_not_hammered(clock: ManualClock) -> None:
    async with serial_server() as (peer, url), listening(Line(url, 9600, clock)) as ear:
        for wait_s in (0.1, 0.2, 0.4):
            assert await ear.next() == Connected()
            _, writer = await peer.client()
            await hang_up(writer)
            assert isinstance(await ear.next(), Disconnected)
            await clock.advance(wait_s * 0.9)
            assert ear.waiting == 0
            await clock.advance(wait_s)
        assert await ear.next() == Connected()
        _, writer = await peer.client()
        await hang_up(writer)
        await ear.next()


async def test_a_refused_connection_is_an_outage(clock: ManualClock) -> None:
    async with serial_server() as (_, url):
        pass
    async with listening(Line(url, 9600, clock)) as ear:
        gone = await ear.next()
        assert isinstance(gone, Disconnected)
        assert url in gone.reason


async def test_a_server_that_never_answers_is_an_outage(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(transport, "CONNECT_TIMEOUT_S", 0.02)
    monkeypatch.setattr(transport, "open_socket", never)
    async with listening(Line("socket://127.0.0.1:9", 9600, clock)) as ear:
        assert await ear.next() == Disconnected("socket://127.0.0.1:9: no connection within 0.02 s")


async def test_a_dead_peer_would_be_noticed_by_keepalive() -> None:
    async with serial_server() as (peer, url):
        port = await line_ports.open_socket("127.0.0.1", int(url.rpartition(":")[2]))
        connection = port._writer.get_extra_info("socket")
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        for option, value in line_ports.KEEPALIVE:
            assert connection.getsockopt(socket.IPPROTO_TCP, option) == value
        await port.close()
        _, writer = await peer.client()
        await hang_up(writer)


# -------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize(
    "url",
    [
        "/dev/serial/by-id/usb-1",
        "run/reader-1",
        "socket://10.0.0.5:4001",
        "socket://[::1]:4001",
        "rfc2217://gate-2.lan:2217",
    ],
)
def test_a_url_that_names_a_line_is_taken_as_it_is(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("ttyUSB0", "/dev/serial/by-id/"),
        ("COM3", "/dev/serial/by-id/"),
        ("", "/dev/serial/by-id/"),
        ("tcp://10.0.0.5:4001", "socket://host:port"),
        ("socket://10.0.0.5", "write 'socket://host:port'"),
        ("socket://10.0.0.5:0", "write 'socket://host:port'"),
        ("socket://10.0.0.5:70000", "write 'socket://host:port'"),
        ("socket://10.0.0.5:port", "write 'socket://host:port'"),
        ("socket://:4001", "write 'socket://host:port'"),
        ("rfc2217://10.0.0.5:2217/ttyS0", "write 'rfc2217://host:port'"),
        ("rfc2217://10.0.0.5:2217?logging=debug", "write 'rfc2217://host:port'"),
    ],
)
def test_a_url_that_names_none_says_what_to_write(url: str, hint: str) -> None:
    with pytest.raises(ValueError, match="write") as refused:
        Line(url, 9600, ManualClock())
    assert hint in str(refused.value)
