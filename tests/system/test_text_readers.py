"""QR passes and plates whole: the daemon on the bytes of scanners and a plate recogniser, a door
and a vehicle barrier on one board."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drivers import input_device
from gatewayd import daemon
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.settings.problem import SettingsError
from gatewayd.store.whitelist import WhitelistStore
from simulators.reader import SimulatedReader
from simulators.reader_frames import LineForm
from simulators.relay_barrier import BarrierWiring, SimulatedBarrier
from simulators.relay_board import SimulatedRelayBoard
from simulators.relay_terminals import DoorWiring
from tests.protocols.transports.lines import PtyDevice
from tests.protocols.typing_events import line, typed
from tests.store.lists import chunk, level, person, schedule

PASS = "YX-7f3K-访客-0001"
TYPED = "YX-7f3K-0002"
PLATE = "京A12345"
LANE = BarrierWiring(open=1, close=2, loop=1, presence=2, up=3, down=4, travel_s=0.5)
SETTINGS = """
[site]
id = "site"
name = "云栖花园"
gateway = "gate-1"
[storage]
directory = "data"
[[controller]]
id = "board-1"
driver = "modbus-relay"
port = "board"
baud_rate = 115200
poll_ms = 20
[[door]]
id = "main-gate"
name = "Main gate"
controller = "board-1"
relay = 3
contact_input = 5
exit_input = 6
unlock_s = 60
commit_deadline_ms = 5000
[[door]]
id = "lane"
name = "Lane"
controller = "board-1"
kind = "barrier"
relay = 1
close_relay = 2
loop_input = 1
presence_input = 2
open_limit_input = 3
closed_limit_input = 4
pulse_s = 0.2
travel_s = 2
unlock_s = 3
commit_deadline_ms = 5000
[[reader]]
id = "main-gate-qr"
name = "Main gate, QR"
driver = "line-reader"
credential = "qr"
port = "scanner"
prefix = "]Q1"
door = "main-gate"
[[reader]]
id = "main-gate-desk"
name = "Main gate, desk"
driver = "evdev-reader"
credential = "qr"
device = "keyboard"
door = "main-gate"
[[reader]]
id = "lane-plates"
name = "Lane, plates"
driver = "line-reader"
credential = "plate"
encoding = "gb18030"
port = "plates"
debounce_ms = 0
door = "lane"
vehicle = true
"""
DEVICES = 4


@dataclass
class Gate:
    folder: Path
    scanner: SimulatedReader
    plates: SimulatedReader
    keyboard: PtyDevice
    board: SimulatedRelayBoard

    @property
    def barrier(self) -> SimulatedBarrier:
        return self.board.barriers[0]

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        try:
            with sqlite3.connect(self.folder / "data" / "journal.db") as database:
                rows = database.execute("SELECT kind, data FROM event ORDER BY seq").fetchall()
            database.close()
        except sqlite3.OperationalError:  # not there yet
            return []
        return [json.loads(data) | {"kind": kind} for kind, data in rows if kind in kinds]

    async def until(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        async with asyncio.timeout(15):
            while len(found := self.events(kind)) < count:
                await asyncio.sleep(0)
        return found

    async def live(self, seconds: float) -> None:
        until_s = self.barrier.lived_s + seconds
        while self.barrier.lived_s < until_s:
            await asyncio.sleep(0)

    def everything(self) -> bytes:
        """All bytes of the journal's files and of nothing else."""
        return b"".join(path.read_bytes() for path in (self.folder / "data").glob("journal.db*"))


def written_list() -> bytes:
    qr = {"t": "credential", "kind": "qr", "value": PASS, "person": "p-17", "uses": 1}
    typed_too = qr | {"value": TYPED}
    plate = {"t": "credential", "kind": "plate", "value": PLATE, "person": "p-17"}
    both = level(doors=["main-gate", "lane"])
    return chunk(schedule(), both, person(), qr, typed_too, plate)


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[Gate]:
    (folder / "gatewayd.toml").write_text(SETTINGS, encoding="utf-8")
    store = await WhitelistStore.open(folder / "data" / "whitelist")
    await store.apply_full(1, [written_list()])
    store.close()
    keyboard = PtyDevice(folder / "keyboard")
    keyboard.plug_in()
    doors = (DoorWiring(3, 5, 6),)
    stop = asyncio.Event()
    async with (
        asyncio.timeout(60),
        SimulatedReader("line", folder / "scanner", form=LineForm(prefix="]Q1")) as scanner,
        SimulatedReader("line", folder / "plates", form=LineForm("gb18030", end="cr")) as plates,
        SimulatedRelayBoard(folder / "board", doors=doors, barriers=(LANE,), baud=115_200) as board,
        asyncio.TaskGroup() as group,
    ):
        place = Gate(folder, scanner, plates, keyboard, board)
        loaded = load_settings(folder / "gatewayd.toml", load_registry())
        group.create_task(daemon.serve(loaded, stop), name="daemon")
        try:
            await place.until("device.online", DEVICES)
            await place.live(0.5)  # the inputs have been read
            yield place
        finally:
            stop.set()
    keyboard.unplug()


