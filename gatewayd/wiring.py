"""From what devices emit to whom it concerns: readers to taps, inputs to doors, fire to its desk.
Owns which terminal is what, and no device.

Imported by `gatewayd.daemon` alone; must not decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from gatewayd.devices import DeviceDesk
from gatewayd.domain.door import (
    ContactChanged,
    ControllerBack,
    ControllerLost,
    DoorInput,
    ExitPressed,
    InputFaulted,
    InputName,
    LockReported,
    TamperReported,
)
from gatewayd.domain.door_state import ArmUpReported, ObstructionChanged, VehicleWaits
from gatewayd.domain.model import AccessPointId, DeviceId, DoorId
from gatewayd.domain.ports import (
    Arriving,
    BoardActed,
    BusEvent,
    ClockDrifted,
    ControllerEvent,
    DoorController,
    InputChanged,
    KeyPressed,
    Malformed,
    Offline,
    Online,
    PowerChanged,
    Presented,
    ReaderEvent,
    SecurityFailed,
    TamperChanged,
)
from gatewayd.doors import ArmWiring, DoorTask, DoorWiring
from gatewayd.fire import FireInput
from gatewayd.settings.model import DoorSettings, Settings
from gatewayd.tap import TapPath


def reader_sink(
    point_id: AccessPointId, taps: TapPath, devices: DeviceDesk, controller: DoorController
) -> Callable[[ReaderEvent], None]:
    """Where the reader of this access point tells what it saw; `controller` is its door's."""
    device = DeviceId(point_id)

    def emit(event: ReaderEvent) -> None:
        match event:
            case Arriving():
                controller.expect_order()
            case Presented():
                taps.present(point_id, event)
            case KeyPressed():
                taps.key(point_id, event)
            case Malformed():
                devices.malformed(device, event.reason)
            case Online():
                devices.online(device, event.detail)
            case Offline():
                devices.offline(device, event.reason)
            case TamperChanged() | PowerChanged() | SecurityFailed():
                devices.trouble(device, event)
            case _ as never:
                assert_never(never)

    return emit


def bus_sink(device: DeviceId, devices: DeviceDesk) -> Callable[[BusEvent], None]:
    """Where a bus tells of its own line; its readers and controllers tell of themselves."""

    def emit(event: BusEvent) -> None:
        match event:
            case Malformed():
                devices.malformed(device, event.reason)
            case Online():
                devices.online(device, event.detail)
            case Offline():
                devices.offline(device, event.reason)
            case _ as never:
                assert_never(never)

    return emit


def door_wiring(settings: DoorSettings, controller: DoorController) -> DoorWiring:
    """A barrier's lower limit switch is its contact: active while the arm is down."""
    barrier = settings.kind == "barrier"
    return DoorWiring(
        controller,
        settings.relay,
        settings.closed_limit_input if barrier else settings.contact_input,
        settings.exit_input,
        contact_active_means_open=not barrier and settings.contact_active_means == "open",
        energised_means_unlocked=settings.energised_means == "unlocked",
        lock_input=settings.lock_input,
        lock_active_means_locked=settings.lock_active_means == "locked",
        tamper_input=settings.tamper_input,
        tamper_active_means_tampered=settings.tamper_active_means == "tamper",
        arm=_arm_wiring(settings),
    )


def _arm_wiring(settings: DoorSettings) -> ArmWiring | None:
    if settings.kind != "barrier" or settings.loop_input is None:
        return None
    return ArmWiring(
        settings.loop_input,
        settings.loop_active_means == "vehicle",
        settings.presence_input,
        settings.presence_active_means == "vehicle",
        settings.open_limit_input,
        settings.close_relay,
        settings.stop_relay,
        settings.pulse_s,
    )


def fire_input(settings: Settings) -> FireInput | None:
    fire = settings.fire
    if fire is None:
        return None
    return FireInput(DeviceId(fire.controller), fire.input, fire.active_means == "fire")


