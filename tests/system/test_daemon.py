"""The daemon whole, on real bytes: ptys, mosquitto, RTSP, HTTP and SQLite files."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gatewayd import daemon
from gatewayd.boot import sole_gateway
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.store.operators import hash_password
from gatewayd.store.verify import verify
from simulators.camera import SimulatedCamera
from tests.link.broker import Centre, mosquitto
from tests.system.gate import SETTINGS, STRANGER, TAG, Devices, devices, tag_list

LINK = """
[link]
host = "127.0.0.1"
port = {port}
tls = false
central_keys_file = "{folder}/keys.json"
resend_s = 1.0
"""
CAMERA = """
[[camera]]
id = "cam-gate"
name = "Gate"
url = "{url}"
"""
CONSOLE = """
[console]
port = 0
operators_file = "{folder}/operators.toml"
"""
SIREN = """
[[linkage]]
id = "siren"
when = "alarm.raised"
alarm = "door_forced"
then = [{ do = "relay", controller = "board-1", relay = 4, for_s = 3600 }]
"""


@asynccontextmanager
async def running(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[dict[str, Any]]:
    """The daemon in this process; yields what it tells when it is ready."""
    stop = asyncio.Event()
    loaded = load_settings(config, load_registry())
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        serving = group.create_task(daemon.serve(loaded, stop), name="daemon")
        told = ""
        while not told and not serving.done():  # a line on stdout is no event
            await asyncio.sleep(0)
            told = capsys.readouterr().out
        yield json.loads(told.removeprefix("ready "))
        stop.set()


async def kinds(folder: Path) -> list[str]:
    """The kinds of all events, as they stand in the file."""
    with sqlite3.connect(folder / "data" / "journal.db") as database:
        rows = [kind for (kind,) in database.execute("SELECT kind FROM event ORDER BY seq")]
    database.close()
    return rows


async def until_kind(folder: Path, kind: str) -> None:
    async with asyncio.timeout(15):
        while kind not in await kinds(folder):
            await asyncio.sleep(0)


async def test_a_tap_opens_the_door_is_journaled_and_the_end_locks_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with devices(tmp_path) as gate:
        async with running(gate.config, capsys) as told:
            assert told["gateway"] == "gate-1"
            await until_kind(tmp_path, "device.online")
            await gate.reader.present(40, STRANGER)
            await until_kind(tmp_path, "access.denied")
            assert not gate.board.terminals.relays[0].energised
            await gate.reader.present(40, TAG)
            await gate.board.terminals.wait_for_relay(1, True)
            await until_kind(tmp_path, "door.unlocked")
        assert not gate.board.terminals.relays[0].energised
    found = await kinds(tmp_path)
    order = ["system.started", "access.denied", "access.granted", "door.unlocked", "system.stopped"]
    assert [kind for kind in found if kind in order] == order
    assert verify(tmp_path / "data" / "journal.db").bad is None


async def test_a_door_forced_and_an_exit_are_seen_through_the_board(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with devices(tmp_path) as gate, running(gate.config, capsys):
        await until_kind(tmp_path, "device.online")
        gate.board.terminals.set_input(1, True)
        gate.board.terminals.set_input(1, False)
        await forced(gate, tmp_path)


async def test_a_linkage_sounds_a_siren_for_a_forced_door_and_the_end_switches_it_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with devices(tmp_path, SIREN) as gate:
        async with running(gate.config, capsys):
            await until_kind(tmp_path, "device.online")
            gate.board.terminals.set_input(1, True)
            gate.board.terminals.set_input(1, False)
            await forced(gate, tmp_path)
            await gate.board.terminals.wait_for_relay(4, True)
            await until_kind(tmp_path, "linkage.done")
        assert not gate.board.terminals.relays[3].energised
    assert "linkage.fired" in await kinds(tmp_path)


async def forced(gate: Devices, folder: Path) -> None:
    """The contact of a closed door opens with nobody entitled."""
    terminals = gate.board.terminals
    terminals.set_input(1, True)
    requests = gate.board.requests
    async with asyncio.timeout(10):
        while gate.board.requests < requests + 3:
            await asyncio.sleep(0)
    terminals.set_input(1, False)
    await until_kind(folder, "alarm.raised")
    terminals.set_input(2, True)
    await until_kind(folder, "door.exit_requested")
    assert (await kinds(folder)).index("door.opened") < (await kinds(folder)).index("alarm.raised")


async def test_a_grant_under_way_at_the_end_has_its_outcome_journaled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with devices(tmp_path) as gate:
        async with running(gate.config, capsys):
            await until_kind(tmp_path, "device.online")
            gate.board.faults.put("silence")
            await gate.reader.present(40, TAG)
            await until_kind(tmp_path, "access.granted")
        found = await kinds(tmp_path)
    assert [k for k in found if k in {"access.outcome", "system.stopped"}] == [
        "access.outcome",
        "system.stopped",
    ]


async def test_a_list_that_is_damaged_while_it_decides_denies_and_raises_an_alarm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with devices(tmp_path) as gate, running(gate.config, capsys):
        await until_kind(tmp_path, "device.online")
        (tmp_path / "data/whitelist/whitelist-000000000001.db").write_bytes(b"garbage" * 9_000)
        await gate.reader.present(40, TAG)
        await until_kind(tmp_path, "access.denied")
        await until_kind(tmp_path, "alarm.raised")
        assert not gate.board.terminals.relays[0].energised


async def test_everything_at_once_from_the_centres_list_to_the_guards_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "operators.toml").write_text(
        f'[[operator]]\nname = "li"\nrole = "guard"\npassword_hash = "{hash_password("gate-9")}"\n',
        encoding="utf-8",
    )
    (tmp_path / "operators.toml").chmod(0o600)
    async with mosquitto(tmp_path) as broker, Centre(broker.port) as centre:
        (tmp_path / "keys.json").write_bytes(centre.key_file())
        async with SimulatedCamera() as camera:
            more = LINK.replace("{port}", str(broker.port)) + CONSOLE
            more += CAMERA.replace("{url}", camera.url)
            more = more.replace("[link]", 'cameras = ["cam-gate"]\n[link]', 1)
            async with (
                devices(tmp_path, more, with_list=False) as gate,
                running(gate.config, capsys) as told,
            ):
                await whole_story(tmp_path, gate, centre, told["console"])


async def whole_story(folder: Path, gate: Devices, centre: Centre, console: str) -> None:
    await centre.until(lambda: any(m["ask"] == "manifest" for m in centre.named("wl-req")))
    chunks = tag_list()
    centre.send("wl-chunk", centre.manifest(1, chunks))
    await centre.until(lambda: any(m["ask"] == "chunk" for m in centre.named("wl-req")))
    centre.send("wl-chunk", centre.chunk(1, 0, chunks[0]))
    await centre.until(lambda: any(e["kind"] == "whitelist.applied" for e in centre.events))
    await centre.until(lambda: sum(e["kind"] == "device.online" for e in centre.events) >= 4)
    await gate.reader.present(40, TAG)
    await gate.board.terminals.wait_for_relay(1, True)
    await centre.until(lambda: any(e["kind"] == "picture.stored" for e in centre.events))
    [granted] = [e for e in centre.events if e["kind"] == "access.granted"]
    assert granted["data"]["person_id"] == "p-17"
    assert TAG not in json.dumps(centre.events)
    async with httpx.AsyncClient(base_url=console, headers={"Origin": console[:-1]}) as guard:
        answer = await guard.post("/api/v1/session", json={"name": "li", "password": "gate-9"})
        assert answer.status_code == 201, answer.text
        entries = (await guard.get("/api/v1/entries")).json()["entries"]
        assert entries[0]["seq"] == granted["seq"]
        picture = await guard.get(entries[0]["pictures"][0]["url"])
        assert picture.content.startswith(b"\xff\xd8")


def test_a_start_that_cannot_be_is_refused_with_a_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gatewayd.toml"
    config.write_text(SETTINGS.format(folder=tmp_path), encoding="utf-8")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.db").write_bytes(b"no journal" * 1000)
    assert daemon.run(load_settings(config, load_registry())) == daemon.FAILED
    assert "not a database" in capsys.readouterr().err


def test_a_second_gateway_on_the_same_directory_is_refused_and_opens_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "gatewayd.toml"
    config.write_text(SETTINGS.format(folder=tmp_path), encoding="utf-8")
    with sole_gateway(tmp_path / "data"):
        assert daemon.run(load_settings(config, load_registry())) == daemon.REFUSED
    said = f"another gatewayd runs on the directory {tmp_path}/data, nothing was opened"
    assert capsys.readouterr().err == f"gatewayd run: {said}\n"
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["lock"]
