"""A vehicle gate whole: the daemon on real bytes, an arm and a vehicle that take their time."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gatewayd import daemon
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.store.whitelist import WhitelistStore
from simulators.reader import SimulatedReader
from simulators.relay_barrier import BarrierWiring, SimulatedBarrier
from simulators.relay_board import SimulatedRelayBoard
from tests.system.gate import SETTINGS, TAG, tag_list
from tests.system.test_daemon import kinds, until_kind

WIRING = BarrierWiring(open=1, close=2, loop=1, presence=2, up=3, down=4, travel_s=1.0)
LANE = """kind = "barrier"
close_relay = 2
loop_input = 1
presence_input = 2
open_limit_input = 3
closed_limit_input = 4
pulse_s = 0.2
travel_s = 2
unlock_s = 2.5
"""
MOVES = ("tap", "arrive", "pass", "stop", "leave", "wait", "restart")


@dataclass
class Lane:
    folder: Path
    reader: SimulatedReader
    board: SimulatedRelayBoard

    @property
    def barrier(self) -> SimulatedBarrier:
        return self.board.barriers[0]

    async def live(self, seconds: float) -> None:
        until_s = self.barrier.lived_s + seconds
        while self.barrier.lived_s < until_s:
            await asyncio.sleep(0)

    async def comes_down(self) -> None:
        async with asyncio.timeout(20):
            while self.barrier.arm > 0:
                await asyncio.sleep(0)


@asynccontextmanager
async def lane(folder: Path) -> AsyncIterator[Lane]:
    text = SETTINGS.format(folder=folder).replace("unlock_s = 60\n", LANE)
    text = text.replace("contact_input = 1\nexit_input = 2\n", "") + "vehicle = true\n"
    text = text.replace("baud_rate = 115200", "baud_rate = 115200\npoll_ms = 20")
    (folder / "gatewayd.toml").write_text(text, encoding="utf-8")
    store = await WhitelistStore.open(folder / "data" / "whitelist")
    await store.apply_full(1, tag_list())
    store.close()
    async with (
        SimulatedReader("id12", folder / "reader") as reader,
        SimulatedRelayBoard(folder / "board", barriers=(WIRING,), baud=115_200) as board,
    ):
        yield Lane(folder, reader, board)


@asynccontextmanager
async def daemon_of(place: Lane) -> AsyncIterator[None]:
    stop = asyncio.Event()
    loaded = load_settings(place.folder / "gatewayd.toml", load_registry())
    online = (await online_count(place)) + 2  # its reader and its board
    async with asyncio.TaskGroup() as group:
        group.create_task(daemon.serve(loaded, stop), name="daemon")
        async with asyncio.timeout(15):
            while await online_count(place) < online:
                await asyncio.sleep(0)
        yield
        stop.set()


async def online_count(place: Lane) -> int:
    try:
        return (await kinds(place.folder)).count("device.online")
    except sqlite3.OperationalError:  # not there yet
        return 0


async def test_a_vehicle_with_a_card_is_let_in_and_the_arm_closes_behind_it(tmp_path: Path) -> None:
    async with lane(tmp_path) as place, daemon_of(place):
        await place.live(0.5)  # the loops have been read
        await place.reader.present(40, TAG)
        await until_kind(tmp_path, "access.denied")  # on foot: no vehicle stands there
        place.barrier.order("arrive")
        await place.live(0.5)
        place.barrier.order("pass")
        await place.live(1.5)  # the reader forgets the card it has just read
        await place.reader.present(40, TAG)
        await until_kind(tmp_path, "door.opened")
        await place.live(3)
        await place.comes_down()
        assert (place.barrier.passed, place.barrier.hits) == (1, 0)
    assert "door.forced" not in await kinds(tmp_path)


async def test_after_a_restart_the_arm_is_up_until_the_vehicle_has_gone(
    tmp_path: Path,
) -> None:
    async with lane(tmp_path) as place:
        async with daemon_of(place):
            place.barrier.order("arrive")
            place.barrier.order("stop")
            await place.live(0.5)
            await place.reader.present(40, TAG)
            await place.live(3)
            assert place.barrier.under_arm
        async with daemon_of(place):
            await place.live(5)
            assert (place.barrier.arm, place.barrier.hits) == (1.0, 0)
            place.barrier.order("pass")
            await place.comes_down()
        assert (place.barrier.passed, place.barrier.hits) == (1, 0)


@settings(max_examples=2, deadline=None, derandomize=True)
@given(
    first=st.sampled_from(["pass", "stop"]),
    moves=st.lists(st.sampled_from(MOVES), min_size=6, max_size=8),
)
def test_whatever_drivers_do_no_vehicle_is_hit(first: str, moves: list[str]) -> None:
    """One is let in, and stops or passes; then anything happens."""
    with tempfile.TemporaryDirectory(prefix="lane") as folder:
        asyncio.run(play(Path(folder), ["arrive", first, "tap", "wait", "wait", *moves]))


async def play(folder: Path, moves: list[str]) -> None:
    async with lane(folder) as place:
        left = list(moves)
        while left:
            async with daemon_of(place):
                while left and (move := left.pop(0)) != "restart":
                    await make(place, move)
                await place.live(2)  # nobody drives up in the moment without a daemon
        async with daemon_of(place):
            with suppress(ValueError):
                place.barrier.order("leave")
            await place.live(4)
            await place.comes_down()
        assert place.barrier.hits == 0


async def make(place: Lane, move: str) -> None:
    if move == "tap":
        await place.reader.present(40, TAG)
    elif move == "wait":
        await place.live(1.7)
    else:
        with suppress(ValueError):  # nobody is there to do it
            place.barrier.order(move)
    await place.live(0.4)
