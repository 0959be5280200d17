"""A line of simulated OSDP devices on a pseudo-terminal: its time, its faults, its orders."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import termios
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from simulators import osdp_command
from simulators.control import ControlClient, ControlError, obey
from simulators.osdp_command import parse_device, read_keys, write_keys
from simulators.osdp_device import BOARD, SimulatedOsdpDevice
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import SimulatedOsdpLine
from tests.simulators import osdp_panel as p
from tests.simulators.osdp_panel import KEY, LinePanel, Panel, PanelError
from tests.simulators.waiting import T_S, Tty, is_there, until

BAUD = 115_200
OTHER_KEY = bytes(16)


@asynccontextmanager
async def line_and_wire(
    tmp_path: Path, **options: Any
) -> AsyncIterator[tuple[SimulatedOsdpLine, LinePanel]]:
    """A reader at 0 and a board at 1."""
    link = tmp_path / "ttyOSDP"
    devices = [SimulatedOsdpDevice(0, key=KEY), SimulatedOsdpDevice(1, BOARD, key=KEY)]
    async with SimulatedOsdpLine(link, devices, **{"baud": BAUD, **options}) as line:
        wire = LinePanel(link, line)
        try:
            yield line, wire
        finally:
            wire.close()


async def order(line: SimulatedOsdpLine, **request: Any) -> dict[str, Any]:
    return await obey(line.controls(), json.dumps(request).encode())


# ------------------------------------------------------------------------------------ the wire


async def test_each_device_answers_its_own_address(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        reader, board = Panel(0), Panel(1)
        for _ in range(3):
            assert (await wire.ask(reader, p.POLL)).code == p.ACK
            assert (await wire.ask(board, p.POLL)).code == p.ACK
        assert (await wire.ask(board, p.ISTAT)).data == bytes(8)
        assert (await wire.ask(reader, p.ISTAT)).code == p.NAK
        assert [device.online for device in line.devices] == [True, True]
        assert (line.frames, line.replies, line.collisions) == (8, 8, 0)


async def test_a_session_opens_over_the_line_and_a_card_comes_through(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        device = line.device(0)
        panel = p.DirectPanel(device)  # for its checks
        await wire.ask(panel, p.POLL)
        wire.write(panel.build(p.CHLNG, p.NONCE, b"\3\x11\1"))
        cryptogram = panel.believe_challenge(panel.read(await wire.frame()), KEY, 1)
        wire.write(panel.build(p.SCRYPT, cryptogram, b"\3\x13\1"))
        panel.believe_rmac(panel.read(await wire.frame()), cryptogram)
        await device.wait_secure()
        device.present_card(26, 0x3FFFFFF)
        reply = await wire.ask(panel, p.POLL)
        assert (reply.code, reply.data) == (p.RAW, b"\0\0\x1a\0\xff\xff\xff\xc0")
        await device.wait_delivered(1)


async def test_both_directions_take_their_time(tmp_path: Path) -> None:
    """8 bytes each way at 1200 baud: 133 ms, and the device's own 20 ms."""
    async with line_and_wire(tmp_path, baud=1200, reply_delay_s=0.02) as (line, wire):
        began_s = time.monotonic()
        await wire.ask(Panel(0), p.POLL)
        assert time.monotonic() - began_s >= 16 * 10 / 1200 + 0.02
        assert line.busy_s == pytest.approx(16 * 10 / 1200)


async def test_the_client_sets_the_pace_and_a_device_of_another_pace_is_deaf(
    tmp_path: Path,
) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        panel = Panel(0)
        set_baud(wire, termios.B38400)
        wire.write(panel.build(p.POLL))
        await until(lambda: line.frames == 1)
        assert (line.baud, line.replies) == (38400, 0)
        set_baud(wire, termios.B115200)
        moved = p.COMSET, b"\0" + (38400).to_bytes(4, "little")
        assert (await wire.ask(panel, *moved)).code == p.COM
        set_baud(wire, termios.B38400)
        panel.restart()
        assert (await wire.ask(panel, p.POLL)).code == p.ACK


