"""Orders: journaled first, carried out once, answered with what came of it."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from gatewayd.console import models, repeats
from gatewayd.console.problems import ProblemError
from gatewayd.console.routes import ordering
from gatewayd.domain.events import (
    AlarmAcknowledged,
    AlarmShelved,
    CauseKind,
    DoorModeChanged,
    Event,
    OperatorOrdered,
    Outcome,
)
from gatewayd.domain.model import AlarmKind, Stamp
from gatewayd.domain.ports import JournalError
from gatewayd.store.operators import Role
from tests.clock import ManualClock
from tests.console.rig import Rig

REASON = {"reason": "resident without card"}
UNLOCK = "/api/v1/doors/main-gate/unlock"


async def order(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], key: str = "key-00000001"
) -> httpx.Response:
    return await client.post(path, json=body, headers={"Idempotency-Key": key})


async def test_an_order_to_open_is_journaled_before_the_door_moves(console: Rig) -> None:
    async with console.signed_in() as client:
        answer = await order(client, UNLOCK, REASON)
    ordered = OperatorOrdered("li-guard", "open", "main-gate", "resident without card")
    assert await console.journaled(OperatorOrdered) == [ordered]
    entry = await console.journal.entry(answer.json()["seq"])
    assert entry is not None
    assert entry.event == ordered
    [(door_id, cause)] = console.doors.unlocked
    assert door_id == "main-gate"
    assert (cause.kind, cause.ref) == (CauseKind.OPERATOR, "li-guard")
    assert cause.reason == "resident without card"
    assert answer.json()["outcome"] == "unlocked"


@pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED, Outcome.INTERLOCKED])
async def test_what_came_of_it_is_told(console: Rig, outcome: Outcome) -> None:
    console.doors.answer = outcome
    async with console.signed_in() as client:
        answer = await order(client, UNLOCK, REASON)
    assert answer.status_code == 200
    assert answer.json()["outcome"] == outcome


async def test_an_order_that_cannot_be_journaled_moves_nothing(console: Rig) -> None:
    async with console.signed_in() as client:
        with patch.object(console.journal, "append", side_effect=JournalError("disk full")):
            answer = await order(client, UNLOCK, REASON)
        assert answer.status_code == 503
        assert answer.json()["code"] == "journal-unavailable"
        assert console.doors.unlocked == []
        again = await order(client, UNLOCK, REASON)
    assert again.status_code == 200
    assert len(console.doors.unlocked) == 1


async def test_the_same_key_again_moves_nothing_and_gets_the_first_result(console: Rig) -> None:
    async with console.signed_in() as client:
        first = await order(client, UNLOCK, REASON)
        again = await order(client, UNLOCK, REASON)
        other = await order(client, UNLOCK, REASON, "key-00000002")
    assert again.json() == first.json()
    assert other.json() != first.json()
    assert len(console.doors.unlocked) == 2


async def test_repeats_that_come_together_are_one_order(console: Rig) -> None:
    async with console.signed_in() as client, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(order(client, UNLOCK, REASON), name=f"repeat {n}") for n in range(5)
        ]
    assert len({task.result().text for task in tasks}) == 1
    assert len(console.doors.unlocked) == 1


async def test_a_key_of_another_order_is_refused(console: Rig) -> None:
    async with console.signed_in() as client:
        await order(client, UNLOCK, REASON)
        answer = await order(client, UNLOCK, {"reason": "another"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency-key-reused"
    assert len(console.doors.unlocked) == 1


async def test_keys_belong_to_their_session(console: Rig) -> None:
    async with console.signed_in() as one, console.signed_in(Role.LEADER) as other:
        await order(one, UNLOCK, REASON)
        await order(other, UNLOCK, REASON)
    assert len(console.doors.unlocked) == 2


async def test_an_order_without_a_key_moves_nothing(console: Rig) -> None:
    async with console.signed_in() as client:
        answer = await client.post(UNLOCK, json=REASON)
        short = await order(client, UNLOCK, REASON, "short")
    assert answer.status_code == 400
    assert answer.json()["code"] == "idempotency-key-missing"
    assert short.status_code == 422
    assert console.doors.unlocked == []


async def test_a_door_that_is_silent_is_told_and_not_repeated(console: Rig) -> None:
    console.doors.hang = True
    with patch.object(ordering, "DOOR_TIMEOUT_S", 0.01):
        async with console.signed_in() as client:
            answer = await order(client, UNLOCK, REASON)
            again = await order(client, UNLOCK, REASON)
    assert answer.status_code == 504
    assert again.json() == answer.json()
    assert answer.json()["code"] == "door-silent"
    assert len(console.doors.unlocked) == 1


async def test_an_order_that_is_on_disk_too_late_moves_no_door(console: Rig) -> None:
    real = console.journal.append

    async def late(event: Event, stamp: Stamp | None = None) -> int:
        assert isinstance(console.clock, ManualClock)
        await console.clock.advance(11)
        return await real(event, stamp)

    mode = "/api/v1/doors/main-gate/mode"
    async with console.signed_in(Role.LEADER) as client:
        with patch.object(console.journal, "append", late):
            answer = await order(client, UNLOCK, REASON)
            free = await order(client, mode, {**REASON, "mode": "LockedOpen"}, "key-00000002")
        again = await order(client, UNLOCK, REASON)
    assert (answer.status_code, answer.json()["code"]) == (504, "order-too-late")
    assert answer.json()["detail"] == "the journal took 11 s, an order holds for 10 s"
    assert free.json()["code"] == "order-too-late"
    assert again.json() == answer.json()
    assert console.doors.unlocked == []
    assert await console.journaled(DoorModeChanged) == []


@pytest.mark.parametrize("body", [{}, {"reason": ""}, {"reason": "  "}, {"reason": "x" * 201}])
async def test_an_order_needs_a_reason(console: Rig, body: dict[str, str]) -> None:
    async with console.signed_in() as client:
        answer = await order(client, UNLOCK, body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"] == "body.reason"
    assert console.doors.unlocked == []


async def test_no_such_door(console: Rig) -> None:
    async with console.signed_in() as client:
        answer = await order(client, "/api/v1/doors/back-gate/unlock", REASON)
    assert answer.json()["code"] == "no-such-door"


# ---------------------------------------------------------------------------------- alarms


async def test_of_two_who_acknowledge_one_wins_and_the_other_learns_who(console: Rig) -> None:
    alarm_id = await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    path = f"/api/v1/alarms/{alarm_id}/acknowledge"
    async with console.signed_in() as li, console.signed_in(Role.LEADER) as chen:
        async with asyncio.TaskGroup() as group:
            both = [
                group.create_task(order(li, path, {"note": "on my way"}), name="li"),
                group.create_task(order(chen, path, {"note": ""}), name="chen"),
            ]
        answers = sorted((task.result() for task in both), key=lambda a: a.status_code)
    [event] = await console.journaled(AlarmAcknowledged)
    assert isinstance(event, AlarmAcknowledged)
    assert [answer.status_code for answer in answers] == [200, 409]
    assert answers[0].json()["acknowledged_by"] == event.operator
    assert answers[1].json()["code"] == "already-acknowledged"
    assert answers[1].json()["winner"] == event.operator


async def test_an_alarm_that_was_over_when_it_was_taken_still_tells_the_winner(
    console: Rig,
) -> None:
    alarm_id = await console.alarms.raise_alarm(AlarmKind.DOOR_HELD, "main-gate")
    await console.alarms.clear(AlarmKind.DOOR_HELD, "main-gate")
    path = f"/api/v1/alarms/{alarm_id}/acknowledge"
    async with console.signed_in() as li, console.signed_in(Role.LEADER) as chen:
        first = await order(li, path, {"note": ""})
        second = await order(chen, path, {"note": ""})
        unknown = await order(chen, "/api/v1/alarms/0123/acknowledge", {}, "key-00000003")
    assert first.json()["acknowledged_by"] == "li-guard"
    assert first.json()["active"] is False
    assert second.json()["winner"] == "li-guard"
    assert unknown.json()["code"] == "no-such-alarm"


async def test_an_acknowledgement_that_cannot_be_journaled_is_none(console: Rig) -> None:
    alarm_id = await console.alarms.raise_alarm(AlarmKind.DOOR_HELD, "main-gate")
    async with console.signed_in() as client:
        with patch.object(console.journal, "append", side_effect=JournalError("disk full")):
            answer = await order(client, f"/api/v1/alarms/{alarm_id}/acknowledge", {})
    assert answer.status_code == 503
    assert console.alarms.open_alarms()[0].acknowledged_by is None


async def test_a_shelved_alarm_is_listed_with_who_why_and_until_and_brought_back(
    console: Rig,
) -> None:
    alarm_id = await console.alarms.raise_alarm(AlarmKind.TAMPER, "main-gate")
    path = f"/api/v1/alarms/{alarm_id}"
    until_ms = console.clock.now().wall_ms + 3_600_000
    async with console.signed_in() as li:
        body = {"reason": "box is open", "until_ms": until_ms}
        shelved = (await order(li, f"{path}/shelve", body)).json()
        listed = (await li.get("/api/v1/alarms")).json()["alarms"]
        back = (await order(li, f"{path}/unshelve", {}, "key-00000002")).json()
    assert listed == [shelved]
    fields = ("shelved_by", "shelved_reason", "shelved_until_ms")
    assert [shelved[field] for field in fields] == ["li-guard", "box is open", until_ms]
    assert [back[field] for field in fields] == [None, None, None]
    [event] = await console.journaled(AlarmShelved)
    assert isinstance(event, AlarmShelved)
    assert (event.operator, event.reason) == ("li-guard", "box is open")


async def test_what_may_not_be_shelved_is_a_problem_with_its_own_code(console: Rig) -> None:
    forced = await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    tamper = await console.alarms.raise_alarm(AlarmKind.TAMPER, "main-gate")
    now_ms = console.clock.now().wall_ms
    shift_ms = 8 * 3_600_000
    answers = []
    async with console.signed_in() as li:
        for number, (alarm_id, until_ms) in enumerate(
            [
                (forced, now_ms + 60_000),
                (tamper, now_ms + shift_ms + 1),
                (tamper, now_ms),
                ("0123", now_ms + 60_000),
                (tamper, now_ms + shift_ms),
            ]
        ):
            body = {"reason": "noise", "until_ms": until_ms}
            path = f"/api/v1/alarms/{alarm_id}/shelve"
            answers.append(await order(li, path, body, f"key-0000000{number}"))
        gone = await order(li, "/api/v1/alarms/0123/unshelve", {}, "key-00000009")
    assert [answer.json().get("code") for answer in answers] == [
        "never-shelved", "shelf-time-unfit", "shelf-time-unfit", "no-such-alarm", None,
    ]  # fmt: skip
    assert gone.json()["code"] == "no-such-alarm"


async def test_duress_stands_first_makes_no_sound_and_can_not_be_shelved(console: Rig) -> None:
    await console.alarms.raise_alarm(AlarmKind.FIRE, "fire")
    await console.alarms.raise_alarm(AlarmKind.DURESS, "gate-in")
    async with console.signed_in() as li:
        duress, fire = (await li.get("/api/v1/alarms")).json()["alarms"]
    assert (duress["kind"], duress["silent"], duress["shelvable"]) == ("duress", True, False)
    assert (fire["silent"], fire["shelvable"]) == (False, False)


# --------------------------------------------------------------------------- stored results


async def test_stored_results_are_bounded_per_session_and_over_all() -> None:
    stored = repeats.Repeats()
    done: list[str] = []

    async def once(session: str, key: str) -> None:
        async def act() -> models.OrderResult:
            done.append(f"{session} {key}")
            return models.OrderResult(seq=1, outcome=Outcome.UNLOCKED)

        await stored.once(session, key, "open", models.OrderResult, act)

    for n in range(repeats.MAX_KEYS + 1):
        await once("a", f"k{n}")
    await once("a", "k1")
    assert len(done) == repeats.MAX_KEYS + 1
    await once("a", "k0")
    assert done[-1] == "a k0"
    for n in range(repeats.MAX_SESSIONS):
        await once(f"s{n}", "k")
    await once("a", "k0")
    assert done[-1] == "a k0"
    assert done.count("a k0") == 3


async def test_who_waits_for_an_order_that_is_interrupted_is_told() -> None:
    stored = repeats.Repeats()
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def act() -> models.OrderResult:
        begun.set()
        await go_on.wait()
        raise JournalError("disk full")

    async def once() -> models.OrderResult:
        return await stored.once("a", "k", "open", models.OrderResult, act)

    async with asyncio.TaskGroup() as group:
        first = group.create_task(_error_of(once()), name="first")
        await begun.wait()
        second = group.create_task(_error_of(once()), name="second")
        await asyncio.sleep(0)
        go_on.set()
    assert isinstance(first.result(), JournalError)
    assert str(second.result()) == "interrupted"


async def _error_of(work: Any) -> BaseException:  # any coroutine
    try:
        await work
    except (JournalError, ProblemError) as error:
        return error
    raise AssertionError("it worked")
