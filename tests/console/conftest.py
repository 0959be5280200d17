"""One console a test, on real stores in a folder of its own, with a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clock import ManualClock
from tests.console.rig import Rig, rig


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def console(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Rig]:
    async with rig(tmp_path, clock) as opened:
        yield opened
