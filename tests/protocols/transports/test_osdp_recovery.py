"""The OSDP bus when something is wrong: lost frames, dead readers, power, the adapter itself."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drivers.buses import osdp_device
from drivers.buses.osdp import OsdpPlace
from drivers.buses.osdp_device import (
    ATTEMPTS,
    LONG_PROBE_EVERY,
    MAX_BUSY_S,
    PROBE_EVERY_S,
    PROBE_PATIENCE_S,
    OsdpDevice,
)
from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import (
    DeviceError,
    InputChanged,
    Malformed,
    Offline,
    Online,
    Presented,
    SecurityFailed,
)
from simulators.osdp_device import BOARD
from simulators.osdp_faults import OsdpFault
from simulators.osdp_wire import Cmd
from tests.protocols.osdp_pd import Reader
from tests.protocols.transports.lines import PtyDevice
from tests.protocols.transports.osdp_peer import Peer
from tests.protocols.transports.osdp_rig import (
    KEY,
    LeapingClock,
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

LONG_HEADER = bytes.fromhex("53 80 A0 05 04")  # of a frame of 1440 bytes


# ------------------------------------------------------------------------- what changes nothing


@pytest.mark.parametrize(
    ("kind", "times", "amount"),
    [
        (OsdpFault.CORRUPT, 1, None),
        (OsdpFault.HALF, 1, None),
        (OsdpFault.SILENCE, 1, None),
        (OsdpFault.SILENCE, 2, None),
        (OsdpFault.LATE, 1, 0.25),
        (OsdpFault.NOISE, 20, None),
        (OsdpFault.SLOW, 3, 5.0),
        (OsdpFault.WRONG_SEQUENCE, 1, None),
        (OsdpFault.NAK, 1, 9.0),
        (OsdpFault.NAK, 5, 3.0),
        (OsdpFault.NAK, 1, 1.0),
        (OsdpFault.BUSY, 100, None),
    ],
)
async def test_a_moments_trouble_takes_no_reader_offline(
    tmp_path: Path,
    kind: OsdpFault,
    times: int,
    amount: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Patient where that is not what is tried: a machine that stalls must not be three silences."""
    if kind is not OsdpFault.LATE:
        monkeypatch.setattr(osdp_device, "REPLY_DELAY_S", 0.5)
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, line):
        watched = panel.reader()
        panel.start()
        await online(watched)
        session = reader.link.session
        line.fault(kind, 0, times, amount)
        await until(lambda: not reader.faults.status())
        bits = tap(reader)
        assert await card(watched) == bits
        assert watched.ear.waiting == 0
        assert reader.link.session is session
        assert await panel.ear.next() == Online()
        rest = [await panel.ear.next() for _ in range(panel.ear.waiting)]
        assert of(Malformed, rest) == rest


async def test_trouble_while_it_opens_only_delays_it(tmp_path: Path) -> None:
    for kind in (OsdpFault.CORRUPT, OsdpFault.HALF, OsdpFault.BUSY, OsdpFault.NOISE):
        reader = device()
        async with panel_and_line(tmp_path, reader, clock=LeapingClock()) as (panel, line):
            line.fault(kind, 0, 2)
            watched = panel.reader()
            panel.start()
            told = await watched.until(Online)
            assert of(Offline, told) == told[:-1]
            assert reader.secure


async def test_a_session_is_opened_anew_before_the_reader_counts_as_away(tmp_path: Path) -> None:
    simulated = device(1, BOARD)
    async with panel_and_line(tmp_path, simulated) as (panel, line):
        board = panel.board(inputs=0)
        panel.start()
        await online(board)
        session = simulated.link.session
        just_before(panel, Cmd.OUT, lambda: line.fault(OsdpFault.SILENCE, 1, ATTEMPTS))
        frames = line.frames
        with pytest.raises(DeviceError, match="OSDP device 1: no answer to an order"):
            await board.driver.set_relay(1, energised=True)
        assert line.frames - frames >= ATTEMPTS
        await simulated.wait_until(
            lambda: simulated.secure and simulated.link.session is not session
        )
        await board.driver.set_relay(2, energised=True)
        assert board.ear.waiting == 0
        assert [output.times_on for output in simulated.outputs] == [0, 1, 0, 0]


