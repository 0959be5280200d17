"""The one place that reads the system's clocks. Owns Stamp making; must not decide anything."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from gatewayd.domain.model import NS_PER_MS, NS_PER_S, Stamp

# A wall clock before this moment (2026-01-01T00:00:00Z) is one that lost its battery.
EARLIEST_BELIEVABLE_MS = 1_767_225_600_000
# The event loop rounds every wait up to a whole millisecond. Ones as short as the silence between
# two frames on a fast line are not worth that, nor a turn of the loop.
SHORT_NS = 500_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def read_boot_id() -> str:
    """The kernel's id of this boot; monotonic times are comparable only within one."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


class SystemClock:
    """Implements `gatewayd.domain.ports.Clock` on CLOCK_MONOTONIC and the system's wall clock."""

    def __init__(self, boot_id: str | None = None) -> None:
        self.boot_id = boot_id or read_boot_id()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def now(self) -> Stamp:
        wall_ms = time.time_ns() // NS_PER_MS
        return Stamp(self.boot_id, time.monotonic_ns(), wall_ms, wall_ms >= EARLIEST_BELIEVABLE_MS)

    async def sleep_until(self, monotonic_ns: int) -> None:
        remaining_ns = monotonic_ns - time.monotonic_ns()
        if remaining_ns > SHORT_NS:
            await asyncio.sleep(remaining_ns / NS_PER_S)
        elif remaining_ns > 0:
            time.sleep(remaining_ns / NS_PER_S)  # noqa: ASYNC251  # shorter than the loop can count
