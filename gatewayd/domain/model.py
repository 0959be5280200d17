"""The words of the trade as frozen values. Owns what a thing *is*; must not do I/O or read a clock.

Terms follow ONVIF (Access Rules, Credential, Door Control services) and IEC 60839-11-1.
Card numbers and other secrets are kept out of every `repr` (house rule 8).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

PersonId = NewType("PersonId", str)
DoorId = NewType("DoorId", str)
AccessPointId = NewType("AccessPointId", str)
LevelId = NewType("LevelId", str)
ScheduleId = NewType("ScheduleId", str)
CameraId = NewType("CameraId", str)
DeviceId = NewType("DeviceId", str)
AreaId = NewType("AreaId", str)

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
DAY_S = 86_400
MOST_COVERS = 32  # of a masked credential: a screen's row has no room for a kilobyte of them


@dataclass(frozen=True, slots=True)
class Stamp:
    """One moment, told twice: by a clock that only runs forward and by the wall's.

    `monotonic_ns` is comparable only within one `boot_id`; durations use it. `wall_ms` is
    milliseconds since 1970-01-01T00:00:00Z and may jump; `wall_trusted` says whether the box had
    a believable time source then.
    """

    boot_id: str
    monotonic_ns: int
    wall_ms: int
    wall_trusted: bool


# ---------------------------------------------------------------------------- credentials


class CredentialKind(StrEnum):
    """What was shown. The values are on the wire and in the journal: never rename one."""

    CARD = "card"
    PIN = "pin"
    QR = "qr"
    PLATE = "plate"


@dataclass(frozen=True, slots=True)
class Credential:
    """What identifies the thing shown: its kind and its raw value, never a decimal reading of it.

    A card is `bit_count` bits, first transmitted bit most significant, as `value` in upper-case
    hexadecimal without padding beyond whole digits. Other kinds have `bit_count` 0 and their text
    as `value`. `format` names the reading that fits ("H10301", "em4100" …) and is not identity:
    length does not identify a format.
    """

    kind: CredentialKind
    value: str = field(repr=False)
    bit_count: int = 0
    format: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """The identity as one string, for look-ups. Secret: never logged, never journaled."""
        return f"{self.kind}:{self.bit_count}:{self.value}"

    @property
    def masked(self) -> str:
        """What a guard or a log may see: all but the last four characters covered. Of a long text,
        such as a QR code that is no pass, not every cover is shown."""
        if len(self.value) <= 4:
            return "••••"
        return "•" * min(len(self.value) - 4, MOST_COVERS) + self.value[-4:]


def card(bits: int, bit_count: int, format: str = "") -> Credential:  # noqa: A002  # the trade's word
    """A card credential from its raw bits, first transmitted bit most significant.

    Raises ValueError when `bits` does not fit in `bit_count`.
    """
    if bit_count <= 0 or bits < 0 or bits >> bit_count:
        raise ValueError(f"a card of {bit_count} bits cannot hold that value")
    digits = (bit_count + 3) // 4
    return Credential(CredentialKind.CARD, f"{bits:0{digits}X}", bit_count, format)


class CredentialStatus(StrEnum):
    """ONVIF Credential service, 'state', with the reasons a compound gives."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    LOST = "lost"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """What the whitelist says of one credential. Times are seconds since 1970 UTC, inclusive from,
    exclusive until; None is unbounded."""

    credential: Credential
    person_id: PersonId
    status: CredentialStatus = CredentialStatus.ACTIVE
    valid_from_s: int | None = None
    valid_until_s: int | None = None
    uses: int | None = None  # how often it may open a door in all, e.g. a visitor's pass
    duress: bool = False  # opens as usual and raises the silent alarm
    permit_until_s: int | None = None  # a vehicle's permit is paid until then; people never need it
    watch: str = field(default="", repr=False)  # why it is on the watch list; empty: it is not


@dataclass(frozen=True, slots=True)
class Person:
    """What the check at the gate needs of a person. Name and phone stay out of the `repr`."""

    id: PersonId
    name: str = field(repr=False)
    role: str = "owner"  # owner, tenant, family, staff, visitor
    building: str = ""
    unit: str = ""
    room: str = ""
    phone: str = field(default="", repr=False)
    photo: str = ""  # reference, e.g. "sha256:…"; pictures travel apart
    level_ids: tuple[LevelId, ...] = ()
    pin: str = field(default="", repr=False)  # keyed hash, `domain.pin.person_pin`; empty: no PIN
    duress_pin: str = field(default="", repr=False)  # the same, of the one that asks for help
    watch: str = field(default="", repr=False)  # why they are on the watch list; empty: not
    extended_opening: bool = False  # needs longer to pass (ONVIF ExtendedGrantTime)
    may_escort: bool = False  # others may pass after them, but for those who have their own
    needs_escort: bool = False  # passes only after an escort
    escorts: tuple[PersonId, ...] = ()  # passes only after one of these, e.g. a visitor's hosts

    @property
    def place(self) -> str:
        """Building-unit-room, as it is spoken at the gate: "6-2-1203"."""
        return "-".join(part for part in (self.building, self.unit, self.room) if part)

    @property
    def escorted(self) -> bool:
        """Whether they pass after an escort only. Whoever has escorts of their own does."""
        return self.needs_escort or bool(self.escorts)

    def may_follow(self, other: PersonId, *, may_escort: bool) -> bool:
        """Whether `other` is an escort for them. Nobody is their own."""
        if other == self.id:
            return False
        return other in self.escorts if self.escorts else may_escort


# ------------------------------------------------------------------------------ schedules


@dataclass(frozen=True, slots=True)
class Interval:
    """Seconds since local midnight, from inclusive, until exclusive; 86400 is the day's end.

    One that ends later than that goes on into the next day, whatever that day's own intervals are:
    22:00 to 06:00 is 79200 to 108000 and belongs to the day on which it began.
    """

    from_s: int
    until_s: int

    def __post_init__(self) -> None:
        """Raises ValueError unless it begins within its day and lasts at most 24 hours."""
        if not 0 <= self.from_s < DAY_S or not self.from_s < self.until_s <= self.from_s + DAY_S:
            raise ValueError(f"interval {self.from_s}..{self.until_s} s is not of one day")


@dataclass(frozen=True, slots=True)
class SpecialDays:
    """What a calendar's dates change in a schedule (ONVIF Schedule service, SpecialDays): their
    own intervals (none: closed), or the hours of a weekday (调休: a Sunday worked as a Monday)."""

    calendar: str
    intervals: tuple[Interval, ...] = ()
    as_weekday: int | None = None  # 0 is Monday; then `intervals` is empty

    def __post_init__(self) -> None:
        """Raises ValueError for intervals beside a weekday, or no weekday."""
        if self.as_weekday is not None and (self.intervals or not 0 <= self.as_weekday < 7):
            raise ValueError(f"special days of {self.calendar!r} are neither hours nor a weekday")


@dataclass(frozen=True, slots=True)
class Schedule:
    """A weekly schedule (ONVIF Schedule service): seven days from Monday, plus special days.

    `week[0]` is Monday. On a date that a calendar of `special_days` has, the first such entry
    replaces the weekday's intervals.
    """

    id: ScheduleId
    name: str
    week: tuple[tuple[Interval, ...], ...]
    special_days: tuple[SpecialDays, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError unless the week has seven days."""
        if len(self.week) != 7:
            raise ValueError(f"schedule {self.id!r} has {len(self.week)} days, not 7")


