"""The journal's taps decided again, under another list or other settings. Owns the comparison.

The rules are `domain.policy`, as at the gate; the facts are those of then (`inquiry.past`). Whoever
would have been where after another decision is not played on: each tap is decided with the
areas, modes and interlocks as they really were. Only who waits at a door for two, or escorts, is
followed as decided anew, since that is a matter of seconds. Must not write.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain, repeat

from gatewayd.domain import policy
from gatewayd.domain.company import Pass
from gatewayd.domain.events import (
    AccessDenied,
    AccessGranted,
    AccessOutcome,
    PersonPassed,
    WhereaboutsForgiven,
)
from gatewayd.domain.model import (
    AccessPoint,
    AccessRequest,
    Credential,
    Decision,
    Deny,
    Grant,
    PersonId,
    Reason,
    Snapshot,
    Stamp,
    Verification,
)
from gatewayd.domain.ports import JournalEntry
from gatewayd.domain.schedule import Moment
from gatewayd.inquiry.past import DECISIONS, KINDS, Decided, Past, pin_is_known
from gatewayd.inquiry.sources import Place
from gatewayd.store.digest import digest_of
from gatewayd.store.journal_file import JournalFile
from gatewayd.store.whitelist_revision import OpenRevision, credential_of

MAX_LISTED = 50  # of each kind of change; the rest is counted
WARM_UP = 5_000  # rows before the range whose taps tell who waits at a door: ten minutes and more
AHEAD = 256  # rows looked ahead for what was journaled after the tap that knew of it
TELL_EVERY = 2_000
_SNAPSHOTS = 50_000  # credentials whose records are kept: those who tap often
# What denied for a reason of the box, not of the list: it is kept as it was.
_OF_THE_BOX = {Reason.TAP_TOO_OLD, Reason.JOURNAL_UNAVAILABLE}


class Change(StrEnum):
    SAME = "same"
    ADMITTED = "newly admitted"
    DENIED = "newly denied"
    REASON = "reason changed"


@dataclass(frozen=True, slots=True)
class Replayed:
    """One tap, as it was journaled and as it is decided now."""

    seq: int
    stamp: Stamp
    event: Decided
    after: Decision
    person_id: PersonId | None
    change: Change
    unexplained: bool  # it changed although list and settings are those of then
    pin_assumed: bool  # a PIN that nobody typed was taken as right

    @property
    def reason_before(self) -> Reason:
        return self.event.reason if isinstance(self.event, AccessDenied) else Reason.GRANTED


@dataclass(slots=True)
class Report:
    """What came of a range. `listed` are the first of each kind of change."""

    first: int
    last: int
    revision: int
    taps: int = 0
    counts: Counter[Change] = field(default_factory=Counter)
    listed: dict[Change, list[Replayed]] = field(default_factory=dict)
    unexplained: int = 0
    pins_assumed: int = 0
    elsewhere: int = 0  # at readers that the settings do not have
    revisions: Counter[int] = field(default_factory=Counter)

    @property
    def changed(self) -> bool:
        return self.counts[Change.SAME] != self.taps or self.elsewhere > 0

    def add(self, tap: Replayed) -> None:
        self.taps += 1
        self.counts[tap.change] += 1
        self.unexplained += tap.unexplained
        self.pins_assumed += tap.pin_assumed
        self.revisions[tap.event.whitelist_revision] += 1
        if tap.change is not Change.SAME:
            some = self.listed.setdefault(tap.change, [])
            if len(some) < MAX_LISTED:
                some.append(tap)


def index(listed: OpenRevision, secret: bytes, wanted: Set[str]) -> dict[str, Credential]:
    """The list's credentials by the digest that the journal knows them by; only those wanted."""
    found = {}
    for key in listed.keys():  # noqa: SIM118  # no mapping: the list's credentials
        digest = digest_of(secret, key)
        if digest in wanted:
            found[digest] = credential_of(key)
    return found


