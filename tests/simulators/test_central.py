"""The simulated centre against a real broker and a plain gateway, over MQTT 5 and 3.1.1."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from simulators.broker import SimulatedBroker
from simulators.central import CentralOptions, SimulatedCentral
from simulators.central_line import Address
from simulators.control import ControlClient, ControlError
from tests.simulators.broker_and_gateway import (
    T_WAIT_S,
    PlainGateway,
    body_of,
    plain_gateway,
    running_broker,
)
from tests.simulators.test_central_store import chained


@dataclass(frozen=True, slots=True)
class Talk:
    broker: SimulatedBroker
    central: SimulatedCentral
    gateway: PlainGateway
    control: ControlClient

    async def ask(self, do: str, **fields: Any) -> dict[str, Any]:  # JSON
        return await self.control.ask({"do": do, **fields})

    async def introduced(self) -> None:
        self.gateway.online()
        await self.news(lambda: any(g.online for g in self.central.store.gateways()))

    async def news(self, come: Any) -> None:  # a predicate
        async with asyncio.timeout(T_WAIT_S), self.central.news:
            while not come():
                await self.central.news.wait()

    def trusted(self, envelope: dict[str, Any], domain: bytes) -> bool:
        raw = base64.b64decode(self.central.signer.public_key)
        body = base64.b64decode(envelope["body"])
        try:
            Ed25519PublicKey.from_public_bytes(raw).verify(
                base64.b64decode(envelope["sig"]), domain + body
            )
        except InvalidSignature:
            return False
        return True


def address(broker: SimulatedBroker, protocol: str = "auto") -> Address:
    password = Path(broker.ready()["passwords"]["centre"]).read_text()
    return Address(broker.host, broker.port, "centre", password, protocol=protocol)


async def until_connected(central: SimulatedCentral) -> None:
    async with asyncio.timeout(T_WAIT_S):
        await central.line.up.wait()


@asynccontextmanager
async def talking(folder: Path, protocol: str = "5") -> AsyncIterator[Talk]:
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(running_broker(folder))
        options = CentralOptions(folder / "central", address(broker, protocol), seed=1)
        central = SimulatedCentral(options, folder / "c.sock")
        await stack.enter_async_context(central)
        await until_connected(central)
        gateway = await stack.enter_async_context(plain_gateway(broker))
        control = await stack.enter_async_context(ControlClient(folder / "c.sock"))
        yield Talk(broker, central, gateway, control)


@pytest.fixture
async def talk(tmp_path: Path) -> AsyncIterator[Talk]:
    async with talking(tmp_path) as opened:
        yield opened


def send_events(gateway: PlainGateway, events: list[dict[str, Any]]) -> None:
    for event in events:
        gateway.send(event["stream"], event)


async def acked_upto(gateway: PlainGateway, seq: int, stream: str = "evt") -> dict[str, Any]:
    while True:
        ack = await gateway.next("ack")
        if ack["stream"] == stream and ack["upto"] >= seq:
            return ack


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_events_are_committed_and_acknowledged(tmp_path: Path, protocol: str) -> None:
    async with talking(tmp_path, protocol) as talk:
        send_events(talk.gateway, chained(4, alarms=(2,)))
        ack = await acked_upto(talk.gateway, 4)
        assert ack == {"v": 1, "stream": "evt", "epoch": "e1", "upto": 4}
        status = await talk.ask("status")
        assert (status["events"], status["protocol"]) == (4, protocol)
        assert (await talk.ask("chain"))["whole"]


async def test_a_hole_is_told_until_it_is_filled(talk: Talk) -> None:
    one, two, three = chained(3)
    send_events(talk.gateway, [one, three])
    await acked_upto(talk.gateway, 1)
    await talk.news(lambda: talk.central.store.counts()["events"] == 2)
    assert (await talk.ask("missing"))["missing"][0]["through"] == 2
    send_events(talk.gateway, [two])
    await acked_upto(talk.gateway, 3)
    assert (await talk.ask("missing"))["complete"]


async def test_an_accepted_hole_is_acknowledged(talk: Talk) -> None:
    send_events(talk.gateway, chained(3)[2:])
    await talk.news(lambda: talk.central.store.counts()["events"] == 1)
    await talk.ask("accept_hole", gw="gate-1", epoch="e1", stream="evt")
    await acked_upto(talk.gateway, 3)


async def test_wrong_messages_are_counted_and_harm_nothing(talk: Talk) -> None:
    talk.gateway.send("evt", {"stream": "evt"})
    talk.gateway.client.publish("gw/v1/demo/gate-1/up/evt", b"\xff{", qos=1)
    send_events(talk.gateway, chained(1))
    await acked_upto(talk.gateway, 1)
    assert (await talk.ask("status"))["refused"] == 2


async def test_messages_beyond_the_queue_are_dropped_and_counted(talk: Talk) -> None:
    for _ in range(10_001):
        talk.central._arrived("gw/v1/demo/gate-1/up/evt", b"{}", False)
    assert talk.central.dropped == 1


async def test_what_waited_while_the_centre_was_away_comes_when_it_returns(tmp_path: Path) -> None:
    async with running_broker(tmp_path) as broker, plain_gateway(broker) as gateway:
        options = CentralOptions(tmp_path / "central", address(broker))
        async with SimulatedCentral(options) as central:
            await until_connected(central)
            send_events(gateway, chained(1))
            await acked_upto(gateway, 1)
        send_events(gateway, chained(2)[1:])
        async with SimulatedCentral(options) as central:
            await until_connected(central)
            await acked_upto(gateway, 2)


# ------------------------------------------------------------------------------ whitelist


async def fetched(talk: Talk, have: int) -> tuple[dict[str, Any], bytes]:
    """The manifest's body, and all chunks as the gateway would pull them."""
    talk.gateway.send("wl-req", {"ask": "manifest", "have": have})
    envelope = await talk.gateway.next("wl-chunk")
    assert talk.trusted(envelope, b"gatewayd-whitelist-v1\n")
    manifest = body_of(envelope)
    raw = b""
    for index, digest in enumerate(manifest["chunks"]):
        wanted = {"rev": manifest["rev"], "base": manifest["base"], "index": index}
        talk.gateway.send("wl-req", {"ask": "chunk", **wanted})
        chunk = await talk.gateway.next("wl-chunk")
        data = base64.b64decode(chunk["data"])
        assert hashlib.sha256(data).hexdigest() == digest
        raw += data
    return manifest, raw


