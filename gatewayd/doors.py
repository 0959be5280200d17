"""The doors' own tasks: inputs in, `domain.door.step`, the lock driven, the rest handed on.

Owns each door's state and its timers. Must not decide who may pass (the tap's path does) and never
waits for a disk: a relock is on time however slow the journal is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import assert_never

from gatewayd.alarms import AlarmDesk
from gatewayd.domain import barrier, interlock
from gatewayd.domain import door as rules
from gatewayd.domain.events import Cause, Outcome
from gatewayd.domain.interlock import Interlock
from gatewayd.domain.model import NS_PER_S, Door, DoorId, DoorMode, Passage, Stamp
from gatewayd.domain.ports import Clock, DeviceError, DoorController, DoorStatus
from gatewayd.locks import HeldRelay, Lock, PulsedArm
from gatewayd.recorder import Recorder

log = logging.getLogger(__name__)

END_ROUNDS = 3  # at the end, for a board whose line is too slow for all its doors in one drive time
MAX_AHEAD = 8  # modes taken in a row before other inputs; then one of those has its turn
MAX_INBOX = 256  # inputs of one door waiting for its task; a bouncing contact fills it first
DRIVE_TIMEOUT_S = 2.0  # GB 50396: card read to actuator within 2 s, or it counts as failed


@dataclass(frozen=True, slots=True)
class ArmWiring:
    """What a barrier has beside a door's wires; its lower limit switch is its contact.

    Without a `down_relay` the door's relay holds the arm up; with one, both are pulsed."""

    loop_input: int
    loop_active_means_vehicle: bool = True
    presence_input: int | None = None
    presence_active_means_vehicle: bool = True
    up_input: int | None = None
    down_relay: int | None = None
    stop_relay: int | None = None
    pulse_s: float = 0.5


@dataclass(frozen=True, slots=True)
class DoorWiring:
    """How a door hangs on its controller; terminals from 1, None where there is no such wire."""

    controller: DoorController
    relay: int
    contact_input: int | None
    exit_input: int | None
    contact_active_means_open: bool
    energised_means_unlocked: bool
    lock_input: int | None = None
    lock_active_means_locked: bool = True
    tamper_input: int | None = None
    tamper_active_means_tampered: bool = True
    arm: ArmWiring | None = None


def lock_of(wiring: DoorWiring, clock: Clock) -> Lock:
    """How this door's lock is moved."""
    arm = wiring.arm
    if arm is None or arm.down_relay is None:
        return HeldRelay(wiring.controller, wiring.relay, wiring.energised_means_unlocked)
    return PulsedArm(
        wiring.controller, wiring.relay, arm.down_relay, arm.stop_relay, arm.pulse_s, clock
    )


@dataclass(slots=True)
class _Letter:
    """An input for the door's task, and who waits for what came of it. Without an input it only
    wakes the task."""

    input: rules.DoorInput | None
    answer: asyncio.Future[Outcome] | None = None


def _kind_of(event: rules.DoorInput) -> object:
    """Of inputs of one kind the last says how things stand."""
    match event:
        case rules.ControllerLost() | rules.ControllerBack():
            return rules.ControllerLost
        case rules.InputFaulted(name=name):
            return rules.InputFaulted, name
        case _:
            return type(event)


