"""The lists that boards have for the time without the box: gathered and handed out anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from gatewayd.domain.model import DeviceId, DoorId, FallbackCard
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.fallback import LOOK_NS, FallbackDesk, gather
from gatewayd.store.whitelist import WhitelistStore
from tests.clock import ManualClock
from tests.fakes import FakeBoard, running
from tests.store.lists import chunk, credential, full, level, person, schedule

TERMINALS = {DoorId("main-gate"): 2}
QR = {"t": "credential", "kind": "qr", "value": "VISIT-1", "person": "p-17"}


class Keeper(FakeBoard):
    """Implements ports.ListKeeper."""

    def __init__(self) -> None:
        super().__init__()
        self.lists: list[Sequence[FallbackCard]] = []

    def keep_list(self, cards: Sequence[FallbackCard]) -> None:
        self.lists.append(cards)


async def test_a_board_gets_its_list_and_the_next_and_none_before_the_first(
    tmp_path: Path,
) -> None:
    clock, board = ManualClock(), Keeper()
    store = await WhitelistStore.open(tmp_path)
    desk = FallbackDesk(tmp_path, {DeviceId("north"): (board, TERMINALS)}, store, clock)
    async with running(desk.run()):
        await clock.advance(60)
        assert board.lists == []
        await store.apply_full(1, full(QR, people=3))
        await until(board, 1, clock)
        assert [card.doors for card in board.lists[0]] == [frozenset({2})] * 3
        await clock.advance(60)
        assert len(board.lists) == 1
        await store.apply_full(2, full(people=2))
        await until(board, 2, clock)
        assert len(board.lists[1]) == 2
    store.close()


async def test_while_the_list_can_not_be_read_boards_keep_theirs(tmp_path: Path) -> None:
    clock, board = ManualClock(), Keeper()
    store = await WhitelistStore.open(tmp_path)
    await store.apply_full(1, full())
    pointer = tmp_path / "current.json"
    good = pointer.read_text()
    pointer.write_text("{}")
    desk = FallbackDesk(tmp_path, {DeviceId("north"): (board, TERMINALS)}, store, clock)
    async with running(desk.run()):
        await clock.advance(60)
        assert board.lists == []
        pointer.write_text(good)
        await until(board, 1, clock)
    store.close()


async def until(board: Keeper, count: int, clock: ManualClock) -> None:
    async with asyncio.timeout(5):
        while len(board.lists) < count:
            await clock.advance(LOOK_NS / 1e9)
            await asyncio.sleep(0.001)


async def test_only_who_may_pass_without_the_box_is_gathered(tmp_path: Path) -> None:
    store = await WhitelistStore.open(tmp_path)
    night = schedule("night", week=[[["22:00:00", "24:00:00"]]] * 7)
    cleaners = level("cleaners", schedule="night")
    rows = [
        *(person(17), credential(17)),
        *(person(18, levels=["cleaners"]), credential(18)),
        *(person(19), credential(19, status="lost")),
        *(person(20), credential(20, valid_until=1_900_000_000)),
    ]
    await store.apply_full(1, [chunk(schedule(), night, level(), cleaners, *rows)])
    store.close()
    found = gather(tmp_path, TERMINALS)
    assert {card.credential.value[-2:]: card.valid_until_s for card in found} == {
        "11": None,
        "14": 1_900_000_000,
    }
    assert gather(tmp_path, {}) == []


def test_without_a_list_there_is_nothing_to_gather(tmp_path: Path) -> None:
    with pytest.raises(WhitelistReadError, match="there is no list"):
        gather(tmp_path, TERMINALS)
