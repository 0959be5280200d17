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
from gatewayd.domain.alarm import (
    MAX_ALIKE,
    MAX_SHELF_MS,
    NEVER_SUPPRESSED,
    RETURN_NS,
    SILENT,
)
from gatewayd.domain.events import ALARM_EVENTS, EVENT_TYPES, SCHEMA_VERSION, Event, Stream
from gatewayd.domain.model import ALARM_PRIORITY, NS_PER_S, AlarmKind, Reason
from gatewayd.reference.markdown import code, first_paragraph, page, table
from gatewayd.reference.standards import ONVIF, STANDARDS

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
    Reason.TAP_TOO_OLD: (
        "The tap was good, but its turn came seconds later (a door or board that hung): who tapped "
        "may have gone. The detail says how long it waited.",
        "Have the person tap again; if it happens again, report the door.",
    ),
    Reason.ON_WATCH_LIST: (
        "The person or the credential is on the watch list; an alarm is raised.",
        "Do not open; tell the shift leader, keep your distance.",
    ),
    Reason.NO_USES_LEFT: (
        "The pass was good for so many uses, and all are used.",
        "Call the host; register the visit again if they agree.",
    ),
    Reason.PERMIT_EXPIRED: (
        "The vehicle's permit has ended; it counts at vehicle lanes, never for people on foot.",
        "Have the permit renewed at the office, or register the vehicle as a visitor's.",
    ),
    Reason.PIN_MISSING: (
        "The access point wants a PIN with the card, and none was typed.",
        "Ask for the card again, then the PIN.",
    ),
    Reason.PIN_WRONG: (
        "The PIN that was typed is not the person's.",
        "Check who it is; a forgotten PIN is set anew at the office.",
    ),
    Reason.PIN_LOCKED_OUT: (
        "Too many wrong PINs in a row: this reader compares none for a while.",
        "Look who is at the reader; check them yourself.",
    ),
    Reason.ANTI_PASSBACK: (
        "The person is in the area already, or leaves one that they are not in.",
        "Check whether someone else uses the card; then reset anti-passback for them.",
    ),
    Reason.WHEREABOUTS_UNKNOWN: (
        "It is not known where the person is, and the area admits nobody of whom that is so.",
        "Check who it is, then reset anti-passback for them.",
    ),
    Reason.AREA_FULL: (
        "As many people are in the area as may be.",
        "Let them wait until someone comes out.",
    ),
    Reason.AREA_TOO_FEW: (
        "Whoever goes in would be there with fewer than the area's `minimum`.",
        "Have them go in together with someone.",
    ),
    Reason.INTERLOCKED: (
        "Another door of the same interlock is open or unlocked; the detail says which.",
        "Have the other door closed first.",
    ),
    Reason.NO_VEHICLE: (
        "The lane's loop says that no vehicle stands there.",
        "Show people on foot to the pedestrian gate; report the loop if it is wrong.",
    ),
    Reason.ESCORT_REQUIRED: (
        "The person passes only after an escort, within the door's `escort_s`.",
        "Call whoever receives them; the escort goes first.",
    ),
    Reason.SECOND_PERSON_REQUIRED: (
        "The door opens for two people only: this one is the first, and waits for the second.",
        "The second one within `two_person_s`; alone nobody passes.",
    ),
    Reason.CARD_MISSING: (
        "A code alone is not enough: the access point wants a card.",
        "Ask for the card; check who forgot it.",
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
        "An update was not genuine or not whole, and the old list decides on; or the list in use "
        "can't be read, and taps that need what is lost are denied.",
        "Tell the centre; where residents are denied, check them yourself and call the installer.",
    ),
    AlarmKind.COMMAND_REJECTED: (
        "A command or wanted state was forged, repeated, too late or not allowed; nothing moved.",
        "Tell the centre; it may be an attack.",
    ),
    AlarmKind.CLOCK_JUMPED: ("The box's clock was moved or is not to be believed.", "Compare it."),
    AlarmKind.READER_FLOODED: (
        "More taps than a reader can have, and some were dropped.",
        "Look who is at the reader.",
    ),
    AlarmKind.DURESS: (
        "Someone is being forced: a duress PIN or card. Nothing at the gate shows or sounds it.",
        "Show nothing; call the police from elsewhere.",
    ),
    AlarmKind.FIRE: (
        "The fire input spoke; the escape doors are free until a person resets it.",
        "Call the fire brigade; see that the doors are free.",
    ),
    AlarmKind.WATCH_LIST: (
        "A person or credential of the watch list was shown.",
        "Do not let in; tell the shift leader.",
    ),
    AlarmKind.WRONG_TRIES: (
        "As many wrong PINs in a row as `wrong_tries` allows; the reader backs off.",
        "Look who is at the reader.",
    ),
    AlarmKind.ANTI_PASSBACK: (
        "Someone passed twice the same way, where the area allows it softly.",
        "Check whether another uses the card.",
    ),
    AlarmKind.AREA_OVER_LIMIT: ("More people in the area than its `maximum`.", "Hold people back."),
    AlarmKind.AREA_UNDER_MINIMUM: (
        "Fewer people in the area than its `minimum`, and not nobody.",
        "Call who is inside; go and look.",
    ),
    AlarmKind.LOCK_CONTRADICTS: (
        "The lock's own contact says otherwise than the lock was told.",
        "Try the door; call service.",
    ),
    AlarmKind.TAMPER: ("A tamper contact opened.", "Look at the picture, then go there."),
    AlarmKind.INPUT_FAULT: (
        "A supervised input's wire is cut or shorted.",
        "Watch the door; call service.",
    ),
    AlarmKind.POWER_FAILED: (
        "A device says that its supply has failed.",
        "Look after its power; it may soon be off.",
    ),
    AlarmKind.SECURE_CHANNEL: (
        "A device's secure channel was attacked or can't be made; it is out of service.",
        "Go there: someone may be at its wires. Then call service.",
    ),
    AlarmKind.NOTICE: (
        "What a [[linkage]] of the settings tells the guard, in the installer's words.",
        "Do what it says.",
    ),
}


