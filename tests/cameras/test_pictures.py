"""The desk of pictures: one event for each request, and nothing waits for a bad camera or disk."""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gatewayd.cameras.pictures import MAX_WAITING, PictureDesk
from gatewayd.cameras.ring import Cut
from gatewayd.cameras.snapshot import Snapshot, take_snapshot
from gatewayd.cameras.station import CameraStation
from gatewayd.domain.events import Event, PictureMissed, PictureStored
from gatewayd.domain.model import CameraId, Stamp
from gatewayd.store.media import PictureFiles
from tests.cameras.video import FRAME_NS, arrival, encode, number_in

T_S = 20.0
GATE, YARD, DEAD = CameraId("gate"), CameraId("yard"), CameraId("dead")
WALL_MS = 1_795_392_000_000

video = functools.cache(lambda: encode(40, gop=25))


class Record:
    """What was journaled, and a way to wait for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._more = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._more.set()

    async def have(self, count: int) -> list[Event]:
        async with asyncio.timeout(T_S):
            while len(self.events) < count:
                self._more.clear()
                await self._more.wait()
        return self.events


def at(index: int) -> Stamp:
    """The moment just before packet `index` + 1 arrives."""
    return Stamp("boot-1", arrival(index) + FRAME_NS - 1, WALL_MS, wall_trusted=True)


def station(camera_id: CameraId, frames: int = 40) -> CameraStation:
    """A station whose ring holds that many frames; 0 is a camera that never connected."""
    made = CameraStation(camera_id, ring_s=60)
    info, packets = video()
    if frames:
        made.ring.opened(info)
    for packet in packets[:frames]:
        made.ring.packet(packet)
    return made


def desk_of(
    folder: Path,
    record: Callable[[Event], None],
    protected: Callable[[], set[int]] = set,
    picture_timeout_s: float = T_S,
    finish_timeout_s: float = T_S,
    budget: int = 1_000_000,
) -> PictureDesk:
    stations = {GATE: station(GATE), YARD: station(YARD), DEAD: station(DEAD, frames=0)}
    files = PictureFiles(folder, budget)
    return PictureDesk(stations, files, record, protected, picture_timeout_s, finish_timeout_s)


def kept_in(folder: Path) -> list[int]:
    """The events whose pictures are on disk."""
    return sorted(int(path.name[:10]) for path in folder.rglob("*.jpg"))


@asynccontextmanager
async def running(desk: PictureDesk) -> AsyncIterator[asyncio.Task[None]]:
    async with asyncio.TaskGroup() as tg:
        task = tg.create_task(desk.run(), name="pictures")
        yield task
        task.cancel()


class Gate:
    """Holds a function up in its thread until opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)

        def held(cut: Cut) -> Snapshot:
            self.entered.release()
            assert self.open.wait(T_S)
            return take_snapshot(cut)

        monkeypatch.setattr("gatewayd.cameras.pictures.take_snapshot", held)

    async def wait_until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=T_S)


async def test_a_request_ends_in_a_file_and_an_event_that_name_each_other(tmp_path: Path) -> None:
    record = Record()
    desk = desk_of(tmp_path, record)
    async with running(desk):
        desk.request(12, [GATE, YARD], at(30))
        first, second = await record.have(2)
    assert isinstance(first, PictureStored)
    assert isinstance(second, PictureStored)
    assert {first.camera_id, second.camera_id} == {GATE, YARD}
    assert (first.for_seq, first.age_ms) == (12, 39)
    data = (tmp_path / first.name).read_bytes()
    assert (len(data), number_in(data)) == (first.size, 30)


async def test_the_moment_is_cut_at_the_request_however_late_it_is_made(tmp_path: Path) -> None:
    record = Record()
    desk = desk_of(tmp_path, record)
    desk.request(1, [GATE], at(10))
    for packet in video()[1]:  # a stream that starts anew pushes the old packets out
        desk._stations[GATE].ring.opened(video()[0])
        desk._stations[GATE].ring.packet(packet)
    async with running(desk):
        [stored] = await record.have(1)
    assert isinstance(stored, PictureStored)
    assert number_in((tmp_path / stored.name).read_bytes()) == 10


async def test_a_dead_camera_is_missed_at_once_and_delays_no_other(tmp_path: Path) -> None:
    record = Record()
    desk = desk_of(tmp_path, record)
    desk.request(1, [DEAD, GATE], at(5))
    [missed] = record.events
    assert missed == PictureMissed(
        1, DEAD, "the camera has not been connected since the gateway started"
    )
    async with running(desk):
        _, stored = await record.have(2)
    assert isinstance(stored, PictureStored)


async def test_an_unknown_camera_is_missed_with_the_reason(tmp_path: Path) -> None:
    record = Record()
    desk_of(tmp_path, record).request(1, [CameraId("attic")], at(5))
    assert record.events == [
        PictureMissed(1, CameraId("attic"), "the settings have no camera of that id")
    ]


