"""One RTSP client of the simulated camera: its requests, its session, its RTP packets.

Owns one connection. Must not produce pictures: the server passes them in.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import struct
import time
from typing import Any, Protocol

from simulators import rtsp_messages as rtsp
from simulators.rtp import AccessUnit, RtpStream

MAX_UNSENT = 4 * 1024 * 1024  # a client that reads too slowly loses pictures beyond this
T_IDLE_S = 65.0  # a connection that says nothing and plays nothing; the session's 60 s, and slack
T_SEND_S = 5.0  # a client that does not take a reply
REPORT_TICKS = 5 * 90_000  # a sender report about every 5 s
_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
_LOOSE = {"OPTIONS", "GET_PARAMETER", "SET_PARAMETER"}  # answered without a log-in or a path


class SessionHost(Protocol):
    """What a session asks of its server."""

    host: str
    fps: int
    user: str
    password: str
    refusing_sessions: bool
    udp_ports: tuple[int, int]

    def serves(self, path: str) -> bool: ...

    def parameter_sets(self) -> tuple[bytes, bytes]: ...

    def current_gop(self) -> list[AccessUnit]: ...

    def send_datagram(self, data: bytes, address: tuple[str, int], *, control: bool) -> None: ...


class RtspSession:
    """From accept to close. `run` returns when the client has gone or has to go."""

    def __init__(
        self, host: SessionHost, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer
        self._nonce = secrets.token_hex(16)
        self._id = secrets.token_hex(4)
        self._transport: rtsp.Transport | None = None
        self._stream = _new_stream()
        self._wait_for_keyframe = True
        self._last_report_ticks: int | None = None
        self.playing = False
        self.dropped = 0  # pictures that a slow client did not get

    async def run(self) -> None:
        """Answer requests until the client leaves, idles too long or stops reading."""
        try:
            while True:
                request = await self._next_request()
                reply = self._answer(request)
                self._writer.write(reply)
                if request.method == "PLAY" and self.playing:
                    self._begin()
                async with asyncio.timeout(T_SEND_S):
                    await self._writer.drain()
        except rtsp.BadRequestError as error:
            self._writer.write(rtsp.format_response(error.status, "0"))
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            pass  # the client has left or gone silent; that is its right
        except asyncio.LimitOverrunError:
            self._writer.write(rtsp.format_response(400, "0"))
        finally:
            self.playing = False
            self._writer.close()

    def abort(self) -> None:
        """Drop the connection without a word, as a camera does that lost its power."""
        self.playing = False
        self._writer.transport.abort()

    def expect_keyframe(self) -> None:
        """Pictures were left out: nothing can be decoded before the next keyframe."""
        self._wait_for_keyframe = True

    def send(self, unit: AccessUnit) -> None:
        """Send one picture, unless the client has to wait for a keyframe or does not read."""
        if not self.playing or self._transport is None:
            return
        if self._writer.transport.get_write_buffer_size() > MAX_UNSENT:
            self._wait_for_keyframe = True
        elif unit.keyframe:
            self._wait_for_keyframe = False
        if self._wait_for_keyframe:
            self.dropped += 1
            return
        packets = self._stream.packets(unit)
        if self._transport.udp:
            for packet in packets:
                self._host.send_datagram(packet, self._address(), control=False)
        else:
            channel = self._transport.first
            self._writer.write(b"".join(_interleaved(channel, packet) for packet in packets))
        self._report(unit)

    # ----------------------------------------------------------------------------- requests

    async def _next_request(self) -> rtsp.RtspRequest:
        """The next request, past interleaved RTCP and the empty lines that some clients send."""
        while True:
            async with asyncio.timeout(None if self.playing else T_IDLE_S):
                first = await self._reader.readexactly(1)
                if first == b"$":
                    _, length = struct.unpack("!BH", await self._reader.readexactly(3))
                    await self._reader.readexactly(length)  # the client's receiver report
                    continue
                if first in b"\r\n":
                    continue
                head = first + await self._reader.readuntil(b"\r\n\r\n")
                request = rtsp.parse_request(head)
                await self._reader.readexactly(request.body_length)
                return request

    def _answer(self, request: rtsp.RtspRequest) -> bytes:
        cseq = request.headers.get("cseq", "0")
        refusal = self._refuse(request)
        if refusal is not None:
            status, headers = refusal
            return rtsp.format_response(status, cseq, headers)
        match request.method:
            case "OPTIONS":
                return rtsp.format_response(200, cseq, {"Public": _METHODS})
            case "DESCRIBE":
                return self._describe(request, cseq)
            case "SETUP":
                return self._set_up(request, cseq)
            case "PLAY":
                return self._play(request, cseq)
            case "PAUSE":
                self.playing = False
            case "TEARDOWN":
                self.playing = False
                self._transport = None
        return rtsp.format_response(200, cseq, {"Session": self._id})

    def _refuse(self, request: rtsp.RtspRequest) -> tuple[int, dict[str, str]] | None:
        """Status and headers where the request may not be carried out, else None."""
        method, headers = request.method, request.headers
        if method not in _METHODS.split(", "):
            return 405, {"Allow": _METHODS}
        if method in _LOOSE:
            return None
        if self._host.user:
            given = headers.get("authorization", "")
            user, password = self._host.user, self._host.password
            if not rtsp.is_authorised(method, given, self._nonce, user, password):
                stale = bool(given) and rtsp.digest_nonce(given) != self._nonce
                return 401, {"WWW-Authenticate": rtsp.challenge(self._nonce, stale=stale)}
        if not self._host.serves(request.path):
            return 404, {}
        if self._host.refusing_sessions and method == "SETUP":
            return 454, {}
        if method not in {"DESCRIBE", "SETUP"}:
            if self._transport is None:
                return 455, {}
            if headers.get("session", "").partition(";")[0] != self._id:
                return 454, {}
        return None

    def _describe(self, request: rtsp.RtspRequest, cseq: str) -> bytes:
        sdp = rtsp.describe(self._host.host, *self._host.parameter_sets(), self._host.fps)
        base = request.url.rstrip("/") + "/"
        headers = {"Content-Type": "application/sdp", "Content-Base": base}
        return rtsp.format_response(200, cseq, headers, sdp)

    def _set_up(self, request: rtsp.RtspRequest, cseq: str) -> bytes:
        if self.playing:
            return rtsp.format_response(455, cseq)
        transport = rtsp.parse_transport(request.headers.get("transport", ""))
        if transport is None:
            return rtsp.format_response(461, cseq)
        self._transport = transport
        self._stream = _new_stream()
        pair = f"{transport.first}-{transport.second}"
        if transport.udp:
            server = "-".join(map(str, self._host.udp_ports))
            line = f"RTP/AVP;unicast;client_port={pair};server_port={server}"
        else:
            line = f"RTP/AVP/TCP;unicast;interleaved={pair}"
        line += f";ssrc={self._stream.ssrc:08X}"
        return rtsp.format_response(
            200, cseq, {"Transport": line, "Session": f"{self._id};timeout=60"}
        )

    def _play(self, request: rtsp.RtspRequest, cseq: str) -> bytes:
        headers = {"Session": self._id, "Range": "npt=now-"}
        gop = self._host.current_gop()
        if gop and not self._starts_late():
            base = request.url.rstrip("/")
            seq, time_ = self._stream.next_seq, self._stream.rtptime(gop[0].ticks)
            headers["RTP-Info"] = f"url={base}/{rtsp.TRACK};seq={seq};rtptime={time_}"
        self.playing = True
        return rtsp.format_response(200, cseq, headers)

    # ---------------------------------------------------------------------------------- RTP

    def _starts_late(self) -> bool:
        """A GOP in one burst would overrun a receiver's datagram buffer: UDP waits instead."""
        return self._transport is not None and self._transport.udp

    def _begin(self) -> None:
        """Over TCP the stream starts at once, with the GOP that is under way."""
        self._wait_for_keyframe = True
        self._last_report_ticks = None
        if not self._starts_late():
            for unit in self._host.current_gop():
                self.send(unit)

    def _report(self, unit: AccessUnit) -> None:
        last = self._last_report_ticks
        if self._transport is None or (last is not None and unit.ticks - last < REPORT_TICKS):
            return
        self._last_report_ticks = unit.ticks
        report = self._stream.sender_report(unit.ticks, time.monotonic_ns())
        if self._transport.udp:
            self._host.send_datagram(report, self._address(control=True), control=True)
        else:
            self._writer.write(_interleaved(self._transport.second, report))

    def _address(self, *, control: bool = False) -> tuple[str, int]:
        assert self._transport is not None  # noqa: S101  # callers send only after SETUP
        peer: Any = self._writer.get_extra_info("peername")
        return peer[0], self._transport.second if control else self._transport.first


def _new_stream() -> RtpStream:
    # 31 bits of time: FFmpeg 5 reads RTP-Info's rtptime as a signed number
    return RtpStream(random.getrandbits(32), random.getrandbits(15), random.getrandbits(31))


def _interleaved(channel: int, packet: bytes) -> bytes:
    return struct.pack("!cBH", b"$", channel, len(packet)) + packet
