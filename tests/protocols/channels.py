"""Ways for bytes to arrive, as the codecs must take them: whole, singly, in pieces, with loss."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from drivers.protocols.keypad import Key
from gatewayd.domain.model import Credential
from gatewayd.domain.ports import Malformed

Message = Credential | Key | Malformed
Channel = Callable[[bytes], Iterator[bytes]]


class Decoder(Protocol):
    def feed(self, data: bytes) -> Sequence[Message]: ...
    def quiet(self) -> Sequence[Message]: ...


def whole(stream: bytes) -> Iterator[bytes]:
    yield stream


def a_byte_at_a_time(stream: bytes) -> Iterator[bytes]:
    for byte in stream:
        yield bytes([byte])


def in_pieces(stream: bytes, seed: int = 7) -> Iterator[bytes]:
    """Reads that end anywhere, some of them empty."""
    pieces = random.Random(seed)
    at = 0
    while at < len(stream):
        size = pieces.randrange(0, 9)
        yield stream[at : at + size]
        at += size


LOSSLESS: list[Channel] = [whole, a_byte_at_a_time, in_pieces]


def with_loss(stream: bytes, seed: int, one_in: int = 40) -> bytes:
    """The stream without some of its bytes."""
    lost = random.Random(seed)
    return bytes(byte for byte in stream if lost.randrange(one_in))


def decode(decoder: Decoder, pieces: Iterator[bytes]) -> list[Message]:
    return [message for piece in pieces for message in decoder.feed(piece)]


def cards(messages: Sequence[Message]) -> list[Credential]:
    return [message for message in messages if isinstance(message, Credential)]


def keys(messages: Sequence[Message]) -> str:
    return "".join(message.key for message in messages if isinstance(message, Key))


def reasons(messages: Sequence[Message]) -> list[str]:
    return [message.reason for message in messages if isinstance(message, Malformed)]
