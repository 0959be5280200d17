"""The JSON Schema of the settings, from the models and the drivers' options, for editors.

Owns how the two are joined: each device table is one of its drivers' shapes. Reads no files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from gatewayd.domain.ports import Driver, Registry
from gatewayd.settings.model import Settings
from gatewayd.settings.tables import DEVICE_TABLES, table_models

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def settings_schema(registry: Registry) -> dict[str, Any]:
    """The schema of gatewayd.toml with these drivers. Raises DriverLoadError."""
    schema = Settings.model_json_schema()
    definitions: dict[str, Any] = schema.pop("$defs")
    drivers = [registry[name] for name in sorted(registry)]
    for table, kind in DEVICE_TABLES.items():
        model = table_models()[table][0]
        base = definitions.pop(model.__name__)
        default = model.model_fields["driver"].get_default()
        shapes = [
            _device_shape(base, driver, definitions, optional=driver.name == default)
            for driver in drivers
            if driver.kind is kind
        ]
        schema["properties"][table] = {
            "description": _first_line(model),
            "type": "array",
            "items": {"oneOf": shapes} if shapes else False,
        }
    title = {"$schema": _DIALECT, "title": "gatewayd.toml"}
    return {**title, **_tidy(schema), "$defs": _tidy(definitions)}


def settings_schema_text(registry: Registry) -> str:
    """The schema as it is kept in config/gatewayd.schema.json."""
    return json.dumps(settings_schema(registry), indent=2, ensure_ascii=False) + "\n"


def _device_shape(
    base: Mapping[str, Any], driver: Driver, definitions: dict[str, Any], *, optional: bool
) -> dict[str, Any]:
    """The table's own keys and the driver's; `optional`: the driver need not be named."""
    options = driver.options.model_json_schema()
    definitions |= options.pop("$defs", {})
    name = {
        "const": driver.name,
        "description": base["properties"]["driver"].get("description", ""),
    }
    properties = {**base["properties"], "driver": name, **options.get("properties", {})}
    required = [key for key in base["required"] if key != "driver"]
    required += [*([] if optional else ["driver"]), *options.get("required", ())]
    return {
        "title": f"{driver.name} ({driver.kind})",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _first_line(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _tidy(value: Any) -> Any:  # noqa: ANN401  # JSON values
    """Without titles made from key names, which editors would show instead of the key."""
    if isinstance(value, dict):
        return {
            key: _tidy(inner)
            for key, inner in value.items()
            if not (key == "title" and isinstance(inner, str) and "(" not in inner)
            and key not in ("secret_file", "made_later")
        }
    if isinstance(value, list):
        return [_tidy(inner) for inner in value]
    return value