async def test_the_full_list_is_fetched_in_chunks(talk: Talk) -> None:
    manifest, raw = await fetched(talk, 0)
    assert manifest["aud"] == "gate-1"
    assert hashlib.sha256(raw).hexdigest() == manifest["content_sha256"]
    assert raw.count(b"\n") == manifest["records"]


async def test_an_edit_pushes_a_delta_to_a_gateway_that_is_there(talk: Talk) -> None:
    await talk.introduced()
    talk.gateway.send("wl-req", {"ask": "manifest", "have": 1})
    await talk.news(lambda: talk.central.store.gateways()[0].whitelist_rev == 1)
    card = next(i.card for i in _residents(talk) if i.card.bits == 40)
    reply = await talk.ask(
        "edit", credential={"bits": card.bits, "value": card.value, "status": "lost"}
    )
    manifest = body_of(await talk.gateway.next("wl-chunk"))
    assert (manifest["rev"], manifest["base"]) == (reply["revision"], 1)
    _, raw = await fetched(talk, 1)
    assert json.loads(raw)["status"] == "lost"


def _residents(talk: Talk) -> Any:  # issued cards
    from simulators.compound import make_compound, utc_today

    today = utc_today(talk.central.clock.now().wall_ms)
    return make_compound(1, today).residents[0].issued


async def test_a_chunk_of_a_list_that_has_moved_on_is_answered_with_the_new_manifest(
    talk: Talk,
) -> None:
    talk.gateway.send("wl-req", {"ask": "chunk", "rev": 99, "base": None, "index": 0})
    assert body_of(await talk.gateway.next("wl-chunk"))["rev"] == 1


async def test_a_person_is_shown_edited_and_removed(talk: Talk) -> None:
    assert (await talk.ask("edit", person={"id": "p-new", "name": "新"}))["revision"] == 2
    assert (await talk.ask("person", id="p-new"))["person"]["name"] == "新"
    assert (await talk.ask("delete", of="person", id="p-new"))["revision"] == 3
    with pytest.raises(ControlError, match="nobody has that id"):
        await talk.ask("person", id="p-new")
    with pytest.raises(ControlError, match="names level"):
        await talk.ask("edit", person={"id": "p-1", "levels": ["x"]})
    with pytest.raises(ControlError, match="name one object"):
        await talk.ask("edit")


# -------------------------------------------------------------------------------- orders


