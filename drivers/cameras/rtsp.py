"""Cameras over RTSP, with FFmpeg through PyAV. Owns the connection and its thread; must not decode
the stream or decide what is kept.

FFmpeg blocks, so each camera has one thread. FFmpeg's own probing is switched off: it holds the
first pictures back for about two seconds, and their moment of arrival would be wrong.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote, urlsplit

import av
import av.error
from av.container import InputContainer
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import (
    DeviceError,
    Driver,
    DriverContext,
    DriverKind,
    StreamInfo,
    VideoPacket,
    VideoSink,
)

DEFAULT_PORT = 554
T_OPEN_S = 5.0  # FFmpeg applies it twice: to the RTSP dialogue, then to the first packet
MAX_PASSWORD_BYTES = 512
HANG_UP_EVERY_S = 0.1
T_KEYFRAME_S = 30.0  # the longest keyframe interval that cameras offer is 10 to 20 s


class RtspOptions(BaseModel):
    """A camera's own keys in its [[camera]] table."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    url: str = Field(description="rtsp://HOST[:PORT]/PATH, without user name and password.")
    username: str | None = Field(default=None, min_length=1, description="The camera's log-in.")
    password_file: Annotated[Path, Field(strict=False)] | None = Field(
        default=None, description="A file with the password; only its owner may read it."
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp", description="'tcp' loses nothing; 'udp' where a camera can't do better."
    )
    stall_s: float = Field(
        default=5.0, ge=0.5, le=60, description="No picture for this long: connect anew."
    )

    @field_validator("url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
        except ValueError:
            raise ValueError("no address: write rtsp://HOST:PORT/PATH") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("no log-in in the address: use username and password_file")
        if parts.scheme != "rtsp" or not host or not url.isprintable() or " " in url:
            raise ValueError("not an RTSP address: write rtsp://HOST:PORT/PATH")
        return url

    @field_validator("username")
    @classmethod
    def _plain_name(cls, username: str | None) -> str | None:
        if username is not None and (":" in username or not username.isprintable()):
            raise ValueError("a user name has no ':' and no control characters")
        return username

    @model_validator(mode="after")
    def _log_in_is_whole(self) -> Self:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file without username: write both, or none")
        return self


class RtspCamera:
    """Implements `gatewayd.domain.ports.Camera`.

    `run` never returns before its thread is through. A cancellation hangs up, which FFmpeg notices
    at once; where it does not, its own time-outs bound it: `stall_s`, or twice T_OPEN_S.
    """

    def __init__(self, options: RtspOptions, context: DriverContext) -> None:
        self._options = options
        self._id = context.device_id
        self._clock = context.clock

    async def run(self, sink: VideoSink) -> None:
        """Hand over packets until the stream ends; that and every failure raises DeviceError."""
        peer = await self._reach()
        address = self._address(self._password())
        stop = threading.Event()
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"camera {self._id}")
        loop = asyncio.get_running_loop()
        work = loop.run_in_executor(thread, self._read, address, sink, stop)
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            stop.set()
            while not work.done():  # again, as FFmpeg may be about to connect
                _hang_up(peer)
                await asyncio.wait([work], timeout=HANG_UP_EVERY_S)
            work.exception()  # whatever it ended with, the cancellation is the news
            raise
        finally:
            stop.set()
            thread.shutdown(wait=False)
        work.result()

    async def _reach(self) -> tuple[Any, ...]:
        """Its socket address. A camera that is off is noticed here: asyncio can be cancelled."""
        parts = urlsplit(self._options.url)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
        try:
            async with asyncio.timeout(T_OPEN_S):
                _reader, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            hint = "is it switched on, and on this network?"
            raise self._error("connect", f"no answer within {T_OPEN_S:g} s", hint) from None
        except OSError as error:
            why = error.strerror or str(error)
            raise self._error("connect", why, "check its address, port and power") from error
        peer: tuple[Any, ...] = writer.get_extra_info("peername")
        writer.transport.abort()
        return peer

    def _read(self, address: str, sink: VideoSink, stop: threading.Event) -> None:
        """In the camera's thread, until the stream ends. Raises DeviceError."""
        started_ns = self._clock.monotonic_ns()
        try:
            container = self._open(address)
        except av.error.FFmpegError as error:
            failure = self._opening_failed(error, self._clock.monotonic_ns() - started_ns)
        else:
            with container:
                failure = self._deliver(container, sink, stop)
        # Not inside `except`: FFmpeg's errors hold the address with the password.
        raise failure

    def _open(self, address: str) -> InputContainer:
        return av.open(
            address,
            timeout=(T_OPEN_S, self._options.stall_s),
            metadata_errors="replace",  # cameras write their names in GBK
            options={
                "rtsp_transport": self._options.transport,
                "allowed_media_types": "video",  # sound would hide that the pictures stopped
                "probesize": "32",
                "analyzeduration": "0",
            },
        )

    def _deliver(
        self, container: InputContainer, sink: VideoSink, stop: threading.Event
    ) -> DeviceError:
        """Returns how the stream ended."""
        videos = container.streams.video
        if not videos or getattr(videos[0], "codec_context", None) is None:  # typed as never None
            hint = "check the path at the end of url; set the camera to H.264"
            return self._error("open", "the stream has no video that FFmpeg knows", hint)
        try:
            for packet in self._packets(container, sink):
                if stop.is_set():
                    break
                sink.packet(packet)
        except av.error.FFmpegError as error:
            if isinstance(error, av.error.ExitError | TimeoutError):
                hint = "check the camera and its line; if it is only slow, raise stall_s"
                return self._error("read", f"no picture for {self._options.stall_s:g} s", hint)
            return self._error("read", error.strerror or "damaged stream", "is its line good?")
        return self._error("read", "the camera ended the stream", "was it switched off?")

    def _packets(self, container: InputContainer, sink: VideoSink) -> Iterator[VideoPacket]:
        """The stream's packets; `sink.opened` is told before the first."""
        video = container.streams.video[0]
        context = video.codec_context
        started_ns = self._clock.monotonic_ns()
        opened = False
        for packet in container.demux(video):
            if not packet.size:
                continue  # FFmpeg's sign that the stream has ended
            arrival_ns = self._clock.monotonic_ns()
            data = bytes(packet)
            if not opened and (info := _stream_info(context, data)) is not None:
                opened = True
                sink.opened(info)
            if opened:
                yield VideoPacket(arrival_ns, _pts_ms(packet), packet.is_keyframe, data)
            elif arrival_ns - started_ns > T_KEYFRAME_S * NS_PER_S:
                why = f"no keyframe with its parameter sets within {T_KEYFRAME_S:g} s"
                raise self._error("read", why, "set a shorter keyframe interval in the camera")

    # ------------------------------------------------------------------- log-in and errors

    def _password(self) -> str:
        """Read anew for each connection, so that a changed password needs no restart."""
        path = self._options.password_file
        if path is None:
            return ""
        try:
            with path.open("rb") as file:
                open_to_all = os.fstat(file.fileno()).st_mode & stat.S_IROTH
                secret = file.read(MAX_PASSWORD_BYTES + 1)
            text = secret.decode()
        except OSError as error:
            why, hint = error.strerror or "unreadable", "write the camera's password there"
        except UnicodeDecodeError:
            why, hint = "it is not UTF-8 text", "is it the right file?"
        else:
            if not open_to_all and len(secret) <= MAX_PASSWORD_BYTES:
                return text.rstrip("\r\n")
            why, hint = f"it has more than {MAX_PASSWORD_BYTES} bytes", "is it the right file?"
            if open_to_all:
                why, hint = "everybody can read it", f"run: chmod 600 {path}"
        raise self._error("log in", f"password_file {path}: {why}", hint)

    def _address(self, password: str) -> str:
        """The address for FFmpeg, which takes the log-in in it. Secret."""
        name = self._options.username
        if name is None:
            return self._options.url
        log_in = f"{quote(name, safe='')}:{quote(password, safe='')}"
        return self._options.url.replace("rtsp://", f"rtsp://{log_in}@", 1)

    def _opening_failed(self, error: av.error.FFmpegError, took_ns: int) -> DeviceError:
        if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            hint = "check username and password_file; some cameras lock out after wrong tries"
            return self._error("log in", "the camera refused the log-in", hint)
        if isinstance(error, av.error.HTTPNotFoundError):
            return self._error("open", "the camera has no such path", "check the path in url")
        if took_ns >= T_OPEN_S * NS_PER_S:  # FFmpeg then says "invalid data" or "exit requested"
            hint = "restart the camera; is it an RTSP port?"
            return self._error("open", f"no answer within {T_OPEN_S:g} s", hint)
        why = error.strerror or type(error).__name__
        return self._error("open", why, "has it too many viewers? is the path right?")

    def _error(self, operation: str, why: str, hint: str) -> DeviceError:
        text = f"camera {self._id} ({self._options.url}): can't {operation}: {why}"
        return DeviceError(f"{text}; {hint}" if hint else text)


