"""Each route × each role × no session; and the document that describes them all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from gatewayd.console.app import build, create_app, served_routes
from gatewayd.console.permissions import BEFORE_PASSWORD_CHANGE, PUBLIC, TABLE, may
from gatewayd.console.problems import PROBLEMS
from gatewayd.console.reference import api_page
from gatewayd.store.operators import Role
from tests.console.rig import Rig

# What the table must say, written down a second time: a slip in it opens doors.
LEADERS_ONLY = {
    "POST /api/v1/doors/lockdown",
    "POST /api/v1/doors/lift-lockdown",
    "POST /api/v1/doors/{door_id}/mode",
    "POST /api/v1/doors/{door_id}/mode/withdraw",
    "POST /api/v1/fire/reset",
    "POST /api/v1/areas/forgive",
}
ADMINISTRATORS_ONLY = {
    "POST /api/v1/devices/{device_id}/install-window",
    "GET /api/v1/install-window",
    "POST /api/v1/install-window/close",
    "POST /api/v1/buses/{bus_id}/capture",
    "GET /api/v1/capture",
    "POST /api/v1/capture/stop",
}
REFUSED = {
    Role.GUARD: LEADERS_ONLY | ADMINISTRATORS_ONLY,
    Role.LEADER: ADMINISTRATORS_ONLY,
    Role.MANAGER: ADMINISTRATORS_ONLY,
    Role.ADMINISTRATOR: set(),
}
WITHOUT_SESSION = {
    "GET /",
    "GET /login",
    "GET /api/v1/openapi.json",
    "POST /api/v1/session",
}
BODIES: dict[str, Any] = {
    "POST /api/v1/doors/{door_id}/unlock": {"reason": "test"},
    "POST /api/v1/doors/lockdown": {"reason": "test"},
    "POST /api/v1/doors/lift-lockdown": {"reason": "test"},
    "POST /api/v1/doors/{door_id}/mode": {"reason": "test", "mode": "Blocked"},
    "POST /api/v1/doors/{door_id}/mode/withdraw": {"reason": "test"},
    "POST /api/v1/fire/reset": {"reason": "test"},
    "POST /api/v1/areas/forgive": {"reason": "test", "all": True},
    "POST /api/v1/devices/{device_id}/install-window": {"reason": "test"},
    "POST /api/v1/install-window/close": {"reason": "test"},
    "POST /api/v1/buses/{bus_id}/capture": {"reason": "test"},
    "POST /api/v1/capture/stop": {"reason": "test"},
    "POST /api/v1/alarms/{alarm_id}/acknowledge": {"note": ""},
    "POST /api/v1/alarms/{alarm_id}/shelve": {"reason": "test", "until_ms": 1_795_000_060_000},
    "POST /api/v1/alarms/{alarm_id}/unshelve": {},
    "PUT /api/v1/session/language": {"language": "en"},
    "PUT /api/v1/session/password": {"current": "x", "new": "y"},
}
PLACES = {
    "{seq}": "1",
    "{door_id}": "main-gate",
    "{alarm_id}": "0123",
    "{device_id}": "gate-in",
    "{bus_id}": "line-1",
    "{day}": "2026-11-18",
    "{file}": "0000000001-cam-gate.jpg",
}
PRIVATE = sorted(TABLE.keys() - WITHOUT_SESSION)


async def ask(client: httpx.AsyncClient, route: str) -> httpx.Response:
    method, path = route.split(" ")
    for place, value in PLACES.items():
        path = path.replace(place, value)
    body = BODIES.get(route)
    headers = {"Idempotency-Key": f"key-{list(TABLE).index(route):08}"}
    return await client.request(method, path, json=body, headers=headers)


def test_the_table_lists_every_route_that_is_served_and_no_other() -> None:
    assert served_routes() == TABLE.keys()
    assert {route for route, role in TABLE.items() if role is PUBLIC} == WITHOUT_SESSION
    assert TABLE.keys() >= BEFORE_PASSWORD_CHANGE


def test_a_route_that_the_table_does_not_have_stops_the_start() -> None:
    longer = patch.dict(TABLE, {"GET /api/v1/secret": Role.GUARD})
    with longer, pytest.raises(RuntimeError, match="differ: GET /api/v1/secret"):
        build()


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_what_it_should(role: Role) -> None:
    refused = {route for route in TABLE if not may(role, route)}
    assert refused == REFUSED[role]


@pytest.mark.parametrize("role", list(Role))
async def test_every_route_keeps_to_the_table(console: Rig, role: Role) -> None:
    last = {"GET /api/v1/events/stream", "DELETE /api/v1/session"}  # one never ends, one ends all
    async with console.signed_in(role) as client:
        answers = {route: await ask(client, route) for route in PRIVATE if route not in last}
    for route, answer in answers.items():
        expected = "role-too-low" if route in REFUSED[role] else None
        got = answer.json().get("code") if answer.status_code == 403 else None
        assert got == expected, route
        assert answer.status_code not in {401, 500}, (route, answer.text)
    moved = {d.mode for d in console.doors.all_status() if d.door_id != "main-gate"}
    assert len(console.doors.unlocked) == 1
    assert moved == {"Locked" if role is Role.GUARD else "LockedDown"}


@pytest.mark.parametrize("cookie", [None, "x" * 43, "", "'; DROP TABLE session; --"])
async def test_without_a_session_nothing_private_answers(console: Rig, cookie: str | None) -> None:
    async with console.client() as client:
        if cookie is not None:
            client.cookies.set("gatewayd", cookie)
        for route in PRIVATE:
            answer = await ask(client, route)
            assert answer.status_code == 401, route
            assert answer.json()["code"] == "not-signed-in"
    assert console.doors.unlocked == []


async def test_the_page_leads_whoever_is_not_signed_in_to_the_log_in(console: Rig) -> None:
    async with console.client() as client, console.signed_in() as guard:
        answer = await client.get("/")
        login = await client.get("/login", headers={"Accept-Language": "en-GB,en;q=0.9"})
        chinese = await client.get("/login", headers={"Accept-Language": "tlh, zh-TW;q=0.8"})
        other = await client.get("/login", headers={"Accept-Language": "tlh"})
        page = await guard.get("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert 'lang="en"' in login.text
    assert "Sign in" in login.text
    assert 'lang="zh-CN"' in chinese.text
    assert 'lang="zh-CN"' in other.text
    assert "翠湖花园" in page.text


async def test_the_name_of_the_site_is_text_in_the_page_whatever_it_holds(console: Rig) -> None:
    settings = console.deps.settings
    site = settings.site.model_copy(update={"name": "<script>alert(1)</script>"})
    changed = settings.model_copy(update={"site": site})
    console.app.state.console.deps = replace(console.deps, settings=changed)
    async with console.client() as client:
        page = await client.get("/login")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text


# ------------------------------------------------------------------------------- OpenAPI


def operations() -> list[tuple[str, dict[str, Any]]]:
    document = build().openapi()
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


async def test_the_document_is_served_and_is_openapi_3_1(console: Rig) -> None:
    async with console.client() as client:
        document = (await client.get("/api/v1/openapi.json")).json()
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert (await client.get(path)).json()["code"] == "not-found"
    assert document["openapi"].startswith("3.1")
    assert document == create_app(console.deps).openapi()


@pytest.mark.parametrize(("route", "operation"), operations())
def test_every_route_is_described_in_full(route: str, operation: dict[str, Any]) -> None:
    assert operation["summary"]
    assert operation["operationId"]
    assert operation["tags"]
    good = [answer for status, answer in operation["responses"].items() if status < "300"]
    assert good
    for answer in good:
        for kind, content in answer.get("content", {}).items():
            assert content["schema"], (route, kind)
    problems = [a for status, a in operation["responses"].items() if status >= "400"]
    assert problems
    for answer in problems:
        assert list(answer["content"]) == ["application/problem+json"], route
    if TABLE[route] is not PUBLIC:
        assert {"401", "403", "422", "503"} <= operation["responses"].keys()
    if not route.startswith("GET"):
        assert {"403", "413", "415"} <= operation["responses"].keys()


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = build().openapi()
    schemas = document["components"]["schemas"]

    def references(node: Any) -> list[str]:  # JSON
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [ref for value in node.values() for ref in references(value)]
        if isinstance(node, list):
            return [ref for value in node for ref in references(value)]
        return []

    assert {ref.rsplit("/", 1)[1] for ref in references(document)} <= schemas.keys()
    assert "HTTPValidationError" not in schemas
    assert {"EntryView", "DoorView", "AlarmList", "StateView", "Problem"} <= schemas.keys()


def test_operation_ids_are_unique() -> None:
    ids = [operation["operationId"] for _, operation in operations()]
    assert len(ids) == len(set(ids))


def test_the_reference_page_has_every_route_role_and_problem() -> None:
    page = api_page()
    for route in TABLE:
        assert f"| `{route}` |" in page
    for code in PROBLEMS:
        assert f"| `{code}` |" in page
    lockdown = next(line for line in page.splitlines() if "/doors/lockdown`" in line)
    assert lockdown.endswith("| ○ | ● | ● | ● |")
