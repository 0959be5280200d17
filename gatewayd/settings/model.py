"""The shape of the settings as frozen models; descriptions feed the reference and the JSON Schema.

Owns what each table may hold. Must not read files: `gatewayd.settings.load` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gatewayd.domain.events import EVENT_TYPES
from gatewayd.domain.model import AlarmKind, Reason

ID_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"

Id = Annotated[
    str,
    Field(
        pattern=ID_PATTERN,
        description="Lower-case letters, digits and hyphens, at most 32.",
    ),
]


class Table(BaseModel):
    """What all tables share: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SiteSettings(Table):
    """The compound and this box in it."""

    id: Id = Field(description="The site's id, as in the MQTT topics.")
    name: str = Field(description="The compound's name, as the console shows it.")
    gateway: Id = Field(description="This box's id: unique at the centre.")
    time_zone: str = Field(
        default="Asia/Shanghai", description="IANA time zone that schedules and pages use."
    )
    pin_key_file: Path | None = Field(
        default=None,
        description="At least 16 characters that only this site and its centre know: PINs are kept "
        "as hashes under this key. Only its owner may read it.",
        json_schema_extra={"secret_file": True},
    )
    wrong_tries: int = Field(
        default=5,
        ge=1,
        le=5,
        description="Wrong PINs in a row, at one reader or of one person anywhere, before an alarm "
        "and a pause.",
    )
    wrong_tries_pause_s: float = Field(
        default=60.0,
        gt=0,
        le=3_600,
        description="So long nothing typed at that reader, or of that person, counts.",
    )


class StorageSettings(Table):
    """Where the box keeps its files, and how much."""

    directory: Path = Field(description="Folder of the journal, the whitelist and the pictures.")
    picture_budget_mb: int = Field(
        default=2_000, ge=10, description="Pictures beyond this go, the oldest first."
    )
    low_space_mb: int = Field(
        default=200, ge=1, description="Less free space than this raises an alarm."
    )

    @property
    def journal_file(self) -> Path:
        """The journal's database, which `gatewayd verify` reads too."""
        return self.directory / "journal.db"