class CalendarKind(StrEnum):
    """What a calendar's dates are, for people to read: schedules say what they change."""

    HOLIDAY = "holiday"
    WORKDAY = "workday"  # a weekend's day that is worked (调休)


@dataclass(frozen=True, slots=True)
class HolidayCalendar:
    """Dates as ISO text (YYYY-MM-DD), in the site's own time zone."""

    id: str
    name: str
    dates: frozenset[str]
    kind: CalendarKind = CalendarKind.HOLIDAY


@dataclass(frozen=True, slots=True)
class AccessLevel:
    """Doors times one schedule (ONVIF access profile): who holds it may pass these doors then."""

    id: LevelId
    name: str
    door_ids: frozenset[DoorId]
    schedule_id: ScheduleId


# ------------------------------------------------------------------------- doors and taps


class Direction(StrEnum):
    IN = "in"
    OUT = "out"


class DoorMode(StrEnum):
    """ONVIF Door Control service, DoorMode. The values are on the wire: never rename one."""

    LOCKED = "Locked"
    UNLOCKED = "Unlocked"
    ACCESSED = "Accessed"
    BLOCKED = "Blocked"
    LOCKED_DOWN = "LockedDown"
    LOCKED_OPEN = "LockedOpen"


class ModeSlot(StrEnum):
    """Whose order of a door's mode it is; `gatewayd.domain.modes` has the table who wins."""

    FIRE = "fire"
    OPERATOR = "operator"
    CENTRE = "centre"
    LINKAGE = "linkage"
    SCHEDULE = "schedule"


