"""Scenarios: the file's checks, the plan's rules, and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from simulators.cli import main
from simulators.compound import make_compound
from simulators.scenario import LIVELY_HOUR, check_stage
from simulators.scenario_file import Scenario, ScenarioError, Scene, load_scenario
from simulators.scenario_plan import RESTED, Plan, Step, Telling, make_plan
from simulators.scenario_player import Stage

NOW_MS = 1_795_000_000_000
COMPOUND = make_compound(1, date(2026, 11, 24))
HOUR = load_scenario(LIVELY_HOUR)
READERS = [reader for door in HOUR.door for reader in door.readers]


def plan(**telling: Any) -> Plan:  # the fields of Telling
    return make_plan(HOUR, COMPOUND, Telling(NOW_MS, **telling))


# ----------------------------------------------------------------------------------- file


def written(folder: Path, change: dict[str, str]) -> Path:
    text = LIVELY_HOUR.read_text(encoding="utf-8")
    for old, new in change.items():
        assert old in text
        text = text.replace(old, new, 1)
    path = folder / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"length_s = 3600": "length_s = 0"}, "length_s"),
        ({'door = "main-gate"': 'door = "back"'}, "names door 'back'; known: main-gate, side-door"),
        ({"at_s = 120": "at_s = 4000"}, "after length_s"),
        ({'act = "refused"': 'act = "dance"'}, r"scene\.0\.act"),
        ({'who = "expired"': 'who = "burglar"'}, r"scene\.0\.who"),
        ({"open_s = 12.0": ""}, r"scene\.3: .*act 'held' needs open_s: how long the door"),
        ({'expect = "expired"': ""}, "act 'refused' needs expect: the decision, 'granted' or"),
        ({'who = "expired"': "open_s = 2"}, "act 'refused' has no open_s: take it out; it has"),
        ({'who = "expired"': 'pin = "12e4"'}, r"scene\.0\.pin: .*pattern"),
        ({'who = "expired"': 'code = "1234"'}, "act 'refused' has no code"),
        ({'act = "refused"': 'act = "pin"'}, r"scene\.0: .*act 'pin' needs code: the digits"),
        ({'act = "refused"': 'act = "input"'}, "act 'input' needs input: its name at the relay"),
        ({'act = "refused"': 'act = "order"'}, "act 'order' needs order: lockdown, lift_lockdown"),
        ({'act = "refused"': 'act = "order"\norder = "free"'}, r"scene\.0\.order"),
        ({'door = "main-gate"\nact': "act"}, "act 'refused' needs door: the id of one of the"),
        ({'then = "archive-inner"\n': ""}, "act 'through' needs then: the id of the"),
        ({'then = "archive-inner"': 'then = "cellar"'}, "names door 'cellar'; known: main-gate"),
        (
            {'exit_reader = "main-gate-out"\n': ""},
            "by card at 'main-gate', which has no exit_reader",
        ),
        ({"share = 3 ": "share = 0 ", "share = 1\n": "share = 0\n"}, "no door has a share"),
        ({"length_s = 3600": "length_s = 3600\nlenght_s = 1"}, "lenght_s"),
        ({"barrier = 1": "board_door = 2"}, "a scene drives through 'lane', which has no barrier"),
        ({"barrier = 1": ""}, "write board_door, the board's Nth --door, or barrier, its"),
        ({"barrier = 1": "barrier = 1\nboard_door = 1"}, "write board_door, .* or barrier"),
        ({'act = "drive"': 'act = "enter"'}, "act 'enter' is none at a barrier: drive"),
        (
            {'who = "driver"\nshow = "plate"           # and': "# and"},
            "act 'drive' needs who: whose card it is",
        ),
        ({'scanner = "lane-plates"': ""}, "a scene shows a plate at 'lane', which has no scanner"),
        ({'act = "drive"': 'act = "leave"'}, "act 'leave' has no show: take it out"),
        (
            {'show = "qr"': 'show = "qr"\npin = "4711"'},
            "pin: is typed after a card, not after a qr",
        ),
        ({'show = "qr"': 'show = "face"'}, "'card', 'qr' or 'plate'"),
        ({'order = "forgive"': 'order = "forgive"\ndoor = "lane"'}, "act 'order' has no door"),
        ({"length_s = 3600": "length_s ="}, "Invalid value"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, change: dict[str, str], why: str) -> None:
    with pytest.raises(ScenarioError, match=why) as wrong:
        load_scenario(written(tmp_path, change))
    assert "scenario.toml" in str(wrong.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file"):
        load_scenario(tmp_path / "none.toml")


# ----------------------------------------------------------------------------------- plan


def test_the_same_seed_speed_and_length_give_the_same_plan() -> None:
    assert plan(seconds=60) == plan(seconds=60)
    assert plan(seconds=60) != plan(seconds=60, seed=5)


@pytest.mark.parametrize("telling", [{"seconds": 60}, {"seconds": 30}, {"speed": 20}, {"speed": 1}])
def test_at_a_door_one_person_is_through_before_the_next_comes(telling: dict[str, float]) -> None:
    told = plan(**telling)
    pace = HOUR.pace
    for door in HOUR.door:
        lane = [step for step in told.steps if step.door == door.id]
        for step, following in pairwise(lane):
            least = step.open_s if step.act != "refused" else pace.hold_s
            assert following.at_s - step.at_s >= least + pace.step_s - 1e-9


def test_within_a_minute_all_scenes_are_told_early_and_taps_come_every_few_seconds() -> None:
    told = plan(seconds=60)
    assert told.left_out == ()
    scenes = {(s.act, s.who): s.at_s for s in told.steps if s.who not in {"resident", "somebody"}}
    assert {who for _, who in scenes} >= {"expired", "unknown", "lost", "cleaner-off-duty"}
    assert {who for _, who in scenes} >= {"keeper", "auditor", "driver", "late-payer"}
    assert all(at_s < 54 for at_s in scenes.values())  # what is the site's makes others wait
    acts = {
        "held",
        "forced",
        "enter",
        "leave",
        "refused",
        "through",
        "input",
        "order",
        "reset",
        "drive",
    }
    assert acts == {s.act for s in told.steps}
    taps = [step.at_s for step in told.steps if step.card]
    assert len(taps) >= 20
    assert max(b - a for a, b in pairwise(taps)) < 8  # some go out between, without a card
    assert max(step.at_s for step in told.steps) < 60


def test_too_short_a_time_says_what_is_left_out() -> None:
    told = plan(seconds=12)
    assert told.left_out
    assert all(step.at_s < 12 for step in told.steps)


def test_speed_shortens_the_waits_and_not_the_doors() -> None:
    slow, fast = plan(speed=1), plan(speed=30)
    assert slow.length_s == 30 * fast.length_s
    [held] = [step for step in fast.steps if step.act == "held"]
    assert held.open_s == 12.0


def test_nobody_comes_twice_within_the_debounce() -> None:
    shown = [step.card for step in plan(seconds=120).steps if step.who == "resident" and step.card]
    for n, card in enumerate(shown):
        assert card not in shown[max(0, n - RESTED + 1) : n]


def test_each_reader_sees_cards_that_it_can_read() -> None:
    bits = {door.id: door.bits for door in HOUR.door}
    for step in plan(seconds=120).steps:
        if step.card is None or step.shows != "card":
            assert step.card is None or step.card.kind == step.shows
        else:
            assert step.card.bits in bits[step.door]


def test_passes_and_plates_are_shown_at_scanners_by_those_who_have_them() -> None:
    steps = [step for step in plan(seconds=60).steps if step.shows != "card"]
    guest = COMPOUND.guests[HOUR.seed % len(COMPOUND.guests)].text_for("qr")
    plate = COMPOUND.special["driver"].text_for("plate")
    known = [(step.door, step.expect, step.card) for step in steps if step.who != "unknown"]
    assert known == [
        ("lane", "no_vehicle", plate),
        ("lane", "granted", plate),
        ("main-gate", "granted", guest),
        ("main-gate", "no_uses_left", guest),
    ]
    [strange] = [step.card for step in steps if step.who == "unknown"]
    assert strange in COMPOUND.strangers
    assert strange not in HOLDER
    later = plan(seconds=60, seed=HOUR.seed + 1).steps
    assert guest not in {step.card for step in later}  # another guest each hour


# ---------------------------------------------------------------- keys, inputs and orders


def story(*scenes: dict[str, Any], every_s: float = 600) -> Scenario:
    """The lively hour's doors and pace with other scenes; a crowd only where it is asked for."""
    crowd = HOUR.crowd.model_copy(update={"every_s": every_s})
    made = tuple(Scene.model_validate(scene) for scene in scenes)
    return HOUR.model_copy(update={"scene": made, "crowd": crowd})


