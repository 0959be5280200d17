"""The driver of docs/guide/write-a-driver.md: built as a wheel, found by its entry point, and a
door is opened with it."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gatewayd.clock import SystemClock
from gatewayd.daemon import serve
from gatewayd.domain.ports import (
    ControllerEvent,
    DeviceError,
    DriverContext,
    InputChanged,
    Malformed,
    Offline,
    Online,
)
from gatewayd.registry import load_registry
from gatewayd.settings.load import check_settings, load_settings
from tests.protocols.transports.lines import Ear, running
from tests.settings.example_files import ROOT
from tests.system.gate import TAG, devices

EXAMPLE = ROOT / "docs" / "guide" / "example-driver"
WAIT_S = 30.0

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(300)]


class AcmeDevice:
    """The relay itself: four relays and four inputs over TCP, with faults to order."""

    def __init__(self) -> None:
        self.relays = [False] * 4
        self.inputs = "1000"
        self.stuck = False
        self.spoil: Callable[[bytes], bytes] = lambda answer: answer
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def plug_in(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def unplug(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while line := await reader.readline():
                if answer := self.spoil(self._answer(line.decode().split())):
                    writer.write(answer)
        except OSError:
            pass  # unplugged
        finally:
            self._open.discard(writer)
            writer.close()

    def _answer(self, words: list[str]) -> bytes:
        if words[0] == "INPUTS":
            return f"INPUTS {self.inputs}\n".encode()
        at = int(words[1]) - 1
        if words[0] == "SET" and not self.stuck:
            self.relays[at] = words[2] == "ON"
        return f"RELAY {words[1]} {'ON' if self.relays[at] else 'OFF'}\n".encode()


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example's wheel installed into it, offline."""
    folder = tmp_path_factory.mktemp("example")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    clean = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", folder, folder / "source")
    install = ("-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", folder / "site")
    for command in (build, None):
        words = command or (*install, *folder.glob("*.whl"))
        done = subprocess.run(
            [sys.executable, *map(str, words)], env=clean, cwd=folder, capture_output=True,
            text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    return folder / "site"


@pytest.fixture
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(package)
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_relay"]:
        del sys.modules[name]


@pytest.fixture
async def device() -> AsyncIterator[AcmeDevice]:
    device = AcmeDevice()
    await device.plug_in()
    yield device
    device.unplug()


@asynccontextmanager
async def driving(device: AcmeDevice) -> AsyncIterator[tuple[Any, Ear[ControllerEvent]]]:
    driver = load_registry()["acme-relay"]
    options = driver.options(host="127.0.0.1", port=device.port, poll_ms=20)
    board = driver.build(options, DriverContext("gate", SystemClock()))
    ear: Ear[ControllerEvent] = Ear()
    async with running(board.run(ear.emit)):
        yield board, ear


def site(folder: Path, more: str) -> Path:
    """A gate with its reader, and its door on the example's board."""
    config = folder / "gatewayd.toml"
    text = config.read_text(encoding="utf-8")
    start, end = text.index('driver = "modbus-relay"'), text.index("[[door]]")
    config.write_text(text[:start] + more + text[end:], encoding="utf-8")
    return config


@pytest.mark.usefixtures("installed")
async def test_the_driver_is_found_and_its_settings_are_checked_as_any(tmp_path: Path) -> None:
    async with devices(tmp_path, with_list=False):
        config = site(tmp_path, 'driver = "acme-relay"\nhost = "192.0.2.7"\n')
        assert check_settings(config, load_registry()) == []
        bad = config.read_text().replace('host = "192.0.2.7"', "hots = 1\nrelays = 0")
        config.write_text(bad)
        told = "\n".join(str(problem) for problem in check_settings(config, load_registry()))
        assert "controller.board-1.hots" in told
        assert "controller.board-1.relays: must be at least 1, is 0" in told
        assert "controller.board-1.host: is missing" in told


@pytest.mark.usefixtures("installed")
async def test_a_tap_opens_the_door_on_the_examples_board(
    tmp_path: Path, device: AcmeDevice
) -> None:
    async with devices(tmp_path) as gate:
        settings = f'driver = "acme-relay"\nhost = "127.0.0.1"\nport = {device.port}\n'
        stop = asyncio.Event()
        loaded = load_settings(site(tmp_path, settings), load_registry())
        daemon = asyncio.ensure_future(serve(loaded, stop))
        try:
            async with asyncio.timeout(WAIT_S):
                while not device.relays[0]:
                    await gate.reader.present(40, TAG)
                    await asyncio.sleep(0.05)
        finally:
            stop.set()
            async with asyncio.timeout(WAIT_S):
                await daemon
        assert not device.relays[0]  # the last thing that the box says is "locked"


@pytest.mark.usefixtures("installed")
async def test_inputs_outages_and_relays_that_do_not_move(device: AcmeDevice) -> None:
    async with driving(device) as (board, ear):
        assert isinstance(await ear.next(), Online)
        first = [await ear.next() for _ in range(4)]
        assert [e.active for e in first if isinstance(e, InputChanged)] == [
            *(True, False, False, False)
        ]
        device.inputs = "1001"
        changed = await ear.next()
        assert isinstance(changed, InputChanged)
        assert (changed.input, changed.active) == (4, True)
        device.stuck = True
        with pytest.raises(DeviceError, match="relay 2 did not move"):
            await board.set_relay(2, True)
        device.stuck = False
        await board.set_relay(2, True, 5.0, shut=False)
        assert device.relays[1]
        with pytest.raises(DeviceError, match="has relays 1 to 4, no 5"):
            await board.set_relay(5, True)
        device.spoil = lambda answer: b"INPUTS 1\n" if answer.startswith(b"INPUTS") else answer
        assert isinstance(await ear.next(), Malformed)
        device.spoil = lambda answer: answer
        device.unplug()
        [*_, gone] = await ear.until(lambda event: isinstance(event, Offline))
        assert "gate at 127.0.0.1" in str(gone)
        with pytest.raises(DeviceError, match="is not connected"):
            await board.set_relay(2, False)
        await device.plug_in()
        await ear.until(lambda event: isinstance(event, Online))
        await board.set_relay(2, False)


@pytest.mark.usefixtures("installed")
async def test_a_device_that_says_nothing_is_offline_and_a_late_answer_is_dropped(
    device: AcmeDevice,
) -> None:
    device.spoil = lambda _answer: b""
    async with driving(device) as (board, ear):
        gone = await ear.next()
        assert isinstance(gone, Offline)
        assert "did not answer" in gone.reason
        device.spoil = lambda answer: answer
        assert isinstance(await ear.next(), Online)
        device.spoil = lambda answer: b"" if answer.startswith(b"RELAY") else answer
        with pytest.raises(DeviceError, match="did not answer"):
            await board.set_relay(1, True)
        assert isinstance((await ear.until(lambda e: isinstance(e, Offline)))[-1], Offline)
