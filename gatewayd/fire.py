"""The fire input: frees the escape doors at once and keeps them free until a person resets it.

Owns whether there is a fire. Must not move a lock: the mode desk has the doors follow. The loss or
the return of the board's line is no fire and ends none; only what the input says counts. What it
says is not known before it was heard, nor behind a lost board or a broken wire: no fire is reset
then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.events import Cause, FireDetected, FireReset
from gatewayd.domain.model import AlarmKind, DeviceId, DoorId
from gatewayd.domain.modes import fire_order
from gatewayd.domain.ports import FireAnswer, InputChanged, Journal
from gatewayd.modes import ModeDesk
from gatewayd.recorder import Recorder

ABOUT = "fire"  # what its alarms and events are about


@dataclass(frozen=True, slots=True)
class FireInput:
    """Where the fire panel's contact is wired.

    With `active_means_fire` False the panel holds the contact while all is well, and whatever is
    not "well" is a fire: the panel's word, its lost power, a cut or shorted wire. With True a fault
    of the wire is only an alarm, and without a supervised input not even that.
    """

    controller_id: DeviceId
    input: int
    active_means_fire: bool

    def says_fire(self, event: InputChanged) -> bool | None:
        """None where it can't be told: behind a broken wire the panel may be calling."""
        if event.fault:
            return None if self.active_means_fire else True
        return event.active is self.active_means_fire


class FireDesk:
    """Implements `gatewayd.domain.ports.Fire`."""

    def __init__(
        self,
        wired: FireInput | None,
        escape_doors: Sequence[DoorId],
        modes: ModeDesk,
        journal: Journal,
        recorder: Recorder,
        alarms: AlarmDesk,
    ) -> None:
        """A fire from before the restart goes on: the mode desk has kept its doors. `wired` None:
        the settings have no fire input (any more)."""
        self._wired = wired
        self._escape_doors = tuple(escape_doors)
        self._modes = modes
        self._journal = journal
        self._recorder = recorder
        self._alarms = alarms
        # None: not known. Who restarts in a fire must hear the panel before a door may lock.
        self._says_fire: bool | None = None
        self._faulty: bool | None = None
        self._resetting = asyncio.Lock()
        self._on = bool(modes.fire_at())
        if self._on:
            self._go_on()

    @property
    def on(self) -> bool:
        return self._on

    def input_changed(self, event: InputChanged) -> None:
        """What the board told of one of its inputs; others than the fire panel's are not heeded."""
        if self._wired is None or event.input != self._wired.input:
            return
        self._tell_fault(event.fault)
        self._says_fire = self._wired.says_fire(event)
        if self._says_fire and not self._on:
            self._begin(self._wired)

    def input_lost(self) -> None:
        """The input's board is offline; once it is back it says anew how the input stands."""
        self._says_fire = None

    def _begin(self, wired: FireInput) -> None:
        """The doors first. The recorder tries until the journal has it."""
        self._on = True
        event = FireDetected(wired.controller_id, wired.input, self._escape_doors)
        self._modes.free_for_fire(self._escape_doors, fire_order(event))
        self._recorder.record(event)
        self._alarm()

    async def reset(self, cause: Cause) -> FireAnswer:
        async with self._resetting:
            return await self._reset(cause)

    async def _reset(self, cause: Cause) -> FireAnswer:
        if not self._on:
            return FireAnswer.NO_FIRE
        refusal = self._refusal()
        if refusal is not None:
            return refusal
        return await self._modes.finished(partial(self._end, cause))

    async def _end(self, cause: Cause, gone: Callable[[], bool]) -> FireAnswer:
        await self._recorder.in_order()
        if gone() or not self._on:
            return FireAnswer.NO_FIRE
        refusal = self._refusal()  # anew: the disk may have taken its time
        if refusal is not None:
            return refusal
        await self._journal.append(FireReset(cause))
        self._on = False
        if self._wired is not None and self._says_fire:  # again, while the disk wrote
            self._begin(self._wired)
            return FireAnswer.STILL_ON
        self._modes.end_fire()
        self._alarms.signal(AlarmKind.FIRE, ABOUT, active=False)
        return FireAnswer.RESET

    def _go_on(self) -> None:
        """After a restart; a door that has become an escape door since is freed as well."""
        new = [door for door in self._escape_doors if door not in self._modes.fire_at()]
        if self._wired is not None and new:
            event = FireDetected(self._wired.controller_id, self._wired.input, tuple(new))
            self._modes.free_for_fire(new, fire_order(event))
            self._recorder.record(event)
        if not self._is_told():
            self._alarm()

    def _is_told(self) -> bool:
        """By the alarm from before the restart: a second one beside it would be a second fire."""
        told = self._alarms.open_alarms()
        return any(a.active and a.kind is AlarmKind.FIRE and a.about == ABOUT for a in told)

    def _refusal(self) -> FireAnswer | None:
        """Why the input does not let anybody end the fire. An input that the settings no longer
        have says nothing any more: then it is for the person alone to judge."""
        if self._wired is None or self._says_fire is False:
            return None
        return FireAnswer.STILL_ON if self._says_fire else FireAnswer.NOT_KNOWN

    def _alarm(self) -> None:
        detail = f"escape doors freed: {len(self._escape_doors)}"
        self._alarms.signal(AlarmKind.FIRE, ABOUT, active=True, detail=detail)

    def _tell_fault(self, fault: str) -> None:
        faulty = bool(fault)
        if faulty is not self._faulty:
            detail = f"the fire panel's line: {fault}" if faulty else ""
            self._alarms.signal(AlarmKind.INPUT_FAULT, ABOUT, active=faulty, detail=detail)
        self._faulty = faulty
