"""Joins what the journal and the ports say into what a guard reads: names, pictures, outcomes.

Owns the making of views. Must not change anything, and shows no phone number and no card number.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from urllib.parse import quote

from gatewayd.console.deps import AreaDesk, ConsoleDeps
from gatewayd.console.models import (
    AlarmView,
    AreaPeople,
    AreaView,
    CauseView,
    CredentialView,
    DoorView,
    EntryDetail,
    EntryView,
    LinkView,
    Named,
    PersonView,
    PictureView,
    RemedyView,
    StateView,
    TraceView,
    WhereaboutsView,
    WhitelistView,
)
from gatewayd.domain.alarm import NEVER_SUPPRESSED, SILENT, OpenAlarm
from gatewayd.domain.area import Seen
from gatewayd.domain.events import AccessDenied, AccessGranted, AccessOutcome, Cause, Outcome
from gatewayd.domain.model import AlarmKind, Area, Person, PersonId, Reason, RuleResult, RuleTrace
from gatewayd.domain.ports import DoorStatus, JournalEntry, WhitelistReadError
from gatewayd.settings.bind import zones
from gatewayd.store.rows import PictureRow
from gatewayd.wording import Names, people_in

log = logging.getLogger(__name__)

DECISIONS = frozenset({AccessGranted.KIND, AccessDenied.KIND})
# Outcomes follow their decisions at once; between them stand those of taps at other doors.
NEIGHBOURS = 64
# Whose detail is a person's id and place: TapPath writes it so.
_OF_PEOPLE = frozenset({AlarmKind.DURESS, AlarmKind.WATCH_LIST, AlarmKind.ANTI_PASSBACK})
_OF_AREAS = frozenset({AlarmKind.AREA_OVER_LIMIT, AlarmKind.AREA_UNDER_MINIMUM})
_DURESS = ("pin", "duress")
_PROTOCOLS = {5: "MQTT 5", 4: "MQTT 3.1.1"}


class Views:
    def __init__(self, deps: ConsoleDeps) -> None:
        settings = deps.settings
        self._deps = deps
        self.doors = {door.id: door.name for door in settings.door}
        self._door_settings = {door.id: door for door in settings.door}
        self.zones = zones(settings)
        self._areas = {area.id: area.name for area in settings.area}
        self._readers = {reader.id: reader.name for reader in settings.reader}
        self._cameras = {camera.id: camera.name for camera in settings.camera}
        self._watched = {reader.id for reader in settings.reader if reader.cameras}
        boards = {board.id: board.id for board in settings.controller}
        self.devices = {**boards, **self._cameras, **self._readers}
        self._things = {**self.devices, **self.doors}
        self._interlocks = [frozenset(each.doors) for each in settings.interlock]

    # --------------------------------------------------------------------------- entries

    async def entries(self, decisions: Sequence[JournalEntry]) -> list[EntryView]:
        """A view of each decision, in the order given; other entries are left out."""
        chosen = [e for e in decisions if isinstance(e.event, AccessGranted | AccessDenied)]
        if not chosen:
            return []
        outcomes = await self._outcomes(chosen)
        pictures = await self._deps.journal.pictures_for([entry.seq for entry in chosen])
        people = self._people(chosen)
        denials = [e.event for e in chosen if isinstance(e.event, AccessDenied)]
        names = self._names(self._people_in(fact for each in denials for fact in each.detail))
        return [
            self._entry(entry, outcomes.get(entry.seq), pictures.get(entry.seq, []), people, names)
            for entry in chosen
        ]

    async def entry_detail(self, entry: JournalEntry) -> EntryDetail | None:
        """With the trace and the remedies; None where the entry is no decision."""
        views = await self.entries([entry])
        if not views or not isinstance(entry.event, AccessGranted | AccessDenied):
            return None
        event = entry.event
        names = self._names(self._people_in(fact for line in event.trace for fact in line.facts))
        trace = [
            TraceView(rule=t.rule, saw=t.saw, result=t.result, facts=names.put_in(t.facts))
            for t in event.trace
        ]
        remedies = [
            RemedyView(change=remedy.change, facts=names.put_in(remedy.facts))
            for remedy in (event.remedies if isinstance(event, AccessDenied) else ())
        ]
        return EntryDetail(**dict(views[0]), trace=trace, remedies=remedies)

    def _names(self, people: Mapping[str, str]) -> Names:
        """What the sentences' ids are called now."""
        try:
            levels: dict[str, str] = {
                level.id: level.name for level in self._deps.whitelist.levels().values()
            }
            schedules: dict[str, str] = {
                each.id: each.name for each in self._deps.whitelist.schedules().values()
            }
        except WhitelistReadError as error:
            log.warning("levels and schedules are shown without names: %s", error)
            levels, schedules = {}, {}
        return Names(self.doors, self._areas, people, levels, schedules)

    def _people_in(self, facts: Iterable[tuple[str, str]]) -> dict[str, str]:
        """The names of the people whom the facts are about."""
        ids = people_in(tuple(facts))
        return {person.id: person.name for person in self._listed(ids).values()}

    async def _outcomes(self, decisions: Sequence[JournalEntry]) -> dict[int, Outcome]:
        """By the decision's seq. Most come with one question; a page that leaves out other doors'
        decisions asks again for the grants that are still missing."""
        wanted = {e.seq for e in decisions if isinstance(e.event, AccessGranted)}
        found: dict[int, Outcome] = {}
        starts = [min(wanted)] if wanted else []
        starts += sorted(wanted)
        limit = len(wanted) + NEIGHBOURS
        for start in starts:
            if start in found or wanted <= found.keys():
                continue
            entries = await self._deps.journal.entries_after(
                start, limit, kinds={AccessOutcome.KIND}
            )
            for entry in entries:
                if isinstance(entry.event, AccessOutcome):
                    found[entry.event.decision_seq] = entry.event.outcome
            limit = NEIGHBOURS
        return found

    def _people(self, decisions: Iterable[JournalEntry]) -> dict[PersonId, Person]:
        ids = {
            entry.event.person_id
            for entry in decisions
            if isinstance(entry.event, AccessGranted | AccessDenied) and entry.event.person_id
        }
        return self._listed(ids)

    def _listed(self, ids: Collection[PersonId]) -> dict[PersonId, Person]:
        try:
            return self._deps.whitelist.people(ids)
        except WhitelistReadError as error:
            log.warning("entries are shown without names: %s", error)
            return {}

    def _entry(
        self,
        entry: JournalEntry,
        outcome: Outcome | None,
        pictures: Sequence[PictureRow],
        people: dict[PersonId, Person],
        names: Names,
    ) -> EntryView:
        event = entry.event
        assert isinstance(event, AccessGranted | AccessDenied)  # noqa: S101  # `entries` chose them
        denied = isinstance(event, AccessDenied)
        person = people.get(event.person_id) if event.person_id else None
        return EntryView(
            seq=entry.seq,
            wall_ms=entry.stamp.wall_ms,
            wall_trusted=entry.stamp.wall_trusted,
            decision="denied" if denied else "granted",
            reason=event.reason if isinstance(event, AccessDenied) else Reason.GRANTED,
            detail=names.put_in(event.detail) if isinstance(event, AccessDenied) else {},
            door=_named(event.door_id, self.doors),
            access_point=_named(event.access_point_id, self._readers),
            direction=event.direction,
            person=None if person is None else _person(person),
            place=event.place or (person.place if person else ""),
            credential=CredentialView(kind=event.credential.kind, masked=event.credential.masked),
            outcome=outcome,
            warned=isinstance(event, AccessGranted) and any(map(_is_shown_warning, event.trace)),
            recorded_late=isinstance(event, AccessGranted) and event.recorded_late,
            has_camera=event.access_point_id in self._watched,
            pictures=self._pictures(pictures),
            whitelist_revision=event.whitelist_revision,
        )

    def _pictures(self, rows: Iterable[PictureRow]) -> list[PictureView]:
        return [
            PictureView(
                camera=_named(row.camera_id, self._cameras),
                url=f"/api/v1/pictures/{quote(row.name)}",
                age_ms=row.age_ms,
            )
            for row in rows
        ]

    # ----------------------------------------------------------------- doors, alarms, state

    def beside(self, door_id: str) -> list[str]:
        """The door and those that wait for it while it is open; none where it is no door of the
        settings."""
        waiting = {other for each in self._interlocks if door_id in each for other in each}
        return [door for door in self.doors if door == door_id or door in waiting]

    def door(self, status: DoorStatus) -> DoorView:
        settings = self._door_settings.get(status.door_id)
        blocked_by = status.blocked_by
        return DoorView.model_validate(
            {
                "id": status.door_id,
                "name": self.doors.get(status.door_id, status.door_id),
                "phase": status.phase,
                "mode": status.mode,
                "unlocked": status.unlocked,
                "open": status.open,
                "online": status.online,
                "failed": status.failed,
                "mode_slot": status.mode_slot,
                "mode_cause": None if status.mode_cause is None else _cause(status.mode_cause),
                "mode_until_ms": status.mode_until_ms,
                "blocked_by": None if blocked_by is None else _named(blocked_by, self.doors),
                "zone": None if settings is None else settings.zone,
                "escape": settings is not None and settings.escape,
                "kind": status.kind,
                "vehicle": status.vehicle,
                "under_arm": status.under_arm,
            }
        )

    def all_doors(self) -> list[DoorView]:
        return [self.door(status) for status in self._deps.doors.all_status()]

    async def alarms(self, open_alarms: Callable[[], Sequence[OpenAlarm]]) -> list[AlarmView]:
        """A view of each open alarm. Asked for last of all, after the pictures were looked up, so
        that what is shown is true at the moment this returns."""
        seqs = [alarm.raised_seq for alarm in open_alarms()]
        pictures = await self._deps.journal.pictures_for(seqs) if seqs else {}
        opened = open_alarms()
        people = self._listed({id_ for id_, _ in map(_whom, opened) if id_})
        return [self._alarm(a, pictures.get(a.raised_seq, []), people) for a in opened]

    def _alarm(
        self,
        alarm: OpenAlarm,
        pictures: Sequence[PictureRow],
        people: Mapping[PersonId, Person],
    ) -> AlarmView:
        shelf = alarm.shelf
        person_id, place = _whom(alarm)
        person = people.get(person_id)
        of_area = alarm.kind in _OF_AREAS
        return AlarmView(
            alarm_id=alarm.alarm_id,
            kind=alarm.kind,
            priority=alarm.priority,
            about=_named(alarm.about, self._areas if of_area else self._things),
            detail=alarm.detail,
            person=None if person is None else _person(person),
            place=place or (person.place if person else ""),
            raised_ms=alarm.raised.wall_ms,
            raised_seq=alarm.raised_seq,
            active=alarm.active,
            acknowledged_by=alarm.acknowledged_by,
            repeats=alarm.repeats,
            last_ms=alarm.latest.wall_ms,
            silent=alarm.kind in SILENT,
            escalated_to=alarm.escalated_to,
            shelvable=alarm.kind not in NEVER_SUPPRESSED,
            shelved_by=shelf.operator if shelf else None,
            shelved_reason=shelf.reason if shelf else None,
            shelved_until_ms=shelf.until_ms if shelf else None,
            pictures=self._pictures(pictures),
        )

    async def state(self) -> StateView:
        """Everything but the alarms' pictures is read after the last wait: a state that is sent at
        once is never older than a message that went before it."""
        deps = self._deps
        alarms = await self.alarms(deps.alarms.open_alarms)
        now = deps.clock.now()
        return StateView(
            epoch=deps.journal.epoch,
            last_seq=deps.journal.last_seq,
            wall_ms=now.wall_ms,
            wall_trusted=now.wall_trusted,
            doors=self.all_doors(),
            alarms=alarms,
            areas=self.areas(),
            link=self.link(),
            whitelist=self.whitelist(),
        )

    def areas(self) -> list[AreaView]:
        desk = self._deps.areas
        return [] if desk is None else [area_view(desk, area) for area in desk.areas.values()]

    def area_people(self, desk: AreaDesk, area: Area) -> AreaPeople:
        """Who is there, by building, unit and room, as whoever leads people out asks for them."""
        inside, neutral = desk.inside(area.id), desk.neutral(area.id)
        names = self._listed([person_id for person_id, _ in (*inside, *neutral)])
        now = self._deps.clock.now()
        return AreaPeople(
            area=area_view(desk, area),
            wall_ms=now.wall_ms,
            wall_trusted=now.wall_trusted,
            people=_by_place(inside, names),
            neutral=_by_place(neutral, names),
        )

    def listed(self, person_id: PersonId) -> bool:
        """Whether the list has this person; not where it can't be read."""
        return person_id in self._listed([person_id])

    def link(self) -> LinkView:
        if self._deps.link_status is None:
            return LinkView(state="alone", since_ms=0, protocol="", detail="")
        status = self._deps.link_status()
        return LinkView.model_validate(
            {
                "state": str(status.state),
                "since_ms": status.since_wall_ms,
                "protocol": _PROTOCOLS.get(status.protocol or 0, ""),
                "detail": status.detail,
            }
        )

    def whitelist(self) -> WhitelistView:
        listed = self._deps.whitelist
        return WhitelistView(revision=listed.revision, credentials=listed.credential_count)


