"""The reckoning of a demo: each tap against what the centre has. Pure; owns the verdict.

Per reader, the taps in the order they were sent must be the centre's decisions in the order of the
journal: the same cards (their last four digits), a code where one was typed, none missing, none
twice. Each is decided as the scenario says, unless somebody at the console gave orders meanwhile;
and no arm came down on a vehicle.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from statistics import median
from typing import Any

Event = dict[str, Any]
GRANTED, DENIED, OUTCOME = "access.granted", "access.denied", "access.outcome"
MAX_NAMED = 10
EXPECTED_ORDERS = {"fire_reset", "change_password"}  # the scenario's guard gives no others
NAMES = {"qr": "QR pass"}  # kinds of credentials that are not called what they are
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class SentTap:
    """What was shown, or a code that was typed, as the scenario wrote it down."""

    n: int
    reader: str
    kind: str  # card, pin, qr, plate
    masked: str
    sent_ns: int
    expect: str


@dataclass(frozen=True, slots=True)
class Centre:
    """What the centre told at the end."""

    events: Sequence[Event]
    upto: dict[tuple[str, str], int]  # (epoch, stream) → acknowledged up to
    missing: Sequence[dict[str, Any]]
    chain_whole: bool
    repeats: int
    altered: int


@dataclass(frozen=True, slots=True)
class Lane:
    """What the simulated barrier counted: vehicles that passed, and arms that came down on one."""

    name: str
    passed: int
    hits: int


@dataclass(frozen=True, slots=True)
class Lockdown:
    """One order of the centre: how many locks, and when the last was locked after its coming."""

    doors: int
    took_ms: float


@dataclass(frozen=True, slots=True)
class Reckoning:
    """The figures of the summary; `faults` empty means that every tap is accounted for."""

    sent: int
    granted: int
    denied: int
    opened: int
    acknowledged: int
    unexpected: int
    pictures: int
    denials: dict[str, int]  # by their reason
    alarms: dict[str, int]
    open_alarms: int
    events: int
    repeats: int
    latency_ms: float | None  # median, from the tap's last byte to the lock's release
    lockdowns: tuple[Lockdown, ...]
    fires: tuple[int, int]  # detected, and reset by a person
    lanes: tuple[Lane, ...]
    faults: tuple[str, ...]

    @property
    def decided(self) -> int:
        return self.granted + self.denied


def read_taps(path: Path) -> list[SentTap]:
    """The scenario's record; none where it never began."""
    if not path.exists():
        return []
    taps = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    keys = ("n", "reader", "kind", "masked", "sent_ns", "expect")
    return [SentTap(*(tap[key] for key in keys)) for tap in taps]


def _active_alarms(events: Sequence[Event]) -> set[str]:
    """Ids of the alarms that are up after all that the centre knows; one may come and go often."""
    active: set[str] = set()
    for event in sorted(events, key=lambda event: (event["epoch"], event["seq"])):
        match event["kind"]:
            case "alarm.raised" | "alarm.repeated":
                active.add(event["data"]["alarm_id"])
            case "alarm.cleared":
                active.discard(event["data"]["alarm_id"])
            case _:
                continue
    return active


def reckon(taps: Sequence[SentTap], centre: Centre, lanes: Sequence[Lane] = ()) -> Reckoning:
    decisions = sorted(
        (event for event in centre.events if event["kind"] in {GRANTED, DENIED}),
        key=lambda event: (event["epoch"], event["seq"]),
    )
    kinds = Counter(event["kind"] for event in centre.events)
    raised = [e["data"] for e in centre.events if e["kind"] == "alarm.raised"]
    pairs = list(_pairs(taps, decisions))
    released = _released(centre.events)
    waits_ms = [
        (released[key] - tap.sent_ns) / NS_PER_MS
        for tap, event in pairs
        if (key := (event["epoch"], event["seq"])) in released
    ]
    return Reckoning(
        sent=len(taps),
        granted=kinds[GRANTED],
        denied=kinds[DENIED],
        opened=len(released),
        acknowledged=sum(
            event["seq"] <= centre.upto.get((event["epoch"], event["stream"]), 0)
            for event in decisions
        ),
        unexpected=sum(decided_as(event) != tap.expect for tap, event in pairs),
        pictures=kinds["picture.stored"],
        denials=dict(Counter(e["data"]["reason"] for e in decisions if e["kind"] == DENIED)),
        alarms=dict(Counter(data["alarm"] for data in raised)),
        open_alarms=len(_active_alarms(centre.events)),
        events=len(centre.events),
        repeats=centre.repeats,
        latency_ms=median(waits_ms) if waits_ms else None,
        lockdowns=tuple(_lockdowns(centre.events)),
        fires=(kinds["fire.detected"], kinds["fire.reset"]),
        lanes=tuple(lanes),
        faults=(*_faults(taps, decisions, centre), *_unexpected(pairs, centre), *_hit(lanes)),
    )