def told(scenario: Scenario, **telling: Any) -> Plan:  # the fields of Telling
    return make_plan(scenario, COMPOUND, Telling(NOW_MS, **telling))


def at(plan: Plan, act: str, who: str = "") -> Step:
    [found] = [s for s in plan.steps if s.act == act and (not who or s.who == who)]
    return found


CARD_AND_PIN = {"act": "held", "door": "side-door", "pin": "4711", "expect": "granted", "open_s": 2}
CODE = {"act": "pin", "door": "side-door", "code": "246810", "expect": "granted"}
FIRE = {"act": "input", "input": "fire", "open_s": 20}
LOCKDOWN = {"act": "order", "order": "lockdown"}
LIFT = {"act": "order", "order": "lift_lockdown"}


def test_each_card_and_each_code_is_one_decision() -> None:
    told_plan = told(
        story({"at_s": 10, **CARD_AND_PIN}, {"at_s": 60, **CODE}, {"at_s": 90, **FIRE})
    )
    shown = [step for step in told_plan.steps if step.expect]
    assert told_plan.taps == len(shown)
    assert at(told_plan, "held").card is not None
    assert at(told_plan, "held").digits == "4711"
    assert at(told_plan, "pin").card is None
    assert at(told_plan, "pin").digits == "246810"
    assert at(told_plan, "input").expect == ""


