"""`gatewayd verify` names the first bad row, whatever was done to the file."""

from __future__ import annotations

import random
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.domain.events import Stream
from gatewayd.store.chain import Row, first_hash, row_hash
from gatewayd.store.journal import JournalStore
from gatewayd.store.verify import VerifyError, verify
from tests.clock import ManualClock
from tests.store.samples import SECRET, closed, denied

ROOT = Path(__file__).parents[2]
ROWS = 40


async def written(path: Path) -> None:
    clock = ManualClock()
    store = await JournalStore.open(path, clock, secret=SECRET)
    async with store.running():
        for n in range(ROWS):
            stamp = replace(clock.now(), monotonic_ns=n)
            await store.append(denied(n) if n % 3 else closed(), stamp)
        await store.acknowledge(Stream.EVENTS, store.epoch, ROWS)


def damage(path: Path, *statements: str) -> None:
    database = sqlite3.connect(path)
    database.execute("DROP TRIGGER IF EXISTS event_is_never_edited")
    database.execute("DROP TRIGGER IF EXISTS event_is_never_deleted")
    for sql in statements:
        database.execute(sql)
    database.commit()
    database.close()


async def test_a_journal_as_written_verifies_whole_and_in_part(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    report = verify(path)
    assert (report.bad, report.checked, report.last_seq) == (None, ROWS, ROWS)
    assert verify(path, first=10, last=20).checked == 11


@pytest.mark.parametrize(
    ("statement", "seq", "what"),
    [
        ("UPDATE event SET data = replace(data, 'main', 'side') WHERE seq = 7", 7, "edited"),
        ("UPDATE event SET wall_ms = wall_ms + 1 WHERE seq = 1", 1, "edited"),
        ("DELETE FROM event WHERE seq = 5", 5, "missing"),
        ("DELETE FROM event WHERE seq = 1", 1, "missing"),
        ("DELETE FROM event WHERE seq > 30", 31, "truncated"),
        ("INSERT INTO event SELECT -1, prev, stream, kind, subject, boot, mono_ns, wall_ms,"
         " trusted, data, hash FROM event WHERE seq = 3", -1, "inserted"),
        ("INSERT INTO event SELECT 41, prev, stream, kind, subject, boot, mono_ns, wall_ms,"
         " trusted, data, hash FROM event WHERE seq = 40", 41, "edited"),
        ("UPDATE journal SET epoch = 'ffffffffffffffff'", 1, "foreign epoch"),
        ("UPDATE event SET subject = CAST(x'ff' AS TEXT) WHERE seq = 6", 6, "edited"),
        ("UPDATE event SET hash = zeroblob(32) WHERE seq = 40", 40, "edited"),
    ],
)  # fmt: skip
async def test_each_kind_of_damage_is_named_at_its_row(
    tmp_path: Path, statement: str, seq: int, what: str
) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    damage(path, statement)
    bad = verify(path).bad
    assert bad is not None
    assert (bad.seq, bad.what) == (seq, what)


async def test_two_rows_exchanged_are_found_at_the_first(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    damage(
        path,
        "UPDATE event SET seq = 1000 WHERE seq = 8",
        "UPDATE event SET seq = 8 WHERE seq = 9",
        "UPDATE event SET seq = 9 WHERE seq = 1000",
    )
    bad = verify(path).bad
    assert bad is not None
    assert (bad.seq, bad.what) == (8, "reordered")


SHIFT = (
    "UPDATE event SET seq = -seq WHERE seq >= {n}",
    "UPDATE event SET seq = 1 - seq WHERE seq < 0",
)
COPY = """INSERT INTO event SELECT {n}, prev, stream, kind, subject, boot, mono_ns, wall_ms,
    trusted, data, hash FROM event WHERE seq = 3"""


@pytest.mark.parametrize("n", [5, 40])
async def test_a_row_put_between_others_is_named(tmp_path: Path, n: int) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    damage(path, *(sql.format(n=n) for sql in (*SHIFT, COPY)))
    bad = verify(path).bad
    assert bad is not None
    assert (bad.seq, bad.what) == (n, "inserted")


async def test_a_row_taken_out_with_the_rest_renumbered_is_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    damage(
        path,
        "DELETE FROM event WHERE seq = 9",
        "UPDATE event SET seq = -seq WHERE seq > 9",
        "UPDATE event SET seq = -1 - seq WHERE seq < 0",
    )
    bad = verify(path).bad
    assert bad is not None
    assert (bad.seq, bad.what) == (9, "foreign epoch")
    assert "taken out" in bad.detail


async def test_rows_of_another_journal_are_named(tmp_path: Path) -> None:
    path, foreign = tmp_path / "journal.db", tmp_path / "foreign.db"
    await written(path)
    await written(foreign)
    damage(
        path,
        f"ATTACH '{foreign}' AS other",
        "DELETE FROM event WHERE seq > 20",
        "INSERT INTO event SELECT * FROM other.event WHERE seq > 20",
    )
    bad = verify(path).bad
    assert bad is not None
    # The foreign rows are chained among themselves, but by another epoch's hashes.
    assert (bad.seq, bad.what) == (21, "foreign epoch")


async def test_a_file_without_its_epoch_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    damage(path, "DELETE FROM journal")
    with pytest.raises(VerifyError, match="does not say its epoch"):
        verify(path)


async def test_the_verifier_on_the_journals_page_says_the_same(tmp_path: Path) -> None:
    page = ROOT / "docs" / "reference" / "journal.md"
    [script] = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    path = tmp_path / "journal.db"
    await written(path)
    assert _run(script, path) == (0, "all rows verify")
    damage(path, "UPDATE event SET data = replace(data, 'main', 'side') WHERE seq = 7")
    assert _run(script, path) == (1, "row 7 is not what was written")


def _run(script: str, path: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


async def test_a_live_journal_verifies_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    store = await JournalStore.open(path, ManualClock(), secret=SECRET)
    async with store.running():
        await store.append(closed())
        assert verify(path).checked == 1
        await store.append(closed())
        assert verify(path).checked == 2


async def test_hundreds_of_random_edits_are_all_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    damage(path)
    database = sqlite3.connect(path)
    seeded = random.Random(20261123)
    edits: list[Callable[[int], str]] = [
        lambda n: f"UPDATE event SET wall_ms = wall_ms - 1 WHERE seq = {n}",
        lambda n: f"UPDATE event SET mono_ns = mono_ns + 1 WHERE seq = {n}",
        lambda n: f"UPDATE event SET trusted = 1 - trusted WHERE seq = {n}",
        lambda n: f"UPDATE event SET subject = subject || 'x' WHERE seq = {n}",
        lambda n: f"UPDATE event SET boot = 'b' WHERE seq = {n}",
        lambda n: f"UPDATE event SET data = data || ' ' WHERE seq = {n}",
        lambda n: f"UPDATE event SET prev = prev + 1 WHERE seq = {n}",
        lambda n: f"UPDATE event SET hash = zeroblob(32) WHERE seq = {n}",
        lambda n: f"DELETE FROM event WHERE seq = {n}",
    ]
    database.commit()
    for _ in range(300):
        number = seeded.randint(1, ROWS)
        kept = database.execute("SELECT * FROM event WHERE seq = ?", (number,)).fetchone()
        database.execute(seeded.choice(edits)(number))
        database.commit()
        bad = verify(path).bad
        assert bad is not None
        assert bad.seq in {number, number + 1}
        database.execute("DELETE FROM event WHERE seq = ?", (number,))
        database.execute("INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?)", kept)
        database.commit()
    assert verify(path).bad is None
    database.close()


async def test_a_range_without_the_row_before_it_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    await written(path)
    bad = verify(path, first=ROWS + 10).bad
    assert bad is not None
    assert bad.what == "missing"


async def test_a_rehashed_row_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    store = await JournalStore.open(path, ManualClock(), secret=SECRET)
    async with store.running():
        await store.append(closed())
    database = sqlite3.connect(path)
    [raw] = database.execute("SELECT * FROM event").fetchall()
    row = Row(*raw[:-1])._replace(data="{}")
    damage(path, "DELETE FROM event")
    database.execute(
        "INSERT INTO event VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (*row, row_hash(first_hash(store.epoch), store.epoch, row)),
    )
    database.commit()
    database.close()
    bad = verify(path).bad
    assert bad is not None
    assert bad.what == "unreadable"


@pytest.mark.parametrize("content", [None, b"no database" * 200])
def test_what_is_no_journal_is_a_clear_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "journal.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(VerifyError, match=r"journal\.db"):
        verify(path)
