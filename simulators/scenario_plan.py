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
from simulators.scenario_file import CARD_ACTS, Act, Scenario, ScenarioDoor, Scene

RESTED = 12  # so many others tap before the same person comes again: beyond any debounce
FIRST_S = 0.5  # of the first tap, after the scenario's start
SCENES_WITHIN = 0.75  # with a fixed length: the scenes are over by then, what is left is crowd
CROWD_GAP_S = 1.5  # with a fixed length: somebody comes that often


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody does, or that happens. `at_s` counts from the start, in real seconds.

    `door` is empty for what concerns the whole site. `who` comes, or which input or order it is.
    `expect` is the one decision that follows, empty where none does. `digits` are typed: after the
    card as its PIN, or alone as a code. `open_s`: of the door, how long an input lasts, or a
    vehicle stops under the arm. `then` is the door behind the first, with the decision there.
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
    then: str = ""
    then_expect: str = ""
    shows: str = "card"  # or a qr or plate, at the door's scanner

    @property
    def shows_card(self) -> bool:
        return self.act in CARD_ACTS or (self.act == "leave" and bool(self.expect))


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]
    length_s: float
    left_out: tuple[str, ...]  # scenes for which the length was too short
    inside: tuple[str, ...] = ()  # ids of those of the crowd who came in by card and did not leave

    @property
    def taps(self) -> int:
        """Decisions that follow: cards shown and codes typed."""
        return sum(bool(step.expect) + bool(step.then_expect) for step in self.steps)


@dataclass(frozen=True, slots=True)
class Telling:
    """How to tell it: `speed` times faster; or within `seconds`, all scenes first."""

    now_ms: int
    speed: float = 1.0
    seconds: float | None = None
    seed: int | None = None
    inside: tuple[str, ...] = ()  # of the plan before


def stays_out(step: Step) -> bool:
    """Whether whoever comes does not even try the door."""
    return step.act == "refused" or (step.act == "pin" and step.expect != "granted")


def make_plan(scenario: Scenario, compound: Compound, telling: Telling) -> Plan:
    """Lay the scenes and the crowd on the doors' time, one after the other at each door."""
    return _Planner(scenario, compound, telling).plan()


def _fits(card: Card, step: Step, bits: Sequence[int]) -> bool:
    """Whether the reader that the step is at reads such a card."""
    return card.kind == step.shows and (card.kind != "card" or card.bits in bits)


