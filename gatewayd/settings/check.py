"""What must hold between the tables of the settings. Owns the cross-checks; touches no device.

Each check reads the raw values that make sense and passes over those that don't: what is wrong
with one table by itself is said already, and must not hide what is wrong between two.
"""

from __future__ import annotations

import ipaddress
import zoneinfo
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from gatewayd.settings.barrier_checks import check_barriers
from gatewayd.settings.check_rules import check_rules
from gatewayd.settings.problem import Problem, nearest, suggestion
from gatewayd.settings.secrets import has_password
from gatewayd.settings.tables import DEVICE_TABLES, Draft, Entry

# Subjects of the journal that are not devices: an id like these could not be told from them.
RESERVED_IDS = ("system", "link", "whitelist", "fire")

DOOR_RELAYS = ("relay", "close_relay", "stop_relay")
DOOR_INPUTS = (
    *("contact_input", "exit_input", "lock_input", "tamper_input"),
    *("loop_input", "presence_input", "open_limit_input", "closed_limit_input"),
)


def check_draft(draft: Draft) -> list[Problem]:
    """Everything that is wrong between the tables; files are `gatewayd.settings.files`'s."""
    return [problem for check in _CHECKS for problem in check(draft)]


def _ids(draft: Draft) -> Iterator[Problem]:
    seen: dict[str, Entry] = {}
    for entry in draft.of("area", "door", "interlock", *DEVICE_TABLES, "linkage"):
        if entry.id is None:
            continue
        at = (*entry.at, "id")
        if entry.id in RESERVED_IDS:
            yield draft.source.problem(
                at,
                f"{entry.id!r} is a word of the journal's own",
                "name it otherwise, e.g. with a number",
            )
        if entry.id in seen:
            what = f"the id {entry.id!r} is taken by {_place(draft, seen[entry.id])}"
            yield draft.source.problem(at, what, "ids are unique across all tables")
        seen.setdefault(entry.id, entry)


