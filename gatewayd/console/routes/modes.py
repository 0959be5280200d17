"""Orders of doors' modes: lockdown of site, zone or door, a guard's own order, the end of a fire.

Who wins over whom is `gatewayd.domain.modes`, behind the port. An order is journaled before
anything moves, except a lockdown: that waits for no disk, and the mode desk journals it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Path

from gatewayd.console.auth import SignedIn
from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.models import (
    DoorOutcome,
    FireResetResult,
    Lockdown,
    ModeOrderBody,
    ModeOrderResult,
    ModeResult,
    Order,
)
from gatewayd.console.permissions import PREFIX
from gatewayd.console.problems import ProblemError, responses
from gatewayd.console.routes.ordering import (
    ALL_DOORS,
    ORDER_ERRORS,
    Key,
    answered,
    cause_of,
    door_of,
    journal_order,
    key_of,
    refuse_late,
)
from gatewayd.domain.events import Outcome
from gatewayd.domain.model import DoorId, DoorMode
from gatewayd.domain.ports import FireAnswer, JournalError

router = APIRouter(prefix=PREFIX)

LOCKDOWN_NOTE_S = 0.2  # a lockdown's order is journaled within this time, or after the doors moved
FIRE = "fire"

_DoorId = Annotated[str, Path(max_length=32)]


# -------------------------------------------------------------------------------- lockdowns


@router.post(
    "/doors/lockdown",
    summary="Lock every door down, those of a zone, or one",
    tags=["doors"],
    responses=responses(*ORDER_ERRORS, "no-such-door", "no-such-zone", "door-silent", body=True),
)
async def lockdown(order: Lockdown, who: Who, console: ConsoleDep, key: Key = None) -> ModeResult:
    """No card and no order opens a door until the lockdown is lifted; the exit buttons still do,
    and a fire frees the escape doors all the same."""
    target, door_ids = _target(console, order)

    async def act() -> ModeResult:
        seq = await _note_lockdown(console, who, target, order.reason)
        cause, doors = cause_of(who, order.reason), console.deps.doors
        done = await _at_each(
            door_ids, lambda door: doors.set_mode(door, DoorMode.LOCKED_DOWN, cause), target
        )
        return ModeResult(seq=seq, doors=done)

    what = f"lockdown {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, ModeResult, act)


@router.post(
    "/doors/lift-lockdown",
    summary="Lift the lockdown of every door, of a zone, or of one door",
    tags=["doors"],
    responses=responses(*ORDER_ERRORS, "no-such-door", "no-such-zone", "door-silent", body=True),
)
async def lift_lockdown(
    order: Lockdown, who: Who, console: ConsoleDep, key: Key = None
) -> ModeResult:
    """Whoever ordered it, and under a fire too, where it can't be seen. What else was ordered of
    these doors is in force again; at a door that is not locked down nothing happens."""
    target, door_ids = _target(console, order)

    async def act() -> ModeResult:
        seq = await journal_order(console, who, "lift_lockdown", target, order.reason)
        cause, doors = cause_of(who, order.reason), console.deps.doors
        done = await _at_each(door_ids, lambda door: doors.lift(door, cause), target)
        return ModeResult(seq=seq, doors=done)

    what = f"lift {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, ModeResult, act)


def _target(console: Console, order: Lockdown) -> tuple[str, Sequence[DoorId]]:
    """What the journal calls it, and its doors."""
    if order.door_id is not None:
        return order.door_id, [door_of(console, order.door_id)]
    if order.zone is None:
        return ALL_DOORS, [DoorId(door) for door in console.views.doors]
    if order.zone not in console.views.zones:
        raise ProblemError("no-such-zone", f"no [[door]] has zone = {order.zone!r}")
    return f"zone:{order.zone}", console.views.zones[order.zone]


async def _at_each(
    door_ids: Sequence[DoorId], act: Callable[[DoorId], Awaitable[Outcome]], target: str
) -> list[DoorOutcome]:
    """All doors at once: a lockdown must not go door by door."""

    async def one(door_id: DoorId) -> DoorOutcome:
        try:
            outcome = await act(door_id)
        except JournalError:
            outcome = Outcome.FAILED
        return DoorOutcome(door_id=door_id, outcome=outcome)

    async def all_of_them() -> list[DoorOutcome]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(door), name=f"order at {door}") for door in door_ids]
        return [task.result() for task in tasks]

    return await answered(all_of_them(), target)


async def _note_lockdown(console: Console, who: SignedIn, target: str, reason: str) -> int:
    """The order's seq, or 0: a disk that is slow or full does not keep the doors open."""
    try:
        async with asyncio.timeout(LOCKDOWN_NOTE_S):
            return await journal_order(console, who, "lockdown", target, reason)
    except (JournalError, TimeoutError):
        return 0


