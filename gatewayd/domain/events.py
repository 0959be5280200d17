"""The journal's event union and its schema version. Owns what is recorded and sent to the centre.

Every event names its subject by id. No event carries a card number, a PIN, a name or a phone:
people are ids (and a place, "6-2-1203"), credentials are a `CredentialRef`. Fields are only ever
added, with a default; a change of meaning is a new kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, get_args

from gatewayd.domain.model import (
    AccessPointId,
    AlarmKind,
    AreaId,
    CameraId,
    CredentialKind,
    DeviceId,
    Direction,
    DoorId,
    DoorMode,
    LevelId,
    ModeSlot,
    PersonId,
    Priority,
    Reason,
    Remedy,
    RuleTrace,
)

SCHEMA_VERSION = 1


class Stream(StrEnum):
    """Alarms travel apart, so that a backlog of entries never delays them (central-link)."""

    EVENTS = "evt"
    ALARMS = "alarm"


class CauseKind(StrEnum):
    TAP = "tap"
    OPERATOR = "operator"
    CENTRE = "centre"
    EXIT_REQUEST = "exit_request"
    LINKAGE = "linkage"
    SYSTEM = "system"
    SCHEDULE = "schedule"
    FIRE = "fire"


@dataclass(frozen=True, slots=True)
class Cause:
    """On whose word something moved. `ref` is the tap's seq, the operator's name, the command's
    id, the schedule's or the linkage's id, the fire input; `reason` is what a person wrote."""

    kind: CauseKind
    ref: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CredentialRef:
    """A credential as it may be kept: masked for people, as a keyed digest for comparing.

    `digest` is the first 32 hex digits of HMAC-SHA256 over the credential's key with a secret that
    never leaves the box.
    """

    kind: CredentialKind
    bit_count: int
    format: str
    masked: str
    digest: str


# --------------------------------------------------------------------------------- access


@dataclass(frozen=True, slots=True)
class AccessGranted:
    KIND: ClassVar[str] = "access.granted"
    access_point_id: AccessPointId
    door_id: DoorId
    direction: Direction
    credential: CredentialRef
    person_id: PersonId
    place: str
    level_id: LevelId
    unlock_s: float
    whitelist_revision: int
    trace: tuple[RuleTrace, ...]
    recorded_late: bool = False  # opened first, because the journal was late and the door says so
    duress: bool = False  # someone was made to do this; nothing at the reader tells it
    companion_id: PersonId | None = None  # the escort, or the first of two people
    used: str = ""  # where it is recorded late: the digest whose use counts, as in AccessOutcome
    companion_used: str = ""  # the same of the first of two people

    @property
    def subject(self) -> str:
        return self.access_point_id


@dataclass(frozen=True, slots=True)
class AccessDenied:
    KIND: ClassVar[str] = "access.denied"
    access_point_id: AccessPointId
    door_id: DoorId
    direction: Direction
    credential: CredentialRef
    reason: Reason
    whitelist_revision: int
    trace: tuple[RuleTrace, ...]
    person_id: PersonId | None = None
    place: str = ""
    detail: tuple[tuple[str, str], ...] = ()
    remedies: tuple[Remedy, ...] = ()  # all of them together would have made it a grant

    @property
    def subject(self) -> str:
        return self.access_point_id


class Outcome(StrEnum):
    UNLOCKED = "unlocked"
    REFUSED = "refused"  # the door's mode forbids it
    FAILED = "failed"  # the controller did not confirm
    INTERLOCKED = "interlocked"  # another door of the same interlock stands in the way


@dataclass(frozen=True, slots=True)
class AccessOutcome:
    """What came of the grant that stands at `decision_seq`. `used` is the credential's digest
    where a use of it was counted; `companion_used` that of the first of two people, where one of
    theirs was."""

    KIND: ClassVar[str] = "access.outcome"
    access_point_id: AccessPointId
    door_id: DoorId
    decision_seq: int
    outcome: Outcome
    detail: str = ""
    used: str = ""
    companion_used: str = ""

    @property
    def subject(self) -> str:
        return self.access_point_id


# ---------------------------------------------------------------------------------- areas


@dataclass(frozen=True, slots=True)
class PersonPassed:
    """Someone with the grant at `decision_seq` went through: the door opened, not only unlocked.

    `left` and `entered` are the areas on its two sides; None is outside.
    """

    KIND: ClassVar[str] = "area.passed"
    person_id: PersonId
    door_id: DoorId
    access_point_id: AccessPointId
    decision_seq: int
    left: AreaId | None
    entered: AreaId | None

    @property
    def subject(self) -> str:
        return self.access_point_id


@dataclass(frozen=True, slots=True)
class WhereaboutsForgiven:
    """The next passage of the person, or of everyone in the area, is in order wherever it leads.

    None leaves the choice open: no person and no area is everyone, everywhere.
    """

    KIND: ClassVar[str] = "area.forgiven"
    person_id: PersonId | None
    area_id: AreaId | None
    cause: Cause

    @property
    def subject(self) -> str:
        return self.person_id or self.area_id or "areas"


# ---------------------------------------------------------------------------------- doors


@dataclass(frozen=True, slots=True)
class DoorUnlocked:
    KIND: ClassVar[str] = "door.unlocked"
    door_id: DoorId
    cause: Cause
    unlock_s: float

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorLocked:
    KIND: ClassVar[str] = "door.locked"
    door_id: DoorId

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorOpened:
    KIND: ClassVar[str] = "door.opened"
    door_id: DoorId
    authorised: bool

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorClosed:
    KIND: ClassVar[str] = "door.closed"
    door_id: DoorId

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorHeldWarning:
    """The pre-alarm: the door has been open for `open_s` and will soon count as held."""

    KIND: ClassVar[str] = "door.held_warning"
    door_id: DoorId
    open_s: float

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class ExitRequested:
    """REX: the exit button inside was pressed."""

    KIND: ClassVar[str] = "door.exit_requested"
    door_id: DoorId

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorNotOpened:
    """What the door was unlocked for did not happen: it was not opened in its time."""

    KIND: ClassVar[str] = "door.not_opened"
    door_id: DoorId
    cause: Cause

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorModeOrdered:
    """An order of a door's mode, kept until it is withdrawn, replaced or over at `until_ms` (wall
    clock). Without a mode it is withdrawn; with `lifted` it is the slot's lockdown that is, which
    lies over the slot's other order. What follows for the door is door.mode_changed."""

    KIND: ClassVar[str] = "door.mode_ordered"
    door_id: DoorId
    slot: ModeSlot
    mode: DoorMode | None
    until_ms: int | None
    cause: Cause
    lifted: bool = False

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorFirstPerson:
    """The first authorised person of the hours in which the door's schedule unlocks it came: the
    grant stands at `decision_seq`."""

    KIND: ClassVar[str] = "door.first_person"
    door_id: DoorId
    decision_seq: int

    @property
    def subject(self) -> str:
        return self.door_id


