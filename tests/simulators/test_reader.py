"""The simulated reader's bytes on a real pty, their pace, and its faults."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
import serial
from hypothesis import given
from hypothesis import strategies as st

from simulators import present
from simulators import reader as reader_module
from simulators.control import ControlError, obey
from simulators.pty_line import PtyLine
from simulators.reader import Presentation, SimulatedReader
from simulators.reader_frames import KINDS, LineForm, frame_of
from tests.simulators.waiting import Tty, is_there, until

TAG = "100086F444"  # checksum 26, printed 0008844356
TAG_FRAMES = {"id12": b"\x02100086F44426\r\n\x03", "rdm6300": b"\x02100086F44426\x03"}


async def order(reader: SimulatedReader, **request: Any) -> dict[str, Any]:
    return await obey(reader.controls(), json.dumps(request).encode())


@pytest.mark.parametrize(
    ("kind", "bits", "value", "frame"),
    [
        ("id12", 40, TAG, TAG_FRAMES["id12"]),
        ("rdm6300", 40, TAG, TAG_FRAMES["rdm6300"]),
        ("wiegand-hex", 26, "1abcdef", b"26,1ABCDEF\r\n"),
        ("wiegand-hex", 37, "0000000001", b"37,0000000001\r\n"),
        ("wiegand-hex", 4, "f", b"4,F\r\n"),
        ("wiegand-binary", 26, "1ABCDEF", b"\x02\x1a\x01\xab\xcd\xef\x92\x03"),
        ("wiegand-binary", 8, "ff", b"\x02\x08\xff\xf7\x03"),
    ],
)
async def test_a_card_is_sent_by_the_rules_of_the_wire(
    kind: str, bits: int, value: str, frame: bytes, link: Path
) -> None:
    async with SimulatedReader(kind, link, baud=115_200) as reader:
        with serial.Serial(str(link), 115_200, timeout=5) as line:
            sent = await reader.present(bits, value)
            assert line.read(len(frame)) == frame
            assert line.in_waiting == 0
    assert (sent.sent, sent.frames, sent.count) == (True, 1, 1)


@pytest.mark.parametrize(
    ("form", "text", "frame"),
    [
        (None, "YX-7f3K", b"YX-7f3K\r\n"),
        (LineForm("utf-8", end="lf"), "京A12345", b"\xe4\xba\xacA12345\n"),
        (LineForm("gb18030", end="cr"), "京A12345", b"\xbe\xa9A12345\r"),
        (LineForm(prefix="]Q1", suffix="\x03"), "YX", b"]Q1YX\x03\r\n"),
    ],
)
async def test_a_text_is_sent_as_the_scanner_is_set(
    form: LineForm | None, text: str, frame: bytes, link: Path
) -> None:
    async with SimulatedReader("line", link, form=form, baud=115_200) as reader:
        with serial.Serial(str(link), 115_200, timeout=5) as line:
            reply = await order(reader, do="present", text=text)
            assert line.read(len(frame)) == frame
            assert line.in_waiting == 0
    assert (reply["sent"], reply["frames"], reply["count"]) == (True, 1, 1)


async def test_a_code_that_is_held_there_is_sent_again(link: Path, clients: list[Tty]) -> None:
    async with SimulatedReader("line", link, baud=115_200) as reader:
        clients.append(Tty(link))
        sent = await reader.show("YX", hold_s=0.6)
        assert sent.frames == 2
        assert await clients[0].read(8) == b"YX\r\n" * 2


@pytest.mark.parametrize(
    ("kind", "request_", "told"),
    [
        ("line", {"text": ""}, "'text' must be 1 to 600 characters on one line"),
        ("line", {"text": "SECRET\n1"}, "'text' must be 1 to 600 characters on one line"),
        ("line", {"text": "x" * 601}, "'text' must be a string of at most 600"),
        ("line", {"bits": 40, "value": TAG}, "write 'text', or 'bits' and 'value', not both"),
        ("line", {}, "'text' must be a string"),
        ("id12", {"text": "SECRET"}, "id12 sends no text: start a reader of --kind line"),
        ("id12", {"text": "YX", "bits": 40, "value": TAG}, "not both"),
    ],
)
async def test_what_a_reader_can_not_send_is_refused_without_repeating_it(
    kind: str, request_: dict[str, Any], told: str, link: Path
) -> None:
    async with SimulatedReader(kind, link) as reader:
        reply = await order(reader, do="present", **request_)
    assert not reply["ok"]
    assert told in reply["error"]
    assert "SECRET" not in reply["error"]


async def test_a_line_reader_has_no_cards_checksums_keys_or_letters_beyond_its_encoding(
    link: Path,
) -> None:
    async with SimulatedReader("line", link) as reader:
        with pytest.raises(ValueError, match="a line reader sends text"):
            await reader.present(40, TAG)
        for kind in ("bad_checksum", "bad_parity"):
            reply = await order(reader, do="fault", kind=kind)
            assert reply["error"] == "a line carries neither checksum nor parity: use half or noise"
        assert "no keypad" in (await order(reader, do="press", keys="1#"))["error"]
        with pytest.raises(ValueError, match="has a character that utf-8 has not"):
            await reader.show("a\ud800")
    with pytest.raises(ValueError, match="id12 sends no text"):
        SimulatedReader("id12", link, form=LineForm())
    with pytest.raises(ValueError, match="no encoding 'gbk'; known: utf-8, gb18030"):
        LineForm("gbk")
    with pytest.raises(ValueError, match="no line end 'nl'; known: cr, lf, crlf"):
        LineForm(end="nl")


async def test_half_a_line_is_half_of_its_bytes(link: Path, clients: list[Tty]) -> None:
    async with SimulatedReader("line", link, baud=115_200) as reader:
        clients.append(Tty(link))
        reader.fault("half", times=1)
        await reader.show("ABCDEF")
        assert await clients[0].read(4) == b"ABCD"
        await reader.show("ABCDEF")
        assert await clients[0].read(8) == b"ABCDEF\r\n"


async def test_a_pass_is_shown_from_the_command_line(
    tmp_path: Path, link: Path, clients: list[Tty], capsys: pytest.CaptureFixture[str]
) -> None:
    control = tmp_path / "control"
    async with SimulatedReader("line", link, baud=115_200, control=control):
        clients.append(Tty(link))
        parser = argparse.ArgumentParser()
        present.add_arguments(parser)
        shown = parser.parse_args(["--control", str(control), "--text", "京A12345"])
        assert await present.run(shown) == 0
        assert await clients[0].read(11) == "京A12345\r\n".encode()
        assert json.loads(capsys.readouterr().out)["sent"] is True
        refused = parser.parse_args(["--control", str(control), "--card", f"40:{TAG}"])
        with pytest.raises(ValueError, match=r"control: present: write 'text', or 'bits'"):
            await present.run(refused)
    with pytest.raises(OSError, match=r"no reader answers at .*--control PATH"):
        await present.run(shown)
    for wrong in (["--card", "40"], ["--text", "a", "--card", f"40:{TAG}"], []):
        with pytest.raises(SystemExit):
            parser.parse_args(["--control", "x", *wrong])


async def test_a_card_is_shown_from_the_command_line(
    tmp_path: Path, link: Path, clients: list[Tty]
) -> None:
    control = tmp_path / "control"
    async with SimulatedReader("id12", link, baud=115_200, control=control):
        clients.append(Tty(link))
        parser = argparse.ArgumentParser()
        present.add_arguments(parser)
        await present.run(parser.parse_args(["--control", str(control), "--card", f"40:{TAG}"]))
        assert await clients[0].read(16) == TAG_FRAMES["id12"]


@given(st.integers(0, (1 << 40) - 1))
def test_a_tag_and_its_checksum_cancel_out(number: int) -> None:
    frame = frame_of("rdm6300", 40, number)
    data = bytes.fromhex(frame[1:13].decode())
    assert int.from_bytes(data[:5], "big") == number
    assert data[0] ^ data[1] ^ data[2] ^ data[3] ^ data[4] == data[5]


async def test_bytes_take_their_time_on_the_wire(link: Path) -> None:
    async with SimulatedReader("rdm6300", link, baud=9600) as reader:
        began_ns = time.monotonic_ns()
        sent = await reader.present(40, TAG)
        assert sent.sent_ns is not None
        assert (sent.sent_ns - began_ns) / 1e9 >= 14 * 10 / 9600


async def test_a_fragment_comes_before_the_rest_is_written(link: Path, clients: list[Tty]) -> None:
    async with SimulatedReader("id12", link, baud=1200) as reader:
        clients.append(Tty(link))
        async with asyncio.TaskGroup() as group:
            group.create_task(order(reader, do="present", bits=40, value=TAG), name="card")
            parts: list[bytes] = []

            def whole() -> bool:
                parts.append(clients[0].read_some())
                return sum(len(part) for part in parts) == 16

            await until(whole)
    pieces = [part for part in parts if part]
    assert len(pieces) > 3
    assert b"".join(pieces) == TAG_FRAMES["id12"]


async def test_an_rdm6300_repeats_a_held_tag_every_50_ms_and_an_id12_does_not(
    link: Path, clients: list[Tty]
) -> None:
    for kind, frames in (("rdm6300", 4), ("id12", 1)):
        async with SimulatedReader(kind, link, baud=115_200) as reader:
            clients.append(Tty(link))
            sent = await reader.present(40, TAG, hold_s=0.16)
            expected = TAG_FRAMES[kind] * sent.frames
            assert await clients[-1].read(len(expected)) == expected
        assert sent.first_ns is not None
        assert sent.sent_ns is not None
        assert 1 <= sent.frames <= frames  # a busy machine leaves repeats out
        if sent.frames == 4:
            assert (sent.sent_ns - sent.first_ns) / 1e9 == pytest.approx(0.15, abs=0.04)


async def test_cards_shown_at_once_go_one_after_the_other(link: Path, clients: list[Tty]) -> None:
    async with SimulatedReader("wiegand-hex", link, baud=38_400) as reader:
        clients.append(Tty(link))
        cards = [f"{i:07X}" for i in range(1, 6)]
        results = await asyncio.gather(*(reader.present(26, card) for card in cards))
        expected = b"".join(f"26,{card}\r\n".encode() for card in cards)
        assert await clients[0].read(len(expected)) == expected
    assert [result.count for result in results] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("kind", "bits", "value", "words"),
    [
        ("id12", 26, "1", "40 bits"),
        ("wiegand-hex", 26, "4000000", "more than 26 bits"),
        ("wiegand-hex", 26, "0x12", "hex digits without 0x"),
        ("wiegand-hex", 26, "", "hex digits"),
        ("wiegand-hex", 26, "1_0", "hex digits"),
        ("wiegand-hex", 0, "1", "'bits' must be"),
    ],
)
async def test_a_card_the_reader_cannot_send_is_refused_without_its_number(
    kind: str, bits: int, value: str, words: str, link: Path
) -> None:
    async with SimulatedReader(kind, link) as reader:
        reply = await order(reader, do="present", bits=bits, value=value)
    assert words in reply["error"]
    assert "4000000" not in reply["error"]


async def test_bits_beyond_a_byte_are_refused(link: Path) -> None:
    async with SimulatedReader("wiegand-binary", link) as reader:
        with pytest.raises(ValueError, match="from 1 to 255"):
            await reader.present(256, "1")


def test_an_unknown_kind_names_the_known_ones(link: Path) -> None:
    with pytest.raises(ValueError, match="known: id12"):
        SimulatedReader("osdp", link)


# --------------------------------------------------------------------------------------- faults


async def bytes_under(
    fault: str,
    link: Path,
    clients: list[Tty],
    kind: str = "id12",
    card: tuple[int, str] = (40, TAG),
) -> tuple[bytes, dict[str, Any]]:
    """What comes over the line with a fault ordered, and the reply to the presentation."""
    async with SimulatedReader(kind, link, baud=115_200, seed=3) as reader:
        clients.append(Tty(link))
        assert (await order(reader, do="fault", kind=fault))["ok"]
        reply = await order(reader, do="present", bits=card[0], value=card[1])
        sent = (await order(reader, do="status"))["bytes"]
        return await clients[-1].read(sent), reply


async def test_noise_surrounds_the_frame_and_is_the_same_with_the_same_seed(
    link: Path, clients: list[Tty]
) -> None:
    one, _ = await bytes_under("noise", link, clients)
    again, _ = await bytes_under("noise", link, clients)
    before, frame, after = one.partition(TAG_FRAMES["id12"])
    assert one == again
    assert frame
    assert len(before) >= 2  # the burst at once, and the one before the frame
    assert len(after) >= 1


async def test_each_spoiled_frame_is_spoiled_as_it_says(link: Path, clients: list[Tty]) -> None:
    twice, _ = await bytes_under("duplicate", link, clients)
    assert twice == TAG_FRAMES["id12"] * 2
    half, _ = await bytes_under("half", link, clients)
    assert half == TAG_FRAMES["id12"][:8]
    wrong, _ = await bytes_under("bad_checksum", link, clients)
    assert wrong == TAG_FRAMES["id12"].replace(b"26", b"27")
    card = 26, "1ABCDEF"
    wrong, _ = await bytes_under("bad_checksum", link, clients, "wiegand-binary", card)
    assert wrong == b"\x02\x1a\x01\xab\xcd\xef\x93\x03"
    odd, _ = await bytes_under("bad_parity", link, clients, "wiegand-hex", card)
    assert odd == b"26,1ABCDEE\r\n"


async def test_a_silent_reader_swallows_the_card_and_says_so_to_the_tester(
    link: Path, clients: list[Tty]
) -> None:
    data, reply = await bytes_under("silence", link, clients)
    assert data == b""
    assert (reply["sent"], reply["count"], reply["sent_ns"]) == (False, 0, None)


async def test_a_slow_line_takes_longer_by_its_factor_and_a_pause(link: Path) -> None:
    async with SimulatedReader("rdm6300", link, baud=9600) as reader:
        reader.fault("slow", factor=5)
        began_ns = time.monotonic_ns()
        sent = await reader.present(40, TAG)
        assert sent.sent_ns is not None
        assert (sent.sent_ns - began_ns) / 1e9 >= (14 + 20) * 5 * 10 / 9600


async def test_a_fault_ends_after_its_times_and_others_when_cleared(
    link: Path, clients: list[Tty]
) -> None:
    async with SimulatedReader("id12", link, baud=115_200) as reader:
        clients.append(Tty(link))
        await order(reader, do="fault", kind="silence", times=2)
        assert (await order(reader, do="status"))["faults"] == {"silence": 2}
        assert [(await reader.present(40, TAG)).sent for _ in range(3)] == [False, False, True]
        await order(reader, do="fault", kind="silence")
        assert (await order(reader, do="status"))["faults"] == {"silence": None}
        assert (await order(reader, do="clear"))["plugged"]
        assert (await reader.present(40, TAG)).sent
        status = await order(reader, do="status")
    assert (status["presented"], status["frames"], status["bytes"]) == (2, 2, 32)


async def test_faults_that_a_kind_cannot_have_are_refused(link: Path) -> None:
    async with SimulatedReader("wiegand-hex", link) as reader:
        reply = await order(reader, do="fault", kind="bad_checksum")
        assert reply["error"] == "wiegand-hex carries no checksum: use bad_parity"
        with pytest.raises(ControlError, match="known: noise"):
            reader.fault("fire")
    with pytest.raises(ValueError, match="carries no checksum"):
        frame_of("wiegand-hex", 26, 1, spoil_checksum=True)
    async with SimulatedReader("id12", link) as reader:
        reply = await order(reader, do="fault", kind="bad_parity")
        assert reply["error"] == "id12 carries no parity: use bad_checksum"


async def test_an_unplugged_line_ends_the_clients_reads_and_comes_back_under_the_same_link(
    link: Path, clients: list[Tty]
) -> None:
    async with SimulatedReader("id12", link, baud=115_200) as reader:
        clients.append(Tty(link))
        assert (await order(reader, do="fault", kind="unplug"))["plugged"] is False
        assert not is_there(link)
        assert clients[0].hung_up()
        assert not (await reader.present(40, TAG)).sent
        reader.unplug()  # no harm in pulling twice
        assert (await order(reader, do="fault", kind="replug"))["plugged"] is True
        clients.append(Tty(link))
        assert (await reader.present(40, TAG)).sent
        assert await clients[1].read(16) == TAG_FRAMES["id12"]
    assert not is_there(link)


async def test_a_line_pulled_in_the_middle_of_a_frame_sends_no_more(
    link: Path, clients: list[Tty]
) -> None:
    async with SimulatedReader("id12", link, baud=1200) as reader:
        clients.append(Tty(link))
        async with asyncio.TaskGroup() as group:
            card = group.create_task(reader.present(40, TAG), name="card")
            await until(clients[0].read_some)
            reader.unplug()
            reader.replug()
    assert card.result() == Presentation(False, 0, 0, None, None)


async def test_a_line_that_nobody_reads_loses_bytes_and_counts_them(link: Path) -> None:
    line = PtyLine(link, 115_200, seed=1)
    line.plug()
    assert line._fds is not None
    while not line.bytes_lost:
        line._write(line._fds[0], bytes(4096))
    sent = line.bytes_sent
    await line.send(b"abc")
    line.unplug()
    assert 4000 < sent < 1_000_000  # what Linux keeps for a reader that does not read
    assert line.bytes_lost >= 3


async def test_what_a_client_sends_to_a_reader_is_taken_and_ignored(
    link: Path, clients: list[Tty]
) -> None:
    async with SimulatedReader("id12", link, baud=115_200) as reader:
        clients.append(Tty(link))
        clients[0].write(b"hello")
        assert (await reader.present(40, TAG)).sent
        assert await clients[0].read(16) == TAG_FRAMES["id12"]


async def test_a_link_in_the_way_is_replaced_but_a_file_is_not(link: Path) -> None:
    os.symlink("/nowhere", link)  # noqa: PTH211  # no wait on this disk
    async with SimulatedReader("id12", link) as reader:
        assert os.readlink(link).startswith("/dev/pts/")  # noqa: PTH115  # no wait on this disk
        reader.unplug()
        os.close(os.open(link, os.O_CREAT | os.O_WRONLY))
        reply = await order(reader, do="clear")
        assert "name another path" in reply["error"]
    os.unlink(link)  # noqa: PTH108  # no wait on this disk


async def test_a_folder_that_is_not_there_leaves_no_pty_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # no wait on this disk
    with pytest.raises(FileNotFoundError):
        await SimulatedReader("id12", tmp_path / "none" / "line").__aenter__()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  # no wait on this disk


def test_the_options_are_the_documented_ones() -> None:
    parser = argparse.ArgumentParser()
    reader_module.add_arguments(parser)
    args = parser.parse_args(["--link", "x"])
    assert (args.kind, args.keypad, args.baud, args.seed) == (KINDS[0], None, 9600, 0)
    assert reader_module._form(args) is None
    line = ["--encoding", "gb18030", "--prefix", "P", "--suffix", "S", "--line-end", "lf"]
    args = parser.parse_args(["--link", "x", "--kind", "line", *line])
    assert reader_module._form(args) == LineForm("gb18030", "P", "S", "lf")


async def test_a_link_that_cannot_be_made_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"^--link .*gone/reader can't be made: No such file .*make"):
        await SimulatedReader("id12", tmp_path / "gone" / "reader").__aenter__()
