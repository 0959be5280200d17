"""LCUS frames against the design page's vectors and a reckoning of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.lcus import switch


@pytest.mark.parametrize(
    ("relay", "energised", "frame"),
    [
        (1, True, "A0 01 01 A2"),
        (1, False, "A0 01 00 A1"),
        (2, True, "A0 02 01 A3"),
        (8, False, "A0 08 00 A8"),
        (32, True, "A0 20 01 C1"),
    ],
)
def test_the_documented_frames_are_sent(relay: int, energised: bool, frame: str) -> None:
    assert switch(relay, energised) == bytes.fromhex(frame)


@given(st.integers(1, 32), st.booleans())
def test_the_sum_is_that_of_the_three_bytes(relay: int, energised: bool) -> None:
    start, channel, state, total = switch(relay, energised)
    assert (start, channel, state) == (0xA0, relay, 1 if energised else 0)
    assert (start + channel + state - total) % 256 == 0


@pytest.mark.parametrize("relay", [0, -1, 33, 256])
def test_a_relay_that_no_board_has_is_refused(relay: int) -> None:
    with pytest.raises(ValueError, match="an LCUS relay is 1 to 32"):
        switch(relay, energised=True)
