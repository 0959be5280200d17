"""What the tap's path itself can say in a trace, before and after the rules. Owns the sentences
only: `gatewayd.tap` finds out what is true.
"""

from __future__ import annotations

from gatewayd.domain.model import Reason
from gatewayd.domain.verdict import Sentence

LIST_UNREADABLE = Sentence("whitelist_readable", "unreadable", (), Reason.WHITELIST_UNAVAILABLE)
WAITED_TOO_LONG = Sentence("tap_in_time", "waited", ("seconds",), Reason.TAP_TOO_OLD)
NOT_DURABLE = Sentence("journal_durable", "late", (), Reason.JOURNAL_UNAVAILABLE)
SENTENCES = (LIST_UNREADABLE, WAITED_TOO_LONG, NOT_DURABLE)
