"""Plays a scenario at the simulated devices: cards, doors, exit buttons. Owns the people's moves.

The plan is made in scenario_plan.py. Must not know the gateway: a person waits for the lock's relay
and opens the door only if it was released. Each card shown is written down, for the reckoning.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from gatewayd.clock import SystemClock
from gatewayd.domain.ports import Clock
from simulators.compound import Compound, make_compound, utc_today
from simulators.control import ControlClient
from simulators.scenario_plan import (
    HERE,
    Plan,
    Scenario,
    ScenarioDoor,
    Step,
    Telling,
    load_scenario,
    make_plan,
)

NAME = "scenario"
HELP = "plays a scenario of people, cards and doors at the simulated devices"

LIVELY_HOUR = HERE / "lively_hour.toml"
EXIT_HOLD_S = 0.4
NS_PER_S = 1_000_000_000
LISTEN_NS = NS_PER_S // 10  # how late a player may notice `stop`


@dataclass(frozen=True, slots=True)
class Stage:
    """The control clients: readers by their id, the relay board once for each door.

    A connection serves in order, so each door's people have their own.
    """

    readers: Mapping[str, ControlClient]
    boards: Mapping[str, ControlClient]


@dataclass(slots=True)
class Played:
    """What happened, counted."""

    taps: int = 0
    not_sent: int = 0  # the reader was unplugged or silent
    passed: int = 0  # people who went through a released door
    waited_in_vain: int = 0  # let in by the plan, but the lock was not released
    forced: int = 0
    exits: int = 0


class Player:
    """`await player.play(plan)` returns when everybody is through."""

    def __init__(
        self, scenario: Scenario, stage: Stage, record: IO[str], clock: Clock | None = None
    ) -> None:
        self._scenario = scenario
        self._doors = {door.id: door for door in scenario.door}
        self._stage = stage
        self._record = record
        self._clock = clock or SystemClock()
        self._taps = itertools.count(1)
        self._stopped = False
        self.played = Played()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """Nobody comes any more; who is at a door closes it and goes. `play` returns soon."""
        self._stopped = True

    async def play(self, plan: Plan) -> None:
        """Each door's people one after the other, the doors beside each other."""
        start_ns = self._clock.monotonic_ns()
        async with asyncio.TaskGroup() as lanes:
            for door in self._doors.values():
                steps = [step for step in plan.steps if step.door == door.id]
                lanes.create_task(self._lane(door, steps, start_ns), name=f"people at {door.id}")
        await self._until(start_ns + round(plan.length_s * NS_PER_S))

    async def _lane(self, door: ScenarioDoor, steps: Sequence[Step], start_ns: int) -> None:
        for step in steps:
            await self._until(start_ns + round(step.at_s * NS_PER_S))
            if self._stopped:
                return
            await self._act(door, step)
            await self._pause(self._scenario.pace.step_s)

    async def _act(self, door: ScenarioDoor, step: Step) -> None:
        match step.act:
            case "forced":
                await self._force(door, step.open_s)
            case "leave":
                await self._press_exit(door)
                await self._go_through(door, step.open_s)
            case "refused":
                await self._tap(door, step)
            case "enter" | "held":
                await self._tap(door, step)
                await self._go_through(door, step.open_s)

    async def _tap(self, door: ScenarioDoor, step: Step) -> None:
        """Show the card, and write down that it was shown: the last four digits, no more."""
        card = step.card
        assert card is not None  # noqa: S101  # the planner deals one to each tapping step
        hold_s = self._scenario.pace.hold_s
        sent = await self._stage.readers[door.reader].ask(
            {"do": "present", "bits": card.bits, "value": card.value, "hold_s": hold_s}
        )
        if not sent["sent"]:
            self.played.not_sent += 1
            return
        self.played.taps += 1
        self._write(
            {
                "n": next(self._taps),
                "reader": door.reader,
                "bits": card.bits,
                "masked": card.masked,
                "sent_ns": sent["first_ns"],
                "expect": step.expect,
            }
        )

    def _write(self, tap: Mapping[str, Any]) -> None:
        self._record.write(json.dumps(tap, ensure_ascii=False) + "\n")
        self._record.flush()

    async def _press_exit(self, door: ScenarioDoor) -> None:
        self.played.exits += 1
        await self._stage.boards[door.id].ask(
            {"do": "press_exit", "door": door.board_door, "hold_s": EXIT_HOLD_S}
        )

    async def _go_through(self, door: ScenarioDoor, open_s: float) -> None:
        """Open the door once its lock is released, and close it behind; else go away."""
        pace = self._scenario.pace
        deadline_ns = self._clock.monotonic_ns() + round(pace.patience_s * NS_PER_S)
        while not await self._released(door):
            if self._clock.monotonic_ns() >= deadline_ns:
                self.played.waited_in_vain += 1
                return
            await self._pause(0.05)
        await self._pause(pace.reach_s)
        moved = await self._leaf(door, "open", only_if_unlocked=True)
        if not moved["moved"]:
            self.played.waited_in_vain += 1
            return
        self.played.passed += 1
        await self._pause(open_s)
        await self._leaf(door, "close")

    async def _released(self, door: ScenarioDoor) -> bool:
        status = await self._stage.boards[door.id].ask({"do": "status"})
        return not status["doors"][door.board_door - 1]["locked"]

    async def _force(self, door: ScenarioDoor, open_s: float) -> None:
        self.played.forced += 1
        await self._leaf(door, "open")
        await self._pause(open_s)
        await self._leaf(door, "close")

    async def _leaf(
        self, door: ScenarioDoor, action: str, *, only_if_unlocked: bool = False
    ) -> dict[str, Any]:
        order: dict[str, Any] = {"do": "door", "action": action, "door": door.board_door}
        if only_if_unlocked:
            order["only_if_unlocked"] = True
        return await self._stage.boards[door.id].ask(order)

    async def _pause(self, seconds: float) -> None:
        await self._until(self._clock.monotonic_ns() + round(seconds * NS_PER_S))

    async def _until(self, moment_ns: int) -> None:
        """Waits in short steps, so that `stop` need not cancel a card halfway to the reader: a tap
        that was sent and not written down would be one too many at the centre."""
        while not self._stopped and (now_ns := self._clock.monotonic_ns()) < moment_ns:
            await self._clock.sleep_until(min(moment_ns, now_ns + LISTEN_NS))


