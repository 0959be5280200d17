"""What is wrong between areas, doors and readers, each at its place."""

from __future__ import annotations

import pytest

from tests.settings.conftest import SiteFile

AREA = """
[[area]]
id = "yard"
name = "Yard"
"""


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("relay = 1", 'relay = 1\ninside = "yrad"', "there is no [[area]] with the id 'yrad'"),
        ("relay = 1", 'relay = 1\ninside = "yard"\noutside = "yard"', "into the same one"),
        ('name = "Yard"', 'name = "Yard"\nanti_passback = "timed"', "'timed' needs a time"),
        ('name = "Yard"', 'name = "Yard"\nforgive_min = 30', "counts only with anti_passback"),
        ('name = "Yard"', 'name = "Yard"\nminimum = 1', "must be at least 2, is 1"),
        ('name = "Yard"', 'name = "Yard"\nshortfall = "deny"', "the area has no minimum"),
        (
            'name = "Yard"',
            'name = "Yard"\nminimum = 2\nshortfall = "deny"',
            "yard.shortfall: nobody could ever be the first in there: 2 must be, and no door lets",
        ),
        ('id = "yard"', 'id = "main-gate"', "the id 'main-gate' is taken by"),
        ('door = "main-gate"', 'door = "main-gate"\nverification = "pin"', "has no key for them"),
        ('door = "main-gate"', 'door = "main-gate"\npin_schedule = "x"', "'card-and-pin'"),
    ],
)
def test_a_mistake_about_areas_or_pins_is_told(
    site: SiteFile, old: str, new: str, expected: str
) -> None:
    site.append(AREA)
    site.replace(old, new)
    [problem] = site.problems()
    assert expected in problem


def test_a_site_with_areas_and_a_key_for_pins_has_no_problem(site: SiteFile) -> None:
    key = site.path.parent / "pin.key"
    key.write_text("0123456789abcdef\n")
    key.chmod(0o600)
    site.append(AREA)
    site.replace("[site]", '[site]\npin_key_file = "pin.key"')
    site.replace('door = "main-gate"', 'door = "main-gate"\nverification = "card-and-pin"')
    site.replace("relay = 1", 'relay = 1\ninside = "yard"')
    assert site.problems() == []


def test_a_short_key_is_told_with_how_to_make_one(site: SiteFile) -> None:
    key = site.path.parent / "pin.key"
    key.write_text("too short")
    key.chmod(0o600)
    site.replace("[site]", '[site]\npin_key_file = "pin.key"')
    [problem] = site.problems()
    assert "holds 9 characters, at least 16 are needed" in problem
    assert "/dev/urandom" in problem


def test_a_key_that_others_can_read_is_told_once(site: SiteFile) -> None:
    key = site.path.parent / "pin.key"
    key.write_text("short")
    key.chmod(0o644)
    site.replace("[site]", '[site]\npin_key_file = "pin.key"')
    [problem] = site.problems()
    assert "can be read by others" in problem


def test_the_way_into_an_area_for_two_is_a_reader_that_leads_in(site: SiteFile) -> None:
    site.append(AREA + 'minimum = 2\nshortfall = "deny"\n')
    site.replace("relay = 1", 'relay = 1\ninside = "yard"\ntwo_person_s = 10')
    assert site.problems() == []
    site.replace("inside", "outside")  # its reader leads out of there
    [problem] = site.problems()
    assert "yard.shortfall: nobody could ever be the first in there" in problem
