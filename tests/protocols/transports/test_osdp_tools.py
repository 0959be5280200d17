"""What is done to a line by hand: scanned, listened to, captured, told in words, replayed."""

from __future__ import annotations

import asyncio
import os
import secrets
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.osdp_tools.listen import listen
from drivers.osdp_tools.play import exchanges_of
from drivers.osdp_tools.scan import ADDRESSES, BAUD_RATES, Found, in_words, scan, scan_s
from drivers.osdp_tools.tools import OsdpTools
from drivers.protocols.osdp.capture import CaptureError, Direction, Record, decode_records
from gatewayd.domain.ports import Malformed, Online, Presented, SecurityFailed
from simulators.osdp_device import BOARD, READER, OsdpModel
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import SimulatedOsdpLine
from tests.protocols.transports.osdp_rig import (
    KEY,
    OTHER_KEY,
    card,
    device,
    of,
    online,
    panel_and_line,
    panel_at,
    tap,
)

TOOLS = OsdpTools()
SECURE_ONLY = OsdpModel("secure", secure_only=True)
PATIENCE_S = 30


async def found_at(port: Path, bauds: tuple[int, ...], addresses: range) -> list[Found]:
    return [f async for f in scan(str(port), bauds, addresses) if isinstance(f, Found)]


# ------------------------------------------------------------------------------------- scan


async def test_a_scan_finds_devices_of_different_speeds_and_what_they_can(tmp_path: Path) -> None:
    devices = [device(0, READER, key=None), device(3, BOARD), device(5, SECURE_ONLY)]
    devices[1].baud = 38_400
    port = tmp_path / "tty"
    async with asyncio.timeout(PATIENCE_S), SimulatedOsdpLine(port, devices, baud=115_200):
        found = await found_at(port, (38_400, 115_200), range(7))
    assert [(f.baud_rate, f.address) for f in found] == [(38_400, 3), (115_200, 0), (115_200, 5)]
    assert [f.secure_only for f in found] == [False, False, True]
    said = "\n".join(line for f in found for line in in_words(f))
    for words in (
        "address 3 at 38400 baud: vendor 53494d, model 1 version 1, serial 4099, firmware 1.0.0",
        "outputs: timed, 4 of them",
        "secure channel: AES-128, the default key is in use",
        "secure channel required",
        "takes commands in clear text",
    ):
        assert words in said


async def test_a_scan_ends_with_as_many_as_were_expected(tmp_path: Path) -> None:
    port, said = tmp_path / "tty", list[str]()
    devices = [device(0), device(1), device(2)]
    async with asyncio.timeout(PATIENCE_S), SimulatedOsdpLine(port, devices, baud=115_200) as line:
        count = await TOOLS.scan(
            str(port), (115_200,), ADDRESSES, most=2, say=said.append, progress=said.append
        )
        assert devices[2].link.commands == 0
    assert count == 2
    assert line.frames < 10
    assert any(text == "115200 baud, address 1, 1 found" for text in said)


async def test_two_devices_with_one_address_and_a_slow_one_are_told(tmp_path: Path) -> None:
    port, devices = tmp_path / "tty", [device(0), device(1)]
    async with asyncio.timeout(PATIENCE_S), SimulatedOsdpLine(port, devices, baud=115_200) as line:
        line.fault(OsdpFault.DUPLICATE_ADDRESS, 0)
        line.fault(OsdpFault.BUSY, 1, 1)
        found = await found_at(port, (115_200,), range(3))
    assert [(f.address, f.babble) for f in found] == [(0, True), (1, False)]
    assert "two devices with this address" in in_words(found[0])[0]
    assert "does not say who made it" in in_words(found[1])[0]


