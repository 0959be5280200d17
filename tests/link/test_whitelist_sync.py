"""Whitelist updates: in any order, over restarts, with wrong chunks; a bad one touches nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gatewayd.domain.model import AlarmKind, card
from gatewayd.link import whitelist_sync
from gatewayd.link.whitelist_sync import WhitelistSync
from gatewayd.list_updates import MAX_BYTES
from tests.fakes import running
from tests.link.broker import Centre
from tests.link.desk import Desk, desk
from tests.store.lists import chunk, credential, full, person

CARD = card(17, 26)


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path) as made:
        yield made


async def send(at: Desk, message: Any) -> None:
    payload = message if isinstance(message, bytes) else json.dumps(message).encode()
    await at.sync.handle(payload)


async def deliver(at: Desk, rev: int, chunks: list[bytes], base: int | None = None) -> None:
    await send(at, at.centre.manifest(rev, chunks, base))
    for index, raw in enumerate(chunks):
        await send(at, at.centre.chunk(rev, index, raw, base))


def asked(at: Desk) -> list[int]:
    return [m["index"] for m in at.sent if m["ask"] == "chunk"]


async def test_a_full_list_is_pulled_checked_applied_and_reported(at: Desk) -> None:
    at.sync.connected()
    assert at.sent == [{"ask": "manifest", "have": 0}]
    await deliver(at, 5, full())
    assert asked(at) == [0, 1]
    assert at.whitelist.snapshot(CARD).record is not None
    assert at.sent[-1] == {"ask": "manifest", "have": 5}
    assert await at.kinds() == ["whitelist.applied"]
    assert at.whitelist.staging.manifest() is None


async def test_chunks_may_come_in_any_order_twice_and_uninvited(at: Desk) -> None:
    chunks = full()
    await send(at, at.centre.chunk(5, 0, chunks[0]))
    await send(at, at.centre.manifest(5, chunks))
    await send(at, at.centre.manifest(5, chunks))
    for index in (1, 1, 0):
        await send(at, at.centre.chunk(5, index, chunks[index]))
    await send(at, at.centre.chunk(5, 0, chunks[0]))
    assert at.whitelist.revision == 5


async def test_a_delta_follows_its_base_and_another_base_asks_for_all(at: Desk) -> None:
    await deliver(at, 5, full())
    await deliver(at, 6, [chunk(person(name="李娜"))], base=5)
    found = at.whitelist.snapshot(CARD).person
    assert found is not None
    assert found.name == "李娜"
    await send(at, at.centre.manifest(9, [chunk(person())], base=8))
    assert at.sent[-1] == {"ask": "manifest", "have": 0}
    assert at.alarms.open_alarms() == []


async def test_a_restart_goes_on_with_what_was_there(tmp_path: Path) -> None:
    centre, chunks = Centre(0), full()
    async with desk(tmp_path, centre) as at:
        await send(at, at.centre.manifest(5, chunks))
        await send(at, at.centre.chunk(5, 1, chunks[1]))
    async with desk(tmp_path, centre) as at:
        await at.sync.resume()
        at.sync.connected()
        assert set(asked(at)) == {0}
        await send(at, at.centre.chunk(5, 0, chunks[0]))
        assert at.whitelist.revision == 5


async def test_only_so_many_chunks_are_in_flight_and_lost_ones_are_asked_again(at: Desk) -> None:
    chunks = full(people=20)
    parts = [chunks[0], *(line + b"\n" for line in chunks[1].splitlines())]
    async with running(at.sync.run()):
        await send(at, at.centre.manifest(5, parts))
        assert asked(at) == [0, 1, 2, 3]
        await at.clock.advance(10)
        assert asked(at) == [0, 1, 2, 3] * 2
        await send(at, at.centre.chunk(5, 0, parts[0]))
        assert asked(at)[-1] == 4


async def test_three_wrong_chunks_in_a_row_refuse_the_update_until_its_next_manifest(
    at: Desk,
) -> None:
    chunks = full()
    manifest = at.centre.manifest(5, chunks)
    await send(at, manifest)
    for _ in range(2):
        await send(at, at.centre.chunk(5, 0, b"wrong"))
    await send(at, at.centre.chunk(5, 1, chunks[1]))
    await send(at, at.centre.chunk(5, 7, b"beyond"))
    assert at.alarms.open_alarms() == []
    for _ in range(3):
        await send(at, at.centre.chunk(5, 0, b"wrong") | {"data": "%%%"})
    assert [a.kind for a in at.alarms.open_alarms()] == [AlarmKind.WHITELIST_REJECTED]
    assert at.whitelist.revision == 0
    await deliver(at, 5, chunks)
    assert at.whitelist.revision == 5
    assert not at.alarms.open_alarms()[0].active


@pytest.mark.parametrize(
    "message",
    [b"{broken", b"[]", {"v": 7, "type": "manifest"}, {"v": 1, "type": "dragon"}, b"x" * 600_000],
)
async def test_nonsense_is_an_alarm_and_the_old_list_stays(at: Desk, message: Any) -> None:
    await deliver(at, 5, full())
    await send(at, message)
    assert at.whitelist.revision == 5
    assert [a.kind for a in at.alarms.open_alarms()] == [AlarmKind.WHITELIST_REJECTED]


async def test_a_forged_foreign_huge_or_older_manifest_is_refused(at: Desk) -> None:
    await deliver(at, 5, full())
    forger = Centre(0)
    for manifest in (
        forger.manifest(6, full()),
        at.centre.manifest(6, full(), aud="gate-2"),
        at.centre.manifest(4, full()),
        at.centre.manifest(6, full(), bytes=MAX_BYTES + 1),
    ):
        await send(at, manifest)
    assert at.whitelist.revision == 5
    assert (await at.kinds()).count("whitelist.rejected") == 1
    assert at.alarms.open_alarms()[0].repeats == 3


async def test_a_list_with_a_bad_record_is_refused_whole(at: Desk) -> None:
    await deliver(at, 5, full())
    await deliver(at, 6, full(credential(99)))
    assert at.whitelist.revision == 5
    assert "p-99" not in at.alarms.open_alarms()[0].detail
    assert at.whitelist.staging.manifest() is None
    before = len(asked(at))
    await send(at, at.centre.manifest(6, full(credential(99))))
    assert len(asked(at)) == before


async def test_only_the_last_refused_lists_are_remembered(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whitelist_sync, "MAX_REFUSED", 2)
    sync = WhitelistSync(
        "gate-1", at.centre.keys, at.whitelist, at.journal, at.alarms, at.clock, at.sent.append
    )
    at = replace(at, sync=sync)
    bad = [full(credential(number)) for number in (97, 98, 99)]
    for chunks in bad:
        await deliver(at, 6, chunks)
    for chunks, pulled in ((bad[2], False), (bad[1], False), (bad[0], True)):
        before = len(asked(at))
        await send(at, at.centre.manifest(6, chunks))
        assert (len(asked(at)) > before) is pulled


async def test_the_revision_held_again_is_no_news(at: Desk) -> None:
    await deliver(at, 5, full())
    before = len(at.sent)
    await send(at, at.centre.manifest(5, full()))
    assert len(at.sent) == before


async def test_a_disk_that_takes_no_chunk_refuses_the_update(
    at: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    chunks = full()
    await send(at, at.centre.manifest(5, chunks))
    monkeypatch.setattr(at.whitelist.staging, "put", full_disk)
    await send(at, at.centre.chunk(5, 0, chunks[0]))
    assert "No space left" in at.alarms.open_alarms()[0].detail
    assert at.whitelist.revision == 0
