"""Modes and fire through the whole daemon: real bytes to a board, HTTP, a restart in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gatewayd.store.operators import hash_password
from tests.system.gate import Devices, devices
from tests.system.test_daemon import CONSOLE, kinds, running, until_kind

PASSWORD = "gate-9-gate-9"
FIRE = """
[fire]
controller = "board-1"
input = 8
"""


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Devices]:
    operators = tmp_path / "operators.toml"
    operators.write_text(
        f'[[operator]]\nname = "chen"\nrole = "leader"\n'
        f'password_hash = "{hash_password(PASSWORD)}"\n',
        encoding="utf-8",
    )
    operators.chmod(0o600)
    async with devices(tmp_path, CONSOLE + FIRE) as made:
        text = made.config.read_text("utf-8")
        made.config.write_text(text.replace("relay = 1", "relay = 1\nescape = true"), "utf-8")
        made.board.terminals.set_input(8, True)  # the panel holds its contact: all is well
        yield made


def free(gate: Devices) -> bool:
    return gate.board.terminals.relays[0].energised


@asynccontextmanager
async def leader(console: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=console, headers={"Origin": console[:-1]}) as client:
        answer = await client.post("/api/v1/session", json={"name": "chen", "password": PASSWORD})
        assert answer.status_code == 201, answer.text
        await client.put(
            "/api/v1/session/password", json={"current": PASSWORD, "new": "gate-10-gate-10"}
        )
        yield client


async def order(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    key = f"key-{path}-{len(str(body))}".replace("/", "-")[:64]
    answer = await client.post(
        f"/api/v1/{path}", json={"reason": "drill", **body}, headers={"Idempotency-Key": key}
    )
    return {"status": answer.status_code, **answer.json()}


async def test_a_fire_opens_the_escape_door_outlives_a_restart_and_a_leader_ends_it(
    gate: Devices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminals = gate.board.terminals
    async with running(gate.config, capsys):
        await until_kind(tmp_path, "device.online")
        assert not free(gate)
        terminals.set_input(8, False)
        await terminals.wait_for_relay(1, True)
        await until_kind(tmp_path, "fire.detected")
    assert free(gate)  # the end of a program ends no fire
    async with running(gate.config, capsys) as told, leader(told["console"]) as client:
        down = await order(client, "doors/lockdown")
        assert [door["outcome"] for door in down["doors"]] == ["refused"]
        assert free(gate)
        assert (await order(client, "fire/reset"))["code"] == "fire-still-on"
        terminals.set_input(8, True)
        requests = gate.board.requests
        async with asyncio.timeout(10):
            while gate.board.requests < requests + 4:
                await asyncio.sleep(0)
        assert free(gate)
        assert (await order(client, "fire/reset", reason="drill is over"))["status"] == 200
        await terminals.wait_for_relay(1, False)
        doors = (await client.get("/api/v1/doors")).json()["doors"]
        assert [door["mode"] for door in doors] == ["LockedDown"]
    found = await kinds(tmp_path)
    assert [kind for kind in found if kind.startswith("fire.")] == ["fire.detected", "fire.reset"]


async def test_a_guards_mode_and_its_end_outlive_a_restart(
    gate: Devices, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    terminals = gate.board.terminals
    async with running(gate.config, capsys) as told, leader(told["console"]) as client:
        await until_kind(tmp_path, "device.online")
        set_ = await order(client, "doors/main-gate/mode", mode="LockedOpen", until_ms=2**52)
        assert (set_["outcome"], set_["mode"]) == ("unlocked", "LockedOpen")
        assert free(gate)
    terminals.write_coil(0, False)  # as a power cut at the board would leave it
    async with running(gate.config, capsys) as told:
        await terminals.wait_for_relay(1, True)
