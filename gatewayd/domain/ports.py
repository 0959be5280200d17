"""What the core needs from the outside, as Protocols, and the values that cross. Owns no code that
runs: drivers and stores implement these, `gatewayd.box` joins them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from gatewayd.domain.alarm import OpenAlarm, ShelveRefusal
from gatewayd.domain.events import (
    Acted,
    Cause,
    CredentialRef,
    DesiredApplied,
    Event,
    InstallOutcome,
    Outcome,
)
from gatewayd.domain.model import (
    AccessLevel,
    AlarmKind,
    CameraId,
    Credential,
    DeviceId,
    DoorId,
    DoorMode,
    FallbackCard,
    HolidayCalendar,
    LevelId,
    ModeSlot,
    Passage,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
    Stamp,
)
from gatewayd.domain.signs import Sign


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
class KeyPressed:
    """A key of the reader's keypad: '0' to '9', '*' clears, '#' enters. The same key twice is told
    twice. Kept out of the `repr`: keys in a row are a PIN."""

    key: str = field(repr=False)
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Arriving:
    """Bytes come in: a credential may follow within milliseconds, or may not. Told for each read,
    so that whoever it concerns can keep the way to the door free."""


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


@dataclass(frozen=True, slots=True)
class TamperChanged:
    """The device's own tamper switch; told once after Online where it is active."""

    active: bool


@dataclass(frozen=True, slots=True)
class PowerChanged:
    """The device's own word on its supply."""

    failed: bool


@dataclass(frozen=True, slots=True)
class SecurityFailed:
    """The secure channel was attacked, or could not be made: nothing that came is believed, and
    the device is out of service until Online. Told once, before Offline."""

    reason: str


ReaderEvent = (
    Arriving
    | Presented
    | KeyPressed
    | Malformed
    | Online
    | Offline
    | TamperChanged
    | PowerChanged
    | SecurityFailed
)


class Reader(Protocol):
    """A reader on its line. `run` goes on until cancelled and reopens its own line.

    `emit` must return at once; it is called on the event loop's thread.
    """

    async def run(self, emit: Callable[[ReaderEvent], None]) -> None: ...


class SignedReader(Reader, Protocol):
    """A reader with a light, a buzzer or a display: its driver says `signs=True`.

    Both return at once, on the event loop's thread. A reader that is away is shown how things rest
    once it is back; a moment that it missed is over.
    """

    def rest(self, sign: Sign) -> None:
        """Show this until told otherwise."""

    def flash(self, sign: Sign, for_s: float) -> None:
        """Show this for so many seconds; then the resting sign is back by itself."""


class Pairable(Protocol):
    """A reader or controller that can be given a secret key over its line: its driver says
    `pairs=True`."""

    async def pair(self, *, new_device: bool) -> str:
        """Give it a key that nobody knows, and say how that was proved and where the key is.

        Under the key that it has; where it has none or is a `new_device`, which is one that was
        replaced or reset, under the one that all devices of its kind are delivered with. A device
        that is away is waited for: whoever opened the install window cancels this at its end.
        Raises DeviceError for what ends the try: what held before holds on, and at each moment the
        key that the device has, old or new, is on disk.
        """


# ---------------------------------------------------------------------------------- buses


BusEvent = Malformed | Online | Offline


class Bus(Protocol):
    """A line that several devices share: readers and controllers are built with it in their
    context, and are spoken to while it runs."""

    async def run(self, emit: Callable[[BusEvent], None]) -> None:
        """Until cancelled; reopens its own line. Online and Offline are of the line itself."""


class Capturable(Bus, Protocol):
    """A bus that can write down what goes over its line: its driver says `captures=True`."""

    def capture(self, take: Callable[[str], None] | None) -> None:
        """From now on hand every record to `take`, as a line of a file in the format that its
        driver's tools read; None: no more. Every session begins anew, so that the capture can be
        replayed. A key that is given to a device is in none of it. Returns at once."""


