"""Interlocks (mantraps): sets of doors of which one may be open, or unlocked. Pure; owns no door.

What can't be shown to be shut counts as open: a door whose board has not answered since the start,
or whose lock did not confirm, keeps the others of its set shut. A door without a contact can only
be judged by its lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gatewayd.domain.door import DoorState
from gatewayd.domain.model import Door, DoorId


class InterlockRule(StrEnum):
    """As in the settings' `[[interlock]] rule`."""

    ONE_OPEN = "one-open"  # several may be unlocked; the first that opens locks the others
    ONE_UNLOCKED = "one-unlocked"


@dataclass(frozen=True, slots=True)
class Interlock:
    id: str
    door_ids: tuple[DoorId, ...]
    rule: InterlockRule


Standing = Mapping[DoorId, tuple[Door, DoorState]]


def blocked_by(door_id: DoorId, interlocks: Iterable[Interlock], doors: Standing) -> DoorId | None:
    """The door that keeps this one shut: the first, in the order of the settings."""
    for interlock, other in _others(door_id, interlocks):
        door, state = doors[other]
        if _is_open(door, state) or (interlock.rule is InterlockRule.ONE_UNLOCKED and _free(state)):
            return other
    return None


def tripped_by(door_id: DoorId, interlocks: Iterable[Interlock]) -> set[DoorId]:
    """The doors to lock again because this one was opened."""
    return {other for _, other in _others(door_id, interlocks)}


def _others(door_id: DoorId, interlocks: Iterable[Interlock]) -> Iterator[tuple[Interlock, DoorId]]:
    for interlock in interlocks:
        if door_id in interlock.door_ids:
            yield from ((interlock, other) for other in interlock.door_ids if other != door_id)


def _is_open(door: Door, state: DoorState) -> bool:
    """Through an outage the contact's last word counts: nobody was let through meanwhile."""
    return door.has_contact and state.last_seen_open is not False


def _free(state: DoorState) -> bool:
    """Unlocked, or perhaps: a lock that did not confirm may stand as it was, and so may an arm that
    is late or waits for a vehicle."""
    return state.unlocked or state.failed or state.arm_late or state.close_waits