def _released(events: Sequence[Event]) -> dict[tuple[str, int], int]:
    """(epoch, seq) of a grant → monotonic moment at which its lock was confirmed released."""
    return {
        (event["epoch"], event["data"]["decision_seq"]): event["stamp"]["mono_ns"]
        for event in events
        if event["kind"] == OUTCOME and event["data"]["outcome"] == "unlocked"
    }


def _lockdowns(events: Sequence[Event]) -> Iterable[Lockdown]:
    """A door's change of mode is stamped once its lock has confirmed."""
    changes = [e for e in events if e["kind"] == "door.mode_changed"]
    for order in events:
        if order["kind"] != "command.accepted" or order["data"]["action"] != "lockdown":
            continue
        caused = [e for e in changes if e["data"]["cause"]["ref"] == order["data"]["command_id"]]
        if caused:
            last_ns = max(change["stamp"]["mono_ns"] for change in caused)
            yield Lockdown(len(caused), (last_ns - order["stamp"]["mono_ns"]) / NS_PER_MS)


def _unexpected(pairs: Sequence[tuple[SentTap, Event]], centre: Centre) -> Iterable[str]:
    """Decisions other than the scenario's. None where a person at the console gave orders: what
    followed from these is theirs."""
    ordered = {e["data"]["action"] for e in centre.events if e["kind"] == "operator.ordered"}
    if ordered - EXPECTED_ORDERS:
        return
    wrong = [(tap, event) for tap, event in pairs if decided_as(event) != tap.expect]
    for tap, event in wrong[:MAX_NAMED]:
        what = f"tap {tap.n} at {tap.reader}, {shown_as(tap.kind, tap.masked)}"
        yield f"{what}: {decided_as(event)}, and not {tap.expect}"


def _hit(lanes: Sequence[Lane]) -> Iterable[str]:
    for lane in lanes:
        if lane.hits:
            yield f"the arm of {lane.name} came down on a vehicle: {lane.hits}"


def shown_as(kind: str, masked: str) -> str:
    """In words: a card, pass or plate by its last four characters; of a code there is nothing to
    tell."""
    return "a code" if kind == "pin" else f"{NAMES.get(kind, kind)} …{masked[-4:]}"


def decided_on(event: Event) -> str:
    """In words, what was shown for this decision."""
    credential = event["data"]["credential"]
    return shown_as(credential["kind"], credential["masked"])


def decided_as(event: Event) -> str:
    """ "granted", or the reason of the denial."""
    return "granted" if event["kind"] == GRANTED else str(event["data"]["reason"])


def _of_reader(
    taps: Sequence[SentTap], decisions: Sequence[Event]
) -> Iterable[tuple[str, list[SentTap], list[Event]]]:
    readers = {tap.reader for tap in taps} | {e["data"]["access_point_id"] for e in decisions}
    for reader in sorted(readers):
        sent = [tap for tap in taps if tap.reader == reader]
        got = [event for event in decisions if event["data"]["access_point_id"] == reader]
        yield reader, sent, got


def _matcher(sent: Sequence[SentTap], got: Sequence[Event]) -> SequenceMatcher[str]:
    shown = [shown_as(tap.kind, tap.masked) for tap in sent]
    decided = [decided_on(event) for event in got]
    return SequenceMatcher(None, shown, decided, autojunk=False)


def _pairs(taps: Sequence[SentTap], decisions: Sequence[Event]) -> Iterable[tuple[SentTap, Event]]:
    for _, sent, got in _of_reader(taps, decisions):
        for block in _matcher(sent, got).get_matching_blocks():
            yield from zip(
                sent[block.a : block.a + block.size],
                got[block.b : block.b + block.size],
                strict=True,
            )


def _faults(taps: Sequence[SentTap], decisions: Sequence[Event], centre: Centre) -> Iterable[str]:
    """Every reason why this demo does not end with status 0."""
    for reader, sent, got in _of_reader(taps, decisions):
        for what, a1, a2, b1, b2 in _matcher(sent, got).get_opcodes():
            if what == "equal":
                continue
            for tap in sent[a1:a2][:MAX_NAMED]:
                what_shown = shown_as(tap.kind, tap.masked)
                yield f"tap {tap.n} at {reader}, {what_shown}: not at the centre"
            for event in got[b1:b2][:MAX_NAMED]:
                what_shown = decided_on(event)
                yield f"event {event['seq']} at {reader}, {what_shown}: nobody showed it then"
    for hole in list(centre.missing)[:MAX_NAMED]:
        yield f"the centre misses {hole['stream']} after {hole['after']} to {hole['through']}"
    if not centre.chain_whole:
        yield "the centre finds the journal's hash chain broken"
    if centre.altered:
        yield f"{centre.altered} events came again with another content"
    late = [e for e in decisions if e["seq"] > centre.upto.get((e["epoch"], e["stream"]), 0)]
    if late:
        yield f"{len(late)} decisions are at the centre and not acknowledged"
