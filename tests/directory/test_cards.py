"""What is printed on a card becomes the bits that its reader sends, or is refused."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatewayd.directory import cards, cells
from gatewayd.directory.cards import WrittenCard, card_of, plate_of
from gatewayd.directory.cells import Cell, CellError
from gatewayd.domain import wiegand
from gatewayd.domain.model import Credential, CredentialKind, card


def as_bits(text: str) -> int:
    return int(text.replace(" ", ""), 2)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        # Facility 12, number 34567, worked out by hand: even parity, 8 bits, 16 bits, odd parity.
        (
            WrittenCard("12,34567", "H10301"),
            card(as_bits("1 00001100 1000011100000111 1"), 26),
        ),
        (
            WrittenCard("012:34567", "h10301", 26),
            card(as_bits("1 00001100 1000011100000111 1"), 26),
        ),
        (WrittenCard("1，1", "H10301"), card(wiegand.encode("H10301", 1, 1), 26)),
        (WrittenCard("5", "H10302"), card(wiegand.encode("H10302", None, 5), 37)),
        (WrittenCard(5.0, "H10302"), card(wiegand.encode("H10302", None, 5), 37)),
        (WrittenCard("7,9", "Corporate1000"), card(wiegand.encode("Corporate1000", 7, 9), 35)),
        # 0008844356 is 0x0086F444: the tag's last four bytes.
        (WrittenCard("16,0008844356", "em4100", 40), card(0x100086F444, 40)),
        (WrittenCard("0008844356", "em4100", 26), card(wiegand.encode("H10301", 0x86, 0xF444), 26)),
        (WrittenCard(8844356, "em4100", 26), card(wiegand.encode("H10301", 0x86, 0xF444), 26)),
        (WrittenCard("4294967295", "EM4100", 34), card(wiegand.encode("H10306", 65535, 65535), 34)),
        (WrittenCard("0x100086F444", "hex", 40), card(0x100086F444, 40)),
        (WrittenCard("100086f444", "", 40), card(0x100086F444, 40)),
        (WrittenCard("3FF FFFF", "", 26), card(0x3FFFFFF, 26)),
    ],
)
def test_numbers_as_they_are_printed(written: WrittenCard, expected: Credential) -> None:
    assert card_of(written) == expected


@pytest.mark.parametrize(
    ("written", "what"),
    [
        (WrittenCard("100086F444"), "bits is not given"),
        (WrittenCard("100086F444", "", 0), "no card has so many bits"),
        (WrittenCard("100086F444", "", 513), "no card has so many bits"),
        (WrittenCard("86F444", "", 40), "not written so"),  # zeros lost
        (WrittenCard("GG", "", 8), "not written so"),
        (WrittenCard("FF", "", 7), "more than 7 bits"),
        (WrittenCard(500, "", 12), "made a number of it"),  # 5E2 has been 500 ever since
        (WrittenCard("5E+2", "", 12), "shortened"),
        (WrittenCard(1234567, "H10301"), "one number of it"),  # 12,34567 in a spreadsheet
        (WrittenCard("34567", "H10301"), "not two numbers"),
        (WrittenCard("256,1", "H10301"), "does not fit"),
        (WrittenCard("1,65536", "H10301"), "does not fit"),
        (WrittenCard("12,34567", "H10301", 34), "has not 34 bits"),
        (WrittenCard("1,2", "H10302"), "no number"),
        (WrittenCard("0008844356", "em4100"), "bits is not given"),
        (WrittenCard("0008844356", "em4100", 40), "not two numbers"),
        (WrittenCard(8844356, "em4100", 40), "one number of it"),
        (WrittenCard("256,0008844356", "em4100", 40), "does not fit"),
        (WrittenCard("16,4294967296", "em4100", 40), "does not fit"),
        (WrittenCard("0016777216", "em4100", 26), "has not this number"),
        (WrittenCard("4294967296", "em4100", 34), "has not this number"),
        (WrittenCard("F444", "em4100", 34), "has not this number"),
        (WrittenCard("1", "em4100", 37), "has not 37 bits"),
        (WrittenCard("1", "mifare", 32), "format is not known"),
    ],
)
def test_what_leaves_the_bits_open_is_refused_without_a_digit_of_it(
    written: WrittenCard, what: str
) -> None:
    with pytest.raises(CellError, match=what) as caught:
        card_of(written)
    assert caught.value.instead
    examples = ("12,34567", "16,0008844356", "0016777215")
    told = str(caught.value)
    for known in examples:
        told = told.replace(f"e.g. {known}", "").replace(f"at most {known}", "")
    assert str(written.number) not in told or len(str(written.number)) < 5


@given(st.data(), st.integers(1, 512))
def test_a_written_card_reads_back_as_it_was(data: st.DataObject, bit_count: int) -> None:
    shown = card(data.draw(st.integers(0, (1 << bit_count) - 1)), bit_count)
    assert card_of(cards.written_card(shown)) == shown


@pytest.mark.parametrize("cell", ["沪A12345", " 沪a·12345", "沪A-12 345", "'沪A12345"])
def test_plates_are_as_cameras_have_them(cell: str) -> None:
    assert plate_of(cell) == Credential(CredentialKind.PLATE, "沪A12345")


@pytest.mark.parametrize("cell", ["", "·", "'沪a1", "'沪A 1", None, True])
def test_what_is_no_plate_is_refused(cell: Cell) -> None:
    with pytest.raises(CellError):
        plate_of(cell)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12))
@example(".")
@example("沪A·12345")
@example("-1")
def test_a_written_plate_reads_back_as_it_was(text: str) -> None:
    value = "".join(text.upper().split())
    if not value or value != value.upper() or value.split() != [value]:
        return
    try:
        written = cards.written_plate(value)
    except CellError:
        assert cells._CONTROL.search(value)
        return
    assert plate_of(written).value == value
