"""Doors and alarms: what stands, and the orders to open a door or to take an alarm.

An order is journaled before anything moves, carried out once per Idempotency-Key, and answered
with what came of it. Must not decide whether a door may open: its mode does, behind the port.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Path

from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.models import (
    AlarmList,
    AlarmView,
    DoorList,
    Note,
    Nothing,
    Order,
    OrderResult,
    Shelving,
)
from gatewayd.console.permissions import PREFIX
from gatewayd.console.problems import ProblemError, responses
from gatewayd.console.routes.ordering import (
    ORDER_ERRORS,
    Key,
    answered,
    cause_of,
    door_of,
    journal_order,
    key_of,
    refuse_late,
)
from gatewayd.domain.alarm import OpenAlarm, ShelveRefusal
from gatewayd.domain.events import AlarmAcknowledged
from gatewayd.domain.ports import ShelveRefusedError

router = APIRouter(prefix=PREFIX)

RECENT_ACKNOWLEDGEMENTS = 200


# ----------------------------------------------------------------------------------- doors


@router.get("/doors", summary="Every door as it stands", tags=["doors"], responses=responses())
async def doors(_who: Who, console: ConsoleDep) -> DoorList:
    return DoorList(doors=console.views.all_doors())


@router.post(
    "/doors/{door_id}/unlock",
    summary="Open one door for one passage",
    tags=["doors"],
    responses=responses(*ORDER_ERRORS, "no-such-door", "order-too-late", "door-silent", body=True),
)
async def unlock(
    door_id: Annotated[str, Path(max_length=32)],
    order: Order,
    who: Who,
    console: ConsoleDep,
    key: Key = None,
) -> OrderResult:
    """Unlocks for the door's own time. `refused`: its mode forbids it; `interlocked`: another door
    of its interlock must close first; `failed`: unconfirmed."""
    door = door_of(console, door_id)

    async def act() -> OrderResult:
        ordered = console.deps.clock.now()
        seq = await journal_order(console, who, "open", door, order.reason)
        refuse_late(console, ordered)
        work = console.deps.doors.unlock(door, cause_of(who, order.reason))
        outcome = await answered(work, door)
        return OrderResult(seq=seq, outcome=outcome)

    what = f"open {door_id} {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, OrderResult, act)


# ---------------------------------------------------------------------------------- alarms


@router.get(
    "/alarms",
    summary="Every open alarm",
    tags=["alarms"],
    responses=responses("journal-unavailable"),
)
async def alarms(_who: Who, console: ConsoleDep) -> AlarmList:
    return AlarmList(alarms=await console.views.alarms(console.deps.alarms.open_alarms))


@router.post(
    "/alarms/{alarm_id}/acknowledge",
    summary="Take an alarm",
    tags=["alarms"],
    responses=responses(*ORDER_ERRORS, "no-such-alarm", "already-acknowledged", body=True),
)
async def acknowledge(
    alarm_id: Annotated[str, Path(max_length=64)],
    note: Note,
    who: Who,
    console: ConsoleDep,
    key: Key = None,
) -> AlarmView:
    """Of two who act at once exactly one wins; the other is told who did."""

    async def act() -> AlarmView:
        alarm = await _acknowledge(console, alarm_id, who.operator.name, note.note)
        return (await console.views.alarms(lambda: [alarm]))[0]

    what = f"acknowledge {alarm_id} {note}"
    return await console.repeats.once(who.session.id, key_of(key), what, AlarmView, act)


@router.post(
    "/alarms/{alarm_id}/shelve",
    summary="Put an alarm aside for a while",
    tags=["alarms"],
    responses=responses(
        *ORDER_ERRORS, "no-such-alarm", "never-shelved", "shelf-time-unfit", body=True
    ),
)
async def shelve(
    alarm_id: Annotated[str, Path(max_length=64)],
    shelving: Shelving,
    who: Who,
    console: ConsoleDep,
    key: Key = None,
) -> AlarmView:
    """Out of the waiting list until then, without a sound, and listed apart. It comes back by
    itself; one that is over meanwhile goes. Shelving it again sets the time anew."""

    async def act() -> AlarmView:
        with _alarm_problems():
            alarm = await console.deps.alarms.shelve(
                alarm_id, who.operator.name, shelving.reason, shelving.until_ms
            )
        return (await console.views.alarms(lambda: [alarm]))[0]

    what = f"shelve {alarm_id} {shelving}"
    return await console.repeats.once(who.session.id, key_of(key), what, AlarmView, act)


@router.post(
    "/alarms/{alarm_id}/unshelve",
    summary="Bring a shelved alarm back",
    tags=["alarms"],
    responses=responses(*ORDER_ERRORS, "no-such-alarm", body=True),
)
async def unshelve(
    alarm_id: Annotated[str, Path(max_length=64)],
    _nothing: Nothing,
    who: Who,
    console: ConsoleDep,
    key: Key = None,
) -> AlarmView:
    """It waits for a guard again, although someone had taken it before it was shelved."""

    async def act() -> AlarmView:
        with _alarm_problems():
            alarm = await console.deps.alarms.unshelve(alarm_id, who.operator.name)
        return (await console.views.alarms(lambda: [alarm]))[0]

    what = f"unshelve {alarm_id}"
    return await console.repeats.once(who.session.id, key_of(key), what, AlarmView, act)


@contextmanager
def _alarm_problems() -> Iterator[None]:
    """What the desk refuses, as the problems of a response."""
    try:
        yield
    except KeyError:
        raise ProblemError("no-such-alarm", "it may be over; load the list again") from None
    except ShelveRefusedError as error:
        never = error.refusal is ShelveRefusal.NEVER
        raise ProblemError("never-shelved" if never else "shelf-time-unfit") from None


async def _acknowledge(console: Console, alarm_id: str, name: str, note: str) -> OpenAlarm:
    try:
        alarm = await console.deps.alarms.acknowledge(alarm_id, name, note)
    except KeyError:
        winner = await _acknowledged_by(console, alarm_id)
        if winner is None:
            raise ProblemError("no-such-alarm", "it may be over; load the list again") from None
        raise _lost(winner) from None
    if alarm.acknowledged_by not in {None, name}:
        raise _lost(alarm.acknowledged_by or "")
    return alarm


async def _acknowledged_by(console: Console, alarm_id: str) -> str | None:
    """Who took an alarm that is no longer open: one that was over when it was taken."""
    recent = await console.deps.journal.entries_before(
        None, RECENT_ACKNOWLEDGEMENTS, kinds={AlarmAcknowledged.KIND}
    )
    for entry in recent:
        if isinstance(entry.event, AlarmAcknowledged) and entry.event.alarm_id == alarm_id:
            return entry.event.operator
    return None


def _lost(winner: str) -> ProblemError:
    return ProblemError("already-acknowledged", f"{winner} was first", {"winner": winner})
