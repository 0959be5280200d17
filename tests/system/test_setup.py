"""The set-up of a fresh machine: its scripts are plain sh, end at once when all is done, and say
what is missing. That they fetch and install is what `make demo` and `make test` show themselves.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.settings.example_files import ROOT

SCRIPTS = [*sorted((ROOT / "requirements").glob("*.sh")), ROOT / ".ci" / "run"]


def run(
    *command: str | Path, cwd: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.name))
def test_a_script_stops_at_its_first_failure_and_has_no_mistake_of_syntax(script: Path) -> None:
    text = script.read_text()
    shell = text.splitlines()[0].split("/")[-1].split()[-1]
    assert run(shell, "-n", script).stderr == ""
    assert "\nset -eu" in text
    assert os.access(script, os.X_OK)


def test_make_alone_lists_the_targets() -> None:
    shown = run("make", "--no-print-directory").stdout
    for target in ("demo", "test", "bench", "docs", "lock", "clean", "wheel"):
        assert f"make {target} " in shown


def test_ci_runs_make_test_and_nothing_else() -> None:
    lines = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if line[:1] != "#"]
    assert lines == [
        "set -euo pipefail",
        'cd "$(dirname "${BASH_SOURCE[0]}")/.."',
        "exec make test </dev/null",
    ]


def test_a_target_that_fails_in_its_middle_fails(tmp_path: Path) -> None:
    """The steps of `make test` are lines of their own: none can hide behind the next."""
    shown = run("make", "-n", "test").stdout.splitlines()
    steps = [line for line in shown if line.startswith(".venv/bin/")]
    assert [step.split()[0].split("/")[-1] for step in steps] == [
        *("ruff", "ruff", "mypy", "lint-imports", "pytest", "coverage", "coverage")
    ]
    assert not any(sign in step for step in steps for sign in ("||", ";", "&&"))


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The parts of the project that the set-up reads, in a place of their own."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def stamp(clone: Path) -> str:
    """As the script computes it: the place, then the files."""
    names = ["requirements/runtime.txt", "requirements/demo.txt", "pyproject.toml"]
    content = f"{clone}\n".encode() + b"".join((clone / name).read_bytes() for name in names)
    return sha256(content).hexdigest()


def test_a_second_set_up_finds_its_stamp_and_ends(clone: Path) -> None:
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (clone / ".venv" / ".stamp-demo").write_text(stamp(clone))
    done = run("sh", "requirements/bootstrap.sh", "demo", cwd=clone, PATH="/usr/bin:/bin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_a_python_that_is_new_enough_the_set_up_says_so(clone: Path) -> None:
    (clone / "bin").mkdir()
    for name in ("dirname", "mkdir", "sha256sum", "cut", "cat", "flock", "id", "sh"):
        (clone / "bin" / name).symlink_to(str(shutil.which(name)))
    old = clone / "bin" / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    poor = {"PATH": str(clone / "bin"), "PYTHON": ""}
    done = run("/bin/sh", "requirements/bootstrap.sh", "demo", cwd=clone, **poor)
    assert done.returncode == 1
    assert "setup: needs Python 3.11 or newer" in done.stderr
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["bootstrap.sh"], "usage: bootstrap.sh demo|test"),
        (["bootstrap.sh", "nonsense"], "unknown set 'nonsense'"),
        (["debian.sh", "nonsense"], "unknown tool 'nonsense'"),
    ],
)
def test_a_wrong_call_is_told(clone: Path, command: list[str], said: str) -> None:
    name, *arguments = command
    done = run("sh", f"requirements/{name}", *arguments, cwd=clone)
    assert done.returncode != 0
    assert said in done.stderr


def machine_without_apt(clone: Path) -> str:
    """A PATH with what the script itself calls, and neither the tool nor apt."""
    (clone / "bin").mkdir()
    for name in ("dirname", "id", "mkdir", "sed", "sh"):
        (clone / "bin" / name).symlink_to(str(shutil.which(name)))
    script = clone / "requirements" / "debian.sh"
    script.write_text(script.read_text().replace("PATH=$bin:$PATH:/usr/sbin", "PATH=$bin:$PATH"))
    return str(clone / "bin")


def test_a_tool_that_is_there_is_left_alone(clone: Path) -> None:
    path = machine_without_apt(clone)
    (clone / "bin" / "ffmpeg").symlink_to("/bin/true")
    done = run("/bin/sh", "requirements/debian.sh", "ffmpeg", cwd=clone, PATH=path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_tool_that_can_not_be_had_stops_the_set_up_unless_it_is_optional(clone: Path) -> None:
    path = machine_without_apt(clone)
    done = run("/bin/sh", "requirements/debian.sh", "ffmpeg", cwd=clone, PATH=path)
    assert done.returncode == 1
    assert "ffmpeg can't be had here: install Debian's package ffmpeg" in done.stdout
    done = run("/bin/sh", "requirements/debian.sh", "--optional", "ffmpeg", cwd=clone, PATH=path)
    assert done.returncode == 0
    assert "ffmpeg can't be had here" in done.stdout
