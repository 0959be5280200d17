"""What `gatewayd osdp …` does, command by command. Owns what is printed and the exit codes."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from gatewayd.domain.ports import LineTools
from gatewayd.osdp.arguments import BAUD_RATES
from gatewayd.osdp.console import Console, ConsoleError, console_url
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.settings.problem import SettingsError

OK, PROBLEM_FOUND, USAGE, REFUSED = 0, 1, 2, 3  # gatewayd.cli tells what they mean
ASK_EVERY_S = 0.5


def _say(text: str) -> None:
    print(text, file=sys.stderr)


# ------------------------------------------------------------------------------------- pair


def _pair(arguments: argparse.Namespace) -> int:
    try:
        with _console(arguments) as console:
            order = {
                "reason": arguments.reason,
                "minutes": arguments.minutes,
                "new_device": arguments.new_device,
            }
            console.post(f"/devices/{arguments.device}/install-window", order)
            _say(f"install window of {arguments.device} is open for {arguments.minutes:g} min")
            window = _closed_window(console)
    except (SettingsError, ConsoleError, ValueError) as error:
        _say(f"gatewayd osdp pair: {error}")
        return REFUSED
    print(f"{window['device_id']}: {window['outcome'].replace('_', ' ')}: {window['detail']}")
    return OK if window["outcome"] == "paired" else PROBLEM_FOUND


def _closed_window(console: Console) -> dict[str, Any]:
    """Waits for its end. Ctrl-C closes it before its time."""
    try:
        while True:
            window = console.get("/install-window")["window"]
            if window["outcome"] is not None:
                return dict(window)
            time.sleep(ASK_EVERY_S)
    except KeyboardInterrupt:
        console.post("/install-window/close", {"reason": "Ctrl-C at gatewayd osdp pair"})
        raise


# ------------------------------------------------------------------------- the running daemon


def _console(arguments: argparse.Namespace) -> Console:
    """Raises SettingsError, ConsoleError, or ValueError where no password was given."""
    loaded = load_settings(arguments.config, load_registry(), look_into_files=False)
    settings = loaded.settings.console
    url = arguments.url or console_url(settings)
    certificate = None if settings is None or arguments.url else settings.certificate_file
    name, password = _who(arguments.operator)
    return Console(url, name, password, certificate)


def _who(name: str | None) -> tuple[str, str]:
    """Asks on a terminal; of a pipe it takes a line for each. A password is never an argument."""
    if not sys.stdin.isatty():
        lines = [sys.stdin.readline().rstrip("\r\n") for _ in range(1 if name else 2)]
        name, password = (name, lines[0]) if name else (lines[0], lines[1])
    else:
        from getpass import getpass

        name = name or input("Operator: ")
        password = getpass("Password: ")
    if not name or not password:
        raise ValueError("an operator's name and password are needed")
    return name, password


# ---------------------------------------------------------------------------------- the line


def _tools() -> LineTools:
    tools = load_registry()["osdp"].tools
    assert tools is not None  # noqa: S101  # the driver osdp has them
    return tools()


def _at_the_line(name: str, work: Coroutine[Any, Any, int]) -> int:
    """Its exit code. What is wrong with a port, a file or a key is told in a line."""
    try:
        return asyncio.run(work)
    except (OSError, ValueError) as error:
        _progress("")
        _say(f"gatewayd osdp {name}: {error}")
        return REFUSED


def _scan(arguments: argparse.Namespace) -> int:
    tools, bauds = _tools(), tuple(arguments.baud or BAUD_RATES)
    seconds = tools.scan_s(bauds, arguments.addresses)
    _say(
        f"{len(arguments.addresses)} addresses at {len(bauds)} baud rates take"
        f" {max(1, round(seconds))} s, and each device half a second; Ctrl-C ends it"
    )
    return _at_the_line("scan", _scanned(tools, arguments, bauds))


async def _scanned(tools: LineTools, arguments: argparse.Namespace, bauds: Sequence[int]) -> int:
    count = await tools.scan(
        arguments.port,
        bauds,
        arguments.addresses,
        most=arguments.expect,
        say=_print_now,
        progress=_progress,
    )
    _say(f"{count} device{'' if count == 1 else 's'} found")
    return OK if count else PROBLEM_FOUND


def _capture(arguments: argparse.Namespace) -> int:
    if (arguments.port is None) == (arguments.bus is None):
        _say("gatewayd osdp capture: name a PORT to listen on, or a --bus of the running daemon")
        return USAGE
    if arguments.bus is not None:
        return _capture_by_daemon(arguments)
    return _at_the_line("capture", _captured(_tools(), arguments))


async def _captured(tools: LineTools, arguments: argparse.Namespace) -> int:
    """Until its time is over, its size is reached, or Ctrl-C."""
    left, path = round(arguments.megabytes * 1_000_000), arguments.output
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    full, count = asyncio.Event(), 0
    with os.fdopen(descriptor, "w") as file:

        def take(line: str) -> None:
            nonlocal left, count
            left -= len(line)
            if left < 0:
                full.set()
                return
            file.write(line)
            file.flush()
            count += 1

        _say(f"listening on {arguments.port}; Ctrl-C ends it; there are cards in {path}")
        try:
            async with asyncio.timeout(arguments.minutes * 60), asyncio.TaskGroup() as group:
                work = tools.capture(arguments.port, arguments.baud, take)
                listening = group.create_task(work, name="capture")
                await full.wait()
                listening.cancel()
        except TimeoutError:
            pass  # its time is over
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            if count:
                print(f"{path}: {count} records")
            else:
                path.unlink()
                _say(f"nothing was heard, and {path} not kept")
    return OK if count else PROBLEM_FOUND


def _capture_by_daemon(arguments: argparse.Namespace) -> int:
    if not arguments.reason:
        _say("gatewayd osdp capture: --bus needs a --reason, which is journaled with your name")
        return USAGE
    try:
        with _console(arguments) as console:
            order = {
                "reason": arguments.reason,
                "minutes": arguments.minutes,
                "megabytes": arguments.megabytes,
            }
            begun = console.post(f"/buses/{arguments.bus}/capture", order)["capture"]
            _say(f"{begun['file']} is being written; Ctrl-C ends it; there are cards in it")
            state = _ended_capture(console)
    except (SettingsError, ConsoleError, ValueError) as error:
        _say(f"gatewayd osdp capture: {error}")
        return REFUSED
    print(f"{state['file']}: {state['size']} bytes, {state['over']}")
    return OK


def _ended_capture(console: Console) -> dict[str, Any]:
    try:
        while (state := dict(console.get("/capture")["capture"]))["over"] is None:
            time.sleep(ASK_EVERY_S)
    except KeyboardInterrupt:
        console.post("/capture/stop", {"reason": "Ctrl-C at gatewayd osdp capture"})
        while (state := dict(console.get("/capture")["capture"]))["over"] is None:
            time.sleep(ASK_EVERY_S)
    return state


def _monitor(arguments: argparse.Namespace) -> int:
    return _at_the_line("monitor", _monitored(_tools(), arguments))


async def _monitored(tools: LineTools, arguments: argparse.Namespace) -> int:
    """A file is read to its end, a port until Ctrl-C."""
    source, personal = arguments.source, arguments.show_cards
    if Path(source).is_file():  # noqa: ASYNC240  # nothing else runs here
        with Path(source).open(encoding="utf-8") as lines:  # noqa: ASYNC230  # the same
            tools.decode(lines, arguments.key_file, personal=personal, say=_print_now)
        return OK
    await tools.monitor(
        source, arguments.baud, arguments.key_file, personal=personal, say=_print_now
    )
    return OK


def _replay(arguments: argparse.Namespace) -> int:
    return _at_the_line("replay", _replayed(_tools(), arguments))


async def _replayed(tools: LineTools, arguments: argparse.Namespace) -> int:
    personal = arguments.show_cards
    with arguments.file.open(encoding="utf-8") as lines:
        if arguments.pty is not None:
            paced = not arguments.no_pace
            await tools.play(lines, arguments.pty, paced=paced, say=_say)
            same = True  # whatever it was asked: the daemon's journal says what came of it
        else:
            keys = dict(arguments.key)
            same = tools.replay(lines, keys, personal=personal, say=_print_now)
    return OK if same else PROBLEM_FOUND


def _print_now(text: str) -> None:
    """For whoever reads along, through a pipe too."""
    print(text, flush=True)


def _progress(text: str) -> None:
    """In one line that the next one replaces; only where a person looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "pair": _pair,
    "scan": _scan,
    "capture": _capture,
    "monitor": _monitor,
    "replay": _replay,
}
