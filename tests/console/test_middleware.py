"""What every request meets: headers, foreign pages, bodies too large or of the wrong kind."""

from __future__ import annotations

import asyncio
import logging
from typing import Any
from unittest.mock import patch

import pytest
from starlette.types import Message

from gatewayd.console import middleware
from gatewayd.console.middleware import MAX_BODY, Guard
from gatewayd.store.operators import Role
from tests.console.rig import PASSWORD, Rig

LOGIN = {"name": "li-guard", "password": PASSWORD}


@pytest.mark.parametrize("path", ["/", "/login", "/api/v1/doors", "/nowhere", "/static/js/app.js"])
async def test_every_response_carries_the_headers(console: Rig, path: str) -> None:
    async with console.client() as client:
        headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ):
        assert part in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "camera=()" in headers["permissions-policy"]
    assert headers["cache-control"] == ("no-cache" if "static" in path else "no-store")


async def test_static_files_are_whole_and_typed(console: Rig) -> None:
    async with console.client() as client:
        script = await client.get("/static/js/app.js")
        texts = await client.get("/static/i18n/en.json")
        again = await client.get(
            "/static/js/app.js", headers={"If-None-Match": script.headers["etag"]}
        )
        outside = await client.get("/static/..%2fapp.py")
    assert "javascript" in script.headers["content-type"]
    assert texts.headers["content-type"] == "application/json"
    assert again.status_code == 304
    assert outside.status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://gate.test"},
        {"Origin": "http://gate.test:8081"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://gate.test"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_an_order_from_another_sites_page_is_refused(
    console: Rig, headers: dict[str, str]
) -> None:
    async with console.signed_in() as client:
        answer = await client.post(
            "/api/v1/doors/main-gate/unlock",
            json={"reason": "x"},
            headers={"Idempotency-Key": "key-00000001", **headers},
        )
        read = await client.get("/api/v1/doors", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["code"] == "foreign-origin"
    assert console.doors.unlocked == []
    assert read.status_code == 200


async def test_an_order_from_our_own_page_is_taken(console: Rig) -> None:
    own = {"Origin": "http://gate.test", "Sec-Fetch-Site": "same-origin"}
    async with console.client() as client:
        assert (await client.post("/api/v1/session", json=LOGIN, headers=own)).status_code == 201


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_only_json_is_taken(console: Rig, kind: str) -> None:
    body = b'{"name": "li-guard", "password": "x"}'
    async with console.client() as client:
        answer = await client.post("/api/v1/session", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert answer.json()["code"] == "not-json"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"null",
        b'{"name": "li-guard"}',
        b'{"name": 5, "password": "secret-typed-here"}',
        b'{"name": "li-guard", "password": "secret-typed-here", "admin": true}',
        b'{"name": "", "password": "secret-typed-here"}',
        b'\xff\xfe{"name"',
        b'{"name": "' + b"x" * 300 + b'", "password": "secret-typed-here"}',
        b"[" * 30_000,
    ],
)
async def test_a_body_of_the_wrong_form_is_named_and_never_echoed(
    console: Rig, body: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with console.client() as client:
        answer = await client.post(
            "/api/v1/session", content=body, headers={"Content-Type": "application/json"}
        )
    assert answer.status_code in {400, 422}, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "invalid-request"
    assert "secret-typed-here" not in answer.text + caplog.text


async def test_a_body_that_is_too_large_is_refused_by_its_header(console: Rig) -> None:
    async with console.client() as client:
        answer = await client.post(
            "/api/v1/session",
            content=b"x" * (MAX_BODY + 1),
            headers={"Content-Type": "application/json"},
        )
    assert answer.status_code == 413


async def test_a_body_without_a_length_is_refused_once_it_is_too_large(console: Rig) -> None:
    sent = 0

    async def endless() -> Any:  # an iterator of bytes
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 8_192

    async with console.client() as client:
        answer = await client.post(
            "/api/v1/session", content=endless(), headers={"Content-Type": "application/json"}
        )
    assert answer.json()["code"] == "body-too-large"
    assert sent < 20


class App:
    """The innermost ASGI application: notes what it was given."""

    def __init__(self) -> None:
        self.bodies: list[Message] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # ASGI
        if scope["type"] == "http":
            self.bodies = [await receive(), await receive()]


async def through(receive: Any, **scope: Any) -> tuple[App, list[Message]]:  # ASGI
    app, sent = App(), []

    async def send(message: Message) -> None:
        sent.append(message)

    whole = {"type": "http", "method": "POST", "path": "/", "scheme": "http", "headers": []}
    await Guard(app)({**whole, **scope}, receive, send)
    return app, sent


async def test_a_body_that_never_comes_ends_the_request() -> None:
    with patch.object(middleware, "BODY_TIMEOUT_S", 0.01):
        _, sent = await through(asyncio.Event().wait)
    assert sent[0]["status"] == 408


async def test_a_client_that_left_is_no_error() -> None:
    async def gone() -> Message:
        return {"type": "http.disconnect"}

    app, _ = await through(gone)
    assert [message["type"] for message in app.bodies] == ["http.request", "http.disconnect"]


async def test_what_is_not_http_passes_by() -> None:
    app, sent = await through(asyncio.Event().wait, type="lifespan")
    assert (app.bodies, sent) == ([], [])


async def test_unknown_addresses_and_methods_are_problems_too(console: Rig) -> None:
    async with console.signed_in(Role.ADMINISTRATOR) as client:
        unknown = await client.get("/api/v1/secrets")
        method = await client.delete("/api/v1/doors")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not-found")
    assert (method.status_code, method.json()["code"]) == (405, "method-not-allowed")
    assert "GET" in method.headers["allow"]


async def test_a_defect_is_a_problem_without_its_inside(console: Rig) -> None:
    with patch.object(console.doors, "all_status", side_effect=LookupError("inside")):
        async with console.signed_in() as client:
            with pytest.raises(LookupError):
                await client.get("/api/v1/doors")
        transport = console.client()
        transport._transport.raise_app_exceptions = False  # type: ignore[attr-defined]  # as uvicorn does
        async with transport as client:
            await client.post("/api/v1/session", json=LOGIN)
            answer = await client.get("/api/v1/doors")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-error"
    assert "inside" not in answer.text


@pytest.mark.parametrize(
    "query",
    ["before=0", "before=x", "limit=0", "limit=201", "decision=maybe", f"before={10**30}"],
)
async def test_a_query_out_of_bounds_is_refused(console: Rig, query: str) -> None:
    async with console.signed_in() as client:
        answer = await client.get(f"/api/v1/entries?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"].startswith("query.")
