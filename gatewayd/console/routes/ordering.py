"""What all routes that order something share: the Idempotency-Key, the errors that may come, who
ordered, the order in the journal, and the wait for a door.

Owns no route.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import Header

from gatewayd.console.auth import SignedIn
from gatewayd.console.context import Console
from gatewayd.console.problems import ProblemError
from gatewayd.domain.events import Cause, CauseKind, OperatorOrdered
from gatewayd.domain.model import NS_PER_S, DoorId, Stamp

ALL_DOORS = "*"
DOOR_TIMEOUT_S = 10.0  # the door's own time-out is 2 s; this one only ends a wait that has no end
MAX_AGE_S = 10  # an order that took longer to be on disk moves no door: whoever gave it may be gone

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{8,64}$",
        description="Required: new for each order; the same again returns the first result.",
    ),
]
T = TypeVar("T")
ORDER_ERRORS = (
    "idempotency-key-missing",
    "foreign-origin",
    "idempotency-key-reused",
    "journal-unavailable",
    "interrupted",
)


def key_of(key: str | None) -> str:
    if key is None:
        raise ProblemError("idempotency-key-missing", "send a new Idempotency-Key with each order")
    return key


def door_of(console: Console, door_id: str) -> DoorId:
    """The door of that id. Raises ProblemError where the settings have none."""
    if door_id not in console.views.doors:
        raise ProblemError("no-such-door", f"the settings have no door {door_id!r}")
    return DoorId(door_id)


def cause_of(who: SignedIn, reason: str) -> Cause:
    return Cause(CauseKind.OPERATOR, who.operator.name, reason)


async def journal_order(
    console: Console, who: SignedIn, action: str, target: str, reason: str
) -> int:
    """The order's seq, once it is durable. Raises JournalError."""
    event = OperatorOrdered(who.operator.name, action, target, reason)
    return await console.deps.journal.append(event)


async def answered(work: Awaitable[T], target: str) -> T:
    """What came of the work at that door, or those doors. Raises ProblemError where nothing does
    in DOOR_TIMEOUT_S: the work is then cancelled."""
    try:
        async with asyncio.timeout(DOOR_TIMEOUT_S):
            return await work
    except TimeoutError:
        what = f"look at door {target} before you repeat the order"
        raise ProblemError("door-silent", what) from None


def refuse_late(console: Console, ordered: Stamp) -> None:
    """Once the order is on disk, before a door moves. Raises ProblemError where that took long."""
    waited_ns = console.deps.clock.monotonic_ns() - ordered.monotonic_ns
    if waited_ns > MAX_AGE_S * NS_PER_S:
        waited = f"the journal took {waited_ns // NS_PER_S} s, an order holds for {MAX_AGE_S} s"
        raise ProblemError("order-too-late", waited)
