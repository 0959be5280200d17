"""The stream of live events: gap-free, built once, ended with the session."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import pytest

from gatewayd.console import feed as feed_module
from gatewayd.console.feed import BEAT_S, Feed
from gatewayd.domain.events import (
    Cause,
    CauseKind,
    DeviceOffline,
    DoorLocked,
    DoorOpened,
    OperatorLoggedOut,
    Outcome,
    SystemStarted,
)
from gatewayd.domain.model import AlarmKind, DeviceId, DoorId
from gatewayd.domain.ports import JournalError
from tests.clock import ManualClock
from tests.console.rig import Rig


@dataclass
class Heard:
    id: int | None
    event: str | None
    data: Any


def parse(message: bytes) -> Heard:
    heard = Heard(None, None, None)
    for line in message.decode().strip().splitlines():
        name, _, value = line.partition(": ")
        match name:
            case "id":
                heard.id = int(value)
            case "event":
                heard.event = value
            case "data":
                heard.data = json.loads(value)
    return heard


class Listener:
    """What one page would have heard, message by message."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream

    async def next(self) -> Heard:
        async with asyncio.timeout(5):
            return parse(await anext(self._stream))

    async def until(self, event: str) -> Heard:
        while True:
            heard = await self.next()
            if heard.event == event:
                return heard

    async def entries(self, count: int) -> list[Heard]:
        return [await self.until("entry") for _ in range(count)]

    async def ended(self) -> bool:
        async with asyncio.timeout(5):
            async for _ in self._stream:
                continue
        return True


@pytest.fixture
async def feed(console: Rig) -> AsyncIterator[Feed]:
    async with running(console.app.state.console.feed) as started:
        yield started


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[Feed]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(feed.run(), name="feed")
        try:
            yield feed
        finally:
            task.cancel()


async def yes() -> bool:
    return True


def listen(feed: Feed, after: int) -> Listener:
    return Listener(feed.stream(after, yes))


async def test_a_stream_begins_with_how_to_come_back_and_the_state(
    console: Rig, feed: Feed
) -> None:
    page = listen(feed, 0)
    assert (await page.next()) == Heard(None, None, None)
    state = await page.next()
    assert state.event == "state"
    assert state.id is None
    assert [door["id"] for door in state.data["doors"]] == ["main-gate", "b1-lobby", "b2-lobby"]
    assert state.data["epoch"] == console.journal.epoch


async def test_a_decision_comes_at_once_and_again_with_its_outcome_and_picture(
    console: Rig, feed: Feed
) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    seq = await console.granted()
    first = await page.until("entry")
    assert (first.id, first.data["seq"], first.data["outcome"]) == (seq, seq, None)
    outcome = await console.outcome(seq)
    second = await page.until("entry")
    assert (second.id, second.data["seq"], second.data["outcome"]) == (outcome, seq, "unlocked")
    await console.picture(seq)
    third = await page.until("entry")
    assert third.data["seq"] == seq
    assert len(third.data["pictures"]) == 1


async def test_whoever_was_away_gets_what_came_meanwhile_then_what_comes(
    console: Rig, feed: Feed
) -> None:
    seqs = [await console.granted() for _ in range(450)]
    page = listen(feed, seqs[9])
    heard = await page.entries(440)
    assert [one.data["seq"] for one in heard] == seqs[10:]
    live = await console.denied()
    assert (await page.until("entry")).data["seq"] == live


async def test_a_stream_broken_anywhere_goes_on_without_a_gap(console: Rig, feed: Feed) -> None:
    """The page's table after any cut is what an uncut stream would have made of it."""
    for n in range(12):
        seq = await console.granted()
        if n % 3:
            await console.outcome(seq, Outcome.FAILED if n % 2 else Outcome.UNLOCKED)
        if n % 4 == 0:
            await console.picture(seq)
    last = console.journal.last_seq
    whole = await _table(feed, 0, last)
    assert len(whole) == 12
    for cut in range(last):
        table: dict[int, Any] = {}
        at = await _table_until(feed, cut, table)
        table |= await _table(feed, at, last)
        assert table == whole


async def _table(feed: Feed, after: int, last: int) -> dict[int, Any]:
    """Entries by seq once everything up to `last` came."""
    page, table = listen(feed, after), {}
    at = after
    while at < last:
        heard = await page.next()
        at = heard.id or at
        if heard.event == "entry":
            table[heard.data["seq"]] = heard.data
    return table


async def _table_until(feed: Feed, messages: int, table: dict[int, Any]) -> int:
    """Take so many messages from the start, as a line that then broke; the last id heard."""
    page, at = listen(feed, 0), 0
    for _ in range(messages):
        heard = await page.next()
        at = heard.id or at
        if heard.event == "entry":
            table[heard.data["seq"]] = heard.data
        if at == feed._cursor:
            break
    return at


