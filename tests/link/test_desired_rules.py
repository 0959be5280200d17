"""The wanted state against forgeries: no answer, few rows, no door moved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatewayd.domain.events import (
    DesiredRejected,
    Event,
)
from gatewayd.domain.model import AlarmKind, DoorMode, Stamp
from gatewayd.domain.ports import JournalEntry, JournalError
from gatewayd.link.contract import COMMAND_DOMAIN
from gatewayd.link.desired import DesiredState
from gatewayd.signed import CentralKeys
from tests.link.parts import GATE, SIDE, Parts, Pen, parts

LOCKED, DOWN = DoorMode.LOCKED, DoorMode.LOCKED_DOWN


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Parts]:
    async with parts(tmp_path) as made:
        yield made


def desired(gate: Parts, keys: CentralKeys | None = None, ledger: Any = None) -> DesiredState:
    return DesiredState(
        "gate-1", keys or gate.pen.keys(), [GATE, SIDE], ledger or gate.journal, gate.doors,
        gate.alarms, gate.clock, gate.sent.append,
    )  # fmt: skip


class Refusing:
    """A ledger whose disk is full, or can't be read."""

    def __init__(self, gate: Parts) -> None:
        self._gate = gate

    async def append(self, event: Event, stamp: Stamp | None = None) -> int:
        raise JournalError("journal.db: disk full")

    async def entries_before(self, *_: Any, **__: Any) -> list[JournalEntry]:
        raise JournalError("journal.db: disk I/O error")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._gate.journal, name)


async def test_a_door_that_is_so_already_is_not_moved(gate: Parts) -> None:
    await desired(gate).handle(gate.pen.desired(1, {GATE: "Locked", SIDE: "LockedDown"}))
    assert [door for door, _, _ in gate.doors.moved] == [SIDE]


async def test_the_next_good_revision_clears_what_was_rejected(gate: Parts) -> None:
    state = desired(gate)
    await state.handle(gate.pen.desired(1, {"no-door": "Locked"}))
    await state.handle(gate.pen.desired(2, {GATE: "LockedDown"}))
    assert (gate.sent[-1]["rev"], gate.sent[-1]["rejected"]) == (2, {})


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{}", b'{"v":1}',
        Pen(b"s").desired(1, {GATE: "LockedDown"}),
        Pen().envelope(COMMAND_DOMAIN, {"rev": 1, "doors": {GATE: "LockedDown"}}),
        Pen().desired(1, {GATE: "LockedDown"}, v=2),
        Pen().desired(0, {GATE: "LockedDown"}),
    ],
)  # fmt: skip
async def test_what_is_not_signed_for_this_moves_nothing_and_gets_no_answer(
    gate: Parts, payload: bytes
) -> None:
    await desired(gate).handle(payload)
    assert gate.doors.moved == []
    assert gate.sent == []
    assert len(await gate.events(DesiredRejected)) == 1


async def test_forgeries_are_one_alarm_that_the_next_good_state_ends(gate: Parts) -> None:
    state = desired(gate)
    for _ in range(3):
        await state.handle(Pen(b"s").desired(1, {GATE: "LockedDown"}))
    [alarm] = gate.alarms.open_alarms()
    assert (alarm.kind, alarm.about, alarm.repeats) == (AlarmKind.COMMAND_REJECTED, "link", 2)
    assert alarm.detail.startswith("wanted state: ")
    await state.handle(gate.pen.desired(1, {"no-door": "Locked"}))
    assert gate.alarmed(AlarmKind.COMMAND_REJECTED)
    await state.handle(gate.pen.desired(2, {GATE: "LockedDown"}))
    assert not gate.alarmed(AlarmKind.COMMAND_REJECTED)


async def test_a_key_without_the_role_sets_nothing(gate: Parts) -> None:
    state = desired(gate, gate.pen.keys("command", "whitelist"))
    await state.handle(gate.pen.desired(1, {GATE: "LockedDown"}))
    assert gate.doors.moved == []


async def test_a_flood_of_forged_states_for_changing_reasons_makes_few_rows(gate: Parts) -> None:
    state = desired(gate)
    for n in range(200):
        await state.handle(Pen(b"s", f"kid-{n}").desired(1, {}) if n % 2 else b"{}")
    assert len(await gate.events(DesiredRejected)) == 1
    await gate.clock.advance(10)
    await state.handle(b"{}")
    assert len(await gate.events(DesiredRejected)) == 2
