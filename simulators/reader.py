"""A simulated reader on a pseudo-terminal: of cards, or of texts such as QR passes and plates. Owns
presentations, typing and their faults; the bytes are made in reader_frames.py, the line is in
pty_line.py.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from simulators.control import ControlError, ControlTable, Reply, Request, Verb
from simulators.device import Device, run_device
from simulators.line_faults import MAX_SLOWDOWN, MAX_TIMES, LineFaults
from simulators.pty_line import BAUDS, PtyLine
from simulators.reader_frames import (
    ENCODINGS,
    KEYPADS,
    KINDS,
    LINE,
    LINE_ENDS,
    MAX_KEYS,
    MAX_TEXT,
    LineForm,
    frame_of,
    key_bursts,
    parse_value,
)

NAME = "reader"
HELP = "a reader of cards or texts on a pseudo-terminal, with faults to order"

# What repeats for as long as it is held there, start to start: a tag, a code before a scanner.
REPEATS_S = {"rdm6300": 0.05, LINE: 0.5}
MAX_HOLD_S = 25.0  # less than a control client waits for its reply
KEY_GAP_S = 0.2  # from key to key, as somebody types who knows the PIN
MAX_KEY_GAP_S = MAX_HOLD_S / MAX_KEYS
FAULTS = ("noise", "silence", "slow", "duplicate", "bad_checksum", "bad_parity", "half")
_PLUGGING = ("unplug", "replug")
_CHECKED = ("id12", "rdm6300", "wiegand-binary")
_WITH_PARITY = _WITH_KEYPAD = ("wiegand-hex", "wiegand-binary")

# The bytes of one transmission, with a spoilt checksum and with a spoilt parity or without.
Frame = Callable[[bool, bool], bytes]


@dataclass(frozen=True, slots=True)
class Presentation:
    """What went over the line for one card or text. The times are None where nothing did.

    `first_ns` and `sent_ns`: monotonic ns after the last byte of the first and of the last frame.
    `count`: presentations that reached the line since the start, this one included.
    """

    sent: bool
    frames: int
    count: int
    first_ns: int | None
    sent_ns: int | None


@dataclass(frozen=True, slots=True)
class Typed:
    """What went over the line for some keys: `sent` if all of them did, `keys` how many.

    `first_ns` and `sent_ns`: monotonic ns after the last byte of the first and of the last key.
    """

    sent: bool
    keys: int
    first_ns: int | None
    sent_ns: int | None


class SimulatedReader(Device):
    """`async with SimulatedReader("id12", link) as r: await r.present(40, "100086F444")`."""

    def __init__(
        self,
        kind: str,
        link: Path,
        *,
        keypad: int | None = None,
        form: LineForm | None = None,
        baud: int = 9600,
        seed: int = 0,
        control: Path | None = None,
    ) -> None:
        """`form` is how a line reader writes; the others have none."""
        super().__init__(control)
        if kind not in KINDS:
            raise ValueError(f"no reader kind {kind!r}; known: {', '.join(KINDS)}")
        if keypad is not None and kind not in _WITH_KEYPAD:
            raise ValueError(f"{kind} has no keypad: use {' or '.join(_WITH_KEYPAD)}")
        if form is not None and kind != LINE:
            raise ValueError(f"{kind} sends no text: encoding, ends and the like are for {LINE!r}")
        self._kind = kind
        self._keypad = keypad
        self._form = form or LineForm()
        self._line = PtyLine(link, baud, seed)
        self._faults = LineFaults(FAULTS)
        self._turn = asyncio.Lock()  # one card in the field, or one hand at the keys
        self._presented = 0
        self._keys = 0
        self._frames = 0

    async def open(self) -> None:
        self._line.plug()

    def close(self) -> None:
        self._line.unplug()

    def ready(self) -> Mapping[str, Any]:
        return {"link": str(self._line.link), "kind": self._kind, "keypad": self._keypad}

    def controls(self) -> ControlTable:
        return {
            "present": Verb(self._order_present, ("bits", "value", "text", "hold_s")),
            "press": Verb(self._order_press, ("keys", "gap_s")),
            "fault": Verb(self._order_fault, ("kind", "times", "factor")),
            "clear": Verb(self._order_clear),
            "status": Verb(self._order_status),
        }

    # ---------------------------------------------------------------------- cards and keys

    async def present(self, bits: int, value: str, hold_s: float = 0.0) -> Presentation:
        """Hold a card to the reader; returns after the last byte. Raises ValueError."""
        number = parse_value(self._kind, bits, value)
        return await self._present(partial(self._card_frame, bits, number), hold_s)

    async def show(self, text: str, hold_s: float = 0.0) -> Presentation:
        """Hold a code, or a plate, before the reader; returns after the last byte.

        Raises ValueError, without the text, where this reader can't send it.
        """
        if self._kind != LINE:
            raise ValueError(f"{self._kind} sends no text: start a reader of --kind {LINE}")
        frame = self._form.frame_of(text)
        return await self._present(lambda _checksum, _parity: frame, hold_s)

    def _card_frame(
        self, bits: int, number: int, spoil_checksum: bool, spoil_parity: bool
    ) -> bytes:
        if spoil_parity:
            number ^= 1  # a parity bit in each common format; of a key, its code
        return frame_of(self._kind, bits, number, spoil_checksum=spoil_checksum)

    async def _present(self, frame: Frame, hold_s: float) -> Presentation:
        async with self._turn:
            if self._faults.take("silence") is not None or not self._line.plugged:
                return Presentation(False, 0, self._presented, None, None)
            return await self._send_held(frame, hold_s)

    async def _send_held(self, frame: Frame, hold_s: float) -> Presentation:
        """Once, or with a reader that repeats what it sees again and again for as long as that."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        repeat_s = REPEATS_S.get(self._kind)
        times: list[int] = []
        while True:
            sent_ns = await self._send_frame(frame)
            if sent_ns is None:
                break
            times.append(sent_ns)
            if repeat_s is None:
                break
            next_s = start + len(times) * repeat_s
            if max(next_s, loop.time()) - start > hold_s:
                break
            await asyncio.sleep(max(next_s - loop.time(), 0))
        self._presented += bool(times)
        first, last = (times[0], times[-1]) if times else (None, None)
        return Presentation(bool(times), len(times), self._presented, first, last)

    async def press(self, keys: str, gap_s: float = KEY_GAP_S) -> Typed:
        """Type, each key `gap_s` after the one before; returns after the last. Raises ValueError.

        A key that does not get through is pressed all the same: whoever types does not notice.
        """
        bursts = key_bursts(self._kind, self._keypad, keys)
        times: list[int] = []
        async with self._turn:
            for number, burst in enumerate(bursts):
                await asyncio.sleep(gap_s if number else 0)
                if (sent_ns := await self._send_key(burst)) is not None:
                    times.append(sent_ns)
        self._keys += len(times)
        first, last = (times[0], times[-1]) if times else (None, None)
        return Typed(len(times) == len(bursts), len(times), first, last)

    async def _send_key(self, burst: int) -> int | None:
        assert self._keypad is not None  # noqa: S101  # `key_bursts` raised where there is none
        if self._faults.take("silence") is not None:
            return None
        return await self._send_frame(partial(self._card_frame, self._keypad, burst))

    async def _send_frame(self, frame: Frame) -> int | None:
        """Send one transmission with whatever is wrong now; None where the line was unplugged."""
        spoil_parity = self._faults.take("bad_parity") is not None
        data = frame(self._faults.take("bad_checksum") is not None, spoil_parity)
        if self._faults.take("half") is not None:
            data = data[: len(data) // 2]
        if self._faults.take("duplicate") is not None:
            data += data
        if self._faults.take("noise") is not None:
            data = self._line.noise() + data + self._line.noise()
        slowdown = self._faults.take("slow") or 1.0
        sent_ns = await self._line.send(data, slowdown=slowdown)
        self._frames += sent_ns is not None
        return sent_ns

    # ------------------------------------------------------------------------------ faults

    def fault(self, kind: str, times: int = 0, factor: float = 10.0) -> None:
        """From now on, for `times` transmissions (0: until `clear`). Raises ControlError."""
        if self._kind == LINE and kind in ("bad_checksum", "bad_parity"):
            raise ControlError(f"a {LINE} carries neither checksum nor parity: use half or noise")
        if kind == "bad_checksum" and self._kind not in _CHECKED:
            raise ControlError(f"{self._kind} carries no checksum: use bad_parity")
        if kind == "bad_parity" and self._kind not in _WITH_PARITY:
            raise ControlError(f"{self._kind} carries no parity: use bad_checksum")
        self._faults.put(kind, times, factor)

    def unplug(self) -> None:
        """Pull the cable: the client sees end of file or EIO, and the link is gone."""
        self._line.unplug()

    def replug(self) -> None:
        """Put the cable back: a new pty under the same link. Raises OSError."""
        self._line.plug()

    def clear(self) -> None:
        """All well again, and plugged. Raises OSError."""
        self._faults.clear()
        self._line.plug()

    # ------------------------------------------------------------------------------ orders

    async def _order_present(self, request: Request) -> Reply:
        hold_s = request.number("hold_s", 0.0, most=MAX_HOLD_S)
        try:
            if self._kind == LINE or "text" in request.fields:
                if {"bits", "value"} & request.fields.keys():
                    raise ControlError("write 'text', or 'bits' and 'value', not both")
                return asdict(await self.show(request.text("text", most=MAX_TEXT), hold_s))
            bits = request.integer("bits", least=1, most=255)
            return asdict(await self.present(bits, request.text("value", most=64), hold_s))
        except ValueError as error:
            raise ControlError(str(error)) from error

    async def _order_press(self, request: Request) -> Reply:
        gap_s = request.number("gap_s", KEY_GAP_S, most=MAX_KEY_GAP_S)
        try:
            return asdict(await self.press(request.text("keys"), gap_s))
        except ValueError as error:
            raise ControlError(str(error)) from error

    async def _order_fault(self, request: Request) -> Reply:
        kind = request.choice("kind", FAULTS + _PLUGGING)
        times = request.integer("times", 0, most=MAX_TIMES)
        factor = request.number("factor", 10.0, least=1, most=MAX_SLOWDOWN)
        if kind == "unplug":
            self.unplug()
        elif kind == "replug":
            self._plug()
        else:
            self.fault(kind, times, factor)
        if kind == "noise" and not self._turn.locked():
            async with self._turn:  # at once, between the frames, too
                await self._line.send(self._line.noise())
        return {"faults": self._faults.status(), "plugged": self._line.plugged}

    async def _order_clear(self, _request: Request) -> Reply:
        self._faults.clear()
        self._plug()
        return {"plugged": self._line.plugged}

    def _plug(self) -> None:
        try:
            self._line.plug()
        except OSError as error:
            raise ControlError(f"can't plug in again: {error}") from error

    async def _order_status(self, _request: Request) -> Reply:
        return {
            "kind": self._kind,
            "link": str(self._line.link),
            "plugged": self._line.plugged,
            "keypad": self._keypad,
            "presented": self._presented,
            "keys": self._keys,
            "frames": self._frames,
            "bytes": self._line.bytes_sent,
            "bytes_lost": self._line.bytes_lost,
            "faults": self._faults.status(),
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--link", type=Path, required=True, help="link to the client's end")
    parser.add_argument("--kind", choices=KINDS, default="id12", help="what it speaks")
    parser.add_argument("--keypad", type=int, choices=KEYPADS, help="has keys: bits of each")
    parser.add_argument("--encoding", choices=ENCODINGS, help="of a line; utf-8 if not given")
    parser.add_argument("--prefix", help="in front of each line")
    parser.add_argument("--suffix", help="behind each line, before its end")
    parser.add_argument("--line-end", choices=tuple(LINE_ENDS), help="crlf if not given")
    parser.add_argument("--baud", type=int, choices=BAUDS, default=9600, help="pace of the bytes")
    parser.add_argument("--seed", type=int, default=0, help="of noise and fragments")
    parser.add_argument("--control", type=Path, help="Unix socket for orders")


async def run(args: argparse.Namespace) -> int:
    """Be a reader until cancelled or told to quit."""
    reader = SimulatedReader(
        args.kind,
        args.link,
        keypad=args.keypad,
        form=_form(args),
        baud=args.baud,
        seed=args.seed,
        control=args.control,
    )
    return await run_device(reader)


def _form(args: argparse.Namespace) -> LineForm | None:
    """None where nothing of it was said."""
    names = {"encoding": "encoding", "prefix": "prefix", "suffix": "suffix", "line_end": "end"}
    said = {
        field: value
        for option, field in names.items()
        if (value := getattr(args, option)) is not None
    }
    return LineForm(**said) if said else None
