"""The self-test of the decision path that the watchdog asks for. Owns no door and opens none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC

from gatewayd.domain import policy
from gatewayd.domain.door import TimePassed
from gatewayd.domain.model import (
    AccessLevel,
    AccessPoint,
    AccessPointId,
    AccessRequest,
    CredentialRecord,
    Direction,
    Door,
    DoorId,
    Grant,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
    Stamp,
    card,
)
from gatewayd.domain.ports import Whitelist, WhitelistReadError
from gatewayd.domain.schedule import WHOLE_DAY, Moment
from gatewayd.doors import DoorTask, DoorTasks

ANSWER_S = 6.0  # a door may be in an unlock that fails and the lock after it: twice 2 s

_DOOR = Door(DoorId("self-test"), "self-test")
_POINT = AccessPoint(AccessPointId("self-test"), "self-test", _DOOR.id, Direction.IN)
_CARD = card(1, 26)
_PERSON = Person(PersonId("self-test"), "self-test")
_ALWAYS = Schedule(ScheduleId("always"), "always", (WHOLE_DAY,) * 7)
_LEVEL = AccessLevel(LevelId("all"), "all", frozenset({_DOOR.id}), _ALWAYS.id)
_KNOWN = Snapshot(1, CredentialRecord(_CARD, _PERSON.id), _PERSON, (_LEVEL,), {_ALWAYS.id: _ALWAYS})
_NOW = Moment(Stamp("self-test", 0, 0, True), UTC)


def rules_answer() -> str | None:
    """A known card is granted and an unknown one denied, or what is wrong."""
    request = AccessRequest(_CARD, _POINT, _DOOR)
    if not isinstance(policy.decide(request, _KNOWN, _NOW), Grant):
        return "a valid card would be denied"
    if isinstance(policy.decide(request, Snapshot(1, None), _NOW), Grant):
        return "an unknown card would be granted"
    return None


class DecisionPath:
    """Rules, list and doors of the running box, each asked whether it still answers."""

    def __init__(self, doors: DoorTasks, whitelist: Whitelist) -> None:
        self._doors = doors
        self._whitelist = whitelist

    async def check(self) -> str | None:
        """None, or what is wrong. A list that can't be read is not the process's fault: a restart
        would not mend it, and the doors say why they deny."""
        wrong = rules_answer()
        if wrong is not None:
            return wrong
        with suppress(WhitelistReadError):
            self._whitelist.snapshot(_CARD)
        return await self._silent_door()

    async def _silent_door(self) -> str | None:
        """All doors are asked at once: those of a dead board must not add up."""
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(_answers(task), name=f"self-test {door_id}")
                for door_id, task in self._doors.tasks.items()
            ]
        silent = (d for d, task in zip(self._doors.tasks, asked, strict=True) if not task.result())
        door_id = next(silent, None)
        return None if door_id is None else f"door {door_id}: its task does not answer"


async def _answers(task: DoorTask) -> bool:
    try:
        async with asyncio.timeout(ANSWER_S):
            await task.order(TimePassed())
    except TimeoutError:
        return False
    return True
