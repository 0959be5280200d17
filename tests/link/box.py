"""A gateway's link with a real journal and whitelist, fake doors, and a real connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from gatewayd.alarms import AlarmDesk
from gatewayd.clock import SystemClock
from gatewayd.domain.model import DoorId
from gatewayd.domain.ports import Clock
from gatewayd.link.commands import Commands
from gatewayd.link.contract import Topics
from gatewayd.link.desired import DesiredState
from gatewayd.link.mqtt import Broker
from gatewayd.link.session import Identity, Link, LinkOptions
from gatewayd.link.whitelist_sync import WhitelistSync
from gatewayd.recorder import Recorder
from gatewayd.signed import CentralKeys
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore
from tests.fakes import FakeDoors, running
from tests.store.samples import SECRET

GATE = DoorId("main-gate")
NONCE = "0123456789abcdef0123456789abcdef"


@dataclass
class Box:
    link: Link
    journal: JournalStore
    whitelist: WhitelistStore
    doors: FakeDoors
    alarms: AlarmDesk
    recorder: Recorder


@asynccontextmanager
async def box(
    folder: Path,
    port: int,
    keys: CentralKeys,
    *,
    options: LinkOptions | None = None,
    clock: Clock | None = None,
    keepalive_s: int = 20,
) -> AsyncIterator[Box]:
    """Running until the block ends; the same folder again is a restart."""
    clock = clock or SystemClock()
    journal = await JournalStore.open(folder / "journal.db", clock, secret=SECRET)
    whitelist = await WhitelistStore.open(folder / "whitelist")
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    doors = FakeDoors(GATE, journal)
    link = Link(
        Broker("127.0.0.1", port, "gate-1", tls=False, keepalive_s=keepalive_s),
        Topics("site", "gate-1"),
        Identity("gate-1", "boot-1", journal.epoch, NONCE, "0.1.0"),
        options or LinkOptions(),
        journal,
        lambda: whitelist.revision,
        clock,
        recorder.record,
        Random(1),
    )
    link.handle_with(
        WhitelistSync("gate-1", keys, whitelist, journal, alarms, clock, link.sender("wl-req")),
        Commands(
            "gate-1", NONCE, keys, [GATE], journal, doors, alarms, clock, link.sender("cmd-res")
        ),
        DesiredState(
            "gate-1", keys, [GATE], journal, doors, alarms, clock, link.sender("reported")
        ),
    )
    async with journal.running(), running(recorder.run(), alarms.run(), link.run()):
        yield Box(link, journal, whitelist, doors, alarms, recorder)
    whitelist.close()