Say = Callable[[str], None]


class LineTools(Protocol):
    """What a bus's driver does for whoever stands at the line: its driver names them as `tools`.

    `say` gets lines for people. Nothing of keys is said; cards and what was typed only where it is
    `personal`. Raises OSError for a line that can't be opened or breaks, and ValueError for a file,
    a port or a key that is none.
    """

    def scan_s(self, baud_rates: Sequence[int], addresses: Sequence[int]) -> float:
        """How long a scan of a line without devices takes, in seconds."""

    async def scan(
        self,
        port: str,
        baud_rates: Sequence[int],
        addresses: Sequence[int],
        *,
        most: int | None,
        say: Say,
        progress: Say,
    ) -> int:
        """Ask every address at every speed; ends after `most` devices. How many were found."""

    async def capture(self, port: str, baud_rate: int, take: Callable[[str], None]) -> None:
        """Listen for ever, without a word, and hand over every record as a line."""

    async def monitor(
        self, port: str, baud_rate: int, key_file: str | None, *, personal: bool, say: Say
    ) -> None:
        """Listen for ever and say what is said there."""

    def decode(
        self, lines: Iterable[str], key_file: str | None, *, personal: bool, say: Say
    ) -> None:
        """The same of a capture."""

    def replay(
        self, lines: Iterable[str], key_files: Mapping[int, str], *, personal: bool, say: Say
    ) -> bool:
        """Put a capture through the panel's side again; whether that said what the captured one
        did, byte for byte. `key_files` by address."""

    async def play(self, lines: Iterable[str], link: str, *, paced: bool, say: Say) -> bool:
        """Be the devices of a capture, at a pseudo-terminal to which `link` leads, until all was
        asked for; whether the panel there asked as the captured one did."""


# ------------------------------------------------------------------------ door controllers


@dataclass(frozen=True, slots=True)
class InputChanged:
    """An input terminal (from 1, as printed on the board) changed; also sent once after Online.

    `fault` is for supervised inputs, whose line itself is watched: "short", "open" (cut), or ""
    where all is well. With a fault `active` says nothing.
    """

    input: int
    active: bool
    stamp: Stamp
    fault: Literal["", "short", "open"] = ""


@dataclass(frozen=True, slots=True)
class ClockDrifted:
    """How far a device's own clock was from ours when it was last looked at, ahead where positive,
    infinity where it showed no time; `beyond` what the settings allow. Told when `beyond` changes;
    the driver has set the clock."""

    by_s: float
    beyond: bool


@dataclass(frozen=True, slots=True)
class BoardActed:
    """What a board with a memory of its own did without us, e.g. while the box was away.

    Told in the board's order, the next one only after `kept()` said that this one is on disk: a
    box that dies in between is told it again. `index` is the board's; `door` its terminal, 0 for
    none; `at_ms` by its clock, None where that was no time. `reason` says it for a technician.
    """

    index: int
    what: Acted
    door: int
    reason: str
    at_ms: int | None
    credential: Credential | None
    kept: Callable[[], None] = field(repr=False, compare=False)


ControllerEvent = (
    InputChanged
    | Malformed
    | Online
    | Offline
    | TamperChanged
    | PowerChanged
    | SecurityFailed
    | ClockDrifted
    | BoardActed
)


class DoorController(Protocol):
    """A board with relays and inputs, numbered from 1 as printed on it."""

    async def run(self, emit: Callable[[ControllerEvent], None]) -> None:
        """Poll until cancelled; goes through outages on its own (Offline, then Online)."""

    def expect_order(self) -> None:
        """An order may follow within 50 ms: what can wait that long should leave the line to it.

        A hint, given often and in vain; no input may be missed for it. Returns at once.
        """

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        """Switch and read back. Raises DeviceError unless the board confirmed the new state, or,
        for a board that can't be asked, unless its line took the order: its page says so.

        Two hints, for boards that can do more. `for_s`: the state is wanted for so many seconds,
        and whoever gave it will end it; a board that can time it ends it a little later by itself,
        should nobody be there to. `shut`: a board that decides by itself lets nobody in here.
        """


