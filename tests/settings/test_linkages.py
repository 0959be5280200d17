"""[[linkage]] in the settings: what it becomes, and each mistake at its place."""

from __future__ import annotations

import pytest

from gatewayd.domain.linkage import (
    Linkage,
    OrderMode,
    SwitchRelay,
    TakePicture,
    TellGuard,
    UnlockDoor,
)
from gatewayd.domain.model import (
    AlarmKind,
    CameraId,
    DeviceId,
    DoorId,
    DoorMode,
    Reason,
    ScheduleId,
)
from gatewayd.settings.bind import domain_linkage
from gatewayd.settings.linkage_checks import MAX_LINKAGES
from tests.settings.conftest import SITE, SiteFile

NIGHT = """
[[linkage]]
id = "night"
when = "access.denied"
about = "main-gate-in"
reason = "credential_unknown"
schedule = "nights"
if_mode = { door = "main-gate", mode = "Locked" }
then = [
  { do = "relay", controller = "board", relay = 4, for_s = 5 },
  { do = "notice", text = "look at {about}" },
  { do = "picture", camera = "gate-cam" },
  { do = "mode", door = "main-gate", mode = "Blocked", for_s = 600.5 },
  { do = "mode", door = "main-gate", mode = "LockedDown" },
]
"""
MORNING = """
[[linkage]]
id = "morning"
when = "system.started"
then = [{ do = "unlock", door = "main-gate" }]
"""
FORCED = """
[[linkage]]
id = "forced"
when = "alarm.raised"
alarm = "door_forced"
then = [{ do = "notice", text = "forced" }]
"""
FIRST = SITE.count("\n") + 2  # the line of the first [[linkage]] that is appended