class DoorTask:
    """One door. Everything that happens to it goes through `run`, one thing at a time."""

    def __init__(
        self,
        door: Door,
        wiring: DoorWiring,
        clock: Clock,
        recorder: Recorder,
        alarms: AlarmDesk,
        mode: DoorMode = DoorMode.LOCKED,
        on_passed: Callable[[Passage, Stamp], None] = lambda _passage, _stamp: None,
    ) -> None:
        """`mode` is the one that governs at the start. `on_passed` is told who went through, when
        the door opened for them; it must return at once."""
        self.door = door
        self.wiring = wiring
        self.state = rules.at_the_start(mode)
        self._lock = lock_of(wiring, clock)
        self._rules = rules if door.barrier is None else barrier
        self._clock = clock
        self._recorder = recorder
        self._alarms = alarms
        self._on_passed = on_passed
        # What a door of an interlock asks and tells its neighbours; `DoorTasks` joins them.
        self.blocked_by: Callable[[], DoorId | None] = lambda: None
        self.tell_opened: Callable[[], None] = lambda: None
        # Told after each step, whatever it changed; must return at once.
        self.tell_step: Callable[[], None] = lambda: None
        self._inbox: asyncio.Queue[_Letter] = asyncio.Queue(MAX_INBOX)
        self._beyond_cap: dict[object, rules.DoorInput] = {}
        self._ahead: deque[_Letter] = deque()  # modes: they wait for no other input
        self._ahead_in_a_row = 0
        self._modes_in_inbox = 0

    @property
    def status(self) -> DoorStatus:
        """ONVIF's Accessed is a Locked door that is unlocked for the moment."""
        state = self.state
        accessed = state.mode is DoorMode.LOCKED and state.unlocked
        mode = DoorMode.ACCESSED if accessed else state.mode
        return DoorStatus(
            self.door.id,
            state.phase.value,
            mode,
            state.unlocked,
            state.open,
            state.online,
            state.failed or state.arm_late,
            blocked_by=self.blocked_by(),
            kind="door" if self.door.barrier is None else "barrier",
            vehicle=state.vehicle,
            under_arm=state.obstructed,
        )

    def post(self, event: rules.DoorInput) -> None:
        """Hand over what the controller saw. Over the cap the last of each kind is kept, with a log
        line: a controller tells changes only, and would not say how an input stands again."""
        if not self._beyond_cap and not self._inbox.full():
            self._inbox.put_nowait(_Letter(event))
            return
        if not self._beyond_cap:
            log.error("door %s: too many inputs at once, the last of each kind count", self.door.id)
        kind = _kind_of(event)
        self._beyond_cap.pop(kind, None)
        self._beyond_cap[kind] = event  # behind the others: their order is kept

    async def order(self, event: rules.DoorInput) -> Outcome:
        """Hand over an order and wait for what came of it. A mode, a fire's or a lockdown among
        them, goes before what waits: a button that is pressed 200 times must not delay it."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        letter = _Letter(event, answer)
        if isinstance(event, rules.ModeOrdered) and self._may_overtake(event.mode):
            self._ahead.append(letter)
            if self._inbox.empty():
                self._inbox.put_nowait(_Letter(None))
        else:
            await self._inbox.put(letter)
            self._modes_in_inbox += isinstance(event, rules.ModeOrdered)
        return await answer

    def _may_overtake(self, mode: DoorMode) -> bool:
        """Not a mode that may lower an arm: what the loop said must be heard before it. And where
        such a one waits, no other mode overtakes it: the last order must be the last one said."""
        if self.door.barrier is None:
            return True
        return mode in rules.FREE_MODES and not self._modes_in_inbox

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lock.run(), name=f"door {self.door.id} lock")
            await self._take_letters()

    async def _take_letters(self) -> None:
        while True:
            letter = await self._next_letter()
            if letter.input is None or (letter.answer is not None and letter.answer.cancelled()):
                continue  # whoever gave the order has given up: it must not come true later
            outcome = await self._take(letter.input)
            if letter.answer is not None and not letter.answer.done():
                letter.answer.set_result(outcome)

    @property
    def unsettled(self) -> bool:
        """Unlocked for the moment, or not confirmed: the lock has still to be told."""
        return self.state.relock_at_ns is not None or self.state.retry_at_ns is not None

    async def lock_before_the_end(self) -> None:
        """After `run` has ended: a door that a grant had unlocked does not stay so. A door that
        its mode keeps free stays free: the end of a program is no order of a person."""
        if self.unsettled:
            self.state = replace(self.state, relock_at_ns=0)
            await self._take(rules.TimePassed())
        await self._lock.finish()

    async def _next_letter(self) -> _Letter:
        """The next input, or TimePassed when a deadline comes first."""
        while self._beyond_cap and not self._inbox.full():
            kind = next(iter(self._beyond_cap))
            self._inbox.put_nowait(_Letter(self._beyond_cap.pop(kind)))
        deadline_ns = self._rules.next_deadline_ns(self.state)
        if deadline_ns is None or self._ahead or not self._inbox.empty():
            # What a barrier's loop says comes before the end of its time.
            due = deadline_ns is not None and deadline_ns <= self._clock.monotonic_ns()
            if due and self.door.barrier is None:
                return _Letter(rules.TimePassed())
            return self._one_ahead() or self._opened(await self._inbox.get())
        async with asyncio.TaskGroup() as group:
            letter = group.create_task(self._inbox.get(), name=f"door {self.door.id} inbox")
            alarm_clock = group.create_task(
                self._clock.sleep_until(deadline_ns), name=f"door {self.door.id} deadline"
            )
            await asyncio.wait((letter, alarm_clock), return_when=asyncio.FIRST_COMPLETED)
            letter.cancel()
            alarm_clock.cancel()
        return _Letter(rules.TimePassed()) if letter.cancelled() else self._opened(letter.result())

    def _one_ahead(self) -> _Letter | None:
        """The next mode; None where there is none, or another input must have its turn."""
        if not self._ahead or (self._ahead_in_a_row >= MAX_AHEAD and not self._inbox.empty()):
            return None
        self._ahead_in_a_row += 1
        return self._ahead.popleft()

    def _opened(self, letter: _Letter) -> _Letter:
        self._ahead_in_a_row = 0
        if isinstance(letter.input, rules.ModeOrdered):
            self._modes_in_inbox -= 1
        return letter

    async def _take(self, event: rules.DoorInput) -> Outcome:
        """One step and its effects; a failed drive is an input of its own, taken at once."""
        event = self._with_interlock(event)
        refusal = rules.refusal(self.state, event)
        if refusal is not None:
            return refusal
        outcome = Outcome.UNLOCKED
        todo: deque[rules.DoorInput] = deque([event])
        while todo:
            answers = await self._step(todo.popleft())
            todo.extend(answers)
            if any(isinstance(answer, rules.DriveFailed) for answer in answers):
                outcome = Outcome.FAILED
        return outcome

    def _with_interlock(self, event: rules.DoorInput) -> rules.DoorInput:
        """How the neighbours stand at this very moment. Nothing is awaited before the step has
        set this door's own state, so of two doors that are asked at once one sees the other."""
        if isinstance(event, rules.UnlockOrdered) or (
            isinstance(event, rules.ExitPressed) and self.door.exit_heeds_interlock
        ):
            return replace(event, blocked=self.blocked_by() is not None)
        return event

    async def _step(self, event: rules.DoorInput) -> list[rules.DriveDone | rules.DriveFailed]:
        """Step, carry out in the order given, and return what the board answered."""
        was_open = self.state.open
        now_ns = self._clock.monotonic_ns()
        self.state, effects = self._rules.step(self.state, event, now_ns, self.door)
        if self.state.open and not was_open:
            self.tell_opened()
        self.tell_step()
        answers = []
        for effect in effects:
            match effect:
                case rules.DriveLock():
                    answers.append(await self._drive(effect))
                case rules.Record():
                    self._recorder.record(effect.event)
                case rules.Raise():
                    self._alarms.signal(
                        effect.kind, self.door.id, active=True, detail=effect.detail
                    )
                case rules.Clear():
                    self._alarms.signal(effect.kind, self.door.id, active=False)
                case rules.Passed():
                    self._on_passed(effect.passage, self._clock.now())
                case _ as never:
                    assert_never(never)
        return answers

    async def _drive(self, order: rules.DriveLock) -> rules.DriveDone | rules.DriveFailed:
        try:
            async with asyncio.timeout(DRIVE_TIMEOUT_S):
                await self._lock.drive(
                    unlocked=order.unlocked,
                    for_s=self._for_s(order),
                    shut=self.state.mode in rules.REFUSING_MODES,
                )
        except (DeviceError, TimeoutError) as error:
            detail = str(error) or f"no answer within {DRIVE_TIMEOUT_S:g} s"
            return rules.DriveFailed(order.unlocked, detail)
        except asyncio.CancelledError:
            # The end came between the order and the board's word: `lock_before_the_end` says it.
            self.state = replace(self.state, failed=True, relock_at_ns=0, retry_at_ns=0)
            raise
        if order.confirmed is not None:
            self._recorder.record(order.confirmed)
        return rules.DriveDone()

    def _for_s(self, order: rules.DriveLock) -> float | None:
        """How long an unlocking lasts, so that a board that can time it ends it without us; None
        for one without an end, for locking, and for an arm: no clock may lower it on a vehicle."""
        relock_at_ns = self.state.relock_at_ns
        if not order.unlocked or relock_at_ns is None or self.door.barrier is not None:
            return None
        return max(0.0, (relock_at_ns - self._clock.monotonic_ns()) / NS_PER_S)


