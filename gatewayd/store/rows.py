"""What the journal gives back to the link and the console, made of SQLite's rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gatewayd.domain.events import Cause, CauseKind, Event, Stream
from gatewayd.domain.model import DoorId, DoorMode, ModeSlot, Stamp
from gatewayd.domain.modes import ModeOrder, OrderKey
from gatewayd.domain.ports import JournalEntry, JournalError


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event as it goes to the centre. Hashes are lower-case hexadecimal."""

    seq: int
    prev: int
    stream: Stream
    kind: str
    subject: str
    stamp: Stamp
    data: dict[str, Any]
    prev_hash: str
    hash: str


@dataclass(frozen=True, slots=True)
class CommandRow:
    """A command of the centre as the ledger has it; `outcome` is None while it is under way."""

    command_id: str
    kid: str
    counter: int
    action: str
    target: str
    accepted_seq: int
    outcome: str | None
    detail: str
    done_seq: int | None


@dataclass(frozen=True, slots=True)
class PictureRow:
    for_seq: int
    camera_id: str
    name: str
    sha256: str
    size: int
    age_ms: int


def _stamp_of(row: Sequence[Any]) -> Stamp:
    boot, mono_ns, wall_ms, trusted = row[5:9]
    return Stamp(boot, mono_ns, wall_ms, bool(trusted))


def entry_of(row: Sequence[Any], decode: Callable[[str, str], Event]) -> JournalEntry:
    """Raises JournalError for a row that this version can't read."""
    try:
        return JournalEntry(row[0], _stamp_of(row), decode(row[3], row[9]))
    except ValueError as error:
        raise JournalError(f"journal row {row[0]}: {error} (run: gatewayd verify)") from error


def mode_order_of(row: Sequence[Any]) -> tuple[DoorId, OrderKey, ModeOrder]:
    door, slot, lockdown, mode, until_ms, kind, ref, reason, _seq = row
    order = ModeOrder(DoorMode(mode), Cause(CauseKind(kind), ref, reason), until_ms)
    return DoorId(door), OrderKey(ModeSlot(slot), bool(lockdown)), order


def outbox_row_of(row: Sequence[Any], first_hash: bytes) -> OutboxRow:
    """`first_hash` stands before the first row."""
    seq, prev, stream, kind, subject = row[:5]
    before = first_hash if row[11] is None else row[11]
    data = json.loads(row[9])
    return OutboxRow(
        seq, prev, Stream(stream), kind, subject, _stamp_of(row), data, before.hex(), row[10].hex()
    )
