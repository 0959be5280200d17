"""A whole gate for system tests: simulated devices on ptys, the settings that name them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from gatewayd.store.whitelist import WhitelistStore
from simulators.reader import SimulatedReader
from simulators.relay_board import SimulatedRelayBoard
from simulators.relay_terminals import DoorWiring
from tests.store.lists import chunk, level, person, schedule

TAG = "100086F444"
STRANGER = "1000000001"
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
port = "{folder}/board"
baud_rate = 115200
[[door]]
id = "main-gate"
name = "Main gate"
controller = "board-1"
relay = 1
contact_input = 1
exit_input = 2
unlock_s = 60
commit_deadline_ms = 5000
[[reader]]
id = "main-gate-in"
name = "Main gate, in"
driver = "ascii-tag"
port = "{folder}/reader"
door = "main-gate"
"""


def tag_list() -> list[bytes]:
    """A full list with one resident, who holds TAG."""
    tag = {"t": "credential", "kind": "card", "bits": 40, "value": TAG, "person": "p-17"}
    return [chunk(schedule(), level(), person(), tag)]


@dataclass
class Devices:
    reader: SimulatedReader
    board: SimulatedRelayBoard
    config: Path


@asynccontextmanager
async def devices(
    folder: Path, more: str = "", *, with_list: bool = True
) -> AsyncIterator[Devices]:
    """A reader and a board, and a settings file beside them. `more` is appended to it."""
    config = folder / "gatewayd.toml"
    text = SETTINGS.format(folder=folder).replace('direction = "in"', "")
    config.write_text(text + more.replace("{folder}", str(folder)), encoding="utf-8")
    if with_list:
        store = await WhitelistStore.open(folder / "data" / "whitelist")
        await store.apply_full(1, tag_list())
        store.close()
    wiring = (DoorWiring(1, 1, 2),)
    async with (
        SimulatedReader("id12", folder / "reader") as reader,
        SimulatedRelayBoard(folder / "board", doors=wiring, baud=115_200) as board,
    ):
        yield Devices(reader, board, config)
