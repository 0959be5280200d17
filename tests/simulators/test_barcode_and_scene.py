"""The barcode survives what video does to pictures; faults look like what they are called."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.barcode import BITS, CELLS, Picture, cells_of, crc8, draw_barcode, read_barcode
from simulators.scene import OVERLAY_FRACTION, PictureFaults, Scene

CLOCK = "2026-11-24 08:30:00"


def as_jpeg(picture: Picture, width: int, quality: int) -> Picture:
    scaled = cv2.resize(picture, (width, width * 9 // 16), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded.astype(np.uint8)


def body(picture: Picture) -> Picture:
    """The picture below clock and barcode, in gray."""
    top = round(picture.shape[0] * OVERLAY_FRACTION) + 1
    return cv2.cvtColor(picture[top:], cv2.COLOR_BGR2GRAY).astype(np.uint8)


def difference(one: Picture, other: Picture) -> float:
    return float(np.abs(body(one).astype(int) - body(other).astype(int)).mean())


def sharpness(picture: Picture) -> float:
    return float(cv2.Laplacian(body(picture), cv2.CV_64F).var())


def test_the_crc_is_the_published_one() -> None:
    assert crc8(b"123456789") == 0xF4


@given(st.integers(0, (1 << BITS) - 1))
def test_any_number_can_be_read_back(number: int) -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    draw_barcode(picture, number)
    assert read_barcode(picture) == number


def test_a_number_too_big_starts_again_from_nought() -> None:
    assert cells_of(1 << BITS) == cells_of(0)


@pytest.mark.parametrize("width", [1280, 640, 320, 160])
@pytest.mark.parametrize("quality", [30, 90])
def test_a_scaled_jpeg_still_tells_its_frame(width: int, quality: int) -> None:
    scene = Scene(640, 360, 15)
    for number in (0, 1, 12_345, (1 << BITS) - 1):
        assert read_barcode(as_jpeg(scene.draw(number, CLOCK), width, quality)) == number


def test_a_gray_picture_is_read_too() -> None:
    picture = np.full((180, 320), 128, np.uint8)
    draw_barcode(picture, 77)
    assert read_barcode(picture) == 77


def test_pictures_without_a_code_give_none() -> None:
    random = np.random.default_rng(1)
    noise = (random.integers(0, 255, (360, 640), dtype=np.uint8) for _ in range(50))
    assert [read_barcode(picture) for picture in noise] == [None] * 50
    assert read_barcode(np.zeros((360, 640, 3), np.uint8)) is None
    assert read_barcode(np.zeros((10, 20), np.uint8)) is None


def test_a_turned_start_mark_is_no_code() -> None:
    picture = np.zeros((180, 720), np.uint8)
    draw_barcode(picture, 5)
    cell = 720 // CELLS
    picture[:12, :cell], picture[:12, cell : 2 * cell] = 235, 255
    picture[:12, 2 * cell : 3 * cell] = 0
    assert read_barcode(picture) is None


def test_one_wrong_cell_is_noticed() -> None:
    picture = np.zeros((180, 720), np.uint8)
    draw_barcode(picture, 5)
    cell = 720 // CELLS
    picture[:12, 10 * cell : 11 * cell] = 255 - picture[:12, 10 * cell : 11 * cell]
    assert read_barcode(picture) is None


def test_two_keyframes_differ() -> None:
    scene = Scene(640, 360, 15)
    assert (
        min(difference(scene.draw(n, CLOCK), scene.draw(n + 30, CLOCK)) for n in range(0, 300, 7))
        > 1
    )


def test_a_frozen_view_stands_still_under_a_running_overlay() -> None:
    scene = Scene(640, 360, 15)
    frozen = PictureFaults(frozen_at=10)
    later = scene.draw(40, CLOCK, frozen)
    assert difference(scene.draw(10, CLOCK), later) == 0
    assert read_barcode(later) == 40


def test_a_wholly_frozen_picture_is_the_same_to_the_last_dot() -> None:
    scene = Scene(640, 360, 15)
    frozen = PictureFaults(frozen_at=10, overlay=False)
    assert np.array_equal(scene.draw(40, CLOCK, frozen), scene.draw(70, "later", frozen))


def test_a_covered_lens_is_black_and_its_clock_may_go_too() -> None:
    scene = Scene(640, 360, 15)
    covered = scene.draw(40, CLOCK, PictureFaults(black=True))
    assert body(covered).mean() < 10
    assert read_barcode(covered) == 40
    assert scene.draw(40, CLOCK, PictureFaults(black=True, overlay=False)).mean() < 10


def test_a_blurred_view_loses_most_of_its_sharpness() -> None:
    scene = Scene(640, 360, 15)
    blurred = scene.draw(40, CLOCK, PictureFaults(blur=8))
    assert sharpness(blurred) < sharpness(scene.draw(40, CLOCK)) / 10


def test_a_turned_camera_sees_what_was_beside_the_view() -> None:
    scene = Scene(640, 360, 15)
    straight = body(scene.draw(40, CLOCK))
    turned = body(scene.draw(40, CLOCK, PictureFaults(shift_x=0.2)))
    assert np.mean(turned[:, :500] == straight[:, 128:628]) > 0.98  # moved, not new
    assert turned[:, 520:].std() > 10  # and what came in from the right is a view, too


def test_a_qr_code_held_up_can_be_read() -> None:
    scene = Scene(640, 360, 15)
    text = "pass:" + "x7" * 40
    for number in (5, 6):
        picture = scene.draw(number, CLOCK, PictureFaults(qr_text=text))
        assert cv2.QRCodeDetector().detectAndDecode(picture)[0] == text
