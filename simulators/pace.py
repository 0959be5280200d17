"""Waiting as exactly as a wire does. asyncio alone rounds every wait up to a whole millisecond,
because epoll counts in those: twelve bytes at 115200 baud.
"""

from __future__ import annotations

import asyncio
import time

COARSE_S = 0.001


async def until(due_s: float) -> None:
    """Return at that moment of `time.monotonic()`, within some 0.1 ms; at once if it is past.

    The last millisecond is slept away with the event loop: that is shorter than what it can count.
    """
    left_s = due_s - time.monotonic()
    await asyncio.sleep(max(0.0, left_s - COARSE_S))
    left_s = due_s - time.monotonic()
    if left_s > 0:
        time.sleep(left_s)  # noqa: ASYNC251  # at most COARSE_S
