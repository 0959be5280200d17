"""Who is where: a fold over passages and forgiveness. Pure: owns the reckoning, keeps nothing.

Someone is where their last passage led. Whoever is forgiven is neutral until the next passage: it
is in order wherever it leads, and meanwhile they count nowhere, for nobody knows where they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gatewayd.domain.events import PersonPassed
from gatewayd.domain.model import (
    NS_PER_S,
    Area,
    AreaId,
    Direction,
    Door,
    PersonId,
    Stamp,
    Whereabouts,
)

# A change copies one bucket, its shelf and the list of shelves, not everyone: with a million people
# some 400 entries, with a few thousand 160.
SHELVES = 32
BUCKETS = 128  # on each shelf


@dataclass(frozen=True, slots=True)
class Seen:
    """Where someone's last passage led (None: outside), and when."""

    area_id: AreaId | None
    stamp: Stamp
    neutral: bool = False  # forgiven since


Bucket = Mapping[PersonId, Seen]
Shelf = tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """Everyone who ever passed, with where they are; and how many are in each area."""

    counts: Mapping[AreaId, int] = field(default_factory=dict)
    shelves: tuple[Shelf, ...] = (({},) * BUCKETS,) * SHELVES

    def seen(self, person_id: PersonId) -> Seen | None:
        """None for someone of whom no passage is known."""
        shelf, bucket = _place(person_id)
        return self.shelves[shelf][bucket].get(person_id)

    def everyone(self) -> Iterator[tuple[PersonId, Seen]]:
        """All of whom a passage is known, the neutral ones as well, in no order."""
        for shelf in self.shelves:
            for bucket in shelf:
                yield from bucket.items()

    def inside(self, area_id: AreaId) -> int:
        """How many are in the area, the neutral ones left out."""
        return self.counts.get(area_id, 0)


def gathered(people: Iterable[tuple[PersonId, Seen]]) -> Places:
    """The places of all these people at once, each once: in the time that one bucket takes."""
    shelves: list[list[dict[PersonId, Seen]]] = [
        [{} for _ in range(BUCKETS)] for _ in range(SHELVES)
    ]
    counts: Counter[AreaId] = Counter()
    for person_id, seen in people:
        shelf, bucket = _place(person_id)
        shelves[shelf][bucket][person_id] = seen
        area_id = _counted_in(seen)
        if area_id is not None:
            counts[area_id] += 1
    return Places(counts, tuple(tuple(shelf) for shelf in shelves))


def crossed(door: Door, direction: Direction) -> tuple[AreaId | None, AreaId | None]:
    """The areas that a passage leaves and enters; both None where it changes none."""
    if door.inside == door.outside:
        return None, None
    if direction is Direction.IN:
        return door.outside, door.inside
    return door.inside, door.outside


def moved(places: Places, passed: PersonPassed, stamp: Stamp) -> Places:
    """The places after the passage at `stamp`; one that touches no area changes nothing."""
    if passed.left is None and passed.entered is None:
        return places
    return _placed(places, passed.person_id, Seen(passed.entered, stamp))


def forgiven(
    places: Places, person_id: PersonId | None, area_id: AreaId | None, stamp: Stamp
) -> Places:
    """The places after the person, or everyone (None), was forgiven at `stamp`; with an area, only
    who is in it. A person of whom no passage is known is neutral then, and unknown no longer."""
    if person_id is None:
        return _all_forgiven(places, area_id)
    seen = places.seen(person_id) or Seen(None, stamp)
    if area_id is not None and seen.area_id != area_id:
        return places
    return _placed(places, person_id, replace(seen, neutral=True))


def _all_forgiven(places: Places, area_id: AreaId | None) -> Places:
    shelves = tuple(
        tuple(
            {
                person_id: replace(seen, neutral=area_id in (None, seen.area_id) or seen.neutral)
                for person_id, seen in bucket.items()
            }
            for bucket in shelf
        )
        for shelf in places.shelves
    )
    others = {} if area_id is None else places.counts
    return Places({area: count for area, count in others.items() if area != area_id}, shelves)


def _placed(places: Places, person_id: PersonId, seen: Seen) -> Places:
    counts = dict(places.counts)
    for area_id, by in ((_counted_in(places.seen(person_id)), -1), (_counted_in(seen), 1)):
        if area_id is not None:
            counts[area_id] = counts.get(area_id, 0) + by
    at, place = _place(person_id)
    shelf = places.shelves[at]
    bucket = {**shelf[place], person_id: seen}
    shelf = (*shelf[:place], bucket, *shelf[place + 1 :])
    return Places(counts, (*places.shelves[:at], shelf, *places.shelves[at + 1 :]))


def _counted_in(seen: Seen | None) -> AreaId | None:
    return None if seen is None or seen.neutral else seen.area_id


def _place(person_id: PersonId) -> tuple[int, int]:
    """Its shelf, and its bucket there."""
    return divmod(hash(person_id) % (SHELVES * BUCKETS), BUCKETS)


# ----------------------------------------------------------------- what the decision asks for


def whereabouts(places: Places, person_id: PersonId, now: Stamp) -> Whereabouts | None:
    """As `policy.decide` wants it; None for someone of whom no passage is known."""
    seen = places.seen(person_id)
    if seen is None:
        return None
    age_s = elapsed_s(seen.stamp, now)
    return Whereabouts(seen.area_id, seen.stamp.wall_ms, age_s, seen.neutral)


def counted(places: Places, person_id: PersonId, area_id: AreaId) -> bool:
    """Whether the person is one of those who are counted in the area."""
    return _counted_in(places.seen(person_id)) == area_id


def elapsed_s(then: Stamp, now: Stamp) -> float | None:
    """How long ago `then` was, by the clock that does not jump; across a restart by the wall's,
    where both times it could be trusted; else None. Never negative."""
    if then.boot_id == now.boot_id:
        return max(0.0, (now.monotonic_ns - then.monotonic_ns) / NS_PER_S)
    if then.wall_trusted and now.wall_trusted:
        return max(0.0, (now.wall_ms - then.wall_ms) / 1000)
    return None


def under_minimum(area: Area, inside: int) -> bool:
    """Whether someone is in there with too few others: an alarm, after each passage."""
    return area.minimum is not None and 0 < inside < area.minimum


def over_limit(area: Area, inside: int) -> bool:
    """Whether more are in there than may be: an alarm, after each passage."""
    return area.maximum is not None and inside > area.maximum
