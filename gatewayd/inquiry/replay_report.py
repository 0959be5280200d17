"""What a replay came to, in words and as JSON. Owns the form of the report; compares nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gatewayd.domain.model import AccessPointId, PersonId
from gatewayd.inquiry.lines import names_of, who_text
from gatewayd.inquiry.replay import Change, Replayed, Report
from gatewayd.inquiry.sources import Place
from gatewayd.store.whitelist_revision import OpenRevision
from gatewayd.wording import Wording

ORDER = (Change.DENIED, Change.ADMITTED, Change.REASON)


def words_for(
    report: Report, place: Place, listed: OpenRevision, language: str, now_s: int
) -> Wording:
    """With the names of those who are listed in the report. Raises WhitelistReadError."""
    taps = (tap for some in report.listed.values() for tap in some)
    ids: set[PersonId] = {tap.person_id for tap in taps if tap.person_id is not None}
    return Wording(language, place.zone, now_s, place.names(listed, names_of(listed, ids)))


def as_text(report: Report, words: Wording, place: Place) -> str:
    """Counts, what must be known of them, and who is newly denied or admitted, where and when."""
    readers = {id_: point.name for id_, point in place.access_points.items()}
    tables = (_table(report, change, words, readers) for change in ORDER)
    parts = ["\n".join([_counts(report, words), *_notes(report, words)]), *tables]
    return "\n\n".join(part for part in parts if part)


def _counts(report: Report, words: Wording) -> str:
    counts = report.counts
    return words.text(
        "replay.counts",
        taps=report.taps,
        first=report.first,
        last=report.last,
        revision=report.revision,
        same=counts[Change.SAME],
        admitted=counts[Change.ADMITTED],
        denied=counts[Change.DENIED],
        reason=counts[Change.REASON],
    )


def _notes(report: Report, words: Wording) -> list[str]:
    others = {rev: n for rev, n in sorted(report.revisions.items()) if rev != report.revision}
    revisions = words.text("mark.list").join(
        f"{revision}{words.aside(str(count))}" for revision, count in others.items()
    )
    said = {
        "replay.unexplained": report.unexplained,
        "replay.pins_assumed": report.pins_assumed,
        "replay.elsewhere": report.elsewhere,
        "replay.revisions": sum(others.values()),
    }
    return [words.text(key, count=n, revisions=revisions) for key, n in said.items() if n]


def _table(
    report: Report, change: Change, words: Wording, readers: Mapping[AccessPointId, str]
) -> str:
    listed, count = report.listed.get(change, []), report.counts[change]
    if not listed:
        return ""
    rows = [_row(tap, words, readers) for tap in listed]
    left = count - len(listed)
    more = [words.text("replay.more", count=left)] if left else []
    return "\n".join(
        [words.labelled(words.text(f"replay.{change.name.lower()}"), str(count)), *rows, *more]
    )


def _row(tap: Replayed, words: Wording, readers: Mapping[AccessPointId, str]) -> str:
    event = tap.event
    door = words.names.doors.get(event.door_id, event.door_id)
    reader = readers.get(event.access_point_id, event.access_point_id)
    before, after = (words.text(f"reason.{r}") for r in (tap.reason_before, tap.after.reason))
    who = who_text(tap.person_id, _place(tap), words)
    odd = f"  {words.text('replay.odd')}" if tap.unexplained else ""
    when = words.second(tap.stamp.wall_ms)
    return f"  {tap.seq}  {when}  {who}  {words.in_a_row(door, reader)}  {before} → {after}{odd}"


def _place(tap: Replayed) -> str:
    return tap.event.place or ("" if tap.after.person is None else tap.after.person.place)


# ------------------------------------------------------------------------------ as JSON


def as_json(report: Report, words: Wording) -> dict[str, Any]:
    """The same for programs."""
    return {
        "first": report.first,
        "last": report.last,
        "whitelist_revision": report.revision,
        "taps": report.taps,
        **{_name(change): report.counts[change] for change in Change},
        "unexplained": report.unexplained,
        "pins_assumed": report.pins_assumed,
        "elsewhere": report.elsewhere,
        "decided_by_revision": {str(r): n for r, n in sorted(report.revisions.items())},
        "listed": {
            _name(change): list(_taps(report.listed.get(change, []), words)) for change in ORDER
        },
    }


def _name(change: Change) -> str:
    return change.value.replace(" ", "_")


def _taps(taps: Iterable[Replayed], words: Wording) -> Iterable[dict[str, Any]]:
    for tap in taps:
        person = tap.person_id
        yield {
            "seq": tap.seq,
            "wall_ms": tap.stamp.wall_ms,
            "person": person,
            "name": None if person is None else words.names.people.get(person),
            "place": _place(tap),
            "door": tap.event.door_id,
            "access_point": tap.event.access_point_id,
            "before": tap.reason_before,
            "after": tap.after.reason,
            "unexplained": tap.unexplained,
        }
