"""A simulated RS-485 line with several Modbus RTU boards on it, on one pseudo-terminal.

Owns the line that they share; each board is relay_board.py's. Every board hears every request and
answers its own, at the pace of the line.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from simulators.control import ControlError, ControlTable, Reply, Request, Verb
from simulators.device import Device, run_device
from simulators.pty_line import BAUDS, PtyLine
from simulators.relay_board import SimulatedRelayBoard

NAME = "modbus-line"
HELP = "several Modbus RTU boards on one line, on a pseudo-terminal"


class SimulatedModbusLine(Device):
    """`async with SimulatedModbusLine(link, (1, 2)) as line:`. Its `boards` are by address."""

    def __init__(
        self,
        link: Path,
        device_ids: tuple[int, ...],
        *,
        relays: int = 8,
        inputs: int = 8,
        baud: int = 9600,
        seed: int = 0,
        control: Path | None = None,
    ) -> None:
        super().__init__(control)
        if len(set(device_ids)) != len(device_ids) or not all(1 <= n <= 247 for n in device_ids):
            raise ValueError(f"--device-id {device_ids}: each of 1 to 247, and once")
        self.line = PtyLine(link, baud, seed, self._received)
        self.boards = {
            n: SimulatedRelayBoard(
                link, relays=relays, inputs=inputs, device_id=n, baud=baud, line=self.line
            )
            for n in device_ids
        }

    async def open(self) -> None:
        self.line.plug()
        for number, board in self.boards.items():
            self.start(board.serve(), f"board {number}")

    def close(self) -> None:
        self.line.unplug()

    def ready(self) -> Mapping[str, Any]:
        return {"link": str(self.line.link), "device_ids": list(self.boards)}

    def controls(self) -> ControlTable:
        """The orders of a board, each with the `device_id` that it is for."""
        names = next(iter(self.boards.values())).controls()
        return {
            name: Verb(self._order_for(name), ("device_id", *verb.keys))
            for name, verb in names.items()
        }

    def _order_for(self, name: str) -> Any:  # noqa: ANN401  # a Verb's coroutine function
        async def obey(request: Request) -> Reply:
            number = request.integer("device_id", next(iter(self.boards)), least=1, most=247)
            if number not in self.boards:
                known = ", ".join(str(n) for n in self.boards)
                raise ControlError(f"no board has the address {number}; there are: {known}")
            fields = {key: value for key, value in request.fields.items() if key != "device_id"}
            return await self.boards[number].controls()[name].run(replace(request, fields=fields))

        return obey

    def _received(self, data: bytes) -> None:
        for board in self.boards.values():
            board.hear(data)


# ------------------------------------------------------------------------------ command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--link", type=Path, required=True, help="link to the client's end")
    parser.add_argument(
        "--device-id",
        type=int,
        action="append",
        required=True,
        help="a board's address; repeat for more boards",
    )
    parser.add_argument("--relays", type=int, default=8, help="of each board")
    parser.add_argument("--inputs", type=int, default=8, help="of each board")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=9600)
    parser.add_argument("--seed", type=int, default=0, help="of noise and fragments")
    parser.add_argument("--control", type=Path, help="Unix socket for orders (JSON Lines)")


async def run(args: argparse.Namespace) -> int:
    try:
        line = SimulatedModbusLine(
            args.link,
            tuple(args.device_id),
            relays=args.relays,
            inputs=args.inputs,
            baud=args.baud,
            seed=args.seed,
            control=args.control,
        )
    except ValueError as error:
        print(error, flush=True)
        return 2
    return await run_device(line)
