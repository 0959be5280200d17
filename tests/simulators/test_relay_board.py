"""The simulated relay board against pymodbus and raw frames; its doors and its faults."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusSerialClient

from simulators import relay_board
from simulators.control import obey
from simulators.modbus_wire import ModbusError, answer, crc16, seal, unseal
from simulators.relay_board import SimulatedRelayBoard, parse_door
from simulators.relay_terminals import DoorWiring, RelayTerminals
from tests.simulators.waiting import T_S, Tty, is_there, until

NORTH = DoorWiring(relay=1, contact=1, exit=2, name="north")
SOUTH = DoorWiring(relay=2, contact=3, name="south", energised_means="locked")


async def order(board: SimulatedRelayBoard, **request: Any) -> dict[str, Any]:
    return await obey(board.controls(), json.dumps(request).encode())


class Wire(Tty):
    """The daemon's end: raw frames out, raw replies in."""

    async def ask(self, frame: str, reply_size: int) -> str:
        self.write(bytes.fromhex(frame))
        return (await self.read(reply_size)).hex(" ").upper()


@asynccontextmanager
async def board_and_wire(
    tmp_path: Path, baud: int = 115_200, **options: Any
) -> AsyncIterator[tuple[SimulatedRelayBoard, Wire]]:
    link = tmp_path / "ttyBOARD"
    async with SimulatedRelayBoard(link, doors=(NORTH, SOUTH), baud=baud, **options) as board:
        wire = Wire(link)
        try:
            yield board, wire
        finally:
            wire.close()


def with_crc(text: str) -> bytes:
    return seal(bytes.fromhex(text))


# ------------------------------------------------------------------------------------ the wire


@pytest.mark.parametrize(
    "frame",
    ["010500 00FF008C3A", "0105000000 00CDCA", "0101000000083DCC", "01020000000879CC"],
)
def test_known_frames_carry_the_crc_that_this_board_expects(frame: str) -> None:
    data = bytes.fromhex(frame)
    assert unseal(data) == data[:-2]


