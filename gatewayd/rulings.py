"""What a tap comes to: the list, the doors and what the box remembers, put before the rules. Owns
the gathering of the facts and the wording of the event; must not open, keep or write anything.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import tzinfo

from gatewayd.domain import policy
from gatewayd.domain.credential_rules import PIN_MISSING
from gatewayd.domain.events import AccessDenied, AccessGranted, CredentialRef
from gatewayd.domain.explain import explained, worth_naming
from gatewayd.domain.keypad import Needs
from gatewayd.domain.model import (
    NS_PER_S,
    AccessLevel,
    AccessPoint,
    AccessPointId,
    AccessRequest,
    Decision,
    Deny,
    Door,
    DoorId,
    Grant,
    LevelId,
    PersonId,
    Reason,
    Snapshot,
    Stamp,
    Tap,
)
from gatewayd.domain.path_rules import LIST_UNREADABLE, NOT_DURABLE, WAITED_TOO_LONG
from gatewayd.domain.ports import Clock, Doors, Presented, Whitelist, WhitelistReadError
from gatewayd.domain.schedule import Moment
from gatewayd.memory import PASSAGE_MARGIN_S, SiteMemory

log = logging.getLogger(__name__)

# GB 50396 wants 2 s from card to actuator. Past this whoever tapped has gone, or tapped again, and
# a door that opened now would open for someone else.
MAX_WAIT_NS = 5 * NS_PER_S
_NO_LIST = Snapshot(0, None)


@dataclass(frozen=True, slots=True)
class Site:
    """What the settings say of this box: its access points, doors and time zone."""

    access_points: Mapping[AccessPointId, AccessPoint]
    doors: Mapping[DoorId, Door]
    zone: tzinfo


@dataclass(frozen=True, slots=True)
class Ruling:
    """A decision with all that it was made of."""

    decision: Decision
    request: AccessRequest
    snapshot: Snapshot
    now: Moment
    companion_used: str = ""  # of a grant: the digest of the first of two's pass, if it is counted

    @property
    def uses(self) -> int | None:
        """How often the credential may open; None: as often as one likes."""
        return None if self.snapshot.record is None else self.snapshot.record.uses

    @property
    def counted(self) -> bool:
        """Whether an opening uses up one of a pass's uses."""
        return self.uses is not None

    @property
    def first_of_two(self) -> PersonId | None:
        """Who goes through as well, at a door for two."""
        return policy.first_of_two(self.request, self.snapshot, self.now)

    @property
    def expected(self) -> tuple[tuple[PersonId, ...], int]:
        """Whose passage is to come after a grant, and until when (monotonic) at the latest."""
        unlock_s = self.decision.unlock_s if isinstance(self.decision, Grant) else 0.0
        person = self.snapshot.person
        of = (None if person is None else person.id, self.first_of_two)
        until_ns = self.now.stamp.monotonic_ns + round((unlock_s + PASSAGE_MARGIN_S) * NS_PER_S)
        return tuple(who for who in of if who is not None), until_ns

    @property
    def duress(self) -> bool:
        """Whether whoever tapped asks for help in silence, whatever was decided."""
        return policy.under_duress(self.request, self.snapshot)


