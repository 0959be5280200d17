"""What goes over HTTP: the bodies that are taken and the views that are given. Owns their shape.

A person's phone is in no view: revealing it is an act of its own. Times are milliseconds since
1970 UTC by the box's clock (`*_ms`), and say whether that clock could be trusted.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gatewayd.domain.events import CauseKind, Escalation, InstallOutcome, Outcome
from gatewayd.domain.model import (
    AlarmKind,
    AntiPassback,
    CredentialKind,
    Direction,
    DoorMode,
    ModeSlot,
    Priority,
    Reason,
    RuleResult,
)
from gatewayd.store.operators import MAX_PASSWORD, MIN_PASSWORD, Role

Language = Literal["zh-CN", "en"]
MAX_REASON = 200


class Body(BaseModel):
    """What is taken: nothing unknown, nothing converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class View(BaseModel):
    """What is given."""

    model_config = ConfigDict(frozen=True)


# ------------------------------------------------------------------------------ log-in


class Login(Body):
    name: Annotated[str, Field(min_length=1, max_length=64)]
    password: Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD, repr=False)]
    language: Language | None = Field(
        default=None,
        description="The log-in page's: becomes that of an operator who has none yet. Without it, "
        "the first of Accept-Language that there is.",
    )


class LanguageChoice(Body):
    language: Language


class PasswordChange(Body):
    current: Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD, repr=False)]
    new: Annotated[str, Field(min_length=1, max_length=MAX_PASSWORD, repr=False)] = Field(
        description=f"At least {MIN_PASSWORD} characters, and not the present one."
    )


class SiteView(View):
    id: str
    name: str
    gateway: str
    time_zone: str = Field(description="IANA name; pages show times in it.")


class SessionView(View):
    """Who is signed in, and what the page needs to know before it shows anything."""

    operator: str
    role: Role
    language: Language
    must_change_password: bool
    ends_ms: int = Field(description="When the session ends however busy it is.")
    may: list[str] = Field(description='The routes this role may use, as "METHOD /path".')
    site: SiteView
    version: str


# ----------------------------------------------------------------------------- entries


class Named(View):
    id: str
    name: str


class PersonView(View):
    """What a guard needs of a person to check who stands there."""

    id: str
    name: str
    role: str
    building: str
    unit: str
    room: str
    photo: str


class CredentialView(View):
    kind: CredentialKind
    masked: str = Field(description="All but the last characters covered.")


class PictureView(View):
    camera: Named
    url: str
    age_ms: int = Field(description="The moment of the event minus that of the picture.")


class TraceView(View):
    """What one rule saw: the text `trace.<rule>.<saw>` with the facts in its blanks."""

    rule: str
    saw: str
    result: RuleResult
    facts: dict[str, str]


class RemedyView(View):
    """A change that would have helped: the text `remedy.<change>` with the facts in its blanks."""

    change: str
    facts: dict[str, str]


class EntryView(View):
    """One decision at an access point, with what is known of it by now."""

    seq: int
    wall_ms: int
    wall_trusted: bool
    decision: Literal["granted", "denied"]
    reason: Reason
    detail: dict[str, str] = Field(description="What the reason's sentence needs.")
    door: Named
    access_point: Named
    direction: Direction
    person: PersonView | None = Field(description="None: nobody's credential, or no longer listed.")
    place: str = Field(description="Building-unit-room as it was journaled.")
    credential: CredentialView
    outcome: Outcome | None = Field(description="What came of a grant; None: not yet, or a denial.")
    warned: bool = Field(
        description="A grant of which a rule warned, as soft anti-passback does; duress is told by "
        "its alarm and the trace alone."
    )
    recorded_late: bool
    has_camera: bool = Field(description="Whether a camera looks at this access point now.")
    pictures: list[PictureView]
    whitelist_revision: int


class EntryDetail(EntryView):
    trace: list[TraceView] = Field(description="Each rule that was tried, in order.")
    remedies: list[RemedyView] = Field(
        description="All of them together would have made a denial a grant."
    )


class EntryPage(View):
    """Newest first. `next_before` is the cursor of the page before; None: that was the last."""

    epoch: str
    last_seq: int = Field(description="Streaming on from here leaves no gap.")
    entries: list[EntryView]
    next_before: int | None


# ---------------------------------------------------------------------- doors and alarms


