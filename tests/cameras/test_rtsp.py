"""The RTSP driver against the simulated camera: real sockets, real H.264, real time."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import os
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import av
import av.error
import pytest
from pydantic import ValidationError

from drivers.cameras import rtsp
from drivers.cameras.rtsp import DRIVER, RtspCamera, RtspOptions, _stream_info
from gatewayd.cameras.pictures import PictureDesk
from gatewayd.cameras.station import CameraStation
from gatewayd.clock import SystemClock
from gatewayd.domain.events import PictureMissed, PictureStored
from gatewayd.domain.model import CameraId
from gatewayd.domain.ports import DeviceError, DriverContext, DriverKind, StreamInfo, VideoPacket
from gatewayd.store.media import PictureFiles
from gatewayd.supervisor import supervise
from simulators.camera import CameraOptions, SimulatedCamera
from simulators.control import obey
from tests.cameras.test_pictures import Record
from tests.cameras.video import encode, encode_with_ffmpeg, number_in

T_S = 20.0
CLOCK = SystemClock()


class Seen:
    """A VideoSink that a test can wait on."""

    def __init__(self, on_packet: Callable[[VideoPacket], None] = lambda _packet: None) -> None:
        self.infos: list[StreamInfo] = []
        self.packets: list[VideoPacket] = []
        self.threads: set[str] = set()
        self._on_packet = on_packet
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def opened(self, info: StreamInfo) -> None:
        self.infos.append(info)

    def packet(self, packet: VideoPacket) -> None:
        self.threads.add(threading.current_thread().name)
        self.packets.append(packet)
        self._on_packet(packet)
        self._loop.call_soon_threadsafe(self._more.set)

    async def have(self, count: int) -> None:
        async with asyncio.timeout(T_S):
            while len(self.packets) < count:
                self._more.clear()
                await self._more.wait()


async def order(camera: SimulatedCamera, **request: Any) -> dict[str, Any]:
    return await obey(camera.controls(), json.dumps(request).encode())


def driver(url: str, camera_id: str = "gate", **options: Any) -> RtspCamera:
    made = DRIVER.build(
        DRIVER.options.model_validate({"url": url, **options}), DriverContext(camera_id, CLOCK)
    )
    assert isinstance(made, RtspCamera)
    return made


@asynccontextmanager
async def task_of(camera: RtspCamera, sink: Seen) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.get_running_loop().create_task(camera.run(sink), name="camera")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def failure(camera: RtspCamera, sink: Seen | None = None) -> str:
    with pytest.raises(DeviceError) as caught:
        async with asyncio.timeout(T_S):
            await camera.run(sink or Seen())
    return str(caught.value)


async def all_gone(camera: SimulatedCamera) -> None:
    """The camera's side of the sockets, which is in this process too, is closed."""
    async with asyncio.timeout(T_S):
        for _ in itertools.count():
            if not (await order(camera, do="status"))["clients"]:
                return
            await asyncio.sleep(0)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no Path object opens itself here


# ------------------------------------------------------------------------------- the stream


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_packets_come_in_order_from_one_thread_with_the_moment_of_arrival(
    transport: str,
) -> None:
    async with SimulatedCamera(CameraOptions(fps=25)) as camera:
        seen = Seen()
        async with task_of(driver(camera.url, transport=transport), seen):
            await seen.have(30)
    [info] = seen.infos
    assert (info.codec, info.width, info.height) == ("h264", 640, 360)
    assert info.extradata.startswith(b"\x00\x00\x00\x01")
    assert seen.threads == {"camera gate_0"}
    arrivals = [packet.arrival_ns for packet in seen.packets]
    assert arrivals == sorted(arrivals)
    assert any(packet.keyframe for packet in seen.packets)
    assert any(packet.pts_ms is not None for packet in seen.packets)


