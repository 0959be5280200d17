"""Linkages carried out: follows the journal and does what the settings say of an event.

Owns the order: match → journal what will be done → do it → journal what came of it. What may
happen when is `gatewayd.domain.linkage`. Nothing that happened before this process began, and
nothing that waited too long, sets anything off: a siren for yesterday's alarm helps nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Protocol, assert_never

from gatewayd.domain.events import (
    ActionResult,
    Cause,
    CauseKind,
    Event,
    LinkageDone,
    LinkageFired,
    LinkageSkipped,
    LinkedAction,
    LinkedResult,
    Outcome,
    SystemStarted,
)
from gatewayd.domain.linkage import (
    Action,
    Hours,
    Linkage,
    OrderMode,
    ShowSign,
    SwitchRelay,
    TakePicture,
    TellGuard,
    UnlockDoor,
    fired,
)
from gatewayd.domain.model import (
    NS_PER_S,
    AccessPointId,
    AlarmKind,
    DeviceId,
    DoorId,
    DoorMode,
    HolidayCalendar,
    Schedule,
    ScheduleId,
    Stamp,
)
from gatewayd.domain.ports import (
    AlarmDesk,
    Clock,
    DeviceError,
    DoorStatus,
    JournalEntry,
    JournalError,
    Pictures,
    WhitelistReadError,
)
from gatewayd.domain.schedule import Moment
from gatewayd.domain.signs import Sign
from gatewayd.outputs import Output

log = logging.getLogger(__name__)

BATCH = 200
RETRY_NS = NS_PER_S
MAX_AGE_NS = 10 * NS_PER_S  # an event that is older than this no longer sets anything off
TOO_OLD = f"the event is more than {MAX_AGE_NS // NS_PER_S} s old"
MAX_A_MINUTE = 60  # firings of one linkage; past it they are counted: an input may chatter
MINUTE_NS = 60 * NS_PER_S
MAX_RUNNING = 16  # firings under way; the next event waits until one of them has come to its end
REFUSED_AS_OLD = (ActionResult.REFUSED, TOO_OLD)
ACTION_TIMEOUT_S = 10.0  # the door's own time-out is 2 s; this one only ends a wait without end


class LinkedJournal(Protocol):
    """The journal, as far as linkages need it."""

    @property
    def last_seq(self) -> int: ...

    async def append(self, event: Event, stamp: Stamp | None = None) -> int: ...

    async def wait_beyond(self, seq: int) -> int: ...

    async def entries_after(
        self, seq: int, limit: int, *, kinds: Collection[str] | None = None
    ) -> list[JournalEntry]: ...


class LinkedDoors(Protocol):
    """The doors, as far as linkages need them."""

    def all_status(self) -> Sequence[DoorStatus]: ...

    async def unlock(
        self, door_id: DoorId, cause: Cause, unlock_s: float | None = None
    ) -> Outcome: ...

    async def set_mode(
        self, door_id: DoorId, mode: DoorMode, cause: Cause, *, until_ms: int | None = None
    ) -> Outcome: ...


class ListedHours(Protocol):
    """The whitelist, as far as linkages need it. Both raise WhitelistReadError."""

    def schedules(self) -> Mapping[ScheduleId, Schedule]: ...

    def calendars(self) -> Mapping[str, HolidayCalendar]: ...


class Shows(Protocol):
    """The readers' signs, as far as linkages need them."""

    def show(self, point_id: AccessPointId, sign: Sign, for_s: float) -> None: ...