def escape_doors(settings: Settings) -> tuple[DoorId, ...]:
    return tuple(DoorId(door.id) for door in settings.door if door.escape)


@dataclass(slots=True)
class ControllerSink:
    """Where one controller tells what it saw; `doors` are those wired to it, `on_input` is told
    every input beside them, `on_lost` that the inputs can't be heard any more, and `on_acted` what
    the board did by itself."""

    device_id: DeviceId
    doors: Sequence[DoorTask]
    devices: DeviceDesk
    on_input: Callable[[InputChanged], None] = lambda _event: None
    on_lost: Callable[[], None] = lambda: None
    on_acted: Callable[[BoardActed], None] = lambda _event: None
    _before: dict[int, InputChanged] = field(default_factory=dict)

    def __call__(self, event: ControllerEvent) -> None:
        match event:
            case InputChanged():
                self.on_input(event)
                self._input(event)
            case Malformed():
                self.devices.malformed(self.device_id, event.reason)
            case Online():
                self._before.clear()
                self.devices.online(self.device_id, event.detail)
                for door in self.doors:
                    door.post(ControllerBack())
            case Offline():
                self.on_lost()
                self.devices.offline(self.device_id, event.reason)
                for door in self.doors:
                    door.post(ControllerLost())
            case TamperChanged() | PowerChanged() | SecurityFailed() | ClockDrifted():
                self.devices.trouble(self.device_id, event)
            case BoardActed():
                self.on_acted(event)
            case _ as never:
                assert_never(never)

    def _input(self, event: InputChanged) -> None:
        before = self._before.get(event.input)
        self._before[event.input] = event
        for door in self.doors:
            name = _name_of(event.input, door.wiring)
            if name is None:
                continue
            if before is None or before.fault != event.fault:
                door.post(InputFaulted(name, event.fault))
            said = _said(name, event, before, door.wiring)
            if said is not None:
                door.post(said)


def _name_of(terminal: int, wiring: DoorWiring) -> InputName | None:
    """What of the door hangs on this input."""
    arm = wiring.arm
    names = {
        wiring.contact_input: InputName.CONTACT if arm is None else InputName.LOWER_LIMIT,
        wiring.exit_input: InputName.EXIT,
        wiring.lock_input: InputName.LOCK,
        wiring.tamper_input: InputName.TAMPER,
    }
    if arm is not None:
        names |= {
            arm.loop_input: InputName.LOOP,
            arm.presence_input: InputName.PRESENCE,
            arm.up_input: InputName.UPPER_LIMIT,
        }
    return names.get(terminal)


def _said(
    name: InputName, event: InputChanged, before: InputChanged | None, wiring: DoorWiring
) -> DoorInput | None:
    """What the input says to its door. One whose line is at fault says that it can't be told, and
    moves nothing: a shorted exit button is no button that is pressed."""
    active = None if event.fault else event.active
    arm = wiring.arm
    match name:
        case InputName.CONTACT | InputName.LOWER_LIMIT:
            return ContactChanged(_means(active, wiring.contact_active_means_open))
        case InputName.LOCK:
            return LockReported(_means(active, wiring.lock_active_means_locked))
        case InputName.TAMPER:
            return TamperReported(_means(active, wiring.tamper_active_means_tampered))
        case InputName.EXIT:
            # A button that is already pressed when it is first seen is stuck, or was not pressed
            # for us: only a change from released to pressed asks for the door.
            released = before is not None and not before.fault and not before.active
            return ExitPressed() if active and released else None
        case InputName.LOOP:
            vehicle = arm is None or arm.loop_active_means_vehicle
            return ObstructionChanged(_means(active, vehicle))
        case InputName.PRESENCE:
            vehicle = arm is None or arm.presence_active_means_vehicle
            return VehicleWaits(_means(active, vehicle))
        case InputName.UPPER_LIMIT:
            return ArmUpReported(active)
        case _ as never:
            assert_never(never)


def _means(active: bool | None, active_means_true: bool) -> bool | None:
    return None if active is None else active is active_means_true
