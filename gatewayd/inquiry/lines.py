"""Pieces of answers in words and as JSON, for all inquiries. Owns their form; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gatewayd.domain.events import AccessDenied, AccessGranted, CredentialRef
from gatewayd.domain.model import Facts, PersonId, Reason, Remedy, RuleResult, RuleTrace
from gatewayd.store.whitelist_revision import OpenRevision
from gatewayd.wording import Wording

MARKS = {RuleResult.PASS: "+", RuleResult.WARN: "!", RuleResult.FAIL: "x"}
Decided = AccessGranted | AccessDenied


def people_in(event: Decided) -> set[PersonId]:
    """Whom the decision and its trace are about."""
    found = {PersonId(v) for line in event.trace for fact, v in line.facts if fact == "person"}
    return found if event.person_id is None else found | {event.person_id}


def names_of(listed: OpenRevision, ids: Iterable[PersonId]) -> dict[str, str]:
    """The names of those whom the list has. Raises WhitelistReadError."""
    people = (listed.person(id_) for id_ in ids)
    return {person.id: person.name for person in people if person is not None}


def credential_text(credential: CredentialRef, words: Wording) -> str:
    return f"{words.text(f'credential.{credential.kind}')} {credential.masked}"


def who_text(person_id: PersonId | None, place: str, words: Wording) -> str:
    """A person by name, id and place, as far as each is known."""
    if person_id is None:
        return words.text("person.unknown")
    name = words.names.people.get(person_id, "")
    return " ".join(part for part in (name, f"[{person_id}]", place) if part)


def verdict_lines(reason: Reason, door: str, detail: Facts, words: Wording) -> list[str]:
    granted = reason is Reason.GRANTED
    verdict = words.text("verdict.granted" if granted else "verdict.denied")
    short = "" if granted else f": {words.text(f'reason.{reason}')}"
    why_text = words.why(reason, words.names.doors.get(door, door), detail)
    return [f"{verdict}{short}. {why_text}"]


def trace_lines(trace: Sequence[RuleTrace], words: Wording) -> list[str]:
    """Each rule with a mark: + passed, ! passed with a warning, x failed."""
    said = [(MARKS[line.result], *words.rule(line)) for line in trace]
    return [f"  {mark} {rule}: {saw}" for mark, rule, saw in said]


def remedy_lines(remedies: Sequence[Remedy], words: Wording) -> list[str]:
    """All of them together."""
    if not remedies:
        return []
    head = f"{words.text('live.remedy')}:"
    return [head, *(f"  - {words.remedy(remedy)}" for remedy in remedies)]


def trace_json(trace: Sequence[RuleTrace], words: Wording) -> list[dict[str, Any]]:
    said = ((line, *words.rule(line)) for line in trace)
    return [
        {
            "rule": line.rule,
            "saw": line.saw,
            "result": line.result,
            "facts": dict(line.facts),
            "text": f"{rule}: {saw}",
        }
        for line, rule, saw in said
    ]


def remedies_json(remedies: Sequence[Remedy], words: Wording) -> list[dict[str, Any]]:
    return [
        {"change": each.change, "facts": dict(each.facts), "text": words.remedy(each)}
        for each in remedies
    ]
