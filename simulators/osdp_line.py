"""A simulated RS-485 line on a pseudo-terminal with OSDP devices on it. Owns the wire: its time in
both directions, who answers, what is lost or collides. Must not know commands or keys.
"""

from __future__ import annotations

import asyncio
import random
import termios
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from simulators import pace
from simulators.control import ControlError, ControlTable
from simulators.device import Device
from simulators.line_faults import LineFaults
from simulators.osdp_device import SimulatedOsdpDevice
from simulators.osdp_faults import (
    DEFAULT_AMOUNT,
    ON_WIRE,
    OsdpFault,
    collide,
    flip_bit,
    lose_bytes,
)
from simulators.osdp_orders import LineControls
from simulators.osdp_wire import FrameScanner
from simulators.pty_line import BITS_PER_BYTE, PtyLine

REPLY_DELAY_S = 0.002  # of a quick device; OSDP allows 200 ms
TICK_S = 0.05  # half of the wire's unit of time
MAX_FRAMES = 16  # frames that wait; a half-duplex line has one
MAX_SHIFT = 3  # bytes between the first bytes of two devices that collide
_TWIN_SEED = 1  # added: a twin's nonces are its own
_BAUD_OF = {
    getattr(termios, f"B{baud}"): baud for baud in (1200, 2400, 4800, 9600, 19200, 38400, 57600)
} | {termios.B115200: 115_200}


class Rs485Pty(PtyLine):
    """A pty with the pace that the client set, or with its own where the client set none."""

    def plug(self) -> None:
        was_plugged = self.plugged
        super().plug()
        if self._fds is not None and not was_plugged:
            attributes = termios.tcgetattr(self._fds[1])
            attributes[4] = attributes[5] = termios.B50  # nobody uses it: "not set yet"
            termios.tcsetattr(self._fds[1], termios.TCSANOW, attributes)

    def follow_client(self, otherwise: int) -> int:
        """The baud rate from now on."""
        speed = termios.tcgetattr(self._fds[1])[4] if self._fds is not None else termios.B50
        baud = _BAUD_OF.get(speed, otherwise)
        self._byte_s = BITS_PER_BYTE / baud
        return baud


