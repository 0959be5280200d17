"""The guards' console and API."""

from __future__ import annotations

from pathlib import Path


def static_folder() -> Path:
    """Where the page's files are: scripts, styles, texts, what is vendored."""
    return Path(__file__).parent / "static"
