"""USB relay boards of the LCUS type: one frame switches one relay. No I/O, no waiting.

`A0`, the relay from 1, `01` or `00`, and the sum of the three, low byte. The boards answer nothing.
"""

from __future__ import annotations

START = 0xA0
MAX_RELAYS = 32  # the largest board sold; the byte would take more


def switch(relay: int, energised: bool) -> bytes:
    """The frame. Raises ValueError for a relay that no such board has."""
    if not 1 <= relay <= MAX_RELAYS:
        raise ValueError(f"an LCUS relay is 1 to {MAX_RELAYS}, not {relay}")
    body = bytes([START, relay, int(energised)])
    return body + bytes([sum(body) & 0xFF])