async def test_the_first_picture_comes_at_once_and_not_after_ffmpeg_has_probed() -> None:
    async with SimulatedCamera(CameraOptions(fps=25)) as camera:
        seen = Seen()
        asked_ns = CLOCK.monotonic_ns()
        async with task_of(driver(camera.url), seen):
            await seen.have(25)
    assert seen.packets[0].keyframe
    assert seen.packets[0].arrival_ns - asked_ns < 1e9  # probing takes two seconds


async def test_a_camera_without_parameter_sets_in_its_description_is_understood() -> None:
    async with SimulatedCamera(CameraOptions(fps=25)) as camera:
        camera.server._sets = (b"", b"")  # what an odd camera tells
        seen = Seen()
        async with task_of(driver(camera.url), seen):
            await seen.have(3)
    assert (seen.infos[0].width, seen.infos[0].height) == (640, 360)


async def test_a_stream_without_a_usable_keyframe_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtsp, "T_KEYFRAME_S", 0.2)
    monkeypatch.setattr(rtsp, "_stream_info", lambda *_args: None)
    seen = Seen()
    async with SimulatedCamera(CameraOptions(fps=25)) as camera:
        text = await failure(driver(camera.url), seen)
    assert "no keyframe with its parameter sets within 0.2 s" in text
    assert (seen.infos, seen.packets) == ([], [])


@dataclass(frozen=True)
class Described:
    """FFmpeg's context of a stream whose description tells only the codec."""

    name: str = "h264"
    width: int = 0
    height: int = 0
    extradata: bytes | None = None


def test_the_size_is_read_from_the_first_keyframe_where_the_description_lacks_it(
    tmp_path: Path,
) -> None:
    _, packets = encode(2)
    assert _stream_info(Described(), packets[1].data) is None  # needs what came before
    assert _stream_info(Described(), b"\x00\x00\x01\x65noise") is None
    assert _stream_info(Described(), packets[0].data) == StreamInfo("h264", 320, 180, b"")
    info, packets = encode_with_ffmpeg(tmp_path, 2, "-c:v", "libx264")
    assert info.extradata
    assert _stream_info(Described(extradata=info.extradata), packets[0].data) == info


async def test_a_bug_in_the_sink_is_not_hidden() -> None:
    def fail(_packet: VideoPacket) -> None:
        raise ZeroDivisionError

    async with SimulatedCamera() as camera:
        with pytest.raises(ZeroDivisionError):
            await driver(camera.url).run(Seen(fail))


# -------------------------------------------------------------------------------- the failures


async def test_a_stall_is_noticed_in_its_time_and_named() -> None:
    async with SimulatedCamera(CameraOptions(fps=25)) as camera:
        seen = Seen()
        async with task_of(driver(camera.url, stall_s=0.7), seen) as task:
            await seen.have(10)
            await order(camera, do="stall")
            async with asyncio.timeout(T_S):
                await asyncio.wait([task])
            silent_ns = CLOCK.monotonic_ns() - seen.packets[-1].arrival_ns
            error = task.exception()
    assert isinstance(error, DeviceError)
    assert "camera gate" in str(error)
    assert "no picture for 0.7 s" in str(error)
    assert 0.5e9 < silent_ns < 2e9


async def test_a_camera_that_dies_ends_the_stream_at_once_and_one_that_is_off_refuses() -> None:
    async with SimulatedCamera(CameraOptions(fps=25)) as camera:
        seen = Seen()
        async with task_of(driver(camera.url), seen) as task:
            await seen.have(5)
            died_ns = time.monotonic_ns()
            await order(camera, do="die")
            async with asyncio.timeout(T_S):
                await asyncio.wait([task])
        assert time.monotonic_ns() - died_ns < 2e9
        assert "can't read: " in str(task.exception())
        text = await failure(driver(camera.url))
        assert "can't connect" in text
        assert "check its address, port and power" in text


async def test_a_camera_that_refuses_the_session_is_said_to() -> None:
    async with SimulatedCamera() as camera:
        await order(camera, do="refuse", how="session")
        text = await failure(driver(camera.url))
    assert "can't open" in text
    assert "too many viewers" in text


