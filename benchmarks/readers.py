"""OSDP readers in a secure channel on one line with paced bytes: from the card to the decision.

The panel runs in a process of its own (`benchmarks.readers_panel`), the line and its readers in
this one. Beside ours stand libosdp's control panel, called every millisecond and with the same
decision behind it, and the best that the wire allows: a panel that needs no time and polls each
reader in turn, of which the same cards at the same moments are reckoned. The floor of a quantile is
that panel's. Cards come at moments that a seed chooses, at any of the readers.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from benchmarks.table import Row
from gatewayd.domain import wiegand
from simulators.osdp_device import SimulatedOsdpDevice
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import REPLY_DELAY_S, SimulatedOsdpLine

KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
CARDS = 60
READERS, BAUDS = (1, 4, 8), (9600, 38_400, 115_200)
BITS_A_BYTE = 10
POLL_BYTES = 5 + 2 + 1 + 4 + 2  # head, SCB, id, MAC, CRC; an ACK in the secure channel is as long
CARD_BYTES = POLL_BYTES + 16  # RAW of 26 bits is one block of AES
IDLE_BYTES = 2  # OSDP 2.2 §5.7: silence before the next command
LOSS, LOSS_GOAL_MS = 0.002, 600.0
GOAL, DEAD_GOAL, CPU_GOAL = 1.25, 1.3, 3.0
START_S, LATE_S = 60.0, 12.0
OURS, THEIRS = "ours", "libosdp"


@dataclass(frozen=True, slots=True)
class Line:
    """What is on the wire: so many readers, of which the last `dead` have no power."""

    count: int
    baud: int
    loss: float = 0.0
    dead: int = 0

    @property
    def cycle_s(self) -> float:
        """Of the ideal panel: each reader that is there polled once."""
        return (self.count - self.dead) * self.exchange_s(POLL_BYTES)

    def exchange_s(self, answer_bytes: int) -> float:
        """From the first bit of a poll to the first of the next one."""
        bits = (POLL_BYTES + answer_bytes + IDLE_BYTES) * BITS_A_BYTE
        return bits / self.baud + REPLY_DELAY_S

    @property
    def spacing_s(self) -> float:
        return max(0.15, 2 * self.cycle_s + 6 * self.loss / LOSS * 0.1)


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds of each card that was decided on; how many were not; percent of one core."""

    times: list[float]
    lost: int
    cpu: float


async def run(scale: float = 1.0) -> list[Row]:
    cards = max(4, round(CARDS * scale))
    rows: list[Row] = []
    for baud in BAUDS:
        for count in READERS:
            rows += await _compared(Line(count, baud), cards)
    rows += await _lossy(Line(2, 9600, loss=LOSS), cards)
    rows += await _beside_a_dead_one(cards)
    return rows


async def _compared(line: Line, cards: int) -> list[Row]:
    name = f"card to decision, {line.count} OSDP reader{'s' * (line.count > 1)}, {line.baud} baud"
    best = _ideal(line, cards)
    ours, theirs = [await _measure(panel, line, cards) for panel in (OURS, THEIRS)]
    p95, of_cards = _p95(ours.times), f"of {cards}"
    rows = [
        Row(f"{name}, median", median(ours.times), "ms", median(best)),
        _at_most(f"{name}, p95", p95, _p95(best), GOAL),
        Row(f"{name}, max", max(ours.times), "ms", max(best)),
        Row(f"{name}, cards lost", ours.lost, of_cards, None, None, "0", ours.lost == 0),
        _cpu(f"{name}, CPU", ours.cpu, CPU_GOAL if line.count == max(READERS) else None),
    ]
    if not theirs.times:
        return [*rows, Row(f"{name}, libosdp: cards lost", theirs.lost, of_cards)]
    better = p95 / _p95(theirs.times)
    return [
        *rows,
        Row(f"{name}, libosdp's median", median(theirs.times), "ms", median(best)),
        Row(
            *(f"{name}, p95 beside libosdp's", p95, "ms", _p95(theirs.times)),
            *(better, "ratio < 1", better < 1),
        ),
        Row(f"{name}, libosdp's max", max(theirs.times), "ms", max(best)),
        _cpu(f"{name}, libosdp's CPU", theirs.cpu, None),
    ]


def _at_most(name: str, figure: float, floor: float, goal: float) -> Row:
    ratio = figure / floor
    return Row(name, figure, "ms", floor, ratio, f"ratio ≤ {goal}", ratio <= goal)


def _cpu(name: str, percent: float, goal: float | None) -> Row:
    if goal is None:
        return Row(name, percent, "% of a core")
    return Row(name, percent, "% of a core", None, None, f"≤ {goal:g}", percent <= goal)


