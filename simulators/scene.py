"""The view of the simulated camera: a gate with a barrier, a car and a passer-by, a clock, a
barcode. Owns drawing; a picture is a function of the frame number, its time and the faults.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from simulators.barcode import HEIGHT_FRACTION, Picture, draw_barcode

OVERLAY_FRACTION = 2 * HEIGHT_FRACTION  # the top of the picture that barcode and clock cover
MARGIN = 0.3  # how much more than the view is painted on each side, for a camera that is turned
_SEED = 20_261  # the same leaves and bricks every time
_CAR_COLOURS = ((40, 40, 190), (190, 120, 40), (60, 160, 60), (200, 200, 205), (40, 40, 45))
_COAT_COLOURS = ((30, 90, 220), (150, 60, 60), (70, 170, 200), (120, 40, 150))


@dataclass(frozen=True, slots=True)
class PictureFaults:
    """What is wrong with the picture. Shares are fractions of the width and the height."""

    frozen_at: int | None = None  # the frame number that is shown for ever
    black: bool = False
    blur: float = 0.0  # standard deviation in thousandths of the width
    shift_x: float = 0.0
    shift_y: float = 0.0
    qr_text: str = ""
    overlay: bool = True  # clock and barcode keep running over the fault


NO_FAULTS = PictureFaults()


class Scene:
    """Draws frames of one size. Not thread-safe: the camera's one encoder thread uses it."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        self._width, self._height, self._fps = width, height, fps
        self._margin_x, self._margin_y = round(width * MARGIN), round(height * MARGIN)
        self._world = self._paint_world()
        self._qr: tuple[str, Picture] | None = None

    def draw(self, number: int, clock_text: str, faults: PictureFaults = NO_FAULTS) -> Picture:
        """The BGR picture of a frame; `clock_text` is what the camera's own clock shows."""
        shown = number if faults.frozen_at is None else faults.frozen_at
        if faults.black:
            picture: Picture = np.full((self._height, self._width, 3), 4, dtype=np.uint8)
        else:
            picture = self._view(shown, faults)
        if faults.blur:
            sigma = faults.blur * self._width / 1000
            picture = _bytes_of(cv2.GaussianBlur(picture, (0, 0), sigma))
        if faults.overlay or faults == NO_FAULTS:
            self._overlay(picture, number, clock_text)
        elif not faults.black:
            self._overlay(picture, shown, "")
        return picture

    def _view(self, number: int, faults: PictureFaults) -> Picture:
        left = self._margin_x + round(faults.shift_x * self._width)
        top = self._margin_y + round(faults.shift_y * self._height)
        picture = self._world[top : top + self._height, left : left + self._width].copy()
        origin = (self._margin_x - left, self._margin_y - top)
        seconds = number / self._fps
        self._draw_car(picture, origin, seconds)
        self._draw_walker(picture, origin, seconds)
        self._draw_barrier(picture, origin, seconds)
        if faults.qr_text:
            self._hold_up(picture, faults.qr_text)
        return picture

    def _overlay(self, picture: Picture, number: int, clock_text: str) -> None:
        bar = round(self._height * HEIGHT_FRACTION)
        picture[bar : 2 * bar] = 16
        scale = bar / 30
        where = (bar // 2, 2 * bar - max(bar // 4, 1))
        white = (235, 235, 235)
        cv2.putText(picture, clock_text, where, cv2.FONT_HERSHEY_SIMPLEX, scale, white, 1)
        draw_barcode(picture, number)

    # -------------------------------------------------------------------- what stands still

    def _paint_world(self) -> Picture:
        height, width = self._height + 2 * self._margin_y, self._width + 2 * self._margin_x
        world = self._paint_ground(height, width)
        self._box(world, -0.3, 0.2, 0.32, 0.62, (120, 140, 165))  # building on the left
        for row in range(4):
            for column in range(5):
                x, y = -0.25 + 0.11 * column, 0.24 + 0.09 * row
                self._box(world, x, y, x + 0.06, y + 0.05, (90, 70, 50))
                self._box(world, x, y, x + 0.06, y + 0.05, (190, 200, 205), outline=True)
        self._box(world, 0.80, 0.34, 0.97, 0.70, (175, 185, 190))  # the gatehouse
        self._box(world, 0.83, 0.40, 0.94, 0.52, (130, 110, 60))
        self._box(world, 0.32, 0.30, 0.36, 0.66, (70, 75, 85))  # the gate's posts
        self._box(world, 0.76, 0.30, 0.80, 0.66, (70, 75, 85))
        self._box(world, 0.32, 0.27, 0.80, 0.31, (50, 55, 150))  # and its lintel
        return world

    def _paint_ground(self, height: int, width: int) -> Picture:
        """Sky, wall, trees and road, with texture, so that sharpness can be measured."""
        random = np.random.default_rng(_SEED)
        rows = np.linspace(0, 1, height, dtype=np.float32)[:, np.newaxis, np.newaxis]
        sky = np.array((225, 190, 150), np.float32), np.array((235, 225, 215), np.float32)
        world = np.ascontiguousarray(
            np.broadcast_to(sky[0] * (1 - rows) + sky[1] * rows, (height, width, 3))
        ).astype(np.uint8)
        self._box(world, -MARGIN, 0.45, 1 + MARGIN, 0.62, (110, 130, 150))
        self._box(world, -MARGIN, 0.62, 1 + MARGIN, 1 + MARGIN, (95, 95, 95))
        for x in np.arange(-MARGIN, 1 + MARGIN, 0.16):
            self._box(world, float(x), 0.86, float(x) + 0.08, 0.88, (220, 225, 225))
        for _ in range(260):  # leaves above the wall
            x, y = random.uniform(-MARGIN, 1 + MARGIN), random.uniform(0.36, 0.5)
            green = (int(random.integers(30, 70)), int(random.integers(80, 150)), 50)
            radius = max(round(self._height * random.uniform(0.008, 0.03)), 1)
            cv2.circle(world, self._point(x, y), radius, green, -1)
        grain = random.integers(0, 22, world.shape[:2], dtype=np.uint8)
        horizon = self._point(0, 0.5)[1]
        world[horizon:] = cv2.add(world[horizon:], cv2.merge([grain[horizon:]] * 3))
        return world

    def _point(self, x: float, y: float) -> tuple[int, int]:
        """Fractions of the view, as a pixel of the world."""
        return round(x * self._width) + self._margin_x, round(y * self._height) + self._margin_y

    def _box(
        self,
        world: Picture,
        left: float,
        top: float,
        right: float,
        bottom: float,
        colour: tuple[int, int, int],
        *,
        outline: bool = False,
    ) -> None:
        corners = self._point(left, top), self._point(right, bottom)
        cv2.rectangle(world, corners[0], corners[1], colour, 1 if outline else -1)

    # ------------------------------------------------------------------------- what moves

    def _draw_car(self, picture: Picture, origin: tuple[int, int], seconds: float) -> None:
        """A car crosses every 7.3 s: no whole number of GOPs, so keyframes differ."""
        trips, phase = divmod(seconds, 7.3)
        colour = _CAR_COLOURS[int(trips) % len(_CAR_COLOURS)]
        width, height = self._width, self._height
        x = origin[0] + round((phase / 7.3 * 1.5 - 0.3) * width)
        y = origin[1] + round(0.70 * height)
        body = (round(0.24 * width), round(0.10 * height))
        cabin = (x + body[0] // 5, y - body[1] // 2), (x + body[0] * 3 // 4, y)
        cv2.rectangle(picture, *cabin, (90, 80, 70), -1)
        cv2.rectangle(picture, (x, y), (x + body[0], y + body[1]), colour, -1)
        for wheel in (x + body[0] // 5, x + body[0] * 4 // 5):
            cv2.circle(picture, (wheel, y + body[1]), max(body[1] // 3, 2), (25, 25, 25), -1)

    def _draw_walker(self, picture: Picture, origin: tuple[int, int], seconds: float) -> None:
        """Somebody walks through the gate every 11.9 s, with swinging legs."""
        trips, phase = divmod(seconds, 11.9)
        colour = _COAT_COLOURS[int(trips) % len(_COAT_COLOURS)]
        size = round(0.26 * self._height)
        x = origin[0] + round((0.86 - phase / 11.9) * self._width)
        y = origin[1] + round(0.50 * self._height)
        swing = round(math.sin(seconds * 6) * size * 0.18)
        hip, foot = y + size * 6 // 10, y + size
        for side in (swing, -swing):
            cv2.line(picture, (x, hip), (x + side, foot), (50, 40, 40), max(size // 12, 1))
        coat = (x - size // 8, y + size // 5), (x + size // 8, hip)
        cv2.rectangle(picture, *coat, colour, -1)
        cv2.circle(picture, (x, y + size // 10), max(size // 10, 1), (150, 180, 220), -1)

    def _draw_barrier(self, picture: Picture, origin: tuple[int, int], seconds: float) -> None:
        angle = 0.6 * max(0.0, math.sin(seconds * 2 * math.pi / 9.1))
        start = (
            origin[0] + round(0.78 * self._width),
            origin[1] + round(0.60 * self._height),
        )
        length = 0.42 * self._width
        end = (
            round(start[0] - length * math.cos(angle)),
            round(start[1] - length * math.sin(angle)),
        )
        thick = max(self._height // 60, 2)
        cv2.line(picture, start, end, (235, 235, 235), thick)
        middle = ((start[0] + end[0]) // 2, (start[1] + end[1]) // 2)
        cv2.line(picture, middle, end, (40, 40, 200), thick)

    def _hold_up(self, picture: Picture, text: str) -> None:
        """A QR code on a white card in the middle of the view, a third of the height."""
        if self._qr is None or self._qr[0] != text:
            code = cv2.QRCodeEncoder.create().encode(text)
            framed = cv2.copyMakeBorder(code, 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=255)
            self._qr = text, _bytes_of(framed)
        code = self._qr[1]
        side = max(round(self._height * 0.5) // code.shape[0], 2) * code.shape[0]
        card = _bytes_of(cv2.resize(code, (side, side), interpolation=cv2.INTER_NEAREST))
        top, left = (self._height - side) // 2, (self._width - side) // 2
        top = max(top, round(self._height * OVERLAY_FRACTION))
        room = picture[top : top + side, left : left + side]
        room[:] = card[: room.shape[0], : room.shape[1], np.newaxis]


def _bytes_of(picture: np.ndarray[Any, Any]) -> Picture:
    """cv2's types promise any number; bytes in are bytes out, so nothing is copied."""
    return picture.astype(np.uint8, copy=False)
