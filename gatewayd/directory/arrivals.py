"""Imported lists that arrive at the running daemon of a site without a centre.

Owns when the inbox is looked into, and the order of what happens to a package. What is checked and
applied is `gatewayd.list_updates`, as for the centre's lists. Loads no spreadsheet.
"""

from __future__ import annotations

import asyncio
import logging

from gatewayd.directory.package import Inbox, LocalManifest
from gatewayd.domain.events import OperatorOrdered
from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import Clock, Journal, JournalError
from gatewayd.list_updates import ListUpdates, UnusableListError
from gatewayd.signed import Refused
from gatewayd.store.staging import Staging
from gatewayd.store.whitelist import WhitelistStore

log = logging.getLogger(__name__)

LOOK_NS = NS_PER_S


class Arrivals:
    """Looks into the inbox every second; that is one stat while nothing comes."""

    def __init__(
        self,
        inbox: Inbox,
        store: WhitelistStore,
        updates: ListUpdates,
        journal: Journal,
        clock: Clock,
    ) -> None:
        self._inbox = inbox
        self._store = store
        self._updates = updates
        self._journal = journal
        self._clock = clock

    async def run(self) -> None:
        """Apply what comes, for ever."""
        try:
            await self.heal()
        except OSError as error:
            log.error("the last imported list is no help, it can't be read: %s", error)
        while True:
            try:
                await self.look()
            except OSError as error:
                log.error("the inbox can't be read: %s", error)
            await self._clock.sleep_until(self._clock.monotonic_ns() + LOOK_NS)

    async def heal(self) -> None:
        """At the start: a list that can't be read is made again from the package that brought just
        this one. There is no centre that could be asked for it. What was taken waits for `look`.
        Raises OSError."""
        if self._store.fault is None or not self._inbox.applied.exists():
            return
        package = Staging(self._inbox.applied)
        manifest = self._inbox.open(package)
        if isinstance(manifest, Refused):
            log.error("the last imported list is no help: %s", manifest.reason)
        elif (manifest.rev, manifest.content_sha256) == self._store.newest:
            try:
                await self._apply(manifest, package)
            except UnusableListError as error:
                await self._tell_refused(manifest.rev, error.why)

    async def look(self) -> None:
        """Take a package and see it through. Raises OSError."""
        package = self._inbox.take()
        if package is None:
            return
        manifest = self._inbox.open(package)
        if isinstance(manifest, Refused):
            await self._refuse(0, manifest.reason)
        elif (why := self._objection(manifest)) is not None:
            await self._refuse(manifest.rev, why)
        elif manifest.rev == self._store.revision:
            await self._updates.tell(self._updates.held(manifest))
            await asyncio.to_thread(self._inbox.keep)
        else:
            await self._follow(manifest, package)

    def _objection(self, manifest: LocalManifest) -> str | None:
        if manifest.base is not None:
            return "an imported list is always a full one"
        if manifest.rev == self._store.revision:
            same = manifest.content_sha256 == self._store.newest[1]
            return None if same else f"revision {manifest.rev} is in force, with other content"
        return self._updates.objection(manifest)

    async def _follow(self, manifest: LocalManifest, package: Staging) -> None:
        """Journal who ordered it, then apply. What can't be journaled waits in the inbox."""
        files = "; ".join(f"{file.name} sha256:{file.sha256}" for file in manifest.files)
        order = OperatorOrdered(manifest.operator, "import", "whitelist", files)
        try:
            await self._journal.append(order)
        except JournalError as error:
            log.error("an imported list waits, the journal does not take it: %s", error)
            return
        try:
            await self._apply(manifest, package)
        except UnusableListError as error:
            await self._refuse(manifest.rev, error.why)
        else:
            await asyncio.to_thread(self._inbox.keep)

    async def _apply(self, manifest: LocalManifest, package: Staging) -> None:
        """Raises UnusableListError."""
        await self._updates.tell(await self._updates.apply(manifest, package.chunks))

    async def _refuse(self, revision: int, why: str) -> None:
        """The package that was taken."""
        await self._tell_refused(revision, why)
        await asyncio.to_thread(self._inbox.drop)

    async def _tell_refused(self, revision: int, why: str) -> None:
        await self._updates.alarm(revision, why)
        await self._updates.journal_rejected(revision, why)
