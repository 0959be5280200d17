"""What comes signed, as values: envelopes, keys, the manifest of a list. Pure.

Owns the rule of signatures (docs/reference/mqtt.md, "Signed envelope"), for what the centre sends
and for what a site alone imports. Whatever comes from outside becomes a checked message or
`Refused`; never an exception.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import pydantic_core
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

VERSION = 1
MAX_MESSAGE = 512 * 1024

WHITELIST_DOMAIN = b"gatewayd-whitelist-v1\n"

Role = Literal["whitelist", "command", "desired"]
SafeInt = Annotated[int, Field(ge=0, le=2**53)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortText = Annotated[str, Field(max_length=64)]  # it may be quoted in the journal


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message is not heeded. Never carries what was secret in it."""

    reason: str


class Message(BaseModel):
    """What all messages share: their version, and that unknown fields are a newer sender's."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    v: Annotated[int, Field(ge=VERSION, le=VERSION)]  # a Literal would take 1.0 and true


class Envelope(Message):
    """A signed body; `sig` is over the domain's prefix and the decoded body's exact bytes."""

    kid: Annotated[str, Field(min_length=1, max_length=64)]
    sig: Annotated[str, Field(max_length=128)]
    body: Annotated[str, Field(max_length=MAX_MESSAGE)]


class Manifest(Message):
    """Of a whitelist: its revision, and the hashes of the chunks that it is made of."""

    aud: ShortText
    rev: Annotated[int, Field(ge=1, le=2**53)]
    base: SafeInt | None
    records: SafeInt
    credentials: SafeInt
    bytes: SafeInt
    chunks: Annotated[list[Sha256], Field(max_length=100_000)]
    content_sha256: Sha256


Parsed = TypeVar("Parsed", bound=Message)


def parse(model: type[Parsed], payload: bytes) -> Parsed | Refused:
    """The payload as the message it claims to be, or why not."""
    if len(payload) > MAX_MESSAGE:
        return Refused(f"larger than {MAX_MESSAGE} bytes")
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        told = "; ".join(
            f"{'.'.join(map(str, f['loc'])) or 'json'}: {f['msg']}" for f in faults[:3]
        )
        return Refused(told)


def to_json(message: Mapping[str, Any]) -> bytes:
    """A message as it goes out, with the version first."""
    whole = {"v": VERSION, **message}
    return pydantic_core.to_json(whole)  # a seventh of json.dumps' time, the same compact text


def decode_base64(text: str) -> bytes | None:
    """The bytes, or None: also for a second spelling of them, so that no altered text passes."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if base64.b64encode(raw).decode("ascii") == text else None


# ----------------------------------------------------------------------------- signatures


class _Key(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    kid: Annotated[str, Field(min_length=1, max_length=64)]
    public_key: str
    roles: list[Role]


class _KeyFile(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    keys: Annotated[list[_Key], Field(min_length=1)]


class CentralKeysError(ValueError):
    """The centre's key file can't be used; says what to do."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A body whose signature verified, with the key that made it."""

    kid: str
    body: bytes


class CentralKeys:
    """The centre's public keys, and what each may sign."""

    def __init__(self, keys: Mapping[str, tuple[Ed25519PublicKey, frozenset[str]]]) -> None:
        self._keys = dict(keys)

    @classmethod
    def from_json(cls, text: bytes, source: str) -> CentralKeys:
        """`source` names the file in errors. Raises CentralKeysError."""
        try:
            parsed = _KeyFile.model_validate_json(text)
            keys = {key.kid: (_public_key(key), frozenset[str](key.roles)) for key in parsed.keys}
            if len(keys) < len(parsed.keys):
                raise ValueError("a kid stands there twice")  # noqa: TRY301  # told like the rest
        except ValueError as error:
            what = " ".join(str(error).split())
            raise CentralKeysError(
                f"{source}: is not the centre's key file: {what} (ask the centre for it again)"
            ) from None
        return cls(keys)

    def verify(self, envelope: Envelope, domain: bytes, role: Role) -> Signed | Refused:
        """The body, if the key is known, has the role, and signed exactly this."""
        known = self._keys.get(envelope.kid)
        if known is None:
            return Refused("signed by an unknown key")
        key, roles = known
        if role not in roles:
            return Refused(f"signed by a key without the role {role!r}")
        signature, body = decode_base64(envelope.sig), decode_base64(envelope.body)
        if signature is None or body is None:
            return Refused("signature or body is not base64")
        try:
            key.verify(signature, domain + body)
        except InvalidSignature:
            return Refused("the signature does not verify")
        return Signed(envelope.kid, body)


def _public_key(key: _Key) -> Ed25519PublicKey:
    raw = decode_base64(key.public_key)
    if raw is None or len(raw) != 32:
        raise ValueError(f"the public key of {key.kid!r} is not 32 bytes in base64")
    return Ed25519PublicKey.from_public_bytes(raw)


def open_signed(
    keys: CentralKeys, model: type[Parsed], payload: bytes, domain: bytes, role: Role
) -> tuple[str, Parsed] | Refused:
    """Envelope, signature, body: the key's id and the message, or why not."""
    envelope = parse(Envelope, payload)
    if isinstance(envelope, Refused):
        return envelope
    signed = keys.verify(envelope, domain, role)
    if isinstance(signed, Refused):
        return signed
    message = parse(model, signed.body)
    return message if isinstance(message, Refused) else (signed.kid, message)


def seal(
    key: Ed25519PrivateKey, kid: str, domain: bytes, body: Mapping[str, Any], **more: str
) -> bytes:
    """The signed envelope of a body, as `open_signed` opens it; `more` are fields beside it."""
    raw = to_json(body)
    signature = base64.b64encode(key.sign(domain + raw)).decode("ascii")
    packed = base64.b64encode(raw).decode("ascii")
    return to_json({**more, "kid": kid, "sig": signature, "body": packed})
