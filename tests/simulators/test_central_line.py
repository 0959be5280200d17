"""The simulated centre's connection: fall-back, refusals, a broker that goes and comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from simulators import central_line
from simulators.broker import SimulatedBroker
from simulators.central import CentralOptions, SimulatedCentral
from simulators.central_line import Address
from tests.simulators.broker_and_gateway import T_WAIT_S, plain_gateway, running_broker
from tests.simulators.test_central import acked_upto, address, send_events, until_connected
from tests.simulators.test_central_store import chained

MQTT_5 = 5  # the CONNECT's ninth byte names the protocol's level


class Gate:
    """A TCP way to the broker that can be cut, and that may swallow a v5 CONNECT."""

    def __init__(self, broker: SimulatedBroker, *, swallow_v5: bool) -> None:
        self._broker = broker
        self._swallow_v5 = swallow_v5
        self._writers: set[asyncio.StreamWriter] = set()
        self.connects: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            first = await reader.readexactly(9)
            self.connects.append(first[8])
            if first[8] == MQTT_5 and self._swallow_v5:
                await reader.read()
            else:
                await self._through(first, reader, writer)
        writer.close()

    async def _through(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        back, to = await asyncio.open_connection(self._broker.host, self._broker.port)
        to.write(first)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pump(reader, to), name="to the broker")
            both.create_task(self._pump(back, writer), name="from the broker")

    async def _pump(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(65_536):
                to.write(data)
        to.close()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def gated(
    broker: SimulatedBroker, *, swallow_v5: bool = False
) -> AsyncIterator[tuple[Gate, Address]]:
    gate = Gate(broker, swallow_v5=swallow_v5)
    server = await asyncio.start_server(gate.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield gate, replace(address(broker), port=port)
    finally:
        server.close()
        gate.cut()


async def test_a_broker_that_never_answers_mqtt_5_is_spoken_to_in_3_1_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(central_line, "T_CONNECT_S", 0.5)
    async with running_broker(tmp_path) as broker, gated(broker, swallow_v5=True) as (gate, way):
        async with SimulatedCentral(CentralOptions(tmp_path / "c", way)) as central:
            await until_connected(central)
            assert central.line.protocol == "3.1.1"
        assert gate.connects[:2] == [5, 4]


async def test_after_a_cut_the_line_comes_back_and_nothing_is_lost(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as broker, gated(broker) as (gate, way):
        options = CentralOptions(tmp_path / "c", way)
        async with SimulatedCentral(options) as central, plain_gateway(broker) as gateway:
            await until_connected(central)
            gate.cut()
            send_events(gateway, chained(2))
            await acked_upto(gateway, 2)
            assert gate.connects == [5, 5]  # it does not try 3.1.1 once 5 is known to work


async def test_a_refused_centre_says_so_and_tries_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_broker(tmp_path) as broker:
        wrong = replace(address(broker), password="guess")
        async with SimulatedCentral(CentralOptions(tmp_path / "c", wrong)) as central:
            async with asyncio.timeout(T_WAIT_S):
                while "refuses the centre" not in caplog.text:
                    await asyncio.sleep(0)
            assert not central.line.publish("gw/v1/demo/gate-1/dn/ack", b"{}")
    assert "guess" not in caplog.text


async def test_without_a_broker_the_centre_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = Address("127.0.0.1", 1)
    async with SimulatedCentral(CentralOptions(tmp_path / "c", nowhere)) as central:
        async with asyncio.timeout(T_WAIT_S):
            while "does not answer" not in caplog.text:
                await asyncio.sleep(0)
        assert central.line.protocol == ""


async def test_what_can_not_be_kept_is_not_acknowledged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_broker(tmp_path) as broker, plain_gateway(broker) as gateway:
        options = CentralOptions(tmp_path / "c", address(broker))
        async with SimulatedCentral(options) as central:
            await until_connected(central)
            central._db.execute("CREATE TRIGGER full BEFORE INSERT ON event"
                                " BEGIN SELECT RAISE (ABORT, 'disk is full'); END")  # fmt: skip
            send_events(gateway, chained(1))
            async with asyncio.timeout(T_WAIT_S):
                while "disk is full" not in caplog.text:
                    await asyncio.sleep(0)
            central._db.execute("DROP TRIGGER full")
            assert gateway.got.empty()
            send_events(gateway, chained(1))  # as a gateway does after its time-out
            await acked_upto(gateway, 1)
