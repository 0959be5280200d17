"""Whitelist updates across restarts and under forgeries: resumed, and never ended by a stranger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gatewayd.domain.events import WhitelistApplied, WhitelistRejected
from gatewayd.domain.model import AlarmKind, card
from gatewayd.domain.ports import JournalError, WhitelistReadError
from gatewayd.link.whitelist_sync import WhitelistSync
from gatewayd.store.whitelist import WhitelistStore
from tests.clock import ManualClock
from tests.fakes import running
from tests.link.parts import Parts, Pen, chunk, parts
from tests.store.lists import full

FULL = full(people=6)
CARD = card(17, 26)


def in_pieces(whole: list[bytes]) -> list[bytes]:
    """One chunk a line: many chunks of a small list."""
    return [line for raw in whole for line in raw.splitlines(keepends=True)]


PIECES = in_pieces(FULL)


@dataclass
class Box(Parts):
    store: WhitelistStore = None  # type: ignore[assignment]  # set by `box`
    sync: WhitelistSync = None  # type: ignore[assignment]  # the same

    def asked(self) -> list[int]:
        """The chunks asked for since the last look."""
        asked = [m["index"] for m in self.sent if m["ask"] == "chunk"]
        self.sent.clear()
        return asked

    async def give(self, rev: int, pieces: list[bytes], base: int | None = None) -> None:
        """Answer all questions for chunks until there are none."""
        while asked := self.asked():
            for index in asked:
                await self.sync.handle(chunk(rev, index, pieces[index], base))

    async def hold(self, rev: int, pieces: list[bytes] = PIECES) -> None:
        """Have a list to begin with."""
        await self.store.apply_full(rev, pieces)

    def break_list(self) -> None:
        """Its file can't be read any more, and a tap has met that."""
        assert self.store._current is not None
        self.store._current.close()
        with pytest.raises(WhitelistReadError):
            self.store.snapshot(CARD)

    async def only_rejected(self, why: str) -> None:
        [rejected] = await self.events(WhitelistRejected)
        assert isinstance(rejected, WhitelistRejected)
        assert why in rejected.detail
        assert self.alarmed(AlarmKind.WHITELIST_REJECTED)
        assert await self.events(WhitelistApplied) == []


@asynccontextmanager
async def box(folder: Path, clock: ManualClock | None = None) -> AsyncIterator[Box]:
    """The same folder again is a restart."""
    async with parts(folder, clock) as made:
        store = await WhitelistStore.open(folder / "whitelist")
        gate = Box(made.clock, made.journal, made.alarms, made.doors, store=store)
        gate.sync = WhitelistSync(
            "gate-1", gate.pen.keys(), store, gate.journal, gate.alarms, gate.clock,
            gate.sent.append,
        )  # fmt: skip
        await gate.sync.resume()
        yield gate
        store.close()


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Box]:
    async with box(tmp_path) as made:
        yield made


# -------------------------------------------------------------------------------- whole


async def test_a_newer_manifest_takes_the_place_of_the_one_under_way(gate: Box) -> None:
    await gate.sync.handle(gate.pen.manifest(5, PIECES))
    await gate.sync.handle(chunk(5, 0, PIECES[0]))
    newer = in_pieces(full(people=9))
    gate.sent.clear()
    await gate.sync.handle(gate.pen.manifest(6, newer))
    await gate.sync.handle(chunk(5, 1, PIECES[1]))
    await gate.give(6, newer)
    assert (gate.store.revision, gate.store.credential_count) == (6, 9)


# ----------------------------------------------------------------------------- again, resume


async def test_a_new_connection_asks_again_at_once(gate: Box) -> None:
    await gate.sync.handle(gate.pen.manifest(5, PIECES))
    gate.asked()
    gate.sync.connected()
    assert gate.sent[0] == {"ask": "manifest", "have": 0}
    assert gate.asked() == [0, 1, 2, 3]


async def test_the_same_manifest_again_starts_nothing_anew(gate: Box) -> None:
    manifest = gate.pen.manifest(5, PIECES)
    await gate.sync.handle(manifest)
    await gate.sync.handle(chunk(5, 0, PIECES[0]))
    gate.asked()
    await gate.sync.handle(manifest)
    assert gate.asked() == []
    assert gate.store.staging.have() == {0}


async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with box(tmp_path) as gate:
        await gate.sync.handle(gate.pen.manifest(5, PIECES))
        for index in (3, 1):
            await gate.sync.handle(chunk(5, index, PIECES[index]))
    (tmp_path / "whitelist" / "staging" / "000003").write_bytes(b"torn by a power cut")
    async with box(tmp_path) as after:
        after.sent.clear()
        after.sync.connected()
        assert after.asked() == [0, 2, 3, 4]
        after.sent += [{"ask": "chunk", "index": n} for n in (0, 2, 3, 4)]
        await after.give(5, PIECES)
        assert (after.store.revision, after.store.credential_count) == (5, 6)


async def test_a_crash_after_the_last_chunk_is_made_good_at_the_start(tmp_path: Path) -> None:
    async with box(tmp_path) as gate:
        gate.store.staging.begin(gate.pen.manifest(5, PIECES))
        for index, raw in enumerate(PIECES):
            gate.store.staging.put(index, raw)
    async with box(tmp_path) as after:
        assert after.store.revision == 5


