"""Door controllers in the settings: what check-config says of boards and their terminals."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.buses import modbus
from drivers.doors import lcus_relay, modbus_relay
from gatewayd.clock import SystemClock
from gatewayd.domain.ports import DriverContext
from tests.settings.conftest import REGISTRY, SiteFile


def test_an_input_of_a_board_that_never_has_any_is_told(tmp_path: Path) -> None:
    site = SiteFile(tmp_path, {**REGISTRY, "lcus-relay": lcus_relay.DRIVER})
    site.replace('driver = "relays"', 'driver = "lcus-relay"')
    problems = site.problems()
    assert len(problems) == 2  # its contact and its exit button
    assert "door.main-gate.contact_input: 'board' has 0 inputs, and this is 1" in problems[0]
    assert problems[0].endswith("(boards of the driver 'lcus-relay' have no more)")
    site.replace("contact_input = 1", "")
    site.replace("exit_input = 2", "")
    assert site.problems() == []


LINE = """
[[bus]]
id = "line"
driver = "modbus"
port = "/dev/ttyLINE"
baud_rate = 19200
"""
SECOND = """
[[controller]]
id = "board-2"
driver = "modbus-relay"
bus = "line"
device_id = 2
"""


@pytest.fixture
def shared(tmp_path: Path) -> SiteFile:
    """The gate's board and another one on a line of Modbus boards."""
    drivers = (modbus.DRIVER, modbus_relay.DRIVER)
    site = SiteFile(tmp_path, {**REGISTRY, **{driver.name: driver for driver in drivers}})
    site.replace('driver = "relays"\nport = "/dev/ttyTEST1"', 'driver = "modbus-relay"\nbus="line"')
    site.append(LINE + SECOND)
    return site


def test_modbus_boards_share_a_line_and_are_built_upon_it(shared: SiteFile) -> None:
    assert shared.problems() == []
    loaded = shared.load()
    assert next(iter(loaded.drivers)) == "line"
    line = modbus.build(loaded.options["line"], DriverContext("line", SystemClock()))
    for name in ("board", "board-2"):
        modbus_relay.build(loaded.options[name], DriverContext(name, SystemClock(), line))
    assert len(line._stations) == 2


def test_two_boards_at_one_address_of_a_line_are_told(shared: SiteFile) -> None:
    shared.replace("device_id = 2", "device_id = 1")
    [problem] = shared.problems()
    assert "the place line, Modbus device 1 is taken by [[controller]] board" in problem
    assert "each device on a bus has its own address" in problem


def test_a_board_alone_on_its_line_names_no_bus(shared: SiteFile) -> None:
    shared.replace('bus = "line"\ndevice_id = 2', 'port = "/dev/ttyLINE"')
    [problem] = shared.problems()
    assert "the port /dev/ttyLINE is taken by [[bus]] line" in problem


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('bus = "line"\ndevice_id = 2', 'bus = "lane"', "there is no [[bus]] with the id 'lane'"),
        ("device_id = 2", "device_id = 2\nbaud_rate = 9600", "baud_rate is set in the [[bus]]"),
        ('bus = "line"\ndevice_id = 2', "device_id = 2", "needs a port, or the bus it is on"),
    ],
)
def test_a_board_that_is_on_no_line_is_told(
    shared: SiteFile, old: str, new: str, told: str
) -> None:
    shared.replace(old, new)
    [problem] = shared.problems()
    assert told in problem
