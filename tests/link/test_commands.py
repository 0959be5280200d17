"""Commands act once and rightly, or not at all; each refusal says why."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd.domain.events import (
    Cause,
    CauseKind,
    CommandAccepted,
    Outcome,
    WhereaboutsForgiven,
)
from gatewayd.domain.model import (
    AccessPointId,
    AlarmKind,
    AreaId,
    Direction,
    DoorId,
    DoorMode,
    Passage,
    PersonId,
)
from gatewayd.domain.ports import JournalError
from tests.clock import START_WALL_MS
from tests.link.box import NONCE
from tests.link.broker import Centre
from tests.link.desk import Desk, desk

YARD = AreaId("yard")


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as made:
        yield made


async def send(at: Desk, message: Any) -> None:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    await at.commands.handle(payload, at.clock.now())


async def test_an_order_to_open_is_durable_then_acts_then_is_answered(at: Desk) -> None:
    await send(at, at.order())
    [(cause, _)] = at.doors.unlocks
    assert (cause.kind, cause.ref, cause.reason) == (CauseKind.CENTRE, "c-1", "parcel")
    assert await at.kinds() == ["command.accepted", "command.done"]
    assert at.sent == [{"id": "c-1", "outcome": "done", "detail": "", "seq": 2}]


async def test_the_same_id_again_moves_nothing_and_gets_its_answer(at: Desk) -> None:
    for _ in range(3):
        await send(at, at.order())
    assert len(at.doors.unlocks) == 1
    assert [m["outcome"] for m in at.sent] == ["done"] * 3
    assert len(await at.kinds()) == 2


async def test_lockdown_of_all_doors_and_its_lifting(at: Desk) -> None:
    await send(at, at.order(action="lockdown", target="*"))
    locked_down = at.doors.mode
    await send(at, at.order(id="c-2", counter=2, action="lift_lockdown", target="main-gate"))
    assert (locked_down, at.doors.mode) == (DoorMode.LOCKED_DOWN, DoorMode.LOCKED)


async def test_a_person_or_everyone_is_forgiven_on_the_centres_word(at: Desk) -> None:
    for number in ("p-1", "p-2"):
        passage = Passage(PersonId(number), AccessPointId("in"), 1, Direction.IN)
        at.memory.passed(DoorId("main-gate"), passage, at.clock.now())
    await send(at, at.order(action="forgive", target="p-1"))
    one = at.memory.count(YARD)
    await send(at, at.order(id="c-2", counter=2, action="forgive", target="*"))
    assert (one, at.memory.count(YARD)) == (1, 0)
    assert [m["outcome"] for m in at.sent] == ["done", "done"]
    events = [entry.event for entry in await at.journal.entries_after(0, 100)]
    cause = Cause(CauseKind.CENTRE, "c-1", "parcel")
    assert WhereaboutsForgiven(PersonId("p-1"), None, cause) in events


async def test_who_cannot_be_forgiven_is_answered_as_failed(at: Desk) -> None:
    await send(at, at.order(action="forgive", target=""))
    with patch.object(at.memory, "forgive", side_effect=JournalError("disk full")):
        await send(at, at.order(id="c-2", action="forgive", target="p-1"))
    at.commands._memory = None
    await send(at, at.order(id="c-3", counter=2, action="forgive", target="*"))
    assert [(m["outcome"], m["detail"]) for m in at.sent] == [
        ("rejected", "it names nobody to forgive"),
        ("failed", "the gateway's journal is not available"),
        ("failed", "no book of areas is kept here"),
    ]


async def test_a_door_that_did_not_open_is_answered_as_failed(at: Desk) -> None:
    at.doors.outcome = Outcome.FAILED
    await send(at, at.order())
    assert at.sent[0]["outcome"] == "failed"
    assert "main-gate: failed" in at.sent[0]["detail"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"aud": "gate-2"}, "it is for 'gate-2'"),
        ({"nonce": "f" * 32}, "nonce is not of this process"),
        ({"exp_ms": START_WALL_MS - 1, "issued_ms": START_WALL_MS - 9}, "it has expired"),
        ({"exp_ms": START_WALL_MS + 31_000}, "it would live 31000 ms"),
        ({"exp_ms": START_WALL_MS}, "it would live 0 ms"),
        (
            {"issued_ms": START_WALL_MS + 60_000, "exp_ms": START_WALL_MS + 61_000},
            "issued in the future",
        ),
        ({"target": "other-door"}, "there is no door 'other-door'"),
        ({"target": "*"}, "there is no door '*'"),
    ],
)
async def test_an_order_that_does_not_hold_is_refused_with_its_reason(
    at: Desk, changes: dict[str, Any], says: str
) -> None:
    await send(at, at.order(**changes))
    assert at.doors.unlocks == []
    assert at.sent[0]["outcome"] == "rejected"
    assert says in at.sent[0]["detail"]
    assert [a.kind for a in at.alarms.open_alarms()] == [AlarmKind.COMMAND_REJECTED]
    assert "command.rejected" in await at.kinds()


@pytest.mark.parametrize(
    "message",
    [
        b"{broken",
        b"[]",
        {"v": 2},
        {"v": 1, "kid": "centre", "sig": "!", "body": "!"},
        {"v": 1, "kid": "centre", "sig": "AAAA", "body": "AAAA"},
        b"x" * (600 * 1024),
    ],
)
async def test_nonsense_is_refused_and_raises_nothing(at: Desk, message: Any) -> None:
    await send(at, message)
    assert at.doors.unlocks == []
    assert at.sent == []


async def test_an_old_counter_is_a_replay_even_under_a_new_id(at: Desk) -> None:
    await send(at, at.order(counter=5))
    await send(at, at.order(id="c-2", counter=5))
    await send(at, at.order(id="c-3", counter=4))
    assert len(at.doors.unlocks) == 1
    assert {m["id"]: m["outcome"] for m in at.sent} == {
        "c-1": "done",
        "c-2": "rejected",
        "c-3": "rejected",
    }


async def test_a_key_without_the_role_or_a_stranger_s_key_opens_nothing(tmp_path: Path) -> None:
    centre = Centre(0)
    centre.key_file = lambda *_: Centre.key_file(centre, "whitelist")  # type: ignore[method-assign]  # one role
    async with desk(tmp_path, centre) as at:
        await send(at, at.order())
        await send(at, Centre(0).command(aud="gate-1"))
        assert at.doors.unlocks == []


async def test_with_an_untrusted_clock_nonce_and_counter_decide_within_the_ttl(at: Desk) -> None:
    at.clock.jump_wall(-50 * 365 * 86_400)
    at.clock.wall_trusted = False
    await send(at, at.order())
    assert len(at.doors.unlocks) == 1
    arrived = at.clock.now()
    await at.clock.advance(31)
    message = json.dumps(at.order(id="c-2", counter=2)).encode()
    await at.commands.handle(message, arrived)
    assert len(at.doors.unlocks) == 1
    assert "waited too long" in at.sent[-1]["detail"]


async def test_a_command_that_a_crash_interrupted_is_told_failed_and_never_done(
    tmp_path: Path,
) -> None:
    centre = Centre(0)
    async with desk(tmp_path, centre) as at:
        await at.journal.append(CommandAccepted("c-1", "centre", 1, "open", "main-gate"))
    async with desk(tmp_path, centre) as at:
        await at.commands.resume()
        await send(at, at.order())
        assert at.doors.unlocks == []
        assert [m["outcome"] for m in at.sent] == ["failed", "failed"]
        assert "interrupted" in at.sent[0]["detail"]


async def test_a_command_that_cannot_be_journaled_is_not_carried_out(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> int:
        raise JournalError("disk full")

    monkeypatch.setattr(at.journal, "append", refuse)
    await send(at, at.order())
    assert at.doors.unlocks == []
    assert at.sent[0]["outcome"] == "rejected"


async def test_an_order_that_expired_while_the_disk_stalled_does_not_act(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = at.journal.append

    async def stalled(event: Any, stamp: Any = None) -> int:
        if isinstance(event, CommandAccepted):
            await at.clock.advance(11)
        return await append(event, stamp)

    monkeypatch.setattr(at.journal, "append", stalled)
    await send(at, at.order())
    assert at.doors.unlocks == []
    assert at.sent[0]["outcome"] == "failed"
    assert at.sent[0]["detail"] == "it has expired"


async def test_a_flood_of_forged_commands_makes_one_event_and_one_alarm(at: Desk) -> None:
    for n in range(200):
        await send(at, at.order(id=f"x-{n}", nonce="f" * 32))
    assert (await at.kinds()).count("command.rejected") == 1
    assert (await at.kinds()).count("alarm.raised") == 1
    await at.clock.advance(11)
    await send(at, at.order(nonce="f" * 32))
    assert (await at.kinds()).count("command.rejected") == 2


async def test_the_next_good_command_ends_the_alarm(at: Desk) -> None:
    await send(at, at.order(nonce="f" * 32))
    await send(at, at.order())
    assert not at.alarms.open_alarms()[0].active


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(place=st.integers(0, 10_000), byte=st.integers(0, 255), cut=st.integers(0, 3))
async def test_no_altered_command_ever_acts(
    tmp_path_factory: pytest.TempPathFactory, place: int, byte: int, cut: int
) -> None:
    """One byte of the envelope or of the signed body changed, or its end cut off."""
    async with desk(tmp_path_factory.mktemp("altered")) as at:
        message = at.order()
        body = bytearray(base64.b64decode(message["body"]))
        where = place % len(body)
        altered = byte != body[where] or cut > 0
        body[where] = byte
        message["body"] = base64.b64encode(bytes(body[: len(body) - cut])).decode()
        await send(at, message)
        assert bool(at.doors.unlocks) is not altered
    assert NONCE
