"""How a lock is moved: one relay that is held, or pulses on the relays of a barrier's own control.

Owns the relays of one door. Must not decide when it opens (`domain.door` and `domain.barrier` do).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from gatewayd.domain.ports import Clock, DoorController
from gatewayd.outputs import Output


class Lock(Protocol):
    async def drive(
        self, *, unlocked: bool, for_s: float | None = None, shut: bool = False
    ) -> None:
        """Returns once the board confirmed by read-back. Raises DeviceError. The hints are
        `ports.DoorController.set_relay`'s."""

    async def run(self) -> None:
        """What must go on beside the driving, e.g. the end of a pulse; until cancelled."""

    async def finish(self) -> None:
        """After `run` has ended: no pulse stays on."""


@dataclass(frozen=True, slots=True)
class HeldRelay:
    """A strike, a magnet, or an arm that is up for as long as the relay is."""

    controller: DoorController
    relay: int
    energised_means_unlocked: bool = True

    async def drive(
        self, *, unlocked: bool, for_s: float | None = None, shut: bool = False
    ) -> None:
        energised = unlocked is self.energised_means_unlocked
        await self.controller.set_relay(self.relay, energised, for_s, shut=shut)

    async def run(self) -> None:
        """There is nothing to end."""

    async def finish(self) -> None:
        """The same."""


class PulsedArm:
    """An arm whose own control takes a pulse for up and one for down, never both at once. One for
    stop, where it is wired, goes before an arm that may be moving is turned round."""

    def __init__(
        self,
        controller: DoorController,
        up_relay: int,
        down_relay: int,
        stop_relay: int | None,
        pulse_s: float,
        clock: Clock,
    ) -> None:
        self._up = Output(controller, up_relay, clock)
        self._down = Output(controller, down_relay, clock)
        self._stop = None if stop_relay is None else Output(controller, stop_relay, clock)
        self._pulse_s = pulse_s
        self._last_up: bool | None = None

    @property
    def _outputs(self) -> list[Output]:
        return [self._up, self._down, *([] if self._stop is None else [self._stop])]

    async def drive(
        self, *, unlocked: bool, for_s: float | None = None, shut: bool = False
    ) -> None:
        """The pulse has begun when this returns; `run` ends it."""
        this, other = (self._up, self._down) if unlocked else (self._down, self._up)
        await other.release()
        if self._stop is not None and self._last_up is (not unlocked):
            await self._stop.switch(self._pulse_s)
        self._last_up = unlocked
        await this.switch(self._pulse_s)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, output in enumerate(self._outputs):
                group.create_task(output.run(), name=f"pulse {number} of an arm")

    async def finish(self) -> None:
        for output in self._outputs:
            await output.finish()
