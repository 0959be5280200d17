"""A simulated OSDP device (PD): a reader, a board of inputs and outputs, or both in one housing.

Owns sequence, session and what people do to the device; the answers are in osdp_commands.py, the
line is in osdp_line.py. Synchronous: whoever drives it says what time it is.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulators.line_faults import LineFaults
from simulators.osdp_commands import answer
from simulators.osdp_face import (
    Buzz,
    Buzzer,
    Changes,
    Display,
    Light,
    LightPattern,
    OutputState,
    Timed,
)
from simulators.osdp_faults import COUNTED, DEFAULT_AMOUNT, OsdpFault
from simulators.osdp_link import Answer, PdLink
from simulators.osdp_secure import KEY_SIZE
from simulators.osdp_wire import BROADCAST, Frame, Rep

OFFLINE_S = 8.0  # OSDP 2.2 §5.7: without a message for so long the panel is gone
BOOT_S = 0.3  # real devices take up to some seconds; tests need not wait for them
MAX_EVENTS = 64  # cards, keys and changes that wait for a POLL; further ones are lost
MAX_CARD_BITS = 1024
_KEYS = {**{key: ord(key) for key in "0123456789"}, "*": 0x7F, "#": 0x0D}
MAX_KEYS = 32
MARK = b"\xff"


@dataclass(frozen=True, slots=True)
class OsdpModel:
    """What a device is made of. `lights`: LEDs; `rows`: of text, 0 for no display."""

    name: str
    readers: int = 1
    lights: int = 1
    rows: int = 1
    outputs: int = 0
    inputs: int = 0
    rest_colour: str = "red"  # of the lights, before and after a panel commanded them
    secure_only: bool = False  # in clear only what is needed to open a session
    mark: bool = False  # an FF before each reply
    output_level: int = 3  # in PDCAP: timed; an old board has 1, and refuses times
    claims_crc: bool = True  # in PDCAP; it checks CRCs anyway
    naks_bad_check: bool = True  # else silent


READER = OsdpModel("reader")
BOARD = OsdpModel("board", readers=0, lights=0, rows=0, outputs=4, inputs=8)
MODELS = {model.name: model for model in (READER, BOARD)}


@dataclass(frozen=True, slots=True)
class Event:
    """What the next POLL gets."""

    code: int
    data: bytes = field(repr=False)


class SimulatedOsdpDevice:
    """`device = SimulatedOsdpDevice(0, READER, key=scbk)`, put on a SimulatedOsdpLine.

    `key` None: no key but the default one, as new. Raises ValueError for a wrong address or key.
    """

    def __init__(
        self,
        address: int,
        model: OsdpModel = READER,
        *,
        key: bytes | None = None,
        seed: int = 0,
        offline_s: float = OFFLINE_S,
        boot_s: float = BOOT_S,
    ) -> None:
        if not 0 <= address < BROADCAST:
            raise ValueError(f"OSDP address {address}: write one from 0 to {BROADCAST - 1}")
        if key is not None and len(key) != KEY_SIZE:
            raise ValueError(f"the key of address {address} must have {KEY_SIZE} bytes")
        self.address = address
        self.model = model
        self.key = key
        self.baud: int | None = None  # None: whatever the line has
        self.serial = 0x1000 + address
        self.random = random.Random(seed * 128 + address)
        self.faults = LineFaults(COUNTED)
        self.lights = [Light(LightPattern(model.rest_colour)) for _ in range(model.lights)]
        self.buzzer = Buzzer()
        self.display = Display(model.rows)
        self.outputs = [OutputState() for _ in range(model.outputs)]
        self.inputs = [False] * model.inputs
        self.reader_states = [0] * model.readers  # 0 normal, 1 not connected, 2 tampered with
        self.tamper = False
        self.power_failed = False
        self.online = False  # a panel speaks with it
        self.file_bytes = 0  # of the last file transfer
        self.keys_set = 0
        self.events_lost = 0
        self.delivered = 0  # events that went into a reply
        self.key_changed: Callable[[], None] | None = None  # who keeps keys
        self._offline_s, self._boot_s = offline_s, boot_s
        self._changes = Changes()
        self.link = PdLink(self.faults, self.random, self._carry_out)
        self._events: deque[Event] = deque()
        self._heard_s = self._now_s = 0.0
        self._deaf_until_s = -math.inf
        self._moves_to: tuple[int, int] | None = None

    # ------------------------------------------------------------------- what can be watched

    @property
    def secure(self) -> bool:
        """Whether a session is open, both sides having shown their keys."""
        return self.link.secure

    @property
    def secure_with_default_key(self) -> bool:
        session = self.link.session
        return session is not None and session.established and session.key_number == 0

    @property
    def text(self) -> str:
        return self.display.text

    @property
    def now_s(self) -> float:
        """The time at the last tick or message."""
        return self._now_s

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Returns when the condition, on states of this device, holds."""
        await self._changes.wait_for(condition)

    async def wait_for_light(self, colour: str, light: int = 0) -> None:
        """Returns when the LED shows that colour. Raises IndexError for no such LED."""
        shown = self.lights[light]
        await self.wait_until(lambda: shown.colour == colour)

    async def wait_for_output(self, output: int, energised: bool) -> None:
        """Returns when the relay is in that state. Raises IndexError for no such output."""
        state = self.outputs[output]
        await self.wait_until(lambda: state.energised == energised)

    async def wait_for_buzz(self, already: int = 0) -> Buzz:
        """The buzzer command after `already` earlier ones."""
        await self.wait_until(lambda: self.buzzer.orders > already)
        return self.buzzer.history[-1]

    async def wait_for_text(self, text: str) -> None:
        await self.wait_until(lambda: self.text == text)

    async def wait_online(self, online: bool = True) -> None:
        await self.wait_until(lambda: self.online == online)

    async def wait_secure(self, secure: bool = True) -> None:
        await self.wait_until(lambda: self.secure == secure)

    async def wait_delivered(self, count: int) -> None:
        """Returns when that many events, since the start, went into replies."""
        await self.wait_until(lambda: self.delivered >= count)

    # ------------------------------------------------------------------------- what people do

    def present_card(self, bit_count: int, value: int) -> bool:
        """Hold a card to the reader; False where it can't tell a panel: offline, or full.

        Raises ValueError, without the number.
        """
        if not 1 <= bit_count <= MAX_CARD_BITS or value < 0 or value >> bit_count:
            raise ValueError(f"a card has 1 to {MAX_CARD_BITS} bits, its value no more than that")
        self._needs_reader()
        size = -(-bit_count // 8)
        bits = (value << (size * 8 - bit_count)).to_bytes(size, "big")  # left-aligned
        return self._queue(Rep.RAW, b"\0\0" + bit_count.to_bytes(2, "little") + bits)

    def press_keys(self, keys: str, *, together: bool = False) -> bool:
        """Type; a reply for each key, or one for all. As `present_card` otherwise."""
        if not 1 <= len(keys) <= MAX_KEYS or not set(keys) <= set(_KEYS):
            raise ValueError(f"keys must be 1 to {MAX_KEYS} of {''.join(_KEYS)}")
        self._needs_reader()
        codes = bytes(_KEYS[key] for key in keys)
        bursts = [codes] if together else [bytes([code]) for code in codes]
        queued = [self._queue(Rep.KEYPAD, bytes([0, len(burst)]) + burst) for burst in bursts]
        return all(queued)

    def set_input(self, number: int, active: bool) -> None:
        """From 0. Raises IndexError for no such input."""
        if not 0 <= number < len(self.inputs):
            raise IndexError(f"no input {number}: this device has {len(self.inputs)}, from 0")
        if self.inputs[number] != active:
            self.inputs[number] = active
            self._queue(Rep.ISTATR, bytes(self.inputs))

    def set_tamper(self, active: bool) -> None:
        """Open the housing, or close it."""
        if self.tamper != active:
            self.tamper = active
            self._queue(Rep.LSTATR, self.local_status)

    def set_reader(self, number: int, state: int) -> None:
        """Cut an attached reader off (1), or tamper with it (2); 0 is as it should be. Raises
        IndexError for no such reader."""
        if not 0 <= number < len(self.reader_states):
            raise IndexError(f"it has {len(self.reader_states)} readers, from 0")
        if self.reader_states[number] != state:
            self.reader_states[number] = state
            self._queue(Rep.RSTATR, bytes(self.reader_states))

    def set_power_failed(self, failed: bool) -> None:
        """It says so, and goes on from its battery."""
        if self.power_failed != failed:
            self.power_failed = failed
            self._queue(Rep.LSTATR, self.local_status)

    @property
    def local_status(self) -> bytes:
        return bytes((self.tamper, self.power_failed))

    def power_cycle(self) -> None:
        """Off and on: no session, no sequence, no memory of lights; deaf while it starts."""
        self._deaf_until_s = self._now_s + self._boot_s
        for output in self.outputs:
            output.release()
        self._drop_panel()

    def lose_key(self) -> None:
        """As new: only the default key opens a session."""
        self.key = None
        self.power_cycle()

    def change_key(self) -> None:
        """Another key than the panel's."""
        self.key = self.random.randbytes(KEY_SIZE)
        self.power_cycle()

    def fault(self, kind: OsdpFault, times: int = 0, amount: float | None = None) -> None:
        """From now on, for `times` replies (0: until cleared). Raises ControlError."""
        if kind == OsdpFault.KEY_LOST:
            self.lose_key()
        elif kind == OsdpFault.WRONG_KEY:
            self.change_key()
        else:
            used = DEFAULT_AMOUNT.get(kind, 0.0) if amount is None else amount
            self.faults.put(kind, times, used)

    def _carry_out(self, command: Frame, data: bytes, sealed: bool) -> Answer:
        return answer(self, command, data, sealed)

    def _needs_reader(self) -> None:
        if not self.model.readers:
            raise ValueError(f"address {self.address} has no reader")

    def _queue(self, code: int, data: bytes) -> bool:
        full = len(self._events) >= MAX_EVENTS
        if not self.online or full:
            self.events_lost += full
            return False
        self._events.append(Event(code, data))
        return True

    # ------------------------------------------------------------------------------- the line

    def tick(self, now_s: float) -> None:
        """Time goes on: patterns end, a panel that says nothing is gone."""
        self._now_s = now_s
        timed: tuple[Timed, ...] = (*self.lights, self.buzzer, self.display, *self.outputs)
        ended = [each.tick(now_s) for each in timed]
        if any(ended):
            self._changes.notify()
        if self.online and now_s - self._heard_s > self._offline_s:
            self._drop_panel()

    def hears(self, raw: bytes, now_s: float) -> bool:
        """Whether a frame is for this device, and it is awake."""
        return raw[1] in {self.address, BROADCAST} and now_s >= self._deaf_until_s

    def handle(self, raw: bytes, now_s: float) -> bytes | None:
        """The reply to a frame, from its SOM to its check; None for silence."""
        self.tick(now_s)
        if not self.hears(raw, now_s):
            return None
        reply = self.link.reply(raw, naks_bad_check=self.model.naks_bad_check)
        if self.link.in_sequence:
            self._heard_s, self.online = now_s, True
        if self._moves_to is not None:
            self._move()
        self._changes.notify()
        return MARK + reply if reply is not None and self.model.mark else reply

    def _move(self) -> None:
        """COMSET has been answered: the panel has to come after it."""
        assert self._moves_to is not None  # noqa: S101  # the caller looked
        moved = self._moves_to != (self.address, self.baud)
        (self.address, self.baud), self._moves_to = self._moves_to, None
        if moved:
            self.link.drop()

    def _drop_panel(self) -> None:
        """As with no panel: lights at rest, nothing to tell."""
        self.link.drop()
        self.online = False
        self._events.clear()
        rest = LightPattern(self.model.rest_colour)
        for light in self.lights:
            light.show(rest, None, math.inf)
        self.buzzer.now = None
        self.display.clear()
        self._changes.notify()

    # --------------------------------------------------------------- what the commands need

    @property
    def readers(self) -> int:
        return self.model.readers

    @property
    def secure_only(self) -> bool:
        return self.model.secure_only

    @property
    def output_level(self) -> int:
        return self.model.output_level

    @property
    def claims_crc(self) -> bool:
        return self.model.claims_crc

    @property
    def waiting(self) -> int:
        """Cards, keys and changes that no reply has carried yet."""
        return len(self._events)

    def next_event(self) -> tuple[int, bytes] | None:
        """For the reply to a POLL; it is then delivered."""
        if not self._events:
            return None
        event = self._events.popleft()
        self.delivered += 1
        return event.code, event.data

    def keep_key(self, key: bytes) -> None:
        self.key = key
        self.keys_set += 1
        if self.key_changed is not None:
            self.key_changed()

    def move_to(self, address: int, baud: int) -> None:
        """Once the reply is on its way."""
        self._moves_to = address, baud

    def status(self) -> dict[str, Any]:
        """Without a key, a card or a PIN."""
        return {
            "address": self.address,
            "model": self.model.name,
            "online": self.online,
            "secure": self.secure,
            "default_key": self.key is None,
            "lights": [light.status() for light in self.lights],
            "buzzing": self.buzzer.now is not None,
            "buzzes": self.buzzer.orders,
            "text": self.text,
            "outputs": [output.energised for output in self.outputs],
            "inputs": self.inputs,
            "tamper": self.tamper,
            "power_failed": self.power_failed,
            "waiting": len(self._events),
            "delivered": self.delivered,
            "commands": self.link.commands,
            "retries": self.link.retries,
            "refused": self.link.refused,
            "security_errors": self.link.security_errors,
            "keys_set": self.keys_set,
            "faults": self.faults.status(),
        }
