"""docs/reference/rules.md: every rule with what sets it, what it can say and what proves it.

Owns the page's form. Its words are `rules_table`'s and `site_rules_table`'s; the rest is read from
the rules themselves, so that a rule without its row, or a row without its rule, is a KeyError.
"""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping

from gatewayd.console.texts import Texts
from gatewayd.domain import path_rules, policy
from gatewayd.domain.interlock import InterlockRule
from gatewayd.domain.model import AntiPassback, ModeSlot
from gatewayd.domain.modes import PRECEDENCE, OrderKey
from gatewayd.domain.verdict import Sentence
from gatewayd.reference.markdown import code, page, table
from gatewayd.reference.rules_table import DECISION, PATH, Row
from gatewayd.reference.site_rules_table import SITE
from gatewayd.reference.standards import ONVIF, STANDARDS
from gatewayd.settings.tables import table_models
from gatewayd.store import whitelist_records

_INTRO = """
What decides at a gate, rule by rule: what sets it, what it answers in the trace, and the tests that
prove it. Settings are those of [gatewayd.toml](settings.md), fields those of [the whitelist's
records](mqtt.md), reasons and alarms as [here](reasons.md) and [there](alarms.md).
"""
_DECISION = """
Tried in this order; the first that fails gives the denial its reason. A rule that does not apply
leaves no line. `warn`: it passed, but someone should know.
"""
_SITE = """
Rules of doors, areas and alarms. They hold whether or not anybody taps.
"""
_RECORDS = {
    "calendar": whitelist_records.CalendarRecord,
    "schedule": whitelist_records.ScheduleRecord,
    "group": whitelist_records.GroupRecord,
    "level": whitelist_records.LevelRecord,
    "person": whitelist_records.PersonRecord,
    "credential": whitelist_records.CredentialRecordLine,
}
_SLOT = {
    ModeSlot.FIRE: "a fire: LockedOpen, of escape doors; ended by a person alone",
    ModeSlot.OPERATOR: "an operator at the console",
    ModeSlot.CENTRE: "the centre: a command, or the state it wants",
    ModeSlot.LINKAGE: "a linkage of the settings",
    ModeSlot.SCHEDULE: "the door's own hours",
}
_PASSBACK = {
    AntiPassback.OFF: "nothing is asked",
    AntiPassback.SOFT: "the door opens, and an alarm says so",
    AntiPassback.HARD: "denied until they passed the other way, or anti-passback is reset for them",
    AntiPassback.TIMED: "denied for `forgive_min`; after it all is in order",
}
_INTERLOCK = {
    InterlockRule.ONE_OPEN: "several may be unlocked; the first that opens locks the others",
    InterlockRule.ONE_UNLOCKED: "while one is open or unlocked no second one is unlocked",
}


def rules_page() -> str:
    """The page. KeyError for a rule without its row, and for a name that is not there."""
    parts = [_INTRO, "# Rules of the decision", _DECISION]
    sentences = (*policy.SENTENCES, *path_rules.SENTENCES)
    for number, (rule, _) in enumerate(policy.RULES, 1):
        parts += _rule(f"## {number}. {rule}", rule, DECISION[rule], sentences)
    parts += ["# Rules of the tap's path"]
    for rule in dict.fromkeys(said.rule for said in path_rules.SENTENCES):
        parts += _rule(f"## {rule}", rule, PATH[rule], sentences)
    parts += ["# Rules of doors and of the site", _SITE]
    tables = _tables()
    for heading, row in SITE.items():
        parts += [f"## {heading}", row.decides, *tables.get(heading, ()), *_foot(row)]
    return page("Rules", "gatewayd/domain and gatewayd/reference/rules_table.py", *parts)


def rows() -> Mapping[str, Row]:
    """Every row of the page, by its rule or heading."""
    return {**DECISION, **PATH, **SITE}


def _rule(heading: str, rule: str, row: Row, sentences: Iterable[Sentence]) -> list[str]:
    texts = Texts.load().by_language
    said = [one for one in sentences if one.rule == rule]
    names = " · ".join(text[f"rule.{rule}"] for text in texts.values())
    head = ("saw", "result", "reason", *texts)
    lines = [
        (code(one.saw), str(one.result), code(one.reason or ""), *_words(one, texts.values()))
        for one in said
    ]
    reasons = dict.fromkeys(one.reason for one in said if one.reason is not None)
    return [
        heading,
        f"*{names}.* {row.decides}",
        table(head, lines),
        table(
            ("reason", "ONVIF", "standards"),
            ((code(reason), ONVIF[reason], STANDARDS.get(reason, "")) for reason in reasons),
        ),
        *_foot(row),
    ]


def _words(sentence: Sentence, texts: Iterable[Mapping[str, str]]) -> list[str]:
    return [text[f"trace.{sentence.rule}.{sentence.saw}"] for text in texts]


def _foot(row: Row) -> list[str]:
    facts = [
        ("Settings", _listed(map(_setting, row.settings))),
        ("Fields", _listed(map(_field, row.records))),
        ("Alarms", _listed(row.alarms)),
        ("Standards", row.standards),
    ]
    proofs = "\n".join(f"  - {code(test)}" for test in row.tests)
    return ["\n".join([f"- {name}: {what}" for name, what in facts if what] + ["- Tests:", proofs])]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(code(name) for name in names)


def _setting(name: str) -> str:
    table_name, _, key = name.partition(".")
    model, many = table_models()[table_name]
    model.model_fields[key]  # a KeyError where the settings have no such key
    return f"[[{table_name}]] {key}" if many else f"[{table_name}] {key}"


def _field(name: str) -> str:
    record, _, field = name.partition(".")
    typing.get_type_hints(_RECORDS[record])[field]
    return name


def _tables() -> dict[str, list[str]]:
    """What is a table in the code is one on the page."""
    orders = [(str(n), _order(key), _SLOT[key.slot]) for n, key in enumerate(PRECEDENCE, 1)]
    passback = [(code(kind), _PASSBACK[kind]) for kind in AntiPassback]
    interlock = [(code(kind), _INTERLOCK[kind]) for kind in InterlockRule]
    return {
        "Who wins over whom": [table(("", "order", "whose"), orders)],
        "Kinds of anti-passback": [
            table(("kind", "who is inside enters again, or leaves from elsewhere"), passback)
        ],
        "Kinds of interlock": [table(("kind", "what it means"), interlock)],
    }


def _order(key: OrderKey) -> str:
    return f"{key.slot}, LockedDown" if key.lockdown else str(key.slot)
