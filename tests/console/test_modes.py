"""Lockdowns, a guard's own mode, the end of a fire: who may, in which order, and what is told."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from gatewayd.console.routes import modes, ordering
from gatewayd.domain.events import Cause, CauseKind, DoorModeOrdered, OperatorOrdered, Outcome
from gatewayd.domain.model import DoorId, DoorMode, ModeSlot
from gatewayd.domain.ports import FireAnswer, JournalError
from gatewayd.store.operators import Role
from tests.console.rig import Rig
from tests.console.test_orders import order

REASON = {"reason": "police request"}
LOCKDOWN, LIFT = "/api/v1/doors/lockdown", "/api/v1/doors/lift-lockdown"
MODE = "/api/v1/doors/main-gate/mode"
RESET = "/api/v1/fire/reset"


def in_mode(console: Rig) -> dict[str, DoorMode]:
    return {str(door.door_id): door.mode for door in console.doors.all_status()}


async def doors(client: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    found = (await client.get("/api/v1/doors")).json()["doors"]
    return {door["id"]: door for door in found}


# -------------------------------------------------------------------------------- lockdowns


async def test_a_lockdown_takes_every_door_and_is_lifted_where_it_stands(console: Rig) -> None:
    async with console.signed_in(Role.LEADER) as client:
        down = await order(client, LOCKDOWN, REASON)
        locked = await doors(client)
        console.doors.set("b1-lobby", mode=DoorMode.BLOCKED)
        lifted = await order(client, LIFT, {"reason": "over"}, "key-lift-1")
    assert [one["outcome"] for one in down.json()["doors"]] == ["unlocked"] * 3
    assert {door["mode"] for door in locked.values()} == {"LockedDown"}
    assert [one["outcome"] for one in lifted.json()["doors"]] == ["unlocked"] * 3
    assert list(in_mode(console).values()) == [DoorMode.LOCKED, DoorMode.BLOCKED, DoorMode.LOCKED]
    assert await console.journaled(OperatorOrdered) == [
        OperatorOrdered("chen-leader", "lockdown", "*", "police request"),
        OperatorOrdered("chen-leader", "lift_lockdown", "*", "over"),
    ]


async def test_a_zone_or_one_door_is_locked_down_alone(console: Rig) -> None:
    async with console.signed_in(Role.LEADER) as client:
        zone = await order(client, LOCKDOWN, REASON | {"zone": "lobbies"})
        in_zone = in_mode(console)
        await order(client, LIFT, REASON | {"zone": "lobbies"}, "key-lift-1")
        door = await order(client, LOCKDOWN, REASON | {"door_id": "main-gate"}, "key-lock-2")
    assert [one["door_id"] for one in zone.json()["doors"]] == ["b1-lobby", "b2-lobby"]
    assert in_zone["main-gate"] is DoorMode.LOCKED
    assert [one["door_id"] for one in door.json()["doors"]] == ["main-gate"]
    targets = [e.target for e in await console.journaled(OperatorOrdered)]  # type: ignore[union-attr]  # of that type
    assert targets == ["zone:lobbies", "zone:lobbies", "main-gate"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"zone": "garden"}, 404, "no-such-zone"),
        ({"door_id": "back-gate"}, 404, "no-such-door"),
        ({"door_id": "main-gate", "zone": "lobbies"}, 422, "invalid-request"),
    ],
)
@pytest.mark.parametrize("path", [LOCKDOWN, LIFT])
async def test_a_target_that_is_not_there_is_told(
    console: Rig, path: str, body: dict[str, str], status: int, code: str
) -> None:
    async with console.signed_in(Role.LEADER) as client:
        answer = await order(client, path, REASON | body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await console.journaled(OperatorOrdered) == []


async def test_a_lockdown_waits_for_no_disk(console: Rig) -> None:
    async def set_mode(door_id: DoorId, mode: DoorMode, *_: object, **__: object) -> Outcome:
        console.doors.set(door_id, mode=mode)
        return Outcome.UNLOCKED

    async def hang(*_: object) -> int:
        await asyncio.Event().wait()
        return 0

    with (
        patch.object(console.doors, "set_mode", set_mode),
        patch.object(modes, "LOCKDOWN_NOTE_S", 0.01),
    ):
        async with console.signed_in(Role.LEADER) as client:
            with patch.object(console.journal, "append", side_effect=JournalError("disk full")):
                full = await order(client, LOCKDOWN, REASON)
            with patch.object(console.journal, "append", hang):
                hung = await order(client, LOCKDOWN, REASON, "key-00000002")
    assert [answer.json()["seq"] for answer in (full, hung)] == [0, 0]
    assert set(in_mode(console).values()) == {DoorMode.LOCKED_DOWN}


async def test_a_lift_that_cannot_be_journaled_lifts_nothing(console: Rig) -> None:
    console.doors.set("main-gate", mode=DoorMode.LOCKED_DOWN)
    async with console.signed_in(Role.LEADER) as client:
        with patch.object(console.journal, "append", side_effect=JournalError("disk full")):
            answer = await order(client, LIFT, REASON)
    assert answer.status_code == 503
    assert in_mode(console)["main-gate"] is DoorMode.LOCKED_DOWN


async def test_under_a_fire_a_lockdown_that_cannot_be_seen_is_lifted_too(console: Rig) -> None:
    console.doors.set("b2-lobby", mode=DoorMode.LOCKED_OPEN, mode_slot=ModeSlot.FIRE)
    async with console.signed_in(Role.LEADER) as client:
        await order(client, LIFT, REASON)
    assert "b2-lobby" in console.doors.lifted


async def test_a_door_whose_mode_cannot_be_journaled_is_named(console: Rig) -> None:
    async with console.signed_in(Role.LEADER) as client:
        with patch.object(console.doors, "set_mode", side_effect=JournalError("disk full")):
            answer = await order(client, LOCKDOWN, REASON)
    assert {one["outcome"] for one in answer.json()["doors"]} == {"failed"}


async def test_a_lockdown_that_does_not_end_is_told(console: Rig) -> None:
    console.doors.hang = True
    with patch.object(ordering, "DOOR_TIMEOUT_S", 0.01):
        async with console.signed_in(Role.LEADER) as client:
            answer = await order(client, LOCKDOWN, REASON)
    assert answer.json()["code"] == "door-silent"


# ---------------------------------------------------------------------------- a door's mode


async def test_a_leader_gives_a_mode_with_a_reason_and_an_end(console: Rig) -> None:
    until_ms = console.clock.now().wall_ms + 60_000
    body = {"mode": "LockedOpen", "reason": "moving house", "until_ms": until_ms}
    async with console.signed_in(Role.LEADER) as client:
        answer = await order(client, MODE, body)
        shown = (await doors(client))["main-gate"]
    assert (answer.json()["outcome"], answer.json()["mode"]) == ("unlocked", "LockedOpen")
    assert (shown["mode"], shown["mode_slot"], shown["mode_until_ms"]) == (
        "LockedOpen", "operator", until_ms,
    )  # fmt: skip
    assert shown["mode_cause"] == {
        "kind": "operator", "ref": "chen-leader", "reason": "moving house",
    }  # fmt: skip
    assert await console.journaled(OperatorOrdered) == [
        OperatorOrdered("chen-leader", "mode LockedOpen", "main-gate", "moving house")
    ]
    cause = console.doors.now[DoorId("main-gate")].mode_cause
    assert cause is not None
    assert cause.kind is CauseKind.OPERATOR


async def test_an_order_that_another_one_wins_over_says_what_governs(console: Rig) -> None:
    console.doors.answer = Outcome.REFUSED
    async with console.signed_in(Role.LEADER) as client:
        answer = await order(client, MODE, {"mode": "Unlocked", "reason": "party"})
    assert answer.status_code == 200
    assert answer.json()["outcome"] == "refused"


@pytest.mark.parametrize("mode", ["Accessed", "LockedDown", "Ajar", ""])
async def test_what_is_no_order_of_a_mode_is_refused(console: Rig, mode: str) -> None:
    async with console.signed_in(Role.LEADER) as client:
        answer = await order(client, MODE, {"mode": mode, "reason": "x"})
    assert answer.status_code == 422
    assert await console.journaled(OperatorOrdered) == []


async def test_an_end_in_the_past_is_refused_where_the_clock_can_tell(console: Rig) -> None:
    clock = console.clock
    body = {"mode": "Unlocked", "reason": "x", "until_ms": clock.now().wall_ms}
    async with console.signed_in(Role.LEADER) as client:
        passed = await order(client, MODE, body)
        clock.wall_trusted = False  # type: ignore[attr-defined]  # the test's clock
        kept = await order(client, MODE, body, "key-00000002")
    assert passed.json()["code"] == "until-passed"
    assert kept.status_code == 200


async def test_the_order_is_taken_back(console: Rig) -> None:
    async with console.signed_in(Role.LEADER) as client:
        await order(client, MODE, {"mode": "Blocked", "reason": "broken"})
        answer = await order(client, f"{MODE}/withdraw", {"reason": "mended"}, "key-00000002")
        shown = (await doors(client))["main-gate"]
    assert answer.json()["mode"] == "Locked"
    assert (shown["mode_slot"], shown["mode_cause"]) == (None, None)
    events = await console.journaled(OperatorOrdered)
    assert events[-1] == OperatorOrdered("chen-leader", "withdraw_mode", "main-gate", "mended")


@pytest.mark.parametrize("what", ["mode", "mode/withdraw"])
async def test_a_door_that_is_not_there_or_silent_is_told(console: Rig, what: str) -> None:
    body = {"mode": "Blocked", "reason": "x"} if what == "mode" else {"reason": "x"}
    async with console.signed_in(Role.LEADER) as client:
        gone = await order(client, f"/api/v1/doors/back-gate/{what}", body)
        console.doors.hang = True
        with patch.object(ordering, "DOOR_TIMEOUT_S", 0.01):
            silent = await order(client, f"/api/v1/doors/main-gate/{what}", body, "key-00000002")
        keyless = await client.post(f"/api/v1/doors/main-gate/{what}", json=body)
    assert gone.json()["code"] == "no-such-door"
    assert silent.json()["code"] == "door-silent"
    assert keyless.json()["code"] == "idempotency-key-missing"


async def test_a_guard_orders_no_modes(console: Rig) -> None:
    async with console.signed_in() as client:
        for path, body in ((MODE, {"mode": "Blocked"}), (f"{MODE}/withdraw", {}), (RESET, {})):
            answer = await order(client, path, body | REASON)
            assert answer.json()["code"] == "role-too-low"


async def test_tiles_know_zone_escape_and_who_is_in_the_way(console: Rig) -> None:
    console.doors.set("main-gate", blocked_by=DoorId("b1-lobby"))
    async with console.signed_in() as client:
        shown = await doors(client)
    assert shown["main-gate"]["blocked_by"] == {"id": "b1-lobby", "name": "6栋大堂"}
    assert (shown["main-gate"]["zone"], shown["main-gate"]["escape"]) == (None, False)
    assert (shown["b2-lobby"]["zone"], shown["b2-lobby"]["escape"]) == ("lobbies", True)


# ------------------------------------------------------------------------------------- fire


async def test_a_fire_is_reset_once_with_a_reason(console: Rig) -> None:
    console.fire.on = True
    async with console.signed_in(Role.LEADER) as client:
        done = await order(client, RESET, {"reason": "false alarm"})
        again = await order(client, RESET, {"reason": "false alarm"})
        over = await order(client, RESET, {"reason": "false alarm"}, "key-00000002")
    assert done.status_code == 200
    assert again.json() == done.json()
    assert over.json()["code"] == "no-fire"
    [cause] = console.fire.resets
    assert (cause.kind, cause.ref, cause.reason) == (
        CauseKind.OPERATOR, "chen-leader", "false alarm",
    )  # fmt: skip
    assert await console.journaled(OperatorOrdered) == [
        OperatorOrdered("chen-leader", "fire_reset", "fire", "false alarm")
    ]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (FireAnswer.STILL_ON, "fire-still-on"),
        (FireAnswer.NOT_KNOWN, "fire-not-known"),
        (FireAnswer.NO_FIRE, "no-fire"),
    ],
)
async def test_a_reset_that_resets_nothing_says_why(
    console: Rig, answer: FireAnswer, code: str
) -> None:
    console.fire.on, console.fire.answer = True, answer
    async with console.signed_in(Role.LEADER) as client:
        told = await order(client, RESET, REASON)
    assert (told.status_code, told.json()["code"]) == (409, code)


async def test_an_order_is_live_on_every_page(console: Rig) -> None:
    """door.mode_ordered alone changes a tile: another order of the same mode has another end."""
    cause = Cause(CauseKind.CENTRE, "desired 5")
    event = DoorModeOrdered(DoorId("main-gate"), ModeSlot.CENTRE, None, None, cause)
    await console.journal.append(event)
    entries = await console.journal.entries_after(0, 9)
    [message] = await console.app.state.console.feed._build(entries)
    assert b"event: door" in message.data
