"""H.264 in RTP: RFC 3550 headers and sender reports, RFC 6184 single NAL units and FU-A. Pure:
bytes to bytes, no sockets and no clocks.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

MAX_PAYLOAD = 1400  # fits an Ethernet frame with IP, UDP and RTP headers
CLOCK_HZ = 90_000  # RFC 6184 §5.1
PAYLOAD_TYPE = 96  # the first dynamic one
_FU_A = 28
_START_CODE = re.compile(rb"\x00\x00\x00?\x01")

NAL_IDR, NAL_SPS, NAL_PPS = 5, 7, 8


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One compressed picture, cut into RTP payloads. `ticks` is its time at 90 kHz."""

    number: int
    produced_ns: int
    ticks: int
    keyframe: bool
    payloads: tuple[bytes, ...]


def split_nals(annexb: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, without start codes and trailing zeros."""
    return [nal.rstrip(b"\x00") for nal in _START_CODE.split(annexb) if nal]


def nal_type(nal: bytes) -> int:
    return nal[0] & 0x1F


def payloads_of(nal: bytes, most: int = MAX_PAYLOAD) -> list[bytes]:
    """One payload where the NAL unit fits, else FU-A fragments (RFC 6184 §5.6, §5.8)."""
    if len(nal) <= most:
        return [nal]
    indicator = nal[0] & 0xE0 | _FU_A
    kind = nal[0] & 0x1F
    body = nal[1:]
    step = most - 2
    pieces = [body[i : i + step] for i in range(0, len(body), step)]
    last = len(pieces) - 1
    return [
        bytes((indicator, (i == 0) << 7 | (i == last) << 6 | kind)) + piece
        for i, piece in enumerate(pieces)
    ]


def payloads_of_picture(annexb: bytes) -> tuple[bytes, ...]:
    """All payloads of one picture in order; the last one's packet carries the marker bit."""
    return tuple(payload for nal in split_nals(annexb) for payload in payloads_of(nal))


class RtpStream:
    """One receiver's numbering: sequence, SSRC, time offset, and counts for its reports."""

    def __init__(self, ssrc: int, first_seq: int, ticks_offset: int) -> None:
        self.ssrc = ssrc
        self.next_seq = first_seq & 0xFFFF
        self._offset = ticks_offset
        self._packets = 0
        self._octets = 0

    def rtptime(self, ticks: int) -> int:
        """The 32-bit timestamp that a moment has in this stream."""
        return ticks + self._offset & 0xFFFFFFFF

    def packets(self, unit: AccessUnit) -> list[bytes]:
        """The RTP packets of one picture; takes the next sequence numbers."""
        time = self.rtptime(unit.ticks)
        last = len(unit.payloads) - 1
        result = []
        for i, payload in enumerate(unit.payloads):
            marker = (i == last) << 7
            head = struct.pack(
                "!BBHII", 0x80, marker | PAYLOAD_TYPE, self.next_seq, time, self.ssrc
            )
            self.next_seq = self.next_seq + 1 & 0xFFFF
            self._octets += len(payload)
            result.append(head + payload)
        self._packets += len(result)
        return result

    def sender_report(self, ticks: int, uptime_ns: int) -> bytes:
        """An RTCP sender report; its NTP field is uptime, as RFC 3550 §6.4.1 allows."""
        seconds, rest_ns = divmod(uptime_ns, 1_000_000_000)
        fraction = (rest_ns << 32) // 1_000_000_000
        return struct.pack(
            "!BBHIIIIII",
            0x80,
            200,
            6,
            self.ssrc,
            seconds & 0xFFFFFFFF,
            fraction,
            self.rtptime(ticks),
            self._packets & 0xFFFFFFFF,
            self._octets & 0xFFFFFFFF,
        )
