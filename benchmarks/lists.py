"""Whitelists and journals of a given size, made through the product's own code."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatewayd.clock import SystemClock
from gatewayd.domain.events import DoorClosed
from gatewayd.domain.model import Credential, DoorId, card
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore

ALWAYS = [[["00:00:00", "24:00:00"]]] * 7
LINES_A_CHUNK = 1_000
SPREAD = 2_654_435_761  # Knuth's multiplier: card numbers far apart, each once below 2^32


def card_of(number: int) -> Credential:
    """The card of resident `number`, as a tag reader presents it."""
    return card(number * SPREAD % 2**32, 40, "em4100")


def records(credentials: int, door: str = "main-gate") -> Iterator[dict[str, object]]:
    """Records of a full list: one level, so many people with a card each."""
    yield {"t": "schedule", "id": "always", "name": "Always", "week": ALWAYS}
    yield {"t": "level", "id": "all", "name": "All", "doors": [door], "schedule": "always"}
    for n in range(credentials):
        place = {"building": str(n % 40), "unit": "1", "room": str(n)}
        yield {"t": "person", "id": f"p-{n}", "name": f"Resident {n}", "levels": ["all"], **place}
        shown = card_of(n)
        yield {
            "t": "credential", "kind": "card", "bits": shown.bit_count, "value": shown.value,
            "person": f"p-{n}",
        }  # fmt: skip


def chunks(credentials: int) -> Iterator[bytes]:
    return chunks_of(records(credentials))


def chunks_of(records: Iterable[dict[str, object]]) -> Iterator[bytes]:
    """The records as a list's lines, some in each chunk."""
    lines: list[bytes] = []
    for record in records:
        lines.append(json.dumps(record).encode() + b"\n")
        if len(lines) == LINES_A_CHUNK:
            yield b"".join(lines)
            lines = []
    yield b"".join(lines)


async def make_whitelist(directory: Path, credentials: int) -> WhitelistStore:
    """A store with revision 1 of that many credentials; the caller closes it."""
    store = await WhitelistStore.open(directory)
    await store.apply_full(1, chunks(credentials))
    return store


async def make_journal(path: Path, events: int, secret: bytes) -> None:
    """A journal of that many events."""
    store = await JournalStore.open(path, SystemClock(), secret=secret)
    event = DoorClosed(DoorId("main-gate"))
    async with store.running():
        for start in range(0, events, 4_000):
            count = min(4_000, events - start)
            await asyncio.gather(*(store.append(event) for _ in range(count)))