async def test_a_flood_of_requests_is_capped_and_the_rest_said_to_be_missed(
    tmp_path: Path,
) -> None:
    record = Record()
    desk = desk_of(tmp_path, record)
    for seq in range(1, MAX_WAITING + 4):
        desk.request(seq, [GATE], at(2))
    assert desk.waiting == MAX_WAITING
    assert [e.detail for e in record.events if isinstance(e, PictureMissed)] == [
        f"{MAX_WAITING} pictures were already waiting"
    ] * 3
    async with running(desk):
        events = await record.have(MAX_WAITING + 3)
    assert sum(isinstance(e, PictureStored) for e in events) == MAX_WAITING
    assert len({e.for_seq for e in events if isinstance(e, PictureStored | PictureMissed)}) == (
        MAX_WAITING + 3
    )


async def test_a_full_disk_is_a_missed_picture_and_the_next_one_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    record = Record()
    desk = desk_of(tmp_path, record)
    async with running(desk):
        with monkeypatch.context() as no_room:
            no_room.setattr("os.fsync", full)
            desk.request(1, [GATE], at(5))
            [missed] = await record.have(1)
        desk.request(2, [GATE], at(5))
        _, stored = await record.have(2)
    assert isinstance(missed, PictureMissed)
    assert "No space left on device; free some disk space" in missed.detail
    assert "could not be kept" in caplog.text
    assert isinstance(stored, PictureStored)


async def test_pictures_of_open_alarms_outlive_the_budget(tmp_path: Path) -> None:
    record = Record()
    desk = desk_of(tmp_path, record, protected=lambda: {1}, budget=11_000)
    async with running(desk):
        for seq in range(1, 7):
            desk.request(seq, [GATE], at(5))
            await record.have(seq)
    kept = kept_in(tmp_path)
    assert kept[0] == 1
    assert kept[1] > 2
    assert kept[-1] == 6


async def test_a_stream_that_cannot_be_decoded_is_missed(tmp_path: Path) -> None:
    record = Record()
    desk = desk_of(tmp_path, record)
    info, packets = video()
    ring = desk._stations[GATE].ring
    ring.opened(info)
    ring.packet(type(packets[0])(arrival(0), None, True, b"\x00\x00\x01noise"))
    async with running(desk):
        desk.request(1, [GATE], at(1))
        [missed] = await record.have(1)
    assert isinstance(missed, PictureMissed)
    assert "could be decoded" in missed.detail


async def test_a_stop_finishes_what_was_begun_and_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record()
    desk = desk_of(tmp_path, record)
    gate = Gate(monkeypatch)
    async with running(desk) as task:
        for seq in (1, 2, 3, 4):
            desk.request(seq, [GATE], at(5))
        await gate.wait_until_entered()
        await gate.wait_until_entered()
        task.cancel()
        gate.open.set()
    assert sorted(e.for_seq for e in record.events if isinstance(e, PictureStored)) == [1, 2, 3, 4]
    desk.request(5, [GATE], at(5))
    assert record.events[-1] == PictureMissed(5, GATE, "the gateway was stopping")


async def test_a_stop_waits_no_longer_than_its_bound_and_says_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record()
    desk = desk_of(tmp_path, record, finish_timeout_s=0.01)
    gate = Gate(monkeypatch)
    async with running(desk) as task:
        for seq in (1, 2, 3):
            desk.request(seq, [GATE], at(5))
        await gate.wait_until_entered()
        await gate.wait_until_entered()
        task.cancel()
        events = await record.have(3)
    assert {e.detail for e in events if isinstance(e, PictureMissed)} == {
        "the gateway was stopping"
    }
    gate.open.set()
    await no_picture_threads()
    assert kept_in(tmp_path) == []  # no file that no event names


async def test_a_picture_that_takes_too_long_is_missed_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record()
    desk = desk_of(tmp_path, record, picture_timeout_s=0.05)
    gate = Gate(monkeypatch)
    async with running(desk):
        desk.request(1, [GATE], at(5))
        [missed] = await record.have(1)
        assert missed == PictureMissed(1, GATE, "not kept within 0.05 s: disk too slow")
        gate.open.set()
    await no_picture_threads()
    assert kept_in(tmp_path) == []


async def test_what_was_given_up_may_fail_later_without_a_stir(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    record = Record()
    desk = desk_of(tmp_path, record, picture_timeout_s=0.05)
    gate = Gate(monkeypatch)
    async with running(desk):
        desk.request(1, [GATE], at(5))
        await record.have(1)
        (tmp_path / "2026-11-23").write_text("a file where the folder would be")
        gate.open.set()
    await no_picture_threads()
    assert "given up before failed too" in caplog.text


async def no_picture_threads() -> None:
    """The desk's worker threads have ended."""
    for thread in threading.enumerate():
        if thread.name.startswith("picture"):
            await asyncio.to_thread(thread.join, T_S)
            assert not thread.is_alive()
    await asyncio.sleep(0)


async def test_a_station_tells_of_each_connection_once_and_of_each_packet_when() -> None:
    online: list[str] = []
    gate = CameraStation(GATE, 4, online.append)
    info, packets = video()
    for _ in range(2):
        sink = gate.sink(asyncio.get_running_loop())
        sink.opened(info)
        await asyncio.sleep(0)
        assert online.count("h264 320x180") == len(online)
        for packet in packets[:3]:
            sink.packet(packet)
        await asyncio.sleep(0)
    assert online == ["h264 320x180"] * 2
    assert gate.last_packet_ns == arrival(2)
    assert len(gate.ring.packets()) == 3
