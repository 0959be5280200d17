"""What the box remembers between taps, and that a restart gives back what must outlast it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from gatewayd.domain.events import (
    AccessGranted,
    AccessOutcome,
    Cause,
    CauseKind,
    Outcome,
    PersonPassed,
    WhereaboutsForgiven,
)
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AlarmKind,
    AntiPassback,
    Area,
    AreaId,
    Companion,
    Direction,
    DoorMode,
    LevelId,
    Passage,
    Person,
    PersonId,
    PinCheck,
    Situation,
    Snapshot,
    Tap,
)
from gatewayd.domain.pin import access_code, person_pin
from gatewayd.domain.ports import DoorStatus, JournalError
from gatewayd.memory import SiteLayout, SiteMemory, TryLimit
from gatewayd.recorder import Recorder
from gatewayd.store.journal import JournalStore
from tests.clock import ManualClock
from tests.domain.world import CARD, GATE, GATE_IN, WANG, record, snapshot
from tests.fakes import NotedSignals, running

YARD = Area(AreaId("yard"), "Yard", AntiPassback.HARD, maximum=2, minimum=2)
DOOR = replace(GATE, inside=YARD.id)
IN = GATE_IN
OUT = replace(GATE_IN, id=AccessPointId("main-gate-out"), direction=Direction.OUT)
KEY = b"site's own key, 32 bytes of it.."
GUARD = Cause(CauseKind.OPERATOR, "li", "head count was wrong")
LI = Person(PersonId("p-18"), "李", may_escort=True)


@dataclass
class Post:
    """The memory over a real journal, and the means to look at both."""

    memory: SiteMemory
    journal: JournalStore
    recorder: Recorder
    signals: NotedSignals
    clock: ManualClock

    def seen(
        self, known: Snapshot | None = None, pin: str | None = None, point: AccessPoint = IN
    ) -> Situation:
        tap = Tap(point.id, CARD, self.clock.now(), pin)
        status = DoorStatus(DOOR.id, "secure", DoorMode.LOCKED, False, False, True, False)
        return self.memory.situation(tap, point, DOOR, known or snapshot(), status)

    async def walk(self, person: PersonId, way: Direction = Direction.IN) -> None:
        self.memory.passed(DOOR.id, Passage(person, IN.id, 7, way), self.clock.now())
        await self.recorder.flushed()


def remember(journal: JournalStore, recorder: Recorder, signals: NotedSignals) -> SiteMemory:
    layout = SiteLayout({DOOR.id: DOOR}, {YARD.id: YARD}, TryLimit(wrong=3, pause_s=60), KEY)
    return SiteMemory(layout, journal, recorder, signals)


@pytest.fixture
async def post(tmp_path: Path) -> AsyncIterator[Post]:
    clock, signals = ManualClock(), NotedSignals()
    journal = await JournalStore.open(tmp_path / "journal.db", clock, secret=b"s" * 32)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    async with journal.running(), running(recorder.run()):
        yield Post(remember(journal, recorder, signals), journal, recorder, signals, clock)


# --------------------------------------------------------------------------------- passages


async def test_the_area_changes_when_the_door_opened_and_not_before(post: Post) -> None:
    before = post.seen()
    post.memory.admitted(IN, WANG, post.clock.now())
    assert post.seen() == before
    await post.walk(WANG.id)
    after = post.seen()
    assert (before.whereabouts, before.inside) == (None, 0)
    assert after.whereabouts is not None
    assert (after.whereabouts.area_id, after.inside) == (YARD.id, 1)
    [entry] = await post.journal.entries_after(0, 9, kinds={PersonPassed.KIND})
    assert entry.event == PersonPassed(WANG.id, DOOR.id, IN.id, 7, None, YARD.id)


async def test_entering_and_leaving_are_told_by_the_direction(post: Post) -> None:
    assert (post.seen().entering, post.seen().leaving) == (YARD, None)
    assert (post.seen(point=OUT).entering, post.seen(point=OUT).leaving) == (None, YARD)


async def test_a_door_between_no_areas_keeps_no_book(post: Post) -> None:
    layout = SiteLayout({GATE.id: GATE})
    elsewhere = SiteMemory(layout, post.journal, post.recorder, post.signals)
    elsewhere.passed(GATE.id, Passage(WANG.id, IN.id, 1, Direction.IN), post.clock.now())
    await post.recorder.flushed()
    assert await post.journal.whereabouts() == []


async def test_a_restart_knows_who_was_where_and_what_was_forgiven(post: Post) -> None:
    for person in (WANG.id, LI.id):
        await post.walk(person)
    await post.memory.forgive(LI.id, None, GUARD, post.clock.now())
    again = remember(post.journal, post.recorder, post.signals)
    again.restore(await post.journal.whereabouts(), await post.journal.credential_uses())
    assert [person for person, _ in again.inside(YARD.id)] == [WANG.id]
    assert sorted(p for p, _ in post.memory.inside(YARD.id)) == [WANG.id]


async def test_forgiving_is_journaled_with_its_reason_and_changes_nothing_if_it_cannot_be(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post.walk(WANG.id)

    async def refuse(*_: object) -> int:
        raise JournalError("disk full")

    with monkeypatch.context() as patched, pytest.raises(JournalError):
        patched.setattr(post.journal, "append", refuse)
        await post.memory.forgive(None, None, GUARD, post.clock.now())
    assert len(post.memory.inside(YARD.id)) == 1
    seq = await post.memory.forgive(None, YARD.id, GUARD, post.clock.now())
    assert post.memory.inside(YARD.id) == []
    entry = await post.journal.entry(seq)
    assert entry is not None
    assert entry.event == WhereaboutsForgiven(None, YARD.id, GUARD)
    [(_, seen)] = await post.journal.whereabouts()
    assert seen.neutral


async def test_forgiving_everyone_in_another_area_forgives_nobody_here(post: Post) -> None:
    await post.walk(WANG.id)
    await post.memory.forgive(WANG.id, AreaId("garage"), GUARD, post.clock.now())
    await post.memory.forgive(None, AreaId("garage"), GUARD, post.clock.now())
    [(_, seen)] = await post.journal.whereabouts()
    assert not seen.neutral
    assert len(post.memory.inside(YARD.id)) == 1


async def test_an_area_alarms_for_as_long_as_its_count_is_wrong(post: Post) -> None:
    few, crowd = AlarmKind.AREA_UNDER_MINIMUM, AlarmKind.AREA_OVER_LIMIT
    for number in range(3):
        await post.walk(PersonId(f"p-{number}"))
    await post.walk(PersonId("p-0"), Direction.OUT)
    assert post.signals.signals == [
        (few, YARD.id, True),
        (few, YARD.id, False),
        (crowd, YARD.id, True),
        (crowd, YARD.id, False),
    ]


# ------------------------------------------------------------------------------------- uses


async def test_a_pass_counts_at_the_grant_and_a_door_that_stays_shut_gives_it_back(
    post: Post,
) -> None:
    visitor = snapshot(credential_record=record(uses=1))
    digest = post.journal.credential_ref(CARD).digest
    post.memory.take_use(digest)
    assert post.seen(visitor).used == 1
    post.memory.give_back_use(digest)
    assert post.seen(visitor).used == 0
    assert post.seen().used == 0  # nobody counts a card that may always


async def test_uses_outlast_a_restart(post: Post) -> None:
    digest = post.journal.credential_ref(CARD).digest
    for _ in range(2):
        await post.journal.append(AccessOutcome(IN.id, DOOR.id, 1, Outcome.UNLOCKED, used=digest))
    again = remember(post.journal, post.recorder, post.signals)
    again.restore((), await post.journal.credential_uses())
    post.memory = again
    assert post.seen(snapshot(credential_record=record(uses=5))).used == 2


async def test_the_use_of_the_first_of_two_outlasts_a_restart_as_well(post: Post) -> None:
    both = AccessOutcome(
        IN.id, DOOR.id, 1, Outcome.UNLOCKED, used="d1" * 16, companion_used="d2" * 16
    )
    await post.journal.append(both)
    assert await post.journal.credential_uses() == {"d1" * 16: 1, "d2" * 16: 1}


# --------------------------------------------------------------------------- company and PINs


async def test_an_escort_and_a_first_person_are_remembered_for_the_same_way(post: Post) -> None:
    visitor = replace(snapshot(), person=replace(WANG, needs_escort=True))
    post.memory.admitted(IN, LI, post.clock.now())
    await post.clock.advance(4)
    assert post.seen(visitor).companion == Companion(LI.id, 4.0, may_escort=True)
    assert post.seen(visitor, point=OUT).companion is None
    post.memory.waits(IN, WANG, post.clock.now())
    assert post.seen().waiting == Companion(WANG.id, 0.0)


def with_pin() -> Snapshot:
    holder = replace(
        WANG, pin=person_pin(KEY, WANG.id, "4711"), duress_pin=person_pin(KEY, WANG.id, "4712")
    )
    return replace(snapshot(), person=holder)


def lis_own() -> Snapshot:
    return replace(snapshot(), person=replace(LI, pin=person_pin(KEY, LI.id, "2580")))


async def test_what_was_typed_is_compared_with_the_holders_own(post: Post) -> None:
    known = with_pin()
    found = [post.seen(known, pin).pin for pin in (None, "4711", "4712", "9999")]
    assert found == [PinCheck.NOT_TYPED, PinCheck.RIGHT, PinCheck.DURESS, PinCheck.WRONG]


async def test_wrong_ones_in_a_row_lock_the_reader_for_a_while_and_raise_one_alarm(
    post: Post,
) -> None:
    known = with_pin()
    for _ in range(3):
        assert post.seen(known, "0000").pin is PinCheck.WRONG
    assert post.seen(known, "4711").pin is PinCheck.LOCKED_OUT
    assert post.signals.signals == [
        (AlarmKind.WRONG_TRIES, IN.id, True),
        (AlarmKind.WRONG_TRIES, IN.id, False),
    ]
    assert post.seen(known, "4711", OUT).pin is PinCheck.LOCKED_OUT  # theirs, at any reader
    assert post.seen(lis_own(), "2580", OUT).pin is PinCheck.RIGHT  # of others, at another reader
    await post.clock.advance(61)
    assert post.seen(known, "4711").pin is PinCheck.RIGHT


async def test_a_right_one_forgets_the_wrong_ones_before_it(post: Post) -> None:
    known = with_pin()
    for pin in ("0000", "0000", "4711", "0000", "0000"):
        post.seen(known, pin)
    assert not post.signals.raised(AlarmKind.WRONG_TRIES)


async def test_guesses_at_a_stolen_card_are_not_forgotten_for_a_right_pin_of_ones_own(
    post: Post,
) -> None:
    stolen, own = with_pin(), lis_own()
    for _ in range(2):
        assert post.seen(stolen, "0000").pin is PinCheck.WRONG
        assert post.seen(own, "2580").pin is PinCheck.RIGHT
    assert post.seen(stolen, "0000").pin is PinCheck.WRONG
    assert post.seen(stolen, "4711").pin is PinCheck.LOCKED_OUT
    assert post.signals.raised(AlarmKind.WRONG_TRIES)


async def test_guesses_at_a_stolen_card_are_counted_over_all_readers(post: Post) -> None:
    stolen = with_pin()
    for point in (IN, OUT, IN):
        assert post.seen(stolen, "0000", point).pin is PinCheck.WRONG
    assert post.seen(stolen, "4711", OUT).pin is PinCheck.LOCKED_OUT
    assert post.seen(lis_own(), "2580").pin is PinCheck.RIGHT  # neither reader had three
    assert post.signals.signals == [
        (AlarmKind.WRONG_TRIES, IN.id, True),
        (AlarmKind.WRONG_TRIES, IN.id, False),
    ]


async def test_of_more_people_than_ever_mistype_the_first_is_forgotten(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.memory.MAX_MISTYPED", 1)
    for known, point in ((with_pin(), IN), (with_pin(), OUT), (lis_own(), IN), (with_pin(), OUT)):
        post.seen(known, "0000", point)
    assert not post.signals.raised(AlarmKind.WRONG_TRIES)


async def test_unknown_codes_count_as_wrong_ones(post: Post) -> None:
    code = post.memory.code("123456")
    assert code == access_code(KEY, "123456")
    status = DoorStatus(DOOR.id, "secure", DoorMode.LOCKED, False, False, True, False)
    for known in (snapshot(), *[Snapshot(7, None)] * 3):
        tap = Tap(IN.id, code, post.clock.now())
        post.memory.situation(tap, IN, DOOR, known, status)
    assert post.signals.raised(AlarmKind.WRONG_TRIES)


async def test_a_site_without_a_key_takes_no_pin_for_right(post: Post) -> None:
    layout = SiteLayout({DOOR.id: DOOR}, {YARD.id: YARD})
    post.memory = SiteMemory(layout, post.journal, post.recorder, post.signals)
    assert post.memory.code("1234") is None
    assert post.seen(with_pin(), "4711").pin is PinCheck.WRONG


async def test_a_restart_finds_an_area_that_is_wrong_still_wrong(post: Post) -> None:
    await post.walk(WANG.id)  # alone, where two are wanted
    signals = NotedSignals()
    remember(post.journal, post.recorder, signals).restore(await post.journal.whereabouts(), {})
    assert signals.signals == [
        (AlarmKind.AREA_OVER_LIMIT, YARD.id, False),  # may be up from before, and is over
        (AlarmKind.AREA_UNDER_MINIMUM, YARD.id, True),
    ]


async def test_at_a_door_for_two_both_are_inside_and_both_are_journaled(post: Post) -> None:
    passage = Passage(LI.id, IN.id, 7, Direction.IN, WANG.id)
    post.memory.passed(DOOR.id, passage, post.clock.now())
    await post.recorder.flushed()
    assert {person for person, _ in post.memory.inside(YARD.id)} == {WANG.id, LI.id}
    assert len(await post.journal.whereabouts()) == 2
    assert post.signals.signals == []  # nobody was in there alone for a moment


async def test_a_use_of_a_grant_that_is_recorded_late_outlasts_a_restart(post: Post) -> None:
    digest = post.journal.credential_ref(CARD).digest
    late = AccessGranted(
        IN.id, DOOR.id, Direction.IN, post.journal.credential_ref(CARD), WANG.id, "", LevelId("x"),
        5.0, 7, (), recorded_late=True, used=digest,
    )  # fmt: skip
    await post.journal.append(late)
    assert await post.journal.credential_uses() == {digest: 1}
