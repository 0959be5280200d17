"""The RTSP driver against the simulated camera: real sockets, real H.264, real time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.cameras import rtsp
from drivers.cameras.rtsp import _stream_info
from gatewayd.domain.ports import StreamInfo, VideoPacket
from simulators.camera import CameraOptions, SimulatedCamera
from tests.cameras.video import encode, encode_with_ffmpeg
from tests.cameras.wire import (
    CLOCK,
    Seen,
    driver,
    failure,
    task_of,
)


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