@dataclass(frozen=True, slots=True)
class DoorModeChanged:
    """The mode that now governs the door, whoever's order it follows from."""

    KIND: ClassVar[str] = "door.mode_changed"
    door_id: DoorId
    mode: DoorMode
    before: DoorMode
    cause: Cause

    @property
    def subject(self) -> str:
        return self.door_id


# ----------------------------------------------------------------------------------- fire


@dataclass(frozen=True, slots=True)
class FireDetected:
    """The fire input spoke: the escape doors named here are unlocked until `fire.reset`."""

    KIND: ClassVar[str] = "fire.detected"
    controller_id: DeviceId
    input: int
    doors: tuple[DoorId, ...]

    @property
    def subject(self) -> str:
        return "fire"


@dataclass(frozen=True, slots=True)
class FireReset:
    """A person ended the fire; the doors follow their other orders again."""

    KIND: ClassVar[str] = "fire.reset"
    cause: Cause

    @property
    def subject(self) -> str:
        return "fire"


# --------------------------------------------------------------------------------- alarms


@dataclass(frozen=True, slots=True)
class AlarmRaised:
    """`alarm_id` is what all later events of the same alarm carry; `about` is the thing's id."""

    KIND: ClassVar[str] = "alarm.raised"
    alarm_id: str
    alarm: AlarmKind
    priority: Priority
    about: str
    detail: str = ""

    @property
    def subject(self) -> str:
        return self.about


@dataclass(frozen=True, slots=True)
class AlarmRepeated:
    """Raised again, while it was up or soon after it was over: the same alarm, and up again. At
    most one a minute while it chatters; `repeats` counts from the beginning."""

    KIND: ClassVar[str] = "alarm.repeated"
    alarm_id: str
    about: str
    repeats: int
    detail: str = ""
    alarm: AlarmKind | None = None

    @property
    def subject(self) -> str:
        return self.about


