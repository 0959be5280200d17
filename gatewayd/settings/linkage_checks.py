"""What must hold of the linkages: that they ask for and act on what there is, and come to an end.

Owns their checks; the rule of the loops is `gatewayd.domain.linkage`. As `gatewayd.settings.check`
it reads the raw values that make sense and passes over those that don't.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gatewayd.domain.events import ALARM_EVENTS, EVENT_TYPES, AccessDenied
from gatewayd.domain.linkage import Linkage, loops, silent
from gatewayd.domain.model import AlarmKind, Reason
from gatewayd.settings.bind import domain_linkage
from gatewayd.settings.check import DOOR_RELAYS, RESERVED_IDS, refers
from gatewayd.settings.model import LinkageSettings
from gatewayd.settings.problem import Problem, listed, nearest, suggestion
from gatewayd.settings.tables import DEVICE_TABLES, Draft, Entry

MAX_LINKAGES = 64  # each is asked of every event; past this a site needs another tool
# Subjects of events that are no ids of this file.
PARTS = frozenset({*RESERVED_IDS, "journal", "clock", "storage", "console", "cameras"})
# Their subjects are people, and doors or "*" as the centre writes them.
_OTHER_SUBJECTS = ("operator.", "command.")
_ALARM_KINDS = {event.KIND for event in ALARM_EVENTS}


def check_linkages(draft: Draft) -> list[Problem]:
    """Everything that is wrong with the [[linkage]] tables beyond each one's own form."""
    return [problem for check in _CHECKS for problem in check(draft)]


def _not_too_many(draft: Draft) -> Iterator[Problem]:
    for entry in list(draft.of("linkage"))[MAX_LINKAGES:]:
        what = f"there are more than {MAX_LINKAGES} linkages"
        yield draft.source.problem(entry.at, what, "remove some")


