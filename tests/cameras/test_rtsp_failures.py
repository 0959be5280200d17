"""The RTSP driver when the camera fails, and at the end: errors told, nothing left open."""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from types import SimpleNamespace
from typing import Any, NoReturn

import av
import av.error
import pytest

from drivers.cameras import rtsp
from gatewayd.domain.ports import DeviceError, StreamInfo, VideoPacket
from simulators.camera import CameraOptions, SimulatedCamera
from tests.cameras.wire import (
    CLOCK,
    T_S,
    Seen,
    all_gone,
    driver,
    failure,
    listening,
    open_files,
    order,
    task_of,
)


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


KNOWN_VIDEO = SimpleNamespace(codec_context=SimpleNamespace(name="h264"))
UNKNOWN_VIDEO = SimpleNamespace(codec_context=None)


@pytest.mark.parametrize(
    ("streams", "complaint"),
    [
        ([UNKNOWN_VIDEO], "no video that FFmpeg knows"),
        (
            [SimpleNamespace(codec_context=SimpleNamespace(name="h264"))],
            "can't read: Input/output error",
        ),
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