def _references(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("door", "fire"):
        yield from refers(draft, entry, "controller", entry.value("controller"))
    for entry in draft.of("reader"):
        yield from refers(draft, entry, "door", entry.value("door"))
        for index, camera in enumerate(_listed(entry, "cameras")):
            yield from refers(draft, entry, "camera", camera, ("cameras", index))
    for entry in draft.of("interlock"):
        for index, door in enumerate(_listed(entry, "doors")):
            yield from refers(draft, entry, "door", door, ("doors", index))


def _listed(entry: Entry, key: str) -> list[Any]:
    value = entry.value(key)
    return value if isinstance(value, list) else []


def refers(
    draft: Draft, entry: Entry, table: str, wanted: object, key: tuple[str | int, ...] = ()
) -> Iterator[Problem]:
    """A problem where `wanted` is no id of a [[`table`]]; `key` leads to it within the entry."""
    known = {other.id for other in draft.of(table) if other.id is not None}
    if isinstance(wanted, str) and wanted not in known:
        hint = suggestion(wanted, known, f"[[{table}]] ids")
        what = f"there is no [[{table}]] with the id {wanted!r}"
        yield draft.source.problem((*entry.at, *(key or (table,))), what, hint)


def _buses(draft: Draft) -> Iterator[Problem]:
    """A device that shares a line names a [[bus]] of the right driver."""
    buses = {entry.id: entry for entry in draft.of("bus")}
    for entry in draft.of("reader", "controller"):
        if entry.driver is None or entry.driver.bus is None:
            continue
        wanted = entry.raw.get("bus")
        yield from refers(draft, entry, "bus", wanted)
        bus = buses.get(wanted) if isinstance(wanted, str) else None
        if bus is not None and bus.text("driver") != entry.driver.bus:
            what = f"{wanted!r} is no bus of the driver {entry.driver.bus!r}"
            hint = f"name a [[bus]] with driver = {entry.driver.bus!r}"
            yield draft.source.problem((*entry.at, "bus"), what, hint)


def _parts_of_one_device(draft: Draft) -> Iterator[Problem]:
    """A reader and a board may be one device: then they say the same of it."""
    seen: dict[str, tuple[Entry, object]] = {}
    for entry in draft.of("reader", "controller"):
        if entry.driver is None or entry.options is None:
            continue
        alike = entry.driver.alike_of(entry.options)
        if alike is None:
            continue
        device, said = alike
        first, expected = seen.setdefault(device, (entry, said))
        if said != expected:
            what = f"is the same device as {_place(draft, first)}, and says otherwise of it"
            hint = "key_file, clear_text and check must be the same for both"
            yield draft.source.problem(entry.at, what, hint)


def _signs(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("reader"):
        signs, driver = entry.raw.get("signs"), entry.driver
        if signs is None or driver is None:
            continue
        if not driver.signs:
            what = f"the driver {driver.name!r} moves no light, buzzer or display"
            yield draft.source.problem((*entry.at, "signs"), what, "remove it")
            continue
        for name, sign in signs.items() if isinstance(signs, dict) else ():
            text = sign.get("text") if isinstance(sign, dict) else None
            if isinstance(text, str) and not driver.shows(text):
                at = (*entry.at, "signs", name, "text")
                what = f"the display of {driver.name!r} can't show {text!r}"
                yield draft.source.problem(at, what, "write it in English letters, or leave it out")


def _keypads(draft: Draft) -> Iterator[Problem]:
    """Nobody gets in where a PIN is asked for that nobody can type."""
    for entry in draft.of("reader"):
        if entry.value("verification") == "card" or entry.driver is None or entry.driver.keypad:
            continue
        at = (*entry.at, "verification" if "verification" in entry.raw else "driver")
        what = f"the driver {entry.driver.name!r} has no keypad, so nobody can type a PIN"
        yield draft.source.problem(at, what, "use a reader with a keypad, or verification = 'card'")


def _areas(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("area"):
        least, most = entry.number("minimum"), entry.number("maximum")
        if least is not None and most is not None and least > most:
            what = f"minimum ({least:g}) is more than maximum ({most:g})"
            yield draft.source.problem((*entry.at, "minimum"), what, "nobody could be in there")
        if entry.value("shortfall") == "deny":
            yield from _nobody_first(draft, entry, least)


_ENTERS = (("in", "inside"), ("out", "outside"))  # which of a door's areas each direction enters


def _nobody_first(draft: Draft, area: Entry, least: float | None) -> Iterator[Problem]:
    """An empty area that lets in only who would be with enough others opens for two at once."""
    at = (*area.at, "shortfall")
    if least is None:
        yield draft.source.problem(at, "the area has no minimum", "set minimum, or remove it")
        return
    doors_for_two = (d for d in draft.of("door") if (d.number("two_person_s") or 0) > 0)
    leads_in = {
        (door.id, way)
        for door in doors_for_two
        for way, key in _ENTERS
        if door.text(key) == area.id
    }
    for_two = any((r.text("door"), r.text("direction")) in leads_in for r in draft.of("reader"))
    if least > 2 or not for_two:
        what = f"nobody could ever be the first in there: {least:g} must be, and no door lets them"
        hint = (
            "minimum = 2, and a reader into it at a door with two_person_s; or shortfall = 'warn'"
        )
        yield draft.source.problem(at, what, hint)


def _doors_without_reader(draft: Draft) -> Iterator[Problem]:
    named = {entry.text("door") for entry in draft.of("reader")}
    for entry in draft.of("door"):
        if entry.id is not None and entry.id not in named:
            hint = f'add a [[reader]] with door = "{entry.id}"'
            yield draft.source.problem(entry.at, "no reader names this door", hint)


def _terminals(draft: Draft) -> Iterator[Problem]:
    yield from _taken_twice(draft, "relay", DOOR_RELAYS)
    yield from _taken_twice(draft, "input", (*DOOR_INPUTS, "input"))


def _taken_twice(draft: Draft, what: str, keys: Iterable[str]) -> Iterator[Problem]:
    seen: dict[tuple[str, float], str] = {}
    for entry in draft.of("door", "fire"):
        controller = entry.text("controller")
        for key in keys:
            number = entry.number(key) if key in entry.model.model_fields else None
            if controller is None or number is None:
                continue
            name = draft.source.name_of((*entry.at, key))
            first = seen.setdefault((controller, number), name)
            if first != name:
                text = f"{what} {number:g} of {controller!r} is taken by {first}"
                yield draft.source.problem((*entry.at, key), text, "one terminal, one use")


def _terminals_on_the_board(draft: Draft) -> Iterator[Problem]:
    """A controller driver may say in its options how many `relays` and `inputs` its board has."""
    boards = {entry.id: entry for entry in draft.of("controller")}
    totals = dict.fromkeys(DOOR_RELAYS, "relays")
    totals |= dict.fromkeys((*DOOR_INPUTS, "input"), "inputs")
    for entry in draft.of("door", "fire"):
        board = boards.get(entry.text("controller"))
        for key, total in totals.items():
            if board is None or key not in entry.model.model_fields:
                continue
            count = getattr(board.options, total, None)
            number = entry.number(key)
            if isinstance(count, int) and number is not None and number > count:
                what = f"{entry.text('controller')!r} has {count} {total}, and this is {number:g}"
                hint = f"set {total} of the [[controller]] if the board has more"
                if total not in type(board.options).model_fields:
                    hint = f"boards of the driver {board.text('driver')!r} have no more"
                yield draft.source.problem((*entry.at, key), what, hint)


def _timings(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("door"):
        warn, held = entry.number("pre_alarm_s"), entry.number("held_s")
        if warn is not None and held is not None and warn >= held:
            key = "pre_alarm_s" if "pre_alarm_s" in entry.raw else "held_s"
            what = f"pre_alarm_s ({warn:g}) must be less than held_s ({held:g})"
            yield draft.source.problem((*entry.at, key), what, "the warning comes first")


def _interlocks(draft: Draft) -> Iterator[Problem]:
    doors = {entry.id: entry for entry in draft.of("door")}
    for entry in draft.of("interlock"):
        named = _listed(entry, "doors")
        for index, name in enumerate(named):
            at = (*entry.at, "doors", index)
            if name in named[:index]:
                yield draft.source.problem(at, f"{name!r} is named twice", "name each door once")
            door = doors.get(name)
            if door is None:
                continue
            contact = "closed_limit_input" if door.value("kind") == "barrier" else "contact_input"
            if entry.value("rule") == "one-open" and door.value(contact) is None:
                hint = f"wire a contact and set {contact}, or set rule = 'one-unlocked'"
                what = f"whether {name!r} is open can't be told: it has no contact"
                yield draft.source.problem(at, what, hint)
            if door.value("unlock_schedule") is not None:
                what = f"{name!r} is unlocked by a schedule, which an interlock does not allow"
                hint = "remove unlock_schedule of the door, or the door from here"
                yield draft.source.problem(at, what, hint)


def _escape(draft: Draft) -> Iterator[Problem]:
    """What would keep somebody in, or would free no door."""
    for entry in draft.of("door"):
        if entry.value("escape") is True and entry.value("exit_heeds_interlock") is True:
            at = (*entry.at, "exit_heeds_interlock")
            what = "the exit button of an escape door must always open it"
            yield draft.source.problem(at, what, "remove it, or escape = true")
    escapes = any(entry.value("escape") is True for entry in draft.of("door"))
    for entry in draft.of("fire"):
        if not escapes:
            hint = "set escape = true at each [[door]] on an escape route"
            yield draft.source.problem(entry.at, "the fire input frees no door", hint)


def _hours(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("door"):
        if entry.value("first_person") is True and entry.value("unlock_schedule") is None:
            at, hint = (*entry.at, "first_person"), "set unlock_schedule beside it"
            yield draft.source.problem(at, "is of no use alone", hint)


def _ports(draft: Draft) -> Iterator[Problem]:
    seen: dict[str, Entry] = {}
    for entry in draft.of(*DEVICE_TABLES):
        if entry.driver is None or entry.options is None:
            continue
        port = entry.driver.port_of(entry.options)
        if port is None:
            continue
        # /dev/serial/by-id/… and /dev/ttyUSB0 may be the same plug.
        real = str(Path(port).resolve()) if port.startswith("/") else port
        first = seen.setdefault(real, entry)
        if first is not entry:
            same = port if port == real else f"{port} (that is {real})"
            bus = entry.driver.bus is not None and entry.options.bus is not None
            what = f"{'the place' if bus else 'the port'} {same} is taken by {_place(draft, first)}"
            hint = "each device on a bus has its own address" if bus else "one port, one driver"
            yield draft.source.problem(_key_of_port(entry, port), what, hint)


def _key_of_port(entry: Entry, port: str) -> tuple[str | int, ...]:
    """The key that holds the port's name, so that the problem stands on its line."""
    key = next((key for key, value in entry.raw.items() if value == port), None)
    return entry.at if key is None else (*entry.at, key)


def _time_zone(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("site"):
        name = entry.text("time_zone")
        if name is None:
            continue
        try:
            zoneinfo.ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            hint = (
                nearest(name, zoneinfo.available_timezones()) or "write for example 'Asia/Shanghai'"
            )
            yield draft.source.problem(
                (*entry.at, "time_zone"), f"unknown time zone {name!r}", hint
            )


def _console(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("console"):
        host = entry.text("host")
        open_ok = entry.value("allow_plain_http") is True
        if host is None or open_ok or _is_loopback(host) or entry.value("certificate_file"):
            continue
        hint = "set certificate_file and key_file, or allow_plain_http = true"
        what = f"{host!r} serves other machines, and there is no certificate"
        key = "host" if "host" in entry.raw else "certificate_file"
        yield draft.source.problem((*entry.at, key), what, hint)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _link(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("link"):
        if entry.value("password_file") is not None and entry.value("username") is None:
            hint = "set username beside it"
            yield draft.source.problem((*entry.at, "password_file"), "is of no use alone", hint)
        for key in ("ca_file", "certificate_file", "key_file"):
            if entry.value("tls") is False and entry.value(key) is not None:
                hint = "remove one of the two"
                what = "is set, but tls = false would not use it"
                yield draft.source.problem((*entry.at, key), what, hint)


def _passwords(draft: Draft) -> Iterator[Problem]:
    """A password inside the settings file makes the file itself a secret."""
    try:
        others_read = draft.source.path.stat().st_mode & 0o077
    except OSError:
        return
    for entry in draft.of("link", "console", *DEVICE_TABLES):
        for key, value in entry.raw.items():
            at = (*entry.at, key)
            if others_read and isinstance(value, str) and has_password(value):
                hint = f"move it to a password_file, or run: chmod 600 {draft.source.path}"
                what = "holds a password, and others can read this file"
                if at not in draft.source.flags:
                    yield draft.source.problem(at, what, hint)


def _place(draft: Draft, entry: Entry) -> str:
    line = draft.source.lines.get(entry.at)
    return f"[[{entry.at[0]}]] {entry.id or ''}".strip() + (f" at line {line}" if line else "")


_CHECKS: tuple[Callable[[Draft], Iterable[Problem]], ...] = (
    _ids,
    _references,
    _buses,
    _parts_of_one_device,
    _signs,
    _keypads,
    _areas,
    _doors_without_reader,
    _terminals,
    _terminals_on_the_board,
    _timings,
    _interlocks,
    _escape,
    _hours,
    _ports,
    _time_zone,
    _console,
    _link,
    _passwords,
    check_rules,
    check_barriers,
)
