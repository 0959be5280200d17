"""Pictures to H.264 with PyAV's libx264, one access unit per picture. Owns the encoder and its
settings; must not pace or send.
"""

from __future__ import annotations

from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

from simulators.barcode import Picture
from simulators.rtp import (
    CLOCK_HZ,
    NAL_IDR,
    NAL_PPS,
    NAL_SPS,
    AccessUnit,
    nal_type,
    payloads_of_picture,
    split_nals,
)


class Encoder:
    """No B-frames, no look-ahead: a picture goes in, its bytes come out at once.

    Each keyframe carries its parameter sets in band. One thread at a time may use it.
    """

    def __init__(self, width: int, height: int, fps: int, gop: int) -> None:
        self._fps = fps
        self._context = av.CodecContext.create("libx264", "w")
        self._context.width, self._context.height = width, height
        self._context.pix_fmt = "yuv420p"
        self._context.time_base = Fraction(1, fps)
        self._context.framerate = Fraction(fps)
        self._context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "26",
            # one thread: sliced threads cost more than they bring on two cores
            "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:threads=1",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the pictures still inside up; the encoder is unusable after."""
        if self._context.is_open:
            self._context.encode(None)

    def encode(self, picture: Picture, number: int, produced_ns: int) -> AccessUnit:
        """Compress a BGR picture; `number` is its place in time (frames may be left out)."""
        planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        data = b"".join(bytes(packet) for packet in self._context.encode(frame))
        keyframe = any(nal_type(nal) == NAL_IDR for nal in split_nals(data))
        ticks = number * CLOCK_HZ // self._fps
        return AccessUnit(number, produced_ns, ticks, keyframe, payloads_of_picture(data))


def parameter_sets(unit: AccessUnit) -> tuple[bytes, bytes]:
    """SPS and PPS of a keyframe. Raises ValueError where it carries none."""
    small = {nal_type(p): p for p in unit.payloads if nal_type(p) in {NAL_SPS, NAL_PPS}}
    if len(small) != 2:
        raise ValueError(f"frame {unit.number} carries no parameter sets: is it a keyframe?")
    return small[NAL_SPS], small[NAL_PPS]
