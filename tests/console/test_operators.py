"""operators.db and the file that the first operators come from."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import patch

import pytest

from gatewayd.domain.model import Stamp
from gatewayd.store.operators import (
    Operator,
    OperatorStore,
    OperatorStoreError,
    Role,
    age_ms,
    hash_password,
    session_id,
    verify_password,
)
from gatewayd.store.operators_file import OperatorsFileError, read_operators_file
from tests.clock import ManualClock
from tests.console.rig import HASH, PASSWORD

LI = Operator("li", Role.GUARD, HASH)


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[OperatorStore]:
    opened = await OperatorStore.open(tmp_path / "operators.db", clock, life_s=3600, idle_s=600)
    await opened.add_first([LI])
    yield opened
    await opened.close()


def test_a_password_is_kept_as_argon2id_and_found_again() -> None:
    encoded = hash_password("correct horse")
    assert encoded.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert verify_password(encoded, "correct horse")
    assert not verify_password(encoded, "wrong horse")
    assert not verify_password(None, "correct horse")
    assert not verify_password("no hash at all", "correct horse")


def test_neither_hash_nor_password_is_in_a_repr() -> None:
    assert HASH not in repr(LI)


async def test_the_first_operators_come_in_once(store: OperatorStore) -> None:
    assert await store.add_first([Operator("mallory", Role.ADMINISTRATOR, HASH)]) == 0
    assert await store.operators() == [LI]


async def test_no_first_operators_is_nobody(tmp_path: Path, clock: ManualClock) -> None:
    store = await OperatorStore.open(tmp_path / "empty.db", clock)
    assert await store.add_first([]) == 0
    assert await store.operator("li") is None
    await store.close()


async def test_a_session_is_found_by_its_token_only(store: OperatorStore) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    session = await store.session(token)
    assert session is not None
    assert session.operator == LI
    assert session.id == session_id(token)
    assert token not in repr(session)
    assert await store.session(token + "x") is None


async def test_the_file_holds_no_token(store: OperatorStore, tmp_path: Path) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    with sqlite3.connect(tmp_path / "operators.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    assert token not in dump
    assert PASSWORD not in dump


async def test_a_session_ends_after_its_life_however_busy(
    store: OperatorStore, clock: ManualClock
) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    for _ in range(7):
        await clock.advance(500)
        session = await store.session(token)
        assert session is not None
        store.seen(token, session)
        await store.write_seen()
    await clock.advance(101)
    assert await store.session(token) is None


async def test_a_session_ends_when_its_page_is_gone(
    store: OperatorStore, clock: ManualClock
) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    await clock.advance(601)
    assert await store.session(token) is None


async def test_the_last_use_is_written_once_a_minute_at_most(
    store: OperatorStore, clock: ManualClock
) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    session = await store.session(token)
    assert session is not None
    await clock.advance(59)
    store.seen(token, session)
    await store.write_seen()
    later = await store.session(token)
    assert later == session


async def test_a_clock_that_jumps_a_year_ends_no_session(
    store: OperatorStore, clock: ManualClock
) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    clock.jump_wall(365 * 86_400)
    assert await store.session(token) is not None
    clock.jump_wall(-730 * 86_400)
    assert await store.session(token) is not None


async def test_after_a_restart_of_the_box_the_wall_decides(
    store: OperatorStore, clock: ManualClock
) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    clock.boot_id = "boot-2"
    await clock.advance(60)
    assert await store.session(token) is not None
    clock.jump_wall(-3600)
    assert await store.session(token) is None


def test_an_age_is_negative_only_where_the_wall_was_set_back_over_a_restart() -> None:
    before, after = Stamp("a", 10, 5_000, True), Stamp("b", 3, 2_000, True)
    assert age_ms(before, after) == -3_000


async def test_what_a_full_disk_does_not_take_counts_all_the_same(
    store: OperatorStore, clock: ManualClock
) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    full = OperatorStoreError("operators.db: write: database or disk is full")
    for _ in range(3):
        await clock.advance(500)
        session = await store.session(token)
        assert session is not None  # although the file says that it was idle for ten minutes
        assert store.seen(token, session)
        with patch.object(store, "_write", side_effect=full), pytest.raises(OperatorStoreError):
            await store.write_seen()
    await store.begin_session("li", "10.0.0.6")
    assert await store.session(token) is not None


async def test_a_write_that_hangs_holds_up_no_reading(store: OperatorStore) -> None:
    goes_on = threading.Event()
    work = store._database._execute(goes_on.wait)  # type: ignore[no-untyped-call]  # the thread that writes
    hanging = asyncio.create_task(work)
    await asyncio.sleep(0)  # it is in that thread's queue
    try:
        async with asyncio.timeout(5):
            assert await store.operator("li") == LI
    finally:
        goes_on.set()
        await hanging


async def test_old_sessions_make_room_and_ended_ones_go(
    store: OperatorStore, clock: ManualClock, tmp_path: Path
) -> None:
    tokens = []
    for _ in range(21):
        tokens.append(await store.begin_session("li", "10.0.0.5"))
        await clock.advance(1)
    assert await store.session(tokens[0]) is None
    assert await store.session(tokens[1]) is not None
    await clock.advance(700)
    await store.begin_session("li", "10.0.0.5")
    with sqlite3.connect(tmp_path / "operators.db") as database:
        [(count,)] = database.execute("SELECT count(*) FROM session")
    database.close()
    assert count == 1


async def test_an_operator_who_goes_takes_the_sessions_along(store: OperatorStore) -> None:
    token = await store.begin_session("li", "10.0.0.5")
    await store._write("DELETE FROM operator WHERE name = 'li'")
    assert await store.session(token) is None


async def test_a_session_of_nobody_is_refused_by_the_file_itself(store: OperatorStore) -> None:
    with pytest.raises(OperatorStoreError, match=r"operators\.db: write: FOREIGN KEY"):
        await store.begin_session("nobody", "10.0.0.5")


async def test_a_damaged_file_is_named(tmp_path: Path, clock: ManualClock) -> None:
    path = tmp_path / "operators.db"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(OperatorStoreError, match=r"operators\.db: open: .*not a database"):
        await OperatorStore.open(path, clock)


async def test_a_file_that_lost_its_tables_is_a_declared_error(store: OperatorStore) -> None:
    await store._write("DROP TABLE operator")
    with pytest.raises(OperatorStoreError, match="read: no such table"):
        await store.operators()
    with pytest.raises(OperatorStoreError, match="write: no such table"):
        await store.put(LI)


# ------------------------------------------------------------------------------- the file


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_the_first_operators_are_read_from_toml(tmp_path: Path) -> None:
    path = write(
        tmp_path / "operators.toml",
        f"""
        [[operator]]
        name = "王班长"
        role = "leader"
        password_hash = "{HASH}"

        [[operator]]
        name = "li guard"
        role = "guard"
        password_hash = "{HASH}"
        language = "en"
        must_change_password = true
        """,
    )
    assert read_operators_file(path) == [
        Operator("王班长", Role.LEADER, HASH),
        Operator("li guard", Role.GUARD, HASH, "en", must_change_password=True),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("operator = ", "no TOML"),
        ("", "there is no .*operator.* in it"),
        ("operator = [1]", "operator 1: must be a table"),
        ('[[operator]]\nname = "a"\nrole = "guard"', "operator 'a': password_hash: is missing"),
        (
            '[[operator]]\nname = "a"\nrole = "boss"\npassword_hash = "x"',
            "operator 'a': role: must be one of 'guard', 'leader', 'manager', 'administrator'",
        ),
        (
            f'[[operator]]\nname = "a"\nrole = "guard"\npassword_hash = "{HASH[:-30]}"',
            "operator 'a': password_hash: is no argon2id hash",
        ),
        (
            f'[[operator]]\nname = "a"\nrole = "guard"\npassword_hash = "{HASH}"\nphone = 1',
            "operator 'a': phone: is not a known key",
        ),
        (
            '[[operator]]\nname = "a"\nrole = "guard"\npassword_hash = "plain"',
            "operator 'a': password_hash: .*run: gatewayd hash-password",
        ),
        (
            f'[[operator]]\nname = " a"\nrole = "guard"\npassword_hash = "{HASH}"',
            "operator 1: name: must be",
        ),
        (
            f'[[operator]]\nname = "a"\nrole = "guard"\npassword_hash = "{HASH}"\n' * 2,
            "named twice: a",
        ),
    ],
)
def test_what_is_wrong_in_the_file_is_named_without_the_hash(
    tmp_path: Path, text: str, message: str
) -> None:
    path = write(tmp_path / "operators.toml", text)
    with pytest.raises(OperatorsFileError, match=message) as caught:
        read_operators_file(path)
    assert str(caught.value).startswith(str(path))
    assert "plain" not in str(caught.value).replace("hash-password", "")