class FailPolicy(StrEnum):
    """What a door does when a grant cannot be made durable in time (house rule 1)."""

    SECURE = "secure"  # stay locked
    OPEN = "open"  # open, and record the grant later


class AntiPassback(StrEnum):
    """What an area does when someone would enter it who is already in it, or would leave it from
    elsewhere (ONVIF Access Rules; IEC 60839-11-1 calls it anti-passback)."""

    OFF = "off"
    SOFT = "soft"  # let them pass, record it, alarm
    HARD = "hard"  # deny
    TIMED = "timed"  # deny, but only within `forgive_s` of the last passage


class Excess(StrEnum):
    """What an area does at a limit."""

    WARN = "warn"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the site that people are in or out of. Outside is no area: None.

    `maximum` and `minimum` count people (None: no limit); `minimum` is how many must be inside
    together, or nobody (a room where nobody works alone). `shortfall`: what becomes of whoever
    would go in and be with too few; going out is never denied.
    """

    id: AreaId
    name: str
    anti_passback: AntiPassback = AntiPassback.OFF
    forgive_s: float = 0.0
    maximum: int | None = None
    excess: Excess = Excess.DENY
    minimum: int | None = None
    admit_unknown: bool = True  # someone whose whereabouts are not known may pass, and then are
    shortfall: Excess = Excess.WARN


class Verification(StrEnum):
    """What an access point asks for (IEC 60839-11-1, recognition by token, PIN, or both)."""

    CARD = "card"
    PIN = "pin"
    CARD_OR_PIN = "card-or-pin"
    CARD_AND_PIN = "card-and-pin"


@dataclass(frozen=True, slots=True)
class Barrier:
    """What a door has whose lock is an arm. It always has a loop under the arm.

    `travel_s`: the arm is up, or down, by then. `sees_up`: it has a limit switch there;
    whether there is one at the bottom is the door's `has_contact`.
    """

    travel_s: float = 6.0
    sees_up: bool = False


@dataclass(frozen=True, slots=True)
class Door:
    """A door as the rules see it. Durations in seconds, the commit deadline in milliseconds.

    `inside` is the area that someone enters who goes in, `outside` the one they leave.
    """

    id: DoorId
    name: str
    unlock_s: float = 5.0
    held_s: float = 30.0  # open longer than this after an authorised opening: held
    pre_alarm_s: float = 20.0  # the warning before it; must be less than held_s
    commit_deadline_ms: int = 250
    fail_policy: FailPolicy = FailPolicy.SECURE
    has_contact: bool = True  # without a door contact neither forced nor held can be seen
    extended_s: float = 15.0  # unlocked so long for people who need it, and held as much later
    escape: bool = False  # on an escape route: a fire frees it, and nothing keeps it locked then
    two_person_s: float = 0.0  # two authorised people within this time; 0: one is enough
    escort_s: float = 30.0  # so long after an escort's passage may the escorted pass
    inside: AreaId | None = None
    outside: AreaId | None = None
    unlock_schedule: ScheduleId | None = None  # unlocked by itself in these hours …
    first_person: bool = False  # … but only once someone with access came
    exit_heeds_interlock: bool = False  # else the exit button opens whatever its interlock says
    barrier: Barrier | None = None  # its lock is an arm: `domain.barrier` has its table


@dataclass(frozen=True, slots=True)
class AccessPoint:
    """A reader at a door, with its direction (ONVIF Access Control service, AccessPoint)."""

    id: AccessPointId
    name: str
    door_id: DoorId
    direction: Direction
    camera_ids: tuple[CameraId, ...] = ()
    verification: Verification = Verification.CARD
    pin_schedule: ScheduleId | None = None  # `CARD_AND_PIN` only in these hours; else the card
    vehicle: bool = False  # at a vehicle lane: permits count, and a vehicle must stand there


@dataclass(frozen=True, slots=True)
class Passage:
    """Who goes through a door, and which way, once it opens on the grant at `decision_seq`; with
    `companion_id`, the first of two people, who goes as well."""

    person_id: PersonId
    access_point_id: AccessPointId
    decision_seq: int
    direction: Direction
    companion_id: PersonId | None = None


@dataclass(frozen=True, slots=True)
class Tap:
    """One presentation of a credential at an access point, at the moment the last byte came in.

    `pin` are the digits typed with it, None where none were.
    """

    access_point_id: AccessPointId
    credential: Credential
    stamp: Stamp
    pin: str | None = field(default=None, repr=False)


# ------------------------------------------------------------------------------ decisions


class Reason(StrEnum):
    """Why, as stable codes: in the journal, on MQTT, in the API and in docs/reference/reasons.md.

    Codes are only ever added. Denials name the first rule that failed.
    """

    GRANTED = "granted"
    CREDENTIAL_UNKNOWN = "credential_unknown"
    CREDENTIAL_SUSPENDED = "credential_suspended"
    CREDENTIAL_LOST = "credential_lost"
    CREDENTIAL_REVOKED = "credential_revoked"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    NO_ACCESS_LEVEL = "no_access_level"
    OUTSIDE_SCHEDULE = "outside_schedule"
    DOOR_LOCKED_DOWN = "door_locked_down"
    DOOR_BLOCKED = "door_blocked"
    CLOCK_UNTRUSTED = "clock_untrusted"
    WHITELIST_UNAVAILABLE = "whitelist_unavailable"
    JOURNAL_UNAVAILABLE = "journal_unavailable"
    DEVICE_FAILED = "device_failed"
    TAP_TOO_OLD = "tap_too_old"
    ON_WATCH_LIST = "on_watch_list"
    NO_USES_LEFT = "no_uses_left"
    PERMIT_EXPIRED = "permit_expired"
    PIN_MISSING = "pin_missing"
    PIN_WRONG = "pin_wrong"
    PIN_LOCKED_OUT = "pin_locked_out"
    ANTI_PASSBACK = "anti_passback"
    WHEREABOUTS_UNKNOWN = "whereabouts_unknown"
    AREA_FULL = "area_full"
    AREA_TOO_FEW = "area_too_few"
    INTERLOCKED = "interlocked"
    NO_VEHICLE = "no_vehicle"
    ESCORT_REQUIRED = "escort_required"
    SECOND_PERSON_REQUIRED = "second_person_required"
    CARD_MISSING = "card_missing"  # a code alone, where a card is asked for


class RuleResult(StrEnum):
    PASS = "pass"  # noqa: S105  # a verdict, not a password
    WARN = "warn"  # passed, but someone should know
    FAIL = "fail"


Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule as it was tried: its name, what it saw, and what came of it.

    `saw` is the code of a sentence (docs/reference/rules.md), `facts` what fills its blanks: times
    as seconds since 1970 in names that end in `_s`, ids of doors, levels and schedules; no secrets.
    """

    rule: str
    saw: str
    result: RuleResult
    facts: Facts = ()