async def test_a_command_is_signed_repeated_and_answered(talk: Talk) -> None:
    await talk.introduced()
    sent = await talk.ask("command", action="open", target="main-gate", reason="parcel")
    envelope = await talk.gateway.next("cmd")
    assert talk.trusted(envelope, b"gatewayd-cmd-v1\n")
    body = body_of(envelope)
    assert (body["id"], body["aud"], body["nonce"]) == (sent["id"], "gate-1", "n-1")
    assert 0 < body["exp_ms"] - body["issued_ms"] <= 30_000
    again = await talk.gateway.next("cmd")  # nobody answered: the same bytes again
    assert again == envelope
    talk.gateway.send("cmd-res", {"id": sent["id"], "outcome": "done", "detail": "", "seq": 7})
    await talk.news(lambda: talk.central.orders.pending(0) == [])
    [order] = (await talk.ask("commands"))["commands"]
    assert (order["outcome"], order["seq"]) == ("done", 7)


async def test_who_orders_may_wait_for_the_result(talk: Talk) -> None:
    await talk.introduced()

    async def answer() -> None:
        body = body_of(await talk.gateway.next("cmd"))
        talk.gateway.send("cmd-res", {"id": body["id"], "outcome": "failed", "detail": "no"})

    async with asyncio.TaskGroup() as group:
        group.create_task(answer(), name="answer")
        reply = await talk.ask("command", action="lockdown", wait_s=8)
    assert (reply["outcome"], reply["detail"], reply["target"]) == ("failed", "no", "*")


async def test_an_answer_from_another_gateway_counts_for_nothing(talk: Talk) -> None:
    await talk.introduced()
    sent = await talk.ask("command", action="open", target="main-gate")
    order = talk.central.orders.find(sent["id"])
    assert order is not None
    from simulators.central_messages import CommandResult

    stranger = CommandResult(v=1, gw="gate-2", id=order.id, outcome="done")
    assert talk.central.orders.result(stranger) is None


async def test_no_command_goes_to_a_gateway_that_was_never_here(talk: Talk) -> None:
    with pytest.raises(ControlError, match="must name a gateway"):
        await talk.ask("command", action="open", target="main-gate")


async def test_the_wanted_state_is_sent_and_sent_again_when_the_gateway_returns(talk: Talk) -> None:
    await talk.introduced()
    assert (await talk.ask("desired", doors={"main-gate": "LockedDown"}))["rev"] == 1
    envelope = await talk.gateway.next("desired")
    assert talk.trusted(envelope, b"gatewayd-desired-v1\n")
    assert body_of(envelope)["doors"] == {"main-gate": "LockedDown"}
    talk.gateway.send("reported", {"rev": 1, "doors": {"main-gate": "LockedDown"}})
    talk.gateway.online(boot="b-2")
    assert body_of(await talk.gateway.next("desired"))["rev"] == 1
    [gateway] = (await talk.ask("status"))["gateways"]
    assert gateway["reported"]["rev"] == 1
    with pytest.raises(ControlError, match="'doors' must be"):
        await talk.ask("desired", doors=[])


# -------------------------------------------------------------------------------- faults


async def test_without_acknowledgement_events_are_kept_all_the_same(talk: Talk) -> None:
    await talk.ask("fault", name="no_ack", times=-1)
    one, two = chained(2)
    send_events(talk.gateway, [one])
    await talk.news(lambda: talk.central.store.counts()["events"] == 1)
    assert talk.gateway.got.empty()
    await talk.ask("clear")
    send_events(talk.gateway, [two])
    assert (await talk.gateway.next("ack"))["upto"] == 2


async def test_an_acknowledgement_comes_late_or_twice_on_order(talk: Talk) -> None:
    one, two = chained(2)
    await talk.ask("fault", name="late_ack", seconds=0.01)
    send_events(talk.gateway, [one])
    assert (await talk.gateway.next("ack"))["upto"] == 1
    await talk.ask("fault", name="duplicate_ack")
    send_events(talk.gateway, [two])
    assert [(await talk.gateway.next("ack"))["upto"] for _ in range(2)] == [2, 2]


@pytest.mark.parametrize(
    ("name", "what", "domain"),
    [
        ("forged_command", "cmd", b"gatewayd-cmd-v1\n"),
        ("forged_desired", "desired", b"gatewayd-desired-v1\n"),
        ("forged_manifest", "wl-chunk", b"gatewayd-whitelist-v1\n"),
    ],
)
async def test_a_signature_is_forged_on_order(
    talk: Talk, name: str, what: str, domain: bytes
) -> None:
    await talk.introduced()
    await talk.ask("fault", name=name)
    if what == "cmd":
        await talk.ask("command", action="open", target="main-gate")
    elif what == "desired":
        await talk.ask("desired", doors={"main-gate": "Locked"})
    else:
        talk.gateway.send("wl-req", {"ask": "manifest", "have": 0})
    assert not talk.trusted(await talk.gateway.next(what), domain)