class ListKeeper(DoorController, Protocol):
    """A board with a list of its own, by which it decides while the box is away: its driver says
    `keeps_list=True`."""

    def keep_list(self, cards: Sequence[FallbackCard]) -> None:
        """From now on this list, and no other card; brought to the board in the background, at a
        rate that leaves its line to the doors. Returns at once."""


@dataclass(frozen=True, slots=True)
class ListDifference:
    """How a board's own list differs from what it should be. Cards are masked."""

    cards: int  # on the board
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()  # other doors or days

    @property
    def same(self) -> bool:
        return not (self.missing or self.surplus or self.changed)


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
        """0 where no list has ever been applied, or the one that was can't be read."""

    def snapshot(self, credential: Credential) -> Snapshot:
        """What one decision needs. Raises WhitelistReadError."""

    def person(self, person_id: PersonId) -> Person | None:
        """None for one not in the list. Raises WhitelistReadError."""

    def levels(self) -> Mapping[LevelId, AccessLevel]:
        """All of the revision in force. These three raise WhitelistReadError."""

    def schedules(self) -> Mapping[ScheduleId, Schedule]: ...

    def calendars(self) -> Mapping[str, HolidayCalendar]: ...


class WhitelistReadError(OSError):
    """The list's file can't be read now; the decision is a denial that says so."""


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """A door as the guard sees it. `phase` is a `gatewayd.domain.door.Phase` value.

    `mode_slot` None: nobody ordered a mode, the door is as its cards have it. `mode_until_ms` is
    milliseconds since 1970 UTC. `blocked_by` is the door of the same interlock that keeps it shut.
    """

    door_id: DoorId
    phase: str
    mode: DoorMode
    unlocked: bool
    open: bool | None  # None: not known (no contact, or the controller is offline)
    online: bool
    failed: bool  # the lock did not confirm: `unlocked` is what was wanted, and may not be so
    blocked_by: DoorId | None = None
    mode_slot: ModeSlot | None = None
    mode_cause: Cause | None = None
    mode_until_ms: int | None = None
    kind: Literal["door", "barrier"] = "door"
    vehicle: bool | None = None  # waits in front of a barrier; None: no loop there, or not known
    under_arm: bool | None = None  # stands under a barrier's arm, which keeps it up


class Doors(Protocol):
    """The doors' own tasks, as the tap's path, the console and the link use them."""

    def status(self, door_id: DoorId) -> DoorStatus:
        """Raises KeyError for a door that the settings do not have."""

    def all_status(self) -> Sequence[DoorStatus]: ...

    async def unlock(
        self,
        door_id: DoorId,
        cause: Cause,
        unlock_s: float | None = None,
        *,
        passage: Passage | None = None,
        extra_held_s: float = 0.0,
    ) -> Outcome:
        """Unlock for `unlock_s` (None: the door's own time) and say what came of it.

        The caller has journaled the reason. `passage` is who will have passed when it opens, and
        `extra_held_s` how much longer than usual it may stay open then. Never raises DeviceError:
        that is Outcome.FAILED.
        """

    async def set_mode(
        self, door_id: DoorId, mode: DoorMode, cause: Cause, *, until_ms: int | None = None
    ) -> Outcome:
        """Order a mode in the slot of `cause.kind`; kept across restarts, until `until_ms` (wall
        clock) or a later order of the same slot. A lockdown lies over the slot's other order, has
        no `until_ms` and stays until it is lifted.

        What may free the door is journaled before it moves; what locks it waits for no disk.
        UNLOCKED: the mode is in force. REFUSED: the order is kept, and another one wins over it.
        INTERLOCKED: a door of an interlock is not left free, nothing is kept. FAILED: the lock did
        not confirm.
        Raises ValueError for Accessed, which is no order, and JournalError where nothing was done.
        """

    async def withdraw(self, door_id: DoorId, cause: Cause) -> Outcome:
        """Take back the order of the cause's slot, not its lockdown; without one, nothing happens.
        Raises JournalError where nothing was done."""

    async def lift(self, door_id: DoorId, cause: Cause) -> Outcome:
        """Take back every lockdown of the door, whoever ordered it; without one, nothing happens.
        Raises JournalError."""

    async def want(self, wanted: DesiredApplied) -> None:
        """The centre's whole word on these doors: journaled, and then each mode replaces all that
        the centre's slot ordered of its door; Locked is no order at all. Returns when every door
        was told. Raises JournalError where nothing was done."""


