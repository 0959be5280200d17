"""The driver `wiegand-serial`: Wiegand readers behind a serial converter. Owns its settings; the
line reader runs.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from drivers.protocols.bit_order import DESCRIPTION, Order
from drivers.protocols.wiegand_serial import BinaryDecoder, HexLineDecoder
from drivers.readers.line_reader import LineReader, LineReaderOptions, port_of
from drivers.readers.text_settings import check_frame
from gatewayd.domain.ports import Driver, DriverContext, DriverKind


class WiegandSerialOptions(LineReaderOptions):
    """Settings of a Wiegand reader behind a serial converter."""

    dialect: Literal["hex-line", "binary"] = Field(
        default="hex-line", description="How the converter writes a card; see the driver's page."
    )
    accept_unknown_lengths: bool = Field(
        default=False,
        description="Take cards of a length that no known format has, without a parity check.",
    )
    reverse: Order = Field(default="none", description=DESCRIPTION)
    prefix: str = Field(
        default="", description="What stands in front of every card in a 'hex-line'; taken off."
    )
    suffix: str = Field(
        default="", description="What stands behind every card in a 'hex-line'; taken off."
    )

    @field_validator("prefix", "suffix")
    @classmethod
    def _for_lines(cls, text: str, info: ValidationInfo) -> str:
        if text and info.data.get("dialect") == "binary":
            raise ValueError("is for dialect = 'hex-line' only: remove it")
        if not text.isascii():
            raise ValueError("a converter's lines are ASCII: write letters, digits and signs of it")
        return check_frame(text)


def build(options: WiegandSerialOptions, context: DriverContext) -> LineReader:
    """A reader that opens its line when it runs."""
    unknown, reverse = options.accept_unknown_lengths, options.reverse
    if options.dialect == "binary":
        return LineReader(options, partial(BinaryDecoder, unknown, reverse), context)
    around = (options.prefix.encode("ascii"), options.suffix.encode("ascii"))
    return LineReader(options, partial(HexLineDecoder, unknown, reverse, *around), context)


DRIVER = Driver(
    kind=DriverKind.READER,
    name="wiegand-serial",
    options=WiegandSerialOptions,
    build=build,
    port_of=port_of,
    keypad=True,
)
