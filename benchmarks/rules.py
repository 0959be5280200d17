"""The rules with every one of them on, beside the bare SQLite look-up of the same card."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from zoneinfo import ZoneInfo

from benchmarks.lists import card_of, chunks_of
from benchmarks.table import Row
from gatewayd.clock import SystemClock
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AccessRequest,
    AntiPassback,
    Area,
    AreaId,
    Companion,
    Direction,
    Door,
    DoorId,
    Grant,
    PersonId,
    PinCheck,
    ScheduleId,
    Situation,
    Snapshot,
    Verification,
    Whereabouts,
)
from gatewayd.domain.policy import RULES, decide
from gatewayd.domain.schedule import Moment
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_file import credential_id

CREDENTIALS, LEVELS, DOORS = 1_000_000, 2_000, 200
LEVELS_HELD, DOORS_IN_LEVEL = 8, 10
SAMPLES, WARM_UP = 20_000, 200
MEDIAN_US, P99_US = 25.0, 100.0
ZONE = ZoneInfo("Asia/Shanghai")
OFFICE = [["00:00:00", "12:00:00"], ["12:00:00", "23:59:59"]]  # bounded, and open at any hour
YARD = Area(AreaId("yard"), "Yard", AntiPassback.HARD)
GARAGE = Area(AreaId("garage"), "Garage", AntiPassback.TIMED, forgive_s=600.0, maximum=500)


async def run(scale: float = 1.0) -> list[Row]:
    """1,000,000 credentials, 2,000 levels, 200 doors; `scale` shrinks the list and the samples."""
    size, samples = max(1_000, int(CREDENTIALS * scale)), max(50, int(SAMPLES * scale))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        store = await WhitelistStore.open(Path(folder))
        await store.apply_full(1, chunks_of(_records(size)))
        bare = sqlite3.connect(Path(folder) / "whitelist-000000000001.db")
        numbers = [n * 7_919 % size for n in range(samples)]
        floor = [_bare_us(bare, n) for n in numbers]
        for number in numbers[:WARM_UP]:
            _rules_us(store, number)
        ours = [_rules_us(store, n) for n in numbers]
        bare.close()
        store.close()
    name = f"all {len(RULES)} rules, {size:,} credentials, {LEVELS:,} levels, {DOORS} doors"
    return [
        _row(f"{name}, median", median(ours), median(floor), MEDIAN_US),
        _row(f"{name}, p99", _p99(ours), _p99(floor), P99_US),
    ]


def _row(name: str, figure: float, floor: float, goal_us: float) -> Row:
    return Row(name, figure, "µs", floor, figure / floor, f"≤ {goal_us:g} µs", figure <= goal_us)


def _p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


def _records(credentials: int) -> Iterator[dict[str, object]]:
    """A full list; person `n` holds eight levels, of which the last ones have door `n` % 200."""
    yield {"t": "schedule", "id": "office", "name": "Office", "week": [OFFICE] * 7}
    for n in range(LEVELS):
        doors = [f"door-{(n + step) % DOORS}" for step in range(DOORS_IN_LEVEL)]
        yield {"t": "level", "id": f"level-{n}", "name": f"Level {n}", "doors": doors,
               "schedule": "office"}  # fmt: skip
    for n in range(credentials):
        levels = [f"level-{(n + step * 30) % LEVELS}" for step in range(1, LEVELS_HELD)]
        yield {"t": "person", "id": f"p-{n}", "name": f"Resident {n}", "role": "staff",
               "building": str(n % 40), "unit": "1", "room": str(n),
               "levels": [*levels, f"level-{n % LEVELS}"]}  # fmt: skip
    for n in range(credentials):
        shown = card_of(n)
        yield {"t": "credential", "kind": "card", "bits": shown.bit_count, "value": shown.value,
               "person": f"p-{n}"}  # fmt: skip


def _bare_us(database: sqlite3.Connection, number: int) -> float:
    key = credential_id(card_of(number).key)
    start = time.perf_counter_ns()
    database.execute("SELECT * FROM credential WHERE id = ?", (key,)).fetchone()
    return (time.perf_counter_ns() - start) / 1000


def _rules_us(store: WhitelistStore, number: int) -> float:
    """The decision alone: the look-up has been made, and the situation is known."""
    now = Moment(SystemClock().now(), ZONE)
    request, snapshot = _everything_on(store.snapshot(card_of(number)), number, now)
    start = time.perf_counter_ns()
    decision = decide(request, snapshot, now)
    taken_us = (time.perf_counter_ns() - start) / 1000
    assert isinstance(decision, Grant)
    return taken_us


def _everything_on(held: Snapshot, number: int, now: Moment) -> tuple[AccessRequest, Snapshot]:
    """A lane and a person about whom every rule has something to say, and nothing against."""
    assert held.record is not None
    assert held.person is not None
    tomorrow_s = now.wall_s + 86_400 + number
    record = replace(
        held.record, valid_from_s=0, valid_until_s=tomorrow_s, uses=10, permit_until_s=tomorrow_s
    )
    person = replace(held.person, pin="a keyed hash", needs_escort=True, extended_opening=True)
    door = Door(
        DoorId(f"door-{number % DOORS}"), "Lane", two_person_s=10, inside=GARAGE.id, outside=YARD.id
    )
    point = AccessPoint(
        AccessPointId("lane-in"), "Lane, in", door.id, Direction.IN,
        verification=Verification.CARD_AND_PIN, pin_schedule=ScheduleId("office"), vehicle=True,
    )  # fmt: skip
    situation = Situation(
        pin=PinCheck.RIGHT,
        used=number % 10,
        entering=GARAGE,
        leaving=YARD,
        whereabouts=Whereabouts(YARD.id, now.stamp.wall_ms - number, number / 1000),
        inside=number % 400,
        vehicle=True,
        companion=Companion(PersonId(f"p-{number + 1}"), 3.0, may_escort=True),
        waiting=Companion(PersonId(f"p-{number + 2}"), 2.0),
    )
    request = AccessRequest(held.record.credential, point, door, situation=situation)
    return request, replace(held, record=record, person=person)
