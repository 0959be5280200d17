"""Sentences as the page writes them: names for ids, times of the site, codes in words."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from gatewayd.domain.model import Reason, Remedy, RuleResult, RuleTrace
from gatewayd.wording import LANGUAGES, Names, Wording

NOW_S = 1_795_000_000  # 2026-11-18 19:06:40 in Shanghai
NAMES = Names(
    {"main-gate": "East gate"},
    {"yard": "The yard"},
    {"p-17": "王芳"},
    {"residents": "Residents", "staff": "Staff"},
    {"office": "Office hours"},
)


def words(language: str = "en", zone: str = "Asia/Shanghai") -> Wording:
    return Wording(language, ZoneInfo(zone), NOW_S, NAMES)


def line(rule: str, saw: str, **facts: str) -> RuleTrace:
    return RuleTrace(rule, saw, RuleResult.PASS, tuple(facts.items()))


def test_ids_are_called_by_their_names_and_unknown_ones_stay() -> None:
    inside = line("occupancy", "room", area="yard", inside="3", maximum="9")
    assert words().rule(inside) == ("Occupancy", "3 in The yard, 9 may be")
    held = line("access_level", "elsewhere", levels="residents, gone, staff")
    assert words().rule(held)[1] == "Levels for other doors only: Residents, gone, Staff"
    assert words().rule(line("interlock", "blocked", other_door="main-gate"))[1].startswith("East")
    assert words().rule(line("escort", "escorted", person="p-17"))[1] == "After the escort 王芳"
    assert words().remedy(Remedy("hold_level", (("level", "staff"),))) == "they get the level Staff"


def test_kinds_and_modes_are_in_words() -> None:
    assert words().rule(line("credential_known", "known", kind="qr"))[1] == "QR pass is in the list"
    assert words().rule(line("door_mode", "admits", mode="Locked"))[1].endswith("Opens by card")


def test_a_line_of_an_older_journal_is_its_own_text() -> None:
    assert words().rule(line("level", "what it saw")) == ("level", "what it saw")


def test_times_are_the_sites_own_and_say_the_year_where_it_is_another() -> None:
    ends = line("valid_until", "ended", valid_until_s=str(NOW_S))
    assert words().rule(ends)[1] == "Ended 18 Nov, 19:06"
    assert words(zone="UTC").rule(ends)[1] == "Ended 18 Nov, 11:06"
    assert words().moment(NOW_S - 365 * 86_400) == "18 Nov 2025, 19:06"
    assert words("zh-CN").moment(NOW_S) == "11月18日 19:06"
    assert words("zh-CN").moment(NOW_S - 365 * 86_400) == "2025年11月18日 19:06"
    assert words().second(1_795_000_000_999) == "2026-11-18 19:06:40"


def test_a_date_that_no_calendar_reaches_stays_a_number() -> None:
    for far in (str(2**53), "soon"):
        ends = line("valid_until", "ended", valid_until_s=far)
        assert words().rule(ends)[1] == f"Ended {far}"


def test_a_reason_is_a_sentence_with_its_facts() -> None:
    expired = words().why(Reason.EXPIRED, "East gate", (("valid_until_s", str(NOW_S)),))
    assert expired == "This card expired on 18 Nov, 19:06."
    assert words().why(Reason.DOOR_BLOCKED, "East gate") == "East gate is set out of use."


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_key_that_is_missing_shows_itself(language: str) -> None:
    assert words(language).text("no.such.key") == "no.such.key"
