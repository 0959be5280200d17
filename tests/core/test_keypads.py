"""Typing at readers: what is presented, and when. The rules of the entry are in the domain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gatewayd.domain.keypad import Needs
from gatewayd.domain.model import AccessPointId, Credential, Tap, Verification
from gatewayd.domain.pin import access_code
from gatewayd.domain.ports import KeyPressed, Presented
from gatewayd.keypads import Keypads
from tests.clock import ManualClock
from tests.domain.world import CARD, GATE_IN
from tests.fakes import running

KEY = b"site's own key, 32 bytes of it.."


class Reader:
    """One reader with keys in front of the keypads."""

    def __init__(self, verification: Verification, key: bytes | None = KEY) -> None:
        self.clock = ManualClock()
        self.taps: list[Tap] = []
        self.waits: list[bool] = []
        self.needs = Needs.PIN
        point = replace(GATE_IN, verification=verification)

        def code(digits: str) -> Credential | None:
            return None if key is None else access_code(key, digits)

        self.keypads = Keypads(
            {point.id: point}, self.clock, lambda _point, _shown: self.needs,
            self.taps.append, code,
            lambda _point, waits: self.waits.append(waits),
        )  # fmt: skip

    def card(self) -> bool:
        return self.keypads.card(GATE_IN.id, Presented(CARD, self.clock.now()))

    def type(self, keys: str) -> None:
        for key in keys:
            self.keypads.key(GATE_IN.id, KeyPressed(key, self.clock.now()))

    @property
    def shown(self) -> list[tuple[Credential, str | None]]:
        return [(tap.credential, tap.pin) for tap in self.taps]


def test_where_no_pin_is_ever_asked_for_a_card_waits_for_nothing() -> None:
    reader = Reader(Verification.CARD)
    assert reader.card() is False
    reader.type("1234#")
    assert reader.taps == []


def test_card_and_pin_come_together_and_the_tap_is_of_the_last_key() -> None:
    reader = Reader(Verification.CARD_AND_PIN)
    assert reader.card() is True
    assert reader.taps == []
    reader.type("1234#")
    assert reader.shown == [(CARD, "1234")]
    assert reader.taps[0].stamp == reader.clock.now()


async def test_the_reader_is_told_while_a_card_waits_for_its_pin() -> None:
    reader = Reader(Verification.CARD_AND_PIN)
    async with running(reader.keypads.run()):
        reader.card()
        reader.card()
        assert reader.waits == [True]
        reader.type("12")
        assert reader.waits == [True]
        reader.type("34#")
        assert reader.waits == [True, False]
        reader.card()
        await reader.clock.advance(60)
        assert reader.waits == [True, False, True, False]


def test_a_card_that_needs_none_now_is_decided_at_once() -> None:
    reader = Reader(Verification.CARD_AND_PIN)
    reader.needs = Needs.NOTHING
    reader.card()
    assert reader.shown == [(CARD, None)]


def test_a_code_alone_is_a_credential_of_its_own() -> None:
    reader = Reader(Verification.CARD_OR_PIN)
    reader.type("246810#")
    assert reader.shown == [(access_code(KEY, "246810"), None)]


def test_without_the_sites_key_a_code_is_nothing() -> None:
    reader = Reader(Verification.PIN, key=None)
    reader.type("246810#")
    assert reader.taps == []


async def test_a_card_whose_pin_does_not_come_is_decided_without_it() -> None:
    reader = Reader(Verification.CARD_AND_PIN)
    async with running(reader.keypads.run()):
        reader.card()
        await reader.clock.advance(6)
        reader.type("12")  # the wait begins anew with each key
        await reader.clock.advance(9)
        assert reader.taps == []
        await reader.clock.advance(1)
        assert reader.shown == [(CARD, None)]
        reader.type("3")
        await reader.clock.advance(11)
    assert len(reader.taps) == 1


@pytest.mark.parametrize("stranger", ["elsewhere"])
def test_a_key_of_an_access_point_without_keys_is_not_remembered(stranger: str) -> None:
    reader = Reader(Verification.PIN)
    reader.keypads.key(AccessPointId(stranger), KeyPressed("1", reader.clock.now()))
    assert reader.taps == []
