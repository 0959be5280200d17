"""reasons.md, events.md, alarms.md: the domain's codes, events and alarms. Owns their sentences.

A code without its sentence here is a KeyError, so that none is forgotten.
"""

from __future__ import annotations

import dataclasses
import typing
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

from gatewayd.domain import events, model
from gatewayd.domain.events import EVENT_TYPES, SCHEMA_VERSION, Event, Stream
from gatewayd.domain.model import ALARM_PRIORITY, AlarmKind, Reason
from gatewayd.reference.markdown import code, first_paragraph, page, table

# What the code means, and what the guard can do.
_REASONS: dict[Reason, tuple[str, str]] = {
    Reason.GRANTED: ("Every rule passed: the door opens.", "Nothing."),
    Reason.CREDENTIAL_UNKNOWN: (
        "The list does not have this credential.",
        "Ask who it is; register a visit, or send a new resident to the office to have it added.",
    ),
    Reason.CREDENTIAL_SUSPENDED: (
        "The credential is suspended for now.",
        "Call the household or the office; they lift it at the centre.",
    ),
    Reason.CREDENTIAL_LOST: (
        "The credential was reported lost; someone else may hold it.",
        "Keep the card, check who the person is, tell the shift leader.",
    ),
    Reason.CREDENTIAL_REVOKED: (
        "The credential was taken back for good.",
        "Do not let in on this card; ask the office.",
    ),
    Reason.NOT_YET_VALID: (
        "The credential begins later; the detail says when.",
        "Call the host, or register a visit for now.",
    ),
    Reason.EXPIRED: (
        "The credential ended; the detail says when.",
        "Call the owner or the office to extend it, or register a visit.",
    ),
    Reason.NO_ACCESS_LEVEL: (
        "The person has no right to this door at any hour.",
        "Show the way to the right door, or call the host.",
    ),
    Reason.OUTSIDE_SCHEDULE: (
        "The person may pass this door, but not at this hour or on this holiday.",
        "Ask for the purpose; open with a reason if the site's rules allow it.",
    ),
    Reason.DOOR_LOCKED_DOWN: (
        "The door is in lockdown: no credential opens it.",
        "Follow the lockdown procedure; the shift leader or the centre lifts it.",
    ),
    Reason.DOOR_BLOCKED: (
        "The door is blocked: no credential opens it.",
        "Show the way to another door.",
    ),
    Reason.CLOCK_UNTRUSTED: (
        "The box does not know the time, and this right depends on it.",
        "Check the person yourself, open with a reason, report the clock fault.",
    ),
    Reason.WHITELIST_UNAVAILABLE: (
        "The list of residents can't be read, or there is none yet.",
        "Check residents yourself, open with a reason, call the installer.",
    ),
    Reason.JOURNAL_UNAVAILABLE: (
        "The decision could not be recorded in time, and this door then stays locked.",
        "Open with a reason once the person is checked; call the installer at once.",
    ),
    Reason.DEVICE_FAILED: (
        "The lock did not confirm that it moved.",
        "Open by hand or key; report the door.",
    ),
}

# What the alarm means, and the first thing to do.
_ALARMS: dict[AlarmKind, tuple[str, str]] = {
    AlarmKind.DOOR_FORCED: ("Opened with no grant and no exit request.", "Look, then go there."),
    AlarmKind.DOOR_HELD: ("Open longer than `held_s`.", "Have it closed; look who keeps it open."),
    AlarmKind.DOOR_FAILED: (
        "The lock did not do what it was told.",
        "Watch the door; call service.",
    ),
    AlarmKind.DEVICE_OFFLINE: ("A reader or board does not answer.", "Check its plug and power."),
    AlarmKind.CAMERA_OFFLINE: ("A camera gives no picture.", "Check its plug and power."),
    AlarmKind.JOURNAL_LATE: ("A grant was not on disk in time.", "Tell the installer: slow disk."),
    AlarmKind.JOURNAL_FAILED: ("Events can't be recorded.", "Write entries down; call service."),
    AlarmKind.STORAGE_LOW: ("Less free space than `low_space_mb`.", "Tell the installer."),
    AlarmKind.WHITELIST_REJECTED: (
        "An update from the centre was not genuine or not whole; the old list decides on.",
        "Tell the centre.",
    ),
    AlarmKind.COMMAND_REJECTED: (
        "A command came that was forged, repeated, too late or not allowed; nothing moved.",
        "Tell the centre; it may be an attack.",
    ),
    AlarmKind.CLOCK_JUMPED: ("The box's clock was moved or is not to be believed.", "Compare it."),
    AlarmKind.READER_FLOODED: (
        "More taps than a reader can have, and some were dropped.",
        "Look who is at the reader.",
    ),
    AlarmKind.FIRE: (
        "The fire input said fire: the escape doors are free until a person resets it.",
        "Follow the fire plan; a shift leader resets it once it is safe.",
    ),
    AlarmKind.LOCK_CONTRADICTS: (
        "The lock's own contact has said for 2 s that it did not do what it was told.",
        "Try the door, post someone; call service.",
    ),
    AlarmKind.TAMPER: ("A tamper contact at the door spoke.", "Go and look at once."),
    AlarmKind.INPUT_FAULT: (
        "A supervised input of the door, or the fire input, is shorted or cut.",
        "Send someone to the door; call service.",
    ),
}


