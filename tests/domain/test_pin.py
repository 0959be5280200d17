"""PINs: kept as keyed hashes, compared whole."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.model import CredentialKind, PersonId, PinCheck
from gatewayd.domain.pin import access_code, check_pin, person_pin
from tests.domain.world import WANG

KEY = b"sixteen bytes or more"
PERSON = replace(
    WANG, pin=person_pin(KEY, WANG.id, "1234"), duress_pin=person_pin(KEY, WANG.id, "1235")
)
DIGITS = st.text("0123456789", min_size=1, max_size=9)


def test_a_pin_is_kept_as_the_contract_says() -> None:
    wanted = hmac.new(KEY, b"person\np-17\n1234", hashlib.sha256).hexdigest()
    assert person_pin(KEY, PersonId("p-17"), "1234") == wanted
    code = access_code(KEY, "1234")
    assert code.kind is CredentialKind.PIN
    assert code.value == hmac.new(KEY, b"code\n1234", hashlib.sha256).hexdigest()
    assert "1234" not in repr(code)


def test_the_same_digits_of_two_people_or_under_two_keys_have_nothing_in_common() -> None:
    kept = {
        person_pin(KEY, PersonId("p-17"), "1234"),
        person_pin(KEY, PersonId("p-18"), "1234"),
        person_pin(b"another key of the site", PersonId("p-17"), "1234"),
        access_code(KEY, "1234").value,
    }
    assert len(kept) == 4


def test_what_is_typed_is_right_wrong_or_a_call_for_help() -> None:
    assert check_pin(PERSON, KEY, "1234") is PinCheck.RIGHT
    assert check_pin(PERSON, KEY, "1235") is PinCheck.DURESS
    assert check_pin(PERSON, KEY, "1236") is PinCheck.WRONG
    assert check_pin(PERSON, KEY, None) is PinCheck.NOT_TYPED
    assert check_pin(PERSON, b"another key of the site", "1234") is PinCheck.WRONG


@given(DIGITS)
def test_without_a_pin_nothing_is_right(digits: str) -> None:
    assert check_pin(WANG, KEY, digits) is PinCheck.WRONG


@given(DIGITS, DIGITS)
def test_only_the_same_digits_are_right(kept: str, typed: str) -> None:
    person = replace(WANG, pin=person_pin(KEY, WANG.id, kept))
    assert (check_pin(person, KEY, typed) is PinCheck.RIGHT) is (kept == typed)


def test_a_duress_pin_that_is_also_the_pin_calls_for_help() -> None:
    both = replace(PERSON, duress_pin=PERSON.pin)
    assert check_pin(both, KEY, "1234") is PinCheck.DURESS


def test_both_are_compared_in_constant_time_whatever_the_first_says() -> None:
    for digits in ("1234", "1235", "0000"):
        with patch("hmac.compare_digest", wraps=hmac.compare_digest) as compare:
            check_pin(PERSON, KEY, digits)
            check_pin(WANG, KEY, digits)
        assert [[len(side) for side in call.args] for call in compare.call_args_list] == [
            [64, 64]
        ] * 4
