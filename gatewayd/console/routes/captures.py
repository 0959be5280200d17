"""Captures of what goes over a bus: begun and stopped here, written by the capture desk.

The file stays on the box: there are cards in it, and this is no way out for them.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.models import CaptureOrder, CaptureStateView, CaptureView, Order
from gatewayd.console.permissions import PREFIX
from gatewayd.console.problems import ProblemError, responses
from gatewayd.console.routes.ordering import ORDER_ERRORS, Key, journal_order, key_of
from gatewayd.domain.model import DeviceId
from gatewayd.domain.ports import CaptureRefusal, CaptureRefusedError, Captures, CaptureState

router = APIRouter(prefix=PREFIX, tags=["devices"])

MEGABYTE = 1_000_000
_PROBLEM = {
    CaptureRefusal.NO_BUS: "no-such-bus",
    CaptureRefusal.RUNS: "capture-runs",
    CaptureRefusal.FULL: "captures-full",
}


@router.post(
    "/buses/{bus_id}/capture",
    summary="Write down what goes over a bus",
    responses=responses(
        *ORDER_ERRORS, "no-such-bus", "capture-runs", "captures-full", "capture-failed", body=True
    ),
)
async def capture(
    bus_id: Annotated[str, Path(max_length=32)],
    order: CaptureOrder,
    who: Who,
    console: ConsoleDep,
    key: Key = None,
) -> CaptureView:
    """Journaled first. Every session on the bus begins anew, so that the capture can be replayed;
    nobody at the doors notices. While a device is given its key nothing is written."""

    async def act() -> CaptureView:
        desk = _desk(console)
        await journal_order(console, who, "capture", bus_id, order.reason)
        try:
            size = round(order.megabytes * MEGABYTE)
            state = await desk.start(DeviceId(bus_id), order.minutes * 60, size)
        except CaptureRefusedError as error:
            raise ProblemError(_PROBLEM[error.refusal], "see GET /capture") from None
        except OSError as error:
            raise ProblemError("capture-failed", str(error)) from error
        return _view(state)

    what = f"capture {bus_id} {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, CaptureView, act)


@router.get("/capture", summary="The capture", responses=responses("no-such-bus"))
async def capture_state(_who: Who, console: ConsoleDep) -> CaptureView:
    return _view(_desk(console).state)


@router.post(
    "/capture/stop",
    summary="Stop the capture",
    responses=responses(*ORDER_ERRORS, "no-such-bus", "no-capture", body=True),
)
async def stop_capture(order: Order, who: Who, console: ConsoleDep, key: Key = None) -> CaptureView:
    """What was written stays."""

    async def act() -> CaptureView:
        desk = _desk(console)
        if not desk.stop():
            raise ProblemError("no-capture", "it is over, or was never begun")
        state = desk.state
        about = "capture" if state is None else state.bus_id
        await journal_order(console, who, "stop_capture", about, order.reason)
        return _view(desk.state)

    what = f"stop capture {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, CaptureView, act)


def _desk(console: Console) -> Captures:
    if console.deps.captures is None:
        raise ProblemError("no-such-bus", "nothing is captured here")
    return console.deps.captures


def _view(state: CaptureState | None) -> CaptureView:
    if state is None:
        return CaptureView(capture=None)
    return CaptureView(
        capture=CaptureStateView(
            bus_id=state.bus_id,
            file=state.file,
            until_ms=state.until_ms,
            size=state.size,
            over=state.over,
        )
    )