def test_a_linkage_becomes_what_the_rules_see(site: SiteFile) -> None:
    site.append(NIGHT + FORCED + MORNING)
    night, forced, morning = (domain_linkage(one) for one in site.load().settings.linkage)
    gate = DoorId("main-gate")
    assert night == Linkage(
        "night",
        "access.denied",
        (
            SwitchRelay(DeviceId("board"), 4, 5),
            TellGuard("look at {about}"),
            TakePicture(CameraId("gate-cam")),
            OrderMode(gate, DoorMode.BLOCKED, 600.5),
            OrderMode(gate, DoorMode.LOCKED_DOWN),
        ),
        about="main-gate-in",
        reason=Reason.CREDENTIAL_UNKNOWN,
        schedule_id=ScheduleId("nights"),
        if_mode=(gate, DoorMode.LOCKED),
    )
    assert morning.then == (UnlockDoor(gate),)
    assert (forced.alarm, forced.about) == (AlarmKind.DOOR_FORCED, None)
    assert site.load().settings.alarms.escalate_min == 3.0


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'when = "access.denied"',
            'when = "access.denid"',
            "2: linkage.night.when: there is no event of the kind 'access.denid' "
            "(did you mean 'access.denied'?)",
        ),
        (
            'when = "access.denied"',
            'when = "x"',
            "2: linkage.night.when: there is no event of the kind 'x' "
            "(docs/reference/events.md has them all)",
        ),
        (
            'about = "main-gate-in"',
            'about = "main-gte-in"',
            "3: linkage.night.about: nothing here has the id 'main-gte-in' "
            "(did you mean 'main-gate-in'?)",
        ),
        (
            'reason = "credential_unknown"',
            'reason = "credential_unknwon"',
            "4: linkage.night.reason: there is no reason 'credential_unknwon' "
            "(did you mean 'credential_unknown'?)",
        ),
        (
            'door = "main-gate", mode = "Locked"',
            'door = "mane-gate", mode = "Locked"',
            "6: linkage.night.if_mode.door: there is no [[door]] with the id 'mane-gate' "
            "(did you mean 'main-gate'? [[door]] ids: 'main-gate')",
        ),
        (
            'mode = "Locked"',
            'mode = "Lockd"',
            "6: linkage.night.if_mode.mode: must be 'Locked', 'Unlocked', 'Accessed', 'Blocked', "
            "'LockedDown' or 'LockedOpen', is 'Lockd' (did you mean 'Locked'?)",
        ),
        (
            'if_mode = { door = "main-gate",',
            'if_mode = { dor = "main-gate",',
            "6: linkage.night.if_mode.door: is missing (The id of a [[door]].)",
        ),
        (
            'controller = "board"',
            'controller = "bord"',
            "8: linkage.night.then[1].controller: there is no [[controller]] with the id 'bord' "
            "(did you mean 'board'? [[controller]] ids: 'board')",
        ),
        (
            "relay = 4",
            "relay = 1",
            "8: linkage.night.then[1].relay: relay 1 of 'board' is taken by door.main-gate.relay "
            "(a door is moved by do = 'unlock' or do = 'mode', never past its rules)",
        ),
        (
            "relay = 4",
            "relay = 9",
            "8: linkage.night.then[1].relay: 'board' has 8 relays, and this is 9 "
            "(set relays of the [[controller]] if the board has more)",
        ),
        (
            "for_s = 5 }",
            'for_s = "5" }',
            "8: linkage.night.then[1].for_s: must be a number, is '5' "
            "(Then it is switched off again, always.)",
        ),
        (
            "for_s = 5 }",
            "for = 5, for_s = 5 }",
            "8: linkage.night.then[1].for: is not a known key (did you mean 'for_s'?)",
        ),
        (
            'do = "relay"',
            'do = "realy"',
            "8: linkage.night.then[1].do: must be one of 'mode', 'notice', 'picture', 'reader', "
            "'relay', 'unlock', is 'realy' (did you mean 'relay'?)",
        ),
        (
            'do = "notice", ',
            "",
            "9: linkage.night.then[2]: has no key 'do' (What is done, in this order.)",
        ),
        (
            'camera = "gate-cam" }',
            'camera = "cam" }',
            "10: linkage.night.then[3].camera: there is no [[camera]] with the id 'cam' "
            "([[camera]] ids: 'gate-cam')",
        ),
        (
            'mode = "Blocked"',
            'mode = "LockedDown"',
            "11: linkage.night.then[4].for_s: a lockdown has no end of its own: a person lifts it "
            "(remove for_s, or use mode = 'Blocked')",
        ),
        (
            'door = "main-gate", mode = "LockedDown" },',
            'door = "gate", mode = "LockedDown" },',
            "12: linkage.night.then[5].door: there is no [[door]] with the id 'gate' "
            "(did you mean 'main-gate'? [[door]] ids: 'main-gate')",
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(site: SiteFile, old: str, new: str, expected: str) -> None:
    site.append(NIGHT)
    head, found, tail = site.path.read_text().rpartition(old)
    assert found
    site.write(head + new + tail)
    line, text = expected.split(": ", 1)
    assert f"gatewayd.toml:{FIRST + int(line)}: {text}" in site.problems()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            ("door_forced", "door_frced"),
            "forced.alarm: there is no alarm 'door_frced' (did you mean 'door_forced'?)",
        ),
        (
            ('when = "alarm.raised"', 'when = "access.denied"'),
            "forced.alarm: 'access.denied' has no alarm (only these have: 'alarm.acknowledged', "
            "'alarm.cleared', 'alarm.escalated', 'alarm.raised', 'alarm.reopened', "
            "'alarm.repeated', 'alarm.shelved', 'alarm.unshelved')",
        ),
        (
            ('alarm = "door_forced"', 'reason = "expired"'),
            "forced.reason: 'alarm.raised' has no reason (only these have: 'access.denied')",
        ),
        (
            ('alarm = "door_forced"\n', ""),
            "forced: would set itself off for ever: forced → forced (what it does may cause what "
            "it waits for: ask for less with about or alarm)",
        ),
        (('id = "forced"', 'id = "board"'), "board.id: the id 'board' is taken by"),
        (
            ("then = [{", "then = [] #"),
            "forced.then: must have at least 1, has 0 (What is done, in this order.",
        ),
    ],
)
def test_filters_ids_and_loops_are_checked(
    site: SiteFile, changes: tuple[str, str], expected: str
) -> None:
    site.append(FORCED.replace(*changes))
    assert any(f": linkage.{expected}" in problem for problem in site.problems())


