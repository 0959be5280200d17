"""A vehicle gate of two lanes, paired over one area with hard anti-passback: the daemon as a
process of its own, an arm, a reader and a driver at each lane."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

from gatewayd.store.whitelist import WhitelistStore
from simulators.demo_process import Command, Process
from simulators.reader import SimulatedReader
from simulators.relay_barrier import BarrierWiring, SimulatedBarrier
from simulators.relay_board import SimulatedRelayBoard
from tests.store.lists import chunk, level, person, schedule
from tests.system.gate import TAG

T_S = 20.0
SITE = """
[site]
id = "site"
name = "云栖花园"
gateway = "gate-1"
[storage]
directory = "data"
[[controller]]
id = "board-1"
driver = "modbus-relay"
port = "{folder}/board"
baud_rate = 115200
poll_ms = 20
[[area]]
id = "garage"
name = "Garage"
anti_passback = "hard"
"""
LANE = """
[[door]]
id = "lane-{way}"
name = "Lane {way}"
controller = "board-1"
kind = "barrier"
relay = {relay}
close_relay = {close}
loop_input = {loop}
presence_input = {presence}
open_limit_input = {up}
closed_limit_input = {down}
pulse_s = 0.2
travel_s = 2
unlock_s = 2.5
commit_deadline_ms = 5000
inside = "garage"
[[reader]]
id = "reader-{way}"
name = "Reader {way}"
driver = "ascii-tag"
port = "{folder}/reader-{way}"
door = "lane-{way}"
direction = "{way}"
vehicle = true
"""
WIRING = {
    "in": BarrierWiring(open=1, close=2, loop=1, presence=2, up=3, down=4, travel_s=1.0),
    "out": BarrierWiring(open=3, close=4, loop=5, presence=6, up=7, down=8, travel_s=1.0),
}


def settings_of(folder: Path) -> str:
    lanes = [
        LANE.format(
            folder=folder,
            way=way,
            relay=wired.open,
            close=wired.close,
            loop=wired.loop,
            presence=wired.presence,
            up=wired.up,
            down=wired.down,
        )
        for way, wired in WIRING.items()
    ]
    return "".join((SITE.format(folder=folder), *lanes))


@dataclass
class Lane:
    folder: Path
    barrier: SimulatedBarrier
    reader: SimulatedReader

    async def until(self, **wanted: float | bool) -> None:
        async with asyncio.timeout(T_S):
            while any(self.barrier.status()[key] != value for key, value in wanted.items()):
                await asyncio.sleep(0)

    async def decided(self) -> str:
        """A vehicle drives up and its tag is read: "granted", or the reason of the denial."""
        self.barrier.order("arrive")
        before_s, before = self.barrier.lived_s, len(decisions(self.folder))
        while self.barrier.lived_s < before_s + 0.5:  # the loop in front has been read
            await asyncio.sleep(0)
        await self.reader.present(40, TAG)
        async with asyncio.timeout(T_S):
            while len(decisions(self.folder)) == before:
                await asyncio.sleep(0)
        return decisions(self.folder)[-1]

    async def drives_through(self) -> None:
        passed = self.barrier.passed
        self.barrier.order("pass")
        await self.until(passed=passed + 1, vehicle=False)
        await self.until(arm=0.0)

    async def backs_out(self) -> None:
        self.barrier.order("leave")
        await self.until(vehicle=False)


@dataclass
class Gate:
    folder: Path
    lane_in: Lane
    lane_out: Lane

    @property
    def hits(self) -> int:
        return self.lane_in.barrier.hits + self.lane_out.barrier.hits


def events(folder: Path) -> list[tuple[str, str]]:
    """Each event's kind and JSON, as they stand in the file."""
    path = folder / "data" / "journal.db"
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        try:
            return database.execute("SELECT kind, data FROM event ORDER BY seq").fetchall()
        except sqlite3.OperationalError:  # it is being made
            return []


def decisions(folder: Path) -> list[str]:
    return [
        json.loads(data).get("reason", "granted")
        for kind, data in events(folder)
        if kind in {"access.granted", "access.denied"}
    ]


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[Gate]:
    (folder / "gatewayd.toml").write_text(settings_of(folder), encoding="utf-8")
    tag = {"t": "credential", "kind": "card", "bits": 40, "value": TAG, "person": "p-17"}
    lanes = level(doors=["lane-in", "lane-out"])
    store = await WhitelistStore.open(folder / "data" / "whitelist")
    await store.apply_full(1, [chunk(schedule(), lanes, person(), tag)])
    store.close()
    wirings = tuple(WIRING.values())
    async with (
        SimulatedReader("id12", folder / "reader-in") as reader_in,
        SimulatedReader("id12", folder / "reader-out") as reader_out,
        SimulatedRelayBoard(folder / "board", barriers=wirings, baud=115_200) as board,
    ):
        entry, way_out = board.barriers
        yield Gate(folder, Lane(folder, entry, reader_in), Lane(folder, way_out, reader_out))


@asynccontextmanager
async def daemon_at(place: Gate) -> AsyncIterator[None]:
    """The real process, from its ready line and its devices' first answers to its end."""
    config = str(place.folder / "gatewayd.toml")
    argv = [sys.executable, "-m", "gatewayd", "run", "--config", config]
    process = Process(Command("gatewayd", argv, place.folder / "gatewayd.log"))
    online = len(device_events(place)) + 3  # two readers and the board
    await process.launch()
    try:
        await process.wait_ready()
        async with asyncio.timeout(T_S):
            while len(device_events(place)) < online:
                await asyncio.sleep(0)
        yield
    finally:
        status = await process.stop()
    assert status == 0, (place.folder / "gatewayd.log").read_text("utf-8")


def device_events(place: Gate) -> list[str]:
    return [kind for kind, _ in events(place.folder) if kind == "device.online"]


async def test_who_drove_in_does_not_drive_in_again_before_leaving_by_the_other_lane(
    tmp_path: Path,
) -> None:
    async with gate(tmp_path) as place, daemon_at(place):
        lane_in, lane_out = place.lane_in, place.lane_out
        assert await lane_in.decided() == "granted"
        await lane_in.drives_through()
        assert await lane_in.decided() == "anti_passback"
        assert lane_in.barrier.arm == 0.0
        await lane_in.backs_out()
        assert await lane_out.decided() == "granted"
        await lane_out.drives_through()
        assert await lane_in.decided() == "granted"
        await lane_in.drives_through()
        assert (lane_in.barrier.passed, lane_out.barrier.passed, place.hits) == (2, 1, 0)


async def test_a_vehicle_that_was_let_out_and_backed_out_of_the_lane_is_still_inside(
    tmp_path: Path,
) -> None:
    """The area changes with the vehicle on the loop, not with the grant."""
    async with gate(tmp_path) as place, daemon_at(place):
        assert await place.lane_in.decided() == "granted"
        await place.lane_in.drives_through()
        assert await place.lane_out.decided() == "granted"
        await place.lane_out.until(arm=1.0)
        await place.lane_out.backs_out()
        await place.lane_out.until(arm=0.0)
        assert await place.lane_in.decided() == "anti_passback"


async def test_who_drove_in_before_a_restart_is_inside_after_it(tmp_path: Path) -> None:
    async with gate(tmp_path) as place:
        async with daemon_at(place):
            assert await place.lane_in.decided() == "granted"
            await place.lane_in.drives_through()
        async with daemon_at(place):
            assert await place.lane_in.decided() == "anti_passback"
            await place.lane_in.backs_out()
            assert await place.lane_out.decided() == "granted"
