"""What must hold between areas, doors and readers for the rules to make sense. Owns these checks.

Like `gatewayd.settings.check`: passes over what makes no sense by itself, which is said already.
"""

from __future__ import annotations

from collections.abc import Iterator

from gatewayd.settings.problem import Problem, suggestion
from gatewayd.settings.tables import Draft, Entry

MIN_PIN_KEY = 16  # characters; fewer could be tried out by whoever has stolen a list


def check_rules(draft: Draft) -> Iterator[Problem]:
    """Everything that is wrong between areas, doors and readers."""
    yield from _areas_of_doors(draft)
    yield from _forgiving(draft)
    yield from _pins(draft)


def _areas_of_doors(draft: Draft) -> Iterator[Problem]:
    known = {entry.id for entry in draft.of("area") if entry.id is not None}
    for entry in draft.of("door"):
        sides = {key: entry.text(key) for key in ("inside", "outside")}
        for key, area in sides.items():
            if area is not None and area not in known:
                hint = suggestion(area, known, "[[area]] ids")
                what = f"there is no [[area]] with the id {area!r}"
                yield draft.source.problem((*entry.at, key), what, hint)
        if sides["inside"] is not None and sides["inside"] == sides["outside"]:
            what = "leads from an area into the same one"
            yield draft.source.problem((*entry.at, "outside"), what, "name two areas, or one")


def _forgiving(draft: Draft) -> Iterator[Problem]:
    for entry in draft.of("area"):
        timed = entry.value("anti_passback") == "timed"
        given = entry.value("forgive_min") is not None
        if timed and not given:
            at, hint = (*entry.at, "anti_passback"), "set forgive_min, e.g. 30"
            yield draft.source.problem(at, "'timed' needs a time after which it forgives", hint)
        if given and not timed:
            at, hint = (*entry.at, "forgive_min"), "set anti_passback = 'timed', or remove it"
            yield draft.source.problem(at, "counts only with anti_passback = 'timed'", hint)


def _pins(draft: Draft) -> Iterator[Problem]:
    keyed = any(entry.value("pin_key_file") is not None for entry in draft.of("site"))
    for entry in draft.of("reader"):
        verification = entry.value("verification")
        if verification != "card" and not keyed:
            what = "asks for PINs, and the site has no key for them"
            hint = "set [site] pin_key_file to a file with the key that the centre uses as well"
            yield draft.source.problem(_key(entry, "verification"), what, hint)
        if entry.value("pin_schedule") is not None and verification != "card-and-pin":
            what = "counts only with verification = 'card-and-pin'"
            yield draft.source.problem(_key(entry, "pin_schedule"), what, "remove it, or set that")


def _key(entry: Entry, key: str) -> tuple[str | int, ...]:
    return (*entry.at, key) if key in entry.raw else entry.at
