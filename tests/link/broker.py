"""A real mosquitto on a free port, and a small centre on plain paho. Each test has its own."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion

from gatewayd.link.contract import COMMAND_DOMAIN, DESIRED_DOMAIN
from gatewayd.signed import WHITELIST_DOMAIN, CentralKeys

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin") or "mosquitto"


def free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Mosquitto:
    """Start, kill -9 and start again on the same port."""

    def __init__(self, folder: Path, *more: str, anonymous: bool = True) -> None:
        self.port = free_port()
        self._config = folder / "mosquitto.conf"
        allowed = f"allow_anonymous {'true' if anonymous else 'false'}"
        lines = ["user root", f"listener {self.port} 127.0.0.1", allowed, *more]
        self._config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: ASYNC220  # its end is awaited by kill
            [MOSQUITTO, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0)
                    continue
                writer.close()
                await writer.wait_closed()
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


class Centre:
    """Notes all that comes up; acknowledges events unless told not to; signs what goes down."""

    def __init__(self, port: int) -> None:
        self.events: list[dict[str, Any]] = []
        self.other: list[tuple[str, dict[str, Any]]] = []
        self.acknowledging = True
        self._committed: dict[str, int] = {}  # by stream: all up to here are in `events`
        self.key = Ed25519PrivateKey.generate()
        self._port = port
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Condition()
        self._client: paho.Client | None = None

    @property
    def keys(self) -> CentralKeys:
        return CentralKeys.from_json(self.key_file(), "keys.json")

    def key_file(self, *roles: str) -> bytes:
        raw = self.key.public_key().public_bytes_raw()
        public = base64.b64encode(raw).decode()
        key = {"kid": "centre", "public_key": public}
        return json.dumps(
            {"keys": [key | {"roles": list(roles) or ["whitelist", "command", "desired"]}]}
        ).encode()

    async def __aenter__(self) -> Centre:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, "centre", protocol=paho.MQTTv311, clean_session=False
        )
        ready: asyncio.Future[None] = self._loop.create_future()
        client.on_connect = lambda c, *_: c.subscribe("gw/v1/+/+/up/#", 1)

        def subscribed(*_: Any) -> None:
            self._loop.call_soon_threadsafe(_done, ready)

        def took(_client: Any, _data: Any, m: paho.MQTTMessage) -> None:
            self._loop.call_soon_threadsafe(self._took, m.topic, bytes(m.payload), m.retain)

        client.on_subscribe = subscribed
        client.on_message = took
        await asyncio.to_thread(client.connect, "127.0.0.1", self._port)
        client.reconnect_delay_set(1, 1)
        client.loop_start()
        self._client = client
        async with asyncio.timeout(10):
            await ready
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._client is not None
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _took(self, topic: str, payload: bytes, retained: bool) -> None:
        message = json.loads(payload)
        name = topic.rsplit("/", 1)[1]
        if name in {"evt", "alarm"}:
            self.events.append(message)
            self._commit(message)
        else:
            self.other.append((name, message | {"retained": retained}))
        self._loop.create_task(self._notify(), name="centre notify")

    def _commit(self, event: dict[str, Any]) -> None:
        """Acknowledge what is here without a hole: an event after a hole is not."""
        stream = event["stream"]
        held = self._committed.get(stream, 0)
        if event["prev"] > held:
            return
        self._committed[stream] = max(held, event["seq"])
        if self.acknowledging:
            self.acknowledge(event, upto=self._committed[stream])

    def forget(self) -> None:
        """Lose everything, as a centre whose database was not durable."""
        self.events.clear()
        self._committed.clear()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    def acknowledge(self, event: dict[str, Any], **changes: Any) -> None:
        ack = {"stream": event["stream"], "epoch": event["epoch"], "upto": event["seq"]} | changes
        self.send("ack", {"v": 1, **ack})

    def send(self, name: str, message: Any, *, retain: bool = False) -> paho.MQTTMessageInfo:
        payload = message if isinstance(message, bytes) else json.dumps(message).encode()
        assert self._client is not None
        return self._client.publish(f"gw/v1/site/gate-1/dn/{name}", payload, qos=1, retain=retain)

    async def keep(self, name: str, message: Any) -> None:
        """Send it retained, and wait until the broker keeps it."""
        await asyncio.to_thread(self.send(name, message, retain=True).wait_for_publish, 10)

    def sign(self, domain: bytes, body: dict[str, Any], **changes: Any) -> dict[str, Any]:
        raw = json.dumps({"v": 1, **body}).encode()
        signature = base64.b64encode(self.key.sign(domain + raw)).decode()
        return {
            "v": 1, "kid": "centre", "sig": signature, "body": base64.b64encode(raw).decode(),
        } | changes  # fmt: skip

    def command(self, **body: Any) -> dict[str, Any]:
        return self.sign(COMMAND_DOMAIN, body)

    def desired(self, **body: Any) -> dict[str, Any]:
        return self.sign(DESIRED_DOMAIN, {"aud": "gate-1", **body})

    def manifest(
        self, rev: int, chunks: list[bytes], base: int | None = None, **changes: Any
    ) -> Any:
        body = {
            "aud": "gate-1", "rev": rev, "base": base, "records": 0, "credentials": 0,
            "bytes": sum(map(len, chunks)),
            "chunks": [sha256(c).hexdigest() for c in chunks],
            "content_sha256": sha256(b"".join(chunks)).hexdigest(),
        } | changes  # fmt: skip
        return self.sign(WHITELIST_DOMAIN, body, type="manifest")

    def chunk(self, rev: int, index: int, raw: bytes, base: int | None = None) -> dict[str, Any]:
        data = base64.b64encode(raw).decode()
        return {"v": 1, "type": "chunk", "rev": rev, "base": base, "index": index, "data": data}

    async def until(self, done: Any) -> None:
        """Wait until `done()` is true, looked at after each message."""
        async with asyncio.timeout(15), self._changed:
            await self._changed.wait_for(done)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [message for topic, message in self.other if topic == name]

    async def seqs(self, count: int) -> list[int]:
        """The distinct seqs, once there are so many."""
        await self.until(lambda: len({e["seq"] for e in self.events}) >= count)
        return [e["seq"] for e in self.events]


def _done(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


@asynccontextmanager
async def mosquitto(folder: Path, *more: str, anonymous: bool = True) -> AsyncIterator[Mosquitto]:
    broker = Mosquitto(folder, *more, anonymous=anonymous)
    await broker.start()
    try:
        yield broker
    finally:
        broker.kill()
