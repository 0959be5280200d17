"""What the simulated centre keeps: once each, holes named, chains checked, no ack too far."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from simulators import central_chain
from simulators.central_messages import (
    EventMessage,
    ReportedMessage,
    StateMessage,
    WireError,
    parse,
)
from simulators.central_store import Ack, EventStore, canonical, open_database

BOOT = "b-1"


def chained(count: int, *, alarms: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    """A journal of `count` events as docs/reference/journal.md makes it, as wire messages."""
    before = sha256(b"gatewayd-journal-v1\ne1").digest()
    last = {"evt": 0, "alarm": 0}
    made = []
    for seq in range(1, count + 1):
        stream = "alarm" if seq in alarms else "evt"
        data = {"zone": "门", "a": 5.0, "n": seq}
        text = f'{{"a":5.0,"n":{seq},"zone":"门"}}'
        header = f'[1,"e1",{seq},{last[stream]},"{stream}","door.locked","d","{BOOT}",{seq},9,1]'
        digest = sha256(before + header.encode() + b"\n" + text.encode()).digest()
        made.append(
            {
                "v": 1,
                "gw": "gate-1",
                "stream": stream,
                "epoch": "e1",
                "seq": seq,
                "prev": last[stream],
                "kind": "door.locked",
                "subject": "d",
                "stamp": {"boot": BOOT, "mono_ns": seq, "wall_ms": 9, "trusted": True},
                "data": data,
                "prev_hash": before.hex(),
                "hash": digest.hex(),
            }
        )
        before, last[stream] = digest, seq
    return made


def messages(*raw: dict[str, Any]) -> list[EventMessage]:
    return [EventMessage.model_validate(each) for each in raw]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "central.db")) as opened:
        yield opened


@pytest.fixture
def store(db: sqlite3.Connection) -> EventStore:
    return EventStore(db)


def test_events_in_order_are_acknowledged_together(store: EventStore) -> None:
    acks = store.receive(messages(*chained(5, alarms=(3,))), 1)
    assert acks == [Ack("gate-1", "evt", "e1", 5), Ack("gate-1", "alarm", "e1", 3)]
    assert store.missing() == []


def test_a_hole_is_named_and_not_acknowledged_past(store: EventStore) -> None:
    one, _two, _three, four, five = chained(5)
    assert store.receive(messages(one, four, five), 1) == [Ack("gate-1", "evt", "e1", 1)]
    assert store.missing() == [
        {"gw": "gate-1", "epoch": "e1", "stream": "evt", "after": 1, "through": 3}
    ]


def test_a_hole_closes_when_the_rest_comes(store: EventStore) -> None:
    one, two, three, four = chained(4)
    store.receive(messages(four, one), 1)
    assert store.receive(messages(three, two), 2) == [Ack("gate-1", "evt", "e1", 4)]
    assert store.missing() == []


def test_a_person_may_accept_a_hole_that_can_not_be_filled(store: EventStore) -> None:
    *_, four, five = chained(5)
    store.receive(messages(four, five), 1)
    assert store.accept_hole("gate-1", "e1", "evt") == Ack("gate-1", "evt", "e1", 5)
    assert store.missing() == []
    assert store.accept_hole("gate-1", "e1", "evt").upto == 5


def test_a_repeat_is_counted_and_changes_nothing(store: EventStore) -> None:
    events = messages(*chained(3))
    store.receive(events, 1)
    assert store.receive(events[1:], 2) == [Ack("gate-1", "evt", "e1", 3)]
    counts = store.counts()
    assert (counts["events"], counts["repeats"], counts["altered"]) == (3, 2, 0)


def test_a_repeat_with_other_content_is_counted_apart_and_the_first_stays(
    store: EventStore,
) -> None:
    one, two = chained(2)
    store.receive(messages(one, two), 1)
    store.receive(messages({**two, "data": {**two["data"], "n": 99}}), 2)
    counts = store.counts()
    assert (counts["repeats"], counts["altered"]) == (0, 1)
    assert [event["data"]["n"] for event in store.after(0, 10)] == [1, 2]


def test_what_can_not_be_committed_is_not_kept_in_part(
    store: EventStore, db: sqlite3.Connection
) -> None:
    db.execute("CREATE TRIGGER no BEFORE INSERT ON event WHEN NEW.seq = 2"
               " BEGIN SELECT RAISE (ABORT, 'disk is full'); END")  # fmt: skip
    with pytest.raises(sqlite3.Error, match="disk is full"):
        store.receive(messages(*chained(3)), 1)
    assert store.counts()["events"] == 0


def test_events_are_told_in_the_order_of_their_arrival(store: EventStore) -> None:
    one, two, three = chained(3)
    store.receive(messages(two), 1)
    store.receive(messages(one, three), 2)
    assert [e["seq"] for e in store.after(0, 2)] == [2, 1]
    assert [e["seq"] for e in store.after(2, 10)] == [3]
    assert store.after(0, 10, ["access.granted"]) == []
    assert len(store.after(0, 10, ["door.locked"])) == 3


def test_the_acknowledged_head_survives_a_restart(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "c.db")) as first:
        EventStore(first).receive(messages(*chained(2)), 1)
    with closing(open_database(tmp_path / "c.db")) as second:
        assert EventStore(second).upto("gate-1", "e1", "evt") == 2


# ---------------------------------------------------------------------------------- chain


def test_a_whole_chain_is_found_whole(store: EventStore) -> None:
    store.receive(messages(*chained(6, alarms=(2, 5))), 1)
    [(gw, epoch)] = store.journals()
    report = central_chain.check(store.chain_rows(gw, epoch))
    assert report == {"checked": 6, "linked": 6, "bad": 0, "broken": []}


@pytest.mark.parametrize(
    ("field", "value"),
    [("data", {"n": 1}), ("subject", "x"), ("prev", 9), ("kind", "door.opened")],
)
def test_an_edited_event_breaks_the_chain(store: EventStore, field: str, value: object) -> None:
    events = chained(3)
    events[1][field] = value
    store.receive(messages(*events), 1)
    report = central_chain.check(store.chain_rows("gate-1", "e1"))
    assert [bad["seq"] for bad in report["broken"]] == [2]


def test_an_exchanged_event_does_not_link(store: EventStore) -> None:
    events = chained(3)
    events[1]["hash"] = "0" * 64
    store.receive(messages(*events), 1)
    report = central_chain.check(store.chain_rows("gate-1", "e1"))
    assert [bad["seq"] for bad in report["broken"]] == [2, 3]


def test_across_a_hole_nothing_is_claimed(store: EventStore) -> None:
    one, _, three = chained(3)
    store.receive(messages(one, three), 1)
    report = central_chain.check(store.chain_rows("gate-1", "e1"))
    assert (report["checked"], report["linked"], report["bad"]) == (2, 1, 0)


def test_canonical_json_is_that_of_the_journal() -> None:
    assert canonical({"b": "门\n", "a": [5.0, 1]}) == '{"a":[5.0,1],"b":"门\\n"}'


# ------------------------------------------------------------------------------- presence


def state(what: str, boot: str) -> StateMessage:
    return StateMessage.model_validate(
        {"v": 1, "gw": "gate-1", "state": what, "boot": boot, "nonce": "n"}
    )


def test_a_late_will_of_an_earlier_boot_is_ignored(store: EventStore) -> None:
    store.introduce(state("online", "one"))
    store.introduce(state("online", "two"))
    assert not store.introduce(state("offline", "one"))
    assert [g.online for g in store.gateways()] == [True]
    assert store.introduce(state("offline", "two"))
    assert [g.online for g in store.gateways()] == [False]


def test_an_offline_of_a_stranger_is_ignored(store: EventStore) -> None:
    assert not store.introduce(state("offline", "one"))
    assert store.gateways() == []


def test_what_a_gateway_reports_is_kept(store: EventStore) -> None:
    store.introduce(state("online", "one"))
    store.holds("gate-1", 12)
    store.reported(ReportedMessage(v=1, gw="gate-1", rev=4, doors={"d": "LockedDown"}))
    gateway = store.presence("gate-1")
    assert gateway is not None
    assert gateway.whitelist_rev == 12
    assert gateway.reported == {"rev": 4, "doors": {"d": "LockedDown"}, "rejected": {}}


# ------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("gw/v1/other/gate-1/up/evt", b"{}", "not a gateway's topic"),
        ("gw/v1/demo/gate-1/up/news", b"{}", "unknown kind"),
        ("gw/v1/demo/gate-1/up/state", b"no json", "Invalid JSON"),
        ("gw/v1/demo/gate-1/up/state", b'{"v":2,"gw":"gate-1"}', "v: "),
        (
            "gw/v1/demo/gate-1/up/state",
            b'{"v":1,"gw":"gate-2","state":"online","boot":"b"}',
            "names gateway",
        ),
        ("gw/v1/demo/gate-1/up/state", b" " * (512 * 1024 + 1), "at most"),
        ("gw/v1/demo/gate-1/up/wl-req", b'{"v":1,"gw":"gate-1","ask":"chunk","index":-1}', "index"),
    ],
)
def test_messages_that_are_not_as_the_page_says_are_refused(
    topic: str, payload: bytes, why: str
) -> None:
    with pytest.raises(WireError, match=why):
        parse("demo", topic, payload)


def test_an_event_on_the_other_streams_topic_is_refused() -> None:
    [raw] = chained(1)
    with pytest.raises(WireError, match="names stream"):
        parse("demo", "gw/v1/demo/gate-1/up/alarm", canonical(raw).encode())
