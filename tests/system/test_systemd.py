"""The service unit is right and closed, and does what the install page says of it."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from gatewayd import cli
from tests.settings.example_files import ROOT

UNIT = ROOT / "systemd" / "gatewayd.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="this machine has no systemd-analyze"
)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_systemd
def test_the_unit_has_no_mistake() -> None:
    done = analyze("verify", str(UNIT))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_systemd
def test_the_units_exposure_is_two_or_better() -> None:
    done = analyze("security", "--offline=true", "--threshold=20", str(UNIT))
    assert done.returncode == 0, done.stdout


@needs_systemd
def test_an_open_unit_would_not_pass(tmp_path: Path) -> None:
    opened = tmp_path / UNIT.name
    kept = [line for line in UNIT.read_text().splitlines() if not line.startswith("Protect")]
    opened.write_text("\n".join(kept))
    done = analyze("security", "--offline=true", "--threshold=20", str(opened))
    assert done.returncode != 0
    opened.write_text(UNIT.read_text().replace("WatchdogSec=15", "WatchdogSec=soon"))
    assert "Failed to parse sec value" in analyze("verify", str(opened)).stderr


@pytest.fixture
def unit() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keep the case, as documented
    parser.read(UNIT)
    return parser["Service"]


def test_the_watchdog_restarts_what_hangs_but_not_what_is_set_wrong(
    unit: configparser.SectionProxy,
) -> None:
    assert unit["Type"] == "notify"
    assert unit["NotifyAccess"] == "main"
    assert unit["WatchdogSec"] == "15"
    assert unit["Restart"] == "always"
    assert unit["RestartPreventExitStatus"] == f"{cli.USAGE} {cli.REFUSED}"


def test_the_unit_runs_a_command_that_there_is(unit: configparser.SectionProxy) -> None:
    program, dashes, name, *arguments = unit["ExecStart"].split()
    assert (program, dashes, name) == ("/usr/bin/env", "--", "gatewayd")
    parsed = cli.build_parser().parse_args(arguments)
    assert parsed.config == cli.DEFAULT_CONFIG
