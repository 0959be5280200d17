"""What the demo's terminal shows: a live table, or plain lines where there is no terminal. Owns the
words for events; must not ask anybody for them.
"""

from __future__ import annotations

import sys
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from simulators.compound import SITE_ZONE
from simulators.demo_reckoning import Reckoning, decided_on

Event = dict[str, Any]

ROWS = 16  # events on the screen at once
# Counted, not listed: they say again what another line says.
QUIET = {
    *("access.outcome", "area.passed", "picture.stored", "door.unlocked", "door.locked"),
    *("door.mode_ordered", "command.done", "operator.logged_in"),
}
STYLES = {
    "access.granted": "green",
    "access.denied": "yellow",
    "alarm.raised": "bold red",
    "alarm.repeated": "red",
    "alarm.cleared": "cyan",
    "door.held_warning": "magenta",
    "fire.detected": "bold red",
    "fire.reset": "cyan",
    "door.mode_changed": "magenta",
}


def said(event: Event) -> str:
    """The event in a few words, with the ids that matter."""
    data: Mapping[str, Any] = event["data"]
    kind = str(event["kind"])
    return _of_an_order(kind, data) or _of_people(event, kind, data)


def _of_an_order(kind: str, data: Mapping[str, Any]) -> str:
    """Who ordered what, and what a door came to; empty for other events."""
    match kind:
        case "door.mode_changed":
            return f"mode     {data['mode']}, on the word of {data['cause']['kind']}"
        case "fire.detected":
            return f"FIRE     frees {', '.join(data['doors']) or 'no door'}"
        case "fire.reset":
            return f"fire     reset by {data['cause']['ref']}"
        case "command.accepted":
            return f"centre   orders {data['action']}"
        case "operator.ordered":
            return f"operator {data['operator']} orders {data['action']}"
        case _:
            return ""


def _of_people(event: Event, kind: str, data: Mapping[str, Any]) -> str:
    match kind:
        case "access.granted":
            silent = "  UNDER DURESS" if data.get("duress") else ""
            return f"granted  {data['place'] or data['person_id']}  {decided_on(event)}{silent}"
        case "access.denied":
            place = data.get("place") or data.get("person_id") or "nobody's"
            return f"denied   {place}  {decided_on(event)}: {data['reason']}"
        case "access.outcome":
            return f"lock     {data['outcome']} for event {data['decision_seq']}"
        case "door.opened":
            return "opened" if data["authorised"] else "opened without a grant"
        case "door.held_warning":
            return f"open for {data['open_s']:g} s: will be an alarm"
        case "alarm.raised":
            return f"ALARM    {data['alarm']} ({data['priority']})"
        case "alarm.repeated":
            return f"ALARM    {data['alarm']} again, {data['repeats']} times by now"
        case "alarm.cleared":
            return "alarm over"
        case _:
            return kind.partition(".")[2].replace("_", " ")


def clock_text(event: Event) -> str:
    return datetime.fromtimestamp(event["stamp"]["wall_ms"] / 1000, SITE_ZONE).strftime("%H:%M:%S")


class Screen(Protocol):
    """`with screen:` it shows what it is told."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...

    def head(self, lines: Sequence[str]) -> None:
        """Where the console is, the log-in."""

    def step(self, text: str) -> None:
        """Something that starts or ends."""

    def events(self, events: Sequence[Event]) -> None:
        """What is new at the centre."""


class PlainScreen:
    """One line for each event, for pipes and logs."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...

    def head(self, lines: Sequence[str]) -> None:
        print("\n".join(lines), flush=True)

    def step(self, text: str) -> None:
        print(f"demo: {text}", flush=True)

    def events(self, events: Sequence[Event]) -> None:
        for event in events:
            if event["kind"] not in QUIET:
                where = event["subject"]
                print(f"{clock_text(event)}  {where:14} {said(event)}", flush=True)


class LiveScreen:
    """A table that follows what happens."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._head: Sequence[str] = ()
        self._step = ""
        self._rows: deque[Event] = deque(maxlen=ROWS)
        self._counts: Counter[str] = Counter()
        self._live = Live(self._drawn(), console=self._console, auto_refresh=False)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._live.stop()

    def head(self, lines: Sequence[str]) -> None:
        self._head = lines
        self._refresh()

    def step(self, text: str) -> None:
        self._step = text
        self._refresh()

    def events(self, events: Sequence[Event]) -> None:
        self._counts.update(event["kind"] for event in events)
        self._rows.extend(event for event in events if event["kind"] not in QUIET)
        self._refresh()

    def _refresh(self) -> None:
        self._live.update(self._drawn(), refresh=True)

    def _drawn(self) -> Group:
        table = Table(expand=True, title="at the centre", title_justify="left")
        for name in ("time", "where", "what"):
            table.add_column(name, no_wrap=True)
        for event in self._rows:
            style = STYLES.get(event["kind"], "")
            table.add_row(clock_text(event), event["subject"], said(event), style=style)
        counts = self._counts
        foot = (
            f"granted {counts['access.granted']}   denied {counts['access.denied']}   "
            f"pictures {counts['picture.stored']}   alarms {counts['alarm.raised']}   "
            f"events {counts.total()}"
        )
        head = Text("\n".join((*self._head, self._step)))
        return Group(Panel(head, title="gatewayd demo"), table, Text(foot))


def make_screen() -> Screen:
    """The table on a terminal, plain lines elsewhere."""
    return LiveScreen() if sys.stdout.isatty() else PlainScreen()


def summary(reckoning: Reckoning, journaled: int, files: int, more: Iterable[str]) -> str:
    """The figures at the end, and the verdict."""
    r = reckoning
    alarms, denials = _counted(r.alarms), _counted(r.denials)
    lockdowns = "; ".join(f"{each.doors} doors in {each.took_ms:.0f} ms" for each in r.lockdowns)
    lanes = "; ".join(f"{n.name}: {n.passed} passed, {n.hits} hit by the arm" for n in r.lanes)
    latency = "no lock was released" if r.latency_ms is None else f"{r.latency_ms:.1f} ms (median)"
    rows = [
        ("taps sent", str(r.sent)),
        ("decided", f"{r.decided} (granted {r.granted}, denied {r.denied})"),
        ("denied for", denials),
        ("opened", str(r.opened)),
        ("journaled", str(journaled)),
        ("acknowledged by the centre", str(r.acknowledged)),
        ("pictures kept", f"{r.pictures} announced, {files} files"),
        ("alarms", f"{alarms}; still active: {r.open_alarms}"),
        ("fires", f"{r.fires[0]}, {r.fires[1]} of them reset by a person"),
        ("lockdown, order to last lock", lockdowns or "none was ordered"),
        ("vehicles", lanes or "none came"),
        ("card's last byte to open lock", latency),
        ("decided as the scenario says", f"{r.sent - r.unexpected} of {r.sent}"),
        ("events at the centre", f"{r.events}, {r.repeats} of them came more than once"),
    ]
    lines = ["", *(f"  {name:30} {value}" for name, value in rows), *(f"  {m}" for m in more)]
    if r.faults:
        lines += [
            "",
            "NOT every tap is accounted for as it should be:",
            *(f"  {fault}" for fault in r.faults),
        ]
    else:
        lines += ["", "Every tap that was sent is at the centre, exactly once."]
    return "\n".join(lines)


def _counted(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "none"