def test_digits_are_never_told() -> None:
    scenario = story({"at_s": 10, **CARD_AND_PIN}, {"at_s": 60, **CODE})
    for told_text in (repr(scenario), repr(told(scenario)), at(told(scenario), "pin").who):
        assert "4711" not in told_text
        assert "246810" not in told_text


def test_typing_takes_its_time_at_the_door() -> None:
    scenario = story({"at_s": 10, **CODE}, {"at_s": 10.1, **CARD_AND_PIN})
    told_plan = told(scenario)
    pace = HOUR.pace
    typed_s = 7 * pace.key_s  # six digits and enter
    least_s = typed_s + pace.lock_s + pace.reach_s + pace.pass_s + pace.step_s
    assert at(told_plan, "held").at_s - at(told_plan, "pin").at_s == pytest.approx(least_s)


def test_what_concerns_the_site_waits_until_nobody_is_at_a_door_and_others_come_after() -> None:
    held = {"at_s": 100, "act": "held", "door": "side-door", "open_s": 30, "expect": "granted"}
    after = {"at_s": 102, "act": "refused", "door": "main-gate", "who": "lost", "expect": "x"}
    told_plan = told(story(held, {"at_s": 101, **FIRE}, after, every_s=5))
    fire, pace = at(told_plan, "input"), HOUR.pace
    assert fire.at_s >= at(told_plan, "held").at_s + 30
    assert at(told_plan, "refused", "lost").at_s >= fire.at_s + pace.settle_s
    [number] = [n for n, step in enumerate(told_plan.steps) if step is fire]
    for step in told_plan.steps[:number]:
        assert step.at_s + step.open_s <= fire.at_s
    assert all(step.at_s >= fire.at_s + pace.settle_s for step in told_plan.steps[number + 1 :])


def test_a_vehicle_stands_on_its_loop_while_its_card_is_shown() -> None:
    loop = {"at_s": 50, "act": "input", "input": "loop", "door": "main-gate", "open_s": 10}
    card = {"at_s": 50, "act": "held", "door": "main-gate", "open_s": 3, "expect": "granted"}
    told_plan = told(story(loop, card), seconds=60)
    on_loop, shown = at(told_plan, "input"), at(told_plan, "held")
    assert on_loop.at_s + HOUR.pace.settle_s < shown.at_s < on_loop.at_s + 10 - 3


