"""A scenario file, and the plan of who does what at which moment. Pure but for reading the file.

Owns the format, its checks and the plan: the same file, seed, speed and length give the same plan.
Must not touch a device. A plan keeps to what a door can do: one person at a time, and never the
same card while a reader still debounces it.
"""

from __future__ import annotations

import random
import tomllib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulators.compound import Card, Compound, Someone

HERE = Path(__file__).parent / "scenarios"

Act = Literal["enter", "leave", "refused", "held", "forced"]
TAPPING = ("enter", "refused", "held")
WHO = ("resident", "guard", "expired", "suspended", "lost", "unknown", "cleaner-off-duty")

RESTED = 12  # so many others tap before the same person comes again: beyond any debounce
FIRST_S = 0.5  # of the first tap, after the scenario's start
SCENES_WITHIN = 0.75  # with a fixed length: the scenes are over by then, what is left is crowd
CROWD_GAP_S = 1.5  # with a fixed length: somebody comes that often

Seconds = Annotated[float, Field(gt=0, le=600)]


class ScenarioError(ValueError):
    """The file is wrong; the text names the file, the key and what to write."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pace(_Table):
    """Seconds that no speed shortens."""

    hold_s: Seconds = 0.4
    lock_s: Seconds = 0.4
    reach_s: Seconds = 0.4
    pass_s: Seconds = 0.9
    step_s: Seconds = 0.5
    patience_s: Seconds = 2.5


class ScenarioDoor(_Table):
    id: str
    reader: str
    bits: tuple[int, ...]
    board_door: int = Field(ge=1)
    share: float = Field(default=1, gt=0)


class Crowd(_Table):
    every_s: Seconds
    leave_share: float = Field(default=0.3, ge=0, lt=1)


class Scene(_Table):
    at_s: float = Field(ge=0)
    door: str
    act: Act
    who: Literal[WHO] = "resident"  # type: ignore[valid-type]  # Literal of a tuple is its members
    open_s: Seconds | None = None
    expect: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.act in {"held", "forced"} and self.open_s is None:
            raise ValueError(f"act '{self.act}' needs open_s: how long the door stays open")
        if (self.act in TAPPING) != bool(self.expect):
            raise ValueError("expect names the decision where a card is shown, and only there")
        return self


class Scenario(_Table):
    """All of one file."""

    name: str
    seed: int
    length_s: float = Field(gt=0, le=86_400)
    pace: Pace = Pace()
    door: tuple[ScenarioDoor, ...] = Field(min_length=1)
    crowd: Crowd
    scene: tuple[Scene, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        known = [door.id for door in self.door]
        for scene in self.scene:
            if scene.door not in known:
                raise ValueError(f"a scene names door '{scene.door}'; known: {', '.join(known)}")
            if scene.at_s > self.length_s:
                raise ValueError(f"a scene at {scene.at_s:g} s is after length_s")
        return self


def load_scenario(path: Path) -> Scenario:
    """The checked file. Raises ScenarioError with all that is wrong in it."""
    try:
        return Scenario.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ScenarioError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path}: {error}") from error
    except ValidationError as error:
        faults = [
            f"{path}: {'.'.join(map(str, fault['loc'])) or 'file'}: {fault['msg']}"
            for fault in error.errors(include_url=False)
        ]
        raise ScenarioError("\n".join(faults)) from None


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that somebody does. `at_s` counts from the start, in real seconds."""

    order: int
    at_s: float
    door: str
    act: Act
    who: str
    card: Card | None
    expect: str
    open_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    steps: tuple[Step, ...]
    length_s: float
    left_out: tuple[str, ...]  # scenes for which the length was too short

    @property
    def taps(self) -> int:
        return sum(step.card is not None for step in self.steps)


@dataclass(frozen=True, slots=True)
class Telling:
    """How to tell it: `speed` times faster; or within `seconds`, all scenes first."""

    now_ms: int
    speed: float = 1.0
    seconds: float | None = None
    seed: int | None = None


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

    def plan(self) -> Plan:
        lanes: dict[str, list[Step]] = {door.id: [] for door in self._scenario.door}
        left_out = self._lay_scenes(lanes)
        self._lay_crowd(lanes)
        steps = sorted((s for lane in lanes.values() for s in lane), key=lambda s: s.at_s)
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
            at_s = max(FIRST_S + scene.at_s * scale, self._free_from(lanes[scene.door]))
            step = Step(
                *(0, at_s, scene.door, scene.act, scene.who, None, scene.expect),
                scene.open_s or self._scenario.pace.pass_s,
            )
            if self._telling.seconds and at_s + self.lasts_s(step) > self.length_s:
                left_out.append(f"{scene.act} {scene.who} at {scene.door}")
            else:
                lanes[scene.door].append(step)
        return left_out

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
        if step.act == "forced":
            return step.open_s + pace.step_s
        shown_s = pace.hold_s + (0 if step.act == "refused" else pace.lock_s + pace.reach_s)
        passed_s = 0 if step.act == "refused" else step.open_s
        return shown_s + passed_s + pace.step_s

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
        end_s = step.at_s + self.lasts_s(step)
        return any(
            other.at_s < end_s and step.at_s < other.at_s + self.lasts_s(other) for other in lane
        )

    # ------------------------------------------------------------------------------ cards

    def _dealt(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The steps with the cards that are shown, dealt in their order."""
        bits = {door.id: door.bits for door in self._scenario.door}
        return tuple(
            replace(step, card=self._card(step, bits[step.door])) if step.act in TAPPING else step
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
