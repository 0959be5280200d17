"""The orders of the simulated camera: picture faults, line faults, and what it tells.

Owns the table of orders. Must not draw, encode or listen itself.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Protocol

from simulators.control import ControlError, ControlTable, Reply, Request, Verb
from simulators.rtp import AccessUnit
from simulators.rtsp_server import RtspServer
from simulators.scene import MARGIN, NO_FAULTS, PictureFaults

MAX_BLUR = 30.0  # thousandths of the width: past it nothing is left to blur
MAX_WAIT_NS = 10_000_000_000  # how far ahead a picture may be asked for
MAX_QR = 600  # characters: a signed pass has about 300


class FaultyCamera(Protocol):
    """What the orders act on. Setting `picture_faults` takes effect with the next frame."""

    picture_faults: PictureFaults
    server: RtspServer

    @property
    def live(self) -> bool: ...

    @property
    def last_unit(self) -> AccessUnit: ...

    @property
    def url(self) -> str: ...

    async def wait_for_picture(self, produced_after_ns: int) -> AccessUnit: ...


class CameraControls:
    """Each method is one order."""

    def __init__(self, camera: FaultyCamera) -> None:
        self._camera = camera

    def table(self) -> ControlTable:
        return {
            "status": Verb(self._status),
            "frame": Verb(self._frame, ("after_ns",)),
            "freeze": Verb(self._freeze, ("overlay",)),
            "black": Verb(self._black, ("overlay",)),
            "shift": Verb(self._shift, ("dx", "dy", "overlay")),
            "blur": Verb(self._blur, ("amount", "overlay")),
            "qr": Verb(self._qr, ("text",)),
            "stall": Verb(self._stall),
            "die": Verb(self._die),
            "revive": Verb(self._revive),
            "refuse": Verb(self._refuse, ("how",)),
            "clear": Verb(self._clear),
        }

    async def _status(self, _request: Request) -> Reply:
        server, faults = self._camera.server, self._camera.picture_faults
        return {
            "url": self._camera.url,
            "listening": server.listening,
            "clients": server.clients,
            "dropped": server.dropped,
            "stalled": server.stalled,
            "refusing_sessions": server.refusing_sessions,
            "frozen": faults.frozen_at is not None,
            "black": faults.black,
            "blur": faults.blur,
            "shift": [faults.shift_x, faults.shift_y],
            "qr": faults.qr_text,
            "overlay": faults.overlay,
        }

    async def _frame(self, request: Request) -> Reply:
        now_ns = time.monotonic_ns()
        after_ns = request.integer("after_ns", 0, most=now_ns + MAX_WAIT_NS)
        unit = await self._camera.wait_for_picture(after_ns)
        return {
            "number": unit.number,
            "produced_ns": unit.produced_ns,
            "keyframe": unit.keyframe,
            "bytes": sum(map(len, unit.payloads)),
        }

    # ------------------------------------------------------------------------ the picture

    def _spoil(self, request: Request, **changes: float | bool | None) -> Reply:
        if not self._camera.live:
            raise ControlError("a loop is encoded once: start the camera with --mode live")
        overlay = request.flag("overlay", default=True)
        faults = replace(self._camera.picture_faults, overlay=overlay, **changes)  # type: ignore[arg-type]  # the callers below name fields of PictureFaults
        self._camera.picture_faults = faults
        return {"after_frame": self._camera.last_unit.number}

    async def _freeze(self, request: Request) -> Reply:
        return self._spoil(request, frozen_at=self._camera.last_unit.number)

    async def _black(self, request: Request) -> Reply:
        return self._spoil(request, black=True)

    async def _shift(self, request: Request) -> Reply:
        dx = request.number("dx", 0.2, least=-MARGIN, most=MARGIN)
        dy = request.number("dy", 0.0, least=-MARGIN, most=MARGIN)
        return self._spoil(request, shift_x=dx, shift_y=dy)

    async def _blur(self, request: Request) -> Reply:
        return self._spoil(request, blur=request.number("amount", 8.0, least=1, most=MAX_BLUR))

    async def _qr(self, request: Request) -> Reply:
        text = request.text("text", "", most=MAX_QR)
        if not self._camera.live:
            raise ControlError("a loop is encoded once: start the camera with --mode live")
        self._camera.picture_faults = replace(self._camera.picture_faults, qr_text=text)
        return {"after_frame": self._camera.last_unit.number}

    # --------------------------------------------------------------------------- the line

    async def _stall(self, _request: Request) -> Reply:
        self._camera.server.stalled = True
        return {"clients": self._camera.server.clients}

    async def _die(self, _request: Request) -> Reply:
        clients = self._camera.server.clients
        self._camera.server.stop_listening()
        self._camera.server.drop_clients()
        return {"clients": clients}

    async def _revive(self, _request: Request) -> Reply:
        try:
            await self._camera.server.listen()
        except OSError as error:
            raise ControlError(f"can't listen again: {error.strerror}; free the port") from error
        return {"url": self._camera.url}

    async def _refuse(self, request: Request) -> Reply:
        how = request.choice("how", ("session", "connection"), "session")
        if how == "connection":
            self._camera.server.stop_listening()
        else:
            self._camera.server.refusing_sessions = True
        return {"how": how}

    async def _clear(self, request: Request) -> Reply:
        self._camera.picture_faults = NO_FAULTS
        self._camera.server.stalled = False
        self._camera.server.refusing_sessions = False
        return await self._revive(request)
