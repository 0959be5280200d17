"""The whitelist: swapped whole, changed by deltas, looked up, and never half of anything."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gatewayd.domain.model import CredentialStatus, Interval, PersonId, card
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.store import whitelist_file
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_records import MAX_LINE, WhitelistDataError
from tests.store.lists import chunk, credential, full, level, person, schedule

CARD = card(17, 26)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[WhitelistStore]:
    made = await WhitelistStore.open(tmp_path / "whitelist")
    yield made
    made.close()


async def test_without_a_list_nobody_is_known(store: WhitelistStore) -> None:
    assert store.revision == store.credential_count == 0
    assert store.snapshot(CARD).record is None
    assert store.person(PersonId("p-17")) is None


async def test_a_full_list_decides_with_all_that_it_says(store: WhitelistStore) -> None:
    chunks = full(
        {"t": "calendar", "id": "cn", "name": "Feiertage", "dates": ["2026-10-01"]},
        schedule("work", holiday_calendars=["cn"], holidays=[["08:00:00", "09:30:00"]]),
    )
    applied = await store.apply_full(5, chunks)
    assert (applied.revision, applied.base, applied.credentials) == (5, None, 1)
    assert applied.content_sha256 == sha256(b"".join(chunks)).hexdigest()
    found = store.snapshot(CARD)
    assert found.revision == 5
    assert found.record is not None
    assert found.record.status is CredentialStatus.ACTIVE
    assert found.person is not None
    assert (found.person.name, found.person.place) == ("王芳", "6-2-1203")
    assert [lv.id for lv in found.levels] == ["residents"]
    work = found.schedules[list(found.schedules)[1]]
    assert work.holidays == (Interval(28_800, 34_200),)
    assert found.calendars["cn"].dates == {"2026-10-01"}
    assert store.snapshot(card(17, 34)).record is None
    assert set(store.people([PersonId("p-17"), PersonId("p-0")])) == {"p-17"}


async def test_the_list_survives_a_restart_and_leftovers_are_removed(
    store: WhitelistStore, tmp_path: Path
) -> None:
    await store.apply_full(5, full())
    await store.apply_full(6, full(people=3))
    store.close()
    (tmp_path / "whitelist" / "whitelist-000000000099.db").write_bytes(b"half built")
    again = await WhitelistStore.open(tmp_path / "whitelist")
    assert (again.revision, again.credential_count) == (6, 3)
    names = {path.name for path in (tmp_path / "whitelist").iterdir()}
    assert {n for n in names if n.endswith(".db")} == {"whitelist-000000000006.db"}
    again.close()


async def test_a_delta_replaces_adds_and_deletes_in_one_go(store: WhitelistStore) -> None:
    await store.apply_full(5, full(people=2))
    delta = [
        chunk(
            person(name="李娜"),
            credential(status="lost"),
            {"t": "delete", "of": "credential", "id": f"card:26:{18:07X}"},
            {"t": "delete", "of": "person", "id": "p-18"},
            level("staff"),
            {"t": "delete", "of": "level", "id": "staff"},
        )
    ]
    applied = await store.apply_delta(5, 6, delta)
    assert (applied.revision, applied.base, applied.credentials) == (6, 5, 1)
    found = store.snapshot(CARD)
    assert found.record is not None
    assert found.person is not None
    assert (found.record.status, found.person.name) == (CredentialStatus.LOST, "李娜")
    assert store.snapshot(card(18, 26)).record is None


@pytest.mark.parametrize(
    ("base", "delta", "says"),
    [
        (4, [], "the delta is for 4, held is 5"),
        (5, [chunk(person(levels=["nobody"]))], "'nobody', is not in the list"),
        (5, [chunk({"t": "delete", "of": "person", "id": "p-17"})], "belong to no person"),
        (5, [chunk({"t": "delete", "of": "level", "id": "x"})], "line 1: delete: there is no"),
        (5, [chunk(schedule("w", holiday_calendars=["gone"]))], "'gone', is not in the list"),
        (5, [chunk(level(schedule="gone"))], "'gone', is not in the list"),
        (5, [chunk(person(name="A")), b"{nonsense\n"], "line 2:"),
    ],
)
async def test_a_bad_delta_changes_nothing(
    store: WhitelistStore, base: int, delta: list[bytes], says: str
) -> None:
    await store.apply_full(5, full())
    with pytest.raises(WhitelistDataError, match=says):
        await store.apply_delta(base, 6, delta)
    assert store.revision == 5
    found = store.snapshot(CARD)
    assert found.person is not None
    assert found.person.name == "王芳"


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"t": "dragon"}, "line 5: record: Input tag 'dragon'"),
        (person(19, name=5), "line 5: person.name"),
        (credential(17), "line 5: credential: its id is in the list already"),
        (level(), "line 5: level: its id is in the list already"),
        (credential(19, person="p-0"), "1 credentials belong to no person"),
        (credential(17, value="17"), "exactly ceil"),
        (credential(17, value="FFFFFFF"), "exactly ceil"),
        (credential(17, value="xyz"), "is not hexadecimal"),
        (credential(17, valid_until=1.5), "valid_until"),
        (schedule("s", week=[]), "week"),
        (schedule("s", week=[[["09:00:00", "08:00:00"]]] * 7), "not within one day"),
        ({"t": "delete", "of": "person", "id": "p-17"}, "a full list deletes nothing"),
        (person(19, name="x" * (MAX_LINE + 1)), "longer than"),
    ],
)
async def test_a_bad_record_refuses_the_whole_list_and_names_its_line(
    store: WhitelistStore, record: dict[str, Any], says: str
) -> None:
    await store.apply_full(4, full())
    with pytest.raises(WhitelistDataError, match=says) as caught:
        await store.apply_full(5, full(record))
    assert "王芳" not in str(caught.value)
    assert store.revision == 4
    assert store.snapshot(CARD).record is not None


async def test_a_duplicate_across_batches_is_found_at_its_line(
    store: WhitelistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whitelist_file, "BATCH", 2)
    with pytest.raises(WhitelistDataError, match="line 7: person: its id is in the list already"):
        await store.apply_full(5, full(person(17), people=2))


async def test_a_revision_never_goes_back(store: WhitelistStore) -> None:
    await store.apply_full(5, full())
    with pytest.raises(WhitelistDataError, match="revision 5 is not above 5"):
        await store.apply_full(5, full(people=2))


async def test_unknown_fields_are_of_a_newer_centre(store: WhitelistStore) -> None:
    applied = await store.apply_full(5, full(person(30, nickname="x")))
    assert applied.credentials == 1


async def test_other_kinds_of_credentials_need_no_bits(store: WhitelistStore) -> None:
    plate = credential(kind="plate", bits=0, value="粤B12345")
    assert (await store.apply_full(5, full(plate))).credentials == 2


async def test_a_hash_that_two_keys_share_opens_for_neither_wrongly(
    store: WhitelistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.apply_full(5, full())
    held = whitelist_file.credential_id(CARD.key)
    monkeypatch.setattr(whitelist_file, "credential_id", lambda _key: held)
    assert store.snapshot(card(99, 26)).record is None
    with pytest.raises(WhitelistDataError, match="hash is another's"):
        await store.apply_delta(5, 6, [chunk(credential(99, person="p-17"))])


@pytest.mark.parametrize("content", [b"garbage" * 500, None])
async def test_a_damaged_list_denies_until_it_is_sent_again(
    store: WhitelistStore, tmp_path: Path, content: bytes | None
) -> None:
    await store.apply_full(5, full())
    store.close()
    path = tmp_path / "whitelist" / "whitelist-000000000005.db"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    broken = await WhitelistStore.open(tmp_path / "whitelist")
    assert broken.revision == 0
    with pytest.raises(WhitelistReadError, match="can't be read"):
        broken.snapshot(CARD)
    await broken.apply_full(5, full())
    assert broken.snapshot(CARD).record is not None
    broken.close()


async def test_a_pointer_that_is_nonsense_is_no_crash(tmp_path: Path) -> None:
    (tmp_path / "current.json").write_text("{", encoding="utf-8")
    store = await WhitelistStore.open(tmp_path)
    with pytest.raises(WhitelistReadError):
        store.snapshot(CARD)


async def test_an_io_error_in_a_look_up_is_declared(store: WhitelistStore) -> None:
    await store.apply_full(5, full())
    assert store._current is not None
    store._current.database.close()
    with pytest.raises(WhitelistReadError, match="look-up"):
        store.snapshot(CARD)


async def test_a_person_that_vanished_from_the_file_is_an_error_not_a_stranger(
    store: WhitelistStore, tmp_path: Path
) -> None:
    await store.apply_full(5, full())
    database = sqlite3.connect(tmp_path / "whitelist" / "whitelist-000000000005.db")
    database.execute("DELETE FROM person")
    database.commit()
    database.close()
    with pytest.raises(WhitelistReadError, match="person is missing"):
        store.snapshot(CARD)


async def test_a_disk_that_refuses_leaves_the_old_list(
    store: WhitelistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> tuple[int, str]:
        raise sqlite3.OperationalError("database or disk is full")

    await store.apply_full(5, full())
    monkeypatch.setattr(whitelist_file, "build", full_disk)
    with pytest.raises(OSError, match="the disk refused"):
        await store.apply_full(6, full())
    assert store.snapshot(CARD).revision == 5


async def test_chunks_are_kept_for_a_restart_and_belong_to_one_manifest(
    store: WhitelistStore, tmp_path: Path
) -> None:
    staging = store.staging
    assert staging.manifest() is None
    assert staging.have() == set()
    staging.begin(b"one")
    staging.put(1, b"b")
    staging.put(0, b"a")
    again = (await WhitelistStore.open(tmp_path / "whitelist")).staging
    again.begin(b"one")
    assert again.have() == {0, 1}
    assert list(again.chunks()) == [b"a", b"b"]
    again.begin(b"two")
    assert again.have() == set()
    again.clear()
    assert json.dumps(again.manifest()) == "null"
