"""What hangs on the simulated board's terminals: relays with their history, inputs, doors, and
inputs with a name, such as a fire panel's. Owns the states; must not know the line.
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DoorWiring:
    """A door's terminals, from 1 as printed on the board; None where it has none."""

    relay: int
    contact: int | None = None
    exit: int | None = None
    name: str = ""
    energised_means: str = "unlocked"


@dataclass(frozen=True, slots=True)
class NamedInput:
    """What is wired to an input that is no door's: a fire panel, a tamper contact, a loop."""

    name: str
    terminal: int
    normally_active: bool = False  # while nothing happens


@dataclass(slots=True)
class RelayState:
    """One relay. `coil` is what was last written, `energised` what it really does (see `stuck`).

    `received_ns`: monotonic ns when the last byte of the last write came in;
    `applied_ns`: when the board acted on it, after the wire's time and its silence.
    """

    coil: bool = False
    stuck: bool | None = None
    writes: int = 0
    times_on: int = 0
    received_ns: int | None = None
    applied_ns: int | None = None

    @property
    def energised(self) -> bool:
        return self.coil if self.stuck is None else self.stuck

    def status(self) -> dict[str, Any]:
        return {"energised": self.energised, **asdict(self)}


class RelayTerminals:
    """Relays, inputs and what is wired to them. Numbers are from 1, Modbus addresses from 0.

    Raises ValueError for a terminal that the board lacks or that is taken, and a name given twice.
    """

    def __init__(
        self,
        relays: int,
        inputs: int,
        doors: tuple[DoorWiring, ...],
        named: tuple[NamedInput, ...] = (),
    ) -> None:
        self.relays = [RelayState() for _ in range(relays)]
        self.inputs = [False] * inputs
        self.doors = doors
        self.named: dict[str, NamedInput] = {}
        self.received_ns = 0  # of the request now carried out; the board sets them
        self.applied_ns = 0
        self._changed = asyncio.Event()
        for door in doors:
            self._check(door)
            if door.contact is not None:
                self.inputs[door.contact - 1] = True  # closed
        ends = [t for door in doors for t in (door.contact, door.exit) if t is not None]
        self._taken_inputs = set(ends)
        self._taken_relays = {door.relay for door in doors}
        for wired in named:
            self._name(wired)

    def _check(self, door: DoorWiring) -> None:
        if not 1 <= door.relay <= len(self.relays):
            raise ValueError(f"--door relay={door.relay}: the board has 1 to {len(self.relays)}")
        for terminal in (door.contact, door.exit):
            if terminal is not None and not 1 <= terminal <= len(self.inputs):
                raise ValueError(f"--door input {terminal}: the board has 1 to {len(self.inputs)}")

    def _name(self, wired: NamedInput) -> None:
        about = f"--input name={wired.name},terminal={wired.terminal}"
        self.take_input(wired.terminal, about)
        if wired.name in self.named:
            raise ValueError(f"{about}: that name is taken: choose another")
        self.named[wired.name] = wired
        self.inputs[wired.terminal - 1] = wired.normally_active

    def take_input(self, terminal: int, about: str) -> None:
        """For one use. Raises ValueError, with `about`, where the board has none or it is taken."""
        _take(terminal, len(self.inputs), self._taken_inputs, about)

    def take_relay(self, relay: int, about: str) -> None:
        """As `take_input`."""
        _take(relay, len(self.relays), self._taken_relays, about)

    # --------------------------------------------------------------- what Modbus can see

    @property
    def coils(self) -> list[bool]:
        """Read back from the relays themselves, so that a stuck one shows."""
        return [relay.energised for relay in self.relays]

    def write_coil(self, address: int, energised: bool) -> None:
        relay = self.relays[address]
        before = relay.energised
        relay.coil = energised
        relay.writes += 1
        relay.received_ns, relay.applied_ns = self.received_ns, self.applied_ns
        self._moved(relay, before)

    # ----------------------------------------------------------------- what people can do

    def stick(self, relay: int, energised: bool | None) -> None:
        """Weld a relay's contacts; None frees them. Raises IndexError for no such relay."""
        state = self.relays[_index(relay, len(self.relays), "relay")]
        before = state.energised
        state.stuck = energised
        self._moved(state, before)

    def set_input(self, terminal: int, active: bool) -> None:
        """Raises IndexError for no such input."""
        self.inputs[_index(terminal, len(self.inputs), "input")] = active

    def set_named(self, name: str, normal: bool) -> None:
        """Let it happen, or be as usual again. Raises KeyError for no such name."""
        wired = self.named[name]
        self.set_input(wired.terminal, active=wired.normally_active == normal)

    def is_normal(self, wired: NamedInput) -> bool:
        return self.inputs[wired.terminal - 1] == wired.normally_active

    def door(self, door: int) -> DoorWiring:
        """Raises IndexError for no such door."""
        return self.doors[_index(door, len(self.doors), "door")]

    def is_locked(self, door: DoorWiring) -> bool:
        energised = self.relays[door.relay - 1].energised
        return energised == (door.energised_means == "locked")

    async def wait_for_relay(self, relay: int, energised: bool) -> None:
        """Returns when the relay is in that state. Raises IndexError for no such relay."""
        state = self.relays[_index(relay, len(self.relays), "relay")]
        while state.energised != energised:
            await self._changed.wait()

    def _moved(self, relay: RelayState, before: bool) -> None:
        if relay.energised != before:
            relay.times_on += relay.energised
            self._changed.set()
            self._changed = asyncio.Event()


def _take(terminal: int, count: int, taken: set[int], about: str) -> None:
    if not 1 <= terminal <= count:
        raise ValueError(f"{about}: the board has 1 to {count}")
    if terminal in taken:
        raise ValueError(f"{about}: that terminal is taken: name a free one")
    taken.add(terminal)


def _index(number: int, count: int, what: str) -> int:
    if not 1 <= number <= count:
        raise IndexError(f"no {what} {number}: the board has 1 to {count}")
    return number - 1
