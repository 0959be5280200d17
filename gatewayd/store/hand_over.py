"""The mark that a list of the site's own was handed over to a centre, which numbers its own anew.

Owns the file `handed-over.json` beside the list. It names the list it is about: under any other it
says nothing, so a power cut can't leave it in force for longer than it should be.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from gatewayd.store.durable import write_whole

_NAME = "handed-over.json"


@dataclass(frozen=True, slots=True)
class HandOver:
    """Who handed over which list: its file's name, and its revision."""

    file: str
    revision: int
    operator: str


def read_mark(folder: Path) -> HandOver | None:
    """The mark in the whitelist's folder. Raises OSError, or ValueError for a damaged one."""
    path = folder / _NAME
    if not path.exists():
        return None
    try:
        return HandOver(**json.loads(path.read_text("utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: it can't be read: {error} (hand over again)") from error


def write_mark(folder: Path, mark: HandOver) -> None:
    """Durable when this returns. Raises OSError."""
    write_whole(folder / _NAME, json.dumps(asdict(mark)).encode())


def remove_mark(folder: Path) -> None:
    """One that can't be removed is about a list that is gone, and says nothing any more."""
    with suppress(OSError):
        (folder / _NAME).unlink()
