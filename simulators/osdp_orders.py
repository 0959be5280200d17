"""The orders of the simulated OSDP line: cards, keys, tamper, inputs, power and faults.

Owns the table of orders and the checks of their fields. Must not know OSDP.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from simulators.control import ControlError, ControlTable, Reply, Request, Verb
from simulators.line_faults import MAX_TIMES, LineFaults
from simulators.osdp_device import MAX_CARD_BITS, SimulatedOsdpDevice
from simulators.osdp_face import COLOURS
from simulators.osdp_faults import OsdpFault
from simulators.pty_line import PtyLine
from simulators.reader import KEY_GAP_S, MAX_HOLD_S, MAX_KEY_GAP_S

MAX_WAIT_S = 25.0  # less than a control client waits for its reply
MAX_AMOUNT = 1000.0
MAX_NUMBER = 255
_KINDS = tuple(str(kind) for kind in OsdpFault)
# Amounts that make sense: a probability, a slowdown, seconds, a byte.
_LIMITS = {
    OsdpFault.LOSS: (0.0, 1.0),
    OsdpFault.SLOW: (1.0, MAX_AMOUNT),
    OsdpFault.LATE: (0.0, 10.0),
    OsdpFault.NAK: (1.0, 255.0),
    OsdpFault.BAD_RMAC_STATUS: (0.0, 255.0),
}


class Line(Protocol):
    """What the orders act on."""

    devices: list[SimulatedOsdpDevice]
    faults: LineFaults
    baud: int
    frames: int
    replies: int
    collisions: int
    busy_s: float

    @property
    def pty(self) -> PtyLine: ...

    def device(self, address: int) -> SimulatedOsdpDevice: ...
    def fault(
        self,
        kind: OsdpFault,
        device: int | None = None,
        times: int = 0,
        amount: float | None = None,
    ) -> None: ...
    def replug(self) -> None: ...
    def clear(self) -> None: ...
    async def send_noise(self) -> None: ...


READER_STATES = ("normal", "away", "tampered")


class LineControls:
    """Each method is one order. `device` is an address; without one, the line's only device."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def table(self) -> ControlTable:
        return {
            "present": Verb(self._present, ("device", "bits", "value", "hold_s")),
            "press": Verb(self._press, ("device", "keys", "gap_s")),
            "card": Verb(self._card, ("device", "bits", "value")),
            "keys": Verb(self._keys, ("device", "keys", "together")),
            "tamper": Verb(self._tamper, ("device", "active")),
            "reader": Verb(self._reader, ("device", "reader", "state")),
            "input": Verb(self._input, ("device", "input", "active")),
            "power": Verb(self._power, ("device", "action")),
            "wait_light": Verb(self._wait_light, ("device", "light", "colour", "timeout_s")),
            "wait_output": Verb(self._wait_output, ("device", "output", "energised", "timeout_s")),
            "wait_secure": Verb(self._wait_secure, ("device", "secure", "timeout_s")),
            "fault": Verb(self._fault, ("kind", "device", "times", "amount")),
            "replug": Verb(self._replug),
            "clear": Verb(self._clear),
            "status": Verb(self._status),
        }

    def _device(self, request: Request) -> SimulatedOsdpDevice:
        if "device" not in request.fields and len(self._line.devices) == 1:
            return self._line.devices[0]
        address = request.integer("device", most=126)
        try:
            return self._line.device(address)
        except KeyError as error:
            known = ", ".join(str(device.address) for device in self._line.devices)
            raise ControlError(f"no device {address} on this line; its devices: {known}") from error

    # ------------------------------------------------------------------------------ people

    async def _present(self, request: Request) -> Reply:
        """As a plain reader's order: answered once the card went into a reply to the panel."""
        return await self._sent(request, lambda device: self._hold_card(device, request))

    async def _press(self, request: Request) -> Reply:
        """As a plain reader's order: a key each `gap_s`, answered after the last reply."""
        gap_s = request.number("gap_s", KEY_GAP_S, most=MAX_KEY_GAP_S)
        told: Reply = {}
        for key in request.text("keys"):
            told = await self._sent(request, partial(_press_key, key))
            await asyncio.sleep(gap_s)
        return told

    async def _sent(self, request: Request, act: Callable[[SimulatedOsdpDevice], bool]) -> Reply:
        device = self._device(request)
        try:
            queued = act(device)
        except ValueError as error:
            raise ControlError(str(error)) from error
        wanted = device.delivered + device.waiting
        try:
            async with asyncio.timeout(MAX_WAIT_S):
                await device.wait_until(lambda: not device.waiting)
        except TimeoutError as error:
            raise ControlError(f"no panel asked device {device.address} for it") from error
        if not queued or device.delivered < wanted:  # no panel is there, or it went away
            return {"sent": False, "first_ns": None, "sent_ns": None}
        now_ns = time.monotonic_ns()
        return {"sent": True, "first_ns": now_ns, "sent_ns": now_ns}

    def _hold_card(self, device: SimulatedOsdpDevice, request: Request) -> bool:
        request.number("hold_s", 0.0, most=MAX_HOLD_S)  # an OSDP reader tells a card once
        bits = request.integer("bits", least=1, most=MAX_CARD_BITS)
        return device.present_card(bits, _hex(request.text("value", most=MAX_CARD_BITS // 4)))

    async def _card(self, request: Request) -> Reply:
        """`value` is in hex; `queued` false: the reader is offline and beeps for nobody."""
        device = self._device(request)
        bits = request.integer("bits", least=1, most=MAX_CARD_BITS)
        value = request.text("value", most=MAX_CARD_BITS // 4)
        try:
            return {"queued": device.present_card(bits, _hex(value)), "delivered": device.delivered}
        except ValueError as error:
            raise ControlError(str(error)) from error

    async def _keys(self, request: Request) -> Reply:
        device = self._device(request)
        together = request.flag("together", default=False)
        try:
            queued = device.press_keys(request.text("keys"), together=together)
        except ValueError as error:
            raise ControlError(str(error)) from error
        return {"queued": queued, "delivered": device.delivered}

    async def _tamper(self, request: Request) -> Reply:
        device = self._device(request)
        device.set_tamper(request.flag("active", default=True))
        return {"tamper": device.tamper}

    async def _reader(self, request: Request) -> Reply:
        """An attached reader is cut off, or tampered with, while its device goes on answering."""
        device = self._device(request)
        number = request.integer("reader", 0, most=MAX_NUMBER)
        state = request.choice("state", READER_STATES, READER_STATES[0])
        try:
            device.set_reader(number, READER_STATES.index(state))
        except IndexError as error:
            raise ControlError(str(error)) from error
        return {"readers": device.reader_states}

    async def _input(self, request: Request) -> Reply:
        device = self._device(request)
        number = request.integer("input", most=MAX_NUMBER)
        try:
            device.set_input(number, request.flag("active", default=True))
        except IndexError as error:
            raise ControlError(str(error)) from error
        return {"inputs": device.inputs}

    async def _power(self, request: Request) -> Reply:
        """`cycle` is off and on; `fail` and `restore` are reported by a device with a battery."""
        device = self._device(request)
        action = request.choice("action", ("cycle", "fail", "restore"), "cycle")
        if action == "cycle":
            device.power_cycle()
        else:
            device.set_power_failed(action == "fail")
        return {"power_failed": device.power_failed}

    # ----------------------------------------------------------------------------- waiting

    async def _wait_light(self, request: Request) -> Reply:
        device = self._device(request)
        light = request.integer("light", 0, most=MAX_NUMBER)
        colour = request.choice("colour", COLOURS)
        if light >= len(device.lights):
            raise ControlError(f"no light {light}: this device has {len(device.lights)}, from 0")
        reached = await _within(request, lambda: device.wait_for_light(colour, light))
        return {"reached": reached, **device.lights[light].status()}

    async def _wait_output(self, request: Request) -> Reply:
        device = self._device(request)
        output = request.integer("output", most=MAX_NUMBER)
        energised = request.flag("energised", default=True)
        if output >= len(device.outputs):
            raise ControlError(f"no output {output}: this device has {len(device.outputs)}, from 0")
        reached = await _within(request, lambda: device.wait_for_output(output, energised))
        state = device.outputs[output]
        return {
            "reached": reached,
            "energised": state.energised,
            "times_on": state.times_on,
            "changed_ns": state.changed_ns,
        }

    async def _wait_secure(self, request: Request) -> Reply:
        device = self._device(request)
        secure = request.flag("secure", default=True)
        reached = await _within(request, lambda: device.wait_secure(secure))
        return {"reached": reached, "secure": device.secure}

    # ------------------------------------------------------------------------------ faults

    async def _fault(self, request: Request) -> Reply:
        """Without `device`: of the line, or of each device on it."""
        kind = OsdpFault(request.choice("kind", _KINDS))
        times = request.integer("times", 0, most=MAX_TIMES)
        amount: float | None = None
        if "amount" in request.fields:
            least, most = _LIMITS.get(kind, (0.0, MAX_AMOUNT))
            amount = request.number("amount", least=least, most=most)
        address = self._device(request).address if "device" in request.fields else None
        self._line.fault(kind, address, times, amount)
        if kind == OsdpFault.NOISE and address is None:
            await self._line.send_noise()  # at once, between the replies, too
        return {"faults": self._line.faults.status(), "plugged": self._line.pty.plugged}

    async def _replug(self, _request: Request) -> Reply:
        try:
            self._line.replug()
        except OSError as error:
            raise ControlError(f"can't plug in again: {error}") from error
        return {"plugged": self._line.pty.plugged}

    async def _clear(self, _request: Request) -> Reply:
        try:
            self._line.clear()
        except OSError as error:
            raise ControlError(f"can't plug in again: {error}") from error
        return {"plugged": self._line.pty.plugged}

    async def _status(self, _request: Request) -> Reply:
        line = self._line
        return {
            "link": str(line.pty.link),
            "plugged": line.pty.plugged,
            "baud": line.baud,
            "frames": line.frames,
            "replies": line.replies,
            "collisions": line.collisions,
            "busy_s": round(line.busy_s, 6),
            "faults": line.faults.status(),
            "keypad": any(device.model.readers for device in line.devices),
            "devices": [device.status() for device in line.devices],
        }


def _press_key(key: str, device: SimulatedOsdpDevice) -> bool:
    return device.press_keys(key)


def _hex(value: str) -> int:
    """Raises ValueError, without the number."""
    if not value or not all(c in "0123456789abcdefABCDEF" for c in value):
        raise ValueError("'value' must be hex digits without 0x")
    return int(value, 16)


async def _within(request: Request, wait: Callable[[], Awaitable[None]]) -> bool:
    """Whether it came to pass in the order's time."""
    try:
        async with asyncio.timeout(request.number("timeout_s", 5.0, most=MAX_WAIT_S)):
            await wait()
    except TimeoutError:
        return False
    return True