def _pts_ms(packet: av.Packet[av.VideoStream]) -> int | None:
    if packet.pts is None or packet.time_base is None:
        return None
    return round(packet.pts * packet.time_base * 1000)


def _hang_up(peer: tuple[Any, ...]) -> None:
    """Shut this process's connections to that address down, which wakes FFmpeg's thread.

    FFmpeg neither tells its socket nor lets itself be interrupted from outside. A second stream
    from the same recorder goes down too, and its supervisor connects it anew.
    """
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  # names are numbers, not paths
        # A duplicate is ours: its number can't become another's between the look and the act.
        with contextlib.suppress(OSError), _duplicate(int(name)) as line:
            if line.type == socket.SOCK_STREAM and line.getpeername() == peer:
                line.shutdown(socket.SHUT_RDWR)


def _duplicate(number: int) -> socket.socket:
    """The socket of that number once more. Raises OSError where it is none."""
    copy = os.dup(number)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _stream_info(context: Any, data: bytes) -> StreamInfo | None:  # noqa: ANN401  # PyAV types it as a union
    """What the sink must know, or None until a packet tells it.

    The parameter sets are as FFmpeg's RTSP gives them (Annex B, empty where the camera sends them
    in band only); the decoder takes them so. The size is read from the first keyframe where the
    camera's description lacks it.
    """
    extradata = bytes(context.extradata or b"")
    if context.width and context.height:
        return StreamInfo(context.name, context.width, context.height, extradata)
    decoder = av.CodecContext.create(context.name, "r")
    decoder.thread_count = 1
    if extradata:
        decoder.extradata = extradata
    try:
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    except av.error.FFmpegError:
        frames = []
    if not frames:
        return None
    return StreamInfo(context.name, frames[0].width, frames[0].height, extradata)


def _port_of(_options: RtspOptions) -> str | None:
    """Any number of clients may watch a camera."""
    return None


DRIVER = Driver(
    kind=DriverKind.CAMERA,
    name="rtsp",
    options=RtspOptions,
    build=RtspCamera,
    port_of=_port_of,
)
