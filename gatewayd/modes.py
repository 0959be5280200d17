"""The mode desk: keeps what is ordered of each door, and has the doors follow what governs.

Owns the orders, their journaling, their end by time and the doors' own hours. Must not decide who
wins (`gatewayd.domain.modes`) nor move a lock (`gatewayd.doors`). What may free a door is durable
before the door moves; what locks it never waits for a disk.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

from gatewayd.domain import modes
from gatewayd.domain.door import FREE_MODES, ModeOrdered
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DoorFirstPerson,
    DoorModeOrdered,
    Outcome,
)
from gatewayd.domain.model import (
    NS_PER_MS,
    NS_PER_S,
    DoorId,
    DoorMode,
    ModeSlot,
    Passage,
)
from gatewayd.domain.modes import Effective, ModeOrder, OrderKey, Orders
from gatewayd.domain.ports import Clock, DoorStatus, Journal, JournalError
from gatewayd.doors import DoorTasks
from gatewayd.hours import DoorHours
from gatewayd.recorder import Recorder

log = logging.getLogger(__name__)

LOOK_EVERY_NS = NS_PER_S  # ends, hours and a clock that jumped are noticed within this time
HOURS = OrderKey(ModeSlot.SCHEDULE)
FIRE = OrderKey(ModeSlot.FIRE)


@dataclass(frozen=True, slots=True)
class _Change:
    """One order that takes its place, or leaves it empty; `event` None: it is journaled already."""

    key: OrderKey
    order: ModeOrder | None
    event: DoorModeOrdered | None


class ModeDesk:
    """Implements `gatewayd.domain.ports.Doors` over the doors' tasks."""

    def __init__(
        self,
        doors: DoorTasks,
        journal: Journal,
        recorder: Recorder,
        clock: Clock,
        hours: DoorHours,
        orders: Mapping[DoorId, Orders] | None = None,
    ) -> None:
        """`orders` are those from before the restart (`JournalReader.mode_orders`)."""
        self._doors = doors
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._hours = hours
        before = orders or {}
        self._orders: dict[DoorId, Orders] = {door: before.get(door, {}) for door in doors.tasks}
        for door_id, own in self._orders.items():
            if HOURS in own:
                hours.came_before(door_id, own[HOURS])
        self._tickets = count(1)
        self._newest: Counter[tuple[DoorId, OrderKey]] = Counter()
        self._in_flight: Counter[tuple[DoorId, OrderKey]] = Counter()  # on their way to the disk
        self._work = asyncio.TaskGroup()
        self._running = False
        self._under_way: set[str] = set()
        self._refused: set[DoorId] = set()

    # ---------------------------------------------------------------- the port `Doors`: questions

    def status(self, door_id: DoorId) -> DoorStatus:
        governs = self.governs(door_id)
        return replace(
            self._doors.status(door_id),
            mode_slot=governs.slot,
            mode_cause=None if governs.slot is None else governs.cause,
            mode_until_ms=governs.until_ms,
        )

    def all_status(self) -> Sequence[DoorStatus]:
        return [self.status(door_id) for door_id in self._doors.tasks]

    def governs(self, door_id: DoorId) -> Effective:
        """The mode that is in force now, and on whose word."""
        return self._effective(door_id, self._orders[door_id])

    def _effective(self, door_id: DoorId, orders: Orders) -> Effective:
        now = self._clock.now()
        interlocked = door_id in self._doors.interlocked
        return modes.effective(orders, now.wall_ms, now.wall_trusted, interlocked=interlocked)

    # ------------------------------------------------------------------- the port `Doors`: orders

    async def unlock(
        self,
        door_id: DoorId,
        cause: Cause,
        unlock_s: float | None = None,
        *,
        passage: Passage | None = None,
        extra_held_s: float = 0.0,
    ) -> Outcome:
        return await self._doors.unlock(
            door_id, cause, unlock_s, passage=passage, extra_held_s=extra_held_s
        )

    async def set_mode(
        self, door_id: DoorId, mode: DoorMode, cause: Cause, *, until_ms: int | None = None
    ) -> Outcome:
        if mode is DoorMode.ACCESSED or (mode is DoorMode.LOCKED_DOWN and until_ms is not None):
            raise ValueError(f"{mode} can't be ordered so: only a passage is Accessed, and a"
                             " lockdown ends when it is lifted")  # fmt: skip
        if mode in FREE_MODES and door_id in self._doors.interlocked:
            return Outcome.INTERLOCKED
        slot = modes.slot_of(cause)
        order = ModeOrder(mode, cause, until_ms)
        event = DoorModeOrdered(door_id, slot, mode, until_ms, cause)
        key = modes.key_of(slot, mode)
        outcome = await self._carry_out(door_id, [_Change(key, order, event)], governing=key)
        in_force = self.governs(door_id).mode is mode
        return Outcome.REFUSED if outcome is Outcome.UNLOCKED and not in_force else outcome

    async def withdraw(self, door_id: DoorId, cause: Cause) -> Outcome:
        return await self._take_back(door_id, [OrderKey(modes.slot_of(cause))], cause)

    async def lift(self, door_id: DoorId, cause: Cause) -> Outcome:
        return await self._take_back(door_id, modes.lockdowns(self._orders[door_id]), cause)

    async def want(self, door_id: DoorId, mode: DoorMode, cause: Cause) -> Outcome:
        slot = modes.slot_of(cause)
        order = None if mode is DoorMode.LOCKED else ModeOrder(mode, cause)
        changes = [_Change(OrderKey(slot, lockdown), None, None) for lockdown in (False, True)]
        if order is not None:
            key = modes.key_of(slot, mode)
            changes = [c for c in changes if c.key != key] + [_Change(key, order, None)]
        return await self._carry_out(door_id, changes)

    async def _take_back(self, door_id: DoorId, keys: Iterable[OrderKey], cause: Cause) -> Outcome:
        changes = [
            _Change(key, None, DoorModeOrdered(door_id, key.slot, None, None, cause, key.lockdown))
            for key in keys
            if key in self._orders[door_id] or self._in_flight[door_id, key]
        ]
        return await self._carry_out(door_id, changes) if changes else Outcome.UNLOCKED

    # ------------------------------------------------------------------------------ fire, hours

    def free_for_fire(self, door_ids: Iterable[DoorId], order: ModeOrder) -> None:
        """Free these doors now, and keep them so; the journal follows, it is not waited for."""
        for door_id in door_ids:
            self._put(door_id, FIRE, order, next(self._tickets))
            self._start(f"fire {door_id}", partial(self._follow, door_id))

    def end_fire(self) -> None:
        """A person ended it, and that is journaled."""
        for door_id in self._orders:
            self._put(door_id, FIRE, None, next(self._tickets))
            self._start(f"fire {door_id}", partial(self._follow, door_id))

    def fire_at(self) -> list[DoorId]:
        """The doors that a fire keeps free."""
        return [door_id for door_id, orders in self._orders.items() if FIRE in orders]

    def first_person_came(self, door_id: DoorId, seq: int) -> None:
        """A grant was given there and stands at `seq`: where the door waits for the first person
        of its hours, they begin. Returns at once."""
        if self._hours.first_person(self._doors.tasks[door_id].door):
            self._recorder.record(DoorFirstPerson(door_id, seq))
            self._look_at(door_id)

    # ---------------------------------------------------------------------------- time passes

    async def run(self) -> None:
        """End what is over, follow the doors' hours, and have every door in its mode, for ever."""
        async with self._work:
            self._running = True
            try:
                while True:
                    for door_id in self._orders:
                        self._look_at(door_id)
                    await self._clock.sleep_until(self._next_look_ns())
            finally:
                self._running = False

    def _next_look_ns(self) -> int:
        """A second from now, or when the next order is over."""
        now = self._clock.now()
        ends = [modes.next_deadline_ms(orders) for orders in self._orders.values()]
        left_ms = [end - now.wall_ms for end in ends if end is not None and end > now.wall_ms]
        wait_ns = min(left_ms, default=1_000) * NS_PER_MS
        return now.monotonic_ns + min(wait_ns, LOOK_EVERY_NS)

    def _look_at(self, door_id: DoorId) -> None:
        """What time, hours or a door that is not in its mode ask for. Waits for nothing: a disk
        that hangs over one order must not keep another door, or a fire, waiting."""
        now, orders = self._clock.now(), self._orders[door_id]
        if self._doors.tasks[door_id].state.mode is not self.governs(door_id).mode:
            self._start(f"mode {door_id}", partial(self._follow, door_id))
        door = self._doors.tasks[door_id].door
        for key in modes.over(orders, now.wall_ms, now.wall_trusted):
            self._start(f"end {door_id} {key}", partial(self._end, door_id, key))
        if door.unlock_schedule is not None or HOURS in orders:
            wanted = self._hours.order(door)
            if wanted != orders.get(HOURS):
                self._start(f"end {door_id} {HOURS}", partial(self._set_hours, door_id, wanted))

    async def _end(self, door_id: DoorId, key: OrderKey) -> None:
        cause = Cause(CauseKind.SYSTEM, "until")
        event = DoorModeOrdered(door_id, key.slot, None, None, cause, key.lockdown)
        await self._try(door_id, _Change(key, None, event))

    async def _set_hours(self, door_id: DoorId, order: ModeOrder | None) -> None:
        slot = ModeSlot.SCHEDULE
        if order is None:
            event = DoorModeOrdered(door_id, slot, None, None, Cause(CauseKind.SCHEDULE))
        else:
            event = DoorModeOrdered(door_id, slot, order.mode, order.until_ms, order.cause)
        await self._try(door_id, _Change(HOURS, order, event))

    async def _try(self, door_id: DoorId, change: _Change) -> None:
        """What the journal refuses is tried again at the next look."""
        try:
            await self._carry_out(door_id, [change])
            self._refused.discard(door_id)
        except JournalError as error:
            if door_id not in self._refused:
                log.error(
                    "door %s keeps its mode, the change can't be journaled: %s", door_id, error
                )
            self._refused.add(door_id)

    def _start(self, name: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """In a task of its own, one of a name at a time; before `run` there is nobody to move, and
        its first look finds what there is to do."""
        if self._running and name not in self._under_way:
            self._under_way.add(name)
            self._work.create_task(self._until_done(name, work), name=name)

    async def _until_done(self, name: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        try:
            await work()
        finally:
            self._under_way.discard(name)

    # ---------------------------------------------------------------------------- carrying out

    async def _carry_out(
        self, door_id: DoorId, changes: Sequence[_Change], *, governing: OrderKey | None = None
    ) -> Outcome:
        """Journal and move, in the order that this change asks for: what locks waits for no disk.

        `governing`: an explicit order, which is said to the lock again if it is the one that
        governs, so that its giver is told what the lock says now.
        """
        ticket = next(self._tickets)
        first = self._may_free(door_id, changes)
        if first:
            put = await self._put_durable(door_id, changes, ticket)
        else:
            put = [self._put(door_id, change.key, change.order, ticket) for change in changes]
            # The recorder tries until they are durable, whatever becomes of whoever gave them.
            kept = [change.event for change in changes if change.event is not None]
            for event in kept:
                self._recorder.record(event)
        again = governing is not None and self._key_that_governs(door_id) == governing
        outcome = await self._follow(door_id, again=again)
        if not first and kept:
            await self._wait_until_kept()
        return outcome if any(put) else Outcome.REFUSED

    async def _put_durable(
        self, door_id: DoorId, changes: Sequence[_Change], ticket: int
    ) -> list[bool]:
        """Each on disk, after all that was ordered before it, and then in its place; which of them
        were. One in whose place something later was ordered meanwhile is dropped."""
        put = []
        for change in changes:
            place = door_id, change.key
            self._in_flight[place] += 1
            try:
                if change.event is not None:
                    await self._recorder.in_order()
                late = ticket < self._newest[place]
                if change.event is not None and not late:
                    await self._append(door_id, change.key, change.event)
            finally:
                self._in_flight[place] -= 1
            put.append(not late and self._put(door_id, change.key, change.order, ticket))
        return put

    async def _append(self, door_id: DoorId, key: OrderKey, event: DoorModeOrdered) -> None:
        """Whoever hangs up meanwhile has handed the event over, and it may yet come to be durable:
        then what really stands is journaled after it."""
        try:
            await self._journal.append(event)
        except asyncio.CancelledError:
            stands = self._orders[door_id].get(key)
            mode, until_ms = (None, None) if stands is None else (stands.mode, stands.until_ms)
            cause = Cause(CauseKind.SYSTEM, "given up") if stands is None else stands.cause
            lifted = stands is None and key.lockdown
            self._recorder.record(DoorModeOrdered(door_id, key.slot, mode, until_ms, cause, lifted))
            raise

    def _may_free(self, door_id: DoorId, changes: Sequence[_Change]) -> bool:
        """Whether the door is free after these, now or once something else ends."""
        if any(c.order is not None and c.order.mode in FREE_MODES for c in changes):
            return True
        after = self._orders[door_id]
        for change in changes:
            after = modes.changed(after, change.key, change.order)
        frees = self._effective(door_id, after).mode in FREE_MODES
        return frees and self.governs(door_id).mode not in FREE_MODES

    def _key_that_governs(self, door_id: DoorId) -> OrderKey | None:
        governs = self.governs(door_id)
        return None if governs.slot is None else modes.key_of(governs.slot, governs.mode)

    def _put(self, door_id: DoorId, key: OrderKey, order: ModeOrder | None, ticket: int) -> bool:
        """False for an order that waited for the disk, and that a later one has overtaken."""
        if ticket < self._newest[door_id, key]:
            return False
        self._newest[door_id, key] = ticket
        self._orders[door_id] = modes.changed(self._orders[door_id], key, order)
        return True

    async def _follow(self, door_id: DoorId, *, again: bool = False) -> Outcome:
        """Have the door in the mode that governs. What governs is looked up anew for each try, so
        that of several orders at once the last word is the desk's."""
        task, outcome = self._doors.tasks[door_id], Outcome.UNLOCKED
        while again or task.state.mode is not self.governs(door_id).mode:
            again = False
            governs = self.governs(door_id)
            outcome = await task.order(ModeOrdered(governs.mode, governs.cause))
        return outcome

    async def _wait_until_kept(self) -> None:
        """For a moment: who is told that a door is locked down may rely on it over a restart."""
        try:
            await self._recorder.in_order()
        except JournalError as error:
            log.warning("a door's mode is in force, and not kept yet: %s", error)
