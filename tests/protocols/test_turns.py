"""Whose turn it is on a line: orders first, nobody starved, nothing lost when somebody leaves."""

from __future__ import annotations

import asyncio

from drivers.buses.turns import MAX_ORDERS_IN_A_ROW, Turns


async def queue_up(turns: Turns, names: str) -> list[str]:
    """Everybody asks while the turn is held, in this order; upper case are orders. Who had it."""
    had: list[str] = []

    async def ask(name: str) -> None:
        async with turns.taken(order=name.isupper()):
            had.append(name)

    async with asyncio.TaskGroup() as tg, turns.taken(order=False):
        for name in names:
            tg.create_task(ask(name), name=name)
        await asyncio.sleep(0)
    return had


def two_ask(turns: Turns, had: list[str]) -> tuple[asyncio.Future[None], asyncio.Future[None]]:
    """Two who only ask; `had` gets their names as their turns come."""

    async def ask(name: str) -> None:
        async with turns.taken(order=False):
            had.append(name)

    return asyncio.ensure_future(ask("a")), asyncio.ensure_future(ask("b"))


async def test_orders_come_first_and_among_equals_who_came_first() -> None:
    assert "".join(await queue_up(Turns(), "abXcY")) == "XYabc"


async def test_one_who_only_asks_gets_a_turn_between_many_orders() -> None:
    assert MAX_ORDERS_IN_A_ROW == 4
    assert "".join(await queue_up(Turns(), "abUVWXYZ")) == "UVWXaYZb"


async def test_who_leaves_the_queue_is_not_waited_for() -> None:
    turns = Turns()
    had: list[str] = []
    async with turns.taken(order=False):
        first, second = two_ask(turns, had)
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
    await second
    async with turns.taken(order=True):
        pass
    assert had == ["b"]


async def test_who_leaves_at_the_very_moment_that_the_turn_is_handed_on_gets_none() -> None:
    turns = Turns()
    had: list[str] = []
    async with turns.taken(order=False):
        first, second = two_ask(turns, had)
        await asyncio.sleep(0)
        first.cancel()  # and has not run since
    await second
    assert (first.cancelled(), had) == (True, ["b"])


async def test_who_leaves_as_the_turn_comes_hands_it_on() -> None:
    turns = Turns()
    had: list[str] = []

    async def ask(name: str) -> None:
        async with turns.taken(order=False):
            had.append(name)

    async with turns.taken(order=False):
        first, second = asyncio.ensure_future(ask("a")), asyncio.ensure_future(ask("b"))
        await asyncio.sleep(0)
    first.cancel()  # it was handed the turn, and has not run since
    await second
    assert had == ["b"]
    async with asyncio.timeout(1), turns.taken(order=True):
        pass
