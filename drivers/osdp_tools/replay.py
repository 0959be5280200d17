"""A capture put through the panel's own session again, byte for byte, and what it made of each
reply. No I/O and no clock: the captured panel's random numbers take the place of new ones.

Of each address the panel's side is replayed from its first frame with sequence 0. Every frame that
the session would send is compared with the captured one; where they differ, the capture is of
another panel, or of another version, and this address is given up until it begins anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from drivers.osdp_tools.words import command_name, made_by, reply_name, reply_says
from drivers.protocols.osdp.capture import Direction, Record, pieces_of
from drivers.protocols.osdp.commands import CHLNG_CODE, Command
from drivers.protocols.osdp.frame import SCS_11, SCS_17, Frame
from drivers.protocols.osdp.outcome import (
    Attack,
    Busy,
    Ignored,
    KeyInstalled,
    Opened,
    Outcome,
    Progress,
    Refused,
    Replied,
)
from drivers.protocols.osdp.session import Session
from gatewayd.domain.ports import Malformed


@dataclass(slots=True)
class _Panel:
    """The panel's side towards one address."""

    session: Session | None = None  # None: not begun, or given up
    random: bytes = b""  # of the captured challenge
    last: bytes = b""  # the last command


@dataclass(slots=True)
class Replay:
    """`keys`: by address, of those that spoke in a secure channel. `counts`: what was concluded."""

    keys: Mapping[int, bytes] = field(repr=False)
    personal: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _panels: dict[int, _Panel] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Every frame that the panel would send was the captured one."""
        return not self.counts["differs"]

    def through(self, records: Iterable[Record]) -> Iterator[tuple[int, str]]:
        """What the panel concludes, with the time of the record; nothing for a plain ACK."""
        for record, piece in pieces_of(records):
            frame = piece.found
            if isinstance(frame, Malformed):
                self.counts["malformed"] += 1
                said = f"  ?   malformed: {frame.reason}, {len(piece.raw)} bytes"
            elif frame.is_reply or record.direction is Direction.INPUT:
                said = self._reply(frame)
            else:
                said = self._command(frame)
            if said:
                yield record.time_ns, said

    def _command(self, frame: Frame) -> str:
        """The panel says this next: it must, of itself."""
        panel = self._panels.setdefault(frame.address, _Panel())
        repeated, panel.last = frame.raw == panel.last, frame.raw
        challenge = frame.block is not None and frame.block.type == SCS_11
        if challenge and frame.code == CHLNG_CODE:
            panel.random = frame.data
        if repeated and panel.session is not None:
            again = self._again(panel.session)
            if again is not None:
                return self._compare(frame, again)
        if frame.sequence == 0:
            panel.session = self._begin(frame.address, panel)
        if panel.session is None:
            return ""  # from before its first frame with sequence 0, or given up
        return self._compare(frame, self._next(panel.session, frame))

    def _begin(self, address: int, panel: _Panel) -> Session:
        def captured(length: int) -> bytes:
            return panel.random.ljust(length, b"\0")

        key = self.keys.get(address)
        return Session(address, key, random_bytes=captured)

    def _again(self, session: Session) -> bytes | None:
        """None: it was answered, so this is no repeat."""
        try:
            return session.again()
        except RuntimeError:
            return None

    def _next(self, session: Session, frame: Frame) -> bytes:
        """What this panel says now: of itself while it opens, else what the captured one did."""
        data = frame.data
        if frame.block is not None and frame.block.type == SCS_17:
            data = session.reveal(frame.data) or b""
        command = None if session.needs_opening else Command(frame.code, data)
        try:
            return session.next_frame(command)
        except (RuntimeError, ValueError):  # the last one is unanswered, or not for a caller to say
            return b""

    def _compare(self, frame: Frame, ours: bytes) -> str:
        if ours == frame.raw:
            self.counts["commands"] += 1
            return ""
        self.counts["differs"] += 1
        self._panels[frame.address].session = None
        return (
            f"{frame.address:3} > {command_name(frame.code)}: this panel would say otherwise; not"
            " followed until it begins anew"
        )

    def _reply(self, frame: Frame) -> str:
        told = []
        for address, panel in self._panels.items():
            if panel.session is None:
                continue
            outcome = panel.session.receive(frame)
            said = self._concluded(outcome, frame)
            if said:
                told.append(f"{address:3} < {said}")
        return "; ".join(told)

    def _concluded(self, outcome: Outcome, frame: Frame) -> str:
        name = reply_name(frame.code)
        match outcome:
            case Ignored() | Progress():
                return ""
            case Opened():
                channel = "in the secure channel" if outcome.secure else "in clear text"
                return self._count("opened", f"online, {channel}: {made_by(outcome.device_id)}")
            case KeyInstalled():
                return self._count("keys", "its new key is acknowledged")
            case Replied(reply):
                said = reply_says(reply, personal=self.personal)
                return self._count(name, f"{name} {said}") if said else ""
            case Refused(nak):
                return self._count("refused", f"refuses: {nak.reason}")
            case Busy():
                return self._count("busy", "busy, or could not read the frame")
            case Attack():
                kind = outcome.kind.value.replace("_", " ")
                return self._count("attacks", f"ATTACK, {kind}: {outcome.detail}")

    def _count(self, what: str, said: str) -> str:
        self.counts[what] += 1
        return said
