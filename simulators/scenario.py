"""`gatewayd simulate scenario`: plays a scenario at the simulated devices. Owns the command line.

The format is in scenario_file.py, the plan in scenario_plan.py, the people in scenario_player.py.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from gatewayd.clock import SystemClock
from gatewayd.domain.ports import Clock
from simulators.arguments import seconds, speed
from simulators.compound import Compound, make_compound, utc_today
from simulators.control import ControlClient
from simulators.guard import Guard
from simulators.scenario_file import HERE, Scenario, ScenarioError, load_scenario
from simulators.scenario_plan import Plan, Telling, make_plan
from simulators.scenario_player import Played, Player, Stage

NAME = "scenario"
HELP = "plays a scenario of people, cards and doors at the simulated devices"

LIVELY_HOUR = HERE / "lively_hour.toml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--file", type=Path, default=LIVELY_HOUR, help="the scenario's TOML file")
    parser.add_argument("--speed", type=speed, default=1.0, help="so many times faster")
    parser.add_argument("--seconds", type=seconds, help="all scenes within so many seconds")
    parser.add_argument("--seed", type=int, help="another crowd than the file's own")
    parser.add_argument("--compound-seed", type=int, default=1, help="whose cards: as the centre's")
    parser.add_argument(
        "--reader", action="append", required=True, type=_named, metavar="ID=SOCKET"
    )
    parser.add_argument(
        "--board",
        action="append",
        required=True,
        type=_board,
        metavar="[ID=]SOCKET",
        help="a relay board's socket; the first has the inputs, and the doors that name no board",
    )
    parser.add_argument("--central", type=Path, help="the centre's socket, where it gives orders")
    parser.add_argument("--guard", type=Path, help="JSON: the console and who resets a fire there")
    parser.add_argument("--record", type=Path, required=True, help="JSON Lines: cards and codes")
    parser.add_argument("--plan", action="store_true", help="print the plan and touch nothing")


def _named(text: str) -> tuple[str, Path]:
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError("write ID=SOCKET, e.g. main-gate-in=run/reader.sock")
    return name, Path(path)


def _board(text: str) -> tuple[str, Path]:
    return _named(text) if "=" in text else ("", Path(text))


async def run(args: argparse.Namespace) -> int:
    """With --seconds once; without, hour after hour until cancelled."""
    scenario = load_scenario(args.file)
    clock = SystemClock()
    compound = make_compound(args.compound_seed, utc_today(clock.now().wall_ms))
    if args.plan:
        _print_plan(make_plan(scenario, compound, _telling(args, clock, scenario, 0)))
        return 0
    needed = {reader for door in scenario.door for reader in door.readers}
    boards = {door.board for door in scenario.door} - {""}
    for what, missing in (
        ("--reader", needed - dict(args.reader).keys()),
        ("--board", boards - dict(args.board).keys()),
    ):
        if missing:
            raise ValueError(f"{what} is missing for {', '.join(sorted(missing))}: write ID=SOCKET")
    async with contextlib.AsyncExitStack() as stack:
        stage = await _stage(args, scenario, stack)
        await check_stage(args.file, scenario, stage)
        record = stack.enter_context(args.record.open("a", encoding="utf-8"))
        player = Player(scenario, stage, record, clock)
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, player.stop)
        await _tell(player, scenario, compound, args, clock)
    return 0


async def _stage(
    args: argparse.Namespace, scenario: Scenario, stack: contextlib.AsyncExitStack
) -> Stage:
    """Connect to the devices for as long as the stack lasts. Raises OSError."""

    async def client(path: Path) -> ControlClient:
        return await stack.enter_async_context(ControlClient(path))

    first, boards = args.board[0][1], dict(args.board)
    return Stage(
        readers={name: await client(path) for name, path in dict(args.reader).items()},
        boards={
            door.id: await client(boards[door.board] if door.board else first)
            for door in scenario.door
        },
        inputs=await client(first),
        centre=await client(args.central) if args.central else None,
        guard=Guard.from_file(args.guard) if args.guard else None,
    )


async def check_stage(path: Path, scenario: Scenario, stage: Stage) -> None:
    """Whether the devices have what the scenes need, before anybody moves. Raises ScenarioError."""
    readers = {door.id: door.reader for door in scenario.door}
    statuses = [await stage.readers[reader].ask({"do": "status"}) for reader in readers.values()]
    mute = {door for door, told in zip(readers, statuses, strict=True) if not told["keypad"]}
    named = [each["name"] for each in (await stage.inputs.ask({"do": "status"}))["named"]]
    faults = [fault async for fault in _barriers_missing(path, scenario, stage)]
    faults += [fault async for fault in _scanners_missing(path, scenario, stage)]
    for number, scene in enumerate(scenario.scene):
        key = f"{path}: scene.{number}"
        if (scene.pin or scene.code) and scene.door in mute:
            what = "pin" if scene.pin else "code"
            reader = readers[scene.door]
            faults.append(f"{key}.{what}: {reader} has no keypad: start it with --keypad 4 or 8")
        if scene.input and scene.input not in named:
            known = ", ".join(named) or "none"
            how = f"start it with --input name={scene.input},terminal=N"
            faults.append(f"{key}.input: the relay board has no {scene.input!r} ({known}): {how}")
        if scene.order and stage.centre is None:
            faults.append(f"{key}.order: needs the centre: add --central SOCKET")
        if scene.act == "reset" and stage.guard is None:
            faults.append(f"{key}: needs a guard who resets: add --guard FILE")
    if faults:
        raise ScenarioError("\n".join(faults))


async def _barriers_missing(path: Path, scenario: Scenario, stage: Stage) -> AsyncIterator[str]:
    for number, door in enumerate(scenario.door):
        if door.barrier:
            known = (await stage.boards[door.id].ask({"do": "status"}))["barriers"]
            if door.barrier > len(known):
                what = f"the relay board has {len(known)}: start it with --barrier"
                yield f"{path}: door.{number}.barrier: {what}"


async def _scanners_missing(path: Path, scenario: Scenario, stage: Stage) -> AsyncIterator[str]:
    for number, door in enumerate(scenario.door):
        if door.scanner:
            kind = (await stage.readers[door.scanner].ask({"do": "status"})).get("kind")
            if kind != "line":
                what = f"{door.scanner} ({kind}) sends no text: start a reader of --kind line"
                yield f"{path}: door.{number}.scanner: {what}"


async def _tell(
    player: Player, scenario: Scenario, compound: Compound, args: argparse.Namespace, clock: Clock
) -> None:
    inside: tuple[str, ...] = ()
    for hour in itertools.count():
        telling = replace(_telling(args, clock, scenario, hour), inside=inside)
        plan = make_plan(scenario, compound, telling)
        inside = plan.inside
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
        shown = f"{step.card.masked} " if step.card else ""
        shown += "and PIN " if step.card and step.digits else ""
        shown += f"→ {step.expect}" if step.expect else ""
        print(f"{step.at_s:8.2f} s  {step.door or '*':12} {step.act:8} {step.who:16} {shown}")
    for scene in plan.left_out:
        print(f"left out, too little time: {scene}")
