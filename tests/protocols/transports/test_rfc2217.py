"""RFC 2217 against pyserial's own server on a pty, in threads as such servers run."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
import serial
import serial.rfc2217

from drivers import line_ports, transport
from drivers.transport import Connected, Disconnected, Line, Received
from tests.clock import ManualClock
from tests.protocols.transports.lines import PtyDevice
from tests.protocols.transports.test_line import listening, read_bytes

pytestmark = pytest.mark.filterwarnings(
    # pyserial 3.5's client calls Thread.setDaemon and setName, deprecated since Python 3.10
    r"ignore:set(Daemon|Name)\(\) is deprecated:DeprecationWarning"
)


class PortWithoutModemLines(serial.Serial):  # type: ignore[misc]  # pyserial ships no types
    """A pty has none: asking gives ENOTTY."""

    cts = dsr = ri = cd = False

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass


class Server:
    """Serves one serial port to one client after another until it is closed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"rfc2217://127.0.0.1:{self._listener.getsockname()[1]}"
        self.baud_rate = 0
        self._client: socket.socket | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="rfc2217 server")
        self._thread.start()

    def reset(self) -> None:
        """End the connection as a crashing server does."""
        assert self._client is not None
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.shutdown(socket.SHUT_RD)

    def hang_up(self) -> None:
        assert self._client is not None
        self._client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._closing = True
        with socket.socket() as knock:
            knock.connect(self._listener.getsockname())
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._listener.close()

    def write(self, data: bytes) -> None:
        """Called by the port manager with what it wants to say."""
        assert self._client is not None
        self._client.sendall(data)

    def _serve(self) -> None:
        while True:
            client, _ = self._listener.accept()
            with client:
                if self._closing:
                    return
                self._client = client
                self._serve_one(client)

    def _serve_one(self, client: socket.socket) -> None:
        with PortWithoutModemLines(self._path, 2400, timeout=0) as port:
            manager = serial.rfc2217.PortManager(port, self)
            while True:
                ready, _, _ = select.select([client, port.fileno()], [], [], 10)
                try:
                    if client in ready:
                        if not (data := client.recv(1024)):
                            return
                        port.write(b"".join(manager.filter(data)))
                        self.baud_rate = port.baudrate
                    if port.fileno() in ready:
                        client.sendall(b"".join(manager.escape(port.read(1024))))
                except OSError:
                    return


@pytest.fixture
def server(device: PtyDevice) -> Iterator[Server]:
    server = Server(device.path)
    yield server
    server.close()


async def test_bytes_pass_both_ways_at_the_rate_that_was_set(
    device: PtyDevice, server: Server, clock: ManualClock
) -> None:
    line = Line(server.url, 19_200, clock)
    data = bytes(range(256)) * 4  # with 0xFF, which telnet escapes
    async with listening(line) as ear:
        assert await ear.next() == Connected()
        assert server.baud_rate == 19_200
        device.send(data)
        assert await read_bytes(ear, len(data)) == data
        await line.write(data)
        assert await device.receive(len(data)) == data


async def test_a_server_that_hangs_up_is_called_again(
    device: PtyDevice, server: Server, clock: ManualClock
) -> None:
    async with listening(Line(server.url, 9600, clock)) as ear:
        assert await ear.next() == Connected()
        server.hang_up()
        assert isinstance(await ear.next(), Disconnected)
        await clock.advance(5)
        assert await ear.next() == Connected()
        device.send(b"back")
        assert await read_bytes(ear, 4) == b"back"


async def test_no_server_is_an_outage(clock: ManualClock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"rfc2217://127.0.0.1:{free.getsockname()[1]}"
    async with listening(Line(url, 9600, clock)) as ear:
        gone = await ear.next()
        assert isinstance(gone, Disconnected)
        assert url in gone.reason


async def test_a_listener_that_ends_while_connecting_leaves_no_connection(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "RFC2217_TIMEOUT_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"rfc2217://127.0.0.1:{mute.getsockname()[1]}"
        async with listening(Line(url, 9600, clock)) as ear:
            gone = await ear.next()
            assert gone == Disconnected(f"{url}: no connection within 0.1 s")
            client, _ = mute.accept()
            with client:  # negotiates for 3 s in its thread, then gives up by itself
                client.settimeout(10)
                await asyncio.to_thread(_read_to_the_end, client)


async def test_a_connection_made_too_late_is_closed_at_once(server: Server) -> None:
    port = line_ports.Rfc2217Port(server.url, 9600)
    port._closing.set()
    await port.open()
    assert not port._serial.is_open
    with pytest.raises(OSError, match="the port was closed"):
        await port.read()
    await port.close()


async def test_a_connection_that_was_reset_leaves_no_socket_behind(server: Server) -> None:
    port = await line_ports.open_rfc2217(server.url, 9600)
    connection = port._serial._socket
    server.reset()
    with pytest.raises(OSError, match="connection failed"):
        while await port.read() is not None:
            pass
    await port.close()
    assert connection.fileno() == -1


async def test_a_device_that_sends_faster_than_can_be_read_is_hung_up_on(
    device: PtyDevice, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_ports, "MAX_BACKLOG", 100)
    line = Line(server.url, 9600, ManualClock())
    async with listening(line) as ear:
        assert await ear.next() == Connected()
        device.send(os.urandom(3000))
        heard = await ear.until(lambda event: isinstance(event, Disconnected))
        assert all(isinstance(event, Received) for event in heard[:-1])
        last = heard[-1]
        assert isinstance(last, Disconnected)
        assert "faster than can be read" in last.reason


def _read_to_the_end(client: socket.socket) -> None:
    while client.recv(1024):
        pass
