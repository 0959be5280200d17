"""Whose word a door's mode is: orders, and the one table who wins over whom. Pure; owns no door.

An order stands until it is withdrawn, replaced by the next of the same kind, or over. A lockdown
lies over its slot's other order, so that lifting it brings back what was before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from gatewayd.domain.door import FREE_MODES
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DesiredApplied,
    DoorModeOrdered,
    Event,
    FireDetected,
    FireReset,
)
from gatewayd.domain.model import DoorId, DoorMode, ModeSlot


class OrderKey(NamedTuple):
    """Which order: a slot's own, or the lockdown that lies over it."""

    slot: ModeSlot
    lockdown: bool = False


# Who wins over whom: the first row that has an order decides. Without any the door is Locked.
PRECEDENCE: tuple[OrderKey, ...] = (
    OrderKey(ModeSlot.FIRE),  # LockedOpen, for escape doors; ended by a person alone
    OrderKey(ModeSlot.OPERATOR, lockdown=True),
    OrderKey(ModeSlot.CENTRE, lockdown=True),
    OrderKey(ModeSlot.LINKAGE, lockdown=True),
    OrderKey(ModeSlot.OPERATOR),
    OrderKey(ModeSlot.CENTRE),
    OrderKey(ModeSlot.LINKAGE),
    OrderKey(ModeSlot.SCHEDULE),
)

# Which slot a cause gives its orders in.
SLOT_OF: dict[CauseKind, ModeSlot] = {
    CauseKind.FIRE: ModeSlot.FIRE,
    CauseKind.OPERATOR: ModeSlot.OPERATOR,
    CauseKind.CENTRE: ModeSlot.CENTRE,
    CauseKind.LINKAGE: ModeSlot.LINKAGE,
    CauseKind.SCHEDULE: ModeSlot.SCHEDULE,
}


@dataclass(frozen=True, slots=True)
class ModeOrder:
    """`until_ms` is milliseconds since 1970 UTC, exclusive; None: until it is withdrawn."""

    mode: DoorMode
    cause: Cause
    until_ms: int | None = None


Orders = Mapping[OrderKey, ModeOrder]


@dataclass(frozen=True, slots=True)
class Effective:
    """The mode that governs, and whose order it is; `slot` None: nobody's, the door is Locked."""

    mode: DoorMode
    slot: ModeSlot | None
    cause: Cause
    until_ms: int | None = None


_UNORDERED = Effective(DoorMode.LOCKED, None, Cause(CauseKind.SYSTEM))


def slot_of(cause: Cause) -> ModeSlot:
    """Raises ValueError for a cause that orders no modes, e.g. a tap."""
    slot = SLOT_OF.get(cause.kind)
    if slot is None:
        raise ValueError(f"a {cause.kind} orders no mode")
    return slot


def key_of(slot: ModeSlot, mode: DoorMode) -> OrderKey:
    return OrderKey(slot, mode is DoorMode.LOCKED_DOWN)


def is_over(key: OrderKey, order: ModeOrder, now_ms: int, trusted: bool) -> bool:
    """By a clock that can't be trusted nothing is over, because it can't be told. But hours need a
    clock: a schedule's order that will end counts for nothing then."""
    if order.until_ms is None:
        return False
    return now_ms >= order.until_ms if trusted else key.slot is ModeSlot.SCHEDULE


def effective(
    orders: Orders, now_ms: int, trusted: bool, *, interlocked: bool = False
) -> Effective:
    """What governs the door now. An `interlocked` door is left free by a fire alone: a free door
    would keep all others of its interlock shut, or the interlock open."""
    for key in PRECEDENCE:
        order = orders.get(key)
        if order is None or is_over(key, order, now_ms, trusted):
            continue
        if interlocked and order.mode in FREE_MODES and key.slot is not ModeSlot.FIRE:
            continue
        return Effective(order.mode, key.slot, order.cause, order.until_ms)
    return _UNORDERED


def over(orders: Orders, now_ms: int, trusted: bool) -> tuple[OrderKey, ...]:
    """The orders whose time is up."""
    return tuple(key for key, order in orders.items() if is_over(key, order, now_ms, trusted))


def next_deadline_ms(orders: Orders) -> int | None:
    """The wall time at which the first of the orders is over; None: none ends by itself."""
    return min((o.until_ms for o in orders.values() if o.until_ms is not None), default=None)


def changed(orders: Orders, key: OrderKey, order: ModeOrder | None) -> Orders:
    """With this order in its place, or with the place empty."""
    rest = {k: o for k, o in orders.items() if k != key}
    return rest if order is None else {**rest, key: order}


def replaced(orders: Orders, slot: ModeSlot, order: ModeOrder | None) -> Orders:
    """The slot with this order alone: what the centre wants of a door is its whole word on it."""
    rest = {k: o for k, o in orders.items() if k.slot is not slot}
    return rest if order is None else {**rest, key_of(slot, order.mode): order}


def lockdowns(orders: Orders) -> tuple[OrderKey, ...]:
    """Every lockdown that stands, whoever ordered it: lifting takes them all."""
    return tuple(key for key in orders if key.lockdown)


# ----------------------------------------------------------------- from the journal's events


def desired_order(mode: DoorMode, revision: int) -> ModeOrder | None:
    """What a wanted mode of the centre orders; Locked is how a door is without any order."""
    if mode is DoorMode.LOCKED:
        return None
    return ModeOrder(mode, Cause(CauseKind.CENTRE, f"desired {revision}"))


def fire_order(event: FireDetected) -> ModeOrder:
    cause = Cause(CauseKind.FIRE, f"{event.controller_id} input {event.input}")
    return ModeOrder(DoorMode.LOCKED_OPEN, cause)


def apply(doors: Mapping[DoorId, Orders], event: Event) -> dict[DoorId, Orders]:
    """All doors' orders after the journaled `event`; most events change none.

    Fold this over the journal and the orders of any moment come back. The journal's projection
    (gatewayd/store/projections.py) says the same in SQL.
    """
    after = dict(doors)
    match event:
        case DoorModeOrdered(door_id=door, mode=mode):
            order = None if mode is None else ModeOrder(mode, event.cause, event.until_ms)
            lifted = OrderKey(event.slot, event.lifted)
            key = lifted if mode is None else key_of(event.slot, mode)
            after[door] = changed(after.get(door, {}), key, order)
        case DesiredApplied(revision=revision, doors=modes):
            for door, mode in modes:
                wanted = desired_order(mode, revision)
                after[door] = replaced(after.get(door, {}), ModeSlot.CENTRE, wanted)
        case FireDetected(doors=freed):
            for door in freed:
                key = OrderKey(ModeSlot.FIRE)
                after[door] = changed(after.get(door, {}), key, fire_order(event))
        case FireReset():
            after = {d: replaced(orders, ModeSlot.FIRE, None) for d, orders in after.items()}
        case _:
            pass
    return after