class DoorSettings(Table):
    """A door: its lock on a relay, its contact and exit button on inputs of a controller. With
    kind = "barrier" its lock is an arm: docs/design/barrier.md has the wiring."""

    id: Id = Field(description="The door's id, unique among all ids of this file.")
    name: str = Field(description="As the guard calls it.")
    controller: Id = Field(description="The id of the [[controller]] it is wired to.")
    kind: Literal["door", "barrier"] = Field(
        default="door", description="'barrier': an arm across a vehicle lane; `relay` raises it."
    )
    relay: int = Field(ge=1, description="Relay terminal, from 1 as printed on the board.")
    contact_input: int | None = Field(
        default=None, ge=1, description="Input terminal of the door contact; leave out if none."
    )
    exit_input: int | None = Field(
        default=None, ge=1, description="Input terminal of the exit button; leave out if none."
    )
    contact_active_means: Literal["open", "closed"] = Field(
        default="closed", description="What an active contact input says of the door."
    )
    energised_means: Literal["unlocked", "locked"] = Field(
        default="unlocked",
        description="'unlocked' for a fail-secure strike, 'locked' for a magnetic lock.",
    )
    unlock_s: float = Field(
        default=5.0,
        gt=0,
        le=120,
        description="Unlocked after a grant; a barrier comes down after it where no vehicle came, "
        "and else behind the vehicle.",
    )
    held_s: float = Field(default=30.0, gt=0, description="Open longer than this is 'held'.")
    pre_alarm_s: float = Field(default=20.0, gt=0, description="Warn when open this long.")
    commit_deadline_ms: int = Field(
        default=250, ge=10, le=5_000, description="A grant must be on disk within this time."
    )
    fail_policy: Literal["secure", "open"] = Field(
        default="secure",
        description="Past the commit deadline: 'secure' stays locked, 'open' opens and records.",
    )
    extended_s: float = Field(
        default=15.0, gt=0, le=120, description="Unlocked so long for people who need more time."
    )
    inside: Id | None = Field(default=None, description="The [[area]] that it leads into.")
    outside: Id | None = Field(
        default=None, description="The [[area]] that it leads out to; leave out for the street."
    )
    two_person_s: float = Field(
        default=0.0, ge=0, le=120, description="Two different people within this time; 0: one."
    )
    escort_s: float = Field(
        default=30.0, gt=0, le=600, description="So long after an escort may the escorted pass."
    )
    zone: Id | None = Field(
        default=None, description="Doors of one zone are locked down and lifted together."
    )
    escape: bool = Field(
        default=False,
        description="On an escape route: the [fire] input frees it, and nothing locks it then.",
    )
    unlock_schedule: Id | None = Field(
        default=None,
        description="A schedule of the whitelist: in its hours the door is unlocked by itself.",
    )
    first_person: bool = Field(
        default=False,
        description="The unlocked hours begin only once someone with access came in them.",
    )
    lock_input: int | None = Field(
        default=None, ge=1, description="Input terminal of the lock's own contact, if it has one."
    )
    lock_active_means: Literal["locked", "unlocked"] = Field(
        default="locked", description="What an active lock input says."
    )
    tamper_input: int | None = Field(
        default=None, ge=1, description="Input terminal of a tamper contact at the door, if any."
    )
    tamper_active_means: Literal["tamper", "normal"] = Field(
        default="tamper", description="'normal' for a loop that is closed while all is well."
    )
    exit_heeds_interlock: bool = Field(
        default=False,
        description="The exit button too waits for the other doors of an [[interlock]].",
    )
    loop_input: int | None = Field(
        default=None,
        ge=1,
        description="Barrier: input of the loop under the arm; while a vehicle is on it, or its "
        "wire is at fault, the arm is not lowered.",
    )
    loop_active_means: Literal["vehicle", "free"] = Field(
        default="vehicle",
        description="'free' for a detector whose contact is closed while no vehicle is there: a "
        "cut wire or a dead detector then keeps the arm up.",
    )
    presence_input: int | None = Field(
        default=None,
        ge=1,
        description="Barrier: input of the loop in front, where a vehicle waits; with it, readers "
        "with vehicle = true open for vehicles only.",
    )
    presence_active_means: Literal["vehicle", "free"] = Field(
        default="vehicle", description="What an active presence input says."
    )
    closed_limit_input: int | None = Field(
        default=None, ge=1, description="Barrier: input that is active while the arm is down."
    )
    open_limit_input: int | None = Field(
        default=None, ge=1, description="Barrier: input that is active while the arm is up."
    )
    close_relay: int | None = Field(
        default=None,
        ge=1,
        description="Barrier: relay whose pulse lowers the arm; `relay` is then pulsed too. Left "
        "out: `relay` holds the arm up for as long as it is energised.",
    )
    stop_relay: int | None = Field(
        default=None, ge=1, description="Barrier: relay pulsed before the arm is turned round."
    )
    pulse_s: float = Field(
        default=0.5, ge=0.1, le=2, description="Barrier: how long each pulse lasts."
    )
    travel_s: float = Field(
        default=6.0, ge=1, le=30, description="Barrier: up or down by then, or it has failed."
    )


class AreaSettings(Table):
    """A part of the site that people are in or out of; doors name it as their `inside`."""

    id: Id = Field(description="The area's id, unique among all ids of this file.")
    name: str = Field(description="As the guard calls it.")
    anti_passback: Literal["off", "soft", "hard", "timed"] = Field(
        default="off",
        description="Someone who is inside already enters again: 'soft' lets them and alarms, "
        "'hard' denies, 'timed' denies for forgive_min.",
    )
    forgive_min: float | None = Field(
        default=None, gt=0, le=1_440, description="With 'timed': after so long all is in order."
    )
    maximum: int | None = Field(default=None, ge=1, description="At most so many people inside.")
    excess: Literal["warn", "deny"] = Field(
        default="deny", description="What happens to the next one at the maximum."
    )
    minimum: int | None = Field(
        default=None, ge=2, description="So many together or nobody: fewer inside is an alarm."
    )
    shortfall: Literal["warn", "deny"] = Field(
        default="warn",
        description="What happens to whoever would go in and be with fewer than the minimum. "
        "Nobody is ever kept from going out.",
    )
    admit_unknown: bool = Field(
        default=True,
        description="Whether someone may pass of whom no passage is known, as after a new start.",
    )