async def test_a_path_that_the_camera_does_not_have_is_named() -> None:
    async with SimulatedCamera() as camera:
        text = await failure(driver(camera.url + "/nowhere"))
    assert "no such path" in text


async def test_a_stream_of_another_medium_has_no_video() -> None:
    name = "\xb4\xf3\xc3\xc5"  # in GBK, as cameras write it
    sdp = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns={name}\r\nt=0 0\r\n"
    sdp += "m=audio 0 RTP/AVP 0\r\na=control:sound\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                cseq = head.partition("CSeq: ")[2].partition("\r\n")[0]
                body = sdp.encode("latin-1") if head.startswith("DESCRIBE") else b""
                more = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
                reply = f"RTSP/1.0 200 OK\r\nCSeq: {cseq}\r\nSession: 1\r\n{more}\r\n"
                writer.write(reply.encode() + body)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async with listening(answer) as port:
        text = await failure(driver(f"rtsp://127.0.0.1:{port}/x"))
    assert "the stream has no video that FFmpeg knows" in text


@pytest.mark.parametrize(
    ("streams", "complaint"),
    [
        ([SimpleNamespace(codec_context=None)], "no video that FFmpeg knows"),
        ([SimpleNamespace(codec_context=Described())], "can't read: Input/output error"),
    ],
)
def test_what_ffmpeg_cannot_go_on_with_is_told(
    streams: list[SimpleNamespace], complaint: str
) -> None:
    def demux(_stream: SimpleNamespace) -> NoReturn:
        raise av.error.OSError(errno.EIO, "Input/output error", "rtsp://u:hunter2@host/x")

    container: Any = SimpleNamespace(streams=SimpleNamespace(video=streams), demux=demux)
    told = driver("rtsp://host/x")._deliver(container, Sunk(), threading.Event())
    assert complaint in str(told)
    assert "hunter2" not in str(told)


class Sunk:
    """A VideoSink that nothing may reach."""

    def opened(self, info: StreamInfo) -> None:
        raise AssertionError(info)

    def packet(self, packet: VideoPacket) -> None:
        raise AssertionError(packet)


async def test_a_cancellation_is_heard_while_the_camera_does_not_answer() -> None:
    asked = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            asked.set()
        await reader.read()
        writer.close()

    async with (
        listening(silent) as port,
        task_of(driver(f"rtsp://127.0.0.1:{port}/x"), Seen()) as task,
        asyncio.timeout(T_S),
    ):
        await asked.wait()
        asked_ns = time.monotonic_ns()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert time.monotonic_ns() - asked_ns < 1e9


async def test_a_server_that_accepts_and_never_answers_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtsp, "T_OPEN_S", 0.5)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with listening(silent) as port:
        text = await failure(driver(f"rtsp://127.0.0.1:{port}/x"))
    assert "no answer within 0.5 s" in text


async def test_an_address_that_swallows_everything_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtsp, "T_OPEN_S", 0.05)

    async def never(*_args: object, **_named: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "open_connection", never)
    text = await failure(driver("rtsp://127.0.0.1:9/x"))
    assert "can't connect: no answer within 0.05 s" in text


