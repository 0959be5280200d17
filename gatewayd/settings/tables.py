"""From raw tables to validated ones, each on its own, so that one mistake never hides another.

Owns what pydantic's errors mean in the installer's words. Must not compare tables with each other:
`gatewayd.settings.check` does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import shorten
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from gatewayd.domain.ports import Driver, DriverKind, Registry
from gatewayd.registry import DriverLoadError
from gatewayd.settings.model import ID_PATTERN, Settings, Table
from gatewayd.settings.positions import KeyPath
from gatewayd.settings.problem import Problem, listed, nearest, suggestion
from gatewayd.settings.secrets import SECRET_NAME, redacted
from gatewayd.settings.source import Source

_Model = TypeVar("_Model", bound=BaseModel)

DEVICE_TABLES = {  # in the order in which they are built: devices on a bus after it
    "bus": DriverKind.BUS,
    "reader": DriverKind.READER,
    "controller": DriverKind.CONTROLLER,
    "camera": DriverKind.CAMERA,
}

_WANTED = {
    "string": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "is_instance_of": "a path in quotes",
    "path": "a path in quotes",
    "tuple": 'a list, as in ["a", "b"]',
    "list": 'a list, as in ["a", "b"]',
    "dict": "a table",
    "model": "a table",
}
_BOUNDS = {
    "greater_than": ("gt", "must be more than"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be less than"),
    "less_than_equal": ("le", "must be at most"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One table of the settings, right or wrong: checks read `raw` through `value`."""

    at: KeyPath
    model: type[Table]
    raw: Mapping[str, Any] = field(repr=False)
    parsed: Table | None = None
    driver: Driver | None = None
    options: Any = None

    @property
    def id(self) -> str | None:
        return self.text("id")

    def value(self, key: str) -> Any:  # noqa: ANN401  # whatever the file holds
        """What the key holds, or its default; None where it is missing."""
        if key in self.raw:
            return self.raw[key]
        default = self.model.model_fields[key].get_default()
        return default if self.model.model_fields[key].is_required() is False else None

    def text(self, key: str) -> str | None:
        value = self.value(key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        value = self.value(key)
        return value if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class Draft:
    """All tables of the settings by name, and what was wrong with each by itself."""

    source: Source
    entries: Mapping[str, tuple[Entry, ...]]
    problems: tuple[Problem, ...]

    def of(self, *tables: str) -> Iterator[Entry]:
        """The entries of these tables, in the order of the names."""
        for table in tables:
            yield from self.entries[table]

    def settings(self) -> Settings:
        """The whole, once nothing is wrong. Raises ValidationError if something still is."""
        values: dict[str, Any] = {}
        for table, (_, many) in table_models().items():
            parsed = [entry.parsed for entry in self.entries[table]]
            if many:
                values[table] = tuple(parsed)
            elif parsed:
                values[table] = parsed[0]
        return Settings.model_validate(values)


def table_models() -> dict[str, tuple[type[Table], bool]]:
    """Each table's model, and whether it is an array of tables ([[door]])."""
    found = {}
    for name, info in Settings.model_fields.items():
        parts = get_args(info.annotation) or (info.annotation,)
        model = next(part for part in parts if isinstance(part, type) and issubclass(part, Table))
        found[name] = (model, Ellipsis in parts)
    return found


def read_tables(source: Source, registry: Registry) -> Draft:
    """Every table checked by its model, and every device's options by its driver's."""
    models = table_models()
    problems = [
        source.problem((key,), "is not a table of the settings", suggestion(key, models, "known"))
        for key in source.data
        if key not in models
    ]
    entries: dict[str, tuple[Entry, ...]] = {}
    for name, (model, many) in models.items():
        found = []
        for at, raw in _raw_tables(source, name, many, problems):
            entry = _read_entry(source, registry, Entry(at, model, raw), problems)
            found.append(entry)
        entries[name] = tuple(found)
        if not found and Settings.model_fields[name].is_required() and name not in source.data:
            purpose = (model.__doc__ or "").strip().splitlines()[0]
            problems.append(source.problem((name,), f"the table [{name}] is missing", purpose))
    return Draft(source, entries, tuple(problems))


def _raw_tables(
    source: Source, name: str, many: bool, problems: list[Problem]
) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    value = source.data.get(name)
    if value is None:
        return
    if not many:
        if isinstance(value, dict):
            yield (name,), value
        else:
            problems.append(source.problem((name,), f"must be one table, written [{name}]"))
        return
    if not isinstance(value, list):
        what = f"must be a list of tables, each written [[{name}]]"
        problems.append(source.problem((name,), what))
        return
    for index, element in enumerate(value):
        if isinstance(element, dict):
            yield (name, index), element
        else:
            problems.append(source.problem((name, index), f"must be a table, written [[{name}]]"))


def _read_entry(source: Source, registry: Registry, entry: Entry, problems: list[Problem]) -> Entry:
    known: set[str] = set(entry.model.model_fields)
    driver = options = None
    if entry.at[0] in DEVICE_TABLES:
        driver = _driver_of(source, registry, entry, problems)
    if driver is not None:
        own = {key: value for key, value in entry.raw.items() if key not in known}
        known |= set(driver.options.model_fields)
        options = _options(source, driver.options, own, entry.at, known, problems)
    parsed = _validate(source, entry.model, entry.raw, entry.at, known, problems)
    return replace(entry, parsed=parsed, driver=driver, options=options)


def _driver_of(
    source: Source, registry: Registry, entry: Entry, problems: list[Problem]
) -> Driver | None:
    """The device's driver, loaded now; None with a problem where there is none."""
    name = entry.text("driver")
    if name is None:
        return None  # missing or no text: the table's model says so
    at = (*entry.at, "driver")
    table = str(entry.at[0])
    if name not in registry:
        known = _drivers_for(registry, DEVICE_TABLES[table])
        hint = suggestion(name, known, f"installed {table} drivers")
        problems.append(source.problem(at, f"there is no driver {name!r}", hint))
        return None
    try:
        driver = registry[name]
    except DriverLoadError as error:
        problems.append(source.problem(at, str(error), "reinstall the package it comes from"))
        return None
    if driver.kind is not DEVICE_TABLES[table]:
        what = f"{name!r} drives a {driver.kind}, not a {table}"
        problems.append(source.problem(at, what, f"put it into a [[{driver.kind}]] table"))
        return None
    return driver


def _drivers_for(registry: Registry, kind: DriverKind) -> list[str]:
    """The names of the drivers of a kind. All have to be loaded for it, so only a mistake asks."""
    found = []
    for name in registry:
        with suppress(DriverLoadError):
            if registry[name].kind is kind:
                found.append(name)
    return found


def _validate(
    source: Source,
    model: type[_Model],
    raw: Mapping[str, Any],
    at: KeyPath,
    known: Collection[str],
    problems: list[Problem],
) -> _Model | None:
    fields = model.model_fields
    values = {key: rooted(fields.get(key), raw[key], source.folder) for key in raw}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems.extend(_problem(source, model, at, known, details) for details in found)
        return None


def _options(
    source: Source,
    model: type[_Model],
    raw: Mapping[str, Any],
    at: KeyPath,
    known: Collection[str],
    problems: list[Problem],
) -> _Model | None:
    """A device's options. Where some keys are wrong, what the others say is still compared with
    other tables, so that a mistake there is told in the same go: the wrong ones are None then."""
    found: list[Problem] = []
    options = _validate(source, model, raw, at, known, found)
    problems.extend(found)
    if options is not None:
        return options
    wrong = {key for key in raw if any(_is_at(source, problem, (*at, key)) for problem in found)}
    rest = {key: value for key, value in raw.items() if key not in wrong}
    if not wrong:
        return None
    found = []
    options = _validate(source, model, rest, at, known, found)
    if options is None:
        if not wrong & model.model_fields.keys():  # else the lack of those may be what it is about
            problems.extend(problem for problem in found if problem not in problems)
        return None
    return options.model_copy(update=dict.fromkeys(wrong & model.model_fields.keys()))


def _is_at(source: Source, problem: Problem, at: KeyPath) -> bool:
    """Whether the problem is of that key, or of something inside it."""
    name = source.name_of(at)
    return problem.key == name or problem.key.startswith((f"{name}.", f"{name}["))


def holds_path(info: FieldInfo | None) -> bool:
    """Whether the field is a path (or None)."""
    return info is not None and is_path(info.annotation)


def is_path(annotation: Any) -> bool:  # noqa: ANN401  # a type, of any form
    """Whether a type is Path, also inside Annotated or beside None."""
    return annotation is Path or any(is_path(part) for part in get_args(annotation))


def rooted(info: FieldInfo | None, value: Any, folder: Path) -> Any:  # noqa: ANN401  # raw values
    """Text for a path field as a path, and a line that is no URL: relative to the folder of the
    settings file."""
    if not isinstance(value, str) or not value or "\0" in value:
        return value
    if holds_path(info):
        return folder / value
    if _is_line(info) and "://" not in value:
        return str(folder / value)
    return value


def _is_line(info: FieldInfo | None) -> bool:
    """Whether the driver marks the field as a line: a path or a URL."""
    extra = None if info is None else info.json_schema_extra
    return isinstance(extra, dict) and extra.get("line") is True


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where an error is: the path of keys, the model that holds the last of them, and its field."""

    path: KeyPath
    owner: type[BaseModel]
    info: FieldInfo | None


def _spot(model: type[BaseModel], where: KeyPath) -> _Spot:
    """pydantic puts the word that chose a member of a union into the path: it is no key."""
    spot, chosen = _Spot((), model, None), dict[str | int, type[BaseModel]]()
    for part in where:
        if part in chosen:
            spot, chosen = replace(spot, owner=chosen[part]), {}
        elif isinstance(part, int):
            spot = replace(spot, path=(*spot.path, part))
        else:
            info = spot.owner.model_fields.get(part)
            inner = nested_tables(info.annotation) if info is not None else []
            chosen = {word: table for table in inner if (word := word_of(table)) is not None}
            owner = inner[0] if inner and not chosen else spot.owner
            spot = _Spot((*spot.path, part), owner, info)
    return spot


def nested_tables(annotation: Any) -> list[type[Table]]:  # noqa: ANN401  # a type, of any form
    """The tables that a key's type is made of, in their order."""
    if isinstance(annotation, type) and issubclass(annotation, Table):
        return [annotation]
    return [table for part in get_args(annotation) for table in nested_tables(part)]


def word_of(table: type[Table]) -> str | None:
    """The word of its key `do` that chooses this table; None where it has no such key."""
    info = table.model_fields.get("do")
    return None if info is None else str(get_args(info.annotation)[0])


def _problem(
    source: Source,
    model: type[BaseModel],
    at: KeyPath,
    known: Collection[str],
    error: ErrorDetails,
) -> Problem:
    """One of pydantic's errors at its place, in the installer's words."""
    spot = _spot(model, error["loc"])
    where = (*at, *spot.path)
    kind, key = error["type"], str(spot.path[-1]) if spot.path else ""
    if kind == "extra_forbidden":
        keys = known if len(spot.path) == 1 else spot.owner.model_fields
        hint = nearest(key, keys) or f"known: {listed(keys)}"
        return source.problem(where, "is not a known key", hint)
    hint = spot.info.description or "" if spot.info is not None else ""
    if kind == "union_tag_invalid":
        words = str(error["ctx"]["expected_tags"]).replace("'", "").split(", ")
        tag = str(error["ctx"]["tag"])
        return source.problem((*where, "do"), _no_such_word(tag, words), nearest(tag, words))
    if kind == "literal_error" and isinstance(error["input"], str):
        words = str(error["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
        hint = nearest(error["input"], words) or hint
    return source.problem(where, _what(error), hint)


def _no_such_word(word: str, words: Collection[str]) -> str:
    return f"must be one of {listed(words)}, is {word!r}"


def _what(error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "too_short":
        return f"must have at least {context['min_length']}, has {context['actual_length']}"
    if kind == "missing":
        return "is missing"
    if kind == "union_tag_not_found":
        return "has no key 'do'"
    if kind in {"too_short", "too_long"}:
        bound = "at least" if kind == "too_short" else "at most"
        limit = context["min_length"] if kind == "too_short" else context["max_length"]
        return f"must have {bound} {limit}, has {context['actual_length']}"
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_pattern_mismatch" and context["pattern"] == ID_PATTERN:
        return f"must be an id like 'main-gate-1', is {_shown(error)}"
    if kind in _BOUNDS:
        bound, words = _BOUNDS[kind]
        return f"{words} {context[bound]}, is {_shown(error)}"
    wanted = _WANTED.get(kind.removesuffix("_type").removesuffix("_parsing"))
    if wanted:
        return f"must be {wanted}, is {_shown(error)}"
    if kind == "literal_error":
        return f"must be {context['expected']}, is {_shown(error)}"
    return f"{error['msg'][:1].lower()}{error['msg'][1:]}"


def _shown(error: ErrorDetails) -> str:
    """The wrong value as it may be seen: short, and nothing that may be a secret."""
    value = error["input"]
    if any(SECRET_NAME.search(str(part)) for part in error["loc"]):
        return "something else"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return shorten(redacted(repr(value) if isinstance(value, str) else str(value)), 60)