def set_baud(wire: LinePanel, speed: int) -> None:
    attributes = termios.tcgetattr(wire._fd)
    attributes[4] = attributes[5] = speed
    termios.tcsetattr(wire._fd, termios.TCSANOW, attributes)


async def test_a_broadcast_is_answered_by_all_at_once(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        raw = await wire.all_of_reply(Panel(0x7F).build(p.POLL))
        with pytest.raises(PanelError):
            Panel(0x7F).read(raw)
        assert line.collisions == 1


async def test_who_speaks_while_a_reply_goes_out_is_not_heard(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path, baud=1200) as (line, wire):
        wire.write(Panel(0).build(p.POLL))
        head = await wire.read(1)
        wire.write(Panel(1).build(p.POLL))
        await until(lambda: line.collisions == 8)
        assert Panel(0).read(head + await wire.read(7)).code == p.ACK
        assert (line.frames, line.replies) == (1, 1)


async def test_a_device_goes_offline_by_the_clock_of_the_line(tmp_path: Path) -> None:
    link = tmp_path / "ttyOSDP"
    device = SimulatedOsdpDevice(0, offline_s=0.01)
    async with SimulatedOsdpLine(link, [device], baud=BAUD) as line, asyncio.timeout(T_S):
        wire = LinePanel(link, line)
        await wire.ask(Panel(0), p.POLL)
        await device.wait_online(online=False)
        wire.close()


def test_two_devices_can_not_start_at_one_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="same address"):
        SimulatedOsdpLine(tmp_path / "tty", [SimulatedOsdpDevice(0), SimulatedOsdpDevice(0)])


# ---------------------------------------------------------------------------------- its faults


