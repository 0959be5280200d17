"""Relays that are switched on for a while, and always switched off again: those of linkages, and
the pulses of a barrier (`gatewayd.locks`).

Owns when each is due to go off. Must not decide why it is switched. No linkage drives a door's
relay: check-config refuses one that names it.
"""

from __future__ import annotations

import asyncio
import logging

from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import Clock, DeviceError, DoorController

log = logging.getLogger(__name__)

DRIVE_TIMEOUT_S = 2.0  # as a door's lock: a board that takes longer has not answered
RETRY_NS = NS_PER_S


class Output:
    """One relay. `run` sees to it that it goes off, for as long as it takes."""

    def __init__(self, controller: DoorController, relay: int, clock: Clock) -> None:
        self._controller = controller
        self._relay = relay
        self._clock = clock
        # Off at the start: a process that was killed may have left it on.
        self._off_at_ns: int | None = clock.monotonic_ns()
        self._driving = asyncio.Lock()
        self._planned = asyncio.Event()

    async def switch(self, for_s: float) -> None:
        """On for `for_s` seconds from now, or longer where it was to be longer. Raises DeviceError
        unless the board confirmed; an answer that was lost may have followed a relay that moved, so
        it is switched off all the same."""
        async with self._driving:
            off_at_ns = self._clock.monotonic_ns() + round(for_s * NS_PER_S)
            self._off_at_ns = max(off_at_ns, self._off_at_ns or 0)
            self._planned.set()
            await self._drive(energised=True, for_s=for_s)

    async def release(self) -> None:
        """Off now. Raises DeviceError unless the board confirmed; it is then tried again."""
        async with self._driving:
            if self._off_at_ns is not None:
                self._off_at_ns = min(self._off_at_ns, self._clock.monotonic_ns())
                await self._drive(energised=False)
                self._off_at_ns = None

    async def run(self) -> None:
        while True:
            await self._until_due()
            async with self._driving:
                await self._switch_off_if_due()

    async def off_before_the_end(self) -> None:
        """After `run` has ended: what is on does not stay so."""
        if self._off_at_ns is not None:
            self._off_at_ns = 0
            await self._switch_off_if_due()

    async def finish(self) -> None:
        """After `run` has ended: off once its time is over, which the caller waits for."""
        if self._off_at_ns is not None:
            await self._clock.sleep_until(self._off_at_ns)
            await self._switch_off_if_due()

    async def _until_due(self) -> None:
        while self._off_at_ns is None:
            self._planned.clear()
            await self._planned.wait()
        await self._clock.sleep_until(self._off_at_ns)

    async def _switch_off_if_due(self) -> None:
        """Where it was switched on once more meanwhile, it is not due."""
        now_ns = self._clock.monotonic_ns()
        if self._off_at_ns is None or self._off_at_ns > now_ns:
            return
        try:
            await self._drive(energised=False)
        except DeviceError as error:
            log.debug("an output is not off yet: %s", error)
            self._off_at_ns = now_ns + RETRY_NS
        else:
            self._off_at_ns = None

    async def _drive(self, *, energised: bool, for_s: float | None = None) -> None:
        try:
            async with asyncio.timeout(DRIVE_TIMEOUT_S):
                await self._controller.set_relay(self._relay, energised, for_s)
        except TimeoutError:
            raise DeviceError(f"no answer within {DRIVE_TIMEOUT_S:g} s") from None
