"""Typing at the simulated reader: bytes, pace, faults, and our driver at the other end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from drivers.readers import wiegand_serial
from gatewayd.clock import SystemClock
from gatewayd.domain.ports import DriverContext, KeyPressed, ReaderEvent
from simulators.control import obey
from simulators.reader import KEY_GAP_S, SimulatedReader, Typed
from tests.protocols.transports.lines import Ear, running
from tests.simulators.waiting import Tty


async def order(reader: SimulatedReader, **request: Any) -> dict[str, Any]:
    return await obey(reader.controls(), json.dumps(request).encode())


@pytest.mark.parametrize(
    ("kind", "keypad", "frames"),
    [
        ("wiegand-hex", 4, b"4,1\r\n4,1\r\n4,0\r\n4,9\r\n4,A\r\n4,B\r\n"),
        ("wiegand-hex", 8, b"8,E1\r\n8,E1\r\n8,F0\r\n8,69\r\n8,5A\r\n8,4B\r\n"),
        ("wiegand-binary", 4, bytes.fromhex("0204010503" * 2 + "0204000403" + "0204090D03")),
        ("wiegand-binary", 8, bytes.fromhex("0208E1E903" * 2 + "0208F0F803" + "0208696103")),
    ],
)
async def test_keys_are_sent_by_the_rules_of_the_wire(
    kind: str, keypad: int, frames: bytes, link: Path, clients: list[Tty]
) -> None:
    keys = "1109*#" if kind == "wiegand-hex" else "1109"
    async with SimulatedReader(kind, link, keypad=keypad, baud=115_200) as reader:
        clients.append(Tty(link))
        reply = await order(reader, do="press", keys=keys, gap_s=0)
        assert await clients[0].read(len(frames)) == frames
        status = await order(reader, do="status")
    assert (reply["sent"], reply["keys"]) == (True, len(keys))
    assert (status["keypad"], status["keys"], status["presented"]) == (keypad, len(keys), 0)


async def test_somebody_types_at_a_pace_that_one_can_type_at(link: Path) -> None:
    async with SimulatedReader("wiegand-hex", link, keypad=4, baud=115_200) as reader:
        typed = await reader.press("12#")
        at_once = await reader.press("7")
    assert typed.first_ns is not None
    assert typed.sent_ns is not None
    assert (typed.sent_ns - typed.first_ns) / 1e9 >= 2 * KEY_GAP_S * 0.99
    assert at_once.first_ns == at_once.sent_ns


async def test_a_card_shown_while_somebody_types_comes_after_the_keys(
    link: Path, clients: list[Tty]
) -> None:
    async with SimulatedReader("wiegand-hex", link, keypad=4, baud=115_200) as reader:
        clients.append(Tty(link))
        await asyncio.gather(reader.press("12", 0.01), reader.present(26, "1abcdef"))
        expected = b"4,1\r\n4,2\r\n26,1ABCDEF\r\n"
        assert await clients[0].read(len(expected)) == expected


async def test_faults_spoil_keys_as_they_spoil_cards(link: Path, clients: list[Tty]) -> None:
    async def under(fault: str, keys: str, **more: Any) -> tuple[bytes, dict[str, Any]]:
        async with SimulatedReader(
            "wiegand-binary", link, keypad=8, baud=115_200, seed=3
        ) as reader:
            clients.append(Tty(link))
            assert (await order(reader, do="fault", kind=fault, **more))["ok"]
            reply = await order(reader, do="press", keys=keys, gap_s=0)
            sent = (await order(reader, do="status"))["bytes"]
            return await clients[-1].read(sent), reply

    five = bytes.fromhex("0208A5AD03")
    assert (await under("duplicate", "5"))[0] == five * 2
    assert (await under("half", "5"))[0] == five[:2]
    assert (await under("bad_checksum", "5"))[0] == bytes.fromhex("0208A5AC03")
    assert (await under("bad_parity", "5"))[0] == bytes.fromhex("0208A4AC03")
    assert five in (await under("noise", "5"))[0]
    data, reply = await under("silence", "45", times=1)
    assert data == five
    assert (reply["sent"], reply["keys"], reply["first_ns"]) == (False, 1, reply["sent_ns"])


async def test_keys_at_an_unplugged_reader_go_nowhere(link: Path) -> None:
    async with SimulatedReader("wiegand-hex", link, keypad=4) as reader:
        reader.unplug()
        assert await reader.press("1", 0) == Typed(False, 0, None, None)


@pytest.mark.parametrize(
    ("keypad", "request_fields", "words"),
    [
        (None, {"keys": "1234"}, "no keypad: start it with --keypad 4 or 8"),
        (4, {"keys": "1234A"}, "'keys' must be 1 to 16 of 0123456789*#"),
        (4, {"keys": ""}, "1 to 16"),
        (4, {"keys": "1234" * 5}, "1 to 16"),
        (4, {"keys": 1234}, "'keys' must be a string"),
        (4, {"keys": "1234", "gap_s": 2}, "from 0 to 1.5625"),
    ],
)
async def test_what_cannot_be_typed_is_refused_without_repeating_it(
    keypad: int | None, request_fields: dict[str, Any], words: str, link: Path
) -> None:
    async with SimulatedReader("wiegand-hex", link, keypad=keypad) as reader:
        reply = await order(reader, do="press", **request_fields)
    assert words in reply["error"]
    assert "1234" not in reply["error"].replace("0123456789", "")


def test_a_reader_that_never_has_keys_gets_none(link: Path) -> None:
    with pytest.raises(ValueError, match="id12 has no keypad: use wiegand-hex or wiegand-binary"):
        SimulatedReader("id12", link, keypad=4)


# ------------------------------------------------------------------------------------ our driver


@pytest.mark.parametrize("keypad", [4, 8])
@pytest.mark.parametrize("dialect", ["hex-line", "binary"])
async def test_what_is_typed_there_is_what_our_driver_tells(
    dialect: str, keypad: int, link: Path
) -> None:
    kind = "wiegand-hex" if dialect == "hex-line" else "wiegand-binary"
    options = wiegand_serial.DRIVER.options(port=str(link), dialect=dialect)
    ear: Ear[ReaderEvent] = Ear()
    async with SimulatedReader(kind, link, keypad=keypad) as reader:
        context = DriverContext("reader-1", SystemClock())
        async with running(wiegand_serial.DRIVER.build(options, context).run(ear.emit)):
            await ear.next()  # online
            await reader.press("1123*#", gap_s=0.01)
            keys: list[str] = []
            while len(keys) < 6:  # in between it tells that bytes come in
                event = await ear.next()
                keys += [event.key] if isinstance(event, KeyPressed) else []
    assert keys == list("1123*#")