class DoorTasks:
    """All doors of the box, and what they know of each other."""

    def __init__(
        self, tasks: Mapping[DoorId, DoorTask], interlocks: Sequence[Interlock] = ()
    ) -> None:
        self.tasks = tasks
        self._interlocks = interlocks
        self.interlocked = frozenset(door for each in interlocks for door in each.door_ids)
        for door_id in self.interlocked:
            tasks[door_id].blocked_by = partial(self._blocked_by, door_id)
            tasks[door_id].tell_opened = partial(self._opened, door_id)

    def follow(self, changed: Callable[[DoorId], None]) -> None:
        """`changed` is told of each door after each of its steps; one follower for the box."""
        for door_id, task in self.tasks.items():
            task.tell_step = partial(changed, door_id)

    def _blocked_by(self, door_id: DoorId) -> DoorId | None:
        standing = {
            door: (self.tasks[door].door, self.tasks[door].state) for door in self.interlocked
        }
        return interlock.blocked_by(door_id, self._interlocks, standing)

    def _opened(self, door_id: DoorId) -> None:
        for other in interlock.tripped_by(door_id, self._interlocks):
            self.tasks[other].post(rules.InterlockTripped())

    async def lock_before_the_end(self) -> None:
        """After the tasks have ended, every door at once: the supervisor's patience does not last
        for one silent board after the other."""
        boards: dict[int, list[DoorTask]] = {}
        for task in self.tasks.values():
            boards.setdefault(id(task.wiring.controller), []).append(task)
        async with asyncio.TaskGroup() as group:
            for tasks in boards.values():
                group.create_task(_lock_all(tasks), name="the last lock of a board's doors")

    def status(self, door_id: DoorId) -> DoorStatus:
        """Raises KeyError for a door that the settings do not have."""
        return self.tasks[door_id].status

    async def unlock(
        self,
        door_id: DoorId,
        cause: Cause,
        unlock_s: float | None = None,
        *,
        passage: Passage | None = None,
        extra_held_s: float = 0.0,
    ) -> Outcome:
        """As `gatewayd.domain.ports.Doors`."""
        task = self.tasks[door_id]
        seconds = task.door.unlock_s if unlock_s is None else unlock_s
        return await task.order(rules.UnlockOrdered(cause, seconds, passage, extra_held_s))


async def _lock_all(tasks: Sequence[DoorTask]) -> None:
    """The doors of one board. Those that it did not confirm are told again while it confirms any:
    they may have waited too long for their turn on its line."""
    left = [task for task in tasks if task.unsettled]
    for _ in range(END_ROUNDS):
        told = left
        async with asyncio.TaskGroup() as group:
            for task in told:
                group.create_task(task.lock_before_the_end(), name=f"last lock of {task.door.id}")
        left = [task for task in told if task.unsettled]
        if len(left) in {0, len(told)}:
            return
