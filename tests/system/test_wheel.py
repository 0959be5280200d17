"""The built wheel in a clean environment, outside of the checkout, is the whole program."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from gatewayd import __version__
from tests.settings.example_files import ROOT, example_site

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(300)]

PACKAGES = ("gatewayd", "drivers", "simulators")
MADE = shutil.ignore_patterns("__pycache__", "*.pyc")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """With nothing of the checkout in the environment."""
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTHON", "COV_", "COVERAGE", "VIRTUAL_ENV"))
    }
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `make wheel` does, from a copy: setuptools leaves traces where it builds."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=MADE)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("dist")
    done = run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source),
        cwd=out,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment with the wheel in it.

    Its dependencies are those of this environment, by a .pth file: a folder named there is
    searched after the environment's own packages, and the .pth files within it are not read, so
    the editable install of the checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("clean") / "venv"
    made = run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    assert made.returncode == 0, made.stderr
    python = folder / "bin" / "python"
    install = ("-m", "pip", "--python", python, "install", "-q", "--no-index", "--no-deps", wheel)
    done = run(sys.executable, *install, cwd=folder.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return folder / "bin"


def test_the_wheel_is_what_runs_and_not_the_checkout(installed: Path, tmp_path: Path) -> None:
    code = (
        "import json, gatewayd, drivers, importlib.metadata as m;"
        "d = m.distribution('gatewayd');"
        "places = [gatewayd.__file__, drivers.__file__, str(d.locate_file(''))];"
        "print(json.dumps([*places, d.version]))"
    )
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    *places, version = json.loads(done.stdout)
    assert version == __version__
    assert all(Path(place).is_relative_to(installed.parent) for place in places)


def test_the_wheel_carries_everything_that_is_no_python(wheel: Path) -> None:
    """What package-data must name: each file of the packages."""
    kept = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    assert sorted(set(kept) - inside) == []


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    done = run(installed / "gatewayd", "version", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"gatewayd {__version__}\n", "")


def test_the_installed_command_checks_the_example_with_its_drivers(
    installed: Path, tmp_path: Path
) -> None:
    path = example_site(tmp_path)
    done = run(installed / "gatewayd", "check-config", "--config", path, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}: no problem found\n"


def test_the_installed_command_makes_the_schema_that_is_kept(
    installed: Path, tmp_path: Path
) -> None:
    done = run(installed / "gatewayd", "schema", cwd=tmp_path)
    assert done.stdout == (ROOT / "config" / "gatewayd.schema.json").read_text(encoding="utf-8")
