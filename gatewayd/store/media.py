"""Pictures as files, under a budget. Owns their names, their durability and who goes first; must
not know cameras or the journal.

A picture's name is `DATE/SEQ-CAMERA.jpg`, e.g. `2026-11-23/0000001234-cam-gate.jpg`: the date is
UTC, SEQ the journal's number of the event. Written to a temporary name, synced, renamed, and the
folder synced: after a crash a name is there whole or not at all.
"""

from __future__ import annotations

import bisect
import errno
import hashlib
import logging
import os
import re
import stat
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

_TEMPORARY = ".tmp"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_NAME = re.compile(
    r"(?P<day>\d{4}-\d{2}-\d{2})/(?P<seq>\d{10,19})-(?P<camera>[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?)\.jpg",
    re.ASCII,
)


class MediaError(OSError):
    """A picture could not be kept or found; the text says which, why and what to do."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What the journal keeps of a picture. `sha256` is lower-case hexadecimal, `size` in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, order=True)
class _Kept:
    """In the order in which they go: the journal's numbers never run backwards, dates may."""

    seq: int
    name: str
    size: int


def free_bytes(directory: Path) -> int:
    """What an ordinary user may still write on that file system."""
    space = os.statvfs(directory)
    return space.f_bavail * space.f_frsize


def picture_name(for_seq: int, camera_id: str, wall_ms: int) -> str:
    """The name of an event's picture. Raises MediaError for a camera id that is no file name."""
    try:
        day = datetime.fromtimestamp(wall_ms // 1000, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        day = "9999-12-31"  # a clock gone mad; the event's seq still tells the picture's place
    name = f"{day}/{for_seq:010d}-{camera_id}.jpg"
    if not _NAME.fullmatch(name):
        raise MediaError(
            errno.EINVAL, f"{camera_id!r} of event {for_seq} makes no picture name: use a-z 0-9 -"
        )
    return name


class PictureFiles:
    """The folder of pictures. Blocks on the disk: call it from a worker thread, any number of them.

    `budget_bytes` is never exceeded. When less than `reserve_bytes` are free on the disk, the
    folder stops growing: as much goes as comes, so that the journal keeps its room.
    """

    def __init__(
        self,
        directory: Path,
        budget_bytes: int,
        reserve_bytes: int = 0,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        """Make the folder, remove what a crash left half-written, and add up what is there.

        Raises MediaError where the folder can't be used.
        """
        self._directory = directory
        self._budget_bytes = budget_bytes
        self._reserve_bytes = reserve_bytes
        self._free = free
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []
        self._total = 0
        try:
            directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            self._heal()
        except OSError as error:
            raise _failed("open the folder of pictures", str(directory), error) from error

    @property
    def total_bytes(self) -> int:
        return self._total

    def __len__(self) -> int:
        return len(self._kept)

    def save(
        self,
        data: bytes,
        for_seq: int,
        camera_id: str,
        wall_ms: int,
        protected: AbstractSet[int] = frozenset(),
    ) -> StoredFile:
        """Keep a picture durably; the oldest make room, never those whose seq is `protected`.

        Raises MediaError where the disk refuses or nothing may go; then nothing else has changed
        but for older pictures that went.
        """
        name = picture_name(for_seq, camera_id, wall_ms)
        with self._lock:
            try:
                self._forget(for_seq, name)  # the same event's picture again replaces the first
                self._make_room(len(data), protected)
                self._write(self._directory / name, data)
            except OSError as error:
                raise _failed("keep picture", name, error) from error
            bisect.insort(self._kept, _Kept(for_seq, name, len(data)))
            self._total += len(data)
        return StoredFile(name, hashlib.sha256(data).hexdigest(), len(data))

    def open_picture(self, name: str) -> Path:
        """The file of a name that the journal gave. Raises MediaError for any other."""
        if not _NAME.fullmatch(name):
            raise MediaError(errno.EINVAL, "that is no picture name: take it from the event")
        path = self._directory / name
        try:
            regular = stat.S_ISREG(path.lstat().st_mode)
        except OSError as error:
            raise _failed("open picture", name, error) from error
        if not regular:
            raise MediaError(errno.EINVAL, f"picture {name} is not an ordinary file")
        return path

    def discard(self, for_seq: int, name: str) -> None:
        """Remove a picture that no event will name. Raises MediaError."""
        with self._lock:
            try:
                self._forget(for_seq, name)
            except OSError as error:
                raise _failed("remove picture", name, error) from error

    def _heal(self) -> None:
        for day in self._directory.iterdir():
            if not _DAY.fullmatch(day.name) or day.is_symlink() or not day.is_dir():
                continue  # not ours, e.g. lost+found
            for path in day.iterdir():
                if path.suffix == _TEMPORARY:
                    path.unlink()
                elif match := _NAME.fullmatch(f"{day.name}/{path.name}"):
                    self._kept.append(_Kept(int(match["seq"]), match[0], path.lstat().st_size))
        self._kept.sort()
        self._total = sum(kept.size for kept in self._kept)

    def _make_room(self, size: int, protected: AbstractSet[int]) -> None:
        """Let the oldest go until `size` more bytes fit. Raises MediaError where they can't."""
        short = self._free(self._directory) < self._reserve_bytes + size
        needed = max(self._total + size - self._budget_bytes, size if short else 0)
        going: list[_Kept] = []
        freed = 0
        for kept in self._kept:
            if freed >= needed:
                break
            if kept.seq not in protected:
                going.append(kept)
                freed += kept.size
        if freed < needed:
            place = "disk space" if short else f"the budget of {self._budget_bytes} bytes"
            raise MediaError(
                errno.ENOSPC,
                f"no room in {place} beside pictures of open alarms: settle alarms, or raise "
                "storage.picture_budget_mb",
            )
        for kept in going:
            self._remove(kept)

    def _forget(self, for_seq: int, name: str) -> None:
        at = bisect.bisect_left(self._kept, _Kept(for_seq, name, 0))
        if at < len(self._kept) and self._kept[at].name == name:
            self._remove(self._kept[at])

    def _remove(self, kept: _Kept) -> None:
        path = self._directory / kept.name
        path.unlink(missing_ok=True)
        del self._kept[bisect.bisect_left(self._kept, kept)]
        self._total -= kept.size
        if not any(path.parent.iterdir()):
            path.parent.rmdir()

    def _write(self, path: Path, data: bytes) -> None:
        """Either the whole file under its name, on the disk, or nothing and OSError."""
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o750)
            _sync_folder(self._directory)
        temporary = path.with_suffix(_TEMPORARY)
        try:
            with temporary.open("wb") as file:
                os.fchmod(file.fileno(), 0o640)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_folder(path.parent)
        except OSError:
            _drop(temporary)
            _drop(path)
            raise


def _drop(path: Path) -> None:
    """Best effort: what stays is removed, or counted, at the next start."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("a half-written picture could not be removed: %s", error.strerror)


def _sync_folder(folder: Path) -> None:
    """A name is durable only once its folder is."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _failed(operation: str, name: str, error: OSError) -> MediaError:
    text = error.strerror or str(error)
    if not isinstance(error, MediaError):  # which says itself what to do
        full = error.errno == errno.ENOSPC
        text += "; free some disk space" if full else "; check the disk and its rights"
    return MediaError(error.errno, f"can't {operation} {name}: {text}")
