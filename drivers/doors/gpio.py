"""The driver `gpio`: lines of a GPIO chip of this machine as relays and inputs, through the
kernel's character device. Owns the lines; must not know what a relay or an input is for.

The library gpiod is loaded when the lines are opened, for it is optional.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gatewayd.domain.model import NS_PER_MS, NS_PER_S
from gatewayd.domain.ports import (
    ControllerEvent,
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    InputChanged,
    Offline,
    Online,
)

if TYPE_CHECKING:
    from gpiod import LineRequest, LineSettings

FIRST_RETRY_S, MAX_RETRY_S = 0.25, 5.0
LOOK_MS = 150  # at all inputs, beside the edges: a kernel whose buffer ran over left some out
MAX_EDGES = 256  # of one read; what they say is read from the lines themselves
MISSING = "needs the library gpiod: pip install 'gatewayd[gpio]'"

Emit = Callable[[ControllerEvent], None]


def check_chip(path: str) -> str:
    """The path, unchanged. Raises ValueError that says what to write instead."""
    if not path.startswith("/dev/"):
        raise ValueError(f"{path!r} is no GPIO chip: write a path such as '/dev/gpiochip0'")
    return path


Offset = Annotated[int, Field(ge=0, le=1023)]


class GpioOptions(BaseModel):
    """Settings of lines of a GPIO chip."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    chip: Annotated[str, AfterValidator(check_chip)] = Field(
        description="The chip's device, e.g. '/dev/gpiochip0'; `gpiodetect` lists them."
    )
    relay_lines: tuple[Offset, ...] = Field(
        min_length=1,
        max_length=64,
        strict=False,
        description="The lines (offsets on the chip) of relay 1, 2 …",
    )
    input_lines: tuple[Offset, ...] = Field(
        default=(), max_length=64, strict=False, description="The lines of input 1, 2 …"
    )
    relays_active_low: bool = Field(
        default=False, description="A relay is energised while its line is low."
    )
    inputs_active_low: bool = Field(
        default=True, description="An input is active while its line is low: a contact to ground."
    )
    pull: Literal["up", "down", "none"] = Field(
        default="up", description="The chip's own resistors at the inputs, if it has them."
    )
    debounce_ms: int = Field(
        default=20, ge=0, le=200, description="An input counts once it is steady for so long."
    )

    @model_validator(mode="after")
    def _each_line_once(self) -> GpioOptions:
        lines = (*self.relay_lines, *self.input_lines)
        twice = sorted({line for line in lines if lines.count(line) > 1})
        if twice:
            raise ValueError(f"line {twice[0]} is named twice: each line has one use")
        return self

    # check-config compares a door's terminals with these.
    @property
    def relays(self) -> int:
        return len(self.relay_lines)

    @property
    def inputs(self) -> int:
        return len(self.input_lines)