QUIET = """
[[linkage]]
id = "quiet"
when = "alarm.raised"
alarm = "duress"
then = [
  { do = "relay", controller = "board", relay = 4, for_s = 5 },
  ACTION
]
"""
READER = '{ do = "reader", reader = "main-gate-in", light = "red", for_s = 5 },'
NOTICE = '{ do = "notice", text = "help" },'


@pytest.mark.parametrize(
    ("action", "why"),
    [
        (READER, "whoever stands at the reader must not learn of a silent alarm (remove it; "),
        (NOTICE, "a notice sounds at the console, which the gate may hear, and the alarm is sil"),
    ],
)
def test_nothing_that_duress_sets_off_is_seen_or_heard(
    site: SiteFile, action: str, why: str
) -> None:
    site.append(QUIET.replace("ACTION", action))
    assert any(f": linkage.quiet.then[2].do: {why}" in problem for problem in site.problems())


def test_nothing_that_follows_a_linkage_of_duress_is_heard_either(site: SiteFile) -> None:
    after = QUIET.replace("quiet", "after").replace("ACTION", NOTICE)
    after = after.replace('"alarm.raised"', '"linkage.done"').replace('alarm = "duress"\n', "")
    site.append(QUIET.replace("ACTION", "") + after.replace("when", 'about = "quiet"\nwhen'))
    [problem] = site.problems()
    assert ": linkage.after.then[2].do: a notice sounds at the console" in problem


def test_a_relay_may_drive_a_silent_line_at_duress(site: SiteFile) -> None:
    site.append(QUIET.replace("ACTION", ""))
    assert site.problems() == []


def test_a_loop_is_named_with_every_linkage_in_it(site: SiteFile) -> None:
    site.append(
        FORCED
        + """
[[linkage]]
id = "ring"
when = "linkage.fired"
about = "echo"
then = [{ do = "relay", controller = "board", relay = 4, for_s = 1 }]

[[linkage]]
id = "echo"
when = "linkage.done"
about = "ring"
then = [{ do = "relay", controller = "board", relay = 4, for_s = 1 }]
"""
    )
    [problem] = site.problems()
    assert "linkage.ring: would set itself off for ever: ring → echo → ring (" in problem


def test_there_are_bounds(site: SiteFile) -> None:
    many = "".join(FORCED.replace('"forced"', f'"f-{n}"', 1) for n in range(MAX_LINKAGES + 1))
    site.append(many)
    [problem] = site.problems()
    assert "linkage.f-64: there are more than 64 linkages (remove some)" in problem
    site.write(
        SITE + FORCED.replace('forced" }]', 'x" }' + ', { do = "notice", text = "x" }' * 8 + "]")
    )
    [problem] = site.problems()
    assert "linkage.forced.then: must have at most 8, has 9 (" in problem


@pytest.mark.parametrize("kind", ["operator.ordered", "command.done", "device.offline"])
def test_an_event_about_people_orders_or_devices_is_asked_for_by_its_subject(
    site: SiteFile, kind: str
) -> None:
    about = "board" if kind.startswith("device") else "li"
    changed = FORCED.replace('when = "alarm.raised"', f'when = "{kind}"\nabout = "{about}"')
    site.append(changed.replace('alarm = "door_forced"\n', ""))
    assert site.problems() == []


def test_a_part_of_the_box_may_be_the_subject(site: SiteFile) -> None:
    changed = FORCED.replace("alarm = ", 'about = "journal"\nalarm = ')
    site.append(changed)
    assert site.problems() == []


@pytest.mark.parametrize(
    "action",
    [
        '{ do = "unlock", door = "main-gate" }',
        '{ do = "mode", door = "main-gate", mode = "Unlocked" }',
    ],
)
def test_no_linkage_opens_a_door_for_whoever_was_denied(site: SiteFile, action: str) -> None:
    site.append(f'[[linkage]]\nid = "kind"\nwhen = "access.denied"\nthen = [{action}]\n')
    [problem] = site.problems()
    assert "linkage.kind.then[1].do: would open a door for whoever was denied" in problem