@given(st.binary(min_size=2, max_size=60), st.integers(0, 500))
def test_one_flipped_bit_is_always_noticed(body: bytes, bit: int) -> None:
    frame = bytearray(seal(body))
    frame[bit // 8 % len(frame)] ^= 1 << bit % 8
    assert unseal(bytes(frame)) is None


def test_too_short_and_too_long_are_no_frames() -> None:
    assert unseal(seal(b"\x01")) is None
    assert unseal(seal(bytes(255))) is None
    assert crc16(b"123456789") == 0x4B37  # the published check value of CRC-16/MODBUS


@pytest.mark.parametrize(
    ("pdu", "code"),
    [
        ("0300000001", 1),
        ("01000000", 3),
        ("0100000000", 3),
        ("01000007D1", 3),
        ("0100010008", 2),
        ("0200080001", 2),
        ("0500005500", 3),
        ("050000FF01", 3),
        ("050000", 3),
        ("050008FF00", 2),
        ("0F0000", 3),
        ("0F0000000000", 3),
        ("0F00000009 01FF", 3),
        ("0F00000008 01FFFF", 3),
        ("0F00010008 01FF", 2),
    ],
)
def test_what_is_wrong_gets_its_exception_and_moves_nothing(pdu: str, code: int) -> None:
    terminals = RelayTerminals(8, 8, ())
    with pytest.raises(ModbusError) as caught:
        answer(bytes.fromhex(pdu), terminals)
    assert caught.value.code == code
    assert [relay.writes for relay in terminals.relays] == [0] * 8


@given(st.binary(min_size=1, max_size=40))
def test_no_request_breaks_the_board(pdu: bytes) -> None:
    try:
        assert answer(pdu, RelayTerminals(8, 8, ()))[0] == pdu[0]
    except ModbusError as error:
        assert error.code in {1, 2, 3}  # noqa: PT017  # either outcome is right


async def test_the_documented_frames_get_the_documented_replies(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire):
        assert await wire.ask("01050000FF008C3A", 8) == "01 05 00 00 FF 00 8C 3A"
        assert board.terminals.coils[:1] == [True]
        on = with_crc("010101 01".replace(" ", "")).hex(" ").upper()
        assert await wire.ask("0101000000083DCC", 6) == on
        contacts = with_crc("01020105").hex(" ").upper()  # both doors closed: inputs 1 and 3
        assert await wire.ask("01020000000879CC", 6) == contacts
        assert await wire.ask("010500000000CDCA", 8) == "01 05 00 00 00 00 CD CA"
        assert board.terminals.coils[:1] == [False]
        refused = with_crc("018503").hex(" ").upper()
        assert await wire.ask(with_crc("010500005500").hex(), 5) == refused


async def test_pymodbus_gets_on_with_it(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, _):
        client = AsyncModbusSerialClient(str(tmp_path / "ttyBOARD"), baudrate=115_200)
        try:
            assert await client.connect()
            await client.write_coils(1, [True, False, True], device_id=1)
            assert not (await client.write_coil(7, True, device_id=1)).isError()
            coils = await client.read_coils(0, count=8, device_id=1)
            assert coils.bits == [False, True, False, True, False, False, False, True]
            inputs = await client.read_discrete_inputs(0, count=3, device_id=1)
            assert inputs.bits[:3] == [True, False, True]
            assert (await client.read_holding_registers(0, device_id=1)).exception_code == 1
        finally:
            client.close()
    assert board.bad_frames == 0


async def test_a_frame_in_pieces_is_one_frame_and_rubbish_is_dropped(tmp_path: Path) -> None:
    # slow, so that a busy machine's pauses are short beside the silence that ends a frame
    async with board_and_wire(tmp_path, baud=1200) as (board, wire):
        for byte in bytes.fromhex("01050000FF008C3A"):
            wire.write(bytes([byte]))
            await asyncio.sleep(0)
        assert await wire.read(8) == bytes.fromhex("01050000FF008C3A")
        wire.write(b"\x55\xaa rubbish")
        await until(lambda: board.bad_frames)
        assert await wire.ask("0101000000083DCC", 6) == with_crc("01010101").hex(" ").upper()
        assert board.requests == 2


async def test_a_flood_is_cut_off_and_counted(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire):
        wire.write(bytes(1000))
        await until(lambda: board.bad_frames)
        assert board.overruns == 1000 - 512
        assert await wire.ask("0101000000083DCC", 6) == with_crc("01010100").hex(" ").upper()


async def test_others_frames_are_not_answered_and_broadcasts_only_obeyed(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path, device_id=7) as (board, wire):
        wire.write(with_crc("01050000FF00"))
        await settled(board)
        assert (board.requests, board.bad_frames) == (0, 0)
        wire.write(with_crc("00050000FF00"))
        async with asyncio.timeout(T_S):
            await board.terminals.wait_for_relay(1, energised=True)
        reply = with_crc("07010101")
        wire.write(with_crc("070100000008"))
        assert await wire.read(6) == reply  # the first and only bytes that ever came


async def settled(board: SimulatedRelayBoard) -> None:
    """The board has read what was written and made a frame of it."""
    await until(board._arrived.is_set)
    await until(lambda: not board._arrived.is_set())


async def test_request_and_reply_take_their_time_on_the_wire(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path, baud=9600) as (board, wire):
        began_ns = time.monotonic_ns()
        await wire.ask("01050000FF008C3A", 8)
        ended_ns = time.monotonic_ns()
    relay = board.terminals.relays[0]
    assert relay.received_ns is not None
    assert relay.applied_ns is not None
    byte_ns = 10 * 1e9 / 9600
    assert began_ns <= relay.received_ns
    assert relay.applied_ns - relay.received_ns >= (8 + 3.5) * byte_ns * 0.99
    assert ended_ns - relay.applied_ns >= 8 * byte_ns * 0.99


# ------------------------------------------------------------------------------ doors and people


async def test_a_door_opens_and_closes_and_its_contact_follows(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, _):
        assert board.terminals.inputs[:3] == [True, False, True]
        opened = await order(board, do="door", door=1, action="open")
        assert (opened["moved"], opened["locked"], opened["open"]) == (True, True, True)
        assert board.terminals.inputs[0] is False
        assert (await order(board, do="door", door=1, action="open"))["moved"] is False
        assert (await order(board, do="door", door=1, action="close"))["moved"] is True
        assert board.terminals.inputs[0] is True


async def test_a_polite_person_does_not_force_a_locked_door(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire):
        polite = {"do": "door", "door": 1, "action": "open", "only_if_unlocked": True}
        assert await order(board, **polite) == {
            "ok": True,
            "moved": False,
            "locked": True,
            "open": False,
        }
        await wire.ask("01050000FF008C3A", 8)
        assert (await order(board, **polite))["moved"] is True
        south = await order(board, do="door", door=2, action="open", only_if_unlocked=True)
        assert (south["moved"], south["locked"]) == (True, False)  # a magnet that is off


async def test_the_exit_button_is_active_while_it_is_pressed(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, _), asyncio.TaskGroup() as group:
        press = order(board, do="press_exit", door=1, hold_s=0.05)
        pressed = group.create_task(press, name="press")
        await until(lambda: board.terminals.inputs[1])
        reply = await pressed
        assert board.terminals.inputs[:2] == [True, False]
        assert reply["released_ns"] - reply["pressed_ns"] >= 49_000_000


async def test_waiting_for_a_relay_ends_when_it_moves_or_when_time_is_up(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire), asyncio.TaskGroup() as group:
        waiting = group.create_task(order(board, do="wait_relay", relay=1), name="wait")
        await asyncio.sleep(0)
        await wire.ask(with_crc("010500 01FF00".replace(" ", "")).hex(), 8)  # another one first
        assert not waiting.done()
        await wire.ask("01050000FF008C3A", 8)
        reply = await waiting
        assert reply["reached"] is True
        late = await order(board, do="wait_relay", relay=1, energised=False, timeout_s=0.01)
        assert late == {"ok": True, "reached": False}


async def test_the_status_tells_relays_doors_and_counts(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire):
        await wire.ask("01050000FF008C3A", 8)
        await wire.ask("01050000FF008C3A", 8)
        await order(board, do="input", input=8)
        status = await order(board, do="status")
    assert (status["requests"], status["bad_frames"], status["overruns"]) == (2, 0, 0)
    relay = status["relays"][0]
    assert (relay["energised"], relay["writes"], relay["times_on"]) == (True, 2, 1)
    assert status["inputs"][7] is True
    assert status["doors"][0] == {
        "door": 1,
        "name": "north",
        "open": False,
        "locked": False,
        "times_on": 1,
    }


@pytest.mark.parametrize(
    ("request_fields", "words"),
    [
        ({"do": "door", "door": 3, "action": "open"}, "no door 3: the board has 1 to 2"),
        ({"do": "door", "door": 1, "action": "kick"}, "open, close"),
        ({"do": "press_exit", "door": 2}, "no exit button"),
        ({"do": "input", "input": 9}, "no input 9"),
        ({"do": "wait_relay", "relay": 9}, "no relay 9"),
        ({"do": "fault", "kind": "stuck", "relay": 9, "state": "on"}, "no relay 9"),
        ({"do": "fault", "kind": "stuck", "relay": 1}, "on, off, free"),
    ],
)
async def test_a_wrong_order_says_what_the_board_has(
    request_fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    async with board_and_wire(tmp_path) as (board, _):
        assert words in (await order(board, **request_fields))["error"]


async def test_a_door_without_a_contact_cannot_be_seen_to_open(tmp_path: Path) -> None:
    async with SimulatedRelayBoard(tmp_path / "b", doors=(DoorWiring(1),)) as board:
        assert "contact=N" in (await order(board, do="door", door=1, action="open"))["error"]


# --------------------------------------------------------------------------------------- faults


async def test_a_silent_board_does_nothing_and_says_nothing(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire):
        await order(board, do="fault", kind="silence", times=1)
        wire.write(bytes.fromhex("01050000FF008C3A"))
        await settled(board)
        assert board.requests == 1
        assert await wire.ask("0101000000083DCC", 6) == with_crc("01010100").hex(" ").upper()


async def test_a_stuck_relay_echoes_the_write_and_reads_back_the_truth(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire):
        await order(board, do="fault", kind="stuck", relay=1, state="off")
        assert await wire.ask("01050000FF008C3A", 8) == "01 05 00 00 FF 00 8C 3A"
        assert await wire.ask("0101000000083DCC", 6) == with_crc("01010100").hex(" ").upper()
        await order(board, do="fault", kind="stuck", relay=1, state="on")
        assert await wire.ask("010500000000CDCA", 8) == "01 05 00 00 00 00 CD CA"
        assert await wire.ask("0101000000083DCC", 6) == with_crc("01010101").hex(" ").upper()
        await order(board, do="fault", kind="stuck", relay=1, state="free")
        assert await wire.ask("0101000000083DCC", 6) == with_crc("01010100").hex(" ").upper()


async def test_an_exception_is_given_and_nothing_moves(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path) as (board, wire):
        await order(board, do="fault", kind="exception", code=6, times=1)
        assert await wire.ask("01050000FF008C3A", 5) == with_crc("018506").hex(" ").upper()
        assert not any(board.terminals.coils)


async def test_noise_comes_unasked_and_around_the_reply(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path, seed=5) as (board, wire):
        await order(board, do="fault", kind="noise", times=1)
        reply = bytes.fromhex("01050000FF008C3A")
        wire.write(reply)
        data = b""
        async with asyncio.timeout(T_S):
            while reply not in data:
                data += await wire.read(1)
        assert len(data) > len(reply) + 1
        assert (await order(board, do="status"))["faults"] == {}


async def test_a_slow_board_answers_late_but_rightly(tmp_path: Path) -> None:
    async with board_and_wire(tmp_path, baud=9600) as (board, wire):
        await order(board, do="fault", kind="slow", factor=3)
        began_s = time.monotonic()
        assert await wire.ask("01050000FF008C3A", 8) == "01 05 00 00 FF 00 8C 3A"
        assert time.monotonic() - began_s >= (8 + 3.5 + (8 + 20) * 3) * 10 / 9600 * 0.99


async def test_an_unplugged_board_comes_back_with_its_relays_as_they_were(tmp_path: Path) -> None:
    link = tmp_path / "ttyBOARD"
    async with board_and_wire(tmp_path) as (board, wire):
        await wire.ask("01050000FF008C3A", 8)
        await order(board, do="fault", kind="unplug")
        assert not is_there(link)
        assert (await order(board, do="fault", kind="replug"))["plugged"]
        again = Wire(link)
        try:
            reply = await again.ask("0101000000083DCC", 6)
        finally:
            again.close()
        assert reply == with_crc("01010101").hex(" ").upper()
        await order(board, do="fault", kind="stuck", relay=2, state="on")
        await order(board, do="fault", kind="unplug")
        assert (await order(board, do="clear"))["plugged"]
        assert board.terminals.coils[:2] == [True, False]
        await order(board, do="fault", kind="unplug")
        os.mkdir(link)  # noqa: PTH102  # no wait on this disk
        assert "can't plug in again" in (await order(board, do="clear"))["error"]


# --------------------------------------------------------------------------------- command line


def test_a_door_is_read_from_its_option() -> None:
    text = "relay=2,contact=3,name=south,energised=locked"
    assert parse_door(text) == SOUTH
    assert parse_door("relay=1, contact=1, exit=2, name=north") == NORTH


@pytest.mark.parametrize(
    "text", ["contact=1", "relay=x", "relay=0", "relay=1,lock=2", "energised=?"]
)
def test_a_wrong_door_option_shows_a_right_one(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write"):
        parse_door(text)


@pytest.mark.parametrize("door", [DoorWiring(9), DoorWiring(1, contact=9), DoorWiring(1, exit=9)])
def test_a_door_on_a_terminal_the_board_lacks_is_refused(door: DoorWiring, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 to 8"):
        SimulatedRelayBoard(tmp_path / "b", doors=(door,))


def test_the_options_are_the_documented_ones() -> None:
    parser = argparse.ArgumentParser()
    relay_board.add_arguments(parser)
    args = parser.parse_args(["--link", "x", "--door", "relay=1", "--door", "relay=2"])
    assert args.door == [DoorWiring(1), DoorWiring(2)]
    assert (args.relays, args.inputs, args.device_id, args.baud) == (8, 8, 1, 9600)
