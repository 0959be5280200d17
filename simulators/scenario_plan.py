"""The plan of a scenario: who does what at which moment. Pure.

The same file, seed, speed and length give the same plan. A plan keeps to what a door can do: one
person at a time, and never the same card while a reader still debounces it. What concerns the whole
site (a step without a door) comes while nobody is at any door.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from simulators.compound import Card, Compound, Someone
from simulators.scenario_file import CARD_ACTS, Act, Scenario, Scene

RESTED = 12  # so many others tap before the same person comes again: beyond any debounce
FIRST_S = 0.5  # of the first tap, after the scenario's start
SCENES_WITHIN = 0.75  # with a fixed length: the scenes are over by then, what is left is crowd
CROWD_GAP_S = 1.5  # with a fixed length: somebody comes that often


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody does, or that happens. `at_s` counts from the start, in real seconds.

    `door` is empty for what concerns the whole site. `who` comes, or which input or order it is.
    `expect` is the one decision that follows, empty where none does. `digits` are typed: after the
    card as its PIN, or alone as a code. `open_s`: of the door, or how long an input lasts.
    """

    order: int
    at_s: float
    door: str
    act: Act
    who: str
    card: Card | None
    expect: str
    open_s: float
    digits: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]
    length_s: float
    left_out: tuple[str, ...]  # scenes for which the length was too short

    @property
    def taps(self) -> int:
        """Decisions that follow: cards shown and codes typed."""
        return sum(bool(step.expect) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Telling:
    """How to tell it: `speed` times faster; or within `seconds`, all scenes first."""

    now_ms: int
    speed: float = 1.0
    seconds: float | None = None
    seed: int | None = None


def stays_out(step: Step) -> bool:
    """Whether whoever comes does not even try the door."""
    return step.act == "refused" or (step.act == "pin" and step.expect != "granted")


def make_plan(scenario: Scenario, compound: Compound, telling: Telling) -> Plan:
    """Lay the scenes and the crowd on the doors' time, one after the other at each door."""
    return _Planner(scenario, compound, telling).plan()


class _Planner:
    def __init__(self, scenario: Scenario, compound: Compound, telling: Telling) -> None:
        self._scenario = scenario
        self._compound = compound
        self._telling = telling
        self._rng = random.Random(scenario.seed if telling.seed is None else telling.seed)
        self._lately: deque[str] = deque(maxlen=RESTED)
        self._strangers = 0
        self._inputs_free: dict[str, float] = {}  # when each input is as usual again
        self._shut: dict[str, list[tuple[float, float]]] = {door.id: [] for door in scenario.door}

    def plan(self) -> Plan:
        lanes: dict[str, list[Step]] = {door.id: [] for door in self._scenario.door}
        left_out = self._lay_scenes(lanes)
        self._lay_crowd(lanes)
        every = dict.fromkeys(chain(*lanes.values()))  # what is the site's is in every lane
        steps = sorted(every, key=lambda step: step.at_s)
        numbered = tuple(replace(step, order=n) for n, step in enumerate(steps, 1))
        return Plan(self._dealt(numbered), self.length_s, tuple(left_out))

    @property
    def length_s(self) -> float:
        """Of the whole telling, in real seconds."""
        return self._telling.seconds or self._scenario.length_s / self._telling.speed

    def _lay_scenes(self, lanes: dict[str, list[Step]]) -> list[str]:
        """Each scene at its moment, or as soon after it as its door is free."""
        left_out = []
        scenes = sorted(self._scenario.scene, key=lambda scene: scene.at_s)
        scale = self._scene_scale(scenes)
        for scene in scenes:
            step = self._step(scene)
            touched = [lanes[step.door]] if step.door else list(lanes.values())
            free_s = [self._free_from(lane) for lane in touched]
            if step.act == "input":
                free_s.append(self._inputs_free.get(step.who, 0.0))
            step = replace(step, at_s=max(FIRST_S + scene.at_s * scale, *free_s))
            if self._telling.seconds and self._over_s(step) > self.length_s:
                left_out.append(f"{step.act} {step.who} at {step.door or 'the site'}")
                continue
            for lane in touched:
                lane.append(step)
            self._remember(step)
        return left_out

    def _step(self, scene: Scene) -> Step:
        pass_s = scene.open_s or self._scenario.pace.pass_s
        about = (0, 0.0, scene.door, scene.act, scene.what, None, scene.expect, pass_s)
        return Step(*about, scene.pin or scene.code or "")

    def _over_s(self, step: Step) -> float:
        """When all of it is over; at its door, others may have come meanwhile."""
        return step.at_s + max(self.lasts_s(step), step.open_s if step.act == "input" else 0)

    def _remember(self, step: Step) -> None:
        """Which input is taken, and which doors the crowd keeps away from until a lift."""
        if step.act == "input":
            self._inputs_free[step.who] = self._over_s(step) + self._scenario.pace.step_s
        if step.act != "order":
            return
        for door in [step.door] if step.door else self._shut:
            spans = self._shut[door]
            shut = bool(spans) and spans[-1][1] == math.inf
            if step.who == "lockdown" and not shut:
                spans.append((step.at_s, math.inf))
            elif step.who == "lift_lockdown" and shut:
                spans[-1] = (spans[-1][0], self._over_s(step))

    def _scene_scale(self, scenes: Sequence[Scene]) -> float:
        if self._telling.seconds is None or not scenes:
            return 1 / self._telling.speed
        last_s = max(scene.at_s for scene in scenes) or 1
        return max(self.length_s * SCENES_WITHIN - FIRST_S, 0) / last_s

    def _free_from(self, lane: Sequence[Step]) -> float:
        return lane[-1].at_s + self.lasts_s(lane[-1]) if lane else 0.0

    def lasts_s(self, step: Step) -> float:
        """From the first movement until the next person stands there. A slow lock makes the door's
        later steps late; it never makes two people stand there at once."""
        pace = self._scenario.pace
        match step.act:
            case "forced":
                return step.open_s + pace.step_s
            case "input" | "order":
                return pace.settle_s + pace.step_s
        keys = len(step.digits) + 1 if step.digits else 0  # and enter
        shown_s = (0 if step.act == "pin" else pace.hold_s) + keys * pace.key_s
        if stays_out(step):
            return shown_s + pace.step_s
        return shown_s + pace.lock_s + pace.reach_s + step.open_s + pace.step_s

    def _lay_crowd(self, lanes: dict[str, list[Step]]) -> None:
        """People come as they come; who finds no room at the door between the scenes stays out."""
        doors = self._scenario.door
        for at_s in self._arrivals():
            leaves = self._rng.random() < self._scenario.crowd.leave_share
            act: Act = "leave" if leaves else "enter"
            chosen = self._rng.choices(doors, [door.share for door in doors])[0]
            others = [door for door in doors if door is not chosen]
            for door in (chosen, *others):
                if self._squeeze_in(lanes[door.id], at_s, door.id, act):
                    break

    def _arrivals(self) -> Iterator[float]:
        every_s = self._scenario.crowd.every_s / self._telling.speed
        if self._telling.seconds:
            every_s = min(every_s, CROWD_GAP_S)
        at_s = FIRST_S
        while at_s < self.length_s:
            yield at_s
            at_s += every_s * self._rng.uniform(0.6, 1.4)

    def _squeeze_in(self, lane: list[Step], at_s: float, door: str, act: Act) -> bool:
        """Into the lane at that moment or a little later; False where the door is taken."""
        expect = "granted" if act == "enter" else ""
        pass_s = self._scenario.pace.pass_s
        step = Step(0, at_s, door, act, "resident", None, expect, pass_s)
        lasts_s = self.lasts_s(step)
        for other in lane:
            if other.at_s < step.at_s + lasts_s and step.at_s < other.at_s + self.lasts_s(other):
                step = replace(step, at_s=other.at_s + self.lasts_s(other))
        late = step.at_s - at_s > lasts_s or step.at_s + lasts_s > self.length_s
        if late or self._collides(lane, step):
            return False
        lane.append(step)
        lane.sort(key=lambda each: each.at_s)
        return True

    def _collides(self, lane: Sequence[Step], step: Step) -> bool:
        """With somebody else at the door, or with a lockdown of it."""
        end_s = step.at_s + self.lasts_s(step)
        taken = [(other.at_s, other.at_s + self.lasts_s(other)) for other in lane]
        return any(
            from_s < end_s and step.at_s < until_s
            for from_s, until_s in (*taken, *self._shut[step.door])
        )

    # ------------------------------------------------------------------------------ cards

    def _dealt(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The steps with the cards that are shown, dealt in their order."""
        bits = {door.id: door.bits for door in self._scenario.door}
        return tuple(
            replace(step, card=self._card(step, bits[step.door])) if step.act in CARD_ACTS else step
            for step in steps
        )

    def _card(self, step: Step, bits: Sequence[int]) -> Card:
        if step.who == "unknown":
            strange = [card for card in self._compound.strangers if card.bits in bits]
            self._strangers += 1
            return strange[self._strangers % len(strange)]
        return self._person(step.who).card_for(bits)

    def _person(self, who: str) -> Someone:
        if who == "resident":
            candidates = self._compound.residents
        elif who == "guard":
            candidates = tuple(p for p in self._compound.people if "guards" in p.levels)
        elif who == "cleaner-off-duty":
            return self._compound.off_duty_cleaner(self._telling.now_ms)
        else:
            return self._compound.special[who]
        person = self._rng.choice([p for p in candidates if p.id not in self._lately])
        self._lately.append(person.id)
        return person
