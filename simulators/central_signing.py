"""The simulated centre's keys: makes them once, signs envelopes, writes the gateway's keys file.

Owns the private key's file and the signing rule of docs/reference/mqtt.md ("Signed envelope").
Must not send anything.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KID = "centre-1"
ROLES = ("whitelist", "command", "desired")
DOMAINS = {
    "command": b"gatewayd-cmd-v1\n",
    "desired": b"gatewayd-desired-v1\n",
    "manifest": b"gatewayd-whitelist-v1\n",
}


class Signer:
    """Signs with the centre's key, or on order with a key that the gateway does not know."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._foreign = Ed25519PrivateKey.generate()

    @classmethod
    def load_or_make(cls, path: Path) -> Signer:
        """The key kept at `path` (32 raw bytes, owner only), made where there is none.

        Raises ValueError where the file is no key, OSError where it can't be read or made.
        """
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            raw = Ed25519PrivateKey.generate().private_bytes_raw()
            write_private(path, raw)
        try:
            return cls(Ed25519PrivateKey.from_private_bytes(raw))
        except ValueError as error:
            raise ValueError(f"{path} is no Ed25519 key: remove it to make a new one") from error

    @property
    def public_key(self) -> str:
        """Base64 of the 32 bytes, as `central_keys_file` holds it."""
        return base64.b64encode(self._key.public_key().public_bytes_raw()).decode()

    def envelope(self, what: str, body: dict[str, Any], *, forged: bool = False) -> dict[str, Any]:
        """The signed envelope of `what`: a key of DOMAINS."""
        raw = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        signature = (self._foreign if forged else self._key).sign(DOMAINS[what] + raw)
        return {
            "v": 1,
            "kid": KID,
            "sig": base64.b64encode(signature).decode(),
            "body": base64.b64encode(raw).decode(),
        }

    def write_keys_file(self, path: Path) -> None:
        """`central_keys_file`: what the gateway must be given to trust this centre."""
        key = {"kid": KID, "public_key": self.public_key, "roles": list(ROLES)}
        write_private(path, json.dumps({"keys": [key]}, indent=2).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Write whole or not at all, readable by the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)
