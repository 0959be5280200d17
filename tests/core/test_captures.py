"""Captures by the running daemon: bounded in time and size, private, one at a time."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gatewayd.captures import MAX_BYTES, MAX_FILES, CaptureDesk
from gatewayd.domain.model import DeviceId
from gatewayd.domain.ports import BusEvent, CaptureRefusal, CaptureRefusedError, CaptureState
from tests.clock import ManualClock
from tests.fakes import running

LINE, PLAIN = DeviceId("gate-line"), DeviceId("plain-line")


class FakeBus:
    """Implements ports.Capturable: says what it is told to."""

    def __init__(self) -> None:
        self.take: Callable[[str], None] | None = None

    async def run(self, emit: Callable[[BusEvent], None]) -> None:
        """Nothing happens on its line."""

    def capture(self, take: Callable[[str], None] | None) -> None:
        self.take = take

    def says(self, text: str) -> None:
        if self.take is not None:
            self.take(text)


class Box:
    def __init__(self, folder: Path) -> None:
        self.clock, self.bus = ManualClock(), FakeBus()
        self.folder = folder / "captures"
        self.desk = CaptureDesk({LINE: self.bus, PLAIN: None}, self.folder, self.clock)

    async def until_over(self) -> str:
        while (state := self.desk.state) is None or state.over is None:
            await self.clock.advance(0)
        return state.over


def written(state: CaptureState) -> str:
    return Path(state.file).read_text()


def modes(state: CaptureState) -> list[int]:
    path = Path(state.file)
    return [stat.S_IMODE(each.stat().st_mode) for each in (path, path.parent)]


@asynccontextmanager
async def box(folder: Path) -> AsyncIterator[Box]:
    here = Box(folder)
    async with running(here.desk.run()):
        yield here


async def test_what_a_bus_says_is_written_until_the_time_is_over(tmp_path: Path) -> None:
    async with box(tmp_path) as here:
        assert [here.desk.state] == [None]
        state = await here.desk.start(LINE, 60, 1000)
        assert state.until_ms == here.clock.now().wall_ms + 60_000
        here.bus.says("one\n")
        await here.clock.advance(1)
        here.bus.says("two\n")
        assert here.desk.state is not None
        assert (here.desk.state.size, here.desk.state.over) == (8, None)
        await here.clock.advance(60)
        assert await here.until_over() == "its time was over"
        here.bus.says("three\n")
        assert written(state) == "one\ntwo\n"
        assert modes(state) == [0o600, 0o700]
        assert here.bus.take is None


async def test_no_capture_is_larger_than_was_said(tmp_path: Path) -> None:
    async with box(tmp_path) as here:
        state = await here.desk.start(LINE, 60, 10)
        for _ in range(5):
            here.bus.says("1234\n")
        assert await here.until_over() == "its size was reached"
        assert written(state) == "1234\n" * 2


async def test_a_capture_is_stopped_and_another_begins(tmp_path: Path) -> None:
    async with box(tmp_path) as here:
        assert not here.desk.stop()
        await here.desk.start(LINE, 60, 1000)
        with pytest.raises(CaptureRefusedError) as refused:
            await here.desk.start(LINE, 60, 1000)
        assert refused.value.refusal is CaptureRefusal.RUNS
        assert here.desk.stop()
        assert not here.desk.stop()
        assert await here.until_over() == "it was stopped"
        with pytest.raises(FileExistsError):  # in the same second
            await here.desk.start(LINE, 60, 1000)
        await here.clock.advance(1)
        await here.desk.start(LINE, 60, 1000)


async def test_what_can_not_be_captured_is_refused(tmp_path: Path) -> None:
    async with box(tmp_path) as here:
        for bus in (PLAIN, DeviceId("none")):
            with pytest.raises(CaptureRefusedError) as refused:
                await here.desk.start(bus, 60, 1000)
            assert refused.value.refusal is CaptureRefusal.NO_BUS
        for for_s, size in ((0, 1), (3601, 1), (1, 0), (1, MAX_BYTES + 1)):
            with pytest.raises(ValueError, match="at most"):
                await here.desk.start(LINE, for_s, size)
        here.folder.mkdir()
        for number in range(MAX_FILES):
            (here.folder / f"{number}.osdpcap").touch()
        with pytest.raises(CaptureRefusedError) as refused:
            await here.desk.start(LINE, 60, 1000)
        assert refused.value.refusal is CaptureRefusal.FULL
        assert here.bus.take is None


async def test_a_disk_that_fails_ends_the_capture_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gatewayd.captures._append", full)
    async with box(tmp_path) as here:
        await here.desk.start(LINE, 60, 1000)
        here.bus.says("one\n")
        await here.clock.advance(1)
        assert "No space left" in await here.until_over()


async def test_the_end_of_the_box_ends_the_capture(tmp_path: Path) -> None:
    here = Box(tmp_path)
    async with running(here.desk.run()):
        await here.desk.start(LINE, 60, 1000)
        await here.clock.advance(0)
    assert here.desk.state is not None
    assert here.desk.state.over == "the box ends"
    assert here.bus.take is None
