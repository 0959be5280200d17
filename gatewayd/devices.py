"""What devices say of themselves, turned into events and alarms: online, offline, nonsense.

Owns each device's last known state for the console. Must not touch a device.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import isinf
from typing import assert_never

from gatewayd.alarms import AlarmDesk
from gatewayd.domain.events import DeviceOffline, DeviceOnline, InputMalformed
from gatewayd.domain.model import NS_PER_S, AlarmKind, DeviceId
from gatewayd.domain.ports import (
    Clock,
    ClockDrifted,
    PowerChanged,
    SecurityFailed,
    TamperChanged,
)
from gatewayd.recorder import Recorder

log = logging.getLogger(__name__)

# A noisy line makes thousands of bad frames an hour: they are counted into one event a minute.
MALFORMED_EVERY_NS = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class DeviceState:
    """`online` is None until the device has been heard of. `since_wall_ms` is for people."""

    device_id: DeviceId
    kind: str  # bus, reader, controller, camera
    online: bool | None = None
    detail: str = ""
    since_wall_ms: int = 0
    malformed: int = 0


# Alarms that are about a device, and that only the device itself ends.
OF_DEVICES = frozenset(
    {
        AlarmKind.DEVICE_OFFLINE,
        AlarmKind.CAMERA_OFFLINE,
        AlarmKind.SECURE_CHANNEL,
        AlarmKind.POWER_FAILED,
        AlarmKind.TAMPER,
    }
)


class DeviceDesk:
    """One for the box; its methods are called on the event loop and return at once."""

    def __init__(
        self,
        devices: Iterable[tuple[DeviceId, str]],
        clock: Clock,
        recorder: Recorder,
        alarms: AlarmDesk,
    ) -> None:
        """`devices` are (id, kind) pairs."""
        self._states = {device: DeviceState(device, kind) for device, kind in devices}
        self._clock = clock
        self._recorder = recorder
        self._alarms = alarms
        self._unreported: dict[DeviceId, int] = {}
        self._reported_ns: dict[DeviceId, int] = {}

    def end_of_removed(self) -> None:
        """Once the alarms from before a start are known: whatever a device was that the settings no
        longer have, nobody is left to say that it is over."""
        for alarm in self._alarms.open_alarms():
            gone = alarm.kind in OF_DEVICES and alarm.about not in self._states
            if alarm.active and gone:
                self._alarms.signal(alarm.kind, alarm.about, active=False)

    def states(self) -> list[DeviceState]:
        return list(self._states.values())

    def online(self, device_id: DeviceId, detail: str = "") -> None:
        if self._change(device_id, online=True, detail=detail):
            said = f": {detail}" if detail else ""
            log.info("%s %s is online%s", self._states[device_id].kind, device_id, said)
            self._recorder.record(DeviceOnline(device_id, detail))
            self._alarms.signal(self._alarm_of(device_id), device_id, active=False)
            if self._states[device_id].kind != "camera":
                self._alarms.signal(AlarmKind.SECURE_CHANNEL, device_id, active=False)

    def offline(self, device_id: DeviceId, reason: str) -> None:
        if self._change(device_id, online=False, detail=reason):
            log.warning("%s %s is offline: %s", self._states[device_id].kind, device_id, reason)
            self._recorder.record(DeviceOffline(device_id, reason))
            self._alarms.signal(self._alarm_of(device_id), device_id, active=True, detail=reason)

    def trouble(
        self,
        device_id: DeviceId,
        event: TamperChanged | PowerChanged | SecurityFailed | ClockDrifted,
    ) -> None:
        """What a device with its own supply, tamper switch, clock or secure channel says of it."""
        match event:
            case TamperChanged(active):
                self._alarms.signal(AlarmKind.TAMPER, device_id, active=active)
            case PowerChanged(failed):
                self._alarms.signal(AlarmKind.POWER_FAILED, device_id, active=failed)
            case ClockDrifted(by_s, beyond):
                detail = _drift(by_s)
                kind = AlarmKind.CLOCK_JUMPED
                self._alarms.signal(kind, device_id, active=beyond, detail=detail)
            case SecurityFailed(reason):
                log.error("%s: %s", device_id, reason)
                self._alarms.signal(AlarmKind.SECURE_CHANNEL, device_id, active=True, detail=reason)
            case _ as never:
                assert_never(never)

    def malformed(self, device_id: DeviceId, reason: str) -> None:
        """Count; the first of a minute is journaled at once with what was counted before it."""
        state = self._states[device_id]
        self._states[device_id] = replace(state, malformed=state.malformed + 1)
        count = self._unreported.get(device_id, 0) + 1
        now_ns = self._clock.monotonic_ns()
        last_ns = self._reported_ns.get(device_id)
        if last_ns is not None and now_ns - last_ns < MALFORMED_EVERY_NS:
            self._unreported[device_id] = count
            return
        self._unreported[device_id] = 0
        self._reported_ns[device_id] = now_ns
        log.warning(
            "%s sends what can't be read: %s (%d since last told)", device_id, reason, count
        )
        self._recorder.record(InputMalformed(device_id, reason, count))

    def _alarm_of(self, device_id: DeviceId) -> AlarmKind:
        camera = self._states[device_id].kind == "camera"
        return AlarmKind.CAMERA_OFFLINE if camera else AlarmKind.DEVICE_OFFLINE

    def _change(self, device_id: DeviceId, *, online: bool, detail: str) -> bool:
        """Whether the device's state is news."""
        state = self._states[device_id]
        if state.online is online:
            return False
        wall_ms = self._clock.now().wall_ms
        self._states[device_id] = replace(
            state, online=online, detail=detail, since_wall_ms=wall_ms
        )
        return True


def _drift(by_s: float) -> str:
    if isinf(by_s):
        return "its clock showed no time"
    return f"its clock was {abs(by_s):.0f} s {'ahead' if by_s > 0 else 'behind'}"
