"""The journal: append-only, hash-chained, durable before `append` returns. Owns the only writer.

Events that wait at the same time are committed together (group commit), in the order in which they
were appended; each caller learns the fate of its own. Must not decide what is recorded.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import sqlite3
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite

from gatewayd.domain.events import CredentialRef, Event, Stream, stream_of
from gatewayd.domain.model import Credential, DoorId, DoorMode, Stamp
from gatewayd.domain.ports import Clock, JournalEntry, JournalError
from gatewayd.store import sqlite
from gatewayd.store.chain import Row, first_hash, row_hash
from gatewayd.store.codec import decode_text, encode_text
from gatewayd.store.projections import Statement, statements
from gatewayd.store.rows import CommandRow, OutboxRow, PictureRow, entry_of, outbox_row_of

log = logging.getLogger(__name__)

MAX_WAITING = 5_000  # appends not yet durable; past it a caller is refused at once
MAX_BATCH = 500  # in one commit: 100 a commit already reach 70k rows a second
TAIL_ROWS = 1_000  # checked at the start: milliseconds, and where a torn write would show
_INSERT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_COLUMNS = "seq, prev, stream, kind, subject, boot, mono_ns, wall_ms, trusted, data, hash"


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


class JournalStore:
    """Implements `gatewayd.domain.ports.Journal`; made by `open`."""

    def __init__(
        self,
        path: Path,
        clock: Clock,
        secret: bytes,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
    ) -> None:
        self._path = path
        self._clock = clock
        self._secret = secret
        self._writer = writer
        self._reader = reader
        self._epoch = ""
        self._tail = _Tail(0, b"", {})
        self._acknowledged: dict[Stream, int] = {}
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(MAX_WAITING)
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
        except sqlite.SchemaError as error:
            raise JournalError(str(error)) from error
        reader = await aiosqlite.connect(path)
        store = cls(path, clock, secret, writer, reader)
        try:
            await reader.executescript(sqlite.pragmas())
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
        sql = f"SELECT {_COLUMNS} FROM event ORDER BY seq DESC LIMIT ?"  # noqa: S608  # constant
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
            sql = "SELECT seq FROM event WHERE stream = ? ORDER BY seq DESC LIMIT 1"
            found = await self._read(sql, stream.value)
            last_of[stream.value] = found[0][0] if found else 0
        self._tail = _Tail(rows[-1][0] if rows else 0, before, last_of)

    async def close(self) -> None:
        """Close the file; what still waits is refused."""
        while not self._queue.empty():
            waiting = self._queue.get_nowait()
            self._queue.task_done()
            _refuse(waiting, JournalError(f"{self._path}: append: the journal was closed"))
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
    def epoch(self) -> str:
        return self._epoch

    @property
    def last_seq(self) -> int:
        """The seq of the last durable event; 0 while there is none."""
        return self._tail.seq

    async def append(self, event: Event, stamp: Stamp | None = None) -> int:
        """The event's seq, once it is on disk. Raises JournalError where that can't be, and
        ValueError for an event whose values are not of its fields' types.

        A caller that is cancelled while it waits has still handed the event over.
        """
        durable: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(event, stamp or self._clock.now(), encode_text(event), durable)
        try:
            self._queue.put_nowait(waiting)
        except asyncio.QueueFull:
            raise JournalError(
                f"{self._path}: append: {MAX_WAITING} events wait for the disk already"
            ) from None
        return await durable

    async def run(self) -> None:
        """Write what is appended, for ever. Cancelled in a commit, it refuses that batch: nobody
        is told "durable" who is not. `flushed` first makes an orderly end."""
        while True:
            batch = [await self._queue.get()]
            while len(batch) < MAX_BATCH and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            try:
                async with self._writing:
                    await self._commit(batch)
            except asyncio.CancelledError:
                closed = JournalError(f"{self._path}: append: the journal is being closed")
                for waiting in batch:
                    _refuse(waiting, closed)
                raise
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def flushed(self) -> None:
        """Returns when all that was handed over has been written or refused."""
        await self._queue.join()

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
            failure = JournalError(sqlite.explain(self._path, "append", error))
            for waiting in batch:
                _refuse(waiting, failure)
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
        await self._writer.executemany(_INSERT, rows)
        for sql, values in derived:
            await self._writer.execute(sql, values)
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
        digest = hmac.digest(self._secret, credential.key.encode(), "sha256").hex()[:32]
        return CredentialRef(
            credential.kind, credential.bit_count, credential.format, credential.masked, digest
        )

    # ------------------------------------------------------------------------------- reading

    async def wait_beyond(self, seq: int) -> int:
        """Returns the last seq once it is greater than `seq`. Any number may wait; none polls."""
        while self._tail.seq <= seq:
            await self._grown.wait()
        return self._tail.seq

    async def entry(self, seq: int) -> JournalEntry | None:
        found = await self._events("WHERE seq = ?", seq)
        return found[0] if found else None

    async def entries_after(
        self, seq: int, limit: int, *, kinds: Collection[str] | None = None
    ) -> list[JournalEntry]:
        """At most `limit` events after `seq`, ascending."""
        which, values = _filter(kinds, None)
        return await self._events(f"WHERE seq > ?{which} ORDER BY seq LIMIT ?", seq, *values, limit)

    async def entries_before(
        self,
        seq: int | None,
        limit: int,
        *,
        kinds: Collection[str] | None = None,
        subject: str | None = None,
    ) -> list[JournalEntry]:
        """At most `limit` events before `seq` (None: from the end), descending."""
        which, values = _filter(kinds, subject)
        before = self._tail.seq + 1 if seq is None else seq
        tail = f"WHERE seq < ?{which} ORDER BY seq DESC LIMIT ?"
        return await self._events(tail, before, *values, limit)

    async def outbox(self, stream: Stream, after: int, limit: int) -> list[OutboxRow]:
        """The stream's next events after seq `after`, ascending, as they go to the centre."""
        sql = """SELECT e.seq, e.prev, e.stream, e.kind, e.subject, e.boot, e.mono_ns, e.wall_ms,
            e.trusted, e.data, e.hash, b.hash FROM event e LEFT JOIN event b ON b.seq = e.seq - 1
            WHERE e.stream = ? AND e.seq > ? ORDER BY e.seq LIMIT ?"""
        rows = await self._read(sql, stream.value, after, limit)
        return [outbox_row_of(row, first_hash(self._epoch)) for row in rows]

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
                    await self._writer.commit()
                except sqlite3.Error as error:
                    await self._writer.rollback()
                    raise JournalError(sqlite.explain(self._path, "acknowledge", error)) from error
            self._acknowledged[stream] = upto
            return True

    async def outbox_depth(self) -> dict[Stream, int]:
        """How many events of each stream the centre has not acknowledged."""
        depth = {}
        for stream in Stream:
            sql = "SELECT count(*) FROM event WHERE stream = ? AND seq > ?"
            [(count,)] = await self._read(sql, stream.value, self._acknowledged[stream])
            depth[stream] = int(count)
        return depth

    async def alarm_events(self) -> list[JournalEntry]:
        """The events of the alarms that are still open, ascending: `domain.alarm.apply` folds."""
        return await self._events(
            """WHERE seq IN (SELECT raised_seq FROM alarm WHERE acknowledged_seq IS NULL OR
            cleared_seq IS NULL UNION SELECT acknowledged_seq FROM alarm WHERE cleared_seq IS NULL
            UNION SELECT cleared_seq FROM alarm WHERE acknowledged_seq IS NULL) ORDER BY seq"""
        )

    async def door_modes(self) -> dict[DoorId, DoorMode]:
        rows = await self._read("SELECT door_id, mode FROM door_mode")
        return {DoorId(door): DoorMode(mode) for door, mode in rows}

    async def command(self, command_id: str) -> CommandRow | None:
        rows = await self._read("SELECT * FROM command WHERE command_id = ?", command_id)
        return CommandRow(*rows[0]) if rows else None

    async def unfinished_commands(self) -> list[CommandRow]:
        """Accepted, but without an outcome: the process ended in between."""
        rows = await self._read("SELECT * FROM command WHERE outcome IS NULL ORDER BY accepted_seq")
        return [CommandRow(*row) for row in rows]

    async def last_counter(self, kid: str) -> int:
        rows = await self._read("SELECT counter FROM command_counter WHERE kid = ?", kid)
        return int(rows[0][0]) if rows else 0

    async def desired_revision(self) -> int:
        rows = await self._read("SELECT revision FROM desired")
        return int(rows[0][0]) if rows else 0

    async def pictures_for(self, seqs: Sequence[int]) -> dict[int, list[PictureRow]]:
        """The pictures of these events; events without one are left out."""
        marks = ",".join("?" * len(seqs))
        sql = f"""SELECT for_seq, camera_id, name, sha256, size, age_ms FROM picture
            WHERE for_seq IN ({marks}) ORDER BY seq"""  # noqa: S608  # only question marks
        found: dict[int, list[PictureRow]] = {}
        for row in await self._read(sql, *seqs):
            found.setdefault(row[0], []).append(PictureRow(*row))
        return found

    async def counts(self) -> dict[str, int]:
        """How many events of each kind there are."""
        rows = await self._read("SELECT kind, count(*) FROM event GROUP BY kind")
        return {str(kind): int(count) for kind, count in rows}

    async def _events(self, tail: str, *values: Any) -> list[JournalEntry]:  # noqa: ANN401  # SQL values
        sql = f"SELECT {_COLUMNS} FROM event {tail}"  # noqa: S608  # built of constants
        return [entry_of(row, decode_text) for row in await self._read(sql, *values)]

    async def _read(self, sql: str, *values: Any) -> list[Any]:  # noqa: ANN401  # SQL values
        try:
            return list(await self._reader.execute_fetchall(sql, values))
        except sqlite3.Error as error:
            raise JournalError(sqlite.explain(self._path, "read", error)) from error


def _refuse(waiting: _Waiting, failure: JournalError) -> None:
    if not waiting.durable.done():
        waiting.durable.set_exception(failure)


def _filter(kinds: Collection[str] | None, subject: str | None) -> tuple[str, list[str]]:
    """Further conditions, as SQL with question marks and their values."""
    which, values = "", list[str]()
    if kinds is not None:
        which += f" AND kind IN ({','.join('?' * len(kinds))})"
        values += sorted(kinds)
    if subject is not None:
        which += " AND subject = ?"
        values.append(subject)
    return which, values