class CauseView(View):
    kind: CauseKind
    ref: str = Field(description="The operator, the command, the schedule, the fire input.")
    reason: str = Field(description="What a person wrote.")


class DoorView(View):
    id: str
    name: str
    phase: Literal["secure", "unlocked", "open", "held_warning", "held", "forced"]
    mode: DoorMode = Field(description="Accessed: Locked, and unlocked for the moment.")
    unlocked: bool
    open: bool | None = Field(description="None: it can't be seen now.")
    online: bool
    failed: bool = Field(description="The lock did not confirm what it was last told.")
    mode_slot: ModeSlot | None = Field(
        default=None, description="Whose order the mode is; None: nobody's, the door is Locked."
    )
    mode_cause: CauseView | None = None
    mode_until_ms: int | None = Field(default=None, description="None: until it is withdrawn.")
    blocked_by: Named | None = Field(
        default=None, description="The door of the same interlock that keeps it shut now."
    )
    zone: str | None = None
    escape: bool = Field(default=False, description="A fire frees it.")
    kind: Literal["door", "barrier"] = Field(
        default="door", description="Of a barrier, `open` says that its arm is not down."
    )
    vehicle: bool | None = Field(
        default=None, description="One waits before the barrier; None: no loop there, or not known."
    )
    under_arm: bool | None = Field(
        default=None, description="A vehicle on the loop under the arm keeps it up."
    )


class DoorList(View):
    doors: list[DoorView]


class Order(Body):
    """An order with its reason, which is journaled with the operator's name."""

    reason: Annotated[str, Field(min_length=1, max_length=MAX_REASON, pattern=r"\S")]


class Lockdown(Order):
    """Every door, those of one zone, or one door."""

    zone: Annotated[str, Field(max_length=32)] | None = None
    door_id: Annotated[str, Field(max_length=32)] | None = Field(
        default=None, description="Not beside a zone."
    )

    @model_validator(mode="after")
    def _one_target(self) -> Lockdown:
        if self.zone is not None and self.door_id is not None:
            raise ValueError("name a zone or a door, not both")
        return self


class ModeOrderBody(Order):
    """A lockdown has a route of its own, and Accessed is a passage, not an order."""

    mode: Literal["Locked", "Unlocked", "Blocked", "LockedOpen"]
    until_ms: Annotated[int, Field(ge=0, le=2**53)] | None = Field(
        default=None, description="By the box's clock; None: until it is withdrawn."
    )


class OrderResult(View):
    seq: int = Field(description="Where the order stands in the journal.")
    outcome: Outcome


class ModeOrderResult(OrderResult):
    """`refused`: the order is kept, and another one wins over it now: see `mode`."""

    mode: DoorMode = Field(description="What governs the door now.")


class FireResetResult(View):
    seq: int = Field(description="Where the order stands in the journal.")


class DoorOutcome(View):
    door_id: str
    outcome: Outcome


class ModeResult(View):
    seq: int = Field(description="Where the order stands in the journal; 0: not there yet.")
    doors: list[DoorOutcome]


# -------------------------------------------------------------------------------- areas


class AreaView(View):
    id: str
    name: str
    inside: int = Field(description="How many are in it now, the neutral ones left out.")
    minimum: int | None = Field(description="So many together or nobody.")
    maximum: int | None
    anti_passback: AntiPassback


class AreaList(View):
    """In the order of the settings."""

    areas: list[AreaView]


class WhereaboutsView(View):
    """Whose last passage led there, and when that was."""

    person_id: str
    person: PersonView | None = Field(description="None: no longer listed.")
    since_ms: int
    since_trusted: bool


class AreaPeople(View):
    """A head count, by building, unit, room and name."""

    area: AreaView
    wall_ms: int
    wall_trusted: bool
    people: list[WhereaboutsView]
    neutral: list[WhereaboutsView] = Field(
        description="Seen there last, anti-passback reset since: they may be there or not."
    )


class Forgiveness(Order):
    """One person, everyone in an area, or everyone."""

    person_id: Annotated[str, Field(max_length=64)] | None = None
    area_id: Annotated[str, Field(max_length=32)] | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one_target(self) -> Forgiveness:
        if [self.person_id is not None, self.area_id is not None, self.all].count(True) != 1:
            raise ValueError("name a person, an area, or all: one of the three")
        return self


class ForgiveResult(View):
    seq: int = Field(description="Where it stands in the journal.")


