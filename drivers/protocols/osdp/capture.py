"""Captures in the public osdpcap format, version 1: one JSON object a line. No I/O.

The format is that of the Security Industry Association's libosdp-conformance ("osdpcap-format"):
the texts `timeSec`, `timeNano`, `io` (input, output or trace), `data` (hexadecimal, with spaces),
`osdpTraceVersion` and `osdpSource`. Other tools write numbers for texts and hyphens for spaces;
both are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from drivers.protocols.osdp.pieces import Piece, Splitter

MAX_LINE = 32 * 1024  # characters: a chunk of 1024 bytes takes some 3,300
MAX_DATA = 4096  # bytes of one record
NS_PER_S = 1_000_000_000
SOURCE = "gatewayd"
VERSION = "1"


class CaptureError(ValueError):
    """A line is no record of a capture; the message names the line and what is wrong."""


class Direction(StrEnum):
    """As a panel sees it; TRACE is a listener on the wires, who sees both."""

    INPUT = "input"
    OUTPUT = "output"
    TRACE = "trace"


@dataclass(frozen=True, slots=True)
class Record:
    """Bytes as they were seen. `time_ns` counts from 1970 UTC."""

    time_ns: int
    direction: Direction
    data: bytes = field(repr=False)


def encode_record(record: Record) -> str:
    """The record's line, with its end."""
    seconds, nano = divmod(record.time_ns, NS_PER_S)
    members = {
        "timeSec": str(seconds),
        "timeNano": f"{nano:09}",
        "io": record.direction.value,
        "data": record.data.hex(" "),
        "osdpTraceVersion": VERSION,
        "osdpSource": SOURCE,
    }
    return json.dumps(members, separators=(",", ":")) + "\n"


def decode_records(lines: Iterable[str]) -> Iterator[Record]:
    """The records of a capture; empty lines are passed over. Raises CaptureError."""
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            raise CaptureError(f"line {number} is longer than {MAX_LINE} characters: no osdpcap")
        if line.strip():
            yield _decode(line, number)


def pieces_of(records: Iterable[Record]) -> Iterator[tuple[Record, Piece]]:
    """Frames and what is none, each with the record that completed it. A record of the other
    direction ends what has begun: the panel waits for an answer only so long."""
    splitters = {direction: Splitter() for direction in Direction}
    before: Record | None = None
    for record in records:
        if before is not None and record.direction is not before.direction:
            yield from ((before, piece) for piece in splitters[before.direction].quiet())
        yield from ((record, piece) for piece in splitters[record.direction].feed(record.data))
        before = record
    if before is not None:
        yield from ((before, piece) for piece in splitters[before.direction].quiet())


def _decode(line: str, number: int) -> Record:
    try:
        members = json.loads(line)
    except ValueError as error:
        raise CaptureError(f"line {number} is no JSON: {error}") from None
    if not isinstance(members, dict):
        raise CaptureError(f"line {number} is no JSON object")
    if str(members.get("osdpTraceVersion", VERSION)) != VERSION:
        raise CaptureError(f"line {number}: only version {VERSION} of the format is read")
    try:
        seconds, nano = (int(members[name]) for name in ("timeSec", "timeNano"))
        direction = Direction(str(members["io"]).lower())
        data = bytes.fromhex(str(members["data"]).replace("-", " "))
    except (KeyError, TypeError, ValueError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise CaptureError(f"line {number} is no osdpcap record: {what}") from None
    if len(data) > MAX_DATA or seconds < 0 or not 0 <= nano < NS_PER_S:
        raise CaptureError(f"line {number}: a time or a length that no record has")
    return Record(seconds * NS_PER_S + nano, direction, data)