async def test_a_line_that_is_in_use_or_goes_away_is_told(tmp_path: Path) -> None:
    port = tmp_path / "tty"
    async with asyncio.timeout(PATIENCE_S), SimulatedOsdpLine(port, [device()], baud=9600) as line:
        async with panel_at(port, baud_rate=9600) as panel:
            panel.reader()
            panel.start()
            await line.devices[0].wait_secure()
            with pytest.raises(OSError, match="in use by another process"):
                await found_at(port, (9600,), range(2))
        asyncio.get_running_loop().call_later(0.3, line.unplug)
        with pytest.raises(OSError):  # noqa: PT011  # as the system words it
            await found_at(port, (9600,), ADDRESSES)


def test_the_time_of_a_whole_scan_is_known_before() -> None:
    assert 150 < scan_s(BAUD_RATES, ADDRESSES) < 240


# ------------------------------------------------------------------------- listen and monitor


class Tap:
    """A pseudo-terminal on which a line is overheard: what is written comes out at `path`."""

    def __init__(self) -> None:
        self._far, self._near = os.openpty()
        tty.setraw(self._near)
        self.path = os.ttyname(self._near)

    def hear(self, data: bytes) -> None:
        os.write(self._far, data)

    def close(self) -> None:
        os.close(self._far)
        os.close(self._near)


async def test_listening_cuts_the_stream_and_says_nothing() -> None:
    tapped = Tap()
    poll, half = bytes.fromhex("530008000560") + b"\x00\x00", b"\x53\x80\x20"
    try:
        async with asyncio.timeout(PATIENCE_S):
            heard = listen(tapped.path, 9600)
            first = asyncio.ensure_future(anext(heard))
            while not first.done():  # to open a port empties it
                tapped.hear(poll + half)
                await asyncio.sleep(0.2)
            pieces = [await first]
            await heard.aclose()
    finally:
        tapped.close()
    [(_, piece)] = pieces
    assert (poll + half).startswith(piece.raw)
    assert isinstance(piece.found, Malformed)


async def test_a_tap_on_the_wires_is_captured_and_told() -> None:
    from drivers.protocols.osdp.commands import IDENTIFY
    from drivers.protocols.osdp.frame import encode_frame

    tapped, lines, said = Tap(), list[str](), list[str]()
    sent = encode_frame(3, IDENTIFY.code, IDENTIFY.data, sequence=0)
    try:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            work: list[asyncio.Task[None]] = [
                group.create_task(TOOLS.capture(tapped.path, 9600, lines.append))
            ]
            while not lines:  # to open a port empties it
                tapped.hear(sent)
                await asyncio.sleep(0.1)
            work[0].cancel()
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            monitor = TOOLS.monitor(tapped.path, 9600, None, personal=False, say=said.append)
            task = group.create_task(monitor)
            while not said:
                tapped.hear(sent)
                await asyncio.sleep(0.1)
            task.cancel()
    finally:
        tapped.close()
    record = next(decode_records(lines))
    assert (record.direction, record.data) == (Direction.TRACE, sent)
    assert said[0].endswith("  3 > 0 ID       [clear]")


# ------------------------------------------------------------ captured by the bus, and replayed


async def captured(
    folder: Path,
    key: bytes | None,
    happen: Callable[[SimulatedOsdpLine, Any, Any], Any],
) -> tuple[list[str], list[Any]]:
    """What a bus wrote down while that happened, and what its reader told."""
    lines: list[str] = []
    reader = device(key=key)
    async with asyncio.timeout(PATIENCE_S), panel_and_line(folder, reader) as (panel, line):
        watched = panel.reader(key=key, debounce_ms=0)
        panel.start()
        await online(watched)
        panel.bus.capture(lines.append)
        before = reader.link.commands
        await reader.wait_until(lambda: reader.link.commands > before + 12)
        told = await happen(line, reader, watched)
        commands = reader.link.commands
        await reader.wait_until(lambda: reader.link.commands > commands + 2)
        panel.bus.capture(None)
        count = len(lines)
        await reader.wait_until(lambda: reader.link.commands > commands + 8)
        assert len(lines) == count
    return lines, told