@dataclass(frozen=True, slots=True)
class AlarmAcknowledged:
    KIND: ClassVar[str] = "alarm.acknowledged"
    alarm_id: str
    about: str
    operator: str
    note: str = ""
    alarm: AlarmKind | None = None

    @property
    def subject(self) -> str:
        return self.about


@dataclass(frozen=True, slots=True)
class AlarmReopened:
    """It was raised again after it was taken: it waits for a guard anew."""

    KIND: ClassVar[str] = "alarm.reopened"
    alarm_id: str
    about: str
    alarm: AlarmKind | None = None

    @property
    def subject(self) -> str:
        return self.about


@dataclass(frozen=True, slots=True)
class AlarmCleared:
    """What was wrong is over; the alarm leaves the list once it is also acknowledged."""

    KIND: ClassVar[str] = "alarm.cleared"
    alarm_id: str
    about: str
    repeats: int = 0
    alarm: AlarmKind | None = None

    @property
    def subject(self) -> str:
        return self.about


@dataclass(frozen=True, slots=True)
class AlarmShelved:
    """Put aside by a person until `until_ms` (milliseconds since 1970 UTC, at most 8 hours on)."""

    KIND: ClassVar[str] = "alarm.shelved"
    alarm_id: str
    about: str
    operator: str
    reason: str
    until_ms: int
    alarm: AlarmKind | None = None

    @property
    def subject(self) -> str:
        return self.about


@dataclass(frozen=True, slots=True)
class AlarmUnshelved:
    """Back in the list, and waiting for a guard. `operator` is empty where its time was up."""

    KIND: ClassVar[str] = "alarm.unshelved"
    alarm_id: str
    about: str
    operator: str = ""
    alarm: AlarmKind | None = None

    @property
    def subject(self) -> str:
        return self.about


class Escalation(StrEnum):
    """Who is asked when nobody takes an alarm, in this order; named as the operators' roles."""

    LEADER = "leader"
    MANAGER = "manager"


@dataclass(frozen=True, slots=True)
class AlarmEscalated:
    """Nobody took it in time: it is `to`'s now. Once for each role."""

    KIND: ClassVar[str] = "alarm.escalated"
    alarm_id: str
    about: str
    to: Escalation
    alarm: AlarmKind | None = None

    @property
    def subject(self) -> str:
        return self.about


AlarmEvent = (
    AlarmRaised
    | AlarmRepeated
    | AlarmAcknowledged
    | AlarmReopened
    | AlarmCleared
    | AlarmShelved
    | AlarmUnshelved
    | AlarmEscalated
)
ALARM_EVENTS: tuple[type[AlarmEvent], ...] = get_args(AlarmEvent)


# ------------------------------------------------------------------------------- linkages


@dataclass(frozen=True, slots=True)
class LinkedAction:
    """`do` is the word of the settings; `target` the door, camera, or "board-1 relay 4"."""

    do: str
    target: str


@dataclass(frozen=True, slots=True)
class LinkageFired:
    """The event at `for_seq` sets these actions off; journaled before the first of them."""

    KIND: ClassVar[str] = "linkage.fired"
    linkage_id: str
    for_seq: int
    then: tuple[LinkedAction, ...]

    @property
    def subject(self) -> str:
        return self.linkage_id


class ActionResult(StrEnum):
    DONE = "done"
    REFUSED = "refused"  # the door's mode forbids it
    FAILED = "failed"  # the device did not confirm


@dataclass(frozen=True, slots=True)
class LinkedResult:
    do: str
    target: str
    result: ActionResult
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LinkageDone:
    """What came of the actions of the `linkage.fired` at `fired_seq`, in their order."""

    KIND: ClassVar[str] = "linkage.done"
    linkage_id: str
    fired_seq: int
    results: tuple[LinkedResult, ...]

    @property
    def subject(self) -> str:
        return self.linkage_id


@dataclass(frozen=True, slots=True)
class LinkageSkipped:
    """It would have fired `count` times since the last such event, and did not; the last time for
    the event at `for_seq`, for the reason in `detail`."""

    KIND: ClassVar[str] = "linkage.skipped"
    linkage_id: str
    for_seq: int
    count: int
    detail: str

    @property
    def subject(self) -> str:
        return self.linkage_id


# -------------------------------------------------------------------------------- devices


@dataclass(frozen=True, slots=True)
class DeviceOnline:
    KIND: ClassVar[str] = "device.online"
    device_id: DeviceId
    detail: str = ""

    @property
    def subject(self) -> str:
        return self.device_id


