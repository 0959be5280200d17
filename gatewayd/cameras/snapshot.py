"""From compressed packets to one JPEG. Owns decoding and scaling; must not choose the moment.

Works in whatever thread calls it: FFmpeg and OpenCV release the interpreter's lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import av
import av.error
import cv2
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext

from gatewayd.cameras.ring import Cut, NoPicture
from gatewayd.domain.ports import StreamInfo

MAX_WIDTH = 1280  # a face at the gate is plain at this size, and the file stays near 100 kB
JPEG_QUALITY = 85


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A JPEG, its size in pixels, and when its packet arrived (monotonic ns)."""

    jpeg: bytes = field(repr=False)
    width: int
    height: int
    arrival_ns: int


def take_snapshot(cut: Cut) -> Snapshot:
    """The newest picture in the cut as a JPEG at most MAX_WIDTH wide.

    Raises NoPicture where nothing in it can be decoded.
    """
    newest = None
    for newest in _decoded(cut):  # noqa: B007  # only the last in display order is wanted
        pass
    if newest is None or newest.pts is None:
        raise NoPicture(f"none of {len(cut.packets)} packets of {cut.info.codec} could be decoded")
    width = min(newest.width, MAX_WIDTH)
    height = max(round(newest.height * width / newest.width), 1)
    picture = newest.to_ndarray(format="bgr24", width=width, height=height)
    done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise NoPicture(f"OpenCV made no JPEG of a picture of {width}x{height}")
    return Snapshot(jpeg.tobytes(), width, height, cut.packets[newest.pts].arrival_ns)


def _decoded(cut: Cut) -> Iterator[av.VideoFrame]:
    """The pictures in display order; `pts` is the index of the packet that each came from."""
    decoder = open_decoder(cut.info)
    for index, packet in enumerate(cut.packets):
        wire = av.Packet(packet.data)
        wire.pts = wire.dts = index
        try:
            yield from decoder.decode(wire)
        except av.error.InvalidDataError:
            continue  # lost on the way (UDP): the decoder picks up again where it can
    yield from decoder.decode(None)


def open_decoder(info: StreamInfo) -> VideoCodecContext:
    """A decoder for the stream, on one thread: the other core belongs to the doors.

    Raises NoPicture for a codec that this FFmpeg can't decode.
    """
    try:
        decoder = CodecContext.create(info.codec, "r")
    except (ValueError, av.error.FFmpegError):
        raise NoPicture(
            f"video in {info.codec!r} can't be decoded here; set the camera to H.264"
        ) from None
    if not isinstance(decoder, VideoCodecContext):
        raise NoPicture(f"{info.codec!r} is no video; give the address of the camera's video")
    decoder.thread_count = 1
    if info.extradata:
        decoder.extradata = info.extradata
    return decoder