@asynccontextmanager
async def listening(
    answer: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> AsyncIterator[int]:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


# ---------------------------------------------------------------------------------- the log-in


def secret(folder: Path, text: bytes, mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_bytes(text)
    path.chmod(mode)
    return path


async def test_the_right_password_opens_whatever_characters_it_has(tmp_path: Path) -> None:
    password = "p@ss:/w%rd #中"
    async with SimulatedCamera(CameraOptions(user="guard", password=password)) as camera:
        path = secret(tmp_path, (password + "\n").encode())
        seen = Seen()
        async with task_of(driver(camera.url, username="guard", password_file=str(path)), seen):
            await seen.have(2)


async def test_a_wrong_password_is_told_without_the_password(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(user="guard", password="right")) as camera:
        path = secret(tmp_path, b"wr0ng-secret")
        gate = driver(camera.url, username="guard", password_file=str(path))
        with pytest.raises(DeviceError) as caught:
            await gate.run(Seen())
        text = await failure(driver(camera.url))
    for told in (str(caught.value), text):
        assert "camera gate" in told
        assert "refused the log-in" in told
        assert "check username and password_file" in told
    error: BaseException | None = caught.value
    while error is not None:  # nor in what a traceback would print
        assert "wr0ng-secret" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        (b"pw", 0o604, "everybody can read it; run: chmod 600"),
        (b"\xff\xfe", 0o600, "not UTF-8"),
        (b"x" * 513, 0o600, "more than 512 bytes"),
    ],
)
async def test_a_bad_password_file_is_refused(
    tmp_path: Path, text: bytes, mode: int, complaint: str
) -> None:
    path = secret(tmp_path, text, mode)
    async with SimulatedCamera() as camera:
        told = await failure(driver(camera.url, username="guard", password_file=str(path)))
        assert complaint in told
        path.unlink()
        told = await failure(driver(camera.url, username="guard", password_file=str(path)))
        assert "No such file" in told


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"url": "http://host/x"}, "not an RTSP address"),
        ({"url": "rtsp://"}, "not an RTSP address"),
        ({"url": "rtsp://host/a b"}, "not an RTSP address"),
        ({"url": "rtsp://host:99999/x"}, "no address"),
        ({"url": "rtsp://u:hunter2@host/x"}, "use username and password_file"),
        ({"url": "rtsp://host/x", "username": "a:b"}, "a user name has no ':'"),
        ({"url": "rtsp://host/x", "password_file": "/x"}, "password_file without username"),
        ({"url": "rtsp://host/x", "transport": "http"}, "'tcp' or 'udp'"),
        ({"url": "rtsp://host/x", "stall_s": "5"}, "valid number"),
        ({"url": "rtsp://host/x", "speed": 1}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_told_without_secrets(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RtspOptions.model_validate(options)
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_page_names_every_setting_with_its_default() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "drivers" / "rtsp.md"
    rows = [line.split("|") for line in page.read_text("utf-8").splitlines() if line[:3] == "| `"]
    told = {row[1].strip(" `"): row[2].strip(" `") for row in rows}
    known = {
        name: "required" if info.is_required() else json.dumps(info.default)
        for name, info in RtspOptions.model_fields.items()
    }
    assert told == {name: "none" if value == "null" else value for name, value in known.items()}


def test_the_driver_is_announced_and_shares_its_camera() -> None:
    options = RtspOptions(url="rtsp://host/x")
    assert (DRIVER.kind, DRIVER.name) == (DriverKind.CAMERA, "rtsp")
    assert DRIVER.port_of(options) is None


# ----------------------------------------------------------------------------------- the end


@pytest.mark.parametrize(
    ("transport", "silent"), [("tcp", False), ("tcp", True), ("udp", False), ("udp", True)]
)
async def test_a_cancellation_ends_the_thread_and_leaks_nothing(
    transport: str, silent: bool
) -> None:
    async with SimulatedCamera(CameraOptions(fps=25)) as camera:
        before = open_files()
        for _ in range(2):
            seen = Seen()
            watch = driver(camera.url, stall_s=30.0, transport=transport)
            async with task_of(watch, seen) as task:
                await seen.have(3)
                if silent:
                    await order(camera, do="stall")
                asked_ns = time.monotonic_ns()
                task.cancel()
                async with asyncio.timeout(T_S):
                    await asyncio.wait([task])
                assert task.cancelled()
                assert time.monotonic_ns() - asked_ns < 1e9
            count = len(seen.packets)
            for thread in threading.enumerate():
                if thread.name in seen.threads:
                    thread.join(1)
                    assert not thread.is_alive()
            assert len(seen.packets) == count
            await order(camera, do="clear")
        await all_gone(camera)
        assert open_files() <= before + 1


# --------------------------------------------------------------------- with the rest of the room


class LoudStation(CameraStation):
    """A station whose packets a test can await."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._loop = asyncio.get_running_loop()
        self._more = asyncio.Event()

    def arrived(self, arrival_ns: int) -> None:
        super().arrived(arrival_ns)
        self._loop.call_soon_threadsafe(self._more.set)

    async def beyond(self, moment_ns: int) -> None:
        """Pictures that arrived after that moment are in the ring."""
        async with asyncio.timeout(T_S):
            while (self.last_packet_ns or 0) < moment_ns:
                self._more.clear()
                await self._more.wait()


class Watch:
    """A station under supervision, with its desk of pictures."""

    def __init__(self, folder: Path, **drivers: RtspCamera) -> None:
        self.drivers = drivers
        self.online: asyncio.Queue[str] = asyncio.Queue()
        self.failures: asyncio.Queue[str] = asyncio.Queue()
        self.record = Record()
        self.stations = {
            CameraId(name): LoudStation(CameraId(name), 10, self.online.put_nowait)
            for name in drivers
        }
        self.desk = PictureDesk(self.stations, PictureFiles(folder, 10_000_000), self.record)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tg:
            tasks = [tg.create_task(self.desk.run(), name="pictures")]
            tasks += [tg.create_task(self._supervise(name), name=name) for name in self.drivers]
            yield
            for task in tasks:
                task.cancel()

    async def _supervise(self, name: str) -> None:
        station = self.stations[CameraId(name)]
        watch = self.drivers[name]
        await supervise(name, lambda: station.watch(watch), CLOCK, self.failures.put_nowait)


async def test_the_picture_of_a_tap_shows_the_tap_s_own_moment(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(fps=15)) as camera:
        watch = Watch(tmp_path, gate=driver(camera.url))
        async with watch.running():
            for seq in range(1, 6):
                await watch.stations[CameraId("gate")].beyond(CLOCK.monotonic_ns() + 300_000_000)
                newest, at = camera.last_unit, CLOCK.now()
                watch.desk.request(seq, [CameraId("gate")], at)
                stored = (await watch.record.have(seq))[-1]
                assert isinstance(stored, PictureStored)
                shown = number_in((tmp_path / stored.name).read_bytes())
                assert shown is not None
                assert 0 <= newest.number - shown <= 2  # never after the tap, two frames at most
                assert 0 <= stored.age_ms <= 2 * 67


async def test_a_camera_that_comes_back_gives_pictures_again(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(fps=15)) as camera:
        watch = Watch(tmp_path, gate=driver(camera.url))
        async with watch.running(), asyncio.timeout(T_S):
            assert await watch.online.get() == "h264 640x360"
            await order(camera, do="die")
            assert "can't read" in await watch.failures.get()
            assert "can't connect" in await watch.failures.get()
            await order(camera, do="revive")
            assert await watch.online.get() == "h264 640x360"
            at = CLOCK.now()
            watch.desk.request(1, [CameraId("gate")], at)
            [stored] = await watch.record.have(1)
    assert isinstance(stored, PictureStored)


async def test_of_two_cameras_the_dead_one_delays_nothing(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(fps=15)) as camera, listening(_mute) as port:
        dead = driver(f"rtsp://127.0.0.1:{port}/x", "yard")
        watch = Watch(tmp_path, yard=dead, gate=driver(camera.url))
        async with watch.running(), asyncio.timeout(T_S):
            await watch.online.get()
            asked_ns = time.monotonic_ns()
            watch.desk.request(1, [CameraId("yard"), CameraId("gate")], CLOCK.now())
            missed, stored = await watch.record.have(2)
            took_ns = time.monotonic_ns() - asked_ns
            await order(camera, do="clear")
    assert isinstance(missed, PictureMissed)
    assert isinstance(stored, PictureStored)
    assert (missed.camera_id, stored.camera_id) == ("yard", "gate")
    assert took_ns < 1e9


async def _mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()