_LIFE = """
Priorities follow ISA-18.2: `critical` is acted on at once, `high` within minutes, `medium` during
the shift, `low` is for reports. An alarm waits until someone acknowledges it, and leaves the list
once it is also over. [The design page](../design/alarms.md) has its whole life as a table. Kinds
are only ever added.
"""
_BOUNDS = f"""
## Bounds
- What is raised again within {RETURN_NS // (60 * NS_PER_S)} minutes after it was over is the same
  alarm: `alarm.repeated` with a count, at most one event a minute. Although someone took it, it
  waits anew (`alarm.reopened`), but no more than once in these minutes: six times an hour.
- Kinds that are told each time make an alarm of their own for each raise; of more than {MAX_ALIKE}
  that wait about the same thing the further ones are counted in the last, each with its event.
- An alarm is shelved for {MAX_SHELF_MS // 3_600_000} hours at most, with a reason; it comes back by
  itself, and goes if it is over meanwhile (`alarm.shelved`, `alarm.unshelved`).
- One that nobody takes is escalated once to the shift leader and once to the manager
  (`alarm.escalated`): after `[alarms] escalate_min` minutes and twice these, ten times as late
  where the priority is `medium`, never where it is `low`.
"""


def reasons_page() -> str:
    """Every Reason, with its meaning and the guard's next step."""
    rows = [
        (code(reason), *_REASONS[reason], ONVIF[reason], STANDARDS.get(reason, ""))
        for reason in Reason
    ]
    intro = (
        "Why a door opened or stayed shut, as stable codes: in the journal, on MQTT and in the "
        "API. Codes are only ever added. A denial names the first rule that failed; the decision's "
        "trace tells what every rule saw: [the rules](rules.md). ONVIF's word is the `Reason` of "
        "its event `AccessControl/Denied/Credential`; a standard is named where it asks for this."
    )
    return page(
        "Reasons",
        "gatewayd/domain/model.py",
        intro,
        table(("code", "meaning", "what the guard can do", "ONVIF", "standards"), rows),
    )


def alarms_page() -> str:
    """Every AlarmKind with its priority, and how long anything may take."""
    rows = [
        (code(kind), str(ALARM_PRIORITY[kind]), *_ALARMS[kind], _manner(kind)) for kind in AlarmKind
    ]
    head = ("kind", "priority", "what is wrong", "what to do first", "how it is told")
    return page("Alarms", "gatewayd/domain/model.py", _LIFE, table(head, rows), _BOUNDS)


def _manner(kind: AlarmKind) -> str:
    manner = ["each time, never shelved"] if kind in NEVER_SUPPRESSED else []
    manner += ["without a sound, before all others"] if kind in SILENT else []
    return "; ".join(manner)


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
    stream = Stream.ALARMS if event_type in ALARM_EVENTS else Stream.EVENTS
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
    if isinstance(value, int):
        return str(value)
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