async def a_card(_line: SimulatedOsdpLine, reader: Any, watched: Any) -> list[Any]:
    bits = tap(reader, 4711)
    assert await card(watched) == bits
    return [bits]


async def an_attack(line: SimulatedOsdpLine, reader: Any, watched: Any) -> list[Any]:
    line.fault(OsdpFault.CLEAR_INJECTION, 0, 1)
    told = await watched.ear.until(lambda event: isinstance(event, SecurityFailed))
    return list(of(SecurityFailed, told))


def key_in(folder: Path, key: bytes) -> str:
    (folder / "key").write_text(key.hex())
    return str(folder / "key")


def replayed(lines: list[str], *keys: tuple[int, Path]) -> tuple[bool, str]:
    said: list[str] = []
    files = {address: str(path) for address, path in keys}
    same = TOOLS.replay(lines, files, personal=True, say=said.append)
    return same, "\n".join(said)


async def test_a_secure_capture_goes_through_the_panel_again_byte_for_byte(tmp_path: Path) -> None:
    lines, [bits] = await captured(tmp_path, KEY, a_card)
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    same, said = replayed(lines, (0, key))
    assert same, said
    assert "online, in the secure channel: vendor 53494d" in said
    assert f"RAW reader 0, card of 26 bits, H10301, {bits:07X}" in said
    assert "malformed" not in said
    assert KEY.hex() not in "".join(lines) + said


async def test_under_another_key_the_same_capture_is_told_as_what_it_looks_like(
    tmp_path: Path,
) -> None:
    lines, _ = await captured(tmp_path, KEY, a_card)
    key = tmp_path / "key"
    key.write_text(OTHER_KEY.hex())
    same, said = replayed(lines, (0, key))
    assert not same
    assert "ATTACK, wrong cryptogram: the device does not know the key" in said


async def test_an_attack_in_the_field_is_found_again_in_its_capture(tmp_path: Path) -> None:
    lines, [failed] = await captured(tmp_path, KEY, an_attack)
    key = tmp_path / "key"
    key.write_text(KEY.hex())
    _, said = replayed(lines, (0, key))
    assert failed.reason == "clear text: reply 0x50 in clear text"
    assert "ATTACK, clear text: reply 0x50 in clear text" in said


async def test_one_wrong_byte_of_the_panel_is_noticed(tmp_path: Path) -> None:
    lines, _ = await captured(tmp_path, None, a_card)
    assert replayed(lines)[0]
    other = [line.replace("53 00 08 00 06 60", "53 00 08 00 06 64") for line in lines]
    assert other != lines
    same, said = replayed([*other])
    assert not same or "malformed" in said


async def test_a_capture_without_a_beginning_concludes_nothing(tmp_path: Path) -> None:
    lines, _ = await captured(tmp_path, None, a_card)
    sent = [number for number, line in enumerate(lines) if '"output"' in line]
    same, said = replayed(lines[sent[-2] : sent[-1]])  # one exchange, whole
    assert not same
    assert "no panel begins in this capture" in said


@pytest.mark.parametrize("key", [KEY, None], ids=["secure", "clear"])
async def test_a_capture_is_told_in_words(tmp_path: Path, key: bytes | None) -> None:
    lines, [bits] = await captured(tmp_path, key, a_card)
    key_file = None
    if key is not None:
        key_file = key_in(tmp_path, key)
    for personal in (False, True):
        said: list[str] = []
        TOOLS.decode(lines, key_file, personal=personal, say=said.append)
        text = "\n".join(said)
        how = "secure" if key else "clear"
        assert f"RAW      [{how}] reader 0, card of 26 bits, H10301" in text
        assert (f"{bits:07X}" in text) is personal
        assert f"LED      [{how}] reader 0 light 0" in text or "POLL" in text
        assert "WRONG" not in text
    if key is not None:
        said = []
        TOOLS.decode(lines, None, personal=True, say=said.append)
        assert "[secure, not opened]" in "\n".join(said)
        assert "H10301" not in "\n".join(said)


