"""A frame's number as black and white blocks in the picture, and back. Owns the code; no drawing
of anything else, no files.

One row of 36 cells across the whole width, in the top 1/15 of the height, all in fractions of the
picture, so that it survives scaling: black white black | 24 bits, highest first | CRC-8 | white.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

BITS = 24  # 16,777,216 frames: seven days at 25 a second
CRC_BITS = 8
_START = (0, 1, 0)
_END = (1,)
CELLS = len(_START) + BITS + CRC_BITS + len(_END)
HEIGHT_FRACTION = 1 / 15
_BLACK, _WHITE = 16, 235  # video range: x264 and JPEG keep these apart from clipping
_LEAST_CONTRAST = 80  # below this the marks are no marks: a black or blurred picture


def crc8(data: bytes) -> int:
    """CRC-8, polynomial 0x07, initial value 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ 0x107 if crc & 0x80 else crc << 1
    return crc


def cells_of(number: int) -> tuple[int, ...]:
    """The row of cells (1 is white) for a number; it wraps at 2**24."""
    data = (number % (1 << BITS)).to_bytes(BITS // 8, "big")
    value = int.from_bytes(data + bytes([crc8(data)]), "big")
    length = BITS + CRC_BITS
    return (*_START, *(value >> (length - 1 - i) & 1 for i in range(length)), *_END)


def draw_barcode(picture: Picture, number: int) -> None:
    """Write the number into the top of a BGR or gray picture, in place."""
    height, width = picture.shape[:2]
    row = np.array([[_WHITE if cell else _BLACK for cell in cells_of(number)]], dtype=np.uint8)
    bar_height = round(height * HEIGHT_FRACTION)
    bar = cv2.resize(row, (width, bar_height), interpolation=cv2.INTER_NEAREST)
    picture[:bar_height] = bar if picture.ndim == 2 else bar[:, :, np.newaxis]


def read_barcode(image_bgr_or_gray: Picture) -> int | None:
    """The frame's number, or None where the picture carries none that can be trusted.

    Works on any scale down to about 150 pixels wide, as long as the whole frame is in the picture.
    """
    if image_bgr_or_gray.ndim == 3:
        gray = cv2.cvtColor(image_bgr_or_gray, cv2.COLOR_BGR2GRAY)
    else:
        gray = image_bgr_or_gray
    height, width = gray.shape
    bar_height = height * HEIGHT_FRACTION
    if width < 3 * CELLS or bar_height < 3:
        return None
    rows = gray[round(bar_height * 0.3) : max(round(bar_height * 0.7), 1)]
    cell = width / CELLS
    levels = [
        float(rows[:, round((i + 0.25) * cell) : round((i + 0.75) * cell)].mean())
        for i in range(CELLS)
    ]
    return _decode(levels)


def _decode(levels: list[float]) -> int | None:
    black, white = (levels[0] + levels[2]) / 2, (levels[1] + levels[-1]) / 2
    if white - black < _LEAST_CONTRAST:
        return None
    bits = [int(level > (black + white) / 2) for level in levels]
    if tuple(bits[:3]) != _START or bits[-1] != _END[0]:
        return None
    value = int("".join(map(str, bits[len(_START) : -len(_END)])), 2)
    data = (value >> CRC_BITS).to_bytes(BITS // 8, "big")
    return int.from_bytes(data, "big") if crc8(data) == value & 0xFF else None
