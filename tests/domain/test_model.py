"""Credentials: identity, masking, and what a `repr` may not say."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from gatewayd.domain.events import (
    EVENT_TYPES,
    AlarmCleared,
    DoorClosed,
    Event,
    Stream,
    stream_of,
)
from gatewayd.domain.model import Credential, CredentialKind, DoorId, Person, PersonId, card


def test_bits_and_length_are_the_identity_and_the_format_is_not() -> None:
    assert card(5, 26, "H10301") == card(5, 26)
    assert card(5, 26).key != card(5, 34).key
    assert card(5, 26).value == "0000005"


@pytest.mark.parametrize(("bits", "count"), [(-1, 26), (1 << 26, 26), (0, 0)])
def test_a_value_that_does_not_fit_is_refused(bits: int, count: int) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        card(bits, count)


def test_a_mask_leaves_four_characters_and_hides_short_values_whole() -> None:
    assert card(0x100086F444, 40).masked == "••••••F444"
    assert Credential(CredentialKind.PIN, "1234").masked == "••••"
    assert Credential(CredentialKind.QR, "x" * 1000 + "1234").masked == "•" * 32 + "1234"


def test_no_secret_is_in_a_repr() -> None:
    assert "86F444" not in repr(card(0x100086F444, 40))
    person = Person(PersonId("p"), "王芳", phone="13800001234")
    assert "王芳" not in repr(person)
    assert "1380000" not in repr(person)


def test_a_place_is_spoken_with_what_there_is() -> None:
    assert Person(PersonId("p"), "A", building="6", unit="2", room="1203").place == "6-2-1203"
    assert Person(PersonId("p"), "A", building="6", room="1203").place == "6-1203"


def test_alarms_travel_on_their_own_stream() -> None:
    assert stream_of(AlarmCleared("a", "gate")) is Stream.ALARMS
    assert stream_of(DoorClosed(DoorId("gate"))) is Stream.EVENTS


@pytest.mark.parametrize("cls", EVENT_TYPES.values(), ids=EVENT_TYPES)
def test_every_event_names_its_subject(cls: type[Event]) -> None:
    any_values: dict[str, Any] = dict.fromkeys((field.name for field in fields(cls)), "x")
    assert cls(**any_values).subject in {"x", "system", "link", "whitelist", "fire"}
