"""The whitelist: swapped whole, changed by deltas, looked up, and never half of anything."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gatewayd.domain.model import CredentialStatus, Interval, PersonId, card
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.store import whitelist_file, whitelist_records
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_records import MAX_LINE, WhitelistDataError
from tests.store.lists import chunk, credential, delete, full, level, person, schedule

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
    assert work.special_days[0].intervals == (Interval(28_800, 34_200),)
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
        (5, [chunk(person(levels=["nobody"]))], "line 1: person: its level 'nobody' is not in"),
        (5, [chunk(delete("person", "p-17"))], "line 1: delete: a credential of this person"),
        (5, [chunk(credential(99))], "line 1: credential: its person is not in the list"),
        (5, [chunk(level("x"), delete("level", "residents"))], "line 2: delete: a person still"),
        (5, [chunk(delete("schedule", "always"))], "line 1: delete: a level still names it"),
        (5, [chunk(level("x"), delete("schedule", "always"))], "line 2: delete: a level still"),
        (5, [chunk({"t": "delete", "of": "level", "id": "x"})], "line 1: delete: there is no"),
        (5, [chunk(schedule("w", holiday_calendars=["gone"]))], "line 1: schedule: its calendar"),
        (5, [chunk(level(schedule="gone"))], "line 1: level: its schedule 'gone' is not in"),
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
        (credential(19, person="p-0"), "line 5: credential: its person is not in the list"),
        (person(19, levels=["residents", "x"]), "line 5: person: its level 'x' is not in the list"),
        (level("y", schedule="x"), "line 5: level: its schedule 'x' is not in the list"),
        (credential(17, kind="plate"), "bits: is for cards only"),
        ({"t": "calendar", "id": "c", "name": "", "dates": ["2026-02-30"]}, "no day of the"),
        (credential(17, value="17"), "exactly ceil"),
        (credential(17, value="FFFFFFF"), "exactly ceil"),
        (credential(17, value="xyz"), "is not hexadecimal"),
        (credential(17, valid_until=1.5), "valid_until"),
        (schedule("s", week=[]), "week"),
        (schedule("s", week=[[["09:00:00", "08:00:00"]]] * 7), "is not of one day"),
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
    monkeypatch.setattr(whitelist_records, "BATCH", 2)
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


async def test_keys_that_share_a_hash_are_kept_apart(
    store: WhitelistStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whitelist_file, "credential_id", lambda _key: 7)
    applied = await store.apply_full(5, full(people=3))
    assert applied.credentials == 3
    lost, new = credential(18, status="lost"), credential(1, person="p-18")
    delta = [chunk(lost, new, delete("credential", CARD.key))]
    assert (await store.apply_delta(5, 6, delta)).credentials == 3
    statuses = [_status(store, number) for number in (17, 18, 1, 20)]
    assert statuses == [None, CredentialStatus.LOST, CredentialStatus.ACTIVE, None]
    with pytest.raises(WhitelistDataError, match="line 7: credential: its id is in the list"):
        await store.apply_full(7, full(credential(18), people=2))


def _status(store: WhitelistStore, number: int) -> CredentialStatus | None:
    record = store.snapshot(card(number, 26)).record
    return None if record is None else record.status


async def test_a_delta_is_not_seen_before_it_is_swapped_in(
    store: WhitelistStore, tmp_path: Path
) -> None:
    await store.apply_full(5, full())
    path = tmp_path / "whitelist" / "whitelist-000000000005.db"
    delta = [chunk(level("new"), person(name="李娜", levels=["new"]))]
    whitelist_file.change(path, 5, 6, delta)  # committed, and the process has yet to take notice
    found = store.snapshot(CARD)
    assert found.person is not None
    assert (found.revision, found.person.name) == (5, "王芳")
    store.close()
    again = await WhitelistStore.open(tmp_path / "whitelist")  # or it ended before that
    assert again.revision == 6
    assert [lv.id for lv in again.snapshot(CARD).levels] == ["new"]
    again.close()


async def test_what_a_delta_puts_and_deletes_again_is_not_missed(store: WhitelistStore) -> None:
    await store.apply_full(5, full())
    stray = credential(99), delete("credential", card(99, 26).key)
    nobody = person(98, levels=["none"]), delete("person", "p-98")
    applied = await store.apply_delta(5, 6, [chunk(*stray, *nobody)])
    assert applied.credentials == 1


async def test_deltas_do_not_pile_up_in_the_log(store: WhitelistStore, tmp_path: Path) -> None:
    await store.apply_full(5, full())
    sizes = []
    for revision in range(5, 12):
        await store.apply_delta(revision, revision + 1, [chunk(person(name=f"n{revision}"))])
        [log] = (tmp_path / "whitelist").glob("*-wal")
        sizes.append(log.stat().st_size)
    assert store.revision == 12
    assert max(sizes) == sizes[0]


async def test_an_update_that_is_given_up_leaves_nothing_behind(
    store: WhitelistStore, tmp_path: Path
) -> None:
    await store.apply_full(5, full())
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    read_on = threading.Event()

    def slow() -> Iterator[bytes]:
        yield from full()
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        yield chunk(person(18))
        read_on.set()

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        update = group.create_task(store.apply_full(6, slow()), name="update")
        await begun.wait()
        assert store.snapshot(CARD).revision == 5  # decisions go on
        update.cancel()
        await asyncio.wait([update])
        go_on.set()
    assert (await store.apply_full(6, full(people=2))).credentials == 2
    await loop.shutdown_default_executor()  # the thread that was left behind has ended
    assert not read_on.is_set()
    assert _files(tmp_path / "whitelist") == ["current.json", "whitelist-000000000006.db"]


def _files(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir())
    return [name for name in names if not name.endswith(("-wal", "-shm"))]


async def test_a_damaged_list_can_come_again_but_no_older_one(tmp_path: Path) -> None:
    store = await WhitelistStore.open(tmp_path)
    await store.apply_full(5, full())
    await store.apply_delta(5, 6, [chunk(person(name="A"))])
    store.close()
    (tmp_path / "whitelist-000000000005.db").write_bytes(b"")
    store = await WhitelistStore.open(tmp_path)
    assert "current.json" in str(store.fault)
    with pytest.raises(WhitelistDataError, match="revision 5 is not above 6"):
        await store.apply_full(5, full())
    await store.apply_full(6, full())
    assert str(store.fault) == "None"
    store.close()


async def test_a_file_older_than_its_pointer_is_not_believed(tmp_path: Path) -> None:
    store = await WhitelistStore.open(tmp_path)
    await store.apply_full(5, full())
    store.close()
    old = (tmp_path / "whitelist-000000000005.db").read_bytes()
    store = await WhitelistStore.open(tmp_path)
    await store.apply_delta(5, 6, [chunk(person(name="A"))])
    store.close()
    (tmp_path / "whitelist-000000000005.db").write_bytes(old)
    (tmp_path / "whitelist-000000000005.db-wal").unlink(missing_ok=True)
    store = await WhitelistStore.open(tmp_path)
    assert "it holds 5, not revision 6" in str(store.fault)


async def test_a_power_cut_before_the_pointer_leaves_the_old_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = await WhitelistStore.open(tmp_path)
    await store.apply_full(5, full())

    def cut(*_: object) -> None:
        raise OSError("power is out")

    monkeypatch.setattr("gatewayd.store.whitelist.write_whole", cut)
    with pytest.raises(OSError, match="power is out"):
        await store.apply_full(6, full(people=2))
    assert store.revision == 5
    store.close()
    again = await WhitelistStore.open(tmp_path)
    assert (again.revision, again.credential_count) == (5, 1)
    assert _files(tmp_path) == ["current.json", "whitelist-000000000005.db"]
    again.close()


_ids = st.integers(0, 3)
_changes = st.lists(
    st.one_of(
        st.builds(lambda n: person(n, levels=[f"l{n % 2}"]), _ids),
        st.builds(lambda n, owner: credential(n, person=f"p-{owner}"), _ids, _ids),
        st.builds(lambda n: level(f"l{n % 2}"), _ids),
        st.builds(lambda n: delete("person", f"p-{n}"), _ids),
        st.builds(lambda n: delete("credential", f"card:26:{n:07X}"), _ids),
        st.builds(lambda n: delete("level", f"l{n % 2}"), _ids),
    ),
    max_size=8,
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(deltas=st.lists(_changes, max_size=4))
async def test_deltas_do_what_an_obvious_model_does(
    tmp_path: Path, deltas: list[list[dict[str, Any]]]
) -> None:
    shutil.rmtree(tmp_path)
    store = await WhitelistStore.open(tmp_path)
    await store.apply_full(1, full())
    model = _apply({}, [schedule(), level(), person(), credential()])
    assert model is not None
    for changes in deltas:
        after = _apply(model, changes)
        try:
            await store.apply_delta(store.revision, store.revision + 1, [chunk(*changes)])
        except WhitelistDataError:
            assert after is None
        else:
            assert after is not None
            model = after
        cards = {n: store.snapshot(card(n, 26)) for n in (*range(4), 17)}
        owners = {n: s.person.id for n, s in cards.items() if s.person}
        assert owners == {
            int(id_.split(":")[2], 16): r["person"]
            for (t, id_), r in model.items()
            if t == "credential"
        }
        assert store.credential_count == len(owners)
    store.close()


def _apply(
    model: dict[tuple[str, str], dict[str, Any]], changes: list[dict[str, Any]]
) -> dict[tuple[str, str], dict[str, Any]] | None:
    """The records after the changes by type and id, or None where they must be refused."""
    after = dict(model)
    for change in changes:
        if change["t"] == "delete":
            if after.pop((change["of"], change["id"]), None) is None:
                return None
        else:
            card_id = f"card:26:{change.get('value')}"
            after[change["t"], change.get("id", card_id)] = change
    for (kind, _), record in after.items():
        named = {
            "credential": [("person", record.get("person"))],
            "person": [("level", name) for name in record.get("levels", [])],
            "level": [("schedule", record.get("schedule"))],
        }.get(kind, [])
        if any(name not in after for name in named):
            return None
    return after


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
    store.close()
    database = sqlite3.connect(tmp_path / "whitelist" / "whitelist-000000000005.db")
    database.execute("DELETE FROM person")
    database.commit()
    database.close()
    store = await WhitelistStore.open(tmp_path / "whitelist")
    with pytest.raises(WhitelistReadError, match="a credential's person or level is missing"):
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
