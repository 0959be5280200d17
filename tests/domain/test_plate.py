"""Licence plates as they are compared."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain import plate


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("沪A·12345", "沪A12345"),
        ("粤b 12345", "粤B12345"),
        ("京A•D12345", "京AD12345"),
        ("m-ab 123", "MAB123"),
        ("京A12345学", "京A12345学"),
    ],
)
def test_a_plate_is_compared_without_what_is_drawn_between_its_parts(
    written: str, compared: str
) -> None:
    assert plate.plain(written) == compared
    assert plate.is_plain(compared)


@pytest.mark.parametrize("text", ["", " ", "沪A 12345", "沪a12345", "沪A12345\n"])
def test_what_is_not_written_so_is_not_plain(text: str) -> None:
    assert not plate.is_plain(text)


@given(st.text())
def test_a_plain_plate_stays_as_it_is(text: str) -> None:
    plain = plate.plain(text)
    if plate.is_plain(plain):
        assert plate.plain(plain) == plain
