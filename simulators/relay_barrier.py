"""A vehicle barrier on the simulated board: an arm that takes its time, and a vehicle at its lane.

Owns the arm, the vehicle and what their loops and limit switches tell; must not know the line.

Along the lane, in metres: the arm at 0, the loop under it ±1.5, the one in front from -7 to -4. A
driver sets off when the arm is up, and brakes before the loop if it is not; never later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from simulators.relay_terminals import RelayTerminals

TICK_S = 0.02
SPEED_M_S = 4.0
LENGTH_M = 4.0
WAITS_AT_M = -4.0  # where the vehicle's front stands before the arm
LOOP_M = (-1.5, 1.5)
FRONT_LOOP_M = (-7.0, -4.0)
STOPS_AT_M = 2.0  # with the arm above it
GONE_M = 8.0
CLEAR = 0.5  # the arm, of 1, is above a vehicle's roof

ACTIONS = ("arrive", "pass", "stop", "leave")


@dataclass(frozen=True, slots=True)
class BarrierWiring:
    """A barrier's terminals, from 1. Without `close`, `open` holds the arm up while energised;
    with it, each takes a pulse. The limits are active while the arm is there, the loops while a
    vehicle is."""

    open: int
    loop: int
    close: int | None = None
    presence: int | None = None
    up: int | None = None
    down: int | None = None
    name: str = ""
    travel_s: float = 1.5

    @property
    def relays(self) -> list[int]:
        return [self.open, *([] if self.close is None else [self.close])]

    @property
    def inputs(self) -> list[int]:
        return [t for t in (self.loop, self.presence, self.up, self.down) if t is not None]


class SimulatedBarrier:
    """`tick` moves the arm and the vehicle; `hits` counts the arm coming down on a vehicle.

    Raises ValueError for a terminal that the board lacks or that is taken.
    """

    def __init__(self, terminals: RelayTerminals, wiring: BarrierWiring) -> None:
        self._terminals = terminals
        self.wiring = wiring
        for relay in wiring.relays:
            terminals.take_relay(relay, f"--barrier relay {relay}")
        for terminal in wiring.inputs:
            terminals.take_input(terminal, f"--barrier input {terminal}")
        self.arm = 0.0  # 0 is down, 1 is up
        self.front_m: float | None = None  # of the vehicle; None: there is none
        self.hits = 0
        self.passed = 0
        self.lived_s = 0.0  # as long as it has moved
        self._goal_m = WAITS_AT_M
        self._goes_up = False
        self._touching = False
        self._tell()

    # ------------------------------------------------------------------------------ orders

    def order(self, action: str) -> None:
        """One of ACTIONS. Raises ValueError where no vehicle can do that now."""
        if action == "arrive":
            if self.front_m is not None:
                raise ValueError("a vehicle is there already: let it 'pass' or 'leave' first")
            self.front_m = self._goal_m = WAITS_AT_M
        elif self.front_m is None:
            raise ValueError("no vehicle is there: let one 'arrive' first")
        else:
            self._goal_m = {"pass": GONE_M, "stop": STOPS_AT_M, "leave": -GONE_M}[action]
        self._tell()

    # -------------------------------------------------------------------------------- time

    def tick(self, seconds: float) -> None:
        self._move_arm(seconds)
        self._move_vehicle(seconds)
        touching = self.under_arm and self.arm < CLEAR
        self.hits += touching and not self._touching
        self._touching = touching
        self.lived_s += seconds
        self._tell()

    def _move_arm(self, seconds: float) -> None:
        relays, wiring = self._terminals.relays, self.wiring
        opens = relays[wiring.open - 1].energised
        if wiring.close is None or opens:
            self._goes_up = opens
        elif relays[wiring.close - 1].energised:
            self._goes_up = False
        way = seconds / wiring.travel_s * (1 if self._goes_up else -1)
        self.arm = min(max(self.arm + way, 0.0), 1.0)

    def _move_vehicle(self, seconds: float) -> None:
        if self.front_m is None:
            return
        before_loop = self.front_m <= LOOP_M[0]
        way_m = SPEED_M_S * seconds
        if self.front_m > self._goal_m:
            self.front_m = max(self.front_m - way_m, self._goal_m)
        elif not before_loop or self.arm == 1.0:
            self.front_m = min(self.front_m + way_m, self._goal_m)
        if abs(self.front_m) >= GONE_M:
            self.passed += self.front_m > 0
            self.front_m = None

    # ------------------------------------------------------------------------------ telling

    def _over(self, stretch: tuple[float, float]) -> bool:
        if self.front_m is None:
            return False
        return self.front_m > stretch[0] and self.front_m - LENGTH_M < stretch[1]

    @property
    def under_arm(self) -> bool:
        return self._over((0.0, 0.0))

    def _tell(self) -> None:
        wiring = self.wiring
        said = (
            (wiring.loop, self._over(LOOP_M)),
            (wiring.presence, self._over(FRONT_LOOP_M)),
            (wiring.up, self.arm == 1.0),
            (wiring.down, self.arm == 0.0),
        )
        for terminal, active in said:
            if terminal is not None:
                self._terminals.set_input(terminal, active)

    def status(self) -> Mapping[str, Any]:
        return {
            "name": self.wiring.name,
            "arm": round(self.arm, 3),
            "vehicle": self.front_m is not None,
            "on_loop": self._over(LOOP_M),
            "under_arm": self.under_arm,
            "passed": self.passed,
            "hits": self.hits,
        }