def test_an_input_is_as_usual_before_it_happens_again() -> None:
    told_plan = told(story({"at_s": 10, **FIRE}, {"at_s": 12, **FIRE, "open_s": 5}))
    first, second = [step for step in told_plan.steps if step.act == "input"]
    assert second.at_s > first.at_s + first.open_s


@pytest.mark.parametrize("seconds", [None, 60])
def test_the_crowd_keeps_away_from_a_door_between_its_lockdown_and_the_lift(
    seconds: float | None,
) -> None:
    tries = {"at_s": 1210, "act": "refused", "door": "main-gate", "expect": "door_locked_down"}
    one = {"door": "main-gate"}
    scenario = story(
        {"at_s": 1200, **LOCKDOWN, **one}, tries, {"at_s": 1800, **LIFT, **one}, every_s=10
    )
    told_plan = told(scenario, seconds=seconds)
    shut, lifted = at(told_plan, "order", "lockdown"), at(told_plan, "order", "lift_lockdown")
    between = [s for s in told_plan.steps if shut.at_s < s.at_s < lifted.at_s]
    assert {s.expect for s in between if s.door == "main-gate"} == {"door_locked_down"}
    assert any(s.door == "side-door" for s in between)
    assert any(s.door == "main-gate" and s.at_s > lifted.at_s for s in told_plan.steps)


def test_a_lockdown_of_the_site_is_one_of_each_door_and_without_a_lift_it_stays() -> None:
    told_plan = told(story({"at_s": 1200, **LOCKDOWN}, {"at_s": 1300, **LOCKDOWN}, every_s=10))
    assert all(step.at_s < 1200.5 for step in told_plan.steps if step.act in {"enter", "leave"})
    later = told(story({"at_s": 1200, **LOCKDOWN}, {"at_s": 1300, **LIFT}, every_s=10))
    doors = {step.door for step in later.steps if step.at_s > 1302}
    assert doors == {"main-gate", "side-door"}


def test_an_input_that_would_outlast_the_telling_is_left_out() -> None:
    told_plan = told(story({"at_s": 10, **FIRE}), seconds=20)
    assert told_plan.left_out == ("input fire at the site",)


def test_a_door_is_opened_by_its_name_only() -> None:
    with pytest.raises(ValueError, match="act 'order' needs door"):
        Scene.model_validate({"at_s": 1, "act": "order", "order": "open"})


# ------------------------------------------------------- two doors, parts, ways out, resets

THROUGH = {
    "act": "through",
    "door": "archive-outer",
    "who": "archivist",
    "then": "archive-inner",
    "then_expect": "granted",
}


def test_who_goes_through_two_doors_is_two_decisions_and_keeps_both_from_others() -> None:
    told_plan = told(story({"at_s": 10, **THROUGH}, {"at_s": 10, **THROUGH, "who": "trainee"}))
    first, second = [step for step in told_plan.steps if step.act == "through"]
    assert told_plan.taps == 4 + sum(bool(s.expect) for s in told_plan.steps if not s.then)
    pace = HOUR.pace
    least_s = 2 * (pace.hold_s + pace.lock_s + pace.reach_s + pace.pass_s) + pace.step_s
    assert second.at_s - first.at_s >= least_s
    assert first.card is not None
    assert first.card == COMPOUND.special["archivist"].card_for([26, 34])


@pytest.mark.parametrize(("seconds", "told_of"), [(20, True), (4, False)])
def test_what_belongs_together_is_told_as_a_whole_or_not_at_all(
    seconds: float, told_of: bool
) -> None:
    shut, tries = {"at_s": 1, **LOCKDOWN}, {"at_s": 2, "act": "refused", "expect": "x"}
    scenes = (shut, {**tries, "door": "main-gate"}, {"at_s": 3, **LIFT})
    alone = {"at_s": 0, "act": "refused", "door": "side-door", "who": "lost", "expect": "x"}
    told_plan = told(story(alone, *({**s, "part": "p"} for s in scenes)), seconds=seconds)
    assert any(step.act == "order" for step in told_plan.steps) is told_of
    assert len(told_plan.left_out) == (0 if told_of else 3)
    assert at(told_plan, "refused", "lost")


