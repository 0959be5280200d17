"""What `make prove-fuzz` runs for hours holds for a few seeded inputs too, and can fail."""

from __future__ import annotations

from random import Random

import pytest

from drivers.protocols.osdp.outcome import Replied
from drivers.protocols.osdp.replies import Ack
from drivers.protocols.osdp.session import Session
from tests.prove.fuzz import NAMES
from tests.prove.fuzz_targets import TARGETS, osdp_session


def test_every_target_has_its_name() -> None:
    assert tuple(TARGETS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_target_takes_whatever_comes(name: str) -> None:
    chance = Random(3)
    for size in (0, 1, 2, 7, 30, 200):
        for _ in range(10):
            TARGETS[name](chance.randbytes(size))


def test_a_panel_that_believes_clear_text_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "_attack", lambda *_: Replied(Ack()))
    chance = Random(3)
    with pytest.raises(AssertionError, match="believed"):
        for _ in range(500):
            osdp_session(chance.randbytes(120))