# --------------------------------------------------------------------------- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, default=LIVELY_HOUR, help="the scenario's TOML file")
    parser.add_argument("--speed", type=_positive, default=1.0, help="so many times faster")
    parser.add_argument("--seconds", type=_positive, help="all scenes within so many seconds")
    parser.add_argument("--seed", type=int, help="another crowd than the file's own")
    parser.add_argument("--compound-seed", type=int, default=1, help="whose cards: as the centre's")
    parser.add_argument(
        "--reader", action="append", required=True, type=_named, metavar="ID=SOCKET"
    )
    parser.add_argument("--board", type=Path, required=True, help="the relay board's socket")
    parser.add_argument("--record", type=Path, required=True, help="JSON Lines: each card shown")
    parser.add_argument("--plan", action="store_true", help="print the plan and touch nothing")


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 86_400:
        raise argparse.ArgumentTypeError("a number above 0, at most 86400")
    return number


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError("write ID=SOCKET, e.g. main-gate-in=run/reader.sock")
    return name, Path(path)


async def run(args: argparse.Namespace) -> int:
    """With --seconds once; without, hour after hour until cancelled."""
    scenario = load_scenario(args.file)
    clock = SystemClock()
    compound = make_compound(args.compound_seed, utc_today(clock.now().wall_ms))
    if args.plan:
        _print_plan(make_plan(scenario, compound, _telling(args, clock, scenario, 0)))
        return 0
    missing = {door.reader for door in scenario.door} - dict(args.reader).keys()
    if missing:
        raise ValueError(f"--reader is missing for {', '.join(sorted(missing))}: write ID=SOCKET")
    async with contextlib.AsyncExitStack() as stack:
        readers = {
            name: await stack.enter_async_context(ControlClient(path))
            for name, path in dict(args.reader).items()
        }
        boards = {
            door.id: await stack.enter_async_context(ControlClient(args.board))
            for door in scenario.door
        }
        record = stack.enter_context(args.record.open("a", encoding="utf-8"))
        player = Player(scenario, Stage(readers, boards), record, clock)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, player.stop)
        await _tell(player, scenario, compound, args, clock)
    return 0


async def _tell(
    player: Player, scenario: Scenario, compound: Compound, args: argparse.Namespace, clock: Clock
) -> None:
    for hour in itertools.count():
        plan = make_plan(scenario, compound, _telling(args, clock, scenario, hour))
        about = {"scenario": scenario.name, "seconds": plan.length_s, "taps": plan.taps}
        print("ready " + json.dumps({**about, "left_out": plan.left_out}), flush=True)
        await player.play(plan)
        print("played " + json.dumps(_counts(player.played)), flush=True)
        if args.seconds or player.stopped:
            return


def _telling(args: argparse.Namespace, clock: Clock, scenario: Scenario, hour: int) -> Telling:
    seed = (scenario.seed if args.seed is None else args.seed) + hour
    return Telling(clock.now().wall_ms, args.speed, args.seconds, seed)


def _counts(played: Played) -> dict[str, int]:
    return {name: getattr(played, name) for name in Played.__slots__}


def _print_plan(plan: Plan) -> None:
    for step in plan.steps:
        shown = f"{step.card.masked} → {step.expect}" if step.card else ""
        print(f"{step.at_s:8.2f} s  {step.door:12} {step.act:8} {step.who:16} {shown}")
    for scene in plan.left_out:
        print(f"left out, too little time: {scene}")
