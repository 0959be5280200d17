"""Orders over the socket, and the life of a device from its ready line to its end."""

from __future__ import annotations

import asyncio
import json
import os
import select
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from simulators import control as control_module
from simulators.control import ControlClient, ControlError, ControlTable, Reply, Request, Verb, obey
from simulators.device import Device, told_to_quit
from tests.simulators.waiting import T_S, is_there, until


class Echo(Device):
    """A device that obeys two orders and breaks on a third."""

    def __init__(self, control: Path | None = None) -> None:
        super().__init__(control)
        self.closed = False
        self.break_down = asyncio.Event()

    async def open(self) -> None:
        self.start(self._work(), "work")

    def close(self) -> None:
        self.closed = True

    def ready(self) -> Mapping[str, Any]:
        return {"here": 1}

    def controls(self) -> ControlTable:
        return {"say": Verb(self._say, ("word", "times")), "status": Verb(self._status)}

    async def _work(self) -> None:
        await self.break_down.wait()
        raise ArithmeticError("a bug")

    async def _say(self, request: Request) -> Reply:
        return {"said": request.text("word") * request.integer("times", 1, most=3)}

    async def _status(self, _request: Request) -> Reply:
        return {}


async def say(**fields: Any) -> Reply:
    return await obey(Echo().controls(), json.dumps({"do": "say", **fields}).encode())


async def test_an_order_gets_its_reply() -> None:
    assert await say(word="ab", times=2) == {"ok": True, "said": "abab"}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"rubbish", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "one JSON object"),
        (b"{}", "known: say, status"),
        (b'{"do": ["say"]}', "known: say, status"),
        (b'{"do": "stats"}', "did you mean 'status'"),
        (b'{"do": "say", "wrod": 1}', "no field 'wrod'; its fields: word, times"),
        (b'{"do": "status", "x": 1}', "its fields: none"),
        (b'{"do": "say"}', "'word' must be a string"),
        (b'{"do": "say", "word": "a", "times": 4}', "from 0 to 3"),
        (b'{"do": "say", "word": "a", "times": true}', "from 0 to 3"),
    ],
)
async def test_a_wrong_order_is_told_what_to_write(line: bytes, words: str) -> None:
    reply = await obey(Echo().controls(), line)
    assert reply["ok"] is False
    assert words in reply["error"]


@pytest.mark.parametrize("value", ["1", True, None, [], 6, -1, float("nan"), float("inf")])
def test_a_number_outside_its_limits_is_refused(value: Any) -> None:
    with pytest.raises(ControlError, match="from 0 to 5"):
        Request({"n": value}).number("n", most=5)


def test_choices_and_flags_name_what_they_may_be() -> None:
    assert Request({}).choice("how", ("a", "b"), "b") == "b"
    assert Request({"on": False}).flag("on", default=True) is False
    with pytest.raises(ControlError, match="one of: a, b"):
        Request({"how": "c"}).choice("how", ("a", "b"))
    with pytest.raises(ControlError, match="true or false"):
        Request({"on": 1}).flag("on", default=True)


