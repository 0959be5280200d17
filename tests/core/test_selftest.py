"""The self-test of the decision path says what is wrong, and nothing where all is well."""

from __future__ import annotations

import pytest

from gatewayd import selftest
from gatewayd.domain import policy
from gatewayd.domain.door import ContactChanged, ControllerBack
from gatewayd.domain.events import Cause, CauseKind
from gatewayd.domain.model import Deny, DoorMode, Grant, LevelId, Reason
from gatewayd.selftest import DecisionPath
from tests.core.test_doors import build
from tests.domain.world import GATE, WANG, snapshot
from tests.fakes import OneCardList, running


async def test_rules_list_and_doors_that_answer_are_well() -> None:
    gate, tasks = build()
    async with running(*tasks):
        assert await DecisionPath(gate.doors, OneCardList(snapshot())).check() is None


async def test_a_list_that_cannot_be_read_is_no_reason_to_restart() -> None:
    gate, tasks = build()
    unreadable = OneCardList(snapshot())
    unreadable.answer = None
    async with running(*tasks):
        assert await DecisionPath(gate.doors, unreadable).check() is None


async def test_a_door_whose_task_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "ANSWER_S", 0.01)
    gate, tasks = build()
    wrong = await DecisionPath(gate.doors, OneCardList(snapshot())).check()
    assert wrong == f"door {GATE.id}: its task does not answer"
    for task in tasks:
        task.close()  # type: ignore[attr-defined]  # coroutines that never ran


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Deny(Reason.EXPIRED, None, ()), "a valid card would be denied"),
        (Grant(WANG, LevelId("all"), 5, ()), "an unknown card would be granted"),
    ],
)
def test_rules_that_answer_wrongly_are_noticed(
    monkeypatch: pytest.MonkeyPatch, answer: Deny | Grant, says: str
) -> None:
    monkeypatch.setattr(policy, "decide", lambda *_: answer)
    assert selftest.rules_answer() == says


async def test_a_broken_rule_starves_the_watchdog(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, tasks = build()
    monkeypatch.setattr(selftest, "rules_answer", lambda: "broken")
    async with running(*tasks):
        assert await DecisionPath(gate.doors, OneCardList(snapshot())).check() == "broken"


async def test_the_end_locks_what_a_grant_unlocked_and_leaves_a_free_door_free() -> None:
    gate, tasks = build()
    async with running(*tasks):
        gate.task.post(ControllerBack())
        gate.task.post(ContactChanged(False))
        await gate.doors.unlock(GATE.id, Cause(CauseKind.OPERATOR, "li", "parcel"))
        assert gate.board.relays == {1: True}
    await gate.task.lock_before_the_end()
    assert not gate.board.relays[1]
    free, more = build(mode=DoorMode.UNLOCKED)
    async with running(*more):
        free.task.post(ControllerBack())
        await free.board.until(1, True)
    await free.task.lock_before_the_end()
    assert free.board.relays[1]
