"""Interlocks, escape doors, hours and the fire input: what check-config says of them."""

from __future__ import annotations

import pytest

from gatewayd.domain.interlock import Interlock, InterlockRule
from gatewayd.domain.model import DoorId, ScheduleId
from gatewayd.fallback import terminals_of
from gatewayd.settings.bind import domain_doors, interlocks, zones
from tests.settings.conftest import SiteFile

INNER = """
[[door]]
id = "inner"
name = "Inner"
controller = "board"
relay = 2
contact_input = 3
zone = "office"
[[reader]]
id = "inner-in"
name = "Inner, in"
driver = "tags"
door = "inner"
port = "/dev/ttyTEST2"
"""
TRAP = """
[[interlock]]
id = "trap"
doors = ["main-gate", "inner"]
"""
FIRE = """
[fire]
controller = "board"
input = 8
"""


def test_the_domain_gets_what_the_settings_say(site: SiteFile) -> None:
    site.replace('relay = 1', 'relay = 1\nzone = "office"\nescape = true\nfirst_person = true\n'
                'unlock_schedule = "day"')  # fmt: skip
    site.append(INNER.replace("contact_input", "exit_heeds_interlock = true\ncontact_input"))
    site.append(FIRE)
    settings = site.load().settings
    doors = domain_doors(settings)
    gate, inner = doors[DoorId("main-gate")], doors[DoorId("inner")]
    assert (gate.escape, gate.first_person, gate.unlock_schedule) == (True, True, ScheduleId("day"))
    assert inner.exit_heeds_interlock
    assert zones(settings) == {"office": ("main-gate", "inner")}
    assert interlocks(settings) == ()


def test_an_interlock_names_its_doors_and_its_rule(site: SiteFile) -> None:
    site.append(INNER + TRAP)
    assert site.problems() == []
    trap = Interlock("trap", (DoorId("main-gate"), DoorId("inner")), InterlockRule.ONE_OPEN)
    assert interlocks(site.load().settings) == (trap,)


def test_a_board_opens_no_door_for_two_and_none_of_an_interlock_by_itself(site: SiteFile) -> None:
    site.append(INNER)
    gate, inner = DoorId("main-gate"), DoorId("inner")
    assert terminals_of(site.load().settings, "board") == {gate: 1, inner: 2}
    site.replace("relay = 2", "relay = 2\ntwo_person_s = 20")
    assert terminals_of(site.load().settings, "board") == {gate: 1}
    site.append(TRAP)
    assert terminals_of(site.load().settings, "board") == {}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            '["main-gate", "inner"]',
            '["main-gate"]',
            "interlock.trap.doors: must have at least 2, has 1 "
            "(Ids of the [[door]] in it, two or more.)",
        ),
        (
            '["main-gate", "inner"]',
            '["main-gate", "inner", "main-gate"]',
            "interlock.trap.doors[3]: 'main-gate' is named twice (name each door once)",
        ),
        (
            '["main-gate", "inner"]',
            '["main-gate", "iner"]',
            "interlock.trap.doors[2]: there is no [[door]] with the id 'iner' "
            "(did you mean 'inner'? [[door]] ids: 'inner', 'main-gate')",
        ),
        (
            "contact_input = 3\n",
            "",
            "interlock.trap.doors[2]: whether 'inner' is open can't be told: it has no contact "
            "(wire a contact and set contact_input, or set rule = 'one-unlocked')",
        ),
        (
            "contact_input = 3\n",
            'contact_input = 3\nunlock_schedule = "day"\n',
            "interlock.trap.doors[2]: 'inner' is unlocked by a schedule, which an interlock does "
            "not allow (remove unlock_schedule of the door, or the door from here)",
        ),
        (
            'id = "trap"',
            'id = "inner"',
            "interlock.inner.id: the id 'inner' is taken by [[door]] inner at line 36 "
            "(ids are unique across all tables)",
        ),
        (
            'id = "trap"',
            'id = "trap"\nrule = "one-closed"',
            "interlock.trap.rule: must be 'one-open' or 'one-unlocked', is 'one-closed' "
            "(did you mean 'one-unlocked'?)",
        ),
    ],
)
def test_a_wrong_interlock_is_named(site: SiteFile, old: str, new: str, expected: str) -> None:
    site.append(INNER + TRAP)
    site.replace(old, new)
    [problem] = site.problems()
    assert problem.split(": ", 1)[1].startswith(expected.partition(" (")[0])
    assert problem.endswith(expected[expected.index("(") :])


def test_an_interlock_of_doors_without_contacts_may_still_be_of_one_unlocked(
    site: SiteFile,
) -> None:
    site.append(INNER.replace("contact_input = 3\n", "") + TRAP + 'rule = "one-unlocked"\n')
    assert site.problems() == []


def test_a_fire_input_needs_an_escape_door_a_board_and_a_free_terminal(site: SiteFile) -> None:
    site.append(FIRE)
    assert [problem.split(": ", 1)[1] for problem in site.problems()] == [
        "fire: the fire input frees no door (set escape = true at each [[door]] on an escape route)"
    ]
    site.replace("relay = 1", "relay = 1\nescape = true")
    assert site.problems() == []
    site.replace("input = 8", "input = 2")
    [taken] = site.problems()
    assert "input 2 of 'board' is taken by door.main-gate.exit_input" in taken
    site.replace('[fire]\ncontroller = "board"', '[fire]\ncontroller = "bord"')
    assert "there is no [[controller]] with the id 'bord'" in site.problems()[0]


def test_the_exit_button_of_an_escape_door_heeds_no_interlock(site: SiteFile) -> None:
    site.replace("relay = 1", "relay = 1\nescape = true\nexit_heeds_interlock = true")
    [problem] = site.problems()
    assert "the exit button of an escape door must always open it" in problem


def test_a_first_person_without_hours_is_of_no_use(site: SiteFile) -> None:
    site.replace("relay = 1", "relay = 1\nfirst_person = true")
    [problem] = site.problems()
    assert "door.main-gate.first_person: is of no use alone (set unlock_schedule" in problem


def test_no_two_inputs_share_a_terminal(site: SiteFile) -> None:
    site.replace("exit_input = 2", "exit_input = 2\nlock_input = 2\ntamper_input = 1")
    found = site.problems()
    assert len(found) == 2
    assert (
        "door.main-gate.lock_input: input 2 of 'board' is taken by door.main-gate.exit"
        in (found[0])
    )


@pytest.mark.parametrize("name", ["fire", "system"])
def test_words_of_the_journal_are_no_ids(site: SiteFile, name: str) -> None:
    site.append(INNER.replace('"inner"', f'"{name}"'))
    assert any(f"{name!r} is a word of the journal's own" in p for p in site.problems())
