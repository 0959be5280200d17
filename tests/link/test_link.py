"""The link against a real mosquitto: events out exactly once as the centre counts, in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatewayd.domain.events import AlarmRaised, DeviceOffline, Stream
from gatewayd.domain.model import AlarmKind
from gatewayd.link import mqtt
from gatewayd.link.session import LinkOptions, LinkState
from tests.link.box import Box, box
from tests.link.broker import Centre, Mosquitto, mosquitto
from tests.store.samples import closed, denied


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as started:
        yield started


@pytest.fixture
async def centre(broker: Mosquitto) -> AsyncIterator[Centre]:
    async with Centre(broker.port) as made:
        yield made


async def acknowledged(gate: Box, seq: int) -> None:
    """Wait for the centre's word to be kept."""
    async with asyncio.timeout(10):
        while gate.journal.acknowledged(Stream.EVENTS) < seq:
            await asyncio.sleep(0)  # the cursor is no event


async def test_events_go_out_in_order_and_are_released_by_the_centres_word(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        for n in range(50):
            await gate.journal.append(denied(n))
        await centre.until(lambda: any(e["seq"] >= 50 for e in centre.events))
        seqs = [e["seq"] for e in centre.events]
        assert sorted(set(seqs)) == list(range(1, max(seqs) + 1))
        assert seqs == sorted(seqs)
        for before, event in zip(centre.events, centre.events[1:], strict=False):
            assert event["prev"] == before["seq"]
            assert event["prev_hash"] == before["hash"]
        await acknowledged(gate, 50)


async def test_presence_tells_birth_and_an_orderly_end(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.seqs(1)
        assert gate.link.status.state is LinkState.ONLINE
        assert gate.link.status.protocol == 5
    await centre.until(lambda: len(centre.named("state")) == 2)
    birth, end = centre.named("state")
    assert (birth["state"], end["state"]) == ("online", "offline")
    assert birth["boot"] == end["boot"] == "boot-1"
    assert birth["whitelist_rev"] == 0
    assert len(birth["nonce"]) == 32


async def test_what_happened_without_a_line_is_sent_when_it_returns_alarms_first_in_their_stream(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    broker.kill()
    async with box(tmp_path, broker.port, centre.keys, options=LinkOptions(resend_s=0.5)) as gate:
        for n in range(120):
            await gate.journal.append(denied(n))
        await gate.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
        await gate.journal.wait_beyond(121)  # the outage is an event itself
        await broker.start()
        await centre.until(lambda: len({e["seq"] for e in centre.events}) >= 122)
        alarm = next(n for n, e in enumerate(centre.events) if e["stream"] == "alarm")
        assert alarm < 60
        events = [e["seq"] for e in centre.events if e["stream"] == "evt"]
        assert events == sorted(events)


async def test_a_broker_killed_with_events_it_acknowledged_costs_none(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    centre.acknowledging = False
    async with box(tmp_path, broker.port, centre.keys, options=LinkOptions(resend_s=0.5)) as gate:
        for n in range(40):
            await gate.journal.append(denied(n))
        await centre.seqs(40)
        broker.kill()
        centre.forget()
        centre.acknowledging = True
        await broker.start()
        await centre.until(lambda: {e["seq"] for e in centre.events} >= set(range(1, 41)))
        offline = await gate.journal.entries_after(0, 500, kinds=["device.offline"])
        assert any(isinstance(e.event, DeviceOffline) for e in offline)


async def test_a_lost_acknowledgement_means_sending_again(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    centre.acknowledging = False
    async with box(tmp_path, broker.port, centre.keys, options=LinkOptions(resend_s=0.2)) as gate:
        await gate.journal.append(closed())
        await centre.until(lambda: [e["seq"] for e in centre.events].count(1) >= 2)
        first, again = [e for e in centre.events if e["seq"] == 1][:2]
        assert first == again
        centre.acknowledging = True
        centre.acknowledge(centre.events[-1])


@pytest.mark.parametrize("changes", [{"epoch": "other"}, {"upto": 10_000}, {"v": 2}, {"upto": "x"}])
async def test_an_acknowledgement_that_is_not_ours_releases_nothing(
    tmp_path: Path, broker: Mosquitto, centre: Centre, changes: dict[str, object]
) -> None:
    centre.acknowledging = False
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await gate.journal.append(closed())
        await centre.seqs(1)
        centre.acknowledge(centre.events[0], **changes)
        centre.send("ack", b"{broken")
        centre.send("cmd", b"x" * (600 * 1024))
        await gate.journal.append(closed())
        await centre.until(lambda: len(centre.events) >= 3)
        assert gate.journal.acknowledged(Stream.EVENTS) == 0


async def test_a_restart_goes_on_from_the_last_acknowledgement(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await gate.journal.append(closed())
        await centre.until(lambda: len(centre.events) >= 2)
        await acknowledged(gate, 2)
    before = len(centre.events)
    async with box(tmp_path, broker.port, centre.keys) as gate:
        seq = await gate.journal.append(closed())
        await centre.until(lambda: centre.events[-1]["seq"] >= seq)
    assert min(e["seq"] for e in centre.events[before:]) == 3


async def test_a_line_that_swallows_everything_is_noticed(
    tmp_path: Path, broker: Mosquitto, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIM router that keeps the TCP connection and forwards nothing."""
    monkeypatch.setattr(mqtt, "MIN_KEEPALIVE_S", 1)
    swallowing = asyncio.Event()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            if not swallowing.is_set():
                writer.write(data)
        writer.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", broker.port)
        try:
            await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
        except OSError:
            pass
        finally:
            up_writer.close()
            writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with box(tmp_path, port, centre.keys, keepalive_s=1) as gate:
        await centre.until(lambda: centre.named("state"))
        swallowing.set()
        async with asyncio.timeout(20):
            seen = 0
            while not await gate.journal.entries_after(0, 9, kinds=["device.offline"]):
                seen = await gate.journal.wait_beyond(seen)
    server.close()
    await server.wait_closed()


async def test_a_broker_without_version_5_is_spoken_to_in_3_1_1(
    tmp_path: Path, broker: Mosquitto, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before mosquitto stands a gate that swallows a v5 CONNECT, as old brokers do."""
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.5)

    async def gate_of_old(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connect = await reader.read(4096)
        if b"MQTT\x05" in connect:
            await reader.read()
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", broker.port)
        up_writer.write(connect)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while data := await source.read(4096):
                sink.write(data)
            sink.close()

        try:
            await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))
        except OSError:
            pass
        finally:
            up_writer.close()
            writer.close()

    server = await asyncio.start_server(gate_of_old, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with box(tmp_path, port, centre.keys) as gate:
        await gate.journal.append(closed())
        await centre.seqs(1)
        assert gate.link.status.protocol == 4
    server.close()
    await server.wait_closed()


async def test_alarms_are_told_to_the_centre_on_their_own_topic(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await gate.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
        await centre.until(lambda: any(e["stream"] == "alarm" for e in centre.events))
        [alarm] = [e for e in centre.events if e["stream"] == "alarm"]
        assert alarm["kind"] == AlarmRaised.KIND
        assert alarm["data"]["alarm"] == "door_forced"
