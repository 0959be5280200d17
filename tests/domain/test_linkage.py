"""Linkages: what an event sets off, and which could set each other off for ever."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.events import (
    EVENT_TYPES,
    AlarmAcknowledged,
    AlarmCleared,
    AlarmEscalated,
    AlarmRaised,
    AlarmReopened,
    AlarmRepeated,
    AlarmShelved,
    AlarmUnshelved,
    Cause,
    CauseKind,
    DoorModeChanged,
    DoorOpened,
    DoorUnlocked,
    Escalation,
    Event,
    LinkageDone,
    LinkageFired,
    PictureMissed,
    PictureStored,
)
from gatewayd.domain.linkage import (
    Action,
    Effect,
    Hours,
    Linkage,
    OrderMode,
    SwitchRelay,
    TakePicture,
    TellGuard,
    UnlockDoor,
    effects,
    fired,
    loops,
    matches,
    may_set_off,
    silent,
)
from gatewayd.domain.model import (
    AlarmKind,
    CameraId,
    DeviceId,
    DoorId,
    DoorMode,
    Priority,
    Reason,
    ScheduleId,
)
from gatewayd.domain.schedule import Moment
from tests.domain.world import ALWAYS, NATIONAL, WORKDAYS, moment
from tests.store.samples import denied

GATE, SIDE = DoorId("main-gate"), DoorId("side-door")
SIREN = SwitchRelay(DeviceId("board-1"), 4, 5.0)
HOURS = Hours({ALWAYS.id: ALWAYS, WORKDAYS.id: WORKDAYS}, {NATIONAL.id: NATIONAL})
NOON, NIGHT = moment("2026-11-18 11:00:00"), moment("2026-11-18 23:00:00")
FORCED = AlarmRaised("a", AlarmKind.DOOR_FORCED, Priority.CRITICAL, GATE)


def linkage(when: str, *then: Action, id_: str = "one", **asked: Any) -> Linkage:
    return Linkage(id_, when, then or (SIREN,), **asked)


# ------------------------------------------------------------------------------- matching


@pytest.mark.parametrize(
    ("asked", "event", "fits"),
    [
        ({}, FORCED, True),
        ({"about": GATE}, FORCED, True),
        ({"about": SIDE}, FORCED, False),
        ({"alarm": AlarmKind.DOOR_FORCED}, FORCED, True),
        ({"alarm": AlarmKind.DOOR_HELD}, FORCED, False),
        ({}, DoorOpened(GATE, True), False),
    ],
)
def test_kind_subject_and_alarm_must_fit(asked: Any, event: Event, fits: bool) -> None:
    assert matches(linkage("alarm.raised", **asked), event) is fits


@pytest.mark.parametrize(
    "event",
    [
        AlarmRepeated("a", GATE, 1, "", AlarmKind.DOOR_HELD),
        AlarmAcknowledged("a", GATE, "li", "", AlarmKind.DOOR_HELD),
        AlarmReopened("a", GATE, AlarmKind.DOOR_HELD),
        AlarmCleared("a", GATE, 0, AlarmKind.DOOR_HELD),
        AlarmShelved("a", GATE, "li", "noise", 1, AlarmKind.DOOR_HELD),
        AlarmUnshelved("a", GATE, "", AlarmKind.DOOR_HELD),
        AlarmEscalated("a", GATE, Escalation.LEADER, AlarmKind.DOOR_HELD),
    ],
)
def test_every_event_of_an_alarm_tells_its_kind(event: Event) -> None:
    assert matches(linkage(event.KIND, alarm=AlarmKind.DOOR_HELD), event)
    assert not matches(linkage(event.KIND, alarm=AlarmKind.DOOR_FORCED), event)


@pytest.mark.parametrize(
    "event",
    [
        AlarmRaised("a", AlarmKind.DURESS, Priority.CRITICAL, GATE),
        AlarmRepeated("a", GATE, 1, "", AlarmKind.DURESS),
        AlarmAcknowledged("a", GATE, "li", "", AlarmKind.DURESS),
        AlarmCleared("a", GATE, 0, AlarmKind.DURESS),
        AlarmEscalated("a", GATE, Escalation.LEADER, AlarmKind.DURESS),
    ],
)
def test_a_silent_alarm_sets_off_only_what_asks_for_it_by_name(event: Event) -> None:
    assert not matches(linkage(event.KIND), event)
    assert not matches(linkage(event.KIND, about=GATE), event)
    assert not matches(linkage(event.KIND, alarm=AlarmKind.DOOR_FORCED), event)
    assert matches(linkage(event.KIND, alarm=AlarmKind.DURESS), event)


def test_a_linkage_that_follows_one_of_a_silent_alarm_is_silent_too() -> None:
    every = (
        linkage("alarm.raised", alarm=AlarmKind.DURESS, id_="police"),
        linkage("linkage.fired", about="police", id_="after"),
        linkage("linkage.done", about="after", id_="after that"),
        linkage("linkage.done", about="siren", id_="other"),
        linkage("alarm.raised", id_="siren"),
    )
    assert silent(every) == {"police", "after", "after that"}


def test_a_denial_is_asked_for_by_its_reason() -> None:
    unknown = linkage("access.denied", reason=Reason.CREDENTIAL_UNKNOWN)
    assert matches(unknown, denied())
    assert not matches(replace(unknown, reason=Reason.EXPIRED), denied())
    assert not matches(linkage("door.opened", reason=Reason.EXPIRED), DoorOpened(GATE, True))
    assert not matches(linkage("door.opened", alarm=AlarmKind.DOOR_HELD), DoorOpened(GATE, True))


def test_the_state_and_the_hour_must_fit_too() -> None:
    asked = linkage(
        "alarm.raised", schedule_id=WORKDAYS.id, if_mode=(SIDE, DoorMode.LOCKED), id_="day"
    )
    always = linkage("alarm.raised", schedule_id=ALWAYS.id, id_="always")
    gone = linkage("alarm.raised", schedule_id=ScheduleId("gone"), id_="gone")
    every = (asked, always, gone, linkage("door.opened", id_="other"))

    def ids(mode: DoorMode | None, now: Moment = NOON) -> list[str]:
        modes = {} if mode is None else {SIDE: mode}
        found = fired(every, FORCED, modes, HOURS, now)
        return [one.id for one in found]

    assert ids(DoorMode.LOCKED) == ["day", "always"]
    assert ids(DoorMode.BLOCKED) == ["always"]
    assert ids(None) == ["always"]
    assert fired([linkage("alarm.raised")], FORCED, {}, Hours(), NIGHT) != []
    assert ids(DoorMode.LOCKED, NIGHT) == ["always"]
    doubtful = moment("2026-11-18 11:00:00", trusted=False)
    assert ids(DoorMode.LOCKED, doubtful) == ["always"]


# ---------------------------------------------------------------------------------- loops


def test_a_lockdown_at_a_forced_door_is_no_loop_and_freeing_it_is() -> None:
    def when_forced(action: Action) -> list[tuple[str, ...]]:
        asked = linkage("alarm.raised", action)
        return loops([replace(asked, about=GATE, alarm=AlarmKind.DOOR_FORCED)])

    assert when_forced(OrderMode(GATE, DoorMode.LOCKED_DOWN)) == []
    assert when_forced(OrderMode(GATE, DoorMode.BLOCKED, 60)) == []
    assert when_forced(OrderMode(GATE, DoorMode.UNLOCKED)) == [("one", "one")]
    assert when_forced(UnlockDoor(GATE)) == [("one", "one")]


@pytest.mark.parametrize(
    ("chain", "found"),
    [
        ([linkage("alarm.raised", TellGuard("look"))], [("one", "one")]),
        ([linkage("alarm.raised", TellGuard("look"), alarm=AlarmKind.DOOR_HELD)], []),
        ([linkage("access.denied", TellGuard("look"))], []),
        ([linkage("door.opened", UnlockDoor(GATE), about=SIDE)], []),
        ([linkage("door.opened", UnlockDoor(GATE))], [("one", "one")]),
        ([linkage("picture.stored", TakePicture(CameraId("cam")))], [("one", "one")]),
        ([linkage("linkage.done", SIREN)], [("one", "one")]),
        ([linkage("linkage.done", SIREN, about="two")], []),
        (
            [
                linkage("door.opened", UnlockDoor(SIDE), about=GATE, id_="a"),
                linkage("door.unlocked", OrderMode(GATE, DoorMode.LOCKED), about=SIDE, id_="b"),
                linkage("linkage.fired", SIREN, about="a", id_="c"),
            ],
            [("a", "b", "a")],
        ),
        (
            [
                linkage("linkage.fired", SIREN, about="b", id_="a"),
                linkage("linkage.fired", SIREN, about="a", id_="b"),
                linkage("linkage.fired", SIREN, about="d", id_="c"),
                linkage("linkage.fired", SIREN, about="c", id_="d"),
            ],
            [("a", "b", "a"), ("c", "d", "c")],
        ),
    ],
)
def test_each_loop_is_named_with_its_ids(
    chain: list[Linkage], found: list[tuple[str, ...]]
) -> None:
    assert loops(chain) == found


def concrete(effect: Effect) -> Event | None:
    """A real event of the effect, for the kinds that the test's linkages ask for."""
    door, cause = DoorId(effect.about), Cause(CauseKind.LINKAGE)
    made: dict[str, Event] = {
        "door.opened": DoorOpened(door, True),
        "door.unlocked": DoorUnlocked(door, cause, 5.0),
        "door.mode_changed": DoorModeChanged(door, DoorMode.LOCKED, DoorMode.BLOCKED, cause),
        "alarm.raised": AlarmRaised(
            "a", effect.alarm or AlarmKind.NOTICE, Priority.LOW, effect.about
        ),
        "alarm.cleared": AlarmCleared("a", effect.about, 0, effect.alarm),
        "picture.stored": PictureStored(1, CameraId(effect.about), "p", "", 1, 1),
        "picture.missed": PictureMissed(1, CameraId(effect.about), "late"),
        "linkage.fired": LinkageFired(effect.about, 1, ()),
        "linkage.done": LinkageDone(effect.about, 1, ()),
    }
    return made.get(effect.kind)


