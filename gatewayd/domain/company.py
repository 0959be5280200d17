"""Who was last authorised at a door: an escort, or the first of two people. Pure; kept by no disk.

A restart forgets both, which admits nobody. The two directions of a door are apart: whoever comes
out escorts nobody in. Kept are, for each door and direction, who waits and the last who were let
in: anyone may be a visitor's own escort.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewayd.domain.model import NS_PER_S, Companion, Direction, DoorId, Person, PersonId

Way = tuple[DoorId, Direction]

# Of those who were let in, by door and direction: as many as a gate sees in the ten minutes that
# the settings allow an escort at most.
MAX_KEPT = 256


@dataclass(frozen=True, slots=True)
class Pass:
    """A credential that opens only so often, by its digest."""

    digest: str
    uses: int


@dataclass(frozen=True, slots=True)
class Authorised:
    person_id: PersonId
    may_escort: bool
    at_ns: int  # monotonic
    shown: Pass | None = None  # what the first of two showed, where its uses are counted


@dataclass(frozen=True, slots=True)
class Company:
    before: Mapping[Way, tuple[Authorised, ...]] = field(default_factory=dict)  # the last one last
    firsts: Mapping[Way, Authorised] = field(default_factory=dict)

    def companion(self, way: Way, now_ns: int, person: Person | None) -> Companion | None:
        """The last who was admitted there and may escort the person, for `Situation.companion`."""
        if person is None or not person.escorted:
            return None
        for who in reversed(self.before.get(way, ())):
            if person.may_follow(who.person_id, may_escort=who.may_escort):
                return _companion(who, now_ns)
        return None

    def waiting(self, way: Way, now_ns: int, used: Mapping[str, int]) -> Companion | None:
        """The first of two people who waits there, for `Situation.waiting`. `used` says how often
        each pass has opened: one that was used up meanwhile, at another door, leads nobody in."""
        first = self.firsts.get(way)
        shown = None if first is None else first.shown
        if shown is not None and used.get(shown.digest, 0) >= shown.uses:
            return None
        return _companion(first, now_ns)

    def pass_of(self, way: Way, person_id: PersonId | None) -> str:
        """The digest of the pass that the first of two waits there with; empty where theirs may
        open as often as they like, or they do not wait there."""
        first = self.firsts.get(way)
        if first is None or first.shown is None or first.person_id != person_id:
            return ""
        return first.shown.digest


def admitted(company: Company, way: Way, person: Person, now_ns: int) -> Company:
    """After a grant: they are remembered, whoever came first of two as well, and nobody waits there
    any more."""
    first, firsts = company.firsts.get(way), company.firsts
    if first is not None:
        firsts = {other: who for other, who in firsts.items() if other != way}
    came: tuple[Authorised, ...] = (Authorised(person.id, person.may_escort, now_ns),)
    if first is not None:
        came = (Authorised(first.person_id, first.may_escort, now_ns), *came)
    before = company.before.get(way, ())[-MAX_KEPT + len(came) :]
    return Company({**company.before, way: before + came}, firsts)


def waits(
    company: Company, way: Way, person: Person, now_ns: int, shown: Pass | None = None
) -> Company:
    """After a denial for the want of a second person only: whoever came waits for one. Someone who
    waited there already gives way."""
    first = Authorised(person.id, person.may_escort, now_ns, shown)
    return Company(company.before, {**company.firsts, way: first})


def _companion(who: Authorised | None, now_ns: int) -> Companion | None:
    if who is None:
        return None
    return Companion(who.person_id, (now_ns - who.at_ns) / NS_PER_S, who.may_escort)
