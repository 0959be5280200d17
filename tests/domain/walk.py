"""A door taken through inputs by hand, for tests that tell a story of it."""

from __future__ import annotations

from gatewayd.domain.door import (
    ContactChanged,
    ControllerBack,
    DoorInput,
    DoorState,
    Effect,
    Phase,
    TimePassed,
    UnlockOrdered,
    next_deadline_ns,
    step,
)
from gatewayd.domain.events import (
    Cause,
    CauseKind,
)
from gatewayd.domain.model import (
    NS_PER_S,
    Direction,
    Passage,
    PersonId,
)
from tests.domain.world import GATE, GATE_IN

TAP = Cause(CauseKind.TAP, "1")
GUARD = Cause(CauseKind.OPERATOR, "li", "drill")
FIRE = Cause(CauseKind.FIRE, "board input 8")
UNLOCK = UnlockOrdered(TAP, 5.0)
WANG = Passage(PersonId("p-17"), GATE_IN.id, 1, Direction.IN)
LI = Passage(PersonId("p-18"), GATE_IN.id, 2, Direction.IN)
WANG_IN = UnlockOrdered(TAP, 5.0, WANG)
LI_IN = UnlockOrdered(TAP, 5.0, LI)
OPENS, CLOSES = ContactChanged(True), ContactChanged(False)


class Walk:
    """A door taken through inputs; `did` holds the effects of the last one."""

    def __init__(self, *inputs: DoorInput) -> None:
        self.now_ns = 100 * NS_PER_S
        self.state = DoorState()
        self.did: tuple[Effect, ...] = ()
        self.take(ControllerBack(), CLOSES, *inputs)

    def effects(self) -> tuple[Effect, ...]:
        return self.did

    def phase(self) -> Phase:
        return self.state.phase

    def take(self, *inputs: DoorInput) -> Walk:
        for event in inputs:
            self.state, self.did = step(self.state, event, self.now_ns, GATE)
        return self

    def wait(self, seconds: float) -> Walk:
        """Let time pass, stopping at each deadline; the effects of all of them are kept."""
        target_ns = self.now_ns + round(seconds * NS_PER_S)
        did: tuple[Effect, ...] = ()
        while (due := next_deadline_ns(self.state)) is not None and due <= target_ns:
            self.now_ns = max(due, self.now_ns)
            self.take(TimePassed())
            did += self.did
        self.now_ns, self.did = target_ns, did
        return self