@pytest.fixture(autouse=True)
def keyboard_is_grabbed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pseudo-terminal stands for the input device, and can't be."""
    monkeypatch.setattr(input_device, "ioctl", lambda _fd, _request, _argument: 0)


async def test_a_pass_of_the_list_opens_the_door_once(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        await here.scanner.show(PASS, hold_s=1.2)  # held there, the scanner sends it three times
        await here.board.terminals.wait_for_relay(3, True)
        [granted] = await here.until("access.granted")
        assert granted["access_point_id"] == "main-gate-qr"
        assert granted["person_id"] == "p-17"
        assert granted["credential"]["kind"] == "qr"
        assert granted["credential"]["masked"] == "•" * (len(PASS) - 4) + "0001"
        await here.live(1.2)  # the debounce is over
        await here.scanner.show(PASS)
        [denied] = await here.until("access.denied")
        assert denied["reason"] == "no_uses_left"
        assert len(here.events("access.granted")) == 1


async def test_an_unknown_pass_is_denied_and_never_written_down(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        await here.scanner.show("WX://PAY/58831-77")
        [denied] = await here.until("access.denied")
        assert denied["reason"] == "credential_unknown"
        assert denied["credential"]["masked"] == "•" * 13 + "1-77"
        assert not here.board.terminals.relays[2].energised
    assert b"58831" not in here.everything()
    assert b"credential_unknown" in here.everything()


async def test_a_plate_opens_the_barrier_only_with_a_vehicle_on_the_loop(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        await here.plates.show("京A·12345")  # read from afar
        [denied] = await here.until("access.denied")
        assert denied["reason"] == "no_vehicle"
        assert denied["credential"]["kind"] == "plate"
        assert here.barrier.arm == 0
        here.barrier.order("arrive")
        await here.live(0.5)
        await here.plates.show("沪B99999")  # of another vehicle
        assert (await here.until("access.denied", 2))[1]["reason"] == "credential_unknown"
        assert here.barrier.arm == 0
        await here.plates.show("京a12345")
        [granted] = await here.until("access.granted")
        assert granted["access_point_id"] == "lane-plates"
        await here.until("door.opened")
        here.barrier.order("pass")
        async with asyncio.timeout(20):
            while here.barrier.passed == 0 or here.barrier.arm > 0:
                await asyncio.sleep(0)
        assert here.barrier.hits == 0


async def test_a_pass_that_is_typed_opens_as_well_and_unplugging_raises_the_alarm(
    tmp_path: Path,
) -> None:
    async with gate(tmp_path) as here:
        here.keyboard.send(line("YX-unknown"))
        [denied] = await here.until("access.denied")
        assert (denied["access_point_id"], denied["reason"]) == (
            "main-gate-desk",
            "credential_unknown",
        )
        here.keyboard.send(line(TYPED))
        await here.board.terminals.wait_for_relay(3, True)
        here.keyboard.send(typed("half"))
        here.keyboard.unplug()
        offline = await here.until("device.offline")
        assert "keyboard" in json.dumps(offline)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('credential = "plate"\n', ""), "reader.lane-plates.credential: "),
        (('encoding = "gb18030"', 'encoding = "big5"'), "reader.lane-plates.encoding: "),
        (('prefix = "]Q1"', "bits = 32"), "reader.main-gate-qr.bits: is for credential = 'card'"),
        (('device = "keyboard"', ""), "reader.main-gate-desk.device: "),
        (
            ('credential = "plate"', 'credential = "card"'),
            "reader.lane-plates.bits: is needed for cards: write how many bits one has",
        ),
    ],
)
def test_wrong_settings_name_the_key(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    (tmp_path / "gatewayd.toml").write_text(SETTINGS.replace(*change), encoding="utf-8")
    with pytest.raises(SettingsError) as refused:
        load_settings(tmp_path / "gatewayd.toml", load_registry())
    [problem] = refused.value.problems
    assert told in str(problem)
    assert problem.line is not None
