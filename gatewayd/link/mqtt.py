"""One connection to the broker: paho's client on our event loop. Owns sockets, knows no messages.

A client object lives for one connection and is thrown away with it: paho would send its whole
queue on a reconnect, whatever its window (central-link). Nothing is ever queued inside it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gatewayd.link.dial import Client, open_socket, tls_context

log = logging.getLogger(__name__)

DIAL_TIMEOUT_S = 10.0  # name look-up, TCP and TLS, on a slow SIM card's line
CONNECT_TIMEOUT_S = 5.0  # a refused v5 CONNECT may simply never answer
PUBACK_TIMEOUT_S = 20.0
PUBACK_TICKS = 20  # seconds: a broker that answers pings and no publish is as good as gone
MAX_HELD = 1_000  # publishes that wait for Receive Maximum; the windows keep it far below
MAX_PACKET = 600 * 1024  # our messages are up to 512 KiB; a broker with v5 sends nothing larger
SERVER_RECEIVE_MAXIMUM = 65_535  # MQTT 5 §3.2.2.3.3: what holds where the broker says nothing
# paho asks after one keepalive of silence and gives up after another: together 1.4 times ours.
PAHO_SHARE = 0.7  # with our default of 20 s a dead line is noticed within 30 s
MIN_KEEPALIVE_S = 5
UNSUPPORTED_PROTOCOL = 0x84  # MQTT 5 §3.2.2.2


class LinkLostError(OSError):
    """The connection could not be made, or is gone; whatever was not acknowledged is unsent."""


class ProtocolRefusedError(LinkLostError):
    """The broker does not speak MQTT 5, or did not answer in it."""


@dataclass(frozen=True, slots=True)
class Incoming:
    topic: str
    payload: bytes = field(repr=False)
    retained: bool = False


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how it knows us."""

    host: str
    port: int
    client_id: str
    keepalive_s: int = 20
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = True
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Will:
    topic: str
    payload: bytes


