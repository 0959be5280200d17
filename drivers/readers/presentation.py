"""When a repeated credential is one presentation. Owns the debounce; does no I/O, reads no clock.

A reader such as the RDM6300 repeats a tag about every 50 ms for as long as it is held there, and a
recogniser a plate for as long as the vehicle is in its picture.
"""

from __future__ import annotations

from gatewayd.domain.model import NS_PER_MS, Credential, CredentialKind


class Presentations:
    """Remembers the last credential, and since when its debounce runs.

    The same one within `debounce_ms` of its last sighting is the same presentation, however long
    it is held; another one in between makes it a new one. A plate is presented again `debounce_ms`
    after it last was, also while it is seen all the time: a driver can't take it away and hold it
    there again, and what it was denied for, such as no vehicle on the loop yet, may have passed.
    """

    def __init__(self, debounce_ms: int) -> None:
        self._debounce_ns = debounce_ms * NS_PER_MS
        self._last: Credential | None = None
        self._since_ns = 0

    def is_new(self, credential: Credential, monotonic_ns: int) -> bool:
        """Whether this sighting begins a presentation."""
        repeated = credential == self._last and monotonic_ns - self._since_ns < self._debounce_ns
        if not repeated or credential.kind is not CredentialKind.PLATE:
            self._since_ns = monotonic_ns
        self._last = credential
        return not repeated
