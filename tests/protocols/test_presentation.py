"""What is one presentation: the debounce, without a reader."""

from __future__ import annotations

from drivers.readers.presentation import Presentations
from gatewayd.domain.model import NS_PER_MS, card

TAG, OTHER = card(1, 40), card(2, 40)


def sightings(debounce_ms: int, *seen: tuple[int, int]) -> list[bool]:
    """For each (card's bits, at ms): whether it begins a presentation."""
    presentations = Presentations(debounce_ms)
    return [presentations.is_new(card(bits, 40), at_ms * NS_PER_MS) for bits, at_ms in seen]


def test_a_tag_that_stays_in_the_field_for_a_minute_is_one_presentation() -> None:
    held = sightings(1_000, *((1, 5 + at_ms) for at_ms in range(0, 60_000, 50)))
    assert held == [True] + [False] * 1_199


def test_the_same_tag_after_the_debounce_is_presented_again() -> None:
    assert sightings(1_000, (1, 0), (1, 999), (1, 1_998), (1, 2_998)) == [True, False, False, True]


def test_another_card_in_between_makes_it_a_new_presentation() -> None:
    assert sightings(1_000, (1, 0), (2, 100), (1, 200), (1, 250)) == [True, True, True, False]


def test_the_first_sighting_counts_even_just_after_boot() -> None:
    assert sightings(1_000, (1, 0)) == [True]


def test_without_a_debounce_every_sighting_is_a_presentation() -> None:
    assert sightings(0, (1, 0), (1, 0), (1, 50)) == [True, True, True]
