"""What boards did by themselves: journaled once, in order, and kept before the board may forget."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gatewayd.boards import BoardDesk
from gatewayd.devices import DeviceDesk
from gatewayd.domain.events import Acted, AlarmCleared, AlarmRaised, ControllerActed, DeviceOnline
from gatewayd.domain.model import AlarmKind, DeviceId, card
from gatewayd.domain.ports import BoardActed, ClockDrifted, JournalError
from gatewayd.store.journal import JournalStore
from gatewayd.wiring import ControllerSink
from tests.clock import ManualClock
from tests.core.test_keeping import Post
from tests.fakes import running

NORTH, SOUTH = DeviceId("north"), DeviceId("south")


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[JournalStore]:
    made = await JournalStore.open(tmp_path / "journal.db", ManualClock(), secret=b"s" * 32)
    async with made.running():
        yield made


def acted(index: int, kept: asyncio.Event, at_ms: int | None = 1_000) -> BoardActed:
    tag = card(0x100, 26)
    return BoardActed(index, Acted.GRANTED, 1, "card", at_ms, tag, kept.set)


async def tell(desk: BoardDesk, index: int, device: DeviceId = NORTH, at_ms: int = 1_000) -> None:
    """And wait until it is kept."""
    kept = asyncio.Event()
    desk.acted(device, acted(index, kept, at_ms))
    async with asyncio.timeout(5):
        await kept.wait()


async def kept_by(journal: JournalStore) -> list[tuple[str, int, int]]:
    found = await journal.entries_after(0, 99, kinds={ControllerActed.KIND})
    events = [entry.event for entry in found]
    return [(e.device_id, e.index, e.at_ms) for e in events if isinstance(e, ControllerActed)]


async def test_what_two_boards_did_is_kept_each_once_and_in_order(journal: JournalStore) -> None:
    desk = BoardDesk(journal, ManualClock())
    async with running(desk.run()):
        await tell(desk, 7)
        await tell(desk, 7, SOUTH)
        await tell(desk, 8)
    assert await kept_by(journal) == [("north", 7, 1_000), ("south", 7, 1_000), ("north", 8, 1_000)]
    [first, *_] = await journal.entries_after(0, 1, kinds={ControllerActed.KIND})
    assert isinstance(first.event, ControllerActed)
    assert first.event.credential == journal.credential_ref(card(0x100, 26))


async def test_the_one_before_the_box_ended_is_not_kept_twice(journal: JournalStore) -> None:
    async with running((desk := BoardDesk(journal, ManualClock())).run()):
        await tell(desk, 7)
    await journal.append(DeviceOnline(NORTH))
    async with running((again := BoardDesk(journal, ManualClock())).run()):
        await tell(again, 7)  # the board was not told in time that it was kept
        await tell(again, 8)
        await tell(again, 8, at_ms=9_000)  # its memory was cleared: the same number, another event
    assert [index for _, index, _ in await kept_by(journal)] == [7, 8, 8]


async def test_while_the_disk_refuses_the_board_is_not_told_to_forget(
    journal: JournalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, kept = ManualClock(), asyncio.Event()
    desk = BoardDesk(journal, clock)
    append = journal.append

    async def full(*_arguments: object) -> int:
        raise JournalError("disk full")

    monkeypatch.setattr(journal, "append", full)
    async with running(desk.run()):
        desk.acted(NORTH, acted(7, kept, at_ms=None))
        while not clock.sleepers:
            await asyncio.sleep(0.001)
        assert not kept.is_set()
        monkeypatch.setattr(journal, "append", append)
        await clock.advance(1)
        async with asyncio.timeout(5):
            await kept.wait()
    assert await kept_by(journal) == [("north", 7, 0)]


async def test_what_a_board_says_of_its_clock_and_its_doings_reaches_its_desk() -> None:
    post = Post()
    told: list[BoardActed] = []
    known = [(NORTH, "controller"), (SOUTH, "controller")]
    devices = DeviceDesk(known, post.clock, post.recorder, post.alarms)
    sink = ControllerSink(NORTH, [], devices, on_acted=told.append)
    event = acted(7, asyncio.Event())
    async with running(*post.tasks()):
        sink(event)
        sink(ClockDrifted(-93.0, beyond=True))
        [alarm] = await post.journal.until(AlarmRaised)
        assert isinstance(alarm, AlarmRaised)
        assert (alarm.alarm, alarm.about) == (AlarmKind.CLOCK_JUMPED, NORTH)
        assert alarm.detail == "its clock was 93 s behind"
        sink(ClockDrifted(0.4, beyond=False))
        await post.journal.until(AlarmCleared)
        devices.trouble(SOUTH, ClockDrifted(float("inf"), beyond=True))
        [*_, alarm] = await post.journal.until(AlarmRaised, 2)
        assert isinstance(alarm, AlarmRaised)
        assert (alarm.about, alarm.detail) == (SOUTH, "its clock showed no time")
    assert told == [event]
