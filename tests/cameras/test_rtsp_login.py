"""The RTSP driver's settings and log-in: secrets stay secret."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.cameras.rtsp import DRIVER, RtspOptions
from gatewayd.domain.ports import DeviceError, DriverKind
from simulators.camera import CameraOptions, SimulatedCamera
from tests.cameras.wire import (
    Seen,
    driver,
    failure,
    task_of,
)


def secret(folder: Path, text: bytes, mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_bytes(text)
    path.chmod(mode)
    return path


async def test_the_right_password_opens_whatever_characters_it_has(tmp_path: Path) -> None:
    password = "p@ss:/w%rd #中"
    async with SimulatedCamera(CameraOptions(user="guard", password=password)) as camera:
        path = secret(tmp_path, (password + "\n").encode())
        seen = Seen()
        async with task_of(driver(camera.url, username="guard", password_file=str(path)), seen):
            await seen.have(2)


async def test_a_wrong_password_is_told_without_the_password(tmp_path: Path) -> None:
    async with SimulatedCamera(CameraOptions(user="guard", password="right")) as camera:
        path = secret(tmp_path, b"wr0ng-secret")
        gate = driver(camera.url, username="guard", password_file=str(path))
        with pytest.raises(DeviceError) as caught:
            await gate.run(Seen())
        text = await failure(driver(camera.url))
    for told in (str(caught.value), text):
        assert "camera gate" in told
        assert "refused the log-in" in told
        assert "check username and password_file" in told
    error: BaseException | None = caught.value
    while error is not None:  # nor in what a traceback would print
        assert "wr0ng-secret" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize(
    ("text", "mode", "complaint"),
    [
        (b"pw", 0o604, "everybody can read it; run: chmod 600"),
        (b"\xff\xfe", 0o600, "not UTF-8"),
        (b"x" * 513, 0o600, "more than 512 bytes"),
    ],
)
async def test_a_bad_password_file_is_refused(
    tmp_path: Path, text: bytes, mode: int, complaint: str
) -> None:
    path = secret(tmp_path, text, mode)
    async with SimulatedCamera() as camera:
        told = await failure(driver(camera.url, username="guard", password_file=str(path)))
        assert complaint in told
        path.unlink()
        told = await failure(driver(camera.url, username="guard", password_file=str(path)))
        assert "No such file" in told


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"url": "http://host/x"}, "not an RTSP address"),
        ({"url": "rtsp://"}, "not an RTSP address"),
        ({"url": "rtsp://host/a b"}, "not an RTSP address"),
        ({"url": "rtsp://host:99999/x"}, "no address"),
        ({"url": "rtsp://u:hunter2@host/x"}, "use username and password_file"),
        ({"url": "rtsp://host/x", "username": "a:b"}, "a user name has no ':'"),
        ({"url": "rtsp://host/x", "password_file": "/x"}, "password_file without username"),
        ({"url": "rtsp://host/x", "transport": "http"}, "'tcp' or 'udp'"),
        ({"url": "rtsp://host/x", "stall_s": "5"}, "valid number"),
        ({"url": "rtsp://host/x", "speed": 1}, "Extra inputs"),
    ],
)
def test_wrong_settings_are_told_without_secrets(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RtspOptions.model_validate(options)
    assert complaint in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_page_names_every_setting_with_its_default() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "drivers" / "rtsp.md"
    rows = [line.split("|") for line in page.read_text("utf-8").splitlines() if line[:3] == "| `"]
    told = {row[1].strip(" `"): row[2].strip(" `") for row in rows}
    known = {
        name: "required" if info.is_required() else json.dumps(info.default)
        for name, info in RtspOptions.model_fields.items()
    }
    assert told == {name: "none" if value == "null" else value for name, value in known.items()}


def test_the_driver_is_announced_and_shares_its_camera() -> None:
    options = RtspOptions(url="rtsp://host/x")
    assert (DRIVER.kind, DRIVER.name) == (DriverKind.CAMERA, "rtsp")
    assert DRIVER.port_of(options) is None