HOLDER = {issued.card: p.id for p in COMPOUND.people for issued in p.issued}


def crowd_of(told_plan: Plan) -> list[tuple[str, str]]:
    """Who of the crowd came or left by card, in order."""
    steps = [s for s in told_plan.steps if s.who == "resident" and s.expect == "granted" and s.card]
    return [("leave" if s.act == "leave" else "enter", HOLDER[s.card]) for s in steps if s.card]


def test_who_leaves_by_card_came_in_by_card_and_comes_in_again_only_after_it() -> None:
    moves = crowd_of(plan(seconds=120))
    inside: list[str] = []
    for act, person in moves:
        assert (person in inside) is (act == "leave")
        (inside.remove if act == "leave" else inside.append)(person)
    assert any(act == "leave" for act, _ in moves)
    assert plan(seconds=120).inside == tuple(inside)


DRIVE = {"act": "drive", "door": "lane", "who": "driver", "expect": "granted"}


def test_a_vehicle_has_the_lane_for_itself_until_it_is_through() -> None:
    stops = {"at_s": 10, **DRIVE, "open_s": 6}
    told_plan = told(story(stops, {"at_s": 10, **DRIVE, "who": "late-payer", "expect": "x"}))
    first, second = [step for step in told_plan.steps if step.act == "drive"]
    assert first.card == COMPOUND.special["driver"].card_for([40])
    assert second.at_s - first.at_s >= 6 + HOUR.pace.drive_s


def test_nobody_of_the_crowd_drives(tmp_path: Path) -> None:
    assert {s.who for s in plan(seconds=120).steps if s.door == "lane"} == {"driver", "late-payer"}
    share = {
        "barrier = 1 ": "barrier = 1\nshare = 1 #",
        "share = 0\n\n# The people": "\n# The people",
    }
    with pytest.raises(ScenarioError, match="nobody of the crowd drives: write share = 0"):
        load_scenario(written(tmp_path, share))


def test_the_next_hour_knows_who_is_inside() -> None:
    first = plan(seconds=60)
    came: set[str] = set()
    for act, person in crowd_of(plan(seconds=60, seed=5, inside=first.inside)):
        assert (person in {*first.inside, *came}) is (act == "leave") or act == "leave"
        came.add(person)


def test_each_hour_has_a_visitor_with_a_pass_of_their_own() -> None:
    passes = {at(told_of, "enter", "visitor").card for told_of in (plan(seed=1), plan(seed=2))}
    assert len(passes) == 2
    once = plan(seed=1)
    assert at(once, "enter", "visitor").card == at(once, "refused", "visitor").card


def test_a_fire_is_reset_once_its_input_is_as_usual() -> None:
    told_plan = told(story({"at_s": 10, **FIRE}, {"at_s": 11, "act": "reset"}))
    fire = at(told_plan, "input")
    assert at(told_plan, "reset").at_s >= fire.at_s + fire.open_s


def test_the_lively_hour_types_the_pins_that_the_compound_gave_out() -> None:
    typed = [scene.pin for scene in HOUR.scene if scene.who == "accountant"]
    accountant = COMPOUND.special["accountant"]
    assert typed[1:] == [accountant.pin, accountant.duress_pin]
    assert typed[0] not in {accountant.pin, accountant.duress_pin}


# -------------------------------------------------------------------------- command line


def test_the_plan_is_printed_without_touching_a_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["scenario", "--record", str(tmp_path / "r"), "--board", "b", "--reader", "a=b"]
    assert main([*common, "--plan", "--seconds", "20"]) == 0
    shown = capsys.readouterr().out
    assert "→ expired" in shown
    assert "left out, too little time" in shown
    assert COMPOUND.residents[0].issued[0].card.value not in shown


