"""What an Acme relay says, as text: pure, so that a test needs no device.

One line a question, one line an answer: `SET 1 ON` is answered by `RELAY 1 ON`, `GET 1` by the
same, `INPUTS` by `INPUTS 0100` with a digit for each input, from input 1. What it can't do it
answers with `ERROR` and a reason.
"""

from __future__ import annotations

MAX_LINE = 256  # bytes; no answer is longer


class ProtocolError(ValueError):
    """An answer that is not what was asked for."""


def set_relay(relay: int, energised: bool) -> bytes:
    return f"SET {relay} {'ON' if energised else 'OFF'}\n".encode()


def get_relay(relay: int) -> bytes:
    return f"GET {relay}\n".encode()


def get_inputs() -> bytes:
    return b"INPUTS\n"


def read_relay(line: bytes, relay: int) -> bool:
    """Whether the relay is energised. Raises ProtocolError."""
    states = {f"RELAY {relay} ON": True, f"RELAY {relay} OFF": False}
    text = _text(line)
    if text not in states:
        raise ProtocolError(f"no answer about relay {relay}: {text!r}")
    return states[text]


def read_inputs(line: bytes, count: int) -> tuple[bool, ...]:
    """The inputs, from input 1. Raises ProtocolError."""
    word, _, digits = _text(line).partition(" ")
    if word != "INPUTS" or len(digits) != count or set(digits) - {"0", "1"}:
        raise ProtocolError(f"no {count} inputs: {_text(line)!r}")
    return tuple(digit == "1" for digit in digits)


def _text(line: bytes) -> str:
    return line.decode("ascii", "replace").strip()
