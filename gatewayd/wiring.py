"""From what devices emit to whom it concerns: readers to taps, inputs to doors. Owns no device.

Imported by `gatewayd.daemon` alone; must not decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import assert_never

from gatewayd.devices import DeviceDesk
from gatewayd.domain.door import ContactChanged, ControllerBack, ControllerLost, ExitPressed
from gatewayd.domain.model import AccessPointId, DeviceId
from gatewayd.domain.ports import (
    Arriving,
    ControllerEvent,
    DoorController,
    InputChanged,
    Malformed,
    Offline,
    Online,
    Presented,
    ReaderEvent,
)
from gatewayd.doors import DoorTask
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
            case Malformed():
                devices.malformed(device, event.reason)
            case Online():
                devices.online(device, event.detail)
            case Offline():
                devices.offline(device, event.reason)
            case _ as never:
                assert_never(never)

    return emit


@dataclass(slots=True)
class ControllerSink:
    """Where one controller tells what it saw; `doors` are those wired to it."""

    device_id: DeviceId
    doors: Sequence[DoorTask]
    devices: DeviceDesk
    _inputs: dict[int, bool] = field(default_factory=dict)

    def __call__(self, event: ControllerEvent) -> None:
        match event:
            case InputChanged():
                self._input(event)
            case Malformed():
                self.devices.malformed(self.device_id, event.reason)
            case Online():
                self._inputs.clear()
                self.devices.online(self.device_id, event.detail)
                for door in self.doors:
                    door.post(ControllerBack())
            case Offline():
                self.devices.offline(self.device_id, event.reason)
                for door in self.doors:
                    door.post(ControllerLost())
            case _ as never:
                assert_never(never)

    def _input(self, event: InputChanged) -> None:
        """A button that is already pressed when it is first seen is stuck, or was not pressed for
        us: only a change from released to pressed asks for the door."""
        before = self._inputs.get(event.input)
        self._inputs[event.input] = event.active
        for door in self.doors:
            wiring = door.wiring
            if event.input == wiring.contact_input:
                door.post(ContactChanged(event.active is wiring.contact_active_means_open))
            if event.input == wiring.exit_input and event.active and before is False:
                door.post(ExitPressed())