async def test_a_silent_reader_is_offline_after_one_attempt_to_open_it_anew(
    tmp_path: Path,
) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, line):
        watched = panel.reader()
        panel.start()
        await online(watched)
        before = line.frames
        line.fault(OsdpFault.SILENCE, 0)
        assert await watched.until(Offline) == [Offline("it does not answer")]
        assert 2 * ATTEMPTS <= line.frames - before <= 2 * ATTEMPTS + 1


async def test_a_device_that_is_busy_for_too_long_is_offline() -> None:
    busy = OsdpDevice(0, None)
    busy.online = True
    busy.next_frame()
    for tenth in range(round(10 * MAX_BUSY_S) + 1):
        busy.was_busy(tenth * NS_PER_S // 10)
        assert busy.online
    busy.was_busy(round(MAX_BUSY_S * NS_PER_S) + 1)
    assert busy.online is False
    assert busy.probe_at_ns == round((MAX_BUSY_S + PROBE_EVERY_S) * NS_PER_S) + 1
    busy.was_busy(NS_PER_S * 100)  # it counts anew
    assert not busy.online


# ---------------------------------------------------------------------- away, and back again


async def dead_for(clock: LeapingClock, probes: int) -> None:
    before = len(clock.leaps)
    await until(lambda: len(clock.leaps) > before + probes)


async def test_a_reader_that_comes_back_is_online_with_the_next_probe(tmp_path: Path) -> None:
    clock = LeapingClock()
    reader = device()
    async with panel_and_line(tmp_path, reader, clock=clock) as (panel, line):
        watched = panel.reader()
        panel.start()
        await online(watched)
        line.fault(OsdpFault.SILENCE, 0)
        await watched.until(Offline)
        for _ in range(2):
            await dead_for(clock, 12)
            line.clear()
            probes = len(clock.leaps)
            assert isinstance((await online(watched))[0], Online)
            assert len(clock.leaps) - probes <= 1
            assert max(clock.leaps) <= PROBE_EVERY_S < 1.5
            line.fault(OsdpFault.SILENCE, 0)
            await watched.until(Offline)
        assert watched.ear.waiting == 0


async def test_a_reader_that_is_there_later_is_found(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader, clock=LeapingClock()) as (panel, line):
        line.fault(OsdpFault.SILENCE, 0)
        watched = panel.reader()
        panel.start()
        assert await watched.ear.next() == Offline("it does not answer")
        line.clear()
        assert isinstance((await online(watched))[0], Online)


async def test_a_dead_reader_costs_the_others_a_short_probe_a_second(tmp_path: Path) -> None:
    readers = [device(0), device(1)]
    async with panel_and_line(tmp_path, *readers) as (panel, line):
        watched = panel.reader(0)
        dead = panel.bus.device(OsdpPlace(**panel.place(1, KEY)))
        line.fault(OsdpFault.SILENCE, 1)
        panel.start()
        await online(watched)
        probed_s: list[float] = []
        write = panel.bus._line.write

        async def watch(frame: bytes) -> None:
            if frame[1] == 1:
                probed_s.append(panel.clock.monotonic_ns() / NS_PER_S)
            await write(frame)

        panel.bus._line.write = watch  # type: ignore[method-assign,assignment]  # it only watches
        began = readers[0].link.commands
        await until(lambda: len(probed_s) >= 3)
        assert min(b - a for a, b in itertools.pairwise(probed_s)) >= PROBE_EVERY_S
        assert readers[0].link.commands - began > 100
        assert dead.online is False


async def test_between_two_probes_a_reader_that_is_there_is_polled(tmp_path: Path) -> None:
    devices = [device(address) for address in range(7)]
    async with panel_and_line(tmp_path, *devices) as (panel, line):
        watched = panel.reader(0)
        for address in range(1, 7):
            panel.bus.device(OsdpPlace(**panel.place(address, KEY)))
            line.fault(OsdpFault.SILENCE, address)
        said: list[int] = []
        write = panel.bus._line.write

        async def watch(frame: bytes) -> None:
            said.append(frame[1])
            await write(frame)

        panel.start()
        await online(watched)
        panel.bus._line.write = watch  # type: ignore[method-assign,assignment]  # it only watches
        await until(lambda: sum(map(bool, said)) > 12)
        assert [pair for pair in itertools.pairwise(said) if all(pair)] == []


def test_a_probe_is_short_but_for_each_tenth_and_for_what_is_known_to_be_slow() -> None:
    away = OsdpDevice(0, None)
    away.next_frame()
    waits = [away.patience_s() for _ in range(LONG_PROBE_EVERY)]
    assert waits == [PROBE_PATIENCE_S] * (LONG_PROBE_EVERY - 1) + [0.2]
    away.answered_after(0.04)
    assert away.patience_s() == 0.08
    away.answered_after(0.15)
    assert away.patience_s() == 0.2
    for _ in range(500):
        away.answered_after(0.002)
    assert away.patience_s() == PROBE_PATIENCE_S
    away.online = True
    assert away.patience_s() == 0.2


async def test_a_power_up_is_told_and_the_reader_is_back_at_once(tmp_path: Path) -> None:
    reader = device(boot_s=0.0)
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        panel.start()
        await online(watched)
        reader.power_cycle()
        gone = await watched.ear.next()
        assert gone == Offline("it lost its session, as after a power-up (NAK 4, sequence)")
        assert isinstance((await online(watched))[0], Online)
        assert watched.ear.waiting == 0


async def test_inputs_are_told_anew_after_the_board_was_away(tmp_path: Path) -> None:
    simulated = device(1, BOARD, boot_s=0.0)
    async with panel_and_line(tmp_path, simulated) as (panel, _):
        board = panel.board(inputs=2)
        panel.start()
        for _ in range(2):
            await online(board)
            first = [await board.ear.next() for _ in range(2)]
            assert [event.input for event in of(InputChanged, first)] == [1, 2]
            simulated.power_cycle()
            assert isinstance(await board.ear.next(), Offline)


async def test_a_device_that_refuses_to_identify_itself_is_probed_like_a_silent_one(
    tmp_path: Path,
) -> None:
    clock = LeapingClock()
    async with panel_and_line(tmp_path, device(key=None), clock=clock) as (panel, line):
        line.fault(OsdpFault.NAK, 0, 3)
        watched = panel.reader(key=None)
        panel.start()
        told = await watched.until(Online)
        assert told[0] == Offline("it refuses to open a session (NAK 9, cannot process)")
        assert len(told) == 2
        assert max(clock.leaps) <= PROBE_EVERY_S


# ----------------------------------------------------------------------- the adapter, the line


async def test_the_whole_adapter_is_pulled_and_put_back(tmp_path: Path) -> None:
    readers = [device(0), device(1, BOARD)]
    async with panel_and_line(tmp_path, *readers) as (panel, line):
        watched, board = panel.reader(0), panel.board(1, inputs=0)
        panel.start()
        await online(watched)
        await online(board)
        for _ in range(2):
            order = asyncio.create_task(board.driver.set_relay(1, energised=True))
            await asyncio.sleep(0)
            line.unplug()
            with pytest.raises(DeviceError, match="OSDP device 1: "):
                await order
            told: list[Any] = [*await watched.until(Offline), *await board.until(Offline)]
            assert all(str(line.pty.link) in gone.reason for gone in of(Offline, told))
            line.replug()
            assert isinstance((await online(watched))[0], Online)
            assert isinstance((await online(board))[0], Online)
        bits = tap(readers[0])
        assert await card(watched) == bits
        lines = [await panel.ear.next() for _ in range(panel.ear.waiting)]
        assert [type(event) for event in lines] == [Online, Offline, Online, Offline, Online]


async def test_a_line_that_is_not_there_takes_all_devices_offline(tmp_path: Path) -> None:
    async with panel_at(tmp_path / "nothing") as panel:
        watched, board = panel.reader(), panel.board()
        panel.start()
        for ear in (watched.ear, board.ear):
            gone = await ear.next()
            assert isinstance(gone, Offline)
            assert "nothing" in gone.reason
        assert isinstance(await panel.ear.next(), Offline)


async def test_a_bus_that_begins_anew_says_so_for_its_devices(tmp_path: Path) -> None:
    async with panel_and_line(tmp_path, device()) as (panel, _):
        watched = panel.reader()
        running = panel.start()
        await online(watched)
        running.cancel()
        panel.start()
        assert await watched.ear.next() == Offline("its bus begins anew")
        assert isinstance((await online(watched))[0], Online)


async def test_a_bus_without_devices_does_nothing(tmp_path: Path) -> None:
    clock = LeapingClock()
    async with panel_and_line(tmp_path, clock=clock) as (panel, line):
        panel.start()
        await until(lambda: len(clock.leaps) > 2)
        assert line.frames == 0


@pytest.fixture
async def peer(device: PtyDevice) -> AsyncIterator[Peer]:
    peer = Peer(device, Reader(address=0, key=KEY))
    peer.attach()
    yield peer
    peer.detach()


async def test_a_write_that_fails_while_a_device_opens_does_not_hang_the_loop(
    peer: Peer,
) -> None:
    async with panel_at(Path(peer.device.path)) as panel:
        watched = panel.reader()
        failing, write = [False], panel.bus._line.write
        tried = [0]

        async def fail(frame: bytes) -> None:
            if not failing[0]:
                await write(frame)
                failing[0] = frame[-3] == 0 and len(peer.frames) >= 1
                return
            tried[0] += 1
            assert tried[0] < 10, "again and again, without a pause"
            raise DeviceError("EIO")

        panel.bus._line.write = fail  # type: ignore[method-assign,assignment]  # the kernel says no
        panel.start()
        assert await watched.ear.next() == Offline("EIO")
        failing[0] = False
        panel.bus._line.write = write  # type: ignore[method-assign]  # it says yes again
        assert isinstance((await watched.until(Online))[-1], Online)


async def test_a_line_that_babbles_is_not_listened_to_for_ever(peer: Peer) -> None:
    noise = random.Random(7)
    async with panel_at(Path(peer.device.path)) as panel:
        watched = panel.reader()
        panel.start()
        await watched.until(Online)
        peer.spoil = lambda _command, _answer: []

        async def babble() -> None:
            while True:
                peer.send(LONG_HEADER + noise.randbytes(16))
                await asyncio.sleep(0.01)

        babbling = asyncio.create_task(babble())
        told = await watched.until(Offline)
        babbling.cancel()
        assert told[-1] == Offline("it does not answer")
        peer.spoil = lambda _command, answer: [answer]
        await watched.until(Online)


async def test_an_adapter_that_echoes_leaves_a_slow_device_all_its_time(peer: Peer) -> None:
    """100 ms between the echo and the answer, of the 200 that the standard allows."""
    peer.apart_s = 0.1
    peer.spoil = lambda command, answer: [command, answer]
    async with panel_at(Path(peer.device.path), clock=LeapingClock()) as panel:
        watched = panel.reader()
        panel.start()
        await watched.until(Online)
        seen = len(peer.frames)
        await until(lambda: len(peer.frames) >= seen + 6)
        assert len(set(peer.frames[seen:])) == len(peer.frames[seen:])  # no repeats
        assert panel.bus.device(OsdpPlace(**panel.place(0, KEY))).online


async def test_a_stray_byte_as_the_line_turns_cuts_no_slow_device_off(peer: Peer) -> None:
    peer.apart_s = 0.1
    peer.spoil = lambda _command, answer: [b"\x00", answer]
    async with panel_at(Path(peer.device.path), clock=LeapingClock()) as panel:
        watched = panel.reader()
        panel.start()
        await watched.until(Online)
        assert panel.bus.device(OsdpPlace(**panel.place(0, KEY))).online


async def test_an_answer_that_comes_byte_by_byte_is_waited_for(peer: Peer) -> None:
    peer.apart_s = 0.003
    peer.spoil = lambda _command, answer: [bytes([byte]) for byte in answer]
    async with panel_at(Path(peer.device.path), clock=LeapingClock()) as panel:
        watched = panel.reader()
        panel.start()
        await watched.until(Online)
        # Were it not waited for, it would never be online; a machine that stalls costs a repeat.
        assert len(peer.frames) - len(set(peer.frames)) <= 2


async def test_an_answer_cut_short_hides_no_answer_behind_it(peer: Peer) -> None:
    """The first three bytes of one, then the whole: found when the line falls silent."""
    peer.spoil = lambda _command, answer: [answer[:3] + answer]
    async with panel_at(Path(peer.device.path), clock=LeapingClock()) as panel:
        watched = panel.reader()
        panel.start()
        await watched.until(Online)
        assert len(peer.frames) == len(set(peer.frames))


async def test_what_stays_of_an_answer_is_no_part_of_the_next(peer: Peer) -> None:
    peer.spoil = lambda _command, answer: [answer + LONG_HEADER]
    async with panel_at(Path(peer.device.path), clock=LeapingClock()) as panel:
        watched = panel.reader()
        panel.start()
        await watched.until(Online)
        seen = len(peer.frames)
        await until(lambda: len(peer.frames) >= seen + 6)
        assert len(peer.frames) == len(set(peer.frames))
        assert watched.ear.waiting == 0


# -------------------------------------------------------------------------------- bytes lost


async def test_with_bytes_lost_each_card_is_told_once(tmp_path: Path) -> None:
    """0.2 % of all bytes, both ways."""
    reader = device(seed=5)
    async with panel_and_line(tmp_path, reader, seed=5) as (panel, line):
        watched = panel.reader()
        panel.start()
        await online(watched)
        line.fault(OsdpFault.LOSS, amount=0.002)
        shown = []
        for number in range(100):
            shown.append(tap(reader, number))
            assert await card(watched) == shown[-1]
        line.clear()
        shown.append(tap(reader, 1000))
        assert await card(watched) == shown[-1]
        assert watched.ear.waiting == 0
        assert reader.link.retries > 0 or line.frames > line.replies


async def test_of_two_readers_one_dies_and_the_other_is_polled(tmp_path: Path) -> None:
    readers = [device(0), device(1)]
    async with panel_and_line(tmp_path, *readers) as (panel, line):
        alive, dead = panel.reader(0), panel.reader(1)
        panel.start()
        await online(alive)
        await online(dead)
        line.fault(OsdpFault.SILENCE, 1)
        for number in range(20):
            bits = tap(readers[0], number)
            assert await card(alive) == bits
        await dead.until(Offline)
        began, frames = readers[0].link.commands, line.frames
        await until(lambda: line.frames >= frames + 200)
        assert readers[0].link.commands - began >= 195
        told: list[Any] = [await alive.ear.next() for _ in range(alive.ear.waiting)]
        assert of(Presented, told) == told


# ------------------------------------------------------------ silent at a step of the opening


@pytest.mark.parametrize("online_before", [False, True])
@pytest.mark.parametrize(
    ("code", "attacked"), [(0x61, False), (0x62, False), (0x76, True), (0x77, True)]
)
async def test_a_device_that_leaves_a_step_of_the_opening_out_is_offline_and_pauses(
    peer: Peer, code: int, attacked: bool, online_before: bool
) -> None:
    """A reader put in the place of another says who it is, and nothing of a key that it lacks."""

    def without_it(command: bytes, answer: bytes) -> list[bytes]:
        at = 5 + (command[5] if command[4] & 0x08 else 0)
        return [] if command[at] in {code, 0x60} else [answer]  # and no polls: it must open anew

    async with panel_at(Path(peer.device.path)) as panel:
        watched = panel.reader()
        if online_before:
            panel.start()
            await watched.until(Online)
        peer.spoil = without_it
        if not online_before:
            panel.start()
        told = await watched.until(Offline)
        assert any(isinstance(event, SecurityFailed) for event in told) is attacked
        silent = panel.bus.device(OsdpPlace(**panel.place(0, KEY)))
        assert silent.probe_at_ns > panel.clock.monotonic_ns()
        peer.spoil = lambda _command, answer: [answer]
        await watched.until(Online)
