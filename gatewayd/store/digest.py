"""How the journal knows a credential: by a keyed digest. Owns its making, and keeps no key."""

from __future__ import annotations

import hmac


def digest_of(secret: bytes, key: str) -> str:
    """`CredentialRef.digest` of the credential with this `Credential.key`, by the box's secret."""
    return hmac.digest(secret, key.encode(), "sha256").hex()[:32]
