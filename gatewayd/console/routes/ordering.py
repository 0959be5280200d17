"""What all routes that order something share: the Idempotency-Key and the errors that may come.

Owns no route.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import Header

from gatewayd.console.problems import ProblemError

ALL_DOORS = "*"

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
