"""A whitelist that came with a signed manifest: judged, applied, journaled, alarmed where refused.

Owns what is the same for the centre's lists and for those that a site alone imports. The list that
decides is the store's; a bad update never touches it. Must not know how the list came here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from hashlib import sha256

from gatewayd.domain.events import WhitelistApplied, WhitelistRejected
from gatewayd.domain.model import AlarmKind
from gatewayd.domain.ports import AlarmDesk, Journal, JournalError
from gatewayd.signed import Manifest
from gatewayd.store.whitelist import AppliedList, WhitelistStore
from gatewayd.store.whitelist_records import WhitelistDataError

log = logging.getLogger(__name__)

MAX_BYTES = 1 << 30  # a million credentials take about 200 MB


class UnusableListError(ValueError):
    """Why a list was not applied. `for_good`: its content is wrong, and would be so again."""

    def __init__(self, why: str, *, for_good: bool) -> None:
        self.why = why
        self.for_good = for_good
        super().__init__(why)


class ListUpdates:
    """The steps of an update, in the order in which whoever brings one calls them."""

    def __init__(
        self, gateway: str, store: WhitelistStore, journal: Journal, alarms: AlarmDesk
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._journal = journal
        self._alarms = alarms

    def objection(self, manifest: Manifest) -> str | None:
        """Why a manifest whose signature verified is not for us, or None."""
        if manifest.aud != self._gateway:
            return f"it is for {manifest.aud!r}, not for us"
        if manifest.rev < self._store.base_revision:
            return f"it would go back from revision {self._store.base_revision}"
        if manifest.bytes > MAX_BYTES:
            return f"larger than {MAX_BYTES} bytes"
        return None

    async def apply(self, manifest: Manifest, chunks: Callable[[], Iterable[bytes]]) -> AppliedList:
        """Put the list in force; the old one decides until then. `chunks` is called, and what it
        yields is read, in a worker thread, twice. Raises UnusableListError; nothing has changed
        then."""
        try:
            content, size = await asyncio.to_thread(lambda: _measure(chunks()))
            if (content, size) != (manifest.content_sha256, manifest.bytes):
                why = "its chunks together are not what it says"
                raise UnusableListError(why, for_good=True)
            if manifest.base is None:
                return await self._store.apply_full(manifest.rev, chunks())
            return await self._store.apply_delta(manifest.base, manifest.rev, chunks())
        except WhitelistDataError as error:
            raise UnusableListError(str(error), for_good=True) from error
        except OSError as error:
            raise UnusableListError(str(error), for_good=False) from error

    def held(self, manifest: Manifest) -> AppliedList:
        """What is in force, as the update that brought it: the last process ended before it could
        tell."""
        count, content = self._store.credential_count, manifest.content_sha256
        return AppliedList(manifest.rev, manifest.base, count, content)

    async def tell(self, applied: AppliedList) -> None:
        """Journal what decides from now on; an earlier refusal is no alarm any more."""
        event = WhitelistApplied(
            applied.revision, applied.base, applied.credentials, applied.content_sha256
        )
        try:
            await self._journal.append(event)
        except JournalError as error:
            log.error("revision %d decides, but is not journaled: %s", applied.revision, error)
        await self._alarms.clear(AlarmKind.WHITELIST_REJECTED, "whitelist")

    async def alarm(self, revision: int, why: str) -> None:
        """The old list stays; a guard is told. `revision` is 0 where none can be believed."""
        log.error("whitelist revision %d refused: %s", revision, why)
        detail = f"revision {revision}: {why}"
        await self._alarms.raise_alarm(AlarmKind.WHITELIST_REJECTED, "whitelist", detail)

    async def journal_rejected(self, revision: int, why: str) -> None:
        """The event that belongs to `alarm`."""
        try:
            await self._journal.append(WhitelistRejected(revision, why))
        except JournalError as error:
            log.error("a refused whitelist is not journaled: %s", error)


def fits(manifest: Manifest, index: int, raw: bytes) -> bool:
    """Whether these are the bytes of that chunk."""
    chunks = manifest.chunks
    return index < len(chunks) and sha256(raw).hexdigest() == chunks[index]


def _measure(chunks: Iterable[bytes]) -> tuple[str, int]:
    """SHA-256 and size of all the chunks in order."""
    digest, size = sha256(), 0
    for raw in chunks:
        digest.update(raw)
        size += len(raw)
    return digest.hexdigest(), size
