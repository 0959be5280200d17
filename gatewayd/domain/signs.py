"""What a reader shows and sounds: what may be told there, and how by default.

Owns which of several states a reader rests in. Must not know how a reader is driven (the port is
`gatewayd.domain.ports.SignedReader`). Duress has no sign of its own: it looks like a grant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gatewayd.domain.door_state import Phase
from gatewayd.domain.model import DoorMode


class Light(StrEnum):
    """A reader's light. A reader that lacks a colour shows the nearest that it has."""

    OFF = "off"
    RED = "red"
    GREEN = "green"
    AMBER = "amber"
    BLUE = "blue"


class Tone(StrEnum):
    """A reader's buzzer."""

    SILENT = "silent"
    SHORT = "short"  # 0.1 s
    LONG = "long"  # 1 s
    TWICE = "twice"
    THRICE = "thrice"
    REPEATED = "repeated"  # for as long as it is shown


@dataclass(frozen=True, slots=True)
class Sign:
    """What a reader shows and sounds. `light` None leaves the light as it is; an empty `text`
    leaves the display to the reader."""

    light: Light | None = None
    blinking: bool = False
    tone: Tone = Tone.SILENT
    text: str = ""


class Indication(StrEnum):
    """What a reader may have to tell whoever stands before it."""

    IDLE = "idle"  # the door is locked, show a credential
    UNLOCKED = "unlocked"  # the door's mode leaves it free
    GRANTED = "granted"
    DENIED = "denied"
    WAIT_FOR_PIN = "wait_for_pin"
    WAIT_FOR_SECOND = "wait_for_second"  # the door asks for a second person
    HELD_PRE_ALARM = "held_pre_alarm"  # open too long, from the warning until it is shut
    LOCKDOWN = "lockdown"
    INSTALL = "install"  # its keys may be set now


SIGNS: Final[Mapping[Indication, Sign]] = {
    Indication.IDLE: Sign(Light.RED),
    Indication.UNLOCKED: Sign(Light.GREEN),
    Indication.GRANTED: Sign(Light.GREEN, tone=Tone.SHORT),
    Indication.DENIED: Sign(Light.RED, blinking=True, tone=Tone.THRICE),
    Indication.WAIT_FOR_PIN: Sign(Light.AMBER, blinking=True, tone=Tone.SHORT),
    Indication.WAIT_FOR_SECOND: Sign(Light.AMBER, blinking=True, tone=Tone.TWICE),
    Indication.HELD_PRE_ALARM: Sign(Light.RED, blinking=True, tone=Tone.REPEATED),
    Indication.LOCKDOWN: Sign(Light.RED, blinking=True),
    Indication.INSTALL: Sign(Light.BLUE, blinking=True),
}
# Moments, in seconds; the others last as long as what they tell of.
MOMENTS_S: Final[Mapping[Indication, float]] = {
    Indication.GRANTED: 3.0,
    Indication.DENIED: 2.0,
    Indication.WAIT_FOR_SECOND: 5.0,
}
_FREE = frozenset({DoorMode.UNLOCKED, DoorMode.LOCKED_OPEN})
_HELD = frozenset({Phase.HELD_WARNING, Phase.HELD})


def resting(
    phase: Phase, mode: DoorMode, *, waits_for_pin: bool = False, installing: bool = False
) -> Indication:
    """What a reader of this door shows while nothing happens at it: the first that holds."""
    if installing:
        return Indication.INSTALL
    if phase in _HELD:
        return Indication.HELD_PRE_ALARM
    if mode is DoorMode.LOCKED_DOWN:
        return Indication.LOCKDOWN
    if mode in _FREE:
        return Indication.UNLOCKED
    return Indication.WAIT_FOR_PIN if waits_for_pin else Indication.IDLE