@dataclass(frozen=True, slots=True)
class Remedy:
    """A change that one failed rule asks for: a code and its facts, as in RuleTrace."""

    change: str
    facts: Facts = ()


@dataclass(frozen=True, slots=True)
class Grant:
    """Open the door for `unlock_s` seconds. `duress`: someone is made to do this; nothing at the
    reader may tell that it was understood."""

    person: Person
    level_id: LevelId
    unlock_s: float
    trace: tuple[RuleTrace, ...]
    reason: Reason = Reason.GRANTED
    duress: bool = False


@dataclass(frozen=True, slots=True)
class Deny:
    """Keep the door as it is. `person` is None where the credential is nobody's.

    `detail` carries what a sentence needs, e.g. the moment a card expired, as text values.
    `remedies` are the smallest change that would have made it a grant: all of them together.
    """

    reason: Reason
    person: Person | None
    trace: tuple[RuleTrace, ...]
    detail: Facts = ()
    remedies: tuple[Remedy, ...] = ()


Decision = Grant | Deny


class PinCheck(StrEnum):
    """What was typed with the credential, compared. The digits themselves go no further."""

    NOT_TYPED = "not_typed"
    RIGHT = "right"
    WRONG = "wrong"
    DURESS = "duress"
    LOCKED_OUT = "locked_out"  # too many wrong ones at this reader: not even compared


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where someone is known to be: `area_id` None is outside. `since_wall_ms` tells the moment of
    the passage, `age_s` how long ago it was by a clock that does not jump (None: before a restart
    whose clock could not be trusted). `neutral`: forgiven since, so that the next passage is in
    order wherever it leads; `area_id` is then only where they were last seen."""

    area_id: AreaId | None
    since_wall_ms: int
    age_s: float | None
    neutral: bool = False


@dataclass(frozen=True, slots=True)
class Companion:
    """Who was authorised before at the same door, and how long ago."""

    person_id: PersonId
    age_s: float
    may_escort: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What the box itself knows when it decides, beside the list: facts, no verdicts.

    `entering` and `leaving` are the areas that a passage would change (None: outside, or no area);
    `inside` counts the people in `entering`. `blocked_by` is the door of the same interlock that
    stands in the way. `vehicle` None: the lane has no loop that could tell.
    """

    pin: PinCheck = PinCheck.NOT_TYPED
    used: int = 0
    entering: Area | None = None
    leaving: Area | None = None
    whereabouts: Whereabouts | None = None  # None: not known
    inside: int = 0
    blocked_by: DoorId | None = None
    vehicle: bool | None = None
    companion: Companion | None = None  # the last who may escort whoever asks
    waiting: Companion | None = None  # the first of two people


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What `policy.decide` is asked: who shows what, where, and how the door and the site stand."""

    credential: Credential
    access_point: AccessPoint
    door: Door
    door_mode: DoorMode = DoorMode.LOCKED
    situation: Situation = Situation()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The part of one whitelist revision that a decision on one credential needs.

    Resolved by the store before `decide` is called, so the decision itself touches no disk.
    `levels` are the person's own, with the schedules and calendars they name.
    """

    revision: int
    record: CredentialRecord | None
    person: Person | None = None
    levels: tuple[AccessLevel, ...] = ()
    schedules: dict[ScheduleId, Schedule] = field(default_factory=dict)
    calendars: dict[str, HolidayCalendar] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FallbackCard:
    """A card that a board may let in by itself while the box is away: at which of its doors (from
    1), from and until when (seconds since 1970 UTC, inclusive and exclusive, None: unbounded)."""

    credential: Credential
    doors: frozenset[int]
    valid_from_s: int | None = None
    valid_until_s: int | None = None


