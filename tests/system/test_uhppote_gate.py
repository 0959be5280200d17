"""A whole gate on a UHPPOTE board: the box decides while it is there, the board's own list when it
is not, and what the board did is journaled when it is back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from drivers.buses import uhppote_list
from drivers.protocols.uhppote_cards import credential_of
from gatewayd import cli
from gatewayd.daemon import serve
from gatewayd.domain.events import (
    EVENT_TYPES,
    AccessDenied,
    AccessGranted,
    Acted,
    ControllerActed,
    DoorLocked,
    DoorOpened,
    DoorUnlocked,
    Event,
)
from gatewayd.domain.model import Credential
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.store.journal_file import open_journal
from gatewayd.store.whitelist import WhitelistStore
from simulators.uhppote_board import SimulatedUhppoteBoard
from tests.protocols.transports.test_uhppote import free_port
from tests.store.lists import chunk, level, person, schedule

CARD, STRANGER = 10_058_399, 10_000_001
SETTINGS = """
[site]
id = "site"
name = "云栖花园"
gateway = "gate-1"
[storage]
directory = "data"
[[bus]]
id = "north"
driver = "uhppote"
address = "{address}"
serial = {serial}
listen = "127.0.0.1:{listen}"
poll_ms = 50
timeout_ms = 2000
[[controller]]
id = "north-doors"
driver = "uhppote-doors"
bus = "north"
[[door]]
id = "main-gate"
name = "Main gate"
controller = "north-doors"
relay = 1
contact_input = 1
exit_input = 5
unlock_s = 60
commit_deadline_ms = 5000
[[reader]]
id = "main-gate-in"
name = "Main gate, in"
driver = "uhppote-reader"
bus = "north"
board_door = 1
door = "main-gate"
"""
WAIT_S = 30.0


def events(folder: Path) -> list[Event]:
    with open_journal(folder / "data" / "journal.db") as journal:
        return [entry.event for entry in journal.events(EVENT_TYPES, 1, journal.last_seq())]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def board() -> AsyncIterator[SimulatedUhppoteBoard]:
    async with SimulatedUhppoteBoard() as board:
        yield board


@pytest.fixture
async def config(tmp_path: Path, board: SimulatedUhppoteBoard) -> Path:
    host, port = board.address
    path = tmp_path / "gatewayd.toml"
    path.write_text(
        SETTINGS.format(address=f"{host}:{port}", serial=board.serial, listen=free_port()),
        encoding="utf-8",
    )
    known = credential_of(CARD)
    assert isinstance(known, Credential)
    record = {"t": "credential", "kind": "card", "bits": 26, "value": known.value, "person": "p-17"}
    store = await WhitelistStore.open(tmp_path / "data" / "whitelist")
    await store.apply_full(1, [chunk(schedule(), level(), person(), record)])
    store.close()
    return path


@asynccontextmanager
async def daemon(config: Path) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.ensure_future(serve(load_settings(config, load_registry()), stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(WAIT_S):
            await task


async def test_the_box_decides_and_the_board_when_the_box_is_away(
    tmp_path: Path,
    config: Path,
    board: SimulatedUhppoteBoard,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(uhppote_list, "EVERY_MS", 0)
    monkeypatch.setattr(uhppote_list, "RETRY_S", 0.1)

    def of(kind: type[Event]) -> list[Event]:
        return [event for event in events(tmp_path) if isinstance(event, kind)]

    async def diff() -> int:
        return await asyncio.to_thread(cli.main, ["uhppote", "diff", "--config", str(config)])

    async with daemon(config):
        await until(lambda: board.state.find(CARD) is not None)
        assert await diff() == 0
        assert "north-doors: 1 cards, as they should be" in capsys.readouterr().out
        board.swipe(1, CARD)
        await until(lambda: board.state.relays()[0])
        board.move_leaf(1, opens=True)
        board.move_leaf(1, opens=False)
        await until(lambda: not board.state.relays()[0])  # a relock on close
        board.swipe(1, STRANGER)
        await until(lambda: of(AccessDenied) and of(DoorOpened) and of(DoorLocked))
        assert [len(of(kind)) for kind in (AccessGranted, DoorUnlocked, DoorOpened)] == [1, 1, 1]
        board.state.cards.clear()
        assert await diff() == 1
        assert "not on the board: 1: •••8399" in capsys.readouterr().out
    assert of(ControllerActed) == []

    board.state.cards.clear()
    board.state.pc_control = False  # 30 s later
    board.state.clock -= timedelta(seconds=90)
    board.swipe(1, CARD)  # denied: the board's list is empty
    board.state.clock += timedelta(seconds=90)
    async with daemon(config):
        await until(lambda: of(ControllerActed))
        await until(lambda: board.state.user_index == board.state.newest)
    async with daemon(config):
        await until(lambda: board.state.host_decides)
    [acted] = of(ControllerActed)
    assert isinstance(acted, ControllerActed)
    assert (acted.what, acted.terminal, acted.device_id) == (Acted.DENIED, 1, "north-doors")
    assert acted.credential is not None
    assert len(of(AccessGranted)) == 1


async def test_what_can_not_be_compared_is_refused(
    config: Path, board: SimulatedUhppoteBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    def diff(*more: str) -> int:
        return cli.main(["uhppote", "diff", "--config", str(config), *more])

    board.plugged = False
    assert await asyncio.to_thread(diff, "--set", "bus.north.timeout_ms=20") == 3
    assert "did not answer within 20 ms" in capsys.readouterr().err
    assert await asyncio.to_thread(diff, "south") == 3
    assert "no board 'south' has a list of its own; there are: north-doors" in (
        capsys.readouterr().err
    )
    (config.parent / "data" / "whitelist" / "current.json").unlink()
    assert await asyncio.to_thread(diff) == 3
    assert "there is no list" in capsys.readouterr().err
