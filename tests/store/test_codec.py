"""Events to canonical JSON and back, for every type."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from gatewayd.domain.events import EVENT_TYPES, DoorHeldWarning, DoorOpened, Event
from gatewayd.domain.model import DoorId
from gatewayd.store.codec import (
    canonical_json,
    decode,
    decode_text,
    encode,
    encode_text,
    schema,
)
from tests.store.samples import any_event, closed, denied


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(any_event)
def test_every_event_comes_back_as_it_was_and_its_bytes_are_canonical(event: Event) -> None:
    text = encode_text(event)
    assert decode_text(event.KIND, text) == event
    assert text.encode() == canonical_json(json.loads(text))
    assert decode(event.KIND, encode(event)) == event


def test_unknown_fields_are_newer_and_ignored() -> None:
    assert decode("door.closed", {**encode(closed()), "added_later": 1}) == closed()


@pytest.mark.parametrize(
    ("kind", "data", "says"),
    [
        ("door.exploded", {}, "unknown event kind"),
        ("door.opened", {"door_id": "g"}, "authorised"),
        ("door.opened", {"door_id": "g", "authorised": "yes"}, "authorised"),
    ],
)
def test_wrong_data_is_named_without_its_values(kind: str, data: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        decode(kind, data)
    assert "yes" not in str(caught.value)


@pytest.mark.parametrize(
    "event",
    [
        replace(denied(), place=3),  # type: ignore[arg-type]  # that is the point
        DoorHeldWarning(DoorId("g"), float("nan")),
        DoorOpened(DoorId("\ud800"), True),
    ],
)
def test_what_is_not_of_its_type_is_not_written(event: Event) -> None:
    with pytest.raises(ValueError, match="can't be written"):
        encode_text(event)


def test_each_kind_has_a_json_schema() -> None:
    for kind in EVENT_TYPES:
        assert schema(kind)["type"] == "object"
