"""The OSDP drivers with simulated devices on a pty: opening, cards, keys, inputs and relays."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from drivers.buses import osdp as bus_driver
from drivers.buses.osdp import MAX_DEVICES, OsdpBusOptions, OsdpPlace
from drivers.buses.osdp_device import MAX_ORDERS, OsdpDevice
from drivers.buses.osdp_keys import read_key
from drivers.doors import osdp as board_driver
from drivers.doors.osdp import OsdpIoOptions
from drivers.protocols.osdp import commands
from drivers.protocols.osdp.replies import Ack
from drivers.readers import osdp as reader_driver
from drivers.readers.osdp import OsdpReaderOptions
from gatewayd.clock import SystemClock
from gatewayd.domain import wiegand
from gatewayd.domain.ports import (
    DeviceError,
    DriverContext,
    DriverKind,
    InputChanged,
    KeyPressed,
    Malformed,
    Offline,
    Online,
    PowerChanged,
    Presented,
    TamperChanged,
)
from simulators.osdp_device import BOARD, READER, OsdpModel, SimulatedOsdpDevice
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import SimulatedOsdpLine
from simulators.osdp_link import Answer
from simulators.osdp_wire import Cmd, Rep
from tests.protocols.transports.osdp_rig import (
    KEY,
    OTHER_KEY,
    Panel,
    card,
    device,
    just_before,
    of,
    online,
    panel_and_line,
    panel_at,
    tap,
)
from tests.simulators.waiting import until

BOTH = replace(READER, name="both", outputs=4, inputs=8)


# ------------------------------------------------------------------------------------ opening


async def test_a_device_with_a_key_is_opened_in_a_secure_channel(tmp_path: Path) -> None:
    reader = device(3)
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader(3)
        panel.start()
        told = await online(watched)
        assert isinstance(told[0], Online)
        assert told[0].detail == (
            "vendor 53494d model 1.1, serial 4099, firmware 1.0.0, secure channel"
        )
        assert told[1:] == [TamperChanged(active=False), PowerChanged(failed=False)]
        assert reader.secure
        assert not reader.secure_with_default_key
        assert await panel.ear.next() == Online()


@pytest.mark.parametrize("check", ["crc", "checksum"])
async def test_clear_text_is_spoken_where_the_settings_say_so(tmp_path: Path, check: str) -> None:
    reader = device(key=None)
    async with panel_and_line(tmp_path, reader, baud=38_400) as (panel, line):
        watched = panel.reader(key=None, check=check)
        panel.start()
        told = await online(watched)
        assert "clear text" in told[0].detail
        assert not reader.secure
        assert line.baud == 38_400
        bits = tap(reader)
        assert await card(watched) == bits


async def test_devices_of_one_line_are_all_heard(tmp_path: Path) -> None:
    readers = [device(address) for address in range(3)]
    async with panel_and_line(tmp_path, *readers) as (panel, line):
        all_watched = [panel.reader(address) for address in range(3)]
        panel.start()
        for watched in all_watched:
            await online(watched)
        for round_ in range(3):
            for reader, watched in zip(readers, all_watched, strict=True):
                bits = tap(reader, 10 * round_ + reader.address)
                assert await card(watched) == bits
        assert line.collisions == 0
        assert [reader.link.retries for reader in readers] == [0, 0, 0]


async def test_what_stands_is_told_to_whoever_listens_late(tmp_path: Path) -> None:
    both = device(model=BOTH)
    both.tamper = True
    both.inputs[1] = True
    async with panel_and_line(tmp_path, both) as (panel, _):
        first = panel.reader(runs=True)
        late, late_board = panel.reader(reader=1, runs=False), panel.board(0, runs=False, inputs=2)
        panel.start()
        await online(first)
        await both.wait_delivered(0)
        panel.run(late.driver.run(late.ear.emit))
        told = await online(late)
        assert [type(event) for event in told] == [Online, TamperChanged, PowerChanged]
        assert told[1] == TamperChanged(active=True)
        panel.run(late_board.driver.run(late_board.ear.emit))
        said: list[Any] = [await late_board.ear.next() for _ in range(5)]
        assert [type(event) for event in said[:3]] == [Online, TamperChanged, PowerChanged]
        assert [(event.input, event.active) for event in said[3:]] == [(1, False), (2, True)]


async def test_whoever_listens_after_the_device_has_gone_is_told_so(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, line):
        first = panel.reader()
        late, board = panel.reader(reader=1, runs=False), panel.board(0, runs=False)
        panel.start()
        await online(first)
        line.fault(OsdpFault.SILENCE, 0)
        await first.until(Offline)
        panel.run(late.driver.run(late.ear.emit))
        panel.run(board.driver.run(board.ear.emit))
        for ear in (late.ear, board.ear):
            told = await ear.until(lambda event: isinstance(event, Offline))
            assert Online not in map(type, told)


# ------------------------------------------------------------------------ cards, keys, state


async def test_a_card_held_to_the_reader_is_one_presentation(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader(debounce_ms=60_000)
        panel.start()
        await online(watched)
        held = [tap(reader, 7) for _ in range(3)]
        other, again = tap(reader, 8), tap(reader, 7)
        assert [await card(watched) for _ in range(3)] == [held[0], other, again]
        assert watched.ear.waiting == 0


async def test_without_debounce_each_reading_is_told(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader(debounce_ms=0)
        panel.start()
        await online(watched)
        bits = [tap(reader, 7) for _ in range(3)]
        assert [await card(watched) for _ in range(3)] == bits


async def test_a_card_carries_its_format_and_the_moment_it_came(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        panel.start()
        await online(watched)
        before_ns = panel.clock.monotonic_ns()
        tap(reader)
        event = await watched.ear.next()
        assert isinstance(event, Presented)
        assert (event.credential.format, event.credential.bit_count) == ("H10301", 26)
        assert before_ns < event.stamp.monotonic_ns <= panel.clock.monotonic_ns()


async def test_bits_sent_the_other_way_round_are_turned(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader(reversed_bits=True)
        panel.start()
        await online(watched)
        reader.present_card(26, 0b10_1000_0000_0000_0000_0000_0001)
        assert isinstance(await watched.ear.next(), Malformed)  # its parity is wrong
        bits = wiegand.encode("H10301", 2, 5)
        reader.present_card(26, int(f"{bits:026b}"[::-1], 2))
        assert await card(watched) == bits


async def test_a_card_of_unknown_length_is_malformed_unless_the_settings_take_it(
    tmp_path: Path,
) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        strict = panel.reader()
        lenient = panel.reader(accept_unknown_lengths=True)
        panel.start()
        await online(strict)
        await online(lenient)
        reader.present_card(40, 0xAB_CDEF_0123)
        assert isinstance(await strict.ear.next(), Malformed)
        assert await card(lenient) == 0xAB_CDEF_0123


async def test_keys_are_told_one_by_one_in_their_order(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        panel.start()
        await online(watched)
        reader.press_keys("1357*0", together=True)
        reader.press_keys("99#")
        told = [await watched.ear.next() for _ in range(9)]
        assert "".join(event.key for event in of(KeyPressed, told)) == "1357*099#"


async def test_tamper_and_power_are_told_when_they_change_and_only_then(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        panel.start()
        await online(watched)
        reader.set_tamper(True)
        assert await watched.ear.next() == TamperChanged(active=True)
        reader.set_power_failed(True)
        assert await watched.ear.next() == PowerChanged(failed=True)
        reader.set_tamper(False)
        reader.set_power_failed(False)
        assert await watched.ear.next() == TamperChanged(active=False)
        assert await watched.ear.next() == PowerChanged(failed=False)
        bits = tap(reader)
        assert await card(watched) == bits


async def test_a_reader_that_is_cut_off_from_its_device_is_away(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        board = panel.board(0)
        panel.start()
        there = of(Online, await online(watched))
        await online(board)
        reader.set_reader(0, 1)
        away = await watched.ear.next()
        assert isinstance(away, Offline)
        assert "not connected" in away.reason
        reader.set_reader(0, 0)
        assert await watched.ear.next() == there[0]
        bits = tap(reader)
        assert await card(watched) == bits
        reader.set_tamper(True)
        told = await board.until(TamperChanged)
        assert not of(Offline, told), "the device itself was there all the time"


async def test_of_reader_and_device_either_may_be_tampered_with(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        panel.start()
        await online(watched)
        reader.set_reader(0, 2)
        assert await watched.ear.next() == TamperChanged(active=True)
        reader.set_tamper(True)
        reader.set_reader(0, 0)  # one of them still is
        reader.set_tamper(False)
        assert await watched.ear.next() == TamperChanged(active=False)
        assert watched.ear.waiting == 0


async def test_a_reader_that_was_cut_off_before_the_box_came_is_told(tmp_path: Path) -> None:
    reader = device()
    reader.set_reader(0, 1)
    async with panel_and_line(tmp_path, reader) as (panel, line):
        watched = panel.reader()
        panel.start()
        told = await watched.until(Offline)
        assert of(Online, told)
        line.unplug()  # and that it is away now is no news
        line.replug()
        again = await watched.until(Online)
        assert not of(Offline, again)


def answering(reader: SimulatedOsdpDevice, code: int, data: bytes) -> None:
    """The next POLL gets this."""
    said = [Answer(code, data)]
    carry_out = reader.link._carry_out

    def once(command: Any, sent: bytes, sealed: bool) -> Answer:
        if command.code == Cmd.POLL and said:
            return said.pop()
        return carry_out(command, sent, sealed)

    reader.link._carry_out = once


async def test_a_card_as_characters_is_malformed_and_none_of_it_is_told(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        panel.start()
        await online(watched)
        answering(reader, 0x51, b"\0\0\4" + b"1234")
        told = await watched.ear.next()
        assert told == Malformed("a card as characters: set the reader to send raw bits")


async def test_cards_and_keys_of_another_reader_of_the_device_are_not_ours(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        first, second = panel.reader(), panel.reader(reader=1)
        panel.start()
        await online(first)
        await online(second)
        answering(reader, Rep.RAW, b"\1\0\x1a\0\x80\0\0\x40")  # of reader 1: all parities right
        assert isinstance(await second.ear.next(), Presented | Malformed)
        answering(reader, Rep.KEYPAD, b"\1\x015")
        told = await second.ear.next()
        assert isinstance(told, KeyPressed)
        answering(reader, 0x51, b"\1\0\0")
        assert isinstance(await second.ear.next(), Malformed)
        assert first.ear.waiting == 0


async def test_a_genuine_reply_that_makes_no_sense_is_told_and_harms_nobody(
    tmp_path: Path,
) -> None:
    both = device(model=BOTH)
    async with panel_and_line(tmp_path, both) as (panel, _):
        watched, board = panel.reader(), panel.board(0, inputs=0)
        panel.start()
        await online(watched)
        await online(board)
        answering(both, Rep.RAW, b"\0\0\x1a\0\xff")
        for told in (await watched.ear.next(), await board.ear.next()):
            assert told == Malformed("bit count of a RAW does not match its length")
        bits = tap(both)
        assert await card(watched) == bits


# ----------------------------------------------------------------------- outputs and inputs


async def test_inputs_are_told_once_after_online_and_then_as_they_change(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    simulated.inputs[2] = True
    async with panel_and_line(tmp_path, simulated) as (panel, _):
        board = panel.board(inputs=4)
        panel.start()
        await online(board)
        first = [await board.ear.next() for _ in range(4)]
        assert [(e.input, e.active) for e in of(InputChanged, first)] == [
            (1, False),
            (2, False),
            (3, True),
            (4, False),
        ]
        simulated.set_input(7, True)  # not in the settings
        simulated.set_input(0, True)
        simulated.set_input(2, False)
        both = [await board.ear.next() for _ in range(2)]
        assert [(e.input, e.active) for e in of(InputChanged, both)] == [(1, True), (3, False)]
        assert board.ear.waiting == 0


async def test_a_relay_is_switched_and_read_back(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, _):
        board = panel.board()
        panel.start()
        await online(board)
        board.driver.expect_order()
        await board.driver.set_relay(2, energised=True)
        assert [output.energised for output in simulated.outputs] == [False, True, False, False]
        await board.driver.set_relay(2, energised=False)
        async with asyncio.TaskGroup() as tg:
            for relay in range(1, 5):
                tg.create_task(board.driver.set_relay(relay, energised=True))
        assert [output.energised for output in simulated.outputs] == [True] * 4


async def test_an_unlocking_ends_on_the_board_where_the_box_dies_meanwhile(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    async with asyncio.timeout(20), SimulatedOsdpLine(tmp_path / "tty", [simulated], baud=115_200):
        async with panel_at(tmp_path / "tty") as panel:
            board = panel.board()
            panel.start()
            await online(board)
            await board.driver.set_relay(1, energised=True, for_s=0.1)
            await board.driver.set_relay(2, energised=True)
            await board.driver.set_relay(3, energised=True)
            await board.driver.set_relay(3, energised=False, for_s=0.1)  # a magnet that holds
        states = [output.energised for output in simulated.outputs]
        assert states == [True, True, False, False]
        await simulated.wait_for_output(0, False)
        await simulated.wait_for_output(2, True)
        assert simulated.outputs[1].energised  # nobody said that it should end


@pytest.mark.parametrize("for_s", [0.1, 7000.0])
async def test_a_board_that_can_not_time_its_outputs_is_told_plainly(
    tmp_path: Path, for_s: float
) -> None:
    old = replace(BOARD, output_level=1 if for_s < 1 else 3)  # the other time is too long to say
    simulated = device(1, old)
    async with panel_and_line(tmp_path, simulated) as (panel, _):
        board = panel.board()
        panel.start()
        await online(board)
        await board.driver.set_relay(1, energised=True, for_s=for_s)
        assert simulated.outputs[0].permanent
        assert simulated.link.refused == 0


async def test_a_board_that_refuses_what_it_says_it_can_is_told_plainly(tmp_path: Path) -> None:
    simulated = device(1, replace(BOARD, output_level=3))
    async with panel_and_line(tmp_path, simulated) as (panel, line):
        board = panel.board(inputs=0)
        panel.start()
        await online(board)
        just_before(panel, 0x68, lambda: line.fault(OsdpFault.NAK, 1, 1))
        await board.driver.set_relay(1, energised=True, for_s=5)
        assert simulated.outputs[0].permanent
        assert simulated.link.refused == 1


async def test_a_board_that_answers_out_with_its_outputs_is_not_asked_again(
    tmp_path: Path,
) -> None:
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, _):
        board = panel.board(inputs=0)
        panel.start()
        await online(board)
        carry_out, asked = simulated.link._carry_out, []

        def with_states(command: Any, data: bytes, sealed: bool) -> Answer:
            asked.append(command.code)
            answer = carry_out(command, data, sealed)
            if command.code != Cmd.OUT:
                return answer
            states = bytes(output.energised for output in simulated.outputs)
            return Answer(Rep.OSTATR, states)

        simulated.link._carry_out = with_states
        await board.driver.set_relay(1, energised=True)
        assert Cmd.OUT in asked
        assert Cmd.OSTAT not in asked


async def test_a_relay_that_reads_back_otherwise_is_a_device_error(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, _):
        board = panel.board()
        panel.start()
        await online(board)
        carry_out = simulated.link._carry_out
        simulated.link._carry_out = lambda command, data, sealed: (
            Answer(Rep.ACK) if command.code == Cmd.OUT else carry_out(command, data, sealed)
        )
        with pytest.raises(DeviceError, match="relay 3 was told to be energised and reads back"):
            await board.driver.set_relay(3, energised=True)
        simulated.link._carry_out = lambda command, data, sealed: (
            Answer(Rep.ACK)
            if command.code in {Cmd.OUT, Cmd.OSTAT}
            else carry_out(command, data, sealed)
        )
        with pytest.raises(DeviceError, match="relay 3 was told to be released and reads back"):
            await board.driver.set_relay(3, energised=False)


async def test_a_relay_that_does_not_exist_is_refused_by_the_settings_or_by_the_device(
    tmp_path: Path,
) -> None:
    async with panel_and_line(tmp_path, device(1, BOARD)) as (panel, _):
        board = panel.board(relays=6)
        panel.start()
        with pytest.raises(DeviceError, match="not online"):
            await board.driver.set_relay(1, energised=True)
        await online(board)
        for relay in (0, 7):
            with pytest.raises(DeviceError, match=r"board-1, OSDP address 1 of bus-1: there is no"):
                await board.driver.set_relay(relay, energised=True)
        with pytest.raises(DeviceError, match="refuses: NAK 9"):
            await board.driver.set_relay(6, energised=True)
        await board.driver.set_relay(4, energised=True)


async def test_an_answer_that_makes_no_sense_fails_the_order(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, _):
        board = panel.board()
        panel.start()
        await online(board)
        carry_out = simulated.link._carry_out
        simulated.link._carry_out = lambda command, data, sealed: (
            Answer(Rep.LSTATR, b"\0")
            if command.code == Cmd.OUT
            else carry_out(command, data, sealed)
        )
        with pytest.raises(DeviceError, match="length of a LSTATR"):
            await board.driver.set_relay(1, energised=True)


async def test_an_order_that_was_given_up_does_not_come_true_later(tmp_path: Path) -> None:
    """BUSY asks for the command again: after the caller was told that it failed it must not go."""
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, line):
        board = panel.board()
        panel.start()
        await online(board)
        just_before(panel, Cmd.OUT, lambda: line.fault(OsdpFault.BUSY, 1))
        with pytest.raises(DeviceError, match=r"relay 1 was not confirmed within 1\.5 s"):
            await board.driver.set_relay(1, energised=True)
        frames = line.frames
        await until(lambda: line.frames >= frames + 2)  # what was on the wire then has come to busy
        line.clear()
        await board.driver.set_relay(2, energised=True)
        assert simulated.outputs[0].times_on == 0
        assert of(Offline, [await board.ear.next() for _ in range(board.ear.waiting)]) == []


async def test_an_order_that_was_given_up_before_its_turn_is_never_sent(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, line):
        board = panel.board()
        panel.start()
        await online(board)
        line.fault(OsdpFault.BUSY, 1)
        frames = line.frames
        await until(lambda: line.frames >= frames + 3)  # a POLL that is repeated
        orders = [
            asyncio.create_task(board.driver.set_relay(relay, energised=True)) for relay in (1, 2)
        ]
        await asyncio.sleep(0)
        for order in orders:
            order.cancel()
        await asyncio.gather(*orders, return_exceptions=True)
        line.clear()
        await board.driver.set_relay(3, energised=True)
        assert [output.times_on for output in simulated.outputs] == [0, 0, 1, 0]


async def test_an_order_is_told_at_once_when_the_device_goes_away(tmp_path: Path) -> None:
    async with panel_and_line(tmp_path, device(1, BOARD)) as (panel, line):
        board = panel.board()
        panel.start()
        await online(board)
        line.fault(OsdpFault.SILENCE, 1)
        failed = [
            asyncio.create_task(board.driver.set_relay(relay, energised=True)) for relay in (1, 2)
        ]
        for order in failed:
            with pytest.raises(DeviceError, match="OSDP device 1: "):
                await order
        with pytest.raises(DeviceError):
            await board.driver.set_relay(1, energised=True)


async def test_orders_that_somebody_waits_for_go_before_signs(tmp_path: Path) -> None:
    both = device(model=BOTH)
    async with panel_and_line(tmp_path, both) as (panel, _):
        watched, board = panel.reader(), panel.board(0, inputs=0)
        panel.start()
        await online(watched)
        place = OsdpReaderOptions(**panel.place(0, KEY))
        shared = panel.bus.device(place)
        for _ in range(2 * MAX_ORDERS):
            shared.tell(commands.sound_buzzer(0, commands.Tone.OFF))
        await board.driver.set_relay(1, energised=True)
        assert both.buzzer.orders < MAX_ORDERS / 2


async def test_a_device_with_more_orders_than_it_can_take_says_so(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, line):
        board = panel.board()
        panel.start()
        await online(board)
        line.fault(OsdpFault.BUSY, 1)
        shared = panel.bus.device(OsdpIoOptions(**panel.place(1, KEY)))
        asked = [
            asyncio.create_task(shared.ask(commands.OUTPUT_STATUS)) for _ in range(MAX_ORDERS + 1)
        ]
        await asyncio.sleep(0)
        with pytest.raises(DeviceError, match="64 orders"):
            await asked[-1]
        shared.tell(commands.OUTPUT_STATUS)  # and no sign takes the place of an order
        for order in asked:
            order.cancel()
        await asyncio.gather(*asked, return_exceptions=True)


# --------------------------------------------------------------------- fairness of the turns


async def test_a_device_with_endless_orders_starves_nobody(tmp_path: Path) -> None:
    readers = [device(0), device(1)]
    async with panel_and_line(tmp_path, *readers) as (panel, _):
        busy, other = panel.reader(0), panel.reader(1)
        panel.start()
        await online(busy)
        await online(other)
        shared = panel.bus.device(OsdpReaderOptions(**panel.place(0, KEY)))

        async def endless() -> None:
            while True:
                assert isinstance(
                    await shared.ask(commands.sound_buzzer(0, commands.Tone.OFF)), Ack
                )

        orders = [asyncio.create_task(endless()) for _ in range(3)]
        for number in range(10):
            started = readers[0].buzzer.orders
            mine, others = tap(readers[0], number), tap(readers[1], number)
            assert await card(other) == others
            assert await card(busy) == mine
            assert readers[0].buzzer.orders - started <= 6
        for task in orders:
            task.cancel()
        await asyncio.gather(*orders, return_exceptions=True)


# ------------------------------------------------------------------------- places and settings


def a_panel(tmp_path: Path) -> Panel:
    return Panel(tmp_path / "nothing", tmp_path, asyncio.TaskGroup())


def test_a_reader_and_a_board_at_one_address_share_a_device(tmp_path: Path) -> None:
    panel = a_panel(tmp_path)
    reader = OsdpReaderOptions(**panel.place(5, KEY))
    board = OsdpIoOptions(**panel.place(5, KEY))
    assert panel.bus.device(reader) is panel.bus.device(board)
    assert repr(panel.bus.device(reader)) == "OsdpDevice(5)"


@pytest.mark.parametrize(
    "other",
    [{"key": OTHER_KEY}, {"key": None}, {"key": KEY, "check": "checksum"}],
)
def test_two_parts_at_one_address_must_agree(tmp_path: Path, other: dict[str, Any]) -> None:
    panel = a_panel(tmp_path)
    panel.bus.device(OsdpReaderOptions(**panel.place(5, KEY)))
    key = other.pop("key")
    with pytest.raises(ValueError, match="what is at address 5 must have the same key_file"):
        panel.bus.device(OsdpIoOptions(**panel.place(5, key), **other))


def test_a_bus_takes_32_devices(tmp_path: Path) -> None:
    panel = a_panel(tmp_path)
    for address in range(MAX_DEVICES):
        panel.bus.device(OsdpPlace(**panel.place(address, KEY)))
    panel.bus.device(OsdpPlace(**panel.place(0, KEY)))
    with pytest.raises(ValueError, match="more than 32 devices"):
        panel.bus.device(OsdpPlace(**panel.place(MAX_DEVICES, KEY)))


@pytest.mark.parametrize("content", [None, "", "00" * 15, "00" * 17, "no key", "é" * 32])
def test_a_file_without_a_key_is_refused_without_a_digit_of_it(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="must hold an OSDP key: 32 hexadecimal digits") as refused:
        read_key(path)
    assert not content or content not in str(refused.value)


def test_the_default_key_is_no_key(tmp_path: Path) -> None:
    panel = a_panel(tmp_path)
    with pytest.raises(ValueError, match="default key"):
        panel.bus.device(OsdpPlace(**panel.place(0, bytes(range(0x30, 0x40)))))


def test_a_place_is_either_secure_or_says_that_it_is_not(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="needs a key_file"):
        OsdpPlace(bus="bus-1", address=0)
    with pytest.raises(ValidationError, match="remove one of the two"):
        OsdpPlace(bus="bus-1", address=0, key_file=tmp_path / "key", clear_text=True)


def test_the_drivers_are_found_and_say_what_no_second_one_may_use(tmp_path: Path) -> None:
    found = {point.name: point.load() for point in entry_points(group="gatewayd.drivers")}
    for driver, kind in (
        (bus_driver.DRIVER, DriverKind.BUS),
        (reader_driver.DRIVER, DriverKind.READER),
        (board_driver.DRIVER, DriverKind.CONTROLLER),
    ):
        assert driver.kind is kind
        assert found.get(driver.name, driver) is driver
    bus = OsdpBusOptions(port="/dev/ttyUSB0")
    assert bus_driver.port_of(bus) == "/dev/ttyUSB0"
    place: dict[str, Any] = {"bus": "bus-1", "address": 4, "clear_text": True}
    assert reader_driver.port_of(OsdpReaderOptions(**place)) == "bus-1, address 4, reader 0"
    assert board_driver.port_of(OsdpIoOptions(**place)) == "bus-1, address 4, outputs and inputs"


def test_the_drivers_build_their_parts(tmp_path: Path) -> None:
    clock = SystemClock()
    bus = bus_driver.build(OsdpBusOptions(port="/dev/ttyUSB0"), DriverContext("bus-1", clock))
    place: dict[str, Any] = {"bus": "bus-1", "address": 4, "clear_text": True}
    context = DriverContext("part", clock, bus)
    reader_driver.build(OsdpReaderOptions(**place), context)
    board_driver.build(OsdpIoOptions(**place), context)
    shared = bus.device(OsdpPlace(**place))
    assert isinstance(shared, OsdpDevice)
    assert len(shared.parts) == 2


async def test_a_device_with_fewer_inputs_than_the_settings_say_is_told(tmp_path: Path) -> None:
    small = OsdpModel("board", readers=0, lights=0, rows=0, outputs=1, inputs=2)
    async with panel_and_line(tmp_path, device(0, small)) as (panel, _):
        board = panel.board(0, inputs=3)
        panel.start()
        told = await board.ear.until(lambda event: isinstance(event, Malformed))
        assert told[-1] == Malformed("the device has 2 inputs, and the settings say 3")
