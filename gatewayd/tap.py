"""THE PATH: a credential shown at a reader is decided, journaled, and only then the door opens.

    reader ─▶ decide ─▶ journal the decision ─▶ unlock ─▶ journal the outcome
                              │ durable, within the door's deadline, or its fail policy applies

Owns the order of these steps and nothing else: the rules are `domain.policy`, the door is
`gatewayd.doors`, the disk is `gatewayd.store`. Read `TapPath.handle` and you have seen the product.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Protocol, assert_never

from gatewayd.domain.company import Pass
from gatewayd.domain.events import (
    AccessDenied,
    AccessGranted,
    AccessOutcome,
    Cause,
    CauseKind,
    Outcome,
)
from gatewayd.domain.model import (
    AccessPoint,
    AccessPointId,
    AlarmKind,
    Deny,
    Door,
    DoorId,
    FailPolicy,
    Grant,
    Passage,
    Person,
    Reason,
    RuleResult,
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
)
from gatewayd.domain.signs import Indication
from gatewayd.keypads import Keypads
from gatewayd.memory import Keeps, Signals, SiteMemory
from gatewayd.rulings import Ruling, Rulings, denied_event, granted_event, refused_event

log = logging.getLogger(__name__)

MAX_WAITING_TAPS = 64  # at one access point; a reader that sends more is broken or attacked
MAX_UNWRITTEN = 64  # denials that wait for a hung disk at once, before the recorder takes them


class Shows(Protocol):
    """The readers' lights and buzzers, as far as the path needs them; all return at once."""

    def happened(self, point_id: AccessPointId, indication: Indication) -> None: ...

    def waits_for_pin(self, point_id: AccessPointId, waits: bool) -> None: ...


class _Dark:
    """Implements `Shows` where no reader shows anything."""

    def happened(self, point_id: AccessPointId, indication: Indication) -> None:
        """Nothing to show it with."""

    def waits_for_pin(self, point_id: AccessPointId, waits: bool) -> None:
        """Nothing to show it with."""


