"""A reader made of libosdp, a C library that is none of ours, at the far end of a pty."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

import osdp

ADDRESS = 5
SOM = b"\x53"
REFRESH_S = 0.002  # libosdp has to be called again and again
_CAPABILITIES = [
    (osdp.Capability.CommunicationSecurity, 1, 1),
    (osdp.Capability.LEDControl, 1, 1),
    (osdp.Capability.AudibleControl, 1, 1),
    (osdp.Capability.TextOutput, 1, 1),
    (osdp.Capability.OutputControl, 1, 1),
    (osdp.Capability.ContactStatusMonitoring, 1, 2),
]


class FrameChannel(osdp.Channel):  # type: ignore[misc]  # libosdp has no types
    """Hands libosdp one whole frame at a time: since 3.2.0 it discards what a read cuts in two."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._held = b""

    def read(self, most: int) -> bytes:
        with contextlib.suppress(BlockingIOError):
            self._held += os.read(self._fd, most)
        self._held = self._held[max(self._held.find(SOM), 0) :]  # a mark may stand before it
        size = int.from_bytes(self._held[2:4], "little")
        if len(self._held) < 5 or len(self._held) < size:
            return b""
        frame, self._held = self._held[:size], self._held[size:]
        return frame

    def write(self, data: bytes) -> int:
        return os.write(self._fd, data)

    def flush(self) -> None:
        self._held = b""


class ForeignReader:
    """`commands`: what its application was told to do, LED, buzzer, text and so on."""

    def __init__(self, fd: int, key: bytes) -> None:
        self.commands: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        info = osdp.PDInfo(ADDRESS, FrameChannel(fd), scbk=key, flags=[osdp.LibFlag.EnforceSecure])
        self._device = osdp.PeripheralDevice(
            info,
            osdp.PDCapabilities(_CAPABILITIES),
            log_level=osdp.LogLevel.Emergency,
            command_handler=self._obey,
        )

    def _obey(self, command: dict[str, Any]) -> tuple[int, None]:
        self.commands.put_nowait(command)
        return 0, None

    async def run(self) -> None:
        while True:
            self._device.ctx.refresh()
            await asyncio.sleep(REFRESH_S)

    @property
    def secure(self) -> bool:
        return bool(self._device.is_sc_active())

    def present_card(self, bit_count: int, bits: int) -> None:
        size = -(-bit_count // 8)
        data = (bits << (size * 8 - bit_count)).to_bytes(size, "big")
        self._submit(
            event=osdp.Event.CardRead,
            reader_no=0,
            direction=0,
            format=osdp.CardFormat.Wiegand,
            length=bit_count,
            data=data,
        )

    def press_keys(self, codes: bytes) -> None:
        """Codes as they are on the wire: digits are ASCII, 7F is * and 0D is #."""
        self._submit(event=osdp.Event.KeyPress, reader_no=0, data=codes)

    def _submit(self, **event: Any) -> None:
        assert self._device.ctx.submit_event(event)
