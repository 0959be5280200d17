"""Events for the store's tests: one that fits each type, and Hypothesis' own."""

from __future__ import annotations

from hypothesis import strategies as st

from gatewayd.domain.events import (
    EVENT_TYPES,
    AccessDenied,
    CredentialRef,
    DoorClosed,
    Event,
)
from gatewayd.domain.model import (
    AccessPointId,
    CredentialKind,
    Direction,
    DoorId,
    Reason,
    RuleResult,
    RuleTrace,
)

SECRET = b"s" * 32
REF = CredentialRef(CredentialKind.CARD, 26, "H10301", "•••3456", "0" * 32)


def denied(n: int = 0) -> AccessDenied:
    return AccessDenied(
        AccessPointId("main-gate-in"),
        DoorId("main-gate"),
        Direction.IN,
        REF,
        Reason.CREDENTIAL_UNKNOWN,
        7,
        (RuleTrace("credential_known", f"no such card, try {n}", RuleResult.FAIL),),
    )


def closed(door: str = "main-gate") -> DoorClosed:
    return DoorClosed(DoorId(door))


_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_numbers = st.floats(allow_nan=False, allow_infinity=False)
st.register_type_strategy(str, _text)
st.register_type_strategy(float, _numbers)
st.register_type_strategy(int, st.integers(-(2**62), 2**62))

any_event: st.SearchStrategy[Event] = st.one_of([st.from_type(cls) for cls in EVENT_TYPES.values()])
