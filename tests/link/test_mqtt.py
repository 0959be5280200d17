"""One connection: opened in time, honest about what the broker took, closed on every way out."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from gatewayd.link import mqtt
from gatewayd.link.mqtt import (
    Broker,
    Connection,
    Incoming,
    LinkLostError,
    ProtocolRefusedError,
    Will,
    connect,
)
from tests.link.broker import free_port, mosquitto
from tests.link.rogue import Rogue, serving

WILL = Will("gw/v1/site/gate-1/up/state", b"{}")
TOPICS = ["gw/v1/site/gate-1/dn/cmd"]


async def opened(
    port: int, version: int = 5, on_message: Callable[[Incoming], None] | None = None
) -> Connection:
    broker = Broker("127.0.0.1", port, "gate-1", tls=False)
    return await connect(broker, version, WILL, TOPICS, on_message or (lambda _message: None))


@asynccontextmanager
async def connected(rogue: Rogue, version: int = 5) -> AsyncIterator[Connection]:
    async with serving(rogue):
        connection = await opened(rogue.port, version)
        try:
            yield connection
        finally:
            connection.close()


# ------------------------------------------------------------------------------- opening


@pytest.mark.parametrize("version", [5, 4])
async def test_a_connection_is_subscribed_when_it_is_made_and_says_goodbye(
    tmp_path: Path, version: int
) -> None:
    came: asyncio.Queue[Incoming] = asyncio.Queue()
    async with mosquitto(tmp_path) as broker:
        connection = await opened(broker.port, version, came.put_nowait)
        await connection.delivered(TOPICS[0], b"to myself")
        async with asyncio.timeout(10):
            assert await came.get() == Incoming(TOPICS[0], b"to myself", retained=False)
        connection.close()
        connection.close()
        assert "closed by us" in await connection.lost()


async def test_nobody_at_the_port_is_a_lost_line_that_names_the_broker() -> None:
    with pytest.raises(LinkLostError, match=r"broker 127\.0\.0\.1:\d+: connect: .*refused"):
        await opened(free_port())


async def test_a_name_that_does_not_resolve_is_a_lost_line() -> None:
    broker = Broker("no-such-host.invalid", 1883, "gate-1", tls=False)
    with pytest.raises(LinkLostError, match=r"no-such-host\.invalid"):
        await connect(broker, 5, WILL, TOPICS, lambda _message: None)


async def test_a_host_that_never_answers_is_a_lost_line_and_no_reason_for_another_version(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full backlog: the SYN is dropped, as a firewall does."""
    monkeypatch.setattr(mqtt, "DIAL_TIMEOUT_S", 0.2)
    with closing(socket.socket()) as deaf, closing(socket.socket()) as filler:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        filler.setblocking(False)
        filler.connect_ex(deaf.getsockname())
        with pytest.raises(LinkLostError, match="does not answer") as caught:
            await opened(deaf.getsockname()[1])
    assert not isinstance(caught.value, ProtocolRefusedError)


@pytest.mark.parametrize(
    ("connack", "refused"),
    [
        (b"", ProtocolRefusedError),  # silence
        (None, ProtocolRefusedError),  # hangs up
        (b"\x00\x01", ProtocolRefusedError),  # 3.1.1's "unacceptable protocol version"
        (b"\x00\x84\x00", ProtocolRefusedError),
        (b"\x00", ProtocolRefusedError),  # no CONNACK that one can read
        (b"\x00\x86\x00", LinkLostError),  # bad user name or password
        (b"\x00\x87\x00", LinkLostError),  # not authorised
        (b"\x00\x88\x00", LinkLostError),  # server unavailable
    ],
)
async def test_what_refuses_version_5_is_told_apart_from_what_refuses_us(
    connack: bytes | None, refused: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mqtt, "CONNECT_TIMEOUT_S", 0.3)
    async with serving(Rogue(connack=connack)) as rogue:
        with pytest.raises(LinkLostError) as caught:
            await opened(rogue.port)
    assert type(caught.value) is refused
    assert rogue.versions == [5]


async def test_a_refusal_in_3_1_1_says_why() -> None:
    async with serving(Rogue(connack=b"\x00\x04")) as rogue:
        with pytest.raises(LinkLostError, match="Bad user name or password"):
            await opened(rogue.port, 4)


@pytest.mark.parametrize(("version", "granted"), [(5, 0x87), (4, 0x80)])
async def test_a_subscription_that_is_refused_is_an_error_that_names_the_acl(
    version: int, granted: int
) -> None:
    async with serving(Rogue(granted=granted)) as rogue:
        with pytest.raises(LinkLostError, match=r"may not subscribe.*ACL"):
            await opened(rogue.port, version)


async def test_giving_up_while_connecting_closes_the_socket() -> None:
    async with serving(Rogue(connack=b"")) as rogue:
        opening = asyncio.ensure_future(opened(rogue.port))
        async with asyncio.timeout(10), rogue.changed:
            await rogue.changed.wait_for(lambda: rogue.versions)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert rogue.writer is not None
        async with asyncio.timeout(10):
            await rogue.writer.wait_closed()


