"""The driver `evdev-reader` on a pseudo-terminal in place of the device's file, its grab written
down instead of made: this is the lowest seam that needs no input device."""

from __future__ import annotations

import errno
import os
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers import input_device
from drivers.readers.evdev import DRIVER
from gatewayd.domain.model import Credential, CredentialKind, card
from gatewayd.domain.ports import DriverContext, DriverKind, Malformed, Offline, Online, Presented
from tests.clock import ManualClock
from tests.protocols.transports.lines import Ear, PtyDevice, running
from tests.protocols.transports.test_readers import reading
from tests.protocols.typing_events import line, typed

PASS = Credential(CredentialKind.QR, "YX-7f3K")


def terminal_of(link: str) -> str:
    return str(Path(link).resolve())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def grabs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Each ioctl: the file it was made on, its request and its argument."""
    made: list[tuple[str, int, int]] = []

    def ioctl(fd: int, request: int, argument: int) -> int:
        made.append((terminal_of(f"/proc/self/fd/{fd}"), request, argument))
        return 0

    monkeypatch.setattr(input_device, "ioctl", ioctl)
    return made


@pytest.mark.usefixtures("grabs")
async def test_what_a_scanner_types_is_one_tap_for_as_long_as_it_repeats_it(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(DRIVER, clock, device=device.path, credential="qr") as ear:
        device.send(line(PASS.value))
        assert await ear.next() == Presented(PASS, clock.now())
        await clock.advance(0.5)
        device.send(line(PASS.value) + line("other"))
        other = Credential(CredentialKind.QR, "other")
        assert await ear.next() == Presented(other, clock.now())


async def test_the_device_is_grabbed_before_a_key_of_it_is_read(
    device: PtyDevice, clock: ManualClock, grabs: list[tuple[str, int, int]]
) -> None:
    async with reading(DRIVER, clock, device=device.path, credential="qr"):
        assert grabs == [(terminal_of(device.path), 0x40044590, 1)]  # EVIOCGRAB of linux/input.h


async def test_unplugged_and_back_it_is_grabbed_again_and_half_a_line_is_gone(
    device: PtyDevice, clock: ManualClock, grabs: list[tuple[str, int, int]]
) -> None:
    async with reading(DRIVER, clock, device=device.path, credential="card", bits=32) as ear:
        before = open_files()
        device.send(line("0086F444") + typed("1234"))
        assert await ear.next() == Presented(card(0x86F444, 32), clock.now())
        device.unplug()
        offline = await ear.next()
        assert isinstance(offline, Offline)
        assert offline.reason.startswith(f"{device.path}: ")
        await clock.advance(1)
        device.plug_in()
        await clock.advance(5)
        assert await ear.next() == Online()
        assert len(grabs) == 2
        assert open_files() == before
        device.send(line("0086F445"))
        assert await ear.next() == Presented(card(0x86F445, 32), clock.now())


@pytest.mark.usefixtures("grabs")
async def test_a_line_without_an_end_is_over_after_a_second(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(DRIVER, clock, device=device.path, credential="qr") as ear:
        device.send(line("first") + typed("half"))
        assert isinstance(await ear.next(), Presented)
        await clock.advance(1)
        device.send(line(PASS.value))
        assert await ear.next() == Malformed("message cut short by silence")
        assert await ear.next() == Presented(PASS, clock.now())


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.EBUSY, "in use by another process: stop one of the two"),
        (errno.EINVAL, "no input device: name a path such as '/dev/input/by-id/"),
        (errno.ENODEV, "not grabbed: "),
    ],
)
async def test_a_device_that_is_not_grabbed_is_not_read(
    device: PtyDevice,
    clock: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    told: str,
) -> None:
    def refuse(_fd: int, _request: int, _argument: int) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(input_device, "ioctl", refuse)
    before = open_files()
    options = DRIVER.options(device=device.path, credential="qr")
    ear: Ear[Any] = Ear()
    async with running(DRIVER.build(options, DriverContext("reader-1", clock)).run(ear.emit)):
        offline = await ear.next()
        assert isinstance(offline, Offline)
        assert told in offline.reason
        await clock.advance(5)
        await clock.advance(5)
        assert ear.waiting == 0  # told once, however often it is tried
        assert open_files() <= before


async def test_the_grab_itself_says_what_is_no_input_device(
    device: PtyDevice, clock: ManualClock
) -> None:
    options = DRIVER.options(device=device.path, credential="qr")
    ear: Ear[Any] = Ear()
    async with running(DRIVER.build(options, DriverContext("reader-1", clock)).run(ear.emit)):
        offline = await ear.next()
        assert "no input device: name a path such as" in offline.reason


async def test_a_device_that_may_not_be_opened_says_what_to_change(
    device: PtyDevice, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: str, _flags: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(OSError, match=r"Permission denied: .* must be in the device's group"):
        input_device.InputDevice(device.path)


@pytest.mark.parametrize(
    ("options", "key", "told"),
    [
        ({"credential": "qr"}, "device", "Field required"),
        ({"credential": "qr", "device": "event4"}, "device", "write a path such as"),
        ({"credential": "qr", "device": "socket://h:1"}, "device", "write a path such as"),
        ({"credential": "card", "device": "/dev/input/x"}, "bits", "write how many bits"),
        ({"credential": "qr", "device": "/dev/x", "baud_rate": 1}, "baud_rate", "not permitted"),
        ({"credential": "qr", "device": "/dev/x", "debounce_ms": -1}, "debounce_ms", "than or"),
    ],
)
def test_wrong_settings_are_refused_by_key_with_what_to_write(
    options: dict[str, Any], key: str, told: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        DRIVER.options(**options)
    assert [error["loc"] for error in refused.value.errors()] == [(key,)]
    assert told in refused.value.errors()[0]["msg"]


def test_the_driver_is_found_by_name_and_claims_its_device() -> None:
    (entry,) = entry_points(group="gatewayd.drivers", name="evdev-reader")
    assert entry.load() is DRIVER
    assert (DRIVER.kind, DRIVER.keypad) == (DriverKind.READER, False)
    options = DRIVER.options(device="/dev/input/by-id/usb-1-event-kbd", credential="qr")
    assert DRIVER.port_of(options) == "/dev/input/by-id/usb-1-event-kbd"
    assert all(field.description for field in DRIVER.options.model_fields.values())
