"""The wanted state: highest revision wins, whole or not at all, reported back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gatewayd.domain.model import DoorId, DoorMode
from gatewayd.domain.ports import JournalError
from tests.link.broker import Centre
from tests.link.desk import Desk, desk


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as made:
        yield made


async def want(at: Desk, rev: int, mode: str = "LockedDown", **more: Any) -> None:
    message = at.centre.desired(**({"rev": rev, "doors": {"main-gate": mode}} | more))
    await at.desired.handle(json.dumps(message).encode())


async def test_a_lockdown_is_applied_journaled_and_reported(at: Desk) -> None:
    await want(at, 4)
    assert at.doors.mode is DoorMode.LOCKED_DOWN
    [order] = (await at.journal.mode_orders())[DoorId("main-gate")].values()
    assert (order.mode, order.cause.ref) == (DoorMode.LOCKED_DOWN, "desired 4")
    assert await at.kinds() == ["desired.applied"]
    assert at.sent == [{"rev": 4, "doors": {"main-gate": "LockedDown"}, "rejected": {}}]


@pytest.mark.parametrize("mode", ["Unlocked", "Blocked", "LockedOpen", "Locked"])
async def test_every_mode_that_lasts_may_be_wanted(at: Desk, mode: str) -> None:
    await want(at, 4, mode)
    assert at.sent[-1]["doors"] == {"main-gate": mode}


async def test_a_passage_is_no_mode_to_want_and_none_to_report(at: Desk) -> None:
    await want(at, 4, "Accessed")
    assert "main-gate" in at.sent[-1]["rejected"]
    at.doors.mode = DoorMode.ACCESSED
    await at.desired.report()
    assert at.sent[-1]["doors"] == {"main-gate": "Locked"}


async def test_an_older_or_equal_revision_changes_nothing(at: Desk) -> None:
    await want(at, 4)
    await want(at, 4, "Locked")
    await want(at, 3, "Locked")
    assert at.doors.mode is DoorMode.LOCKED_DOWN
    assert at.sent[-1]["rev"] == 4


async def test_the_revision_survives_a_restart(tmp_path: Path) -> None:
    centre = Centre(0)
    async with desk(tmp_path, centre) as at:
        await want(at, 4)
    async with desk(tmp_path, centre) as at:
        await want(at, 4)
        assert at.doors.mode is DoorMode.LOCKED
        assert at.sent[-1]["rev"] == 4


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"doors": {"main-gate": "Ajar"}}, "main-gate"),
        ({"doors": {"main-gate": "LockedDown", "nowhere": "Locked"}}, "nowhere"),
        ({"aud": "gate-2"}, "*"),
    ],
)
async def test_one_wrong_door_rejects_the_whole(at: Desk, more: dict[str, Any], where: str) -> None:
    await want(at, 4, **more)
    assert at.doors.mode is DoorMode.LOCKED
    assert where in at.sent[-1]["rejected"]
    assert at.sent[-1]["rev"] == 0
    assert await at.kinds() == ["alarm.raised", "desired.rejected"]


async def test_a_flood_of_forged_states_makes_one_event_and_one_alarm(at: Desk) -> None:
    for _ in range(50):
        await at.desired.handle(b"{broken")
    assert await at.kinds() == ["alarm.raised", "desired.rejected", "alarm.repeated"]
    assert [a.repeats for a in at.alarms.open_alarms()] == [49]


async def test_what_cannot_be_journaled_is_not_applied(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> int:
        raise JournalError("disk full")

    monkeypatch.setattr(at.journal, "append", refuse)
    await want(at, 4)
    assert at.doors.mode is DoorMode.LOCKED
    assert at.sent[-1]["rejected"] == {"*": "the gateway's journal is not available"}


async def test_a_report_that_cannot_be_read_is_no_crash(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse() -> int:
        raise JournalError("disk I/O error")

    monkeypatch.setattr(at.journal, "desired_revision", refuse)
    await at.desired.report()
    assert at.sent == []
