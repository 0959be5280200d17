"""What readers and boards emit reaches the tap's path and the right door."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.alarms import AlarmDesk
from gatewayd.devices import DeviceDesk
from gatewayd.domain.door import (
    ContactChanged,
    ControllerBack,
    ControllerLost,
    ExitPressed,
    InputFaulted,
    InputName,
    LockReported,
    TamperReported,
)
from gatewayd.domain.events import AlarmCleared, AlarmRaised
from gatewayd.domain.model import AccessPointId, AlarmKind, DeviceId
from gatewayd.domain.ports import (
    Arriving,
    InputChanged,
    KeyPressed,
    Malformed,
    Offline,
    Online,
    PowerChanged,
    Presented,
    SecurityFailed,
    TamperChanged,
)
from gatewayd.doors import DoorTask, DoorWiring
from gatewayd.fire import FireInput
from gatewayd.recorder import Recorder
from gatewayd.settings.model import Settings
from gatewayd.wiring import (
    ControllerSink,
    bus_sink,
    door_wiring,
    escape_doors,
    fire_input,
    reader_sink,
)
from tests.clock import ManualClock
from tests.domain.world import CARD, GATE
from tests.fakes import FakeBoard, MemoryJournal, running

BOARD = DeviceId("board-1")
Trouble = TamperChanged | PowerChanged | SecurityFailed


class Posted:
    """Stands for the tap's path and for a door's inbox: notes what comes."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def present(self, point: AccessPointId, shown: Presented) -> None:
        self.seen.append((point, shown))

    def key(self, point: AccessPointId, pressed: KeyPressed) -> None:
        self.seen.append((point, pressed))

    def post(self, event: object) -> None:
        self.seen.append(event)


@pytest.fixture
def desk() -> DeviceDesk:
    clock = ManualClock()
    recorder = Recorder(MemoryJournal(clock), clock, lambda _failing, _why: None)
    alarms = AlarmDesk(MemoryJournal(clock), recorder, clock)
    devices = [
        (DeviceId("gate-in"), "reader"), (BOARD, "controller"), (DeviceId("bus-1"), "bus"),
    ]  # fmt: skip
    return DeviceDesk(devices, clock, recorder, alarms)


def board(desk: DeviceDesk, *, active_means_open: bool) -> tuple[ControllerSink, list[object]]:
    clock = ManualClock()
    recorder = Recorder(MemoryJournal(clock), clock, lambda _failing, _why: None)
    alarms = AlarmDesk(MemoryJournal(clock), recorder, clock)
    wiring = DoorWiring(
        FakeBoard(), 1, 1, 2, active_means_open, True,
        lock_input=3, lock_active_means_locked=False,
        tamper_input=4, tamper_active_means_tampered=False,
    )  # fmt: skip
    door, seen = DoorTask(GATE, wiring, clock, recorder, alarms), list[object]()
    door.post = seen.append  # type: ignore[method-assign,assignment]  # its inbox, looked into
    return ControllerSink(BOARD, [door], desk), seen


def test_a_reader_presents_and_tells_its_own_state(desk: DeviceDesk) -> None:
    taps, now = Posted(), ManualClock().now()
    board = FakeBoard()
    shown, pressed = Presented(CARD, now), KeyPressed("5", now)
    emit = reader_sink(AccessPointId("gate-in"), taps, desk, board)  # type: ignore[arg-type]  # notes only
    for event in (Online("9600 8N1"), pressed, shown, Malformed("checksum"), Offline("unplugged")):
        emit(event)
    assert taps.seen == [("gate-in", pressed), ("gate-in", shown)]
    state = desk.states()[0]
    assert (state.online, state.malformed, state.detail) == (False, 1, "unplugged")
    assert board.expecting == 0


def test_a_bus_tells_of_its_own_line(desk: DeviceDesk) -> None:
    emit = bus_sink(DeviceId("bus-1"), desk)
    for event in (Online("9600 8N1"), Malformed("CRC"), Offline("unplugged")):
        emit(event)
    state = desk.states()[2]
    assert (state.kind, state.online, state.malformed, state.detail) == (
        "bus",
        False,
        1,
        "unplugged",
    )


@pytest.mark.parametrize(
    ("wrong", "well", "kind"),
    [
        (TamperChanged(True), TamperChanged(False), AlarmKind.TAMPER),
        (PowerChanged(True), PowerChanged(False), AlarmKind.POWER_FAILED),
        (SecurityFailed("a wrong MAC"), Online(), AlarmKind.SECURE_CHANNEL),
    ],
)
async def test_what_a_device_says_of_itself_is_an_alarm_until_it_is_well(
    wrong: Trouble, well: Trouble | Online, kind: AlarmKind
) -> None:
    clock = ManualClock()
    journal = MemoryJournal(clock)
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    desk = DeviceDesk(
        [(DeviceId("gate-in"), "reader"), (BOARD, "controller")], clock, recorder, alarms
    )
    reader = reader_sink(AccessPointId("gate-in"), Posted(), desk, FakeBoard())  # type: ignore[arg-type]  # notes only
    board = ControllerSink(BOARD, [], desk)
    async with running(recorder.run(), alarms.run()):
        for event, kept in ((wrong, AlarmRaised), (well, AlarmCleared)):
            reader(event)
            board(event)
            alarmed = await journal.until(kept, 2)
            assert {(e.about, e.alarm) for e in alarmed if isinstance(e, kept)} == {
                ("gate-in", kind),
                (BOARD, kind),
            }


