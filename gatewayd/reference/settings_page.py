"""docs/reference/settings.md: every table and key, with the drivers' options. Owns its wording."""

from __future__ import annotations

import json
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from gatewayd.domain.ports import Driver, Registry
from gatewayd.reference.markdown import code, first_paragraph, page, table
from gatewayd.settings.model import ID_PATTERN, Settings
from gatewayd.settings.secrets import is_secret_field
from gatewayd.settings.tables import (
    DEVICE_TABLES,
    holds_path,
    nested_tables,
    table_models,
    word_of,
)

_INTRO = """
The settings are one TOML file, by default `/etc/gatewayd/gatewayd.toml`.
`gatewayd check-config` says all that is wrong with it;
[the example](../../config/gatewayd.example.toml) shows a whole site, and
[the JSON Schema](../../config/gatewayd.schema.json) completes keys in an editor.

- Relative paths start at the folder of the file.
- Units are in the names: `_s` seconds, `_ms` milliseconds, `_mb` megabytes, `_hours` hours.
- Ids are lower-case letters, digits and hyphens, at most 32, each used once in the whole file.
- A key is required where the table below shows no default.
- `--set TABLE.KEY=VALUE` replaces one value, in an array by its id:
  `--set reader.main-gate-in.port=/dev/ttyUSB1`.
- A file marked *secret* must be readable by its owner only (mode 0600), or come from systemd's
  credentials.
"""

_BOUNDS = {"gt": "more than {}", "ge": "at least {}", "lt": "less than {}", "le": "at most {}"}


def settings_page(registry: Registry) -> str:
    """The page. Raises DriverLoadError where a driver can't be loaded."""
    parts = [_INTRO]
    drivers = [registry[name] for name in sorted(registry)]
    for name, (model, many) in table_models().items():
        heading = f"## [[{name}]]" if many else f"## [{name}]"
        parts += [heading, _about(name, model, many), _keys(model), *_nested(model)]
        for driver in drivers:
            if driver.kind is DEVICE_TABLES.get(name):
                parts += _driver(name, driver)
    source = "gatewayd/settings/model.py and the drivers' options"
    return page("Settings", source, *parts)


def _about(name: str, model: type[BaseModel], many: bool) -> str:
    need = Settings.model_fields[name].description or ""
    required = Settings.model_fields[name].is_required()
    count = "Any number." if many else ("Required." if required else "Optional.")
    return " ".join(part for part in (first_paragraph(model.__doc__), count, need) if part)


def _driver(table_name: str, driver: Driver) -> list[str]:
    about = first_paragraph(driver.options.__doc__)
    return [
        f'### [[{table_name}]] with driver = "{driver.name}"',
        f"{about} These keys stand in the same table.",
        _keys(driver.options),
    ]


def _nested(model: type[BaseModel]) -> list[str]:
    """The tables that stand in keys of the table, e.g. `then = [{ do = "relay", … }]`."""
    parts = []
    for key, info in model.model_fields.items():
        for inner in nested_tables(info.annotation):
            word = word_of(inner)
            chosen = "" if word is None else f' with do = "{word}"'
            parts += [f"### {code(key)}{chosen}", first_paragraph(inner.__doc__), _keys(inner)]
    return parts


def _keys(model: type[BaseModel]) -> str:
    rows = [
        (code(key), type_of(info), _default(info), _description(key, info))
        for key, info in model.model_fields.items()
    ]
    return table(("key", "type", "default", "what"), rows)


def _description(key: str, info: FieldInfo) -> str:
    secret = "*Secret.*" if holds_path(info) and is_secret_field(key, info) else ""
    return " ".join(part for part in (info.description or "", secret) if part)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return ""
    default = info.get_default()
    if default is None:
        return "none"
    value = list(default) if isinstance(default, tuple) else default
    return code(str(value) if isinstance(value, Path) else json.dumps(value, ensure_ascii=False))


def type_of(info: FieldInfo) -> str:
    """The key's type and bounds, as an installer says it."""
    bounds = []
    for bound in info.metadata:
        bounds += [
            words.format(getattr(bound, name))
            for name, words in _BOUNDS.items()
            if getattr(bound, name, None) is not None
        ]
        if getattr(bound, "pattern", None) == ID_PATTERN:
            return "id"
    return ", ".join([_type_name(info.annotation), *bounds])


def _type_name(annotation: Any) -> str:  # noqa: ANN401  # a type, of any form
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        is_id = any(
            getattr(extra, "pattern", None) == ID_PATTERN for extra in annotation_extras(annotation)
        )
        return "id" if is_id else _type_name(arguments[0])
    if origin is Literal:
        return " or ".join(code(json.dumps(word)) for word in arguments)
    if origin in (Union, UnionType):
        return " or ".join(
            dict.fromkeys(_type_name(part) for part in arguments if part is not NoneType)
        )
    if origin in (tuple, list):
        return f"list of {_type_name(arguments[0])}s"
    names = {str: "text", int: "whole number", float: "number", bool: "`true` or `false`"}
    return "path" if annotation is Path else names.get(annotation, "table")


def annotation_extras(annotation: Any) -> list[Any]:  # noqa: ANN401  # a type, of any form
    """What stands beside the type in Annotated, with what pydantic's Field holds inside."""
    extras: list[Any] = []
    for extra in get_args(annotation)[1:]:
        extras += [extra, *getattr(extra, "metadata", ())]
    return extras
