"""`gatewayd simulate-access`: what would happen, by the same rules and list; nothing does."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gatewayd import cli
from gatewayd.domain.events import Cause, CauseKind
from gatewayd.domain.model import DoorId, DoorMode
from gatewayd.store.journal_file import open_journal
from tests.inquiry.compound import compound, place, records, settings_text, write_settings
from tests.store.lists import credential, person

Captured = pytest.CaptureFixture[str]
MONDAY = "2026-11-30 06:30"
LEADER = Cause(CauseKind.OPERATOR, "chen", "drill")


def ask(config: Path, who: str, *words: str) -> int:
    where = [] if {"--door", "--reader"} & set(words) else ["--door", "main-gate"]
    at = [] if "--at" in words else ["--at", MONDAY]
    command = ["simulate-access", "--config", str(config), "--who", who]
    return cli.main([*command, *where, *at, *words])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The list is there; a resident is inside since this evening, and a pass was used twice."""
    path = write_settings(tmp_path)

    async def live() -> None:
        more = [person(40, name="王芳"), person(41, name="无卡")]
        async with compound(path, lists=[[*records(), *more, credential(40)]]) as gate:
            await gate.tap(17, "gate-in")
            await gate.go("main-gate")
            for _ in range(2):
                await gate.tap(21, "lab-in")
            await gate.modes.set_mode(DoorId("lab"), DoorMode.BLOCKED, LEADER)
            await gate.kept()

    asyncio.run(live())
    return path


def test_a_cleaner_before_hours_is_denied_and_told_what_would_do(
    config: Path, capsys: Captured
) -> None:
    assert ask(config, "p-20") == cli.PROBLEM_FOUND
    out = capsys.readouterr().out
    assert out.startswith(
        "2026-11-30 06:30:00, 东门, 东门进 (In)\n"
        "Card •••0014, 陈静 [p-20] 6-2-1203\n"
        "Denied: Outside permitted hours. Now is outside the permitted hours (办公时间).\n"
        "  + Known: Card is in the list\n"
    )
    assert out.endswith("  - they come after 30 Nov, 08:00, or get the level 住户\n")
    assert ask(config, "p-20", "--at", "2026-11-30 08:00") == cli.OK
    assert "Granted. Every rule is met." in capsys.readouterr().out


def test_it_speaks_chinese(config: Path, capsys: Captured) -> None:
    assert ask(config, "陈静", "--lang", "zh-CN") == cli.PROBLEM_FOUND
    out = capsys.readouterr().out
    assert "满足以下条件即可放行" in out
    assert "11月30日 08:00" in out
    assert "Denied" not in out


def test_each_credential_of_a_person_is_answered(config: Path, capsys: Captured) -> None:
    assert ask(config, "周涛", "--json") == cli.OK
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [case["credential"]["masked"] for case in said["cases"]] == ["•••0018", "•••007C"]
    assert said["granted"]
    assert {case["decision"] for case in said["cases"]} == {"granted"}


def test_a_card_is_named_as_the_list_writes_it(config: Path, capsys: Captured) -> None:
    assert ask(config, "card:26:0000012") == cli.OK
    assert "李强 [p-18]" in capsys.readouterr().out
    assert ask(config, "card:26:00003E7", "--json") == cli.PROBLEM_FOUND
    [case] = json.loads(capsys.readouterr().out)["cases"]
    assert (case["reason"], case["person"]) == ("credential_unknown", None)
    assert case["remedies"][0]["text"] == "the card is put into the list"


@pytest.mark.parametrize(
    ("pin", "code", "said"),
    [
        ("right", cli.PROBLEM_FOUND, "Second person required"),
        ("wrong", cli.PROBLEM_FOUND, "Wrong PIN"),
        ("none", cli.PROBLEM_FOUND, "PIN missing"),
    ],
)
def test_the_pin_is_part_of_the_question(
    config: Path, capsys: Captured, pin: str, code: int, said: str
) -> None:
    assert ask(config, "p-18", "--reader", "vault-in", "--pin", pin) == code
    assert f"Denied: {said}." in capsys.readouterr().out


def test_whereabouts_are_those_of_the_journal_unless_others_are_asked_for(
    config: Path, capsys: Captured
) -> None:
    assert ask(config, "p-17") == cli.PROBLEM_FOUND
    assert "Already in 院内 since 18 Nov, 19:06" in capsys.readouterr().out
    assert ask(config, "p-17", "--inside", "outside") == cli.OK
    assert ask(config, "p-17", "--inside", "unknown") == cli.OK
    assert ask(config, "p-18", "--inside", "yard") == cli.PROBLEM_FOUND
    assert ask(config, "p-18", "--door", "garage-door", "--inside", "unknown") == 1
    assert "isn't known; 车库 does not let them pass" in capsys.readouterr().out
    assert ask(config, "p-18", "--reader", "garage-out", "--inside", "garage") == cli.OK


def test_the_doors_orders_and_the_uses_are_those_of_the_journal(
    config: Path, capsys: Captured
) -> None:
    assert ask(config, "p-18", "--door", "lab") == cli.PROBLEM_FOUND
    assert "Denied: Door out of use" in capsys.readouterr().out
    assert ask(config, "p-21") == cli.PROBLEM_FOUND
    assert "No use is left; uses allowed: 2, used: 2" in capsys.readouterr().out


