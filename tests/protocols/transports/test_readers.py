"""Reader drivers from their settings to what they emit, on ptys and TCP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import entry_points
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.protocols.ascii_tag import encode
from drivers.protocols.keypad import encode_key
from drivers.protocols.wiegand_serial import encode_binary, encode_hex_line
from drivers.readers import ascii_tag, wiegand_serial
from gatewayd.domain import wiegand
from gatewayd.domain.model import card
from gatewayd.domain.ports import (
    Arriving,
    Driver,
    DriverContext,
    DriverKind,
    KeyPressed,
    Malformed,
    Offline,
    Online,
    Presented,
    ReaderEvent,
)
from tests.clock import ManualClock
from tests.protocols.transports.lines import Ear, PtyDevice, running
from tests.protocols.transports.test_line import hang_up, serial_server

TAG = 0x100086F444


@asynccontextmanager
async def reading(driver: Driver, clock: ManualClock, **options: Any) -> AsyncIterator[Ear[Any]]:
    """The driver on its line, from the text of its settings on; already online. That bytes arrive
    is not told: how many reads they take is the kernel's affair."""
    reader = driver.build(driver.options(**options), DriverContext("reader-1", clock))
    ear: Ear[ReaderEvent] = Ear()

    def emit(event: ReaderEvent) -> None:
        if not isinstance(event, Arriving):
            ear.emit(event)

    async with running(reader.run(emit)):
        assert await ear.next() == Online()
        yield ear


async def test_the_first_bytes_of_a_card_are_told_before_it_is_whole(
    device: PtyDevice, clock: ManualClock
) -> None:
    options = ascii_tag.AsciiTagOptions(port=device.path)
    reader = ascii_tag.DRIVER.build(options, DriverContext("reader-1", clock))
    ear: Ear[ReaderEvent] = Ear()
    async with running(reader.run(ear.emit)):
        assert await ear.next() == Online()
        device.send(encode(TAG)[:1])
        assert await ear.next() == Arriving()
        device.send(encode(TAG)[1:])
        heard = await ear.until(lambda event: isinstance(event, Presented))
        assert heard[0] == Arriving()


