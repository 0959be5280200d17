"""What the core needs from the outside, as Protocols, and the values that cross. Owns no code that
runs: drivers and stores implement these, `gatewayd.daemon` joins them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from gatewayd.domain.alarm import OpenAlarm
from gatewayd.domain.events import Cause, CredentialRef, Event, Outcome
from gatewayd.domain.model import (
    AccessLevel,
    AlarmKind,
    CameraId,
    Credential,
    DoorId,
    DoorMode,
    HolidayCalendar,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
    Stamp,
)


class DeviceError(OSError):
    """A declared failure of a device or its line: the supervisor retries, the door says so.

    The message names the device, the operation and, where there is one, what to do.
    """


class JournalError(OSError):
    """An event could not be made durable. Whoever appended must not act as if it were."""


# ------------------------------------------------------------------------------ the clock


class Clock(Protocol):
    """Time as an argument. Tests pass one whose hands they move."""

    def now(self) -> Stamp: ...

    def monotonic_ns(self) -> int: ...

    async def sleep_until(self, monotonic_ns: int) -> None:
        """Returns at or after that monotonic moment; at once when it has passed."""


# -------------------------------------------------------------------------------- readers


@dataclass(frozen=True, slots=True)
class Presented:
    """A credential came into the field: once per presentation, however often it was repeated."""

    credential: Credential
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no message. `reason` says why, without the bytes of a credential."""

    reason: str


@dataclass(frozen=True, slots=True)
class Online:
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Offline:
    reason: str


ReaderEvent = Presented | Malformed | Online | Offline


class Reader(Protocol):
    """A reader on its line. `run` goes on until cancelled and reopens its own line.

    `emit` must return at once; it is called on the event loop's thread.
    """

    async def run(self, emit: Callable[[ReaderEvent], None]) -> None: ...


# ------------------------------------------------------------------------ door controllers


@dataclass(frozen=True, slots=True)
class InputChanged:
    """An input terminal (from 1, as printed on the board) changed; also sent once after Online."""

    input: int
    active: bool
    stamp: Stamp


ControllerEvent = InputChanged | Malformed | Online | Offline


class DoorController(Protocol):
    """A board with relays and inputs, numbered from 1 as printed on it."""

    async def run(self, emit: Callable[[ControllerEvent], None]) -> None:
        """Poll until cancelled; goes through outages on its own (Offline, then Online)."""

    async def set_relay(self, relay: int, energised: bool) -> None:
        """Switch and read back. Raises DeviceError unless the board confirmed the new state."""


# -------------------------------------------------------------------------------- cameras


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """`codec` is FFmpeg's name ("h264", "hevc"); `extradata` its parameter sets."""

    codec: str
    width: int
    height: int
    extradata: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """One compressed picture as it arrived. `pts_ms` counts from the stream's start, or is None."""

    arrival_ns: int
    pts_ms: int | None
    keyframe: bool
    data: bytes = field(repr=False)


class VideoSink(Protocol):
    """Called from the camera's own thread, in order: `opened`, then packets."""

    def opened(self, info: StreamInfo) -> None: ...

    def packet(self, packet: VideoPacket) -> None: ...


class Camera(Protocol):
    async def run(self, sink: VideoSink) -> None:
        """Deliver packets until the stream ends or stalls, which raises DeviceError."""


# ---------------------------------------------------------------------- what is kept, done


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An event with its place in the journal. `seq` starts at 1 and is never reused in an epoch."""

    seq: int
    stamp: Stamp
    event: Event


class Journal(Protocol):
    async def append(self, event: Event, stamp: Stamp | None = None) -> int:
        """Durable seq (synchronous=FULL), or JournalError. `stamp` defaults to now."""

    def credential_ref(self, credential: Credential) -> CredentialRef:
        """The credential as events may carry it."""


class Whitelist(Protocol):
    @property
    def revision(self) -> int:
        """0 where no list has ever been applied."""

    def snapshot(self, credential: Credential) -> Snapshot:
        """What one decision needs. Raises WhitelistReadError."""

    def person(self, person_id: PersonId) -> Person | None: ...

    def levels(self) -> Mapping[LevelId, AccessLevel]:
        """All of the revision in force. These three raise WhitelistReadError."""

    def schedules(self) -> Mapping[ScheduleId, Schedule]: ...

    def calendars(self) -> Mapping[str, HolidayCalendar]: ...


class WhitelistReadError(OSError):
    """The list's file can't be read now; the decision is a denial that says so."""


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """A door as the guard sees it. `phase` is a `gatewayd.domain.door.Phase` value."""

    door_id: DoorId
    phase: str
    mode: DoorMode
    unlocked: bool
    open: bool | None  # None: not known (no contact, or the controller is offline)
    online: bool


class Doors(Protocol):
    """The doors' own tasks, as the tap's path, the console and the link use them."""

    def status(self, door_id: DoorId) -> DoorStatus:
        """Raises KeyError for a door that the settings do not have."""

    def all_status(self) -> Sequence[DoorStatus]: ...

    async def unlock(self, door_id: DoorId, cause: Cause, unlock_s: float | None = None) -> Outcome:
        """Unlock for `unlock_s` (None: the door's own time) and say what came of it.

        The caller has journaled the reason. Never raises DeviceError: that is Outcome.FAILED.
        """

    async def set_mode(self, door_id: DoorId, mode: DoorMode, cause: Cause) -> Outcome:
        """Journal, then enter the mode; kept across restarts."""


class Pictures(Protocol):
    def request(self, for_seq: int, camera_ids: Sequence[CameraId], at: Stamp) -> None:
        """Keep the picture of the moment `at` for the journal's event; returns at once."""


class AlarmDesk(Protocol):
    """Every alarm goes over this desk; it journals, and folds a repeat into the open alarm."""

    def open_alarms(self) -> Sequence[OpenAlarm]:
        """All that still need a guard: active, or not yet acknowledged; most urgent first."""

    async def raise_alarm(self, kind: AlarmKind, about: str, detail: str = "") -> str:
        """The alarm's id, new or that of the open alarm of the same kind about the same thing."""

    async def acknowledge(self, alarm_id: str, operator: str, note: str = "") -> OpenAlarm:
        """The alarm as it stands after. Where two act at once, exactly one wins: the other finds
        the winner's name in `acknowledged_by`. Raises KeyError for an alarm that is not open."""

    async def clear(self, kind: AlarmKind, about: str) -> None: ...


# --------------------------------------------------------------------------------- drivers


class DriverKind(StrEnum):
    READER = "reader"
    CONTROLLER = "controller"
    CAMERA = "camera"


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What the core hands to a driver: its id, for messages, and the clock."""

    device_id: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class Driver:
    """What an entry point in the group `gatewayd.drivers` names.

    `options` is a pydantic model class (extra="forbid") for the driver's own keys in its table of
    the settings; its field descriptions become the reference and the editor's JSON Schema.
    `port_of` returns what no second driver may use, e.g. the serial path; None where any number
    may share. `build` must not touch the device: `run` does.
    """

    kind: DriverKind
    name: str
    options: type[Any]
    build: Callable[[Any, DriverContext], Any]
    port_of: Callable[[Any], str | None] = lambda _options: None


Registry = Mapping[str, Driver]
