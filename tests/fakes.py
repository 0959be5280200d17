"""Fakes that implement the ports: a journal in memory that can be slow or refuse, a relay board
that can be silent, a list of one card. Real SQLite and real boards have tests of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from gatewayd.domain.events import (
    Cause,
    CauseKind,
    CredentialRef,
    DesiredApplied,
    Event,
    Outcome,
)
from gatewayd.domain.model import (
    AccessLevel,
    AccessPointId,
    AlarmKind,
    CameraId,
    Credential,
    DoorId,
    DoorMode,
    HolidayCalendar,
    LevelId,
    Passage,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
    Stamp,
)
from gatewayd.domain.ports import (
    Clock,
    ControllerEvent,
    DeviceError,
    DoorStatus,
    Journal,
    JournalError,
    ReaderEvent,
    WhitelistReadError,
)
from gatewayd.domain.signs import Indication, Sign


class MemoryJournal:
    """Implements ports.Journal. `refuse` fails appends, `refuse_kind` those of one kind; `hold()`
    makes them wait."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.entries: list[tuple[int, Event, Stamp]] = []
        self.refuse: str | None = None
        self.refuse_kind: type[Event] | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._grown = asyncio.Condition()

    @property
    def events(self) -> list[Event]:
        return [event for _, event, _ in self.entries]

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def append(self, event: Event, stamp: Stamp | None = None) -> int:
        await self._open.wait()
        if self.refuse is not None:
            raise JournalError(self.refuse)
        if self.refuse_kind is not None and isinstance(event, self.refuse_kind):
            raise JournalError(f"no {event.KIND}")
        self.entries.append((len(self.entries) + 1, event, stamp or self.clock.now()))
        async with self._grown:
            self._grown.notify_all()
        return len(self.entries)

    async def until(self, kind: type[Event], count: int = 1) -> list[Event]:
        """Wait until so many events of a type are kept; they are returned."""
        async with asyncio.timeout(5), self._grown:
            await self._grown.wait_for(lambda: len(self.of(kind)) >= count)
        return self.of(kind)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def credential_ref(self, credential: Credential) -> CredentialRef:
        return CredentialRef(
            credential.kind, credential.bit_count, credential.format, credential.masked, "0" * 32
        )


class OneCardList:
    """Implements ports.Whitelist with one fixed answer."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.answer: Snapshot | None = snapshot

    @property
    def revision(self) -> int:
        return 0 if self.answer is None else self.answer.revision

    def snapshot(self, credential: Credential) -> Snapshot:
        known = self._known()
        if known.record is None or known.record.credential != credential:
            return Snapshot(known.revision, None)
        return known

    def person(self, person_id: PersonId) -> Person | None:
        known = self.answer.person if self.answer else None
        return known if known is not None and known.id == person_id else None

    def levels(self) -> Mapping[LevelId, AccessLevel]:
        return {level.id: level for level in self._known().levels}

    def schedules(self) -> Mapping[ScheduleId, Schedule]:
        return self._known().schedules

    def calendars(self) -> Mapping[str, HolidayCalendar]:
        return self._known().calendars

    def _known(self) -> Snapshot:
        if self.answer is None:
            raise WhitelistReadError("whitelist-7.db: disk I/O error")
        return self.answer


class FakeBoard:
    """Implements ports.DoorController: remembers relays and hints; `broken` makes it fail."""

    def __init__(self) -> None:
        self.relays: dict[int, bool] = {}
        self.orders: list[tuple[int, bool]] = []
        self.for_s: dict[int, float | None] = {}  # as last hinted
        self.shut: dict[int, bool] = {}
        self.expecting = 0
        self.broken: str | None = None
        self._changed = asyncio.Condition()

    async def run(self, emit: Callable[[ControllerEvent], None]) -> None:
        await asyncio.Event().wait()

    def expect_order(self) -> None:
        self.expecting += 1

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        if self.broken is not None:
            raise DeviceError(self.broken)
        self.relays[relay] = energised
        self.orders.append((relay, energised))
        self.for_s[relay] = for_s
        self.shut[relay] = shut
        async with self._changed:
            self._changed.notify_all()

    async def until(self, relay: int, energised: bool) -> None:
        """Wait until the relay is so."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: self.relays.get(relay) is energised)


