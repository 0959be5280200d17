"""The driver `line-reader`: QR and barcode scanners, plate recognisers and card readers that send a
line of text for each reading. Owns its settings; the line reader runs.
"""

from __future__ import annotations

from functools import partial

from pydantic import Field

from drivers.protocols.text_line import Encoding, TextLineDecoder
from drivers.readers.line_reader import LineReader, LineReaderOptions, port_of
from drivers.readers.text_settings import TextOptions
from gatewayd.domain.ports import Driver, DriverContext, DriverKind


class TextLineOptions(LineReaderOptions, TextOptions):
    """Settings of a reader that sends lines of text."""

    encoding: Encoding = Field(
        default="utf-8",
        description="How the reader writes letters beyond ASCII: Chinese plate recognisers use "
        "either.",
    )


def build(options: TextLineOptions, context: DriverContext) -> LineReader:
    """A reader that opens its line when it runs."""
    decoder = partial(TextLineDecoder, options.reading.read, options.encoding)
    return LineReader(options, decoder, context)


DRIVER = Driver(
    kind=DriverKind.READER,
    name="line-reader",
    options=TextLineOptions,
    build=build,
    port_of=port_of,
)
