"""A full list and a delta of 10,000 records, beside the bare inserts of ready-made rows."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.lists import card_of, chunks
from benchmarks.table import Row, markdown
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_file import credential_id

CHANGES = 10_000
DELTA_GOAL_S = 0.5


async def run(scale: float = 1.0) -> list[Row]:
    """`scale` 1 loads 1,000,000 credentials of as many people."""
    count = max(1_000, int(1_000_000 * scale))
    changes = min(CHANGES, count)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        floor_s = _bare_load(Path(folder) / "bare.db", count)
        store = await WhitelistStore.open(Path(folder) / "whitelist")
        try:
            waiting_s, load_s = await _timed_load(store, count)
            begin = time.perf_counter()
            await store.apply_delta(1, 2, _delta(count, changes))
            delta_s = time.perf_counter() - begin
        finally:
            store.close()
    what = f"{count:,} credentials and people"
    goal = f"≤ {DELTA_GOAL_S} s"
    return [
        Row(f"full list, {what}", load_s, "s", floor_s, load_s / floor_s),
        Row("longest wait of the event loop meanwhile", waiting_s * 1_000, "ms"),
        Row(f"delta of {changes:,}", delta_s, "s", goal=goal, met=delta_s <= DELTA_GOAL_S),
    ]


async def _timed_load(store: WhitelistStore, count: int) -> tuple[float, float]:
    """The event loop's longest wait, and the time until the list decides; in seconds."""
    raw = list(chunks(count))
    longest = 0.0
    loaded = asyncio.Event()

    async def watch() -> None:
        nonlocal longest
        while not loaded.is_set():
            begin = time.perf_counter()
            await asyncio.sleep(0.01)
            longest = max(longest, time.perf_counter() - begin - 0.01)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch(), name="watch")
        begin = time.perf_counter()
        await store.apply_full(1, raw)
        loaded.set()
    return longest, time.perf_counter() - begin


def _bare_load(path: Path, count: int) -> float:
    """Ready-made rows into the same two tables, without parsing or checking, made durable."""
    credentials = []
    for n in range(count):
        key = card_of(n).key
        credentials.append((credential_id(key), key, f"p-{n}", "active", None, None))
    persons = [
        (f"p-{n}", f"Resident {n}", "", "1", "1", str(n), "", "", "all") for n in range(count)
    ]
    begin = time.perf_counter()
    database = sqlite3.connect(path)
    database.executescript(
        """PRAGMA cache_size = -32000;
        CREATE TABLE credential (id INTEGER, key TEXT, person TEXT, status TEXT, a INTEGER,
            b INTEGER, PRIMARY KEY (id, key)) WITHOUT ROWID;
        CREATE TABLE person (id TEXT PRIMARY KEY, a TEXT, b TEXT, c TEXT, d TEXT, e TEXT, f TEXT,
            g TEXT, h TEXT) WITHOUT ROWID;"""
    )
    database.executemany("INSERT INTO person VALUES (?,?,?,?,?,?,?,?,?)", persons)
    database.executemany("INSERT INTO credential VALUES (?,?,?,?,?,?)", credentials)
    database.commit()
    database.close()
    return time.perf_counter() - begin


def _delta(count: int, changes: int) -> Iterator[bytes]:
    """Cards reported lost, spread over the list."""
    for begin in range(0, changes, 1_000):
        lines = []
        for n in range(begin, min(begin + 1_000, changes)):
            number = n * (count // changes)
            shown = card_of(number)
            record = {
                "t": "credential", "kind": "card", "bits": shown.bit_count, "value": shown.value,
                "person": f"p-{number}", "status": "lost",
            }  # fmt: skip
            lines.append(json.dumps(record).encode() + b"\n")
        yield b"".join(lines)


if __name__ == "__main__":
    print(markdown(asyncio.run(run())))