async def _lossy(line: Line, cards: int) -> list[Row]:
    name = f"{line.count} OSDP readers, {line.baud} baud, {line.loss:.1%} of all bytes lost"
    found = await _measure(OURS, line, 2 * cards)
    p95 = _p95(found.times)
    return [
        Row(f"{name}, p95", p95, "ms", _p95(_ideal(line, 2 * cards)), None,
            f"≤ {LOSS_GOAL_MS:g} ms", p95 <= LOSS_GOAL_MS),
        Row(f"{name}, cards lost", found.lost, f"of {2 * cards}", None, None, "0", found.lost == 0),
    ]  # fmt: skip


async def _beside_a_dead_one(cards: int) -> list[Row]:
    rows = []
    for baud in (9600, 38_400):
        usual = await _measure(OURS, Line(2, baud), cards)
        found = await _measure(OURS, Line(2, baud, dead=1), cards)
        name = f"one of two OSDP readers dead, {baud} baud, the other's p95"
        rows.append(_at_most(name, _p95(found.times), _p95(usual.times), DEAD_GOAL))
    return rows


# -------------------------------------------------------------------------------- one run


async def _measure(panel: str, line: Line, cards: int) -> Measured:
    devices = [SimulatedOsdpDevice(address, key=KEY) for address in range(line.count - line.dead)]
    with tempfile.TemporaryDirectory() as folder:
        port, key_file = Path(folder) / "line", Path(folder) / "key"
        key_file.touch(0o600)
        key_file.write_text(KEY.hex() + "\n", "ascii")
        async with SimulatedOsdpLine(port, devices, baud=line.baud) as wire:
            words = [
                *("--port", str(port), "--baud", str(line.baud), "--count", str(line.count)),
                *("--dead", str(line.dead), "--key-file", str(key_file)),
            ]
            async with _panel(panel, words) as process:
                return await _present(wire, process, line, cards)


@asynccontextmanager
async def _panel(panel: str, words: Sequence[str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """The panel, once all its readers are online."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.readers_panel", panel, *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            assert await process.stdout.readline() == b"online\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _present(
    wire: SimulatedOsdpLine, process: asyncio.subprocess.Process, line: Line, cards: int
) -> Measured:
    assert process.stdin is not None
    assert process.stdout is not None
    shown: dict[int, int] = {}
    times: list[float] = []
    everything = asyncio.Event()
    percent = 0.0

    async def listen(out: asyncio.StreamReader) -> None:
        nonlocal percent
        while words := (await out.readline()).split():
            if words[0] == b"cpu":
                percent = float(words[1]) * 100
                return
            times.append((int(words[0]) - shown.pop(int(words[1]))) / 1e6)
            if len(times) == cards:
                everything.set()

    async with asyncio.TaskGroup() as tg:
        tg.create_task(listen(process.stdout), name="what the panel says")
        await asyncio.sleep(1)  # the first polls after the opening are asked for more
        if line.loss:
            wire.fault(OsdpFault.LOSS, amount=line.loss)
        begin_s = time.monotonic()
        for number, (after_s, address) in enumerate(_moments(line, cards), 1):
            await asyncio.sleep(begin_s + after_s - time.monotonic())
            bits = wiegand.encode("H10301", 1, number)
            shown[bits] = time.monotonic_ns()
            wire.device(address).present_card(26, bits)
        try:
            async with asyncio.timeout(LATE_S):
                await everything.wait()
        except TimeoutError:
            pass
        lasted_s = time.monotonic() - begin_s
        process.stdin.close()
    return Measured(times, len(shown), percent / (lasted_s + 1))


def _moments(line: Line, cards: int) -> list[tuple[float, int]]:
    """When, in seconds, and at which reader each card is presented."""
    chance = random.Random(7)  # noqa: S311  # seeded and repeatable
    alive = line.count - line.dead
    return [
        ((number + chance.random()) * line.spacing_s, chance.randrange(alive))
        for number in range(cards)
    ]


def _ideal(line: Line, cards: int) -> list[float]:
    """Milliseconds of each card with a panel that needs no time, on the bare wire: it waits for its
    reader's next poll, then for that poll and its answer."""
    alive = line.count - line.dead
    poll_s = line.exchange_s(POLL_BYTES)
    idle_s = IDLE_BYTES * BITS_A_BYTE / line.baud
    sent_s = (
        POLL_BYTES * BITS_A_BYTE / line.baud
    )  # a card that comes during a poll is in its answer
    found = []
    for moment_s, address in _moments(line, cards):
        after_s = (moment_s - address * poll_s - sent_s) % (alive * poll_s)
        wait_s = alive * poll_s - after_s - sent_s
        found.append((wait_s + line.exchange_s(CARD_BYTES) - idle_s) * 1e3)
    return found


def _p95(times: list[float]) -> float:
    return quantiles(times, n=20)[18] if len(times) > 1 else times[0]
