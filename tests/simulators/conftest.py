"""A simulated reader's line, and the clients that open it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.waiting import Tty


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "ttyREADER"


@pytest.fixture
def clients() -> Iterator[list[Tty]]:
    opened: list[Tty] = []
    yield opened
    for client in opened:
        client.close()
