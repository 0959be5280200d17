"""What an inquiry is answered from: settings, list, journal and secret, opened beside the daemon.

Owns the opening and what is said when it can't be. Must not write: a list given as a file of
records is built in a folder of its own that goes again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO
from zoneinfo import ZoneInfo

from gatewayd.boot import kept_secret
from gatewayd.domain.model import AccessPoint, AccessPointId, Area, AreaId, Door, DoorId
from gatewayd.settings.bind import access_points, areas, domain_doors, interlocks
from gatewayd.settings.load import LoadedSettings
from gatewayd.store import whitelist_file
from gatewayd.store.whitelist import POINTER, pointed_to
from gatewayd.store.whitelist_revision import OpenRevision, open_revision
from gatewayd.wording import Names

_SQLITE = b"SQLite format 3\0"
_CHUNK = 1 << 20
TRIES = 3  # a list that the daemon swaps while we open it is looked for again


class InquiryError(Exception):
    """The question can't be answered as things are: what, where, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """The site as the settings have it."""

    directory: Path
    journal_file: Path
    settings_sha256: str
    zone: ZoneInfo
    access_points: Mapping[AccessPointId, AccessPoint]
    doors: Mapping[DoorId, Door]
    areas: Mapping[AreaId, Area]
    interlocked: frozenset[DoorId]  # doors of any interlock

    def names(self, listed: OpenRevision | None, people: Mapping[str, str]) -> Names:
        """What ids are called, by these settings and that list."""
        rules = None if listed is None else listed.rules
        return Names(
            {door.id: door.name for door in self.doors.values()},
            {area.id: area.name for area in self.areas.values()},
            people,
            {} if rules is None else {each.id: each.name for each in rules.levels.values()},
            {} if rules is None else {each.id: each.name for each in rules.schedules.values()},
        )


def place_of(loaded: LoadedSettings) -> Place:
    settings = loaded.settings
    return Place(
        settings.storage.directory,
        settings.storage.journal_file,
        loaded.sha256,
        ZoneInfo(settings.site.time_zone),
        access_points(settings),
        domain_doors(settings),
        areas(settings),
        frozenset(door for each in interlocks(settings) for door in each.door_ids),
    )


def secret_of(place: Place) -> bytes:
    """The key of the journal's digests. Raises InquiryError where it can't be read."""
    try:
        return kept_secret(place.directory / "secret")
    except (OSError, ValueError) as error:
        raise InquiryError(f"the key of the journal's digests can't be read: {error}") from error


@contextmanager
def current_list(place: Place) -> Iterator[OpenRevision]:
    """The list in force. Raises InquiryError where there is none that can be read."""
    with _closing(_in_folder(place.directory / "whitelist")) as listed:
        yield listed


@contextmanager
def list_at(path: Path) -> Iterator[OpenRevision]:
    """The list of a folder as the daemon keeps it, of one file from there, or of a file of records
    as the centre sends them (JSON lines). Raises InquiryError."""
    if path.is_dir():
        with _closing(_in_folder(path)) as listed:
            yield listed
        return
    try:
        with path.open("rb") as file:
            is_database = file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise InquiryError(f"the list can't be read: {error}") from error
    if is_database:
        with _closing(_opened(path)) as listed:
            yield listed
        return
    with (
        TemporaryDirectory(prefix="gatewayd-") as folder,
        _closing(_built(path, Path(folder) / "whitelist.db")) as listed,
    ):
        yield listed


@contextmanager
def _closing(listed: OpenRevision) -> Iterator[OpenRevision]:
    try:
        yield listed
    finally:
        listed.close()


def _in_folder(folder: Path) -> OpenRevision:
    """The list that the folder's pointer names."""
    if not (folder / POINTER).exists():
        raise InquiryError(
            f"{folder}: there is no list (the centre has sent none yet, or it is another folder)"
        )
    for left in reversed(range(TRIES)):
        try:
            return open_revision(pointed_to(folder)[0])
        except (OSError, ValueError) as error:
            if left == 0:
                raise InquiryError(f"{folder}: the list can't be read: {error}") from error
    raise AssertionError("the last try returns or raises")


def _opened(path: Path) -> OpenRevision:
    try:
        return open_revision(path)
    except OSError as error:
        raise InquiryError(f"the list can't be read: {error}") from error


def _built(records: Path, path: Path) -> OpenRevision:
    """Of a file of records: revision 0, which no list of the centre has."""
    try:
        with records.open("rb") as file:
            whitelist_file.build(path, 0, _lines(file))
    except (ValueError, OSError, sqlite3.Error) as error:
        raise InquiryError(f"{records}: {error}") from error
    return _opened(path)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """In chunks of whole lines."""
    while lines := file.readlines(_CHUNK):
        yield b"".join(lines)
