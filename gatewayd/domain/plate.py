"""How a licence plate is written where plates are compared: letters upper-case, nothing between
them. Pure; owns what lists and readers must have in common, and no list of provinces.
"""

from __future__ import annotations

import re

# What is drawn or typed between a plate's parts and is no part of it: 沪A·12345, M-AB 123.
_SIGNS = re.compile(r"[\s·•.\-]+")


def plain(text: str) -> str:
    """The plate as it is compared; what is no plate comes out as something that is none."""
    return _SIGNS.sub("", text).upper()


def is_plain(text: str) -> bool:
    """Whether a list may have it: no spaces, no lower-case letters. What stands between its parts
    is the list's affair; no reader of text presents that."""
    return text == text.upper() and text.split() == [text]
