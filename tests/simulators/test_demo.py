"""The demo as a user starts it: real processes, from the tap to the centre, and its ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from simulators.cli import INTERRUPTED, main
from simulators.demo import OPERATORS, journaled_decisions, make_operators
from simulators.demo_process import Command, Process, ProcessFailed
from simulators.tether import ORPHANED, tethered
from tests.simulators.waiting import until

T_DEMO_S = 90
ROOT = Path(__file__).parents[2]


async def start_demo(folder: Path, *more: str) -> asyncio.subprocess.Process:
    argv = [sys.executable, "-m", "simulators.cli", "demo", "--run", str(folder), *more]
    return await asyncio.create_subprocess_exec(
        *argv, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )


async def until_line(process: asyncio.subprocess.Process, text: str) -> list[str]:
    assert process.stdout is not None
    seen: list[str] = []
    async with asyncio.timeout(T_DEMO_S):
        while line := (await process.stdout.readline()).decode():
            seen.append(line)
            if text in line:
                return seen
    raise AssertionError(f"no {text!r} in:\n{''.join(seen)}")


def children(pid: int) -> list[int]:
    """All that the process started, and what those started."""
    direct = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in direct for each in (int(child), *children(int(child)))]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def command_line(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


async def all_gone(pids: list[int]) -> None:
    """Nobody waits for an orphan: the kernel alone takes it away."""
    await until(lambda: not any(map(alive, pids)))


async def test_each_tap_of_a_demo_is_at_the_centre_exactly_once(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path / "run", "--seconds", "5")
    async with asyncio.timeout(T_DEMO_S):
        out = (await demo.communicate())[0].decode()
    assert demo.returncode == 0, out
    assert "exactly once" in out
    assert "console   http" in out
    [left_out] = [line for line in out.splitlines() if "left out, too little time" in line]
    assert "order lift_lockdown at the site" in left_out
    journaled = journaled_decisions(tmp_path / "run/state")
    assert journaled >= 3
    assert f"taps sent                      {journaled}\n" in out
    assert "all as written" in out


async def test_ctrl_c_ends_a_demo_in_order_and_kill_9_leaves_nobody_behind(tmp_path: Path) -> None:
    asked, killed = [await start_demo(tmp_path / name) for name in ("asked", "killed")]
    for demo in (asked, killed):
        await until_line(demo, "people come and go")
    started = {demo: children(demo.pid) for demo in (asked, killed)}
    assert all(len(processes) >= 12 for processes in started.values())
    asked.send_signal(signal.SIGINT)
    killed.kill()
    async with asyncio.timeout(T_DEMO_S):
        out = (await asked.communicate())[0].decode()
        await killed.communicate()
    assert asked.returncode == 0, out
    assert "Every tap that was sent is at the centre" in out
    await all_gone([pid for pids in started.values() for pid in pids])
    told = json.loads((tmp_path / "killed/demo.json").read_text())
    shutil.rmtree(Path(told["control"]["central"]).parent)  # what the killed one could not


async def test_a_part_that_ends_ends_the_demo_with_its_name_and_log(tmp_path: Path) -> None:
    demo = await start_demo(tmp_path / "run")
    await until_line(demo, "people come and go")
    [gateway] = [pid for pid in children(demo.pid) if "gatewayd" in command_line(pid)]
    os.kill(gateway, signal.SIGKILL)
    async with asyncio.timeout(T_DEMO_S):
        out = (await demo.communicate())[0].decode()
    assert demo.returncode == 1
    assert "gatewayd ended with status -9; its log" in out
    assert "  | ready {" in out


def test_a_demo_without_settings_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--config", "/nowhere/demo.toml"]) == 1
    assert "name the demo's settings with --config" in capsys.readouterr().err


# ------------------------------------------------------------------------------ processes


def python(code: str, log: Path, **more: float) -> Process:
    return Process(Command("part", [sys.executable, "-c", code], log, **more))


async def test_a_process_that_ends_before_it_is_ready_is_told_with_its_log(tmp_path: Path) -> None:
    part = python("import sys; print('so far'); sys.exit('no disk')", tmp_path / "part.log")
    await part.launch()
    with pytest.raises(ProcessFailed, match=r"(?s)part ended with status 1 before .*no disk"):
        await part.wait_ready()
    await part.stop()


async def test_a_process_that_never_gets_ready_is_told(tmp_path: Path) -> None:
    part = python("import signal; signal.pause()", tmp_path / "part.log", ready_s=0.3)
    await part.launch()
    with pytest.raises(ProcessFailed, match=r"was not ready after 0\.3 s"):
        await part.wait_ready()
    assert await part.stop() == -signal.SIGTERM


async def test_a_process_that_does_not_end_is_killed(tmp_path: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print('ready {}', flush=True)\nwhile True: signal.pause()"
    )
    part = python(code, tmp_path / "part.log", end_s=0.2)
    await part.launch()
    assert await part.wait_ready() == {}
    assert await part.stop() == -signal.SIGKILL
    assert (tmp_path / "part.log").read_text() == "ready {}\n"


async def test_a_process_that_never_ran_needs_no_end(tmp_path: Path) -> None:
    part = python("", tmp_path / "part.log")
    assert await part.stop() is None
    assert part.pid is None


async def test_a_tethered_program_dies_with_its_parent(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    inner = f"import os; open({str(told)!r}, 'w').write(str(os.getpid())); print(); "
    inner += "import signal; signal.pause()"
    outer = (
        "import subprocess, sys; from simulators.tether import tethered; "
        f"p = subprocess.Popen(tethered([sys.executable, '-uc', {inner!r}]), stdout=-1); "
        "p.stdout.readline(); print(flush=True); p.wait()"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", outer, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    await asyncio.wait_for(parent.stdout.readline(), 10)
    child = int(told.read_text())
    assert alive(child)
    parent.kill()
    await parent.wait()
    await all_gone([child])


def test_an_orphan_does_not_begin() -> None:
    assert tethered(["x"])[-2:] == [str(os.getpid()), "x"]
    argv = [sys.executable, "-m", "simulators.tether", "1", "/bin/true"]
    assert subprocess.run(argv, check=False, cwd=ROOT).returncode == ORPHANED


# ----------------------------------------------------------------------- small things, CLI


def test_operators_get_fresh_passwords_that_only_the_owner_may_read(tmp_path: Path) -> None:
    path = tmp_path / "operators.toml"
    passwords = make_operators(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    listed = tomllib.loads(path.read_text())["operator"]
    assert {each["name"]: each["role"] for each in listed} == OPERATORS
    for each in listed:
        [hashed] = [value for value in each.values() if value.startswith("$argon2")]
        assert PasswordHasher().verify(hashed, passwords[each["name"]])
    assert make_operators(path) != passwords


def test_without_a_journal_nothing_was_journaled(tmp_path: Path) -> None:
    assert journaled_decisions(tmp_path) == 0


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_the_overview_names_every_simulator(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in ("reader", "relay-board", "camera", "central", "broker"))


@pytest.mark.parametrize("text", ["abc", "0", "-1", "nan", "1e9"])
def test_what_is_no_number_of_seconds_is_told_so(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["demo", f"--seconds={text}"])
    assert ended.value.code == 2
    told = f"argument --seconds: must be a number of seconds above 0, at most 86400, is {text!r}\n"
    assert capsys.readouterr().err.endswith(told)


def test_an_unknown_simulator_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["toaster"])
    assert ended.value.code == 2
    assert INTERRUPTED == 130
