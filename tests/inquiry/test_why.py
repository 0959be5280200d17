"""`gatewayd why`: the journaled trace in words, while the daemon writes on."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from gatewayd import cli
from gatewayd.domain.events import AccessDenied, AccessGranted, AccessOutcome, Event
from gatewayd.domain.model import Remedy
from gatewayd.inquiry.lines import remedy_lines
from gatewayd.inquiry.sources import place_of
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.settings.problem import SettingsError
from gatewayd.store.journal_file import open_journal
from gatewayd.wording import Wording
from tests.inquiry.compound import compound, place, records, settings_text, write_settings
from tests.store.samples import closed

Captured = pytest.CaptureFixture[str]


def why(config: Path, seq: int, *words: str) -> int:
    return cli.main(["why", str(seq), "--config", str(config), *words])


def seqs(config: Path, kind: type[Event]) -> list[int]:
    with open_journal(place(config).journal_file) as journal:
        return [entry.seq for entry in journal.events([kind.KIND], 1, journal.last_seq())]


def an_evening(config: Path) -> None:
    """A resident comes in and taps again; a cleaner comes after hours."""

    async def live() -> None:
        async with compound(config, lists=[records()]) as gate:
            await gate.tap(17, "gate-in")
            await gate.go("main-gate")
            await gate.tap(20, "gate-in")
            await gate.tap(17, "gate-in")

    asyncio.run(live())


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = write_settings(tmp_path)
    an_evening(path)
    return path


def test_a_grant_is_told_with_every_rule_and_what_came_of_it(
    config: Path, capsys: Captured
) -> None:
    [seq] = seqs(config, AccessGranted)
    assert why(config, seq) == cli.OK
    assert capsys.readouterr().out == (
        f"Entry no. {seq}, 2026-11-18 19:06:40\n"
        "Door: 东门, 东门进 (In)\n"
        "Credential: Card •••0011, 王芳 [p-17] 6-2-1203\n"
        "\n"
        "Granted. Every rule is met.\n"
        "What came of it: opened\n"
        "\n"
        "How it was decided (Whitelist 1):\n"
        "  + Known: Card is in the list\n"
        "  + Watch list: Not on the watch list\n"
        "  + Status: In use\n"
        "  + Clock: The clock is trusted\n"
        "  + Door mode: The door's mode: Opens by card\n"
        "  + Access level: Holds a level with this door\n"
        "  + Hours: Open now by level 住户, schedule Always\n"
        "  + Anti-passback: Where this person is isn't known; 院内 lets them pass\n"
        "  + Occupancy: 0 in 院内, 4 may be\n"
    )


def test_a_denial_ends_with_what_would_have_made_it_a_grant(config: Path, capsys: Captured) -> None:
    after_hours, again = seqs(config, AccessDenied)
    assert why(config, after_hours) == cli.OK
    out = capsys.readouterr().out
    assert (
        "Denied: Outside permitted hours. Now is outside the permitted hours (办公时间).\n" in out
    )
    assert "  x Hours: Closed now: 办公时间\n" in out
    assert "What came of it" not in out
    assert out.endswith(
        "It would have been granted if:\n  - they come after 19 Nov, 08:00, or get the level 住户\n"
    )
    assert why(config, again) == cli.OK
    out = capsys.readouterr().out
    assert "  x Anti-passback: Already in 院内 since 18 Nov, 19:06\n" in out
    assert out.endswith("  - anti-passback is reset for this person\n")


def test_it_speaks_chinese_to_the_last_word(config: Path, capsys: Captured) -> None:
    [seq] = seqs(config, AccessDenied)[:1]
    assert why(config, seq, "--lang", "zh-CN") == cli.OK
    out = capsys.readouterr().out
    for words in ("陈静 [p-20] 6-2-1203", "11月19日 08:00", "办公时间", "满足以下条件即可放行"):
        assert words in out
    for letters in ("Denied", "Hours", "rule.", "trace.", "{", ": ", ", ", ". ", " (", "内内"):
        assert letters not in out


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "Granted, with a warning.\n"), ("zh-CN", "放行，有提醒。\n")],
)
def test_a_grant_with_a_warning_says_so(
    tmp_path: Path, capsys: Captured, language: str, said: str
) -> None:
    config = write_settings(tmp_path, settings_text().replace('"hard"', '"soft"'))
    an_evening(config)
    seq = seqs(config, AccessGranted)[-1]
    assert why(config, seq, "--lang", language) == cli.OK
    out = capsys.readouterr().out
    assert f"\n\n{said}" in out
    assert "  ! " in out
    assert why(config, seq, "--lang", language, "--json") == cli.OK
    assert json.loads(capsys.readouterr().out)["why"] == said.strip()


def test_remedies_that_are_several_are_all_needed() -> None:
    words = Wording("en", UTC, 0)
    head = remedy_lines([Remedy("show_card"), Remedy("type_pin")], words)[0]
    assert head == "It would have been granted if all of these hold:"


def test_no_answer_has_a_card_number_or_a_phone(config: Path, capsys: Captured) -> None:
    for seq in (*seqs(config, AccessGranted), *seqs(config, AccessDenied)):
        for words in ([], ["--json"]):
            assert why(config, seq, *words) == cli.OK
            out = capsys.readouterr().out
            assert "13800001234" not in out
            assert "0000011" not in out


def test_programs_get_codes_and_facts_with_the_sentences(config: Path, capsys: Captured) -> None:
    [seq, _] = seqs(config, AccessDenied)
    assert why(config, seq, "--json") == cli.OK
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (said["decision"], said["reason"], said["outcome"]) == (
        "denied", "outside_schedule", None
    )  # fmt: skip
    assert said["trace"][-1] == {
        "rule": "in_schedule",
        "saw": "closed",
        "result": "fail",
        "facts": {"schedules": "office"},
        "text": "Hours: Closed now: 办公时间",
    }
    assert [remedy["change"] for remedy in said["remedies"]] == ["come_after_or_hold_level"]
    assert (said["person"], said["name"]) == ("p-20", "陈静")


def test_what_is_no_decision_is_refused_and_says_what_it_is(config: Path, capsys: Captured) -> None:
    [outcome], [grant] = seqs(config, AccessOutcome), seqs(config, AccessGranted)
    for seq, said in (
        (1, "1 is no decision but system.started, about system (decisions are access.granted"),
        (outcome, f"is no decision but access.outcome, about gate-in (the decision behind it: "
                  f"gatewayd why {grant})"),
        (9_999, "no event stands at 9999 (the last one is "),
    ):  # fmt: skip
        assert why(config, seq) == cli.REFUSED
        shown = capsys.readouterr()
        assert said in shown.err
        assert shown.out == ""


def test_without_the_list_there_are_ids_in_the_place_of_names(
    config: Path, capsys: Captured
) -> None:
    (place(config).directory / "whitelist" / "current.json").unlink()
    [seq, _] = seqs(config, AccessDenied)
    assert why(config, seq) == cli.OK
    out = capsys.readouterr().out
    assert "[p-20] 6-2-1203" in out
    assert "Closed now: office" in out
    assert "there is no list" in out


def test_without_a_journal_or_right_settings_it_is_refused(
    tmp_path: Path, capsys: Captured
) -> None:
    config = write_settings(tmp_path)
    assert why(config, 1) == cli.REFUSED
    assert "there is no journal" in capsys.readouterr().err
    config.write_text("[site]\n")
    assert why(config, 1) == cli.REFUSED
    assert "gatewayd why: " in capsys.readouterr().err


async def test_it_reads_while_the_daemon_writes(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        await gate.tap(20, "gate-in")
        [seq] = await asyncio.to_thread(seqs, config, AccessDenied)
        assert await asyncio.to_thread(why, config, seq) == cli.OK
        assert "Outside permitted hours" in capsys.readouterr().out
        assert await gate.journal.append(closed()) > seq


async def test_a_grant_without_its_outcome_says_so(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        gate.board.broken = "silent"
        seq = await gate.tap(18, "gate-in")
    [grant] = seqs(config, AccessGranted)
    assert why(config, grant) == cli.OK
    assert "What came of it: no confirmation" in capsys.readouterr().out
    with open_journal(place(config).journal_file) as journal:
        assert journal.outcome_of(seq + 100) is None


def test_a_question_to_what_is_kept_needs_none_of_the_files_that_the_settings_name(
    tmp_path: Path,
) -> None:
    """The demo's own settings name a broker's password and keys that are long gone."""
    settings = Path(__file__).parents[2] / "config" / "demo.toml"
    kept = [f"storage.directory={tmp_path}"]
    with pytest.raises(SettingsError):
        load_settings(settings, load_registry(), kept)
    loaded = load_settings(settings, load_registry(), kept, look_into_files=False)
    assert place_of(loaded).journal_file == tmp_path / "journal.db"