class FakeDoors:
    """Implements ports.Doors for one door; remembers unlocks with their causes. Until `release`,
    after `hold`, the board gives no answer. What the centre wants goes to `journal`, if any."""

    def __init__(self, door_id: DoorId, journal: Journal | None = None) -> None:
        self.door_id = door_id
        self.journal = journal
        self.mode = DoorMode.LOCKED
        self.unlocks: list[tuple[Cause, float | None]] = []
        self.passages: list[tuple[Passage, float]] = []
        self.outcome = Outcome.UNLOCKED
        self._answers = asyncio.Event()
        self._answers.set()

    def hold(self) -> None:
        self._answers.clear()

    def release(self) -> None:
        self._answers.set()

    def status(self, door_id: DoorId) -> DoorStatus:
        if door_id != self.door_id:
            raise KeyError(door_id)
        return DoorStatus(door_id, "secure", self.mode, False, False, True, False)

    def all_status(self) -> Sequence[DoorStatus]:
        return [self.status(self.door_id)]

    async def unlock(
        self,
        door_id: DoorId,
        cause: Cause,
        unlock_s: float | None = None,
        *,
        passage: Passage | None = None,
        extra_held_s: float = 0.0,
    ) -> Outcome:
        self.status(door_id)
        self.unlocks.append((cause, unlock_s))
        if passage is not None:
            self.passages.append((passage, extra_held_s))
        await self._answers.wait()
        return self.outcome

    async def set_mode(
        self, door_id: DoorId, mode: DoorMode, cause: Cause, *, until_ms: int | None = None
    ) -> Outcome:
        self.status(door_id)
        self.mode = mode
        return self.outcome

    async def withdraw(self, door_id: DoorId, cause: Cause) -> Outcome:
        return await self.set_mode(door_id, DoorMode.LOCKED, cause)

    async def lift(self, door_id: DoorId, cause: Cause) -> Outcome:
        if self.status(door_id).mode is not DoorMode.LOCKED_DOWN:
            return self.outcome
        return await self.set_mode(door_id, DoorMode.LOCKED, cause)

    async def want(self, wanted: DesiredApplied) -> None:
        if self.journal is not None:
            await self.journal.append(wanted)
        for door_id, mode in wanted.doors:
            await self.set_mode(door_id, mode, Cause(CauseKind.CENTRE))


class NotedPictures:
    """Implements ports.Pictures by noting what was asked for."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, tuple[CameraId, ...], Stamp]] = []

    def request(self, for_seq: int, camera_ids: Sequence[CameraId], at: Stamp) -> None:
        self.requests.append((for_seq, tuple(camera_ids), at))


class NotedSignals:
    """The alarm desk's `signal`, noted."""

    def __init__(self) -> None:
        self.signals: list[tuple[AlarmKind, str, bool]] = []

    def signal(self, kind: AlarmKind, about: str, *, active: bool, detail: str = "") -> None:
        assert detail or not active
        self.signals.append((kind, about, active))

    def raised(self, kind: AlarmKind) -> bool:
        return any(k is kind and active for k, _, active in self.signals)


@asynccontextmanager
async def running(*coroutines: object) -> AsyncIterator[None]:
    """Run these for as long as the block lasts; a failure of one fails the test."""
    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = [
            group.create_task(coroutine, name=f"under test {n}")  # type: ignore[arg-type]  # coroutines
            for n, coroutine in enumerate(coroutines)
        ]
        await asyncio.sleep(0)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


class FakeSignedReader:
    """Implements `ports.SignedReader`: notes what it was told to show."""

    def __init__(self) -> None:
        self.resting: list[Sign] = []
        self.flashes: list[tuple[Sign, float]] = []

    async def run(self, emit: Callable[[ReaderEvent], None]) -> None:
        """It sees nothing."""

    def rest(self, sign: Sign) -> None:
        self.resting.append(sign)

    def flash(self, sign: Sign, for_s: float) -> None:
        self.flashes.append((sign, for_s))


class NotedSigns:
    """Stands for the desk of the readers' signs, as the tap's path and linkages use it."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def happened(self, point_id: AccessPointId, indication: Indication) -> None:
        self.told.append(indication)

    def waits_for_pin(self, point_id: AccessPointId, waits: bool) -> None:
        self.told.append(waits)

    def show(self, point_id: AccessPointId, sign: Sign, for_s: float) -> None:
        self.told.append((point_id, sign, for_s))