class InterlockSettings(Table):
    """Doors of which only one may be open, or unlocked: a mantrap. A fire overrides it."""

    id: Id = Field(description="The interlock's id, unique among all ids of this file.")
    doors: tuple[Id, ...] = Field(
        strict=False, min_length=2, description="Ids of the [[door]] in it, two or more."
    )
    rule: Literal["one-open", "one-unlocked"] = Field(
        default="one-open",
        description="'one-open': several may be unlocked, the first that opens locks the others; "
        "'one-unlocked': no second door is unlocked.",
    )


class FireSettings(Table):
    """The fire panel's contact. It frees every door with escape = true until a person resets it."""

    controller: Id = Field(description="The id of the [[controller]] it is wired to.")
    input: int = Field(ge=1, description="Input terminal, from 1 as printed on the board.")
    active_means: Literal["fire", "normal"] = Field(
        default="normal",
        description="'normal': the panel holds the contact while all is well, so that a cut wire "
        "or a panel without power counts as fire; 'fire': the panel closes it in a fire, and a "
        "cut wire goes unnoticed unless the board supervises its inputs.",
    )


class DeviceTable(Table):
    """A table whose other keys are the options of its driver, which may hold a secret."""

    model_config = ConfigDict(extra="allow")

    @property
    def driver_options(self) -> dict[str, Any]:
        """The keys that the driver's own model checks."""
        return dict(self.__pydantic_extra__ or {})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The table's own keys: what a driver's option holds is not shown."""
        own = type(self).model_fields
        return ((key, value) for key, value in super().__repr_args__() if key in own)


class BusSettings(DeviceTable):
    """A line that several devices share; readers and controllers name it as their `bus`. Other
    keys are the driver's."""

    id: Id = Field(description="The bus's id, unique among all ids of this file.")
    driver: str = Field(description="A bus driver's name, e.g. 'osdp'.")


LightName = Literal["off", "red", "green", "amber", "blue"]
ToneName = Literal["silent", "short", "long", "twice", "thrice", "repeated"]


class SignSettings(Table):
    """What a reader shows and sounds."""

    light: LightName | None = Field(default=None, description="Left out: the light stays as it is.")
    blinking: bool = Field(default=False, description="The light blinks.")
    tone: ToneName = Field(default="silent", description="The buzzer.")
    text: str = Field(
        default="",
        max_length=32,
        description="For a reader with a display, in its own letters.",
    )


class MomentSettings(SignSettings):
    """A sign that goes by itself."""

    for_s: float | None = Field(
        default=None, gt=0, le=60, description="So long; left out: 2 to 5 s, as the page says."
    )


class SignsSettings(Table):
    """How a reader tells what; what is left out is told as docs/guide/readers.md says. Only for
    readers with a light, a buzzer or a display of their own. Duress looks like a grant."""

    idle: SignSettings | None = Field(default=None, description="The door is locked.")
    unlocked: SignSettings | None = Field(default=None, description="The door is free.")
    granted: MomentSettings | None = Field(default=None, description="Access was granted.")
    denied: MomentSettings | None = Field(default=None, description="Access was denied.")
    wait_for_pin: SignSettings | None = Field(default=None, description="Now the PIN.")
    wait_for_second: MomentSettings | None = Field(
        default=None, description="Now the second person."
    )
    held_pre_alarm: SignSettings | None = Field(
        default=None, description="The door has been open for pre_alarm_s, until it is shut."
    )
    lockdown: SignSettings | None = Field(default=None, description="The door is locked down.")
    install: SignSettings | None = Field(
        default=None, description="The reader's key may be set now."
    )


class ReaderSettings(DeviceTable):
    """A reader at a door: with its direction it is an access point. Other keys are the driver's."""

    id: Id = Field(description="The access point's id, unique among all ids of this file.")
    name: str = Field(description="As the guard calls this access point.")
    driver: str = Field(description="A reader driver's name, e.g. 'ascii-tag'.")
    door: Id = Field(description="The id of the [[door]] it opens.")
    direction: Literal["in", "out"] = Field(
        default="in", description="Which way a person goes who taps here."
    )
    cameras: tuple[Id, ...] = Field(
        default=(), strict=False, description="Ids of the [[camera]] that keep a picture of a tap."
    )
    verification: Literal["card", "pin", "card-or-pin", "card-and-pin"] = Field(
        default="card", description="What is asked for; anything but 'card' needs a keypad."
    )
    pin_schedule: Id | None = Field(
        default=None,
        description="A schedule of the whitelist: 'card-and-pin' only in its hours, else the card.",
    )
    vehicle: bool = Field(
        default=False,
        description="At a barrier's lane: permits (paid until) count, and where the barrier has a "
        "presence_input a vehicle must stand there.",
    )
    signs: SignsSettings | None = Field(
        default=None, description="How the reader's light, buzzer and display tell what happens."
    )


