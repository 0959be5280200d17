"""The journal's taps decided again: as they were where nothing changed, and what changes else."""

from __future__ import annotations

import random
from itertools import zip_longest
from pathlib import Path

import pytest

from gatewayd.domain.events import AccessGranted, Cause, CauseKind
from gatewayd.domain.model import DoorId, DoorMode, Grant
from gatewayd.inquiry.past import DECISIONS
from gatewayd.inquiry.replay import Change, Replay, Replayed, index
from gatewayd.inquiry.sources import Place, current_list, secret_of
from gatewayd.store.journal_file import open_journal
from tests.clock import ManualClock
from tests.inquiry.compound import (
    DOORS,
    READERS,
    Compound,
    compound,
    place,
    records,
    write_settings,
)

LEADER = Cause(CauseKind.OPERATOR, "chen", "drill")
NUMBERS = (17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 124, 999)
MODES = (DoorMode.LOCKED, DoorMode.LOCKED, DoorMode.LOCKED_DOWN, DoorMode.BLOCKED)


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
            case 3:
                await gate.later(chance.choice((3, 40, 3_000)))
            case _:
                reader = chance.choice(READERS)
                digits = chance.choice((None, "1234", "1234", "4321", "9999"))
                await gate.tap(chance.choice(NUMBERS), reader[0], digits)
                if chance.random() < 0.7:
                    await gate.go(reader[2])
        await gate.later(chance.choice((0, 0, 1)))


@pytest.mark.parametrize("seed", range(3))
async def test_with_the_same_list_and_settings_every_decision_comes_out_as_it_was(
    tmp_path: Path, seed: int
) -> None:
    config, chance, clock = write_settings(tmp_path), random.Random(seed), ManualClock()
    for restart in range(2):
        lists = [records()] if restart == 0 else []
        async with compound(config, clock, lists=lists) as gate:
            await some_hours(gate, chance, 120)
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
    reasons = {tap.reason_before for tap in taps}
    assert len(reasons) >= 10
    half = taps[len(taps) // 2].seq
    assert all(tap.change is Change.SAME for tap in replayed(place(config), half))
