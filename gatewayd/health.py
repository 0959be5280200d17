"""Watches what no device reports: the wall clock's jumps, the free space, a list that could not be
read. Owns no repair."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.events import ClockJumped
from gatewayd.domain.model import NS_PER_MS, NS_PER_S, AlarmKind, Stamp
from gatewayd.domain.ports import Clock
from gatewayd.recorder import Recorder

CLOCK_CHECK_NS = NS_PER_S
SPACE_CHECK_NS = 30 * NS_PER_S
LIST_CHECK_NS = 60 * NS_PER_S  # all of a list of a million is read: 200 MB, from a disk that is ill
JUMP_MS = 2_000  # NTP slews; what moves more than this at once was set by someone or something
MEGABYTE = 1_000_000


def jump_ms(before: Stamp, after: Stamp) -> int:
    """How far the wall moved against the monotonic clock between two stamps of one boot."""
    elapsed_ms = (after.monotonic_ns - before.monotonic_ns) // NS_PER_MS
    return after.wall_ms - before.wall_ms - elapsed_ms


async def watch_clock(clock: Clock, recorder: Recorder, alarms: AlarmDesk) -> None:
    """Journal every jump, and alarm it: validity and schedules are decided by this clock."""
    before = clock.now()
    while True:
        await clock.sleep_until(before.monotonic_ns + CLOCK_CHECK_NS)
        after = clock.now()
        moved = jump_ms(before, after)
        if abs(moved) >= JUMP_MS:
            recorder.record(ClockJumped(moved, after.wall_trusted), after)
            detail = f"the wall clock moved by {moved / 1000:+.1f} s at once"
            await alarms.raise_alarm(AlarmKind.CLOCK_JUMPED, "clock", detail)
            await alarms.clear(AlarmKind.CLOCK_JUMPED, "clock")
        before = after


def free_mb(directory: Path) -> int:
    """Megabytes free for us on the file system of `directory`."""
    return shutil.disk_usage(directory).free // MEGABYTE


async def watch_space(directory: Path, low_mb: int, clock: Clock, alarms: AlarmDesk) -> None:
    """Alarm while less than `low_mb` is free; cleared at a tenth above it, so it does not flap."""
    while True:
        try:
            free = free_mb(directory)
            detail = f"{free} MB free, less than {low_mb} MB: pictures go first, then make room"
        except OSError as error:
            free, detail = 0, f"the free space of {directory} can't be read: {error}"
        if free < low_mb:
            alarms.signal(AlarmKind.STORAGE_LOW, "storage", active=True, detail=detail)
        elif free > low_mb * 1.1:
            alarms.signal(AlarmKind.STORAGE_LOW, "storage", active=False)
        await clock.sleep_until(clock.monotonic_ns() + SPACE_CHECK_NS)


class RereadableList(Protocol):
    """The whitelist's store, as far as the watch needs it."""

    async def read_again(self) -> None: ...


async def watch_list(whitelist: RereadableList, clock: Clock) -> None:
    """Give a list that could not be read another try: the disk's fault may have been a passing one.
    The store tells of the fault and of its end."""
    while True:
        await clock.sleep_until(clock.monotonic_ns() + LIST_CHECK_NS)
        await whitelist.read_again()
