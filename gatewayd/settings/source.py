"""The settings as they are written: the file's text, and what `--set` changed in it.

Owns where each value came from. Must not know which tables there are: `gatewayd.settings.tables`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatewayd.settings.positions import KeyPath, locate
from gatewayd.settings.problem import Problem, SettingsError, suggestion

# A compound of a thousand doors takes some 300 KB; past this it is some other file.
MAX_FILE_BYTES = 4 * 1024 * 1024
_TOML_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")

_KEY_LINE = re.compile(r"[ \t]*([\w.\"'-]+)[ \t]*=")


@dataclass(frozen=True, slots=True)
class Source:
    """Parsed values with their places. `flags` holds the `--set` that made a value, by path."""

    path: Path
    data: dict[str, Any] = field(repr=False)
    lines: dict[KeyPath, int]
    flags: dict[KeyPath, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """What relative paths in the settings are relative to."""
        return self.path.absolute().parent

    def name_of(self, at: KeyPath) -> str:
        """The path dotted, an element of an array of tables by its id where it has one."""
        name = ""
        value: Any = self.data
        for part in at:
            value = _step(value, part)
            if isinstance(part, int):
                own_id = value.get("id") if isinstance(value, dict) else None
                name += f".{own_id}" if isinstance(own_id, str) and own_id else f"[{part + 1}]"
            else:
                name += f".{part}"
        return name.removeprefix(".")

    def problem(self, at: KeyPath, what: str, hint: str = "") -> Problem:
        """The problem at its line, or at that of the table that should hold it."""
        for end in range(len(at), 0, -1):
            if at[:end] in self.flags:
                return Problem(self.flags[at[:end]], None, self.name_of(at), what, hint)
            if at[:end] in self.lines:
                line = self.lines[at[:end]]
                return Problem(str(self.path), line, self.name_of(at), what, hint)
        return Problem(str(self.path), 1, self.name_of(at), what, hint)


def read_source(path: Path, overrides: Sequence[str] = ()) -> Source:
    """The file parsed and changed by the overrides. Raises SettingsError where it can't be."""
    source = _parse(path, _read_text(path))
    problems = [problem for text in overrides for problem in _override(source, text)]
    if problems:
        raise SettingsError(problems)
    return source


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        hint = "name the settings file with --config"
        raise SettingsError(
            [Problem(str(path), None, "", f"can't be read: {error.strerror}", hint)]
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        what = f"is larger than {MAX_FILE_BYTES} bytes: not a settings file"
        raise SettingsError([Problem(str(path), None, "", what)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        problem = Problem(str(path), line, "", "is not UTF-8 text", "save the file as UTF-8")
        raise SettingsError([problem]) from error


def _parse(path: Path, text: str) -> Source:
    try:
        return Source(path, tomllib.loads(text), locate(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([_syntax_problem(path, text, str(error))]) from error
    except RecursionError as error:
        problem = Problem(str(path), None, "", "is nested too deeply to be settings")
        raise SettingsError([problem]) from error


def _syntax_problem(path: Path, text: str, message: str) -> Problem:
    """tomllib stops at the first mistake of syntax; what it says, at the place it says."""
    place = _TOML_PLACE.search(message)
    line = text.rstrip("\n").count("\n") + 1
    what = f"is not TOML: {_TOML_PLACE.sub('', message)}"
    if place and place["line"]:
        line = int(place["line"])
        if message.startswith("Cannot overwrite a value"):
            twice = _twice(path, text.split("\n"), line)
            if twice is not None:
                return twice
        what = f"is not TOML at column {place['column']}: {_TOML_PLACE.sub('', message)}"
    hint = 'text stands in quotes, as in key = "text"; the rest is checked once this is right'
    return Problem(str(path), line, "", what, hint)


def _twice(path: Path, lines: Sequence[str], end: int) -> Problem | None:
    """The key whose value ends at the line `end`, and where its table had it before."""
    found: tuple[str, int] | None = None
    for number in range(end, 0, -1):
        if found is not None and lines[number - 1].lstrip().startswith("["):
            break
        key = _KEY_LINE.match(lines[number - 1])
        if key and found is None:
            found = key[1], number
        elif key and found is not None and key[1] == found[0]:
            what = f"stands in this table twice, first in line {number}"
            return Problem(str(path), found[1], found[0], what, "leave one of the two")
    return None


# ------------------------------------------------------------------------------ overrides


def _override(source: Source, text: str) -> list[Problem]:
    """Put one `TABLE.KEY=VALUE` into the data; the value itself is judged with all others."""
    name, equals, value = text.partition("=")
    name = name.strip()
    flag = f"--set {name}"
    parts = name.split(".")
    if not equals or len(parts) < 2 or not all(parts):
        what = "is not of the form TABLE.KEY=VALUE"
        example = "--set console.port=8081 or --set reader.main-gate-in.port=/dev/ttyUSB0"
        return [Problem(flag, None, "", what, f"write for example {example}")]
    place: Any = source.data
    at: KeyPath = ()
    for part in parts[:-1]:
        key = _key_of(place, part)
        if key is None:
            known = [str(e["id"]) for e in place if isinstance(e, dict) and "id" in e]
            what = f"there is no [[{parts[0]}]] with the id {part!r}"
            return [Problem(flag, None, name, what, suggestion(part, known, "there are"))]
        at = (*at, key)
        if isinstance(place, dict) and key not in place:
            place[key] = {}
            source.flags[at] = flag
        place = _step(place, key)
    if not isinstance(place, dict):
        what = f"{'.'.join(parts[:-1])} is not a table that could hold {parts[-1]!r}"
        return [Problem(flag, None, name, what, "an element of a list is named by its id")]
    place[parts[-1]] = _value_of(value)
    source.flags[(*at, parts[-1])] = flag
    return []


def _key_of(place: object, part: str) -> str | int | None:
    """How `part` leads on from `place`: the key itself, or the index of the element of that id."""
    if not isinstance(place, list):
        return part
    for index, element in enumerate(place):
        if isinstance(element, dict) and element.get("id") == part:
            return index
    return None


def _step(value: Any, part: str | int) -> Any:  # noqa: ANN401  # whatever the file holds
    if isinstance(value, dict):
        return value.get(str(part)) if isinstance(part, str) else None
    if isinstance(value, list) and isinstance(part, int) and part < len(value):
        return value[part]
    return None


def _value_of(text: str) -> Any:  # noqa: ANN401  # any TOML value
    """The text as a TOML value where it is one, else as it stands: paths need no quotes."""
    try:
        parsed = tomllib.loads(f"value = {text}\n")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if parsed.keys() == {"value"} else text
