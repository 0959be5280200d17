"""THE PATH: a credential shown at a reader is decided, journaled, and only then the door opens.

    reader ─▶ decide ─▶ journal the decision ─▶ unlock ─▶ journal the outcome
                              │ durable, within the door's deadline, or its fail policy applies

Owns the order of these steps and nothing else: the rules are `domain.policy`, the door is
`gatewayd.doors`, the disk is `gatewayd.store`. Read `TapPath.handle` and you have seen the product.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import Any, Protocol, assert_never

from gatewayd.domain import policy
from gatewayd.domain.events import (
    AccessDenied,
    AccessGranted,
    AccessOutcome,
    Cause,
    CauseKind,
    Event,
    Outcome,
)
from gatewayd.domain.model import (
    NS_PER_S,
    AccessPoint,
    AccessPointId,
    AccessRequest,
    AlarmKind,
    Credential,
    Decision,
    Deny,
    Door,
    DoorId,
    FailPolicy,
    Grant,
    Reason,
    RuleResult,
    RuleTrace,
    Stamp,
    Tap,
)
from gatewayd.domain.ports import (
    Clock,
    Doors,
    Journal,
    JournalError,
    KeyPressed,
    Pictures,
    Presented,
    Whitelist,
    WhitelistReadError,
)
from gatewayd.domain.schedule import Moment

log = logging.getLogger(__name__)

MAX_WAITING_TAPS = 64  # at one access point; a reader that sends more is broken or attacked
# GB 50396 wants 2 s from card to actuator. Past this whoever tapped has gone, or tapped again, and
# a door that opened now would open for someone else.
MAX_WAIT_NS = 5 * NS_PER_S


class Signals(Protocol):
    """The alarm desk, as far as a tap's path needs it."""

    def signal(self, kind: AlarmKind, about: str, *, active: bool, detail: str = "") -> None: ...


class Keeps(Protocol):
    """The recorder, as far as a tap's path needs it."""

    def record(self, event: Event, stamp: Stamp | None = None) -> None: ...


@dataclass(frozen=True, slots=True)
class Site:
    """What the settings say of this box: its access points, doors and time zone."""

    access_points: Mapping[AccessPointId, AccessPoint]
    doors: Mapping[DoorId, Door]
    zone: tzinfo


