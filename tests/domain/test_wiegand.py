"""Wiegand readings against a slow, obvious model that keeps a card as a list of bits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.model import Credential, card
from gatewayd.domain.ports import Malformed
from gatewayd.domain.wiegand import FORMATS, encode, identify, read

# name: (bit count, facility bits, number bits), written out by hand from the design page
FIELDS: dict[str, tuple[int, range, range]] = {
    "H10301": (26, range(1, 9), range(9, 25)),
    "H10306": (34, range(1, 17), range(17, 33)),
    "Corporate1000": (35, range(2, 14), range(14, 34)),
    "H10302": (37, range(0), range(1, 36)),
    "H10304": (37, range(1, 17), range(17, 36)),
}
CORPORATE_EVEN = [2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23, 24, 26, 27, 29, 30, 32, 33]
CORPORATE_ODD = [1, 2, 4, 5, 7, 8, 10, 11, 13, 14, 16, 17, 19, 20, 22, 23, 25, 26, 28, 29, 31, 32]


def is_even(ones: list[int]) -> bool:
    return sum(ones) % 2 == 0


def parity_holds(bits: list[int]) -> bool:
    """The rules of the design page, one line each, over bits in the order they are sent."""
    match len(bits):
        case 26:
            return is_even(bits[0:13]) and not is_even(bits[13:26])
        case 34:
            return is_even(bits[0:17]) and not is_even(bits[17:34])
        case 35:
            even = is_even([bits[1], *(bits[at] for at in CORPORATE_EVEN)])
            odd = not is_even([bits[34], *(bits[at] for at in CORPORATE_ODD)])
            return even and odd and not is_even(bits)
        case 37:
            return is_even(bits[0:19]) and not is_even(bits[18:37])
        case _:
            raise AssertionError(len(bits))


def as_list(bits: int, bit_count: int) -> list[int]:
    return [int(digit) for digit in f"{bits:0{bit_count}b}"]


def as_number(bits: list[int]) -> int:
    return int("".join(map(str, bits)) or "0", 2)


@st.composite
def cards_of_any_format(draw: st.DrawFn) -> tuple[str, int | None, int]:
    name = draw(st.sampled_from(sorted(FIELDS)))
    _, facility, number = FIELDS[name]
    code = draw(st.integers(0, (1 << len(facility)) - 1)) if facility else None
    return name, code, draw(st.integers(0, (1 << len(number)) - 1))


@given(cards_of_any_format())
def test_what_is_written_has_the_models_fields_and_parity(
    written: tuple[str, int | None, int],
) -> None:
    name, facility, number = written
    bit_count, facility_bits, number_bits = FIELDS[name]
    bits = as_list(encode(name, facility, number), bit_count)
    assert as_number([bits[at] for at in number_bits]) == number
    assert not facility_bits or as_number([bits[at] for at in facility_bits]) == facility
    assert parity_holds(bits)


@given(st.sampled_from([26, 34, 35, 37]), st.data())
def test_any_bits_are_read_as_the_model_reads_them(bit_count: int, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, (1 << bit_count) - 1))
    bits = as_list(value, bit_count)
    readings = read(value, bit_count)
    assert [r.format for r in readings] == [n for n, f in FIELDS.items() if f[0] == bit_count]
    for reading in readings:
        _, facility_bits, number_bits = FIELDS[reading.format]
        assert reading.number == as_number([bits[at] for at in number_bits])
        expected = as_number([bits[at] for at in facility_bits]) if facility_bits else None
        assert reading.facility == expected
        assert reading.parity_ok == parity_holds(bits)


@given(cards_of_any_format(), st.data())
def test_one_flipped_bit_never_passes(
    written: tuple[str, int | None, int], data: st.DataObject
) -> None:
    name, facility, number = written
    bit_count = FIELDS[name][0]
    flipped = encode(name, facility, number) ^ 1 << data.draw(st.integers(0, bit_count - 1))
    assert identify(flipped, bit_count, accept_unknown_lengths=True) == Malformed("parity")


def test_a_well_known_card_of_26_bits() -> None:
    assert encode("H10301", 1, 1) == 0b1_00000001_0000000000000001_0
    assert encode("H10301", 123, 4567) == 0x2F623AE


def test_identity_is_the_raw_bits_and_the_format_is_a_reading() -> None:
    credential = identify(encode("H10301", 123, 4567), 26, accept_unknown_lengths=False)
    assert credential == card(0x2F623AE, 26)
    assert isinstance(credential, Credential)
    assert credential.format == "H10301"


def test_37_bits_have_two_readings_and_the_card_names_both() -> None:
    bits = encode("H10304", 600, 70_000)
    plain, with_facility = read(bits, 37)
    assert (plain.format, plain.facility, plain.number) == ("H10302", None, 600 << 19 | 70_000)
    assert (with_facility.facility, with_facility.number) == (600, 70_000)
    credential = identify(bits, 37, accept_unknown_lengths=False)
    assert isinstance(credential, Credential)
    assert credential.format == "H10302/H10304"


def test_an_unknown_length_is_raw_bits_or_refused_as_the_setting_says() -> None:
    assert read(5, 32) == ()
    assert identify(5, 32, accept_unknown_lengths=True) == card(5, 32)
    refused = identify(5, 32, accept_unknown_lengths=False)
    assert isinstance(refused, Malformed)
    assert "32 bits" in refused.reason
    assert "accept_unknown_lengths" in refused.reason


@pytest.mark.parametrize(
    ("name", "facility", "number", "said"),
    [
        ("H10301", 256, 1, "facility of a H10301 card has 8 bits"),
        ("H10301", 1, 65_536, "number of a H10301 card has 16 bits"),
        ("H10301", 1, -1, "number of a H10301 card has 16 bits"),
        ("H10302", 1, 1, "no facility code"),
        ("H99999", 1, 1, "known: H10301, H10306"),
    ],
)
def test_a_field_that_does_not_fit_is_refused_without_its_value(
    name: str, facility: int, number: int, said: str
) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        encode(name, facility, number)
    assert "65536" not in str(refused.value)


def test_a_reading_does_not_show_its_numbers() -> None:
    (reading,) = read(encode("H10301", 123, 4567), 26)
    assert "4567" not in repr(reading)
    assert "123" not in repr(reading)


def test_every_format_keeps_each_bit_for_one_thing() -> None:
    for known in FORMATS:
        fields = [known.number] if known.facility is None else [known.facility, known.number]
        used = [bit for first, last in fields for bit in range(first, last + 1)]
        used += [parity.bit for parity in known.parities]
        assert sorted(used) == list(range(known.bit_count))