def test_the_first_bytes_at_a_reader_keep_its_doors_line_free(desk: DeviceDesk) -> None:
    board = FakeBoard()
    emit = reader_sink(AccessPointId("gate-in"), Posted(), desk, board)  # type: ignore[arg-type]  # notes only
    emit(Arriving())
    assert board.expecting == 1
    assert desk.states()[0].online is None


@pytest.mark.parametrize("active_means_open", [True, False])
def test_contacts_are_read_as_they_are_wired(desk: DeviceDesk, active_means_open: bool) -> None:
    sink, seen = board(desk, active_means_open=active_means_open)
    now = ManualClock().now()
    sink(Online())
    sink(InputChanged(1, True, now))
    sink(InputChanged(7, True, now))
    sink(Malformed("CRC"))
    sink(Offline("no reply"))
    well = InputFaulted(InputName.CONTACT, "")
    assert seen == [ControllerBack(), well, ContactChanged(active_means_open), ControllerLost()]


def test_a_board_that_is_lost_is_told_to_whom_its_inputs_are_told(desk: DeviceDesk) -> None:
    sink, _ = board(desk, active_means_open=True)
    lost: list[None] = []
    sink.on_lost = lambda: lost.append(None)
    sink(Online())
    assert lost == []
    sink(Offline("no reply"))
    assert lost == [None]


def test_only_a_press_that_was_seen_to_begin_opens(desk: DeviceDesk) -> None:
    sink, seen = board(desk, active_means_open=True)
    now = ManualClock().now()
    sink(Online())
    sink(InputChanged(2, True, now))
    assert ExitPressed() not in seen
    sink(InputChanged(2, False, now))
    sink(InputChanged(2, True, replace(now, wall_ms=0)))
    assert seen.count(ExitPressed()) == 1
    sink(Offline("gone"))
    sink(Online())
    sink(InputChanged(2, True, now))
    assert seen.count(ExitPressed()) == 1


def test_the_lock_and_the_tamper_loop_are_read_as_they_are_wired(desk: DeviceDesk) -> None:
    sink, seen = board(desk, active_means_open=True)
    now = ManualClock().now()
    for terminal, active in ((3, True), (3, False), (4, True), (4, False)):
        sink(InputChanged(terminal, active, now))
    assert [said for said in seen if not isinstance(said, InputFaulted)] == [
        LockReported(False),
        LockReported(True),
        TamperReported(False),
        TamperReported(True),
    ]


def test_a_line_at_fault_is_told_and_moves_nothing(desk: DeviceDesk) -> None:
    sink, seen = board(desk, active_means_open=True)
    now = ManualClock().now()
    sink(InputChanged(2, False, now))
    sink(InputChanged(2, True, now, "short"))
    sink(InputChanged(1, True, now, "open"))
    sink(InputChanged(3, True, now, "open"))
    assert ExitPressed() not in seen
    assert seen[1:] == [
        InputFaulted(InputName.EXIT, "short"),
        InputFaulted(InputName.CONTACT, "open"),
        ContactChanged(None),
        InputFaulted(InputName.LOCK, "open"),
        LockReported(None),
    ]


def test_a_button_whose_line_is_mended_while_pressed_opens_nothing(desk: DeviceDesk) -> None:
    sink, seen = board(desk, active_means_open=True)
    now = ManualClock().now()
    for active, fault in ((False, ""), (True, "short"), (True, ""), (False, "")):
        sink(InputChanged(2, active, now, fault))  # type: ignore[arg-type]  # one of the literals
    assert ExitPressed() not in seen
    sink(InputChanged(2, True, now))
    assert seen.count(ExitPressed()) == 1


def test_every_input_is_told_to_who_asks_for_it_too(desk: DeviceDesk) -> None:
    sink, _ = board(desk, active_means_open=True)
    heard: list[InputChanged] = []
    sink.on_input = heard.append
    event = InputChanged(8, False, ManualClock().now())
    sink(event)
    assert heard == [event]


def test_the_settings_say_which_terminal_is_what() -> None:
    site = {
        "site": {"id": "s", "name": "S", "gateway": "g"},
        "storage": {"directory": Path("data")},
        "door": [
            {
                "id": "gate", "name": "Gate", "controller": "board", "relay": 1, "escape": True,
                "contact_input": 1, "lock_input": 3, "lock_active_means": "unlocked",
                "tamper_input": 4, "tamper_active_means": "normal",
            },
            {"id": "side", "name": "Side", "controller": "board", "relay": 2},
        ],
        "fire": {"controller": "board", "input": 8},
    }  # fmt: skip
    settings = Settings.model_validate(site)
    controller = FakeBoard()
    assert door_wiring(settings.door[0], controller) == DoorWiring(
        controller, 1, 1, None, False, True, 3, False, 4, False
    )
    assert fire_input(settings) == FireInput(DeviceId("board"), 8, active_means_fire=False)
    assert escape_doors(settings) == ("gate",)
    assert fire_input(settings.model_copy(update={"fire": None})) is None