class TapPath:
    """One instance for the box. Each access point has its own queue and task, so that a slow door
    keeps no other waiting."""

    def __init__(
        self,
        site: Site,
        whitelist: Whitelist,
        journal: Journal,
        recorder: Keeps,
        doors: Doors,
        pictures: Pictures,
        alarms: Signals,
        clock: Clock,
    ) -> None:
        self._site = site
        self._whitelist = whitelist
        self._journal = journal
        self._recorder = recorder
        self._doors = doors
        self._pictures = pictures
        self._alarms = alarms
        self._clock = clock
        self._queues = {point: asyncio.Queue[Tap](MAX_WAITING_TAPS) for point in site.access_points}
        self._writes = asyncio.TaskGroup()
        self._flooded: set[AccessPointId] = set()
        self._late: set[DoorId] = set()
        self._in_hand: set[asyncio.Task[None]] = set()
        self._ending = False

    # ----------------------------------------------------------------------------- the path

    async def handle(self, tap: Tap) -> None:
        """One tap from the reader to its journaled outcome. Raises nothing that a device, a disk
        or a list can cause."""
        point = self._site.access_points[tap.access_point_id]
        door = self._site.doors[point.door_id]
        decision, revision = self.decide(tap.credential, point, door, tap.stamp)
        match decision:
            case Deny():
                await self._deny(self._denied(decision, revision, tap, point), tap, point)
            case Grant():
                await self._grant(self._granted(decision, revision, tap, point), tap, point, door)
            case _ as never:
                assert_never(never)

    def decide(
        self, credential: Credential, point: AccessPoint, door: Door, stamp: Stamp
    ) -> tuple[Decision, int]:
        """The decision and the list's revision; a list that can't be read denies and says so."""
        try:
            snapshot = self._whitelist.snapshot(credential)
        except WhitelistReadError as error:
            log.error("the whitelist can't be read, denying: %s", error)
            trace = (RuleTrace("whitelist_readable", str(error), RuleResult.FAIL),)
            return Deny(Reason.WHITELIST_UNAVAILABLE, None, trace), self._whitelist.revision
        mode = self._doors.status(door.id).mode
        request = AccessRequest(credential, point, door, mode)
        decision = policy.decide(request, snapshot, Moment(stamp, self._site.zone))
        return self._in_time(decision, stamp), snapshot.revision

    def _in_time(self, decision: Decision, stamp: Stamp) -> Decision:
        """A grant whose turn came too late is a denial, e.g. after a queue behind a dead board."""
        waited_ns = self._clock.monotonic_ns() - stamp.monotonic_ns
        if isinstance(decision, Deny) or waited_ns <= MAX_WAIT_NS:
            return decision
        waited_s = str(waited_ns // NS_PER_S)
        saw = RuleTrace("tap_in_time", f"waited {waited_s} s", RuleResult.FAIL)
        trace, detail = (*decision.trace, saw), (("waited_s", waited_s),)
        return Deny(Reason.TAP_TOO_OLD, decision.person, trace, detail)

    async def _deny(self, event: AccessDenied, tap: Tap, point: AccessPoint) -> None:
        """Nothing opens, so nothing is at stake: what the disk refuses now is recorded later."""
        match await self._append(event, tap.stamp):
            case int(seq):
                self._pictures.request(seq, point.camera_ids, tap.stamp)
            case JournalError():
                self._recorder.record(event, tap.stamp)

    async def _grant(self, event: AccessGranted, tap: Tap, point: AccessPoint, door: Door) -> None:
        """Durable first, within the door's deadline; then the lock; then what came of it."""
        write = self._writes.create_task(self._append(event, tap.stamp), name=f"grant {point.id}")
        await asyncio.wait({write}, timeout=door.commit_deadline_ms / 1000)
        if write.done() and isinstance(seq := write.result(), int):
            self._pictures.request(seq, point.camera_ids, tap.stamp)
            outcome = await self._unlock(event, seq)
            self._record_outcome(event, seq, outcome)
            self._on_time_again(door)
            return
        opened = await self._apply_fail_policy(event, door)
        self._start(self._settle(write, event, tap, point, opened), f"late grant {point.id}")

    # ------------------------------------------------------- when the journal is late or fails

    async def _apply_fail_policy(self, event: AccessGranted, door: Door) -> Outcome:
        """What the door's settings say for a grant that is not on disk: an alarm in any case."""
        detail = f"a grant was not on disk within {door.commit_deadline_ms} ms"
        self._late.add(door.id)
        self._alarms.signal(AlarmKind.JOURNAL_LATE, door.id, active=True, detail=detail)
        match door.fail_policy:
            case FailPolicy.SECURE:
                return Outcome.REFUSED
            case FailPolicy.OPEN:
                return await self._unlock(event, seq=0)
            case _ as never:
                assert_never(never)

    def _on_time_again(self, door: Door) -> None:
        if door.id in self._late:
            self._late.discard(door.id)
            self._alarms.signal(AlarmKind.JOURNAL_LATE, door.id, active=False)

    async def _settle(
        self,
        write: asyncio.Task[int | JournalError],
        event: AccessGranted,
        tap: Tap,
        point: AccessPoint,
        outcome: Outcome,
    ) -> None:
        """The journal tells in the end what really happened: a late grant with its outcome, or,
        where the write failed, the grant that opened, or the denial that it became."""
        match await write:
            case int(seq):
                self._pictures.request(seq, point.camera_ids, tap.stamp)
                self._record_outcome(event, seq, outcome, "decided by the door's fail policy")
            case JournalError() as error if outcome is Outcome.UNLOCKED:
                log.error("a grant opened before it was recorded: %s", error)
                self._recorder.record(replace(event, recorded_late=True), tap.stamp)
            case JournalError() as error:
                log.error("a grant was refused, it could not be recorded: %s", error)
                self._recorder.record(self._refused(event), tap.stamp)

    # -------------------------------------------------------------------------------- steps

    async def _append(
        self, event: AccessGranted | AccessDenied, stamp: Stamp
    ) -> int | JournalError:
        """The durable seq, or the error as a value."""
        try:
            return await self._journal.append(event, stamp)
        except JournalError as error:
            return error

    async def _unlock(self, event: AccessGranted, seq: int) -> Outcome:
        cause = Cause(CauseKind.TAP, str(seq))
        return await self._doors.unlock(event.door_id, cause, event.unlock_s)

    def _record_outcome(
        self, event: AccessGranted, seq: int, outcome: Outcome, detail: str = ""
    ) -> None:
        self._recorder.record(
            AccessOutcome(event.access_point_id, event.door_id, seq, outcome, detail)
        )

    def _granted(self, grant: Grant, revision: int, tap: Tap, point: AccessPoint) -> AccessGranted:
        return AccessGranted(
            access_point_id=point.id,
            door_id=point.door_id,
            direction=point.direction,
            credential=self._journal.credential_ref(tap.credential),
            person_id=grant.person.id,
            place=grant.person.place,
            level_id=grant.level_id,
            unlock_s=grant.unlock_s,
            whitelist_revision=revision,
            trace=grant.trace,
        )

    def _denied(self, deny: Deny, revision: int, tap: Tap, point: AccessPoint) -> AccessDenied:
        return AccessDenied(
            access_point_id=point.id,
            door_id=point.door_id,
            direction=point.direction,
            credential=self._journal.credential_ref(tap.credential),
            reason=deny.reason,
            whitelist_revision=revision,
            trace=deny.trace,
            person_id=None if deny.person is None else deny.person.id,
            place="" if deny.person is None else deny.person.place,
            detail=deny.detail,
        )

    def _refused(self, event: AccessGranted) -> AccessDenied:
        """The grant that its door's fail policy turned into a denial."""
        saw = RuleTrace("journal_durable", "not on disk in time", RuleResult.FAIL)
        return AccessDenied(
            access_point_id=event.access_point_id,
            door_id=event.door_id,
            direction=event.direction,
            credential=event.credential,
            reason=Reason.JOURNAL_UNAVAILABLE,
            whitelist_revision=event.whitelist_revision,
            trace=(*event.trace, saw),
            person_id=event.person_id,
            place=event.place,
        )

    # ------------------------------------------------------------------- queues and their tasks

    def present(self, access_point_id: AccessPointId, shown: Presented) -> None:
        """Take a presentation from a reader; returns at once. Past the cap it is not decided, and
        an alarm says so: whoever floods a reader gets no door."""
        if self._ending:
            return
        try:
            self._queues[access_point_id].put_nowait(
                Tap(access_point_id, shown.credential, shown.stamp)
            )
        except asyncio.QueueFull:
            if access_point_id in self._flooded:
                return
            self._flooded.add(access_point_id)
            detail = f"more than {MAX_WAITING_TAPS} taps waiting; further ones are not decided"
            self._alarms.signal(
                AlarmKind.READER_FLOODED, access_point_id, active=True, detail=detail
            )

    def key(self, access_point_id: AccessPointId, pressed: KeyPressed) -> None:
        """Take a key from a reader; returns at once. Where no PIN is asked for, keys mean nothing:
        the card beside them is decided as if nobody had typed."""

    async def run(self) -> None:
        """Handle taps, for ever; one task an access point."""
        async with self._writes:
            for point_id, queue in self._queues.items():
                self._writes.create_task(self._serve(point_id, queue), name=f"taps {point_id}")

    async def finish(self, within_s: float) -> None:
        """Before `run` is cancelled: no more taps, and those in hand come to their outcome, in so
        many seconds at most. What still waits for its turn is not decided any more."""
        self._ending = True
        try:
            async with asyncio.timeout(within_s):
                while self._in_hand:
                    await asyncio.wait(self._in_hand)
        except TimeoutError:
            log.error("%d taps have no outcome at the end", len(self._in_hand))

    def _start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """A task that the end waits for."""
        task = self._writes.create_task(work, name=name)
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)
        return task

    async def _serve(self, point_id: AccessPointId, queue: asyncio.Queue[Tap]) -> None:
        while True:
            tap = await queue.get()
            if self._ending:
                return
            await asyncio.wait({self._start(self.handle(tap), f"tap {point_id}")})
            if queue.empty() and point_id in self._flooded:
                self._flooded.discard(point_id)
                self._alarms.signal(AlarmKind.READER_FLOODED, point_id, active=False)
