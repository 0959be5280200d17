"""The journal's taps decided again: as they were where nothing changed, and what changes else."""

from __future__ import annotations

import asyncio
import json
import random
import re
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from gatewayd import cli
from gatewayd.domain import policy
from gatewayd.domain.door import ContactChanged
from gatewayd.domain.events import (
    AccessGranted,
    AccessOutcome,
    Cause,
    CauseKind,
    Event,
    Outcome,
    PersonPassed,
)
from gatewayd.domain.model import (
    AccessPointId,
    AreaId,
    Credential,
    DoorId,
    DoorMode,
    Grant,
    PersonId,
    Reason,
    Snapshot,
    Stamp,
    Tap,
)
from gatewayd.domain.ports import JournalEntry, JournalError, WhitelistReadError
from gatewayd.inquiry.past import DECISIONS
from gatewayd.inquiry.replay import Change, Replay, Replayed, _in_effect, index
from gatewayd.inquiry.sources import Place, current_list, secret_of
from gatewayd.store.journal_file import open_journal
from tests.clock import ManualClock
from tests.inquiry.compound import (
    DOORS,
    READERS,
    Compound,
    card_of,
    compound,
    place,
    records,
    settings_text,
    write_settings,
)
from tests.store import samples
from tests.store.lists import chunk, credential, person

Captured = pytest.CaptureFixture[str]
SOME = {
    Reason.GRANTED, Reason.ANTI_PASSBACK, Reason.INTERLOCKED, Reason.ESCORT_REQUIRED,
    Reason.SECOND_PERSON_REQUIRED, Reason.PIN_WRONG, Reason.DOOR_BLOCKED, Reason.NO_USES_LEFT,
}  # fmt: skip
LAB_IN = AccessPointId("lab-in")
LEADER = Cause(CauseKind.OPERATOR, "chen", "drill")
NUMBERS = (17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 124, 999)
MODES = (DoorMode.LOCKED, DoorMode.LOCKED_DOWN, DoorMode.BLOCKED)


def replayed(site: Place, first: int = 1) -> list[Replayed]:
    """Every tap decided again by the list in force."""
    with current_list(site) as listed, open_journal(site.journal_file) as journal:
        last = journal.last_seq()
        wanted = journal.digests(DECISIONS, first, last)
        credentials = index(listed, secret_of(site), wanted)
        replay = Replay(site, listed, credentials, own_list=True)
        return [tap for tap in replay.run(journal, first, last) if tap is not None]


async def some_hours(gate: Compound, chance: random.Random, steps: int) -> None:
    """Taps of all kinds of people everywhere, with doors that open or not, lockdowns, waits."""
    for _ in range(steps):
        door = chance.choice(DOORS)[0]
        match chance.randrange(12):
            case 0:
                await gate.modes.set_mode(DoorId(door), chance.choice(MODES), LEADER)
            case 1:
                await gate.modes.lift(DoorId(door), LEADER)
                await gate.modes.withdraw(DoorId(door), LEADER)
            case 2:
                await gate.memory.forgive(None, None, LEADER, gate.clock.now())
            case 3:  # a door that someone wedges, or lets go
                gate.doors.tasks[DoorId("vault")].post(ContactChanged(chance.random() < 0.7))
            case 4:
                await gate.later(chance.choice((3, 40, 3_000)))
            case _:
                reader = chance.choice(READERS)
                digits = chance.choice((None, "1234", "1234", "4321", "9999"))
                await gate.tap(chance.choice(NUMBERS), reader[0], digits)
                if chance.random() < 0.7:
                    await gate.go(reader[2])
        await gate.later(chance.choice((0, 0, 1)))


