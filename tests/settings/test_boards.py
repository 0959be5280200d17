"""Door controllers in the settings: what check-config says of boards and their terminals."""

from __future__ import annotations

from pathlib import Path

from drivers.doors import lcus_relay
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
