"""The connection's life: retained orders ignored, backoff, fall-back and back, floods, the will."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.domain.events import (
    CommandAccepted,
    CommandRejected,
    DesiredRejected,
    DeviceOffline,
    Event,
    WhitelistRejected,
)
from gatewayd.domain.model import NS_PER_S, DoorMode, Stamp
from gatewayd.domain.ports import JournalError
from gatewayd.link import session
from gatewayd.link.contract import Ack
from gatewayd.link.mqtt import Incoming, LinkLostError, ProtocolRefusedError
from gatewayd.link.session import Link, LinkState
from gatewayd.signed import to_json
from tests.clock import ManualClock
from tests.link.box import GATE, NONCE, Box, box
from tests.link.broker import Centre, Mosquitto, mosquitto
from tests.link.parts import Pen


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    async with mosquitto(tmp_path) as started:
        yield started


@pytest.fixture
async def centre(broker: Mosquitto) -> AsyncIterator[Centre]:
    async with Centre(broker.port) as made:
        yield made


def order(centre: Centre, gate: Box, counter: int, action: str = "open") -> dict[str, object]:
    now_ms = gate.recorder._clock.now().wall_ms
    return centre.command(
        aud="gate-1", id=f"c-{counter}", counter=counter, nonce=NONCE, issued_ms=now_ms,
        exp_ms=now_ms + 20_000, action=action, target=GATE, reason="test",
    )  # fmt: skip


async def test_an_order_opens_the_door_over_the_real_line_and_is_answered(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.until(lambda: centre.named("reported"))
        centre.send("cmd", order(centre, gate, 1))
        await centre.until(lambda: centre.named("cmd-res"))
        assert len(gate.doors.unlocks) == 1
        centre.send("desired", centre.desired(rev=1, doors={GATE: "LockedDown"}))
        await centre.until(lambda: centre.named("reported")[-1]["rev"] == 1)
        assert gate.doors.mode is DoorMode.LOCKED_DOWN


async def test_retained_messages_of_the_centre_are_ignored_at_every_connect(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.until(lambda: centre.named("reported"))
        opening = order(centre, gate, 1)
    await centre.keep("cmd", opening)
    await centre.keep("desired", centre.desired(rev=9, doors={GATE: "LockedDown"}))
    await centre.keep("wl-chunk", centre.manifest(9, [b"{}\n"]))
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.until(lambda: len(centre.named("reported")) == 2)
        centre.send("desired", centre.desired(rev=1, doors={}))
        await centre.until(lambda: centre.named("reported")[-1]["rev"] == 1)
        assert gate.doors.unlocks == []
        assert gate.doors.mode is DoorMode.LOCKED
        refused = [CommandRejected.KIND, DesiredRejected.KIND, WhitelistRejected.KIND]
        assert await gate.journal.entries_after(0, 9, kinds=refused) == []


async def test_a_line_that_ends_without_goodbye_is_told_by_the_will(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.until(lambda: centre.named("state"))
        assert gate.link._connection is not None
        gate.link._connection._let_go()  # as a pulled plug, once the broker notices
        await centre.until(lambda: len(centre.named("state")) == 2)
        birth, will = centre.named("state")
        assert (will["state"], will["boot"]) == ("offline", birth["boot"])


async def test_everything_wrong_at_once_leaves_the_line_up_and_the_door_shut(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.until(lambda: centre.named("reported"))
        for name in ("ack", "cmd", "desired", "wl-chunk", "nonsense"):
            for payload in (b"", b"{", b"\xff", b"[]", b"x" * 550_000, b"[" * 100_000):
                centre.send(name, payload)
        centre.send("desired", centre.desired(rev=1, doors={}))
        await centre.until(lambda: centre.named("reported")[-1]["rev"] == 1)
        assert gate.link.status.state is LinkState.ONLINE
        assert gate.doors.unlocks == []


async def test_a_lockdown_overtakes_an_order_that_hangs_at_the_disk(
    tmp_path: Path, broker: Mosquitto, centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.until(lambda: centre.named("reported"))
        append, well = gate.journal.append, asyncio.Event()

        async def hangs(event: Event, stamp: Stamp | None = None) -> int:
            if isinstance(event, CommandAccepted):
                await well.wait()
            return await append(event, stamp)

        monkeypatch.setattr(gate.journal, "append", hangs)
        centre.send("cmd", order(centre, gate, 1))
        centre.send("cmd", order(centre, gate, 2, "lockdown"))
        await centre.until(lambda: centre.named("cmd-res"))
        assert gate.doors.mode is DoorMode.LOCKED_DOWN
        assert gate.doors.unlocks == []
        well.set()
        await centre.until(lambda: len(centre.named("cmd-res")) == 2)
        assert [told["id"] for told in centre.named("cmd-res")] == ["c-2", "c-1"]


async def test_commands_that_come_at_once_are_carried_out_as_they_came(
    tmp_path: Path, broker: Mosquitto, centre: Centre
) -> None:
    async with box(tmp_path, broker.port, centre.keys) as gate:
        await centre.until(lambda: centre.named("reported"))
        for counter in range(1, 31):
            action = ("open", "lockdown", "lift_lockdown")[counter % 3]
            centre.send("cmd", order(centre, gate, counter, action))
        await centre.until(lambda: len(centre.named("cmd-res")) == 30)
        assert [told["id"] for told in centre.named("cmd-res")] == [f"c-{n}" for n in range(1, 31)]
        assert "rejected" not in {told["outcome"] for told in centre.named("cmd-res")}


# ---------------------------------------------------------------------------- trying again


class Script:
    """Connections played to the link: each ends with its error, some after having been online for
    so many seconds. After the last one nothing happens any more."""

    def __init__(self, clock: ManualClock, *ends: tuple[float | None, Exception]) -> None:
        self.clock = clock
        self.ends = [*ends]
        self.tries: list[tuple[int, float]] = []  # version, and seconds since the last try's end
        self.over = asyncio.Event()
        self._ended_ns = clock.monotonic_ns()

    async def session(self, link: Link, version: int) -> None:
        waited_ns = self.clock.monotonic_ns() - self._ended_ns
        self.tries.append((version, waited_ns / NS_PER_S))
        if not self.ends:
            self.over.set()
            await asyncio.Event().wait()
        online_s, error = self.ends.pop(0)
        if online_s is not None:
            link.status = replace(link.status, state=LinkState.ONLINE)
            link._online_ns, link._told_offline = self.clock.monotonic_ns(), False
            await self.clock.sleep_until(link._online_ns + round(online_s * NS_PER_S))
        self._ended_ns = self.clock.monotonic_ns()
        raise error

    async def play(self) -> None:
        async with asyncio.timeout(10):
            while not self.over.is_set():
                await self.clock.advance(0.25)


@asynccontextmanager
async def scripted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *ends: tuple[float | None, Exception]
) -> AsyncIterator[tuple[Script, Box]]:
    script = Script(ManualClock(), *ends)

    async def play(link: Link, version: int) -> None:
        await script.session(link, version)

    monkeypatch.setattr(Link, "_session", play)
    async with box(folder, 1, Pen().keys(), clock=script.clock) as gate:
        yield script, gate


LOST, REFUSED = LinkLostError("the line is gone"), ProtocolRefusedError("no version 5")


async def test_tries_are_spread_and_grow_rarer_to_half_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(tmp_path, monkeypatch, *[(None, LOST)] * 12) as (script, gate):
        await script.play()
        waits = [waited for _, waited in script.tries[1:]]
        assert waits[0] <= 1
        assert all(15 <= waited <= 30.5 for waited in waits[-4:])
        assert len(set(waits[-4:])) > 1
        offline = await gate.journal.entries_after(0, 99, kinds=[DeviceOffline.KIND])
        assert len(offline) == 1  # one outage, however often it was tried
        assert gate.link.status.detail == "the line is gone"


async def test_a_line_that_held_is_tried_again_soon_and_one_that_flaps_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[tuple[float | None, Exception]] = [(0.1, LOST)] * 8
    async with scripted(tmp_path, monkeypatch, *ends, (31, LOST)) as (script, _):
        await script.play()
        waits = [waited for _, waited in script.tries[1:]]
        assert waits[-2] >= 15
        assert waits[-1] <= 1


async def test_version_3_1_1_is_kept_while_it_works_and_5_is_tried_when_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = [(None, REFUSED), (40, LOST), (None, LOST), (None, REFUSED)]
    async with scripted(tmp_path, monkeypatch, *ends) as (script, _):
        await script.play()
        assert [version for version, _ in script.tries] == [5, 4, 4, 5, 4]


async def test_a_journal_that_cannot_be_read_ends_the_connection_and_not_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = JournalError("journal.db: disk I/O error")
    async with scripted(tmp_path, monkeypatch, (1, refused)) as (script, gate):
        await script.play()
        assert "disk I/O error" in gate.link.status.detail


async def test_at_the_end_the_status_says_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(tmp_path, monkeypatch) as (script, gate):
        await script.play()
    assert gate.link.status.state is LinkState.STOPPED


async def test_of_too_many_messages_the_newest_acknowledgement_and_the_oldest_order_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(tmp_path, monkeypatch) as (_, gate):
        for name in ("ack", "cmd"):
            for n in range(session.MAX_INBOX + 10):  # before anybody can take one
                topic = gate.link._topics.down(name)
                gate.link._arrived(Incoming(topic, b"%d" % n))
        held = {name: session._drained(gate.link._inboxes[name]) for name in ("ack", "cmd")}
        assert len(held["ack"]) == len(held["cmd"]) == session.MAX_INBOX
        assert held["ack"][-1] == b"%d" % (session.MAX_INBOX + 9)
        assert held["cmd"][0] == b"0"


async def test_many_acknowledgements_at_once_are_one_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted(tmp_path, monkeypatch) as (_, gate):
        kept: list[int] = []

        class NotedOutbox:
            def believes(self, ack: Ack) -> bool:
                return ack.upto < 50

            async def acknowledge(self, ack: Ack) -> bool:
                kept.append(ack.upto)
                return True

        gate.link._outboxes = {"evt": NotedOutbox()}  # type: ignore[dict-item]  # noted
        acks = [{"stream": "evt", "epoch": "e", "upto": n} for n in (3, 41, 7, 99)]
        await gate.link._acknowledge([b"{", *(to_json(ack) for ack in acks)])
        assert kept == [41]