class AlarmView(View):
    alarm_id: str
    kind: AlarmKind
    priority: Priority
    about: Named = Field(description="The door, device or part of the system that it is about.")
    detail: str = Field(description="As journaled, in English: for whoever mends it.")
    person: PersonView | None = Field(description="Who it is about; null where nobody is listed.")
    place: str = Field(description="Their place when it was raised, else as listed.")
    raised_ms: int
    raised_seq: int
    active: bool = Field(description="False: it is over, and waits for an acknowledgement only.")
    acknowledged_by: str | None
    repeats: int = Field(description="How often it was raised again, also soon after it was over.")
    last_ms: int = Field(description="When it was last raised.")
    silent: bool = Field(description="No sound: whoever stands at the post must not hear of it.")
    escalated_to: Escalation | None = Field(description="Whose it is, since nobody took it.")
    shelvable: bool = Field(description="Whether this kind may be shelved at all.")
    shelved_by: str | None = Field(description="Not null: put aside, out of the waiting list.")
    shelved_reason: str | None
    shelved_until_ms: int | None
    pictures: list[PictureView]


class AlarmList(View):
    """Those that wait for someone first, those that are shelved last; within these duress before
    all, then by priority, then the oldest."""

    alarms: list[AlarmView]


class Note(Body):
    note: Annotated[str, Field(max_length=MAX_REASON)] = ""


class Shelving(Order):
    until_ms: int = Field(description="At most 8 hours ahead of the box's clock.")


class Nothing(Body):
    """An order that needs no words."""


# ------------------------------------------------------------------------------- devices


class InstallOrder(Order):
    """How long the device may be given a key, and which it has now."""

    minutes: Annotated[float, Field(gt=0, le=10)] = 5
    new_device: bool = Field(
        default=False,
        description="It was replaced or reset: its key is that of its delivery, not the one that "
        "the box has for it.",
    )


class InstallWindowView(View):
    device_id: str
    seq: int = Field(description="Where its opening stands in the journal.")
    until_ms: int = Field(description="By the box's clock.")
    outcome: InstallOutcome | None = Field(description="Null while it is open.")
    detail: str


class InstallView(View):
    window: InstallWindowView | None = Field(
        description="The one that is open, else the last since the box started, else null."
    )


class CaptureOrder(Order):
    """How long, and how much."""

    minutes: Annotated[float, Field(gt=0, le=60)] = 10
    megabytes: Annotated[float, Field(gt=0, le=64)] = 16


class CaptureStateView(View):
    bus_id: str
    file: str = Field(description="On the box; for its own user alone, since cards are in it.")
    until_ms: int
    size: int = Field(description="In bytes.")
    over: str | None = Field(description="Why it ended; null while it runs.")


class CaptureView(View):
    capture: CaptureStateView | None = Field(
        description="The one that runs, else the last since the box started, else null."
    )


# ------------------------------------------------------------------------------- system


class LinkView(View):
    state: Literal["alone", "connecting", "online", "stopped"] = Field(
        description="'alone': this box has no line to a centre in its settings."
    )
    since_ms: int
    protocol: str = Field(description='"MQTT 5", "MQTT 3.1.1", or empty.')
    detail: str


class WhitelistView(View):
    revision: int
    credentials: int


class StateView(View):
    """All that is true now and not in the journal: what the stream sends when it begins, and then
    every few seconds."""

    epoch: str = Field(description="Changes only where the journal was replaced.")
    last_seq: int
    wall_ms: int
    wall_trusted: bool
    doors: list[DoorView]
    alarms: list[AlarmView]
    areas: list[AreaView]
    link: LinkView
    whitelist: WhitelistView


class DeviceView(View):
    id: str
    name: str
    kind: Literal["bus", "reader", "controller", "camera"]
    driver: str
    online: bool
    detail: str


class DiskView(View):
    free_bytes: int
    total_bytes: int
    low_bytes: int = Field(description="Less free than this raises an alarm.")


class SystemView(View):
    version: str
    started_ms: int
    wall_ms: int
    wall_trusted: bool
    whitelist: WhitelistView
    link: LinkView
    outbox: dict[str, int] = Field(description="Events not yet acknowledged, by stream.")
    journal_epoch: str
    journal_last_seq: int
    disk: DiskView
    devices: list[DeviceView]