class GpioBoard:
    """Implements `gatewayd.domain.ports.DoorController`."""

    def __init__(self, options: GpioOptions, context: DriverContext) -> None:
        self._options = options
        self._name = f"{context.device_id} at {options.chip}"
        self._clock = context.clock
        self._lines: LineRequest | None = None
        self._edge = asyncio.Event()
        self._inputs: tuple[bool, ...] | None = None  # as last emitted

    async def run(self, emit: Emit) -> None:
        """Until cancelled; a chip that goes, as one on USB may, is opened again."""
        retry_s, told = FIRST_RETRY_S, False
        while True:
            try:
                self._open()
                emit(Online(self._name))
                retry_s, told = FIRST_RETRY_S, False
                await self._watch(emit)
            except OSError as error:  # DeviceError is one
                if not told:
                    emit(Offline(f"{self._name}: {error}"))
                    told = True
            finally:
                self._close()
            await self._clock.sleep_until(self._clock.monotonic_ns() + round(retry_s * NS_PER_S))
            retry_s = min(retry_s * 2, MAX_RETRY_S)

    def expect_order(self) -> None:
        """Nothing to keep back: a line is written at once."""

    async def set_relay(
        self, relay: int, energised: bool, for_s: float | None = None, *, shut: bool = False
    ) -> None:
        """Switch and read the line back. Raises DeviceError unless it is so."""
        from gpiod.line import Value

        if not 1 <= relay <= self._options.relays:
            raise DeviceError(
                f"{self._name}: there is no relay {relay}; the settings name {self._options.relays}"
            )
        if self._lines is None:
            raise DeviceError(f"{self._name} is not open")
        line, wanted = self._options.relay_lines[relay - 1], Value(int(energised))
        try:
            self._lines.set_value(line, wanted)
            is_so = self._lines.get_value(line) is wanted
        except OSError as error:
            raise DeviceError(f"{self._name}: {error}") from error
        if not is_so:
            raise DeviceError(f"{self._name}: line {line} does not follow: check its wiring")

    # ------------------------------------------------------------------------------ the lines

    def _open(self) -> None:
        """All lines in one request; every relay is released. Raises OSError."""
        if find_spec("gpiod") is None:
            raise DeviceError(MISSING)
        import gpiod
        from gpiod.line import Bias, Direction, Edge, Value

        pulls = {"up": Bias.PULL_UP, "down": Bias.PULL_DOWN, "none": Bias.AS_IS}
        relay = gpiod.LineSettings(
            direction=Direction.OUTPUT,
            active_low=self._options.relays_active_low,
            output_value=Value.INACTIVE,
        )
        entry = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge.BOTH,
            bias=pulls[self._options.pull],
            active_low=self._options.inputs_active_low,
            debounce_period=timedelta(milliseconds=self._options.debounce_ms),
        )
        config: dict[Iterable[int | str] | int | str, LineSettings | None] = {}
        config |= dict.fromkeys(self._options.relay_lines, relay)
        config |= dict.fromkeys(self._options.input_lines, entry)
        self._lines = gpiod.request_lines(self._options.chip, config, consumer="gatewayd")
        self._inputs = None
        asyncio.get_running_loop().add_reader(self._lines.fd, self._edge.set)

    def _close(self) -> None:
        lines, self._lines = self._lines, None
        if lines is not None:
            asyncio.get_running_loop().remove_reader(lines.fd)
            with contextlib.suppress(OSError):  # it is gone already
                lines.release()

    async def _watch(self, emit: Emit) -> None:
        """Read the inputs at each edge, and now and then. Raises OSError where the chip is gone."""
        while True:
            began_ns = self._clock.monotonic_ns()
            self._read(emit)
            async with asyncio.TaskGroup() as tg:
                due = self._clock.sleep_until(began_ns + LOOK_MS * NS_PER_MS)
                look = tg.create_task(due, name=f"look at {self._name}")
                edge = tg.create_task(self._edge.wait(), name=f"edge of {self._name}")
                await asyncio.wait({look, edge}, return_when=asyncio.FIRST_COMPLETED)
                look.cancel()
                edge.cancel()
            if self._edge.is_set() and self._lines is not None:
                self._edge.clear()
                self._lines.read_edge_events(MAX_EDGES)  # that they came is all they say

    def _read(self, emit: Emit) -> None:
        """Inputs that changed; all of them after Online. The relays are read too where there is no
        input, to know that the chip is there."""
        if self._lines is None:
            return
        options = self._options
        values = self._lines.get_values(options.input_lines or options.relay_lines)
        states = tuple(value.value == 1 for value in values[: options.inputs])
        before, self._inputs = self._inputs, states
        for index, active in enumerate(states):
            if before is None or before[index] != active:
                emit(InputChanged(index + 1, active, self._clock.now()))


def build(options: GpioOptions, context: DriverContext) -> GpioBoard:
    """Lines that are opened when it runs."""
    return GpioBoard(options, context)


def port_of(options: GpioOptions) -> str:
    """What no second driver may use: one table for all lines of a chip."""
    return options.chip


def faults_of(_options: GpioOptions) -> list[tuple[str, str]]:
    """Whether the library is there."""
    return [] if find_spec("gpiod") is not None else [("driver", MISSING)]


DRIVER = Driver(
    kind=DriverKind.CONTROLLER,
    name="gpio",
    options=GpioOptions,
    build=build,
    port_of=port_of,
    faults_of=faults_of,
)
