"""Who may sit at the console and who does now: operators and sessions in operators.db.

Owns password hashing and the life of sessions. Must not know HTTP, nor what a role may do (the
console's table says that), and keeps neither a password nor a session's token: only their hashes.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import aiosqlite
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from gatewayd.domain.model import NS_PER_MS, Stamp
from gatewayd.domain.ports import Clock
from gatewayd.store import sqlite

TOKEN_BYTES = 32  # 256 bits: not to be guessed, so its SHA-256 needs no salt
MAX_SESSIONS = 20  # of one operator; the oldest ends where another begins
SEEN_EVERY_MS = 60_000  # a session's last use is written at most this often
MIN_PASSWORD = 10  # characters, of those that people choose
MAX_PASSWORD = 256  # characters; past it hashing would be work for whoever asks

# OWASP's argon2id for small machines: 19 MiB, 2 passes. More memory would take it from cameras.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# What an unknown name is checked against, so that its refusal takes as long as any other.
_NOBODY = (
    "$argon2id$v=19$m=19456,t=2,p=1$z/rOsYMTZjZ7cO+IDnFEww$"
    "ERAvXYQ7f3Sil3VRvfsB3PbxrOEVjbplp44ZVaMWU+g"
)


class Role(StrEnum):
    """保安, 班长, 物业经理, 管理员: each may do what the one before may, and more."""

    GUARD = "guard"
    LEADER = "leader"
    MANAGER = "manager"
    ADMINISTRATOR = "administrator"


class OperatorStoreError(OSError):
    """operators.db can't be read or written now."""


@dataclass(frozen=True, slots=True)
class Operator:
    name: str
    role: Role
    password_hash: str = field(repr=False)
    language: str = ""  # "": not chosen yet, the first log-in's page chooses
    enabled: bool = True
    must_change_password: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A log-in that still holds. `id` names it without being able to open anything."""

    id: str
    operator: Operator
    begun: Stamp
    seen: Stamp


def hash_password(text: str) -> str:
    """argon2id in its encoded form; some 20 ms of one core. ValueError for an unusable password."""
    if not 1 <= len(text) <= MAX_PASSWORD:
        raise ValueError(f"a password has 1 to {MAX_PASSWORD} characters")
    return _HASHER.hash(text)


def verify_password(encoded: str | None, text: str) -> bool:
    """Whether `text` is the password. None (an unknown name) costs the same and is never true."""
    try:
        _HASHER.verify(encoded or _NOBODY, text[:MAX_PASSWORD])
    except (VerificationError, InvalidHashError):
        return False
    return encoded is not None


def session_id(token: str) -> str:
    """The id of the session that `token` opens: 16 hexadecimal digits of its hash."""
    return _digest(token).hex()[:16]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def age_ms(since: Stamp, now: Stamp) -> int:
    """Milliseconds from one moment to the other; negative where only the wall can tell and it was
    set back. Within one boot a jump of the wall's clock changes nothing."""
    if since.boot_id == now.boot_id:
        return (now.monotonic_ns - since.monotonic_ns) // NS_PER_MS
    return now.wall_ms - since.wall_ms


_SESSION = """SELECT s.begun_boot, s.begun_ns, s.begun_ms, s.seen_boot, s.seen_ns, s.seen_ms,
    o.name, o.role, o.password_hash, o.language, o.enabled, o.must_change_password
    FROM session s JOIN operator o ON o.name = s.operator WHERE s.token_sha256 = ?"""
_OPERATOR = (
    "SELECT name, role, password_hash, language, enabled, must_change_password FROM operator"
)


