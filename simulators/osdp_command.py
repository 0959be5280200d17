"""`gatewayd simulate osdp`: a line of OSDP devices from the command line. Owns the options and the
file of keys; must not know the wire.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from simulators.device import run_device
from simulators.osdp_device import MODELS, OsdpModel, SimulatedOsdpDevice
from simulators.osdp_line import REPLY_DELAY_S, SimulatedOsdpLine
from simulators.osdp_secure import KEY_SIZE
from simulators.osdp_wire import BROADCAST
from simulators.pty_line import BAUDS

NAME = "osdp"
HELP = "OSDP readers and boards on one RS-485 line, on a pseudo-terminal"

MAX_KEY_FILE = 64 * 1024  # bytes; 126 keys take five thousand
MAX_PART = 32  # outputs or inputs of one device
_DEVICE = "0:reader or 1:board,outputs=4,inputs=8,secure-only"


def parse_device(text: str) -> tuple[int, OsdpModel]:
    """ADDRESS:MODEL and what is special of it, as in _DEVICE."""
    head, *parts = text.split(",")
    address, _, name = head.partition(":")
    model = MODELS.get(name)
    if model is None or not address.isdecimal() or int(address) >= BROADCAST:
        raise argparse.ArgumentTypeError(f"{text!r}: write e.g. {_DEVICE}")
    for part in parts:
        key, _, value = part.partition("=")
        if part == "secure-only":
            model = replace(model, secure_only=True)
        elif key == "outputs" and value.isdecimal() and int(value) <= MAX_PART:
            model = replace(model, outputs=int(value))
        elif key == "inputs" and value.isdecimal() and int(value) <= MAX_PART:
            model = replace(model, inputs=int(value))
        else:
            raise argparse.ArgumentTypeError(f"{part!r} of {text!r}: write e.g. {_DEVICE}")
    return int(address), model


def read_keys(path: Path) -> dict[int, bytes]:
    """Lines of 'ADDRESS HEX', 32 digits; what follows a # is a comment. Raises ValueError."""
    keys: dict[int, bytes] = {}
    for number, line in enumerate(path.read_bytes()[:MAX_KEY_FILE].decode().splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            address, key = int(words[0]), bytes.fromhex("".join(words[1:]))
        except ValueError:
            key = b""
        if len(key) != KEY_SIZE:  # the line itself is not shown: it may hold most of a key
            raise ValueError(f"--key-file {path}, line {number}: write e.g. '0 ' and 32 hex digits")
        keys[address] = key
    return keys


def write_keys(path: Path, keys: dict[int, bytes]) -> None:
    """Replaces the file in one step; only its owner may read it. Raises OSError."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    text = "".join(f"{address} {key.hex()}\n" for address, key in sorted(keys.items()))
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    new.replace(path)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--link", type=Path, required=True, help="link to the client's end")
    parser.add_argument(
        "--device",
        type=parse_device,
        action="append",
        required=True,
        metavar="ADDRESS:MODEL",
        help=f"{_DEVICE}; models: {', '.join(MODELS)}; repeat for more",
    )
    parser.add_argument(
        "--key-file",
        type=Path,
        help="lines of 'ADDRESS HEX'; a device without a line is as new; KEYSET is written to it",
    )
    parser.add_argument("--baud", type=int, choices=BAUDS, default=9600, help="pace of the bytes")
    parser.add_argument(
        "--reply-delay-ms",
        type=float,
        default=REPLY_DELAY_S * 1000,
        metavar="MS",
        help="from a command's last byte to the reply's first",
    )
    parser.add_argument("--seed", type=int, default=0, help="of nonces, noise and losses")
    parser.add_argument("--control", type=Path, help="Unix socket for orders")


async def run(args: argparse.Namespace) -> int:
    """Be a line of devices until cancelled or told to quit. Raises ValueError or OSError."""
    keys = read_keys(args.key_file) if args.key_file and args.key_file.exists() else {}
    devices = [
        SimulatedOsdpDevice(address, model, key=keys.get(address), seed=args.seed)
        for address, model in args.device
    ]
    if args.key_file is not None:
        for device in devices:
            device.key_changed = lambda: write_keys(args.key_file, _keys_of(devices))
    line = SimulatedOsdpLine(
        args.link,
        devices,
        baud=args.baud,
        reply_delay_s=args.reply_delay_ms / 1000,
        seed=args.seed,
        control=args.control,
    )
    return await run_device(line)


def _keys_of(devices: list[SimulatedOsdpDevice]) -> dict[int, bytes]:
    return {device.address: device.key for device in devices if device.key is not None}