class SimulatedOsdpLine(Device):
    """`async with SimulatedOsdpLine(link, [SimulatedOsdpDevice(0)], baud=9600) as line:`.

    Half-duplex: what comes in while a reply goes out is lost. Raises ValueError for a device twice.
    """

    def __init__(
        self,
        link: Path,
        devices: Sequence[SimulatedOsdpDevice],
        *,
        baud: int = 9600,
        reply_delay_s: float = REPLY_DELAY_S,
        seed: int = 0,
        control: Path | None = None,
    ) -> None:
        super().__init__(control)
        addresses = [device.address for device in devices]
        if len(set(addresses)) < len(addresses):
            raise ValueError("two devices have the same address: give each its own")
        self.devices = list(devices)
        for device in self.devices:
            device.baud = device.baud or baud
        self.baud = baud
        self.faults = LineFaults(ON_WIRE)
        self.pty = Rs485Pty(link, baud, seed, self._received)
        self.reply_delay_s = reply_delay_s
        self.frames = 0  # found on the wire
        self.replies = 0
        self.collisions = 0  # bytes that came while a reply went out, and replies of two devices
        self.busy_s = 0.0  # the wire's time, both ways
        self._seed = seed
        self._random = random.Random(seed)
        self._scanner = FrameScanner()
        self._frames: deque[tuple[bytes, float, int]] = deque(maxlen=MAX_FRAMES)
        self._arrived = asyncio.Event()
        self._sending = asyncio.Lock()
        self._wire_until_s = 0.0
        self._twins: dict[int, SimulatedOsdpDevice] = {}

    async def open(self) -> None:
        self.pty.plug()
        self.start(self._serve(), "OSDP line")
        self.start(self._tick(), "OSDP devices")

    def close(self) -> None:
        self.pty.unplug()

    def ready(self) -> Mapping[str, Any]:
        devices = [{"address": d.address, "model": d.model.name} for d in self.devices]
        return {"link": str(self.pty.link), "baud": self.baud, "devices": devices}

    def controls(self) -> ControlTable:
        return LineControls(self).table()

    def device(self, address: int) -> SimulatedOsdpDevice:
        """Raises KeyError for no such address."""
        for device in self.devices:
            if device.address == address:
                return device
        raise KeyError(address)

    # ------------------------------------------------------------------------------ faults

    def fault(
        self,
        kind: OsdpFault,
        device: int | None = None,
        times: int = 0,
        amount: float | None = None,
    ) -> None:
        """Of one device, or of the line and all on it; for `times` replies (0: until cleared).

        Raises KeyError for no such device, ControlError for a fault that the device can't have.
        """
        if kind == OsdpFault.UNPLUG:
            if device is not None:
                raise ControlError("'unplug' is of the whole adapter: name no device")
            self.unplug()
        elif device is not None:
            self.device(device).fault(kind, times, amount)
        elif kind in ON_WIRE:
            self.faults.put(
                kind, times, DEFAULT_AMOUNT.get(kind, 0.0) if amount is None else amount
            )
        else:
            for each in self.devices:
                each.fault(kind, times, amount)

    def unplug(self) -> None:
        """Pull the adapter: the client sees end of file or EIO, and the link is gone."""
        self.pty.unplug()
        self._scanner.clear()
        self._frames.clear()

    def replug(self) -> None:
        """A new pty under the same link; the devices had power all the time. Raises OSError."""
        self.pty.plug()

    def clear(self) -> None:
        """No fault any more, and plugged; keys stay as they are. Raises OSError."""
        self.faults.clear()
        for device in self.devices:
            device.faults.clear()
        self._twins.clear()
        self.replug()

    async def send_noise(self) -> None:
        """Random bytes, between replies."""
        async with self._sending:
            await self.pty.send(self.pty.noise())

    def _take(self, kind: OsdpFault, device: SimulatedOsdpDevice | None) -> float | None:
        amount = device.faults.take(kind) if device is not None else None
        return self.faults.take(kind) if amount is None else amount

    # ---------------------------------------------------------------------------- the wire

    def _received(self, data: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._sending.locked():
            self.collisions += len(data)
            return
        self.baud = self.pty.follow_client(self.baud)
        self._wire_until_s = max(self._wire_until_s, now_s) + len(data) * self.pty.byte_s
        self.busy_s += len(data) * self.pty.byte_s
        probability = self.faults.take(OsdpFault.LOSS)
        if probability is not None:
            data = lose_bytes(data, probability, self._random)
        for frame in self._scanner.feed(data, now_s):
            self._frames.append((frame, self._wire_until_s, self.baud))
            self._arrived.set()

    async def _serve(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._frames:
                raw, whole_s, baud = self._frames.popleft()
                self.frames += 1
                await self._respond(raw, whole_s, baud)

    async def _respond(self, raw: bytes, whole_s: float, baud: int) -> None:
        """A pty hands over at once what a wire takes its time for: until `whole_s`."""
        await pace.until(whole_s)
        now_s = time.monotonic()
        answers = [
            (device, reply)
            for device in self._listening(raw, now_s, baud)
            if (reply := device.handle(raw, now_s)) is not None
        ]
        if answers:
            await self._send(answers)

    def _listening(self, raw: bytes, now_s: float, baud: int) -> list[SimulatedOsdpDevice]:
        """Who hears the frame, twins too; at another pace it is noise."""
        hearing = []
        for device in self.devices:
            if device.baud != baud or not device.hears(raw, now_s):
                continue
            if self._take(OsdpFault.SILENCE, device) is not None or self._is_spoilt(raw, device):
                continue
            hearing.append(device)
            if self._take(OsdpFault.DUPLICATE_ADDRESS, device) is not None:
                hearing.append(self._twin(device))
        return hearing

    def _is_spoilt(self, raw: bytes, device: SimulatedOsdpDevice) -> bool:
        """Whether this device lost a byte of it on its own stub of the cable."""
        probability = device.faults.take(OsdpFault.LOSS)
        return probability is not None and lose_bytes(raw, probability, self._random) != raw

    def _twin(self, device: SimulatedOsdpDevice) -> SimulatedOsdpDevice:
        twin = self._twins.get(device.address)
        if twin is None:
            seed = self._seed + _TWIN_SEED
            twin = SimulatedOsdpDevice(device.address, device.model, seed=seed)
            twin.serial += 0x1000
            self._twins[device.address] = twin
        return twin

    async def _send(self, answers: list[tuple[SimulatedOsdpDevice, bytes]]) -> None:
        device, data = answers[0]
        for _, other in answers[1:]:
            self.collisions += 1
            data = collide(data, other, self._random.randint(1, MAX_SHIFT))
        late_s = self._take(OsdpFault.LATE, device) or 0.0
        await pace.until(time.monotonic() + self.reply_delay_s + late_s)
        data = self._spoil(data, device)
        slowdown = self._take(OsdpFault.SLOW, device) or 1.0
        async with self._sending:
            await self.pty.send(data, slowdown=slowdown)
        self.replies += 1
        self.busy_s += len(data) * self.pty.byte_s * slowdown

    def _spoil(self, data: bytes, device: SimulatedOsdpDevice) -> bytes:
        if self._take(OsdpFault.CORRUPT, device) is not None:
            data = flip_bit(data, 0, len(data), self._random)
        if self._take(OsdpFault.HALF, device) is not None:
            data = data[: len(data) // 2]
        if (probability := self._take(OsdpFault.LOSS, device)) is not None:
            data = lose_bytes(data, probability, self._random)
        if self._take(OsdpFault.NOISE, device) is not None:
            data = self.pty.noise() + data + self.pty.noise()
        return data

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for device in (*self.devices, *self._twins.values()):
                device.tick(loop.time())
            await asyncio.sleep(TICK_S)
