"""The link's parts without a line: a real journal and alarm desk, fake doors, a centre's pen."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.events import Cause, CauseKind, DesiredApplied, Event, Outcome
from gatewayd.domain.model import AlarmKind, DoorId, DoorMode, Passage
from gatewayd.domain.ports import DoorStatus, Journal, JournalError
from gatewayd.link.contract import COMMAND_DOMAIN, DESIRED_DOMAIN
from gatewayd.recorder import Recorder
from gatewayd.signed import WHITELIST_DOMAIN, CentralKeys
from gatewayd.store.journal import JournalStore
from tests.clock import ManualClock
from tests.fakes import running
from tests.store.samples import SECRET

GATE, SIDE = DoorId("main-gate"), DoorId("side-gate")
NONCE = "0123456789abcdef0123456789abcdef"


class Pen:
    """Signs as the centre does; `other` is a stranger with a key of his own."""

    def __init__(self, seed: bytes = b"k", kid: str = "centre") -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(seed * 32)
        self.kid = kid

    def keys(self, *roles: str) -> CentralKeys:
        public = base64.b64encode(self.key.public_key().public_bytes_raw()).decode()
        entry = {"kid": self.kid, "public_key": public}
        whole = entry | {"roles": list(roles) or ["whitelist", "command", "desired"]}
        return CentralKeys.from_json(json.dumps({"keys": [whole]}).encode(), "keys.json")

    def envelope(self, domain: bytes, body: dict[str, Any], **more: Any) -> bytes:
        raw = json.dumps({"v": 1, "aud": "gate-1", **body}, separators=(",", ":")).encode()
        signature = base64.b64encode(self.key.sign(domain + raw)).decode()
        whole = {"v": 1, "kid": self.kid, "sig": signature, "body": base64.b64encode(raw).decode()}
        return json.dumps(whole | more, separators=(",", ":")).encode()

    def command(self, clock: ManualClock, counter: int = 1, **changes: Any) -> bytes:
        now_ms = clock.now().wall_ms
        body = {
            "id": f"c-{counter}", "counter": counter, "nonce": NONCE, "issued_ms": now_ms,
            "exp_ms": now_ms + 10_000, "action": "open", "target": GATE, "reason": "delivery",
        }  # fmt: skip
        return self.envelope(COMMAND_DOMAIN, body | changes)

    def desired(self, rev: int, doors: dict[str, str], **changes: Any) -> bytes:
        return self.envelope(DESIRED_DOMAIN, {"rev": rev, "doors": doors} | changes)

    def manifest(
        self, rev: int, chunks: list[bytes], base: int | None = None, **changes: Any
    ) -> bytes:
        body = {
            "rev": rev, "base": base, "records": 0, "credentials": 0,
            "bytes": sum(map(len, chunks)),
            "chunks": [sha256(chunk).hexdigest() for chunk in chunks],
            "content_sha256": sha256(b"".join(chunks)).hexdigest(),
        }  # fmt: skip
        return self.envelope(WHITELIST_DOMAIN, body | changes, type="manifest")


def chunk(rev: int, index: int, raw: bytes, base: int | None = None) -> bytes:
    data = base64.b64encode(raw).decode()
    whole = {"v": 1, "type": "chunk", "rev": rev, "base": base, "index": index, "data": data}
    return json.dumps(whole).encode()


class TwoDoors:
    """Implements ports.Doors: remembers what moved, in order; `outcome` is what comes of it."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.modes = {GATE: DoorMode.LOCKED, SIDE: DoorMode.LOCKED}
        self.moved: list[tuple[str, str, Cause]] = []
        self.outcome = Outcome.UNLOCKED
        self.refuse_at: DoorId | None = None  # the journal does, for this one

    def status(self, door_id: DoorId) -> DoorStatus:
        return DoorStatus(door_id, "secure", self.modes[door_id], False, False, True, False)

    def all_status(self) -> list[DoorStatus]:
        return [self.status(door) for door in self.modes]

    async def unlock(
        self,
        door_id: DoorId,
        cause: Cause,
        unlock_s: float | None = None,
        *,
        passage: Passage | None = None,
        extra_held_s: float = 0.0,
    ) -> Outcome:
        self.status(door_id)
        self.moved.append((door_id, "unlock", cause))
        return self.outcome

    async def set_mode(
        self, door_id: DoorId, mode: DoorMode, cause: Cause, *, until_ms: int | None = None
    ) -> Outcome:
        self.status(door_id)
        if self.refuse_at == door_id:
            raise JournalError("journal.db: disk full")
        if self.modes[door_id] is not mode:
            self.modes[door_id] = mode
            self.moved.append((door_id, mode.value, cause))
        return self.outcome

    async def withdraw(self, door_id: DoorId, cause: Cause) -> Outcome:
        return await self.set_mode(door_id, DoorMode.LOCKED, cause)

    async def lift(self, door_id: DoorId, cause: Cause) -> Outcome:
        if self.modes[door_id] is not DoorMode.LOCKED_DOWN:
            return self.outcome
        return await self.set_mode(door_id, DoorMode.LOCKED, cause)

    async def want(self, wanted: DesiredApplied) -> None:
        await self.journal.append(wanted)
        for door_id, mode in wanted.doors:
            await self.set_mode(door_id, mode, Cause(CauseKind.CENTRE))


@dataclass
class Parts:
    """`sent` is what would have gone up."""

    clock: ManualClock
    journal: JournalStore
    alarms: AlarmDesk
    doors: TwoDoors
    pen: Pen = field(default_factory=Pen)
    sent: list[dict[str, Any]] = field(default_factory=list)

    async def events(self, kind: type[Any]) -> list[Event]:
        entries = await self.journal.entries_after(0, 1_000, kinds=[kind.KIND])
        return [entry.event for entry in entries]

    def alarmed(self, kind: AlarmKind) -> bool:
        return any(a.kind is kind and a.active for a in self.alarms.open_alarms())


@asynccontextmanager
async def parts(folder: Path, clock: ManualClock | None = None) -> AsyncIterator[Parts]:
    """The same folder again is a restart of the process."""
    clock = clock or ManualClock()
    journal = await JournalStore.open(folder / "journal.db", clock, secret=SECRET)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    alarms.restore(await journal.alarm_events())
    async with journal.running(), running(recorder.run()):
        yield Parts(clock, journal, alarms, TwoDoors(journal))
