"""The real daemon with simulated devices on ptys at their baud rate: tap to relay frame, start to
first decision, memory at rest.

The floor of a tap is the wire time of the relay's order and its own bytes, with one bare durable
commit before it: nothing that journals first and speaks Modbus can be faster. Bare commits and taps
take turns on the same disk, and a row's floor has the same quantile of theirs: the disk's own moods
would else decide. What other benchmarks wrote is synced first. The door is at rest, and people come
at any moment of the polling, which a seed chooses. Those who tap in the very moment in which the
lock falls back wait for the read-back of that, and have a row of their own.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from statistics import median, quantiles

from benchmarks.lists import card_of, make_journal, make_whitelist
from benchmarks.table import Row
from simulators.reader import SimulatedReader
from simulators.relay_board import SimulatedRelayBoard
from simulators.relay_terminals import DoorWiring

ORDER_BYTES = 8  # Modbus FC05 request
GOAL_MS = 10.0
TAPS = 400  # of fewer, the p99 is the second worst alone
REST_S = 0.1  # an order and its read-back take 40 ms at 9600 baud
POLL_S = 0.1  # the default of `poll_ms`
START_GOAL_S = 1.0
MEMORY_GOAL_MB = 80.0
CONFIG = """
[site]
id = "bench"
name = "Bench"
gateway = "gate-1"
[storage]
directory = "data"
[[controller]]
id = "board-1"
driver = "modbus-relay"
port = "{folder}/board"
baud_rate = {baud}
[[door]]
id = "main-gate"
name = "Main gate"
controller = "board-1"
relay = 1
contact_input = 1
unlock_s = 0.2
commit_deadline_ms = 2000
[[reader]]
id = "main-gate-in"
name = "In"
driver = "ascii-tag"
port = "{folder}/reader"
baud_rate = {baud}
debounce_ms = 100
door = "main-gate"
"""


async def run(scale: float = 1.0) -> list[Row]:
    """`scale` shrinks the number of taps, and the lists of the start."""
    rows = []
    for baud in (9_600, 115_200):
        rows += await _taps(baud, max(5, int(TAPS * scale)))
    return rows + await _start(max(100, int(1_000_000 * scale)))


# ------------------------------------------------------------------------------------- taps


async def _taps(baud: int, count: int) -> list[Row]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name).absolute()  # noqa: ASYNC240  # no I/O
        (await make_whitelist(folder / "data" / "whitelist", 1_000)).close()
        await asyncio.to_thread(os.sync)
        async with _gate(folder, baud) as (reader, board, _):
            phase = random.Random(baud)  # noqa: S311  # chooses moments, no secrets
            commits, taken = [], []
            with closing(_bare(folder / "bare.db")) as bare:
                for n in range(count):
                    commits.append(await asyncio.to_thread(_bare_commit_ms, bare))
                    rest_s = REST_S + phase.random() * POLL_S
                    taken.append(await _tap(reader, board, n, rest_s))
            hurried = [await _tap(reader, board, n, 0) for n in range(max(5, count // 4))]
    wire_ms = ORDER_BYTES * board.line.byte_s * 1000
    floor, p99_floor = wire_ms + median(commits), wire_ms + _p99(commits)
    what = f"tap to relay frame, {baud} baud"
    goal = f"p99 ≤ floor + {GOAL_MS:g} ms"
    p99, met = _p99(taken), _p99(taken) <= p99_floor + GOAL_MS
    return [
        Row(f"{what}, median", median(taken), "ms", floor, median(taken) / floor),
        Row(f"{what}, p99", p99, "ms", p99_floor, p99 / p99_floor, goal, met),
        Row(
            f"tap as the lock falls back, {baud} baud, median",
            median(hurried), "ms", floor, median(hurried) / floor,
        ),
    ]  # fmt: skip


async def _tap(
    reader: SimulatedReader, board: SimulatedRelayBoard, number: int, rest_s: float
) -> float:
    """Milliseconds from the tag's last byte on the wire to the last byte of the relay's order, in a
    tap `rest_s` after the lock fell back.

    A pty hands over at once what a wire takes its time for: that time is added. The silence after
    which a board acts is not, it is none of ours.
    """
    terminals = board.terminals
    async with asyncio.timeout(10):
        await terminals.wait_for_relay(1, False)
        await asyncio.sleep(rest_s)
        shown = await reader.present(40, card_of(number).value)
        await terminals.wait_for_relay(1, True)
    received_ns, sent_ns = terminals.relays[0].received_ns, shown.sent_ns
    assert received_ns is not None
    assert sent_ns is not None
    return (received_ns - sent_ns) / 1e6 + ORDER_BYTES * board.line.byte_s * 1000


def _bare(path: Path) -> sqlite3.Connection:
    """A database for bare commits, used by one thread after the other."""
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    database.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (d TEXT)"
    )
    return database


def _bare_commit_ms(database: sqlite3.Connection) -> float:
    """One durable commit of one row."""
    start = time.perf_counter()
    database.execute("INSERT INTO t VALUES (?)", ("x" * 700,))
    return (time.perf_counter() - start) * 1000


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


# ------------------------------------------------------------------------------------- start


async def _start(size: int) -> list[Row]:
    """From exec to the relay's first order, with a card waiting in the reader's field."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name).absolute()  # noqa: ASYNC240  # no I/O
        (await make_whitelist(folder / "data" / "whitelist", size)).close()
        secret = secrets.token_bytes(32)
        (folder / "data" / "secret").write_bytes(secret)
        await make_journal(folder / "data" / "journal.db", size, secret)
        begun = time.monotonic_ns()
        async with _gate(folder, 115_200, wait=False) as (reader, board, process):
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                held = group.create_task(_hold(reader), name="held card")
                await board.terminals.wait_for_relay(1, True)
                held.cancel()
            seconds = ((board.terminals.relays[0].applied_ns or 0) - begun) / 1e9
            await asyncio.sleep(2)
            memory = _rss_mb(process.pid)
    python = _python_start_s()
    what = f"{size:,} credentials and events"
    return [
        Row(
            f"start to first relay order, {what}", seconds, "s", python, seconds / python,
            f"≤ {START_GOAL_S:g} s", seconds <= START_GOAL_S,
        ),
        Row(
            f"memory at rest without cameras, {what}", memory, "MB", None, None,
            f"≤ {MEMORY_GOAL_MB:g} MB", memory <= MEMORY_GOAL_MB,
        ),
    ]  # fmt: skip


async def _hold(reader: SimulatedReader) -> None:
    while True:
        await reader.present(40, card_of(7).value)


def _python_start_s() -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import asyncio, sqlite3, pydantic"], check=True)
    return time.perf_counter() - start


def _rss_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


# ------------------------------------------------------------------------------- the daemon


@asynccontextmanager
async def _gate(
    folder: Path, baud: int, *, wait: bool = True
) -> AsyncIterator[tuple[SimulatedReader, SimulatedRelayBoard, asyncio.subprocess.Process]]:
    """The daemon and its devices; with `wait` the block begins when the doors decide."""
    config = folder / "gatewayd.toml"
    config.write_text(CONFIG.format(baud=baud, folder=folder), encoding="utf-8")
    wiring = (DoorWiring(1, 1, None),)
    async with (
        SimulatedReader("id12", folder / "reader", baud=baud) as reader,
        SimulatedRelayBoard(folder / "board", doors=wiring, baud=baud) as board,
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gatewayd", "run", "--config", str(config),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            if wait:
                assert process.stdout is not None
                async with asyncio.timeout(30):
                    assert (await process.stdout.readline()).startswith(b"ready")
                await asyncio.sleep(0.5)
            yield reader, board, process
        finally:
            process.terminate()
            await process.wait()
