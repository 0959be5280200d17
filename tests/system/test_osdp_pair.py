"""`gatewayd osdp pair`, whole: a process of its own asks the running daemon over its console."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd import daemon
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.store.operators import Role, hash_password
from gatewayd.store.operators_file import operator_block
from simulators.osdp_device import SimulatedOsdpDevice
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import SimulatedOsdpLine
from tests.settings.example_files import ROOT
from tests.system.test_daemon import until_kind
from tests.system.test_osdp_gate import BOARD, SETTINGS

PASSWORD = "night-shift-3am"


@dataclass
class Site:
    folder: Path
    url: str
    reader: SimulatedOsdpDevice
    line: SimulatedOsdpLine

    @property
    def key(self) -> bytes:
        return bytes.fromhex((self.folder / "reader.key").read_text())

    def events(self, kind: str) -> list[str]:
        with sqlite3.connect(self.folder / "data" / "journal.db") as database:
            sql = "SELECT data FROM event WHERE kind = ? ORDER BY seq"
            rows = [str(data) for (data,) in database.execute(sql, (kind,))]
        database.close()
        return rows

    async def pair(self, *more: str, who: str = "chief") -> tuple[int, str, str]:
        """The command in a process of its own; what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gatewayd", "osdp", "pair"),
            *("--config", str(self.folder / "gatewayd.toml"), "--url", self.url),
            *("--reason", "fitted today", *more),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        out, err = await process.communicate(f"{who}\n{PASSWORD}\n".encode())
        return process.returncode or 0, out.decode(), err.decode()


@asynccontextmanager
async def site(
    folder: Path, capsys: Any, key: bytes | None = None, settings: str = SETTINGS
) -> AsyncIterator[Site]:
    """A reader without a key, or with one, at a daemon that has a console."""
    operators = folder / "operators.toml"
    blocks = [
        operator_block(name, role, hash_password(PASSWORD))
        for name, role in (("chief", Role.ADMINISTRATOR), ("guard", Role.GUARD))
    ]
    operators.write_text("\n".join(blocks).replace("must_change_password = true", ""))
    operators.chmod(0o600)
    for name, content in (("board", b"b" * 16), ("reader", key)):
        if content is not None:
            (folder / f"{name}.key").write_text(content.hex())
            (folder / f"{name}.key").chmod(0o600)
    config = folder / "gatewayd.toml"
    console = f'[console]\nport = {free_port()}\noperators_file = "operators.toml"\n'
    config.write_text(settings.format(folder=folder) + console, encoding="utf-8")
    reader = SimulatedOsdpDevice(0, key=key)
    board = SimulatedOsdpDevice(1, BOARD, key=b"b" * 16)
    loaded = load_settings(config, load_registry())
    assert loaded.settings.console is not None
    stop = asyncio.Event()
    async with (
        asyncio.timeout(90),
        SimulatedOsdpLine(folder / "bus", [reader, board], baud=115_200) as line,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(daemon.serve(loaded, stop), name="daemon")
        try:
            said = ""
            while "ready " not in said:
                said += capsys.readouterr().out
                await asyncio.sleep(0.01)
            yield Site(folder, f"http://127.0.0.1:{loaded.settings.console.port}", reader, line)
        finally:
            stop.set()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


async def test_a_new_reader_gets_its_key_and_all_is_journaled(tmp_path: Path, capsys: Any) -> None:
    async with site(tmp_path, capsys) as here:
        [offline] = [e for e in here.events("device.offline") if "main-gate-in" in e]
        assert "it has no key yet" in offline
        status, out, err = await here.pair("main-gate-in", "--minutes", "2")
        assert (status, "main-gate-in: paired: a session opened under the new key" in out) == (
            0,
            True,
        ), err
        assert here.reader.key == here.key
        await here.reader.wait_secure()
        await until_kind(tmp_path, "install.closed")
        [opened], [closed] = here.events("install.opened"), here.events("install.closed")
        assert '"chief"' in opened
        assert '"fitted today"' in opened
        assert '"paired"' in closed
        for said in (out, err, opened, closed, *here.events("device.online")):
            assert here.key.hex() not in said


async def test_a_key_is_changed_under_the_one_there_is(tmp_path: Path, capsys: Any) -> None:
    async with site(tmp_path, capsys, b"r" * 16) as here:
        await here.reader.wait_secure()
        status, _, err = await here.pair("main-gate-in")
        assert (status, here.reader.key) == (0, here.key), err
        assert here.key != b"r" * 16
        assert "blue" in here.reader.lights[0].history  # the install window was seen at the reader


async def test_what_goes_wrong_is_told_with_an_exit_code(tmp_path: Path, capsys: Any) -> None:
    async with site(tmp_path, capsys, b"r" * 16) as here:
        await here.reader.wait_secure()
        for arguments, who, code, says in (
            (["main-gate-in"], "guard", 3, "role may not"),
            (["main-gate-in"], "nobody", 3, "wrong"),
            (["lobby-in"], "chief", 3, "no such reader"),
            (["main-gate-in", "--minutes", "11"], "chief", 2, "up to 10"),
            (["main-gate-in", "--new-device"], "chief", 1, "it has a key already"),
        ):
            status, out, err = await here.pair(*arguments, who=who)
            assert (status, says in out + err) == (code, True), (arguments, out, err)
        assert here.key == here.reader.key == b"r" * 16
        here.line.fault(OsdpFault.SILENCE, 0)
        status, out, _ = await here.pair("main-gate-in", "--minutes", "0.01")
        assert (status, "time up" in out) == (1, True), out


async def test_without_a_daemon_the_command_says_so(tmp_path: Path) -> None:
    config = tmp_path / "gatewayd.toml"
    config.write_text(SETTINGS.format(folder=tmp_path), encoding="utf-8")
    here = Site(tmp_path, f"http://127.0.0.1:{free_port()}", SimulatedOsdpDevice(0), None)  # type: ignore[arg-type]  # none
    status, _, err = await here.pair("main-gate-in")
    assert (status, "is gatewayd running?" in err) == (3, True), err