async def test_no_key_is_in_a_capture_of_its_pairing(tmp_path: Path) -> None:
    lines: list[str] = []
    reader = device(key=None)
    async with asyncio.timeout(PATIENCE_S), panel_and_line(tmp_path, reader) as (panel, _line):
        options = panel.place(0, KEY) | {"key_file": tmp_path / "reader.key"}
        panel.place = lambda *_: options  # type: ignore[method-assign]  # a key file of its own
        watched = panel.reader(0)
        panel.start()
        panel.bus.capture(lines.append)
        await watched.driver.pair(new_device=False)
        await watched.until(Online)
        commands = reader.link.commands
        await reader.wait_until(lambda: reader.link.commands > commands + 4)
    assert reader.key is not None
    said: list[str] = []
    TOOLS.decode(lines, None, personal=True, say=said.append)
    assert said
    assert not [line for line in said if "CHLNG" in line or "KEYSET" in line]


async def test_a_clear_capture_drives_a_panel_at_a_pty_again(tmp_path: Path) -> None:
    """The same card comes out of another panel, whose line is a file."""
    lines, [bits] = await captured(tmp_path, None, a_card)
    link, said = tmp_path / "replay", list[str]()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        play = group.create_task(TOOLS.play(lines, str(link), paced=False, say=said.append))
        while not link.exists():
            await asyncio.sleep(0.01)
        async with panel_at(link) as panel:
            watched = panel.reader(key=None, debounce_ms=0)
            panel.start()
            told = await watched.until(Presented)
            [seen] = of(Presented, told)
            assert int(seen.credential.value, 16) == bits
            await play
    assert "exchanges wait" in said[0]
    assert not link.exists()


async def test_what_can_not_be_played_is_told(tmp_path: Path) -> None:
    secure, _ = await captured(tmp_path, KEY, a_card)
    with pytest.raises(CaptureError, match="Leave --pty out"):
        await TOOLS.play(secure, str(tmp_path / "x"), paced=False, say=print)
    with pytest.raises(CaptureError, match="no command of a panel"):
        exchanges_of([Record(0, Direction.INPUT, b"\x53")])
    clear, _ = await captured(tmp_path, None, a_card)
    with pytest.raises(CaptureError, match="sequence 0"):
        exchanges_of(decode_records(clear[-4:]))
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        await TOOLS.play(clear, str(tmp_path / "file"), paced=False, say=print)


async def test_a_secure_capture_drives_the_whole_bus_with_the_captured_random_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no panel in service does: its random numbers are given."""
    lines, [bits] = await captured(tmp_path, KEY, a_card)
    records = list(decode_records(lines))
    challenges = [r.data[-10:-2] for r in records if r.data[5:8] == b"\x03\x11\x01"]
    assert challenges
    exchanges = list[Any]()
    for record in records:
        if record.direction is Direction.OUTPUT:
            exchanges.append((record.data, []))
        elif exchanges:
            exchanges[-1][1].append(record.data)
    far, near = os.openpty()
    tty.setraw(near)
    given = iter(challenges)
    monkeypatch.setattr(secrets, "token_bytes", lambda _length: next(given))

    def answer() -> None:
        sent = os.read(far, 4096)
        at = next(i for i, (command, _) in enumerate(exchanges) if command == sent)
        for data in exchanges[at][1]:
            os.write(far, data)
        del exchanges[: at + 1]

    loop = asyncio.get_running_loop()
    loop.add_reader(far, answer)
    try:
        async with asyncio.timeout(PATIENCE_S), panel_at(tmp_path / "x", clock=None) as panel:
            panel.bus._line._url = os.ttyname(near)
            watched = panel.reader(debounce_ms=0)
            panel.start()
            [seen] = of(Presented, await watched.until(Presented))
            assert int(seen.credential.value, 16) == bits
    finally:
        loop.remove_reader(far)
        os.close(far)
        os.close(near)