async def test_a_held_tag_is_one_tap_with_the_moment_it_was_seen(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(ascii_tag.DRIVER, clock, port=device.path) as ear:
        at = clock.now()
        device.send(encode(TAG, line_end=False))
        assert await ear.next() == Presented(card(TAG, 40), at)
        for _ in range(40):
            await clock.advance(0.05)
            device.send(encode(TAG, line_end=False) + b"\x00")  # tells that the tag was read
            assert await ear.next() == Malformed("bytes outside a message")
        device.send(encode(7))
        assert await ear.next() == Presented(card(7, 40), clock.now())
        assert ear.waiting == 0


async def test_the_same_tag_a_second_after_it_left_is_another_tap(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(ascii_tag.DRIVER, clock, port=device.path) as ear:
        for _ in range(3):
            device.send(encode(TAG))
            assert await ear.next() == Presented(card(TAG, 40), clock.now())
            await clock.advance(1)


async def test_the_debounce_is_a_setting(device: PtyDevice, clock: ManualClock) -> None:
    async with reading(ascii_tag.DRIVER, clock, port=device.path, debounce_ms=0) as ear:
        for _ in range(3):
            device.send(encode(TAG))
            assert await ear.next() == Presented(card(TAG, 40), clock.now())


async def test_garbage_is_malformed_and_the_next_tag_is_read(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(ascii_tag.DRIVER, clock, port=device.path) as ear:
        device.send(b"\x00\xff\x13" + encode(TAG)[:8] + encode(TAG))
        assert await ear.next() == Malformed("bytes outside a message")
        assert await ear.next() == Malformed("message cut short by the next one")
        assert await ear.next() == Presented(card(TAG, 40), clock.now())


async def test_half_a_message_before_unplugging_never_joins_one_after(
    device: PtyDevice, clock: ManualClock
) -> None:
    frame = encode_hex_line(wiegand.encode("H10301", 1, 1), 26)
    async with reading(wiegand_serial.DRIVER, clock, port=device.path) as ear:
        device.send(frame + frame[:5])
        assert isinstance(await ear.next(), Presented)
        device.unplug()
        assert isinstance(await ear.next(), Offline)
        device.plug_in()
        await clock.advance(5)
        assert await ear.next() == Online()
        device.send(frame[5:])
        assert isinstance(await ear.next(), Malformed)
        device.send(frame)
        assert await ear.next() == Presented(card(wiegand.encode("H10301", 1, 1), 26), clock.now())


async def test_half_a_message_never_joins_one_after_a_silence(
    device: PtyDevice, clock: ManualClock
) -> None:
    frame = encode_binary(wiegand.encode("H10301", 1, 1), 26)
    async with reading(
        wiegand_serial.DRIVER, clock, port=device.path, dialect="binary", debounce_ms=0
    ) as ear:
        device.send(frame + b"\x02\x80")  # noise that promises a long message
        assert isinstance(await ear.next(), Presented)
        await clock.advance(1)
        device.send(frame)
        assert await ear.next() == Malformed("message cut short by silence")
        assert isinstance(await ear.next(), Presented)


@pytest.mark.parametrize(
    ("dialect", "encode_card"), [("hex-line", encode_hex_line), ("binary", encode_binary)]
)
async def test_wiegand_cards_arrive_in_either_dialect(
    device: PtyDevice, clock: ManualClock, dialect: str, encode_card: Any
) -> None:
    bits = wiegand.encode("H10306", 1234, 56789)
    async with reading(wiegand_serial.DRIVER, clock, port=device.path, dialect=dialect) as ear:
        device.send(encode_card(bits, 34))
        tap = await ear.next()
        assert tap == Presented(card(bits, 34), clock.now())
        assert tap.credential.format == "H10306"
        device.send(encode_card(5, 32))
        assert isinstance(await ear.next(), Malformed)


@pytest.mark.parametrize("bit_count", [4, 8])
@pytest.mark.parametrize(
    ("dialect", "encode_bits"), [("hex-line", encode_hex_line), ("binary", encode_binary)]
)
async def test_each_key_is_told_with_its_moment_and_none_is_taken_for_a_repeat(
    device: PtyDevice, clock: ManualClock, dialect: str, encode_bits: Any, bit_count: int
) -> None:
    async with reading(wiegand_serial.DRIVER, clock, port=device.path, dialect=dialect) as ear:
        for key in "1100*5#":
            device.send(encode_bits(encode_key(key, bit_count), bit_count))
            pressed = await ear.next()
            assert pressed == KeyPressed(key, clock.now())
            assert key not in repr(pressed).partition("stamp")[0]
            await clock.advance(0.2)
        device.send(encode_bits(0xC, bit_count))
        assert isinstance(await ear.next(), Malformed)
        assert ear.waiting == 0


async def test_a_key_does_not_end_the_presentation_of_a_held_card(
    device: PtyDevice, clock: ManualClock
) -> None:
    frame = encode_hex_line(wiegand.encode("H10301", 1, 1), 26)
    async with reading(wiegand_serial.DRIVER, clock, port=device.path) as ear:
        device.send(frame + b"4,1\r\n" + frame + b"4,2\r\n")
        assert isinstance(await ear.next(), Presented)
        assert await ear.next() == KeyPressed("1", clock.now())
        assert await ear.next() == KeyPressed("2", clock.now())


async def test_keys_come_a_byte_at_a_time_through_a_serial_server(clock: ManualClock) -> None:
    async with (
        serial_server() as (peer, url),
        reading(wiegand_serial.DRIVER, clock, port=url, dialect="binary") as ear,
    ):
        _, writer = await peer.client()
        for key in "1234#":
            for byte in encode_binary(encode_key(key, 8), 8):
                writer.write(bytes([byte]))
                await writer.drain()
        for key in "1234#":
            assert await ear.next() == KeyPressed(key, clock.now())
        await hang_up(writer)
        assert isinstance(await ear.next(), Offline)


async def test_half_a_key_before_unplugging_never_joins_one_after(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(wiegand_serial.DRIVER, clock, port=device.path) as ear:
        device.send(b"4,1\r\n4,")
        assert await ear.next() == KeyPressed("1", clock.now())
        device.unplug()
        assert isinstance(await ear.next(), Offline)
        device.plug_in()
        await clock.advance(5)
        assert await ear.next() == Online()
        device.send(b"2\r\n4,3\r\n")
        assert isinstance(await ear.next(), Malformed)
        assert await ear.next() == KeyPressed("3", clock.now())


async def test_unknown_lengths_are_taken_where_the_settings_say_so(
    device: PtyDevice, clock: ManualClock
) -> None:
    options = {"port": device.path, "accept_unknown_lengths": True}
    async with reading(wiegand_serial.DRIVER, clock, **options) as ear:
        device.send(encode_hex_line(5, 32))
        assert await ear.next() == Presented(card(5, 32), clock.now())


async def test_a_reader_behind_a_serial_server_works_the_same(clock: ManualClock) -> None:
    async with (
        serial_server() as (peer, url),
        reading(ascii_tag.DRIVER, clock, port=url) as ear,
    ):
        _, writer = await peer.client()
        for byte in encode(TAG):
            writer.write(bytes([byte]))
            await writer.drain()
        assert await ear.next() == Presented(card(TAG, 40), clock.now())
        await hang_up(writer)
        assert await ear.next() == Offline(f"{url}: the device hung up")


async def test_a_flood_of_taps_is_delivered_in_order_and_starves_nobody(
    device: PtyDevice, clock: ManualClock
) -> None:
    turns = 0

    async def bystander() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with reading(ascii_tag.DRIVER, clock, port=device.path) as ear, running(bystander()):
        for batch in range(10):
            device.send(b"".join(encode(batch * 100 + at) for at in range(100)))
            before = turns
            for at in range(100):
                assert await ear.next() == Presented(card(batch * 100 + at, 40), clock.now())
            assert turns > before


@pytest.mark.parametrize(
    ("driver", "options", "about"),
    [
        (ascii_tag.DRIVER, {}, "port"),
        (ascii_tag.DRIVER, {"port": "ttyUSB0"}, "write a path such as"),
        (ascii_tag.DRIVER, {"port": "/dev/x", "baud_rate": "9600"}, "baud_rate"),
        (ascii_tag.DRIVER, {"port": "/dev/x", "dialect": "binary"}, "dialect"),
        (ascii_tag.DRIVER, {"port": "/dev/x", "debounce_ms": -1}, "debounce_ms"),
        (ascii_tag.DRIVER, {"port": "/dev/x", "reverse": "all"}, "reverse"),
        (wiegand_serial.DRIVER, {"port": "/dev/x", "dialect": "octal"}, "hex-line"),
        (wiegand_serial.DRIVER, {"port": "/dev/x", "reverse": True}, "reverse"),
        (
            wiegand_serial.DRIVER,
            {"port": "/dev/x", "dialect": "binary", "prefix": "W"},
            "(?s)prefix.*dialect = 'hex-line' only: remove it",
        ),
        (wiegand_serial.DRIVER, {"port": "/dev/x", "suffix": "\r\n"}, "(?s)suffix.*leave them out"),
        (wiegand_serial.DRIVER, {"port": "/dev/x", "prefix": "卡"}, "(?s)prefix.*ASCII"),
    ],
)
def test_wrong_settings_are_refused_by_name(
    driver: Driver, options: dict[str, Any], about: str
) -> None:
    with pytest.raises(ValidationError, match=about):
        driver.options(**options)


@pytest.mark.parametrize("driver", [ascii_tag.DRIVER, wiegand_serial.DRIVER])
def test_a_reader_driver_is_found_by_name_and_claims_its_port(driver: Driver) -> None:
    (entry,) = entry_points(group="gatewayd.drivers", name=driver.name)
    assert entry.load() is driver
    assert driver.kind is DriverKind.READER
    options = driver.options(port="/dev/serial/by-id/usb-1")
    assert driver.port_of(options) == "/dev/serial/by-id/usb-1"
    assert (options.baud_rate, options.debounce_ms) == (9600, 1000)
    fields = driver.options.model_fields
    assert all(field.description for field in fields.values())


def test_building_a_reader_touches_no_device(clock: ManualClock) -> None:
    options = ascii_tag.AsciiTagOptions(port="/dev/none/such")
    ascii_tag.DRIVER.build(options, DriverContext("reader-1", clock))


@pytest.mark.parametrize(
    ("options", "frame"),
    [
        ({"reverse": "bits"}, b"26,1D71B11\r\n"),
        ({"reverse": "bits", "dialect": "binary"}, encode_binary(0x1D71B11, 26)),
        ({"prefix": "W", "suffix": "#"}, b"W26,22363AE#\r\n"),
    ],
)
async def test_a_converter_with_ways_of_its_own_has_the_same_card(
    device: PtyDevice, clock: ManualClock, options: dict[str, Any], frame: bytes
) -> None:
    async with reading(wiegand_serial.DRIVER, clock, port=device.path, **options) as ear:
        device.send(frame)
        assert await ear.next() == Presented(card(0x22363AE, 26), clock.now())


async def test_a_tag_reader_that_turns_bytes_round_has_the_same_tag(
    device: PtyDevice, clock: ManualClock
) -> None:
    async with reading(ascii_tag.DRIVER, clock, port=device.path, reverse="bytes") as ear:
        device.send(encode(0x44F4860010))
        assert await ear.next() == Presented(card(TAG, 40), clock.now())