KINDS = [
    "door.opened", "door.unlocked", "door.mode_changed", "alarm.raised", "alarm.cleared",
    "picture.stored", "picture.missed", "linkage.fired", "linkage.done",
]  # fmt: skip
_doors, _ids = st.sampled_from([GATE, SIDE]), st.sampled_from([f"l-{n}" for n in range(6)])
_actions: st.SearchStrategy[Action] = st.one_of(
    st.just(SIREN),
    st.just(TellGuard("look")),
    st.just(TakePicture(CameraId("cam"))),
    st.builds(
        OrderMode,
        _doors,
        st.sampled_from([DoorMode.LOCKED_DOWN, DoorMode.UNLOCKED]),
        st.sampled_from([None, 9.0]),
    ),
    st.builds(UnlockDoor, _doors),
)
_linkages = st.lists(
    st.builds(
        Linkage,
        id=_ids,
        when=st.sampled_from(KINDS),
        then=st.lists(_actions, min_size=1, max_size=2).map(tuple),
        about=st.none() | _doors | _ids,
        alarm=st.sampled_from([None, None, AlarmKind.NOTICE, AlarmKind.DOOR_HELD]),
    ),
    max_size=6,
    unique_by=lambda one: one.id,
)


@given(_linkages)
def test_linkages_without_a_loop_come_to_an_end_and_every_loop_goes_round(
    linkages: list[Linkage],
) -> None:
    """A world in which all that may happen does happen."""
    by_id = {one.id: one for one in linkages}
    found = loops(linkages)
    for loop in found:
        assert loop[0] == loop[-1]
        for one, other in itertools.pairwise(loop):
            assert any(may_set_off(e, by_id[other]) for e in effects(by_id[one]))
    waves, firing = 0, list(linkages)
    while firing and waves <= len(linkages):
        events = {e for one in firing for e in map(concrete, effects(one)) if e is not None}
        firing = [one for one in linkages if any(matches(one, event) for event in events)]
        waves += 1
    assert bool(firing) is bool(found)


def test_kinds_of_the_test_are_kinds_of_the_journal() -> None:
    assert EVENT_TYPES.keys() >= set(KINDS)
