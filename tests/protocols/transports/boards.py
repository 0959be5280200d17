"""A Modbus relay board on a pty, written from the wire's bytes, with faults to order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from tests.protocols.transports.lines import PtyDevice


def crc(body: bytes) -> bytes:
    """CRC-16/MODBUS, bit by bit."""
    register = 0xFFFF
    for byte in body:
        register ^= byte
        for _ in range(8):
            carry = register & 1
            register >>= 1
            if carry:
                register ^= 0xA001
    return bytes([register & 0xFF, register >> 8])


class Board:
    """Eight relays and eight inputs; `spoil` turns an answer into what is sent instead."""

    def __init__(self, device: PtyDevice, device_id: int = 1) -> None:
        self.device = device
        self.device_id = device_id
        self.relays = [False] * 8
        self.inputs = [False] * 8
        self.stuck = False
        self.times = False  # knows the vendor's timed pulses
        self.asked: list[bytes] = []
        self.polled = asyncio.Event()
        self.spoil: Callable[[bytes, bytes], bytes] = lambda _question, answer: answer
        self.others: list[Board] = []  # on the same line; this one listens to it for all
        self._held = b""

    def attach(self) -> None:
        assert self.device.master is not None
        asyncio.get_running_loop().add_reader(self.device.master, self._readable)

    def detach(self) -> None:
        if self.device.master is not None:
            asyncio.get_running_loop().remove_reader(self.device.master)

    def unplug(self) -> None:
        self.detach()
        self.device.unplug()

    def plug_in(self) -> None:
        self._held = b""
        self.device.plug_in()
        self.attach()

    def written(self) -> list[bytes]:
        return [frame for frame in self.asked if frame[1] == 5]

    def _readable(self) -> None:
        assert self.device.master is not None
        try:
            self._held += os.read(self.device.master, 256)
        except OSError:  # nobody has the other end open now
            return
        while len(self._held) >= 8:  # each question that the driver asks has eight bytes
            frame, self._held = self._held[:8], self._held[8:]
            assert crc(frame[:6]) == frame[6:]
            self.asked.append(frame)
            for board in (self, *self.others):
                board.hear(frame)

    def hear(self, frame: bytes) -> None:
        """Answer what is for this board."""
        if frame[0] == self.device_id:
            self.device.send(self.spoil(frame, self._answer(frame)))
            if frame[1] == 2:
                self.polled.set()

    def _answer(self, frame: bytes) -> bytes:
        function, address = frame[1], int.from_bytes(frame[2:4], "big")
        count = int.from_bytes(frame[4:6], "big")
        states = {1: self.relays, 2: self.inputs}.get(function, [])
        if function == 5 and self.times and address >> 8 in {2, 4}:
            self.relays[address & 0xFF] = address >> 8 == 2
            return frame
        if function == 5:
            if address >= len(self.relays):
                return self._refuse(function, 2)
            self.relays[address] = count == 0xFF00 and not self.stuck
            return frame
        if address + count > len(states):
            return self._refuse(function, 2)
        packed = sum(on << at for at, on in enumerate(states[address : address + count]))
        body = bytes([self.device_id, function, 1, packed])
        return body + crc(body)

    def _refuse(self, function: int, code: int) -> bytes:
        body = bytes([self.device_id, function | 0x80, code])
        return body + crc(body)