async def test_events_that_show_nothing_still_move_the_place(console: Rig, feed: Feed) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    seq = await console.journal.append(SystemStarted("1", "0" * 64, 7))
    assert await page.next() == Heard(seq, None, None)


async def test_a_lock_that_did_not_confirm_is_told_with_its_door(console: Rig, feed: Feed) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    console.doors.set("main-gate", failed=True)
    await console.alarms.raise_alarm(AlarmKind.DOOR_FAILED, "main-gate", "no reply")
    assert (await page.until("door")).data["failed"] is True
    console.doors.set("main-gate", failed=False)
    await console.alarms.clear(AlarmKind.DOOR_FAILED, "main-gate")
    assert (await page.until("door")).data["failed"] is False


async def test_the_other_doors_of_an_interlock_are_told_when_one_moves(
    console: Rig, feed: Feed
) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    console.doors.set("b1-lobby", phase="open", open=True)
    console.doors.set("b2-lobby", blocked_by=DoorId("b1-lobby"))
    await console.journal.append(DoorOpened(DoorId("b1-lobby"), authorised=True))
    doors = [await page.until("door") for _ in range(2)]
    assert [door.data["id"] for door in doors] == ["b1-lobby", "b2-lobby"]
    assert doors[1].data["blocked_by"] == {"id": "b1-lobby", "name": "6栋大堂"}


async def test_a_door_that_moved_is_told_once_a_batch_as_it_stands_now(
    console: Rig, feed: Feed
) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    console.doors.set("main-gate", phase="forced", open=True)
    await console.journal.append(DoorOpened(DoorId("main-gate"), False))
    door = await page.until("door")
    assert door.data["phase"] == "forced"
    assert door.data["name"] == "东门人行"


async def test_who_passed_or_was_forgiven_changes_the_counts(console: Rig, feed: Feed) -> None:
    page = listen(feed, console.journal.last_seq)
    state = await page.until("state")
    assert [area["inside"] for area in state.data["areas"]] == [0, 0]
    await console.passed(17)
    areas = await page.until("areas")
    assert areas.id == console.journal.last_seq
    assert [area["inside"] for area in areas.data["areas"]] == [1, 0]
    cause = Cause(CauseKind.OPERATOR, "chen-leader", "drill")
    await console.memory.forgive(None, None, cause, console.clock.now())
    assert [area["inside"] for area in (await page.until("areas")).data["areas"]] == [0, 0]


async def test_one_batch_tells_each_thing_once(console: Rig) -> None:
    feed = console.app.state.console.feed
    for _ in range(3):
        await console.journal.append(DoorOpened(DoorId("main-gate"), True))
        await console.journal.append(DoorLocked(DoorId("main-gate")))
    seq = await console.granted()
    last = await console.outcome(seq)
    entries = await console.journal.entries_after(0, 100)
    messages = [parse(message.data) for message in await feed._build(entries)]
    assert [(one.event, one.id) for one in messages] == [("door", seq - 1), ("entry", last)]


async def test_a_thing_is_told_at_the_place_of_its_last_change(console: Rig) -> None:
    """Else a page that stops after it would skip what came between."""
    feed = console.app.state.console.feed
    await console.journal.append(DoorOpened(DoorId("main-gate"), True))
    seq = await console.granted()
    last = await console.journal.append(DoorLocked(DoorId("main-gate")))
    entries = await console.journal.entries_after(0, 100)
    messages = [parse(message.data) for message in await feed._build(entries)]
    assert [(one.event, one.id) for one in messages] == [("entry", seq), ("door", last)]


async def test_of_two_messages_of_one_event_only_the_last_moves_the_place(console: Rig) -> None:
    feed = console.app.state.console.feed
    await console.alarms.raise_alarm(AlarmKind.DOOR_HELD, "main-gate")
    entries = await console.journal.entries_after(0, 100)
    messages = [parse(message.data) for message in await feed._build(entries)]
    assert [(one.event, one.id) for one in messages] == [("alarms", None), ("door", 1)]


async def test_alarms_come_whole_and_right_even_before_the_desk_knows(
    console: Rig, feed: Feed
) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    alarm_id = await console.alarms.raise_alarm(AlarmKind.CAMERA_OFFLINE, "cam-gate")
    raised = await page.until("alarms")
    assert raised.data["alarms"][0]["about"]["name"] == "东门全景"
    await console.alarms.acknowledge(alarm_id, "li-guard")
    taken = await page.until("alarms")
    assert taken.data["alarms"][0]["acknowledged_by"] == "li-guard"
    with patch.object(console.alarms, "open_alarms", return_value=console.alarms.open_alarms()):
        await console.alarms.clear(AlarmKind.CAMERA_OFFLINE, "cam-gate")
        assert (await page.until("alarms")).data["alarms"] == []


