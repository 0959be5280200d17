"""Who was last authorised at a door: an escort, or the first of two people. Pure; kept by no disk.

A restart forgets both, which admits nobody. The two directions of a door are apart: whoever comes
out escorts nobody in. At most one of each is kept for a door and direction, so the settings cap it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gatewayd.domain.model import NS_PER_S, Companion, Direction, DoorId, Person, PersonId

Way = tuple[DoorId, Direction]


@dataclass(frozen=True, slots=True)
class Authorised:
    person_id: PersonId
    may_escort: bool
    at_ns: int  # monotonic


@dataclass(frozen=True, slots=True)
class Company:
    escorts: Mapping[Way, Authorised] = field(default_factory=dict)
    firsts: Mapping[Way, Authorised] = field(default_factory=dict)

    def companion(self, way: Way, now_ns: int) -> Companion | None:
        """The last escort who was admitted there, for `Situation.companion`."""
        return _companion(self.escorts.get(way), now_ns)

    def waiting(self, way: Way, now_ns: int) -> Companion | None:
        """The first of two people who waits there, for `Situation.waiting`."""
        return _companion(self.firsts.get(way), now_ns)


def admitted(company: Company, way: Way, person: Person, now_ns: int) -> Company:
    """After a grant: an escort is remembered, whoever came first of two as well, and nobody waits
    there any more."""
    escorts, firsts = {**company.escorts}, {**company.firsts}
    first = firsts.pop(way, None)
    if first is not None and first.may_escort:
        escorts[way] = Authorised(first.person_id, first.may_escort, now_ns)
    if person.may_escort:
        escorts[way] = Authorised(person.id, person.may_escort, now_ns)
    return Company(escorts, firsts)


def waits(company: Company, way: Way, person: Person, now_ns: int) -> Company:
    """After a denial for the want of a second person only: whoever came waits for one. Someone who
    waited there already gives way."""
    first = Authorised(person.id, person.may_escort, now_ns)
    return Company(company.escorts, {**company.firsts, way: first})


def _companion(who: Authorised | None, now_ns: int) -> Companion | None:
    if who is None:
        return None
    return Companion(who.person_id, (now_ns - who.at_ns) / NS_PER_S, who.may_escort)
