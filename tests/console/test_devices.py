"""The install window over the console: who may, for how long, and what it answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from gatewayd.domain.events import Cause, CauseKind, OperatorOrdered
from gatewayd.domain.ports import InstallRefusal
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
