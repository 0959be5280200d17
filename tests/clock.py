"""A clock whose hands a test moves: `await clock.advance(5)` wakes what sleeps until then."""

from __future__ import annotations

import asyncio
import heapq
import itertools

from gatewayd.domain.model import NS_PER_MS, NS_PER_S, Stamp

START_WALL_MS = 1_795_000_000_000  # 2026-11-18T11:06:40Z, a Wednesday


class ManualClock:
    """Implements `gatewayd.domain.ports.Clock`; time passes only in `advance` and `jump_wall`."""

    def __init__(self, wall_ms: int = START_WALL_MS, boot_id: str = "boot-1") -> None:
        self.boot_id = boot_id
        self.wall_trusted = True
        self._monotonic_ns = 1_000 * NS_PER_S
        self._wall_ms = wall_ms
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def now(self) -> Stamp:
        return Stamp(self.boot_id, self._monotonic_ns, self._wall_ms, self.wall_trusted)

    async def sleep_until(self, monotonic_ns: int) -> None:
        if monotonic_ns <= self._monotonic_ns:
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (monotonic_ns, next(self._order), woken))
        await woken

    @property
    def sleepers(self) -> int:
        """How many tasks wait for a moment to come."""
        return sum(not woken.done() for _, _, woken in self._sleepers)

    async def advance(self, seconds: float) -> None:
        """Move both clocks, stopping at each moment that a sleeper waits for."""
        target_ns = self._monotonic_ns + round(seconds * NS_PER_S)
        await self._settle()
        while self._sleepers and self._sleepers[0][0] <= target_ns:
            moment_ns, _, woken = heapq.heappop(self._sleepers)
            self._move_to(max(moment_ns, self._monotonic_ns))
            if not woken.done():
                woken.set_result(None)
            await self._settle()
        self._move_to(target_ns)
        await self._settle()

    def jump_wall(self, seconds: float) -> None:
        """Someone set the wall clock; the monotonic one knows nothing of it."""
        self._wall_ms += round(seconds * 1000)

    def _move_to(self, moment_ns: int) -> None:
        self._wall_ms += (moment_ns - self._monotonic_ns) // NS_PER_MS
        self._monotonic_ns = moment_ns

    async def _settle(self) -> None:
        """Let every task that can run, run: nothing here waits for the outside world."""
        for _ in range(20):
            await asyncio.sleep(0)
