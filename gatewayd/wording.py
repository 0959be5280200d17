"""Codes and facts as sentences, in the words and times of the page. Owns filling in the catalogue,
which is console/static/i18n/*.json; must not decide, and reads nothing but that catalogue.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from importlib.resources import files

from gatewayd.domain.model import Facts, PersonId, Reason, Remedy, RuleTrace

LANGUAGES = ("zh-CN", "en")
_BLANK = re.compile(r"\{(\w+)\}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# As browsers write them for en-GB: page and terminal say the same.
_MONTHS = (
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"
)  # fmt: skip


@cache
def catalogue(language: str) -> Mapping[str, str]:
    """All texts of one of `LANGUAGES`, by key."""
    folder = files("gatewayd") / "console" / "static" / "i18n"
    texts: dict[str, str] = json.loads((folder / f"{language}.json").read_text("utf-8"))
    return texts


def people_in(facts: Facts) -> set[PersonId]:
    """Whom the facts of a sentence name."""
    said = (value for fact, value in facts if fact in {"person", "people"})
    return {PersonId(id_) for value in said for id_ in value.split(", ")}


@dataclass(frozen=True, slots=True)
class Names:
    """What ids are called, each kind by id; an id that has no name stays as it is."""

    doors: Mapping[str, str] = field(default_factory=dict)
    areas: Mapping[str, str] = field(default_factory=dict)
    people: Mapping[str, str] = field(default_factory=dict, repr=False)
    levels: Mapping[str, str] = field(default_factory=dict)
    schedules: Mapping[str, str] = field(default_factory=dict)

    def put_in(self, facts: Facts) -> dict[str, str]:
        """The facts of a sentence by name, with names in the place of ids."""
        return {fact: self._named(fact, value) for fact, value in facts}

    def _named(self, fact: str, value: str) -> str:
        match fact:
            case "door" | "other_door":
                return self.doors.get(value, value)
            case "area":
                return self.areas.get(value, value)
            case "person":
                return self.people.get(value, value)
            case "people":
                return ", ".join(self.people.get(id_, id_) for id_ in value.split(", "))
            case "level" | "levels":
                return ", ".join(self.levels.get(id_, id_) for id_ in value.split(", "))
            case "schedule" | "schedules":
                return ", ".join(self.schedules.get(id_, id_) for id_ in value.split(", "))
            case _:
                return value


@dataclass(frozen=True, slots=True)
class Wording:
    """One language's sentences. `zone` is the site's own, `now_s` tells which year goes without
    saying; what a guard's page shows of the same facts is the same text."""

    language: str
    zone: tzinfo
    now_s: int
    names: Names = Names()

    def text(self, key: str, **values: object) -> str:
        """The text of a key with its blanks filled in. A key that is missing shows itself."""
        text = catalogue(self.language).get(key, key)
        return _BLANK.sub(lambda blank: str(values.get(blank[1], blank[0])), text)

    def labelled(self, label: str, text: str) -> str:
        return f"{label}{self.text('mark.colon')}{text}"

    def in_a_row(self, *parts: str) -> str:
        return self.text("mark.comma").join(parts)

    def aside(self, text: str) -> str:
        """What follows in brackets."""
        return self.text("mark.aside", text=text)

    def rule(self, line: RuleTrace) -> tuple[str, str]:
        """What a rule is called and what it saw; a line of an older journal is its own text."""
        known = catalogue(self.language)
        rule, saw = f"rule.{line.rule}", f"trace.{line.rule}.{line.saw}"
        return (
            self.text(rule) if rule in known else line.rule,
            self.text(saw, **self._filled(line.facts)) if saw in known else line.saw,
        )

    def remedy(self, remedy: Remedy) -> str:
        values = self._filled(remedy.facts)
        for kind in (value for fact, value in remedy.facts if fact == "kind"):
            values["kind"] = self.text(f"kind.{kind}")  # as it stands within a sentence
        return self.text(f"remedy.{remedy.change}", **values)

    def why(self, reason: Reason, door: str, facts: Facts = ()) -> str:
        """The reason in one sentence; `door` is the door's name."""
        return self.text(f"reason.{reason}.why", **{"door": door, **self._filled(facts)})

    def _filled(self, facts: Facts) -> dict[str, str]:
        """Names for ids, codes in words, and times written out: under the fact's own name, and
        without its unit."""
        values = self.names.put_in(facts)
        for name, value in list(values.items()):
            if name.endswith("_s"):
                values[name] = values[name.removesuffix("_s")] = self._moment_of(value)
        for name in values.keys() & {"levels", "people", "schedules"}:
            values[name] = values[name].replace(", ", self.text("mark.list"))
        for name, room in (("kind", "credential"), ("mode", "mode")):
            if name in values:
                values[name] = self.text(f"{room}.{values[name]}")
        return values

    def _moment_of(self, text: str) -> str:
        """A date that no calendar reaches stays the number that it is."""
        try:
            return self.moment(int(text))
        except (ValueError, OverflowError):
            return text

    def moment(self, wall_s: int) -> str:
        """11月20日 08:00, or 20 Nov, 08:00; with the year where it is not this one. Raises
        OverflowError for a second that no calendar has."""
        moment = _EPOCH + timedelta(seconds=wall_s)
        local = moment.astimezone(self.zone)
        year = "" if moment.year == (_EPOCH + timedelta(seconds=self.now_s)).year else local.year
        if self.language == "en":
            day = f"{local.day} {_MONTHS[local.month - 1]}" + (f" {year}" if year else "")
            return f"{day}, {local:%H:%M}"
        return (f"{year}年" if year else "") + f"{local.month}月{local.day}日 {local:%H:%M}"

    def second(self, wall_ms: int) -> str:
        """A journaled moment to the second, with the year, as other programs read it too."""
        return (
            f"{(_EPOCH + timedelta(milliseconds=wall_ms)).astimezone(self.zone):%Y-%m-%d %H:%M:%S}"
        )