@pytest.mark.timeout(300)  # some hundred taps that each wait for the disk
@pytest.mark.parametrize("seed", [1, 6])
async def test_with_the_same_list_and_settings_every_decision_comes_out_as_it_was(
    tmp_path: Path, seed: int
) -> None:
    config, chance, clock = write_settings(tmp_path), random.Random(seed), ManualClock()
    for restart in range(2):
        lists = [records()] if restart == 0 else []
        async with compound(config, clock, lists=lists) as gate:
            await some_hours(gate, chance, 160)
    taps = replayed(place(config))
    assert len(taps) > 100
    for tap in taps:
        before, after = tap.event, tap.after
        odd = [pair for pair in zip_longest(before.trace, after.trace) if pair[0] != pair[1]]
        assert (tap.seq, odd) == (tap.seq, [])
        assert tap.change is Change.SAME
        if isinstance(before, AccessGranted):
            assert isinstance(after, Grant)
            assert (after.level_id, after.duress) == (before.level_id, before.duress)
    # … and the journal has something of most rules, so that this says something of them.
    assert {tap.reason_before for tap in taps} >= SOME
    half = taps[len(taps) // 2].seq
    assert all(tap.change is Change.SAME for tap in replayed(place(config), half))


# ------------------------------------------------------------------ what else would have changed


async def an_evening(config: Path) -> None:
    """Wang, Chen (a cleaner, after hours), a stranger, and Wang's second tap inside."""
    async with compound(config, lists=[records()]) as gate:
        await gate.tap(17, "gate-in")
        await gate.go("main-gate")
        await gate.tap(20, "gate-in")
        await gate.tap(999, "gate-in")
        await gate.tap(17, "gate-in")
        await gate.tap(24, "lab-in")


def replay_command(config: Path, *words: str) -> int:
    return cli.main(["replay", "--config", str(config), *words])


def said_json(capsys: Captured) -> Any:
    return json.loads(capsys.readouterr().out)


def list_file(folder: Path, changed: list[dict[str, Any]]) -> Path:
    path = folder / "other.jsonl"
    path.write_bytes(chunk(*changed))
    return path


def with_record(kind: str, id_: str, **changes: Any) -> list[dict[str, Any]]:
    """The list with one person or level changed."""
    return [
        record | changes if (record["t"], record.get("id")) == (kind, id_) else record
        for record in records()
    ]


async def test_nothing_changed_is_told_with_0(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    assert replay_command(config) == cli.OK
    out = capsys.readouterr().out
    assert re.match(r"5 taps of entries 1 to \d+, decided by list 1: 5 as before, 0 newly", out)
    assert "Newly" not in out


async def test_another_list_admits_and_denies_and_says_whom_where_and_why(
    tmp_path: Path, capsys: Captured
) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    changed = with_record("person", "p-17", levels=["cleaners"])
    changed = [r | {"levels": ["residents"]} if r.get("id") == "p-20" else r for r in changed]
    other = list_file(tmp_path, [*changed, *stranger()])
    assert replay_command(config, "--whitelist", str(other)) == cli.PROBLEM_FOUND
    out = capsys.readouterr().out
    assert "1 as before, 1 newly denied, 2 newly admitted, 1 denied for another reason" in out
    assert "王芳 [p-17] 6-2-1203  东门, 东门进  Granted → Outside permitted hours" in out
    assert (
        "王芳 [p-17] 6-2-1203  东门, 东门进  Anti-passback violation → Outside permitted hours"
        in out
    )
    assert "陈静 [p-20] 6-2-1203  东门, 东门进  Outside permitted hours → Granted" in out
    assert "[p-999] 6-2-1203  东门, 东门进  Unknown card → Granted" in out
    assert "5 were decided by other revisions of the list then: 1 (5)" in out
    assert "nothing else did" not in out


def stranger() -> list[dict[str, Any]]:
    return [person(999, name="钱多"), credential(999)]


async def test_the_report_speaks_chinese(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    other = list_file(tmp_path, [*records(), *stranger()])
    assert replay_command(config, "--whitelist", str(other), "--lang", "zh-CN") == 1
    out = capsys.readouterr().out
    assert "共 5 次刷卡" in out
    assert "改为放行：1" in out
    assert "{" not in out


async def test_the_first_of_a_kind_are_listed_and_the_rest_counted(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gatewayd.inquiry.replay.MAX_LISTED", 2)
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        for _ in range(5):
            await gate.tap(999, "gate-in")
    other = list_file(tmp_path, [*records(), *stranger()])
    assert replay_command(config, "--whitelist", str(other)) == 1
    out = capsys.readouterr().out
    assert "Newly admitted: 5" in out
    assert out.count("[p-999]") == 2
    assert "and 3 more" in out


async def test_other_settings_alone_change_decisions(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    write_settings(tmp_path, settings_text().replace('"hard"', '"off"'))
    assert replay_command(config, "--json") == 1
    said = said_json(capsys)
    assert (said["newly_admitted"], said["same"], said["unexplained"]) == (1, 4, 0)
    [tap] = said["listed"]["newly_admitted"]
    assert (tap["name"], tap["before"], tap["after"]) == ("王芳", "anti_passback", "granted")


async def test_a_pin_that_nobody_was_asked_for_is_taken_as_right_and_counted(
    tmp_path: Path, capsys: Captured
) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    write_settings(tmp_path, settings_text(lab_in='verification = "card-and-pin"'))
    assert replay_command(config) == 0
    assert "1: a PIN would be asked for that nobody was asked for then" in capsys.readouterr().out


async def test_a_reader_that_the_settings_do_not_have_is_told(
    tmp_path: Path, capsys: Captured
) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    write_settings(tmp_path, settings_text().replace('id = "lab-in"', 'id = "lab-2"'))
    assert replay_command(config) == 1
    assert "1 taps at readers that these settings do not have" in capsys.readouterr().out


async def test_a_decision_that_changed_though_nothing_else_did_is_told_as_that(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update that lost a rule."""
    config = write_settings(tmp_path)
    await an_evening(config)
    fewer = tuple(judge for name, judge in policy.RULES if name != "anti_passback")
    monkeypatch.setattr(policy, "_JUDGES", fewer)
    assert replay_command(config) == 1
    out = capsys.readouterr().out
    assert "1 changed though nothing else did: same list, same settings" in out
    assert "Anti-passback violation → Granted  (changed though" in out


async def test_what_the_box_could_not_do_in_time_stays_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        old = gate.clock.now()
        await gate.later(8)
        await gate.path.handle(Tap(AccessPointId("gate-in"), card_of(17), old))
        monkeypatch.setattr(gate.whitelist, "snapshot", unreadable)  # the disk said no
        await gate.tap(17, "gate-in")
    taps = replayed(place(config))
    reasons = [tap.reason_before for tap in taps]
    assert reasons == [Reason.TAP_TOO_OLD, Reason.WHITELIST_UNAVAILABLE]
    assert [tap.change for tap in taps] == [Change.SAME, Change.SAME]
    assert [tap.after.trace for tap in taps] == [tap.event.trace for tap in taps]


def unreadable(_credential: Credential) -> Snapshot:
    raise WhitelistReadError("disk I/O error")


async def _escort_then_visitor(gate: Compound, site: Place) -> list[Reason]:
    """The reasons of the two taps of an escort and their visitor at a door, 5 s apart."""
    await gate.tap(18, "lab-in")
    gate.board.broken = None
    await gate.later(5)
    await gate.tap(27, "lab-in")
    return [tap.reason_before for tap in _all_the_same(site)]


def _all_the_same(site: Place) -> list[Replayed]:
    taps = replayed(site)
    assert [(tap.seq, tap.change) for tap in taps] == [(tap.seq, Change.SAME) for tap in taps]
    return taps


def no_grant_on_disk(gate: Compound, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk refuses grants, but for those that it is told of late."""
    append = gate.journal.append

    async def refusing(event: Event, stamp: Stamp) -> int:
        if isinstance(event, AccessGranted) and not event.recorded_late:
            raise JournalError("disk full")
        return await append(event, stamp)

    monkeypatch.setattr(gate.journal, "append", refusing)


async def test_whoever_a_door_did_not_open_for_leads_nobody_in(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        gate.board.broken = "no answer"
        assert await _escort_then_visitor(gate, place(config)) == [
            Reason.GRANTED,
            Reason.ESCORT_REQUIRED,
        ]
        await gate.tap(18, "lab-in")
        await gate.later(5)
        await gate.tap(27, "lab-in")
        assert _all_the_same(place(config))[-1].reason_before is Reason.GRANTED


async def test_the_first_of_two_still_waits_where_the_door_did_not_open(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        await gate.tap(18, "vault-in", "1234")
        gate.board.broken = "no answer"
        await gate.tap(17, "vault-in", "1234")
        gate.board.broken = None
        await gate.tap(24, "vault-in", "1234")
        reasons = [tap.reason_before for tap in _all_the_same(place(config))]
    assert reasons == [Reason.SECOND_PERSON_REQUIRED, Reason.GRANTED, Reason.GRANTED]


async def test_a_grant_that_the_disk_refused_leads_nobody_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        no_grant_on_disk(gate, monkeypatch)
        expected = [Reason.JOURNAL_UNAVAILABLE, Reason.ESCORT_REQUIRED]
        assert await _escort_then_visitor(gate, place(config)) == expected


async def test_a_grant_that_was_recorded_late_leads_others_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = settings_text().replace("escort_s = 30.0", 'escort_s = 30.0\nfail_policy = "open"')
    config = write_settings(tmp_path, text)
    async with compound(config, lists=[records()]) as gate:
        no_grant_on_disk(gate, monkeypatch)
        assert await _escort_then_visitor(gate, place(config)) == [Reason.GRANTED, Reason.GRANTED]


async def test_who_leads_others_in_follows_the_new_decisions(
    tmp_path: Path, capsys: Captured
) -> None:
    """A denial that becomes a grant has no outcome, and a grant that becomes a denial has one."""
    config = write_settings(tmp_path)
    async with compound(config, lists=[with_record("person", "p-18", levels=[])]) as gate:
        await gate.tap(18, "lab-in")
        await gate.tap(27, "lab-in")
    other = list_file(tmp_path, records())
    assert replay_command(config, "--whitelist", str(other), "--json") == 1
    assert said_json(capsys)["newly_admitted"] == 2
    async with compound(config, lists=[records()]) as gate:
        seq = gate.journal.last_seq
        await gate.tap(18, "lab-in")
        await gate.tap(27, "lab-in")
    other = list_file(tmp_path, with_record("person", "p-18", levels=[]))
    assert replay_command(config, "--whitelist", str(other), "--from", str(seq), "--json") == 1
    assert said_json(capsys)["newly_denied"] == 2


async def test_the_last_tap_of_a_range_knows_of_an_outcome_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The visitor's decision was on disk before the outcome that the box knew of."""
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        with monkeypatch.context() as slow:
            outcomes: list[Event] = []
            slow.setattr(gate.recorder, "record", outcomes.append)
            for number in (18, 27):
                await gate.path.handle(Tap(LAB_IN, card_of(number), gate.clock.now()))
        for outcome_ in outcomes:
            gate.recorder.record(outcome_)
        await gate.kept()
    escort, visitor = replayed(place(config))
    assert visitor.seq == escort.seq + 1
    assert (visitor.reason_before, visitor.change) == (Reason.GRANTED, Change.SAME)
    assert replay_command(config, "--to", str(visitor.seq)) == 0


# -------------------------------------------------------------------------------- ranges


async def test_a_range_is_by_numbers_or_by_the_sites_own_time(
    tmp_path: Path, capsys: Captured
) -> None:
    config = write_settings(tmp_path)
    async with compound(config, lists=[records()]) as gate:
        await gate.tap(17, "gate-in")
        await gate.later(60)
        seq = await gate.tap(999, "gate-in")
        await gate.later(60)
        await gate.tap(20, "gate-in")

    def taps(*words: str) -> int:
        assert replay_command(config, "--json", *words) == 0
        return int(said_json(capsys)["taps"])

    assert taps("--from", str(seq)) == 2
    assert taps("--to", str(seq)) == 2
    assert taps("--from", str(seq), "--to", str(seq)) == 1
    assert taps("--from", "2026-11-18 19:07:30") == 2
    assert taps("--to", "2026-11-18T11:07:30+00:00") == 1


def test_a_range_that_is_none_is_refused(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    asyncio.run(an_evening(config))
    for words, said in (
        (["--from", "yesterday"], "--from yesterday: not a time"),
        (["--from", "9999"], "there is nothing from 9999"),
    ):
        assert replay_command(config, *words) == cli.REFUSED
        assert said in capsys.readouterr().err


# -------------------------------------------------------------------------------- lists


async def test_a_list_is_a_folder_or_its_file_as_well(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    folder = place(config).directory / "whitelist"
    [file] = folder.glob("whitelist-*.db")
    for path in (folder, file):
        assert replay_command(config, "--json", "--whitelist", str(path)) == 0
        assert said_json(capsys)["whitelist_revision"] == 1


async def test_what_is_no_list_is_refused_and_says_what_it_is(
    tmp_path: Path, capsys: Captured
) -> None:
    config = write_settings(tmp_path)
    await an_evening(config)
    empty = tmp_path / "empty"
    empty.mkdir()
    bad = tmp_path / "bad.jsonl"
    bad.write_bytes(b'{"t": "person"}\n')
    for path, said in (
        (empty, "there is no list"),
        (tmp_path / "nowhere", "No such file"),
        (bad, "line 1: person.id: Field required"),
        (place(config).journal_file, "its layout is"),
    ):
        assert replay_command(config, "--whitelist", str(path)) == cli.REFUSED
        assert said in capsys.readouterr().err
    (place(config).directory / "secret").unlink()
    assert replay_command(config) == cli.REFUSED
    assert "the key of the journal's digests can't be read" in capsys.readouterr().err


def test_without_a_journal_it_is_refused(tmp_path: Path, capsys: Captured) -> None:
    config = write_settings(tmp_path)
    other = list_file(tmp_path, records())
    assert replay_command(config, "--whitelist", str(other)) == cli.REFUSED
    assert "there is no journal" in capsys.readouterr().err


# ---------------------------------------------------------------------------- in effect


def decision(seq: int, at_ns: int) -> JournalEntry:
    return JournalEntry(seq, Stamp("boot-1", at_ns, 0, True), samples.denied())


def passage(seq: int, at_ns: int, boot: str = "boot-1") -> JournalEntry:
    event = PersonPassed(
        PersonId("p-17"), DoorId("main-gate"), AccessPointId("gate-in"), 1, None, AreaId("yard")
    )
    return JournalEntry(seq, Stamp(boot, at_ns, 0, True), event)


def outcome(seq: int, at_ns: int, of: int) -> JournalEntry:
    event = AccessOutcome(samples.denied().access_point_id, DoorId("d"), of, Outcome.UNLOCKED)
    return JournalEntry(seq, Stamp("boot-1", at_ns, 0, True), event)


def elsewhere(seq: int, at_ns: int) -> JournalEntry:
    event = replace(samples.denied(), access_point_id=AccessPointId("other"))
    return JournalEntry(seq, Stamp("boot-1", at_ns, 0, True), event)


def order(*entries: JournalEntry) -> list[int]:
    return [entry.seq for entry in _in_effect(entries)]


def test_a_passage_that_was_journaled_late_counts_from_when_it_was() -> None:
    assert order(decision(1, 10), decision(2, 30), passage(3, 20)) == [1, 3, 2]
    assert order(decision(1, 10), decision(2, 30), passage(3, 40)) == [1, 2, 3]
    assert order(passage(1, 5), decision(2, 30), decision(3, 31)) == [1, 2, 3]


def test_a_passage_of_another_boot_stays_where_it_stands() -> None:
    assert order(decision(1, 30), passage(2, 20, "boot-0"), decision(3, 31)) == [1, 2, 3]


def test_an_outcome_comes_before_what_its_reader_took_next() -> None:
    """Whenever that was tapped: it waited in the queue."""
    assert order(decision(1, 10), decision(2, 20), outcome(3, 30, of=1)) == [1, 3, 2]
    assert order(decision(1, 10), decision(2, 20), outcome(3, 30, of=2)) == [1, 2, 3]
    assert order(decision(1, 10), elsewhere(2, 20), outcome(3, 30, of=1)) == [1, 2, 3]
    assert order(decision(1, 10), elsewhere(2, 40), outcome(3, 30, of=1)) == [1, 3, 2]


def test_a_passage_after_a_tap_is_not_drawn_before_it_by_an_outcome() -> None:
    entries = decision(1, 10), decision(2, 20), passage(3, 30), outcome(4, 40, of=1)
    assert order(*entries) == [1, 4, 2, 3]


def test_no_entry_is_lost_or_told_twice_however_many_there_are() -> None:
    entries = [decision(n, n) if n % 3 else passage(n, n - 1) for n in range(1, 1_001)]
    assert sorted(order(*entries)) == list(range(1, 1_001))
