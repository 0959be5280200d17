"""A scenario file: its format and its checks. Pure but for reading the file.

Must not touch a device. What the devices must have for it is checked by `scenario.check_stage`.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

HERE = Path(__file__).parent / "scenarios"

Act = Literal[
    "enter",
    "leave",
    "refused",
    "held",
    "through",
    "drive",
    "forced",
    "pin",
    "input",
    "order",
    "reset",
]
CARD_ACTS = ("enter", "refused", "held", "through", "drive")
AT_BARRIERS = ("drive", "refused", "order")
WHO = (
    *("resident", "guard", "expired", "suspended", "lost", "unknown", "cleaner-off-duty"),
    *("visitor", "watched", "lender", "accountant", "archivist", "trainee", "keeper", "auditor"),
    *("driver", "late-payer", "guest"),
)
Order = Literal["lockdown", "lift_lockdown", "open", "forgive"]

# What an act needs beside `at_s`, and what it may have.
KEYS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    act: (frozenset(needs.split()), frozenset(may.split()))
    for act, needs, may in (
        ("enter", "door expect", "who pin open_s show"),
        ("refused", "door expect", "who pin show"),
        ("held", "door expect open_s", "who pin show"),
        ("pin", "door code expect", "open_s"),
        ("through", "door then then_expect", "who"),
        ("drive", "door who expect", "open_s show"),
        ("leave", "door", "open_s who expect"),
        ("forced", "door open_s", ""),
        ("input", "input open_s", "door"),
        ("order", "order", "door"),
        ("reset", "", ""),
    )
}
WHAT_FOR = {
    "door": "the id of one of the [[door]] tables",
    "expect": "the decision, 'granted' or the reason of the denial",
    "who": "whose card it is",
    "then": "the id of the [[door]] behind it",
    "then_expect": "the decision at that door, 'granted' or the reason of the denial",
    "open_s": "how long the door stays open, or the input lasts",
    "code": "the digits to type",
    "input": "its name at the relay board's --input",
    "order": "lockdown, lift_lockdown, open or forgive",
}

Seconds = Annotated[float, Field(gt=0, le=600)]
Digits = Annotated[str, Field(pattern="^[0-9]{1,15}$")]  # wrong ones may be of any length


class ScenarioError(ValueError):
    """The file is wrong; the text names the file, the key and what to write."""


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pace(_Table):
    """Seconds that no speed shortens."""

    hold_s: Seconds = 0.4
    key_s: Annotated[float, Field(gt=0, le=1.5)] = 0.2
    lock_s: Seconds = 0.4
    reach_s: Seconds = 0.4
    pass_s: Seconds = 0.9
    step_s: Seconds = 0.5
    patience_s: Seconds = 2.5
    settle_s: Seconds = 1.0
    drive_s: Seconds = 7.0


class ScenarioDoor(_Table):
    id: str
    reader: str
    bits: tuple[int, ...]
    board_door: int = Field(default=0, ge=0)
    barrier: int = Field(default=0, ge=0)
    board: str = ""
    share: float = Field(default=1, ge=0)
    exit_reader: str = ""
    scanner: str = ""

    @model_validator(mode="after")
    def _wired(self) -> Self:
        if bool(self.board_door) == bool(self.barrier):
            raise ValueError("write board_door, the board's Nth --door, or barrier, its --barrier")
        if self.barrier and self.share:
            raise ValueError("nobody of the crowd drives: write share = 0 with barrier")
        return self

    @property
    def readers(self) -> tuple[str, ...]:
        return tuple(filter(None, (self.reader, self.exit_reader, self.scanner)))


class Crowd(_Table):
    every_s: Seconds
    leave_share: float = Field(default=0.3, ge=0, lt=1)


class Scene(_Table):
    """`door` is empty for what concerns the whole site: an input or an order."""

    at_s: float = Field(ge=0)
    act: Act
    door: str = ""
    who: Literal[WHO] = "resident"  # type: ignore[valid-type]  # Literal of a tuple is its members
    open_s: Seconds | None = None
    expect: str = ""
    pin: Digits | None = Field(default=None, repr=False)
    code: Digits | None = Field(default=None, repr=False)
    input: str = ""
    order: Order | None = None
    then: str = ""
    then_expect: str = ""
    part: str = ""
    show: Literal["card", "qr", "plate"] = "card"

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needs, may = KEYS[self.act]
        given = {key for key in self.model_fields_set if getattr(self, key) != ""}
        if self.order == "open":
            needs |= {"door"}
        if self.order == "forgive":
            may -= {"door"}
        for key in sorted(needs - given):
            raise ValueError(f"act '{self.act}' needs {key}: {WHAT_FOR[key]}")
        for key in sorted(given - needs - may - {"at_s", "act", "part"}):
            known = ", ".join(sorted(needs | may))
            raise ValueError(f"act '{self.act}' has no {key}: take it out; it has {known}")
        if self.pin and self.show != "card":
            raise ValueError(f"pin: is typed after a card, not after a {self.show}: take it out")
        return self

    @property
    def what(self) -> str:
        """Who comes, or what happens, in a word for the plan; never digits."""
        if self.act in CARD_ACTS or (self.act == "leave" and self.expect):
            return str(self.who)
        return self.input or self.order or ("a code" if self.act == "pin" else "somebody")


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
        if not any(door.share for door in self.door):
            raise ValueError("no door has a share of the crowd: give one a share above 0")
        mute = {door.id for door in self.door if not door.exit_reader}
        blind = {door.id for door in self.door if not door.scanner}
        barriers = {door.id for door in self.door if door.barrier}
        for scene in self.scene:
            for named in {scene.door, scene.then} - {"", *known}:
                raise ValueError(f"a scene names door '{named}'; known: {', '.join(known)}")
            if scene.act == "leave" and scene.expect and scene.door in mute:
                raise ValueError(
                    f"a scene leaves by card at '{scene.door}', which has no exit_reader"
                )
            if scene.show != "card" and scene.door in blind:
                raise ValueError(
                    f"a scene shows a {scene.show} at '{scene.door}', which has no scanner"
                )
            if scene.act == "drive" and scene.door not in barriers:
                raise ValueError(f"a scene drives through '{scene.door}', which has no barrier")
            if scene.act not in AT_BARRIERS and {scene.door, scene.then} & barriers:
                fits = ", ".join(AT_BARRIERS)
                raise ValueError(f"act '{scene.act}' is none at a barrier: {fits}")
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