async def test_a_socket_that_opens_after_we_gave_up_is_closed() -> None:
    async with serving(Rogue()) as rogue:
        broker = Broker("127.0.0.1", rogue.port, "gate-1", tls=False)
        connection = Connection(broker, 5, WILL, lambda _message: None)
        connection.close()
        await asyncio.to_thread(connection._connect)
        sock = connection._client.socket()
        assert sock is None or sock.fileno() == -1
        async with asyncio.timeout(10):
            await rogue.ended.wait()  # it saw us come and go


# -------------------------------------------------------------------------------- sending


async def test_a_publish_is_done_by_the_brokers_puback_and_not_before() -> None:
    rogue = Rogue(withheld=1)
    async with connected(rogue) as connection, asyncio.timeout(10):
        sent = connection.publish("t", b"1")
        await rogue.until(1)
        assert not sent.done()
        rogue.release(1)
        await sent


async def test_the_brokers_receive_maximum_is_honoured() -> None:
    rogue = Rogue(properties=b"\x21\x00\x03", withheld=100)  # Receive Maximum 3
    async with connected(rogue) as connection, asyncio.timeout(10):
        assert connection.receive_maximum == 3
        sent = [connection.publish("t", b"%d" % n) for n in range(10)]
        await rogue.until(3)
        for released in range(1, 8):
            rogue.release(1)
            await rogue.until(3 + released)
        rogue.release(3)
        await asyncio.gather(*sent)
        assert (rogue.published, rogue.most_waiting) == (10, 3)


async def test_publishes_that_wait_without_end_end_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "MAX_HELD", 5)
    async with connected(Rogue(properties=b"\x21\x00\x01", withheld=100)) as connection:
        sent = [connection.publish("t", b"") for _ in range(7)]
        assert all(isinstance(one.exception(), LinkLostError) for one in sent)
        assert "wait for a PUBACK" in await connection.lost()


async def test_a_message_that_the_broker_refuses_is_an_error() -> None:
    async with connected(Rogue(puback_reason=b"\x87")) as connection:  # not authorised
        with pytest.raises(LinkLostError, match="refused a message: Not authorized"):
            await connection.delivered("t", b"")


async def test_a_puback_that_does_not_come_ends_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mqtt, "PUBACK_TIMEOUT_S", 0.1)
    async with connected(Rogue(withheld=9)) as connection:
        with pytest.raises(LinkLostError, match="no PUBACK"):
            await connection.delivered("t", b"")
        assert "no PUBACK" in await connection.lost()


async def test_a_broker_that_answers_pings_but_no_publish_is_noticed() -> None:
    rogue = Rogue(withheld=1)
    async with connected(rogue) as connection, asyncio.timeout(10):
        for n in range(3 * mqtt.PUBACK_TICKS):  # many, each answered before the next tick
            sent = connection.publish("t", b"")
            await rogue.until(n + 1)
            rogue.release(1)
            await sent
            connection.tick()
        stuck = connection.publish("t", b"")
        for _ in range(mqtt.PUBACK_TICKS):
            connection.tick()
            assert not stuck.done()
        connection.tick()
        assert isinstance(stuck.exception(), LinkLostError)


async def test_what_is_sent_after_the_end_fails_at_once() -> None:
    async with connected(Rogue()) as connection:
        connection.close()
        with pytest.raises(LinkLostError, match="closed by us"):
            await connection.publish("t", b"")
        connection.tick()


async def test_a_lost_connection_fails_what_was_not_acknowledged() -> None:
    rogue = Rogue(withheld=9, properties=b"\x21\x00\x01")
    async with connected(rogue) as connection, asyncio.timeout(10):
        sent = [connection.publish("t", b"") for _ in range(3)]
        await rogue.until(1)
        rogue.hang_up()
        await connection.lost()
        for one in sent:
            with pytest.raises(LinkLostError):
                await one


# ------------------------------------------------------------------------------- receiving


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x30\xff\xff\xff\x7f" + b"\x00" * 1000, "268435455 bytes"),
        (b"\x30\xff\xff\xff\xff\x7f", "Protocol error"),
        (b"\x30\x01\x00", "Protocol error"),
        (b"\x30\x04\x00\x02\xff\xff", "UTF-8"),
        (b"\xf0\x00", "Protocol error"),
        (b"\x00\x00", "Protocol error"),
    ],
)
async def test_bytes_that_are_no_mqtt_end_the_connection(raw: bytes, why: str) -> None:
    rogue = Rogue()
    async with connected(rogue, version=4) as connection, asyncio.timeout(10):
        rogue.send(raw)
        assert why in await connection.lost()


async def test_an_oversized_message_does_not_reach_us_over_version_5(tmp_path: Path) -> None:
    came: asyncio.Queue[Incoming] = asyncio.Queue()
    async with mosquitto(tmp_path) as broker:
        connection = await opened(broker.port, 5, came.put_nowait)
        await connection.delivered(TOPICS[0], b"x" * (mqtt.MAX_PACKET + 1))
        await connection.delivered(TOPICS[0], b"small")
        async with asyncio.timeout(10):
            assert (await came.get()).payload == b"small"
        connection.close()
