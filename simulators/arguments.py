"""Numbers of the simulators' command lines. Owns what is said of one that can't be used."""

from __future__ import annotations

import argparse

DAY_S = 86_400


def seconds(text: str) -> float:
    """Raises ArgumentTypeError, which argparse shows beside the option."""
    return _number(text, "a number of seconds")


def speed(text: str) -> float:
    """How many times faster. Raises as `seconds` does."""
    return _number(text, "a number")


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
