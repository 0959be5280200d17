"""The commands `why`, `replay` and `simulate-access`: their words read, their answers given back.

Owns what the arguments mean. Each returns the text to print and whether all is as it was hoped for;
InquiryError says what can't be answered. Prints nothing.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from datetime import datetime
from typing import Any

from gatewayd.domain.ports import JournalError, WhitelistReadError
from gatewayd.inquiry import replay_report, what_if, why
from gatewayd.inquiry.past import DECISIONS
from gatewayd.inquiry.replay import Replay, Report, index
from gatewayd.inquiry.sources import InquiryError, Place, current_list, list_at, secret_of
from gatewayd.store.journal_file import JournalFile, open_journal
from gatewayd.store.whitelist_revision import OpenRevision

Told = tuple[str, bool]


def answer_why(arguments: Namespace, place: Place, now_ms: int) -> Told:
    answer = why.why(place, arguments.seq, arguments.lang, now_ms // 1000)
    return _json(why.as_json(answer)) if arguments.json else why.as_text(answer), True


def answer_what_if(arguments: Namespace, place: Place, now_ms: int) -> Told:
    """True where it would be granted."""
    at_ms = now_ms if arguments.at is None else _moment_ms("--at", arguments.at, place)
    question = what_if.Question(
        arguments.who,
        arguments.door,
        arguments.reader,
        at_ms,
        what_if.PINS[arguments.pin],
        arguments.inside,
        arguments.after,
        what_if.VEHICLE.get(arguments.vehicle),
    )
    answer = what_if.what_if(place, question, arguments.lang, now_ms // 1000)
    text = _json(what_if.as_json(answer)) if arguments.json else what_if.as_text(answer)
    return text, answer.granted


def answer_replay(
    arguments: Namespace, place: Place, now_ms: int, tell: Callable[[int, int], None]
) -> Told:
    """True where nothing changed. `tell` is called with how many rows of how many are done."""
    own = arguments.whitelist is None
    opened = current_list(place) if own else list_at(arguments.whitelist)
    try:
        with opened as listed, open_journal(place.journal_file) as journal:
            first, last = _range(arguments, journal, place)
            report = _replayed(place, listed, journal, first, last, own, tell)
            words = replay_report.words_for(report, place, listed, arguments.lang, now_ms // 1000)
    except (JournalError, WhitelistReadError) as error:
        raise InquiryError(str(error)) from error
    if arguments.json:
        return _json(replay_report.as_json(report, words)), not report.changed
    return replay_report.as_text(report, words, place), not report.changed


def _replayed(
    place: Place,
    listed: OpenRevision,
    journal: JournalFile,
    first: int,
    last: int,
    own: bool,
    tell: Callable[[int, int], None],
) -> Report:
    wanted = journal.digests(DECISIONS, first, last)
    credentials = index(listed, secret_of(place), wanted)
    report = Report(first, last, listed.revision)
    replay = Replay(place, listed, credentials, own_list=own)
    for tap in replay.run(
        journal, first, last, lambda seq: tell(seq - first + 1, last - first + 1)
    ):
        if tap is None:
            report.elsewhere += 1
        else:
            report.add(tap)
    return report


def _range(arguments: Namespace, journal: JournalFile, place: Place) -> tuple[int, int]:
    """The first and the last seq of the range."""
    first, last = 1, journal.last_seq()
    if arguments.first is not None:
        first = max(1, _seq("--from", arguments.first, journal, place))
    if arguments.last is not None:
        last = min(last, _seq("--to", arguments.last, journal, place, until=True))
    if first > last:
        raise InquiryError(f"{journal.path}: there is nothing from {first} to {last}")
    return first, last


def _seq(option: str, text: str, journal: JournalFile, place: Place, *, until: bool = False) -> int:
    """A seq as it is; a moment is the first event from then on, or the last before it."""
    if text.isdecimal() and text.isascii():
        return int(text)
    seq = journal.first_at(_moment_ms(option, text, place))
    return seq - 1 if until else seq


def _moment_ms(option: str, text: str, place: Place) -> int:
    """Of the site's own time, unless the text names another."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InquiryError(
            f'{option} {text}: not a time: write it as "2026-11-30 06:30" (the site\'s own time)'
        ) from None
    local = moment if moment.tzinfo is not None else moment.replace(tzinfo=place.zone)
    return round(local.timestamp() * 1000)


def _json(answer: dict[str, Any]) -> str:
    return json.dumps(answer, ensure_ascii=False, indent=2)
