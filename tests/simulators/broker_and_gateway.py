"""A real mosquitto for one test, and a gateway of plain paho: what the centre talks to."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from simulators.broker import BrokerOptions, SimulatedBroker

T_WAIT_S = 10.0


@asynccontextmanager
async def running_broker(folder: Path, way: str = "mosquitto") -> AsyncIterator[SimulatedBroker]:
    options = BrokerOptions(folder / "broker", folder / "cache", way=way)
    async with SimulatedBroker(options) as broker:
        yield broker


class PlainGateway:
    """Speaks for `gate-1` from docs/reference/mqtt.md. `got` holds (topic's end, message)."""

    def __init__(self, user: str = "gate-1") -> None:
        self.got: asyncio.Queue[tuple[str, dict[str, Any], bool]] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._subscribed = asyncio.Event()
        self.client = Client(CallbackAPIVersion.VERSION2, client_id=user, clean_session=True)
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe

    def _on_subscribe(self, _c: Client, _u: object, _m: int, _r: object, _p: object) -> None:
        self._loop.call_soon_threadsafe(self._subscribed.set)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if message.payload:
            what = message.topic.rpartition("/")[2]
            told = (what, json.loads(message.payload), message.retain)
            self._loop.call_soon_threadsafe(self.got.put_nowait, told)

    def send(self, what: str, message: dict[str, Any], *, retain: bool = False) -> None:
        payload = json.dumps({"v": 1, "gw": "gate-1", **message})
        self.client.publish(f"gw/v1/demo/gate-1/up/{what}", payload, qos=1, retain=retain)

    def online(self, nonce: str = "n-1", boot: str = "b-1") -> None:
        self.send("state", {"state": "online", "boot": boot, "epoch": "e1", "nonce": nonce})

    async def next(self, what: str) -> dict[str, Any]:
        """The next message on `dn/{what}`; others are passed over."""
        async with asyncio.timeout(T_WAIT_S):
            while True:
                found, message, _ = await self.got.get()
                if found == what:
                    return message

    async def connect(self, broker: SimulatedBroker, password: str) -> None:
        self.client.username_pw_set("gate-1", password)
        await asyncio.to_thread(self.client.connect, broker.host, broker.port)
        self.client.loop_start()
        self.client.subscribe("gw/v1/demo/gate-1/dn/#", qos=1)
        async with asyncio.timeout(T_WAIT_S):
            await self._subscribed.wait()

    async def leave(self) -> None:
        self.client.disconnect()
        await asyncio.to_thread(self.client.loop_stop)


@asynccontextmanager
async def plain_gateway(broker: SimulatedBroker) -> AsyncIterator[PlainGateway]:
    gateway = PlainGateway()
    file = broker.ready()["passwords"]["gate-1"]
    await gateway.connect(broker, await asyncio.to_thread(Path(file).read_text))
    try:
        yield gateway
    finally:
        await gateway.leave()


def body_of(envelope: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(base64.b64decode(envelope["body"]))
    return body
