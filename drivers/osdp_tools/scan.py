"""Who is on an OSDP line: every address at every baud rate asked once, in clear and for little.

Owns the asking. A device that is found is asked who made it, what it can do, and whether it takes a
command in clear text; nothing is set in it. Its session with a panel, if it had one, ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from drivers.line_ports import Port
from drivers.osdp_tools.words import capability, made_by
from drivers.protocols.osdp.commands import CAPABILITIES, IDENTIFY, LOCAL_STATUS, Command
from drivers.protocols.osdp.frame import Frame, FrameDecoder, answer_within_s, encode_frame
from drivers.protocols.osdp.replies import (
    Capabilities,
    DeviceBusy,
    DeviceId,
    Nak,
    NakCode,
    Reply,
    decode_reply,
)
from drivers.transport import check_url, open_port
from gatewayd.domain.ports import Malformed

BAUD_RATES = (9600, 19200, 38400, 57600, 115200, 230400)
ADDRESSES = range(127)
LONGEST_REPLY = 128  # bytes: a PDCAP of forty functions
TRIES = 3  # of what a device that is known to be there is asked
PAUSE_S = 0.005  # between a reply and the next command
_SECURITY = {NakCode.SECURITY_NOT_MET, NakCode.SECURITY_BLOCK_UNSUPPORTED}


@dataclass(frozen=True, slots=True)
class Found:
    """A device; `babble` is something that answers, and in no frame."""

    baud_rate: int
    address: int
    made: DeviceId | None = None
    capabilities: Capabilities | None = None
    secure_only: bool | None = None  # None: it did not say
    refused: str = ""
    babble: bool = False


@dataclass(frozen=True, slots=True)
class At:
    """How far the scan is."""

    baud_rate: int
    address: int


def scan_s(baud_rates: Sequence[int], addresses: Sequence[int]) -> float:
    """How long it takes on a line without devices; each that is there takes half a second more."""
    each = (answer_within_s(8, baud, LONGEST_REPLY) + PAUSE_S for baud in baud_rates)
    return sum(each) * len(addresses)


async def scan(
    url: str, baud_rates: Sequence[int], addresses: Sequence[int]
) -> AsyncGenerator[Found | At]:
    """What is found, as it is found, and where the scan is. Raises OSError where the line can't be
    opened or breaks, and ValueError for a URL that names none."""
    check_url(url)
    for baud_rate in baud_rates:
        port = await open_port(url, baud_rate)
        try:
            async with aclosing(_Asker(port, baud_rate).all_of(addresses)) as found:
                async for each in found:
                    yield each
        finally:
            await port.close()


def in_words(found: Found) -> list[str]:
    """For people, the first line with the place."""
    place = f"address {found.address} at {found.baud_rate} baud"
    if found.babble:
        return [
            f"{place}: something answers that is no OSDP frame: two devices with this address,"
            " another baud rate, or noise"
        ]
    lines = [f"{place}: {made_by(found.made) if found.made is not None else found.refused}"]
    if found.capabilities is not None:
        lines += [f"  {capability(entry)}" for entry in found.capabilities.entries]
    says = {
        True: "secure channel required: it refuses a command in clear text",
        False: "secure channel not required: it takes commands in clear text",
        None: "whether it requires a secure channel, it did not say",
    }
    return [*lines, f"  {says[found.secure_only]}"]


class _Asker:
    """One port at one speed."""

    def __init__(self, port: Port, baud_rate: int) -> None:
        self._port = port
        self._baud_rate = baud_rate

    async def all_of(self, addresses: Sequence[int]) -> AsyncGenerator[Found | At]:
        for address in addresses:
            yield At(self._baud_rate, address)
            found = await self._ask_all(address)
            if found is not None:
                yield found

    async def _ask_all(self, address: int) -> Found | None:
        found = Found(self._baud_rate, address)
        reply, babble = await self._ask(address, IDENTIFY, 0)
        if reply is None:
            return replace(found, babble=True) if babble else None
        if not isinstance(reply, DeviceId):
            why = reply.reason if isinstance(reply, Nak | Malformed) else "another reply than asked"
            found = replace(found, refused=f"does not say who made it ({why})")
        else:
            found = replace(found, made=reply)
        can = await self._ask_again(address, CAPABILITIES, 1)
        if isinstance(can, Capabilities):
            found = replace(found, capabilities=can)
        taken = await self._ask_again(address, LOCAL_STATUS, 2)
        if isinstance(taken, Nak):
            return replace(found, secure_only=taken.code in _SECURITY)
        return replace(found, secure_only=None if taken is None else False)

    async def _ask_again(
        self, address: int, command: Command, sequence: int
    ) -> Reply | Malformed | None:
        """Of a device that is there: the same bytes again where no answer came, or BUSY did."""
        for _ in range(TRIES):
            reply, _ = await self._ask(address, command, sequence)
            if reply is not None and not isinstance(reply, DeviceBusy):
                return reply
        return None

    async def _ask(
        self, address: int, command: Command, sequence: int
    ) -> tuple[Reply | Malformed | None, bool]:
        """The answer, and whether anything at all came."""
        frame = encode_frame(address, command.code, command.data, sequence=sequence)
        await asyncio.sleep(PAUSE_S)
        await self._port.write(frame)
        decoder, came, echo = FrameDecoder(), False, len(frame)
        try:
            async with asyncio.timeout(answer_within_s(len(frame), self._baud_rate, LONGEST_REPLY)):
                while data := await self._port.read():
                    came = came or data[:echo] != frame[: len(data)]
                    reply = _answer(decoder.feed(data), address)
                    if reply is not None:
                        return reply, True
        except TimeoutError:
            return _answer(decoder.quiet(), address), came
        raise OSError("the line was closed by its other end")


def _answer(found: Sequence[Frame | Malformed], address: int) -> Reply | Malformed | None:
    for frame in found:
        if isinstance(frame, Frame) and frame.is_reply and frame.address == address:
            return decode_reply(frame.code, frame.data)
    return None
