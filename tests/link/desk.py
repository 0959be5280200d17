"""Commands, wanted state and whitelist updates without a broker: messages in, sent messages out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.model import AntiPassback, Area, AreaId, Door
from gatewayd.link.commands import Commands
from gatewayd.link.desired import DesiredState
from gatewayd.link.whitelist_sync import WhitelistSync
from gatewayd.memory import SiteLayout, SiteMemory
from gatewayd.recorder import Recorder
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore
from tests.clock import START_WALL_MS, ManualClock
from tests.fakes import FakeDoors
from tests.link.box import GATE, NONCE
from tests.link.broker import Centre
from tests.store.samples import SECRET


@dataclass
class Desk:
    centre: Centre
    clock: ManualClock
    journal: JournalStore
    whitelist: WhitelistStore
    doors: FakeDoors
    alarms: AlarmDesk
    memory: SiteMemory
    commands: Commands
    desired: DesiredState
    sync: WhitelistSync
    sent: list[dict[str, Any]]

    def order(self, **changes: Any) -> dict[str, Any]:
        """A valid command to open the gate, changed as told."""
        body = {
            "aud": "gate-1", "id": "c-1", "counter": 1, "nonce": NONCE,
            "issued_ms": START_WALL_MS, "exp_ms": START_WALL_MS + 10_000,
            "action": "open", "target": "main-gate", "reason": "parcel",
        }  # fmt: skip
        return self.centre.command(**(body | changes))

    async def kinds(self) -> list[str]:
        return [entry.event.KIND for entry in await self.journal.entries_after(0, 1_000)]


@asynccontextmanager
async def desk(folder: Path, centre: Centre | None = None) -> AsyncIterator[Desk]:
    """The same folder and centre again is a restart."""
    centre, clock = centre or Centre(0), ManualClock()
    journal = await JournalStore.open(folder / "journal.db", clock, secret=SECRET)
    whitelist = await WhitelistStore.open(folder / "whitelist")
    alarms = AlarmDesk(journal, Recorder(journal, clock, lambda _bad, _why: None), clock)
    doors, sent = FakeDoors(GATE, journal), list[dict[str, Any]]()
    yard = Area(AreaId("yard"), "Yard", AntiPassback.HARD)
    layout = SiteLayout({GATE: Door(GATE, "Gate", inside=yard.id)}, {yard.id: yard})
    memory = SiteMemory(layout, journal, Recorder(journal, clock, lambda _bad, _why: None), alarms)
    keys = centre.keys
    async with journal.running():
        yield Desk(
            centre, clock, journal, whitelist, doors, alarms, memory,
            Commands(
                "gate-1", NONCE, keys, [GATE], journal, doors, alarms, clock, sent.append,
                memory=memory,
            ),
            DesiredState("gate-1", keys, [GATE], journal, doors, alarms, clock, sent.append),
            WhitelistSync("gate-1", keys, whitelist, journal, alarms, clock, sent.append),
            sent,
        )  # fmt: skip
    whitelist.close()