def reasons_page() -> str:
    """Every Reason, with its meaning and the guard's next step."""
    rows = [(code(reason), *_REASONS[reason]) for reason in Reason]
    intro = (
        "Why a door opened or stayed shut, as stable codes: in the journal, on MQTT and in the "
        "API. Codes are only ever added. A denial names the first rule that failed; the decision's "
        "trace tells what every rule saw."
    )
    return page(
        "Reasons",
        "gatewayd/domain/model.py",
        intro,
        table(("code", "meaning", "what the guard can do"), rows),
    )


def alarms_page() -> str:
    """Every AlarmKind, with its priority."""
    rows = [(code(kind), str(ALARM_PRIORITY[kind]), *_ALARMS[kind]) for kind in AlarmKind]
    intro = (
        "Priorities follow ISA-18.2: `critical` is acted on at once, `high` within minutes, "
        "`medium` during the shift, `low` is for reports. An alarm is open until it is both over "
        "and acknowledged; a repeat of the same kind about the same thing is counted in the open "
        "alarm. Kinds are only ever added."
    )
    head = ("kind", "priority", "what is wrong", "what to do first")
    return page("Alarms", "gatewayd/domain/model.py", intro, table(head, rows))


def events_page() -> str:
    """Every event kind, with its fields as they are in `data`, and what the fields are made of."""
    intro = (
        f"Schema version {SCHEMA_VERSION}. What the journal records and the centre gets, in `data` "
        "of [up/evt and up/alarm](mqtt.md). Fields are only ever added, with a default; a change "
        "of meaning is a new kind. No event carries a card number, a PIN, a name or a phone number."
    )
    parts = [intro]
    for kind, event_type in EVENT_TYPES.items():
        parts += [f"## {kind}", _about(event_type), _fields(event_type)]
    parts += ["# Parts of events", "Objects and words that the fields above are made of."]
    for part in _parts():
        body = _words(part) if isinstance(part, type(Enum)) else _fields(part)
        about = first_paragraph(part.__doc__) if part.__doc__ else ""
        parts += [f"## {part.__name__}", *([about] if about else []), body]
    return page("Events", "gatewayd/domain/events.py", *parts)


def _about(event_type: type[Event]) -> str:
    alarms = (events.AlarmRaised, events.AlarmAcknowledged, events.AlarmCleared)
    stream = Stream.ALARMS if event_type in alarms else Stream.EVENTS
    about = (
        ""
        if (event_type.__doc__ or "").startswith(f"{event_type.__name__}(")
        else (first_paragraph(event_type.__doc__) + " ")
    )
    return f"{about}Stream {code(stream)}."


def _hints(of: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(of, vars(model) | vars(events))


def _fields(of: type[Any]) -> str:
    hints = _hints(of)
    rows = []
    for field in dataclasses.fields(of):
        required = field.default is dataclasses.MISSING
        default = "" if required else code(_json(field.default))
        rows.append((code(field.name), _type_name(hints[field.name]), default))
    return table(("field", "type", "default"), rows)


def _words(enum: type[Enum]) -> str:
    return " · ".join(code(str(member.value)) for member in enum)


def _json(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "[]" if value == () else f'"{value}"'


def _type_name(annotation: Any) -> str:  # noqa: ANN401  # a type, of any form
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(part) for part in arguments)
    if origin is tuple and arguments[-1] is Ellipsis:
        return f"list of {_type_name(arguments[0])}"
    if origin is tuple:
        return "[" + ", ".join(_type_name(part) for part in arguments) + "]"
    names = {str: "text", int: "integer", float: "number", bool: "true or false", NoneType: "null"}
    if annotation in names:
        return names[annotation]
    if hasattr(annotation, "__supertype__"):
        return f"text ({annotation.__name__})"
    return f"[{annotation.__name__}](#{annotation.__name__.lower()})"


def _parts() -> list[Any]:
    """The dataclasses and enums that fields of events are made of, each once, in order."""
    found: dict[Any, None] = {}
    waiting: list[Any] = list(EVENT_TYPES.values())
    while waiting:
        for annotation in _hints(waiting.pop(0)).values():
            for part in _leaves(annotation):
                is_part = dataclasses.is_dataclass(part) or isinstance(part, type(Enum))
                if is_part and part not in found:
                    found[part] = None
                    waiting += [part] if dataclasses.is_dataclass(part) else []
    return list(found)


def _leaves(annotation: Any) -> list[Any]:  # noqa: ANN401  # a type, of any form
    arguments = get_args(annotation)
    return [leaf for part in arguments for leaf in _leaves(part)] if arguments else [annotation]
