"""A gate on an OSDP line whole: reader with light and buzzer, lock and contact on the same bus, the
daemon on real bytes, all in a secure channel."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd import daemon
from gatewayd.domain import wiegand
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.store.whitelist import WhitelistStore
from simulators.osdp_device import READER, OsdpModel, SimulatedOsdpDevice
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import SimulatedOsdpLine
from tests.store.lists import chunk, level, person, schedule
from tests.system.test_daemon import until_kind

CARD = wiegand.encode("H10301", 12, 3456)
DURESS = wiegand.encode("H10301", 12, 3457)
STRANGER = wiegand.encode("H10301", 99, 1)
BOARD = OsdpModel("board", readers=0, lights=0, rows=0, outputs=2, inputs=4)
SETTINGS = """
[site]
id = "site"
name = "云栖花园"
gateway = "gate-1"
[storage]
directory = "data"
[[bus]]
id = "bus-1"
driver = "osdp"
port = "{folder}/bus"
baud_rate = 115200
[[controller]]
id = "board-1"
driver = "osdp-io"
bus = "bus-1"
address = 1
key_file = "board.key"
relays = 2
inputs = 4
[[door]]
id = "main-gate"
name = "Main gate"
controller = "board-1"
relay = 1
contact_input = 1
exit_input = 2
unlock_s = 60
pre_alarm_s = 0.2
held_s = 600
commit_deadline_ms = 5000
[[reader]]
id = "main-gate-in"
name = "Main gate, in"
driver = "osdp-reader"
bus = "bus-1"
address = 0
key_file = "reader.key"
door = "main-gate"
debounce_ms = 0
[reader.signs]
granted = {{ light = "green", tone = "twice", text = "WELCOME", for_s = 30 }}
denied = {{ light = "amber", tone = "thrice", for_s = 0.2 }}
[[linkage]]
id = "say-so"
when = "door.opened"
then = [
    {{ do = "reader", reader = "main-gate-in", light = "blue", text = "MIND", for_s = 60 }},
]
"""


@dataclass
class Gate:
    folder: Path
    reader: SimulatedOsdpDevice
    board: SimulatedOsdpDevice

    def events(self, kind: str) -> list[dict[str, Any]]:
        with sqlite3.connect(self.folder / "data" / "journal.db") as database:
            sql = "SELECT data FROM event WHERE kind = ? ORDER BY seq"
            rows = [json.loads(data) for (data,) in database.execute(sql, (kind,))]
        database.close()
        return rows

    async def until_alarm(self, alarm: str) -> None:
        async with asyncio.timeout(15):
            while alarm not in {event["alarm"] for event in self.events("alarm.raised")}:
                await asyncio.sleep(0)

    async def beeps_twice(self, already: int = 0) -> None:
        """Returns when the sign of a grant has sounded, after so many orders to the buzzer."""
        heard = self.reader.buzzer.history
        await self.reader.wait_until(lambda: any(b.count == 2 for b in list(heard)[already:]))

    async def stands(self) -> None:
        """Reader and board are online, and the reader rests as a locked door's does."""
        await self.board.wait_secure()
        await self.reader.wait_secure()
        await until_kind(self.folder, "device.online")
        await self.reader.wait_until(lambda: self.reader.lights[0].permanent.colour == "red")
        # ID, CAP, CHLNG, SCRYPT, OUT, OSTAT, LSTAT and ISTAT, polls between them: then it is known
        # how the contact stood before anybody came.
        opening_and_states = 20
        await self.board.wait_until(lambda: self.board.link.commands > opening_and_states)


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[Gate]:
    (folder / "gatewayd.toml").write_text(SETTINGS.format(folder=folder), encoding="utf-8")
    for name, key in (("reader", b"r" * 16), ("board", b"b" * 16)):
        path = folder / f"{name}.key"
        path.write_text(key.hex())
        path.chmod(0o600)
    store = await WhitelistStore.open(folder / "data" / "whitelist")
    cards = [
        {"t": "credential", "kind": "card", "bits": 26, "value": f"{bits:07X}", "person": "p-17"}
        | ({"duress": True} if bits == DURESS else {})
        for bits in (CARD, DURESS)
    ]
    await store.apply_full(1, [chunk(schedule(), level(), person(), *cards)])
    store.close()
    reader = SimulatedOsdpDevice(0, READER, key=b"r" * 16)
    board = SimulatedOsdpDevice(1, BOARD, key=b"b" * 16)
    board.inputs[0] = True  # the contact is active while the door is shut
    loaded = load_settings(folder / "gatewayd.toml", load_registry())
    stop = asyncio.Event()
    async with (
        asyncio.timeout(60),
        SimulatedOsdpLine(folder / "bus", [reader, board], baud=115_200),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(daemon.serve(loaded, stop), name="daemon")
        try:
            place = Gate(folder, reader, board)
            await place.stands()
            yield place
        finally:
            stop.set()


async def test_a_card_opens_and_the_reader_shows_green_with_the_open_lock(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        here.reader.present_card(26, CARD)
        await here.board.wait_for_output(0, True)
        await here.reader.wait_for_light("green")
        await here.reader.wait_for_text("WELCOME")
        await here.beeps_twice()
        await until_kind(tmp_path, "door.unlocked")
    assert not here.board.outputs[0].energised  # the end locks it


async def test_a_stranger_sees_the_denial_and_then_the_reader_at_rest(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        here.reader.present_card(26, STRANGER)
        await here.reader.wait_for_light("amber")
        await here.reader.wait_for_light("red")
        assert [e["reason"] for e in here.events("access.denied")] == ["credential_unknown"]
        assert not here.board.outputs[0].energised


async def test_duress_shows_nothing_of_it_at_the_reader(tmp_path: Path) -> None:
    shown = []
    async with gate(tmp_path) as here:
        for card in (CARD, DURESS):
            already = len(here.reader.buzzer.history)
            here.reader.present_card(26, card)
            await here.beeps_twice(already)
            await here.reader.wait_for_text("WELCOME")
            shown.append((here.reader.lights[0].colour, here.reader.text))
        await here.until_alarm("duress")
    assert shown[0] == shown[1] == ("green", "WELCOME")


async def test_a_held_door_sounds_the_reader_until_it_is_shut(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        here.reader.present_card(26, CARD)
        await here.board.wait_for_output(0, True)
        here.board.set_input(0, False)
        await here.reader.wait_for_light("blue")  # the linkage of the settings
        await here.reader.wait_for_text("MIND")
        await until_kind(tmp_path, "door.held_warning")
        await here.reader.wait_until(lambda: here.reader.lights[0].permanent.blinks)
        await here.reader.wait_until(lambda: here.reader.buzzer.now is not None)
        here.board.set_input(0, True)
        await until_kind(tmp_path, "door.closed")
        await here.reader.wait_until(lambda: not here.reader.lights[0].permanent.blinks)
        await here.reader.wait_until(lambda: here.reader.buzzer.now is None)


async def test_a_forged_card_on_the_wires_opens_nothing_and_raises_an_alarm(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        here.reader.fault(OsdpFault.CLEAR_INJECTION, times=1)
        await here.until_alarm("secure_channel")
        assert here.events("access.granted") == here.events("access.denied") == []
        await here.reader.wait_secure()  # and the reader comes back by a proper session
        here.reader.present_card(26, CARD)
        await here.board.wait_for_output(0, True)


async def test_a_reader_that_is_opened_raises_the_tamper_alarm(tmp_path: Path) -> None:
    async with gate(tmp_path) as here:
        here.reader.set_tamper(True)
        await here.until_alarm("tamper")
        here.reader.set_power_failed(True)
        await here.until_alarm("power_failed")
