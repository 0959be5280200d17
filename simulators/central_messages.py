"""What a gateway may send, as docs/reference/mqtt.md describes it. Owns the checks of a message
from the line; must not decide what to do with it. Read from that page, not from gateway code.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

MAX_MESSAGE = 512 * 1024  # docs/reference/mqtt.md: largest message

GatewayId = Annotated[str, Field(pattern=r"^[a-z0-9-]{1,32}$")]
Count = Annotated[int, Field(ge=0, lt=2**63)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Message(BaseModel):
    """What all messages share: version 1, strict types, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    v: Literal[1]
    gw: GatewayId


class StampMessage(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    boot: str
    mono_ns: Count
    wall_ms: Count
    trusted: bool


class EventMessage(Message):
    """`up/evt` and `up/alarm`."""

    stream: Literal["evt", "alarm"]
    epoch: Annotated[str, Field(min_length=1, max_length=64)]
    seq: Annotated[int, Field(ge=1, lt=2**63)]
    prev: Count
    kind: Annotated[str, Field(min_length=1, max_length=64)]
    subject: str
    stamp: StampMessage
    data: dict[str, Any]
    prev_hash: Digest
    hash: Digest


class StateMessage(Message):
    """`up/state`: birth and will."""

    state: Literal["online", "offline"]
    boot: str
    epoch: str = ""
    nonce: str = ""
    version: str = ""
    whitelist_rev: Count = 0
    wall_ms: int = 0


class ListRequest(Message):
    """`up/wl-req`: what is held, or one chunk."""

    ask: Literal["manifest", "chunk"]
    have: Count = 0
    rev: Count = 0
    base: Count | None = None
    index: Count = 0


class CommandResult(Message):
    """`up/cmd-res`."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    outcome: Literal["done", "failed", "rejected"]
    detail: str = ""
    seq: int | None = None


class ReportedMessage(Message):
    """`up/reported`: what of the desired state is applied."""

    rev: Count
    doors: dict[str, str] = {}
    rejected: dict[str, Any] = {}


GatewayMessage = EventMessage | StateMessage | ListRequest | CommandResult | ReportedMessage

_BY_TOPIC: dict[str, TypeAdapter[Any]] = {
    "evt": TypeAdapter(EventMessage),
    "alarm": TypeAdapter(EventMessage),
    "state": TypeAdapter(StateMessage),
    "wl-req": TypeAdapter(ListRequest),
    "cmd-res": TypeAdapter(CommandResult),
    "reported": TypeAdapter(ReportedMessage),
}


class WireError(ValueError):
    """A message that is not as the page says; the text never quotes its content."""


def parse(site: str, topic: str, payload: bytes) -> GatewayMessage:
    """The message on `gw/v1/{site}/{gw}/up/{what}`. Raises WireError."""
    parts = topic.split("/")
    if len(parts) != 6 or parts[:3] != ["gw", "v1", site] or parts[4] != "up":
        raise WireError(f"{topic}: not a gateway's topic of site {site!r}")
    adapter = _BY_TOPIC.get(parts[5])
    if adapter is None:
        raise WireError(f"{topic}: unknown kind of message")
    if len(payload) > MAX_MESSAGE:
        raise WireError(f"{topic}: {len(payload)} bytes, at most {MAX_MESSAGE}")
    message = _validate(adapter, topic, payload)
    if message.gw != parts[3]:
        raise WireError(f"{topic}: the message names gateway {message.gw!r}")
    if isinstance(message, EventMessage) and message.stream != parts[5]:
        raise WireError(f"{topic}: the message names stream {message.stream!r}")
    return message


def _validate(adapter: TypeAdapter[Any], topic: str, payload: bytes) -> GatewayMessage:
    try:
        message: GatewayMessage = adapter.validate_json(payload)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'message'}: {fault['msg']}"
            for fault in error.errors(include_url=False, include_context=False, include_input=False)
        )
        raise WireError(f"{topic}: {faults}") from None
    return message
