"""The outbox without a line: in order, within its windows, released by the centre's word alone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatewayd.domain.events import Stream
from gatewayd.domain.ports import JournalError
from gatewayd.link import outbox as module
from gatewayd.link.contract import Ack, Topics
from gatewayd.link.outbox import StreamOutbox
from tests.fakes import running
from tests.link.parts import Parts, parts
from tests.store.samples import denied


class HandLine:
    """A line whose PUBACKs the test gives."""

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.pubacks: list[asyncio.Future[None]] = []
        self.automatic = True
        self._sent = asyncio.Event()

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> asyncio.Future[None]:
        assert topic == "gw/v1/site/gate-1/up/evt"
        assert not retain
        self.seqs.append(json.loads(payload)["seq"])
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pubacks.append(done)
        if self.automatic:
            done.set_result(None)
        self._sent.set()
        return done

    async def until(self, count: int) -> list[int]:
        """What was sent, once it is so many."""
        async with asyncio.timeout(5):
            while len(self.seqs) < count:
                self._sent.clear()
                await self._sent.wait()
        return self.seqs

    def puback(self) -> None:
        for done in self.pubacks:
            if not done.done():
                done.set_result(None)


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        yield made


def outbox(gate: Parts, *, window: int = 20, journal: Any = None) -> StreamOutbox:
    return StreamOutbox(
        Stream.EVENTS, journal or gate.journal, Topics("site", "gate-1"), gate.clock, window, 10.0
    )


async def write(gate: Parts, count: int) -> None:
    for n in range(count):
        await gate.journal.append(denied(n))


def ack(gate: Parts, upto: int = 7, **changes: Any) -> Ack:
    whole = {"v": 1, "stream": "evt", "epoch": gate.journal.epoch, "upto": upto}
    return Ack.model_validate(whole | changes)


async def test_no_more_than_the_window_waits_for_a_puback(gate: Parts) -> None:
    await write(gate, 30)
    line = HandLine()
    line.automatic = False
    async with running(outbox(gate, window=5).run(line)):
        await line.until(5)
        await gate.clock.advance(1)
        assert line.seqs == [1, 2, 3, 4, 5]
        line.automatic = True
        line.puback()
        assert await line.until(30) == list(range(1, 31))


async def test_new_events_wake_it(gate: Parts) -> None:
    line = HandLine()
    async with running(outbox(gate).run(line)):
        for n in range(1, 4):
            await write(gate, 1)
            assert await line.until(n) == list(range(1, n + 1))


async def test_without_the_centres_word_all_is_sent_again_in_order(gate: Parts) -> None:
    await write(gate, 4)
    line, out = HandLine(), outbox(gate)
    async with running(out.run(line)):
        await line.until(4)
        assert await out.acknowledge(ack(gate, 2))
        await gate.clock.advance(9.9)
        assert len(line.seqs) == 4
        await gate.clock.advance(0.2)
        assert await line.until(6) == [1, 2, 3, 4, 3, 4]
        await gate.clock.advance(10)
        assert await line.until(8) == [1, 2, 3, 4, 3, 4, 3, 4]
        assert await out.acknowledge(ack(gate, 4))
        await gate.clock.advance(60)
        assert len(line.seqs) == 8


async def test_a_cursor_moved_back_while_pubacks_are_awaited_is_not_forgotten(gate: Parts) -> None:
    await write(gate, 3)
    line = HandLine()
    line.automatic = False
    async with running(outbox(gate).run(line)):
        await line.until(3)
        while gate.clock.sleepers < 1:  # the resend's task must be asleep
            await asyncio.sleep(0)
        await gate.clock.advance(11)  # no PUBACK yet: the sender waits for them
        line.automatic = True
        line.puback()
        assert await line.until(6) == [1, 2, 3, 1, 2, 3]


async def test_so_many_may_wait_for_the_centre_and_no_more(
    gate: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_SENT", 7)
    await write(gate, 20)
    line, out = HandLine(), outbox(gate)
    async with running(out.run(line)):
        await line.until(7)
        await gate.clock.advance(1)
        assert len(line.seqs) == 7
        assert await out.acknowledge(ack(gate, 3))
        assert await line.until(10) == list(range(1, 11))


@pytest.mark.parametrize(
    "changes", [{"epoch": "another"}, {"stream": "alarm"}, {"upto": 8}, {"upto": 20}, {"upto": 0}]
)
async def test_a_word_about_anything_else_releases_nothing(
    gate: Parts, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "MAX_SENT", 7)  # 8 to 20 are in the journal, and not yet sent
    await write(gate, 20)
    line, out = HandLine(), outbox(gate)
    async with running(out.run(line)):
        await line.until(7)
        assert not await out.acknowledge(ack(gate, **changes))
        assert gate.journal.acknowledged(Stream.EVENTS) == 0
        assert await out.acknowledge(ack(gate, 7))
        assert not await out.acknowledge(ack(gate, 7))
        assert not await out.acknowledge(ack(gate, 5))
        assert gate.journal.acknowledged(Stream.EVENTS) == 7


async def test_a_word_about_what_was_sent_before_the_cursor_moved_back_counts(gate: Parts) -> None:
    await write(gate, 3)
    line, out = HandLine(), outbox(gate)
    async with running(out.run(line)):
        await line.until(3)
        line.automatic = False
        await gate.clock.advance(10.1)
        assert await out.acknowledge(ack(gate, 3))
        line.puback()


async def test_a_word_that_cannot_be_kept_is_not_believed_yet(gate: Parts) -> None:
    class FullDisk:
        def __getattr__(self, name: str) -> Any:
            return getattr(gate.journal, name)

        async def acknowledge(self, *_: object) -> bool:
            raise JournalError("journal.db: disk full")

    await write(gate, 2)
    line, out = HandLine(), outbox(gate, journal=FullDisk())
    async with running(out.run(line)):
        await line.until(2)
        assert not await out.acknowledge(ack(gate, 2))
        await gate.clock.advance(10.1)
        assert await line.until(4) == [1, 2, 1, 2]


async def test_a_new_connection_starts_at_the_centres_last_word(gate: Parts) -> None:
    await write(gate, 5)
    line, out = HandLine(), outbox(gate)
    async with running(out.run(line)):
        await line.until(5)
        await out.acknowledge(ack(gate, 3))
    again = HandLine()
    async with running(outbox(gate).run(again)):
        assert await again.until(2) == [4, 5]
