"""What is one presentation: the debounce, without a reader."""

from __future__ import annotations

from drivers.readers.presentation import Presentations
from gatewayd.domain.model import NS_PER_MS, Credential, CredentialKind, card

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


def test_a_held_pass_is_one_presentation_as_a_tag_is() -> None:
    presentations, held = Presentations(1_000), Credential(CredentialKind.QR, "VISIT-1")
    found = [presentations.is_new(held, at_ms * NS_PER_MS) for at_ms in range(0, 10_000, 500)]
    assert found == [True] + [False] * 19


def test_a_plate_that_is_read_all_the_time_is_presented_again_every_debounce() -> None:
    presentations, plate = Presentations(5_000), Credential(CredentialKind.PLATE, "京A12345")
    seen = range(0, 20_000, 200)
    found = [at_ms for at_ms in seen if presentations.is_new(plate, at_ms * NS_PER_MS)]
    assert found == [0, 5_000, 10_000, 15_000]


def test_another_plate_in_between_is_another_vehicle() -> None:
    presentations = Presentations(5_000)
    one, other = (Credential(CredentialKind.PLATE, text) for text in ("京A12345", "京A54321"))
    seen = [
        (one, 0),
        (one, 200),
        (other, 400),
        (other, 600),
        (one, 800),
        (one, 5_799),
        (one, 5_800),
    ]
    found = [presentations.is_new(plate, at_ms * NS_PER_MS) for plate, at_ms in seen]
    assert found == [True, False, True, False, True, False, True]
