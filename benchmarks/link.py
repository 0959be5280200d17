"""Journal to the centre's acknowledgement through a real mosquitto, beside bare paho with the same
window and the same bytes.

The centre is a process of its own, as in life: it reads each event and acknowledges cumulatively,
every hundred events or at the end. The floor publishes the same payloads with as many unanswered
PUBACKs at once, from paho's own thread, to the same broker with the same subscriber.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import closing
from multiprocessing.synchronize import Event as ProcessEvent
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.journal import sample_event
from benchmarks.table import Row
from gatewayd.clock import SystemClock
from gatewayd.domain.events import Stream
from gatewayd.link.contract import Ack, Topics
from gatewayd.link.mqtt import Broker, Connection, Incoming, Will, connect
from gatewayd.link.outbox import StreamOutbox
from gatewayd.signed import parse
from gatewayd.store.journal import JournalStore

GOAL = 0.6
WINDOW = 20
EVENTS = 10_000
TOPICS = Topics("bench", "gate-1")
HOST = "127.0.0.1"


async def run(scale: float = 1.0) -> list[Row]:
    """`scale` shrinks the number of events."""
    count = max(200, int(EVENTS * scale))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        port = _free_port()
        broker = _start_broker(folder, port)
        try:
            ours = await _ours(folder, port, count)
            floor = await asyncio.to_thread(_bare, port, count)
        finally:
            broker.kill()
            broker.wait()
    ratio = ours / floor
    name = f"journal to the centre's acknowledgement, window {WINDOW}"
    return [Row(name, ours, "events/s", floor, ratio, f"ratio ≥ {GOAL}", ratio >= GOAL)]


async def _ours(folder: Path, port: int, count: int) -> float:
    """Events a second from a backlog of `count` to the last acknowledgement kept."""
    clock = SystemClock()
    store = await JournalStore.open(folder / "journal.db", clock, secret=b"s" * 32)
    async with store.running():
        for start in range(0, count, 500):
            await asyncio.gather(*(store.append(sample_event(start + n)) for n in range(500)))
        with _centre(port, count):
            outbox = StreamOutbox(Stream.EVENTS, store, TOPICS, clock, WINDOW, 60.0)
            acks: asyncio.Queue[bytes] = asyncio.Queue()
            line = await _connect(port, acks)
            begun = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                sending = group.create_task(outbox.run(line), name="outbox")
                while store.acknowledged(Stream.EVENTS) < count:
                    ack = parse(Ack, await acks.get())
                    assert isinstance(ack, Ack)
                    await outbox.acknowledge(ack)
                seconds = time.perf_counter() - begun
                sending.cancel()
            line.close()
    return count / seconds


async def _connect(port: int, acks: asyncio.Queue[bytes]) -> Connection:
    def took(message: Incoming) -> None:
        acks.put_nowait(message.payload)

    broker = Broker(HOST, port, "gate-1", tls=False)
    will = Will(TOPICS.up("state"), b"{}")
    return await connect(broker, 5, will, [TOPICS.down("ack")], took)


# ------------------------------------------------------------------------------ the floor


def _bare(port: int, count: int) -> float:
    """Publishes a second, each with its PUBACK, `WINDOW` of them unanswered at most."""
    payload = json.dumps({"data": "x" * 1_200}).encode()
    room, done = threading.Semaphore(WINDOW), threading.Event()
    left = [count]
    client = paho.Client(CallbackAPIVersion.VERSION2, "bare", protocol=paho.MQTTv5)

    def acknowledged(*_: object) -> None:
        room.release()
        left[0] -= 1
        if left[0] == 0:
            done.set()

    client.on_publish = acknowledged
    client.max_inflight_messages_set(WINDOW)
    client.connect(HOST, port)
    client.loop_start()
    with _centre(port, count):
        begun = time.perf_counter()
        for _ in range(count):
            room.acquire()
            client.publish(TOPICS.up("evt"), payload, qos=1)
        done.wait(120)
        seconds = time.perf_counter() - begun
    client.disconnect()
    client.loop_stop()
    return count / seconds


# ----------------------------------------------------------------------------- the centre


class _centre:  # noqa: N801  # used as a context manager
    """A process that reads events and acknowledges; ready when the block begins."""

    def __init__(self, port: int, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ready, self._stop = context.Event(), context.Event()
        arguments = (port, count, self._ready, self._stop)
        self._process = context.Process(target=_acknowledge, args=arguments, daemon=True)

    def __enter__(self) -> None:
        self._process.start()
        assert self._ready.wait(30)

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._process.join(10)


def _acknowledge(port: int, count: int, ready: ProcessEvent, stop: ProcessEvent) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2, "centre", protocol=paho.MQTTv311)
    seen = [0]

    def took(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        event = json.loads(message.payload)
        seen[0] += 1
        if "seq" in event and (seen[0] % 100 == 0 or event["seq"] >= count):
            ack = {"v": 1, "stream": "evt", "epoch": event["epoch"], "upto": event["seq"]}
            client.publish(TOPICS.down("ack"), json.dumps(ack), qos=1)

    client.on_message = took
    client.on_subscribe = lambda *_: ready.set()
    client.connect(HOST, port)
    client.loop_start()
    client.subscribe(TOPICS.up("evt"), 1)
    stop.wait(180)
    client.disconnect()
    client.loop_stop()


def _free_port() -> int:
    with closing(socket.socket()) as sock:
        sock.bind((HOST, 0))
        return int(sock.getsockname()[1])


def _start_broker(folder: Path, port: int) -> subprocess.Popen[bytes]:
    config = folder / "mosquitto.conf"
    lines = [f"listener {port} {HOST}", "allow_anonymous true", "max_queued_messages 0"]
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    process = subprocess.Popen(
        [program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    for _ in range(200):
        try:
            socket.create_connection((HOST, port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            break
    return process