async def test_a_command_is_replayed_on_order(talk: Talk) -> None:
    with pytest.raises(ControlError, match="nothing to replay"):
        await talk.ask("replay")
    await talk.introduced()
    await talk.ask("command", action="open", target="main-gate")
    first = await talk.gateway.next("cmd")
    talk.gateway.send("cmd-res", {"id": body_of(first)["id"], "outcome": "done"})
    await talk.news(lambda: talk.central.orders.pending(0) == [])
    await talk.ask("replay")
    assert await talk.gateway.next("cmd") == first


async def test_a_retained_command_meets_whoever_subscribes_later_until_it_is_cleared(
    talk: Talk,
) -> None:
    await talk.introduced()
    await talk.ask("fault", name="retained_command")
    sent = await talk.ask("command", action="open", target="main-gate", ttl_s=0.1)
    await talk.gateway.next("cmd")
    async with plain_gateway(talk.broker) as newcomer:
        found, envelope, retained = await asyncio.wait_for(newcomer.got.get(), T_WAIT_S)
        assert (found, retained, body_of(envelope)["id"]) == ("cmd", True, sent["id"])
        await talk.ask("clear")
        await talk.ask("desired", doors={"main-gate": "Locked"})
        await newcomer.next("desired")  # what was sent before it is done at the broker
    async with plain_gateway(talk.broker) as newcomer:
        await talk.ask("desired", doors={"main-gate": "Locked"})
        found, _, retained = await asyncio.wait_for(newcomer.got.get(), T_WAIT_S)
        assert (found, retained) == ("desired", False)


async def test_chunks_are_wrong_or_missing_on_order(talk: Talk) -> None:
    talk.gateway.send("wl-req", {"ask": "manifest", "have": 0})
    manifest = body_of(await talk.gateway.next("wl-chunk"))
    asked = {"ask": "chunk", "rev": 1, "base": None, "index": 0}
    await talk.ask("fault", name="wrong_chunk")
    talk.gateway.send("wl-req", asked)
    wrong = base64.b64decode((await talk.gateway.next("wl-chunk"))["data"])
    assert hashlib.sha256(wrong).hexdigest() != manifest["chunks"][0]
    await talk.ask("fault", name="missing_chunk")
    talk.gateway.send("wl-req", asked)
    talk.gateway.send("wl-req", {**asked, "index": 1})
    assert (await talk.gateway.next("wl-chunk"))["index"] == 1


async def test_a_fault_is_made_as_often_as_ordered(talk: Talk) -> None:
    faults = talk.central.faults
    await talk.ask("fault", name="no_ack", times=2, seconds=3)
    assert [faults.take("no_ack") for _ in range(3)] == [3, 3, 0]
    await talk.ask("fault", name="no_ack", times=-1)
    assert (await talk.ask("fault", name="no_ack", times=0))["faults"] == {}


# ------------------------------------------------------------------------------ questions


async def test_events_are_asked_for_after_a_number_and_by_kind(talk: Talk) -> None:
    send_events(talk.gateway, chained(3))
    await acked_upto(talk.gateway, 3)
    told = (await talk.ask("events", after=1, limit=1))["events"]
    assert [event["seq"] for event in told] == [2]
    assert (await talk.ask("events", kinds=["access.granted"], wait_s=0.01))["events"] == []
    with pytest.raises(ControlError, match="list of strings"):
        await talk.ask("events", kinds="all")


async def test_a_reply_is_cut_to_what_a_line_may_hold(talk: Talk) -> None:
    events = chained(200)
    for event in events:
        event["data"] = {"text": "x" * 1_000}
    send_events(talk.gateway, events)
    await acked_upto(talk.gateway, 200)
    first = (await talk.ask("events", limit=200))["events"]
    assert 10 < len(first) < 200


async def test_who_asks_may_wait_for_the_next_event(talk: Talk) -> None:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(talk.ask("events", wait_s=8), name="asked")
        await asyncio.sleep(0)
        send_events(talk.gateway, chained(1))
    assert [event["seq"] for event in asked.result()["events"]] == [1]
