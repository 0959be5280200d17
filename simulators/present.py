"""`gatewayd simulate present`: one card, pass or plate held to a simulated reader that runs.

Owns the command line; the reader does the rest.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from simulators.control import ControlClient, ControlError

NAME = "present"
HELP = "holds a card, a QR pass or a plate to a simulated reader that runs"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--control", type=Path, required=True, help="the reader's Unix socket")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--text", help="of a QR pass, a barcode or a plate")
    what.add_argument("--card", type=_card, metavar="BITS:HEX", help="a card, e.g. 40:100086F444")
    parser.add_argument("--hold-s", type=float, default=0.0, help="so long, for what repeats")


def _card(text: str) -> dict[str, Any]:
    bits, colon, value = text.partition(":")
    if not (colon and bits.isascii() and bits.isdigit() and value):
        raise argparse.ArgumentTypeError("write BITS:HEX, e.g. 40:100086F444")
    return {"bits": int(bits), "value": value}


async def run(args: argparse.Namespace) -> int:
    """Prints what the reader replies. Raises ValueError where it refuses, OSError where none is."""
    what = args.card if args.text is None else {"text": args.text}
    try:
        async with ControlClient(args.control) as reader:
            reply = await reader.ask({"do": "present", **what, "hold_s": args.hold_s})
    except ControlError as error:
        raise ValueError(f"{args.control}: {error}") from error
    except OSError as error:
        hint = "start it with gatewayd simulate reader --control PATH"
        raise OSError(f"no reader answers at {args.control}: {error} ({hint})") from error
    print(json.dumps(reply))
    return 0
