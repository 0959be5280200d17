"""What would happen if someone tapped: the same rules and list as at the gate, and no tap.

Owns the question and its answer. What is not said in it (who is where, the doors' orders, the uses)
is taken from the journal as it stands now. Must not write, and opens nothing but files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from gatewayd.domain import area, policy
from gatewayd.domain.explain import explained
from gatewayd.domain.model import (
    AccessPoint,
    AccessRequest,
    Area,
    AreaId,
    Companion,
    Credential,
    CredentialKind,
    Decision,
    Deny,
    Direction,
    Door,
    DoorMode,
    Grant,
    Person,
    PersonId,
    PinCheck,
    Situation,
    Snapshot,
    Stamp,
    Whereabouts,
)
from gatewayd.domain.modes import effective
from gatewayd.domain.ports import JournalError, WhitelistReadError
from gatewayd.domain.schedule import Moment
from gatewayd.inquiry.lines import (
    names_of,
    people_said,
    remedies_json,
    remedy_lines,
    trace_json,
    trace_lines,
    verdict_lines,
    who_text,
)
from gatewayd.inquiry.sources import InquiryError, Place, current_list, secret_of
from gatewayd.store.digest import digest_of
from gatewayd.store.journal_file import JournalFile, open_journal
from gatewayd.store.whitelist_revision import OpenRevision, credential_of
from gatewayd.wording import Wording

OUTSIDE, UNKNOWN = "outside", "unknown"
PINS = {"right": PinCheck.RIGHT, "wrong": PinCheck.WRONG, "none": PinCheck.NOT_TYPED}
VEHICLE = {"yes": True, "no": False}
_KEY = re.compile(rf"({'|'.join(CredentialKind)}):\d{{1,3}}:.+")


@dataclass(frozen=True, slots=True)
class Question:
    """`who` is a person's id or name, or a credential as kind:bits:value. `inside` is an area's id,
    OUTSIDE or UNKNOWN; None: where the journal has them now. `after` is the id or name of whoever
    tapped there just before; `vehicle` None: the lane can't tell whether one is there."""

    who: str
    door: str | None
    reader: str | None
    wall_ms: int
    pin: PinCheck = PinCheck.NOT_TYPED
    inside: str | None = None
    after: str | None = None
    vehicle: bool | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One credential at one reader."""

    credential: Credential
    point: AccessPoint
    snapshot: Snapshot
    decision: Decision


@dataclass(frozen=True, slots=True)
class Answer:
    wall_ms: int
    cases: tuple[Case, ...]
    words: Wording
    after: Person | None = None
    vehicle: bool | None = None

    @property
    def granted(self) -> bool:
        """Whether any of them opens."""
        return any(isinstance(case.decision, Grant) for case in self.cases)


def what_if(place: Place, question: Question, language: str, now_s: int) -> Answer:
    """The decision on each of the person's credentials. Raises InquiryError for a question that
    can't be answered."""
    points = _points(place, question)
    if question.vehicle is not None and not any(point.vehicle for point in points):
        asked = ", ".join(point.id for point in points)
        raise InquiryError(f"--vehicle: no vehicle lane (vehicle = true in [[reader]]): {asked}")
    if question.inside not in {None, OUTSIDE, UNKNOWN, *place.areas}:
        known = ", ".join(place.areas) or "there are none"
        raise InquiryError(
            f"--inside {question.inside}: no such area ({OUTSIDE}, {UNKNOWN}, or one of: {known})"
        )
    try:
        with ExitStack() as stack:
            listed = stack.enter_context(current_list(place))
            journal = None
            if place.journal_file.exists():
                journal = stack.enter_context(open_journal(place.journal_file))
            before = question.after
            after = None if before is None else _person(listed, "--after", before)
            asking = _Asking(place, question, listed, journal, after)
            credentials = _credentials(listed, question.who)
            cases = tuple(asking.case(c, point) for c in credentials for point in points)
            people = _people(cases) | ({after.id} if after is not None else set())
            names = place.names(listed, names_of(listed, people))
    except (JournalError, WhitelistReadError) as error:
        raise InquiryError(str(error)) from error
    words = Wording(language, place.zone, now_s, names)
    return Answer(question.wall_ms, cases, words, after, question.vehicle)


