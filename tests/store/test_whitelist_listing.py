"""Beside the daemon the list in force reads back as the records that made it."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from gatewayd.directory import listing
from gatewayd.directory.listing import Listing
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.store import whitelist_listing
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_listing import newest_revision, open_list
from tests.directory.any_list import lists
from tests.store.lists import chunk, credential, full, person


async def apply(folder: Path, revision: int, chunks: list[bytes], base: int | None = None) -> None:
    store = await WhitelistStore.open(folder)
    if base is None:
        await store.apply_full(revision, chunks)
    else:
        await store.apply_delta(base, revision, chunks)
    store.close()


def records(folder: Path) -> list[dict[str, Any]]:
    with open_list(folder) as current:
        assert current is not None
        return list(current.records())


@settings(max_examples=40, deadline=None)
@given(lists())
def test_any_list_reads_back_as_it_was(made: Listing) -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        asyncio.run(apply(folder, 1, list(listing.chunks(made))))
        assert listing.listing_of(records(folder)) == made
    finally:
        shutil.rmtree(folder)


async def test_records_come_in_the_order_of_the_list(tmp_path: Path) -> None:
    await apply(tmp_path, 1, full(people=3))
    found = [(record["t"], record.get("id", record.get("person"))) for record in records(tmp_path)]
    assert found == [
        ("schedule", "always"), ("level", "residents"), ("person", "p-17"), ("person", "p-18"),
        ("person", "p-19"), ("credential", "p-17"), ("credential", "p-18"), ("credential", "p-19"),
    ]  # fmt: skip


async def test_after_a_delta_the_file_says_which_revision_it_is(tmp_path: Path) -> None:
    await apply(tmp_path, 3, full())
    await apply(tmp_path, 4, [chunk(person(18), credential(18))], base=3)
    with open_list(tmp_path) as current:
        assert current is not None
        known = current.in_force
        assert (known.revision, known.newest) == (4, 4)
        assert known.counts == {"schedule": 1, "level": 1, "person": 2, "credential": 2}
        assert known.file == "whitelist-000000000003.db"
    assert newest_revision(tmp_path) == 4


def test_without_a_list_there_is_none(tmp_path: Path) -> None:
    with open_list(tmp_path) as current:
        assert current is None
    assert newest_revision(tmp_path) == 0


async def test_a_list_exchanged_while_we_look_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(tmp_path, 1, full())
    truth = whitelist_listing._open
    tries: list[Path] = []

    def gone_once(path: Path) -> Any:
        tries.append(path)
        return truth(path if len(tries) > 1 else tmp_path / "gone.db")

    monkeypatch.setattr(whitelist_listing, "_open", gone_once)
    assert len(records(tmp_path)) == 4
    assert len(tries) == 2


@pytest.mark.parametrize(
    "pointer", ["{", "{}", '{"file": "gone.db", "revision": 1}', '{"file": 1}']
)
def test_a_list_that_can_not_be_read_says_which(tmp_path: Path, pointer: str) -> None:
    (tmp_path / "current.json").write_text(pointer)
    with pytest.raises(WhitelistReadError, match=r"current\.json"), open_list(tmp_path):
        pass


def test_a_pointer_without_a_revision_is_no_revision(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text("{}")
    with pytest.raises(WhitelistReadError, match=r"current\.json"):
        newest_revision(tmp_path)


async def test_a_damaged_row_is_told(tmp_path: Path) -> None:
    import sqlite3

    await apply(tmp_path, 1, full())
    with sqlite3.connect(tmp_path / "whitelist-000000000001.db") as database:
        database.execute("UPDATE person SET more = '{'")
    database.close()
    with pytest.raises(WhitelistReadError, match="can't be read"):
        records(tmp_path)


async def test_a_pointer_whose_revision_is_gone_meanwhile_is_told(tmp_path: Path) -> None:
    await apply(tmp_path, 1, full())
    pointer = json.loads((tmp_path / "current.json").read_text())
    del pointer["revision"]
    (tmp_path / "current.json").write_text(json.dumps(pointer))
    with pytest.raises(WhitelistReadError, match=r"current\.json"), open_list(tmp_path):
        pass
