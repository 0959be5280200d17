"""What the console is given: ports, stores and two questions to the daemon. Owns no behaviour."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gatewayd.domain.area import Seen
from gatewayd.domain.events import Cause, Event, Stream
from gatewayd.domain.model import (
    AccessLevel,
    Area,
    AreaId,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Stamp,
)
from gatewayd.domain.ports import AlarmDesk, Captures, Clock, Doors, Fire, Installs, JournalEntry
from gatewayd.settings.model import Settings
from gatewayd.store.operators import OperatorStore
from gatewayd.store.rows import PictureRow


class ConsoleJournal(Protocol):
    """The journal as the console reads it and writes to it (`gatewayd.store.journal`)."""

    @property
    def epoch(self) -> str: ...

    @property
    def last_seq(self) -> int: ...

    async def append(self, event: Event, stamp: Stamp | None = None) -> int: ...

    async def entry(self, seq: int) -> JournalEntry | None: ...

    async def entries_after(
        self, seq: int, limit: int, *, kinds: Collection[str] | None = None
    ) -> list[JournalEntry]: ...

    async def entries_before(
        self,
        seq: int | None,
        limit: int,
        *,
        kinds: Collection[str] | None = None,
        subject: str | None = None,
    ) -> list[JournalEntry]: ...

    async def wait_beyond(self, seq: int) -> int: ...

    async def pictures_for(self, seqs: Sequence[int]) -> dict[int, list[PictureRow]]: ...

    async def outbox_depth(self) -> dict[Stream, int]: ...


class Directory(Protocol):
    """Who is who, by the whitelist that decides now. The last three raise WhitelistReadError."""

    @property
    def revision(self) -> int: ...

    @property
    def credential_count(self) -> int: ...

    def people(self, ids: Collection[PersonId]) -> dict[PersonId, Person]: ...

    def levels(self) -> Mapping[LevelId, AccessLevel]: ...

    def schedules(self) -> Mapping[ScheduleId, Schedule]: ...


class AreaDesk(Protocol):
    """Who is where (`gatewayd.memory`)."""

    @property
    def areas(self) -> Mapping[AreaId, Area]: ...

    def count(self, area_id: AreaId) -> int:
        """How many are in the area, the neutral ones left out."""

    def inside(self, area_id: AreaId) -> Sequence[tuple[PersonId, Seen]]:
        """Who is in the area; in no order."""

    def neutral(self, area_id: AreaId) -> Sequence[tuple[PersonId, Seen]]:
        """Who was there last and was forgiven since; in no order."""

    def knows(self, person_id: PersonId) -> bool: ...

    async def forgive(
        self, person_id: PersonId | None, area_id: AreaId | None, cause: Cause, stamp: Stamp
    ) -> int:
        """The journal's seq; raises JournalError, and nothing has changed then."""


class PictureFolder(Protocol):
    def open_picture(self, name: str) -> Path:
        """The file of a picture that an event named; OSError for any other name."""


class LinkStatus(Protocol):
    """The line to the centre as `gatewayd.link` tells it; `state` is one of its LinkState."""

    @property
    def state(self) -> str: ...

    @property
    def since_wall_ms(self) -> int: ...

    @property
    def protocol(self) -> int | None: ...

    @property
    def detail(self) -> str: ...


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """A reader, controller or camera as its task knows it. `kind` is a DriverKind value."""

    id: str
    kind: str
    driver: str
    online: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """What only the daemon knows. `started_wall_ms` is when this process began."""

    started_wall_ms: int
    devices: tuple[DeviceStatus, ...]


@dataclass(frozen=True, slots=True)
class ConsoleDeps:
    settings: Settings
    journal: ConsoleJournal
    whitelist: Directory
    doors: Doors
    alarms: AlarmDesk
    media: PictureFolder
    operators: OperatorStore
    clock: Clock
    system_status: Callable[[], SystemStatus]
    link_status: Callable[[], LinkStatus] | None = None  # None: the box runs alone
    fire: Fire | None = None  # None: no fire panel is wired
    areas: AreaDesk | None = None  # None: nobody keeps book of areas
    installs: Installs | None = None  # None: nobody gives devices their keys
    captures: Captures | None = None  # None: nobody writes down what buses say
