"""Which alarms have pictures: those about a door, and those about where someone stands."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from functools import partial
from typing import Any

import pytest

from gatewayd.alarms import AlarmDesk
from gatewayd.box import NoPictures, _picture_of_alarm
from gatewayd.domain.model import AlarmKind, CameraId, Stamp
from gatewayd.recorder import Recorder
from gatewayd.rulings import Site
from tests.clock import ManualClock
from tests.domain.world import GATE_IN
from tests.fakes import MemoryJournal


class Cameras(NoPictures):
    """Notes which cameras were asked."""

    def __init__(self) -> None:
        self.asked: list[CameraId] = []

    def request(self, for_seq: int, camera_ids: Any, at: Stamp) -> None:
        self.asked += camera_ids


@pytest.mark.parametrize(
    ("about", "kept"), [(GATE_IN.door_id, ["cam-1"]), (GATE_IN.id, ["cam-1"]), ("board-1", [])]
)
async def test_an_alarm_has_the_pictures_of_the_readers_of_its_place(
    about: str, kept: list[str]
) -> None:
    point = replace(GATE_IN, camera_ids=(CameraId("cam-1"),))
    cameras, clock = Cameras(), ManualClock()
    journal = MemoryJournal(clock)
    on_raised = partial(_picture_of_alarm, Site({point.id: point}, {}, UTC), cameras)
    recorder = Recorder(journal, clock, lambda _bad, _why: None)
    await AlarmDesk(journal, recorder, clock, on_raised).raise_alarm(AlarmKind.WATCH_LIST, about)
    assert cameras.asked == kept