class OperatorStore:
    """Made by `open`. Every method raises OperatorStoreError where the file can't be used."""

    def __init__(
        self,
        path: Path,
        database: aiosqlite.Connection,
        reading: aiosqlite.Connection,
        clock: Clock,
        *,
        life_s: float,
        idle_s: float,
    ) -> None:
        self._path = path
        self._database = database
        self._reading = reading  # of its own: a write that hangs must not hold up the next request
        self._unwritten: dict[bytes, Stamp] = {}  # sessions' last uses, by the token's hash
        self._clock = clock
        self._life_ms = round(life_s * 1000)
        self._idle_ms = round(idle_s * 1000)
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(
        cls, path: Path, clock: Clock, *, life_s: float = 12 * 3600, idle_s: float = 1800
    ) -> OperatorStore:
        """Open or make the file. A session ends `life_s` after its log-in, or `idle_s` after its
        page was last there, whichever comes first."""
        try:
            database = await sqlite.connect(path, "operators")
        except sqlite3.Error as error:
            raise OperatorStoreError(sqlite.explain(path, "open", error)) from error
        try:
            reading = await aiosqlite.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            await database.close()
            raise OperatorStoreError(sqlite.explain(path, "open", error)) from error
        store = cls(path, database, reading, clock, life_s=life_s, idle_s=idle_s)
        try:
            await store._write("PRAGMA foreign_keys=ON")
        except OperatorStoreError:
            await store.close()
            raise
        return store

    async def close(self) -> None:
        await self._reading.close()
        await self._database.close()

    # ----------------------------------------------------------------------------- operators

    async def add_first(self, operators: Sequence[Operator]) -> int:
        """Take these in where there is nobody yet; returns how many were taken (0 or all)."""
        async with self._one_at_a_time:
            [(count,)] = await self._rows("SELECT count(*) FROM operator")
            if count or not operators:
                return 0
            values = [value for operator in operators for value in _values(operator)]
            rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(operators))
            await self._write(f"INSERT INTO operator VALUES {rows}", *values)  # noqa: S608  # only question marks
            return len(operators)

    async def put(self, operator: Operator) -> None:
        """Add the operator, or change the one of that name. A new password, a lower right or
        `enabled=False` counts from the next request on."""
        await self._write(
            """INSERT INTO operator VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
            role = excluded.role, password_hash = excluded.password_hash,
            language = excluded.language, enabled = excluded.enabled,
            must_change_password = excluded.must_change_password""",
            *_values(operator),
        )

    async def set_language(self, name: str, language: str) -> None:
        await self._write("UPDATE operator SET language = ? WHERE name = ?", language, name)

    async def set_password(self, name: str, password_hash: str) -> None:
        """Chosen by the operator: a first password that had to be changed now has been."""
        sql = "UPDATE operator SET password_hash = ?, must_change_password = 0 WHERE name = ?"
        await self._write(sql, password_hash, name)

    async def operator(self, name: str) -> Operator | None:
        rows = await self._rows(f"{_OPERATOR} WHERE name = ?", name)
        return _operator_of(rows[0]) if rows else None

    async def operators(self) -> list[Operator]:
        """All, by name."""
        return [_operator_of(row) for row in await self._rows(f"{_OPERATOR} ORDER BY name")]

    # ------------------------------------------------------------------------------ sessions

    async def begin_session(self, operator: str, address: str) -> str:
        """The token of a new session, told once. Ends this operator's oldest beyond the cap, and
        removes everybody's that are over."""
        token = token_urlsafe(TOKEN_BYTES)
        now = self._clock.now()
        moment = (now.boot_id, now.monotonic_ns, now.wall_ms)
        await self.write_seen()  # or those would count as idle
        async with self._one_at_a_time:
            await self._remove_ended(now)
            await self._write(
                """DELETE FROM session WHERE token_sha256 IN (SELECT token_sha256 FROM session
                WHERE operator = ? ORDER BY begun_ms DESC LIMIT -1 OFFSET ?)""",
                operator,
                MAX_SESSIONS - 1,
            )
            await self._write(
                "INSERT INTO session VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                _digest(token),
                operator,
                address,
                *moment,
                *moment,
            )
        return token

    async def session(self, token: str) -> Session | None:
        """The session that the token opens, or None: unknown, over, idle, operator disabled."""
        rows = await self._rows(_SESSION, _digest(token))
        if not rows:
            return None
        begun, seen = _moments(rows[0][:6])
        seen = self._unwritten.get(_digest(token), seen)
        found = Session(session_id(token), _operator_of(rows[0][6:]), begun, seen)
        return found if found.operator.enabled and self._holds(found, self._clock.now()) else None

    def seen(self, token: str, session: Session) -> bool:
        """The session's page is there; noted at most once a minute. True: `write_seen` is due."""
        now = self._clock.now()
        if 0 <= age_ms(session.seen, now) < SEEN_EVERY_MS:
            return False
        self._unwritten[_digest(token)] = now
        return True

    async def write_seen(self) -> None:
        """Write what `seen` noted. What can't be written counts all the same until the restart."""
        while self._unwritten:
            digest, seen = next(iter(self._unwritten.items()))
            await self._write(
                "UPDATE session SET seen_boot = ?, seen_ns = ?, seen_ms = ? WHERE token_sha256 = ?",
                seen.boot_id,
                seen.monotonic_ns,
                seen.wall_ms,
                digest,
            )
            if self._unwritten.get(digest) == seen:
                del self._unwritten[digest]

    async def end_session(self, token: str) -> None:
        self._unwritten.pop(_digest(token), None)
        await self._write("DELETE FROM session WHERE token_sha256 = ?", _digest(token))

    async def end_others(self, operator: str, token: str) -> None:
        """All sessions of the operator but this one: after a change of password."""
        sql = "DELETE FROM session WHERE operator = ? AND token_sha256 <> ?"
        await self._write(sql, operator, _digest(token))

    def ends_ms(self, session: Session) -> int:
        """When the session ends by the wall's clock, however busy it is."""
        now = self._clock.now()
        return now.wall_ms + self._life_ms - age_ms(session.begun, now)

    def _holds(self, session: Session, now: Stamp) -> bool:
        begun, seen = age_ms(session.begun, now), age_ms(session.seen, now)
        return 0 <= begun < self._life_ms and 0 <= seen < self._idle_ms

    async def _remove_ended(self, now: Stamp) -> None:
        await self._write(
            """DELETE FROM session WHERE ?4 <=
            CASE WHEN begun_boot = ?1 THEN (?2 - begun_ns) / 1000000 ELSE ?3 - begun_ms END
            OR ?5 <=
            CASE WHEN seen_boot = ?1 THEN (?2 - seen_ns) / 1000000 ELSE ?3 - seen_ms END""",
            now.boot_id,
            now.monotonic_ns,
            now.wall_ms,
            self._life_ms,
            self._idle_ms,
        )

    # ----------------------------------------------------------------------------------- SQL

    async def _rows(self, sql: str, *values: Any) -> list[Any]:  # noqa: ANN401  # SQL values
        try:
            return list(await self._reading.execute_fetchall(sql, values))
        except sqlite3.Error as error:
            raise OperatorStoreError(sqlite.explain(self._path, "read", error)) from error

    async def _write(self, sql: str, *values: Any) -> None:  # noqa: ANN401  # SQL values
        """One statement, which is one durable transaction."""
        try:
            async with self._database.execute(sql, values):
                pass
        except sqlite3.Error as error:
            raise OperatorStoreError(sqlite.explain(self._path, "write", error)) from error


def _values(operator: Operator) -> tuple[Any, ...]:
    return (
        operator.name,
        operator.role.value,
        operator.password_hash,
        operator.language,
        int(operator.enabled),
        int(operator.must_change_password),
    )


def _operator_of(row: Sequence[Any]) -> Operator:
    name, role, password_hash, language, enabled, must_change = row
    return Operator(name, Role(role), password_hash, language, bool(enabled), bool(must_change))


def _moments(row: Sequence[Any]) -> tuple[Stamp, Stamp]:
    """Whether the wall was trusted then is of no matter here."""
    begun_boot, begun_ns, begun_ms, seen_boot, seen_ns, seen_ms = row
    return Stamp(begun_boot, begun_ns, begun_ms, True), Stamp(seen_boot, seen_ns, seen_ms, True)