def _named(id_: str, names: dict[str, str]) -> Named:
    """Something that the settings no longer have keeps its id as a name."""
    return Named(id=id_, name=names.get(id_, id_))


def _is_shown_warning(line: RuleTrace) -> bool:
    """Not duress: whoever holds the guard may look at the list too."""
    return line.result is RuleResult.WARN and (line.rule, line.saw) != _DURESS


def _whom(alarm: OpenAlarm) -> tuple[PersonId, str]:
    """Who the alarm is about, and their place when it was raised; empty where that is nobody."""
    if alarm.kind not in _OF_PEOPLE:
        return PersonId(""), ""
    person_id, _, place = alarm.detail.partition(" ")
    return PersonId(person_id), place


def area_view(desk: AreaDesk, area: Area) -> AreaView:
    return AreaView(
        id=area.id,
        name=area.name,
        inside=desk.count(area.id),
        minimum=area.minimum,
        maximum=area.maximum,
        anti_passback=area.anti_passback,
    )


def _by_place(
    found: Iterable[tuple[PersonId, Seen]], names: Mapping[PersonId, Person]
) -> list[WhereaboutsView]:
    """Numbers by their value ("9" before "10"); without a building, and not listed, come last."""

    def place(one: tuple[PersonId, Seen]) -> tuple[int, list[str]]:
        person = names.get(one[0])
        if person is None:
            return 2, [one[0]]
        parts = [part.rjust(8, "0") for part in (person.building, person.unit, person.room)]
        return (0 if person.building else 1), [*parts, person.name, one[0]]

    return [_whereabouts(id_, seen, names.get(id_)) for id_, seen in sorted(found, key=place)]


def _whereabouts(person_id: PersonId, seen: Seen, person: Person | None) -> WhereaboutsView:
    return WhereaboutsView(
        person_id=person_id,
        person=None if person is None else _person(person),
        since_ms=seen.stamp.wall_ms,
        since_trusted=seen.stamp.wall_trusted,
    )


def _cause(cause: Cause) -> CauseView:
    return CauseView(kind=cause.kind, ref=cause.ref, reason=cause.reason)


def _person(person: Person) -> PersonView:
    return PersonView(
        id=person.id,
        name=person.name,
        role=person.role,
        building=person.building,
        unit=person.unit,
        room=person.room,
        photo=person.photo,
    )
