"""What `gatewayd osdp …` does, command by command. Owns what is printed and the exit codes."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from gatewayd.osdp.console import Console, ConsoleError, console_url
from gatewayd.registry import load_registry
from gatewayd.settings.load import load_settings
from gatewayd.settings.problem import SettingsError

OK, PROBLEM_FOUND, REFUSED = 0, 1, 3  # gatewayd.cli tells what they mean
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


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {"pair": _pair}