async def test_a_crash_between_the_swap_and_its_row_still_makes_the_row(tmp_path: Path) -> None:
    async with box(tmp_path) as gate:
        gate.store.staging.begin(gate.pen.manifest(5, PIECES))
        await gate.hold(5)
    async with box(tmp_path) as after:
        [applied] = await after.events(WhitelistApplied)
        assert isinstance(applied, WhitelistApplied)
        assert (applied.revision, applied.credentials) == (5, 6)
        assert after.store.staging.manifest() is None
    async with box(tmp_path) as third:
        assert len(await third.events(WhitelistApplied)) == 1


@pytest.mark.parametrize("left", [b"torn", Pen(b"s").manifest(9, PIECES), Pen().manifest(4, FULL)])
async def test_a_staged_manifest_that_no_longer_holds_is_dropped_without_an_alarm(
    tmp_path: Path, left: bytes
) -> None:
    async with box(tmp_path) as gate:
        await gate.hold(5)
        gate.store.staging.begin(left)
    async with box(tmp_path) as after:
        assert after.store.staging.manifest() is None
        assert after.alarms.open_alarms() == []


async def test_staging_that_cannot_be_read_does_not_stop_the_start(tmp_path: Path) -> None:
    (tmp_path / "whitelist" / "staging" / "manifest").mkdir(parents=True)
    async with box(tmp_path) as gate:
        assert gate.store.revision == 0


# ------------------------------------------------------------------------ no longer readable


async def test_a_list_that_cannot_be_read_any_more_is_asked_for_again(gate: Box) -> None:
    await gate.hold(5)
    async with running(gate.sync.run()):
        await gate.clock.advance(30)
        assert gate.sent == []
        gate.break_list()
        await gate.clock.advance(10)
        assert gate.sent == [{"ask": "manifest", "have": 0}]
        await gate.clock.advance(280)
        assert len(gate.sent) == 1  # a list that the disk won't take must not fill the line
        await gate.clock.advance(20)
        assert len(gate.sent) == 2
        gate.sent.clear()
        await gate.sync.handle(gate.pen.manifest(5, PIECES))
        await gate.give(5, PIECES)
        assert gate.store.snapshot(CARD).revision == 5
        gate.sent.clear()
        await gate.clock.advance(600)
        assert gate.sent == []
        gate.break_list()
        await gate.clock.advance(10)
        assert gate.sent == [{"ask": "manifest", "have": 0}]  # another fault: not held back


# -------------------------------------------------------------------------------- refused


async def test_wrong_chunks_that_nobody_asked_for_end_nothing(gate: Box) -> None:
    await gate.sync.handle(gate.pen.manifest(5, PIECES))
    for _ in range(10):
        await gate.sync.handle(chunk(5, len(PIECES) - 1, b"wrong\n"))
        await gate.sync.handle(chunk(5, 10_000, b"wrong\n"))
        await gate.sync.handle(chunk(6, 0, b"wrong\n"))
        await gate.sync.handle(chunk(5, 0, b"wrong\n", base=4))
    await gate.give(5, PIECES)
    assert gate.store.revision == 5


@pytest.mark.parametrize(
    "changes", [{"content_sha256": "0" * 64}, {"bytes": 1}, {"content_sha256": "f" * 64}]
)
async def test_chunks_that_together_are_not_what_was_signed_are_not_applied(
    gate: Box, changes: dict[str, Any]
) -> None:
    await gate.hold(4)
    await gate.sync.handle(gate.pen.manifest(5, PIECES, **changes))
    await gate.give(5, PIECES)
    assert gate.store.revision == 4
    await gate.only_rejected("together")


async def test_another_gateways_manifest_does_not_end_the_update_under_way(gate: Box) -> None:
    await gate.sync.handle(gate.pen.manifest(5, PIECES))
    await gate.sync.handle(gate.pen.manifest(5, PIECES, aud="gate-2"))
    await gate.give(5, PIECES)
    assert gate.store.revision == 5


async def test_a_flood_of_forged_manifests_makes_one_alarm_and_few_rows(gate: Box) -> None:
    forged = Pen(b"s").manifest(9, PIECES)
    for _ in range(300):
        await gate.sync.handle(forged)
    assert len(await gate.events(WhitelistRejected)) == 1
    assert len(gate.alarms.open_alarms()) == 1
    await gate.clock.advance(10)
    await gate.sync.handle(forged)
    assert len(await gate.events(WhitelistRejected)) == 2


# --------------------------------------------------------------------- what the disk refuses


async def test_a_full_disk_at_the_manifest_or_a_chunk_is_a_refused_update(
    gate: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(gate.store.staging, "begin", full_disk)
        await gate.sync.handle(gate.pen.manifest(5, PIECES))
    await gate.only_rejected("No space left")
    await gate.sync.handle(gate.pen.manifest(6, PIECES[:-1]))
    monkeypatch.setattr(gate.store.staging, "put", full_disk)
    await gate.sync.handle(chunk(6, 0, PIECES[0]))
    assert gate.store.staging.manifest() is None
    assert gate.store.revision == 0


async def test_a_list_decides_even_where_its_row_cannot_be_journaled(
    gate: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> int:
        raise JournalError("journal.db: disk full")

    monkeypatch.setattr(gate.journal, "append", refuse)
    await gate.sync.handle(b"{")
    await gate.sync.handle(gate.pen.manifest(5, PIECES))
    await gate.give(5, PIECES)
    assert gate.store.revision == 5