def _points(place: Place, question: Question) -> list[AccessPoint]:
    """The reader that is asked for, or those that lead in at the door; where none does, all."""
    points = list(place.access_points.values())
    if question.reader is not None:
        found = [point for point in points if point.id == question.reader]
        if not found:
            known = ", ".join(place.access_points)
            raise InquiryError(f"--reader {question.reader}: no such reader (one of: {known})")
        return found
    here = [point for point in points if point.door_id == question.door]
    if not here:
        known = ", ".join(sorted({point.door_id for point in points}))
        raise InquiryError(f"--door {question.door}: no such door with a reader (one of: {known})")
    return [point for point in here if point.direction is Direction.IN] or here


def _credentials(listed: OpenRevision, who: str) -> list[Credential]:
    """Those that `who` means: of a person by id, as a credential itself, or of a person by name."""
    if listed.person(PersonId(who)) is None and _KEY.fullmatch(who):
        return [credential_of(who)]
    hint = " (a credential is written kind:bits:value, e.g. card:26:0000011)"
    person = _person(listed, "--who", who, hint)
    found = listed.credentials_of(person.id)
    if not found:
        raise InquiryError(f"{person.id} has no credential in the list")
    return found


def _person(listed: OpenRevision, option: str, who: str, hint: str = "") -> Person:
    """By id, or by name where only one has it."""
    person = listed.person(PersonId(who))
    if person is not None:
        return person
    people = listed.people_named(who)
    if not people:
        raise InquiryError(
            f"{option}: the list of revision {listed.revision} has no person with this id or "
            f"name{hint}"
        )
    if len(people) > 1:
        ids = ", ".join(f"{person.id} ({person.place})" for person in people)
        raise InquiryError(f"{option}: {len(people)} people have this name, name one by id: {ids}")
    return people[0]


def _people(cases: Sequence[Case]) -> set[PersonId]:
    """Whoever is asked about, and whom the answers name."""
    found = {case.snapshot.person.id for case in cases if case.snapshot.person is not None}
    for case in cases:
        decision = case.decision
        remedies = decision.remedies if isinstance(decision, Deny) else ()
        found |= people_said(decision.trace, remedies)
    return found


@dataclass(frozen=True, slots=True)
class _Asking:
    place: Place
    question: Question
    listed: OpenRevision
    journal: JournalFile | None
    after: Person | None

    def case(self, credential: Credential, point: AccessPoint) -> Case:
        door = self.place.doors[point.door_id]
        snapshot = self.listed.snapshot(credential)
        situation = self._situation(credential, point, door, snapshot)
        request = AccessRequest(credential, point, door, self._mode(door), situation)
        stamp = Stamp("", 0, self.question.wall_ms, wall_trusted=True)
        now = Moment(stamp, self.place.zone)
        decision = policy.decide(request, snapshot, now)
        if isinstance(decision, Deny):
            levels = self.listed.rules.levels.values()
            decision = explained(decision, request, snapshot, now, levels)
        return Case(credential, point, snapshot, decision)

    def _mode(self, door: Door) -> DoorMode:
        """By the orders that stand now and still will then."""
        if self.journal is None:
            return DoorMode.LOCKED
        orders = self.journal.mode_orders(door.id)
        interlocked = door.id in self.place.interlocked
        return effective(orders, self.question.wall_ms, True, interlocked=interlocked).mode

    def _situation(
        self, credential: Credential, point: AccessPoint, door: Door, snapshot: Snapshot
    ) -> Situation:
        left, entered = area.crossed(door, point.direction)
        person, journal = snapshot.person, self.journal
        inside = 0 if journal is None or entered is None else journal.inside(entered)
        return Situation(
            pin=self.question.pin,
            used=self._used(credential, snapshot),
            entering=self._area(entered),
            leaving=self._area(left),
            whereabouts=None if person is None else self._whereabouts(person.id),
            inside=inside,
            vehicle=self.question.vehicle,
            companion=self._companion(person),
            waiting=self._before(),
        )

    def _before(self) -> Companion | None:
        """Whoever tapped just before; at a door for two they wait as the first of them."""
        after = self.after
        return None if after is None else Companion(after.id, 0.0, after.may_escort)

    def _companion(self, person: Person | None) -> Companion | None:
        """The same where they escort whoever asks: other people are no news to the rules."""
        before = self._before()
        if before is None or person is None or not person.escorted:
            return None
        leads = person.may_follow(before.person_id, may_escort=before.may_escort)
        return before if leads else None

    def _area(self, area_id: AreaId | None) -> Area | None:
        return None if area_id is None else self.place.areas[area_id]

    def _used(self, credential: Credential, snapshot: Snapshot) -> int:
        limited = snapshot.record is not None and snapshot.record.uses is not None
        if self.journal is None or not limited:
            return 0
        return self.journal.used(digest_of(secret_of(self.place), credential.key))

    def _whereabouts(self, person_id: PersonId) -> Whereabouts | None:
        """As asked for: there for as long as nothing else is known; else as the journal has it."""
        inside, at_ms = self.question.inside, self.question.wall_ms
        if inside == UNKNOWN:
            return None
        if inside is not None:
            return Whereabouts(None if inside == OUTSIDE else AreaId(inside), at_ms, 0.0)
        known = None if self.journal is None else self.journal.whereabouts(person_id)
        if known is None:
            return None
        area_id, since_ms, neutral = known
        return Whereabouts(area_id, since_ms, max(0.0, (at_ms - since_ms) / 1000), neutral)


