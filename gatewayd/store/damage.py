"""What was done to a journal's row that does not verify. Pure; owns the guesses, not the verdict.

The hash says only that a row is not what was written. Putting its neighbours in its place, with the
numbers that they would have there, says in most cases how it came about.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from gatewayd.store.chain import Row, row_hash

LOOK_AHEAD = 1_000  # rows after the bad one that are tried in its place

Stored = tuple[Row, bytes]  # a row with the hash that stands in it


@dataclass(frozen=True, slots=True)
class Place:
    """Where the chain stands before the bad row: the hash, and the last seq of each stream."""

    seq: int
    hash: bytes
    epoch: str
    last_of: dict[str, int]

    def fits(self, row: Row, stored: bytes) -> bool:
        """Whether the row's content was written here, under the hash that is stored."""
        moved = row._replace(seq=self.seq, prev=self.last_of.get(row.stream, 0))
        return row_hash(self.hash, self.epoch, moved) == stored

    def after(self, row: Row, stored: bytes) -> Place:
        return Place(self.seq + 1, stored, self.epoch, {**self.last_of, row.stream: self.seq})


def diagnose(place: Place, rows: Sequence[Stored]) -> tuple[str, str]:
    """(what, detail) of `rows[0]`, which does not verify at `place`; the others follow it."""
    (bad, bad_hash), following = rows[0], rows[1:]
    for row, stored in following:
        if not (place.fits(row, stored) or place.fits(row, bad_hash)):
            continue
        if row.seq == bad.seq + 1 and _goes_on(place.after(row, stored), following[1:]):
            return "inserted", "without it the chain goes on with the next row"
        return "reordered", f"what was written here now stands in row {row.seq}"
    if len(following) > 1 and not _any_holds(place.epoch, rows):
        return "foreign epoch", (
            f"neither it nor any of the {len(following)} rows read after it was written in the "
            f"epoch {place.epoch}, or the row before it was taken out and the rest renumbered"
        )
    return "edited", "its content and its hash disagree, or a hash before it was replaced"


def _goes_on(place: Place, following: Sequence[Stored]) -> bool:
    """Whether the row after next continues the chain one place earlier (or there is none)."""
    return not following or place.fits(*following[0])


def _any_holds(epoch: str, rows: Sequence[Stored]) -> bool:
    """Whether any row is chained to the one that stands before it, as it stands there."""
    pairs = pairwise(rows)
    return any(row_hash(before, epoch, row) == stored for (_, before), (row, stored) in pairs)
