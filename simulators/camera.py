"""A simulated IP camera: a rendered gate, H.264, RTSP. Owns the pictures' pace and the command
line; drawing, encoding and serving are in scene.py, h264.py and rtsp_server.py.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from simulators.camera_faults import CameraControls
from simulators.compound import SITE_ZONE
from simulators.control import ControlTable
from simulators.device import Device, run_device
from simulators.h264 import Encoder, parameter_sets
from simulators.rtp import CLOCK_HZ, AccessUnit
from simulators.rtsp_server import RtspServer
from simulators.scene import NO_FAULTS, PictureFaults, Scene

NAME = "camera"
HELP = "an RTSP camera at a gate, with faults to order"

GOP_S = 2  # as the cameras that were measured
NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CameraOptions:
    """`mode` is 'live' (rendered) or 'loop' (rendered once, for load); even sizes."""

    host: str = "127.0.0.1"
    port: int = 0
    path: str = "/gate"
    paths: int = 1
    width: int = 640
    height: int = 360
    fps: int = 15
    mode: str = "live"
    loop_s: int = 4
    user: str = ""
    password: str = field(default="", repr=False)

    def all_paths(self) -> tuple[str, ...]:
        """`path` itself; with more than one, `path`/1 and so on beside it."""
        path = "/" + self.path.strip("/")
        return (path, *(f"{path}/{i}" for i in range(1, self.paths + 1) if self.paths > 1))


class SimulatedCamera(Device):
    """`async with SimulatedCamera(CameraOptions(fps=25)) as camera:` serves at `camera.url`."""

    server: RtspServer  # from `open` on

    def __init__(self, options: CameraOptions | None = None, control: Path | None = None) -> None:
        super().__init__(control)
        self._options = options or CameraOptions()
        self.picture_faults: PictureFaults = NO_FAULTS
        self._last_unit: AccessUnit | None = None
        self._encoder: Encoder | None = None
        self._pictured = asyncio.Event()  # replaced with each picture
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="camera encoder")

    # --------------------------------------------------------------------------- life cycle

    async def open(self) -> None:
        """Render the first picture (or the whole loop), then listen."""
        options = self._options
        loop = asyncio.get_running_loop()
        next_unit, first = await loop.run_in_executor(self._thread, self._prepare)
        self._last_unit = first
        self.server = RtspServer(
            host=options.host,
            port=options.port,
            paths=frozenset(options.all_paths()),
            fps=options.fps,
            user=options.user,
            password=options.password,
            sets=parameter_sets(first),
            start_task=self.start,
        )
        self.server.deliver(first)
        await self.server.listen()
        self.start(self._produce(next_unit), "camera pictures")

    def close(self) -> None:
        if hasattr(self, "server"):
            self.server.close()
        self._thread.shutdown()
        if self._encoder is not None:
            self._encoder.close()

    def controls(self) -> ControlTable:
        return CameraControls(self).table()

    def ready(self) -> Mapping[str, Any]:
        return {"url": self.url, "urls": self.urls}

    @property
    def url(self) -> str:
        """The stream's address, without the log-in."""
        return self.urls[0]

    @property
    def urls(self) -> list[str]:
        """The addresses of all paths, without the log-in."""
        options = self._options
        base = f"rtsp://{options.host}:{self.server.port}"
        return [base + path for path in options.all_paths()]

    @property
    def live(self) -> bool:
        return self._options.mode == "live"

    @property
    def last_unit(self) -> AccessUnit:
        """The newest picture that the clients were given."""
        assert self._last_unit is not None  # noqa: S101  # set before anybody can ask
        return self._last_unit

    async def wait_for_picture(self, produced_after_ns: int) -> AccessUnit:
        """The first picture given to the clients that was begun after that monotonic moment."""
        while self.last_unit.produced_ns <= produced_after_ns:
            await self._pictured.wait()
        return self.last_unit

    # ------------------------------------------------------------------------- the pictures

    async def _produce(self, next_unit: Callable[[int], AccessUnit]) -> None:
        """One picture at each tick; on a machine that can't keep up, ticks are left out."""
        loop = asyncio.get_running_loop()
        fps = self._options.fps
        start_ns = time.monotonic_ns()
        tick = 1
        while True:
            wait_ns = start_ns + tick * NS_PER_S // fps - time.monotonic_ns()
            await asyncio.sleep(max(wait_ns, 0) / NS_PER_S)
            unit = await loop.run_in_executor(self._thread, next_unit, tick)
            self._last_unit = unit
            self.server.deliver(unit)
            self._pictured.set()
            self._pictured = asyncio.Event()
            late = (time.monotonic_ns() - start_ns) * fps // NS_PER_S
            tick = max(tick + 1, late)

    def _prepare(self) -> tuple[Callable[[int], AccessUnit], AccessUnit]:
        """What makes the picture of a tick, and the first picture. Runs in the encoder's thread."""
        options = self._options
        scene = Scene(options.width, options.height, options.fps)
        gop = options.fps * GOP_S
        encoder = Encoder(options.width, options.height, options.fps, gop)
        if self.live:
            self._encoder = encoder
            return lambda tick: self._render(scene, encoder, tick), self._render(scene, encoder, 0)
        with encoder:
            count = options.loop_s * options.fps
            units = [self._render(scene, encoder, tick) for tick in range(count)]
        repeated = itertools.cycle(units)  # in order whatever the ticks: a lost one breaks the GOP
        first = next(repeated)
        return lambda tick: _at(next(repeated), tick, options.fps), first

    def _render(self, scene: Scene, encoder: Encoder, tick: int) -> AccessUnit:
        produced_ns = time.monotonic_ns()
        now = datetime.now(SITE_ZONE)  # the camera's own clock, set to the site's time as most are
        clock_text = f"{now:%Y-%m-%d %H:%M:%S}"
        picture = scene.draw(tick, clock_text, self.picture_faults)
        return encoder.encode(picture, tick, produced_ns)


