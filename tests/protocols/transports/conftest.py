"""A clock and a plugged-in serial device for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clock import ManualClock
from tests.protocols.transports.lines import PtyDevice


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[PtyDevice]:
    device = PtyDevice(tmp_path / "reader-1")
    device.plug_in()
    yield device
    device.unplug()
