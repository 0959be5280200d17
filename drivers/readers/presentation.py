"""When a repeated card is one presentation. Owns the debounce; must not do I/O or read a clock.

A reader such as the RDM6300 repeats a tag about every 50 ms for as long as it is held there.
"""

from __future__ import annotations

from gatewayd.domain.model import NS_PER_MS, Credential


class Presentations:
    """Remembers the last card and when it was last seen.

    The same card within `debounce_ms` of its last sighting is the same presentation, however long
    it is held; another card in between makes it a new one.
    """

    def __init__(self, debounce_ms: int) -> None:
        self._debounce_ns = debounce_ms * NS_PER_MS
        self._last: Credential | None = None
        self._last_seen_ns = 0

    def is_new(self, credential: Credential, monotonic_ns: int) -> bool:
        """Whether this sighting begins a presentation."""
        repeated = (
            credential == self._last and monotonic_ns - self._last_seen_ns < self._debounce_ns
        )
        self._last = credential
        self._last_seen_ns = monotonic_ns
        return not repeated
