"""A site that stood alone gets a centre: its list goes there, and the centre's first list is taken
although the centre counts from 1."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from gatewayd.directory import listing
from gatewayd.domain.model import card
from gatewayd.store.hand_over import HandOver, write_mark
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.store.whitelist_listing import open_list
from simulators.central_directory import Directory
from tests.link.desk import Desk, desk
from tests.store.lists import full

CARD = card(17, 26)


async def stood_alone(folder: Path, revision: int = 40) -> None:
    """The site's own list, at a revision that the centre will not reach for years."""
    store = await WhitelistStore.open(folder / "whitelist")
    await store.apply_full(revision, full())
    store.close()


def handed_over(folder: Path) -> list[dict[str, object]]:
    """The records for the centre; the box is marked."""
    with open_list(folder / "whitelist") as current:
        assert current is not None
        known = current.in_force
        write_mark(folder / "whitelist", HandOver(known.file, known.revision, "wang"))
        made = listing.listing_of(current.records())
        return [json.loads(line) for line in listing.lines(made)]


@pytest.fixture
def centre() -> Directory:
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.row_factory = sqlite3.Row
    return Directory(database)


async def deliver(at: Desk, centre: Directory) -> None:
    """What the centre has for this gateway, as it asks for it now."""
    at.sync.connected()
    package = centre.package(at.sent[-1]["have"])
    assert package is not None
    chunks = list(package.chunks)
    messages = [
        at.centre.manifest(package.rev, chunks, package.base),
        *(at.centre.chunk(package.rev, n, raw, package.base) for n, raw in enumerate(chunks)),
    ]
    for message in messages:
        await at.sync.handle(json.dumps(message).encode())


async def test_the_centre_takes_the_list_and_the_box_takes_the_centres(
    tmp_path: Path, centre: Directory
) -> None:
    await stood_alone(tmp_path)
    assert centre.change(put=handed_over(tmp_path)) == 1
    async with desk(tmp_path) as at:
        assert at.whitelist.snapshot(CARD).revision == 40
        await deliver(at, centre)
        assert at.sent[0] == {"ask": "manifest", "have": 0}
        assert (at.whitelist.revision, at.whitelist.base_revision) == (1, 1)
        found = at.whitelist.snapshot(CARD)
        assert found.person is not None
        assert found.person.id == "p-17"
        assert at.alarms.open_alarms() == []
        # From here on as always: deltas follow, nothing goes back.
        centre.edit(
            "credential", {"kind": "card", "bits": 26, "value": "0000011", "status": "lost"}
        )
        await deliver(at, centre)
        assert at.whitelist.revision == 2
        await at.sync.handle(json.dumps(at.centre.manifest(1, full())).encode())
        assert "it would go back from revision 2" in at.alarms.open_alarms()[0].detail


async def test_without_the_hand_over_a_lower_revision_is_refused(
    tmp_path: Path, centre: Directory
) -> None:
    await stood_alone(tmp_path)
    records = handed_over(tmp_path)
    (tmp_path / "whitelist" / "handed-over.json").unlink()
    centre.change(put=records)
    async with desk(tmp_path) as at:
        await at.sync.handle(json.dumps(at.centre.manifest(1, full())).encode())
        assert at.whitelist.revision == 40
        assert "it would go back from revision 40" in at.alarms.open_alarms()[0].detail


async def test_a_restart_in_the_middle_of_the_first_list_goes_on(
    tmp_path: Path, centre: Directory
) -> None:
    await stood_alone(tmp_path)
    centre.change(put=handed_over(tmp_path))
    async with desk(tmp_path) as at:
        signer = at.centre
        await at.sync.handle(json.dumps(signer.manifest(1, full())).encode())
    async with desk(tmp_path, signer) as at:
        await at.sync.resume()
        for index, raw in enumerate(full()):
            await at.sync.handle(json.dumps(signer.chunk(1, index, raw)).encode())
        assert (at.whitelist.revision, at.whitelist.base_revision) == (1, 1)
