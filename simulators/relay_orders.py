"""The orders of the simulated relay board: doors, exit buttons, inputs and faults.

Owns the table of orders and the people's side of a door. Must not know Modbus.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from simulators.control import ControlError, ControlTable, Reply, Request, Verb
from simulators.line_faults import MAX_SLOWDOWN, MAX_TIMES, LineFaults
from simulators.pty_line import PtyLine
from simulators.relay_barrier import ACTIONS, SimulatedBarrier
from simulators.relay_terminals import DoorWiring, RelayTerminals

FAULTS = ("silence", "noise", "slow", "exception")
_OTHERS = ("unplug", "replug", "stuck")
MAX_HOLD_S = 25.0  # less than a control client waits for its reply
_MAX_TERMINAL = 256


class Board(Protocol):
    """What the orders act on."""

    terminals: RelayTerminals
    barriers: list[SimulatedBarrier]
    faults: LineFaults
    line: PtyLine
    requests: int
    bad_frames: int
    overruns: int


class BoardControls:
    """Each method is one order."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def table(self) -> ControlTable:
        return {
            "door": Verb(self._door, ("door", "action", "only_if_unlocked")),
            "press_exit": Verb(self._press_exit, ("door", "hold_s")),
            "input": Verb(self._input, ("input", "active", "name", "normal")),
            "vehicle": Verb(self._vehicle, ("barrier", "action")),
            "wait_relay": Verb(self._wait_relay, ("relay", "energised", "timeout_s")),
            "fault": Verb(self._fault, ("kind", "times", "factor", "code", "relay", "state")),
            "clear": Verb(self._clear),
            "status": Verb(self._status),
        }

    # ------------------------------------------------------------------------------ people

    async def _door(self, request: Request) -> Reply:
        """Open or close a door leaf; a locked one opens too (by force), unless told otherwise."""
        wiring = self._wiring(request)
        opens = request.choice("action", ("open", "close")) == "open"
        if wiring.contact is None:
            raise ControlError("this door has no contact: give --door a contact=N")
        locked = self._board.terminals.is_locked(wiring)
        if opens and locked and request.flag("only_if_unlocked", default=False):
            return {"moved": False, "locked": True, "open": self._is_open(wiring)}
        moved = self._is_open(wiring) != opens
        self._board.terminals.set_input(wiring.contact, not opens)
        return {"moved": moved, "locked": locked, "open": opens, "moved_ns": time.monotonic_ns()}

    async def _press_exit(self, request: Request) -> Reply:
        """Press and release; the reply comes after the release."""
        wiring = self._wiring(request)
        hold_s = request.number("hold_s", 0.5, least=0.01, most=MAX_HOLD_S)
        if wiring.exit is None:
            raise ControlError("this door has no exit button: give --door an exit=N")
        pressed_ns = time.monotonic_ns()
        self._board.terminals.set_input(wiring.exit, active=True)
        try:
            await asyncio.sleep(hold_s)
        finally:
            self._board.terminals.set_input(wiring.exit, active=False)
        return {"pressed_ns": pressed_ns, "released_ns": time.monotonic_ns()}

    async def _input(self, request: Request) -> Reply:
        """By its terminal, active or not; or by its name: it happens, or is as usual again."""
        terminals = self._board.terminals
        if ("name" in request.fields) == ("input" in request.fields):
            raise ControlError("say which: 'input' (a terminal) or 'name' (of an --input)")
        if "name" in request.fields:
            self._named_input(request)
            return {"inputs": terminals.inputs}
        if "normal" in request.fields:
            raise ControlError("'normal' goes with 'name': a terminal is 'active' or not")
        terminal = request.integer("input", least=1, most=_MAX_TERMINAL)
        active = request.flag("active", default=True)
        try:
            terminals.set_input(terminal, active)
        except IndexError as error:
            raise ControlError(str(error)) from error
        return {"inputs": terminals.inputs}

    def _named_input(self, request: Request) -> None:
        name = request.text("name")
        if "active" in request.fields:
            raise ControlError("'active' goes with 'input': what has a name is 'normal' or not")
        if name not in self._board.terminals.named:
            known = ", ".join(self._board.terminals.named) or "none: give --input name=…,terminal=N"
            raise ControlError(f"no input is named {name!r}; known: {known}")
        self._board.terminals.set_named(name, request.flag("normal", default=False))

    async def _vehicle(self, request: Request) -> Reply:
        """A driver does that, as soon as the arm lets them; the reply does not wait for it."""
        count = len(self._board.barriers)
        if not count:
            raise ControlError("this board has no barrier: give --barrier open=…,loop=…")
        barrier = self._board.barriers[request.integer("barrier", 1, least=1, most=count) - 1]
        try:
            barrier.order(request.choice("action", ACTIONS))
        except ValueError as error:
            raise ControlError(str(error)) from error
        return dict(barrier.status())

    async def _wait_relay(self, request: Request) -> Reply:
        """Reply when the relay is in that state, or with `reached` false after the time."""
        relay = request.integer("relay", least=1, most=_MAX_TERMINAL)
        energised = request.flag("energised", default=True)
        timeout_s = request.number("timeout_s", 5.0, most=MAX_HOLD_S)
        try:
            async with asyncio.timeout(timeout_s):
                await self._board.terminals.wait_for_relay(relay, energised)
        except TimeoutError:
            return {"reached": False}
        except IndexError as error:
            raise ControlError(str(error)) from error
        return {"reached": True, "at_ns": time.monotonic_ns()}

    # ------------------------------------------------------------------------------ faults

    async def _fault(self, request: Request) -> Reply:
        kind = request.choice("kind", FAULTS + _OTHERS)
        times = request.integer("times", 0, most=MAX_TIMES)
        factor = request.number("factor", 10.0, least=1, most=MAX_SLOWDOWN)
        code = request.integer("code", 4, least=1, most=11)
        match kind:
            case "unplug":
                self._board.line.unplug()
            case "replug":
                self._plug()
            case "stuck":
                self._stick(request)
            case _:
                self._board.faults.put(kind, times, code if kind == "exception" else factor)
        if kind == "noise":
            await self._board.line.send(self._board.line.noise())  # unasked, too
        return {"faults": self._board.faults.status(), "plugged": self._board.line.plugged}

    def _stick(self, request: Request) -> None:
        relay = request.integer("relay", least=1, most=_MAX_TERMINAL)
        state = request.choice("state", ("on", "off", "free"))
        try:
            self._board.terminals.stick(relay, None if state == "free" else state == "on")
        except IndexError as error:
            raise ControlError(str(error)) from error

    async def _clear(self, _request: Request) -> Reply:
        """All well again: no faults, no stuck relays, plugged. Doors stay as they are."""
        self._board.faults.clear()
        for number in range(1, len(self._board.terminals.relays) + 1):
            self._board.terminals.stick(number, None)
        self._plug()
        return {"plugged": self._board.line.plugged}

    def _plug(self) -> None:
        try:
            self._board.line.plug()
        except OSError as error:
            raise ControlError(f"can't plug in again: {error}") from error

    # ------------------------------------------------------------------------------ telling

    async def _status(self, _request: Request) -> Reply:
        board, terminals = self._board, self._board.terminals
        return {
            "link": str(board.line.link),
            "plugged": board.line.plugged,
            "requests": board.requests,
            "bad_frames": board.bad_frames,
            "overruns": board.overruns,
            "relays": [relay.status() for relay in terminals.relays],
            "inputs": terminals.inputs,
            "named": [
                {
                    "name": wired.name,
                    "terminal": wired.terminal,
                    "normal": terminals.is_normal(wired),
                }
                for wired in terminals.named.values()
            ],
            "doors": [
                {
                    "door": number,
                    "name": door.name,
                    "open": self._is_open(door),
                    "locked": terminals.is_locked(door),
                    "times_on": terminals.relays[door.relay - 1].times_on,
                }
                for number, door in enumerate(terminals.doors, 1)
            ],
            "barriers": [
                {"barrier": number, **barrier.status()}
                for number, barrier in enumerate(board.barriers, 1)
            ],
            "faults": board.faults.status(),
        }

    def _wiring(self, request: Request) -> DoorWiring:
        try:
            return self._board.terminals.door(request.integer("door", least=1, most=_MAX_TERMINAL))
        except IndexError as error:
            raise ControlError(str(error)) from error

    def _is_open(self, door: DoorWiring) -> bool:
        return door.contact is not None and not self._board.terminals.inputs[door.contact - 1]