# --------------------------------------------------------------------------------- alarms


class AlarmKind(StrEnum):
    """What is wrong. The values are on the wire and in docs/reference: only ever added."""

    DOOR_FORCED = "door_forced"
    DOOR_HELD = "door_held"
    DOOR_FAILED = "door_failed"  # the lock did not do what it was told
    DEVICE_OFFLINE = "device_offline"
    CAMERA_OFFLINE = "camera_offline"
    JOURNAL_LATE = "journal_late"
    JOURNAL_FAILED = "journal_failed"
    STORAGE_LOW = "storage_low"
    WHITELIST_REJECTED = "whitelist_rejected"
    COMMAND_REJECTED = "command_rejected"
    CLOCK_JUMPED = "clock_jumped"
    READER_FLOODED = "reader_flooded"
    DURESS = "duress"
    FIRE = "fire"
    WATCH_LIST = "watch_list"
    WRONG_TRIES = "wrong_tries"
    ANTI_PASSBACK = "anti_passback"
    AREA_OVER_LIMIT = "area_over_limit"
    AREA_UNDER_MINIMUM = "area_under_minimum"
    LOCK_CONTRADICTS = "lock_contradicts"  # the lock's own contact says otherwise than was told
    TAMPER = "tamper"
    INPUT_FAULT = "input_fault"  # a supervised input is shorted or cut
    POWER_FAILED = "power_failed"  # a device says that its supply has failed
    SECURE_CHANNEL = "secure_channel"  # a device's secure channel was attacked or can't be made
    NOTICE = "notice"  # what a linkage of the settings tells the guard