class _Planner:
    def __init__(self, scenario: Scenario, compound: Compound, telling: Telling) -> None:
        self._scenario = scenario
        self._compound = compound
        self._telling = telling
        self._seed = scenario.seed if telling.seed is None else telling.seed
        self._rng = random.Random(self._seed)
        self._lately: deque[str] = deque(maxlen=RESTED)
        self._inside = list(telling.inside)
        self._strangers = 0
        self._forget()

    def _forget(self) -> None:
        """As before the first scene."""
        self._inputs_free: dict[str, float] = {}  # when each input is as usual again
        self._shut: dict[str, list[tuple[float, float]]] = {d.id: [] for d in self._scenario.door}

    def plan(self) -> Plan:
        lanes, left_out = self._whole_parts()
        self._lay_crowd(lanes)
        every = dict.fromkeys(chain(*lanes.values()))  # what is the site's is in every lane
        steps = sorted(every, key=lambda step: step.at_s)
        numbered = tuple(replace(step, order=n) for n, step in enumerate(steps, 1))
        dealt = self._dealt(numbered)
        return Plan(dealt, self.length_s, tuple(left_out), tuple(self._inside))

    @property
    def length_s(self) -> float:
        """Of the whole telling, in real seconds."""
        return self._telling.seconds or self._scenario.length_s / self._telling.speed

    def _whole_parts(self) -> tuple[dict[str, list[Step]], list[str]]:
        """The scenes on the doors' time, without those that do not fit: what belongs together is
        told as a whole or not at all. Nobody leaves a site locked down for want of a minute."""
        scenes, left_out = list(self._scenario.scene), list[Scene]()
        while True:
            self._forget()
            lanes: dict[str, list[Step]] = {door.id: [] for door in self._scenario.door}
            missed = self._lay_scenes(lanes, scenes)
            parts = {scene.part for scene in missed if scene.part}
            broken = [s for s in scenes if s.part in parts]
            left_out += broken or [s for s in missed if not s.part]
            if not broken:
                return lanes, [f"{s.act} {s.what} at {s.door or 'the site'}" for s in left_out]
            scenes = [scene for scene in scenes if scene not in broken]

    def _lay_scenes(self, lanes: dict[str, list[Step]], scenes: Sequence[Scene]) -> list[Scene]:
        """Each scene at its moment, or as soon after it as its doors are free; those for which
        there was no time."""
        missed = []
        scale = self._scene_scale()
        for scene in sorted(scenes, key=lambda scene: scene.at_s):
            step = self._step(scene)
            touched = [lanes[d] for d in (step.door, step.then) if d] or list(lanes.values())
            at_s = max(
                FIRST_S + scene.at_s * scale, *map(self._free_from, touched), *self._due(step)
            )
            step = replace(step, at_s=at_s)
            if self._telling.seconds and self._over_s(step) > self.length_s:
                missed.append(scene)
                continue
            for lane in touched:
                lane.append(step)
            self._remember(step)
        return missed

    def _due(self, step: Step) -> list[float]:
        """An input is as usual before it happens again, and all are before somebody resets."""
        if step.act == "reset":
            return list(self._inputs_free.values())
        return [self._inputs_free.get(step.who, 0.0)] if step.act == "input" else []

    def _step(self, scene: Scene) -> Step:
        pass_s = scene.open_s or (0.0 if scene.act == "drive" else self._scenario.pace.pass_s)
        about = (0, 0.0, scene.door, scene.act, scene.what, None, scene.expect, pass_s)
        if scene.act == "through":
            about = (*about[:6], "granted", pass_s)
        digits = scene.pin or scene.code or ""
        return Step(*about, digits, scene.then, scene.then_expect, scene.show)

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

    def _scene_scale(self) -> float:
        if self._telling.seconds is None or not self._scenario.scene:
            return 1 / self._telling.speed
        last_s = max(scene.at_s for scene in self._scenario.scene) or 1
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
            case "input" | "order" | "reset":
                return pace.settle_s + pace.step_s
            case "drive":
                return pace.settle_s + pace.hold_s + pace.drive_s + step.open_s + pace.step_s
            case "through":
                again_s = 0.0 if step.then_expect == "interlocked" else pace.settle_s
                lets_in_s = pace.hold_s + pace.lock_s + pace.reach_s + step.open_s
                return 2 * lets_in_s + again_s + pace.step_s
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
            others = [door for door in doors if door is not chosen and door.share]
            for door in (chosen, *others):
                if self._squeeze_in(lanes[door.id], at_s, door, act):
                    break

    def _arrivals(self) -> Iterator[float]:
        every_s = self._scenario.crowd.every_s / self._telling.speed
        if self._telling.seconds:
            every_s = min(every_s, CROWD_GAP_S)
        at_s = FIRST_S
        while at_s < self.length_s:
            yield at_s
            at_s += every_s * self._rng.uniform(0.6, 1.4)

    def _squeeze_in(self, lane: list[Step], at_s: float, door: ScenarioDoor, act: Act) -> bool:
        """Into the lane at that moment or a little later; False where the door is taken."""
        expect = "granted" if act == "enter" or door.exit_reader else ""
        pass_s = self._scenario.pace.pass_s
        step = Step(0, at_s, door.id, act, "resident", None, expect, pass_s)
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
        return tuple(self._with_card(s, bits[s.door]) if s.shows_card else s for s in steps)

    def _with_card(self, step: Step, bits: Sequence[int]) -> Step:
        """Whoever came in by card may leave by card; while nobody did, by the exit button."""
        if step.act == "leave" and step.who == "resident" and not self._rested_inside():
            return replace(step, expect="", who="somebody")
        return replace(step, card=self._card(step, bits))

    def _card(self, step: Step, bits: Sequence[int]) -> Card:
        if step.who == "unknown":
            strange = [card for card in self._compound.strangers if _fits(card, step, bits)]
            self._strangers += 1
            return strange[self._strangers % len(strange)]
        if step.act == "leave" and step.who == "resident":
            return self._leaver().card_for(bits)
        comes_in = step.expect == "granted" and step.act != "leave"
        person = self._person(step.who, comes_in=comes_in)
        return person.card_for(bits) if step.shows == "card" else person.text_for(step.shows)

    def _rested_inside(self) -> list[str]:
        return [person for person in self._inside if person not in self._lately]

    def _leaver(self) -> Someone:
        """Who has been in there the longest."""
        goes = self._rested_inside()[0]
        self._inside.remove(goes)
        self._lately.append(goes)
        return next(p for p in self._compound.people if p.id == goes)

    def _resident(self, *, comes_in: bool) -> Someone:
        """Not one who is in there already, as long as there are others."""
        free = [p for p in self._compound.residents if p.id not in self._lately]
        person = self._rng.choice([p for p in free if p.id not in self._inside] or free)
        self._lately.append(person.id)
        if comes_in and person.id not in self._inside:
            self._inside.append(person.id)
        return person

    def _person(self, who: str, *, comes_in: bool) -> Someone:
        if who == "resident":
            return self._resident(comes_in=comes_in)
        if who == "visitor":
            return self._compound.visitors[self._seed % len(self._compound.visitors)]
        if who == "guest":
            return self._compound.guests[self._seed % len(self._compound.guests)]
        if who == "guard":
            candidates = tuple(p for p in self._compound.people if "guards" in p.levels)
        elif who == "cleaner-off-duty":
            return self._compound.off_duty_cleaner(self._telling.now_ms)
        else:
            return self._compound.special[who]
        person = self._rng.choice([p for p in candidates if p.id not in self._lately])
        self._lately.append(person.id)
        return person