class TapPath:
    """One instance for the box. Each access point has its own queue and task, so that a slow door
    keeps no other waiting."""

    def __init__(
        self,
        rulings: Rulings,
        memory: SiteMemory,
        journal: Journal,
        recorder: Keeps,
        doors: Doors,
        pictures: Pictures,
        alarms: Signals,
        clock: Clock,
        on_admitted: Callable[[DoorId, int], None] = lambda _door, _seq: None,
        shows: Shows | None = None,
    ) -> None:
        """`on_admitted` is told the door and the seq of each grant that opened it, but for
        those under duress."""
        points = rulings.site.access_points
        self._rulings = rulings
        self._memory = memory
        self._journal = journal
        self._recorder = recorder
        self._doors = doors
        self._pictures = pictures
        self._alarms = alarms
        self._on_admitted = on_admitted
        self._shows = shows = shows or _Dark()
        self._keypads = Keypads(
            points, clock, rulings.needs, self._put, memory.code, shows.waits_for_pin
        )
        self._queues = {point: asyncio.Queue[Tap](MAX_WAITING_TAPS) for point in points}
        self._writes = asyncio.TaskGroup()
        self._flooded: set[AccessPointId] = set()
        # Each door's first grant that is on time clears what a restart may have left up.
        self._late = set(rulings.site.doors)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._unwritten: set[asyncio.Task[None]] = set()  # denials, a part of those in hand
        self._ending = False

    # ----------------------------------------------------------------------------- the path

    async def handle(self, tap: Tap) -> None:
        """One tap from the reader to its journaled outcome. Raises nothing that a device, a disk
        or a list can cause."""
        ruling = self._rulings.rule(tap)
        credential = self._journal.credential_ref(tap.credential)
        match ruling.decision:
            case Deny() as deny:
                self._show_denial(deny, tap)
                self._after_denial(deny, ruling, tap, credential.digest)
                await self._deny(denied_event(deny, ruling, credential), ruling, tap)
            case Grant() as grant:
                event = granted_event(grant, ruling, credential)
                self._after_grant(grant, event, ruling)
                await self._grant(event, ruling, tap)
            case _ as never:
                assert_never(never)

    # -------------------------------------------------------------------- what the reader shows

    def _show_denial(self, deny: Deny, tap: Tap) -> None:
        second = deny.reason is Reason.SECOND_PERSON_REQUIRED
        shown = Indication.WAIT_FOR_SECOND if second else Indication.DENIED
        self._shows.happened(tap.access_point_id, shown)

    def _show_outcome(self, tap: Tap, outcome: Outcome) -> None:
        """Green once the lock is open and not before. A grant under duress shows as any other."""
        opened = outcome is Outcome.UNLOCKED
        shown = Indication.GRANTED if opened else Indication.DENIED
        self._shows.happened(tap.access_point_id, shown)

    # --------------------------------------------------- what a decision changes and whom it calls

    def _after_denial(self, deny: Deny, ruling: Ruling, tap: Tap, digest: str) -> None:
        point = ruling.request.access_point
        if deny.reason is Reason.SECOND_PERSON_REQUIRED and deny.person is not None:
            shown = None if ruling.uses is None else Pass(digest, ruling.uses)
            self._memory.waits(point, deny.person, tap.stamp, shown)
        if deny.reason is Reason.ON_WATCH_LIST:
            self._happened(AlarmKind.WATCH_LIST, point, deny.person)
        if ruling.duress:
            self._happened(AlarmKind.DURESS, point, deny.person)

    def _after_grant(self, grant: Grant, event: AccessGranted, ruling: Ruling) -> None:
        point = ruling.request.access_point
        for digest in filter(None, _used(event, ruling)):
            self._memory.take_use(digest)
        self._memory.comes(point, *ruling.expected)
        if grant.duress:
            self._happened(AlarmKind.DURESS, point, grant.person)
        if any(t.rule == "anti_passback" and t.result is RuleResult.WARN for t in grant.trace):
            self._happened(AlarmKind.ANTI_PASSBACK, point, grant.person)

    def _happened(self, kind: AlarmKind, point: AccessPoint, person: Person | None) -> None:
        """An alarm about a moment: over at once, and it stays until someone has seen it."""
        who = "" if person is None else f"{person.id} {person.place}".strip()
        self._alarms.signal(kind, point.id, active=True, detail=who)
        self._alarms.signal(kind, point.id, active=False)

    # ------------------------------------------------------------------- journal, lock, outcome

    async def _deny(self, event: AccessDenied, ruling: Ruling, tap: Tap) -> None:
        """Nothing opens, so nothing is at stake, and whoever comes next waits no longer for it than
        for a grant; not at all where earlier denials wait for the disk already. Past a number of
        them the recorder has it, which keeps as many as it may."""
        if len(self._unwritten) >= MAX_UNWRITTEN:
            self._recorder.record(event, tap.stamp)
            return
        deadline_s = 0 if self._unwritten else ruling.request.door.commit_deadline_ms / 1000
        task = self._start(self._write_denial(event, ruling, tap), f"denial {tap.access_point_id}")
        self._unwritten.add(task)
        task.add_done_callback(self._unwritten.discard)
        await asyncio.wait({task}, timeout=deadline_s)

    async def _write_denial(self, event: AccessDenied, ruling: Ruling, tap: Tap) -> None:
        """What the disk refuses now is recorded later."""
        match await self._append(event, tap.stamp):
            case int(seq):
                cameras = ruling.request.access_point.camera_ids
                self._pictures.request(seq, cameras, tap.stamp)
            case JournalError():
                self._recorder.record(event, tap.stamp)

    async def _grant(self, event: AccessGranted, ruling: Ruling, tap: Tap) -> None:
        """Durable first, within the door's deadline; then the lock; then what came of it."""
        point, door = ruling.request.access_point, ruling.request.door
        write = self._writes.create_task(self._append(event, tap.stamp), name=f"grant {point.id}")
        await asyncio.wait({write}, timeout=door.commit_deadline_ms / 1000)
        if write.done() and isinstance(seq := write.result(), int):
            self._pictures.request(seq, point.camera_ids, tap.stamp)
            outcome = await self._unlock(event, ruling, seq)
            self._show_outcome(tap, outcome)
            self._record_outcome(event, ruling, seq, outcome)
            self._on_time_again(door)
            return
        opened = await self._apply_fail_policy(event, ruling)
        self._show_outcome(tap, opened)
        self._start(self._settle(write, event, ruling, tap, opened), f"late grant {point.id}")

    # ------------------------------------------------------- when the journal is late or fails

    async def _apply_fail_policy(self, event: AccessGranted, ruling: Ruling) -> Outcome:
        """What the door's settings say for a grant that is not on disk: an alarm in any case."""
        door = ruling.request.door
        detail = f"a grant was not on disk within {door.commit_deadline_ms} ms"
        self._late.add(door.id)
        self._alarms.signal(AlarmKind.JOURNAL_LATE, door.id, active=True, detail=detail)
        match door.fail_policy:
            case FailPolicy.SECURE:
                return Outcome.REFUSED
            case FailPolicy.OPEN:
                return await self._unlock(event, ruling, seq=0)
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
        ruling: Ruling,
        tap: Tap,
        outcome: Outcome,
    ) -> None:
        """The journal tells in the end what really happened: a late grant with its outcome, or,
        where the write failed, the grant that opened, or the denial that it became."""
        match await write:
            case int(seq):
                self._pictures.request(seq, ruling.request.access_point.camera_ids, tap.stamp)
                detail = "decided by the door's fail policy"
                self._record_outcome(event, ruling, seq, outcome, detail)
            case JournalError() as error if outcome is Outcome.UNLOCKED:
                log.error("a grant opened before it was recorded: %s", error)
                used, companions = _used(event, ruling)
                late = replace(event, recorded_late=True, used=used, companion_used=companions)
                self._recorder.record(late, tap.stamp)
            case JournalError() as error:
                log.error("a grant was refused, it could not be recorded: %s", error)
                self._give_back(event, ruling)
                self._recorder.record(refused_event(event), tap.stamp)

    # -------------------------------------------------------------------------------- steps

    async def _append(
        self, event: AccessGranted | AccessDenied, stamp: Stamp
    ) -> int | JournalError:
        """The durable seq, or the error as a value."""
        try:
            return await self._journal.append(event, stamp)
        except JournalError as error:
            return error

    async def _unlock(self, event: AccessGranted, ruling: Ruling, seq: int) -> Outcome:
        """Unlock; whoever was let in so may lead others in, and begins the door's own hours,
        unless under duress."""
        passage = Passage(
            event.person_id, event.access_point_id, seq, event.direction, ruling.first_of_two
        )
        outcome = await self._doors.unlock(
            event.door_id,
            Cause(CauseKind.TAP, str(seq)),
            event.unlock_s,
            passage=passage,
            extra_held_s=max(0.0, event.unlock_s - ruling.request.door.unlock_s),
        )
        if outcome is Outcome.UNLOCKED and ruling.snapshot.person is not None:
            point, stamp = ruling.request.access_point, ruling.now.stamp
            self._memory.admitted(point, ruling.snapshot.person, stamp)
            if not event.duress:  # else a robber would open the door for everyone
                self._on_admitted(event.door_id, seq)
        return outcome

    def _record_outcome(
        self, event: AccessGranted, ruling: Ruling, seq: int, outcome: Outcome, detail: str = ""
    ) -> None:
        opened = outcome is Outcome.UNLOCKED
        if not opened:
            self._give_back(event, ruling)
        used = _used(event, ruling) if opened else ("", "")
        self._recorder.record(
            AccessOutcome(event.access_point_id, event.door_id, seq, outcome, detail, *used)
        )

    def _give_back(self, event: AccessGranted, ruling: Ruling) -> None:
        """The uses and the places that were counted for a door that did not open."""
        self._memory.comes_not(ruling.request.access_point, *ruling.expected)
        for digest in filter(None, _used(event, ruling)):
            self._memory.give_back_use(digest)

    # ------------------------------------------------------------------- queues and their tasks

    def present(self, access_point_id: AccessPointId, shown: Presented) -> None:
        """Take a presentation from a reader; returns at once. Where no PIN is ever asked for, it
        waits for none."""
        if not self._keypads.card(access_point_id, shown):
            self._put(Tap(access_point_id, shown.credential, shown.stamp))

    def key(self, access_point_id: AccessPointId, pressed: KeyPressed) -> None:
        """Take a key from a reader with a keypad; returns at once."""
        self._keypads.key(access_point_id, pressed)

    def _put(self, tap: Tap) -> None:
        """Into its queue. Past the cap a tap is not decided, and an alarm says so: whoever floods a
        reader gets no door."""
        if self._ending:
            return
        try:
            self._queues[tap.access_point_id].put_nowait(tap)
        except asyncio.QueueFull:
            if tap.access_point_id in self._flooded:
                return
            self._flooded.add(tap.access_point_id)
            detail = f"more than {MAX_WAITING_TAPS} taps waiting; further ones are not decided"
            about = tap.access_point_id
            self._alarms.signal(AlarmKind.READER_FLOODED, about, active=True, detail=detail)

    async def run(self) -> None:
        """Handle taps, for ever; one task an access point."""
        async with self._writes:
            self._writes.create_task(self._keypads.run(), name="keypads")
            for point_id in self._queues:  # a flood from before a restart is over
                self._alarms.signal(AlarmKind.READER_FLOODED, point_id, active=False)
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


def _used(event: AccessGranted, ruling: Ruling) -> tuple[str, str]:
    """The digests of which a use counts once the door opens: of the credential shown, and of that
    of the first of two; empty where none does."""
    return event.credential.digest if ruling.counted else "", ruling.companion_used
