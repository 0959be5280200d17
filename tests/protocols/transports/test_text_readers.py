"""The driver `line-reader` from its settings to what it emits, on ptys and on TCP."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.readers.text_line import DRIVER
from gatewayd.domain import wiegand
from gatewayd.domain.model import Credential, CredentialKind, card
from gatewayd.domain.ports import DriverKind, Malformed, Offline, Online, Presented
from tests.clock import ManualClock
from tests.protocols.transports.lines import PtyDevice
from tests.protocols.transports.test_line import hang_up, serial_server
from tests.protocols.transports.test_readers import reading

PASS = Credential(CredentialKind.QR, "YX-7f3K-访客")
PLATE = Credential(CredentialKind.PLATE, "京A12345")


async def test_a_pass_that_is_held_to_the_scanner_is_one_tap(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(DRIVER, clock, port=device.path, credential="qr") as ear:
        at = clock.now()
        device.send(f"{PASS.value}\r\n".encode())
        assert await ear.next() == Presented(PASS, at)
        for _ in range(20):
            await clock.advance(0.3)
            device.send(f"{PASS.value}\r\n\t\r\n".encode())  # the tab tells that it was read
            assert await ear.next() == Malformed("line with control characters")
        await clock.advance(1)
        device.send(f"{PASS.value}\r\n".encode())
        assert await ear.next() == Presented(PASS, clock.now())
        assert ear.waiting == 0


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
async def test_a_plate_comes_in_the_encoding_of_the_settings(
    device: PtyDevice, clock: ManualClock, encoding: str
) -> None:
    options = {"port": device.path, "credential": "plate", "encoding": encoding}
    async with reading(DRIVER, clock, **options, prefix="车道1:", suffix="\u0003") as ear:
        device.send("车道1:京A·12345\x03\r".encode(encoding))
        assert await ear.next() == Presented(PLATE, clock.now())
        device.send("车道2:京A·12346\x03\r".encode(encoding))
        assert await ear.next() == Malformed("line without its prefix: see prefix")


async def test_cards_are_the_same_as_from_a_wiegand_reader(
    device: PtyDevice, clock: ManualClock
) -> None:
    options = {"port": device.path, "credential": "card", "digits": "decimal", "bits": 34}
    bits = wiegand.encode("H10306", 1234, 56789)
    sent = int(f"{bits:034b}"[::-1], 2)
    async with reading(DRIVER, clock, **options, reverse="bits") as ear:
        device.send(f"{sent}\n".encode())
        assert await ear.next() == Presented(card(bits, 34), clock.now())


async def test_half_a_line_before_unplugging_never_joins_one_after(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(DRIVER, clock, port=device.path, credential="plate") as ear:
        device.send("京A12345\r京A1".encode())
        assert await ear.next() == Presented(PLATE, clock.now())
        device.unplug()
        assert isinstance(await ear.next(), Offline)
        device.plug_in()
        await clock.advance(5)
        assert await ear.next() == Online()
        device.send("2345\r沪B00001\r".encode())
        lone = Credential(CredentialKind.PLATE, "2345")
        assert await ear.next() == Presented(lone, clock.now())  # known to no list
        assert await ear.next() == Presented(
            Credential(CredentialKind.PLATE, "沪B00001"), clock.now()
        )


async def test_a_scanner_behind_a_serial_server_works_the_same(clock: ManualClock) -> None:
    async with (
        serial_server() as (peer, url),
        reading(DRIVER, clock, port=url, credential="qr") as ear,
    ):
        _, writer = await peer.client()
        for byte in f"{PASS.value}\r".encode():
            writer.write(bytes([byte]))
            await writer.drain()
        assert await ear.next() == Presented(PASS, clock.now())
        await hang_up(writer)
        assert isinstance(await ear.next(), Offline)


@pytest.mark.parametrize(
    ("options", "key", "told"),
    [
        ({}, "credential", "Field required"),
        ({"credential": "face"}, "credential", "'qr', 'plate' or 'card'"),
        ({"credential": "qr", "encoding": "gbk"}, "encoding", "'utf-8' or 'gb18030'"),
        ({"credential": "qr", "prefix": "a\r"}, "prefix", "leave them out"),
        ({"credential": "qr", "suffix": "a" * 33}, "suffix", "at most 32"),
        ({"credential": "card"}, "bits", "write how many bits one has, e.g. 32"),
        ({"credential": "card", "bits": 129}, "bits", "less than or equal to 128"),
        ({"credential": "card", "bits": 32, "digits": "octal"}, "digits", "'hex' or 'decimal'"),
        ({"credential": "card", "bits": 37, "reverse": "bytes"}, "reverse", "write 'bits'"),
        ({"credential": "card", "bits": 33, "reverse": "nibbles"}, "reverse", "write 'bits'"),
        ({"credential": "qr", "bits": 32}, "bits", "credential = 'card' only: remove it"),
        ({"credential": "plate", "digits": "hex"}, "digits", "only: remove it"),
        ({"credential": "qr", "reverse": "bits"}, "reverse", "only: remove it"),
    ],
)
def test_wrong_settings_are_refused_by_key_with_what_to_write(
    options: dict[str, Any], key: str, told: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        DRIVER.options(port="/dev/x", **options)
    assert [error["loc"] for error in refused.value.errors()] == [(key,)]
    assert told in refused.value.errors()[0]["msg"]


def test_the_driver_is_found_by_name_and_claims_its_port() -> None:
    (entry,) = entry_points(group="gatewayd.drivers", name="line-reader")
    assert entry.load() is DRIVER
    assert (DRIVER.kind, DRIVER.keypad) == (DriverKind.READER, False)
    options = DRIVER.options(port="/dev/serial/by-id/usb-1", credential="qr")
    assert DRIVER.port_of(options) == "/dev/serial/by-id/usb-1"
    assert all(field.description for field in DRIVER.options.model_fields.values())