def _at(unit: AccessUnit, tick: int, fps: int) -> AccessUnit:
    """A picture of the loop, at the time of its tick; its number stays that of its barcode."""
    return replace(unit, produced_ns=time.monotonic_ns(), ticks=tick * CLOCK_HZ // fps)


# ------------------------------------------------------------------------------ command line


def parse_size(text: str) -> tuple[int, int]:
    """'640x360' as numbers; even, as 4:2:0 pictures have to be."""
    width, _, height = text.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: write e.g. 640x360")
    size = int(width), int(height)
    if not (160 <= size[0] <= 3840 and 90 <= size[1] <= 2160) or size[0] % 2 or size[1] % 2:
        raise argparse.ArgumentTypeError(f"{text!r}: even numbers from 160x90 to 3840x2160")
    return size


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """An argparse type: a whole number within the limits."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not least <= int(text[:9]) <= most:
            raise argparse.ArgumentTypeError(f"{text!r}: a whole number from {least} to {most}")
        return int(text)

    return parse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    default = CameraOptions()
    parser.add_argument("--host", default=default.host, help="address to listen on")
    port = whole_number(0, 65_535)
    parser.add_argument("--port", type=port, default=8554, help="0 takes a free one")
    parser.add_argument("--path", default=default.path, help="path of the stream")
    paths = whole_number(1, 64)
    parser.add_argument("--paths", type=paths, default=1, help="also serve PATH/1 to PATH/N")
    size = (default.width, default.height)
    parser.add_argument("--size", type=parse_size, default=size, help="e.g. 1280x720")
    fps = whole_number(1, 60)
    parser.add_argument("--fps", type=fps, default=default.fps, help="pictures a second")
    parser.add_argument("--mode", choices=("live", "loop"), default="live", help="loop: for load")
    seconds = whole_number(2, 20)
    parser.add_argument("--loop-s", type=seconds, default=4, help="length of the loop")
    parser.add_argument("--user", default="", help="ask for this log-in (Digest)")
    parser.add_argument("--password", default="", help="the log-in's password")
    parser.add_argument("--control", type=Path, help="Unix socket for orders")


async def run(args: argparse.Namespace) -> int:
    """Serve until cancelled or told to quit."""
    width, height = args.size
    options = CameraOptions(
        host=args.host,
        port=args.port,
        path=args.path,
        paths=args.paths,
        width=width,
        height=height,
        fps=args.fps,
        mode=args.mode,
        loop_s=args.loop_s,
        user=args.user,
        password=args.password,
    )
    return await run_device(SimulatedCamera(options, args.control))
