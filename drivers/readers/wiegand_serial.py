"""The driver `wiegand-serial`: Wiegand readers behind a serial converter. Owns its settings; the
line reader runs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

from pydantic import Field

from drivers.protocols.wiegand_serial import BinaryDecoder, HexLineDecoder
from drivers.readers.line_reader import Decoder, LineReader, LineReaderOptions, port_of
from gatewayd.domain.ports import Driver, DriverContext, DriverKind

_DECODERS: dict[str, Callable[[bool], Decoder]] = {
    "hex-line": HexLineDecoder,
    "binary": BinaryDecoder,
}


class WiegandSerialOptions(LineReaderOptions):
    """Settings of a Wiegand reader behind a serial converter."""

    dialect: Literal["hex-line", "binary"] = Field(
        default="hex-line", description="How the converter writes a card; see the driver's page."
    )
    accept_unknown_lengths: bool = Field(
        default=False,
        description="Take cards of a length that no known format has, without a parity check.",
    )


def build(options: WiegandSerialOptions, context: DriverContext) -> LineReader:
    """A reader that opens its line when it runs."""
    decoder = _DECODERS[options.dialect]
    return LineReader(options, partial(decoder, options.accept_unknown_lengths), context)


DRIVER = Driver(
    kind=DriverKind.READER,
    name="wiegand-serial",
    options=WiegandSerialOptions,
    build=build,
    port_of=port_of,
    keypad=True,
)
