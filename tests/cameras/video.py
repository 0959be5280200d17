"""Video for tests, made here: each frame carries its number as a barcode (simulators.barcode)."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext

from gatewayd.domain.ports import StreamInfo, VideoPacket
from simulators.barcode import Picture, draw_barcode, read_barcode

FPS = 25
FRAME_NS = 1_000_000_000 // FPS
START_NS = 5_000_000_000  # the arrival of the first packet


def frame(number: int, width: int = 320, height: int = 180) -> Picture:
    """A moving square, so that frames differ, with the number on top."""
    picture: Picture = np.full((height, width, 3), 90, dtype=np.uint8)
    x = number * 7 % (width - 40)
    picture[height // 2 : height // 2 + 40, x : x + 40] = (40, 160, 220)
    draw_barcode(picture, number)
    return picture


def encode(
    count: int, gop: int = FPS, width: int = 320, height: int = 180, codec: str = "libx264"
) -> tuple[StreamInfo, list[VideoPacket]]:
    """Frames as a camera sends them: no B-frames, Annex B; packet i arrives at `arrival(i)`."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
    params = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:log-level=error"
    private = codec.removeprefix("lib") + "-params"
    context.options = {"preset": "ultrafast", "tune": "zerolatency", private: params}
    made = []
    for number in range(count):
        picture = av.VideoFrame.from_ndarray(frame(number, width, height), format="bgr24")
        picture = picture.reformat(format="yuv420p")
        picture.pts = number
        made += context.encode(picture)
    made += context.encode(None)
    packets = [
        VideoPacket(arrival(i), i * 1000 // FPS, packet.is_keyframe, bytes(packet))
        for i, packet in enumerate(made)
    ]
    name = "hevc" if codec == "libx265" else "h264"
    return StreamInfo(name, width, height, bytes(context.extradata or b"")), packets


def encode_with_ffmpeg(
    folder: Path, count: int, *args: str
) -> tuple[StreamInfo, list[VideoPacket]]:
    """Frames through Debian's ffmpeg into MP4: other start codes, avcC parameter sets."""
    target = folder / "video.mp4"
    raw = b"".join(frame(number).tobytes() for number in range(count))
    source = ("-f", "rawvideo", "-pix_fmt", "bgr24", "-s", "320x180", "-r", str(FPS), "-i", "-")
    subprocess.run(
        ["/usr/bin/ffmpeg", "-loglevel", "error", *source, "-pix_fmt", "yuv420p", *args, target],
        input=raw,
        check=True,
        timeout=30,
    )
    with av.open(str(target)) as container:
        video = container.streams.video[0]
        context = video.codec_context
        info = StreamInfo("h264", context.width, context.height, bytes(context.extradata or b""))
        base = video.time_base or Fraction(1)
        packets = [
            VideoPacket(arrival(i), round((p.pts or 0) * base * 1000), p.is_keyframe, bytes(p))
            for i, p in enumerate(p for p in container.demux(video) if p.size)
        ]
    return info, packets


def arrival(index: int) -> int:
    return START_NS + index * FRAME_NS


def number_in(jpeg: bytes) -> int | None:
    """The frame number that a JPEG shows."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return read_barcode(picture.astype(np.uint8))
