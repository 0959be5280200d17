"""The people of a scenario at the simulated devices: cards, keys, doors, exit buttons; and what
happens to the site. Owns their moves; the plan is made in scenario_plan.py.

Must not know the gateway: a person waits for the lock's relay and opens the door only if it was
released. Each card shown and each code typed is written down, for the reckoning.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any

from gatewayd.clock import SystemClock
from gatewayd.domain.ports import Clock
from simulators.control import ControlClient
from simulators.guard import Guard
from simulators.scenario_file import Scenario, ScenarioDoor
from simulators.scenario_plan import Plan, Step, stays_out

T_ORDER_S = 5.0  # for the centre's command to reach the doors
MASKED_CODE = "••••"
EXIT_HOLD_S = 0.4
T_LANE_S = 20.0  # for a vehicle to be gone, and the arm down
NS_PER_S = 1_000_000_000
LISTEN_NS = NS_PER_S // 10  # how late a player may notice `stop`


@dataclass(frozen=True, slots=True)
class Stage:
    """The control clients: readers by their id, the relay board once for each door and once for
    its other inputs, the centre where the scenario gives orders, and the guard where one resets.

    A connection serves in order, so each door's people have their own.
    """

    readers: Mapping[str, ControlClient]
    boards: Mapping[str, ControlClient]
    inputs: ControlClient
    centre: ControlClient | None = None
    guard: Guard | None = None


@dataclass(slots=True)
class Played:
    """What happened, counted."""

    taps: int = 0  # cards shown and codes typed
    not_sent: int = 0  # the reader was unplugged or silent
    passed: int = 0  # people who went through a released door
    waited_in_vain: int = 0  # let in by the plan, but the lock was not released
    forced: int = 0
    exits: int = 0
    inputs: int = 0  # what happened at the board's named inputs
    orders: int = 0
    orders_failed: int = 0  # not reported as done within T_ORDER_S
    resets: int = 0  # of a fire, by the guard


def _reader(door: ScenarioDoor, step: Step) -> str:
    if step.shows != "card":
        return door.scanner
    return door.exit_reader if step.act == "leave" else door.reader


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
        """Each door's people one after the other, the doors beside each other; what concerns the
        site between them, however late the people are."""
        self._start_ns = self._clock.monotonic_ns()
        async with asyncio.TaskGroup() as self._lasting:
            for of_site, steps in itertools.groupby(plan.steps, lambda step: not step.door):
                if of_site:
                    await self._lane(list(steps))
                else:
                    await self._beside_each_other(list(steps))
        await self._until(self._start_ns + round(plan.length_s * NS_PER_S))

    async def _beside_each_other(self, steps: Sequence[Step]) -> None:
        async with asyncio.TaskGroup() as lanes:
            for door in self._doors:
                lane = [step for step in steps if step.door == door]
                lanes.create_task(self._lane(lane), name=f"people at {door}")

    async def _lane(self, steps: Sequence[Step]) -> None:
        for step in steps:
            await self._until(self._start_ns + round(step.at_s * NS_PER_S))
            if self._stopped:
                return
            await self._act(step)
            await self._pause(self._scenario.pace.step_s)

    async def _act(self, step: Step) -> None:
        match step.act:
            case "input":
                await self._happen(step)
            case "order":
                await self._order(step)
            case "reset":
                await self._reset()
            case _:
                await self._act_at(self._doors[step.door], step)

    async def _act_at(self, door: ScenarioDoor, step: Step) -> None:
        match step.act:
            case "forced":
                await self._force(door, step.open_s)
            case "leave":
                await (self._tap(door, step) if step.shows_card else self._press_exit(door))
                await self._go_through(door, step.open_s)
            case "through":
                await self._through(door, self._doors[step.then], step)
            case "refused":
                await self._tap(door, step)
            case "drive":
                await self._drive(door, step)
            case "pin":
                await self._type_code(door, step)
                if not stays_out(step):
                    await self._go_through(door, step.open_s)
            case "enter" | "held":
                await self._tap(door, step)
                await self._go_through(door, step.open_s)

    # ------------------------------------------------------------------------ at the reader

    async def _tap(self, door: ScenarioDoor, step: Step) -> None:
        """Show the card, type its PIN, and write down that it was shown: the last four digits. A
        QR pass or a plate goes to the scanner."""
        card = step.card
        assert card is not None  # noqa: S101  # the planner deals one to each tapping step
        hold_s, reader = self._scenario.pace.hold_s, _reader(door, step)
        what = {"bits": card.bits, "value": card.value} if card.bits else {"text": card.value}
        sent = await self._stage.readers[reader].ask({"do": "present", **what, "hold_s": hold_s})
        if not sent["sent"]:
            self.played.not_sent += 1
            return
        sent_ns = sent["first_ns"]
        if step.digits:
            await self._pause(self._scenario.pace.key_s)
            sent_ns = (await self._type(door, step))["sent_ns"] or sent_ns
        self._write(door, step, sent_ns, kind=card.kind, bits=card.bits, masked=card.masked)

    async def _type_code(self, door: ScenarioDoor, step: Step) -> None:
        """Type a code, and write down that one was typed: nothing of it."""
        typed = await self._type(door, step)
        if not typed["sent"]:
            self.played.not_sent += 1
            return
        self._write(door, step, typed["sent_ns"], kind="pin", bits=0, masked=MASKED_CODE)

    async def _type(self, door: ScenarioDoor, step: Step) -> dict[str, Any]:
        return await self._stage.readers[door.reader].ask(
            {"do": "press", "keys": f"{step.digits}#", "gap_s": self._scenario.pace.key_s}
        )

    def _write(self, door: ScenarioDoor, step: Step, sent_ns: int, **shown: str | int) -> None:
        """One line for each decision that must follow."""
        self.played.taps += 1
        tap = {"n": next(self._taps), "reader": _reader(door, step), **shown}
        tap |= {"sent_ns": sent_ns, "expect": step.expect}
        self._record.write(json.dumps(tap, ensure_ascii=False) + "\n")
        self._record.flush()

    # --------------------------------------------------------------------------- at the door

    async def _press_exit(self, door: ScenarioDoor) -> None:
        self.played.exits += 1
        await self._stage.boards[door.id].ask(
            {"do": "press_exit", "door": door.board_door, "hold_s": EXIT_HOLD_S}
        )

    async def _go_through(
        self,
        door: ScenarioDoor,
        open_s: float,
        meanwhile: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
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
        if meanwhile is not None:
            await self._pause(self._scenario.pace.settle_s)
            await meanwhile()
        await self._pause(open_s)
        await self._leaf(door, "close")

    async def _through(self, first: ScenarioDoor, second: ScenarioDoor, step: Step) -> None:
        """The two doors of a mantrap. Who is in order lets the first close before the card is shown
        at the second; who is not holds the first open meanwhile, and goes back out of it."""
        then = replace(step, act="enter", door=step.then, expect=step.then_expect)
        await self._tap(first, step)
        if step.then_expect == "interlocked":
            await self._go_through(first, step.open_s, meanwhile=lambda: self._tap(second, then))
            return
        await self._go_through(first, step.open_s)
        await self._pause(self._scenario.pace.settle_s)
        if self._stopped:  # the first door may still count as open
            return
        await self._tap(second, then)
        if step.then_expect == "granted":
            await self._go_through(second, step.open_s)

    async def _drive(self, door: ScenarioDoor, step: Step) -> None:
        """A vehicle comes and its card is shown. Let in, it drives through once the arm is up, and
        stops under it for `open_s`; else it backs out. Over when the lane is free, the arm down."""
        await self._vehicle(door, "arrive")
        await self._pause(self._scenario.pace.settle_s)
        if self._stopped:  # nobody knows yet whether the loop in front has been read
            await self._vehicle(door, "leave")
            return
        await self._tap(door, step)
        patience_s = self._scenario.pace.patience_s
        if step.expect == "granted" and await self._lane_is(door, patience_s, arm=1.0):
            await self._drive_in(door, step.open_s)
        else:
            self.played.waited_in_vain += step.expect == "granted"
            await self._vehicle(door, "leave")
        await self._lane_is(door, T_LANE_S, arm=0.0, vehicle=False)

    async def _drive_in(self, door: ScenarioDoor, stops_s: float) -> None:
        if stops_s:
            await self._vehicle(door, "stop")
            await self._pause(stops_s)
        await self._vehicle(door, "pass")
        self.played.passed += 1

    async def _vehicle(self, door: ScenarioDoor, action: str) -> None:
        order = {"do": "vehicle", "barrier": door.barrier, "action": action}
        await self._stage.boards[door.id].ask(order)

    async def _lane_is(self, door: ScenarioDoor, within_s: float, **wanted: float | bool) -> bool:
        """Wait until that is so of the barrier; whether it was, in time."""
        deadline_ns = self._clock.monotonic_ns() + round(within_s * NS_PER_S)
        while not self._stopped and self._clock.monotonic_ns() < deadline_ns:
            status = await self._stage.boards[door.id].ask({"do": "status"})
            barrier = status["barriers"][door.barrier - 1]
            if all(barrier[key] == value for key, value in wanted.items()):
                return True
            await self._pause(0.05)
        return False

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

    # -------------------------------------------------------------------------- of the site

    async def _happen(self, step: Step) -> None:
        """What is wired to an input happens; it is over `open_s` later, whoever comes meanwhile."""
        self.played.inputs += 1
        await self._stage.inputs.ask({"do": "input", "name": step.who})
        self._lasting.create_task(self._over(step), name=f"input {step.who}")
        await self._pause(self._scenario.pace.settle_s)

    async def _over(self, step: Step) -> None:
        await self._pause(step.open_s)
        await self._stage.inputs.ask({"do": "input", "name": step.who, "normal": True})

    async def _order(self, step: Step) -> None:
        """The centre's command, to one door or all; waits for what came of it."""
        assert self._stage.centre is not None  # noqa: S101  # `check_stage` asked for it
        told = await self._stage.centre.ask(
            {
                "do": "command",
                "action": step.who,
                "target": step.door or "*",
                "reason": self._scenario.name,
                "wait_s": T_ORDER_S,
            }
        )
        self.played.orders += 1
        self.played.orders_failed += told["outcome"] != "done"
        await self._pause(self._scenario.pace.settle_s)

    async def _reset(self) -> None:
        """A guard ends the fire at the console."""
        assert self._stage.guard is not None  # noqa: S101  # `check_stage` asked for one
        self.played.resets += await self._stage.guard.reset_fire(self._scenario.name)
        await self._pause(self._scenario.pace.settle_s)

    # ---------------------------------------------------------------------------------- time

    async def _pause(self, seconds: float) -> None:
        await self._until(self._clock.monotonic_ns() + round(seconds * NS_PER_S))

    async def _until(self, moment_ns: int) -> None:
        """Waits in short steps, so that `stop` need not cancel a card halfway to the reader: a tap
        that was sent and not written down would be one too many at the centre."""
        while not self._stopped and (now_ns := self._clock.monotonic_ns()) < moment_ns:
            await self._clock.sleep_until(min(moment_ns, now_ns + LISTEN_NS))
