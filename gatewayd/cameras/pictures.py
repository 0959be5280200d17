"""The picture of an event's moment: cut at once, decoded and kept soon after. Owns the queue of
requests; must not delay whoever asks, nor let one camera delay another.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from gatewayd.cameras.ring import Cut, NoPicture
from gatewayd.cameras.snapshot import take_snapshot
from gatewayd.cameras.station import CameraStation
from gatewayd.domain.events import Event, PictureMissed, PictureStored
from gatewayd.domain.model import NS_PER_MS, CameraId, Stamp
from gatewayd.store.media import MediaError, PictureFiles

log = logging.getLogger(__name__)

AT_ONCE = 2  # decodings; the third waits, so that a burst of taps leaves a core for the doors
MAX_WAITING = 64  # cuts hold their packets: 64 of 1 MB are what a small box can spare
T_PICTURE_S = 10.0  # a disk that takes longer than this for one picture is in trouble
T_FINISH_S = 2.0  # at shutdown, for all that still waits


@dataclass(slots=True, eq=False)
class _Request:
    """One picture to make. `work` is set once it has been handed to a thread."""

    for_seq: int
    camera_id: CameraId
    at: Stamp
    cut: Cut = field(repr=False)
    abandoned: bool = False
    work: asyncio.Future[PictureStored] | None = None


class PictureDesk:
    """Implements `gatewayd.domain.ports.Pictures`; on the event loop's thread.

    `record` journals an event and returns at once (`gatewayd.recorder.Recorder.record`): every
    request ends in exactly one PictureStored or PictureMissed. `protected` names the events whose
    pictures must stay.
    """

    def __init__(
        self,
        stations: Mapping[CameraId, CameraStation],
        files: PictureFiles,
        record: Callable[[Event], None],
        protected: Callable[[], AbstractSet[int]] = frozenset,
        picture_timeout_s: float = T_PICTURE_S,
        finish_timeout_s: float = T_FINISH_S,
    ) -> None:
        self._stations = stations
        self._files = files
        self._record = record
        self._protected = protected
        self._picture_timeout_s = picture_timeout_s
        self._finish_timeout_s = finish_timeout_s
        self._waiting: deque[_Request] = deque()
        self._work = asyncio.Semaphore(0)  # one permit for each request in `_waiting`
        self._closed = False

    @property
    def waiting(self) -> int:
        """Requests that no thread has begun with."""
        return len(self._waiting)

    def request(self, for_seq: int, camera_ids: Sequence[CameraId], at: Stamp) -> None:
        """Cut each camera's ring now, so that the moment can't slip away while requests wait."""
        for camera_id in camera_ids:
            try:
                self._take_in(for_seq, camera_id, at)
            except NoPicture as reason:
                self._record(PictureMissed(for_seq, camera_id, str(reason)))

    async def run(self) -> None:
        """Make pictures until cancelled; then finish what waits, or journal it as missed."""
        threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="picture")
        unfinished: deque[_Request] = deque()
        try:
            async with asyncio.TaskGroup() as tg:
                for number in range(AT_ONCE):
                    tg.create_task(self._serve(threads, unfinished), name=f"pictures {number}")
        finally:
            self._closed = True
            unfinished.extend(self._waiting)
            self._waiting.clear()
            await self._finish(threads, unfinished)
            threads.shutdown(wait=False, cancel_futures=True)

    def _take_in(self, for_seq: int, camera_id: CameraId, at: Stamp) -> None:
        """Raises NoPicture with the reason why this request can't be served."""
        if self._closed:
            raise NoPicture("the gateway was stopping")
        if camera_id not in self._stations:
            raise NoPicture("the settings have no camera of that id")
        if len(self._waiting) >= MAX_WAITING:
            raise NoPicture(f"{MAX_WAITING} pictures were already waiting")
        cut = self._stations[camera_id].ring.cut(at.monotonic_ns)
        self._waiting.append(_Request(for_seq, camera_id, at, cut))
        self._work.release()

    async def _serve(self, threads: ThreadPoolExecutor, unfinished: deque[_Request]) -> None:
        while True:
            await self._work.acquire()
            request = self._waiting.popleft()
            try:
                await self._fulfil(request, threads)
            except asyncio.CancelledError:
                unfinished.append(request)
                raise

    async def _finish(self, threads: ThreadPoolExecutor, unfinished: deque[_Request]) -> None:
        # Not asyncio.timeout: this task is being cancelled, and in Python 3.11.2, which is Debian
        # 12's, that one ends in CancelledError then.
        try:
            await asyncio.wait_for(self._fulfil_all(threads, unfinished), self._finish_timeout_s)
        except TimeoutError:
            for request in unfinished:
                self._give_up(request, "the gateway was stopping")

    async def _fulfil_all(self, threads: ThreadPoolExecutor, unfinished: deque[_Request]) -> None:
        while unfinished:
            await self._fulfil(unfinished[0], threads)
            unfinished.popleft()

    async def _fulfil(self, request: _Request, threads: ThreadPoolExecutor) -> None:
        """One event for the request. May be called again after a cancellation."""
        if request.work is None:
            loop, protected = asyncio.get_running_loop(), frozenset(self._protected())
            request.work = loop.run_in_executor(threads, self._make, request, protected)
        done, _ = await asyncio.wait([request.work], timeout=self._picture_timeout_s)
        if not done:
            self._give_up(request, f"not kept within {self._picture_timeout_s:g} s: disk too slow")
            return
        try:
            self._record(request.work.result())
        except NoPicture as reason:
            self._miss(request, str(reason))
        except MediaError as error:
            log.error("a picture could not be kept: %s", error.strerror)
            self._miss(request, error.strerror or str(error))

    def _make(self, request: _Request, protected: AbstractSet[int]) -> PictureStored:
        """In a worker thread. Raises NoPicture or MediaError."""
        picture = take_snapshot(request.cut)
        stored = self._files.save(
            picture.jpeg, request.for_seq, request.camera_id, request.at.wall_ms, protected
        )
        if request.abandoned:  # its event is already journaled as missed
            self._files.discard(request.for_seq, stored.name)
        age_ms = (request.at.monotonic_ns - picture.arrival_ns) // NS_PER_MS
        return PictureStored(
            request.for_seq, request.camera_id, stored.name, stored.sha256, stored.size, age_ms
        )

    def _give_up(self, request: _Request, why: str) -> None:
        request.abandoned = True
        if request.work is not None:
            request.work.add_done_callback(_heard)
        self._miss(request, why)

    def _miss(self, request: _Request, why: str) -> None:
        self._record(PictureMissed(request.for_seq, request.camera_id, why))


def _heard(work: asyncio.Future[PictureStored]) -> None:
    """What came of work that was given up: nobody waits for it, and asyncio must not complain."""
    if not work.cancelled() and (error := work.exception()) is not None:
        log.warning("a picture given up before failed too: %s", error)
