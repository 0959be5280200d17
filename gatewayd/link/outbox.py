"""The outbox: a cursor over the journal for each stream, moved only by the centre's own word.

Owns what has been sent and not yet acknowledged. Keeps no copy of an event: after a restart or a
reconnect it reads the journal again from the last acknowledgement.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from gatewayd.domain.events import Stream
from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import Clock, JournalError
from gatewayd.link.contract import Ack, Topics
from gatewayd.link.mqtt import PUBACK_TIMEOUT_S, LinkLostError
from gatewayd.signed import to_json
from gatewayd.store.rows import OutboxRow

log = logging.getLogger(__name__)

BATCH = 100  # rows read from the journal at once
# Sent and not yet acknowledged by the centre; the broker holds them meanwhile. Never lower it: what
# an older version sent before a restart must fit, or the centre's word about it is never believed.
MAX_SENT = 1_000


class OutboxJournal(Protocol):
    """The journal, as far as the outbox needs it."""

    @property
    def epoch(self) -> str: ...

    @property
    def last_seq(self) -> int: ...

    async def wait_beyond(self, seq: int) -> int: ...

    async def outbox(self, stream: Stream, after: int, limit: int) -> list[OutboxRow]: ...

    def acknowledged(self, stream: Stream) -> int: ...

    async def acknowledge(self, stream: Stream, epoch: str, upto: int) -> bool: ...


class Line(Protocol):
    """An open connection, as far as the outbox needs it."""

    def publish(
        self, topic: str, payload: bytes, *, retain: bool = False
    ) -> asyncio.Future[None]: ...


def event_message(row: OutboxRow, gateway: str, epoch: str) -> bytes:
    """An event as it goes to the centre (docs/reference/mqtt.md, up/evt and up/alarm)."""
    stamp = row.stamp
    return to_json(
        {
            "gw": gateway,
            "stream": row.stream.value,
            "epoch": epoch,
            "seq": row.seq,
            "prev": row.prev,
            "kind": row.kind,
            "subject": row.subject,
            "stamp": {
                "boot": stamp.boot_id,
                "mono_ns": stamp.monotonic_ns,
                "wall_ms": stamp.wall_ms,
                "trusted": stamp.wall_trusted,
            },
            "data": row.data,
            "prev_hash": row.prev_hash,
            "hash": row.hash,
        }
    )


class StreamOutbox:
    """One stream over one connection. Made anew for each connection: nothing is carried over."""

    def __init__(
        self,
        stream: Stream,
        journal: OutboxJournal,
        topics: Topics,
        clock: Clock,
        window: int,
        resend_s: float,
    ) -> None:
        """`window` is how many publishes may wait for their PUBACK at once."""
        self._stream = stream
        self._journal = journal
        self._topics = topics
        self._clock = clock
        self._window = window
        self._resend_ns = round(resend_s * NS_PER_S)
        self._sent_upto = self._highest = journal.acknowledged(stream)
        self._owed: deque[int] = deque()  # seqs sent that the centre has not acknowledged
        self._progress_ns = clock.monotonic_ns()
        self._moved = asyncio.Event()
        self._flying: deque[asyncio.Future[None]] = deque()

    async def run(self, line: Line) -> None:
        """Send, for as long as the connection lasts. Raises LinkLostError, in an exception group,
        when it is gone, and JournalError when the journal can't be read."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._send(line), name=f"outbox {self._stream} send")
            group.create_task(self._watch(), name=f"outbox {self._stream} resend")

    async def _send(self, line: Line) -> None:
        while True:
            self._moved.clear()  # before reading: what moves from here on is news
            looked_upto = self._journal.last_seq
            rows = await self._journal.outbox(self._stream, self._sent_upto, BATCH)
            for row in rows:
                await self._room()
                if row.prev > self._sent_upto:
                    break  # the cursor was moved back meanwhile: read again from there
                self._send_row(line, row)
                await self._settle(self._window - 1)
            if not rows:
                await self._settle(0)
                await self._news(looked_upto)

    def _send_row(self, line: Line, row: OutboxRow) -> None:
        topic = self._topics.up(self._stream.value)
        message = event_message(row, self._topics.gateway, self._journal.epoch)
        self._flying.append(line.publish(topic, message))
        if not self._owed:
            self._progress_ns = self._clock.monotonic_ns()
        self._owed.append(row.seq)
        self._sent_upto = row.seq
        self._highest = max(self._highest, row.seq)

    async def _news(self, seq: int) -> None:
        """Returns when there may be more to read, or the cursor was moved back since then."""
        async with asyncio.TaskGroup() as group:
            grown = group.create_task(self._journal.wait_beyond(seq), name="outbox journal")
            moved = group.create_task(self._moved.wait(), name="outbox moved")
            await asyncio.wait((grown, moved), return_when=asyncio.FIRST_COMPLETED)
            grown.cancel()
            moved.cancel()

    async def _room(self) -> None:
        """Wait while the centre owes too many acknowledgements."""
        while len(self._owed) >= MAX_SENT:
            self._moved.clear()
            await self._moved.wait()

    async def _settle(self, at_most: int) -> None:
        """Wait until no more than so many publishes are without a PUBACK, in their order."""
        while len(self._flying) > at_most:
            try:
                async with asyncio.timeout(PUBACK_TIMEOUT_S):
                    await self._flying.popleft()
            except TimeoutError:
                raise LinkLostError(f"no PUBACK within {PUBACK_TIMEOUT_S:g} s") from None

    async def _watch(self) -> None:
        """Where the centre has made no progress for `resend_s`, send again from its last word."""
        while True:
            await self._clock.sleep_until(self._progress_ns + self._resend_ns)
            now_ns = self._clock.monotonic_ns()
            if now_ns < self._progress_ns + self._resend_ns:
                continue
            self._progress_ns = now_ns
            if self._owed:
                log.info("no acknowledgement of %s, sending again", self._stream)
                self._sent_upto = self._journal.acknowledged(self._stream)
                self._owed.clear()
                self._moved.set()

    def believes(self, ack: Ack) -> bool:
        """It is about this stream and epoch, news, and not beyond what was sent."""
        ours = (ack.stream, ack.epoch) == (self._stream.value, self._journal.epoch)
        return ours and self._journal.acknowledged(self._stream) < ack.upto <= self._highest

    async def acknowledge(self, ack: Ack) -> bool:
        """The centre's word, kept. False where it is not believed or can't be kept."""
        if not self.believes(ack):
            return False
        try:
            moved = await self._journal.acknowledge(self._stream, ack.epoch, ack.upto)
        except JournalError as error:
            log.error("an acknowledgement can't be kept, the events will be sent again: %s", error)
            return False
        if moved:
            self._progress_ns = self._clock.monotonic_ns()
            self._sent_upto = max(self._sent_upto, ack.upto)
            while self._owed and self._owed[0] <= ack.upto:
                self._owed.popleft()
            self._moved.set()
        return moved
