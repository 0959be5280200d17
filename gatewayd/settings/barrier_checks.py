"""What must hold for a barrier, and for readers at its lane. Owns these checks.

Like `gatewayd.settings.check`: passes over what makes no sense by itself, which is said already.
"""

from __future__ import annotations

from collections.abc import Iterator

from gatewayd.settings.problem import Problem
from gatewayd.settings.tables import Draft, Entry

OF_A_BARRIER = (
    *("loop_input", "loop_active_means", "presence_input", "presence_active_means"),
    *("closed_limit_input", "open_limit_input", "close_relay", "stop_relay"),
    *("pulse_s", "travel_s"),
)
INSTEAD = {  # keys of a door that a barrier has no use for, and what to write
    "contact_input": "set closed_limit_input, or remove it",
    "contact_active_means": "remove it: closed_limit_input is active while the arm is down",
    "lock_input": "set closed_limit_input, or remove it",
    "lock_active_means": "remove it",
}
NEEDS = {  # key: what it is of no use without
    "open_limit_input": "closed_limit_input",
    "presence_active_means": "presence_input",
    "stop_relay": "close_relay",
    "pulse_s": "close_relay",
}


def check_barriers(draft: Draft) -> Iterator[Problem]:
    """Everything that is wrong with barriers and with readers that name them."""
    for entry in draft.of("door"):
        if entry.value("kind") == "barrier":
            yield from _barrier(draft, entry)
        else:
            yield from _no_barrier(draft, entry)
    yield from _vehicle_readers(draft)


def _no_barrier(draft: Draft, entry: Entry) -> Iterator[Problem]:
    for key in OF_A_BARRIER:
        if key in entry.raw:
            what = "counts only for a barrier"
            hint = "set kind = 'barrier', or remove it"
            yield draft.source.problem((*entry.at, key), what, hint)


def _barrier(draft: Draft, entry: Entry) -> Iterator[Problem]:
    if entry.value("loop_input") is None:
        what = "is a barrier without a loop under the arm, and could close on a vehicle"
        hint = "wire the loop's detector to an input and set loop_input to its terminal"
        yield draft.source.problem((*entry.at, "kind"), what, hint)
    for key, hint in INSTEAD.items():
        if key in entry.raw:
            yield draft.source.problem((*entry.at, key), "a barrier has none", hint)
    for key, other in NEEDS.items():
        if key in entry.raw and entry.value(other) is None:
            hint = f"set {other}, or remove it"
            yield draft.source.problem((*entry.at, key), f"is of no use without {other}", hint)
    if entry.value("close_relay") is not None and entry.value("energised_means") == "locked":
        what = "a barrier with close_relay is moved by pulses"
        yield draft.source.problem((*entry.at, "energised_means"), what, "remove it")
    yield from _times(draft, entry)


def _times(draft: Draft, entry: Entry) -> Iterator[Problem]:
    unlock, travel = entry.number("unlock_s"), entry.number("travel_s")
    warn = entry.number("pre_alarm_s")
    if unlock is None or travel is None or warn is None:
        return
    if unlock <= travel:
        what = f"unlock_s ({unlock:g}) must be more than travel_s ({travel:g})"
        hint = "the arm rises, and then the vehicle needs its time, e.g. unlock_s = 20"
        yield draft.source.problem(_place(entry, "unlock_s"), what, hint)
    elif warn < unlock + travel:
        what = f"pre_alarm_s ({warn:g}) would warn of an arm that no vehicle came to"
        hint = f"set pre_alarm_s to {unlock + travel:g} or more, and held_s above it"
        yield draft.source.problem(_place(entry, "pre_alarm_s"), what, hint)


def _vehicle_readers(draft: Draft) -> Iterator[Problem]:
    doors = {entry.id: entry for entry in draft.of("door")}
    for entry in draft.of("reader"):
        door = doors.get(entry.text("door"))
        if entry.value("vehicle") is True and door is not None and door.value("kind") != "barrier":
            what = f"{door.id!r} is no barrier"
            hint = "set kind = 'barrier' at the [[door]], or remove vehicle"
            yield draft.source.problem((*entry.at, "vehicle"), what, hint)


def _place(entry: Entry, key: str) -> tuple[str | int, ...]:
    return (*entry.at, key) if key in entry.raw else (*entry.at, "kind")
