"""The picture of a moment: decoded from real H.264, its number read from the picture itself."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from gatewayd.cameras.ring import Cut, NoPicture, PacketRing
from gatewayd.cameras.snapshot import take_snapshot
from gatewayd.domain.ports import StreamInfo, VideoPacket
from tests.cameras.video import FRAME_NS, arrival, encode, encode_with_ffmpeg, number_in

camera_like = functools.cache(lambda: encode(60, gop=25))


def ring_with(info: StreamInfo, packets: list[VideoPacket]) -> PacketRing:
    ring = PacketRing(keep_s=60)
    ring.opened(info)
    for packet in packets:
        ring.packet(packet)
    return ring


@pytest.mark.parametrize("number", [0, 1, 24, 25, 26, 40, 59])
def test_the_picture_is_the_newest_that_had_arrived_at_the_moment(number: int) -> None:
    ring = ring_with(*camera_like())
    snapshot = take_snapshot(ring.cut(arrival(number) + FRAME_NS - 1))
    assert number_in(snapshot.jpeg) == number
    assert snapshot.arrival_ns == arrival(number)
    assert (snapshot.width, snapshot.height) == (320, 180)


def test_a_picture_that_arrives_just_after_the_moment_is_not_taken() -> None:
    ring = ring_with(*camera_like())
    assert number_in(take_snapshot(ring.cut(arrival(33) - 1)).jpeg) == 32


def test_parameter_sets_in_the_stream_alone_are_enough() -> None:
    info, packets = camera_like()
    bare = StreamInfo(info.codec, 0, 0, b"")
    assert number_in(take_snapshot(ring_with(bare, packets).cut(arrival(30))).jpeg) == 30


def test_a_large_picture_is_scaled_to_1280_wide_and_stays_in_shape() -> None:
    info, packets = encode(3, width=1920, height=1080)
    snapshot = take_snapshot(Cut(info, tuple(packets)))
    assert (snapshot.width, snapshot.height) == (1280, 720)
    assert number_in(snapshot.jpeg) == 2


def test_hevc_is_decoded_too() -> None:
    info, packets = encode(8, codec="libx265")
    assert info.codec == "hevc"
    assert number_in(take_snapshot(Cut(info, tuple(packets))).jpeg) == 7


def test_b_frames_and_a_long_group_give_the_newest_picture_of_what_had_arrived(
    tmp_path: Path,
) -> None:
    args = ("-c:v", "libx264", "-preset", "fast", "-bf", "3", "-g", "250", "-sc_threshold", "0")
    info, packets = encode_with_ffmpeg(tmp_path, 120, *args)
    assert sum(p.keyframe for p in packets) == 1
    shown = [round((p.pts_ms or 0) / 40) for p in packets]
    assert shown != sorted(shown)  # there are B-frames: pictures come in another order
    ring = ring_with(info, packets)
    for index in (0, 3, 50, 51, 52, 53, 119):
        snapshot = take_snapshot(ring.cut(arrival(index)))
        newest = max(shown[: index + 1])
        assert number_in(snapshot.jpeg) == newest
        assert snapshot.arrival_ns == arrival(shown.index(newest))


def test_a_damaged_packet_costs_its_own_picture_only() -> None:
    info, packets = camera_like()
    damaged = [*packets[25:29], VideoPacket(arrival(29), None, False, b"\x00\x00\x01\x41\xff")]
    snapshot = take_snapshot(Cut(info, tuple(damaged)))
    assert number_in(snapshot.jpeg) == 28
    assert snapshot.arrival_ns == arrival(28)


def test_noise_instead_of_video_is_no_picture_with_its_reason() -> None:
    info, _ = camera_like()
    noise = VideoPacket(arrival(0), None, True, bytes(range(256)) * 4)
    with pytest.raises(NoPicture, match="none of 1 packets of h264 could be decoded"):
        take_snapshot(Cut(info, (noise,)))


@pytest.mark.parametrize(
    ("codec", "reason"), [("h267", "set the camera to H.264"), ("aac", "is no video")]
)
def test_a_codec_that_cannot_be_shown_is_named(codec: str, reason: str) -> None:
    _, packets = camera_like()
    with pytest.raises(NoPicture, match=reason):
        take_snapshot(Cut(StreamInfo(codec, 0, 0, b""), tuple(packets[:1])))


def test_a_jpeg_that_opencv_cannot_make_is_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    info, packets = camera_like()
    monkeypatch.setattr("cv2.imencode", lambda *_args: (False, None))
    with pytest.raises(NoPicture, match="no JPEG"):
        take_snapshot(Cut(info, tuple(packets[:1])))
