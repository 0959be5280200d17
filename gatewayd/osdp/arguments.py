"""The arguments of `gatewayd osdp …`. Owns their words; must not load what carries them out.

docs/reference/drivers/osdp.md shows the commands at work.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

MAX_MINUTES = 10  # of an install window
BAUD_RATES = (9600, 19200, 38400, 57600, 115200, 230400)
_DEFAULT = "default: %(default)s"


def add_osdp(commands: argparse._SubParsersAction[argparse.ArgumentParser], config: Path) -> None:
    """The command `osdp` with its own commands; `config` is where the settings usually are."""
    about = "OSDP lines: find devices, give them keys, listen, capture, replay"
    inner = commands.add_parser(
        "osdp", help=about, description=f"{about}.", allow_abbrev=False
    ).add_subparsers(metavar="COMMAND", required=True)
    _add_pair(inner, config)
    _add_scan(inner)
    _add_capture(inner, config)
    _add_monitor(inner)
    _add_replay(inner)


def _add_scan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    scan = _add(
        commands,
        "scan",
        "ask every address at every baud rate who is there; with the daemon stopped",
    )
    _add_port(scan)
    scan.add_argument(
        "--baud",
        type=int,
        choices=BAUD_RATES,
        action="append",
        metavar="N",
        help="only this speed; may be given many times (default: 9600 to 230400, six of them)",
    )
    scan.add_argument(
        "--addresses",
        type=_addresses,
        default=range(127),
        metavar="FIRST-LAST",
        help="only these, as in 0-15 (default: 0-126)",
    )
    scan.add_argument("--expect", type=_count, metavar="N", help="end once so many were found")


def _add_capture(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], config: Path
) -> None:
    capture = _add(
        commands,
        "capture",
        "write down what goes over a line, in the osdpcap format: by listening on a port, or, with "
        "--bus, by the running daemon, which asks for an administrator's name and password",
    )
    capture.add_argument(
        "port", metavar="PORT", nargs="?", help="listen here without a word: a tap on the wires"
    )
    capture.add_argument("--bus", metavar="ID", help="the [[bus]] of the running daemon")
    capture.add_argument(
        "--baud", type=int, choices=BAUD_RATES, default=9600, metavar="N", help=_DEFAULT
    )
    capture.add_argument(
        "--output",
        type=Path,
        metavar="FILE",
        help="of a PORT: a new file, which only its owner may read (default: OSDP.osdpcap)",
        default=Path("OSDP.osdpcap"),
    )
    capture.add_argument("--minutes", type=_part_of(60), default=10.0, metavar="N", help=_DEFAULT)
    capture.add_argument("--megabytes", type=_part_of(64), default=16.0, metavar="N", help=_DEFAULT)
    capture.add_argument("--reason", help="of a --bus: why; it is journaled with your name")
    _add_daemon(capture, config)


def _add_monitor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    monitor = _add(
        commands, "monitor", "say what is said on a line, or was said in a capture, frame by frame"
    )
    monitor.add_argument(
        "source", metavar="PORT|FILE", help="a port to listen on without a word, or a capture"
    )
    monitor.add_argument(
        "--baud", type=int, choices=BAUD_RATES, default=9600, metavar="N", help=_DEFAULT
    )
    monitor.add_argument(
        "--key-file",
        metavar="FILE",
        help="opens secure channels under this key, where their handshake is seen",
    )
    _add_personal(monitor)


def _add_replay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    replay = _add(
        commands,
        "replay",
        "put a capture through the panel again, byte for byte, and say what it concludes; with "
        "--pty be its devices for a running daemon; 1: the panel would say otherwise",
    )
    replay.add_argument("file", type=Path, metavar="FILE", help="in the osdpcap format")
    replay.add_argument(
        "--key",
        type=_key_of,
        action="append",
        default=[],
        metavar="ADDRESS=FILE",
        help="the key of a device that spoke in a secure channel; may be given many times",
    )
    replay.add_argument(
        "--pty", metavar="LINK", help="of a capture in clear text: the port for a daemon to open"
    )
    replay.add_argument(
        "--no-pace", action="store_true", help="with --pty: answer at once, not as captured"
    )
    _add_personal(replay)


def _add_port(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "port", metavar="PORT", help="'/dev/serial/by-id/…', 'socket://host:port' or 'rfc2217://…'"
    )


def _add_personal(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--show-cards", action="store_true", help="show cards' bits and the keys that were typed"
    )


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
        type=_part_of(MAX_MINUTES),
        default=5.0,
        metavar="N",
        help=f"how long the window stays open, {MAX_MINUTES} at most (default: %(default)s)",
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
    parser.add_argument("--config", type=Path, default=config, metavar="FILE", help=_DEFAULT)


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


def _part_of(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = 0.0
        if not 0 < found <= most:
            raise argparse.ArgumentTypeError(f"write a number up to {most:g}")
        return found

    return number


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 127:
        raise argparse.ArgumentTypeError("write a number from 1 to 127")
    return int(text)


def _addresses(text: str) -> range:
    first, _, last = text.partition("-")
    last = last or first
    if not (first.isdecimal() and last.isdecimal()) or not int(first) <= int(last) <= 126:
        raise argparse.ArgumentTypeError("write two addresses from 0 to 126, as in 0-15")
    return range(int(first), int(last) + 1)


def _key_of(text: str) -> tuple[int, str]:
    address, _, path = text.partition("=")
    if not address.isdecimal() or int(address) > 126 or not path:
        raise argparse.ArgumentTypeError("write an address and a file, as in 0=lobby.key")
    return int(address), path
