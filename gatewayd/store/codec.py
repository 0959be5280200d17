"""Events to and from canonical JSON. Owns the journal's bytes; must not know where they are kept.

Canonical JSON: UTF-8, object keys sorted by code point, no spaces, nothing escaped that need not
be, numbers as Python's `json` writes them. The same event gives the same bytes for ever: they are
hashed. docs/reference/journal.md tells it to those who write a verifier.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import CoreSchema, PydanticSerializationError, SchemaSerializer

from gatewayd.domain.events import EVENT_TYPES, Event

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)
# Between these, pydantic-core and Python's `json` write a float alike; outside, the exponents
# differ ("1e-7", "1e-07") and the slow encoder decides.
_PLAIN_FLOATS = (1e-3, 1e15)


def canonical_json(value: Any) -> bytes:  # noqa: ANN401  # any JSON-ready value
    """`value` as canonical JSON. Raises ValueError for NaN, infinities and lone surrogates."""
    return _ENCODER.encode(value).encode("utf-8")


@lru_cache(1_024)  # kinds, subjects and boot ids: few, and each is written again and again
def canonical_text(text: str) -> str:
    """One string as canonical JSON, quotes and all."""
    return _ENCODER.encode(text)


class _Codec:
    """One event type's adapter, and a serializer of the same schema with its keys in order."""

    __slots__ = ("adapter", "canonical", "floats")

    def __init__(self, cls: type[Event]) -> None:
        self.adapter: TypeAdapter[Event] = TypeAdapter(cls)
        self.canonical = SchemaSerializer(
            cast("CoreSchema", _sorted_keys(self.adapter.core_schema))
        )
        self.floats = tuple(f.name for f in fields(cls) if f.type == "float")


def _sorted_keys(schema: Any) -> Any:  # noqa: ANN401  # a core schema is nested dicts and lists
    """The core schema with each dataclass's fields in the order of their names, for speed: a second
    pass through a dict costs five times as much.

    A StrEnum is written as the str that it is: asking each for its `value` doubled the time.
    """
    if isinstance(schema, list):
        return [_sorted_keys(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "enum":
        return {"type": "str"} | {key: part for key, part in schema.items() if key == "ref"}
    copy = {key: _sorted_keys(part) for key, part in schema.items()}
    if copy.get("type") == "dataclass":
        copy["fields"] = sorted(copy["fields"])
    return copy


_CODECS = {kind: _Codec(cls) for kind, cls in EVENT_TYPES.items()}


def encode(event: Event) -> dict[str, Any]:
    """The event's data, JSON-ready. Raises ValueError where a value is not of its field's type."""
    return cast("dict[str, Any]", json.loads(encode_text(event)))


def encode_text(event: Event) -> str:
    """The event's data as canonical JSON. Raises ValueError as `encode` does."""
    codec = _CODECS[event.KIND]
    try:
        text = codec.canonical.to_json(event, warnings="error").decode("utf-8")
    except PydanticSerializationError as error:
        raise ValueError(f"{event.KIND} can't be written as JSON: {_reason(error)}") from None
    for name in codec.floats:
        if not _is_plain(event, name):
            return canonical_json(json.loads(text)).decode("utf-8")
    return text


def _is_plain(event: Event, name: str) -> bool:
    """Whether both encoders write the float field alike. Raises ValueError unless it is finite."""
    size: float = abs(getattr(event, name))
    if not math.isfinite(size):
        raise ValueError(f"{event.KIND} can't be written as JSON: {name} is not finite")
    low, high = _PLAIN_FLOATS
    return low <= size < high or size == 0


def decode(kind: str, data: Mapping[str, Any]) -> Event:
    """The event that `encode` made `data` of. Unknown fields are ignored (they are newer).

    Raises ValueError naming the kind and the fields that are wrong, never their values.
    """
    return decode_text(kind, canonical_json(dict(data)))


def decode_text(kind: str, text: str | bytes) -> Event:
    """As `decode`, from the JSON text."""
    codec = _CODECS.get(kind)
    if codec is None:
        raise ValueError(f"unknown event kind {kind!r}: written by a newer gatewayd?")
    try:
        return codec.adapter.validate_json(text, strict=True)
    except ValidationError as error:
        raise ValueError(f"{kind} can't be read: {_faults(error)}") from None


def schema(kind: str) -> dict[str, Any]:
    """JSON Schema (2020-12) of an event's data. Raises KeyError for an unknown kind."""
    return _CODECS[kind].adapter.json_schema(mode="serialization")


def _faults(error: ValidationError) -> str:
    """Field paths with what is wrong, without the input: it may hold a name or a number."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'data'}: {fault['msg']}"
        for fault in error.errors(include_url=False, include_context=False, include_input=False)
    )


def _reason(error: PydanticSerializationError) -> str:
    """Which fields are wrong, without the values that pydantic's message quotes."""
    names = re.findall(r"field_name='(\w+)'", str(error))
    return f"wrong type in {', '.join(names)}" if names else "a text is not valid Unicode"
