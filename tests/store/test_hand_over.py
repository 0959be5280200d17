"""A list that was handed over to a centre is followed by the centre's first full list, whatever its
number; by nothing else, and only once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gatewayd.domain.model import card
from gatewayd.store import hand_over
from gatewayd.store.hand_over import HandOver, read_mark, write_mark
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_records import WhitelistDataError
from tests.store.lists import chunk, credential, full, person


def holds(store: WhitelistStore, number: int) -> bool:
    return store.snapshot(card(number, 26)).record is not None


def numbers(store: WhitelistStore) -> tuple[int, int]:
    """Which revision decides, and what an update goes on from."""
    return store.revision, store.base_revision


def files(folder: Path) -> list[Path]:
    return list(folder.glob("*.db"))


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[WhitelistStore]:
    store = await WhitelistStore.open(folder)
    yield store
    store.close()


@pytest.fixture
async def folder(tmp_path: Path) -> Path:
    """A list of the site's own, revision 7, handed over."""
    async with opened(tmp_path) as store:
        await store.apply_full(7, full())
    write_mark(tmp_path, HandOver("whitelist-000000000007.db", 7, "wang"))
    return tmp_path


@pytest.mark.parametrize("revision", [1, 6, 7, 8])
async def test_the_centres_first_list_is_taken_whatever_its_number(
    folder: Path, revision: int
) -> None:
    async with opened(folder) as store:
        assert store.handed_over == HandOver("whitelist-000000000007.db", 7, "wang")
        assert numbers(store) == (7, 0)
        assert holds(store, 17)
        await store.apply_full(revision, full(person(99), credential(99)))
        assert numbers(store) == (revision, revision)
        assert holds(store, 99)
    async with opened(folder) as store:
        assert numbers(store) == (revision, revision)
        assert len(files(folder)) == 1
        with pytest.raises(WhitelistDataError, match="is not above"):
            await store.apply_full(revision, full())


async def test_a_delta_is_no_first_list(folder: Path) -> None:
    async with opened(folder) as store:
        for base in (0, 7):
            with pytest.raises(WhitelistDataError, match="held is 0"):
                await store.apply_delta(base, 8, [chunk(person())])
        assert store.revision == 7


async def test_a_first_list_that_is_wrong_leaves_the_hand_over_as_it_was(folder: Path) -> None:
    async with opened(folder) as store:
        with pytest.raises(WhitelistDataError):
            await store.apply_full(7, full(credential(99)))
        assert (store.revision, store.base_revision) == (7, 0)
        assert holds(store, 17)
    async with opened(folder) as store:
        assert store.base_revision == 0
        await store.apply_full(2, full())


async def test_a_power_cut_before_the_mark_is_removed_leaves_no_way_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.store.whitelist.remove_mark", lambda _folder: None)
    async with opened(folder) as store:
        await store.apply_full(7, full())  # the same number, the most that could be mistaken
    assert read_mark(folder) is not None
    async with opened(folder) as store:
        assert (store.handed_over, store.base_revision) == (None, 7)


async def test_a_later_list_of_the_sites_own_ends_the_hand_over(folder: Path) -> None:
    async with opened(folder) as store:
        await store.apply_full(8, full())
        assert store.handed_over is None
    assert read_mark(folder) is None


async def test_a_mark_that_is_damaged_or_of_another_list_says_nothing(folder: Path) -> None:
    for content in (b"{", b"{}", b'{"file": "whitelist-6.db", "revision": 6, "operator": "x"}'):
        (folder / "handed-over.json").write_bytes(content)
        async with opened(folder) as store:
            assert (store.handed_over, store.base_revision) == (None, 7)
            assert holds(store, 17)


async def test_a_damaged_list_that_was_handed_over_may_be_replaced_too(folder: Path) -> None:
    (folder / "whitelist-000000000007.db").write_bytes(b"no database")
    async with opened(folder) as store:
        assert store.fault is not None
        await store.apply_full(3, full())
        assert holds(store, 17)


def test_the_mark_is_for_its_owner_only(tmp_path: Path) -> None:
    write_mark(tmp_path, HandOver("x.db", 1, "wang"))
    assert (tmp_path / "handed-over.json").stat().st_mode & 0o777 == 0o600
    hand_over.remove_mark(tmp_path)
    hand_over.remove_mark(tmp_path)
    assert read_mark(tmp_path) is None
