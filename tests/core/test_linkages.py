"""Linkages over a real journal and real doors: what fires, what is done, and what never is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from gatewayd import linkages as module
from gatewayd.alarms import AlarmDesk
from gatewayd.domain.door import ContactChanged, ControllerBack
from gatewayd.domain.events import (
    ActionResult,
    Cause,
    CauseKind,
    DeviceOffline,
    DoorModeChanged,
    DoorUnlocked,
    Event,
    LinkageDone,
    LinkageFired,
    LinkageSkipped,
    LinkedAction,
    LinkedResult,
    Outcome,
    SystemStarted,
)
from gatewayd.domain.linkage import (
    Action,
    Linkage,
    OrderMode,
    ShowSign,
    SwitchRelay,
    TakePicture,
    TellGuard,
    UnlockDoor,
)
from gatewayd.domain.model import (
    AccessPointId,
    AlarmKind,
    CameraId,
    DeviceId,
    DoorId,
    DoorMode,
    HolidayCalendar,
    Schedule,
    ScheduleId,
    Stamp,
)
from gatewayd.domain.ports import JournalEntry, JournalError, WhitelistReadError
from gatewayd.domain.signs import Light, Sign, Tone
from gatewayd.doors import DoorTask, DoorTasks, DoorWiring
from gatewayd.hours import DoorHours
from gatewayd.linkages import MAX_A_MINUTE, Linkages, Surroundings
from gatewayd.modes import ModeDesk
from gatewayd.outputs import Output
from gatewayd.recorder import Recorder
from gatewayd.store.journal import JournalStore
from tests.clock import ManualClock
from tests.domain.world import ALWAYS, GATE, NATIONAL, SHANGHAI, WORKDAYS
from tests.fakes import FakeBoard, NotedPictures, NotedSigns, running
from tests.store.samples import SECRET

BOARD = DeviceId("board-1")
SIREN = SwitchRelay(BOARD, 4, 5.0)
STARTED = SystemStarted("1", "", 7)
OFFLINE = DeviceOffline(DeviceId("gate-in"), "unplugged")
GUARD = Cause(CauseKind.OPERATOR, "li", "police")


class ListedHours:
    """The whitelist's schedules; `broken`: they can't be read."""

    broken = False

    def schedules(self) -> Mapping[ScheduleId, Schedule]:
        if self.broken:
            raise WhitelistReadError("whitelist-7.db: disk I/O error")
        return {ALWAYS.id: ALWAYS, WORKDAYS.id: WORKDAYS}

    def calendars(self) -> Mapping[str, HolidayCalendar]:
        return {NATIONAL.id: NATIONAL}


class Box:
    """One door and a siren on one board, a journal on disk, and the linkages over them."""

    def __init__(self, journal: JournalStore, clock: ManualClock, *links: Linkage) -> None:
        self.journal, self.clock = journal, clock
        self.board, self.pictures, self.hours = FakeBoard(), NotedPictures(), ListedHours()
        self.signs = NotedSigns()
        self.recorder = Recorder(journal, clock, lambda _bad, _why: None)
        self.alarms = AlarmDesk(journal, self.recorder, clock)
        wiring = DoorWiring(self.board, 1, 1, 2, False, True)
        self.door = DoorTask(GATE, wiring, clock, self.recorder, self.alarms)
        doors = DoorTasks({GATE.id: self.door})
        self.doors = ModeDesk(
            doors, journal, self.recorder, clock, DoorHours(self.hours, clock, SHANGHAI)
        )
        self.siren = Output(self.board, 4, clock)
        around = Surroundings(
            journal, self.recorder, clock, SHANGHAI, self.hours, self.doors,
            {(BOARD, 4): self.siren}, self.alarms, self.pictures, self.signs,
            {"gate-in": "东门进"},
        )  # fmt: skip
        self.linkages = Linkages(links, around)

    def tasks(self) -> list[object]:
        parts = (
            self.recorder, self.alarms, self.door, self.doors, self.siren, self.linkages,
        )  # fmt: skip
        return [part.run() for part in parts]

    async def tell(self, event: Event, stamp: Stamp | None = None) -> int:
        return await self.journal.append(event, stamp)

    async def until(self, kind: type[Event], count: int = 1) -> list[Any]:
        """The events of a kind, once there are so many."""
        async with asyncio.timeout(10):
            while True:
                seen = self.journal.last_seq  # before the look: what comes after it wakes us
                if len(found := await self.of(kind)) >= count:
                    return found
                await self.journal.wait_beyond(seen)

    async def until_counted(self, skipped: int) -> None:
        """Until so many events set nothing off that no event has told of yet."""
        async with asyncio.timeout(10):
            while self.linkages._tallies["one"].skipped < skipped:
                await asyncio.sleep(0)

    async def of(self, kind: type[Event]) -> list[Any]:
        entries = await self.journal.entries_after(0, 10_000, kinds={kind.KIND})
        return [entry.event for entry in entries]


def link(when: str, *then: Action, id_: str = "one", **asked: Any) -> Linkage:
    return Linkage(id_, when, then, **asked)


@asynccontextmanager
async def box(path: Path, *links: Linkage, started: bool = True) -> AsyncIterator[Box]:
    clock = ManualClock()
    opened = await JournalStore.open(path / "journal.db", clock, secret=SECRET)
    async with opened.running() as journal:
        made = Box(journal, clock, *links)
        async with running(*made.tasks()):
            made.door.post(ControllerBack())
            made.door.post(ContactChanged(False))
            await made.board.until(1, False)
            await made.board.until(4, False)
            if started:
                await made.tell(STARTED)
            yield made


# ------------------------------------------------------------------------------ what is done


async def test_a_forced_door_sounds_the_siren_for_its_time_and_keeps_a_picture(
    tmp_path: Path,
) -> None:
    forced = link(
        "alarm.raised",
        SIREN,
        TakePicture(CameraId("cam-gate")),
        about=GATE.id,
        alarm=AlarmKind.DOOR_FORCED,
    )
    async with box(tmp_path, forced) as gate:
        gate.door.post(ContactChanged(True))
        [done] = await gate.until(LinkageDone)
        assert gate.board.relays[4]
        [fired] = await gate.of(LinkageFired)
        assert fired.then == (
            LinkedAction("relay", "board-1 relay 4"),
            LinkedAction("picture", "cam-gate"),
        )
        assert done.results == tuple(
            LinkedResult(action.do, action.target, ActionResult.DONE) for action in fired.then
        )
        [(for_seq, cameras, at)] = gate.pictures.requests
        entry = await gate.journal.entry(for_seq)
        assert entry is not None
        assert (fired.for_seq, entry.stamp, cameras) == (for_seq, at, ("cam-gate",))
        await gate.clock.advance(5)
        assert not gate.board.relays[4]


async def test_a_reader_shows_what_the_linkage_says(tmp_path: Path) -> None:
    sign = Sign(Light.BLUE, blinking=True, tone=Tone.LONG, text="SORRY")
    held = link("alarm.raised", ShowSign(AccessPointId("gate-in"), sign, 8), about=GATE.id)
    async with box(tmp_path, held) as gate:
        gate.door.post(ContactChanged(True))
        [done] = await gate.until(LinkageDone)
        assert done.results == (LinkedResult("reader", "gate-in", ActionResult.DONE),)
        assert gate.signs.told == [("gate-in", sign, 8)]


async def test_what_will_be_done_is_durable_before_the_door_moves(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", UnlockDoor(GATE.id, 3.0))) as gate:
        seq = await gate.tell(OFFLINE)
        await gate.board.until(1, True)
        [fired] = await gate.of(LinkageFired)
        assert fired.for_seq == seq
        [unlocked] = await gate.until(DoorUnlocked)
        assert (unlocked.cause, unlocked.unlock_s) == (Cause(CauseKind.LINKAGE, "one"), 3.0)


async def test_no_linkage_opens_a_door_that_its_mode_keeps_shut(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", UnlockDoor(GATE.id))) as gate:
        await gate.doors.set_mode(GATE.id, DoorMode.LOCKED_DOWN, GUARD)
        await gate.tell(OFFLINE)
        [done] = await gate.until(LinkageDone)
        [result] = done.results
        assert result == LinkedResult(
            "unlock", GATE.id, ActionResult.REFUSED, "another order governs the door"
        )
        assert (1, True) not in gate.board.orders
        assert await gate.of(DoorUnlocked) == []


async def test_a_mode_is_ordered_in_the_linkages_name_with_its_end(tmp_path: Path) -> None:
    ordered = link("device.offline", OrderMode(GATE.id, DoorMode.BLOCKED, 600))
    until: list[int | None] = []
    async with box(tmp_path, ordered, link("door.opened", SIREN, id_="two")) as gate:
        real = gate.doors.set_mode

        async def noted(*order: Any, until_ms: int | None = None) -> Any:
            until.append(until_ms)
            return await real(*order, until_ms=until_ms)

        with patch.object(gate.doors, "set_mode", noted):
            await gate.tell(OFFLINE)
            [done] = await gate.until(LinkageDone)
        assert done.results[0].target == "main-gate Blocked"
        assert until == [gate.clock.now().wall_ms + 600_000]
        [changed] = await gate.until(DoorModeChanged)
        assert changed.cause.kind is CauseKind.LINKAGE
        assert gate.doors.status(GATE.id).mode is DoorMode.BLOCKED


async def test_a_notice_waits_for_the_guard_and_names_the_thing(tmp_path: Path) -> None:
    told = link("device.offline", TellGuard("看看 {about}"), OrderMode(GATE.id, DoorMode.LOCKED))
    async with box(tmp_path, told) as gate:
        await gate.tell(OFFLINE)
        await gate.until(LinkageDone)
        [alarm] = gate.alarms.open_alarms()
        assert (alarm.kind, alarm.about, alarm.detail) == (
            AlarmKind.NOTICE,
            "one",
            "看看 东门进",
        )
        assert alarm.waiting
        assert not alarm.active


async def test_an_action_that_fails_is_journaled_and_the_next_is_done(tmp_path: Path) -> None:
    both = link("device.offline", SIREN, UnlockDoor(GATE.id), TakePicture(CameraId("cam")))
    async with box(tmp_path, both) as gate:
        gate.board.broken = "board-1: no reply"
        await gate.tell(OFFLINE)
        [done] = await gate.until(LinkageDone)
        assert [(r.result, r.detail) for r in done.results] == [
            (ActionResult.FAILED, "board-1: no reply"),
            (ActionResult.FAILED, "the controller did not confirm"),
            (ActionResult.DONE, ""),
        ]


async def test_an_action_without_end_is_given_up(tmp_path: Path) -> None:
    async def never(*_order: object, **_more: object) -> None:
        await asyncio.Event().wait()

    async with box(tmp_path, link("device.offline", UnlockDoor(GATE.id))) as gate:
        with (
            patch.object(module, "ACTION_TIMEOUT_S", 0.01),
            patch.object(gate.doors, "unlock", never),
        ):
            await gate.tell(OFFLINE)
            [done] = await gate.until(LinkageDone)
    assert done.results[0].detail == "no answer within 0.01 s"


# ---------------------------------------------------------------------------- what never fires


async def test_nothing_that_happened_before_the_start_fires(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", SIREN)) as gate:
        await gate.tell(OFFLINE)
        await gate.until(LinkageDone)
    async with box(tmp_path, link("device.offline", SIREN), started=False) as gate:
        await gate.tell(OFFLINE)  # left over: told after the restart, before our own start
        await gate.tell(STARTED)
        seq = await gate.tell(OFFLINE)
        fired = await gate.until(LinkageFired, 2)
        await gate.until(LinkageDone, 2)
    assert [event.for_seq for event in fired][1:] == [seq]


async def test_our_own_start_may_set_something_off(tmp_path: Path) -> None:
    async with box(tmp_path, link("system.started", TellGuard("restarted"))) as gate:
        await gate.until(LinkageDone)


async def test_what_is_told_too_late_sets_nothing_off_and_that_is_said(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", SIREN)) as gate:
        then = gate.clock.now()
        await gate.clock.advance(11)
        seq = await gate.tell(OFFLINE, then)
        [skipped] = await gate.until(LinkageSkipped)
        assert skipped == LinkageSkipped("one", seq, 1, "the event is more than 10 s old")
        other_boot = Stamp("boot-0", gate.clock.monotonic_ns(), then.wall_ms, True)
        await gate.tell(OFFLINE, other_boot)
        await gate.until_counted(1)
        await gate.clock.advance(61)
        await gate.tell(OFFLINE, other_boot)
        assert [one.count for one in await gate.until(LinkageSkipped, 2)] == [1, 2]
        assert await gate.of(LinkageFired) == []
        assert not gate.board.relays[4]


async def test_a_firing_that_is_on_disk_too_late_moves_nothing_and_says_why(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", SIREN, UnlockDoor(GATE.id))) as gate:
        real, held, goes_on = gate.journal.append, asyncio.Event(), asyncio.Event()

        async def hanging(event: Event, stamp: Stamp | None = None) -> int:
            if isinstance(event, LinkageFired):
                held.set()
                await goes_on.wait()
            return await real(event, stamp)

        with patch.object(gate.journal, "append", hanging):
            await gate.tell(OFFLINE)
            await asyncio.wait_for(held.wait(), 5)
            await gate.clock.advance(600)
            goes_on.set()
            [done] = await gate.until(LinkageDone)
        assert {(r.do, r.result) for r in done.results} == {
            ("relay", ActionResult.REFUSED),
            ("unlock", ActionResult.REFUSED),
        }
        assert {r.detail for r in done.results} == {"the event is more than 10 s old"}
        assert await gate.of(DoorUnlocked) == []
        assert not gate.board.relays[4]


async def test_a_door_is_not_opened_after_an_action_that_took_too_long(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", SIREN, UnlockDoor(GATE.id))) as gate:

        async def slow(_for_s: float) -> None:
            await gate.clock.advance(11)

        with patch.object(gate.siren, "switch", slow):
            await gate.tell(OFFLINE)
            [done] = await gate.until(LinkageDone)
        assert [(r.result, r.detail) for r in done.results] == [
            (ActionResult.DONE, ""),
            (ActionResult.REFUSED, "the event is more than 10 s old"),
        ]
        assert await gate.of(DoorUnlocked) == []


async def test_a_chattering_input_fires_sixty_times_a_minute_at_most(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", TakePicture(CameraId("cam")))) as gate:
        for _ in range(MAX_A_MINUTE + 5):
            await gate.tell(OFFLINE)
        [skipped] = await gate.until(LinkageSkipped)
        assert skipped.detail == "it has fired 60 times within a minute"
        await gate.until(LinkageDone, MAX_A_MINUTE)
        await gate.until_counted(4)
        await gate.clock.advance(61)
        await gate.tell(OFFLINE)
        await gate.until(LinkageDone, MAX_A_MINUTE + 1)
        assert len(await gate.of(LinkageFired)) == MAX_A_MINUTE + 1


async def test_what_cannot_be_journaled_is_not_done(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", SIREN)) as gate:
        real = gate.journal.append

        async def refusing(event: Event, stamp: Stamp | None = None) -> int:
            if isinstance(event, LinkageFired):
                raise JournalError("disk full")
            return await real(event, stamp)

        with patch.object(gate.journal, "append", refusing):
            await gate.tell(OFFLINE)
            async with asyncio.timeout(5):
                while gate.linkages._room.locked() or not gate.linkages._tallies["one"].fired_ns:
                    await asyncio.sleep(0)
            await gate.clock.advance(1)
        assert not gate.board.relays[4]


async def test_a_journal_that_cannot_be_read_is_asked_again(tmp_path: Path) -> None:
    async with box(tmp_path, link("device.offline", SIREN)) as gate:
        real, refused = gate.journal.entries_after, asyncio.Event()

        async def refusing(*asked: Any, **more: Any) -> list[JournalEntry]:
            if not refused.is_set():
                refused.set()
                raise JournalError("disk I/O error")
            return await real(*asked, **more)

        with patch.object(gate.journal, "entries_after", refusing):
            await gate.tell(OFFLINE)
            await refused.wait()
            await gate.clock.advance(1)
            await gate.until(LinkageDone)


async def test_without_a_list_only_what_asks_for_no_hour_fires(tmp_path: Path) -> None:
    night = link("device.offline", SIREN, id_="night", schedule_id=ALWAYS.id)
    any_time = link("device.offline", TakePicture(CameraId("cam")), id_="any")
    async with box(tmp_path, night, any_time) as gate:
        gate.hours.broken = True
        await gate.tell(OFFLINE)
        [done] = await gate.until(LinkageDone)
        assert done.linkage_id == "any"
        gate.hours.broken = False
        await gate.tell(OFFLINE)
        assert {one.linkage_id for one in await gate.until(LinkageDone, 3)} == {"any", "night"}


async def test_the_mode_of_a_door_may_be_asked_for(tmp_path: Path) -> None:
    asked = link("device.offline", SIREN, if_mode=(GATE.id, DoorMode.BLOCKED))
    async with box(tmp_path, asked, link("device.offline", UnlockDoor(GATE.id), id_="two")) as gate:
        await gate.tell(OFFLINE)
        assert [one.linkage_id for one in await gate.until(LinkageDone)] == ["two"]
        await gate.doors.set_mode(GATE.id, DoorMode.BLOCKED, GUARD)
        await gate.tell(OFFLINE)
        done = await gate.until(LinkageDone, 3)
        assert sorted(one.linkage_id for one in done) == ["one", "two", "two"]


async def test_firings_under_way_are_bounded(tmp_path: Path) -> None:
    go_on, under_way = asyncio.Event(), 0

    async def slow(door_id: DoorId, *_order: object) -> Any:
        nonlocal under_way
        under_way += 1
        await go_on.wait()
        return Outcome.UNLOCKED

    async with box(tmp_path, link("device.offline", UnlockDoor(GATE.id))) as gate:
        with patch.object(gate.doors, "unlock", slow):
            for _ in range(module.MAX_RUNNING + 4):
                await gate.tell(OFFLINE)
            async with asyncio.timeout(5):
                while under_way < module.MAX_RUNNING:
                    await asyncio.sleep(0)
            await gate.tell(STARTED)
            assert under_way == module.MAX_RUNNING
            go_on.set()
            await gate.until(LinkageDone, module.MAX_RUNNING + 4)