def test_a_scenario_without_its_readers_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["scenario", "--record", str(tmp_path / "r"), "--board", "b", "--reader", "a=b"]
    assert main(argv) == 1
    missing = (
        "archive-inner-in, archive-outer-in, lane-in, lane-plates, main-gate-in, main-gate-out,"
        " main-gate-qr, office-in, side-door-in, strong-room-in"
    )
    assert f"--reader is missing for {missing}:" in capsys.readouterr().err


def test_a_scenario_without_a_board_that_it_names_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["scenario", "--record", str(tmp_path / "r"), "--board", "b"]
    argv += [part for name in READERS for part in ("--reader", f"{name}=b")]
    assert main(argv) == 1
    assert "--board is missing for board-2, board-3: write ID=SOCKET" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [["--reader", "nothing"], ["--speed", "0"], ["--seconds", "x"]])
def test_a_wrong_command_line_is_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["scenario", "--record", "r", "--board", "b", "--reader", "a=b", *wrong])


def test_the_plan_shows_that_digits_are_typed_and_not_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pin = {'who = "expired"\n': 'who = "expired"\npin = "4711"\n'}
    code = {'act = "forced"': 'act = "pin"\ncode = "4711"\nexpect = "pin_wrong"'}
    fire = {'door = "side-door"\nact = "leave"': 'act = "input"\ninput = "fire"\nopen_s = 3'}
    path = written(tmp_path, {**pin, **code, **fire})
    common = ["scenario", "--record", str(tmp_path / "r"), "--board", "b", "--reader", "a=b"]
    assert main([*common, "--file", str(path), "--plan", "--seconds", "60"]) == 0
    shown = capsys.readouterr().out
    assert " and PIN → expired" in shown
    assert "side-door    pin      a code           → pin_wrong" in shown
    assert "*            input    fire" in shown
    assert "4711" not in shown


class Device:
    """Tells its status, as a reader and a board do."""

    barriers: Sequence[dict[str, Any]] = ({},)
    kind = "line"

    async def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        assert request == {"do": "status"}
        return {
            "keypad": None,
            "kind": self.kind,
            "named": [{"name": "loop"}],
            "barriers": self.barriers,
        }


async def test_scenes_that_the_devices_cannot_play_are_all_named_before_anybody_moves() -> None:
    device: Any = Device()
    boards = dict.fromkeys((door.id for door in HOUR.door), device)
    stage = Stage(dict.fromkeys(READERS, device), boards, device)
    fits = {"at_s": 1, "act": "input", "input": "loop", "open_s": 2}
    scenario = story(fits, {"at_s": 2, **CARD_AND_PIN}, {"at_s": 3, **CODE}, {"at_s": 4, **FIRE})
    lockdown = story({"at_s": 5, **LOCKDOWN})
    with pytest.raises(ScenarioError) as wrong:
        await check_stage(Path("s.toml"), scenario, stage)
    assert str(wrong.value).splitlines() == [
        "s.toml: scene.1.pin: side-door-in has no keypad: start it with --keypad 4 or 8",
        "s.toml: scene.2.code: side-door-in has no keypad: start it with --keypad 4 or 8",
        "s.toml: scene.3.input: the relay board has no 'fire' (loop): start it with"
        " --input name=fire,terminal=N",
    ]
    with pytest.raises(ScenarioError, match=r"s.toml: scene.0.order: .*add --central SOCKET"):
        await check_stage(Path("s.toml"), lockdown, stage)
    with pytest.raises(ScenarioError, match=r"s.toml: scene.0: .*add --guard FILE"):
        await check_stage(Path("s.toml"), story({"at_s": 5, "act": "reset"}), stage)
    await check_stage(Path("s.toml"), story(fits), stage)
    device.kind = "id12"
    with pytest.raises(
        ScenarioError, match=r"s.toml: door.0.scanner: main-gate-qr \(id12\) sends no text: start"
    ):
        await check_stage(Path("s.toml"), story(fits), stage)
    device.kind = "line"
    device.barriers = ()
    with pytest.raises(
        ScenarioError, match=r"s.toml: door.6.barrier: the relay board has 0: start"
    ):
        await check_stage(Path("s.toml"), story(fits), stage)
