"""Log-in, its throttle, sessions and their end, over the API."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from unittest.mock import patch

import httpx
import pytest

from gatewayd.console import auth
from gatewayd.domain.events import (
    OperatorLoggedIn,
    OperatorLoggedOut,
    OperatorLoginFailed,
    OperatorOrdered,
)
from gatewayd.domain.ports import JournalError
from gatewayd.store.operators import Operator, OperatorStoreError, Role, hash_password
from tests.clock import ManualClock
from tests.console.rig import HASH, PASSWORD, Rig

LOGIN = {"name": "li-guard", "password": PASSWORD}
WRONG = {"name": "li-guard", "password": "guessing-1"}


async def log_in(client: httpx.AsyncClient, body: dict[str, str] = LOGIN) -> httpx.Response:
    return await client.post("/api/v1/session", json=body)


async def test_a_right_password_begins_a_session_and_is_journaled(console: Rig) -> None:
    async with console.client() as client:
        answer = await log_in(client)
        told = (await client.get("/api/v1/session")).json()
    assert answer.status_code == 201
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    assert told["operator"] == "li-guard"
    assert told["role"] == "guard"
    assert told["language"] == "en"
    assert told["site"] == {
        "id": "yard", "name": "翠湖花园", "gateway": "gate-1", "time_zone": "Asia/Shanghai",
    }  # fmt: skip
    assert "POST /api/v1/doors/lockdown" not in told["may"]
    assert told["ends_ms"] == console.clock.now().wall_ms + 12 * 3_600_000
    assert await console.journaled(OperatorLoggedIn) == [
        OperatorLoggedIn("li-guard", "guard", "10.0.0.5")
    ]


async def test_over_https_the_cookie_is_secure_and_bound_to_the_host(console: Rig) -> None:
    async with console.client(base="https://gate.test") as client:
        answer = await log_in(client)
        assert (await client.get("/api/v1/session")).status_code == 200
    assert answer.headers["set-cookie"].startswith("__Host-gatewayd=")
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize(
    ("body", "kept", "detail"),
    [
        (WRONG, "li-guard", "wrong password"),
        ({"name": "nobody", "password": PASSWORD}, "?", "unknown name"),
        ({"name": "off-duty", "password": PASSWORD}, "off-duty", "operator disabled"),
    ],
)
async def test_whatever_is_wrong_the_answer_is_the_same_and_the_failure_is_journaled(
    console: Rig, body: dict[str, str], kept: str, detail: str
) -> None:
    await console.operators.put(Operator("off-duty", Role.GUARD, HASH, enabled=False))
    async with console.client() as client:
        answer = await log_in(client, body)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "urn:gatewayd:problem:wrong-credentials",
        "title": "Name or password is wrong",
        "status": 401,
        "code": "wrong-credentials",
        "detail": "check the name and the password",
    }
    assert await console.journaled(OperatorLoginFailed) == [
        OperatorLoginFailed(kept, "10.0.0.5", detail)
    ]


async def test_an_unknown_name_costs_one_hash_too(console: Rig) -> None:
    with patch.object(auth, "verify_password", return_value=False) as verify:
        async with console.client() as client:
            await log_in(client, {"name": "nobody", "password": "x"})
    verify.assert_called_once_with(None, "x")


async def test_after_five_wrong_passwords_the_account_waits_longer_and_longer(
    console: Rig, clock: ManualClock
) -> None:
    async with console.client() as client:
        for _ in range(5):
            assert (await log_in(client, WRONG)).status_code == 401
        refused = await log_in(client)
        assert refused.status_code == 429
        assert refused.json()["retry_after_s"] == 1
        assert refused.headers["retry-after"] == "1"
        await clock.advance(1)
        assert (await log_in(client, WRONG)).status_code == 401
        assert (await log_in(client)).json()["retry_after_s"] == 2
        await clock.advance(2)
        assert (await log_in(client)).status_code == 201
        assert (await log_in(client, WRONG)).status_code == 401


async def test_one_address_cannot_try_every_account(console: Rig, clock: ManualClock) -> None:
    with patch.object(auth, "verify_password", return_value=False):
        async with console.client() as client:
            for n in range(20):
                body = {"name": f"operator-{n}", "password": "x"}
                assert (await log_in(client, body)).status_code == 401
            assert (await log_in(client)).status_code == 429
        async with console.client(address="10.0.0.6") as other:
            assert (await log_in(other)).status_code == 401
    await clock.advance(16 * 60)
    async with console.client() as client:
        assert (await log_in(client)).status_code == 201


async def test_a_flood_of_failures_fills_neither_the_journal_nor_hides_its_size(
    console: Rig, clock: ManualClock
) -> None:
    with patch.object(auth, "verify_password", return_value=False):
        for n in range(30):
            async with console.client(address=f"10.0.1.{n}") as client:
                await log_in(client, {"name": f"name-{n}", "password": "x"})
        assert len(await console.journaled(OperatorLoginFailed)) == 20
        await clock.advance(30)
        async with console.client(address="10.0.2.1") as client:
            await log_in(client, {"name": "last", "password": "x"})
    failures = await console.journaled(OperatorLoginFailed)
    assert len(failures) == 21
    assert isinstance(failures[-1], OperatorLoginFailed)
    assert "10 more before it" in failures[-1].detail


async def test_too_many_at_once_are_told_to_come_back(console: Rig) -> None:
    async with console.client() as client, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(log_in(client, {"name": f"n{n}", "password": "x"}), name=f"n{n}")
            for n in range(14)
        ]
    codes = sorted(task.result().json()["code"] for task in tasks)
    assert set(codes) == {"busy", "wrong-credentials"}
    assert codes.count("wrong-credentials") >= 8


async def test_log_out_ends_the_session_and_is_journaled(console: Rig) -> None:
    async with console.client() as client:
        await log_in(client)
        token = client.cookies["gatewayd"]
        assert (await client.delete("/api/v1/session")).status_code == 204
        assert "gatewayd" not in client.cookies
        client.cookies.set("gatewayd", token)
        refused = await client.get("/api/v1/session")
    assert refused.json()["code"] == "not-signed-in"
    assert await console.journaled(OperatorLoggedOut) == [OperatorLoggedOut("li-guard")]


async def test_a_second_log_in_ends_the_session_before_it(console: Rig) -> None:
    async with console.client() as client:
        await log_in(client)
        first = client.cookies["gatewayd"]
        await log_in(client)
        assert client.cookies["gatewayd"] != first
        assert await console.operators.session(first) is None


async def test_guards_get_in_to_see_the_alarm_even_when_the_journal_refuses(console: Rig) -> None:
    refusing = patch.object(console.journal, "append", side_effect=JournalError("disk full"))
    with refusing:
        async with console.client() as client:
            assert (await log_in(client)).status_code == 201
            assert (await client.delete("/api/v1/session")).status_code == 204


@pytest.mark.parametrize(
    ("asked", "body", "first"),
    [("en-GB,en", {}, "en"), ("en-GB", {"language": "zh-CN"}, "zh-CN"), ("fr", {}, "zh-CN")],
)
async def test_a_new_operator_has_the_language_of_the_log_in(
    console: Rig, asked: str, body: dict[str, str], first: str
) -> None:
    await console.operators.put(Operator("new-guard", Role.GUARD, HASH))
    login = {"name": "new-guard", "password": PASSWORD, **body}
    async with console.client() as client:
        told = await client.post("/api/v1/session", json=login, headers={"Accept-Language": asked})
        assert told.json()["language"] == first
        login["language"] = "en"
        again = await client.post("/api/v1/session", json=login)
        assert again.json()["language"] == first


async def test_the_language_is_kept_with_the_operator(console: Rig) -> None:
    async with console.signed_in() as client:
        told = await client.put("/api/v1/session/language", json={"language": "zh-CN"})
        assert told.json()["language"] == "zh-CN"
        wrong = await client.put("/api/v1/session/language", json={"language": "tlh"})
    assert wrong.status_code == 422
    operator = await console.operators.operator("li-guard")
    assert operator is not None
    assert operator.language == "zh-CN"


async def test_a_first_password_must_be_changed_before_anything_else(console: Rig) -> None:
    new = Operator("new-guard", Role.GUARD, HASH, must_change_password=True)
    await console.operators.put(new)
    async with console.client() as client, console.client() as elsewhere:
        await log_in(client, {"name": "new-guard", "password": PASSWORD})
        await log_in(elsewhere, {"name": "new-guard", "password": PASSWORD})
        assert (await client.get("/api/v1/session")).json()["must_change_password"] is True
        assert (await client.get("/api/v1/doors")).json()["code"] == "password-change-required"
        change = {"current": PASSWORD, "new": "another-long-one"}
        answer = await client.put("/api/v1/session/password", json=change)
        assert answer.status_code == 200
        assert answer.json()["must_change_password"] is False
        assert (await client.get("/api/v1/doors")).status_code == 200
        assert (await elsewhere.get("/api/v1/session")).status_code == 401
        again = await log_in(elsewhere, {"name": "new-guard", "password": "another-long-one"})
        assert again.status_code == 201
    assert OperatorOrdered("new-guard", "change_password", "new-guard", "") in (
        await console.journaled(OperatorOrdered)
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"current": "not-mine-at-all", "new": "another-long-one"}, "wrong-credentials"),
        ({"current": PASSWORD, "new": "short"}, "password-unfit"),
        ({"current": PASSWORD, "new": PASSWORD}, "password-unfit"),
    ],
)
async def test_an_unfit_change_of_password_changes_nothing(
    console: Rig, change: dict[str, str], code: str
) -> None:
    async with console.signed_in() as client:
        answer = await client.put("/api/v1/session/password", json=change)
    assert answer.json()["code"] == code
    operator = await console.operators.operator("li-guard")
    assert operator is not None
    assert operator.password_hash == HASH


async def test_a_disabled_operator_is_out_at_the_next_request(console: Rig) -> None:
    async with console.signed_in() as client:
        operator = await console.operators.operator("li-guard")
        assert operator is not None
        await console.operators.put(replace(operator, enabled=False))
        assert (await client.get("/api/v1/session")).status_code == 401


async def test_an_operator_disabled_during_the_log_in_does_not_get_in(console: Rig) -> None:
    with patch.object(console.operators, "session", return_value=None):
        async with console.client() as client:
            assert (await log_in(client)).json()["code"] == "wrong-credentials"


async def test_a_session_that_ends_during_a_change_says_so(console: Rig) -> None:
    async with console.signed_in() as client:
        found = await console.operators.session(client.cookies["gatewayd"])
        with patch.object(console.operators, "session", side_effect=[found, None]):
            answer = await client.put("/api/v1/session/language", json={"language": "en"})
    assert answer.json()["code"] == "not-signed-in"


async def test_an_unreadable_operators_file_is_a_clear_problem(console: Rig) -> None:
    async with console.signed_in() as client:
        await console.operators._write("DROP TABLE session")
        answer = await client.get("/api/v1/session")
    assert answer.status_code == 503
    assert answer.json()["code"] == "operators-unavailable"


FULL = OperatorStoreError("operators.db: write: database or disk is full")


async def test_whoever_is_signed_in_works_on_where_operators_db_takes_nothing(
    console: Rig, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with console.signed_in(Role.LEADER) as client:
        with patch.object(console.operators, "_write", side_effect=FULL):
            for minute in range(40):  # longer than a session may be idle
                await clock.advance(61)
                assert (await client.get("/api/v1/alarms")).status_code == 200, minute
            down = await lock_down(client)
            refused = await log_in(client)
        await clock.advance(61)
        assert (await client.get("/api/v1/alarms")).status_code == 200
    assert down.status_code == 200
    assert refused.json()["code"] == "operators-unavailable"
    assert caplog.text.count("sessions' last uses are not written") == 1


async def test_whoever_is_signed_in_works_on_where_operators_db_hangs(
    console: Rig, clock: ManualClock
) -> None:
    real, tried, goes_on = console.operators._write, 0, asyncio.Event()

    async def hanging(sql: str, *values: object) -> None:
        nonlocal tried
        tried += 1
        await goes_on.wait()
        await real(sql, *values)

    async with console.signed_in(Role.LEADER) as client:
        with (
            patch.object(console.operators, "_write", hanging),
            patch.object(auth, "SEEN_S", 0.01),
        ):
            for _ in range(40):
                await clock.advance(61)
                assert (await client.get("/api/v1/alarms")).status_code == 200
            assert (await lock_down(client)).status_code == 200
            assert tried == 1
            goes_on.set()
            await clock.advance(61)
            assert (await client.get("/api/v1/alarms")).status_code == 200


async def lock_down(client: httpx.AsyncClient) -> httpx.Response:
    key = {"Idempotency-Key": "key-00000001"}
    return await client.post("/api/v1/doors/lockdown", json={"reason": "police"}, headers=key)


def test_a_password_that_nobody_could_type_is_refused() -> None:
    for text in ("", "x" * 257):
        with pytest.raises(ValueError, match="1 to 256"):
            hash_password(text)