class ControllerSettings(DeviceTable):
    """A board with relays and inputs. Other keys are the driver's."""

    id: Id = Field(description="The board's id, unique among all ids of this file.")
    driver: str = Field(description="A controller driver's name, e.g. 'modbus-relay'.")


class CameraSettings(DeviceTable):
    """A camera. Other keys are the driver's."""

    id: Id = Field(description="The camera's id, unique among all ids of this file.")
    name: str = Field(description="As the guard calls it.")
    driver: str = Field(default="rtsp", description="A camera driver's name.")
    ring_s: float = Field(
        default=10.0, ge=2, le=120, description="Seconds of video kept in memory for pictures."
    )


class AlarmSettings(Table):
    """How long an alarm may wait for a guard."""

    escalate_min: float = Field(
        default=3.0,
        gt=0,
        le=120,
        description="Nobody took a critical or high alarm for so many minutes: it goes to the "
        "shift leader, and after as many again to the manager. Medium ones may wait ten times as "
        "long, low ones for ever.",
    )


class DoorInMode(Table):
    """A door that must be in this mode."""

    door: Id = Field(description="The id of a [[door]].")
    mode: Literal["Locked", "Unlocked", "Accessed", "Blocked", "LockedDown", "LockedOpen"] = Field(
        description="The mode that governs it, in ONVIF's words."
    )


class RelayAction(Table):
    """Energise a relay that no door has: a siren, a lamp."""

    do: Literal["relay"]
    controller: Id = Field(description="The id of a [[controller]].")
    relay: int = Field(ge=1, description="Relay terminal, from 1 as printed on the board.")
    for_s: float = Field(gt=0, le=3_600, description="Then it is switched off again, always.")


class NoticeAction(Table):
    """Tell the guard: an alarm of low priority, with these words."""

    do: Literal["notice"]
    text: str = Field(
        min_length=1,
        max_length=200,
        description='What the guard should know or do; "{about}" becomes the name of the door or '
        "device that the event is about.",
    )


class PictureAction(Table):
    """Keep a picture of the event's moment."""

    do: Literal["picture"]
    camera: Id = Field(description="The id of a [[camera]].")


class ModeAction(Table):
    """Order a door's mode: an operator's, the centre's and a fire's win over it."""

    do: Literal["mode"]
    door: Id = Field(description="The id of a [[door]].")
    mode: Literal["Locked", "Unlocked", "Blocked", "LockedDown", "LockedOpen"] = Field(
        description="In ONVIF's words."
    )
    for_s: float | None = Field(
        default=None,
        gt=0,
        le=86_400,
        description="How long; left out: until another order. LockedDown stays until it is lifted.",
    )


class UnlockAction(Table):
    """Open a door for one passage, unless its mode forbids it."""

    do: Literal["unlock"]
    door: Id = Field(description="The id of a [[door]].")
    for_s: float | None = Field(
        default=None, gt=0, le=120, description="Left out: as long as after a grant."
    )


class ReaderAction(Table):
    """A reader's light, buzzer or display, for a while."""

    do: Literal["reader"]
    reader: Id = Field(description="The id of a [[reader]] whose driver has signs.")
    light: LightName | None = Field(default=None, description="Left out: the light stays as it is.")
    blinking: bool = Field(default=False, description="The light blinks.")
    tone: ToneName = Field(default="silent", description="The buzzer.")
    text: str = Field(default="", max_length=32, description="For a reader with a display.")
    for_s: float = Field(gt=0, le=600, description="Then all is as before.")


ActionSettings = Annotated[
    RelayAction | NoticeAction | PictureAction | ModeAction | UnlockAction | ReaderAction,
    Field(discriminator="do"),
]


