"""Signed commands of the centre: checked, made durable, carried out once, answered.

Owns the order: verify → journal (id, counter and audit in one transaction) → act → journal the
outcome → answer. Opening a door is a command and dies within seconds; state is `desired`.
A lockdown alone acts before the journal has it, where the disk is slow or full: it frees nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
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
from gatewayd.domain.model import (
    NS_PER_MS,
    NS_PER_S,
    AlarmKind,
    AreaId,
    DoorId,
    DoorMode,
    PersonId,
    Stamp,
)
from gatewayd.domain.ports import AlarmDesk, Clock, Doors, JournalError
from gatewayd.link.contract import COMMAND_DOMAIN, MAX_COMMAND_LIFE_MS, Command
from gatewayd.link.late import LateNotes
from gatewayd.signed import CentralKeys, Refused, open_signed
from gatewayd.store.rows import CommandRow

log = logging.getLogger(__name__)

REJECTED_EVERY_NS = 10 * NS_PER_S  # a flood of forged commands makes one event in this time
CLOCK_SKEW_MS = 5_000  # the centre's clock may be this far ahead of ours
DISK_S = 0.2  # what a lockdown waits for the disk, in all, before the doors move
MAX_HELD = 100  # lockdowns whose outcome is remembered, in case their id comes again
ZONE = "zone:"  # before the name of a zone, where a command is for all of its doors

Send = Callable[[dict[str, Any]], None]


class Ledger(Protocol):
    """The journal, as far as commands need it."""

    async def append(self, event: Event, stamp: Stamp | None = None) -> int: ...

    async def command(self, command_id: str) -> CommandRow | None: ...

    async def unfinished_commands(self) -> list[CommandRow]: ...

    async def last_counter(self, kid: str) -> int: ...


class Forgives(Protocol):
    """What remembers who is where (`gatewayd.memory`), as far as commands need it."""

    async def forgive(
        self, person_id: PersonId | None, area_id: AreaId | None, cause: Cause, stamp: Stamp
    ) -> int: ...


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
        memory: Forgives | None = None,
    ) -> None:
        """`nonce` is this process's own, as in `up/state`; `zones` are the doors of each zone.
        Without a `memory` nobody can be forgiven."""
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
        self._memory = memory
        self._late = LateNotes(ledger, clock)
        # The replay guard where the journal can't be asked: it may not have the last lockdowns.
        self._counters: dict[str, int] = {}
        self._held: deque[tuple[str, str, str]] = deque(maxlen=MAX_HELD)  # id, outcome, detail
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

    async def run(self) -> None:
        """Have the journal learn what it took too late, for ever."""
        await self._late.run()

    def is_lockdown(self, payload: bytes) -> bool:
        """Whether it is one, and of the centre: it need not wait for those before it."""
        opened = open_signed(self._keys, Command, payload, COMMAND_DOMAIN, "command")
        return not isinstance(opened, Refused) and opened[1].action == "lockdown"

    async def handle(self, payload: bytes, arrived: Stamp) -> None:
        """One `dn/cmd` message. Raises nothing that a message can cause."""
        opened = open_signed(self._keys, Command, payload, COMMAND_DOMAIN, "command")
        if isinstance(opened, Refused):
            await self._reject("", "", opened.reason)
            return
        kid, command = opened
        held = next((one for one in self._held if one[0] == command.id), None)
        if held is not None:
            self._answer(*held)
            return
        try:
            if command.action == "lockdown":
                await self._lock_down(kid, command, arrived)
                return
            known = await self._ledger.command(command.id)
            if known is not None:
                self._answer_again(known)
                return
            last = await self._ledger.last_counter(kid)
            wrong = self._objection(kid, command, arrived, last)
            if wrong is not None:
                await self._reject(command.id, kid, wrong)
                return
            await self._accept(kid, command, arrived)
        except JournalError as error:
            log.error("command %s is not carried out, it can't be journaled: %s", command.id, error)
            self._answer(command.id, "rejected", "the gateway's journal is not available")

    # -------------------------------------------------------------------------------- checks

    def _objection(self, kid: str, command: Command, arrived: Stamp, last: int) -> str | None:
        """`last` is the journal's counter of this key; 0 where it can't be asked."""
        if command.aud != self._gateway:
            return f"it is for {command.aud!r}, not for us"
        if command.nonce != self._nonce:
            return "its nonce is not of this process"
        if command.counter <= max(last, self._counters.get(kid, 0)):
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
        if command.action == "forgive":  # a person whom this box has not seen yet is one too
            return None if command.target else "it names nobody to forgive"
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
        self._count(kid, command)
        await self._alarms.clear(AlarmKind.COMMAND_REJECTED, "link")
        # The disk may have taken its time: what has expired meanwhile must not act.
        late = self._too_late(command, arrived)
        outcome, detail = ("failed", late) if late else await self._carry_out(command)
        await self._finish(command.id, command.action, command.target, outcome, detail)

    async def _lock_down(self, kid: str, command: Command, arrived: Stamp) -> None:
        """Checked as every command and carried out at once. The journal is asked and told first
        where it answers in time; where not, the guard in memory decides and `run` tells it."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + DISK_S
        known, last = await self._known(kid, command, deadline_s)
        if known is not None:
            self._answer_again(known)
            return
        wrong = self._objection(kid, command, arrived, last)
        if wrong is not None:
            await self._reject(command.id, kid, wrong)
            return
        self._count(kid, command)
        target, reason = command.target, command.reason
        accepted = CommandAccepted(command.id, kid, command.counter, "lockdown", target, reason)
        await self._late.keep(accepted, deadline_s - loop.time())
        outcome, detail = await self._carry_out(command)
        done = CommandDone(command.id, "lockdown", target, outcome, detail)
        seq = await self._late.keep(done, DISK_S)
        if not seq:
            self._held.append((command.id, outcome, detail))
        self._answer(command.id, outcome, detail, seq)
        await self._alarms.clear(AlarmKind.COMMAND_REJECTED, "link")

    async def _known(
        self, kid: str, command: Command, deadline_s: float
    ) -> tuple[CommandRow | None, int]:
        """What the journal knows of the id, and of the key's counter; nothing and 0 where it can't
        be read in time."""
        try:
            async with asyncio.timeout_at(deadline_s):
                known = await self._ledger.command(command.id)
                return known, await self._ledger.last_counter(kid)
        except (JournalError, TimeoutError) as error:
            log.error("lockdown %s does not wait for the journal: %s", command.id,
                      error or "it is slow")  # fmt: skip
            return None, 0

    def _count(self, kid: str, command: Command) -> None:
        self._counters[kid] = max(command.counter, self._counters.get(kid, 0))

    async def _carry_out(self, command: Command) -> tuple[str, str]:
        cause = Cause(CauseKind.CENTRE, command.id, command.reason)
        match command.action:
            case "forgive":
                return await self._forgive(command.target, cause)
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

    async def _forgive(self, target: str, cause: Cause) -> tuple[str, str]:
        """One person, or with "*" everyone: their next passage is in order wherever it leads."""
        if self._memory is None:
            return "failed", "no book of areas is kept here"
        person = None if target == "*" else PersonId(target)
        try:
            await self._memory.forgive(person, None, cause, self._clock.now())
        except JournalError as error:
            log.error("nobody is forgiven, it can't be journaled: %s", error)
            return "failed", "the gateway's journal is not available"
        return "done", ""

    def _targets(self, command: Command) -> Collection[DoorId]:
        if command.target == "*":
            return self._door_ids
        if command.target in self._door_ids:
            return [DoorId(command.target)]
        return self._zones[command.target.removeprefix(ZONE)]

    async def _at_each(
        self, command: Command, act: Callable[[DoorId], Awaitable[Outcome]]
    ) -> dict[str, Outcome]:
        """All at once: a door whose board is dead delays no other."""

        async def one(door: DoorId) -> Outcome:
            try:
                return await act(door)
            except JournalError as error:
                log.error("door %s stays as it is, the order can't be journaled: %s", door, error)
                return Outcome.FAILED

        async with asyncio.TaskGroup() as group:
            acting = {
                door: group.create_task(one(door), name=f"{command.action} {door}")
                for door in self._targets(command)
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
        # Bounded: a lockdown may stand behind it.
        await self._late.keep(CommandRejected(command_id, kid, why + before), DISK_S)
