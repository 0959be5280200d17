"""What an installer does to devices: the window in which one is given its key.

Must not know keys. The window's opening and what came of it are the install desk's to journal.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.models import InstallOrder, InstallView, InstallWindowView, Order
from gatewayd.console.permissions import PREFIX
from gatewayd.console.problems import ProblemError, responses
from gatewayd.console.routes.ordering import ORDER_ERRORS, Key, cause_of, journal_order, key_of
from gatewayd.domain.model import DeviceId
from gatewayd.domain.ports import InstallRefusal, InstallRefusedError, Installs, InstallWindow

router = APIRouter(prefix=PREFIX, tags=["devices"])

_PROBLEM = {
    InstallRefusal.NO_DEVICE: "no-such-device",
    InstallRefusal.NO_KEY: "takes-no-key",
    InstallRefusal.OPEN: "install-window-open",
}


@router.post(
    "/devices/{device_id}/install-window",
    summary="Let a reader or controller be given a new key",
    responses=responses(
        *ORDER_ERRORS, "no-such-device", "takes-no-key", "install-window-open", body=True
    ),
)
async def open_install_window(
    device_id: Annotated[str, Path(max_length=32)],
    order: InstallOrder,
    who: Who,
    console: ConsoleDep,
    key: Key = None,
) -> InstallView:
    """For ten minutes at most, this device alone, and it is over as soon as the device has its key
    or refuses it. Ask for the window to learn what came of it."""

    async def act() -> InstallView:
        cause = cause_of(who, order.reason)
        try:
            window = await _desk(console).open(
                DeviceId(device_id), order.minutes * 60, cause, new_device=order.new_device
            )
        except InstallRefusedError as error:
            raise ProblemError(_PROBLEM[error.refusal], "see GET /install-window") from None
        return _view(window)

    what = f"install {device_id} {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, InstallView, act)


@router.get("/install-window", summary="The install window", responses=responses("no-such-device"))
async def install_window(_who: Who, console: ConsoleDep) -> InstallView:
    return _view(_desk(console).window)


@router.post(
    "/install-window/close",
    summary="Close the install window before its time",
    responses=responses(*ORDER_ERRORS, "no-such-device", "no-install-window", body=True),
)
async def close_install_window(
    order: Order, who: Who, console: ConsoleDep, key: Key = None
) -> InstallView:
    """A device that was given its key already keeps it; what came of it is journaled."""

    async def act() -> InstallView:
        desk = _desk(console)
        window = desk.window
        if window is None or window.outcome is not None:
            raise ProblemError("no-install-window", "it is over, or was never opened")
        await journal_order(console, who, "close_install_window", window.device_id, order.reason)
        desk.close()
        return _view(desk.window)

    what = f"close install window {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, InstallView, act)


def _desk(console: Console) -> Installs:
    if console.deps.installs is None:
        raise ProblemError("no-such-device", "nobody gives devices their keys here")
    return console.deps.installs


def _view(window: InstallWindow | None) -> InstallView:
    if window is None:
        return InstallView(window=None)
    return InstallView(
        window=InstallWindowView(
            device_id=window.device_id,
            seq=window.opened_seq,
            until_ms=window.until_ms,
            outcome=window.outcome,
            detail=window.detail,
        )
    )
