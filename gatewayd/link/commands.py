"""Signed commands of the centre: checked, made durable, carried out once, answered.

Owns the order: verify → journal (id, counter and audit in one transaction) → act → journal the
outcome → answer. Opening a door is a command and dies within seconds; state is `desired`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol, assert_never

from gatewayd.domain.events import (
    Cause,
    CauseKind,
    CommandAccepted,
    CommandDone,
    CommandRejected,
    Event,
    Outcome,
)
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, AlarmKind, DoorId, DoorMode, Stamp
from gatewayd.domain.ports import AlarmDesk, Clock, Doors, JournalError
from gatewayd.link.contract import (
    COMMAND_DOMAIN,
    MAX_COMMAND_LIFE_MS,
    CentralKeys,
    Command,
    Refused,
    open_signed,
)
from gatewayd.store.rows import CommandRow

log = logging.getLogger(__name__)

REJECTED_EVERY_NS = 10 * NS_PER_S  # a flood of forged commands makes one event in this time
CLOCK_SKEW_MS = 5_000  # the centre's clock may be this far ahead of ours
ZONE = "zone:"  # before the name of a zone, where a command is for all of its doors

Send = Callable[[dict[str, Any]], None]


class Ledger(Protocol):
    """The journal, as far as commands need it."""

    async def append(self, event: Event, stamp: Stamp | None = None) -> int: ...

    async def command(self, command_id: str) -> CommandRow | None: ...

    async def unfinished_commands(self) -> list[CommandRow]: ...

    async def last_counter(self, kid: str) -> int: ...


class Commands:
    """Fed by the link with `dn/cmd`, one message at a time and with the moment it came."""

    def __init__(
        self,
        gateway: str,
        nonce: str,
        keys: CentralKeys,
        door_ids: Collection[DoorId],
        ledger: Ledger,
        doors: Doors,
        alarms: AlarmDesk,
        clock: Clock,
        send: Send,
        zones: Mapping[str, Collection[DoorId]] | None = None,
    ) -> None:
        """`nonce` is this process's own, as in `up/state`; `zones` are the doors of each zone."""
        self._gateway = gateway
        self._nonce = nonce
        self._keys = keys
        self._door_ids = list(door_ids)
        self._zones = zones or {}
        self._ledger = ledger
        self._doors = doors
        self._alarms = alarms
        self._clock = clock
        self._send = send
        self._rejected_ns: int | None = None
        self._unrecorded = 0  # refused since the last CommandRejected

    async def resume(self) -> None:
        """At the start: what was accepted and not finished is over, never carried out late."""
        try:
            unfinished = await self._ledger.unfinished_commands()
        except JournalError as error:
            log.error("commands from before the start can't be looked up: %s", error)
            return
        for row in unfinished:
            detail = "interrupted: the gateway ended before its outcome was journaled"
            await self._finish(row.command_id, row.action, row.target, "failed", detail)

    async def handle(self, payload: bytes, arrived: Stamp) -> None:
        """One `dn/cmd` message. Raises nothing that a message can cause."""
        opened = open_signed(self._keys, Command, payload, COMMAND_DOMAIN, "command")
        if isinstance(opened, Refused):
            await self._reject("", "", opened.reason)
            return
        kid, command = opened
        try:
            known = await self._ledger.command(command.id)
            if known is not None:
                self._answer_again(known)
                return
            wrong = await self._objection(kid, command, arrived)
            if wrong is not None:
                await self._reject(command.id, kid, wrong)
                return
            await self._accept(kid, command, arrived)
        except JournalError as error:
            log.error("command %s is not carried out, it can't be journaled: %s", command.id, error)
            self._answer(command.id, "rejected", "the gateway's journal is not available")

    # -------------------------------------------------------------------------------- checks

    async def _objection(self, kid: str, command: Command, arrived: Stamp) -> str | None:
        if command.aud != self._gateway:
            return f"it is for {command.aud!r}, not for us"
        if command.nonce != self._nonce:
            return "its nonce is not of this process"
        if command.counter <= await self._ledger.last_counter(kid):
            return "its counter was used before"
        return self._too_late(command, arrived) or self._wrong_target(command)

    def _too_late(self, command: Command, arrived: Stamp) -> str | None:
        """By the wall clock where it is trusted; in any case within 30 s of its arrival."""
        life_ms = command.exp_ms - command.issued_ms
        if not 0 < life_ms <= MAX_COMMAND_LIFE_MS:
            return f"it would live {life_ms} ms, not at most {MAX_COMMAND_LIFE_MS}"
        now = self._clock.now()
        if (now.monotonic_ns - arrived.monotonic_ns) // NS_PER_MS > MAX_COMMAND_LIFE_MS:
            return "it waited too long after its arrival"
        if not now.wall_trusted:
            return None
        if now.wall_ms >= command.exp_ms:
            return "it has expired"
        if command.issued_ms > now.wall_ms + CLOCK_SKEW_MS:
            return "it is issued in the future: compare the clocks"
        return None

    def _wrong_target(self, command: Command) -> str | None:
        if command.target in self._door_ids:
            return None
        zone = command.target.removeprefix(ZONE)
        many = command.target == "*" or (zone != command.target and zone in self._zones)
        if many and command.action != "open":
            return None
        return f"there is no door {command.target!r} here"

    # ------------------------------------------------------------------------------- carrying out

    async def _accept(self, kid: str, command: Command, arrived: Stamp) -> None:
        accepted = CommandAccepted(
            command.id, kid, command.counter, command.action, command.target, command.reason
        )
        await self._ledger.append(accepted)
        await self._alarms.clear(AlarmKind.COMMAND_REJECTED, "link")
        # The disk may have taken its time: what has expired meanwhile must not act.
        late = self._too_late(command, arrived)
        outcome, detail = ("failed", late) if late else await self._carry_out(command)
        await self._finish(command.id, command.action, command.target, outcome, detail)

    async def _carry_out(self, command: Command) -> tuple[str, str]:
        cause = Cause(CauseKind.CENTRE, command.id, command.reason)
        match command.action:
            case "open":
                outcomes = {command.target: await self._doors.unlock(DoorId(command.target), cause)}
            case "lockdown":
                outcomes = await self._at_each(
                    command, lambda door: self._doors.set_mode(door, DoorMode.LOCKED_DOWN, cause)
                )
            case "lift_lockdown":  # what else was ordered of a door goes on
                outcomes = await self._at_each(command, lambda door: self._doors.lift(door, cause))
            case _ as never:
                assert_never(never)
        bad = {door: outcome for door, outcome in outcomes.items() if outcome != Outcome.UNLOCKED}
        if not bad:
            return "done", ""
        return "failed", ", ".join(f"{door}: {outcome.value}" for door, outcome in bad.items())

    def _targets(self, command: Command) -> Collection[DoorId]:
        if command.target == "*":
            return self._door_ids
        if command.target in self._door_ids:
            return [DoorId(command.target)]
        return self._zones[command.target.removeprefix(ZONE)]

    async def _at_each(
        self, command: Command, act: Callable[[DoorId], Awaitable[Outcome]]
    ) -> dict[str, Outcome]:
        """All at once: a door whose board is dead delays no other. On a line that many doors
        share, those that stand unlocked come first."""
        first = sorted(self._targets(command), key=lambda d: not self._doors.status(d).unlocked)

        async def one(door: DoorId) -> Outcome:
            try:
                return await act(door)
            except JournalError as error:
                log.error("door %s stays as it is, the order can't be journaled: %s", door, error)
                return Outcome.FAILED

        async with asyncio.TaskGroup() as group:
            acting = {
                door: group.create_task(one(door), name=f"{command.action} {door}")
                for door in first
            }
        return {door: task.result() for door, task in acting.items()}

    async def _finish(
        self, command_id: str, action: str, target: str, outcome: str, detail: str
    ) -> None:
        try:
            seq = await self._ledger.append(
                CommandDone(command_id, action, target, outcome, detail)
            )
        except JournalError as error:
            log.error("the outcome of command %s is not journaled: %s", command_id, error)
            seq = 0
        self._answer(command_id, outcome, detail, seq)

    # -------------------------------------------------------------------------------- answers

    def _answer_again(self, row: CommandRow) -> None:
        if row.outcome is not None:
            self._answer(row.command_id, row.outcome, row.detail, row.done_seq or 0)

    def _answer(self, command_id: str, outcome: str, detail: str, seq: int = 0) -> None:
        self._send({"id": command_id, "outcome": outcome, "detail": detail, "seq": seq})

    async def _reject(self, command_id: str, kid: str, why: str) -> None:
        """An alarm each time (repeats fold into it); an event at most every ten seconds."""
        log.warning("command refused: %s", why)
        if command_id:
            self._answer(command_id, "rejected", why)
        await self._alarms.raise_alarm(AlarmKind.COMMAND_REJECTED, "link", why)
        now_ns = self._clock.monotonic_ns()
        if self._rejected_ns is not None and now_ns - self._rejected_ns < REJECTED_EVERY_NS:
            self._unrecorded += 1
            return
        before = f" ({self._unrecorded} more were refused before)" if self._unrecorded else ""
        self._rejected_ns, self._unrecorded = now_ns, 0
        try:
            await self._ledger.append(CommandRejected(command_id, kid, why + before))
        except JournalError as error:
            log.error("a refused command is not journaled: %s", error)