# ---------------------------------------------------------------------------- a door's mode


@router.post(
    "/doors/{door_id}/mode",
    summary="Give a door a mode, with a reason and perhaps an end",
    tags=["doors"],
    responses=responses(
        *ORDER_ERRORS, "no-such-door", "until-passed", "order-too-late", "door-silent", body=True
    ),
)
async def set_mode(
    door_id: _DoorId, order: ModeOrderBody, who: Who, console: ConsoleDep, key: Key = None
) -> ModeOrderResult:
    """The operators' order of this door; it replaces the one before. A lockdown stays over it, and
    it wins over the centre, linkages and the door's own hours."""
    door = door_of(console, door_id)

    async def act() -> ModeOrderResult:
        now = console.deps.clock.now()
        if order.until_ms is not None and now.wall_trusted and order.until_ms <= now.wall_ms:
            raise ProblemError("until-passed", f"the box's clock is at {now.wall_ms} ms")
        seq = await journal_order(console, who, f"mode {order.mode}", door_id, order.reason)
        refuse_late(console, now)
        work = console.deps.doors.set_mode(
            door, DoorMode(order.mode), cause_of(who, order.reason), until_ms=order.until_ms
        )
        return await _mode_result(console, door, seq, work)

    what = f"mode {door_id} {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, ModeOrderResult, act)


@router.post(
    "/doors/{door_id}/mode/withdraw",
    summary="Take the operators' order of a door back",
    tags=["doors"],
    responses=responses(*ORDER_ERRORS, "no-such-door", "door-silent", body=True),
)
async def withdraw_mode(
    door_id: _DoorId, order: Order, who: Who, console: ConsoleDep, key: Key = None
) -> ModeOrderResult:
    """The centre's, a linkage's or the hours' order is in force again, or none. A lockdown is not
    lifted by it."""
    door = door_of(console, door_id)

    async def act() -> ModeOrderResult:
        seq = await journal_order(console, who, "withdraw_mode", door_id, order.reason)
        work = console.deps.doors.withdraw(door, cause_of(who, order.reason))
        return await _mode_result(console, door, seq, work)

    what = f"withdraw {door_id} {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, ModeOrderResult, act)


async def _mode_result(
    console: Console, door: DoorId, seq: int, work: Awaitable[Outcome]
) -> ModeOrderResult:
    outcome = await answered(work, door)
    mode = console.deps.doors.status(door).mode
    return ModeOrderResult(seq=seq, outcome=outcome, mode=mode)


# ------------------------------------------------------------------------------------- fire


@router.post(
    "/fire/reset",
    summary="End the fire, once the panel says that it is over",
    tags=["doors"],
    responses=responses(*ORDER_ERRORS, "no-fire", "fire-still-on", "fire-not-known", body=True),
)
async def reset_fire(
    order: Order, who: Who, console: ConsoleDep, key: Key = None
) -> FireResetResult:
    """The escape doors follow their other orders again. Refused while the fire input says fire, and
    while its board or its line can't say anything."""

    async def act() -> FireResetResult:
        fire = console.deps.fire
        if fire is None or not fire.on:
            raise ProblemError("no-fire", "load the doors again")
        seq = await journal_order(console, who, "fire_reset", FIRE, order.reason)
        match await fire.reset(cause_of(who, order.reason)):
            case FireAnswer.STILL_ON:
                raise ProblemError("fire-still-on", "reset the fire panel first, or mend its line")
            case FireAnswer.NOT_KNOWN:
                raise ProblemError("fire-not-known", "see whether its board is online and mend it")
            case FireAnswer.NO_FIRE:
                raise ProblemError("no-fire", "somebody else was first")
            case FireAnswer.RESET:
                return FireResetResult(seq=seq)

    what = f"fire reset {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, FireResetResult, act)
