"""Small things made once and kept: the box's secret, its journal's folder. Owns their files."""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_bytes

SECRET_BYTES = 32


def keep_secret(path: Path) -> bytes:
    """The box's HMAC key at `path`; made on first use, durable before it is used, mode 0600.

    Raises OSError where it can't be made or read, and ValueError where the file is not ours.
    """
    if not path.exists():
        _write_durably(path, token_bytes(SECRET_BYTES))
    return kept_secret(path)


def kept_secret(path: Path) -> bytes:
    """The key that `keep_secret` made. Raises as it does, and FileNotFoundError before that."""
    secret = path.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise ValueError(
            f"{path} holds {len(secret)} bytes, not {SECRET_BYTES}: restore it from a backup; "
            "a new one would make old journal entries incomparable"
        )
    return secret


def _write_durably(path: Path, content: bytes) -> None:
    """Whole or not at all, also over a power cut: temp file, fsync, rename, fsync of the folder."""
    temporary = path.with_suffix(".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
