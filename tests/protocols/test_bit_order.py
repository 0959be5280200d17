"""Cards turned round by their readers, against a model that keeps bits as text."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols import bit_order
from drivers.protocols.bit_order import UNITS, Order, identify, reordered
from gatewayd.domain import wiegand
from gatewayd.domain.model import Credential, card
from gatewayd.domain.ports import Malformed

ORDERS: tuple[Order, ...] = get_args(Order)
TURNING = tuple(order for order in ORDERS if UNITS[order] > 1)


def by_text(bits: int, bit_count: int, order: Order) -> int:
    text = f"{bits:0{bit_count}b}"
    octets = [text[at : at + 8] for at in range(0, bit_count, 8)]
    nibbles = [text[at : at + 4] for at in range(0, bit_count, 4)]
    turned = {
        "none": text,
        "bits": text[::-1],
        "bytes": "".join(octets[::-1]),
        "nibbles": "".join(nibbles[::-1]),
        "bits-in-bytes": "".join(octet[::-1] for octet in octets),
        "nibbles-in-bytes": "".join(octet[4:] + octet[:4] for octet in octets),
    }
    return int(turned[order], 2)


@pytest.mark.parametrize(
    ("order", "put_right"),
    [
        ("none", 0x12345678),
        ("bits", 0x1E6A2C48),
        ("bytes", 0x78563412),
        ("nibbles", 0x87654321),
        ("bits-in-bytes", 0x482C6A1E),
        ("nibbles-in-bytes", 0x21436587),
    ],
)
def test_each_order_of_thirty_two_bits(order: Order, put_right: int) -> None:
    assert reordered(0x12345678, 32, order) == put_right


@given(st.integers(1, 16), st.data(), st.sampled_from(ORDERS))
def test_an_order_is_as_the_model_has_it_and_undoes_itself(
    octets: int, data: st.DataObject, order: Order
) -> None:
    bits = data.draw(st.integers(0, (1 << octets * 8) - 1))
    put_right = reordered(bits, octets * 8, order)
    assert put_right == by_text(bits, octets * 8, order)
    assert reordered(put_right, octets * 8, order) == bits


@pytest.mark.parametrize(("bit_count", "order"), [(26, "bytes"), (34, "nibbles"), (7, "bytes")])
def test_an_order_that_does_not_suit_is_refused(bit_count: int, order: Order) -> None:
    with pytest.raises(ValueError, match="no whole number"):
        reordered(1, bit_count, order)


@pytest.mark.parametrize("known", wiegand.FORMATS, ids=lambda known: known.name)
def test_a_card_sent_last_bit_first_is_the_card(known: wiegand.Format) -> None:
    facility = None if known.facility is None else 77
    bits = wiegand.encode(known.name, facility, 12345)
    sent = by_text(bits, known.bit_count, "bits")
    assert identify(sent, known.bit_count, False, "bits") == card(bits, known.bit_count)
    assert identify(sent ^ 1, known.bit_count, False, "bits") == Malformed("parity")


@pytest.mark.parametrize("order", TURNING)
@pytest.mark.parametrize(("name", "bit_count"), [("H10301", 26), ("H10306", 34)])
def test_a_turned_number_between_parities_is_the_card_of_a_reader_that_turns_nothing(
    name: str, bit_count: int, order: Order
) -> None:
    payload = 0xA1B2C3D4 & ((1 << bit_count - 2) - 1)
    turned = by_text(payload, bit_count - 2, order)
    whole = wiegand.encode(name, payload >> 16, payload & 0xFFFF)
    sent = wiegand.encode(name, turned >> 16, turned & 0xFFFF)
    found = identify(sent, bit_count, False, order)
    assert found == card(whole, bit_count)
    assert isinstance(found, Credential)
    assert found.format == name
    assert identify(sent ^ 1, bit_count, False, order) == Malformed("parity")


@pytest.mark.parametrize("order", TURNING)
def test_lengths_of_no_format_are_turned_whole_or_refused(order: Order) -> None:
    sent = 0x0123456789ABCD
    assert identify(sent, 56, True, order) == card(by_text(sent, 56, order), 56)
    assert identify(sent, 56, False, order) == wiegand.identify(sent, 56, False)
    refused = Malformed(f"a card of 58 bits does not come in {order}: see reverse")
    assert identify(sent, 58, True, order) == refused


@given(st.integers(1, 128), st.data(), st.sampled_from(ORDERS))
def test_what_suits_is_what_is_never_refused_for_its_order(
    bit_count: int, data: st.DataObject, order: Order
) -> None:
    bits = data.draw(st.integers(0, (1 << bit_count) - 1))
    found = identify(bits, bit_count, True, order)
    refused = isinstance(found, Malformed) and "see reverse" in found.reason
    if bit_order.suits(bit_count, order):
        assert not refused
    else:
        assert isinstance(found, Malformed)
