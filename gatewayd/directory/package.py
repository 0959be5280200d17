"""A list on its way into force: signed with the box's own key, whole on disk, taken by the daemon.

Owns the key `local-key` and the folder `inbox` under [storage] directory. `ready` is a package that
waits, `taken` one that the daemon is at, `applied` the one that it applied last.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel, ConfigDict, Field

from gatewayd.directory import listing
from gatewayd.directory.listing import Listing
from gatewayd.directory.problem import DirectoryError
from gatewayd.signed import (
    WHITELIST_DOMAIN,
    CentralKeys,
    Manifest,
    Refused,
    Sha256,
    open_signed,
    seal,
)
from gatewayd.store.durable import sync_folder, write_whole
from gatewayd.store.staging import Staging

KID = "local"
KEY_BYTES = 32


class LocalKeyError(ValueError):
    """The box's own key can't be used; says what to do."""


class ImportedFile(BaseModel):
    """A file that the list was made of."""

    model_config = ConfigDict(strict=True, frozen=True)

    name: Annotated[str, Field(max_length=255)]
    sha256: Sha256


class LocalManifest(Manifest):
    """A manifest of this box's own, with who imported what."""

    operator: Annotated[str, Field(max_length=64)]
    files: Annotated[list[ImportedFile], Field(max_length=100)]


# ----------------------------------------------------------------------------------- the key


def keep_key(directory: Path) -> Ed25519PrivateKey:
    """The box's own key; made on first use, durable before it is used, for its owner only.

    Raises OSError and LocalKeyError.
    """
    path = directory / "local-key"
    if not path.exists():
        write_whole(path, Ed25519PrivateKey.generate().private_bytes_raw())
    return _key(path)


def _key(path: Path) -> Ed25519PrivateKey:
    raw = path.read_bytes()
    if len(raw) != KEY_BYTES:
        raise LocalKeyError(f"{path} is no key of {KEY_BYTES} bytes: remove it, import again")
    return Ed25519PrivateKey.from_private_bytes(raw)


def local_keys(directory: Path) -> CentralKeys:
    """What verifies a package of this box. Raises OSError and LocalKeyError."""
    public = _key(directory / "local-key").public_key()
    return CentralKeys({KID: (public, frozenset({"whitelist"}))})


# ------------------------------------------------------------------------------- the package


class Inbox:
    """The folder, for who puts a package in and for who takes it out. Raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.folder = directory / "inbox"
        self.ready = self.folder / "ready"
        self.taken = self.folder / "taken"
        self.applied = self.folder / "applied"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """No other import meanwhile. Raises DirectoryError where there is one."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise DirectoryError("another import is at work: wait for its end") from None
        finally:
            os.close(descriptor)

    def put(self, payload: bytes, chunks: Iterator[bytes]) -> None:
        """Put a package in the place of one that waits: whole and durable, or not at all."""
        for leftover in self.folder.glob("new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        building = Staging(self.folder / f"new-{token_hex(4)}")
        try:
            building.begin(payload)
            for index, raw in enumerate(chunks):
                building.put(index, raw)
            self._replace(self.ready, building.folder)
        finally:
            building.clear()

    def take(self) -> Staging | None:
        """The package to be applied now: one that was begun before a restart, or one that waits."""
        if not self.taken.exists():
            if not self.ready.exists():
                return None
            self.ready.rename(self.taken)
            sync_folder(self.folder)
        return Staging(self.taken)

    def under_way(self) -> int:
        """The revision of the package that was taken and is not in force yet; 0 where none is."""
        manifest = self.open(Staging(self.taken))
        return 0 if isinstance(manifest, Refused) else manifest.rev

    def keep(self) -> None:
        """The package that was taken is in force."""
        self._replace(self.applied, self.taken)

    def drop(self) -> None:
        """The package that was taken was refused."""
        shutil.rmtree(self.taken, ignore_errors=True)

    def _replace(self, place: Path, by: Path) -> None:
        gone = self.folder / f"old-{token_hex(4)}"
        if place.exists():
            place.rename(gone)
        by.rename(place)
        sync_folder(self.folder)
        shutil.rmtree(gone, ignore_errors=True)

    def open(self, package: Staging) -> LocalManifest | Refused:
        """The manifest of a package, if it is signed by this box."""
        payload = package.manifest()
        if payload is None:
            return Refused("the package has no manifest")
        try:
            keys = local_keys(self._directory)
        except (OSError, LocalKeyError) as error:
            return Refused(f"the box's own key can't be read: {error}")
        opened = open_signed(keys, LocalManifest, payload, WHITELIST_DOMAIN, "whitelist")
        return opened if isinstance(opened, Refused) else opened[1]


def sign(
    key: Ed25519PrivateKey,
    gateway: str,
    revision: int,
    made: Listing,
    operator: str,
    files: Sequence[ImportedFile],
) -> tuple[bytes, str]:
    """The signed manifest of a full list, as the centre signs its own; the content's SHA-256."""
    whole, hashes, size = sha256(), [], 0
    for raw in listing.chunks(made):
        whole.update(raw)
        hashes.append(sha256(raw).hexdigest())
        size += len(raw)
    body = {
        "aud": gateway,
        "rev": revision,
        "base": None,
        "records": sum(map(len, made.values())),
        "credentials": len(made["credential"]),
        "bytes": size,
        "chunks": hashes,
        "content_sha256": whole.hexdigest(),
        "operator": operator,
        "files": [file.model_dump() for file in files],
    }
    return seal(key, KID, WHITELIST_DOMAIN, body, type="manifest"), whole.hexdigest()
