"""The secure channel key of one OSDP device, in its file. Owns that file and the one beside it.

A key that is being given to a device stands in `FILE.new` before the device hears of it, and takes
the file's place once a session was opened under it. A power cut at any moment thus leaves at least
one file with the key that the device has. Must not show a digit of a key.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from drivers.protocols.osdp.commands import KEY_LENGTH
from drivers.protocols.osdp.secure_channel import DEFAULT_KEY
from gatewayd.domain.ports import DeviceError


def read_key(path: Path) -> bytes:
    """The key in the file. Raises ValueError, without a digit of it, where it holds none."""
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError):
        key = b""
    if len(key) != KEY_LENGTH:
        raise ValueError(f"{path} must hold an OSDP key: {2 * KEY_LENGTH} hexadecimal digits")
    return key


class KeyFile:
    """`current` None: no key was ever given. `pending`: perhaps the device has this one."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError where the file is there and holds no key, or everybody's."""
        self.path = path
        self.pending_path = path.with_name(path.name + ".new")
        self.current: bytes | None = read_key(path) if path.exists() else None
        if self.current == DEFAULT_KEY:
            raise ValueError(f"{path} holds the default key, which everybody knows")
        # One that is not whole was never on disk, so no device heard of it.
        self.pending: bytes | None = None
        with suppress(ValueError):
            self.pending = read_key(self.pending_path)

    def __repr__(self) -> str:
        return f"KeyFile({str(self.path)!r})"

    @property
    def candidates(self) -> list[bytes]:
        """What the device's key may be, the newer first."""
        return [key for key in (self.pending, self.current) if key is not None]

    def make_pending(self) -> bytes:
        """A new random key, durable in its file; the one from before, where a device may have it.
        Blocks for the disk. Raises DeviceError where it can't be written: no device was told."""
        if self.pending is not None:
            return self.pending
        key = secrets.token_bytes(KEY_LENGTH)
        try:
            self.pending_path.unlink(missing_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(self.pending_path, flags, 0o600), "w") as file:
                file.write(key.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            self._sync_folder()
        except OSError as error:
            raise DeviceError(self._cannot_write(error)) from error
        self.pending = key
        return key

    def settle(self, key: bytes) -> None:
        """A session was opened under `key`, one of the candidates: that is the device's. Blocks for
        the disk. Raises OSError; both files then stay, and both keys are tried at the next start.
        """
        if key == self.pending:
            self.current, self.pending = key, None
            self.pending_path.replace(self.path)
            self._sync_folder()
        else:
            self.discard_pending()

    def discard_pending(self) -> None:
        """No device has it. Raises OSError."""
        self.pending = None
        self.pending_path.unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _cannot_write(self, error: OSError) -> str:
        given = os.environ.get("CREDENTIALS_DIRECTORY")
        if given is not None and self.path.absolute().is_relative_to(given):
            return (
                f"{self.path} is a systemd credential, which gatewayd can't write: set key_file to"
                " a file in a folder of its own, such as /var/lib/gatewayd/keys, with the present"
                " key in it where there is one, and restart gatewayd; nothing was changed"
            )
        return (
            f"{self.pending_path} can't be written ({error.strerror}): set key_file to a file in a"
            " folder that gatewayd may write, such as /var/lib/gatewayd/keys; nothing was changed"
        )
