"""Wrong passwords slow down whoever tries them. Owns the counts; must not check a password.

Per account, so that many addresses can't share the guessing; per address, so that one can't try
every account. Kept in memory: a restart forgives, and costs an attacker more than it gives.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import Clock

FORGET_NS = 15 * 60 * NS_PER_S
MAX_KEYS = 2_000  # names and addresses remembered; past it the longest untouched is forgotten


@dataclass(frozen=True, slots=True)
class Limit:
    """`free` attempts cost nothing; each further one doubles the wait, from 1 s up to `most_s`."""

    free: int
    most_s: int

    def wait_s(self, attempts: int) -> int:
        over = attempts - self.free
        return 0 if over < 0 else int(min(self.most_s, 2 ** min(over, 20)))


# A guard who is woken up mistypes; a colleague must not be able to lock him out for long.
ACCOUNT = Limit(free=5, most_s=60)
ADDRESS = Limit(free=20, most_s=300)


@dataclass(slots=True)
class _Count:
    attempts: int
    last_ns: int


class Throttle:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def attempt(self, account: str, address: str) -> int:
        """0 where an attempt may be made now, which is counted; else the seconds to wait.

        Counted before the password is checked, so that many at once don't slip through.
        """
        keys = ((("account", account), ACCOUNT), (("address", address), ADDRESS))
        wait_s = max(self._wait_s(key, limit) for key, limit in keys)
        if wait_s == 0:
            for key, _ in keys:
                self._count(key, 1)
        return wait_s

    def succeeded(self, account: str, address: str) -> None:
        """The account starts anew; the address gets back only what this attempt cost it."""
        self._counts.pop(("account", account), None)
        self._count(("address", address), -1)

    def _wait_s(self, key: tuple[str, str], limit: Limit) -> int:
        count = self._counts.get(key)
        if count is None:
            return 0
        passed_ns = self._clock.monotonic_ns() - count.last_ns
        if passed_ns > FORGET_NS:
            del self._counts[key]
            return 0
        left_ns = limit.wait_s(count.attempts) * NS_PER_S - passed_ns
        return max(0, -(-left_ns // NS_PER_S))

    def _count(self, key: tuple[str, str], by: int) -> None:
        count = self._counts.pop(key, None) or _Count(0, 0)
        count.attempts += by
        count.last_ns = self._clock.monotonic_ns()
        self._counts[key] = count
        while len(self._counts) > MAX_KEYS:
            self._counts.popitem(last=False)
