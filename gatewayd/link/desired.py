"""The state that the centre wants: highest revision wins, kept across restarts, reported back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import Any, Protocol

from gatewayd.domain.events import Cause, CauseKind, DesiredApplied, DesiredRejected, Event
from gatewayd.domain.model import DoorId, DoorMode, Stamp
from gatewayd.domain.ports import Doors, JournalError
from gatewayd.link.contract import DESIRED_DOMAIN, CentralKeys, Desired, Refused, open_signed

log = logging.getLogger(__name__)

MODES = {mode.value: mode for mode in (DoorMode.LOCKED, DoorMode.LOCKED_DOWN)}

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
        send: Send,
    ) -> None:
        self._gateway = gateway
        self._keys = keys
        self._door_ids = set(door_ids)
        self._ledger = ledger
        self._doors = doors
        self._send = send
        self._rejected: dict[str, str] = {}
        self._last_rejected = ""

    async def report(self) -> None:
        """What is in force, sent on every connect and after every change."""
        try:
            revision = await self._ledger.desired_revision()
        except JournalError as error:
            log.error("the wanted state can't be reported: %s", error)
            return
        modes = {status.door_id: status.mode.value for status in self._doors.all_status()}
        self._send({"rev": revision, "doors": modes, "rejected": self._rejected})

    async def handle(self, payload: bytes) -> None:
        """One `dn/desired` message: applied whole, or rejected whole."""
        opened = open_signed(self._keys, Desired, payload, DESIRED_DOMAIN, "desired")
        try:
            if isinstance(opened, Refused):
                await self._reject(0, "", opened.reason)
            else:
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
        await self._ledger.append(DesiredApplied(desired.rev, kid, modes))
        cause = Cause(CauseKind.CENTRE, f"desired {desired.rev}")
        for door, mode in modes:
            if self._doors.status(door).mode is not mode:
                await self._doors.set_mode(door, mode, cause)

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
        """Journaled once for each reason in a row: a flood makes one event."""
        log.warning("the wanted state is refused: %s", why)
        if why != self._last_rejected:
            self._last_rejected = why
            await self._ledger.append(DesiredRejected(revision, kid, why))
