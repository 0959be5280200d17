"""Keeps device tasks going and tells systemd that doors can be decided. Owns restarts, no device.

A device that fails in a declared way (DeviceError, OSError, or a task group's exceptions that are
all of these) is started again with a capped backoff. Anything else is a bug: it ends the process,
and systemd starts a clean one.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Awaitable, Callable

from gatewayd.domain.model import NS_PER_MS, NS_PER_S
from gatewayd.domain.ports import Clock

log = logging.getLogger(__name__)

FIRST_BACKOFF_NS = 200 * NS_PER_MS
MAX_BACKOFF_NS = 5 * NS_PER_S
STEADY_NS = 30 * NS_PER_S  # a run this long starts the backoff anew


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    clock: Clock,
    on_failure: Callable[[str], None] = lambda _why: None,
) -> None:
    """Run for ever. `on_failure(why)` is told each declared failure before the pause."""
    backoff_ns = FIRST_BACKOFF_NS
    while True:
        started_ns = clock.monotonic_ns()
        try:
            await run()
            why = "ended by itself"
        except* OSError as errors:  # what is no OSError goes on up
            why = why_of(errors)
        log.warning("%s stopped, starting it again: %s", name, why)
        on_failure(why)
        now_ns = clock.monotonic_ns()
        if now_ns - started_ns >= STEADY_NS:
            backoff_ns = FIRST_BACKOFF_NS
        await clock.sleep_until(now_ns + backoff_ns)
        backoff_ns = min(2 * backoff_ns, MAX_BACKOFF_NS)


def why_of(errors: BaseExceptionGroup[Exception]) -> str:
    """What the errors in a group say, and in the groups in it: each once, in one line."""
    return "; ".join(sorted({str(error) or type(error).__name__ for error in _leaves(errors)}))


def _leaves(group: BaseExceptionGroup[Exception]) -> list[Exception]:
    found: list[Exception] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def notify(message: str) -> bool:
    """Tell systemd (sd_notify(3)), e.g. "READY=1"; False where no supervisor listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
        try:
            line.sendto(message.encode(), address)
        except OSError as error:
            log.warning("systemd can't be told %s: %s", message, error)
            return False
    return True


def watchdog_interval_ns() -> int | None:
    """A third of what systemd allows (WATCHDOG_USEC), or None where it does not watch us."""
    text = os.environ.get("WATCHDOG_USEC", "")
    if not text.isdigit() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) * 1000 // 3


async def feed_watchdog(
    self_test: Callable[[], Awaitable[str | None]], clock: Clock, interval_ns: int
) -> None:
    """Tell systemd we live, each time only after the decision path answered as it must.

    `self_test` returns None, or what is wrong: then the watchdog goes hungry and systemd restarts
    the process, which is what the doors need.
    """
    while True:
        wrong = await self_test()
        if wrong is None:
            notify("WATCHDOG=1")
        else:
            log.error("self-test of the decision path failed, not feeding the watchdog: %s", wrong)
            notify(f"STATUS=self-test failed: {wrong}")
        await clock.sleep_until(clock.monotonic_ns() + interval_ns)
