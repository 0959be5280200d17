"""A simulated USB relay board of the LCUS type on a pseudo-terminal: it obeys and never answers.

Owns the frames and the orders of people; the relays' states are relay_terminals.py's.

On the wire: `A0`, the relay from 1, `01` or `00`, and the sum of these three bytes. Anything else
is passed over, byte by byte.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulators.control import ControlError, ControlTable, Reply, Request, Verb
from simulators.device import Device, run_device
from simulators.line_faults import MAX_TIMES, LineFaults
from simulators.pty_line import BAUDS, PtyLine
from simulators.relay_terminals import RelayTerminals

NAME = "lcus-board"
HELP = "a USB relay board of the LCUS type, on a pseudo-terminal"

FRAME = 4  # bytes
START = 0xA0
MAX_RELAYS = 32
MAX_WAIT_S = 25.0  # less than a control client waits for its reply


class SimulatedLcusBoard(Device):
    """`async with SimulatedLcusBoard(link, relays=2) as board:`. Its relays are in `terminals`."""

    def __init__(
        self, link: Path, *, relays: int = 1, baud: int = 9600, control: Path | None = None
    ) -> None:
        super().__init__(control)
        if not 1 <= relays <= MAX_RELAYS:
            raise ValueError(f"--relays {relays}: such boards have 1 to {MAX_RELAYS}")
        self.terminals = RelayTerminals(relays, 0, ())
        self.faults = LineFaults(("lose",))
        self.line = PtyLine(link, baud, 0, self._received)
        self.frames = 0  # for a relay that the board has
        self.dropped = 0  # bytes that were no frame
        self._held = bytearray()

    async def open(self) -> None:
        self.line.plug()

    def close(self) -> None:
        self.line.unplug()

    def ready(self) -> Mapping[str, Any]:
        return {"link": str(self.line.link), "relays": len(self.terminals.relays)}

    # ------------------------------------------------------------------------------ frames

    def _received(self, data: bytes) -> None:
        """A board of this kind acts as soon as the fourth byte is there."""
        self.terminals.received_ns = self.terminals.applied_ns = time.monotonic_ns()
        self._held += data
        while len(self._held) >= FRAME:
            frame = bytes(self._held[:FRAME])
            if self._is_frame(frame):
                del self._held[:FRAME]
                self._obey(frame)
            else:
                del self._held[:1]
                self.dropped += 1

    def _is_frame(self, frame: bytes) -> bool:
        return (
            frame[0] == START
            and 1 <= frame[1] <= len(self.terminals.relays)
            and frame[2] in {0, 1}
            and frame[3] == sum(frame[:3]) % 256
        )

    def _obey(self, frame: bytes) -> None:
        self.frames += 1
        if self.faults.take("lose") is None:
            self.terminals.write_coil(frame[1] - 1, frame[2] == 1)

    # ------------------------------------------------------------------------------ orders

    def controls(self) -> ControlTable:
        return {
            "wait_relay": Verb(self._wait_relay, ("relay", "energised", "timeout_s")),
            "fault": Verb(self._fault, ("kind", "times", "relay", "state")),
            "clear": Verb(self._clear),
            "status": Verb(self._status),
        }

    async def _wait_relay(self, request: Request) -> Reply:
        """Reply when the relay is in that state, or with `reached` false after the time."""
        relay = self._relay(request)
        energised = request.flag("energised", default=True)
        try:
            async with asyncio.timeout(request.number("timeout_s", 5.0, most=MAX_WAIT_S)):
                await self.terminals.wait_for_relay(relay, energised)
        except TimeoutError:
            return {"reached": False}
        return {"reached": True, "at_ns": time.monotonic_ns()}

    async def _fault(self, request: Request) -> Reply:
        match request.choice("kind", ("lose", "power_cycle", "stuck", "unplug", "replug")):
            case "lose":
                self.faults.put("lose", request.integer("times", 0, most=MAX_TIMES))
            case "power_cycle":  # the supply of the relays, while the USB side goes on
                for address in range(len(self.terminals.relays)):
                    self.terminals.write_coil(address, energised=False)
            case "stuck":
                state = request.choice("state", ("on", "off", "free"))
                self.terminals.stick(
                    self._relay(request), None if state == "free" else state == "on"
                )
            case "unplug":
                self.line.unplug()
            case _:
                self._plug()
        return {"faults": self.faults.status(), "plugged": self.line.plugged}

    async def _clear(self, _request: Request) -> Reply:
        """All well again: no faults, no stuck relays, plugged."""
        self.faults.clear()
        for number in range(1, len(self.terminals.relays) + 1):
            self.terminals.stick(number, None)
        self._plug()
        return {"plugged": self.line.plugged}

    async def _status(self, _request: Request) -> Reply:
        return {
            "link": str(self.line.link),
            "plugged": self.line.plugged,
            "frames": self.frames,
            "dropped": self.dropped,
            "relays": [relay.status() for relay in self.terminals.relays],
            "faults": self.faults.status(),
        }

    def _relay(self, request: Request) -> int:
        return request.integer("relay", least=1, most=len(self.terminals.relays))

    def _plug(self) -> None:
        try:
            self.line.plug()
        except OSError as error:
            raise ControlError(f"can't plug in again: {error}") from error


# ------------------------------------------------------------------------------ command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--link", type=Path, required=True, help="link to the client's end")
    parser.add_argument("--relays", type=int, default=1, help="1 to 32; default: %(default)s")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=9600)
    parser.add_argument("--control", type=Path, help="Unix socket for orders (JSON Lines)")


async def run(args: argparse.Namespace) -> int:
    try:
        board = SimulatedLcusBoard(
            args.link, relays=args.relays, baud=args.baud, control=args.control
        )
    except ValueError as error:
        print(error, flush=True)
        return 2
    return await run_device(board)
