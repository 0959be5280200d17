"""What readers and boards emit reaches the tap's path and the right door."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.alarms import AlarmDesk
from gatewayd.devices import DeviceDesk
from gatewayd.domain.door import ContactChanged, ControllerBack, ControllerLost, ExitPressed
from gatewayd.domain.model import AccessPointId, DeviceId
from gatewayd.domain.ports import Arriving, InputChanged, Malformed, Offline, Online, Presented
from gatewayd.doors import DoorTask, DoorWiring
from gatewayd.recorder import Recorder
from gatewayd.wiring import ControllerSink, reader_sink
from tests.clock import ManualClock
from tests.domain.world import CARD, GATE
from tests.fakes import FakeBoard, MemoryJournal

BOARD = DeviceId("board-1")


class Posted:
    """Stands for the tap's path and for a door's inbox: notes what comes."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def present(self, point: AccessPointId, shown: Presented) -> None:
        self.seen.append((point, shown))

    def post(self, event: object) -> None:
        self.seen.append(event)


@pytest.fixture
def desk() -> DeviceDesk:
    clock = ManualClock()
    recorder = Recorder(MemoryJournal(clock), clock, lambda _failing, _why: None)
    alarms = AlarmDesk(MemoryJournal(clock), recorder, clock)
    devices = [(DeviceId("gate-in"), "reader"), (BOARD, "controller")]
    return DeviceDesk(devices, clock, recorder, alarms)


def board(desk: DeviceDesk, *, active_means_open: bool) -> tuple[ControllerSink, list[object]]:
    clock = ManualClock()
    recorder = Recorder(MemoryJournal(clock), clock, lambda _failing, _why: None)
    alarms = AlarmDesk(MemoryJournal(clock), recorder, clock)
    wiring = DoorWiring(FakeBoard(), 1, 1, 2, active_means_open, True)
    door, seen = DoorTask(GATE, wiring, clock, recorder, alarms), list[object]()
    door.post = seen.append  # type: ignore[method-assign,assignment]  # its inbox, looked into
    return ControllerSink(BOARD, [door], desk), seen


def test_a_reader_presents_and_tells_its_own_state(desk: DeviceDesk) -> None:
    taps, shown = Posted(), Presented(CARD, ManualClock().now())
    board = FakeBoard()
    emit = reader_sink(AccessPointId("gate-in"), taps, desk, board)  # type: ignore[arg-type]  # notes only
    for event in (Online("9600 8N1"), shown, Malformed("checksum"), Offline("unplugged")):
        emit(event)
    assert taps.seen == [("gate-in", shown)]
    state = desk.states()[0]
    assert (state.online, state.malformed, state.detail) == (False, 1, "unplugged")
    assert board.expecting == 0


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
    assert seen == [ControllerBack(), ContactChanged(active_means_open), ControllerLost()]


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
