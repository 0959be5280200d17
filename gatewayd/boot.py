"""Small things at the start: the box's secret, the lock on its folder. Owns their files."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_bytes

SECRET_BYTES = 32


class OtherGatewayError(Exception):
    """Another gatewayd runs on this storage directory."""


@contextmanager
def sole_gateway(directory: Path) -> Iterator[None]:
    """No other gatewayd on the directory meanwhile, which is made where there is none. Raises
    OtherGatewayError where there is one, and OSError where the lock can't be had.

    The kernel lets go of it when the process ends, however it ends. The file stays: two could
    hold locks on two files of one name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(descriptor, directory)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, directory: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OtherGatewayError(f"another gatewayd runs on the directory {directory}") from None


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
