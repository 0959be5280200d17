"""Durable events a second with 1, 10 and 100 waiters, beside bare aiosqlite in the same grouping.

The floor inserts ready-made rows of the same columns and size, without index, trigger, hash or
JSON: `executemany` and `commit`, as many rows a commit as the journal has. It comes twice: with
nobody waiting, and with as many tasks that each wait for their own row's commit, which is what an
event loop takes for that alone. All take turns in short rounds on the same disk, and the median
round of each counts: the disk's own moods would else decide. What an event costs besides SQLite is
told in parts: the two that can be called by themselves, and all that the event loop's thread does.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
import timeit
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import aiosqlite

from benchmarks.table import Row, markdown
from gatewayd.clock import SystemClock
from gatewayd.domain.events import AccessGranted, CredentialRef
from gatewayd.domain.model import (
    AccessPointId,
    CredentialKind,
    Direction,
    DoorId,
    LevelId,
    PersonId,
    RuleResult,
    RuleTrace,
)
from gatewayd.store.chain import Row as ChainRow
from gatewayd.store.chain import row_hash
from gatewayd.store.codec import encode_text
from gatewayd.store.journal import JournalStore

GOAL = 0.8
ROUNDS = 9
CALLS = 20_000
_BARE = """CREATE TABLE event (seq INTEGER PRIMARY KEY, prev INTEGER, stream TEXT, kind TEXT,
    subject TEXT, boot TEXT, mono_ns INTEGER, wall_ms INTEGER, trusted INTEGER, data TEXT,
    hash BLOB)"""
_RULES = ("credential_known", "credential_active", "valid_from", "valid_until", "level", "schedule")

_INSERT = "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
Round = Callable[[int], Awaitable[None]]
Write = Callable[[int], Awaitable[None]]


def sample_event(number: int = 0) -> AccessGranted:
    """A grant as the tap's path writes it, with its trace: some 700 bytes of JSON."""
    return AccessGranted(
        AccessPointId("main-gate-in"),
        DoorId("main-gate"),
        Direction.IN,
        CredentialRef(CredentialKind.CARD, 26, "H10301", "•••3456", f"{number:032x}"),
        PersonId(f"p-{number}"),
        "6-2-1203",
        LevelId("residents"),
        5.0,
        12,
        tuple(RuleTrace(rule, "what the rule saw of it", RuleResult.PASS) for rule in _RULES),
    )


async def run(scale: float = 1.0) -> list[Row]:
    """`scale` 1 takes some 20 s; the table's figures come from there."""
    rows = [row for waiters in (1, 10, 100) for row in await _measure(waiters, scale)]
    return [*rows, *_parts(max(100, int(CALLS * scale)))]


async def _measure(waiters: int, scale: float) -> list[Row]:
    count = max(waiters, int({1: 400, 10: 2_000, 100: 8_000}[waiters] * scale))
    count -= count % waiters
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        async with _bare(Path(folder) / "bare.db") as write:
            store = await JournalStore.open(
                Path(folder) / "journal.db", SystemClock(), secret=b"s" * 32
            )
            async with store.running():
                alone, together = _grouped(write, waiters), _floor_waiting(write, waiters)
                ours = _waiting(store, waiters)
                rates = await _in_turns((ours, alone, together), count)
                begin = time.thread_time()
                await ours(count)
                loop_us = (time.thread_time() - begin) / count * 1e6
    what = f"journal, {waiters} waiter{'s' * (waiters > 1)}"
    return [
        _row(what, rates[0], rates[1], f"ratio ≥ {GOAL}"),
        _row(f"{what}; floor with waiters", rates[0], rates[2], ""),
        Row(f"{what}; event loop's CPU time of an event", loop_us, "µs"),
    ]


def _parts(calls: int) -> list[Row]:
    """Microseconds of an event's encoding and of its row's hash."""
    event, stamp = sample_event(), SystemClock().now()
    data = encode_text(event)
    row = ChainRow(
        2, 1, "evt", event.KIND, event.subject, stamp.boot_id, stamp.monotonic_ns, stamp.wall_ms,
        1, data,
    )  # fmt: skip
    encode_s = min(timeit.repeat(lambda: encode_text(event), number=calls))
    hash_s = min(timeit.repeat(lambda: row_hash(b"h" * 32, "0" * 16, row), number=calls))
    return [
        Row("journal, of that: the event as canonical JSON", encode_s / calls * 1e6, "µs"),
        Row("journal, of that: the row's hash", hash_s / calls * 1e6, "µs"),
    ]


def _row(name: str, ours: float, floor: float, goal: str) -> Row:
    ratio = ours / floor
    return Row(name, ours, "durable events/s", floor, ratio, goal, ratio >= GOAL if goal else None)


async def _in_turns(works: tuple[Round, ...], count: int) -> list[float]:
    """Events a second of each: the median of its rounds, after one that warms up."""
    rates: list[list[float]] = [[] for _ in works]
    for number in range(ROUNDS + 1):
        for work, into in zip(works, rates, strict=True):
            begin = time.perf_counter()
            await work(count)
            if number:
                into.append(count / (time.perf_counter() - begin))
    return [median(into) for into in rates]


def _waiting(store: JournalStore, waiters: int) -> Round:
    """So many tasks, each appending its next event when the last is durable."""
    event = sample_event()

    async def waiter(count: int) -> None:
        for _ in range(count):
            await store.append(event)

    async def work(count: int) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(waiters):
                group.create_task(waiter(count // waiters), name=f"waiter {number}")

    return work


def _grouped(write: Write, group: int) -> Round:
    async def work(count: int) -> None:
        for _ in range(count // group):
            await write(group)

    return work


def _floor_waiting(write: Write, waiters: int) -> Round:
    """Tasks that wait for their rows, and the least that can group them."""
    loop = asyncio.get_running_loop()

    async def work(count: int) -> None:
        wanted: list[asyncio.Future[None]] = []
        some = asyncio.Event()

        async def waiter(rows: int) -> None:
            for _ in range(rows):
                wanted.append(loop.create_future())
                some.set()
                await wanted[-1]

        async with asyncio.TaskGroup() as group:
            for number in range(waiters):
                group.create_task(waiter(count // waiters), name=f"floor {number}")
            for _ in range(count // waiters):
                await some.wait()
                some.clear()
                batch, wanted = wanted, []
                await write(len(batch))
                for durable in batch:
                    durable.set_result(None)

    return work


@asynccontextmanager
async def _bare(path: Path) -> AsyncIterator[Write]:
    """A bare database; what is yielded inserts so many rows and commits them."""
    stamp = SystemClock().now()
    data = encode_text(sample_event())
    rest = ("evt", "access.granted", "main-gate-in", stamp.boot_id, stamp.monotonic_ns)
    rest_values: tuple[Any, ...] = (*rest, stamp.wall_ms, 1, data, b"h" * 32)
    written = 0
    async with aiosqlite.connect(path) as database:
        await database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _BARE)

        async def write(count: int) -> None:
            nonlocal written
            rows = [(written + n, written + n - 1, *rest_values) for n in range(1, count + 1)]
            await database.executemany(_INSERT, rows)
            await database.commit()
            written += count

        yield write


if __name__ == "__main__":
    print(markdown(asyncio.run(run())))
