"""Typing at a reader with keys: card first or PIN first. Pure; knows no door and compares no PIN.

    idle ──digits──▶ typing ──#──▶ code, or held as the PIN for the card that comes
      └──card that needs a PIN──▶ waiting for it ──digits, #──▶ presented together
    a card that needs none ──▶ presented in the same step, whatever was typed

`step` says what follows from a key, a card or the time; `next_deadline_ns` when the time does.
`Tries` counts the wrong ones at a reader, and those of a person at all readers.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import assert_never

from gatewayd.domain.model import NS_PER_S, Credential, PersonId

MIN_DIGITS = 4  # fewer are no PIN; they are taken as a wrong one where they were entered as one
MAX_DIGITS = 8
# One more is remembered, so that an entry that is too long stays wrong; the rest is not kept.
_KEPT_DIGITS = MAX_DIGITS + 1
CLEAR, ENTER = "*", "#"


@dataclass(frozen=True, slots=True)
class Layout:
    """How a keypad is used. `codes`: digits alone identify (Verification.PIN, CARD_OR_PIN); else
    they are the PIN of a card that comes. `length`: so many digits enter by themselves."""

    codes: bool = False
    length: int | None = None
    timeout_s: float = 10.0  # since the last key or card

    def __post_init__(self) -> None:
        """Raises ValueError for a length that no PIN has."""
        if self.length is not None and not MIN_DIGITS <= self.length <= MAX_DIGITS:
            raise ValueError(f"a PIN has {MIN_DIGITS} to {MAX_DIGITS} digits, not {self.length}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What was shown and typed so far. `pin` are digits that were entered before the card."""

    card: Credential | None = None
    digits: str = field(default="", repr=False)
    pin: str | None = field(default=None, repr=False)
    deadline_ns: int | None = None  # monotonic; None while nothing is under way


IDLE = Entry()

# --------------------------------------------------------------------------------- inputs


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """A digit, CLEAR or ENTER; other keys are ignored."""

    key: str = field(repr=False)


class Needs(StrEnum):
    """What a card needs at this access point now; whoever calls knows the hours."""

    NOTHING = "nothing"
    PIN = "pin"


@dataclass(frozen=True, slots=True)
class CardShown:
    card: Credential
    needs: Needs


@dataclass(frozen=True, slots=True)
class TimePassed:
    """The deadline may have come."""


Input = KeyPressed | CardShown | TimePassed

# -------------------------------------------------------------------------------- outputs


@dataclass(frozen=True, slots=True)
class Present:
    """Decide now on the card and what was typed with it."""

    card: Credential
    pin: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PresentCode:
    """Decide now on the digits alone, as `pin.access_code` makes a credential of them."""

    digits: str = field(repr=False)


class Feedback(StrEnum):
    """What the reader shows."""

    WAITING_FOR_PIN = "waiting_for_pin"
    WAITING_FOR_CARD = "waiting_for_card"
    CLEARED = "cleared"
    TIMED_OUT = "timed_out"


Output = Present | PresentCode | Feedback
Next = tuple[Entry, tuple[Output, ...]]


def next_deadline_ns(entry: Entry) -> int | None:
    """When `step` next wants a TimePassed; None while nothing is under way."""
    return entry.deadline_ns


def step(entry: Entry, event: Input, now_ns: int, layout: Layout) -> Next:
    """The entry after `event`, and what must be done, in order. Pure and total.

    A card that was shown is always presented in the end, with a PIN or without one: a reading that
    came to nothing is journaled as the denial that it is.
    """
    before: tuple[Output, ...] = ()
    if entry.deadline_ns is not None and now_ns >= entry.deadline_ns:
        entry, before = IDLE, (*_given_up(entry), Feedback.TIMED_OUT)
    match event:
        case TimePassed():
            return entry, before
        case CardShown():
            after, outputs = _on_card(entry, event)
        case KeyPressed():
            after, outputs = _on_key(entry, event.key, layout)
        case _ as never:
            assert_never(never)
    if after is not entry and after != IDLE:
        after = replace(after, deadline_ns=now_ns + round(layout.timeout_s * NS_PER_S))
    return after, (*before, *outputs)


def _given_up(entry: Entry) -> tuple[Output, ...]:
    return () if entry.card is None else (Present(entry.card),)


def _on_card(entry: Entry, shown: CardShown) -> Next:
    """A card ends the digits before it, if they are enough for a PIN; fewer are forgotten. Another
    card while one waits for its PIN takes its place; the same one again changes nothing."""
    if entry.card is not None and entry.card != shown.card:
        after, outputs = _on_card(IDLE, shown)
        return after, (Present(entry.card), *outputs)
    typed = entry.digits if len(entry.digits) >= MIN_DIGITS else entry.pin
    if shown.needs is Needs.NOTHING or (entry.card is None and typed is not None):
        return IDLE, (Present(shown.card, typed),)
    digits = "" if entry.card is None else entry.digits
    return Entry(shown.card, digits), (Feedback.WAITING_FOR_PIN,)


def _on_key(entry: Entry, key: str, layout: Layout) -> Next:
    if key == CLEAR:
        return _cleared(entry)
    if key == ENTER:
        return _entered(entry, layout)
    if not (len(key) == 1 and key in "0123456789"):
        return entry, ()
    after = replace(entry, digits=(entry.digits + key)[:_KEPT_DIGITS])
    return _entered(after, layout) if len(after.digits) == layout.length else (after, ())


def _cleared(entry: Entry) -> Next:
    """First what was typed; the whole entry where nothing was typed since."""
    if entry == IDLE:
        return entry, ()
    if entry.digits and (entry.card is not None or entry.pin is not None):
        return replace(entry, digits=""), (Feedback.CLEARED,)
    return IDLE, (*_given_up(entry), Feedback.CLEARED)


def _entered(entry: Entry, layout: Layout) -> Next:
    """An enter with nothing typed is a habit after an entry that entered itself."""
    if not entry.digits:
        return entry, ()
    if entry.card is not None:
        return IDLE, (Present(entry.card, entry.digits),)
    if layout.codes:
        return IDLE, (PresentCode(entry.digits),)
    return Entry(pin=entry.digits), (Feedback.WAITING_FOR_CARD,)


# ------------------------------------------------------------------------------ wrong tries


@dataclass(frozen=True, slots=True)
class Tries:
    """Wrong PINs and unknown codes in a row, at one reader or of one person: whose each was, None
    for a code or a card that nobody has. Never as many as the limit."""

    wrong: tuple[PersonId | None, ...] = ()
    locked_until_ns: int | None = None  # monotonic


def locked_out(tries: Tries, now_ns: int) -> bool:
    """Whether nothing typed there, or by them, is compared now (PinCheck.LOCKED_OUT)."""
    return tries.locked_until_ns is not None and now_ns < tries.locked_until_ns


def tried(
    tries: Tries, who: PersonId | None, *, right: bool, now_ns: int, limit: int, pause_s: float
) -> tuple[Tries, bool]:
    """The tries after one that was compared, and whether the alarm WRONG_TRIES is due now: once
    for each `limit` in a row. A right one takes back that person's own wrong ones and no others:
    else whoever has a PIN could guess at somebody's card for ever, with a right one between. One
    while nothing is compared counts for nothing."""
    if locked_out(tries, now_ns):
        return tries, False
    if right:
        return Tries(tuple(other for other in tries.wrong if other != who)), False
    if len(tries.wrong) + 1 < limit:
        return Tries((*tries.wrong, who)), False
    return Tries((), now_ns + round(pause_s * NS_PER_S)), True