class FireAnswer(StrEnum):
    """What came of a reset."""

    RESET = "reset"
    STILL_ON = "still_on"  # the fire input says so; nothing was reset
    NOT_KNOWN = "not_known"  # what the input says: its board or its line is not there; nor reset
    NO_FIRE = "no_fire"


class InstallRefusal(StrEnum):
    """Why an install window was not opened."""

    NO_DEVICE = "no_device"  # the settings have none of that id
    NO_KEY = "no_key"  # its driver can't give it one
    OPEN = "open"  # another window is open: one at a time


class InstallRefusedError(ValueError):
    """No window was opened."""

    def __init__(self, refusal: InstallRefusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.value)


@dataclass(frozen=True, slots=True)
class InstallWindow:
    """The window that is open, or the last one: then with its outcome."""

    device_id: DeviceId
    opened_seq: int
    until_ms: int
    outcome: InstallOutcome | None = None
    detail: str = ""


class Installs(Protocol):
    """Install windows, in each of which one device is given a key."""

    @property
    def window(self) -> InstallWindow | None:
        """The one that is open, else the last of this run."""

    async def open(
        self, device_id: DeviceId, for_s: float, cause: Cause, *, new_device: bool
    ) -> InstallWindow:
        """Journaled first. Raises InstallRefusedError, ValueError for a time past ten minutes, and
        JournalError where nothing was opened."""

    def close(self) -> bool:
        """Before its time; False where none is open. What came of it is journaled."""


class CaptureRefusal(StrEnum):
    """Why nothing is captured."""

    NO_BUS = "no_bus"  # the settings have none of that id, or its driver can't
    RUNS = "runs"  # another capture does: one at a time
    FULL = "full"  # as many captures are kept as may be


class CaptureRefusedError(ValueError):
    """Nothing is captured."""

    def __init__(self, refusal: CaptureRefusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.value)


@dataclass(frozen=True, slots=True)
class CaptureState:
    """The capture that runs, or the last one. `over` says why it ended, None: it runs."""

    bus_id: DeviceId
    file: str
    until_ms: int
    size: int = 0
    over: str | None = None


class Captures(Protocol):
    """What goes over the line of a bus, written down for a while."""

    @property
    def state(self) -> CaptureState | None: ...

    async def start(self, bus_id: DeviceId, for_s: float, max_bytes: int) -> CaptureState:
        """Until its time is over, its size is reached, or `stop`. Raises CaptureRefusedError,
        ValueError for more than there may be, and OSError where the file can't be made."""

    def stop(self) -> bool:
        """False where none runs."""


class Fire(Protocol):
    """The fire input and what it keeps free."""

    @property
    def on(self) -> bool: ...

    async def reset(self, cause: Cause) -> FireAnswer:
        """End the fire: journaled first, then the escape doors follow their orders again. Raises
        JournalError where it could not be journaled; the doors stay free then."""


class Pictures(Protocol):
    def request(self, for_seq: int, camera_ids: Sequence[CameraId], at: Stamp) -> None:
        """Keep the picture of the moment `at` for the journal's event; returns at once."""


class ShelveRefusedError(ValueError):
    """The alarm may not be shelved, or not for so long."""

    def __init__(self, refusal: ShelveRefusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.value)


