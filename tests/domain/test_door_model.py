"""Two doors of a mantrap in every order of events: grants, exits, modes by slots, fire, broken
boards and lines, restarts, a clock that jumps. `make test` tries some thousands of steps; millions:

    GATEWAYD_DOOR_STEPS=2000000 pytest tests/domain/test_door_model.py --timeout 0
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gatewayd.domain import modes
from gatewayd.domain.door import (
    FREE_MODES,
    LOCK_TRAVEL_NS,
    OPENING_GRACE_NS,
    REFUSING_MODES,
    Clear,
    ContactChanged,
    ControllerBack,
    ControllerLost,
    DoorInput,
    DoorState,
    DriveDone,
    DriveFailed,
    DriveLock,
    Effect,
    ExitPressed,
    InputFaulted,
    InputName,
    InterlockTripped,
    LockReported,
    ModeOrdered,
    Passed,
    Phase,
    Raise,
    Record,
    TamperReported,
    TimePassed,
    UnlockOrdered,
    at_the_start,
    next_deadline_ns,
    refusal,
    step,
)
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DoorModeOrdered,
    Event,
    ExitRequested,
    FireDetected,
    FireReset,
    Outcome,
)
from gatewayd.domain.interlock import Interlock, InterlockRule, blocked_by, tripped_by
from gatewayd.domain.model import (
    NS_PER_MS,
    NS_PER_S,
    AccessPointId,
    AlarmKind,
    DeviceId,
    Direction,
    Door,
    DoorId,
    DoorMode,
    ModeSlot,
    Passage,
    PersonId,
)
from gatewayd.domain.modes import ModeOrder, OrderKey, Orders

STEPS_EACH = 50
STEPS = int(os.environ.get("GATEWAYD_DOOR_STEPS", "5000"))

OUTER, INNER = DoorId("outer"), DoorId("inner")
DOORS: Mapping[DoorId, Door] = {
    OUTER: Door(OUTER, "Outer", unlock_s=5, held_s=30, pre_alarm_s=20, escape=True),
    INNER: Door(INNER, "Inner", unlock_s=5, held_s=30, pre_alarm_s=20, exit_heeds_interlock=True),
}
SLOTS = (CauseKind.OPERATOR, CauseKind.CENTRE, CauseKind.LINKAGE, CauseKind.SCHEDULE)
FIRE = OrderKey(ModeSlot.FIRE)

some_door = st.sampled_from([OUTER, INNER])


@dataclass
class Leaf:
    """A door with what the world and its board know of it."""

    state: DoorState
    relay_unlocked: bool = False
    works: bool = True  # the board carries out what it is told
    alarms: set[AlarmKind] = field(default_factory=set)
    stale: set[AlarmKind] = field(default_factory=set)  # of before a restart
    unlocked_until_ns: int = -NS_PER_S * 100  # the last moment at which it was
    closed_ns: int = -NS_PER_S * 100


class Gatehouse(RuleBasedStateMachine):
    """`journal` is what is durable, `waiting` what the recorder still has to write."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 1_000 * NS_PER_S
        self.wall_ms, self.trusted = 1_795_000_000_000, True
        self.leaves = {door: Leaf(DoorState()) for door in DOORS}
        self.orders: dict[DoorId, Orders] = {door: {} for door in DOORS}
        self.journal: list[Event] = []
        self.waiting: list[Event] = []
        self.disk_works = True
        self.panel_says_fire = False
        self.fire = False
        self.granted: set[str] = set()  # the tap's seqs that are durable
        self.open_passages: dict[int, DoorId] = {}  # let through, and not passed yet
        self.serial = 0
        self.interlocks: tuple[Interlock, ...] = ()

    @initialize(rule_=st.sampled_from([None, *InterlockRule]))
    def build(self, rule_: InterlockRule | None) -> None:
        if rule_ is not None:
            self.interlocks = (Interlock("trap", (OUTER, INNER), rule_),)
        for door in DOORS:
            self.take(door, ControllerBack())
            self.take(door, ContactChanged(False))

    # ------------------------------------------------------------------------ the machinery

    def take(self, door: DoorId, event: DoorInput) -> None:
        """One step with all that follows from it, as `gatewayd.doors.DoorTask` does it."""
        leaf = self.leaves[door]
        before = leaf.state
        if before.unlocked:
            leaf.unlocked_until_ns = self.now_ns
        leaf.state, effects = step(before, event, self.now_ns, DOORS[door])
        if leaf.state.unlocked:
            leaf.unlocked_until_ns = self.now_ns
        self.check_step(door, before, event, effects)
        if leaf.state.open and not before.open:
            for other in tripped_by(door, self.interlocks):
                self.take(other, InterlockTripped())
        for effect in effects:
            self.carry_out(door, event, before, effect)

    def carry_out(self, door: DoorId, event: DoorInput, before: DoorState, effect: Effect) -> None:
        leaf = self.leaves[door]
        match effect:
            case DriveLock(unlocked=unlocked):
                if unlocked:
                    self.check_reason(door, event, before)
                if leaf.works:
                    leaf.relay_unlocked = unlocked
                self.take(door, DriveDone() if leaf.works else DriveFailed(unlocked, "silent"))
            case Raise(kind=kind):
                leaf.alarms.add(kind)
                leaf.stale.discard(kind)
            case Clear(kind=kind):
                leaf.alarms.discard(kind)
                leaf.stale.discard(kind)
            case Record(event=recorded):
                self.record(recorded)
            case Passed(passage=passage):
                assert self.open_passages.pop(passage.decision_seq) == door
                assert leaf.state.open

    def record(self, event: Event) -> None:
        self.waiting.append(event)
        self.write()

    def write(self) -> None:
        if self.disk_works:
            self.journal += self.waiting
            self.waiting = []

    def governs(self, door: DoorId) -> modes.Effective:
        interlocked = bool(self.interlocks)
        return modes.effective(
            self.orders[door], self.wall_ms, self.trusted, interlocked=interlocked
        )

    def follow(self, door: DoorId) -> None:
        governs = self.governs(door)
        if self.leaves[door].state.mode is not governs.mode:
            self.take(door, ModeOrdered(governs.mode, governs.cause))

    def put(self, door: DoorId, key: OrderKey, order: ModeOrder | None, event: Event) -> None:
        """What may free the door is durable first, or nothing happens; what locks it is not."""
        after = modes.changed(self.orders[door], key, order)
        interlocked = bool(self.interlocks)
        mode = modes.effective(after, self.wall_ms, self.trusted, interlocked=interlocked).mode
        frees = (order is not None and order.mode in FREE_MODES) or (
            mode in FREE_MODES and self.governs(door).mode not in FREE_MODES
        )
        if frees and not self.disk_works:
            return
        if frees:
            self.record(event)
        self.orders[door] = after
        self.follow(door)
        if not frees:
            self.record(event)

    def look(self) -> None:
        """What the mode desk does each second."""
        for door in DOORS:
            for key in modes.over(self.orders[door], self.wall_ms, self.trusted):
                cause = Cause(CauseKind.SYSTEM, "until")
                gone = DoorModeOrdered(door, key.slot, None, None, cause, key.lockdown)
                self.put(door, key, None, gone)
            self.follow(door)

    # ------------------------------------------------------------------------- what must hold

    def check_step(
        self, door: DoorId, before: DoorState, event: DoorInput, effects: tuple[Effect, ...]
    ) -> None:
        leaf = self.leaves[door]
        if isinstance(event, ContactChanged) and event.open is False:
            leaf.closed_ns = self.now_ns
        if not (isinstance(event, ContactChanged) and event.open) or before.open:
            return
        seen_shut = before.last_seen_open is False and before.phase in {
            Phase.SECURE,
            Phase.UNLOCKED,
        }
        recently = (
            self.now_ns - leaf.unlocked_until_ns <= OPENING_GRACE_NS
            or self.now_ns - leaf.closed_ns <= OPENING_GRACE_NS
        )
        if seen_shut and not before.unlocked and not recently:
            assert Raise(AlarmKind.DOOR_FORCED) in effects
        if before.unlocked:
            assert Raise(AlarmKind.DOOR_FORCED) not in effects

    def check_reason(self, door: DoorId, event: DoorInput, before: DoorState) -> None:
        """Never unlocked without a journaled reason. A fire frees before it is journaled, and an
        exit request is journaled as it opens."""
        state = self.leaves[door].state
        if isinstance(event, UnlockOrdered):
            assert before.mode not in REFUSING_MODES
            if state.mode not in FREE_MODES:
                assert event.cause.ref in self.granted
                return
        if isinstance(event, ExitPressed):
            return
        if state.mode not in FREE_MODES:
            assert before.unlocked  # said again; it had its reason
            assert isinstance(event, ControllerBack)
            return
        if FIRE in self.orders[door]:
            return
        durable: dict[DoorId, Orders] = {}
        for recorded in self.journal:
            durable = modes.apply(durable, recorded)
        orders = durable.get(door, {})
        governs = self.governs(door)
        if governs.mode in FREE_MODES:
            assert governs.cause in {order.cause for order in orders.values()}
        else:  # still in a mode that is just ending
            assert before.unlocked

    @invariant()
    def a_fire_frees_its_doors(self) -> None:
        if not self.fire:
            return
        leaf = self.leaves[OUTER]
        assert leaf.state.mode is DoorMode.LOCKED_OPEN
        assert leaf.state.unlocked
        assert leaf.relay_unlocked or leaf.state.failed
        assert not leaf.state.failed or leaf.state.retry_at_ns is not None

    @invariant()
    def nothing_that_is_unlocked_lacks_a_deadline(self) -> None:
        for leaf in self.leaves.values():
            if leaf.state.unlocked and leaf.state.mode not in FREE_MODES:
                assert leaf.state.relock_at_ns is not None
            if leaf.state.pending:
                assert next_deadline_ns(leaf.state) is not None

    @invariant()
    def an_alarm_stands_while_its_cause_does(self) -> None:
        for leaf in self.leaves.values():
            state, known = leaf.state, leaf.alarms - leaf.stale
            assert (state.phase is Phase.FORCED) == (AlarmKind.DOOR_FORCED in known)
            assert (state.phase is Phase.HELD) == (AlarmKind.DOOR_HELD in known)
            assert bool(state.contradicts) == (AlarmKind.LOCK_CONTRADICTS in known)
            assert bool(state.tampered) == (AlarmKind.TAMPER in known)
            assert bool(state.faults) == (AlarmKind.INPUT_FAULT in known)
            assert state.failed == (AlarmKind.DOOR_FAILED in known)

    @invariant()
    def the_phase_tells_the_truth(self) -> None:
        for leaf in self.leaves.values():
            if leaf.state.phase is Phase.SECURE:
                assert not leaf.state.unlocked
                assert leaf.state.open is not True
            if leaf.state.phase is Phase.UNLOCKED:
                assert leaf.state.unlocked
            if leaf.state.phase is Phase.OPEN and leaf.state.mode not in FREE_MODES:
                assert leaf.state.held_at_ns is not None
            if leaf.state.mode in FREE_MODES:
                assert leaf.state.phase in {Phase.UNLOCKED, Phase.OPEN}
            if leaf.state.open and leaf.state.phase is not Phase.FORCED:
                assert leaf.state.pending == ()  # they have passed

    @invariant()
    def a_door_is_in_the_mode_that_governs(self) -> None:
        """An end by time may be a second late, as the desk looks; an order given is never late."""
        for door, leaf in self.leaves.items():
            governs = self.governs(door).mode
            assert leaf.state.mode is governs or modes.over(
                self.orders[door], self.wall_ms, self.trusted
            )

    # ------------------------------------------------------------------------- what happens

    @rule(seconds=st.sampled_from([0.01, 0.5, 1.0, 3.0, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        target_ns = self.now_ns + round(seconds * NS_PER_S)
        while self.now_ns < target_ns:
            dues = [next_deadline_ns(leaf.state) for leaf in self.leaves.values()]
            due = min((d for d in dues if d is not None), default=target_ns)
            moment = min(max(due, self.now_ns), target_ns)
            if due > target_ns:
                self.move_clock(target_ns)
                break
            self.move_clock(moment)
            for door, leaf in self.leaves.items():
                deadline = next_deadline_ns(leaf.state)
                if deadline is not None and deadline <= self.now_ns:
                    self.take(door, TimePassed())
        self.look()

    def move_clock(self, moment_ns: int) -> None:
        for leaf in self.leaves.values():
            if leaf.state.unlocked:
                leaf.unlocked_until_ns = moment_ns
        self.wall_ms += (moment_ns - self.now_ns) // NS_PER_MS
        self.now_ns = moment_ns

    @rule(hours=st.sampled_from([-30, -1, 1, 30]), trusted=st.booleans())
    def set_the_wall_clock(self, hours: int, trusted: bool) -> None:
        before = {door: next_deadline_ns(leaf.state) for door, leaf in self.leaves.items()}
        self.wall_ms += hours * 3_600_000
        self.trusted = trusted
        assert before == {door: next_deadline_ns(leaf.state) for door, leaf in self.leaves.items()}
        self.look()

    @rule(door=some_door, unlock_s=st.sampled_from([0.5, 5.0, 20.0]), extra=st.sampled_from([0, 9]))
    def tap(self, door: DoorId, unlock_s: float, extra: float) -> None:
        """The grant is durable before the door hears of it."""
        if not self.disk_works:
            return
        self.serial += 1
        self.granted.add(str(self.serial))
        passage = Passage(PersonId("p"), AccessPointId("a"), self.serial, Direction.IN)
        standing = {d: (DOORS[d], leaf.state) for d, leaf in self.leaves.items()}
        blocker = blocked_by(door, self.interlocks, standing)
        cause = Cause(CauseKind.TAP, str(self.serial))
        order = UnlockOrdered(cause, unlock_s, passage, extra, blocker is not None)
        leaf = self.leaves[door]
        refused = refusal(leaf.state, order)
        if refused is Outcome.INTERLOCKED:
            assert blocker is not None
        if refused is None and leaf.state.mode not in FREE_MODES:
            self.check_interlock(door)
        if refused is None:
            self.open_passages[self.serial] = door
        was_unlocked = leaf.state.unlocked
        self.take(door, order)
        if refused is not None:
            assert leaf.state.unlocked is was_unlocked

    def check_interlock(self, door: DoorId) -> None:
        """By what the world knows, and not the rule's own words."""
        for interlock in self.interlocks:
            [other] = [self.leaves[d] for d in interlock.door_ids if d != door]
            assert other.state.last_seen_open is False
            if interlock.rule is InterlockRule.ONE_UNLOCKED:
                assert not other.relay_unlocked

    @rule(door=some_door)
    def exit(self, door: DoorId) -> None:
        standing = {d: (DOORS[d], leaf.state) for d, leaf in self.leaves.items()}
        heeds = DOORS[door].exit_heeds_interlock
        blocked = heeds and blocked_by(door, self.interlocks, standing) is not None
        self.take(door, ExitPressed(blocked))
        assert ExitRequested(door) in (*self.waiting, *self.journal)
        leaf = self.leaves[door]
        if not blocked and leaf.works:
            assert leaf.relay_unlocked

    @rule(door=some_door, open_=st.sampled_from([True, False, None]))
    def contact(self, door: DoorId, open_: bool | None) -> None:
        if self.leaves[door].state.online:
            self.take(door, ContactChanged(open_))

    @rule(door=some_door, locked=st.sampled_from([True, False, None]))
    def bolt(self, door: DoorId, locked: bool | None) -> None:
        if self.leaves[door].state.online:
            self.take(door, LockReported(locked))

    @rule(door=some_door, tampered=st.sampled_from([True, False, None]))
    def tamper(self, door: DoorId, tampered: bool | None) -> None:
        self.take(door, TamperReported(tampered))

    @rule(
        door=some_door,
        name=st.sampled_from(InputName),
        fault=st.sampled_from(["", "short", "open"]),
    )
    def line(self, door: DoorId, name: InputName, fault: str) -> None:
        self.take(door, InputFaulted(name, fault))

    @rule(
        door=some_door,
        kind=st.sampled_from(SLOTS),
        mode=st.sampled_from([mode for mode in DoorMode if mode is not DoorMode.ACCESSED]),
        hours=st.sampled_from([None, 1, 30]),
    )
    def order_mode(self, door: DoorId, kind: CauseKind, mode: DoorMode, hours: int | None) -> None:
        self.serial += 1
        if mode in FREE_MODES and self.interlocks:
            return
        until_ms = None
        if hours is not None and mode is not DoorMode.LOCKED_DOWN:
            until_ms = self.wall_ms + hours * 3_600_000
        cause = Cause(kind, f"order {self.serial}")
        slot = modes.slot_of(cause)
        order = ModeOrder(mode, cause, until_ms)
        event = DoorModeOrdered(door, slot, mode, until_ms, cause)
        self.put(door, modes.key_of(slot, mode), order, event)
        if mode is DoorMode.LOCKED_DOWN and kind is not CauseKind.SCHEDULE and not self.fire:
            assert self.leaves[door].state.mode is DoorMode.LOCKED_DOWN

    @rule(door=some_door, kind=st.sampled_from(SLOTS))
    def withdraw(self, door: DoorId, kind: CauseKind) -> None:
        cause = Cause(kind, "withdrawn")
        slot = modes.slot_of(cause)
        self.put(door, OrderKey(slot), None, DoorModeOrdered(door, slot, None, None, cause))

    @rule(door=some_door)
    def lift(self, door: DoorId) -> None:
        cause = Cause(CauseKind.OPERATOR, "lifted")
        for key in modes.lockdowns(self.orders[door]):
            event = DoorModeOrdered(door, key.slot, None, None, cause, lifted=True)
            self.put(door, key, None, event)

    @rule(says=st.booleans())
    def panel(self, says: bool) -> None:
        self.panel_says_fire = says
        if says and not self.fire:
            self.fire = True
            event = FireDetected(DeviceId("board"), 8, (OUTER,))
            self.orders[OUTER] = modes.changed(self.orders[OUTER], FIRE, modes.fire_order(event))
            self.follow(OUTER)
            self.record(event)

    @precondition(lambda self: self.fire and not self.panel_says_fire and self.disk_works)
    @rule()
    def reset_the_fire(self) -> None:
        self.record(FireReset(Cause(CauseKind.OPERATOR, "chen")))
        self.fire = False
        self.orders[OUTER] = modes.changed(self.orders[OUTER], FIRE, None)
        self.follow(OUTER)

    @rule(door=some_door)
    def lose(self, door: DoorId) -> None:
        relay = self.leaves[door].relay_unlocked
        self.take(door, ControllerLost())
        assert self.leaves[door].relay_unlocked is relay  # nothing is released by it

    @rule(door=some_door)
    def come_back(self, door: DoorId) -> None:
        was_free = self.leaves[door].state.unlocked
        self.take(door, ControllerBack())
        assert was_free or not self.leaves[door].state.unlocked

    @rule(door=some_door, works=st.booleans())
    def board(self, door: DoorId, works: bool) -> None:
        self.leaves[door].works = works

    @rule(works=st.booleans())
    def disk(self, works: bool) -> None:
        self.disk_works = works
        self.write()

    @rule()
    def restart(self) -> None:
        """The process dies: what was not durable is gone, the relays stay as they are."""
        self.waiting = []
        self.open_passages.clear()
        durable: dict[DoorId, Orders] = {door: {} for door in DOORS}
        for event in self.journal:
            durable = modes.apply(durable, event)
        self.orders = durable
        fires = [e for e in self.journal if isinstance(e, FireDetected | FireReset)]
        self.fire = FIRE in self.orders[OUTER]
        assert self.fire is bool(fires and isinstance(fires[-1], FireDetected))
        for door, leaf in self.leaves.items():
            leaf.state = at_the_start(self.governs(door).mode)
            leaf.stale = set(leaf.alarms)
            leaf.unlocked_until_ns = leaf.closed_ns = self.now_ns
        for door in DOORS:
            self.take(door, ControllerBack())
        if self.panel_says_fire:
            self.panel(True)
        self.look()

    @rule()
    def left_alone_it_settles(self) -> None:
        """No timer was lost: a minute later what had to happen has happened."""
        if not all(leaf.works for leaf in self.leaves.values()):
            return
        self.wait(60.0)
        self.wait(1.0)
        for leaf in self.leaves.values():
            state = leaf.state
            assert state.pending == ()
            assert not state.failed
            if state.mode not in FREE_MODES:
                assert not leaf.relay_unlocked
                assert not state.unlocked
            if state.open and state.mode not in FREE_MODES:
                assert state.phase in {Phase.HELD, Phase.FORCED}
            if state.lock_seen is state.unlocked and state.open is False:
                assert AlarmKind.LOCK_CONTRADICTS in leaf.alarms
            deadline = next_deadline_ns(state)
            assert deadline is None or deadline <= self.now_ns + LOCK_TRAVEL_NS
        self.open_passages.clear()


TestGatehouse = Gatehouse.TestCase
TestGatehouse.settings = settings(
    max_examples=max(1, STEPS // STEPS_EACH), stateful_step_count=STEPS_EACH, deadline=None
)
