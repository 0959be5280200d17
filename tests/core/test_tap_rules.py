"""What decisions set off beside the door: alarms, company, uses, PINs; rules are in the domain."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from gatewayd.domain.events import AccessDenied, AccessGranted, AccessOutcome, Outcome
from gatewayd.domain.model import (
    AccessLevel,
    AccessPoint,
    AlarmKind,
    AntiPassback,
    Area,
    AreaId,
    Credential,
    Direction,
    Door,
    DoorId,
    DoorMode,
    FailPolicy,
    LevelId,
    Passage,
    Person,
    PersonId,
    Reason,
    Snapshot,
    Tap,
    Verification,
    card,
)
from gatewayd.domain.pin import access_code, person_pin
from gatewayd.domain.ports import KeyPressed, Presented
from gatewayd.domain.signs import Indication
from gatewayd.memory import PASSAGE_MARGIN_S, SiteLayout, SiteMemory
from gatewayd.recorder import Recorder
from gatewayd.rulings import Rulings, Site
from gatewayd.tap import TapPath
from tests.clock import ManualClock
from tests.domain.world import CARD, GATE, GATE_IN, RESIDENTS, SHANGHAI, WANG, record, snapshot
from tests.fakes import (
    FakeDoors,
    MemoryJournal,
    NotedPictures,
    NotedSignals,
    NotedSigns,
    OneCardList,
    running,
)

KEY = b"site's own key, 32 bytes of it.."
YARD = Area(AreaId("yard"), "Yard", AntiPassback.SOFT)
LI_CARD = card(0x2222222, 26)
LI = Person(PersonId("p-18"), "李", level_ids=(LevelId("residents"),))


class TwoCardList(OneCardList):
    """Also knows Li, and levels that nobody here holds."""

    more_levels: Mapping[LevelId, AccessLevel] = {}

    asked_for_levels = 0
    li = LI

    def levels(self) -> Mapping[LevelId, AccessLevel]:
        self.asked_for_levels += 1
        return {**super().levels(), **self.more_levels}

    def snapshot(self, credential: Credential) -> Snapshot:
        if credential == LI_CARD and self.answer is not None:
            theirs = replace(record(), credential=LI_CARD, person_id=LI.id)
            return replace(self.answer, record=theirs, person=self.li)
        return super().snapshot(credential)


@dataclass
class Gate:
    path: TapPath
    memory: SiteMemory
    clock: ManualClock
    journal: MemoryJournal
    doors: FakeDoors
    signals: NotedSignals
    people: TwoCardList
    admitted: list[tuple[DoorId, int]]
    signs: NotedSigns

    async def tap(self, shown: Credential = CARD) -> AccessGranted | AccessDenied:
        await self.path.handle(Tap(GATE_IN.id, shown, self.clock.now()))
        found = [e for e in self.journal.events if isinstance(e, AccessGranted | AccessDenied)]
        return found[-1]

    def alarms(self) -> list[AlarmKind]:
        return [kind for kind, _, active in self.signals.signals if active]


@asynccontextmanager
async def gate(
    known: Snapshot | None = None,
    door: Door = GATE,
    point: AccessPoint = GATE_IN,
    where: Area = YARD,
) -> AsyncIterator[Gate]:
    clock, signals, signs = ManualClock(), NotedSignals(), NotedSigns()
    journal = MemoryJournal(clock)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    doors, people = FakeDoors(door.id), TwoCardList(known or snapshot())
    site = Site({point.id: point}, {door.id: door}, SHANGHAI)
    layout = SiteLayout(site.doors, {where.id: where}, pin_key=KEY)
    memory = SiteMemory(layout, journal, recorder, signals)
    admitted: list[tuple[DoorId, int]] = []
    path = TapPath(
        Rulings(site, people, doors, memory, clock),
        memory, journal, recorder, doors, NotedPictures(), signals, clock,
        lambda door_id, seq: admitted.append((door_id, seq)),
        signs,
    )  # fmt: skip
    async with running(path.run(), recorder.run()):
        yield Gate(path, memory, clock, journal, doors, signals, people, admitted, signs)


# -------------------------------------------------------------------------- who is alarmed of


async def test_a_watch_list_hit_is_denied_and_alarmed_at_once() -> None:
    async with gate(replace(snapshot(), person=replace(WANG, watch="see the office"))) as here:
        denied = await here.tap()
        assert isinstance(denied, AccessDenied)
        assert denied.reason is Reason.ON_WATCH_LIST
        assert here.alarms() == [AlarmKind.WATCH_LIST]
        assert "office" not in repr(denied)


async def test_a_duress_card_opens_as_any_other_and_alarms() -> None:
    async with gate(snapshot(credential_record=record(duress=True))) as here:
        granted = await here.tap()
        assert isinstance(granted, AccessGranted)
        assert granted.duress
        assert granted.unlock_s == GATE.unlock_s
        assert here.alarms() == [AlarmKind.DURESS]
        assert len(here.doors.unlocks) == 1


async def test_a_grant_under_duress_begins_no_hours_for_everyone() -> None:
    async with gate(snapshot(credential_record=record(duress=True))) as here:
        assert isinstance(await here.tap(), AccessGranted)
        assert len(here.doors.unlocks) == 1
        assert here.admitted == []


async def test_whoever_is_forced_to_try_a_door_they_may_not_is_heard_as_well() -> None:
    async with gate(snapshot(credential_record=record(duress=True))) as here:
        here.doors.mode = DoorMode.LOCKED_DOWN
        assert isinstance(await here.tap(), AccessDenied)
        assert here.alarms() == [AlarmKind.DURESS]


async def test_a_soft_area_lets_them_in_twice_and_tells_the_guard() -> None:
    door = replace(GATE, inside=YARD.id)
    async with gate(door=door) as here:
        await here.tap()
        passage = Passage(WANG.id, GATE_IN.id, 1, GATE_IN.direction)
        here.memory.passed(door.id, passage, here.clock.now())
        assert here.alarms() == []
        assert isinstance(await here.tap(), AccessGranted)
        assert here.alarms() == [AlarmKind.ANTI_PASSBACK]


# ------------------------------------------------------------------------------ two people, uses


async def test_at_a_door_for_two_the_second_person_opens_and_the_first_is_named() -> None:
    async with gate(door=replace(GATE, two_person_s=20)) as here:
        first = await here.tap()
        assert isinstance(first, AccessDenied)
        assert first.reason is Reason.SECOND_PERSON_REQUIRED
        assert isinstance(await here.tap(), AccessDenied)  # the same person is not two
        await here.clock.advance(19)
        second = await here.tap(LI_CARD)
        assert isinstance(second, AccessGranted)
        assert second.companion_id == WANG.id
        assert isinstance(await here.tap(LI_CARD), AccessDenied)  # nobody waits any more


async def test_a_pass_for_one_use_opens_once_and_its_use_is_journaled() -> None:
    async with gate(snapshot(credential_record=record(uses=1))) as here:
        await here.tap()
        [outcome] = await here.journal.until(AccessOutcome)
        assert isinstance(outcome, AccessOutcome)
        assert outcome.used
        again = await here.tap()
        assert isinstance(again, AccessDenied)
        assert again.reason is Reason.NO_USES_LEFT


async def test_a_door_that_does_not_open_uses_nothing_up() -> None:
    async with gate(snapshot(credential_record=record(uses=1))) as here:
        here.doors.outcome = Outcome.FAILED
        await here.tap()
        [outcome] = await here.journal.until(AccessOutcome)
        assert isinstance(outcome, AccessOutcome)
        assert outcome.used == ""
        assert here.admitted == []
        here.doors.outcome = Outcome.UNLOCKED
        assert isinstance(await here.tap(), AccessGranted)


PAIR = replace(GATE, two_person_s=20, commit_deadline_ms=10)


async def test_a_pass_for_one_use_leads_in_as_the_first_of_two_once() -> None:
    async with gate(snapshot(credential_record=record(uses=1)), PAIR) as here:
        await here.tap()
        assert isinstance(await here.tap(LI_CARD), AccessGranted)
        [outcome] = await here.journal.until(AccessOutcome)
        assert isinstance(outcome, AccessOutcome)
        assert outcome.companion_used
        assert outcome.used == ""  # Li's card may always
        again = await here.tap()
        assert isinstance(again, AccessDenied)
        assert again.reason is Reason.NO_USES_LEFT
        assert isinstance(await here.tap(LI_CARD), AccessDenied)


async def test_a_door_for_two_that_does_not_open_uses_nothing_up_either() -> None:
    async with gate(snapshot(credential_record=record(uses=1)), PAIR) as here:
        here.doors.outcome = Outcome.FAILED
        await here.tap()
        await here.tap(LI_CARD)
        [outcome] = await here.journal.until(AccessOutcome)
        assert isinstance(outcome, AccessOutcome)
        assert outcome.companion_used == ""
        here.doors.outcome = Outcome.UNLOCKED
        assert isinstance(await here.tap(LI_CARD), AccessGranted)


async def test_the_firsts_use_is_in_a_grant_that_is_recorded_late() -> None:
    door = replace(PAIR, fail_policy=FailPolicy.OPEN)
    async with gate(snapshot(credential_record=record(uses=1)), door) as here:
        await here.tap()
        here.journal.refuse = "disk full"
        await here.path.handle(Tap(GATE_IN.id, LI_CARD, here.clock.now()))
        here.journal.refuse = None
        await here.clock.advance(2)
        [late] = await here.journal.until(AccessGranted)
        assert isinstance(late, AccessGranted)
        assert (bool(late.companion_used), late.used, late.recorded_late) == (True, "", True)


async def test_a_use_that_could_not_be_recorded_is_given_back() -> None:
    slow = replace(GATE, commit_deadline_ms=10)
    async with gate(snapshot(credential_record=record(uses=1)), slow) as here:
        here.journal.refuse = "disk full"
        await here.path.handle(Tap(GATE_IN.id, CARD, here.clock.now()))
        here.journal.refuse = None
        await here.clock.advance(2)
        await here.journal.until(AccessDenied)
        assert isinstance(await here.tap(), AccessGranted)


async def test_who_opened_a_door_is_told_on_for_its_hours() -> None:
    async with gate() as here:
        await here.tap()
        assert here.admitted == [(GATE.id, 1)]


async def test_people_who_need_longer_have_it_and_the_passage_is_handed_to_the_door() -> None:
    slow_walker = replace(snapshot(), person=replace(WANG, extended_opening=True))
    async with gate(slow_walker) as here:
        granted = await here.tap()
        assert isinstance(granted, AccessGranted)
        assert granted.unlock_s == GATE.extended_s
        assert here.doors.passages == [
            (Passage(WANG.id, GATE_IN.id, 1, GATE_IN.direction), GATE.extended_s - GATE.unlock_s)
        ]


# ------------------------------------------------------------------------------ places in areas

VAULT = replace(YARD, anti_passback=AntiPassback.OFF, maximum=1)
VAULT_DOOR = replace(GATE, inside=VAULT.id, commit_deadline_ms=10)


async def test_two_who_tap_before_the_door_opens_do_not_both_get_the_last_place() -> None:
    async with gate(door=VAULT_DOOR, where=VAULT) as here:
        assert isinstance(await here.tap(), AccessGranted)
        second = await here.tap(LI_CARD)
        assert isinstance(second, AccessDenied)
        assert (second.reason, dict(second.detail)["inside"]) == (Reason.AREA_FULL, "1")
        assert isinstance(await here.tap(), AccessGranted)  # whoever has the place has it once


async def test_a_place_is_free_again_when_its_time_to_pass_is_over() -> None:
    async with gate(door=VAULT_DOOR, where=VAULT) as here:
        await here.tap()
        await here.clock.advance(GATE.unlock_s + PASSAGE_MARGIN_S - 1)
        assert isinstance(await here.tap(LI_CARD), AccessDenied)
        await here.clock.advance(1)
        assert isinstance(await here.tap(LI_CARD), AccessGranted)


async def test_a_door_that_does_not_open_takes_no_place() -> None:
    async with gate(door=VAULT_DOOR, where=VAULT) as here:
        here.doors.outcome = Outcome.FAILED
        await here.tap()
        here.doors.outcome = Outcome.UNLOCKED
        assert isinstance(await here.tap(LI_CARD), AccessGranted)


async def test_whoever_passed_is_counted_once_and_their_place_goes_with_them() -> None:
    two = replace(VAULT, maximum=2)
    async with gate(door=VAULT_DOOR, where=two) as here:
        await here.tap()
        inwards = Passage(WANG.id, GATE_IN.id, 1, Direction.IN)
        here.memory.passed(GATE.id, inwards, here.clock.now())
        assert isinstance(await here.tap(LI_CARD), AccessGranted)
        here.memory.passed(GATE.id, replace(inwards, person_id=LI.id), here.clock.now())
        for who in (WANG.id, LI.id):
            out = Passage(who, GATE_IN.id, 1, Direction.OUT)
            here.memory.passed(GATE.id, out, here.clock.now())
        granted = await here.tap()
        seen = next(line.facts for line in granted.trace if line.rule == "occupancy")
        assert dict(seen)["inside"] == "0"


async def test_at_a_door_for_two_both_take_a_place() -> None:
    pair, two = replace(VAULT_DOOR, two_person_s=20), replace(VAULT, maximum=2)
    async with gate(door=pair, where=two) as here:
        await here.tap()
        assert isinstance(await here.tap(LI_CARD), AccessGranted)
        await here.tap()
        third = await here.tap(LI_CARD)
        assert isinstance(third, AccessGranted)  # the same two, counted once
        here.people.answer = replace(snapshot(), person=replace(WANG, id=PersonId("p-19")))
        other = await here.tap()
        assert isinstance(other, AccessDenied)
        assert other.reason is Reason.AREA_FULL


# ---------------------------------------------------------------------- what the reader shows


async def test_green_comes_with_the_open_lock_and_red_with_the_denial() -> None:
    async with gate() as here:
        await here.tap()
        await here.tap(card(0x3FFFFFF, 26))
        assert here.signs.told == [Indication.GRANTED, Indication.DENIED]


async def test_a_door_that_does_not_open_shows_no_green() -> None:
    async with gate() as here:
        here.doors.outcome = Outcome.FAILED
        await here.tap()
        assert here.signs.told == [Indication.DENIED]


async def test_duress_looks_like_any_grant() -> None:
    async with gate(snapshot(credential_record=record(duress=True))) as here:
        await here.tap()
        assert here.signs.told == [Indication.GRANTED]


async def test_the_first_of_two_people_is_asked_for_the_second() -> None:
    async with gate(door=replace(GATE, two_person_s=20)) as here:
        await here.tap()
        await here.tap(LI_CARD)
        assert here.signs.told == [Indication.WAIT_FOR_SECOND, Indication.GRANTED]


async def test_a_late_disk_shows_what_the_fail_policy_did() -> None:
    for policy, shown in (
        (FailPolicy.SECURE, Indication.DENIED),
        (FailPolicy.OPEN, Indication.GRANTED),
    ):
        async with gate(door=replace(GATE, commit_deadline_ms=10, fail_policy=policy)) as here:
            here.journal.hold()
            await here.path.handle(Tap(GATE_IN.id, CARD, here.clock.now()))
            here.journal.release()
            assert here.signs.told == [shown]


# -------------------------------------------------------------------------------------- PINs

WITH_PIN = replace(
    snapshot(),
    person=replace(
        WANG, pin=person_pin(KEY, WANG.id, "4711"), duress_pin=person_pin(KEY, WANG.id, "4712")
    ),
)
KEYPAD = replace(GATE_IN, verification=Verification.CARD_AND_PIN)


async def typed(here: Gate, keys: str, shown: Credential | None = CARD) -> None:
    if shown is not None:
        here.path.present(KEYPAD.id, Presented(shown, here.clock.now()))
    for key in keys:
        here.path.key(KEYPAD.id, KeyPressed(key, here.clock.now()))
    await here.clock.advance(0.1)


async def test_card_and_pin_open_together_and_no_pin_is_journaled() -> None:
    async with gate(WITH_PIN, point=KEYPAD) as here:
        await typed(here, "47")
        assert here.journal.events == []  # it waits for the rest
        await typed(here, "11#", None)
        assert len(here.journal.of(AccessGranted)) == 1
        assert "4711" not in repr(here.journal.events)


async def test_the_duress_pin_opens_and_alarms() -> None:
    async with gate(WITH_PIN, point=KEYPAD) as here:
        await typed(here, "4712#")
        [granted] = here.journal.of(AccessGranted)
        assert isinstance(granted, AccessGranted)
        assert granted.duress
        assert here.alarms() == [AlarmKind.DURESS]


async def test_a_card_that_would_not_open_anyway_waits_for_no_pin() -> None:
    async with gate(WITH_PIN, point=KEYPAD) as here:
        await typed(here, "", card(0x3FFFFFF, 26))
        [denied] = here.journal.of(AccessDenied)
        assert isinstance(denied, AccessDenied)
        assert denied.reason is Reason.CREDENTIAL_UNKNOWN


async def test_a_pin_that_does_not_come_is_a_denial_that_says_so() -> None:
    async with gate(WITH_PIN, point=KEYPAD) as here:
        await typed(here, "")
        await here.clock.advance(11)
        [denied] = here.journal.of(AccessDenied)
        assert isinstance(denied, AccessDenied)
        assert denied.reason is Reason.PIN_MISSING


async def test_a_denial_tells_what_would_have_made_it_a_grant() -> None:
    elsewhere = replace(RESIDENTS, door_ids=frozenset({DoorId("b1")}))
    async with gate(snapshot(elsewhere)) as here:
        open_to_all = replace(RESIDENTS, id=LevelId("all-gates"))
        here.people.more_levels = {open_to_all.id: open_to_all}
        denied = await here.tap()
        assert isinstance(denied, AccessDenied)
        assert [(remedy.change, dict(remedy.facts)) for remedy in denied.remedies] == [
            ("hold_level", {"level": "all-gates"})
        ]


async def test_the_right_code_opens_nothing_while_the_reader_is_locked_out() -> None:
    code = access_code(KEY, "246810")
    known = replace(snapshot(), record=replace(record(), credential=code))
    async with gate(known, point=replace(GATE_IN, verification=Verification.PIN)) as here:
        for _ in range(5):
            await here.tap(access_code(KEY, "000000"))
        assert here.alarms() == [AlarmKind.WRONG_TRIES]
        denied = await here.tap(code)
        assert isinstance(denied, AccessDenied)
        assert denied.reason is Reason.PIN_LOCKED_OUT
        await here.clock.advance(61)
        assert isinstance(await here.tap(code), AccessGranted)


@pytest.mark.parametrize("what", ["the lock fails", "the disk is late"])
async def test_an_escort_who_was_not_let_in_leads_nobody(what: str) -> None:
    escort = replace(snapshot(), person=replace(WANG, may_escort=True))
    async with gate(escort, replace(GATE, commit_deadline_ms=10)) as here:
        if what == "the lock fails":
            here.doors.outcome = Outcome.FAILED
        else:
            here.journal.refuse = "disk full"
        await here.path.handle(Tap(GATE_IN.id, CARD, here.clock.now()))
        here.doors.outcome, here.journal.refuse = Outcome.UNLOCKED, None
        tap = Tap(GATE_IN.id, CARD, here.clock.now())
        status = here.doors.status(GATE.id)
        visitor = replace(snapshot(), person=replace(LI, needs_escort=True))
        facts = here.memory.situation(tap, GATE_IN, GATE, visitor, status)
        assert facts.companion is None


async def test_a_visitor_of_someone_passes_after_them_and_after_no_other_escort() -> None:
    async with gate() as here:
        here.people.li = replace(LI, escorts=(WANG.id,))
        denied = await here.tap(LI_CARD)
        assert isinstance(denied, AccessDenied)
        assert denied.reason is Reason.ESCORT_REQUIRED
        assert [(remedy.change, dict(remedy.facts)) for remedy in denied.remedies] == [
            ("bring_own_escort", {"people": WANG.id, "seconds": "30"})
        ]
        await here.tap()
        granted = await here.tap(LI_CARD)
        assert isinstance(granted, AccessGranted)
        assert granted.companion_id == WANG.id
        here.people.li = replace(LI, escorts=(PersonId("p-404"),))
        assert isinstance(await here.tap(LI_CARD), AccessDenied)


async def test_both_of_two_are_in_the_passage_that_the_door_is_told_of() -> None:
    async with gate(door=replace(GATE, two_person_s=20)) as here:
        await here.tap()
        await here.tap(LI_CARD)
        [(passage, _)] = here.doors.passages
        assert (passage.person_id, passage.companion_id) == (LI.id, WANG.id)


async def test_alarms_of_before_a_restart_go_once_they_are_over() -> None:
    async with gate() as here:
        await here.tap()
        assert (AlarmKind.JOURNAL_LATE, GATE.id, False) in here.signals.signals
        assert (AlarmKind.READER_FLOODED, GATE_IN.id, False) in here.signals.signals


async def test_whether_a_card_waits_for_its_pin_is_told_without_explaining_anything() -> None:
    async with gate(WITH_PIN, point=KEYPAD) as here:
        here.path.present(KEYPAD.id, Presented(CARD, here.clock.now()))
        assert here.people.asked_for_levels == 0
        await typed(here, "0000#", None)
        assert here.people.asked_for_levels == 1  # for the denial itself
