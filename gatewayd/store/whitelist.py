"""The whitelist: which revision decides, looked up in microseconds, swapped whole.

A full list is built in a file of its own, checked, made durable, and then the pointer file names
it: a power cut at any point leaves the old list or the new one. A delta is one transaction of that
file. Decisions go on meanwhile, and each sees one revision whole: the reading connection stays in
one transaction until it is exchanged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gatewayd.domain.model import (
    AccessLevel,
    Credential,
    HolidayCalendar,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
)
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.store import whitelist_file
from gatewayd.store.durable import sync_folder, write_whole
from gatewayd.store.hand_over import HandOver, read_mark, remove_mark
from gatewayd.store.staging import Staging
from gatewayd.store.whitelist_records import WhitelistDataError
from gatewayd.store.whitelist_revision import OpenRevision, open_revision
from gatewayd.store.whitelist_rules import Rules, no_rules

log = logging.getLogger(__name__)


POINTER = "current.json"  # beside the lists: names the one that decides


def pointed_to(directory: Path) -> tuple[Path, int, str]:
    """The file in a whitelist's folder that should decide, its revision and its content's SHA-256.
    Raises OSError or ValueError."""
    text = (directory / POINTER).read_text("utf-8")
    try:
        pointer = json.loads(text)
        path = directory / Path(str(pointer["file"])).name
        return path, int(pointer["revision"]), str(pointer["content_sha256"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a pointer to a list: {text[:100]!r}") from error


@dataclass(frozen=True, slots=True)
class AppliedList:
    """What is in force after an update. `base` is None for a full list."""

    revision: int
    base: int | None
    credentials: int
    content_sha256: str


class WhitelistStore:
    """Implements `gatewayd.domain.ports.Whitelist`; made by `open`.

    Look-ups are synchronous SQLite reads of some 20 µs on the event loop's thread.
    """

    def __init__(self, directory: Path, on_fault: Callable[[str | None], None]) -> None:
        self._directory = directory
        self._pointer = directory / POINTER
        self._on_fault = on_fault
        self._current: OpenRevision | None = None
        self._fault: str | None = None
        self._newest = 0  # the highest revision that the pointer ever named: none goes back
        self._content = ""  # of that one
        self._handed_over: HandOver | None = None
        self._changing = asyncio.Lock()
        self.staging = Staging(directory / "staging")

    @classmethod
    async def open(
        cls, directory: Path, on_fault: Callable[[str | None], None] = lambda _why: None
    ) -> WhitelistStore:
        """Open the revision that the pointer file names; none is revision 0, which knows nobody.

        A file that is damaged does not stop the start: every look-up raises WhitelistReadError,
        so taps are denied and say why, until the centre has sent the list again. `on_fault(why)`
        is told at the start and whenever `fault` changes; it must return at once.
        """
        store = cls(directory, on_fault)
        try:
            await asyncio.to_thread(directory.mkdir, 0o700, parents=True, exist_ok=True)
            store._load()
        except (OSError, ValueError) as error:
            store._notice(f"{store._pointer}: the list it names can't be read: {error}")
        else:
            on_fault(None)
        return store

    def _load(self) -> None:
        """Raises OSError or ValueError where the list that should decide can't."""
        if self._pointer.exists():
            path, self._newest, self._content = pointed_to(self._directory)
            self._handed_over = self._mark_of(path)
            current = open_revision(path)
            if current.revision < self._newest:
                current.close()
                raise ValueError(f"it holds {current.revision}, not revision {self._newest}")
            self._use(current)
        elif self._current is not None:
            raise ValueError("it is gone")
        self._remove_others()

    def _mark_of(self, path: Path) -> HandOver | None:
        """The hand-over of that list. Without its mark the list decides as before."""
        try:
            mark = read_mark(self._directory)
        except (OSError, ValueError) as error:
            log.error("%s", error)
            return None
        return mark if mark is not None and mark.file == path.name else None

    def _use(self, current: OpenRevision) -> None:
        before, self._current = self._current, current
        self._newest = current.revision
        if before is not None:
            before.close()
        if self._fault is not None:
            self._fault = None
            self._on_fault(None)

    def _notice(self, fault: str) -> None:
        """The first fault is told; what follows from it is not."""
        if self._fault is None:
            log.error("%s (the centre is asked for the list again)", fault)
            self._fault = fault
            self._on_fault(fault)

    def _remove_others(self) -> None:
        """Files of other revisions, and of builds that a power cut ended."""
        keep = self._current.path.name if self._current else "none"
        for pattern in ("whitelist-*.db*", "building-*"):
            for path in self._directory.glob(pattern):
                if not path.name.startswith(keep):
                    _remove(path)

    def close(self) -> None:
        if self._current is not None:
            self._current.close()

    # ------------------------------------------------------------------------------ look-ups

    @property
    def revision(self) -> int:
        """0 where there is no list, or none that can be read: then the centre sends it whole."""
        return self._current.revision if self._current and self._fault is None else 0

    @property
    def credential_count(self) -> int:
        return self._current.credentials if self._current and self._fault is None else 0

    @property
    def newest(self) -> tuple[int, str]:
        """The revision that decides, and the SHA-256 of the records that made it; of a list that
        can't be read those that it should have. (0, "") where there never was one."""
        return self._newest, self._content

    @property
    def fault(self) -> str | None:
        """Why the list can't be read: until it came again, or reads well as a whole."""
        return self._fault

    @property
    def handed_over(self) -> HandOver | None:
        """The list in force is the site's own and was handed over to a centre, whose first full
        list is taken whatever its number is. None as soon as that has come."""
        return self._handed_over

    @property
    def base_revision(self) -> int:
        """What updates go on from, and what the centre is told: 0 after a hand-over."""
        return 0 if self._handed_over else self.revision

    def snapshot(self, credential: Credential) -> Snapshot:
        """What a damaged file still gives is given: its other pages are as they were."""
        current = self._readable()
        if current is None:
            return Snapshot(0, None)
        try:
            return current.snapshot(credential)
        except WhitelistReadError as error:
            self._notice(str(error))
            raise

    def person(self, person_id: PersonId) -> Person | None:
        """None for one not in the list. Raises WhitelistReadError."""
        current = self._readable()
        if current is None:
            return None
        try:
            return current.person(person_id)
        except WhitelistReadError as error:
            self._notice(str(error))
            raise

    def people(self, ids: Collection[PersonId]) -> dict[PersonId, Person]:
        """Those of the ids that the list has. Raises as `person`."""
        found = (self.person(person_id) for person_id in ids)
        return {person.id: person for person in found if person is not None}

    def levels(self) -> Mapping[LevelId, AccessLevel]:
        """All of the revision, with the doors of their groups. Raises WhitelistReadError."""
        return self._rules().levels

    def schedules(self) -> Mapping[ScheduleId, Schedule]:
        """All of the revision. Raises WhitelistReadError."""
        return self._rules().schedules

    def calendars(self) -> Mapping[str, HolidayCalendar]:
        """All of the revision. Raises WhitelistReadError."""
        return self._rules().calendars

    def _rules(self) -> Rules:
        current = self._readable()
        return no_rules() if current is None else current.rules

    def _readable(self) -> OpenRevision | None:
        if self._current is None and self._fault is not None:
            raise WhitelistReadError(self._fault)
        return self._current

    async def read_again(self) -> None:
        """After a fault: believe the file again where reading all of it finds nothing wrong. One
        look-up that succeeds proves little: it may have met another page."""
        async with self._changing:
            if self._fault is None:
                return
            try:
                path, *_ = pointed_to(self._directory)
                await asyncio.to_thread(whitelist_file.check, path)
                self._load()
            except (OSError, ValueError) as error:
                log.warning("the whitelist still can't be read: %s", error)

    # ------------------------------------------------------------------------------- updates

    async def apply_full(self, revision: int, chunks: Iterable[bytes]) -> AppliedList:
        """Build, check and swap in a full list. The old one decides until the new one is whole.

        `chunks` are read in a worker thread. Raises WhitelistDataError for a list that can't be
        used and OSError from the disk; nothing has changed then.
        """
        building = self._directory / f"building-{secrets.token_hex(4)}"
        async with self._changing:
            self._refuse_older(revision)
            path = self._path_of(revision)
            try:
                count, content = await _in_thread(
                    chunks, lambda some: whitelist_file.build(building, revision, some)
                )
                await asyncio.to_thread(self._put_in_place, building, path)
            finally:
                building.unlink(missing_ok=True)
            await self._swap_in(path, revision, content)
            self._handed_over = None
            remove_mark(self._directory)
            self._remove_others()
        return AppliedList(revision, None, count, content)

    def _path_of(self, revision: int) -> Path:
        """Never the file in force: after a hand-over the same number may come again."""
        path = self._directory / f"whitelist-{revision:012}.db"
        if self._current is None or self._current.path != path:
            return path
        return self._directory / f"whitelist-{revision:012}-anew.db"

    async def apply_delta(self, base: int, revision: int, chunks: Iterable[bytes]) -> AppliedList:
        """Change the current list in one transaction. Raises as `apply_full`; but where the disk
        fails after the commit, the list has a `fault`: which revision decides, the old one or the
        new one, each look-up says."""
        async with self._changing:
            if self._fault is not None:
                raise WhitelistReadError(self._fault)
            current = self._current
            if current is None or self._handed_over or current.revision != base:
                held = self.base_revision
                raise WhitelistDataError(None, f"the delta is for {base}, held is {held}")
            self._refuse_older(revision)
            path = current.path
            count, content = await _in_thread(
                chunks, lambda some: whitelist_file.change(path, base, revision, some)
            )
            try:
                await self._point_to(path, revision, content)
                self._use(open_revision(path))
                await asyncio.to_thread(whitelist_file.fold_in, path)
                self._in_force().begin_again()
            except (OSError, sqlite3.Error) as error:
                self._notice(f"{path}: revision {revision} is in it, but not in use: {error}")
                raise OSError(
                    f"whitelist: revision {revision} was written, but can't be put in use: {error} "
                    "(the centre is asked for the whole list; look at the disk)"
                ) from error
        return AppliedList(revision, base, count, content)

    def _refuse_older(self, revision: int) -> None:
        """Raises WhitelistDataError for a roll-back. A damaged list may come again as it was."""
        if self._handed_over:
            return
        if revision < self._newest or revision <= self.revision:
            raise WhitelistDataError(None, f"revision {revision} is not above {self._newest}")

    def _in_force(self) -> OpenRevision:
        assert self._current is not None  # noqa: S101  # for the type checker: just put in use
        return self._current

    def _put_in_place(self, building: Path, path: Path) -> None:
        for leftover in self._directory.glob(f"{path.name}*"):
            leftover.unlink()
        building.rename(path)
        sync_folder(self._directory)

    async def _swap_in(self, path: Path, revision: int, content: str) -> None:
        """The new file must read well before anything names it."""
        try:
            new = open_revision(path)
        except OSError as error:
            raise OSError(
                f"whitelist: revision {revision} was written, but can't be read back: {error} "
                "(the list before it decides; look at the disk)"
            ) from error
        try:
            await self._point_to(path, revision, content)
        except BaseException:
            new.close()
            raise
        self._use(new)

    async def _point_to(self, path: Path, revision: int, content: str) -> None:
        """From here on a restart finds the new list; a power cut before it, the old one."""
        pointer = {"file": path.name, "revision": revision, "content_sha256": content}
        await asyncio.to_thread(write_whole, self._pointer, json.dumps(pointer).encode())
        self._newest, self._content = revision, content


def _remove(path: Path) -> None:
    """A file that can't be removed takes room, and changes nothing that decides."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("an old whitelist can't be removed: %s", error)


async def _in_thread(
    chunks: Iterable[bytes], work: Callable[[Iterator[bytes]], tuple[int, str]]
) -> tuple[int, str]:
    """Run it beside the event loop; SQLite's errors become OSError, which callers declare.

    Cancelled, the thread ends at the next chunk and what it has built is thrown away.
    """
    given_up = threading.Event()

    def until_given_up() -> Iterator[bytes]:
        for chunk in chunks:
            if given_up.is_set():
                raise InterruptedError("the update was given up")
            yield chunk

    try:
        return await asyncio.to_thread(work, until_given_up())
    except sqlite3.Error as error:
        raise OSError(f"whitelist: the disk refused the update: {error}") from error
    finally:
        given_up.set()