class AlarmDesk(Protocol):
    """Every alarm goes over this desk; it journals, and folds a repeat into the open alarm."""

    def open_alarms(self) -> Sequence[OpenAlarm]:
        """All that still need a guard: active, or not yet acknowledged; most urgent first, those
        that are shelved last."""

    async def raise_alarm(self, kind: AlarmKind, about: str, detail: str = "") -> str:
        """The alarm's id: new, or that of the alarm that this is once more."""

    async def acknowledge(self, alarm_id: str, operator: str, note: str = "") -> OpenAlarm:
        """The alarm as it stands after. Where two act at once, exactly one wins: the other finds
        the winner's name in `acknowledged_by`. Raises KeyError for an alarm that is not open."""

    async def shelve(self, alarm_id: str, operator: str, reason: str, until_ms: int) -> OpenAlarm:
        """Put aside until then (milliseconds since 1970 UTC), anew where it is already. Raises
        KeyError for an alarm that is not open and ShelveRefusedError."""

    async def unshelve(self, alarm_id: str, operator: str) -> OpenAlarm:
        """Back, and waiting; one that is not shelved stays as it is. Raises KeyError likewise."""

    async def clear(self, kind: AlarmKind, about: str) -> None: ...


# --------------------------------------------------------------------------------- drivers


class DriverKind(StrEnum):
    BUS = "bus"
    READER = "reader"
    CONTROLLER = "controller"
    CAMERA = "camera"


@dataclass(frozen=True, slots=True)
class DriverContext:
    """What the core hands to a driver: its id, for messages, the clock, and what its [[bus]] was
    built as, where the driver is for devices on a bus."""

    device_id: str
    clock: Clock
    bus: Any = None


@dataclass(frozen=True, slots=True)
class Driver:
    """What an entry point in the group `gatewayd.drivers` names.

    `options` is a pydantic model class (extra="forbid") for the driver's own keys in its table of
    the settings; its field descriptions become the reference and the editor's JSON Schema.
    `port_of` returns what no second driver may use, e.g. the serial path; None where any number
    may share. `build` must not touch the device: `run` does. `bus` is the driver of the [[bus]]
    that the device names in its option `bus`; `port_of` then tells its place on it (the option may
    be None for a device that can also have a line of its own), and
    `alike_of` a device that several tables may be about, with what they must say alike. `faults_of`
    looks into files that the options name, once they are known to be there: pairs of a key and what
    is wrong. `keeps_list`: what `build` returns is a `ListKeeper`, and `compare_list` asks the
    board itself, beside a running daemon (options of its bus and its own; raises DeviceError).
    `signs`: what `build` returns is a `SignedReader`; `shows` tells whether its display can show a
    text. `advice_of` tells of a bus, by its options and those of all that is on it, what would be
    better otherwise: a key, what is so, what to write. `keypad`: its readers may have keys.
    `pairs`: what `build` returns is a `Pairable`.
    `captures`: it is a `Capturable`. `tools` loads what is done to such a line by hand.
    """

    kind: DriverKind
    name: str
    options: type[Any]
    build: Callable[[Any, DriverContext], Any]
    port_of: Callable[[Any], str | None] = lambda _options: None
    bus: str | None = None
    alike_of: Callable[[Any], tuple[str, object] | None] = lambda _options: None
    faults_of: Callable[[Any], Sequence[tuple[str, str]]] = lambda _options: ()
    advice_of: Callable[[Any, Sequence[Any]], Sequence[tuple[str, str, str]]] = (
        lambda _options, _parts: ()
    )
    keeps_list: bool = False
    compare_list: (
        Callable[[Any, Any, Clock, Sequence[FallbackCard]], Awaitable[ListDifference]] | None
    ) = None
    signs: bool = False
    shows: Callable[[str], bool] = lambda _text: True
    keypad: bool = False
    pairs: bool = False
    captures: bool = False
    tools: Callable[[], LineTools] | None = None


Registry = Mapping[str, Driver]
