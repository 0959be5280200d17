"""The import contracts name every room of the house; a new one that is forgotten is found here."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_drivers_are_kept_from_every_module_but_the_domain() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [
        found
        for found in settings["tool"]["importlinter"]["contracts"]
        if found["name"] == "drivers know the domain only"
    ]
    folder = ROOT / "gatewayd"
    rooms = {path.stem for path in folder.glob("*.py")} | {
        path.parent.name for path in folder.glob("*/__init__.py")
    }
    others = {f"gatewayd.{room}" for room in rooms - {"__init__", "__main__", "domain"}}
    assert set(contract["forbidden_modules"]) == others | {"simulators"}
