"""The driver `evdev-reader`: scanners and card readers on USB that type like a keyboard. Owns its
settings; the line reader runs.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import AfterValidator, Field

from drivers.input_device import InputDevice
from drivers.protocols.evdev import KeyboardDecoder
from drivers.readers.line_reader import DebounceMs, LineReader
from drivers.readers.text_settings import TextOptions
from drivers.transport import Reopening
from gatewayd.domain.ports import Driver, DriverContext, DriverKind


def check_device(path: str) -> str:
    """The path, unchanged. Raises ValueError that says what to write instead."""
    if "/" not in path or "://" in path:
        raise ValueError(
            f"{path!r} is no input device: write a path such as '/dev/input/by-id/…-event-kbd'"
        )
    return path


class EvdevOptions(TextOptions):
    """Settings of a reader that types like a keyboard."""

    device: Annotated[str, AfterValidator(check_device)] = Field(
        description="The reader's '/dev/input/by-id/…-event-kbd'.", json_schema_extra={"line": True}
    )
    debounce_ms: DebounceMs = 1_000


def build(options: EvdevOptions, context: DriverContext) -> LineReader:
    """A reader that opens its device, and grabs it, when it runs."""

    async def open_device() -> InputDevice:
        return InputDevice(options.device)

    device = Reopening(options.device, open_device, context.clock)
    return LineReader(device, options.debounce_ms, partial(KeyboardDecoder, options.reading.read))


def port_of(options: EvdevOptions) -> str:
    """What no second driver may use."""
    return options.device


DRIVER = Driver(
    kind=DriverKind.READER,
    name="evdev-reader",
    options=EvdevOptions,
    build=build,
    port_of=port_of,
)
