"""The journal's hash chain: what one row's hash covers. Pure; writer and verifier share it.

docs/reference/journal.md tells it in words, for those who write a verifier of their own.
"""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from gatewayd.store.codec import canonical_text

FORMAT = 1


class Row(NamedTuple):
    """One row of the table `event`, in the order of its columns, without the hash."""

    seq: int
    prev: int
    stream: str
    kind: str
    subject: str
    boot: str
    mono_ns: int
    wall_ms: int
    trusted: int
    data: str


def first_hash(epoch: str) -> bytes:
    """What stands in for the hash before the first row, so that epochs can't be exchanged."""
    return sha256(f"gatewayd-journal-v{FORMAT}\n{epoch}".encode()).digest()


def row_hash(before: bytes, epoch: str, row: Row) -> bytes:
    """SHA-256 over the hash before, the header as a canonical JSON array, a newline, the data."""
    text = canonical_text
    signed = (
        f"[{FORMAT},{text(epoch)},{row.seq},{row.prev},{text(row.stream)},{text(row.kind)},"
        f"{text(row.subject)},{text(row.boot)},{row.mono_ns},{row.wall_ms},{row.trusted}]\n"
        f"{row.data}"
    )
    return sha256(before + signed.encode()).digest()
