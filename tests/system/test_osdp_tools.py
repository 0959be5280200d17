"""`gatewayd osdp scan | capture | monitor | replay`, each a process of its own, on a line."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gatewayd import cli
from simulators.osdp_device import SimulatedOsdpDevice
from simulators.osdp_line import SimulatedOsdpLine
from tests.settings.example_files import ROOT
from tests.system.test_daemon import running, until_kind
from tests.system.test_osdp_gate import BOARD, SETTINGS, STRANGER
from tests.system.test_osdp_pair import PASSWORD, Site, site

PATIENCE_S = 60


async def started(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gatewayd", "osdp", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_before_root()])},
    )


def _before_root() -> list[str]:
    return [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]


async def said(*arguments: str) -> tuple[int, str]:
    process = await started(*arguments)
    out, err = await process.communicate()
    return process.returncode or 0, out.decode() + err.decode()


async def captured(here: Site, happen: Any) -> Path:
    """What the daemon wrote down while that happened; ended by Ctrl-C."""
    process = await started(
        *("capture", "--bus", "bus-1", "--config", str(here.folder / "gatewayd.toml")),
        *("--url", here.url, "--operator", "chief", "--reason", "field fault"),
    )
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(f"{PASSWORD}\n".encode())
    begun = (await process.stderr.readline()).decode()
    assert "is being written" in begun, begun
    commands = here.reader.link.commands
    await here.reader.wait_until(lambda: here.reader.link.commands > commands + 12)
    await happen()
    commands = here.reader.link.commands
    await here.reader.wait_until(lambda: here.reader.link.commands > commands + 12)
    process.send_signal(signal.SIGINT)
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert "bytes, it was stopped" in out.decode()
    return Path(begun.split(" is being")[0])


async def test_a_fault_of_a_clear_line_is_captured_told_and_drives_a_whole_box_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clear = SETTINGS.replace('key_file = "reader.key"', "clear_text = true")
    clear = clear.replace('key_file = "board.key"', "clear_text = true")
    (tmp_path / "field").mkdir()
    (tmp_path / "bench").mkdir()
    async with (
        asyncio.timeout(PATIENCE_S),
        site(tmp_path / "field", capsys, settings=clear) as here,
    ):
        await until_kind(here.folder, "device.online")

        async def happen() -> None:
            here.reader.present_card(26, STRANGER)
            await until_kind(here.folder, "access.denied")

        file = await captured(here, happen)
        ordered, stopped = [e for e in here.events("operator.ordered") if "bus-1" in e]
        assert '"field fault"' in ordered
        assert '"stop_capture"' in stopped
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    members = json.loads(text.splitlines()[0])
    assert (members["osdpTraceVersion"], members["osdpSource"]) == ("1", "gatewayd")
    status, out = await said("monitor", str(file))
    assert (status, "RAW      [clear] reader 0, card of 26 bits, H10301\n" in out) == (0, True), out
    status, out = await said("replay", str(file))
    assert (status, "RAW reader 0, card of 26 bits, H10301" in out) == (0, True), out
    await on_the_bench(tmp_path / "bench", clear, file, capsys)


async def on_the_bench(
    folder: Path, settings: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another daemon, on the captured line: it denies the same card."""
    config = folder / "gatewayd.toml"
    config.write_text(settings.format(folder=folder), encoding="utf-8")
    play = await started("replay", str(file), "--pty", str(folder / "bus"), "--no-pace")
    try:
        while not (folder / "bus").is_symlink():
            await asyncio.sleep(0.01)
        async with asyncio.timeout(PATIENCE_S), running(config, capsys):
            await until_kind(folder, "access.denied")
    finally:
        with suppress(ProcessLookupError):
            play.send_signal(signal.SIGINT)
        _, err = await play.communicate()
    assert "answers byte for byte" in err.decode()


async def test_a_scan_with_the_daemon_stopped_names_the_devices(tmp_path: Path) -> None:
    devices = [SimulatedOsdpDevice(0), SimulatedOsdpDevice(2, BOARD)]
    port = str(tmp_path / "tty")
    async with asyncio.timeout(PATIENCE_S), SimulatedOsdpLine(Path(port), devices, baud=38_400):
        status, out = await said("scan", port, "--baud", "38400", "--addresses", "0-3")
        assert (status, "address 2 at 38400 baud" in out, "2 devices found" in out) == (0,) + (
            True,
        ) * 2
        assert "4 addresses at 1 baud rates take 1 s" in out
        status, out = await said("scan", port, "--baud", "9600", "--addresses", "0-1")
        assert (status, "0 devices found" in out) == (1, True), out
    status, out = await said("scan", port, "--baud", "9600")
    assert (status, "gatewayd osdp scan: " in out, "Traceback" in out) == (3, True, False), out


def test_wrong_arguments_and_files_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.osdpcap"
    bad.write_text("no\n")
    key = tmp_path / "key"
    key.write_text("00")
    for arguments, code, says in (
        (["capture"], cli.USAGE, "name a PORT to listen on, or a --bus"),
        (["capture", "/dev/x", "--bus", "b"], cli.USAGE, "name a PORT to listen on, or a --bus"),
        (["capture", "--bus", "b"], cli.USAGE, "needs a --reason"),
        (["capture", "/dev/none", "--output", str(tmp_path / "c")], cli.REFUSED, "/dev/none"),
        (["capture", "/dev/none", "--output", str(bad)], cli.REFUSED, "File exists"),
        (["monitor", str(bad)], cli.REFUSED, "line 1 is no JSON"),
        (["monitor", "nonsense"], cli.REFUSED, "is no serial line"),
        (["replay", str(bad)], cli.REFUSED, "line 1 is no JSON"),
        (["replay", str(tmp_path / "none")], cli.REFUSED, "No such file"),
        (["replay", str(bad), "--key", f"0={key}"], cli.REFUSED, "must hold an OSDP key"),
    ):
        assert cli.main(["osdp", *arguments]) == code, arguments
        assert says in capsys.readouterr().err, arguments
    assert not (tmp_path / "c").exists()  # no capture, no file


@pytest.mark.parametrize(
    "arguments",
    [
        ["scan", "/dev/x", "--addresses", "9-3"],
        ["scan", "/dev/x", "--addresses", "0-127"],
        ["scan", "/dev/x", "--expect", "0"],
        ["scan", "/dev/x", "--baud", "300"],
        ["capture", "/dev/x", "--minutes", "61"],
        ["capture", "/dev/x", "--megabytes", "x"],
        ["replay", "x", "--key", "200=a"],
        ["pair", "r", "--reason", "x", "--minutes", "0"],
    ],
)
def test_arguments_past_their_limits_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["osdp", *arguments])
    assert ended.value.code == cli.USAGE
    assert "usage: gatewayd osdp" in capsys.readouterr().err
