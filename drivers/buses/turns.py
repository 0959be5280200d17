"""Whose turn it is on a line that one may use at a time: orders first, then whoever came first.

Owns the queue; must not know what is said on the line.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MAX_ORDERS_IN_A_ROW = 4  # then one who waits otherwise: a lockdown must not blind every input


class Turns:
    """`async with turns.taken(order=True):`. First come, first served among equals."""

    def __init__(self) -> None:
        self._held = False
        self._orders: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0

    @asynccontextmanager
    async def taken(self, *, order: bool) -> AsyncIterator[None]:
        """The turn, for the length of the block."""
        if self._held:
            await self._wait(self._orders if order else self._others)
        self._held = True
        try:
            yield
        finally:
            self._hand_on()

    async def _wait(self, queue: deque[asyncio.Future[None]]) -> None:
        given = asyncio.get_running_loop().create_future()
        queue.append(given)
        try:
            await given
        except asyncio.CancelledError:
            if not given.cancelled():
                self._hand_on()  # it was just given to us
            raise

    def _hand_on(self) -> None:
        """To the next in line who has not left it, and holds it from now on; or to nobody."""
        self._held = False
        for queue in (self._orders, self._others):
            while queue and queue[0].done():
                queue.popleft()
        others_due = self._in_a_row >= MAX_ORDERS_IN_A_ROW and self._others
        queue = self._orders if self._orders and not others_due else self._others
        self._in_a_row = self._in_a_row + 1 if queue is self._orders else 0
        if queue:
            self._held = True
            queue.popleft().set_result(None)
