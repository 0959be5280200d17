"""A month of taps decided again by `gatewayd replay`: 20,000 a day, a million credentials.

The floor is a bare pass: the same rows of the same journal fetched, and nothing done with them. A
tap leaves seven rows in the journal, as it does at the gate.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

from benchmarks.lists import card_of, make_whitelist
from benchmarks.table import Row
from gatewayd.clock import SystemClock
from gatewayd.domain import policy
from gatewayd.domain.events import (
    AccessGranted,
    AccessOutcome,
    Cause,
    CauseKind,
    DoorClosed,
    DoorLocked,
    DoorOpened,
    DoorUnlocked,
    Event,
    Outcome,
    PersonPassed,
    SystemStarted,
)
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AccessRequest,
    AntiPassback,
    Area,
    AreaId,
    Direction,
    Door,
    DoorId,
    Grant,
    Situation,
    Stamp,
    Whereabouts,
)
from gatewayd.domain.schedule import Moment
from gatewayd.inquiry.past import DECISIONS, KINDS
from gatewayd.inquiry.replay import Change, Replay, Report, index
from gatewayd.inquiry.sources import Place, current_list
from gatewayd.rulings import Ruling, granted_event
from gatewayd.store.journal import JournalStore
from gatewayd.store.journal_file import WINDOW, JournalFile, open_journal
from gatewayd.store.journal_reader import COLUMNS
from gatewayd.store.whitelist_revision import OpenRevision

TAPS = 600_000  # 20,000 a day for 30 days
PEOPLE = 20_000  # of whom each taps once a day
CREDENTIALS = 1_000_000
GOAL_S = 60
INDEX_GOAL_S = 5
BATCH = 500  # taps that are written together
SECRET = b"s" * 32
YARD = Area(AreaId("yard"), "Yard", AntiPassback.HARD, maximum=100_000)
GATE = Door(DoorId("main-gate"), "Gate", inside=YARD.id)
POINTS = {
    way: AccessPoint(AccessPointId(f"gate-{way}"), f"Gate, {way}", GATE.id, way)
    for way in Direction
}
ZONE = ZoneInfo("Asia/Shanghai")
FIRST_MS = 1_795_000_000_000
STEP_MS = 4_320  # between two taps


async def run(scale: float = 1.0) -> list[Row]:
    """`scale` 1 writes 4.2 million rows first, and takes some minutes."""
    taps, credentials = max(100, int(TAPS * scale)), max(100, int(CREDENTIALS * scale))
    people = max(10, min(PEOPLE, int(PEOPLE * scale * 10)))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        place = _place(Path(folder))
        (await make_whitelist(place.directory / "whitelist", credentials)).close()
        with current_list(place) as listed:
            await _write(place, listed, taps, min(people, credentials))
            return _measure(place, listed, taps)


def _place(folder: Path) -> Place:
    return Place(
        folder,
        folder / "journal.db",
        "0" * 64,
        ZONE,
        {point.id: point for point in POINTS.values()},
        {GATE.id: GATE},
        {YARD.id: YARD},
        frozenset(),
    )


def _measure(place: Place, listed: OpenRevision, taps: int) -> list[Row]:
    with open_journal(place.journal_file) as journal:
        last = journal.last_seq()
        bare_s = _bare_pass(journal, last)
        began = time.perf_counter()
        wanted = journal.digests(DECISIONS, 1, last)
        indexing = time.perf_counter()
        credentials = index(listed, SECRET, wanted)
        indexed_s = time.perf_counter() - indexing
        report = Report(1, last, listed.revision)
        for tap in Replay(place, listed, credentials, own_list=True).run(journal, 1, last):
            assert tap is not None
            report.add(tap)
        replay_s = time.perf_counter() - began
    assert report.counts == {Change.SAME: taps}
    return [
        Row(
            f"replay, {taps:,} taps of {last:,} rows", replay_s, "s", bare_s, replay_s / bare_s,
            f"≤ {GOAL_S} s", replay_s <= GOAL_S,
        ),
        Row(
            f"replay, index of {listed.credentials:,} credentials", indexed_s, "s", None, None,
            f"≤ {INDEX_GOAL_S} s", indexed_s <= INDEX_GOAL_S,
        ),
    ]  # fmt: skip


def _bare_pass(journal: JournalFile, last: int) -> float:
    """Seconds for the rows that a replay reads, one question after the other, as it asks them."""
    kinds = (*KINDS, *DECISIONS)
    sql = f"""SELECT {COLUMNS} FROM event NOT INDEXED WHERE seq >= ? AND seq <= ?
        AND kind IN ({",".join("?" * len(kinds))}) ORDER BY seq"""  # noqa: S608  # question marks
    began = time.perf_counter()
    for start in range(1, last + 1, WINDOW):
        for _row in journal._read(sql, start, start + WINDOW - 1, *kinds):  # noqa: SLF001  # the same file, bare
            pass
    return time.perf_counter() - began


# ------------------------------------------------------------------------------ the journal


async def _write(place: Place, listed: OpenRevision, taps: int, people: int) -> None:
    """The journal of a gate where everyone comes in and goes out in turn."""
    store = await JournalStore.open(place.journal_file, SystemClock(), secret=SECRET)
    async with store.running():
        await store.append(SystemStarted("0", place.settings_sha256, listed.revision), _stamp(0))
        for start in range(0, taps, BATCH):
            numbers = range(start, min(start + BATCH, taps))
            events = [
                pair
                for number in numbers
                for pair in _events(store, listed, number, people, 2 + 7 * number)
            ]
            await asyncio.gather(*(store.append(event, stamp) for event, stamp in events))


def _events(
    store: JournalStore, listed: OpenRevision, number: int, people: int, seq: int
) -> Iterator[tuple[Event, Stamp]]:
    """One tap and what follows from it, from `seq` on."""
    stamp = _stamp(number)
    granted = _granted(store, listed, number, people, stamp)
    point, cause = granted.access_point_id, Cause(CauseKind.TAP, str(seq))
    left, entered = (None, YARD.id) if granted.direction is Direction.IN else (YARD.id, None)
    yield granted, stamp
    yield DoorUnlocked(GATE.id, cause, GATE.unlock_s), stamp
    yield AccessOutcome(point, GATE.id, seq, Outcome.UNLOCKED), stamp
    yield DoorOpened(GATE.id, True), stamp
    yield PersonPassed(granted.person_id, GATE.id, point, seq, left, entered), _stamp(number, 1)
    yield DoorLocked(GATE.id), stamp
    yield DoorClosed(GATE.id), stamp


def _granted(
    store: JournalStore, listed: OpenRevision, number: int, people: int, stamp: Stamp
) -> AccessGranted:
    turn, who = divmod(number, people)
    point = POINTS[Direction.IN if turn % 2 == 0 else Direction.OUT]
    snapshot = listed.snapshot(card_of(who))
    now, coming_in = Moment(stamp, ZONE), point.direction is Direction.IN
    situation = Situation(
        entering=YARD if coming_in else None,
        leaving=None if coming_in else YARD,
        whereabouts=None if turn == 0 else Whereabouts(None if coming_in else YARD.id, 0, 60.0),
    )
    request = AccessRequest(card_of(who), point, GATE, situation=situation)
    grant = policy.decide(request, snapshot, now)
    assert isinstance(grant, Grant)
    ruling = Ruling(grant, request, snapshot, now)
    return granted_event(grant, ruling, store.credential_ref(card_of(who)))


def _stamp(number: int, later_ms: int = 0) -> Stamp:
    ms = number * STEP_MS + later_ms
    return Stamp("boot-1", ms * 1_000_000, FIRST_MS + ms, wall_trusted=True)
