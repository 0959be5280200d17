"""Entries as the API gives them: joined, paged, with their pictures."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest

from gatewayd.domain.events import AccessDenied, Outcome
from gatewayd.domain.model import AlarmKind, PersonId, Reason, Remedy, RuleResult, RuleTrace
from gatewayd.domain.ports import JournalError, WhitelistReadError
from tests.console.rig import Link, Rig, jpeg


async def test_an_entry_joins_person_place_door_outcome_and_picture(console: Rig) -> None:
    seq = await console.granted()
    await console.outcome(seq)
    name = await console.picture(seq)
    async with console.signed_in() as client:
        page = (await client.get("/api/v1/entries")).json()
    [entry] = page["entries"]
    assert entry["seq"] == seq
    assert entry["decision"] == "granted"
    assert entry["person"] == {
        "id": "p-17", "name": "王芳", "role": "owner", "building": "6", "unit": "2",
        "room": "1203", "photo": "",
    }  # fmt: skip
    assert entry["place"] == "6-2-1203"
    assert entry["door"] == {"id": "main-gate", "name": "东门人行"}
    assert entry["access_point"] == {"id": "gate-in", "name": "东门进"}
    assert entry["direction"] == "in"
    assert entry["outcome"] == "unlocked"
    assert entry["pictures"] == [
        {
            "camera": {"id": "cam-gate", "name": "东门全景"},
            "url": f"/api/v1/pictures/{name}",
            "age_ms": 80,
        }
    ]
    assert page["epoch"] == console.journal.epoch
    assert page["next_before"] is None


@pytest.mark.parametrize(
    ("rule", "saw", "warned"),
    [("anti_passback", "inside_soft", True), ("pin", "duress", False)],
)
async def test_a_grant_tells_of_a_warning_but_not_of_duress(
    console: Rig, rule: str, saw: str, warned: bool
) -> None:
    await console.granted(trace=(RuleTrace(rule, saw, RuleResult.WARN),))
    async with console.signed_in() as client:
        [entry] = (await client.get("/api/v1/entries")).json()["entries"]
    assert (entry["warned"], entry["has_camera"]) == (warned, True)


async def test_no_answer_holds_a_phone_or_a_whole_card_number(console: Rig) -> None:
    seq = await console.denied()
    async with console.signed_in() as client:
        texts = [
            (await client.get(path)).text
            for path in ("/api/v1/entries", f"/api/v1/entries/{seq}", "/api/v1/state")
        ]
    for text in texts:
        assert "13800001234" not in text
        assert "0000011" not in text


async def test_a_denial_carries_its_reason_and_what_its_sentence_needs(console: Rig) -> None:
    seq = await console.denied()
    async with console.signed_in() as client:
        entry = (await client.get(f"/api/v1/entries/{seq}")).json()
    assert entry["reason"] == "expired"
    assert entry["detail"] == {"valid_until_s": "1794960000"}
    assert entry["outcome"] is None
    assert entry["trace"][1] == {
        "rule": "valid_until",
        "saw": "ended",
        "result": "fail",
        "facts": {"valid_until_s": "1794960000"},
    }
    assert entry["remedies"] == []


async def test_doors_and_people_in_a_trace_have_their_names(console: Rig) -> None:
    late = RuleTrace("escort", "late", RuleResult.FAIL, (("person", "p-17"), ("seconds", "30")))
    locked = RuleTrace("interlock", "blocked", RuleResult.FAIL, (("other_door", "b1-lobby"),))
    gone = RuleTrace("escort", "escorted", RuleResult.PASS, (("person", "p-999"),))
    seq = await console.denied(
        Reason.INTERLOCKED,
        detail=locked.facts,
        trace=(late, locked, gone),
        remedies=(Remedy("lift_lockdown", (("door", "main-gate"),)),),
    )
    async with console.signed_in() as client:
        entry = (await client.get(f"/api/v1/entries/{seq}")).json()
    facts = [line["facts"] for line in entry["trace"]]
    assert facts == [
        {"person": "王芳", "seconds": "30"},
        {"other_door": "6栋大堂"},
        {"person": "p-999"},
    ]
    assert entry["detail"] == {"other_door": "6栋大堂"}
    assert entry["remedies"] == [{"change": "lift_lockdown", "facts": {"door": "东门人行"}}]


async def test_areas_levels_and_schedules_of_a_trace_have_their_names(console: Rig) -> None:
    open_ = RuleTrace(
        "in_schedule", "open", RuleResult.PASS, (("level", "residents"), ("schedule", "always"))
    )
    closed = RuleTrace("in_schedule", "closed", RuleResult.FAIL, (("schedules", "always, gone"),))
    seq = await console.denied(Reason.OUTSIDE_SCHEDULE, detail=closed.facts, trace=(open_, closed))
    async with console.signed_in() as client:
        entry = (await client.get(f"/api/v1/entries/{seq}")).json()
        broken = patch.object(console.whitelist, "levels", side_effect=WhitelistReadError("gone"))
        with broken:
            plain = (await client.get(f"/api/v1/entries/{seq}")).json()
    assert entry["trace"][0]["facts"] == {"level": "Residents", "schedule": "Always"}
    assert entry["detail"] == {"schedules": "Always, gone"}
    assert plain["trace"][0]["facts"] == {"level": "residents", "schedule": "always"}


async def test_the_sentence_of_a_denial_has_the_names_of_areas_and_people(console: Rig) -> None:
    detail = (("area", "yard"), ("person", "p-17"), ("level", "residents"))
    await console.denied(Reason.ANTI_PASSBACK, detail=detail)
    async with console.signed_in() as client:
        [entry] = (await client.get("/api/v1/entries")).json()["entries"]
    assert entry["detail"] == {"area": "小区", "person": "王芳", "level": "Residents"}


async def test_an_alarm_about_a_person_says_who_and_one_about_an_area_which(console: Rig) -> None:
    for number, detail in enumerate(("p-17 6-2-1203", "p-999 4-2-1101", "")):
        await console.alarms.raise_alarm(AlarmKind.WATCH_LIST, f"gate-{number}", detail)
    await console.alarms.raise_alarm(AlarmKind.AREA_OVER_LIMIT, "hall", "3 inside, at most 2")
    async with console.signed_in() as client:
        listed = (await client.get("/api/v1/alarms")).json()["alarms"]
        with patch.object(console.whitelist, "people", side_effect=WhitelistReadError("gone")):
            nameless = (await client.get("/api/v1/alarms")).json()["alarms"]
    told = [(one["person"] and one["person"]["name"], one["place"]) for one in listed]
    assert told == [("王芳", "6-2-1203"), (None, "4-2-1101"), (None, ""), (None, "")]
    assert listed[3]["about"] == {"id": "hall", "name": "6栋"}
    assert [one["person"] for one in nameless] == [None] * 4
    assert nameless[0]["place"] == "6-2-1203"


async def test_an_unknown_card_is_nobody(console: Rig) -> None:
    await console.denied(Reason.CREDENTIAL_UNKNOWN, None, detail=())
    async with console.signed_in() as client:
        [entry] = (await client.get("/api/v1/entries")).json()["entries"]
    assert entry["person"] is None
    assert entry["place"] == ""
    assert entry["credential"]["masked"].endswith("0063")


async def test_a_person_who_left_the_list_keeps_the_journaled_place(console: Rig) -> None:
    await console.granted(person_id=PersonId("p-999"))
    async with console.signed_in() as client:
        [entry] = (await client.get("/api/v1/entries")).json()["entries"]
    assert entry["person"] is None
    assert entry["place"] == "6-2-1203"


async def test_an_unreadable_list_costs_the_names_and_nothing_else(console: Rig) -> None:
    await console.granted()
    broken = patch.object(console.whitelist, "people", side_effect=WhitelistReadError("damaged"))
    with broken:
        async with console.signed_in() as client:
            [entry] = (await client.get("/api/v1/entries")).json()["entries"]
    assert entry["person"] is None


async def test_pages_follow_one_another_without_a_hole(console: Rig) -> None:
    seqs = []
    for n in range(7):
        seqs.append(await (console.granted() if n % 2 else console.denied()))
        await console.outcome(seqs[-1])
    async with console.signed_in() as client:
        found, before = [], None
        for _ in range(4):
            query = "" if before is None else f"&before={before}"
            page = (await client.get(f"/api/v1/entries?limit=2{query}")).json()
            found += [entry["seq"] for entry in page["entries"]]
            before = page["next_before"]
    assert found == seqs[::-1]
    assert before is None


async def test_filters_leave_only_what_was_asked_for(console: Rig) -> None:
    first = await console.granted(reader="b1-in")
    second = await console.denied()
    third = await console.granted()
    async with console.signed_in() as client:

        async def seqs(query: str) -> list[int]:
            page = (await client.get(f"/api/v1/entries?{query}")).json()
            return [entry["seq"] for entry in page["entries"]]

        assert await seqs("decision=denied") == [second]
        assert await seqs("decision=granted") == [third, first]
        assert await seqs("access_point=b1-in") == [first]
        assert await seqs("access_point=nowhere") == []


async def test_a_page_of_one_reader_finds_outcomes_behind_many_others(console: Rig) -> None:
    old = await console.granted(reader="b1-in")
    await console.outcome(old, reader="b1-in")
    for _ in range(70):
        await console.outcome(await console.granted())
    last = await console.granted(reader="b1-in")
    await console.outcome(last, Outcome.FAILED, reader="b1-in")
    async with console.signed_in() as client:
        page = (await client.get("/api/v1/entries?access_point=b1-in")).json()
    assert [entry["outcome"] for entry in page["entries"]] == ["failed", "unlocked"]


async def test_what_is_no_decision_is_no_entry(console: Rig) -> None:
    seq = await console.granted()
    outcome = await console.outcome(seq)
    async with console.signed_in() as client:
        for number in (outcome, 999_999):
            answer = await client.get(f"/api/v1/entries/{number}")
            assert answer.status_code == 404
            assert answer.json()["code"] == "no-such-entry"


async def test_a_journal_that_cannot_be_read_is_a_clear_problem(console: Rig) -> None:
    failing = patch.object(console.journal, "entries_before", side_effect=JournalError("damaged"))
    with failing:
        async with console.signed_in() as client:
            answer = await client.get("/api/v1/entries")
    assert answer.status_code == 503
    assert answer.json()["code"] == "journal-unavailable"
    assert answer.json()["detail"] == "damaged"


async def test_a_picture_is_a_jpeg_that_only_a_session_sees(console: Rig) -> None:
    seq = await console.granted()
    url = f"/api/v1/pictures/{await console.picture(seq)}"
    async with console.signed_in() as client, console.client() as stranger:
        answer = await client.get(url)
        assert (await stranger.get(url)).status_code == 401
    assert answer.content == jpeg(seq)
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"


async def test_a_picture_that_went_or_never_was_is_a_404_whatever_its_name(console: Rig) -> None:
    seq = await console.granted()
    name = await console.picture(seq)
    console.pictures.discard(seq, name)
    async with console.signed_in() as client:
        answers = [
            await client.get(f"/api/v1/pictures/{path}")
            for path in (
                name,
                "2026-11-18/0000000001-nobody.jpg",
                "2026-11-18/..%2f..%2foperators.db",
                "..%2f..%2fjournal.db/x.jpg",
            )
        ]
    assert [answer.status_code for answer in answers][:2] == [404, 404]
    assert all(answer.status_code in {404, 422} for answer in answers)


async def test_the_state_holds_doors_alarms_line_and_list(console: Rig) -> None:
    await console.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "main-gate")
    await console.picture(console.alarms.open_alarms()[0].raised_seq)
    async with console.signed_in() as client:
        state = (await client.get("/api/v1/state")).json()
        alarms = (await client.get("/api/v1/alarms")).json()["alarms"]
    assert [door["phase"] for door in state["doors"]] == ["secure"] * 3
    assert state["link"]["protocol"] == "MQTT 5"
    assert state["whitelist"] == {"revision": 7, "credentials": 1}
    assert state["alarms"] == alarms
    assert alarms[0]["about"] == {"id": "main-gate", "name": "东门人行"}
    assert alarms[0]["priority"] == "critical"
    assert len(alarms[0]["pictures"]) == 1


async def test_the_system_page_tells_devices_disk_outbox_and_clock(console: Rig) -> None:
    await console.granted()
    async with console.signed_in() as client:
        system = (await client.get("/api/v1/system")).json()
    assert system["outbox"] == {"evt": 2, "alarm": 0}
    assert system["disk"]["total_bytes"] > system["disk"]["free_bytes"] > 0
    assert system["wall_trusted"] is True
    assert system["devices"][0] == {
        "id": "gate-in", "name": "东门进", "kind": "reader", "driver": "ascii-tag",
        "online": True, "detail": "9600 baud",
    }  # fmt: skip


async def test_a_box_without_a_centre_is_alone_and_a_disk_that_is_gone_is_full(
    console: Rig,
) -> None:
    state = console.app.state.console
    settings = console.deps.settings
    gone = settings.storage.model_copy(
        update={"directory": console.deps.settings.storage.directory / "no"}
    )
    state.deps = replace(
        console.deps, settings=settings.model_copy(update={"storage": gone}), link_status=None
    )
    state.views._deps = state.deps
    async with console.signed_in() as client:
        system = (await client.get("/api/v1/system")).json()
    assert system["link"]["state"] == "alone"
    assert system["disk"] == {"free_bytes": 0, "total_bytes": 0, "low_bytes": 200_000_000}


async def test_a_line_that_is_down_says_why(console: Rig) -> None:
    state = console.app.state.console
    state.views._deps = replace(
        console.deps, link_status=lambda: Link("connecting", 5, None, "connection refused")
    )
    async with console.signed_in() as client:
        link = (await client.get("/api/v1/state")).json()["link"]
    assert link == {
        "state": "connecting", "since_ms": 5, "protocol": "", "detail": "connection refused",
    }  # fmt: skip


async def test_views_show_a_denial_without_a_person_of_the_list(console: Rig) -> None:
    """The journal's own words stand where the settings no longer have a reader."""
    await console.denied()
    entry = await console.journal.entry(console.journal.last_seq)
    assert entry is not None
    assert isinstance(entry.event, AccessDenied)
    moved = replace(entry, event=replace(entry.event, access_point_id="old-reader"))  # type: ignore[arg-type]  # a bare id
    [view] = await console.app.state.console.views.entries([moved])
    assert view.access_point.name == "old-reader"
