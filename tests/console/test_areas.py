"""Areas at the console: who is where, a head count by name, and forgiving with a reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
import pytest

from gatewayd.console.app import create_app
from gatewayd.domain.events import Cause, CauseKind, WhereaboutsForgiven
from gatewayd.domain.model import AreaId, PersonId
from gatewayd.domain.ports import JournalError, WhitelistReadError
from gatewayd.store.operators import Role
from tests.clock import ManualClock
from tests.console.rig import PASSWORD, Rig, rig
from tests.store.lists import person

AREAS, PEOPLE = "/api/v1/areas", "/api/v1/areas/yard/people"
FORGIVE = "/api/v1/areas/forgive"
TAILGATED = {"reason": "went out behind a car"}


async def forgive(
    client: httpx.AsyncClient, key: str = "key-00000001", **target: Any
) -> httpx.Response:
    body = {**TAILGATED, **target}
    return await client.post(FORGIVE, json=body, headers={"Idempotency-Key": key})


async def counts(client: httpx.AsyncClient) -> dict[str, int]:
    return {area["id"]: area["inside"] for area in (await client.get(AREAS)).json()["areas"]}


async def test_each_area_is_told_with_its_count_and_its_bounds(console: Rig) -> None:
    await console.passed(17)
    await console.passed(18)
    await console.passed(18, "b1-lobby")
    async with console.signed_in() as client:
        answer = await client.get(AREAS)
    yard, hall = answer.json()["areas"]
    assert yard == {
        "id": "yard", "name": "小区", "inside": 1, "minimum": None, "maximum": None,
        "anti_passback": "hard",
    }  # fmt: skip
    assert (hall["inside"], hall["minimum"], hall["maximum"]) == (1, 2, 2)


async def test_a_head_count_names_who_is_inside_by_building_and_since_when(
    console: Rig, clock: ManualClock
) -> None:
    for number in (19, 18, 17):
        await clock.advance(60)
        await console.passed(number)
    async with console.signed_in() as client:
        told = (await client.get(PEOPLE)).json()
    assert [one["person"]["name"] for one in told["people"]] == ["李建国", "王芳", "Anna Schmidt"]
    assert [one["person"]["building"] for one in told["people"]] == ["6", "6", "7"]
    since = [told["wall_ms"] - one["since_ms"] for one in told["people"]]
    assert since == [60_000, 0, 120_000]
    assert told["area"]["inside"] == 3
    assert told["neutral"] == []
    assert "phone" not in str(told)


async def test_buildings_are_ordered_as_numbers_and_who_has_none_comes_after(
    tmp_path: Path,
) -> None:
    more = [person(30 + n, building=building) for n, building in enumerate(("10", "9"))]
    async with rig(tmp_path, ManualClock(), more) as console, console.signed_in() as client:
        for number in (20, 30, 31, 17):
            await console.passed(number)
        told = (await client.get(PEOPLE)).json()
    assert [one["person"]["building"] for one in told["people"]] == ["6", "9", "10", ""]


async def test_whoever_is_not_listed_any_more_counts_and_comes_last(console: Rig) -> None:
    await console.passed(99)
    await console.passed(17)
    async with console.signed_in() as client:
        told = (await client.get(PEOPLE)).json()
        with patch.object(console.whitelist, "people", side_effect=WhitelistReadError("torn")):
            blind = (await client.get(PEOPLE)).json()
    assert [one["person_id"] for one in told["people"]] == ["p-17", "p-99"]
    assert told["people"][1]["person"] is None
    assert [one["person"] for one in blind["people"]] == [None, None]


async def test_a_forgiven_person_is_listed_apart_and_counted_nowhere(console: Rig) -> None:
    await console.passed(17)
    await console.passed(18)
    async with console.signed_in(Role.LEADER) as client:
        answer = await forgive(client, person_id="p-17")
        told = (await client.get(PEOPLE)).json()
    assert answer.status_code == 200
    [event] = await console.journaled(WhereaboutsForgiven)
    cause = Cause(CauseKind.OPERATOR, "chen-leader", "went out behind a car")
    assert event == WhereaboutsForgiven(PersonId("p-17"), None, cause)
    entry = await console.journal.entry(answer.json()["seq"])
    assert entry is not None
    assert entry.event == event
    assert [one["person_id"] for one in told["people"]] == ["p-18"]
    assert [one["person_id"] for one in told["neutral"]] == ["p-17"]
    assert told["area"]["inside"] == 1


async def test_an_area_is_forgiven_or_all_of_them(console: Rig) -> None:
    for number in (17, 18):
        await console.passed(number)
    await console.passed(18, "b1-lobby")
    async with console.signed_in(Role.LEADER) as client:
        await forgive(client, area_id="hall")
        one = await counts(client)
        await forgive(client, "key-00000002", all=True)
        everyone = await counts(client)
    assert one == {"yard": 1, "hall": 0}
    assert everyone == {"yard": 0, "hall": 0}
    cause = Cause(CauseKind.OPERATOR, "chen-leader", "went out behind a car")
    assert await console.journaled(WhereaboutsForgiven) == [
        WhereaboutsForgiven(None, AreaId("hall"), cause),
        WhereaboutsForgiven(None, None, cause),
    ]


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ({}, "invalid-request"),
        ({"person_id": "p-17", "area_id": "yard"}, "invalid-request"),
        ({"area_id": "yard", "all": True}, "invalid-request"),
        ({"all": True, "reason": "  "}, "invalid-request"),
        ({"area_id": "moon"}, "no-such-area"),
        ({"person_id": "p-99"}, "no-such-person"),
    ],
)
async def test_what_is_not_one_known_target_with_a_reason_is_refused(
    console: Rig, target: dict[str, Any], code: str
) -> None:
    async with console.signed_in(Role.LEADER) as client:
        answer = await forgive(client, **target)
    assert answer.json()["code"] == code
    assert await console.journaled(WhereaboutsForgiven) == []


async def test_someone_who_was_seen_is_forgiven_although_no_longer_listed(console: Rig) -> None:
    await console.passed(99)
    async with console.signed_in(Role.LEADER) as client:
        answer = await forgive(client, person_id="p-99")
        assert answer.status_code == 200
        assert await counts(client) == {"yard": 0, "hall": 0}


async def test_what_cannot_be_journaled_forgives_nobody_and_a_repeat_forgives_once(
    console: Rig,
) -> None:
    await console.passed(17)
    async with console.signed_in(Role.LEADER) as client:
        with patch.object(console.journal, "append", side_effect=JournalError("disk full")):
            refused = await forgive(client, all=True)
        assert await counts(client) == {"yard": 1, "hall": 0}
        first = await forgive(client, all=True)
        again = await forgive(client, all=True)
    assert refused.json()["code"] == "journal-unavailable"
    assert first.json() == again.json()
    assert len(await console.journaled(WhereaboutsForgiven)) == 1


async def test_an_area_that_the_settings_do_not_have_has_no_people(console: Rig) -> None:
    async with console.signed_in() as client:
        answer = await client.get("/api/v1/areas/moon/people")
    assert (answer.status_code, answer.json()["code"]) == (404, "no-such-area")


async def test_a_console_to_which_nobody_keeps_book_has_no_areas(console: Rig) -> None:
    app = create_app(replace(console.deps, areas=None))
    transport = httpx.ASGITransport(app, client=("10.0.0.5", 40_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://gate.test") as client:
        body = {"name": "chen-leader", "password": PASSWORD}
        await client.post("/api/v1/session", json=body)
        assert (await client.get(AREAS)).json() == {"areas": []}
        answer = await forgive(client, all=True)
    assert answer.json()["code"] == "no-such-area"


async def test_who_was_where_outlives_a_restart_of_the_box(tmp_path: Path) -> None:
    clock = ManualClock()
    async with rig(tmp_path, clock) as console:
        await console.passed(17)
    async with rig(tmp_path, clock) as again, again.signed_in() as client:
        assert await counts(client) == {"yard": 1, "hall": 0}
