"""What readers show: how their doors rest, and the moments that happen at them."""

from __future__ import annotations

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.door import ContactChanged, ControllerBack, ModeOrdered, UnlockOrdered
from gatewayd.domain.events import Cause, CauseKind
from gatewayd.domain.model import AccessPointId, DoorId, DoorMode
from gatewayd.domain.signs import MOMENTS_S, SIGNS, Indication, Light, Sign, Tone
from gatewayd.doors import DoorTask, DoorTasks, DoorWiring
from gatewayd.feedback import FeedbackDesk, SignPost
from gatewayd.recorder import Recorder
from tests.clock import ManualClock
from tests.domain.world import GATE, GATE_IN
from tests.fakes import FakeBoard, FakeSignedReader, MemoryJournal, running

BARE = AccessPointId("bare-reader")


class Gate:
    """A door with one reader that has lights, and the desk between them."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.journal = MemoryJournal(self.clock)
        self.recorder = Recorder(self.journal, self.clock, lambda _failing, _why: None)
        self.alarms = AlarmDesk(self.journal, self.recorder, self.clock)
        wiring = DoorWiring(FakeBoard(), 1, 1, 2, True, True)
        self.door = DoorTask(GATE, wiring, self.clock, self.recorder, self.alarms)
        doors = DoorTasks({GATE.id: self.door})
        self.reader, elsewhere = FakeSignedReader(), FakeSignedReader()
        self.elsewhere = elsewhere
        posts = {
            GATE_IN.id: SignPost(self.reader, GATE.id, SIGNS, MOMENTS_S),
            AccessPointId("other"): SignPost(elsewhere, DoorId("other-door"), SIGNS, MOMENTS_S),
        }
        self.desk = FeedbackDesk(posts, lambda _door: doors.status(GATE.id))
        doors.follow(self.desk.door_changed)

    @property
    def rests(self) -> list[Indication]:
        """The indications it was told to rest in, in order."""
        return [kind for sign in self.reader.resting for kind, own in SIGNS.items() if own == sign]

    async def happens(self, *events: object) -> None:
        for event in events:
            await self.door.order(event)  # type: ignore[arg-type]  # inputs of a door


async def test_a_held_door_sounds_its_reader_from_the_warning_until_it_is_shut() -> None:
    gate = Gate()
    async with running(gate.door.run(), gate.recorder.run(), gate.alarms.run()):
        gate.desk.show_all()
        await gate.happens(ControllerBack(), ContactChanged(False))
        await gate.happens(UnlockOrdered(Cause(CauseKind.TAP, "1"), 5), ContactChanged(True))
        assert gate.rests == [Indication.IDLE]
        await gate.clock.advance(GATE.pre_alarm_s + 1)
        await gate.happens(ControllerBack())
        assert gate.rests == [Indication.IDLE, Indication.HELD_PRE_ALARM]
        assert gate.reader.resting[-1].tone is Tone.REPEATED
        await gate.clock.advance(GATE.held_s)
        await gate.happens(ContactChanged(False))
        assert gate.rests == [Indication.IDLE, Indication.HELD_PRE_ALARM, Indication.IDLE]
    assert gate.elsewhere.resting == [SIGNS[Indication.IDLE]]


async def test_the_doors_mode_is_seen_at_its_reader() -> None:
    gate = Gate()
    async with running(gate.door.run(), gate.recorder.run(), gate.alarms.run()):
        gate.desk.show_all()
        cause = Cause(CauseKind.OPERATOR, "wang", "test")
        for mode in (DoorMode.UNLOCKED, DoorMode.LOCKED_DOWN, DoorMode.LOCKED):
            await gate.happens(ModeOrdered(mode, cause))
    assert gate.rests == [
        Indication.IDLE,
        Indication.UNLOCKED,
        Indication.LOCKDOWN,
        Indication.IDLE,
    ]


def test_a_card_that_waits_for_its_pin_is_seen() -> None:
    gate = Gate()
    gate.desk.waits_for_pin(GATE_IN.id, True)
    gate.desk.waits_for_pin(GATE_IN.id, False)
    assert gate.rests == [Indication.WAIT_FOR_PIN, Indication.IDLE]


def test_a_moment_goes_by_itself_and_changes_no_rest() -> None:
    gate = Gate()
    gate.desk.happened(GATE_IN.id, Indication.GRANTED)
    sign = Sign(Light.BLUE, text="HELLO")
    gate.desk.show(GATE_IN.id, sign, 8)
    assert gate.reader.flashes == [(SIGNS[Indication.GRANTED], 3.0), (sign, 8)]
    assert gate.reader.resting == []


def test_a_reader_without_lights_is_passed_over() -> None:
    gate = Gate()
    gate.desk.happened(BARE, Indication.DENIED)
    gate.desk.waits_for_pin(BARE, True)
    gate.desk.show(BARE, Sign(Light.RED), 1)
    assert (gate.reader.flashes, gate.reader.resting) == ([], [])