class Keeps(Protocol):
    """The recorder, as far as linkages need it."""

    def record(self, event: Event, stamp: Stamp | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What linkages act on and look at. `names` are what the guard calls doors and devices."""

    journal: LinkedJournal
    recorder: Keeps
    clock: Clock
    zone: tzinfo
    whitelist: ListedHours
    doors: LinkedDoors
    outputs: Mapping[tuple[DeviceId, int], Output]
    alarms: AlarmDesk
    pictures: Pictures
    signs: Shows
    names: Mapping[str, str]


@dataclass(slots=True)
class _Tally:
    """How often a linkage fired of late, and did not although it would have."""

    fired_ns: deque[int] = field(default_factory=lambda: deque(maxlen=MAX_A_MINUTE))
    skipped: int = 0
    told_ns: int | None = None


class Linkages:
    """`run` follows the journal, for ever. Made before the process journals its start."""

    def __init__(self, linkages: Sequence[Linkage], around: Surroundings) -> None:
        self._linkages = linkages
        self._around = around
        self._kinds = {linkage.when for linkage in linkages} | {SystemStarted.KIND}
        self._cursor = around.journal.last_seq
        self._begun = False  # nothing fires before our own start stands in the journal
        self._tallies = {linkage.id: _Tally() for linkage in linkages}
        self._room = asyncio.Semaphore(MAX_RUNNING)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                for entry in await self._news():
                    self._begun = self._begun or isinstance(entry.event, SystemStarted)
                    if self._begun:
                        await self._take(entry, group)

    async def _news(self) -> list[JournalEntry]:
        """The next entries that any linkage could ask for; none where the journal can't be read."""
        around = self._around
        try:
            upto = await around.journal.wait_beyond(self._cursor)
            entries = await around.journal.entries_after(self._cursor, BATCH, kinds=self._kinds)
        except JournalError as error:
            log.error("linkages wait: the journal can't be read: %s", error)
            await around.clock.sleep_until(around.clock.monotonic_ns() + RETRY_NS)
            return []
        last = entries[-1].seq if entries else 0
        self._cursor = last if len(entries) == BATCH else max(upto, last)
        return entries

    async def _take(self, entry: JournalEntry, group: asyncio.TaskGroup) -> None:
        for linkage in self._fired(entry):
            await self._room.acquire()
            why_not = self._why_not(linkage, entry)
            if why_not is None:
                group.create_task(self._carry_out(linkage, entry), name=f"linkage {linkage.id}")
            else:
                self._room.release()
                self._skip(linkage, entry, why_not)

    def _fired(self, entry: JournalEntry) -> list[Linkage]:
        around = self._around
        modes = {status.door_id: status.mode for status in around.doors.all_status()}
        try:
            hours = Hours(around.whitelist.schedules(), around.whitelist.calendars())
        except WhitelistReadError:
            hours = Hours()  # what asks for an hour does not fire; taps and their alarm say why
        now = Moment(around.clock.now(), around.zone)
        return fired(self._linkages, entry.event, modes, hours, now)

    # ------------------------------------------------------------------------------- bounds

    def _why_not(self, linkage: Linkage, entry: JournalEntry) -> str | None:
        now = self._around.clock.now()
        if self._is_old(entry):
            return TOO_OLD
        times = self._tallies[linkage.id].fired_ns
        if len(times) == MAX_A_MINUTE and now.monotonic_ns - times[0] < MINUTE_NS:
            return f"it has fired {MAX_A_MINUTE} times within a minute"
        times.append(now.monotonic_ns)
        return None

    def _is_old(self, entry: JournalEntry) -> bool:
        now = self._around.clock.now()
        same_boot = entry.stamp.boot_id == now.boot_id
        return not same_boot or now.monotonic_ns - entry.stamp.monotonic_ns > MAX_AGE_NS

    def _skip(self, linkage: Linkage, entry: JournalEntry, why: str) -> None:
        """Count; the first of a minute is journaled at once with what was counted before it."""
        tally, now_ns = self._tallies[linkage.id], self._around.clock.monotonic_ns()
        tally.skipped += 1
        if tally.told_ns is not None and now_ns - tally.told_ns < MINUTE_NS:
            return
        self._around.recorder.record(LinkageSkipped(linkage.id, entry.seq, tally.skipped, why))
        tally.skipped, tally.told_ns = 0, now_ns

    # -------------------------------------------------------------------------- carrying out

    async def _carry_out(self, linkage: Linkage, entry: JournalEntry) -> None:
        """Durable first, as a grant; then one action after the other, whatever the one before came
        to; then what came of each. The disk may have taken its time: then nothing is done."""
        try:
            planned = tuple(LinkedAction(*_named(action)) for action in linkage.then)
            event = LinkageFired(linkage.id, entry.seq, planned)
            seq = await self._around.journal.append(event)
            if self._is_old(entry):
                results = [LinkedResult(*_named(a), *REFUSED_AS_OLD) for a in linkage.then]
            else:
                results = [await self._act(linkage, action, entry) for action in linkage.then]
            self._around.recorder.record(LinkageDone(linkage.id, seq, tuple(results)))
        except JournalError as error:
            log.error("linkage %s does nothing, it can't be journaled: %s", linkage.id, error)
        finally:
            self._room.release()

    async def _act(self, linkage: Linkage, action: Action, entry: JournalEntry) -> LinkedResult:
        """One action, and what came of it. A mode that can't be journaled failed like a device."""
        do, target = _named(action)
        try:
            async with asyncio.timeout(ACTION_TIMEOUT_S):
                result, detail = await self._do(linkage, action, entry)
        except TimeoutError:
            result, detail = ActionResult.FAILED, f"no answer within {ACTION_TIMEOUT_S:g} s"
        except (DeviceError, JournalError) as error:
            result, detail = ActionResult.FAILED, str(error)
        return LinkedResult(do, target, result, detail)

    async def _do(
        self, linkage: Linkage, action: Action, entry: JournalEntry
    ) -> tuple[ActionResult, str]:
        around, done = self._around, (ActionResult.DONE, "")
        cause = Cause(CauseKind.LINKAGE, linkage.id)
        match action:
            case SwitchRelay():
                await around.outputs[action.controller_id, action.relay].switch(action.for_s)
                return done
            case TellGuard():
                await self._tell_guard(linkage, action, entry)
                return done
            case TakePicture():
                around.pictures.request(entry.seq, (action.camera_id,), entry.stamp)
                return done
            case ShowSign():
                around.signs.show(action.access_point_id, action.sign, action.for_s)
                return done
            case OrderMode():
                until_ms = self._until_ms(action.for_s)
                mode, door_id = action.mode, action.door_id
                return _result(await around.doors.set_mode(door_id, mode, cause, until_ms=until_ms))
            case UnlockDoor() if self._is_old(entry):  # the actions before it took their time
                return REFUSED_AS_OLD
            case UnlockDoor():
                return _result(await around.doors.unlock(action.door_id, cause, action.unlock_s))
            case _ as never:
                assert_never(never)

    async def _tell_guard(self, linkage: Linkage, action: TellGuard, entry: JournalEntry) -> None:
        """A notice has no end of its own: it is over at once and waits for a guard."""
        subject = entry.event.subject
        text = action.text.replace("{about}", self._around.names.get(subject, subject))
        await self._around.alarms.raise_alarm(AlarmKind.NOTICE, linkage.id, text)
        await self._around.alarms.clear(AlarmKind.NOTICE, linkage.id)

    def _until_ms(self, for_s: float | None) -> int | None:
        return None if for_s is None else self._around.clock.now().wall_ms + round(for_s * 1000)


def _result(outcome: Outcome) -> tuple[ActionResult, str]:
    match outcome:
        case Outcome.UNLOCKED:
            return ActionResult.DONE, ""
        case Outcome.FAILED:
            return ActionResult.FAILED, "the controller did not confirm"
        case Outcome.REFUSED:
            return ActionResult.REFUSED, "another order governs the door"
        case Outcome.INTERLOCKED:
            return ActionResult.REFUSED, "another door of its interlock stands in the way"
        case _ as never:
            assert_never(never)


def _named(action: Action) -> tuple[str, str]:
    """The action's word in the settings, and what it is done to."""
    match action:
        case SwitchRelay():
            return "relay", f"{action.controller_id} relay {action.relay}"
        case TellGuard():
            return "notice", "console"
        case TakePicture():
            return "picture", action.camera_id
        case ShowSign():
            return "reader", action.access_point_id
        case OrderMode():
            return "mode", f"{action.door_id} {action.mode.value}"
        case UnlockDoor():
            return "unlock", action.door_id
        case _ as never:
            assert_never(never)
