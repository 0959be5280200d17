"""The pages are true: generated ones are current, paths exist, and no page names a line number."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from gatewayd.domain import path_rules
from gatewayd.domain.events import EVENT_TYPES
from gatewayd.domain.model import AlarmKind, Reason
from gatewayd.domain.policy import RULES
from gatewayd.reference import __main__ as reference
from gatewayd.reference.rules_page import rows
from gatewayd.reference.rules_table import DECISION, PATH
from gatewayd.registry import load_registry
from tests.settings.example_files import ROOT

PAGES = sorted(
    path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")] if ".venv" not in path.parts
)
# A path in the project as a page writes it: `gatewayd/tap.py`, `docs/reference/`.
TOP = "gatewayd|drivers|simulators|tests|benchmarks|config|docs|requirements|systemd|[.]ci"
NAMED = re.compile(rf"`((?:{TOP})/[A-Za-z0-9_./{{}},*-]*)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
LINE_NUMBER = re.compile(r"\.(?:py|sql|toml|js|sh)(?::\d+|#L\d+)| lines? \d+ of `")


def without_code(text: str) -> str:
    """The page without its blocks of code, where shell lines name places on other machines."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def alternatives(path: str) -> list[str]:
    """`a/{b,c}.py` as both of its paths."""
    found = re.search(r"\{([^}]*)\}", path)
    if found is None:
        return [path]
    return [
        done
        for part in found[1].split(",")
        for done in alternatives(path[: found.start()] + part + path[found.end() :])
    ]


def exists(path: str) -> bool:
    return any(ROOT.glob(path.rstrip("/"))) if "*" in path else (ROOT / path).exists()


def test_there_are_pages_to_check() -> None:
    assert len(PAGES) >= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [
        path for named in NAMED.findall(text) for path in alternatives(named) if not exists(path)
    ]
    for target in LINK.findall(without_code(text)):
        address = target.split("#")[0]
        outside = not address or "://" in address or address.startswith("mailto:")
        if not outside and not (page.parent / address).exists():
            missing.append(target)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_within_a_page_leads_to_a_heading(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    inner = {target[1:] for target in LINK.findall(without_code(text)) if target.startswith("#")}
    assert inner - headings == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_names_a_line_number_or_a_place_on_one_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert LINE_NUMBER.findall(text) == []
    assert str(ROOT) not in text


def test_generated_pages_and_the_schema_are_current() -> None:
    assert reference.stale(ROOT, load_registry()) == [], "run: make docs"


def test_every_reason_alarm_and_event_has_its_place() -> None:
    made = reference.generated(load_registry())
    for reason in Reason:
        assert f"| `{reason}` |" in made["docs/reference/reasons.md"]
    for kind in AlarmKind:
        assert f"| `{kind}` |" in made["docs/reference/alarms.md"]
    for event in EVENT_TYPES:
        assert f"## {event}\n" in made["docs/reference/events.md"]


def test_every_rule_has_a_row_and_no_row_is_left_of_a_rule_that_is_gone() -> None:
    assert list(DECISION) == [name for name, _ in RULES]
    assert set(PATH) == {said.rule for said in path_rules.SENTENCES}


def names_of_tests_in(file: Path) -> set[str]:
    """The names of the file's test functions."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = (n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return {function.name for function in found if function.name.startswith("test_")}


@pytest.mark.parametrize("rule", rows())
def test_every_rule_is_proved_by_tests_that_there_are(rule: str) -> None:
    proofs = rows()[rule].tests
    assert proofs
    for node in proofs:
        file, _, name = node.partition("::")
        assert name in names_of_tests_in(ROOT / file), (
            f"{node} is gone: name the test that proves {rule}"
        )


def test_the_generator_writes_what_is_stale_and_tells_it_when_only_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert reference.main([]) == 0
    (tmp_path / "config" / "gatewayd.schema.json").unlink()
    (tmp_path / "docs" / "reference" / "alarms.md").write_text("old")
    capsys.readouterr()
    assert reference.main(["--check"]) == 1
    assert capsys.readouterr().err == (
        "config/gatewayd.schema.json is not current: run make docs\n"
        "docs/reference/alarms.md is not current: run make docs\n"
    )
    assert reference.main([]) == 0
    assert capsys.readouterr().out == (
        "wrote config/gatewayd.schema.json\nwrote docs/reference/alarms.md\n"
    )
    assert reference.main(["--check"]) == 0


def test_what_is_said_of_the_demo_counts_its_devices() -> None:
    demo = tomllib.loads((ROOT / "config" / "demo.toml").read_text(encoding="utf-8"))
    words = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"]
    words += ["nine", "ten", "eleven", "twelve"]
    readers = f"{words[len(demo['reader'])]} readers"
    boards = words[len(demo["controller"])]
    for name in ("README.md", "Makefile", "docs/reference/simulators.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert readers in text, name
        assert re.search(rf"{boards} (relay )?boards", text), name
