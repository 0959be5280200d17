"""Drivers are found by name, loaded when asked for, and a broken one is named."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from gatewayd.domain.ports import DriverKind
from gatewayd.registry import GROUP, DriverLoadError, InstalledDrivers, load_registry

GOOD = """
from pydantic import BaseModel
from gatewayd.domain.ports import Driver, DriverKind

DRIVER = Driver(DriverKind.READER, "good", BaseModel, lambda options, context: None)
NO_DRIVER = 1
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, with one good driver in it."""
    (tmp_path / "acme_good.py").write_text(GOOD)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_good", raising=False)
    return tmp_path


def drivers(*points: tuple[str, str]) -> InstalledDrivers:
    return InstalledDrivers(EntryPoint(name, value, GROUP) for name, value in points)


def test_a_driver_is_imported_only_when_it_is_asked_for(package: Path) -> None:
    registry = drivers(("good", "acme_good:DRIVER"), ("broken", "acme_missing:DRIVER"))
    assert list(registry) == ["good", "broken"]
    assert len(registry) == 2
    assert "broken" in registry
    assert "other" not in registry
    assert "acme_good" not in sys.modules
    assert registry["good"].kind is DriverKind.READER
    assert registry["good"] is registry["good"]
    with pytest.raises(KeyError):
        registry["other"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("x = 1", "AttributeError"),
        ("x = = 1", "SyntaxError"),
        ("raise OSError('libvendor.so is missing')", "OSError: libvendor.so is missing"),
        ("nme", "NameError"),
    ],
)
def test_a_driver_that_can_not_be_imported_is_named_with_the_reason(
    package: Path, text: str, why: str
) -> None:
    module = f"acme_{text.encode().hex()}"
    (package / f"{module}.py").write_text(text + "\n")
    with pytest.raises(DriverLoadError) as caught:
        drivers(("bad", f"{module}:DRIVER"))["bad"]
    assert str(caught.value).startswith(f"driver 'bad' ({module}:DRIVER) can't be loaded: ")
    assert why in str(caught.value)


def test_an_entry_point_that_names_something_else_is_refused(package: Path) -> None:
    with pytest.raises(DriverLoadError, match=r"no gatewayd\.domain\.ports\.Driver"):
        drivers(("good", "acme_good:NO_DRIVER"))["good"]
    with pytest.raises(DriverLoadError, match="calls itself 'good'"):
        drivers(("better", "acme_good:DRIVER"))["better"]


def test_one_name_from_two_packages_is_refused_and_the_same_twice_is_not(package: Path) -> None:
    with pytest.raises(DriverLoadError, match="announced twice, by acme_good:DRIVER and other:D"):
        drivers(("good", "other:D"), ("good", "acme_good:DRIVER"))["good"]
    twice = drivers(("good", "acme_good:DRIVER"), ("good", "acme_good:DRIVER"))
    assert twice["good"].name == "good"


def test_the_drivers_of_this_project_are_found_by_name() -> None:
    assert {"ascii-tag", "wiegand-serial", "modbus-relay", "rtsp"} <= set(load_registry())