class Connection:
    """An open connection; made by `connect`."""

    def __init__(
        self, broker: Broker, version: int, will: Will, on_message: Callable[[Incoming], None]
    ) -> None:
        self.version = version
        self.receive_maximum = SERVER_RECEIVE_MAXIMUM
        self._broker = broker
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[str] = self._loop.create_future()
        self._unacknowledged: dict[int, asyncio.Future[None]] = {}
        self._subscribing: dict[int, asyncio.Future[None]] = {}
        self._held: deque[tuple[str, bytes, bool, asyncio.Future[None]]] = deque()
        self._oldest: int | None = None  # the packet id that has waited longest for its PUBACK
        self._oldest_ticks = 0
        self._socket: socket.socket | None = None
        self._client = self._make_client(will)

    def _make_client(self, will: Will) -> paho.Client:
        broker = self._broker
        files = (broker.ca_file, broker.certificate_file, broker.key_file)
        context = tls_context(*files) if broker.tls else None
        dial = partial(open_socket, broker.host, broker.port, DIAL_TIMEOUT_S, context)
        protocol = paho.MQTTv5 if self.version == 5 else paho.MQTTv311
        more: dict[str, Any] = {} if self.version == 5 else {"clean_session": True}
        client = Client(
            dial, CallbackAPIVersion.VERSION2, broker.client_id, protocol=protocol, **more
        )
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        client.max_inflight_messages_set(0)  # no window of paho's: ours is in `publish`
        client.will_set(will.topic, will.payload, qos=1, retain=True)
        client.on_connect = self._paho_connected
        client.on_disconnect = self._paho_disconnected
        client.on_publish = self._paho_published
        client.on_subscribe = self._paho_subscribed
        client.on_message = self._paho_message
        client.on_socket_register_write = self._paho_wants_write
        client.on_socket_unregister_write = self._paho_wants_no_write
        client.on_socket_close = self._paho_closes
        return client

    # ------------------------------------------------------------------------------ opening

    async def open(self, topics: Sequence[str]) -> None:
        """Connect and subscribe; returns when the broker has confirmed both. Raises LinkLostError,
        and ProtocolRefusedError where another protocol version may help."""
        try:
            await self._dial()
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await self._connected
                await self._subscribe(topics)
        except TimeoutError:
            self.close()
            raise ProtocolRefusedError(
                f"{self._where}: no answer to CONNECT (MQTT {self.version}) "
                f"within {CONNECT_TIMEOUT_S:g} s"
            ) from None
        except BaseException:  # cancelled too: the socket must not outlive this
            self.close()
            raise

    async def _dial(self) -> None:
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await asyncio.to_thread(self._connect)
            self._attach()
        except LinkLostError:
            raise
        except TimeoutError:
            raise LinkLostError(f"{self._where}: does not answer (is it up? a firewall?)") from None
        except (OSError, ValueError) as error:
            raise LinkLostError(f"{self._where}: connect: {error}") from error

    @property
    def _where(self) -> str:
        return f"broker {self._broker.host}:{self._broker.port}"

    def _connect(self) -> None:
        """In a thread: name look-up, TCP and TLS may all take their time."""
        keepalive = max(MIN_KEEPALIVE_S, round(self._broker.keepalive_s * PAHO_SHARE))
        more: dict[str, Any] = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
            properties.MaximumPacketSize = MAX_PACKET
            more = {"clean_start": True, "properties": properties}
        self._client.connect(self._broker.host, self._broker.port, keepalive, **more)
        sock = self._client.socket()
        if self._lost.done() and sock is not None:  # given up meanwhile: nobody else closes it
            sock.close()

    def _attach(self) -> None:
        sock = self._client.socket()
        if sock is None:
            raise LinkLostError(f"{self._where}: closed the connection at once")
        assert isinstance(sock, socket.socket)  # noqa: S101  # TCP or TLS, never paho's WebSocket
        self._socket = sock
        self._loop.add_reader(sock, self._read)
        if self._client.want_write():
            self._loop.add_writer(sock, self._write)

    async def _subscribe(self, topics: Sequence[str]) -> None:
        result, mid = self._client.subscribe([(topic, 1) for topic in topics])
        if result is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise LinkLostError(f"{self._where}: subscribe: {paho.error_string(result)}")
        granted = self._subscribing[mid] = self._loop.create_future()
        await granted

    # -------------------------------------------------------------------------------- using

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> asyncio.Future[None]:
        """Send at QoS 1; the future is done by the broker's PUBACK, or fails with LinkLostError.

        A PUBACK says that the broker has it and no more. Past the broker's Receive Maximum a
        message waits here for the PUBACK of another: MQTT 5 §4.9 ends the connection otherwise.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        if not self._lost.done() and len(self._held) >= MAX_HELD:
            self._lose(f"{MAX_HELD} messages wait for a PUBACK")
        if self._lost.done():
            _fail(done, LinkLostError(self._lost.result()))
        elif self._held or len(self._unacknowledged) >= self.receive_maximum:
            self._held.append((topic, payload, retain, done))
        else:
            self._send(topic, payload, retain, done)
        return done

    def _send(self, topic: str, payload: bytes, retain: bool, done: asyncio.Future[None]) -> None:
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc is MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._unacknowledged[info.mid] = done
        else:
            self._lose(f"publish: {paho.error_string(info.rc)}")
            _fail(done, LinkLostError(self._lost.result()))

    def _send_held(self) -> None:
        while (
            self._held
            and not self._lost.done()
            and len(self._unacknowledged) < self.receive_maximum
        ):
            self._send(*self._held.popleft())

    async def delivered(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """`publish`, and wait for the PUBACK. Raises LinkLostError."""
        try:
            async with asyncio.timeout(PUBACK_TIMEOUT_S):
                await self.publish(topic, payload, retain=retain)
        except TimeoutError:
            self._lose(f"no PUBACK within {PUBACK_TIMEOUT_S:g} s")
            raise LinkLostError(self._lost.result()) from None

    async def lost(self) -> str:
        """Returns why, once the connection is gone."""
        return await asyncio.shield(self._lost)

    def tick(self) -> None:
        """Once a second: keepalive, and a line that swallows everything is noticed, also one that
        swallows only what we publish."""
        if self._lost.done():
            return
        result = self._client.loop_misc()
        if result is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lose(f"no answer to a ping: {paho.error_string(result)}")
        oldest = next(iter(self._unacknowledged), None)
        same = oldest is not None and oldest == self._oldest
        self._oldest, self._oldest_ticks = oldest, self._oldest_ticks + 1 if same else 0
        if self._oldest_ticks >= PUBACK_TICKS:
            self._lose(f"no PUBACK within {PUBACK_TICKS} s")

    def close(self) -> None:
        """Say goodbye (the will is not sent) and let go of the socket."""
        if not self._lost.done() and self._connected.done():
            self._client.on_disconnect = None  # it is not news
            self._client.disconnect()
            self._client.loop_write()  # now: the socket is closed before the loop comes round
        self._lose("closed by us")

    # --------------------------------------------------------------------- paho's call-backs

    def _read(self) -> None:
        """Read what is there; a TLS socket may hold more than the system shows."""
        while not self._lost.done():
            result = self._client.loop_read()
            if result is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._lose(paho.error_string(result))
                return
            coming = self._client._in_packet["remaining_length"]  # noqa: SLF001  # paho has no cap
            if coming > MAX_PACKET:
                self._lose(f"a message of {coming} bytes, more than {MAX_PACKET} are not taken")
                return
            if not (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
                return

    def _write(self) -> None:
        if not self._lost.done():
            result = self._client.loop_write()
            if result not in {MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN}:
                self._lose(paho.error_string(result))

    def _paho_wants_write(self, _client: Any, _data: Any, sock: Any) -> None:  # noqa: ANN401  # paho's
        if self._socket is not None and self._socket is sock:
            self._loop.add_writer(self._socket, self._write)

    def _paho_wants_no_write(self, _client: Any, _data: Any, sock: Any) -> None:  # noqa: ANN401  # paho's
        if self._socket is not None and self._socket is sock:
            self._loop.remove_writer(self._socket)

    def _paho_closes(self, _client: Any, _data: Any, sock: Any) -> None:  # noqa: ANN401  # paho's
        if self._socket is not None and self._socket is sock:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None

    def _paho_connected(self, *args: Any) -> None:  # noqa: ANN401  # paho's
        reason: ReasonCode = args[3]
        if self._connected.done():
            return
        if reason.is_failure:
            kind = LinkLostError
            if self.version == 5 and reason.value == UNSUPPORTED_PROTOCOL:
                kind = ProtocolRefusedError
            self._connected.set_exception(kind(f"{self._where}: refused us: {reason}"))
            return
        self.receive_maximum = getattr(args[4], "ReceiveMaximum", SERVER_RECEIVE_MAXIMUM)
        self._connected.set_result(None)

    def _paho_disconnected(self, *args: Any) -> None:  # noqa: ANN401  # paho's
        self._lose(f"the broker closed the connection: {args[3]}")

    def _paho_published(self, *args: Any) -> None:  # noqa: ANN401  # paho's
        reason: ReasonCode = args[3]
        done = self._unacknowledged.pop(args[2], None)
        if self._held:
            self._loop.call_soon(self._send_held)
        if done is None or done.done():
            return
        if reason.is_failure:
            _fail(done, LinkLostError(f"{self._where}: refused a message: {reason}"))
        else:
            done.set_result(None)

    def _paho_subscribed(self, *args: Any) -> None:  # noqa: ANN401  # paho's
        reasons: list[ReasonCode] = args[3]
        granted = self._subscribing.pop(args[2], None)
        if granted is None or granted.done():
            return
        if any(reason.is_failure for reason in reasons):
            told = ", ".join(str(reason) for reason in reasons)
            what = f"{self._where}: may not subscribe: {told} (check the broker's ACL)"
            granted.set_exception(LinkLostError(what))
        else:
            granted.set_result(None)

    def _paho_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401  # paho's
        try:
            topic = message.topic
        except UnicodeDecodeError:
            self._lose("a topic that is not UTF-8")
            return
        self._on_message(Incoming(topic, bytes(message.payload), message.retain))

    def _lose(self, why: str) -> None:
        """The end of this connection: everybody who waits is told."""
        if self._lost.done():
            return
        self._lost.set_result(f"{self._where}: {why}")
        self._let_go()
        error = LinkLostError(self._lost.result())
        # A broker of old may just hang up on a CONNECT of version 5.
        early = ProtocolRefusedError(self._lost.result()) if self.version == 5 else error
        _fail(self._connected, early)
        held = [done for _, _, _, done in self._held]
        for future in (*self._unacknowledged.values(), *self._subscribing.values(), *held):
            _fail(future, error)
        self._unacknowledged.clear()
        self._subscribing.clear()
        self._held.clear()

    def _let_go(self) -> None:
        sock: Any = self._socket or self._client.socket()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket = None
        if sock is not None:
            sock.close()


def _fail(future: asyncio.Future[None], error: LinkLostError) -> None:
    """Whoever waits for it sees the error; where nobody does, nobody need be warned."""
    if not future.done():
        future.set_exception(error)
        future.exception()


async def connect(
    broker: Broker,
    version: int,
    will: Will,
    topics: Sequence[str],
    on_message: Callable[[Incoming], None],
) -> Connection:
    """An open, subscribed connection. Raises as `Connection.open`."""
    try:
        connection = Connection(broker, version, will, on_message)
    except OSError as error:
        raise LinkLostError(f"TLS: {error} (check the certificate files)") from error
    await connection.open(topics)
    return connection
