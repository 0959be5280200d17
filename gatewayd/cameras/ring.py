"""The last seconds of one camera as compressed packets. Owns what is kept; must not decode or log.

The camera's thread puts packets in, the event loop cuts out what led up to a moment.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from gatewayd.domain.model import NS_PER_MS, NS_PER_S
from gatewayd.domain.ports import StreamInfo, VideoPacket

# 10 s of 1080p at 8 Mbit/s are 10 MB. A group of pictures larger than all of this is not worth a
# gatehouse box's memory: the ring then starts again at the next keyframe, and says so.
MAX_RING_BYTES = 24 * 1024 * 1024
# A picture older than this shows another moment than the event's.
MAX_AGE_NS = 2 * NS_PER_S


class NoPicture(Exception):  # noqa: N818  # an answer with its reason, not a fault of the program
    """There is no picture of that moment; the text says why, for the journal and the guard."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What must be decoded for one moment: a keyframe and all after it, in decoding order."""

    info: StreamInfo
    packets: tuple[VideoPacket, ...]


@dataclass(slots=True)
class _Group:
    """A keyframe with the packets that need it."""

    packets: list[VideoPacket] = field(default_factory=list)
    size: int = 0

    def add(self, packet: VideoPacket) -> None:
        self.packets.append(packet)
        self.size += len(packet.data)

    @property
    def first_ns(self) -> int:
        return self.packets[0].arrival_ns


class PacketRing:
    """Implements `gatewayd.domain.ports.VideoSink`; every method may be called from any thread.

    Always starts on a keyframe. Keeps at least `keep_s` seconds (once that many have come) and at
    most one group of pictures more, never more than `max_bytes`.
    """

    def __init__(self, keep_s: float, max_bytes: int = MAX_RING_BYTES) -> None:
        self._keep_ns = round(keep_s * NS_PER_S)
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._info: StreamInfo | None = None
        self._groups: deque[_Group] = deque()
        self._bytes = 0
        self._why_short = "no keyframe had come yet"

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def opened(self, info: StreamInfo) -> None:
        """A new connection: what came before can't be decoded together with what follows."""
        with self._lock:
            self._info = info
            self._empty("no keyframe had come yet since the camera connected")

    def packet(self, packet: VideoPacket) -> None:
        """Keep the packet, and let the oldest go. Before the first keyframe nothing is kept."""
        with self._lock:
            if packet.keyframe:
                self._groups.append(_Group())
            elif not self._groups:
                return
            self._groups[-1].add(packet)
            self._bytes += len(packet.data)
            self._trim(packet.arrival_ns)

    def packets(self) -> tuple[VideoPacket, ...]:
        """All that is kept, in decoding order."""
        with self._lock:
            return tuple(packet for group in self._groups for packet in group.packets)

    def cut(self, at_ns: int, max_age_ns: int = MAX_AGE_NS) -> Cut:
        """The packets that lead to the newest picture that had arrived at `at_ns` (monotonic).

        Raises NoPicture where there is none, or where it is older than `max_age_ns`.
        """
        with self._lock:
            info = self._info
            group = next((g for g in reversed(self._groups) if g.first_ns <= at_ns), None)
            packets = tuple(p for p in group.packets if p.arrival_ns <= at_ns) if group else ()
            why_short = self._why_short
        if info is None:
            raise NoPicture("the camera has not been connected since the gateway started")
        if not packets:
            raise NoPicture(why_short)
        age_ns = at_ns - packets[-1].arrival_ns
        if age_ns > max_age_ns:
            raise NoPicture(f"the camera's newest picture was {age_ns // NS_PER_MS} ms old")
        return Cut(info, packets)

    def _trim(self, newest_ns: int) -> None:
        while len(self._groups) > 1 and (
            self._bytes > self._max_bytes or self._groups[1].first_ns <= newest_ns - self._keep_ns
        ):
            self._bytes -= self._groups.popleft().size
            self._why_short = "the ring no longer reached back to that moment; see ring_s"
        if self._bytes > self._max_bytes:
            self._empty(
                f"one group of pictures is larger than the ring's {self._max_bytes} bytes; "
                "set a shorter keyframe interval or a lower bit rate in the camera"
            )

    def _empty(self, why: str) -> None:
        self._groups.clear()
        self._bytes = 0
        self._why_short = why
