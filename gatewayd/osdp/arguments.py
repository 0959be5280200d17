"""The arguments of `gatewayd osdp …`. Owns their words; must not load what carries them out.

docs/reference/drivers/osdp.md shows the commands at work.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

MAX_MINUTES = 10  # of an install window


def add_osdp(commands: argparse._SubParsersAction[argparse.ArgumentParser], config: Path) -> None:
    """The command `osdp` with its own commands; `config` is where the settings usually are."""
    about = "OSDP lines: give a device its key"
    inner = commands.add_parser(
        "osdp", help=about, description=f"{about}.", allow_abbrev=False
    ).add_subparsers(metavar="COMMAND", required=True)
    _add_pair(inner, config)


def _add_pair(commands: argparse._SubParsersAction[argparse.ArgumentParser], config: Path) -> None:
    pair = _add(
        commands,
        "pair",
        "ask the running daemon to give a reader or board a new secure channel key, in an install "
        "window; asks for an administrator's name and password",
    )
    pair.add_argument("device", metavar="DEVICE", help="its id in the settings")
    pair.add_argument("--reason", required=True, help="why; it is journaled with your name")
    pair.add_argument(
        "--minutes",
        type=_minutes,
        default=5.0,
        metavar="N",
        help=f"how long the window stays open, {MAX_MINUTES} at most (default: 5)",
    )
    pair.add_argument(
        "--new-device",
        action="store_true",
        help="it was replaced or reset: its key is that of its delivery, not the one in key_file",
    )
    _add_daemon(pair, config)


def _add_daemon(parser: argparse.ArgumentParser, config: Path) -> None:
    """How the running daemon is reached: over its console, with an operator's rights."""
    parser.add_argument("--operator", metavar="NAME", help="who you are; default: it asks")
    parser.add_argument(
        "--url", help="the console; default: at the [console] of the settings, on this machine"
    )
    parser.add_argument(
        "--config", type=Path, default=config, metavar="FILE", help="default: %(default)s"
    )


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(command=_late(name))
    return parser


def _late(name: str) -> Callable[[argparse.Namespace], int]:
    """The command's body, loaded when it is asked for."""

    def carry_out(arguments: argparse.Namespace) -> int:
        from gatewayd.osdp.commands import COMMANDS

        return COMMANDS[name](arguments)

    return carry_out


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= MAX_MINUTES:
        raise argparse.ArgumentTypeError(f"write a number of minutes up to {MAX_MINUTES}")
    return minutes
