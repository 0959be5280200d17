"""The catalogue is whole in every language; what is vendored is what was taken; nothing foreign."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from gatewayd.console import static_folder
from gatewayd.console.problems import PROBLEMS
from gatewayd.console.texts import Texts
from gatewayd.domain import path_rules
from gatewayd.domain.door import Phase
from gatewayd.domain.events import Escalation, Outcome
from gatewayd.domain.explain import CHANGES
from gatewayd.domain.model import (
    AlarmKind,
    AntiPassback,
    CredentialKind,
    Direction,
    DoorMode,
    Priority,
    Reason,
    RuleResult,
)
from gatewayd.domain.policy import SENTENCES
from gatewayd.store.operators import Role
from gatewayd.wording import LANGUAGES

STATIC = static_folder()
TEXTS = Texts.load().by_language
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))
PAGES = sorted((STATIC.parent / "templates").glob("*.html"))
SAID = (*SENTENCES, *path_rules.SENTENCES)
# Codes whose texts the page asks for by a key that it puts together.
NEEDED = {
    *(f"reason.{code}" for code in Reason),
    *(f"reason.{code}.why" for code in Reason),
    *(f"reason.{code}.next" for code in Reason),
    *(f"rule.{said.rule}" for said in SAID),
    *(f"trace.{said.rule}.{said.saw}" for said in SAID),
    *(f"live.trace_{result}" for result in RuleResult),
    *(f"remedy.{change}" for change in CHANGES),
    *(f"alarm.{kind}" for kind in AlarmKind),
    *(f"alarm.{kind}.next" for kind in AlarmKind),
    *(f"mode.{mode}" for mode in DoorMode),
    *(f"phase.{phase}" for phase in Phase),
    *(f"armstate.{phase}" for phase in Phase),
    *(f"outcome.{outcome}" for outcome in Outcome),
    *(f"priority.{priority}" for priority in Priority),
    *(f"direction.{direction}" for direction in Direction),
    *(f"credential.{kind}" for kind in CredentialKind),
    *(f"role.{role}" for role in Role),
    *(f"role.{role}" for role in Escalation),
    *(f"alarms.escalated.{role}" for role in Escalation),
    *(f"forgive.reason.{number}" for number in range(1, 5)),
    *(f"areas.passback.{kind}" for kind in AntiPassback),
    *(f"areas.choose_{then}" for then in ("people", "forgive")),
    *(f"shelve.reason.{number}" for number in range(1, 5)),
    *(f"shelve.minutes.{minutes}" for minutes in (15, 60, 480)),
    *(f"problem.{code}" for code in PROBLEMS),
    *(f"link.{state}" for state in ("alone", "connecting", "online", "stopped")),
    *(f"device.{kind}" for kind in ("reader", "controller", "camera")),
    *(f"person.{role}" for role in ("owner", "tenant", "family", "staff", "visitor")),
}


def places(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_code_has_its_texts(language: str) -> None:
    assert TEXTS[language].keys() >= NEEDED


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_empty_but_the_next_step_of_a_grant(language: str) -> None:
    empty = {key for key, text in TEXTS[language].items() if not text.strip()}
    assert empty == {"reason.granted.next"}


def test_the_languages_have_the_same_keys_and_places() -> None:
    chinese, english = TEXTS["zh-CN"], TEXTS["en"]
    assert chinese.keys() == english.keys()
    assert [key for key in chinese if places(chinese[key]) != places(english[key])] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_a_rule_says_has_no_blank_that_it_does_not_fill(language: str) -> None:
    texts = TEXTS[language]
    for said in SAID:
        assert places(texts[f"trace.{said.rule}.{said.saw}"]) <= set(said.blanks)
        if said.reason is not None:
            filled = {"door", *said.blanks, *(blank.removesuffix("_s") for blank in said.blanks)}
            assert places(texts[f"reason.{said.reason}.why"]) <= filled
    for change, blanks in CHANGES.items():
        assert places(texts[f"remedy.{change}"]) <= set(blanks)


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_is_left_of_a_rule_or_a_change_that_is_gone(language: str) -> None:
    said = {key for key in TEXTS[language] if key.split(".")[0] in {"rule", "trace", "remedy"}}
    assert said - NEEDED == set()


def test_the_catalogues_have_no_key_twice() -> None:
    def no_repeats(pairs: list[tuple[str, str]]) -> dict[str, str]:
        assert len(pairs) == len(dict(pairs))
        return dict(pairs)

    for language in LANGUAGES:
        text = (STATIC / "i18n" / f"{language}.json").read_text("utf-8")
        json.loads(text, object_pairs_hook=no_repeats)


def test_every_key_that_a_script_or_a_page_names_is_there() -> None:
    used = set()
    for path in (*SCRIPTS, *PAGES):
        text = path.read_text("utf-8")
        used |= set(re.findall(r"\bt\(\s*\"([\w.]+)\"", text))
        used |= set(re.findall(r"t\[\"([\w.]+)\"\]", text))
    assert len(used) > 80
    assert used - TEXTS["en"].keys() == set()


def test_chinese_speaks_the_trades_own_words() -> None:
    chinese = "".join(TEXTS["zh-CN"].values())
    for word in ("门禁", "刷卡", "常开", "门磁", "挂失", "强行开门", "保安", "班长", "物业"):
        assert word in chinese


def test_the_page_says_of_every_alarm_what_becomes_of_its_detail() -> None:
    words = (STATIC / "js" / "words.js").read_text("utf-8")
    table = words.split("ALARM_DETAIL = {")[1].split("};")[0]
    listed = re.findall(r"(\w+): \"(?:none|words|technical)\"", table)
    assert sorted(listed) == sorted(AlarmKind)


def test_what_is_vendored_is_what_was_taken() -> None:
    listed = json.loads((STATIC / "vendor" / "VENDORED.json").read_text("utf-8"))
    known = {"VENDORED.json"}
    for entry in listed:
        data = (STATIC / "vendor" / entry["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == entry["sha256"]
        for part in (entry, *entry["contains"]):
            assert part["name"]
            assert part["version"]
            assert part["licence"] in {"Apache-2.0", "MIT"}
            assert (STATIC / "vendor" / part["licence_file"]).stat().st_size > 500
            known.add(part["licence_file"])
        known.add(entry["file"])
    assert {path.name for path in (STATIC / "vendor").iterdir()} == known


def ours() -> list[Path]:
    files = [path for path in STATIC.rglob("*") if path.is_file() and "vendor" not in path.parts]
    return [*files, *PAGES]


def test_nothing_is_asked_of_another_host() -> None:
    for path in ours():
        text = path.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|//cdn|@import|url\((?!#)", text), path.name


def test_nothing_is_inline_and_no_markup_is_made_of_strings() -> None:
    for page in PAGES:
        text = page.read_text("utf-8")
        assert not re.search(r"\son\w+=|style=|javascript:|<style|\|\s*safe", text), page.name
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), page.name
    for script in SCRIPTS:
        text = script.read_text("utf-8")
        assert not re.search(
            r"innerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(", text
        )


def test_every_script_says_what_it_owns_and_stays_short() -> None:
    for script in SCRIPTS:
        lines = script.read_text("utf-8").splitlines()
        assert lines[0].startswith("// "), script.name
        assert len(lines) < 400, script.name
