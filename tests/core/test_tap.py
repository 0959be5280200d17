"""The path: decide, journal, unlock, journal the outcome; and what a late or failing disk does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest

from gatewayd.domain.events import (
    AccessDenied,
    AccessGranted,
    AccessOutcome,
    Cause,
    CauseKind,
    Outcome,
)
from gatewayd.domain.model import (
    AlarmKind,
    CameraId,
    DoorMode,
    FailPolicy,
    Reason,
    RuleResult,
    RuleTrace,
    Tap,
    card,
)
from gatewayd.domain.ports import KeyPressed, Presented
from gatewayd.memory import SiteLayout, SiteMemory
from gatewayd.recorder import Recorder
from gatewayd.rulings import Rulings, Site
from gatewayd.tap import MAX_UNWRITTEN, MAX_WAITING_TAPS, TapPath
from tests.clock import ManualClock
from tests.domain.world import CARD, GATE, GATE_IN, SHANGHAI, snapshot
from tests.fakes import (
    FakeDoors,
    MemoryJournal,
    NotedPictures,
    NotedSignals,
    OneCardList,
    running,
)

STRANGER = card(0x3FFFFFF, 26)
POINT = replace(GATE_IN, camera_ids=(CameraId("cam-gate"),))


@dataclass
class Gate:
    """The path with everything around it in memory."""

    path: TapPath
    clock: ManualClock
    journal: MemoryJournal
    doors: FakeDoors
    pictures: NotedPictures
    signals: NotedSignals
    people: OneCardList

    async def tap(self, credential: object = CARD) -> None:
        await self.path.handle(Tap(POINT.id, credential, self.clock.now()))  # type: ignore[arg-type]  # a credential


def build(policy: FailPolicy = FailPolicy.SECURE) -> tuple[Gate, Recorder]:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    doors, pictures, signals = FakeDoors(GATE.id), NotedPictures(), NotedSignals()
    people = OneCardList(snapshot())
    door = replace(GATE, fail_policy=policy, commit_deadline_ms=10)
    site = Site({POINT.id: POINT}, {GATE.id: door}, SHANGHAI)
    memory = SiteMemory(SiteLayout(site.doors), journal, recorder, signals)
    rulings = Rulings(site, people, doors, memory, clock)
    path = TapPath(rulings, memory, journal, recorder, doors, pictures, signals, clock)
    return Gate(path, clock, journal, doors, pictures, signals, people), recorder


@pytest.fixture(params=[FailPolicy.SECURE])
async def gate(request: pytest.FixtureRequest) -> AsyncIterator[Gate]:
    made, recorder = build(request.param)
    async with running(made.path.run(), recorder.run()):
        yield made


fail_open = pytest.mark.parametrize("gate", [FailPolicy.OPEN], indirect=True)


async def test_a_grant_is_journaled_before_the_door_is_told_and_its_outcome_after(
    gate: Gate,
) -> None:
    await gate.tap()
    [granted] = gate.journal.of(AccessGranted)
    assert isinstance(granted, AccessGranted)
    assert (granted.person_id, granted.place) == ("p-17", "6-2-1203")
    assert granted.credential.masked == "•••3456"
    assert gate.doors.unlocks == [(Cause(CauseKind.TAP, "1"), GATE.unlock_s)]
    [outcome] = await gate.journal.until(AccessOutcome)
    assert outcome == AccessOutcome(POINT.id, GATE.id, 1, Outcome.UNLOCKED)
    assert gate.pictures.requests == [(1, ("cam-gate",), gate.journal.entries[0][2])]


async def test_the_door_stays_shut_while_the_grant_is_not_durable(gate: Gate) -> None:
    gate.journal.hold()
    async with asyncio.TaskGroup() as group:
        tap = group.create_task(gate.tap(), name="tap")
        await asyncio.sleep(0)
        assert gate.doors.unlocks == []
        gate.journal.release()
        await tap
    assert len(gate.doors.unlocks) == 1


async def test_a_stranger_is_denied_with_a_picture_and_nothing_moves(gate: Gate) -> None:
    await gate.tap(STRANGER)
    [denied] = gate.journal.of(AccessDenied)
    assert isinstance(denied, AccessDenied)
    assert denied.reason is Reason.CREDENTIAL_UNKNOWN
    assert denied.person_id is None
    assert gate.doors.unlocks == []
    assert len(gate.pictures.requests) == 1


async def test_a_known_person_denied_is_named_by_id_and_place(gate: Gate) -> None:
    gate.doors.mode = DoorMode.LOCKED_DOWN
    await gate.tap()
    [denied] = gate.journal.of(AccessDenied)
    assert isinstance(denied, AccessDenied)
    assert (denied.reason, denied.person_id) == (Reason.DOOR_LOCKED_DOWN, "p-17")
    assert denied.place == "6-2-1203"


async def test_a_list_that_cannot_be_read_denies_and_says_so(gate: Gate) -> None:
    gate.people.answer = None
    await gate.tap()
    [denied] = gate.journal.of(AccessDenied)
    assert isinstance(denied, AccessDenied)
    assert denied.reason is Reason.WHITELIST_UNAVAILABLE


async def test_a_denial_that_the_disk_refuses_is_recorded_later(gate: Gate) -> None:
    gate.journal.refuse = "disk full"
    await gate.tap(STRANGER)
    assert gate.journal.events == []
    gate.journal.refuse = None
    await gate.clock.advance(2)
    assert len(await gate.journal.until(AccessDenied)) == 1


async def test_fail_secure_a_late_journal_keeps_the_door_shut_and_raises_an_alarm(
    gate: Gate,
) -> None:
    gate.journal.hold()
    await gate.tap()
    assert gate.doors.unlocks == []
    assert gate.signals.raised(AlarmKind.JOURNAL_LATE)
    gate.journal.release()
    [outcome] = await gate.journal.until(AccessOutcome)
    assert isinstance(outcome, AccessOutcome)
    assert outcome.outcome is Outcome.REFUSED
    await gate.tap()
    assert (AlarmKind.JOURNAL_LATE, GATE.id, False) in gate.signals.signals


@fail_open
async def test_fail_open_a_late_journal_opens_and_records_later(gate: Gate) -> None:
    gate.journal.hold()
    await gate.tap()
    assert len(gate.doors.unlocks) == 1
    gate.journal.release()
    [outcome] = await gate.journal.until(AccessOutcome)
    assert isinstance(outcome, AccessOutcome)
    assert outcome.outcome is Outcome.UNLOCKED


@fail_open
async def test_fail_open_a_journal_that_refuses_opens_and_the_grant_is_recorded_late(
    gate: Gate,
) -> None:
    gate.journal.refuse = "disk full"
    await gate.tap()
    assert len(gate.doors.unlocks) == 1
    gate.journal.refuse = None
    await gate.clock.advance(2)
    [granted] = await gate.journal.until(AccessGranted)
    assert isinstance(granted, AccessGranted)
    assert granted.recorded_late


async def test_fail_secure_a_journal_that_refuses_makes_the_grant_a_denial(gate: Gate) -> None:
    gate.journal.refuse = "disk full"
    await gate.tap()
    assert gate.doors.unlocks == []
    gate.journal.refuse = None
    await gate.clock.advance(2)
    [denied] = await gate.journal.until(AccessDenied)
    assert isinstance(denied, AccessDenied)
    assert denied.reason is Reason.JOURNAL_UNAVAILABLE
    assert gate.journal.of(AccessGranted) == []


async def test_presented_credentials_are_decided_in_their_order(gate: Gate) -> None:
    gate.path.present(POINT.id, Presented(STRANGER, gate.clock.now()))
    gate.path.present(POINT.id, Presented(CARD, gate.clock.now()))
    await gate.journal.until(AccessGranted)
    assert [type(e) for e in gate.journal.events[:2]] == [AccessDenied, AccessGranted]


async def test_keys_mean_nothing_where_no_pin_is_asked_for(gate: Gate) -> None:
    for key in "1234#":
        gate.path.key(POINT.id, KeyPressed(key, gate.clock.now()))
    gate.path.present(POINT.id, Presented(CARD, gate.clock.now()))
    gate.path.key(POINT.id, KeyPressed("5", gate.clock.now()))
    await gate.journal.until(AccessOutcome)
    assert [type(event) for event in gate.journal.events] == [AccessGranted, AccessOutcome]


@pytest.mark.parametrize("gate", [FailPolicy.SECURE, FailPolicy.OPEN], indirect=True)
async def test_a_tap_whose_turn_comes_too_late_opens_nothing_and_says_whose_it_was(
    gate: Gate,
) -> None:
    shown = gate.clock.now()
    await gate.clock.advance(73)
    gate.path.present(POINT.id, Presented(CARD, shown))
    [denied] = await gate.journal.until(AccessDenied)
    assert isinstance(denied, AccessDenied)
    assert (denied.reason, denied.person_id) == (Reason.TAP_TOO_OLD, "p-17")
    assert denied.detail == (("seconds", "73"),)
    assert denied.trace[-1] == RuleTrace(
        "tap_in_time", "waited", RuleResult.FAIL, (("seconds", "73"),)
    )
    assert gate.doors.unlocks == []


async def test_a_stranger_whose_turn_comes_late_is_still_a_stranger(gate: Gate) -> None:
    shown = gate.clock.now()
    await gate.clock.advance(73)
    await gate.path.handle(Tap(POINT.id, STRANGER, shown))
    [denied] = gate.journal.of(AccessDenied)
    assert isinstance(denied, AccessDenied)
    assert denied.reason is Reason.CREDENTIAL_UNKNOWN


async def test_a_tap_that_waited_five_seconds_still_counts(gate: Gate) -> None:
    shown = gate.clock.now()
    await gate.clock.advance(5)
    await gate.path.handle(Tap(POINT.id, CARD, shown))
    assert len(gate.doors.unlocks) == 1


async def test_at_the_end_a_grant_is_finished_and_no_new_tap_is_taken(gate: Gate) -> None:
    gate.doors.hold()
    gate.path.present(POINT.id, Presented(CARD, gate.clock.now()))
    await gate.journal.until(AccessGranted)
    gate.path.present(POINT.id, Presented(STRANGER, gate.clock.now()))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        ending = group.create_task(gate.path.finish(5), name="end")
        await gate.clock.advance(0)
        gate.path.present(POINT.id, Presented(STRANGER, gate.clock.now()))
        assert not ending.done()
        gate.doors.release()
    assert len(await gate.journal.until(AccessOutcome)) == 1
    assert gate.journal.of(AccessDenied) == []
    assert not gate.signals.raised(AlarmKind.READER_FLOODED)


async def test_at_the_end_a_late_grant_is_waited_for_until_it_is_on_disk(gate: Gate) -> None:
    gate.journal.hold()
    await gate.tap()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        ending = group.create_task(gate.path.finish(5), name="end")
        await gate.clock.advance(0)
        assert not ending.done()
        gate.journal.release()
    assert len(await gate.journal.until(AccessOutcome)) == 1


async def test_at_the_end_a_tap_that_hangs_is_not_waited_for_for_ever(gate: Gate) -> None:
    gate.doors.hold()
    gate.path.present(POINT.id, Presented(CARD, gate.clock.now()))
    await gate.journal.until(AccessGranted)
    async with asyncio.timeout(5):
        await gate.path.finish(0)
    assert gate.journal.of(AccessOutcome) == []


async def test_at_the_end_of_a_quiet_gate_nothing_is_waited_for(gate: Gate) -> None:
    async with asyncio.timeout(5):
        await gate.path.finish(60)


async def test_a_flood_is_capped_and_alarmed_and_the_reader_recovers(gate: Gate) -> None:
    gate.journal.hold()
    for _ in range(MAX_WAITING_TAPS + 10):
        gate.path.present(POINT.id, Presented(STRANGER, gate.clock.now()))
    assert gate.signals.raised(AlarmKind.READER_FLOODED)
    gate.journal.release()
    assert len(await gate.journal.until(AccessDenied, MAX_WAITING_TAPS)) == MAX_WAITING_TAPS


@fail_open
async def test_a_denial_that_waits_for_a_hung_disk_keeps_no_resident_outside(gate: Gate) -> None:
    gate.journal.hold()
    async with asyncio.timeout(5):
        for credential in (STRANGER, STRANGER, CARD):
            await gate.tap(credential)
    assert len(gate.doors.unlocks) == 1
    assert gate.signals.raised(AlarmKind.JOURNAL_LATE)
    gate.journal.release()
    await gate.path.finish(1)
    denials = gate.journal.of(AccessDenied)
    assert [e.reason for e in denials if isinstance(e, AccessDenied)] == (
        [Reason.CREDENTIAL_UNKNOWN] * 2
    )
    assert len(gate.pictures.requests) == 3


async def test_denials_that_a_hung_disk_heaps_up_go_to_the_recorder_in_the_end(gate: Gate) -> None:
    gate.journal.hold()
    for _ in range(MAX_UNWRITTEN + 1):
        await gate.tap(STRANGER)
    gate.journal.release()
    await gate.path.finish(1)
    await gate.journal.until(AccessDenied, MAX_UNWRITTEN + 1)
    assert len(gate.pictures.requests) == MAX_UNWRITTEN
