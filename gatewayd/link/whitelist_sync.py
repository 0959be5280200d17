"""Whitelist updates: a signed manifest, its chunks pulled by index, checked, handed to the store.

Owns one update at a time. The list that decides is the store's; a bad update never touches it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import AlarmDesk, Clock, Journal
from gatewayd.link.contract import Chunk
from gatewayd.list_updates import ListUpdates, UnusableListError, fits
from gatewayd.signed import WHITELIST_DOMAIN, CentralKeys, Manifest, Refused, open_signed, parse
from gatewayd.store.whitelist import AppliedList, WhitelistStore

log = logging.getLogger(__name__)

IN_FLIGHT = 4  # chunks asked for at once: 1 MiB under way, on what may be a SIM card's line
ASK_AGAIN_NS = 10 * NS_PER_S
LIST_AGAIN_NS = 300 * NS_PER_S  # a list that the disk takes no more must not fill the line
MAX_REFUSED = 64  # contents; a centre that sends more bad lists has each pulled again
MAX_WRONG = 3  # wrong chunks in a row, then the update is refused
REJECTED_EVERY_NS = 10 * NS_PER_S  # a flood of forged manifests makes one event in this time

Send = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class _Update:
    """The update under way. `asked` are chunks asked for that are not here yet."""

    manifest: Manifest
    have: set[int]
    asked: set[int] = field(default_factory=set)
    wrong_in_a_row: int = 0

    @property
    def missing(self) -> list[int]:
        return [i for i in range(len(self.manifest.chunks)) if i not in self.have]


class WhitelistSync:
    """Fed by the link with `dn/wl-chunk`, one message at a time; asks over `send`, which must
    return at once and may lose a message: it is asked again."""

    def __init__(
        self,
        gateway: str,
        keys: CentralKeys,
        store: WhitelistStore,
        journal: Journal,
        alarms: AlarmDesk,
        clock: Clock,
        send: Send,
    ) -> None:
        self._keys = keys
        self._store = store
        self._updates = ListUpdates(gateway, store, journal, alarms)
        self._clock = clock
        self._send = send
        self._update: _Update | None = None
        # Contents that were refused, the last ones: not pulled again and again.
        self._refused: deque[str] = deque(maxlen=MAX_REFUSED)
        self._asked_ns = clock.monotonic_ns()
        self._rejected_ns: int | None = None
        self._list_asked_ns: int | None = None  # since the list held can't be read

    def connected(self) -> None:
        """On every connect: say what is held, and go on with what a restart interrupted."""
        self._send({"ask": "manifest", "have": self._store.base_revision})
        if self._update is not None:
            self._update.asked.clear()
            self._ask()

    async def resume(self) -> None:
        """At the start: the update that the last process left unfinished, if there is one."""
        try:
            payload = self._store.staging.manifest()
        except OSError as error:
            log.error("the unfinished update can't be read, it is asked for again: %s", error)
            self._store.staging.clear()
            return
        if payload is None:
            return
        opened = open_signed(self._keys, Manifest, payload, WHITELIST_DOMAIN, "whitelist")
        if isinstance(opened, Refused) or opened[1].rev < self._store.base_revision:
            self._store.staging.clear()  # damaged, its key is gone, or it is behind
        elif opened[1].rev == self._store.base_revision:
            await self._swapped_already(opened[1])
        else:
            await self._manifest(payload)

    async def _swapped_already(self, manifest: Manifest) -> None:
        """The last process ended between the swap and its row in the journal."""
        self._store.staging.clear()
        await self._tell(self._updates.held(manifest))

    async def run(self) -> None:
        """Ask again for what did not come, for ever."""
        while True:
            await self._clock.sleep_until(self._asked_ns + ASK_AGAIN_NS)
            if self._clock.monotonic_ns() >= self._asked_ns + ASK_AGAIN_NS:
                self._asked_ns = self._clock.monotonic_ns()
                if self._update is not None:
                    self._update.asked.clear()
                    self._ask()
                else:
                    self._ask_for_what_cannot_be_read()

    def _ask_for_what_cannot_be_read(self) -> None:
        if self._store.fault is None:
            self._list_asked_ns = None
        elif self._list_asked_ns is None or self._asked_ns - self._list_asked_ns >= LIST_AGAIN_NS:
            self._list_asked_ns = self._asked_ns
            self._send({"ask": "manifest", "have": 0})

    async def handle(self, payload: bytes) -> None:
        """One `dn/wl-chunk` message: a chunk, or else a manifest."""
        chunk = parse(Chunk, payload)
        if isinstance(chunk, Refused):
            await self._manifest(payload)
        else:
            await self._chunk(chunk)

    # ------------------------------------------------------------------------------ manifest

    async def _manifest(self, payload: bytes) -> None:
        opened = open_signed(self._keys, Manifest, payload, WHITELIST_DOMAIN, "whitelist")
        if isinstance(opened, Refused):
            await self._reject(0, opened.reason)
            return
        _, manifest = opened
        wrong = self._updates.objection(manifest)
        if wrong is not None:
            await self._reject(manifest.rev, wrong)
        elif manifest.base not in {None, self._store.base_revision}:
            self._send({"ask": "manifest", "have": 0})
        elif (
            manifest.rev != self._store.base_revision
            and manifest.content_sha256 not in self._refused
        ):
            await self._begin(manifest, payload)

    async def _begin(self, manifest: Manifest, payload: bytes) -> None:
        if self._update is not None and self._update.manifest == manifest:
            return
        try:
            self._store.staging.begin(payload)
            kept = await asyncio.to_thread(self._kept, manifest)
        except OSError as error:
            await self._reject(manifest.rev, f"the disk refused it: {error}")
            return
        self._update = _Update(manifest, kept)
        await self._go_on()

    def _kept(self, manifest: Manifest) -> set[int]:
        """The chunks from before a restart, as far as they are what the manifest says."""
        kept = zip(sorted(self._store.staging.have()), self._store.staging.chunks(), strict=True)
        return {i for i, raw in kept if fits(manifest, i, raw)}

    # -------------------------------------------------------------------------------- chunks

    async def _chunk(self, chunk: Chunk) -> None:
        update = self._update
        if update is None or (chunk.rev, chunk.base) != (update.manifest.rev, update.manifest.base):
            return
        raw = chunk.raw()
        if raw is None or not fits(update.manifest, chunk.index, raw):
            if chunk.index in update.asked:  # nobody counts what nobody asked for
                update.asked.discard(chunk.index)
                await self._wrong_chunk(update, chunk.index)
            return
        update.asked.discard(chunk.index)
        update.wrong_in_a_row = 0
        if chunk.index not in update.have:
            try:
                await asyncio.to_thread(self._store.staging.put, chunk.index, raw)
            except OSError as error:
                await self._give_up(update.manifest, f"the disk refused it: {error}")
                return
            update.have.add(chunk.index)
        await self._go_on()

    async def _wrong_chunk(self, update: _Update, index: int) -> None:
        update.wrong_in_a_row += 1
        log.warning("chunk %d of revision %d is wrong", index, update.manifest.rev)
        if update.wrong_in_a_row >= MAX_WRONG:
            what = f"chunk {index} is wrong, {MAX_WRONG} wrong chunks in a row"
            await self._give_up(update.manifest, what)
        else:
            self._ask()

    async def _go_on(self) -> None:
        if self._update is not None and not self._update.missing:
            await self._apply(self._update.manifest)
        else:
            self._ask()

    def _ask(self) -> None:
        """Keep so many chunks in flight."""
        update = self._update
        if update is None:
            return
        self._asked_ns = self._clock.monotonic_ns()
        for index in update.missing:
            if len(update.asked) >= IN_FLIGHT:
                return
            if index not in update.asked:
                update.asked.add(index)
                which = {"rev": update.manifest.rev, "base": update.manifest.base}
                self._send({"ask": "chunk", **which, "index": index})

    # -------------------------------------------------------------------------------- the end

    async def _apply(self, manifest: Manifest) -> None:
        try:
            applied = await self._updates.apply(manifest, self._store.staging.chunks)
        except UnusableListError as error:
            await self._give_up(manifest, error.why, for_good=error.for_good)
            return
        self._update = None
        self._store.staging.clear()
        await self._tell(applied)

    async def _tell(self, applied: AppliedList) -> None:
        await self._updates.tell(applied)
        self._send({"ask": "manifest", "have": self._store.base_revision})

    async def _give_up(self, manifest: Manifest, why: str, *, for_good: bool = False) -> None:
        """The update under way is over. A list whose content is wrong is not pulled again; one that
        met a full disk or wrong chunks is, on the next manifest."""
        if for_good:
            self._refused.append(manifest.content_sha256)
        self._update = None
        self._store.staging.clear()
        await self._reject(manifest.rev, why)

    async def _reject(self, revision: int, why: str) -> None:
        """The old list stays, and so does an update under way; an alarm says so, and an event at
        most every ten seconds."""
        await self._updates.alarm(revision, why)
        now_ns = self._clock.monotonic_ns()
        if self._rejected_ns is None or now_ns - self._rejected_ns >= REJECTED_EVERY_NS:
            self._rejected_ns = now_ns
            await self._updates.journal_rejected(revision, why)