class Replay:
    """One range of a journal against one list and one site. `own_list`: it is the list in force,
    so that its revision names it."""

    def __init__(
        self,
        place: Place,
        listed: OpenRevision,
        credentials: Mapping[str, Credential],
        *,
        own_list: bool,
    ) -> None:
        self._place = place
        self._listed = listed
        self._credentials = credentials
        self._own_list = own_list
        self._past = Past(place.areas, place.interlocked)
        self._snapshot_of = lru_cache(_SNAPSHOTS)(self._look_up)

    def run(
        self,
        journal: JournalFile,
        first: int,
        last: int,
        tell: Callable[[int], None] = lambda _seq: None,
    ) -> Iterator[Replayed | None]:
        """Each tap from seq `first` to `last`; None for one at a reader that the settings don't
        have. `tell` is called with the seq now and then. Raises JournalError."""
        warm = max(1, first - WARM_UP)
        for entry in journal.events(KINDS, 1, warm - 1):
            self._past.follow(entry.event, entry.stamp)
        entries = journal.events((*KINDS, *DECISIONS), warm, last + AHEAD)
        for number, entry in enumerate(_in_effect(entries)):
            if number % TELL_EVERY == 0:
                tell(min(entry.seq, last))
            event = entry.event
            if not isinstance(event, (AccessGranted, AccessDenied)):
                self._past.follow(event, entry.stamp)
                continue
            if entry.seq > last:
                return
            if entry.seq >= first:
                yield self._again(entry.seq, entry.stamp, event)
            elif (point := self._place.access_points.get(event.access_point_id)) is not None:
                snapshot = self._snapshot_of(event.credential.digest)
                self._remember(entry.seq, entry.stamp, event, point, snapshot, _reason(event))
            self._past.decided(entry.seq, event)

    def _again(self, seq: int, stamp: Stamp, event: Decided) -> Replayed | None:
        point = self._place.access_points.get(event.access_point_id)
        if point is None:
            return None
        snapshot = self._snapshot_of(event.credential.digest)
        after = self._decide(seq, stamp, event, point, snapshot)
        change = _compared(event, after)
        known = (
            self._own_list
            and event.whitelist_revision == self._listed.revision
            and self._past.settings_sha256 == self._place.settings_sha256
        )
        return Replayed(
            seq,
            stamp,
            event,
            after,
            event.person_id if snapshot.person is None else snapshot.person.id,
            change,
            unexplained=known and change is not Change.SAME,
            pin_assumed=point.verification is not Verification.CARD
            and _used_a_pin(after)
            and not pin_is_known(event),
        )

    def _decide(
        self, seq: int, stamp: Stamp, event: Decided, point: AccessPoint, snapshot: Snapshot
    ) -> Decision:
        if _reason(event) is Reason.WHITELIST_UNAVAILABLE:
            return Deny(Reason.WHITELIST_UNAVAILABLE, None, event.trace)
        door = self._place.doors[point.door_id]
        ref = event.credential
        credential = (
            Credential(ref.kind, "", ref.bit_count)
            if snapshot.record is None
            else snapshot.record.credential
        )
        situation = self._past.situation(event, stamp, point, door, snapshot.person)
        mode = self._past.mode(event, door.id)
        request = AccessRequest(credential, point, door, mode, situation)
        decision = policy.decide(request, snapshot, Moment(stamp, self._place.zone))
        kept = _kept(event, decision)
        self._remember(seq, stamp, event, point, snapshot, kept.reason)
        return kept

    def _remember(
        self,
        seq: int,
        stamp: Stamp,
        event: Decided,
        point: AccessPoint,
        snapshot: Snapshot,
        reason: Reason,
    ) -> None:
        """As the tap's path does after a decision. A grant that was one then lets in once its
        outcome says that the door opened; nobody can tell that of a new one, which is taken to."""
        person = snapshot.person
        if person is None:
            return
        if reason is Reason.GRANTED:
            if isinstance(event, AccessGranted) and not event.recorded_late:
                self._past.granted(seq, point, person, stamp)
            else:
                self._past.admitted(point, person, stamp)
        elif reason is Reason.SECOND_PERSON_REQUIRED:
            uses = None if snapshot.record is None else snapshot.record.uses
            shown = None if uses is None else Pass(event.credential.digest, uses)
            self._past.waits(point, person, stamp, shown)

    def _look_up(self, digest: str) -> Snapshot:
        credential = self._credentials.get(digest)
        if credential is None:
            return Snapshot(self._listed.revision, None)
        return self._listed.snapshot(credential)


def _in_effect(entries: Iterable[JournalEntry]) -> Iterator[JournalEntry]:
    """The entries in the order in which the box knew of them: passages and outcomes are journaled
    in the background, so that a tap which came after them may stand before them."""
    ahead: deque[JournalEntry] = deque()
    moves: deque[JournalEntry] = deque()  # those of `ahead` that are passages, in their order
    for late in chain(entries, repeat(None, AHEAD)):
        if late is not None:
            if isinstance(late.event, _MOVES):
                moves.append(late)
            elif isinstance(late.event, AccessOutcome):
                ahead.insert(_place_of(late, late.event, ahead), late)
            else:
                ahead.append(late)
        if len(ahead) > AHEAD or (late is None and ahead):
            entry = ahead.popleft()
            if isinstance(entry.event, AccessOutcome):  # out of its turn: passages don't wait on it
                yield entry
                continue
            while moves and (moves[0].seq < entry.seq or _came_before(moves[0].stamp, entry.stamp)):
                yield moves.popleft()
            yield entry
    yield from moves


def _place_of(late: JournalEntry, outcome: AccessOutcome, ahead: deque[JournalEntry]) -> int:
    """Where the outcome took effect: after its grant, and before what was decided next at that
    reader, which takes no tap before the last has come to its outcome."""
    place = len(ahead)
    for index_ in range(len(ahead) - 1, -1, -1):
        entry = ahead[index_]
        if entry.seq <= outcome.decision_seq:
            break
        event = entry.event
        if isinstance(event, (AccessGranted, AccessDenied)) and (
            event.access_point_id == outcome.access_point_id
            or _came_before(late.stamp, entry.stamp)
        ):
            place = index_
    return place


_MOVES = (PersonPassed, WhereaboutsForgiven)


def _came_before(fact: Stamp, tap: Stamp) -> bool:
    return fact.boot_id == tap.boot_id and fact.monotonic_ns < tap.monotonic_ns


def _reason(event: Decided) -> Reason:
    return event.reason if isinstance(event, AccessDenied) else Reason.GRANTED


def _kept(event: Decided, decision: Decision) -> Decision:
    """What the box could not do in time stays so, whatever the list says."""
    reason = _reason(event)
    if reason in _OF_THE_BOX and isinstance(decision, Grant):
        line = event.trace[-1]
        return Deny(reason, decision.person, (*decision.trace, line), line.facts)
    return decision


def _compared(event: Decided, after: Decision) -> Change:
    before = _reason(event)
    if before is after.reason:
        return Change.SAME
    if after.reason is Reason.GRANTED:
        return Change.ADMITTED
    return Change.DENIED if before is Reason.GRANTED else Change.REASON


def _used_a_pin(decision: Decision) -> bool:
    return any(line.rule == "pin" and line.saw == "right" for line in decision.trace)
