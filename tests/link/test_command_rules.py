"""Signed commands, a full disk, a slow one, a moved clock, a restart: nothing moves twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatewayd.domain.events import (
    CommandAccepted,
    CommandDone,
    CommandRejected,
    Event,
)
from gatewayd.domain.model import AlarmKind, DoorMode, Stamp
from gatewayd.domain.ports import JournalError
from gatewayd.link.commands import Commands
from gatewayd.link.contract import DESIRED_DOMAIN
from gatewayd.signed import CentralKeys
from gatewayd.store.rows import CommandRow
from tests.fakes import running
from tests.link.parts import GATE, NONCE, SIDE, Parts, Pen, parts


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        yield made


def commands(gate: Parts, keys: CentralKeys | None = None, ledger: Any = None) -> Commands:
    return Commands(
        "gate-1", NONCE, keys or gate.pen.keys(), [GATE, SIDE], ledger or gate.journal,
        gate.doors, gate.alarms, gate.clock, gate.sent.append, {"garden": [SIDE]},
    )  # fmt: skip


class Watched:
    """The ledger, noting what had moved when a row was asked for; `refuse` makes the disk full."""

    def __init__(self, gate: Parts, refuse: type[Event] | None = None) -> None:
        self._gate, self._refuse = gate, refuse
        self.moved_before_accepted: int | None = None

    async def append(self, event: Event, stamp: Stamp | None = None) -> int:
        if self._refuse is not None and isinstance(event, self._refuse):
            raise JournalError("journal.db: disk full")
        if isinstance(event, CommandAccepted):
            self.moved_before_accepted = len(self._gate.doors.moved)
        return await self._gate.journal.append(event, stamp)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gate.journal, name)


async def test_the_row_is_durable_before_the_door_moves(gate: Parts) -> None:
    ledger = Watched(gate)
    await commands(gate, ledger=ledger).handle(gate.pen.command(gate.clock), gate.clock.now())
    assert ledger.moved_before_accepted == 0
    assert len(gate.doors.moved) == 1


async def test_an_outcome_that_cannot_be_journaled_is_still_told(gate: Parts) -> None:
    full = commands(gate, ledger=Watched(gate, CommandDone))
    await full.handle(gate.pen.command(gate.clock), gate.clock.now())
    assert (gate.sent[0]["outcome"], gate.sent[0]["seq"]) == ("done", 0)
    await full.handle(gate.pen.command(gate.clock), gate.clock.now())
    assert len(gate.doors.moved) == 1


async def test_a_refusal_that_cannot_be_journaled_is_an_alarm_all_the_same(gate: Parts) -> None:
    full = commands(gate, ledger=Watched(gate, CommandRejected))
    await full.handle(b"{", gate.clock.now())
    assert gate.alarmed(AlarmKind.COMMAND_REJECTED)


async def test_lifting_a_lockdown_leaves_a_blocked_door_blocked(gate: Parts) -> None:
    gate.doors.modes = {GATE: DoorMode.LOCKED_DOWN, SIDE: DoorMode.BLOCKED}
    lift = gate.pen.command(gate.clock, 1, action="lift_lockdown", target="*")
    await commands(gate).handle(lift, gate.clock.now())
    assert gate.doors.modes == {GATE: DoorMode.LOCKED, SIDE: DoorMode.BLOCKED}
    assert gate.sent[0]["outcome"] == "done"


async def test_a_zone_is_locked_down_and_lifted_alone(gate: Parts) -> None:
    centre = commands(gate)
    for counter, action in ((1, "lockdown"), (2, "lift_lockdown")):
        message = gate.pen.command(gate.clock, counter, action=action, target="zone:garden")
        await centre.handle(message, gate.clock.now())
    assert [(door, mode) for door, mode, _ in gate.doors.moved] == [
        (SIDE, "LockedDown"),
        (SIDE, "Locked"),
    ]


@pytest.mark.parametrize(
    ("action", "target"),
    [
        ("lockdown", "zone:attic"),
        ("lockdown", "garden"),
        ("open", "zone:garden"),
        ("open", "zone:"),
    ],
)
async def test_a_zone_that_is_not_there_or_not_for_this_is_refused(
    gate: Parts, action: str, target: str
) -> None:
    message = gate.pen.command(gate.clock, 1, action=action, target=target)
    await commands(gate).handle(message, gate.clock.now())
    assert gate.doors.moved == []
    assert gate.sent[0]["outcome"] == "rejected"


async def test_a_door_whose_order_cannot_be_journaled_is_named_and_the_others_follow(
    gate: Parts,
) -> None:
    gate.doors.refuse_at = GATE
    message = gate.pen.command(gate.clock, 1, action="lockdown", target="*")
    await commands(gate).handle(message, gate.clock.now())
    assert gate.doors.modes[SIDE] is DoorMode.LOCKED_DOWN
    assert (gate.sent[0]["outcome"], gate.sent[0]["detail"]) == ("failed", "main-gate: failed")


# -------------------------------------------------------------- a lockdown waits for no disk


class Stuck(Watched):
    """A disk that takes nothing and tells nothing, until it is well again; or says that it is
    full."""

    def __init__(self, gate: Parts, *, full: bool = False) -> None:
        super().__init__(gate)
        self.full = full
        self.well = asyncio.Event()

    async def append(self, event: Event, stamp: Stamp | None = None) -> int:
        await self._in_the_way()
        return await self._gate.journal.append(event, stamp)

    async def command(self, command_id: str) -> CommandRow | None:
        await self._in_the_way()
        return await self._gate.journal.command(command_id)

    async def last_counter(self, kid: str) -> int:
        await self._in_the_way()
        return await self._gate.journal.last_counter(kid)

    async def _in_the_way(self) -> None:
        if self.full and not self.well.is_set():
            raise JournalError("journal.db: disk full")
        await self.well.wait()


async def until_done(gate: Parts, count: int = 1) -> list[Event]:
    async with asyncio.timeout(5):
        while len(found := await gate.events(CommandDone)) < count:
            await gate.clock.advance(1)
    return found


@pytest.mark.parametrize("full", [True, False])
async def test_a_lockdown_is_carried_out_without_the_disk_and_journaled_when_it_is_back(
    gate: Parts, full: bool
) -> None:
    disk = Stuck(gate, full=full)
    centre = commands(gate, ledger=disk)
    message = gate.pen.command(gate.clock, 1, action="lockdown", target="*")
    async with running(centre.run()):
        async with asyncio.timeout(2):
            await centre.handle(message, gate.clock.now())
        assert set(gate.doors.modes.values()) == {DoorMode.LOCKED_DOWN}
        assert (gate.sent[0]["outcome"], gate.sent[0]["seq"]) == ("done", 0)
        assert await gate.events(CommandAccepted) == []
        disk.well.set()
        await until_done(gate)
    assert len(await gate.events(CommandAccepted)) == 1
    assert await gate.events(CommandDone) == [CommandDone("c-1", "lockdown", "*", "done")]


async def test_a_lockdown_that_no_disk_took_is_done_once_and_nothing_older_after_it(
    gate: Parts,
) -> None:
    disk = Stuck(gate, full=True)
    centre = commands(gate, ledger=disk)
    message = gate.pen.command(gate.clock, 2, action="lockdown", target="*")
    await centre.handle(message, gate.clock.now())
    moved = len(gate.doors.moved)
    gate.doors.modes = {GATE: DoorMode.LOCKED, SIDE: DoorMode.LOCKED}
    await centre.handle(message, gate.clock.now())
    assert [told["outcome"] for told in gate.sent] == ["done", "done"]
    older = gate.pen.command(gate.clock, 2, id="c-9", action="lockdown", target="*")
    await centre.handle(older, gate.clock.now())
    assert gate.sent[-1]["detail"] == "its counter was used before"
    disk.well.set()
    await centre.handle(gate.pen.command(gate.clock, 1), gate.clock.now())
    assert gate.sent[-1]["detail"] == "its counter was used before"
    assert len(gate.doors.moved) == moved


@pytest.mark.parametrize("action", ["open", "lift_lockdown", "forgive"])
async def test_what_frees_or_opens_is_still_refused_where_it_cannot_be_journaled(
    gate: Parts, action: str
) -> None:
    gate.doors.modes = {GATE: DoorMode.LOCKED_DOWN, SIDE: DoorMode.LOCKED}
    message = gate.pen.command(gate.clock, 1, action=action)
    await commands(gate, ledger=Stuck(gate, full=True)).handle(message, gate.clock.now())
    assert gate.doors.moved == []
    assert gate.sent[0]["outcome"] == "rejected"


@pytest.mark.parametrize(
    "changes", [{"target": "attic"}, {"nonce": "f" * 32}, {"exp_ms": 1}, {"aud": "gate-2"}]
)
async def test_a_lockdown_that_does_not_hold_is_refused_without_the_disk_too(
    gate: Parts, changes: dict[str, Any]
) -> None:
    whole = {"action": "lockdown", "target": "*"} | changes
    message = gate.pen.command(gate.clock, 1, **whole)
    await commands(gate, ledger=Stuck(gate)).handle(message, gate.clock.now())
    assert gate.doors.moved == []
    assert gate.sent[0]["outcome"] == "rejected"


async def test_an_event_that_was_written_although_its_commit_failed_is_not_written_again(
    gate: Parts,
) -> None:
    class Liar(Watched):
        failures = 1

        async def append(self, event: Event, stamp: Stamp | None = None) -> int:
            seq = await super().append(event, stamp)
            if self.failures and isinstance(event, CommandAccepted):
                self.failures -= 1
                raise JournalError("journal.db: disk I/O error")
            return seq

    centre = commands(gate, ledger=Liar(gate))
    message = gate.pen.command(gate.clock, 1, action="lockdown", target="*")
    async with running(centre.run()):
        await centre.handle(message, gate.clock.now())
        await until_done(gate)
    assert len(await gate.events(CommandAccepted)) == 1


# ------------------------------------------------------------------------ the same id again


async def test_the_stored_result_outlives_a_restart(tmp_path: Path) -> None:
    async with parts(tmp_path) as gate:
        command = gate.pen.command(gate.clock)
        await commands(gate).handle(command, gate.clock.now())
    async with parts(tmp_path) as after:
        await commands(after).resume()
        await commands(after).handle(command, after.clock.now())
        assert after.doors.moved == []
        assert after.sent == gate.sent


async def test_a_journal_that_cannot_be_read_at_the_start_does_not_end_the_process(
    gate: Parts,
) -> None:
    class Unreadable(Watched):
        async def unfinished_commands(self) -> list[CommandRow]:
            raise JournalError("journal.db: disk I/O error")

    await commands(gate, ledger=Unreadable(gate)).resume()
    assert gate.sent == []


# ------------------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("issued", "exp", "late_s"),
    [
        (0, 30_001, 0),  # would live too long
        (0, 0, 0),
        (0, -1, 0),
        (0, 10_000, 10),  # expires this very millisecond
        (6_000, 20_000, 0),  # from the future
        (-40_000, -10_000, 0),
    ],
)
async def test_a_command_out_of_its_time_moves_nothing(
    gate: Parts, issued: int, exp: int, late_s: float
) -> None:
    now_ms = gate.clock.now().wall_ms
    command = gate.pen.command(gate.clock, issued_ms=now_ms + issued, exp_ms=now_ms + exp)
    arrived = gate.clock.now()
    await gate.clock.advance(late_s)
    await commands(gate).handle(command, arrived)
    assert gate.doors.moved == []
    assert gate.sent[0]["outcome"] == "rejected"


async def test_a_command_lives_to_its_last_millisecond(gate: Parts) -> None:
    command = gate.pen.command(gate.clock)
    arrived = gate.clock.now()
    await gate.clock.advance(9.999)
    await commands(gate).handle(command, arrived)
    assert len(gate.doors.moved) == 1


async def test_a_clock_set_back_a_year_does_not_lengthen_a_commands_life(gate: Parts) -> None:
    command = gate.pen.command(gate.clock)
    arrived = gate.clock.now()
    await gate.clock.advance(31)
    gate.clock.jump_wall(-31)
    await commands(gate).handle(command, arrived)
    assert gate.doors.moved == []


# -------------------------------------------------------------------------------- forged


async def test_a_strangers_signature_opens_nothing_and_gets_no_answer(gate: Parts) -> None:
    for pen in (Pen(b"s"), Pen(b"k", "unknown")):
        await commands(gate).handle(pen.command(gate.clock), gate.clock.now())
    wanted = gate.pen.envelope(DESIRED_DOMAIN, {"id": "c-1"})
    await commands(gate).handle(wanted, gate.clock.now())
    assert gate.doors.moved == []
    assert gate.sent == []


async def test_a_flood_of_forged_commands_makes_one_alarm_and_few_rows(gate: Parts) -> None:
    centre = commands(gate)
    forged = Pen(b"s").command(gate.clock)
    for _ in range(500):
        await centre.handle(forged, gate.clock.now())
    assert len(await gate.events(CommandRejected)) == 1
    await gate.clock.advance(10)
    await centre.handle(forged, gate.clock.now())
    _, second = await gate.events(CommandRejected)
    assert isinstance(second, CommandRejected)
    assert "499 more" in second.detail
    assert len(gate.alarms.open_alarms()) == 1
