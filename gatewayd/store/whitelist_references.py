"""Every id that a whitelist names is in it: a list with holes would decide wrongly.

A full list is checked as a whole; of a delta only what it touched, since a million others were
checked before. Errors name the line that is to blame, never a person.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping

from gatewayd.store.whitelist_records import (
    DeleteRecord,
    LevelRecord,
    ScheduleRecord,
    WhitelistDataError,
)

_NO_PERSON = "credential: its person is not in the list"
_NAMERS = ("schedule", "level")  # calendars and groups name nothing that the list has
_Lines = Mapping[tuple[str, str], int]


def check_all(database: sqlite3.Connection) -> None:
    """A full list. Raises WhitelistDataError."""
    _refuse(
        database,
        """SELECT min(line) FROM credential
        WHERE NOT EXISTS (SELECT 1 FROM person WHERE person.id = credential.person_id)""",
        _NO_PERSON,
    )
    known = _check_rules(database, {})
    for levels, line in database.execute("SELECT levels, min(line) FROM person GROUP BY levels"):
        _check_known("person: its level", levels.split(), known["level"], line)


class Touched:
    """What a delta has put and deleted, with its lines; `check` looks at the state after all."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self._rules_gone: dict[tuple[str, str], int] = {}
        # In tables, not in memory: a delta may be as long as a list.
        for table, columns in (
            ("put_credential", "id INTEGER, key TEXT, line INTEGER, PRIMARY KEY (id, key)"),
            ("put_person", "id TEXT PRIMARY KEY, line INTEGER"),
            ("gone_person", "id TEXT PRIMARY KEY, line INTEGER"),
        ):
            database.execute(f"CREATE TEMP TABLE {table} ({columns})")

    def put_credential(self, id_: int, key: str, line: int) -> None:
        sql = "INSERT OR REPLACE INTO put_credential VALUES (?, ?, ?)"
        self._database.execute(sql, (id_, key, line))

    def put_person(self, id_: str, line: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO put_person VALUES (?, ?)", (id_, line))

    def deleted(self, record: DeleteRecord, line: int) -> None:
        if record.of == "person":
            sql = "INSERT OR REPLACE INTO gone_person VALUES (?, ?)"
            self._database.execute(sql, (record.id, line))
        elif record.of != "credential":
            self._rules_gone[record.of, record.id] = line

    def check(self) -> None:
        """Raises WhitelistDataError for the first reference that leads nowhere."""
        database = self._database
        _refuse(
            database,
            """SELECT min(put.line) FROM put_credential AS put CROSS JOIN credential AS c
            ON c.id = put.id AND c.key = put.key
            WHERE NOT EXISTS (SELECT 1 FROM person WHERE person.id = c.person_id)""",
            _NO_PERSON,
        )
        gone = "NOT EXISTS (SELECT 1 FROM person WHERE person.id = touched.id)"
        sql = f"SELECT count(*) FROM gone_person AS touched WHERE {gone}"  # noqa: S608  # constant
        if database.execute(sql).fetchone()[0]:  # else a million rows need not be read
            sql = f"""SELECT min(touched.line) FROM credential CROSS JOIN gone_person AS touched
                ON touched.id = credential.person_id WHERE {gone}"""  # noqa: S608  # constant
            _refuse(database, sql, "delete: a credential of this person is still in the list")
        self._check_levels(_check_rules(database, self._rules_gone)["level"])

    def _check_levels(self, known: set[str]) -> None:
        put = """SELECT person.levels, min(put.line) FROM put_person AS put CROSS JOIN person
            ON person.id = put.id GROUP BY person.levels"""
        for levels, line in self._database.execute(put):
            _check_known("person: its level", levels.split(), known, line)
        gone = [(id_, n) for (kind, id_), n in self._rules_gone.items() if kind == "level"]
        if not any(id_ not in known for id_, _ in gone):
            return
        used = {
            level
            for (levels,) in self._database.execute("SELECT DISTINCT levels FROM person")
            for level in levels.split()
        }
        for id_, line in gone:
            if id_ in used and id_ not in known:
                raise WhitelistDataError(line, "delete: a person still has this level")


def _refuse(database: sqlite3.Connection, sql: str, what: str) -> None:
    """`sql` finds the line to blame, or NULL."""
    [(line,)] = database.execute(sql)
    if line is not None:
        raise WhitelistDataError(line, what)


def _check_rules(database: sqlite3.Connection, gone: _Lines) -> dict[str, set[str]]:
    """The ids of the small tables. A name that leads nowhere is blamed on the line that deleted
    it, else on the line that names it."""
    known: dict[str, set[str]] = {kind: set() for kind in ("calendar", "group", *_NAMERS)}
    for kind, id_ in database.execute("SELECT kind, id FROM rule"):
        known[kind].add(id_)
    rules = database.execute("SELECT kind, record, line FROM rule WHERE kind IN (?, ?)", _NAMERS)
    for kind, text, line in rules.fetchall():
        for of, names in _named(kind, text).items():
            for name in names:
                if name not in known[of] and (of, name) in gone:
                    raise WhitelistDataError(gone[of, name], f"delete: a {kind} still names it")
            _check_known(f"{kind}: its {of}", names, known[of], line)
    return known


def _named(kind: str, text: str) -> dict[str, list[str]]:
    """What a rule names, by kind."""
    if kind == "level":
        level = LevelRecord.model_validate_json(text)
        return {"schedule": [level.schedule], "group": level.groups}
    return {"calendar": ScheduleRecord.model_validate_json(text).calendars}


def _check_known(what: str, named: Iterable[str], known: set[str], line: int) -> None:
    for name in named:
        if name not in known:
            raise WhitelistDataError(line, f"{what} {name!r} is not in the list")
