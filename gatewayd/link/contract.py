"""The line to the centre as values: topics, messages, signatures (docs/reference/mqtt.md). Pure.

Whatever comes from outside becomes a checked message or `Refused`; never an exception.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import pydantic_core
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError

VERSION = 1
MAX_MESSAGE = 512 * 1024
MAX_COMMAND_LIFE_MS = 30_000
MAX_DOORS = 256  # in one wanted state; what is wrong with each is journaled in one event

COMMAND_DOMAIN = b"gatewayd-cmd-v1\n"
DESIRED_DOMAIN = b"gatewayd-desired-v1\n"
WHITELIST_DOMAIN = b"gatewayd-whitelist-v1\n"

Role = Literal["whitelist", "command", "desired"]
SafeInt = Annotated[int, Field(ge=0, le=2**53)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
ShortText = Annotated[str, Field(max_length=64)]  # it may be quoted in the journal


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a message is not heeded. Never carries what was secret in it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one gateway; ids are checked by the settings."""

    site: str
    gateway: str

    def up(self, name: str) -> str:
        return f"gw/v1/{self.site}/{self.gateway}/up/{name}"

    def down(self, name: str) -> str:
        return f"gw/v1/{self.site}/{self.gateway}/dn/{name}"

    def name_of(self, topic: str) -> str | None:
        """The last part of one of our `dn/` topics, or None."""
        prefix = self.down("")
        return topic[len(prefix) :] if topic.startswith(prefix) else None


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, hide_input_in_errors=True)

    v: Annotated[int, Field(ge=VERSION, le=VERSION)]  # a Literal would take 1.0 and true


class Ack(_Message):
    """`dn/ack`: the centre has committed the stream up to `upto`."""

    stream: Literal["evt", "alarm"]
    epoch: Annotated[str, Field(max_length=64)]
    upto: SafeInt


class Envelope(_Message):
    """A signed body; `sig` is over the domain's prefix and the decoded body's exact bytes."""

    kid: Annotated[str, Field(min_length=1, max_length=64)]
    sig: Annotated[str, Field(max_length=128)]
    body: Annotated[str, Field(max_length=MAX_MESSAGE)]


class Chunk(_Message):
    type: Literal["chunk"]
    rev: SafeInt
    base: SafeInt | None
    index: SafeInt
    data: Annotated[str, Field(max_length=MAX_MESSAGE)]

    def raw(self) -> bytes | None:
        """The chunk's bytes, or None where they are no base64."""
        return decode_base64(self.data)


class Manifest(_Message):
    aud: ShortText
    rev: Annotated[int, Field(ge=1, le=2**53)]
    base: SafeInt | None
    records: SafeInt
    credentials: SafeInt
    bytes: SafeInt
    chunks: Annotated[list[Sha256], Field(max_length=100_000)]
    content_sha256: Sha256


class Command(_Message):
    aud: ShortText
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    counter: SafeInt
    nonce: Annotated[str, Field(max_length=64)]
    issued_ms: SafeInt
    exp_ms: SafeInt
    action: Literal["open", "lockdown", "lift_lockdown", "forgive"]
    target: Annotated[str, Field(max_length=64)]
    reason: Annotated[str, Field(max_length=500)] = ""


class Desired(_Message):
    aud: ShortText
    rev: Annotated[int, Field(ge=1, le=2**53)]
    doors: Annotated[
        dict[ShortText, Annotated[str, Field(max_length=32)]], Field(max_length=MAX_DOORS)
    ]


Parsed = TypeVar("Parsed", bound=_Message)


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
