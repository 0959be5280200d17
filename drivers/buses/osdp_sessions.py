"""Under which key an OSDP device is spoken to: the one in its file, one that it may have since an
interrupted pairing, the default key in an install window and never else.

Owns that choice, and how a pairing begins and ends. Speaks with nobody.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from pathlib import Path

from drivers.buses.osdp_keys import KeyFile
from drivers.buses.osdp_pairing import Pairing
from drivers.protocols.osdp.commands import KEY_LENGTH
from drivers.protocols.osdp.session import Session
from gatewayd.domain.ports import DeviceError

log = logging.getLogger(__name__)


class SessionChoice:
    """One device's. `keys` None is clear text, by setting."""

    def __init__(self, address: int, keys: KeyFile | None, *, use_crc: bool) -> None:
        self._address = address
        self._keys = keys
        self._use_crc = use_crc
        self.pairing: Pairing | None = None
        self._under: bytes | None = None  # the key of the session that was given last
        self._others: deque[bytes] = deque()  # keys that the device may have as well
        self._makes_key = False  # a pairing is about to begin
        self._proved = False  # a session is open, which tells that the device has that key

    @property
    def key_path(self) -> Path | None:
        return None if self._keys is None else self._keys.path

    @property
    def unpaired(self) -> bool:
        """There is no key yet, and nobody gives it one now."""
        return self._keys is not None and not self._keys.candidates and self.pairing is None

    @property
    def unfinished(self) -> bool:
        """No session was ever opened under a key of its own: its first pairing was interrupted."""
        return self._keys is not None and self._keys.current is None

    @property
    def several(self) -> bool:
        """The device may have one key or another."""
        return self._keys is not None and len(self._keys.candidates) > 1

    @property
    def without_key(self) -> str:
        """Why an unpaired device is out of service."""
        return f"it has no key yet, there is no {self.key_path}: run gatewayd osdp pair"

    def first(self) -> Session:
        """Under what the files say; without a key under one that nobody has, so that whatever asks
        this device fails closed. Raises ValueError for an address that is none."""
        self._others.clear()
        if self._keys is None:
            self._under = None
        else:
            self._others.extend(self._keys.candidates or [secrets.token_bytes(KEY_LENGTH)])
            self._under = self._others.popleft()
        return self._session(self._under)

    def another(self) -> Session | None:
        """Another way to open a session, where there is one that was not tried. Only here, while a
        pairing is under way, is one under the default key."""
        if self.pairing is not None:
            if not self.pairing.ways:
                return None
            way = self.pairing.ways.popleft()
            self._under = self.pairing.key
            return self._session(way.under, way.install)
        if not self._others:
            return None
        self._under = self._others.popleft()
        return self._session(self._under)

    def opened(self) -> None:
        """A session is open under the key it was given, or that was installed in it."""
        pending = self._keys is not None and self._keys.pending is not None
        self._proved = pending or self.pairing is not None

    async def settle(self) -> None:
        """Where that tells which of several keys the device has: keep it, and no other."""
        if not self._proved or self._keys is None or self._under is None:
            return
        self._proved = False
        kept = f"the key stands in {self._keys.path}"
        try:
            await asyncio.to_thread(self._keys.settle, self._under)
        except OSError as error:
            log.error("%s could not be put in its place: %s", self._keys.pending_path, error)
            kept = f"the key is used from {self._keys.pending_path}, which can't be moved: {error}"
        self._others.clear()
        if self.pairing is not None:
            self.pairing.succeed(f"a session opened under the new key; {kept}")

    async def begin_pairing(self, *, new_device: bool) -> Pairing:
        """The new key is on disk, and `another` gives the ways to it. Raises DeviceError."""
        if self._keys is None:
            raise DeviceError("it is set to clear_text: set its key_file instead, restart, pair")
        if self._makes_key or self.pairing is not None:
            raise DeviceError("it is being paired already")
        left_over, self._makes_key = self._keys.pending, True
        try:
            key = await self._new_key(self._keys)
        finally:
            self._makes_key = False
        under = None if new_device else self._keys.current
        self.pairing = Pairing(key, under, left_over=left_over)
        return self.pairing

    async def _new_key(self, keys: KeyFile) -> bytes:
        """On disk. Given up meanwhile, it is forgotten as soon as it is there."""
        was_there = keys.pending is not None
        work = asyncio.get_running_loop().run_in_executor(None, keys.make_pending)
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            if not was_there:
                work.add_done_callback(lambda _done: keys.discard_pending())
            raise

    async def end_pairing(self) -> Session | None:
        """None where the session that is open is the right one. A key that the device was never
        told is forgotten."""
        pairing, self.pairing = self.pairing, None
        if pairing is None or pairing.succeeded or self._keys is None:
            return None
        if not pairing.told:
            try:
                await asyncio.shield(asyncio.to_thread(self._keys.discard_pending))
            except OSError as error:  # it is tried, and found wrong
                log.error("%s can't be removed: %s", self._keys.pending_path, error)
        return self.first()

    def _session(self, key: bytes | None, install: bytes | None = None) -> Session:
        return Session(
            self._address,
            key,
            random_bytes=secrets.token_bytes,
            use_crc=self._use_crc,
            install_key=install,
        )
