"""The words of a door's table: its phases, what may happen to it, what follows, its state. Pure.

Owns no rule: `gatewayd.domain.door` has the table and the handlers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gatewayd.domain.events import Cause, Event
from gatewayd.domain.model import AlarmKind, DoorMode, Passage


class Phase(StrEnum):
    """The values are in the API and the console's texts: never rename one."""

    SECURE = "secure"
    UNLOCKED = "unlocked"
    OPEN = "open"
    HELD_WARNING = "held_warning"
    HELD = "held"
    FORCED = "forced"


class InputName(StrEnum):
    """A door's inputs, as their faults are told."""

    CONTACT = "contact"
    EXIT = "exit"
    LOCK = "lock"
    TAMPER = "tamper"
    LOOP = "loop"  # a barrier's, under the arm
    PRESENCE = "presence"  # a barrier's, in front of it
    UPPER_LIMIT = "upper_limit"
    LOWER_LIMIT = "lower_limit"


# --------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class UnlockOrdered:
    """Someone entitled said "open"; whoever gives the order has journaled why.

    `blocked`: another door of its interlock stands in the way, as the door's task saw at this very
    step. `passage` is who will have passed when it opens; `extra_held_s` is how much longer it may
    then stay open.
    """

    cause: Cause
    unlock_s: float
    passage: Passage | None = None
    extra_held_s: float = 0.0
    blocked: bool = False


@dataclass(frozen=True, slots=True)
class ContactChanged:
    """None: it can't be told, because its line is cut or shorted."""

    open: bool | None


@dataclass(frozen=True, slots=True)
class ExitPressed:
    """REX. Free egress: heeded in every mode. `blocked` only where the door's settings say that
    its exit button heeds the interlock."""

    blocked: bool = False


@dataclass(frozen=True, slots=True)
class InterlockTripped:
    """Another door of an interlock of which one may be open was opened."""


@dataclass(frozen=True, slots=True)
class LockReported:
    """The lock's own contact; None: it can't be told."""

    locked: bool | None


@dataclass(frozen=True, slots=True)
class TamperReported:
    """A cover was opened or something was torn off; None: it can't be told."""

    tampered: bool | None


@dataclass(frozen=True, slots=True)
class ObstructionChanged:
    """The loop under a barrier's arm; None: it can't be told, and then nothing closes either."""

    blocked: bool | None


@dataclass(frozen=True, slots=True)
class VehicleWaits:
    """The loop in front of a barrier; None: it can't be told."""

    there: bool | None


@dataclass(frozen=True, slots=True)
class ArmUpReported:
    """The upper limit switch of a barrier; None: it can't be told. The lower one is its contact:
    `open` is that the arm is not down."""

    up: bool | None


@dataclass(frozen=True, slots=True)
class InputFaulted:
    """A supervised line: `fault` is "short", "open" or, when it is well, ""."""

    name: InputName
    fault: str


@dataclass(frozen=True, slots=True)
class ModeOrdered:
    """The mode that governs from now on (`gatewayd.domain.modes.effective`)."""

    mode: DoorMode
    cause: Cause


@dataclass(frozen=True, slots=True)
class ControllerLost:
    """Nothing can be seen or moved; whatever happens to the line, no door is released by it."""


@dataclass(frozen=True, slots=True)
class ControllerBack:
    """The wanted lock state is said again: the board may have lost it."""


@dataclass(frozen=True, slots=True)
class DriveDone:
    """The board confirmed the lock's state by read-back."""


@dataclass(frozen=True, slots=True)
class DriveFailed:
    """The board did not confirm `unlocked`."""

    unlocked: bool
    detail: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A deadline of the state may have come."""


DoorInput = (
    UnlockOrdered
    | ContactChanged
    | ExitPressed
    | InterlockTripped
    | LockReported
    | TamperReported
    | ObstructionChanged
    | VehicleWaits
    | ArmUpReported
    | InputFaulted
    | ModeOrdered
    | ControllerLost
    | ControllerBack
    | DriveDone
    | DriveFailed
    | TimePassed
)

# -------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class DriveLock:
    """`confirmed` is what to record once the board has confirmed: nothing is claimed before."""

    unlocked: bool
    confirmed: Event | None = None


@dataclass(frozen=True, slots=True)
class Record:
    event: Event


@dataclass(frozen=True, slots=True)
class Raise:
    kind: AlarmKind
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Clear:
    kind: AlarmKind


@dataclass(frozen=True, slots=True)
class Passed:
    """The door opened on this authority: whoever counts people may count them now."""

    passage: Passage


Effect = DriveLock | Record | Raise | Clear | Passed

# ---------------------------------------------------------------------------------- state


@dataclass(frozen=True, slots=True)
class Authority:
    """Why the door may be opened just now, and who then passes."""

    cause: Cause
    passage: Passage | None = None


@dataclass(frozen=True, slots=True)
class DoorState:
    """Everything the next step depends on. Moments are monotonic nanoseconds of this boot.

    Of what is None in `contradicts`, `tampered` and `faults` nothing was heard since the start.
    The last group is a barrier's alone: `open` is then that the arm is not down.
    """

    phase: Phase = Phase.SECURE
    mode: DoorMode = DoorMode.LOCKED
    unlocked: bool = False  # what is wanted of the lock; `failed` says that it may not be so
    open: bool | None = None  # None: cannot be seen now
    last_seen_open: bool | None = None  # what was seen last, kept through an outage
    online: bool = False
    failed: bool = False  # DOOR_FAILED is up
    confirmed: bool = False  # the board has answered since the start
    pending: tuple[Authority, ...] = ()  # unlocked for these, and not opened since
    relock_at_ns: int | None = None
    retry_at_ns: int | None = None  # the lock did not confirm, and is told again then
    authorised_until_ns: int = 0
    warn_at_ns: int | None = None
    held_at_ns: int | None = None
    extra_held_ns: int = 0  # this much longer it may stay open this time
    lock_seen: bool | None = None  # locked, says the lock's own contact
    contradicts_at_ns: int | None = None
    contradicts: bool | None = None  # LOCK_CONTRADICTS is up
    tampered: bool | None = None  # TAMPER is up
    faults: frozenset[InputName] | None = None  # INPUT_FAULT is up unless it is empty

    obstructed: bool | None = None  # a vehicle on the loop under the arm
    vehicle: bool | None = None  # a vehicle on the loop in front
    up: bool | None = None  # at the upper limit
    crossing: bool = False  # a vehicle came onto the loop while the arm was up
    close_waits: bool = False  # to come down as soon as the loop is free
    lowering: bool = False  # told to come down, and not seen there yet
    arm_due_ns: int | None = None  # at its limit by then
    arm_late: bool = False  # it was not: DOOR_FAILED is up