class Priority(StrEnum):
    """ISA-18.2 / EEMUA 191: how fast a guard must act."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


ALARM_PRIORITY: dict[AlarmKind, Priority] = {
    AlarmKind.DOOR_FORCED: Priority.CRITICAL,
    AlarmKind.DOOR_HELD: Priority.MEDIUM,
    AlarmKind.DOOR_FAILED: Priority.HIGH,
    AlarmKind.DEVICE_OFFLINE: Priority.HIGH,
    AlarmKind.CAMERA_OFFLINE: Priority.MEDIUM,
    AlarmKind.JOURNAL_LATE: Priority.HIGH,
    AlarmKind.JOURNAL_FAILED: Priority.CRITICAL,
    AlarmKind.STORAGE_LOW: Priority.HIGH,
    AlarmKind.WHITELIST_REJECTED: Priority.HIGH,
    AlarmKind.COMMAND_REJECTED: Priority.HIGH,
    AlarmKind.CLOCK_JUMPED: Priority.MEDIUM,
    AlarmKind.READER_FLOODED: Priority.MEDIUM,
    AlarmKind.DURESS: Priority.CRITICAL,
    AlarmKind.FIRE: Priority.CRITICAL,
    AlarmKind.WATCH_LIST: Priority.CRITICAL,
    AlarmKind.WRONG_TRIES: Priority.HIGH,
    AlarmKind.ANTI_PASSBACK: Priority.MEDIUM,
    AlarmKind.AREA_OVER_LIMIT: Priority.MEDIUM,
    AlarmKind.AREA_UNDER_MINIMUM: Priority.HIGH,
    AlarmKind.LOCK_CONTRADICTS: Priority.HIGH,
    AlarmKind.TAMPER: Priority.HIGH,
    AlarmKind.INPUT_FAULT: Priority.HIGH,
    AlarmKind.POWER_FAILED: Priority.HIGH,
    AlarmKind.SECURE_CHANNEL: Priority.CRITICAL,
    AlarmKind.NOTICE: Priority.LOW,
}
