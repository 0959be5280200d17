"""Why a tap was decided as it was: the journaled trace in words. Must not decide anything anew."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, assert_never

from gatewayd.domain.events import AccessDenied, AccessGranted, AccessOutcome, Event
from gatewayd.domain.model import Facts, Reason, Remedy, Stamp
from gatewayd.domain.ports import JournalEntry, JournalError, WhitelistReadError
from gatewayd.inquiry.lines import (
    Decided,
    credential_text,
    names_of,
    people_in,
    remedies_json,
    remedy_lines,
    trace_json,
    trace_lines,
    verdict_lines,
    who_text,
    why_text,
)
from gatewayd.inquiry.sources import InquiryError, Place, current_list
from gatewayd.store.journal_file import JournalFile, open_journal
from gatewayd.wording import Wording


@dataclass(frozen=True, slots=True)
class Answer:
    """A decision with all that is known of it. `people` are names by id, `listed` says why there
    are none where the list can't be read."""

    seq: int
    stamp: Stamp
    event: Decided
    outcome: AccessOutcome | None
    words: Wording
    readers: dict[str, str]
    unlisted: str = ""


def why(place: Place, seq: int, language: str, now_s: int) -> Answer:
    """The decision that stands at `seq`. Raises InquiryError for what is none."""
    try:
        with open_journal(place.journal_file) as journal:
            entry, event = _decision(journal, seq)
            outcome = journal.outcome_of(seq) if isinstance(event, AccessGranted) else None
    except JournalError as error:
        raise InquiryError(str(error)) from error
    came = outcome.event if outcome is not None else None
    with ExitStack() as stack:
        unlisted, listed = "", None
        try:
            listed = stack.enter_context(current_list(place))
            people = names_of(listed, people_in(event))
        except (InquiryError, WhitelistReadError) as error:
            unlisted, people = str(error), {}
        names = place.names(listed, people)
    words = Wording(language, place.zone, now_s, names)
    return Answer(
        seq,
        entry.stamp,
        event,
        came if isinstance(came, AccessOutcome) else None,
        words,
        {point.id: point.name for point in place.access_points.values()},
        unlisted,
    )


def _decision(journal: JournalFile, seq: int) -> tuple[JournalEntry, Decided]:
    entry = journal.entry(seq)
    if entry is None:
        raise InquiryError(
            f"{journal.path}: no event stands at {seq} (the last one is {journal.last_seq()})"
        )
    event = entry.event
    if not isinstance(event, AccessGranted | AccessDenied):
        raise InquiryError(_no_decision(seq, event))
    return entry, event


def _no_decision(seq: int, event: Event) -> str:
    said = f"{seq} is no decision but {event.KIND}, about {event.subject}"
    of = getattr(event, "decision_seq", 0)
    if of:
        return f"{said} (the decision behind it: gatewayd why {of})"
    kinds = f"{AccessGranted.KIND} and {AccessDenied.KIND}"
    return f"{said} (decisions are {kinds}; the console shows their numbers)"


# ------------------------------------------------------------------------------ in words


def as_text(answer: Answer) -> str:
    """For a terminal: who, where, when, each rule with what it saw, and what came of it."""
    event, words = answer.event, answer.words
    reason, detail, remedies = _of(event)
    revision = f"{words.text('live.field_list')} {event.whitelist_revision}"
    decided = f"{words.text('live.why')}{words.aside(revision)}"
    return "\n".join(
        [
            *_head(answer),
            "",
            *verdict_lines(reason, event.door_id, detail, event.trace, words),
            *_came(answer),
            "",
            words.labelled(decided, "").rstrip(),
            *trace_lines(event.trace, words),
            *remedy_lines(remedies, words),
            *([f"({answer.unlisted})"] if answer.unlisted else []),
        ]
    )


def _head(answer: Answer) -> list[str]:
    event, words = answer.event, answer.words
    reader = answer.readers.get(event.access_point_id, event.access_point_id)
    direction = words.text(f"direction.{event.direction}")
    door = words.names.doors.get(event.door_id, event.door_id)
    who = who_text(event.person_id, event.place, words)
    where = words.in_a_row(door, f"{reader}{words.aside(direction)}")
    whose = words.in_a_row(credential_text(event.credential, words), who)
    return [
        words.in_a_row(f"{words.text('live.field_seq')} {answer.seq}", _when(answer)),
        words.labelled(words.text("live.field_door"), where),
        words.labelled(words.text("live.field_credential"), whose),
    ]


def _of(event: Decided) -> tuple[Reason, Facts, tuple[Remedy, ...]]:
    match event:
        case AccessGranted():
            return Reason.GRANTED, (), ()
        case AccessDenied():
            return event.reason, event.detail, event.remedies
        case _ as never:
            assert_never(never)


def _when(answer: Answer) -> str:
    words = answer.words
    moment = words.second(answer.stamp.wall_ms)
    return moment if answer.stamp.wall_trusted else moment + words.aside(words.text("live.clock"))


def _came(answer: Answer) -> list[str]:
    """What came of a grant; nothing is to come of a denial."""
    if not isinstance(answer.event, AccessGranted):
        return []
    words = answer.words
    late = [words.text("live.late")] if answer.event.recorded_late else []
    if answer.outcome is None:
        return [words.text("why.no_outcome"), *late]
    return [
        words.labelled(words.text("why.outcome"), words.text(f"outcome.{answer.outcome.outcome}")),
        *late,
    ]


# ------------------------------------------------------------------------------ as JSON


def as_json(answer: Answer) -> dict[str, Any]:
    """Codes and facts for programs, each with its sentence."""
    event, words = answer.event, answer.words
    reason, detail, remedies = _of(event)
    outcome = answer.outcome
    return {
        "seq": answer.seq,
        "wall_ms": answer.stamp.wall_ms,
        "wall_trusted": answer.stamp.wall_trusted,
        "decision": "granted" if reason is Reason.GRANTED else "denied",
        "reason": reason,
        "why": why_text(reason, event.door_id, detail, event.trace, words),
        "detail": dict(detail),
        "door": event.door_id,
        "access_point": event.access_point_id,
        "direction": event.direction,
        "credential": {"kind": event.credential.kind, "masked": event.credential.masked},
        "person": event.person_id,
        "name": None if event.person_id is None else words.names.people.get(event.person_id),
        "place": event.place,
        "whitelist_revision": event.whitelist_revision,
        "outcome": None if outcome is None else outcome.outcome,
        "trace": trace_json(event.trace, words),
        "remedies": remedies_json(remedies, words),
    }