# ------------------------------------------------------------------------------ in words


def as_text(answer: Answer) -> str:
    return "\n\n".join("\n".join(_case_lines(case, answer)) for case in answer.cases)


def _case_lines(case: Case, answer: Answer) -> list[str]:
    words, point, decision = answer.words, case.point, case.decision
    door = words.names.doors.get(point.door_id, point.door_id)
    direction = words.text(f"direction.{point.direction}")
    kind = words.text(f"credential.{case.credential.kind}")
    detail = decision.detail if isinstance(decision, Deny) else ()
    return [
        words.in_a_row(words.second(answer.wall_ms), door, f"{point.name}{words.aside(direction)}"),
        words.in_a_row(f"{kind} {case.credential.masked}", _who(case, words)),
        *_supposed_lines(answer),
        *verdict_lines(decision.reason, point.door_id, detail, decision.trace, words),
        *trace_lines(decision.trace, words),
        *remedy_lines(decision.remedies if isinstance(decision, Deny) else (), words),
    ]


def _supposed_lines(answer: Answer) -> list[str]:
    """What the question took for given of others."""
    words, lines = answer.words, []
    if answer.after is not None:
        who = who_text(answer.after.id, answer.after.place, words)
        lines.append(words.labelled(words.text("supposed.after"), who))
    if answer.vehicle is not None:
        said = words.text("supposed.yes" if answer.vehicle else "supposed.no")
        lines.append(words.labelled(words.text("supposed.vehicle"), said))
    return lines


def _who(case: Case, words: Wording) -> str:
    person = case.snapshot.person
    return who_text(None, "", words) if person is None else who_text(person.id, person.place, words)


def as_json(answer: Answer) -> dict[str, Any]:
    return {
        "wall_ms": answer.wall_ms,
        "granted": answer.granted,
        "after": None if answer.after is None else answer.after.id,
        "vehicle": answer.vehicle,
        "cases": [_case_json(case, answer.words) for case in answer.cases],
    }


def _case_json(case: Case, words: Wording) -> dict[str, Any]:
    decision, person = case.decision, case.snapshot.person
    remedies = decision.remedies if isinstance(decision, Deny) else ()
    return {
        "access_point": case.point.id,
        "door": case.point.door_id,
        "credential": {"kind": case.credential.kind, "masked": case.credential.masked},
        "person": None if person is None else person.id,
        "decision": "denied" if isinstance(decision, Deny) else "granted",
        "reason": decision.reason,
        "trace": trace_json(decision.trace, words),
        "remedies": remedies_json(remedies, words),
        "whitelist_revision": case.snapshot.revision,
    }
