"""The simulated camera as ffmpeg, ffprobe and PyAV see it, and its faults."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from simulators import camera as camera_module
from simulators.barcode import Picture, read_barcode
from simulators.camera import CameraOptions, SimulatedCamera
from simulators.control import obey
from tests.simulators.rtsp_client import RtspClient

T_S = 20.0
UNPROBED = {"rtsp_transport": "tcp", "analyzeduration": "0", "fpsprobesize": "0"}


async def order(camera: SimulatedCamera, **request: Any) -> dict[str, Any]:
    return await obey(camera.controls(), json.dumps(request).encode())


async def tool(name: str, *args: str) -> tuple[int, bytes, str]:
    """Run one of FFmpeg's programs: exit status, output, messages."""
    process = await asyncio.create_subprocess_exec(
        f"/usr/bin/{name}",
        "-hide_banner",
        "-loglevel",
        "warning",
        *("-analyzeduration", "0", "-fpsprobesize", "0"),  # the description says it all
        *args,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(T_S):
            out, messages = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, out, messages.decode()


def pictures(url: str) -> Iterator[Picture]:
    """Decoded pictures from a new connection, through PyAV."""
    with av.open(url, options=UNPROBED, timeout=5) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="bgr24").astype(np.uint8)


async def newest_pictures(camera: SimulatedCamera, at_least: int) -> list[Picture]:
    """The pictures of one new connection, from its first up to a frame number or past it."""

    def collect() -> list[Picture]:
        taken = []
        for picture in pictures(camera.url):
            taken.append(picture)
            if (read_barcode(picture) or 0) >= at_least:
                break
        return taken

    async with asyncio.timeout(T_S):
        return await asyncio.to_thread(collect)


def load(path: str) -> Picture:
    picture = cv2.imread(path)
    assert picture is not None
    return picture.astype(np.uint8)


def whole(numbers: list[int | None]) -> list[int]:
    """All frames' numbers; fails where a picture told none."""
    assert None not in numbers
    return [number for number in numbers if number is not None]


