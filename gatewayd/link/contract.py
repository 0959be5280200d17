"""The line to the centre as values: topics and messages (docs/reference/mqtt.md). Pure.

What is signed, and how it is checked, is `gatewayd.signed`. Whatever comes from outside becomes a
checked message or `Refused`; never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from gatewayd.signed import MAX_MESSAGE, Message, SafeInt, ShortText, decode_base64

MAX_COMMAND_LIFE_MS = 30_000
MAX_DOORS = 256  # in one wanted state; what is wrong with each is journaled in one event

COMMAND_DOMAIN = b"gatewayd-cmd-v1\n"
DESIRED_DOMAIN = b"gatewayd-desired-v1\n"


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


class Ack(Message):
    """`dn/ack`: the centre has committed the stream up to `upto`."""

    stream: Literal["evt", "alarm"]
    epoch: Annotated[str, Field(max_length=64)]
    upto: SafeInt


class Chunk(Message):
    type: Literal["chunk"]
    rev: SafeInt
    base: SafeInt | None
    index: SafeInt
    data: Annotated[str, Field(max_length=MAX_MESSAGE)]

    def raw(self) -> bytes | None:
        """The chunk's bytes, or None where they are no base64."""
        return decode_base64(self.data)


class Command(Message):
    aud: ShortText
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")]
    counter: SafeInt
    nonce: Annotated[str, Field(max_length=64)]
    issued_ms: SafeInt
    exp_ms: SafeInt
    action: Literal["open", "lockdown", "lift_lockdown", "forgive"]
    target: Annotated[str, Field(max_length=64)]
    reason: Annotated[str, Field(max_length=500)] = ""


class Desired(Message):
    aud: ShortText
    rev: Annotated[int, Field(ge=1, le=2**53)]
    doors: Annotated[
        dict[ShortText, Annotated[str, Field(max_length=32)]], Field(max_length=MAX_DOORS)
    ]
