"""The simulated centre's connection to the broker. Owns the MQTT client, its session and its
reconnects; must not know what the messages mean.

Works over MQTT 5 and 3.1.1 with a persistent session: what gateways send while the centre is away
waits at the broker. (It may be lost there all the same: only the centre's own acknowledgement lets
a gateway forget.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

log = logging.getLogger(__name__)

T_CONNECT_S = 5.0  # a refused MQTT 5 CONNECT may simply never be answered
MAX_BACKOFF_S = 5.0
SESSION_EXPIRY_S = 7 * 86_400
V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
ORDER = {"auto": (V5, V311), "5": (V5,), "3.1.1": (V311,)}


@dataclass(frozen=True, slots=True)
class Address:
    """The broker, and who the centre is there. `protocol`: auto, 5 or 3.1.1."""

    host: str
    port: int
    username: str = ""
    password: str = field(default="", repr=False)
    client_id: str = "centre"
    protocol: str = "auto"


class Line:
    """`await line.run()` keeps connected until cancelled. Callbacks come on the loop's thread."""

    def __init__(
        self,
        address: Address,
        topic: str,
        received: Callable[[str, bytes, bool], None],
        connected: Callable[[], None],
    ) -> None:
        self._address = address
        self._topic = topic
        self._received = received  # topic, payload, retained
        self._connected = connected
        self.up = asyncio.Event()  # connected and subscribed
        self._standing: _Connection | None = None
        self._speaks: MQTTProtocolVersion | None = None

    @property
    def protocol(self) -> str:
        """What the broker was last spoken to in, "" before that."""
        return {None: "", V5: "5", V311: "3.1.1"}.get(self._speaks, "")

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> bool:
        """QoS 1; False without a connection: all that the centre sends can be asked again."""
        if self._standing is None:
            return False
        self._standing.client.publish(topic, payload, qos=1, retain=retain)
        return True

    async def run(self) -> None:
        """Connect, serve, connect again with a growing pause, for ever."""
        pause_s = 0.1
        while True:
            for protocol in (self._speaks,) if self._speaks else ORDER[self._address.protocol]:
                if await self._serve(protocol):
                    pause_s = 0.1
                    break
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, MAX_BACKOFF_S)

    async def _serve(self, protocol: MQTTProtocolVersion) -> bool:
        """One connection from beginning to end; whether it ever stood."""
        connection = _Connection(self._address, protocol, self._received)
        try:
            async with asyncio.timeout(T_CONNECT_S):
                await asyncio.to_thread(connection.open)
                refusal = await connection.stands(self._topic)
            if refusal is not None:
                log.warning("the broker refuses the centre: %s", refusal)
                return False
            self._standing, self._speaks = connection, protocol
            self.up.set()
            self._connected()
            await connection.lost.wait()
        except (OSError, TimeoutError) as error:
            log.warning("the broker does not answer: %s", str(error) or "no CONNACK")
            return False
        finally:
            self.up.clear()
            self._standing = None
            connection.client.disconnect()
            await asyncio.to_thread(connection.client.loop_stop)
        return True


class _Connection:
    """One client object for one connection, so that nothing of an earlier one is left in paho."""

    def __init__(
        self,
        address: Address,
        protocol: MQTTProtocolVersion,
        received: Callable[[str, bytes, bool], None],
    ) -> None:
        self._address = address
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._answered = asyncio.Event()
        self.lost = asyncio.Event()
        self._subscribed = asyncio.Event()
        self._refusal: str | None = "the connection was closed"
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=address.client_id,
            clean_session=None if protocol is V5 else False,
            protocol=protocol,
            reconnect_on_failure=False,
        )
        if address.username:
            self.client.username_pw_set(address.username, address.password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe

    def open(self) -> None:
        """Connect and start paho's thread. Raises OSError. Blocks: call it in a thread."""
        address = self._address
        if self.client.protocol is V5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
            properties.SessionExpiryInterval = SESSION_EXPIRY_S
            self.client.connect(
                address.host, address.port, keepalive=20, clean_start=False, properties=properties
            )
        else:
            self.client.connect(address.host, address.port, keepalive=20)
        self.client.loop_start()

    async def stands(self, topic: str) -> str | None:
        """Wait for the broker's word and subscribe; why it refuses, None where all is well."""
        await self._answered.wait()
        if self._refusal is None:
            self.client.subscribe(topic, qos=1)
            await self._subscribed.wait()
        return self._refusal

    # paho calls these on its own thread: they cross over to the loop's.

    def _on_connect(self, _c: Client, _u: object, _f: object, code: Any, _p: object) -> None:  # noqa: ANN401  # paho's reason code
        self._refusal = str(code) if code.is_failure else None
        self._loop.call_soon_threadsafe(self._answered.set)

    def _on_disconnect(self, _c: Client, _u: object, _f: object, _r: object, _p: object) -> None:
        for event in (self._answered, self._subscribed, self.lost):
            self._loop.call_soon_threadsafe(event.set)

    def _on_subscribe(self, _c: Client, _u: object, _m: int, codes: Any, _p: object) -> None:  # noqa: ANN401  # paho's reason codes
        self._refusal = next((str(code) for code in codes if code.is_failure), None)
        self._loop.call_soon_threadsafe(self._subscribed.set)

    def _on_message(self, _c: Client, _u: object, got: MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._received, got.topic, bytes(got.payload), got.retain)
