"""What the box knew at each tap, folded from its journal as it went. Owns the fold alone.

What the rules saw then stands in the journaled trace and is taken from there: the door's mode, the
PIN, the uses, how full an area was, the interlock, the vehicle. Where the trace ends before it, the
fold tells. A passage that falls between a tap's last byte and its decision, a millisecond, may come
out either way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set

from gatewayd.domain import area, company
from gatewayd.domain.area import Places
from gatewayd.domain.company import Company, Pass
from gatewayd.domain.events import (
    AccessDenied,
    AccessGranted,
    AccessOutcome,
    DesiredApplied,
    DoorModeChanged,
    DoorModeOrdered,
    Event,
    FireDetected,
    FireReset,
    Outcome,
    PersonPassed,
    SystemStarted,
    WhereaboutsForgiven,
)
from gatewayd.domain.model import (
    AccessPoint,
    Area,
    AreaId,
    Door,
    DoorId,
    DoorMode,
    Person,
    PinCheck,
    RuleTrace,
    Situation,
    Stamp,
)
from gatewayd.domain.modes import Orders, apply, effective

Decided = AccessGranted | AccessDenied
DECISIONS = (AccessGranted.KIND, AccessDenied.KIND)
ORDERS = DoorModeOrdered | DesiredApplied | FireDetected | FireReset
# All that the fold looks at, beside the decisions themselves.
KINDS = tuple(
    cls.KIND
    for cls in (
        AccessOutcome, PersonPassed, WhereaboutsForgiven, DoorModeChanged, DoorModeOrdered,
        DesiredApplied, FireDetected, FireReset, SystemStarted,
    )
)  # fmt: skip
_PIN = {
    "right": PinCheck.RIGHT,
    "duress": PinCheck.DURESS,
    "wrong": PinCheck.WRONG,
    "missing": PinCheck.NOT_TYPED,
    "not_set": PinCheck.NOT_TYPED,
    "locked_out": PinCheck.LOCKED_OUT,
}
_VEHICLE = {"there": True, "none": False}


class Past:
    """The state at one point of the journal. `follow` takes its events in their order."""

    def __init__(self, areas: Mapping[AreaId, Area], interlocked: Set[DoorId]) -> None:
        self._areas = areas
        self._interlocked = interlocked
        self._places = Places()
        self._company = Company()
        self._modes: dict[DoorId, DoorMode] = {}
        self._orders: dict[DoorId, Orders] = {}
        self._openings: Counter[str] = Counter()
        self._awaited: dict[int, str] = {}  # digests of grants, by seq, until their outcome
        self._coming: dict[int, tuple[AccessPoint, Person, Stamp]] = {}  # who was granted, likewise
        self.settings_sha256 = ""  # of the last start
        self._read: Decided | None = None  # the decision whose lines these are
        self._lines: dict[str, RuleTrace] = {}

    # ---------------------------------------------------------------------------- the journal

    def follow(self, event: Event, stamp: Stamp) -> None:
        """After an event that is no decision."""
        match event:
            case PersonPassed():
                self._places = area.moved(self._places, event, stamp)
            case WhereaboutsForgiven(person_id=person, area_id=where):
                self._places = area.forgiven(self._places, person, where, stamp)
            case AccessOutcome():
                self._count(event)
                self._came(event)
            case DoorModeChanged(door_id=door, mode=mode):
                self._modes[door] = mode
            case SystemStarted():
                self._start(event, stamp)
            case DoorModeOrdered() | DesiredApplied() | FireDetected() | FireReset():
                self._orders = apply(self._orders, event)
            case _:
                pass

    def _count(self, event: AccessOutcome) -> None:
        """An opening, by its credential; those of grants before the range only where the box
        counted them itself."""
        digest = self._awaited.pop(event.decision_seq, event.used)
        for used in filter(None, (digest, event.companion_used)):
            self._openings[used] += event.outcome is Outcome.UNLOCKED

    def _came(self, event: AccessOutcome) -> None:
        """Only whoever the door opened for was let in, and may lead others."""
        coming = self._coming.pop(event.decision_seq, None)
        if coming is not None and event.outcome is Outcome.UNLOCKED:
            self.admitted(*coming)

    def _start(self, event: SystemStarted, stamp: Stamp) -> None:
        """A restart forgets who waits at which door, and looks anew which orders stand."""
        self._company, self._awaited, self._coming = Company(), {}, {}
        self.settings_sha256 = event.settings_sha256
        for door, orders in self._orders.items():
            governs = effective(
                orders, stamp.wall_ms, stamp.wall_trusted, interlocked=door in self._interlocked
            )
            self._modes[door] = governs.mode

    def decided(self, seq: int, event: Decided) -> None:
        """After a decision as it was journaled: its outcome will come, but for a grant that was
        recorded late, which opened."""
        if not isinstance(event, AccessGranted):
            return
        if not event.recorded_late:
            self._awaited[seq] = event.credential.digest
            return
        for used in filter(None, (event.used, event.companion_used)):
            self._openings[used] += 1

    def granted(self, seq: int, point: AccessPoint, person: Person, stamp: Stamp) -> None:
        """After a grant whose outcome will come: let in once the door opened, as of the tap."""
        self._coming[seq] = (point, person, stamp)

    def admitted(self, point: AccessPoint, person: Person, stamp: Stamp) -> None:
        way = (point.door_id, point.direction)
        self._company = company.admitted(self._company, way, person, stamp.monotonic_ns)

    def waits(
        self, point: AccessPoint, person: Person, stamp: Stamp, shown: Pass | None = None
    ) -> None:
        way = (point.door_id, point.direction)
        self._company = company.waits(self._company, way, person, stamp.monotonic_ns, shown)

    # ------------------------------------------------------------- what the decision asks for

    def mode(self, event: Decided, door_id: DoorId) -> DoorMode:
        """The mode that the decision saw."""
        line = self._line(event, "door_mode")
        if line is None:
            return self._modes.get(door_id, DoorMode.LOCKED)
        match line.saw:
            case "locked_down":
                return DoorMode.LOCKED_DOWN
            case "blocked":
                return DoorMode.BLOCKED
            case _:
                return DoorMode(_fact(line, "mode") or DoorMode.LOCKED)

    def situation(
        self, event: Decided, stamp: Stamp, point: AccessPoint, door: Door, person: Person | None
    ) -> Situation:
        left, entered = area.crossed(door, point.direction)
        way, now_ns = (door.id, point.direction), stamp.monotonic_ns
        interlock = self._line(event, "interlock")
        vehicle = self._line(event, "vehicle_present")
        blocked_by = None if interlock is None else _fact(interlock, "other_door")
        return Situation(
            pin=_pin(event, self._line(event, "pin"), person),
            used=self._used(event),
            entering=None if entered is None else self._areas[entered],
            leaving=None if left is None else self._areas[left],
            whereabouts=None
            if person is None or left is entered is None
            else area.whereabouts(self._places, person.id, stamp),
            inside=0 if entered is None else self._taken(event, entered),
            blocked_by=None if blocked_by is None else DoorId(blocked_by),
            vehicle=None if vehicle is None else _VEHICLE.get(vehicle.saw),
            companion=self._company.companion(way, now_ns, person),
            waiting=self._company.waiting(way, now_ns, self._openings),
        )

    def _line(self, event: Decided, rule: str) -> RuleTrace | None:
        """What the rule said then. One decision is asked about six times in a row."""
        if event is not self._read:
            self._read, self._lines = event, {line.rule: line for line in event.trace}
        return self._lines.get(rule)

    def _taken(self, event: Decided, entered: AreaId) -> int:
        """The places that were taken, as the rule saw it: beside those inside, by whoever was let
        in and had not passed yet. It left out whoever tapped."""
        line = self._line(event, "occupancy")
        if line is None or _fact(line, "area") != entered:
            return self._places.inside(entered)
        who = event.person_id
        own = who is not None and area.counted(self._places, who, entered)
        return int(_fact(line, "inside") or 0) + own

    def _used(self, event: Decided) -> int:
        line = self._line(event, "uses_left")
        used = None if line is None else _fact(line, "used")
        return self._openings[event.credential.digest] if used is None else int(used)


def _pin(event: Decided, line: RuleTrace | None, person: Person | None) -> PinCheck:
    """What was typed, as the trace has it. A PIN that was never asked for is taken as right, if the
    person has one: they would have been asked, and nobody can tell what they would have typed."""
    found = None if line is None else _PIN.get(line.saw)
    if found is not None:
        return found
    if isinstance(event, AccessGranted) and event.duress:
        return PinCheck.DURESS
    return PinCheck.RIGHT if person is not None and person.pin else PinCheck.NOT_TYPED


def pin_is_known(event: Decided) -> bool:
    """Whether the journal tells what was typed."""
    return any(line.rule == "pin" and line.saw in _PIN for line in event.trace)


def _fact(line: RuleTrace, name: str) -> str | None:
    for fact, value in line.facts:  # twice a tap: a generator would take longer than the facts
        if fact == name:
            return value
    return None
