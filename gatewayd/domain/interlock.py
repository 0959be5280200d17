"""Interlocks (mantraps): of a set of doors one at a time may be passed. Pure; moves no door."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gatewayd.domain.door import FREE_MODES
from gatewayd.domain.model import DoorId
from gatewayd.domain.ports import DoorStatus


class InterlockRule(StrEnum):
    """What of the other doors stands in the way. The values are in the settings."""

    ONE_OPEN = "one-open"  # one that is open, or unlocked for someone who is about to open it
    ONE_UNLOCKED = "one-unlocked"  # also one that is kept unlocked


@dataclass(frozen=True, slots=True)
class Interlock:
    id: str
    door_ids: tuple[DoorId, ...]
    rule: InterlockRule = InterlockRule.ONE_OPEN


def blocked_by(
    door_id: DoorId, sets: Iterable[Interlock], states: Mapping[DoorId, DoorStatus]
) -> DoorId | None:
    """The first other door of a set with this one that stands in its way; None: it may open.

    A door that can't be seen, because its controller is offline, stands in the way: it may be
    open. One without a contact is judged by its lock. The exit buttons ask no interlock.
    """
    for interlock in sets:
        if door_id in interlock.door_ids:
            for other in interlock.door_ids:
                if other != door_id and _in_the_way(states[other], interlock.rule):
                    return other
    return None


def _in_the_way(status: DoorStatus, rule: InterlockRule) -> bool:
    if status.open or not status.online:
        return True
    kept_open = rule is InterlockRule.ONE_OPEN and status.mode in FREE_MODES
    return status.unlocked and not kept_open