@dataclass(frozen=True, slots=True)
class DeviceOffline:
    KIND: ClassVar[str] = "device.offline"
    device_id: DeviceId
    detail: str = ""

    @property
    def subject(self) -> str:
        return self.device_id


@dataclass(frozen=True, slots=True)
class InputMalformed:
    """Bytes that made no sense: how many times since the last such event, and why the last was."""

    KIND: ClassVar[str] = "device.malformed"
    device_id: DeviceId
    reason: str
    count: int

    @property
    def subject(self) -> str:
        return self.device_id


@dataclass(frozen=True, slots=True)
class InstallOpened:
    """Until `until_ms` (wall clock, at most ten minutes on) this device may be given a new key:
    under the key that it has, or, as a `new_device`, under that of its delivery."""

    KIND: ClassVar[str] = "install.opened"
    device_id: DeviceId
    until_ms: int
    new_device: bool
    cause: Cause

    @property
    def subject(self) -> str:
        return self.device_id


class InstallOutcome(StrEnum):
    PAIRED = "paired"  # a session was opened under the new key
    FAILED = "failed"  # the device refused, or was not the one it should be
    TIME_UP = "time_up"  # no device answered, or none was ready
    WITHDRAWN = "withdrawn"  # an operator closed the window
    INTERRUPTED = "interrupted"  # the box ended, or lost its power


@dataclass(frozen=True, slots=True)
class InstallClosed:
    """The install window is over, and this came of it. No other device was given a key in it, and
    no key is in the detail."""

    KIND: ClassVar[str] = "install.closed"
    device_id: DeviceId
    outcome: InstallOutcome
    detail: str = ""

    @property
    def subject(self) -> str:
        return self.device_id


class Acted(StrEnum):
    """What a board did by itself. The values are on the wire and on disk: only ever added."""

    GRANTED = "granted"  # by its own list
    DENIED = "denied"
    UNSEEN = "unseen"  # a card that nobody judged: it was left to the box, which was not there
    OTHER = "other"  # a button, a door, an alarm of the board


@dataclass(frozen=True, slots=True)
class ControllerActed:
    """A board with a memory of its own did this without the box, which heard of it afterwards.
    `index` is the board's number of it, `terminal` the door on the board (0: none), `at_ms` the
    board's own clock (0: it was no time)."""

    KIND: ClassVar[str] = "controller.acted"
    device_id: DeviceId
    index: int
    what: Acted
    terminal: int
    reason: str
    at_ms: int
    credential: CredentialRef | None = None

    @property
    def subject(self) -> str:
        return self.device_id


# ------------------------------------------------------------------------------- pictures


@dataclass(frozen=True, slots=True)
class PictureStored:
    """A JPEG of the moment of the event at `for_seq`; `age_ms` is moment minus picture."""

    KIND: ClassVar[str] = "picture.stored"
    for_seq: int
    camera_id: CameraId
    name: str
    sha256: str
    size: int
    age_ms: int

    @property
    def subject(self) -> str:
        return self.camera_id


@dataclass(frozen=True, slots=True)
class PictureMissed:
    KIND: ClassVar[str] = "picture.missed"
    for_seq: int
    camera_id: CameraId
    detail: str

    @property
    def subject(self) -> str:
        return self.camera_id


# ----------------------------------------------------------------------------------- link


@dataclass(frozen=True, slots=True)
class WhitelistApplied:
    """`base` is None for a full list. `content_sha256` is over the list's records in order."""

    KIND: ClassVar[str] = "whitelist.applied"
    revision: int
    base: int | None
    credentials: int
    content_sha256: str

    @property
    def subject(self) -> str:
        return "whitelist"


@dataclass(frozen=True, slots=True)
class WhitelistRejected:
    KIND: ClassVar[str] = "whitelist.rejected"
    revision: int
    detail: str

    @property
    def subject(self) -> str:
        return "whitelist"


@dataclass(frozen=True, slots=True)
class CommandAccepted:
    KIND: ClassVar[str] = "command.accepted"
    command_id: str
    kid: str
    counter: int
    action: str
    target: str
    reason: str = ""

    @property
    def subject(self) -> str:
        return self.target


@dataclass(frozen=True, slots=True)
class CommandRejected:
    KIND: ClassVar[str] = "command.rejected"
    command_id: str
    kid: str
    detail: str

    @property
    def subject(self) -> str:
        return "link"


