"""Opening SQLite files the house's way: durable, migrated, and with errors that say what to do."""

from __future__ import annotations

import os
import sqlite3
from importlib.resources import files
from pathlib import Path

import aiosqlite

BUSY_MS = 2_000  # another process (a backup, sqlite3 by hand) may hold the file for this long
CACHE_KB = 2_000


class SchemaError(OSError):
    """The file is not one this program wrote, or one of a version it does not know."""


def pragmas() -> str:
    """WAL with synchronous=FULL: NORMAL loses committed rows at power loss (central-link)."""
    return (
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
        f"PRAGMA busy_timeout={BUSY_MS}; PRAGMA cache_size=-{CACHE_KB};"
    )


def migrations(name: str) -> list[tuple[int, str]]:
    """(version, SQL) of each step in `migrations/<name>/`, ascending: 0001_first.sql is 1."""
    folder = files("gatewayd.store") / "migrations" / name
    steps = [
        (int(entry.name.split("_")[0]), entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(steps)


async def connect(path: Path, name: str) -> aiosqlite.Connection:
    """Open `path` for writing and bring it to the newest version of `migrations/<name>`.

    Raises sqlite3.Error where the file is damaged or locked, SchemaError where it was written by
    a newer gatewayd or another program, and OSError where there can be no such file. Each
    migration is one transaction: a power cut leaves it done or not. The connection begins no
    transaction of its own accord: a statement outside of BEGIN … COMMIT is one by itself.
    """
    create_private(path)
    database = await aiosqlite.connect(path, isolation_level=None)
    try:
        await database.executescript(pragmas())
        await _migrate(database, path, name)
    except BaseException:
        await database.close()
        raise
    return database


def create_private(path: Path) -> None:
    """Make the file, where there is none, for its owner only; SQLite's -wal and -shm follow it."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))


async def _migrate(database: aiosqlite.Connection, path: Path, name: str) -> None:
    steps = migrations(name)
    version = await user_version(database)
    async with database.execute("SELECT count(*) FROM sqlite_master") as cursor:
        row = await cursor.fetchone()
    if version == 0 and row is not None and row[0]:
        raise SchemaError(
            f"{path} is another program's database: "
            "give gatewayd a folder of its own ([storage] directory)"
        )
    newest = steps[-1][0]
    if version > newest:
        raise SchemaError(
            f"{path} has version {version}, this gatewayd knows up to {newest}: "
            "install the newer gatewayd again, or restore the file of before the update"
        )
    for number, sql in steps:
        if number > version:
            script = f"BEGIN IMMEDIATE; {sql} PRAGMA user_version={number}; COMMIT;"
            await database.executescript(script)


async def user_version(database: aiosqlite.Connection) -> int:
    async with database.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


def explain(path: Path, operation: str, error: sqlite3.Error) -> str:
    """Operation, file and what to do, in one line."""
    hints = {
        "SQLITE_FULL": "make room on this file system",
        "SQLITE_BUSY": "another process holds the file; close it",
        "SQLITE_LOCKED": "another process holds the file; close it",
        "SQLITE_NOTADB": "the file is not a database; set it aside and restore a backup",
        "SQLITE_CORRUPT": "the file is damaged; set it aside, run: gatewayd verify",
        "SQLITE_READONLY": "the file or its folder can't be written; check the mount",
        "SQLITE_IOERR": "the disk reports an error; check the system's log",
    }
    code = getattr(error, "sqlite_errorname", "") or ""
    hint = next((text for prefix, text in hints.items() if code.startswith(prefix)), "")
    return f"{path}: {operation}: {error}" + (f" ({hint})" if hint else "")
