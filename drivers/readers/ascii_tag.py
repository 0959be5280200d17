"""The driver `ascii-tag`: ID-12, RDM6300 and their like. Owns its settings; the line reader
runs.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field

from drivers.protocols.ascii_tag import AsciiTagDecoder
from drivers.protocols.bit_order import DESCRIPTION, Order
from drivers.readers.line_reader import LineReader, LineReaderOptions, port_of
from gatewayd.domain.ports import Driver, DriverContext, DriverKind


class AsciiTagOptions(LineReaderOptions):
    """Settings of an ASCII tag reader."""

    reverse: Order = Field(default="none", description=DESCRIPTION)


def build(options: AsciiTagOptions, context: DriverContext) -> LineReader:
    """A reader that opens its line when it runs."""
    return LineReader(options, partial(AsciiTagDecoder, options.reverse), context)


DRIVER = Driver(
    kind=DriverKind.READER,
    name="ascii-tag",
    options=AsciiTagOptions,
    build=build,
    port_of=port_of,
)
