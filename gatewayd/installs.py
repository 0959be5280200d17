"""Install windows: for a few minutes, on an operator's word, one device may be given a new key.

Owns the window: that there is one at a time, how long it lasts, and that its opening and what came
of it are journaled. Must not know how a key is given; the device's driver does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from gatewayd.domain.events import Cause, Event, InstallClosed, InstallOpened, InstallOutcome
from gatewayd.domain.model import NS_PER_S, AccessPointId, DeviceId
from gatewayd.domain.ports import (
    Clock,
    DeviceError,
    InstallRefusal,
    InstallRefusedError,
    InstallWindow,
    JournalEntry,
    Pairable,
)
from gatewayd.feedback import FeedbackDesk
from gatewayd.recorder import Recorder

log = logging.getLogger(__name__)

MAX_WINDOW_S = 600.0  # who leaves it open opens it to whoever is at the wires next
_KINDS = frozenset({InstallOpened.KIND, InstallClosed.KIND})


class InstallJournal(Protocol):
    """The journal as the desk reads it at the start and writes to it."""

    async def append(self, event: Event) -> int: ...

    async def entries_before(
        self, seq: int | None, limit: int, *, kinds: Collection[str] | None = None
    ) -> list[JournalEntry]: ...


@dataclass(slots=True)
class _Open:
    """The window that is open."""

    window: InstallWindow
    ends_ns: int
    new_device: bool
    withdrawn: asyncio.Event = field(default_factory=asyncio.Event)


class InstallDesk:
    """Implements `gatewayd.domain.ports.Installs`. `run` does the work of one window at a time."""

    def __init__(
        self,
        devices: Mapping[DeviceId, Pairable | None],
        journal: InstallJournal,
        recorder: Recorder,
        feedback: FeedbackDesk,
        clock: Clock,
    ) -> None:
        """`devices`: every reader and controller; None: it takes no key from us."""
        self._devices = devices
        self._journal = journal
        self._recorder = recorder
        self._feedback = feedback
        self._clock = clock
        self._opening = False  # its order is on its way to the disk
        self._open: _Open | None = None
        self._last: InstallWindow | None = None
        self._work = asyncio.Event()

    @property
    def window(self) -> InstallWindow | None:
        return self._last if self._open is None else self._open.window

    async def restore(self) -> None:
        """At the start: a window that was open when the power failed is over, and that is said.
        Raises JournalError."""
        last = await self._journal.entries_before(None, 1, kinds=_KINDS)
        for entry in last:
            if isinstance(entry.event, InstallOpened):
                detail = "the box ended while the window was open"
                over = InstallClosed(entry.event.device_id, InstallOutcome.INTERRUPTED, detail)
                self._recorder.record(over)

    async def open(
        self, device_id: DeviceId, for_s: float, cause: Cause, *, new_device: bool
    ) -> InstallWindow:
        """As the port tells."""
        if not 0 < for_s <= MAX_WINDOW_S:
            raise ValueError(f"an install window lasts at most {MAX_WINDOW_S:g} s, not {for_s:g}")
        if device_id not in self._devices:
            raise InstallRefusedError(InstallRefusal.NO_DEVICE)
        if self._devices[device_id] is None:
            raise InstallRefusedError(InstallRefusal.NO_KEY)
        if self._opening or self._open is not None:
            raise InstallRefusedError(InstallRefusal.OPEN)
        self._opening = True
        try:
            now = self._clock.now()
            until_ms = now.wall_ms + round(for_s * 1000)
            seq = await self._journal.append(InstallOpened(device_id, until_ms, new_device, cause))
        finally:
            self._opening = False
        ends_ns = now.monotonic_ns + round(for_s * NS_PER_S)  # however long the disk took
        self._open = _Open(InstallWindow(device_id, seq, until_ms), ends_ns, new_device)
        self._work.set()
        log.info("install window of %s for %g s, by %s", device_id, for_s, cause.ref)
        return self._open.window

    def close(self) -> bool:
        """As the port tells."""
        if self._open is None:
            return False
        self._open.withdrawn.set()
        return True

    async def run(self) -> None:
        """Go through each window as it is opened, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            if self._open is not None:
                await self._go_through(self._open)

    async def _go_through(self, opened: _Open) -> None:
        device_id = opened.window.device_id
        point_id = AccessPointId(device_id)  # of a reader; a board has no signs
        outcome, detail = InstallOutcome.INTERRUPTED, "the box ends"
        self._feedback.installs(point_id, True)
        try:
            outcome, detail = await self._first_of(opened)
        finally:
            self._feedback.installs(point_id, False)
            self._open = None
            self._last = replace(opened.window, outcome=outcome, detail=detail)
            self._recorder.record(InstallClosed(device_id, outcome, detail))
            log.info("install window of %s: %s, %s", device_id, outcome, detail)

    async def _first_of(self, opened: _Open) -> tuple[InstallOutcome, str]:
        """The pairing's end, the window's, or an operator's word."""
        name = f"install {opened.window.device_id}"
        async with asyncio.TaskGroup() as group:
            pairing = group.create_task(self._pair(opened), name=name)
            time_up = group.create_task(self._clock.sleep_until(opened.ends_ns), name=f"{name} end")
            withdrawn = group.create_task(opened.withdrawn.wait(), name=f"{name} withdrawn")
            await asyncio.wait(
                {pairing, time_up, withdrawn}, return_when=asyncio.FIRST_COMPLETED
            )  # fmt: skip
            for task in (pairing, time_up, withdrawn):
                task.cancel()
        if pairing.done() and not pairing.cancelled():
            return pairing.result()
        if withdrawn.done() and not withdrawn.cancelled():
            return InstallOutcome.WITHDRAWN, "an operator closed the window"
        return InstallOutcome.TIME_UP, "no device took a key in the window's time"

    async def _pair(self, opened: _Open) -> tuple[InstallOutcome, str]:
        device = self._devices[opened.window.device_id]
        assert device is not None  # noqa: S101  # `open` looked
        try:
            told = await device.pair(new_device=opened.new_device)
        except DeviceError as error:
            return InstallOutcome.FAILED, str(error)
        return InstallOutcome.PAIRED, told