async def test_a_lost_byte_makes_no_reply_and_the_retry_gets_through(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        panel = Panel(0)
        line.fault(OsdpFault.LOSS, times=1, amount=1.0)
        wire.write(panel.build(p.POLL))
        await until(lambda: line.busy_s > 0)
        assert line.frames == 0
        assert (await wire.ask(panel, p.POLL)).code == p.ACK


async def test_loss_at_one_device_spares_the_others(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        line.fault(OsdpFault.LOSS, device=0, amount=0.5)
        wire.write(Panel(0).build(p.POLL))  # 8 bytes: one of 256 gets through
        await until(lambda: line.frames == 1)
        assert (await wire.ask(Panel(1), p.POLL)).code == p.ACK
        assert line.replies == 1


async def test_losses_repeat_with_the_seed(tmp_path: Path) -> None:
    async def received(seed: int) -> bytes:
        folder = tmp_path / str(time.monotonic_ns())
        folder.mkdir()
        async with line_and_wire(folder, seed=seed) as (line, wire):
            raw = Panel(1).build(p.ISTAT)
            line.device(1).fault(OsdpFault.CORRUPT)
            return b"".join([await wire.all_of_reply(raw) for _ in range(4)])

    assert await received(3) == await received(3)
    assert await received(3) != await received(4)


async def test_noise_surrounds_the_reply(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        honest = await wire.all_of_reply(Panel(0).build(p.POLL))
        line.fault(OsdpFault.NOISE, times=1)
        raw = await wire.all_of_reply(Panel(0).build(p.POLL))
        assert 0 < raw.index(honest) < len(raw) - len(honest)


async def test_interference_flips_a_bit_and_leaves_the_check(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        honest = await wire.all_of_reply(Panel(0).build(p.POLL))
        line.fault(OsdpFault.CORRUPT, device=0, times=1)
        raw = await wire.all_of_reply(Panel(0).build(p.POLL))
        assert sum((a ^ b).bit_count() for a, b in zip(raw, honest, strict=True)) == 1


async def test_half_a_reply_is_its_first_half(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        line.fault(OsdpFault.HALF, times=1)
        honest = p.Panel(0).build(p.POLL)[:1] + b"\x80"
        assert (await wire.all_of_reply(Panel(0).build(p.POLL)))[:2] == honest
        assert len(await wire.all_of_reply(Panel(0).build(p.POLL))) == 8


async def test_half_is_four_of_eight_bytes(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        line.fault(OsdpFault.HALF)
        assert len(await wire.all_of_reply(Panel(0).build(p.POLL))) == 4


@pytest.mark.parametrize(("kind", "amount", "least_s"), [("late", None, 0.25), ("slow", 100, 0.06)])
async def test_a_late_or_slow_reply_comes_late_and_whole(
    tmp_path: Path, kind: str, amount: float | None, least_s: float
) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        line.fault(OsdpFault(kind), device=0, times=1, amount=amount)
        began_s = time.monotonic()
        assert (await wire.ask(Panel(0), p.POLL)).code == p.ACK
        assert time.monotonic() - began_s >= least_s


async def test_a_dead_device_hears_nothing_and_the_others_live(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        line.fault(OsdpFault.SILENCE, device=0)
        wire.write(Panel(0).build(p.POLL))
        await until(lambda: line.frames == 1)
        assert (await wire.ask(Panel(1), p.POLL)).code == p.ACK
        assert (line.replies, line.device(0).online) == (1, False)
        line.clear()
        assert (await wire.ask(Panel(0), p.POLL)).code == p.ACK


async def test_two_devices_at_one_address_garble_each_other(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        line.fault(OsdpFault.DUPLICATE_ADDRESS, device=0)
        raw = await wire.all_of_reply(Panel(0).build(p.POLL))
        with pytest.raises(PanelError):
            Panel(0).read(raw)
        assert len(raw) > 8
        assert line.collisions == 1
        line.clear()
        assert (await wire.ask(Panel(0), p.POLL)).code == p.ACK


async def test_comset_to_a_taken_address_makes_two_of_it(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        await wire.ask(Panel(0), p.COMSET, b"\1" + BAUD.to_bytes(4, "little"))
        await wire.all_of_reply(Panel(1).build(p.POLL))
        assert line.collisions == 1


async def test_the_adapter_goes_away_and_comes_back(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        await wire.ask(Panel(0), p.POLL)
        line.fault(OsdpFault.UNPLUG)
        await until(wire.hung_up)
        assert not is_there(tmp_path / "ttyOSDP")
        line.replug()
        again = LinePanel(tmp_path / "ttyOSDP", line)
        assert (await again.ask(Panel(0), p.POLL)).code == p.ACK
        again.close()
        with pytest.raises(ControlError, match="name no device"):
            line.fault(OsdpFault.UNPLUG, device=0)


async def test_a_fault_of_no_device_is_of_each(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        line.fault(OsdpFault.NAK, times=1, amount=3)
        assert [(await wire.ask(Panel(at), p.POLL)).code for at in (0, 1)] == [p.NAK, p.NAK]
        with pytest.raises(KeyError):
            line.fault(OsdpFault.NAK, device=9)


# ---------------------------------------------------------------------------------- its orders


async def test_orders_do_what_people_do(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        reader, board = Panel(0), Panel(1)
        assert (await order(line, do="card", device=0, bits=26, value="1"))["queued"] is False
        await wire.ask(reader, p.POLL)
        await wire.ask(board, p.POLL)
        assert (await order(line, do="card", device=0, bits=26, value="3FFFFFF"))["queued"] is True
        assert (await order(line, do="keys", device=0, keys="1#"))["queued"] is True
        assert (await order(line, do="tamper", device=0))["tamper"] is True
        assert (await order(line, do="input", device=1, input=7))["inputs"][7] is True
        assert (await order(line, do="power", device=1, action="fail"))["power_failed"] is True
        codes = [(await wire.ask(reader, p.POLL)).code for _ in range(5)]
        assert codes == [p.RAW, p.KEYPAD, p.KEYPAD, p.LSTATR, p.ACK]
        assert (await wire.ask(board, p.POLL)).data == bytes(7) + b"\1"
        assert (await wire.ask(board, p.POLL)).data == b"\0\1"
        assert (await order(line, do="power", device=1))["ok"]
        assert not line.device(1).online
        status = await order(line, do="status")
        assert [each["address"] for each in status["devices"]] == [0, 1]
        assert KEY.hex() not in json.dumps(status).lower()


async def test_a_plain_readers_orders_are_answered_once_the_panel_has_it(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        reader = Panel(0)
        gone = await order(line, do="present", device=0, bits=26, value="1")
        assert (gone["sent"], gone["sent_ns"]) == (False, None)
        await wire.ask(reader, p.POLL)
        card = asyncio.create_task(order(line, do="present", device=0, bits=26, value="3FFFFFF"))
        await until(lambda: line.device(0).waiting == 1)
        assert not card.done()
        assert (await wire.ask(reader, p.POLL)).code == p.RAW
        assert (await card)["sent"] is True
        typed = asyncio.create_task(order(line, do="press", device=0, keys="1#", gap_s=0))
        codes: list[int] = []
        while not typed.done():
            codes.append((await wire.ask(reader, p.POLL)).code)
        assert codes.count(p.KEYPAD) == 2
        assert typed.result()["sent"] is True
        lost = asyncio.create_task(order(line, do="present", device=0, bits=26, value="1"))
        await until(lambda: line.device(0).waiting == 1)
        line.device(0).power_cycle()
        assert (await lost)["sent"] is False
        wrong = await order(line, do="present", device=0, bits=26, value="nothing")
        assert wrong["ok"] is False
        assert (await order(line, do="status"))["keypad"] is True


async def test_orders_wait_for_lights_and_outputs(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        late = await order(line, do="wait_light", device=0, colour="green", timeout_s=0)
        assert (late["reached"], late["colour"]) == (False, "red")
        green = asyncio.create_task(order(line, do="wait_light", device=0, colour="green"))
        await wire.ask(Panel(0), p.LED, b"\0\0" + bytes(7) + b"\1\1\0\2\0")
        assert (await green)["reached"] is True
        on = asyncio.create_task(order(line, do="wait_output", device=1, output=2))
        await wire.ask(Panel(1), p.OUT, b"\2\2\0\0")
        assert (await on)["times_on"] == 1
        never = await order(line, do="wait_secure", device=0, timeout_s=0)
        assert never["reached"] is False


async def test_faults_are_ordered_and_cleared(tmp_path: Path) -> None:
    async with line_and_wire(tmp_path) as (line, wire):
        assert (await order(line, do="fault", kind="late", times=3, amount=0.3))["faults"] == {
            "late": 3
        }
        assert (await order(line, do="fault", kind="nak", device=1))["ok"]
        assert line.device(1).faults.status() == {"nak": None}
        assert (await order(line, do="fault", kind="unplug"))["plugged"] is False
        assert (await order(line, do="clear"))["plugged"] is True
        assert (line.faults.status(), line.device(1).faults.status()) == ({}, {})
        again = LinePanel(tmp_path / "ttyOSDP", line)
        assert (await order(line, do="fault", kind="noise", times=1))["ok"]
        await until(again.read_some)  # at once, with nobody asking
        again.close()
        assert (await order(line, do="fault", kind="unplug"))["plugged"] is False
        assert (await order(line, do="replug"))["plugged"] is True
        assert wire.hung_up()


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"do": "card", "bits": 26, "value": "1"}, "'device' must be"),
        ({"do": "card", "device": 5, "bits": 26, "value": "1"}, "its devices: 0, 1"),
        ({"do": "card", "device": 0, "bits": 26, "value": "7654321FF"}, "a card has"),
        ({"do": "card", "device": 0, "bits": 26, "value": "0x1"}, "hex digits"),
        ({"do": "card", "device": 1, "bits": 26, "value": "1"}, "has no reader"),
        ({"do": "keys", "device": 0, "keys": "12A"}, "keys must be"),
        ({"do": "input", "device": 0, "input": 0}, "no input 0"),
        ({"do": "power", "device": 0, "action": "on"}, "'action' must be one of"),
        ({"do": "wait_light", "device": 0, "light": 1, "colour": "red"}, "no light 1"),
        ({"do": "wait_light", "device": 0, "colour": "pink"}, "'colour' must be one of"),
        ({"do": "wait_output", "device": 0, "output": 0}, "no output 0"),
        ({"do": "wait_secure", "device": 0, "timeout_s": 99}, "'timeout_s' is 99"),
        ({"do": "fault", "kind": "loss", "amount": 2}, "'amount' is 2"),
        ({"do": "fault", "kind": "unplug", "device": 0}, "name no device"),
        ({"do": "fault", "kind": "plague"}, "'kind' must be one of"),
    ],
)
async def test_a_wrong_order_says_what_to_write(
    tmp_path: Path, request_: dict[str, Any], words: str
) -> None:
    async with line_and_wire(tmp_path) as (line, _):
        reply = await order(line, **request_)
        assert reply["ok"] is False
        assert words in reply["error"]
        assert "7654321FF" not in reply["error"]


# --------------------------------------------------------------------------- the command line


def test_devices_on_the_command_line() -> None:
    address, model = parse_device("1:board,outputs=2,inputs=3,secure-only")
    assert (address, model.outputs, model.inputs, model.secure_only) == (1, 2, 3, True)
    assert parse_device("0:reader")[1].readers == 1
    for text in ("reader", "127:reader", "0:door", "x:board", "0:board,outputs=99", "0:board,x=1"):
        with pytest.raises(argparse.ArgumentTypeError, match="0:reader or"):
            parse_device(text)


def test_keys_are_read_and_written_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# keys\n0 {KEY.hex()}  # north\n\n1 {OTHER_KEY.hex()}\n")
    assert read_keys(path) == {0: KEY, 1: OTHER_KEY}
    write_keys(path, {5: KEY})
    assert read_keys(path) == {5: KEY}
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_wrong_line_of_keys_is_named_but_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"0 {KEY.hex()}\n1 {KEY.hex()[:-1]}\n")
    with pytest.raises(ValueError, match="line 2") as caught:
        read_keys(path)
    assert KEY.hex()[:8] not in str(caught.value)


async def test_the_command_starts_takes_orders_keeps_a_new_key_and_quits(tmp_path: Path) -> None:
    link, control, keys = tmp_path / "tty", tmp_path / "control", tmp_path / "keys"
    keys.write_text(f"0 {KEY.hex()}\n")
    arguments = ["--link", link, "--baud", "115200", "--device", "0:reader", "--device", "1:board"]
    arguments += ["--key-file", keys, "--control", control]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "simulators.cli",
        osdp_command.NAME,
        *map(str, arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(T_S):
            word, _, rest = (await process.stdout.readline()).decode().partition(" ")
            ready = json.loads(rest)
            assert (word, ready["link"], ready["control"]) == ("ready", str(link), str(control))
            assert ready["devices"] == [
                {"address": 0, "model": "reader"},
                {"address": 1, "model": "board"},
            ]
            await pair(link)
            async with ControlClient(control) as client:
                status = await client.ask({"do": "status"})
                assert [each["default_key"] for each in status["devices"]] == [False, False]
            assert read_keys(keys) == {0: KEY, 1: OTHER_KEY}
            process.stdin.write(b"quit\n")
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert not is_there(link)


async def pair(link: Path) -> None:
    """Give the board, which is as new, a key over the default key's session."""
    default_key = bytes(range(0x30, 0x40))
    wire = Tty(link)

    class Remote(p.DirectPanel):
        """Its checks only; there is no device in this process."""

    panel = Remote(SimulatedOsdpDevice(1))

    async def ask(code: int, data: bytes, block: bytes) -> p.Reply:
        wire.write(panel.build(code, data, block))
        head = await wire.read(4)
        return panel.read(head + await wire.read(int.from_bytes(head[2:4], "little") - 4))

    await ask(p.POLL, b"", b"")
    reply = await ask(p.CHLNG, p.NONCE, b"\3\x11\0")
    cryptogram = panel.believe_challenge(reply, default_key, 0)
    panel.believe_rmac(await ask(p.SCRYPT, cryptogram, b"\3\x13\0"), cryptogram)
    assert (await ask(p.KEYSET, b"\1\x10" + OTHER_KEY, b"")).code == p.ACK
    wire.close()
