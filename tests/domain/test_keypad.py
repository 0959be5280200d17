"""Typing at a reader: each way in, then anything at all for the rules that always hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.domain.keypad import (
    IDLE,
    MAX_DIGITS,
    MIN_DIGITS,
    CardShown,
    Feedback,
    Input,
    KeyPressed,
    Layout,
    Needs,
    Output,
    Present,
    PresentCode,
    TimePassed,
    Tries,
    locked_out,
    next_deadline_ns,
    step,
    tried,
)
from gatewayd.domain.model import NS_PER_S, PersonId, card
from tests.domain.world import CARD

CARD_THEN_PIN = Layout()
CODES = Layout(codes=True)
FIXED = Layout(length=4)
OTHER = card(99, 26)


class Typing:
    """A keypad in use; `did` holds the outputs of the last act."""

    def __init__(self, layout: Layout = CARD_THEN_PIN) -> None:
        self.layout, self.entry, self.now_ns = layout, IDLE, 100 * NS_PER_S
        self.did: tuple[Output, ...] = ()

    def take(self, event: Input) -> Typing:
        self.entry, self.did = step(self.entry, event, self.now_ns, self.layout)
        return self

    def keys(self, keys: str) -> Typing:
        for key in keys:
            self.take(KeyPressed(key))
        return self

    def card(self, needs: Needs = Needs.PIN, shown: CardShown | None = None) -> Typing:
        return self.take(shown or CardShown(CARD, needs))

    def wait(self, seconds: float) -> Typing:
        """Let time pass; the deadline comes where it is due."""
        target_ns = self.now_ns + round(seconds * NS_PER_S)
        due = next_deadline_ns(self.entry)
        if due is not None and due <= target_ns:
            self.now_ns = due
            self.take(TimePassed())
        else:
            self.did = ()
        self.now_ns = target_ns
        return self


# ---------------------------------------------------------------------------- ways of getting in


def test_a_card_that_needs_no_pin_is_presented_at_once() -> None:
    typing = Typing().card(Needs.NOTHING)
    assert typing.did == (Present(CARD),)
    assert typing.entry == IDLE


def test_card_then_pin() -> None:
    typing = Typing().card()
    assert typing.did == (Feedback.WAITING_FOR_PIN,)
    assert typing.keys("1234").did == ()
    assert typing.keys("#").did == (Present(CARD, "1234"),)
    assert typing.entry == IDLE


def test_pin_then_card() -> None:
    typing = Typing().keys("1234#")
    assert typing.did == (Feedback.WAITING_FOR_CARD,)
    assert typing.card().did == (Present(CARD, "1234"),)


def test_the_card_ends_the_pin_that_was_typed_before_it() -> None:
    assert Typing().keys("1234").card().did == (Present(CARD, "1234"),)
    assert Typing().keys("1234").card(Needs.NOTHING).did == (Present(CARD, "1234"),)


def test_too_few_digits_before_the_card_are_forgotten() -> None:
    assert Typing().keys("123").card().keys("5678#").did == (Present(CARD, "5678"),)
    assert Typing().keys("123").card(Needs.NOTHING).did == (Present(CARD),)


def test_what_is_typed_last_before_the_card_counts() -> None:
    assert Typing().keys("1111#2222").card().did == (Present(CARD, "2222"),)
    assert Typing().keys("1111#22").card().did == (Present(CARD, "1111"),)
    assert Typing().keys("1111#2222#").card().did == (Present(CARD, "2222"),)


def test_a_code_needs_no_card_where_codes_are_taken() -> None:
    assert Typing(CODES).keys("123456#").did == (PresentCode("123456"),)
    assert Typing(CODES).card(Needs.NOTHING).did == (Present(CARD),)


def test_so_many_digits_enter_by_themselves_and_the_enter_after_them_is_a_habit() -> None:
    typing = Typing(FIXED).card().keys("1234")
    assert typing.did == (Present(CARD, "1234"),)
    assert typing.keys("#").did == ()
    assert Typing(Layout(codes=True, length=6)).keys("123456").did == (PresentCode("123456"),)
    assert Typing(FIXED).keys("1234").did == (Feedback.WAITING_FOR_CARD,)


def test_an_entry_that_is_too_short_or_too_long_is_not_made_right() -> None:
    assert Typing().card().keys("12#").did == (Present(CARD, "12"),)
    assert Typing().card().keys("1234567890123#").did == (Present(CARD, "123456789"),)
    assert len("123456789") > MAX_DIGITS


@pytest.mark.parametrize("length", [MIN_DIGITS - 1, MAX_DIGITS + 1])
def test_a_length_that_no_pin_has_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="4 to 8 digits"):
        Layout(length=length)


# ------------------------------------------------------------------- clear, time and other cards


def test_clear_takes_back_the_digits_and_then_the_card() -> None:
    typing = Typing().card().keys("12*")
    assert typing.did == (Feedback.CLEARED,)
    assert typing.keys("1234#").did == (Present(CARD, "1234"),)
    given_up = Typing().card().keys("1**")
    assert given_up.did == (Present(CARD), Feedback.CLEARED)
    assert given_up.entry == IDLE


def test_clear_takes_back_a_pin_that_waits_for_its_card() -> None:
    assert Typing().keys("1234#*").card().did == (Feedback.WAITING_FOR_PIN,)
    assert Typing().keys("1234#99*").card().did == (Present(CARD, "1234"),)
    assert Typing().keys("12*").entry == IDLE
    assert Typing().keys("*").did == ()


def test_other_keys_and_an_enter_with_nothing_typed_change_nothing() -> None:
    typing = Typing().card()
    before = typing.entry
    for key in ("#", "A", "", "12", "\u0663"):
        assert typing.take(KeyPressed(key)).did == ()
        assert typing.entry == before


def test_a_card_whose_pin_does_not_come_is_presented_without_one() -> None:
    typing = Typing().card().keys("12")
    assert typing.wait(9.9).did == ()
    assert typing.wait(0.2).did == (Present(CARD), Feedback.TIMED_OUT)
    assert typing.entry == IDLE
    assert next_deadline_ns(typing.entry) is None


def test_each_key_gives_the_time_anew() -> None:
    typing = Typing().card()
    for key in "123":
        assert typing.wait(9).keys(key).did == ()
    assert typing.wait(9).keys("4#").did == (Present(CARD, "1234"),)


def test_a_pin_whose_card_does_not_come_is_forgotten() -> None:
    typing = Typing().keys("1234#").wait(10)
    assert typing.did == (Feedback.TIMED_OUT,)
    assert typing.card().did == (Feedback.WAITING_FOR_PIN,)


def test_what_comes_too_late_begins_anew() -> None:
    typing = Typing().card()
    typing.now_ns += 11 * NS_PER_S
    assert typing.keys("1").did == (Present(CARD), Feedback.TIMED_OUT)
    assert typing.entry.card is None
    typing.now_ns += 11 * NS_PER_S
    late = typing.card(Needs.NOTHING)
    assert late.did == (Feedback.TIMED_OUT, Present(CARD))


def test_time_that_is_not_up_yet_changes_nothing() -> None:
    typing = Typing().card()
    assert typing.take(TimePassed()).did == ()
    assert typing.entry.card == CARD


def test_another_card_takes_the_place_of_one_that_waits() -> None:
    typing = Typing().card().keys("1234").card(shown=CardShown(OTHER, Needs.PIN))
    assert typing.did == (Present(CARD), Feedback.WAITING_FOR_PIN)
    assert typing.keys("5678#").did == (Present(OTHER, "5678"),)
    free = Typing().card().card(shown=CardShown(OTHER, Needs.NOTHING))
    assert free.did == (Present(CARD), Present(OTHER))


def test_the_same_card_again_changes_nothing_but_the_time() -> None:
    typing = Typing().card().keys("12").wait(9).card()
    assert typing.did == (Feedback.WAITING_FOR_PIN,)
    assert typing.wait(9).keys("34").card().did == (Feedback.WAITING_FOR_PIN,)
    assert typing.keys("56#").did == (Present(CARD, "123456"),)
    assert Typing().card().keys("1234").card(Needs.NOTHING).did == (Present(CARD, "1234"),)


# ------------------------------------------------------------------------------ what always holds

KEYS = st.sampled_from("0123456789*#AB")
EVENTS = st.lists(
    st.one_of(
        KEYS.map(KeyPressed),
        st.builds(CardShown, st.sampled_from([CARD, OTHER]), st.sampled_from(Needs)),
        st.just(TimePassed()),
        st.integers(0, 12),
    ),
    max_size=60,
)
LAYOUTS = st.builds(Layout, st.booleans(), st.none() | st.integers(MIN_DIGITS, MAX_DIGITS))


@given(LAYOUTS, EVENTS)
def test_no_card_is_lost_none_waits_that_need_not_and_nothing_is_kept_for_ever(
    layout: Layout, events: list[Input | int]
) -> None:
    typing = Typing(layout)
    for event in events:
        if isinstance(event, int):
            typing.now_ns += event * NS_PER_S
            continue
        before = typing.entry
        typing.take(event)
        presented = [output.card for output in typing.did if isinstance(output, Present)]
        if before.card not in (None, typing.entry.card):
            assert before.card in presented
        if isinstance(event, CardShown):
            assert event.card in (typing.entry.card, *presented[-1:])
            assert event.needs is Needs.PIN or presented[-1] == event.card
        assert len(typing.entry.digits) <= MAX_DIGITS + 1
        assert (typing.entry.deadline_ns is None) is (typing.entry == IDLE)
    typing.now_ns += 11 * NS_PER_S
    assert typing.take(TimePassed()).entry == IDLE


def test_what_was_typed_is_in_no_repr() -> None:
    assert "7391" not in repr(Typing().card().keys("7391").entry)
    assert "7391" not in repr(Typing().keys("7391#").entry)
    assert "7391" not in repr(Typing().card().keys("7391#").did)
    assert "7391" not in repr(Typing(CODES).keys("7391#").did)
    assert "7" not in repr(KeyPressed("7"))


# ------------------------------------------------------------------------------------ wrong tries


WANG, LI = PersonId("p-17"), PersonId("p-18")


def after(tries: Tries, who: PersonId | None, *, right: bool, at_s: int = 0) -> tuple[Tries, bool]:
    return tried(tries, who, right=right, now_ns=at_s * NS_PER_S, limit=5, pause_s=60)


def test_five_wrong_ones_in_a_row_lock_the_reader_and_alarm_once() -> None:
    tries, alarms = Tries(), []
    for second in range(7):
        tries, alarm = after(tries, None, right=False, at_s=second)
        alarms.append(alarm)
    assert alarms == [False, False, False, False, True, False, False]
    assert locked_out(tries, 63 * NS_PER_S)
    assert not locked_out(tries, 64 * NS_PER_S)


def test_a_right_one_ends_the_row_but_not_the_pause() -> None:
    assert after(Tries((WANG,) * 4), WANG, right=True) == (Tries(), False)
    locked = Tries((), 60 * NS_PER_S)
    assert after(locked, WANG, right=True) == (locked, False)


def test_a_right_one_takes_back_no_wrong_ones_of_others_nor_unknown_codes() -> None:
    tries, _ = after(Tries((WANG, LI, None, WANG)), WANG, right=True)
    assert tries == Tries((LI, None))


def test_after_the_pause_the_count_begins_anew_and_the_next_row_alarms_again() -> None:
    tries, _ = after(Tries((WANG,) * 4), WANG, right=False)
    for expected in (False, False, False, False, True):
        tries, alarm = after(tries, WANG, right=False, at_s=60)
        assert alarm is expected
    assert locked_out(tries, 119 * NS_PER_S)
    assert not locked_out(Tries(), 0)
