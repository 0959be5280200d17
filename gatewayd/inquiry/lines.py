"""Pieces of answers in words and as JSON, for all inquiries. Owns their form; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gatewayd.domain.events import AccessDenied, AccessGranted, CredentialRef
from gatewayd.domain.model import Facts, PersonId, Reason, Remedy, RuleResult, RuleTrace
from gatewayd.store.whitelist_revision import OpenRevision
from gatewayd.wording import Wording
from gatewayd.wording import people_in as people_named

MARKS = {RuleResult.PASS: "+", RuleResult.WARN: "!", RuleResult.FAIL: "x"}
Decided = AccessGranted | AccessDenied


def people_in(event: Decided) -> set[PersonId]:
    """Whom the decision and its trace are about."""
    found = people_said(event.trace, event.remedies if isinstance(event, AccessDenied) else ())
    return found if event.person_id is None else found | {event.person_id}


def people_said(trace: Iterable[RuleTrace], remedies: Iterable[Remedy]) -> set[PersonId]:
    """Whom a trace and what would mend it name."""
    facts = (*(line.facts for line in trace), *(remedy.facts for remedy in remedies))
    return {who for some in facts for who in people_named(some)}


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


def why_text(
    reason: Reason, door: str, detail: Facts, trace: Sequence[RuleTrace], words: Wording
) -> str:
    """The decision in one sentence; a grant says whether a rule warned."""
    if reason is Reason.GRANTED and any(line.result is RuleResult.WARN for line in trace):
        return words.text("reason.granted.warned")
    return words.why(reason, words.names.doors.get(door, door), detail)


def verdict_lines(
    reason: Reason, door: str, detail: Facts, trace: Sequence[RuleTrace], words: Wording
) -> list[str]:
    sentence = why_text(reason, door, detail, trace, words)
    if reason is not Reason.GRANTED:
        verdict = words.labelled(words.text("verdict.denied"), words.text(f"reason.{reason}"))
    elif sentence == words.text("reason.granted.warned"):  # which says the verdict too
        return [sentence]
    else:
        verdict = words.text("verdict.granted")
    return [f"{verdict}{words.text('mark.stop')}{sentence}"]


def trace_lines(trace: Sequence[RuleTrace], words: Wording) -> list[str]:
    """Each rule with a mark: + passed, ! passed with a warning, x failed."""
    said = [(MARKS[line.result], *words.rule(line)) for line in trace]
    return [f"  {mark} {words.labelled(rule, saw)}" for mark, rule, saw in said]


def remedy_lines(remedies: Sequence[Remedy], words: Wording) -> list[str]:
    """All of them together."""
    if not remedies:
        return []
    head = words.labelled(words.text("live.remedies" if len(remedies) > 1 else "live.remedy"), "")
    return [head.rstrip(), *(f"  - {words.remedy(remedy)}" for remedy in remedies)]


def trace_json(trace: Sequence[RuleTrace], words: Wording) -> list[dict[str, Any]]:
    said = ((line, *words.rule(line)) for line in trace)
    return [
        {
            "rule": line.rule,
            "saw": line.saw,
            "result": line.result,
            "facts": dict(line.facts),
            "text": words.labelled(rule, saw),
        }
        for line, rule, saw in said
    ]


def remedies_json(remedies: Sequence[Remedy], words: Wording) -> list[dict[str, Any]]:
    return [
        {"change": each.change, "facts": dict(each.facts), "text": words.remedy(each)}
        for each in remedies
    ]
