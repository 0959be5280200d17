"""A decision, look-up and rules together, beside the bare SQLite look-up of one card."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from zoneinfo import ZoneInfo

from benchmarks.lists import card_of, make_whitelist
from benchmarks.table import Row
from gatewayd.clock import SystemClock
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AccessRequest,
    Direction,
    Door,
    DoorId,
    Grant,
)
from gatewayd.domain.policy import decide
from gatewayd.domain.schedule import Moment
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_file import credential_id

DOOR = Door(DoorId("main-gate"), "Main gate")
POINT = AccessPoint(AccessPointId("main-gate-in"), "In", DOOR.id, Direction.IN)
SAMPLES = 20_000


async def run(scale: float = 1.0) -> list[Row]:
    """1,000, 100,000 and 1,000,000 credentials; `scale` shrinks the lists and the samples."""
    sizes = [max(10, int(size * scale)) for size in (1_000, 100_000, 1_000_000)]
    return [row for size in sizes for row in await _measure(size, max(50, int(SAMPLES * scale)))]


async def _measure(size: int, samples: int) -> list[Row]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = await make_whitelist(Path(folder), size)
        bare = sqlite3.connect(Path(folder) / "whitelist-000000000001.db")
        numbers = [n * 7_919 % size for n in range(samples)]
        floor = _times(lambda n: _bare(bare, n), numbers)
        zone, clock = ZoneInfo("Asia/Shanghai"), SystemClock()
        ours = _times(lambda n: _decide(store, clock, zone, n), numbers)
        bare.close()
        store.close()
    name = f"decision, {size:,} credentials"
    return [
        Row(f"{name}, median", median(ours), "µs", median(floor), median(ours) / median(floor)),
        Row(f"{name}, p99", _p99(ours), "µs", _p99(floor), _p99(ours) / _p99(floor)),
    ]


def _bare(database: sqlite3.Connection, number: int) -> None:
    key = credential_id(card_of(number).key)
    database.execute("SELECT * FROM credential WHERE id = ?", (key,)).fetchone()


def _decide(store: WhitelistStore, clock: SystemClock, zone: ZoneInfo, number: int) -> None:
    shown = card_of(number)
    request = AccessRequest(shown, POINT, DOOR)
    decision = decide(request, store.snapshot(shown), Moment(clock.now(), zone))
    assert isinstance(decision, Grant)


def _times(work: Callable[[int], None], numbers: list[int]) -> list[float]:
    """Microseconds of each call, after a warm-up."""
    for number in numbers[:200]:
        work(number)
    taken = []
    for number in numbers:
        start = time.perf_counter_ns()
        work(number)
        taken.append((time.perf_counter_ns() - start) / 1000)
    return taken


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]