@dataclass(frozen=True, slots=True)
class CommandDone:
    KIND: ClassVar[str] = "command.done"
    command_id: str
    action: str
    target: str
    outcome: str
    detail: str = ""

    @property
    def subject(self) -> str:
        return self.target


@dataclass(frozen=True, slots=True)
class DesiredApplied:
    """The centre's wanted state of revision `revision`: door ids with their modes."""

    KIND: ClassVar[str] = "desired.applied"
    revision: int
    kid: str
    doors: tuple[tuple[DoorId, DoorMode], ...]

    @property
    def subject(self) -> str:
        return "link"


@dataclass(frozen=True, slots=True)
class DesiredRejected:
    KIND: ClassVar[str] = "desired.rejected"
    revision: int
    kid: str
    detail: str

    @property
    def subject(self) -> str:
        return "link"


# ------------------------------------------------------------------- operators and system


@dataclass(frozen=True, slots=True)
class OperatorLoggedIn:
    KIND: ClassVar[str] = "operator.logged_in"
    operator: str
    role: str
    address: str

    @property
    def subject(self) -> str:
        return self.operator


@dataclass(frozen=True, slots=True)
class OperatorLoginFailed:
    KIND: ClassVar[str] = "operator.login_failed"
    operator: str
    address: str
    detail: str

    @property
    def subject(self) -> str:
        return self.operator


@dataclass(frozen=True, slots=True)
class OperatorLoggedOut:
    KIND: ClassVar[str] = "operator.logged_out"
    operator: str

    @property
    def subject(self) -> str:
        return self.operator


@dataclass(frozen=True, slots=True)
class OperatorOrdered:
    """An order given at the console or in a shell, journaled before it is carried out."""

    KIND: ClassVar[str] = "operator.ordered"
    operator: str
    action: str
    target: str
    reason: str

    @property
    def subject(self) -> str:
        return self.target


@dataclass(frozen=True, slots=True)
class SystemStarted:
    KIND: ClassVar[str] = "system.started"
    version: str
    settings_sha256: str
    whitelist_revision: int

    @property
    def subject(self) -> str:
        return "system"


@dataclass(frozen=True, slots=True)
class SystemStopped:
    KIND: ClassVar[str] = "system.stopped"
    detail: str

    @property
    def subject(self) -> str:
        return "system"


@dataclass(frozen=True, slots=True)
class ClockJumped:
    """The wall clock moved by `by_ms` against the monotonic one (positive: forward)."""

    KIND: ClassVar[str] = "system.clock_jumped"
    by_ms: int
    trusted: bool

    @property
    def subject(self) -> str:
        return "system"


@dataclass(frozen=True, slots=True)
class GapRecorded:
    """`lost` things could not be written, for the reason in `detail`: said, never hidden."""

    KIND: ClassVar[str] = "system.gap"
    lost: int
    detail: str

    @property
    def subject(self) -> str:
        return "system"


Event = (
    AccessGranted
    | AccessDenied
    | AccessOutcome
    | PersonPassed
    | WhereaboutsForgiven
    | DoorUnlocked
    | DoorLocked
    | DoorOpened
    | DoorClosed
    | DoorHeldWarning
    | ExitRequested
    | DoorNotOpened
    | DoorModeOrdered
    | DoorFirstPerson
    | DoorModeChanged
    | FireDetected
    | FireReset
    | AlarmRaised
    | AlarmRepeated
    | AlarmAcknowledged
    | AlarmReopened
    | AlarmCleared
    | AlarmShelved
    | AlarmUnshelved
    | AlarmEscalated
    | LinkageFired
    | LinkageDone
    | LinkageSkipped
    | DeviceOnline
    | DeviceOffline
    | InputMalformed
    | InstallOpened
    | InstallClosed
    | ControllerActed
    | PictureStored
    | PictureMissed
    | WhitelistApplied
    | WhitelistRejected
    | CommandAccepted
    | CommandRejected
    | CommandDone
    | DesiredApplied
    | DesiredRejected
    | OperatorLoggedIn
    | OperatorLoginFailed
    | OperatorLoggedOut
    | OperatorOrdered
    | SystemStarted
    | SystemStopped
    | ClockJumped
    | GapRecorded
)

EVENT_TYPES: dict[str, type[Event]] = {cls.KIND: cls for cls in get_args(Event)}


def stream_of(event: Event) -> Stream:
    """Which of the two streams to the centre the event travels on."""
    return Stream.ALARMS if isinstance(event, ALARM_EVENTS) else Stream.EVENTS