class LinkageSettings(Table):
    """When this happens, then do that; what is left out is not asked for. Only what happens while
    gatewayd runs counts, and only within ten seconds. A linkage that could set itself off again,
    by itself or through others, is refused. At most 64.
    """

    id: Id = Field(description="The linkage's id, unique among all ids of this file.")
    when: str = Field(
        description="The kind of the event, e.g. 'alarm.raised': docs/reference/events.md.",
        json_schema_extra={"enum": list(EVENT_TYPES)},
    )
    about: str | None = Field(
        default=None, description="Only where the event is about this: its subject."
    )
    alarm: str | None = Field(
        default=None,
        description="Only this kind of alarm: docs/reference/alarms.md.",
        json_schema_extra={"enum": [kind.value for kind in AlarmKind]},
    )
    reason: str | None = Field(
        default=None,
        description="Only an 'access.denied' for this reason: docs/reference/reasons.md.",
        json_schema_extra={"enum": [reason.value for reason in Reason]},
    )
    schedule: Id | None = Field(
        default=None,
        description="Only in these hours: a schedule of the whitelist. One that it does not have "
        "is never open.",
    )
    if_mode: DoorInMode | None = Field(
        default=None, description="Only while a door is in this mode."
    )
    then: tuple[ActionSettings, ...] = Field(
        strict=False,
        min_length=1,
        max_length=8,
        description="What is done, in this order.",
    )


class LinkSettings(Table):
    """The line to the central system over MQTT."""

    host: str = Field(description="The broker's host name or address.")
    port: int = Field(default=8883, ge=1, le=65_535, description="The broker's TCP port.")
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="'auto' tries MQTT 5 and falls back to 3.1.1."
    )
    username: str | None = Field(default=None, description="Name to log in to the broker with.")
    password_file: Path | None = Field(default=None, description="A file only its owner may read.")
    tls: bool = Field(default=True, description="Off only on loopback or a trusted line.")
    ca_file: Path | None = Field(
        default=None, description="PEM: who may sign the broker's certificate; else the system's."
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM: this box's own certificate, with key_file."
    )
    key_file: Path | None = Field(default=None, description="PEM; only its owner may read it.")
    central_keys_file: Path = Field(
        description="JSON: the centre's Ed25519 public keys, each with kid and roles."
    )
    keepalive_s: int = Field(
        default=20, ge=5, le=600, description="A silent line is noticed after 1.5 times this."
    )
    window: int = Field(default=20, ge=1, le=100, description="Unacknowledged publishes at once.")
    resend_s: float = Field(
        default=10.0, gt=0, description="Send again what the centre has not acknowledged."
    )


class ConsoleSettings(Table):
    """The guards' console and API on the local network."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65_535, description="0 takes a free one.")
    certificate_file: Path | None = Field(default=None, description="PEM, to serve HTTPS.")
    key_file: Path | None = Field(default=None, description="PEM; only its owner may read it.")
    allow_plain_http: bool = Field(
        default=False,
        description="Serve other machines without HTTPS: passwords cross the network in the clear.",
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=24, description="A log-in ends after this, at work or not."
    )
    operators_file: Path | None = Field(
        default=None,
        description="TOML with the first operators, each an [[operator]] with name, role (guard, "
        "leader, manager, administrator) and password_hash, as gatewayd hash-password --name NAME "
        "prints it; also language and must_change_password. Read while there are no operators yet. "
        "Only its owner may read it.",
        json_schema_extra={"secret_file": True},
    )


class Settings(Table):
    """All of gatewayd.toml. Cross-checks between tables are in `gatewayd.settings.check`."""

    site: SiteSettings
    storage: StorageSettings
    area: tuple[AreaSettings, ...] = Field(default=(), strict=False)
    door: tuple[DoorSettings, ...] = Field(default=(), strict=False)
    bus: tuple[BusSettings, ...] = Field(default=(), strict=False)
    reader: tuple[ReaderSettings, ...] = Field(default=(), strict=False)
    controller: tuple[ControllerSettings, ...] = Field(default=(), strict=False)
    camera: tuple[CameraSettings, ...] = Field(default=(), strict=False)
    interlock: tuple[InterlockSettings, ...] = Field(default=(), strict=False)
    fire: FireSettings | None = Field(
        default=None, description="Leave out where no panel is wired."
    )
    alarms: AlarmSettings = AlarmSettings()
    linkage: tuple[LinkageSettings, ...] = Field(default=(), strict=False)
    link: LinkSettings | None = Field(default=None, description="Leave out to run alone.")
    console: ConsoleSettings | None = Field(default=None, description="Leave out for no console.")
