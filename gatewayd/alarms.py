"""The alarm desk: every alarm is raised, acknowledged and cleared here. Owns the open alarms.

Must not decide what is an alarm (doors, link and devices do) nor how it looks (the console does).
The table itself is `gatewayd.domain.alarm`; this gives it the journal, ids and one order of things.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from secrets import token_hex

from gatewayd.domain.alarm import AlarmEvent, OpenAlarm, OpenAlarms, apply, by_urgency, find
from gatewayd.domain.events import AlarmAcknowledged, AlarmCleared, AlarmRaised
from gatewayd.domain.model import ALARM_PRIORITY, AlarmKind
from gatewayd.domain.ports import Clock, Journal, JournalEntry, JournalError
from gatewayd.recorder import Recorder

log = logging.getLogger(__name__)

MAX_SIGNALS = 1_000  # waiting raises and clears; past it the oldest waits are refused, loudly


@dataclass(frozen=True, slots=True)
class Signal:
    kind: AlarmKind
    about: str
    active: bool
    detail: str = ""


class AlarmDesk:
    """Implements `gatewayd.domain.ports.AlarmDesk`."""

    def __init__(
        self,
        journal: Journal,
        recorder: Recorder,
        clock: Clock,
        on_raised: Callable[[OpenAlarm], None] = lambda _alarm: None,
    ) -> None:
        """`on_raised` is told each new alarm, e.g. to keep its picture; it must return at once."""
        self._journal = journal
        self._recorder = recorder
        self._clock = clock
        self._on_raised = on_raised
        self._alarms: OpenAlarms = {}
        self._signals: asyncio.Queue[Signal] = asyncio.Queue(MAX_SIGNALS)
        self._one_at_a_time = asyncio.Lock()
        self._handed_over = False

    def restore(self, entries: Iterable[JournalEntry]) -> None:
        """The open alarms of before the restart, from their journaled events in order."""
        for entry in entries:
            match entry.event:
                case AlarmRaised() | AlarmAcknowledged() | AlarmCleared() as event:
                    self._alarms = apply(self._alarms, event, entry.seq, entry.stamp)
                case _:
                    continue

    def open_alarms(self) -> Sequence[OpenAlarm]:
        return by_urgency(self._alarms)

    def signal(self, kind: AlarmKind, about: str, *, active: bool, detail: str = "") -> None:
        """Raise or clear without waiting; for tasks that must not wait for a disk."""
        try:
            self._signals.put_nowait(Signal(kind, about, active, detail))
        except asyncio.QueueFull:
            log.error("alarm desk is full: %s about %s not taken", kind, about)

    async def run(self) -> None:
        """Carry out what `signal` handed over, in its order, for ever."""
        while True:
            signal = await self._signals.get()
            if signal.active:
                await self.raise_alarm(signal.kind, signal.about, signal.detail)
            else:
                await self.clear(signal.kind, signal.about)

    async def raise_alarm(self, kind: AlarmKind, about: str, detail: str = "") -> str:
        async with self._one_at_a_time:
            already = find(self._alarms, kind, about)
            if already is not None:
                self._replace(replace(already, repeats=already.repeats + 1))
                return already.alarm_id
            alarm_id = token_hex(8)
            event = AlarmRaised(alarm_id, kind, ALARM_PRIORITY[kind], about, detail)
            await self._keep(event)
        self._on_raised(self._alarms[alarm_id])
        return alarm_id

    async def clear(self, kind: AlarmKind, about: str) -> None:
        async with self._one_at_a_time:
            alarm = find(self._alarms, kind, about)
            if alarm is not None:
                await self._keep(AlarmCleared(alarm.alarm_id, about))

    async def acknowledge(self, alarm_id: str, operator: str, note: str = "") -> OpenAlarm:
        """As the port says. Raises JournalError where the act could not be made durable."""
        async with self._one_at_a_time:
            alarm = self._alarms[alarm_id]
            if alarm.acknowledged_by is not None:
                return alarm
            if self._is_behind():
                raise JournalError(
                    f"alarm {alarm_id}: it is not on disk itself yet (acknowledge it again soon)"
                )
            event = AlarmAcknowledged(alarm_id, alarm.about, operator, note)
            stamp = self._clock.now()
            seq = await self._journal.append(event, stamp)
            self._alarms = apply(self._alarms, event, seq, stamp)
            return replace(alarm, acknowledged_by=operator)

    async def _keep(self, event: AlarmEvent) -> None:
        """Journal and apply. An alarm is shown even where the journal refuses; it follows later."""
        stamp, seq = self._clock.now(), 0
        if self._is_behind():
            self._recorder.record(event, stamp)
        else:
            try:
                seq = await self._journal.append(event, stamp)
            except JournalError:
                self._recorder.record(event, stamp)
                self._handed_over = True
        self._alarms = apply(self._alarms, event, seq, stamp)

    def _is_behind(self) -> bool:
        """Whether the recorder may still hold an alarm's event, which the next must not overtake:
        a restart would take a clearing before its raising for an alarm that is still open."""
        self._handed_over = self._handed_over and self._recorder.waiting > 0
        return self._handed_over

    def _replace(self, alarm: OpenAlarm) -> None:
        self._alarms = {**self._alarms, alarm.alarm_id: alarm}
