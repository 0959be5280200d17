"""Which of several states a reader rests in, and that every indication can be told."""

from __future__ import annotations

import pytest

from gatewayd.domain.door_state import Phase
from gatewayd.domain.model import DoorMode
from gatewayd.domain.signs import MOMENTS_S, SIGNS, Indication, resting


@pytest.mark.parametrize(
    ("phase", "mode", "waits", "installing", "rests"),
    [
        (Phase.SECURE, DoorMode.LOCKED, False, False, Indication.IDLE),
        (Phase.UNLOCKED, DoorMode.ACCESSED, False, False, Indication.IDLE),
        (Phase.SECURE, DoorMode.BLOCKED, False, False, Indication.IDLE),
        (Phase.SECURE, DoorMode.LOCKED, True, False, Indication.WAIT_FOR_PIN),
        (Phase.OPEN, DoorMode.UNLOCKED, True, False, Indication.UNLOCKED),
        (Phase.SECURE, DoorMode.LOCKED_OPEN, False, False, Indication.UNLOCKED),
        (Phase.SECURE, DoorMode.LOCKED_DOWN, True, False, Indication.LOCKDOWN),
        (Phase.HELD_WARNING, DoorMode.LOCKED_DOWN, False, False, Indication.HELD_PRE_ALARM),
        (Phase.HELD, DoorMode.LOCKED, False, False, Indication.HELD_PRE_ALARM),
        (Phase.HELD, DoorMode.LOCKED_DOWN, True, True, Indication.INSTALL),
    ],
)
def test_a_reader_rests_in_what_matters_most(
    phase: Phase, mode: DoorMode, waits: bool, installing: bool, rests: Indication
) -> None:
    assert resting(phase, mode, waits_for_pin=waits, installing=installing) is rests


def test_every_indication_has_a_sign_of_its_own() -> None:
    assert set(SIGNS) == set(Indication)
    assert len(set(SIGNS.values())) == len(SIGNS)


def test_what_a_door_can_rest_in_is_no_moment() -> None:
    resting_ones = {
        resting(phase, mode, waits_for_pin=waits, installing=installing)
        for phase in Phase
        for mode in DoorMode
        for waits in (False, True)
        for installing in (False, True)
    }
    assert resting_ones == set(Indication) - set(MOMENTS_S)