def test_a_visitor_may_follow_whoever_tapped_just_before(config: Path, capsys: Captured) -> None:
    place(config).journal_file.unlink()  # and with it the order that blocks the lab
    assert ask(config, "p-27", "--door", "lab") == cli.PROBLEM_FOUND
    capsys.readouterr()
    assert ask(config, "p-27", "--door", "lab", "--after", "李强") == cli.OK
    out = capsys.readouterr().out
    assert "\nJust before: 李强 [p-18] 6-2-1203\nGranted." in out
    assert (
        ask(config, "p-27", "--door", "lab", "--after", "p-17") == cli.PROBLEM_FOUND
    )  # not theirs
    assert ask(config, "p-19", "--door", "lab", "--after", "p-17") == cli.OK
    assert ask(config, "p-19", "--door", "lab", "--after", "p-18") == cli.PROBLEM_FOUND
    capsys.readouterr()
    assert ask(config, "p-27", "--door", "lab", "--after", "p-18", "--json") == cli.OK
    said = json.loads(capsys.readouterr().out)
    assert (said["after"], said["vehicle"]) == ("p-18", None)


def test_whoever_should_come_first_is_called_by_name(config: Path, capsys: Captured) -> None:
    assert ask(config, "p-27", "--door", "lab", "--lang", "en") == cli.PROBLEM_FOUND
    assert capsys.readouterr().out.endswith(
        "  - one of their own escorts (李强) taps first, 30 s before at most\n"
    )


def test_the_first_of_two_is_whoever_tapped_just_before(config: Path, capsys: Captured) -> None:
    vault = ("--reader", "vault-in", "--pin", "right")
    assert ask(config, "p-18", *vault, "--after", "p-24") == cli.OK
    assert ask(config, "p-18", *vault, "--after", "p-18") == cli.PROBLEM_FOUND
    capsys.readouterr()
    assert ask(config, "p-18", *vault, "--after", "p-24", "--lang", "zh-CN") == cli.OK
    assert "此前刚刷卡：周涛 [p-24]" in capsys.readouterr().out


def test_a_vehicle_is_there_or_not(config: Path, capsys: Captured) -> None:
    garage = ("--reader", "garage-in", "--inside", "yard")
    text = settings_text().replace('door = "garage-door"', 'door = "garage-door"\nvehicle = true')
    barrier = 'kind = "barrier"\nloop_input = 7\nunlock_s = 20\npre_alarm_s = 30\nheld_s = 60'
    text = text.replace('id = "garage-door"', f'id = "garage-door"\n{barrier}')
    write_settings(config.parent, text.replace("contact_input = 2\n", ""))
    assert ask(config, "p-18", *garage) == cli.OK
    capsys.readouterr()
    assert ask(config, "p-18", *garage, "--vehicle", "no") == cli.PROBLEM_FOUND
    assert "\nA vehicle is there: no\nDenied: " in capsys.readouterr().out
    assert ask(config, "p-18", *garage, "--vehicle", "yes", "--json") == cli.OK
    assert json.loads(capsys.readouterr().out)["vehicle"] is True


def test_nothing_is_written_by_a_question(config: Path) -> None:
    with open_journal(place(config).journal_file) as journal:
        before = journal.last_seq()
    ask(config, "p-20")
    with open_journal(place(config).journal_file) as journal:
        assert journal.last_seq() == before


def test_without_a_journal_the_doors_are_as_they_are_made(config: Path, capsys: Captured) -> None:
    place(config).journal_file.unlink()
    assert ask(config, "p-17") == cli.OK
    assert ask(config, "p-21") == cli.OK
    assert "Uses allowed: 2, used: 0" in capsys.readouterr().out
    assert ask(config, "p-18", "--door", "lab") == cli.OK


def test_without_a_time_it_is_now(config: Path, capsys: Captured) -> None:
    command = ["simulate-access", "--config", str(config), "--who", "p-22", "--door", "lab"]
    assert cli.main(command) == cli.PROBLEM_FOUND
    assert "Denied: Card reported lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("who", "words", "said"),
    [
        ("王芳", (), "2 people have this name, name one by id: p-17 (6-2-1203), p-40 (6-2-1203)"),
        ("无卡", (), "p-41 has no credential in the list"),
        ("nobody", (), "has no person with this id or name (a credential is written"),
        ("p-17", ("--door", "moon"), "--door moon: no such door with a reader (one of: garage-"),
        ("p-17", ("--reader", "moon"), "--reader moon: no such reader (one of: gate-in"),
        ("p-17", ("--inside", "moon"), "no such area (outside, unknown, or one of: yard, garage)"),
        ("p-17", ("--after", "nobody"), "--after: the list of revision 1 has no person with this"),
        ("p-17", ("--after", "王芳"), "--after: 2 people have this name, name one by id: p-17"),
        ("p-17", ("--vehicle", "yes"), "--vehicle: no vehicle lane (vehicle = true in [[reader]])"),
        ("p-17", ("--at", "soon"), "--at soon: not a time: write it as"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(
    config: Path, capsys: Captured, who: str, words: tuple[str, ...], said: str
) -> None:
    assert ask(config, who, *words) == cli.REFUSED
    shown = capsys.readouterr()
    assert said in shown.err
    assert shown.out == ""
