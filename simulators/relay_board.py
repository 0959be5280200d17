"""A simulated Modbus RTU board of relays and inputs on a pseudo-terminal, with doors on it.

Owns the framing by silence and the pace of the replies; the wire's rules are in modbus_wire.py,
the doors in relay_terminals.py.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from simulators.control import ControlTable
from simulators.device import Device, run_device
from simulators.line_faults import LineFaults
from simulators.modbus_wire import ModbusError, answer, exception_reply, seal, unseal
from simulators.pty_line import BAUDS, PtyLine
from simulators.relay_barrier import TICK_S, BarrierWiring, SimulatedBarrier
from simulators.relay_orders import FAULTS, BoardControls
from simulators.relay_terminals import DoorWiring, NamedInput, RelayTerminals

NAME = "relay-board"
HELP = "a Modbus RTU board of relays and inputs with doors on it, on a pseudo-terminal"

SILENCE_BYTES = 3.5  # Modbus over serial line §2.5.1.1: the end of a frame
LEAST_SILENCE_S = 0.00175  # above 19200 baud, by the same clause
MAX_WAITING = 512  # bytes; twice the longest frame, then the UART overruns
BROADCAST = 0


class SimulatedRelayBoard(Device):
    """`async with SimulatedRelayBoard(link, doors=(DoorWiring(1, 1, 2),)) as board:`.

    `board.terminals` has the doors, relays and inputs. Raises ValueError as RelayTerminals does.
    """

    def __init__(
        self,
        link: Path,
        *,
        doors: tuple[DoorWiring, ...] = (),
        named: tuple[NamedInput, ...] = (),
        barriers: tuple[BarrierWiring, ...] = (),
        relays: int = 8,
        inputs: int = 8,
        device_id: int = 1,
        baud: int = 9600,
        seed: int = 0,
        control: Path | None = None,
        line: PtyLine | None = None,
    ) -> None:
        """`line`: one that it shares with others, whose owner plugs it and calls `hear`."""
        super().__init__(control)
        self.terminals = RelayTerminals(relays, inputs, doors, named)
        self.barriers = [SimulatedBarrier(self.terminals, wiring) for wiring in barriers]
        self.faults = LineFaults(FAULTS)
        self.line = PtyLine(link, baud, seed, self.hear) if line is None else line
        self.requests = 0  # frames for this board
        self.bad_frames = 0  # wrong CRC or length, dropped without a word
        self.overruns = 0  # bytes that came faster than the board could take them
        self._device_id = device_id
        self._buffer = bytearray()
        self._first_s = 0.0  # event loop time of the first byte waiting
        self._last_s = 0.0
        self._last_ns = 0
        self._arrived = asyncio.Event()

    async def open(self) -> None:
        self.line.plug()
        self.start(self.serve(), "relay board")
        if self.barriers:
            self.start(self._move_barriers(), "barriers")

    def close(self) -> None:
        self.line.unplug()

    def ready(self) -> Mapping[str, Any]:
        return {"link": str(self.line.link), "device_id": self._device_id}

    def controls(self) -> ControlTable:
        return BoardControls(self).table()

    async def _move_barriers(self) -> None:
        loop = asyncio.get_running_loop()
        before_s = loop.time()
        while True:
            await asyncio.sleep(TICK_S)
            now_s = loop.time()
            # A machine that was busy moves nothing further in one go than a poll could have seen.
            for barrier in self.barriers:
                barrier.tick(min(now_s - before_s, 2 * TICK_S))
            before_s = now_s

    # ------------------------------------------------------------------------------ frames

    def hear(self, data: bytes) -> None:
        """What came over the line, for whichever board."""
        self._last_s = asyncio.get_running_loop().time()
        self._last_ns = time.monotonic_ns()
        if not self._buffer:
            self._first_s = self._last_s
        room = MAX_WAITING - len(self._buffer)
        self.overruns += max(len(data) - room, 0)
        self._buffer += data[:room]
        self._arrived.set()

    async def serve(self) -> None:
        """Answer, until cancelled."""
        while True:
            await self._arrived.wait()
            frame = await self._next_frame()
            body = unseal(frame)
            if body is None:
                self.bad_frames += 1
            elif body[0] in {self._device_id, BROADCAST}:
                await self._respond(body)

    async def _next_frame(self) -> bytes:
        """What came before a silence. A pty hands over at once what a wire takes its time for."""
        loop = asyncio.get_running_loop()
        silence_s = max(SILENCE_BYTES * self.line.byte_s, LEAST_SILENCE_S)
        while True:
            on_wire_s = self._first_s + len(self._buffer) * self.line.byte_s
            due_s = max(self._last_s, on_wire_s) + silence_s
            if loop.time() >= due_s:
                break
            await asyncio.sleep(due_s - loop.time())
        frame = bytes(self._buffer)
        self._buffer.clear()
        self._arrived.clear()
        return frame

    async def _respond(self, body: bytes) -> None:
        self.requests += 1
        if self.faults.take("silence") is not None:
            return
        self.terminals.received_ns, self.terminals.applied_ns = self._last_ns, time.monotonic_ns()
        reply = self._carry_out(body[1:])
        if body[0] == BROADCAST:
            return
        data = seal(body[:1] + reply)
        if self.faults.take("noise") is not None:
            data = self.line.noise() + data + self.line.noise()
        await self.line.send(data, slowdown=self.faults.take("slow") or 1.0)

    def _carry_out(self, pdu: bytes) -> bytes:
        code = self.faults.take("exception")
        if code is not None:
            return exception_reply(pdu[0], int(code))
        try:
            return answer(pdu, self.terminals)
        except ModbusError as error:
            return exception_reply(pdu[0], error.code)


# ------------------------------------------------------------------------------ command line


def parse_door(text: str) -> DoorWiring:
    """'relay=1,contact=1,exit=2,name=north,energised=unlocked'; only the relay is compulsory."""
    numbers: dict[str, int] = {}
    words = {"name": "", "energised": "unlocked"}
    for part in text.split(","):
        key, _, value = part.strip().partition("=")
        if key in {"relay", "contact", "exit"} and value.isdecimal() and 1 <= int(value) <= 256:
            numbers[key] = int(value)
        elif key == "name" or (key == "energised" and value in {"unlocked", "locked"}):
            words[key] = value
        else:
            raise argparse.ArgumentTypeError(
                f"{part!r}: write relay=1,contact=1,exit=2,name=north,energised=unlocked|locked"
            )
    if "relay" not in numbers:
        raise argparse.ArgumentTypeError(f"{text!r} names no relay: write e.g. relay=1,contact=1")
    contact, exit_button = numbers.get("contact"), numbers.get("exit")
    return DoorWiring(numbers["relay"], contact, exit_button, words["name"], words["energised"])


_BARRIER = "open=1,close=2,loop=3,presence=4,up=5,down=6,name=north,travel_s=1.5"


def parse_barrier(text: str) -> BarrierWiring:
    """As _BARRIER; `open` and `loop` are compulsory, without `close` one relay holds the arm up."""
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    keys = ("open", "close", "loop", "presence", "up", "down")
    numbers = {key: int(given[key]) for key in keys if given.get(key, "").isdecimal()}
    try:
        travel_s = float(given.get("travel_s", "1.5"))
    except ValueError:
        travel_s = 0.0
    wrong = given.keys() - {*numbers, "name", "travel_s"} or {"open", "loop"} - numbers.keys()
    if wrong or not 0.1 <= travel_s <= 30:
        raise argparse.ArgumentTypeError(f"{text!r}: write {_BARRIER}")
    return BarrierWiring(
        numbers["open"],
        numbers["loop"],
        numbers.get("close"),
        numbers.get("presence"),
        numbers.get("up"),
        numbers.get("down"),
        given.get("name", ""),
        travel_s,
    )


def parse_input(text: str) -> NamedInput:
    """'name=fire,terminal=8,normal=active'; normal is inactive where nothing is said."""
    given = dict(part.strip().partition("=")[::2] for part in text.split(","))
    name, terminal = given.get("name", ""), given.get("terminal", "")
    normal = given.get("normal", "inactive")
    wrong = given.keys() - {"name", "terminal", "normal"} or not name
    if wrong or not terminal.isdecimal() or normal not in {"active", "inactive"}:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write name=fire,terminal=8,normal=active|inactive"
        )
    return NamedInput(name, int(terminal), normal == "active")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--link", type=Path, required=True, help="link to the client's end")
    parser.add_argument(
        "--door",
        type=parse_door,
        action="append",
        default=[],
        metavar="relay=1,contact=1,exit=2,name=north,energised=unlocked",
        help="a door's wiring; repeat for more doors",
    )
    parser.add_argument(
        "--input",
        type=parse_input,
        action="append",
        default=[],
        metavar="name=fire,terminal=8,normal=inactive",
        help="what else is wired to an input; repeat for more",
    )
    parser.add_argument(
        "--barrier",
        type=parse_barrier,
        action="append",
        default=[],
        metavar=_BARRIER,
        help="a vehicle barrier's wiring; repeat for more",
    )
    parser.add_argument("--relays", type=int, choices=range(1, 33), default=8, metavar="1..32")
    parser.add_argument("--inputs", type=int, choices=range(1, 33), default=8, metavar="1..32")
    parser.add_argument("--device-id", type=int, choices=range(1, 248), default=1, metavar="1..247")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=9600, help="pace of the bytes")
    parser.add_argument("--seed", type=int, default=0, help="of noise and fragments")
    parser.add_argument("--control", type=Path, help="Unix socket for orders")


async def run(args: argparse.Namespace) -> int:
    """Be a board until cancelled or told to quit. A wrong --door, --input or --barrier ends
    with status 2."""
    try:
        board = SimulatedRelayBoard(
            args.link,
            doors=tuple(args.door),
            named=tuple(args.input),
            barriers=tuple(args.barrier),
            relays=args.relays,
            inputs=args.inputs,
            device_id=args.device_id,
            baud=args.baud,
            seed=args.seed,
            control=args.control,
        )
    except ValueError as error:
        print(error, flush=True)
        return 2
    return await run_device(board)
