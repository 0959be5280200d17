"""Install windows: one at a time, ten minutes at most, journaled when opened and when over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from gatewayd.domain.events import Cause, CauseKind, InstallClosed, InstallOpened, InstallOutcome
from gatewayd.domain.model import AccessPointId, DeviceId, DoorMode
from gatewayd.domain.ports import (
    DeviceError,
    DoorStatus,
    InstallRefusal,
    InstallRefusedError,
    JournalEntry,
    JournalError,
)
from gatewayd.domain.signs import MOMENTS_S, SIGNS, Indication
from gatewayd.feedback import FeedbackDesk, SignPost
from gatewayd.installs import InstallDesk
from gatewayd.recorder import Recorder
from tests.clock import ManualClock
from tests.domain.world import GATE
from tests.fakes import FakeSignedReader, MemoryJournal, running

READER, BOARD, OLD = DeviceId("lobby-in"), DeviceId("board-1"), DeviceId("tag-reader")
CHEN = Cause(CauseKind.OPERATOR, "chen", "new reader")


class FakePairable:
    """Implements ports.Pairable: says what it is told to, once it is let."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.asked: list[bool] = []
        self.given_up = False

    async def pair(self, *, new_device: bool) -> str:
        self.asked.append(new_device)
        try:
            return await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.given_up = True
            raise


class ReadJournal(MemoryJournal):
    async def entries_before(
        self, seq: int | None, limit: int, *, kinds: Collection[str] | None = None
    ) -> list[JournalEntry]:
        assert seq is None
        assert kinds is not None
        found = [JournalEntry(s, t, e) for s, e, t in self.entries if e.KIND in kinds]
        return list(reversed(found))[:limit]


class Site:
    def __init__(self, journal: ReadJournal | None = None) -> None:
        self.clock = ManualClock()
        self.journal = journal or ReadJournal(self.clock)
        self.recorder = Recorder(self.journal, self.clock, lambda _failing, _why: None)
        self.device, self.lights = FakePairable(), FakeSignedReader()
        posts = {AccessPointId(READER): SignPost(self.lights, GATE.id, SIGNS, MOMENTS_S)}
        status = DoorStatus(GATE.id, "secure", DoorMode.LOCKED, False, False, True, False)
        self.desk = InstallDesk(
            {READER: self.device, BOARD: self.device, OLD: None},
            self.journal,
            self.recorder,
            FeedbackDesk(posts, lambda _door: status),
            self.clock,
        )

    @property
    def events(self) -> list[object]:
        kinds = (InstallOpened, InstallClosed)
        return [event for event in self.journal.events if isinstance(event, kinds)]

    @property
    def shown(self) -> list[Indication]:
        return [kind for sign in self.lights.resting for kind, own in SIGNS.items() if own == sign]

    async def opened(self, device: DeviceId = READER, for_s: float = 300) -> None:
        await self.desk.open(device, for_s, CHEN, new_device=False)
        await self.clock.advance(0)


@asynccontextmanager
async def site(journal: ReadJournal | None = None) -> AsyncIterator[Site]:
    here = Site(journal)
    async with running(here.recorder.run(), here.desk.run()):
        yield here


async def test_a_window_is_journaled_shown_and_over_with_the_key() -> None:
    async with site() as here:
        assert [here.desk.window] == [None]
        until_ms = here.clock.now().wall_ms + 300_000
        await here.opened()
        assert here.events == [InstallOpened(READER, until_ms, False, CHEN)]
        assert here.shown == [Indication.INSTALL]
        window = here.desk.window
        assert window is not None
        assert window.outcome is None
        here.device.answer.set_result("it has it")
        await here.clock.advance(0)
        assert here.events[1:] == [InstallClosed(READER, InstallOutcome.PAIRED, "it has it")]
        assert here.shown == [Indication.INSTALL, Indication.IDLE]
        assert here.desk.window == replace(
            window, outcome=InstallOutcome.PAIRED, detail="it has it"
        )
        assert here.device.asked == [False]


async def test_a_device_that_refuses_ends_the_window_and_another_may_be_opened() -> None:
    async with site() as here:
        await here.opened()
        here.device.answer.set_exception(DeviceError("it refuses"))
        await here.clock.advance(0)
        assert here.events[-1] == InstallClosed(READER, InstallOutcome.FAILED, "it refuses")
        here.device.answer = asyncio.get_running_loop().create_future()
        here.device.answer.set_result("now")
        await here.opened(BOARD)
        assert here.events[-1] == InstallClosed(BOARD, InstallOutcome.PAIRED, "now")


async def test_the_window_ends_with_its_time() -> None:
    async with site() as here:
        await here.opened(for_s=600)
        await here.clock.advance(599)
        assert len(here.events) == 1
        await here.clock.advance(1)
        assert isinstance(here.events[-1], InstallClosed)
        assert here.events[-1].outcome is InstallOutcome.TIME_UP
        assert here.device.given_up


async def test_an_operator_closes_it() -> None:
    async with site() as here:
        assert not here.desk.close()
        await here.opened()
        assert here.desk.close()
        await here.clock.advance(0)
        assert isinstance(here.events[-1], InstallClosed)
        assert here.events[-1].outcome is InstallOutcome.WITHDRAWN
        assert here.device.given_up


async def test_what_can_not_be_opened_is_refused_and_leaves_no_trace() -> None:
    async with site() as here:
        for device, why in (
            (DeviceId("none"), InstallRefusal.NO_DEVICE),
            (OLD, InstallRefusal.NO_KEY),
        ):
            with pytest.raises(InstallRefusedError) as refused:
                await here.opened(device)
            assert refused.value.refusal is why
        for for_s in (0, -1, 600.1):
            with pytest.raises(ValueError, match="at most 600 s"):
                await here.opened(for_s=for_s)
        assert here.events == []
        await here.opened()
        with pytest.raises(InstallRefusedError) as refused:
            await here.opened(BOARD)
        assert refused.value.refusal is InstallRefusal.OPEN
        assert len(here.events) == 1


async def test_a_window_that_can_not_be_journaled_is_not_opened() -> None:
    async with site() as here:
        here.journal.refuse = "disk full"
        with pytest.raises(JournalError):
            await here.opened()
        assert here.desk.window is None
        here.journal.refuse = None
        await here.opened()
        assert here.device.asked == [False]


async def test_the_end_of_the_box_is_the_end_of_the_window() -> None:
    async with running():
        here = Site()
        async with running(here.recorder.run()):
            async with running(here.desk.run()):
                await here.opened()
            await here.recorder.flushed()
        assert here.events[-1] == InstallClosed(READER, InstallOutcome.INTERRUPTED, "the box ends")


async def test_a_window_from_before_a_power_cut_is_over_at_the_start() -> None:
    async with site() as here:
        await here.opened()
        journal = here.journal
        cut = list(journal.entries)
    journal.entries[:] = cut
    async with site(journal) as here:
        await here.desk.restore()
        await here.recorder.flushed()
        last = here.events[-1]
        assert isinstance(last, InstallClosed)
        assert (last.device_id, last.outcome) == (READER, InstallOutcome.INTERRUPTED)
        count = len(here.events)
        await here.desk.restore()
        await here.recorder.flushed()
        assert len(here.events) == count
