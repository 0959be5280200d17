"""What all routes that order something share: the Idempotency-Key and the errors that may come.

Owns no route.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from gatewayd.console.context import Console
from gatewayd.console.problems import ProblemError
from gatewayd.domain.model import NS_PER_S, Stamp

ALL_DOORS = "*"
MAX_AGE_S = 10  # an order that took longer to be on disk moves no door: whoever gave it may be gone

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{8,64}$",
        description="Required: new for each order; the same again returns the first result.",
    ),
]
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


def silent(door_id: str) -> ProblemError:
    return ProblemError("door-silent", f"look at door {door_id} before you repeat the order")


def refuse_late(console: Console, ordered: Stamp) -> None:
    """Once the order is on disk, before a door moves. Raises ProblemError where that took long."""
    waited_ns = console.deps.clock.monotonic_ns() - ordered.monotonic_ns
    if waited_ns > MAX_AGE_S * NS_PER_S:
        waited = f"the journal took {waited_ns // NS_PER_S} s, an order holds for {MAX_AGE_S} s"
        raise ProblemError("order-too-late", waited)