class Rulings:
    """One for the box; every decision about a tap is made here."""

    def __init__(
        self, site: Site, whitelist: Whitelist, doors: Doors, memory: SiteMemory, clock: Clock
    ) -> None:
        self.site = site
        self._whitelist = whitelist
        self._doors = doors
        self._memory = memory
        self._clock = clock
        self._named_of: Mapping[LevelId, AccessLevel] = {}
        self._named: dict[DoorId, tuple[AccessLevel, ...]] = {}

    def rule(self, tap: Tap) -> Ruling:
        """The decision on the tap, a denial with its remedies; a list that can't be read denies and
        says so. Counts a wrong PIN, so ask once a tap."""
        ruling = self._decided(tap)
        decision = ruling.decision
        if isinstance(decision, Grant) or ruling.snapshot is _NO_LIST:
            return ruling
        with suppress(WhitelistReadError):  # then without its remedies
            levels = self._worth_naming(ruling.request.door.id)
            after = explained(decision, ruling.request, ruling.snapshot, ruling.now, levels)
            return replace(ruling, decision=after)
        return ruling

    def _worth_naming(self, door_id: DoorId) -> tuple[AccessLevel, ...]:
        """The list's levels that a remedy may name there: sorted once a list."""
        levels = self._whitelist.levels()
        if levels is not self._named_of:
            self._named_of, self._named = levels, {}
        if door_id not in self._named:
            self._named[door_id] = worth_naming(levels.values(), door_id)
        return self._named[door_id]

    def _decided(self, tap: Tap) -> Ruling:
        point = self.site.access_points[tap.access_point_id]
        door, now = self.site.doors[point.door_id], Moment(tap.stamp, self.site.zone)
        try:
            snapshot = self._whitelist.snapshot(tap.credential)
        except WhitelistReadError as error:
            log.error("the whitelist can't be read, denying: %s", error)
            deny = Deny(Reason.WHITELIST_UNAVAILABLE, None, (LIST_UNREADABLE.line(),))
            return Ruling(deny, AccessRequest(tap.credential, point, door), _NO_LIST, now)
        status = self._doors.status(door.id)
        situation = self._memory.situation(tap, point, door, snapshot, status)
        request = AccessRequest(tap.credential, point, door, status.mode, situation)
        decision = self._in_time(policy.decide(request, snapshot, now), tap.stamp)
        if isinstance(decision, Deny):
            return Ruling(decision, request, snapshot, now)
        first = policy.first_of_two(request, snapshot, now)
        companion_used = self._memory.pass_of_first(point, first)
        return Ruling(decision, request, snapshot, now, companion_used)

    def needs(self, access_point_id: AccessPointId, shown: Presented) -> Needs:
        """Whether the card should wait for a PIN: only where all that is asked before it is met,
        so that nobody types a PIN for a card that will not open anyway."""
        decision = self._decided(Tap(access_point_id, shown.credential, shown.stamp)).decision
        waits = isinstance(decision, Deny) and decision.trace[-1] == PIN_MISSING.line()
        return Needs.PIN if waits else Needs.NOTHING

    def _in_time(self, decision: Decision, stamp: Stamp) -> Decision:
        """A grant whose turn came too late is a denial, e.g. after a queue behind a dead board."""
        waited_ns = self._clock.monotonic_ns() - stamp.monotonic_ns
        if isinstance(decision, Deny) or waited_ns <= MAX_WAIT_NS:
            return decision
        saw = WAITED_TOO_LONG.line(waited_ns // NS_PER_S)
        return Deny(Reason.TAP_TOO_OLD, decision.person, (*decision.trace, saw), saw.facts)


# ------------------------------------------------------------------------------ as events


def granted_event(grant: Grant, ruling: Ruling, credential: CredentialRef) -> AccessGranted:
    point = ruling.request.access_point
    return AccessGranted(
        access_point_id=point.id,
        door_id=point.door_id,
        direction=point.direction,
        credential=credential,
        person_id=grant.person.id,
        place=grant.person.place,
        level_id=grant.level_id,
        unlock_s=grant.unlock_s,
        whitelist_revision=ruling.snapshot.revision,
        trace=grant.trace,
        duress=grant.duress,
        companion_id=policy.accompanied_by(ruling.request, ruling.snapshot, ruling.now),
    )


def denied_event(deny: Deny, ruling: Ruling, credential: CredentialRef) -> AccessDenied:
    point = ruling.request.access_point
    return AccessDenied(
        access_point_id=point.id,
        door_id=point.door_id,
        direction=point.direction,
        credential=credential,
        reason=deny.reason,
        whitelist_revision=ruling.snapshot.revision,
        trace=deny.trace,
        person_id=None if deny.person is None else deny.person.id,
        place="" if deny.person is None else deny.person.place,
        detail=deny.detail,
        remedies=deny.remedies,
    )


def refused_event(event: AccessGranted) -> AccessDenied:
    """The grant that its door's fail policy turned into a denial: it was not on disk in time."""
    return AccessDenied(
        access_point_id=event.access_point_id,
        door_id=event.door_id,
        direction=event.direction,
        credential=event.credential,
        reason=Reason.JOURNAL_UNAVAILABLE,
        whitelist_revision=event.whitelist_revision,
        trace=(*event.trace, NOT_DURABLE.line()),
        person_id=event.person_id,
        place=event.place,
    )