async def test_the_client_asks_over_the_socket_and_refusals_are_raised(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    async with Echo(path), ControlClient(path) as client:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600  # noqa: PTH116  # no wait on this disk
        assert await client.ask({"do": "say", "word": "x"}) == {"ok": True, "said": "x"}
        with pytest.raises(ControlError, match="say: 'word' must be"):
            await client.ask({"do": "say"})
    assert not is_there(path)


async def test_questions_asked_at_once_get_each_its_own_answer(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    async with Echo(path), ControlClient(path) as client:
        words = [f"w{i}" for i in range(20)]
        replies = await asyncio.gather(*(client.ask({"do": "say", "word": w}) for w in words))
    assert [reply["said"] for reply in replies] == words


async def test_empty_lines_are_passed_over_and_a_long_one_ends_the_talk(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    async with Echo(path), asyncio.timeout(T_S):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b'\n{"do": "status"}\n')
        assert await reader.readline() == b'{"ok": true}\n'
        writer.write(b"x" * (control_module.MAX_LINE + 10))
        assert "longer than" in json.loads(await reader.readline())["error"]
        writer.close()


async def test_a_device_that_is_gone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    client = ControlClient(path)
    async with Echo(path):
        await client.__aenter__()
        await client.ask({"do": "status"})
    with pytest.raises(ConnectionError):
        await client.ask({"do": "status"})
    await client.__aexit__(None, None, None)


async def test_a_connection_handed_over_after_the_end_is_closed(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group, asyncio.timeout(T_S):
        server = control_module.ControlServer(tmp_path / "late.sock", {}, group)
        await server.open()
        late = await asyncio.start_unix_server(server._connected, path=tmp_path / "other.sock")
        server.close()
        reader, writer = await asyncio.open_unix_connection(tmp_path / "other.sock")
        assert await reader.read() == b""
        writer.close()
        late.close()


async def test_too_many_connections_are_turned_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_module, "MAX_CONNECTIONS", 1)
    path = tmp_path / "echo.sock"
    async with Echo(path), ControlClient(path) as first:
        await first.ask({"do": "status"})
        async with ControlClient(path) as second:
            with pytest.raises(ConnectionError):
                await second.ask({"do": "status"})


async def test_a_socket_left_behind_is_replaced_but_a_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    async with Echo(path):
        os.link(path, tmp_path / "left.sock")
    async with Echo(tmp_path / "left.sock"), ControlClient(tmp_path / "left.sock") as client:
        await client.ask({"do": "status"})
    (tmp_path / "file").touch()
    device = Echo(tmp_path / "file")
    with pytest.raises(FileExistsError, match="is no socket"):
        await device.__aenter__()
    assert device.closed


async def test_a_bug_in_a_devices_task_ends_the_block() -> None:
    device = Echo()
    with pytest.raises(ExceptionGroup) as caught:
        async with device, asyncio.timeout(T_S):
            device.break_down.set()
            await asyncio.Event().wait()
    assert caught.group_contains(ArithmeticError)
    assert device.closed


async def test_an_error_in_the_block_comes_out_as_it_is() -> None:
    device = Echo()
    with pytest.raises(LookupError, match="mine"):
        async with device:
            raise LookupError("mine")
    assert device.closed


# ------------------------------------------------------------------------------- as a process

START = """
import argparse, asyncio, importlib, sys
module = importlib.import_module(sys.argv[1])
parser = argparse.ArgumentParser()
module.add_arguments(parser)
sys.exit(asyncio.run(module.run(parser.parse_args(sys.argv[2:]))))
"""


async def start(module: str, *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "error", "-c", START, f"simulators.{module}", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


@pytest.mark.parametrize(
    ("module", "words", "key"),
    [
        ("reader", ("--link", "{}/line", "--kind", "rdm6300"), "link"),
        ("relay_board", ("--link", "{}/line", "--door", "relay=1,contact=1"), "device_id"),
        ("modbus_line", ("--link", "{}/line", *("--device-id", "1", "--device-id", "2")), "link"),
        ("uhppote_board", ("--port", "0", "--doors", "2"), "serial"),
        ("lcus_board", ("--link", "{}/line", "--relays", "4"), "relays"),
        ("camera", ("--port", "0"), "url"),
    ],
)
async def test_a_device_says_when_it_is_ready_obeys_and_quits(
    module: str, words: tuple[str, ...], key: str, tmp_path: Path
) -> None:
    control = tmp_path / "control.sock"
    filled = [word.format(tmp_path) for word in words]
    process = await start(module, *filled, "--control", str(control))
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(T_S):
            word, _, ready = (await process.stdout.readline()).decode().partition(" ")
            assert word == "ready"
            assert json.loads(ready)["control"] == str(control)
            assert key in json.loads(ready)
            async with ControlClient(control) as client:
                assert (await client.ask({"do": "status"}))["ok"]
            process.stdin.write(b"qu")
            await process.stdin.drain()
            process.stdin.write(b"it\n")
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert not list(os.scandir(tmp_path))


async def test_the_end_of_input_is_no_order_to_quit(tmp_path: Path) -> None:
    control = tmp_path / "control.sock"
    process = await start("reader", "--link", str(tmp_path / "line"), "--control", str(control))
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(T_S):
            await process.stdout.readline()
            process.stdin.close()
            async with ControlClient(control) as client:
                for _ in range(5):
                    assert (await client.ask({"do": "status"}))["plugged"]
    finally:
        process.kill()
        await process.wait()


async def test_quit_counts_as_a_word_of_its_own_and_may_come_in_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told, teller = os.pipe()
    with os.fdopen(told) as stdin, os.fdopen(teller, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdin", stdin)
        async with asyncio.TaskGroup() as group, asyncio.timeout(T_S):
            waiting = group.create_task(told_to_quit(), name="quit")
            for piece in (b"acquit\n", b"qu", b"it\n"):
                await until(lambda: not select.select([told], [], [], 0)[0])
                assert not waiting.done()
                pipe.write(piece)
            await waiting


async def test_a_device_without_a_usable_stdin_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "file").open("w+") as file:
        for stdin in (None, file):
            monkeypatch.setattr(sys, "stdin", stdin)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await told_to_quit()


async def test_a_wrong_door_ends_with_status_2_and_a_reason(tmp_path: Path) -> None:
    process = await start("relay_board", "--link", str(tmp_path / "line"), "--door", "relay=9")
    async with asyncio.timeout(T_S):
        out, _ = await process.communicate()
    assert process.returncode == 2
    assert out == b"--door relay=9: the board has 1 to 8\n"
