"""The state that the centre wants: highest revision wins, kept across restarts, reported back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any, Protocol

from gatewayd.domain.events import (
    DesiredApplied,
    DesiredRejected,
    Event,
)
from gatewayd.domain.model import NS_PER_S, AlarmKind, DoorId, DoorMode, Stamp
from gatewayd.domain.ports import AlarmDesk, Clock, Doors, JournalError
from gatewayd.link.contract import DESIRED_DOMAIN, Desired
from gatewayd.signed import CentralKeys, Refused, open_signed

log = logging.getLogger(__name__)

REJECTED_EVERY_NS = 10 * NS_PER_S  # a flood of forged states makes one event in this time

# Accessed is a passage and no state: it is not ordered, and not reported either.
MODES = {mode.value: mode for mode in DoorMode if mode is not DoorMode.ACCESSED}

Send = Callable[[dict[str, Any]], None]


class DesiredLedger(Protocol):
    """The journal, as far as the wanted state needs it."""

    async def append(self, event: Event, stamp: Stamp | None = None) -> int: ...

    async def desired_revision(self) -> int: ...


class DesiredState:
    """Fed by the link with `dn/desired`, one message at a time."""

    def __init__(
        self,
        gateway: str,
        keys: CentralKeys,
        door_ids: Collection[DoorId],
        ledger: DesiredLedger,
        doors: Doors,
        alarms: AlarmDesk,
        clock: Clock,
        send: Send,
    ) -> None:
        self._gateway = gateway
        self._keys = keys
        self._door_ids = set(door_ids)
        self._ledger = ledger
        self._doors = doors
        self._alarms = alarms
        self._send = send
        self._clock = clock
        self._rejected: dict[str, str] = {}
        self._rejected_ns: int | None = None

    async def report(self) -> None:
        """What is in force, whoever ordered it; sent on every connect and after every change."""
        try:
            revision = await self._ledger.desired_revision()
        except JournalError as error:
            log.error("the wanted state can't be reported: %s", error)
            return
        modes = {status.door_id: _lasting(status.mode) for status in self._doors.all_status()}
        self._send({"rev": revision, "doors": modes, "rejected": self._rejected})

    async def handle(self, payload: bytes) -> None:
        """One `dn/desired` message: applied whole, or rejected whole."""
        opened = open_signed(self._keys, Desired, payload, DESIRED_DOMAIN, "desired")
        try:
            if isinstance(opened, Refused):
                await self._reject(0, "", opened.reason)
                return  # and no report: a flood of forgeries is not answered
            await self._take(*opened)
        except JournalError as error:
            log.error("the wanted state is not applied, it can't be journaled: %s", error)
            self._rejected = {"*": "the gateway's journal is not available"}
        await self.report()

    async def _take(self, kid: str, desired: Desired) -> None:
        held = await self._ledger.desired_revision()
        if desired.rev <= held:
            return
        wrong = self._objections(desired)
        if wrong:
            self._rejected = wrong
            told = "; ".join(f"{name}: {why}" for name, why in wrong.items())
            await self._reject(desired.rev, kid, told)
            return
        self._rejected = {}
        modes = tuple((DoorId(door), MODES[mode]) for door, mode in sorted(desired.doors.items()))
        await self._doors.want(DesiredApplied(desired.rev, kid, modes))
        await self._alarms.clear(AlarmKind.COMMAND_REJECTED, "link")

    def _objections(self, desired: Desired) -> dict[str, str]:
        if desired.aud != self._gateway:
            return {"*": f"it is for {desired.aud!r}, not for us"}
        unknown = {d: "there is no such door" for d in desired.doors if d not in self._door_ids}
        known = ", ".join(MODES)
        modes = {
            door: f"mode {mode!r} is none of: {known}"
            for door, mode in desired.doors.items()
            if mode not in MODES
        }
        return modes | unknown

    async def _reject(self, revision: int, kid: str, why: str) -> None:
        """An alarm each time, as of commands (repeats fold into it); an event at most every ten
        seconds, whatever the reasons."""
        log.warning("the wanted state is refused: %s", why)
        await self._alarms.raise_alarm(AlarmKind.COMMAND_REJECTED, "link", f"wanted state: {why}")
        now_ns = self._clock.monotonic_ns()
        if self._rejected_ns is None or now_ns - self._rejected_ns >= REJECTED_EVERY_NS:
            self._rejected_ns = now_ns
            await self._ledger.append(DesiredRejected(revision, kid, why))


def _lasting(mode: DoorMode) -> str:
    return (DoorMode.LOCKED if mode is DoorMode.ACCESSED else mode).value
