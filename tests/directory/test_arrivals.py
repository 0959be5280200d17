"""A signed package in the inbox is applied by the running daemon as the centre's lists are; one
that is not as it was signed changes nothing; a cut at any point leaves the old list or the new."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatewayd.directory import listing
from gatewayd.directory.package import KID, Inbox, keep_key, local_keys
from gatewayd.directory.problem import DirectoryError
from gatewayd.domain.events import OperatorOrdered, WhitelistApplied, WhitelistRejected
from gatewayd.domain.ports import JournalError
from gatewayd.signed import WHITELIST_DOMAIN, seal
from gatewayd.store.staging import Staging
from tests.directory.box import Box, box, residents
from tests.fakes import running
from tests.store.lists import credential, level, schedule


async def test_a_package_is_taken_within_a_second_journaled_and_applied(tmp_path: Path) -> None:
    async with box(tmp_path) as at, running(at.arrivals.run()):
        await at.clock.advance(3)
        assert await at.events() == []
        at.put(1, residents(17, 18))
        await at.clock.advance(1)
        while not await at.of(WhitelistApplied):  # a worker thread builds the list
            await at.clock.advance(0)
        assert [event.KIND for event in await at.events()] == [
            "operator.ordered", "whitelist.applied"
        ]  # fmt: skip
        [order], [applied] = await at.of(OperatorOrdered), await at.of(WhitelistApplied)
        files = f"people.xlsx sha256:{'a' * 64}"
        assert order == OperatorOrdered("wang", "import", "whitelist", files)
        assert (applied.revision, applied.base, applied.credentials) == (1, None, 2)
        assert at.holds(17)
        assert not at.alarmed()


async def test_the_next_package_replaces_the_list_and_is_kept(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        for revision, made in ((1, residents(17)), (2, residents(18))):
            at.put(revision, made)
            await at.arrivals.look()
        assert (at.store.revision, at.holds(17), at.holds(18)) == (2, False, True)
        assert sorted(path.name for path in at.inbox.folder.iterdir()) == ["applied"]
        assert not isinstance(at.inbox.open(Staging(at.inbox.applied)), DirectoryError)


async def test_a_package_that_waits_is_replaced_by_the_next(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        at.put(1, residents(18))
        await at.arrivals.look()
        await at.arrivals.look()
        assert (at.store.revision, at.holds(17), at.holds(18)) == (1, False, True)


# -------------------------------------------------------------------------------- refused


def other_gateway(at: Box) -> None:
    at.put(2, residents(18), gateway="gate-2")


def older(at: Box) -> None:
    at.put(0 + 1, residents(18))


def foreign_key(at: Box) -> None:
    at.put(2, residents(18))
    (at.folder / "local-key").write_bytes(b"x" * 32)


def no_key(at: Box) -> None:
    at.put(2, residents(18))
    (at.folder / "local-key").unlink()


def no_manifest(at: Box) -> None:
    at.put(2, residents(18))
    (at.inbox.ready / "manifest").unlink()


def chunk_changed(at: Box) -> None:
    at.put(2, residents(18))
    path = at.inbox.ready / "000000"
    path.write_bytes(path.read_bytes().replace(b'"owner"', b'"staff"'))


def chunk_gone(at: Box) -> None:
    at.put(2, residents(18))
    (at.inbox.ready / "000000").unlink()


def dangling(at: Box) -> None:
    at.put(2, listing.listing_of([schedule(), level(), credential(99)]))


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (other_gateway, "it is for 'gate-2', not for us"),
        (older, "revision 1 is in force, with other content"),
        (foreign_key, "the signature does not verify"),
        (no_key, "the box's own key can't be read"),
        (no_manifest, "the package has no manifest"),
        (chunk_changed, "its chunks together are not what it says"),
        (chunk_gone, "its chunks together are not what it says"),
        (dangling, "credential: its person is not in the list"),
    ],
)
async def test_what_is_not_right_is_refused_whole_with_an_alarm(
    tmp_path: Path, spoil: Callable[[Box], None], why: str
) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        await at.arrivals.look()
        spoil(at)
        await at.arrivals.look()
        assert (at.store.revision, at.holds(17), at.holds(18)) == (1, True, False)
        [rejected] = await at.of(WhitelistRejected)
        assert why in rejected.detail
        assert at.alarmed()
        assert not at.inbox.taken.exists()
        await at.arrivals.look()
        assert len(await at.of(WhitelistRejected)) == 1


async def test_a_good_package_ends_the_alarm_of_a_bad_one(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        other_gateway(at)
        await at.arrivals.look()
        at.put(1, residents(17))
        await at.arrivals.look()
        assert not at.alarmed()


async def test_a_delta_is_no_import(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        body = {
            "aud": "gate-1", "rev": 1, "base": 0, "records": 0, "credentials": 0, "bytes": 0,
            "chunks": [], "content_sha256": "0" * 64, "operator": "wang", "files": [],
        }  # fmt: skip
        at.inbox.folder.mkdir()
        at.inbox.put(seal(keep_key(tmp_path), KID, WHITELIST_DOMAIN, body), iter([]))
        await at.arrivals.look()
        [rejected] = await at.of(WhitelistRejected)
        assert rejected.detail == "an imported list is always a full one"


# ------------------------------------------------------------------- restarts and bad disks


async def test_a_restart_after_the_package_was_taken_goes_on(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        at.inbox.take()
    async with box(tmp_path) as at, running(at.arrivals.run()):
        while not await at.of(WhitelistApplied):
            await at.clock.advance(1)
        assert at.holds(17)


async def test_a_restart_between_the_swap_and_its_row_tells_it(tmp_path: Path) -> None:
    made = residents(17)
    async with box(tmp_path) as at:
        at.put(1, made)
        at.inbox.take()
        await at.store.apply_full(1, listing.chunks(made))
    async with box(tmp_path) as at:
        await at.arrivals.look()
        [applied] = await at.of(WhitelistApplied)
        assert (applied.revision, applied.credentials) == (1, 1)
        assert at.inbox.applied.exists()
        assert not at.inbox.taken.exists()


async def test_what_the_journal_does_not_take_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> int:
        raise JournalError("disk full")

    async with box(tmp_path) as at:
        at.put(1, residents(17))
        with monkeypatch.context() as failing:
            failing.setattr(at.journal, "append", refuse)
            await at.arrivals.look()
        assert at.store.revision == 0
        await at.arrivals.look()
        assert at.holds(17)


async def test_an_inbox_that_can_not_be_read_is_looked_into_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(5, "Input/output error")

    async with box(tmp_path) as at, running(at.arrivals.run()):
        with monkeypatch.context() as failing:
            failing.setattr(at.inbox, "take", refuse)
            await at.clock.advance(2)
        at.put(1, residents(17))
        while not await at.of(WhitelistApplied):
            await at.clock.advance(1)


async def test_a_list_that_was_damaged_is_made_again_from_its_package(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        await at.arrivals.look()
    [file] = (tmp_path / "whitelist").glob("*.db")
    file.write_bytes(b"no database")
    async with box(tmp_path) as at:
        assert not at.readable()
        await at.arrivals.heal()
        assert at.readable()
        assert at.holds(17)


async def test_an_older_package_than_the_damaged_list_does_not_come_back(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        await at.arrivals.look()
        await at.store.apply_full(2, listing.chunks(residents(18)))
    [file] = (tmp_path / "whitelist").glob("*.db")
    file.write_bytes(b"no database")
    pointer = tmp_path / "whitelist" / "current.json"
    for revision in (2, 1):  # as after a hand-over to a centre that counts anew
        pointer.write_text(pointer.read_text().replace('"revision": 2', f'"revision": {revision}'))
        async with box(tmp_path) as at:
            await at.arrivals.heal()
            assert not at.readable()


async def test_what_does_not_help_a_damaged_list_is_left_as_it_is(tmp_path: Path) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        await at.arrivals.look()
    [file] = (tmp_path / "whitelist").glob("*.db")
    file.write_bytes(b"no database")
    (tmp_path / "local-key").write_bytes(b"y" * 32)
    async with box(tmp_path) as at:
        await at.arrivals.heal()
        assert not at.readable()


async def test_an_applied_package_that_can_not_be_read_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        await at.arrivals.look()
    damage(tmp_path)
    (at.inbox.applied / "manifest").unlink()
    (at.inbox.applied / "manifest").mkdir()
    async with box(tmp_path) as at, running(at.arrivals.run()):
        at.put(2, residents(18))
        while not at.readable():
            await at.clock.advance(1)
        assert at.holds(18)
    assert "the last imported list is no help, it can't be read" in caplog.text


async def test_an_applied_package_that_is_damaged_too_costs_no_package_that_was_taken(
    tmp_path: Path,
) -> None:
    async with box(tmp_path) as at:
        at.put(1, residents(17))
        await at.arrivals.look()
        at.put(2, residents(18))
        at.inbox.take()
    damage(tmp_path)
    (at.inbox.applied / "000000").unlink()
    async with box(tmp_path) as at:
        await at.arrivals.heal()
        [rejected] = await at.of(WhitelistRejected)
        assert rejected.detail == "its chunks together are not what it says"
        await at.arrivals.look()
        assert (at.store.revision, at.holds(18)) == (2, True)


def damage(folder: Path) -> None:
    [file] = (folder / "whitelist").glob("*.db")
    file.write_bytes(b"no database")


# ------------------------------------------------------------------------- the key, the lock


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    first = keep_key(tmp_path).private_bytes_raw()
    assert keep_key(tmp_path).private_bytes_raw() == first
    assert (tmp_path / "local-key").stat().st_mode & 0o777 == 0o600
    assert local_keys(tmp_path) is not None
    (tmp_path / "local-key").write_bytes(b"short")
    with pytest.raises(ValueError, match="is no key of 32 bytes: remove it"):
        keep_key(tmp_path)


def test_two_imports_at_once_are_refused(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    busy = pytest.raises(DirectoryError, match="another import is at work")
    with inbox.locked(), busy, inbox.locked():
        pass
    with inbox.locked():
        assert inbox.folder.stat().st_mode & 0o777 == 0o700


def test_a_package_that_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    def breaks() -> Any:
        yield b"{}\n"
        raise OSError(28, "No space left on device")

    inbox = Inbox(tmp_path)
    inbox.folder.mkdir()
    (inbox.folder / "new-0000").mkdir()
    with pytest.raises(OSError, match="No space left"):
        inbox.put(b"{}", breaks())
    assert list(inbox.folder.iterdir()) == []
