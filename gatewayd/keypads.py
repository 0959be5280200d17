"""Typing at readers with keys: `domain.keypad.step` with a clock and a way on. Owns what was typed
and not yet presented; must not compare a PIN (`gatewayd.memory` does) nor decide.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gatewayd.domain import keypad
from gatewayd.domain.keypad import CardShown, Entry, Feedback, Layout, Needs, Present, PresentCode
from gatewayd.domain.model import AccessPoint, AccessPointId, Credential, Stamp, Tap, Verification
from gatewayd.domain.ports import Clock, KeyPressed, Presented

_CODES = frozenset({Verification.PIN, Verification.CARD_OR_PIN})


@dataclass(slots=True)
class _Pad:
    """One access point's entry so far, and the stamp of its last card or key."""

    layout: Layout
    entry: Entry = keypad.IDLE
    typed: asyncio.Event = field(default_factory=asyncio.Event)


class Keypads:
    """All of the box. `card` and `key` return at once; `run` lets entries time out."""

    def __init__(
        self,
        points: Mapping[AccessPointId, AccessPoint],
        clock: Clock,
        needs: Callable[[AccessPointId, Presented], Needs],
        present: Callable[[Tap], None],
        code: Callable[[str], Credential | None],
        waits_for_pin: Callable[[AccessPointId, bool], None] = lambda _point, _waits: None,
    ) -> None:
        """`code` makes a credential of digits alone; None where the site has no key for that.
        `waits_for_pin` is told when a card begins or ceases to wait for its PIN."""
        self._clock = clock
        self._needs = needs
        self._present = present
        self._code = code
        self._waits_for_pin = waits_for_pin
        self._pads = {
            point.id: _Pad(Layout(codes=point.verification in _CODES))
            for point in points.values()
            if point.verification is not Verification.CARD
        }

    def card(self, point_id: AccessPointId, shown: Presented) -> bool:
        """Take a card; False where this access point never asks for a PIN, and nothing was done."""
        pad = self._pads.get(point_id)
        if pad is None:
            return False
        event = CardShown(shown.credential, self._needs(point_id, shown))
        self._step(point_id, pad, event, shown.stamp)
        return True

    def key(self, point_id: AccessPointId, pressed: KeyPressed) -> None:
        """Take a key; one at an access point that never asks for a PIN is not even remembered."""
        pad = self._pads.get(point_id)
        if pad is not None:
            self._step(point_id, pad, keypad.KeyPressed(pressed.key), pressed.stamp)

    def _step(self, point_id: AccessPointId, pad: _Pad, event: keypad.Input, stamp: Stamp) -> None:
        waited = pad.entry.card is not None
        pad.entry, outputs = keypad.step(pad.entry, event, stamp.monotonic_ns, pad.layout)
        if (waits := pad.entry.card is not None) is not waited:
            self._waits_for_pin(point_id, waits)
        for output in outputs:
            match output:
                case Present():
                    self._present(Tap(point_id, output.card, stamp, output.pin))
                case PresentCode():
                    code = self._code(output.digits)
                    if code is not None:
                        self._present(Tap(point_id, code, stamp))
                case Feedback():
                    continue
        pad.typed.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for point_id, pad in self._pads.items():
                group.create_task(self._time_out(point_id, pad), name=f"keypad {point_id}")

    async def _time_out(self, point_id: AccessPointId, pad: _Pad) -> None:
        """A deadline only ever moves later, or goes: waking at an old one does no harm."""
        while True:
            deadline_ns = keypad.next_deadline_ns(pad.entry)
            if deadline_ns is None:
                pad.typed.clear()
                await pad.typed.wait()
                continue
            await self._clock.sleep_until(deadline_ns)
            self._step(point_id, pad, keypad.TimePassed(), self._clock.now())
