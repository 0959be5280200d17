"""The install window and captures over the console: who may, for how long, what it answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gatewayd.domain.events import Cause, CauseKind, OperatorOrdered
from gatewayd.domain.ports import CaptureRefusal, CaptureRefusedError, InstallRefusal
from gatewayd.store.operators import Role
from tests.console.rig import Rig

WINDOW = "/api/v1/devices/gate-in/install-window"
CLOSE = "/api/v1/install-window/close"


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": "k" * 8 + path[-6:].replace("/", "-")}
    return await client.post(path, json={"reason": "new reader", **body}, headers=headers)


async def test_an_administrator_opens_a_window_and_closes_it(console: Rig) -> None:
    async with console.signed_in(Role.ADMINISTRATOR) as client:
        assert (await client.get("/api/v1/install-window")).json() == {"window": None}
        answer = await post(client, WINDOW, minutes=10, new_device=True)
        assert answer.json()["window"] == {
            "device_id": "gate-in",
            "seq": 7,
            "until_ms": 1_795_000_300_000,
            "outcome": None,
            "detail": "",
        }
        cause = Cause(CauseKind.OPERATOR, "root-admin", "new reader")
        assert console.installs.asked == [("gate-in", 600.0, cause, True)]
        closed = await post(client, CLOSE)
        assert closed.json()["window"]["outcome"] == "withdrawn"
        assert (await client.get("/api/v1/install-window")).json() == closed.json()
    [ordered] = await console.journaled(OperatorOrdered)
    assert ordered == OperatorOrdered(
        "root-admin", "close_install_window", "gate-in", "new reader"
    )  # fmt: skip


@pytest.mark.parametrize("minutes", [0, -1, 10.01, 600, "5"])
async def test_a_window_longer_than_ten_minutes_is_refused(console: Rig, minutes: object) -> None:
    async with console.signed_in(Role.ADMINISTRATOR) as client:
        answer = await post(client, WINDOW, minutes=minutes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")
    assert console.installs.asked == []


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        (InstallRefusal.NO_DEVICE, 404, "no-such-device"),
        (InstallRefusal.NO_KEY, 409, "takes-no-key"),
        (InstallRefusal.OPEN, 409, "install-window-open"),
    ],
)
async def test_what_the_desk_refuses_is_told(
    console: Rig, refusal: InstallRefusal, status: int, code: str
) -> None:
    console.installs.refuses = refusal
    async with console.signed_in(Role.ADMINISTRATOR) as client:
        answer = await post(client, WINDOW)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_there_is_no_window_to_close(console: Rig) -> None:
    async with console.signed_in(Role.ADMINISTRATOR) as client:
        answer = await post(client, CLOSE)
    assert answer.json()["code"] == "no-install-window"
    assert await console.journaled(OperatorOrdered) == []


CAPTURE = "/api/v1/buses/line-1/capture"


async def test_an_administrator_captures_a_bus_and_stops_it(console: Rig) -> None:
    async with console.signed_in(Role.ADMINISTRATOR) as client:
        assert (await client.get("/api/v1/capture")).json() == {"capture": None}
        answer = await post(client, CAPTURE, minutes=2, megabytes=0.5)
        assert answer.json()["capture"] == {
            "bus_id": "line-1",
            "file": "/var/x.osdpcap",
            "until_ms": 1_795_000_600_000,
            "size": 0,
            "over": None,
        }
        assert console.captures.asked == [("line-1", 120.0, 500_000)]
        stopped = await post(client, "/api/v1/capture/stop")
        assert stopped.json()["capture"]["over"] == "it was stopped"
        again = await client.post(
            "/api/v1/capture/stop", json={"reason": "x"}, headers={"Idempotency-Key": "another-1"}
        )
        assert again.json()["code"] == "no-capture"
    orders = await console.journaled(OperatorOrdered)
    who, why = "root-admin", "new reader"
    assert orders == [
        OperatorOrdered(who, "capture", "line-1", why),
        OperatorOrdered(who, "stop_capture", "line-1", why),
    ]


@pytest.mark.parametrize(
    ("fails", "code"),
    [
        (CaptureRefusedError(CaptureRefusal.NO_BUS), "no-such-bus"),
        (CaptureRefusedError(CaptureRefusal.RUNS), "capture-runs"),
        (CaptureRefusedError(CaptureRefusal.FULL), "captures-full"),
        (OSError(28, "No space left on device"), "capture-failed"),
    ],
)
async def test_a_capture_that_can_not_be_is_told(console: Rig, fails: Exception, code: str) -> None:
    console.captures.fails = fails
    async with console.signed_in(Role.ADMINISTRATOR) as client:
        assert (await post(client, CAPTURE)).json()["code"] == code
        assert (await post(client, CAPTURE + "", minutes=61)).json()["code"] == "invalid-request"
