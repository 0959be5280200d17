"""A reader on a serial line: line, codec and debounce joined. Owns what the serial reader drivers
share; must not know any one protocol.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from typing import Annotated, Protocol, assert_never

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from drivers.protocols.keypad import Key
from drivers.readers.presentation import Presentations
from drivers.transport import Connected, Disconnected, Line, Received, Reopening, check_url
from gatewayd.domain.model import NS_PER_MS, Credential, Stamp
from gatewayd.domain.ports import (
    Arriving,
    DriverContext,
    KeyPressed,
    Malformed,
    Offline,
    Online,
    Presented,
    ReaderEvent,
)

# No converter and no network pauses this long within a message; nobody taps again so soon.
MESSAGE_GAP_MS = 1_000

Message = Credential | Key | Malformed


class Decoder(Protocol):
    """A codec of `drivers.protocols`: bytes in, cards, keys or Malformed out, no exception."""

    def feed(self, data: bytes) -> Sequence[Message]: ...

    def quiet(self) -> Sequence[Message]:
        """The line was silent for so long that a message under way is over."""


DebounceMs = Annotated[
    int,
    Field(
        ge=0,
        le=60_000,
        description="The same card again this soon after it was last seen is the same tap; a "
        "plate: this soon after it was last presented.",
    ),
]


class LineReaderOptions(BaseModel):
    """The keys that all serial readers have."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    port: Annotated[str, AfterValidator(check_url)] = Field(
        description="'/dev/serial/by-id/…', 'socket://host:port' or 'rfc2217://host:port'.",
        json_schema_extra={"line": True},
    )
    baud_rate: int = Field(
        default=9600, ge=300, le=921_600, description="Bits a second; 8 data bits, no parity."
    )
    debounce_ms: DebounceMs = 1_000


def serial_reader(
    options: LineReaderOptions, make_decoder: Callable[[], Decoder], context: DriverContext
) -> LineReader:
    """A reader that opens its serial line when it runs."""
    line = Line(options.port, options.baud_rate, context.clock)
    return LineReader(line, options.debounce_ms, make_decoder)


def port_of(options: LineReaderOptions) -> str:
    """What no second driver may use."""
    return options.port


class LineReader:
    """Implements `gatewayd.domain.ports.Reader`: one run, for ever, through every unplugging."""

    def __init__(
        self, line: Reopening, debounce_ms: int, make_decoder: Callable[[], Decoder]
    ) -> None:
        self._line = line
        self._make_decoder = make_decoder
        self._decoder = make_decoder()
        self._presentations = Presentations(debounce_ms)
        self._last_bytes_ns: int | None = None

    async def run(self, emit: Callable[[ReaderEvent], None]) -> None:
        """Emit what happens on the line until cancelled."""
        async with aclosing(self._line.events()) as events:
            async for event in events:
                match event:
                    case Connected():
                        # half a message from before must never be joined by what comes now
                        self._decoder, self._last_bytes_ns = self._make_decoder(), None
                        emit(Online())
                    case Received(data, stamp):
                        self._receive(data, stamp, emit)
                    case Disconnected(reason):
                        emit(Offline(reason))
                    case _:
                        assert_never(event)

    def _receive(self, data: bytes, stamp: Stamp, emit: Callable[[ReaderEvent], None]) -> None:
        emit(Arriving())
        now_ns = stamp.monotonic_ns
        last_ns, self._last_bytes_ns = self._last_bytes_ns, now_ns
        messages: list[Message] = []
        if last_ns is not None and now_ns - last_ns >= MESSAGE_GAP_MS * NS_PER_MS:
            messages += self._decoder.quiet()
        messages += self._decoder.feed(data)
        for message in messages:
            match message:
                case Malformed():
                    emit(message)
                case Key(key):  # the same one again is another: only a card is held
                    emit(KeyPressed(key, stamp))
                case Credential():
                    if self._presentations.is_new(message, now_ns):
                        emit(Presented(message, stamp))
                case _:
                    assert_never(message)