async def test_shelving_and_chatter_come_as_they_stand(console: Rig, feed: Feed) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    alarm_id = await console.alarms.raise_alarm(AlarmKind.TAMPER, "main-gate")
    until_ms = console.clock.now().wall_ms + 60_000
    await page.until("alarms")
    await console.alarms.shelve(alarm_id, "li-guard", "noise", until_ms)
    assert (await page.until("alarms")).data["alarms"][0]["shelved_by"] == "li-guard"
    await console.alarms.unshelve(alarm_id, "li-guard")
    assert (await page.until("alarms")).data["alarms"][0]["shelved_by"] is None
    await console.alarms.clear(AlarmKind.TAMPER, "main-gate")
    await page.until("alarms")
    await console.alarms.raise_alarm(AlarmKind.TAMPER, "main-gate")
    await console.alarms.clear(AlarmKind.TAMPER, "main-gate")  # the journal learns it later
    [alarm] = (await page.until("alarms")).data["alarms"]
    assert (alarm["repeats"], alarm["active"]) == (1, False)


async def test_a_picture_of_an_alarm_comes_with_the_alarms(console: Rig, feed: Feed) -> None:
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    await console.picture(console.alarms.open_alarms()[0].raised_seq)
    [alarm] = (await page.until("alarms")).data["alarms"]
    assert len(alarm["pictures"]) == 1


async def test_an_outcome_of_a_decision_that_is_not_there_shows_nothing(
    console: Rig, feed: Feed
) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    seq = await console.outcome(12_345)
    assert await page.next() == Heard(seq, None, None)


async def test_a_device_that_went_offline_brings_the_whole_state(console: Rig, feed: Feed) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    for status in console.doors.all_status():
        console.doors.set(status.door_id, online=False, open=None)
    seq = await console.journal.append(DeviceOffline(DeviceId("board-1")))
    state = await page.until("state")
    assert state.id == seq
    assert not any(door["online"] for door in state.data["doors"])


async def test_the_state_comes_again_at_every_beat(
    console: Rig, feed: Feed, clock: ManualClock
) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    console.doors.set("b2-lobby", online=False)
    await clock.advance(BEAT_S)
    state = await page.until("state")
    assert state.data["doors"][2]["online"] is False
    assert state.data["wall_ms"] == clock.now().wall_ms


async def test_a_page_of_another_journal_is_told_to_start_over(console: Rig, feed: Feed) -> None:
    seq = await console.granted()
    page = listen(feed, 9_999)
    assert (await page.until("reset")).data == {}
    await page.until("state")
    await console.outcome(seq)
    assert (await page.until("entry")).data["seq"] == seq


async def test_a_stream_ends_at_once_when_its_session_is_logged_out(
    console: Rig, feed: Feed
) -> None:
    signed_in = True

    async def alive() -> bool:
        return signed_in

    page = Listener(feed.stream(console.journal.last_seq, alive))
    await page.until("state")
    signed_in = False
    await console.journal.append(OperatorLoggedOut("li-guard"))
    assert await page.ended()


async def test_closing_the_feed_ends_its_streams(console: Rig, feed: Feed) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    feed.close()
    assert await page.ended()


async def test_whoever_fell_behind_the_ring_is_served_from_the_journal(console: Rig) -> None:
    with patch.object(feed_module, "RING", 5):
        async with running(console.app.state.console.feed) as feed:
            page = listen(feed, console.journal.last_seq)
            await page.until("state")
            seqs = [await console.granted() for _ in range(20)]
            heard = await page.entries(20)
            late = await listen(feed, seqs[2]).entries(17)
    assert [one.data["seq"] for one in heard] == seqs
    assert [one.data["seq"] for one in late] == seqs[3:]


async def test_a_journal_that_cannot_be_read_is_tried_again(
    console: Rig, feed: Feed, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    failing = patch.object(console.journal, "entries_after", side_effect=JournalError("damaged"))
    with failing as read:
        seq = await console.granted()
        while not read.called:
            await asyncio.sleep(0)
    await clock.advance(1)
    assert (await page.until("entry")).data["seq"] == seq
    assert "live events wait" in caplog.text


async def test_a_beat_that_cannot_read_the_journal_is_left_out(
    console: Rig, feed: Feed, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    page = listen(feed, console.journal.last_seq)
    await page.until("state")
    failing = patch.object(console.journal, "pictures_for", side_effect=JournalError("damaged"))
    with failing as read:
        while not read.called:
            await clock.advance(BEAT_S)
    while "no beat" not in caplog.text:
        await asyncio.sleep(0)
    await clock.advance(BEAT_S)
    assert (await page.until("state")).data["alarms"][0]["kind"] == "door_forced"
