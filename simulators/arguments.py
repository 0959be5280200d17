"""Numbers and names of the simulators' command lines. Owns what is said of one that is none."""

from __future__ import annotations

import argparse
from pathlib import Path

DAY_S = 86_400


def seconds(text: str) -> float:
    """Raises ArgumentTypeError, which argparse shows beside the option."""
    return _number(text, "a number of seconds")


def speed(text: str) -> float:
    """How many times faster. Raises as `seconds` does."""
    return _number(text, "a number")


def named_path(text: str) -> tuple[str, Path]:
    """NAME=PATH. Raises as `seconds` does."""
    name, equals, path = text.partition("=")
    if not (name and equals and path) or "/" in name:
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=PATH, a name without a slash")
    return name, Path(path)


def _number(text: str, wanted: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= DAY_S:
        raise argparse.ArgumentTypeError(
            f"must be {wanted} above 0, at most {DAY_S}, is {text[:40]!r}"
        )
    return number
