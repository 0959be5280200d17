"""One connection to the broker: paho's client on our event loop. Owns sockets, knows no messages.

A client object lives for one connection and is thrown away with it: paho would send its whole
queue on a reconnect, whatever its window (central-link). Nothing is ever queued inside it.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0  # a refused v5 CONNECT may simply never answer
PUBACK_TIMEOUT_S = 20.0
MAX_PACKET = 600 * 1024  # our messages are up to 512 KiB; a broker with v5 sends nothing larger
SERVER_RECEIVE_MAXIMUM = 65_535  # MQTT 5 §3.2.2.3.3: what holds where the broker says nothing
# paho asks after one keepalive of silence and gives up after another: together 1.5 times ours.
PAHO_SHARE = 0.75
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
        self._socket: socket.socket | None = None
        self._attached = False  # TCP, and TLS where it is asked for, stand
        self._answered = False  # a CONNACK came, whatever it says
        self._client = self._make_client(will)

    def _make_client(self, will: Will) -> paho.Client:
        protocol = paho.MQTTv5 if self.version == 5 else paho.MQTTv311
        more: dict[str, Any] = {} if self.version == 5 else {"clean_session": True}
        client = paho.Client(
            CallbackAPIVersion.VERSION2, self._broker.client_id, protocol=protocol, **more
        )
        if self._broker.username is not None:
            client.username_pw_set(self._broker.username, self._broker.password)
        if self._broker.tls:
            client.tls_set_context(_tls_context(self._broker))
        client.max_inflight_messages_set(65_535)  # the window is the outbox's, not paho's
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
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.to_thread(self._connect)
                self._attach()
                await self._connected
                await self._subscribe(topics)
        except TimeoutError:
            self.close()
            raise ProtocolRefusedError(
                f"{self._where}: no answer to CONNECT (MQTT {self.version}) "
                f"within {CONNECT_TIMEOUT_S:g} s"
            ) from None
        except (OSError, ValueError) as error:
            answered = self._answered
            self.close()
            if self.version == 5 and not answered and self._attached:
                # Some brokers without MQTT 5 hang up on its CONNECT.
                raise ProtocolRefusedError(str(error)) from error
            if isinstance(error, LinkLostError):
                raise
            raise LinkLostError(f"{self._where}: connect: {error}") from error

    @property
    def _where(self) -> str:
        return f"broker {self._broker.host}:{self._broker.port}"

    def _connect(self) -> None:
        """In a thread: name look-up, TCP and TLS may all take their time."""
        keepalive = max(5, round(self._broker.keepalive_s * PAHO_SHARE))
        more: dict[str, Any] = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
            properties.MaximumPacketSize = MAX_PACKET
            more = {"clean_start": True, "properties": properties}
        self._client.connect(self._broker.host, self._broker.port, keepalive, **more)

    def _attach(self) -> None:
        sock = self._client.socket()
        if sock is None:
            raise LinkLostError(f"{self._where}: closed the connection at once")
        assert isinstance(sock, socket.socket)  # noqa: S101  # TCP or TLS, never paho's WebSocket
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._attached = True
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

        A PUBACK says that the broker has it and no more.
        """
        done: asyncio.Future[None] = self._loop.create_future()
        if self._lost.done():
            done.set_exception(LinkLostError(self._lost.result()))
            return done
        info = self._client.publish(topic, payload, qos=1, retain=retain)
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._lose(f"publish: {paho.error_string(info.rc)}")
            done.set_exception(LinkLostError(self._lost.result()))
            return done
        self._unacknowledged[info.mid] = done
        return done

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
        """Once a second: keepalive, and a line that swallows everything is noticed."""
        if not self._lost.done():
            result = self._client.loop_misc()
            if result is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                self._lose(f"no answer to a ping: {paho.error_string(result)}")

    def close(self) -> None:
        """Say goodbye (the will is not sent) and let go of the socket."""
        if not self._lost.done() and self._connected.done():
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

    def _paho_connected(
        self,
        _client: Any,  # noqa: ANN401  # paho's
        _data: Any,  # noqa: ANN401  # paho's
        _flags: Any,  # noqa: ANN401  # paho's
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._answered = True
        if self._connected.done():
            return
        if reason.is_failure:
            kind = LinkLostError
            if self.version == 5 and reason.value == UNSUPPORTED_PROTOCOL:
                kind = ProtocolRefusedError
            self._connected.set_exception(kind(f"{self._where}: refused us: {reason}"))
            return
        self.receive_maximum = getattr(properties, "ReceiveMaximum", SERVER_RECEIVE_MAXIMUM)
        self._connected.set_result(None)

    def _paho_disconnected(self, *args: Any) -> None:  # noqa: ANN401  # paho's
        self._lose(f"the broker closed the connection: {args[3]}")

    def _paho_published(
        self,
        _client: Any,  # noqa: ANN401  # paho's
        _data: Any,  # noqa: ANN401  # paho's
        mid: int,
        reason: ReasonCode,
        _properties: Any,  # noqa: ANN401  # paho's
    ) -> None:
        done = self._unacknowledged.pop(mid, None)
        if done is None or done.done():
            return
        if reason.is_failure:
            done.set_exception(LinkLostError(f"{self._where}: refused a message: {reason}"))
        else:
            done.set_result(None)

    def _paho_subscribed(
        self,
        _client: Any,  # noqa: ANN401  # paho's
        _data: Any,  # noqa: ANN401  # paho's
        mid: int,
        reasons: list[ReasonCode],
        _properties: Any,  # noqa: ANN401  # paho's
    ) -> None:
        granted = self._subscribing.pop(mid, None)
        if granted is None or granted.done():
            return
        if any(reason.is_failure for reason in reasons):
            told = ", ".join(str(reason) for reason in reasons)
            what = f"{self._where}: may not subscribe: {told} (check the broker's ACL)"
            granted.set_exception(LinkLostError(what))
        else:
            granted.set_result(None)

    def _paho_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:  # noqa: ANN401  # paho's
        self._on_message(Incoming(message.topic, bytes(message.payload), message.retain))

    def _lose(self, why: str) -> None:
        """The end of this connection: everybody who waits is told."""
        if self._lost.done():
            return
        self._lost.set_result(f"{self._where}: {why}")
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()
            self._socket = None
        error = LinkLostError(self._lost.result())
        waiting = [*self._unacknowledged.values(), *self._subscribing.values(), self._connected]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits sees it; nobody else need be warned
        self._unacknowledged.clear()
        self._subscribing.clear()


def _tls_context(broker: Broker) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's name checked. Raises OSError for files that can't be used."""
    context = ssl.create_default_context(
        cafile=None if broker.ca_file is None else str(broker.ca_file)
    )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if broker.certificate_file is not None:
        context.load_cert_chain(broker.certificate_file, broker.key_file)
    return context


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
