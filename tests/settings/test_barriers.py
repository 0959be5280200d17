"""A barrier in the settings: what it becomes, and each mistake at its place."""

from __future__ import annotations

import pytest

from gatewayd.domain.model import AccessPointId, Barrier, DoorId
from gatewayd.settings.bind import access_points, domain_doors
from gatewayd.wiring import door_wiring
from tests.fakes import FakeBoard
from tests.settings.conftest import SiteFile

LANE = """
[[door]]
id = "lane"
name = "Lane"
controller = "board"
kind = "barrier"
relay = 2
close_relay = 3
stop_relay = 4
loop_input = 3
loop_active_means = "free"
presence_input = 4
closed_limit_input = 5
open_limit_input = 6
unlock_s = 20
pre_alarm_s = 30
held_s = 60

[[reader]]
id = "lane-in"
name = "Lane, in"
driver = "tags"
door = "lane"
vehicle = true
port = "/dev/ttyTEST2"
"""
KIND = 'kind = "barrier"'


def test_a_barrier_becomes_what_the_rules_and_the_wires_see(site: SiteFile) -> None:
    site.append(LANE)
    settings = site.load().settings
    lane = domain_doors(settings)[DoorId("lane")]
    assert lane.barrier == Barrier(6.0, sees_up=True)
    assert lane.has_contact
    assert domain_doors(settings)[DoorId("main-gate")].barrier is None
    assert access_points(settings)[AccessPointId("lane-in")].vehicle
    wiring = door_wiring(settings.door[1], FakeBoard())
    assert (wiring.contact_input, wiring.contact_active_means_open) == (5, False)
    arm = wiring.arm
    assert arm is not None
    assert (arm.loop_input, arm.loop_active_means_vehicle, arm.presence_input) == (3, False, 4)
    assert (arm.up_input, arm.down_relay, arm.stop_relay) == (6, 3, 4)


@pytest.mark.parametrize(
    ("before", "after", "key", "words"),
    [
        ("loop_input = 3\n", "", "door.lane.kind", "could close on a vehicle"),
        (KIND, 'kind = "door"', "door.lane.loop_input", "counts only for a barrier"),
        ("close_relay = 3\n", "", "door.lane.stop_relay", "of no use without close_relay"),
        ("closed_limit_input = 5\n", "", "door.lane.open_limit_input", "closed_limit_input"),
        (KIND, KIND + "\ncontact_input = 8", "door.lane.contact_input", "a barrier has none"),
        (KIND, KIND + '\nenergised_means = "locked"', "door.lane.energised_means", "by pulses"),
        ("unlock_s = 20", "unlock_s = 5", "door.lane.unlock_s", "more than travel_s"),
        ("pre_alarm_s = 30", "pre_alarm_s = 25", "door.lane.pre_alarm_s", "no vehicle came"),
        ("unlock_s = 20\n", "", "door.lane.kind", "more than travel_s"),
        ("close_relay = 3", "close_relay = 1", "door.lane.close_relay", "is taken by"),
        ("loop_input = 3", "loop_input = 2", "door.lane.loop_input", "is taken by"),
        ('door = "lane"', 'door = "main-gate"', "reader.lane-in.vehicle", "is no barrier"),
    ],
)
def test_a_mistake_at_a_barrier_is_named_at_its_place(
    site: SiteFile, before: str, after: str, key: str, words: str
) -> None:
    assert before in LANE
    site.append(LANE.replace(before, after))
    found = [problem for problem in site.problems() if f" {key}: " in problem]
    assert any(words in problem for problem in found), site.problems()
    assert all(problem.endswith(")") for problem in found)


def test_a_linkage_never_drives_a_relay_of_a_barrier(site: SiteFile) -> None:
    site.append(LANE)
    site.append("""
[[linkage]]
id = "siren"
when = "alarm.raised"
then = [{ do = "relay", controller = "board", relay = 3, for_s = 5 }]
""")
    [problem] = site.problems()
    assert "is taken by door.lane.close_relay" in str(problem)