def _events(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("linkage"):
        kind = entry.text("when")
        if kind is None:
            continue
        if kind not in EVENT_TYPES:
            hint = nearest(kind, EVENT_TYPES) or "docs/reference/events.md has them all"
            what = f"there is no event of the kind {kind!r}"
            yield draft.source.problem((*entry.at, "when"), what, hint)
            continue
        yield from _word(draft, entry, "alarm", AlarmKind, _ALARM_KINDS)
        yield from _word(draft, entry, "reason", Reason, {AccessDenied.KIND})
        yield from _subject(draft, entry, kind)


def _word(
    draft: Draft, entry: Entry, key: str, words: Iterable[str], kinds: set[str]
) -> Iterator[Problem]:
    """A filter of one sort of events, with a word that there is."""
    word, at = entry.text(key), (*entry.at, key)
    if word is None:
        return
    known = [str(one) for one in words]
    if word not in known:
        hint = nearest(word, known) or f"known: {listed(known)}"
        yield draft.source.problem(at, f"there is no {key} {word!r}", hint)
    if entry.text("when") not in kinds:
        what = f"{entry.text('when')!r} has no {key}"
        yield draft.source.problem(at, what, f"only these have: {listed(kinds)}")


def _subject(draft: Draft, entry: Entry, kind: str) -> Iterator[Problem]:
    about = entry.text("about")
    if about is None or kind.startswith(_OTHER_SUBJECTS):
        return
    known = {e.id for e in draft.of("door", "linkage", *DEVICE_TABLES) if e.id is not None}
    if about not in known | PARTS:
        what = f"nothing here has the id {about!r}"
        hint = nearest(about, known | PARTS) or suggestion(about, PARTS, "parts of the box")
        yield draft.source.problem((*entry.at, "about"), what, hint)


def _references(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("linkage"):
        state = entry.value("if_mode")
        if isinstance(state, dict):
            yield from refers(draft, entry, "door", state.get("door"), ("if_mode", "door"))
        for index, action in _actions(entry):
            for table in ("door", "controller", "camera", "reader"):
                yield from refers(draft, entry, table, action.get(table), ("then", index, table))


def _actions(entry: Entry) -> Iterator[tuple[int, dict[str, Any]]]:
    then = entry.value("then")
    for index, action in enumerate(then if isinstance(then, list) else ()):
        if isinstance(action, dict):
            yield index, action


def _relays(draft: Draft) -> Iterator[Problem]:
    taken = {
        (door.text("controller"), door.number(key)): (*door.at, key)
        for door in draft.of("door")
        for key in DOOR_RELAYS
    }
    boards = {entry.id: entry for entry in draft.of("controller")}
    for entry in draft.of("linkage"):
        for index, action in _actions(entry):
            board, relay = action.get("controller"), action.get("relay")
            if not isinstance(board, str) or not isinstance(relay, int):
                continue
            at = (*entry.at, "then", index, "relay")
            if (board, relay) in taken:
                name = draft.source.name_of(taken[board, relay])
                what = f"relay {relay} of {board!r} is taken by {name}"
                hint = "a door is moved by do = 'unlock' or do = 'mode', never past its rules"
                yield draft.source.problem(at, what, hint)
            count = getattr(boards[board].options, "relays", None) if board in boards else None
            if isinstance(count, int) and relay > count:
                what = f"{board!r} has {count} relays, and this is {relay}"
                hint = "set relays of the [[controller]] if the board has more"
                yield draft.source.problem(at, what, hint)


def _signs(draft: Draft) -> Iterator[Problem]:
    """A reader that is to show something must have what to show it with."""
    signed = {e.id: e.driver.signs for e in draft.of("reader") if e.driver is not None}
    for entry in draft.of("linkage"):
        for index, action in _actions(entry):
            if action.get("do") == "reader" and not signed.get(action.get("reader"), True):
                at = (*entry.at, "then", index, "reader")
                what = f"the driver of {action['reader']!r} moves no light, buzzer or display"
                hint = "wire a lamp or a buzzer to a relay, and use do = 'relay'"
                yield draft.source.problem(at, what, hint)


_FREE_MODES = {"Unlocked", "LockedOpen"}


def _denials(draft: Draft) -> Iterator[Problem]:
    """Who was denied must not be let in by a rule beside the rules."""
    for entry in draft.of("linkage"):
        if entry.text("when") != AccessDenied.KIND:
            continue
        for index, action in _actions(entry):
            if action.get("do") == "unlock" or action.get("mode") in _FREE_MODES:
                what = "would open a door for whoever was denied"
                hint = "give them an access level or a schedule; a notice tells the guard"
                yield draft.source.problem((*entry.at, "then", index, "do"), what, hint)


_TELL_TALES = {
    "reader": (
        "whoever stands at the reader must not learn of a silent alarm",
        "remove it; a relay may drive a silent line elsewhere",
    ),
    "notice": (
        "a notice sounds at the console, which the gate may hear, and the alarm is silent",
        "remove it: the alarm itself stands first in the list",
    ),
}


def _silent_alarms(draft: Draft) -> Iterator[Problem]:
    linkages = {entry.id: linkage for entry in draft.of("linkage") if (linkage := _whole(entry))}
    quiet = silent(list(linkages.values()))
    for entry in draft.of("linkage"):
        for index, action in _actions(entry):
            do = action.get("do")
            if entry.id in quiet and do in _TELL_TALES:
                yield draft.source.problem((*entry.at, "then", index, "do"), *_TELL_TALES[do])


def _lockdowns(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("linkage"):
        for index, action in _actions(entry):
            if action.get("mode") == "LockedDown" and "for_s" in action:
                what = "a lockdown has no end of its own: a person lifts it"
                hint = "remove for_s, or use mode = 'Blocked'"
                yield draft.source.problem((*entry.at, "then", index, "for_s"), what, hint)


def _loops(draft: Draft) -> Iterator[Problem]:
    linkages = {entry.id: linkage for entry in draft.of("linkage") if (linkage := _whole(entry))}
    found = {loop[0]: loop for loop in loops(list(linkages.values()))}
    for entry in draft.of("linkage"):
        loop = found.pop(entry.id or "", None)
        if loop is not None:
            what = f"would set itself off for ever: {' → '.join(loop)}"
            hint = "what it does may cause what it waits for: ask for less with about or alarm"
            yield draft.source.problem(entry.at, what, hint)


def _whole(entry: Entry) -> Linkage | None:
    """The linkage as it would run; None where it is told already why it would not."""
    if not isinstance(entry.parsed, LinkageSettings):
        return None
    try:
        return domain_linkage(entry.parsed)
    except ValueError:
        return None


_CHECKS: tuple[Callable[[Draft], Iterable[Problem]], ...] = (
    _not_too_many,
    _events,
    _references,
    _relays,
    _signs,
    _denials,
    _silent_alarms,
    _lockdowns,
    _loops,
)
