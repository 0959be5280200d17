"""Attacks on the line between an OSDP panel and its readers: each fails closed, with one alarm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from drivers.buses.osdp_device import ATTACKED_PAUSE_S
from drivers.protocols.osdp import commands
from drivers.protocols.osdp.frame import encode_frame
from gatewayd.domain.ports import (
    KeyPressed,
    Offline,
    Online,
    PowerChanged,
    Presented,
    SecurityFailed,
    TamperChanged,
)
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import SimulatedOsdpLine
from tests.protocols.osdp_pd import Reader
from tests.protocols.transports.lines import PtyDevice
from tests.protocols.transports.osdp_peer import Peer
from tests.protocols.transports.osdp_rig import (
    KEY,
    OTHER_KEY,
    LeapingClock,
    Watched,
    card,
    device,
    of,
    online,
    panel_and_line,
    panel_at,
    tap,
)
from tests.simulators.waiting import until

TRIES = 4  # that fail before the attacker goes away


async def alarmed(watched: Watched[Any, Any], clock: LeapingClock) -> list[Any]:
    """What was told up to Offline, and while the next tries fail too."""
    told = await watched.ear.until(lambda event: isinstance(event, SecurityFailed))
    if of(Offline, told) == []:
        told.append(await watched.ear.next())
    tried = len(clock.leaps)
    await until(lambda: len(clock.leaps) >= tried + TRIES)
    told += [await watched.ear.next() for _ in range(watched.ear.waiting)]
    assert len(of(SecurityFailed, told)) == 1
    assert len(of(Offline, told)) == 1
    assert not [event for event in told if isinstance(event, Presented | KeyPressed | Online)]
    return told


async def back(watched: Watched[Any, Any]) -> None:
    """Online by a proper session, without another alarm."""
    told = await online(watched)
    assert [type(event) for event in told] == [Online, TamperChanged, PowerChanged]


# ----------------------------------------------------------------- in the middle of a session


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (OsdpFault.REPLAY, ("replay: reply 0x50", "wrong mac: reply 0x50")),
        (OsdpFault.CLEAR_INJECTION, ("clear text: reply 0x50 in clear text",)),
        (OsdpFault.BIT_FLIP, ("wrong mac: reply",)),
    ],
)
async def test_a_forged_reply_ends_the_session_and_none_of_it_is_used(
    tmp_path: Path, kind: OsdpFault, says: tuple[str, ...]
) -> None:
    clock = LeapingClock()
    reader = device()
    async with panel_and_line(tmp_path, reader, clock=clock) as (panel, line):
        watched = panel.reader(debounce_ms=0)
        panel.start()
        await online(watched)
        bits = tap(reader)
        assert await card(watched) == bits
        session = reader.link.session
        line.fault(kind, 0, 1)
        failed, gone = await watched.ear.next(), await watched.ear.next()
        assert isinstance(failed, SecurityFailed)
        assert failed.reason.startswith(says)
        assert gone == Offline(failed.reason)
        await back(watched)
        assert reader.link.session is not session
        assert max(clock.leaps) <= ATTACKED_PAUSE_S
        other = tap(reader, 2)
        assert await card(watched) == other
        assert watched.ear.waiting == 0


async def test_each_attack_is_an_alarm_of_its_own_once_the_reader_was_online_again(
    tmp_path: Path,
) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader, clock=LeapingClock()) as (panel, line):
        watched, board = panel.reader(), panel.board(0, inputs=0)
        panel.start()
        await online(watched)
        await online(board)
        for _ in range(3):
            line.fault(OsdpFault.CLEAR_INJECTION, 0, 1)
            for part in (watched, board):
                told: list[Any] = await part.ear.until(lambda event: isinstance(event, Offline))
                assert [type(event) for event in told] == [SecurityFailed, Offline]
                await back(part)


async def test_an_attack_on_one_reader_leaves_the_others_at_work(tmp_path: Path) -> None:
    readers = [device(0), device(1)]
    async with panel_and_line(tmp_path, *readers) as (panel, line):
        attacked, other = panel.reader(0), panel.reader(1)
        panel.start()
        await online(attacked)
        await online(other)
        line.fault(OsdpFault.CLEAR_INJECTION, 0, 1)
        await attacked.until(SecurityFailed)
        frames = line.frames
        for number in range(5):
            bits = tap(readers[1], number)
            assert await card(other) == bits
        assert line.frames > frames
        assert await attacked.ear.next() is not None
        assert attacked.ear.waiting == 0  # a pause of its own, while the other one is polled
        assert other.ear.waiting == 0


# ------------------------------------------------------------------------- as a session opens

AT_OPENING = [
    (OsdpFault.NO_SECURE_CHANNEL, "downgrade: the device denies having a secure channel"),
    (OsdpFault.NAK_CHALLENGE, "downgrade: handshake refused: NAK 5"),
    (OsdpFault.SCBK_D_ANSWER, "default key: the challenge was answered under another key"),
    (OsdpFault.BAD_RMAC_STATUS, "rmac status: the device rejects the panel's proof"),
]


@pytest.mark.parametrize(("kind", "says"), AT_OPENING)
async def test_a_device_that_will_not_be_secure_is_never_online(
    tmp_path: Path, kind: OsdpFault, says: str
) -> None:
    clock = LeapingClock()
    async with panel_and_line(tmp_path, device(), clock=clock) as (panel, line):
        line.fault(kind, 0)
        watched = panel.reader()
        panel.start()
        told = await alarmed(watched, clock)
        assert [type(event) for event in told] == [SecurityFailed, Offline]
        assert told[0].reason.startswith(says)
        assert max(clock.leaps[-TRIES:]) > ATTACKED_PAUSE_S - 0.5
        line.clear()
        await back(watched)


@pytest.mark.parametrize(("kind", "says"), AT_OPENING)
async def test_a_device_that_will_not_be_secure_any_more_is_an_alarm_though_it_was_away(
    tmp_path: Path, kind: OsdpFault, says: str
) -> None:
    """Whoever swaps a reader takes it off the wall first: it is offline when the attack begins."""
    clock = LeapingClock()
    reader = device()
    async with panel_and_line(tmp_path, reader, clock=clock) as (panel, line):
        watched = panel.reader()
        panel.start()
        await online(watched)
        line.fault(OsdpFault.SILENCE, 0)
        await watched.until(Offline)
        line.fault(kind, 0)
        reader.faults.put(OsdpFault.SILENCE, 1)
        failed = await watched.ear.next()
        assert isinstance(failed, SecurityFailed)
        assert failed.reason.startswith(says)
        tried = len(clock.leaps)
        await until(lambda: len(clock.leaps) >= tried + TRIES)
        assert watched.ear.waiting == 0
        line.clear()
        await back(watched)


@pytest.mark.parametrize("kind", [OsdpFault.WRONG_KEY, OsdpFault.KEY_LOST])
async def test_a_rogue_reader_without_the_key_is_an_alarm(tmp_path: Path, kind: OsdpFault) -> None:
    clock = LeapingClock()
    reader = device(boot_s=0.0)
    async with panel_and_line(tmp_path, reader, clock=clock) as (panel, line):
        watched = panel.reader()
        panel.start()
        await online(watched)
        line.fault(kind, 0)
        told = await alarmed(watched, clock)
        says = {
            OsdpFault.WRONG_KEY: "wrong cryptogram: the device does not know the key",
            OsdpFault.KEY_LOST: "downgrade: handshake refused: NAK 6",
        }[kind]
        assert of(SecurityFailed, told)[0].reason.startswith(says)
        reader.present_card(26, 1)
        reader.key = KEY
        await back(watched)
        assert watched.ear.waiting == 0
        assert not reader.secure_with_default_key


async def test_whoever_listens_late_learns_of_the_attack(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with panel_and_line(tmp_path, device(key=OTHER_KEY), clock=clock) as (panel, _):
        first, late = panel.reader(), panel.reader(reader=1, runs=False)
        panel.start()
        await first.until(Offline)
        panel.run(late.driver.run(late.ear.emit))
        told = [await late.ear.next(), await late.ear.next()]
        assert [type(event) for event in told] == [SecurityFailed, Offline]


# ----------------------------------------------------------------- another panel on the wires


async def say(line: SimulatedOsdpLine, frame: bytes) -> None:
    """Somebody else on the wires, between two replies."""
    async with line._sending:
        await line.pty.send(frame)


@pytest.mark.parametrize("address", [0, 1, 0x7F])
@pytest.mark.parametrize("baud", [9600, 115_200])
async def test_a_key_that_somebody_else_sets_is_an_alarm_whosever_turn_it_is(
    tmp_path: Path, address: int, baud: int
) -> None:
    readers = [device(0), device(1)]
    foreign = commands.set_key(OTHER_KEY)
    keyset = encode_frame(address, foreign.code, foreign.data, sequence=0)
    async with panel_and_line(tmp_path, *readers, baud=baud) as (panel, line):
        both = [panel.reader(0), panel.reader(1)]
        panel.start()
        for watched in both:
            await online(watched)
        await say(line, keyset)
        for number, watched in enumerate(both):
            if address in {number, 0x7F}:
                told: list[Any] = await watched.until(Offline)
                assert [type(event) for event in told] == [SecurityFailed, Offline]
                assert told[0].reason.startswith("foreign keyset")
            else:
                bits = tap(readers[number])
                assert await card(watched) == bits


async def test_other_commands_of_another_panel_and_echoes_are_no_alarm(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, line):
        watched = panel.reader()
        panel.start()
        await online(watched)
        for address in (0, 5):
            await say(line, encode_frame(address, 0x60, sequence=0))
            await say(line, encode_frame(address, 0x40, sequence=0, is_reply=True))
        bits = tap(reader)
        assert await card(watched) == bits


async def test_a_device_in_clear_text_has_no_key_that_could_be_set(tmp_path: Path) -> None:
    reader = device(key=None)
    foreign = commands.set_key(OTHER_KEY)
    async with panel_and_line(tmp_path, reader) as (panel, line):
        watched = panel.reader(key=None)
        panel.start()
        await online(watched)
        await say(line, encode_frame(0, foreign.code, foreign.data, sequence=0))
        bits = tap(reader)
        assert await card(watched) == bits


@pytest.mark.parametrize("apart_s", [0.0, 0.02])
@pytest.mark.parametrize("after", [1, 6])
async def test_a_foreign_key_right_behind_an_answer_is_heard(
    after: int,
    apart_s: float,
    device: PtyDevice,  # the fixture, not the rig's
) -> None:
    """While the device opens, and while it is open."""
    foreign = commands.set_key(OTHER_KEY)
    keyset = encode_frame(0, foreign.code, foreign.data, sequence=0)
    peer = Peer(device, Reader(address=0, key=KEY))
    peer.apart_s = apart_s
    peer.spoil = lambda _command, answer: (
        [answer + keyset[:9], keyset[9:]] if len(peer.frames) == after else [answer]
    )
    peer.attach()
    clock = LeapingClock()
    async with panel_at(Path(device.path), clock=clock) as panel:
        watched = panel.reader()
        panel.start()
        told: list[Any] = await watched.until(Offline)
        assert [type(event) for event in told[-2:]] == [SecurityFailed, Offline]
        assert told[-1].reason.startswith("foreign keyset")
        await watched.until(Online)
        assert len(clock.leaps) == 1
    peer.detach()
