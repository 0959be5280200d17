"""The journal: append-only, hash-chained, durable before `append` returns. Owns the only writer.

Events that wait at the same time are committed together (group commit), in the order in which they
were appended; each caller learns the fate of its own. Must not decide what is recorded.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import aiosqlite

from gatewayd.domain.events import CredentialRef, Event, Stream, stream_of
from gatewayd.domain.model import Credential, Stamp
from gatewayd.domain.ports import Clock, JournalError
from gatewayd.store import sqlite
from gatewayd.store.chain import Row, first_hash, row_hash
from gatewayd.store.codec import encode_text
from gatewayd.store.digest import digest_of
from gatewayd.store.journal_reader import COLUMNS, LAST_OF, JournalReader
from gatewayd.store.projections import Statement, statements

log = logging.getLogger(__name__)

MAX_WAITING = 5_000  # appends not yet durable; past it a caller is refused at once
MAX_BATCH = 500  # in one commit: 100 a commit already reach 70k rows a second
TAIL_ROWS = 1_000  # checked at the start: milliseconds, and where a torn write would show
_INSERT = "INSERT INTO event VALUES "
_MARKS = "(?,?,?,?,?,?,?,?,?,?,?)"


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: Event
    stamp: Stamp
    data: str
    durable: asyncio.Future[int]


@dataclass(frozen=True, slots=True)
class _Tail:
    """Where the next row goes on from. Replaced as a whole, and only after a commit."""

    seq: int
    hash: bytes
    last_of: dict[str, int]


class JournalStore(JournalReader):
    """Implements `gatewayd.domain.ports.Journal`; made by `open`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        secret: bytes,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
    ) -> None:
        super().__init__(path, reader)
        self._clock = clock
        self._secret = secret
        self._writer = writer
        self._tail = _Tail(0, b"", {})
        self._acknowledged: dict[Stream, int] = {}
        self._waiting: list[_Waiting] = []  # handed over, not yet taken by the writer
        self._some, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._acknowledging = asyncio.Lock()
        self._writing = asyncio.Lock()
        self._grown = asyncio.Event()

    # ------------------------------------------------------------------- opening and closing

    @classmethod
    async def open(cls, path: Path, clock: Clock, *, secret: bytes) -> JournalStore:
        """Open or make the journal at `path`, migrate it and check its tail.

        `secret` keys the digests of credentials. Raises JournalError naming the file and what to
        do where it is damaged, locked, of a newer version, or its last rows don't verify.
        """
        try:
            writer = await sqlite.connect(path, "journal")
        except sqlite3.Error as error:
            raise JournalError(sqlite.explain(path, "open", error)) from error
        except OSError as error:
            raise JournalError(f"journal: {error}") from error
        reader = await aiosqlite.connect(path)
        store = cls(path, clock, secret, writer, reader)
        try:
            await reader.executescript(sqlite.pragmas() + "PRAGMA query_only=ON;")
            await store._load()
        except sqlite3.Error as error:
            await store.close()
            raise JournalError(sqlite.explain(path, "open", error)) from error
        except BaseException:
            await store.close()
            raise
        return store

    async def _load(self) -> None:
        [(epoch,)] = await self._read("SELECT epoch FROM journal")
        self._epoch = str(epoch)
        await self._read_tail()
        rows = await self._read("SELECT stream, upto FROM outbox")
        self._acknowledged = {Stream(stream): upto for stream, upto in rows}

    async def _read_tail(self) -> None:
        """The last rows, verified; what they end with is where the writer goes on."""
        sql = f"SELECT {COLUMNS} FROM event ORDER BY seq DESC LIMIT ?"  # noqa: S608  # constant
        rows = list(reversed(await self._read(sql, TAIL_ROWS + 1)))
        whole = len(rows) <= TAIL_ROWS
        before = first_hash(self._epoch) if whole else rows[0][-1]
        for row in rows if whole else rows[1:]:
            before = row_hash(before, self._epoch, Row(*row[:-1]))
            if before != row[-1]:
                raise JournalError(
                    f"{self._path}: row {row[0]} does not verify: it was changed, or a row before "
                    "it is missing (keep the file as evidence; run: gatewayd verify)"
                )
        last_of = {}
        for stream in Stream:
            found = await self._read(LAST_OF[stream])
            last_of[stream.value] = found[0][0] if found else 0
        self._tail = _Tail(rows[-1][0] if rows else 0, before, last_of)

    async def close(self) -> None:
        """Close the file; what still waits is refused."""
        _refuse(self._take(), JournalError(f"{self._path}: append: the journal was closed"))
        self._idle.set()
        await self._reader.close()
        await self._writer.close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[JournalStore]:
        """The writer for as long as the block lasts; closes the file after it."""
        try:
            async with asyncio.TaskGroup() as group:
                writer = group.create_task(self.run(), name="journal writer")
                try:
                    yield self
                finally:
                    writer.cancel()
        finally:
            await self.close()

    # ------------------------------------------------------------------------------- writing

    @property
    def last_seq(self) -> int:
        """The seq of the last durable event; 0 while there is none."""
        return self._tail.seq

    async def append(self, event: Event, stamp: Stamp | None = None) -> int:
        """The event's seq, once it is on disk. Raises JournalError where that can't be, and
        ValueError for an event whose values are not of its fields' types.

        A caller that is cancelled while it waits has still handed the event over.
        """
        if len(self._waiting) >= MAX_WAITING:
            raise JournalError(
                f"{self._path}: append: {MAX_WAITING} events wait for the disk already"
            )
        durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(event, stamp or self._clock.now(), encode_text(event), durable)
        self._waiting.append(waiting)
        self._some.set()
        self._idle.clear()
        return await durable

    async def run(self) -> None:
        """Write what is appended, for ever. Cancelled in a commit, it refuses that batch: nobody
        is told "durable" who is not. `flushed` first makes an orderly end."""
        while True:
            await self._some.wait()
            batch = self._take(MAX_BATCH)
            try:
                async with self._writing:
                    await self._commit(batch)
            except asyncio.CancelledError:
                _refuse(batch, JournalError(f"{self._path}: append: the journal is being closed"))
                raise
            if not self._waiting:
                self._idle.set()

    def _take(self, most: int = MAX_WAITING) -> list[_Waiting]:
        """The first of what waits, in the order in which it was handed over."""
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        if not self._waiting:
            self._some.clear()
        return taken

    async def flushed(self) -> None:
        """Returns when all that was handed over has been written or refused."""
        await self._idle.wait()

    async def _commit(self, batch: list[_Waiting]) -> None:
        """One transaction; where it fails, a batch of several is tried one by one, so that an
        event that can't be written (a command id used twice) spoils no other."""
        try:
            tail = await self._write(batch)
        except sqlite3.Error as error:
            await self._after_failure()
            if len(batch) > 1 and isinstance(error, sqlite3.IntegrityError):
                for waiting in batch:
                    await self._commit([waiting])
                return
            _refuse(batch, JournalError(sqlite.explain(self._path, "append", error)))
            return
        first = self._tail.seq + 1
        self._tail = tail
        for seq, waiting in enumerate(batch, first):
            if not waiting.durable.done():
                waiting.durable.set_result(seq)
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    async def _write(self, batch: list[_Waiting]) -> _Tail:
        tail, rows, derived = self._chain(batch)
        if not derived:  # one statement is one transaction, and one trip to the thread
            values = [value for row in rows for value in row]
            await self._writer.execute(_INSERT + ",".join([_MARKS] * len(rows)), values)
            return tail
        await self._writer.execute("BEGIN IMMEDIATE")
        await self._writer.executemany(_INSERT + _MARKS, rows)
        for sql, same in groupby(derived, key=itemgetter(0)):
            await self._writer.executemany(sql, [values for _, values in same])
        await self._writer.commit()
        return tail

    def _chain(self, batch: list[_Waiting]) -> tuple[_Tail, list[tuple[Any, ...]], list[Statement]]:
        """The rows that the batch becomes, where the chain then ends, and what follows from it."""
        seq, before, last_of = self._tail.seq, self._tail.hash, dict(self._tail.last_of)
        rows: list[tuple[Any, ...]] = []
        derived: list[Statement] = []
        for waiting in batch:
            seq += 1
            event, stamp = waiting.event, waiting.stamp
            stream = stream_of(event).value
            row = Row(
                seq,
                last_of[stream],
                stream,
                event.KIND,
                event.subject,
                stamp.boot_id,
                stamp.monotonic_ns,
                stamp.wall_ms,
                int(stamp.wall_trusted),
                waiting.data,
            )
            before = row_hash(before, self._epoch, row)
            rows.append((*row, before))
            derived += statements(event, seq)
            last_of[stream] = seq
        return _Tail(seq, before, last_of), rows, derived

    async def _after_failure(self) -> None:
        """Roll back, and believe only what the file says: a failed commit may have been written."""
        try:
            await self._writer.rollback()
            await self._read_tail()
        except (sqlite3.Error, JournalError) as error:
            log.error("%s: after a failed commit: %s", self._path, error)

    def credential_ref(self, credential: Credential) -> CredentialRef:
        digest = digest_of(self._secret, credential.key)
        return CredentialRef(
            credential.kind, credential.bit_count, credential.format, credential.masked, digest
        )

    # ------------------------------------------------------------------------------- reading

    async def wait_beyond(self, seq: int) -> int:
        """Returns the last seq once it is greater than `seq`. Any number may wait; none polls."""
        while self._tail.seq <= seq:
            await self._grown.wait()
        return self._tail.seq

    def acknowledged(self, stream: Stream) -> int:
        """Up to which seq the centre has committed the stream."""
        return self._acknowledged[stream]

    async def acknowledge(self, stream: Stream, epoch: str, upto: int) -> bool:
        """Keep the centre's word. False where it is of another epoch, beyond what there is, or
        nothing new. Raises JournalError where it can't be kept."""
        async with self._acknowledging:
            if epoch != self._epoch or not self._acknowledged[stream] < upto <= self._tail.seq:
                return False
            async with self._writing:
                try:
                    sql = "UPDATE outbox SET upto = ? WHERE stream = ?"
                    await self._writer.execute(sql, (upto, stream.value))
                except sqlite3.Error as error:
                    await self._writer.rollback()
                    raise JournalError(sqlite.explain(self._path, "acknowledge", error)) from error
            self._acknowledged[stream] = upto
            return True

    async def outbox_depth(self) -> dict[Stream, int]:
        """How many events of each stream the centre has not acknowledged.

        Only alarms are counted row by row, over their own index: the rest is arithmetic, since the
        streams share one numbering without holes.
        """
        last_seq = self._tail.seq
        events, alarms = (self._acknowledged[s] for s in (Stream.EVENTS, Stream.ALARMS))
        after_events = await self._alarms_between(events, last_seq)
        return {
            Stream.EVENTS: last_seq - events - after_events,
            Stream.ALARMS: await self._alarms_between(alarms, last_seq),
        }


def _refuse(batch: list[_Waiting], failure: JournalError) -> None:
    for waiting in batch:
        if not waiting.durable.done():
            waiting.durable.set_exception(failure)
