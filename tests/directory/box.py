"""A box without a link: real store, journal and inbox, a clock that a test moves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd.alarms import AlarmDesk
from gatewayd.directory import listing
from gatewayd.directory.arrivals import Arrivals
from gatewayd.directory.listing import Listing
from gatewayd.directory.package import ImportedFile, Inbox, keep_key, sign
from gatewayd.domain.model import AlarmKind, card
from gatewayd.list_updates import ListUpdates
from gatewayd.recorder import Recorder
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore
from tests.clock import ManualClock
from tests.store.lists import credential, level, person, schedule
from tests.store.samples import SECRET

FILES = [ImportedFile(name="people.xlsx", sha256="a" * 64)]


def residents(*numbers: int) -> Listing:
    people = [record for n in numbers for record in (person(n), credential(n))]
    return listing.listing_of([schedule(), level(), *people])


@dataclass
class Box:
    folder: Path
    clock: ManualClock
    journal: JournalStore
    store: WhitelistStore
    alarms: AlarmDesk
    inbox: Inbox
    arrivals: Arrivals

    def put(self, revision: int, made: Listing, gateway: str = "gate-1") -> None:
        key = keep_key(self.folder)
        payload, _ = sign(key, gateway, revision, made, "wang", FILES)
        self.inbox.folder.mkdir(exist_ok=True)
        self.inbox.put(payload, listing.chunks(made))

    async def events(self) -> list[Any]:
        entries = await self.journal.entries_after(0, 1_000)
        return [entry.event for entry in entries]

    async def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in await self.events() if isinstance(event, kind)]

    def holds(self, number: int) -> bool:
        return self.store.snapshot(card(number, 26)).record is not None

    def readable(self) -> bool:
        return self.store.fault is None

    def alarmed(self) -> bool:
        kind = AlarmKind.WHITELIST_REJECTED
        return any(alarm.kind is kind and alarm.active for alarm in self.alarms.open_alarms())


@asynccontextmanager
async def box(folder: Path) -> AsyncIterator[Box]:
    """The same folder again is a restart."""
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    clock = ManualClock()
    journal = await JournalStore.open(folder / "journal.db", clock, secret=SECRET)
    store = await WhitelistStore.open(folder / "whitelist")
    alarms = AlarmDesk(journal, Recorder(journal, clock, lambda _bad, _why: None), clock)
    inbox = Inbox(folder)
    arrivals = Arrivals(inbox, store, ListUpdates("gate-1", store, journal, alarms), journal, clock)
    async with journal.running():
        yield Box(folder, clock, journal, store, alarms, inbox, arrivals)
    store.close()