def gray(picture: Picture) -> Picture:
    """Without the overlay."""
    return cv2.cvtColor(picture[picture.shape[0] * 2 // 15 + 2 :], cv2.COLOR_BGR2GRAY).astype(
        np.uint8
    )


# ---------------------------------------------------------------------------- independent peers


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_decodes_the_stream_without_a_complaint(
    transport: str, tmp_path: Path
) -> None:
    options = CameraOptions(fps=25, user="guard", password="pw")
    async with SimulatedCamera(options) as camera:
        url = camera.url.replace("rtsp://", "rtsp://guard:pw@")
        target = tmp_path / "%03d.png"
        status, _, messages = await tool(
            "ffmpeg",
            *("-rtsp_transport", transport, "-i", url),
            *("-frames:v", "30", "-fps_mode", "passthrough", str(target)),
        )
    assert (status, messages) == (0, "")
    numbers = [read_barcode(load(f"{tmp_path}/{i:03}.png")) for i in range(1, 31)]
    assert all(a < b for a, b in itertools.pairwise(whole(numbers)))  # a busy machine skips


async def test_ffprobe_is_told_all_by_the_description() -> None:
    async with SimulatedCamera(CameraOptions(width=1280, height=720)) as camera:
        status, out, messages = await tool(
            "ffprobe", "-rtsp_transport", "tcp", "-show_streams", "-of", "json", camera.url
        )
    assert (status, messages) == (0, "")
    [stream] = json.loads(out)["streams"]
    assert (stream["codec_name"], stream["width"], stream["height"]) == ("h264", 1280, 720)
    assert (stream["has_b_frames"], stream["profile"]) == (0, "Constrained Baseline")
    assert stream["r_frame_rate"] == "15/1"


async def test_a_client_starts_with_the_gop_under_way_and_reads_frame_after_frame() -> None:
    async with SimulatedCamera() as camera:
        first = await camera.wait_for_picture(time.monotonic_ns())
        taken = await newest_pictures(camera, first.number + 10)
    numbers = whole([read_barcode(picture) for picture in taken])
    assert numbers[0] == 0  # the camera's first keyframe: less than a GOP has gone by
    assert all(a < b for a, b in itertools.pairwise(numbers))


async def test_several_clients_get_the_same_pictures() -> None:
    async with SimulatedCamera() as camera:
        one, other = await asyncio.gather(newest_pictures(camera, 20), newest_pictures(camera, 20))
    ones = {read_barcode(p): p for p in one}
    others = {read_barcode(p): p for p in other}
    common = ones.keys() & others.keys()
    assert len(common) > 10
    assert all(np.array_equal(ones[n], others[n]) for n in common)


async def test_keyframes_come_every_two_seconds() -> None:
    async with SimulatedCamera(CameraOptions(mode="loop", loop_s=4, fps=10)) as camera:

        def first_packets() -> list[tuple[bool, float]]:
            with av.open(camera.url, options=UNPROBED, timeout=5) as container:
                packets = itertools.islice(container.demux(video=0), 21)
                return [(p.is_keyframe, float((p.pts or 0) * (p.time_base or 0))) for p in packets]

        async with asyncio.timeout(T_S):
            packets = await asyncio.to_thread(first_packets)
    assert [keyframe for keyframe, _ in packets] == [True, *[False] * 19, True]
    assert packets[20][1] - packets[0][1] > 1.99  # more where a busy machine left ticks out


async def test_a_loop_is_served_under_all_its_paths_and_starts_again() -> None:
    options = CameraOptions(mode="loop", loop_s=2, fps=10, paths=3, path="yard/")
    async with SimulatedCamera(options) as camera:
        assert [url.partition("/yard")[2] for url in camera.urls] == ["", "/1", "/2", "/3"]

        def numbers(url: str) -> list[int | None]:
            return [read_barcode(p) for p in itertools.islice(pictures(url), 24)]

        async with asyncio.timeout(T_S):
            results = await asyncio.gather(*(asyncio.to_thread(numbers, u) for u in camera.urls))
    for taken in results:
        assert taken[:4] == [0, 1, 2, 3]
        assert taken[19:22] == [19, 0, 1]


# --------------------------------------------------------------------------------------- faults


async def test_the_frame_order_names_the_picture_that_clients_get() -> None:
    async with SimulatedCamera() as camera:
        asked_ns = time.monotonic_ns()
        frame = await order(camera, do="frame", after_ns=asked_ns)
        assert asked_ns < frame["produced_ns"] < time.monotonic_ns()
        taken = await newest_pictures(camera, frame["number"])
    assert frame["number"] in [read_barcode(picture) for picture in taken]


async def test_picture_faults_reach_the_clients_and_are_cleared() -> None:
    async with SimulatedCamera(CameraOptions(fps=30)) as camera:
        frozen = await order(camera, do="freeze")
        taken = await newest_pictures(camera, frozen["after_frame"] + 20)
        assert np.abs(gray(taken[-1]).astype(int) - gray(taken[-10]).astype(int)).mean() < 1
        await order(camera, do="clear")
        black = await order(camera, do="black")
        taken = await newest_pictures(camera, black["after_frame"] + 6)
        assert gray(taken[-1]).mean() < 12
        status = await order(camera, do="status")
        assert (status["black"], status["frozen"], status["overlay"]) == (True, False, True)
        await order(camera, do="clear")
        await order(camera, do="shift", dx=0.2, dy=-0.1)
        blurred = await order(camera, do="blur", amount=10)
        assert (await order(camera, do="qr", text="pass"))["ok"]
        status = await order(camera, do="status")
        assert (status["shift"], status["blur"], status["qr"]) == ([0.2, -0.1], 10, "pass")
        cleared = await order(camera, do="clear")
        taken = await newest_pictures(camera, blurred["after_frame"] + 12)
        assert cleared["ok"]
        assert cv2.Laplacian(gray(taken[-1]), cv2.CV_64F).var() > 100


async def test_a_loop_has_no_picture_faults() -> None:
    async with SimulatedCamera(CameraOptions(mode="loop", loop_s=2, fps=5)) as camera:
        for do in ("freeze", "qr"):
            assert "--mode live" in (await order(camera, do=do))["error"]


async def test_a_stalled_camera_talks_and_sends_no_picture_until_cleared() -> None:
    async with SimulatedCamera(CameraOptions(fps=30)) as camera:  # noqa: SIM117  # needs its port
        async with RtspClient(camera.server.port) as client:
            await client.play()
            assert (await order(camera, do="stall"))["clients"] == 1
            await client.ask("OPTIONS")  # what was under way before it has now been read
            client.packets.clear()
            stalled_ns = (await camera.wait_for_picture(time.monotonic_ns())).produced_ns
            await camera.wait_for_picture(stalled_ns + 200_000_000)
            async with RtspClient(camera.server.port) as late:
                await late.play()
                assert (await late.ask("OPTIONS")).status == 200
                assert late.packets == []
            assert (await client.ask("OPTIONS")).status == 200
            assert client.packets == []
            await order(camera, do="clear")
            _, data = await client.next_packet()
            assert data[12] & 0x1F == 7  # an SPS: it goes on with a keyframe


async def test_a_dead_camera_drops_its_clients_and_refuses_until_revived() -> None:
    async with SimulatedCamera() as camera:
        async with RtspClient(camera.server.port) as client:
            await client.play()
            assert (await order(camera, do="die"))["clients"] == 1
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(client.reader.readexactly(1 << 30), T_S)
        with pytest.raises(ConnectionRefusedError):
            await RtspClient(camera.server.port).__aenter__()
        assert (await order(camera, do="status"))["listening"] is False
        revived = await order(camera, do="revive")
        assert revived["url"] == camera.url
        assert (await tool("ffprobe", "-rtsp_transport", "tcp", camera.url))[0] == 0


async def test_a_camera_that_cannot_have_its_port_back_says_so() -> None:
    async with SimulatedCamera() as camera:
        await order(camera, do="die")
        with socket.create_server(("127.0.0.1", camera.server.port)):
            assert "free the port" in (await order(camera, do="revive"))["error"]


async def test_a_refusing_camera_keeps_the_clients_it_has() -> None:
    async with SimulatedCamera() as camera, RtspClient(camera.server.port) as client:
        await client.play()
        await order(camera, do="refuse")
        assert "454" in (await tool("ffprobe", "-rtsp_transport", "tcp", camera.url))[2]
        await order(camera, do="refuse", how="connection")
        with pytest.raises(ConnectionRefusedError):
            await RtspClient(camera.server.port).__aenter__()
        assert (await client.ask("OPTIONS")).status == 200
        assert camera.server.clients == 1
        await order(camera, do="clear")
        assert (await tool("ffprobe", "-rtsp_transport", "tcp", camera.url))[0] == 0


# ------------------------------------------------------------------------------- command line


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(exit_on_error=False)
    camera_module.add_arguments(parser)
    return parser.parse_args(words)


def test_the_options_have_the_documented_defaults() -> None:
    args = parse()
    assert (args.port, args.size, args.fps, args.mode) == (8554, (640, 360), 15, "live")
    assert parse("--size", "1280x720").size == (1280, 720)


@pytest.mark.parametrize(
    "words",
    [("--size", "641x360"), ("--size", "big"), ("--size", "2x2"), ("--fps", "0"), ("--port", "x")],
)
def test_a_wrong_option_is_told_what_to_write(words: tuple[str, str]) -> None:
    with pytest.raises(argparse.ArgumentError, match=r"640x360|even numbers|whole number"):
        parse(*words)


def test_the_password_stays_out_of_the_repr() -> None:
    assert "secret" not in repr(CameraOptions(user="guard", password="secret"))
