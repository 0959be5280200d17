"""A UHPPOTE board's own list: brought up to date in the background, compared, never guessed at."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from drivers.buses import uhppote_list
from drivers.buses.uhppote import UhppoteOptions
from drivers.buses.uhppote_list import cards_of, compare
from drivers.doors import uhppote as uhppote_doors
from drivers.doors.uhppote import UhppoteDoorsOptions
from drivers.protocols.uhppote import Card
from drivers.protocols.uhppote_cards import credential_of
from gatewayd.clock import SystemClock
from gatewayd.domain.model import Credential, FallbackCard, card
from gatewayd.domain.ports import DeviceError, ListDifference, Offline
from simulators.uhppote_board import SimulatedUhppoteBoard
from simulators.uhppote_state import SimulatedCard
from tests.protocols.transports.test_uhppote import driving, free_port, until

SHANGHAI = ZoneInfo("Asia/Shanghai")
EVER = date(2000, 1, 1), date(2099, 12, 31)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uhppote_list, "EVERY_MS", 0)
    monkeypatch.setattr(uhppote_list, "RETRY_S", 0.02)


def fallback(number: int, *doors: int, **more: int | None) -> FallbackCard:
    credential = credential_of(number)
    assert isinstance(credential, Credential)
    return FallbackCard(credential, frozenset(doors), **more)


def seconds(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=SHANGHAI).timestamp())


def on(board: SimulatedUhppoteBoard) -> dict[int, tuple[bool, ...]]:
    return {card.number: tuple(card.doors) for card in board.state.cards if card is not None}


async def test_the_board_gets_the_list_and_loses_what_is_not_on_it() -> None:
    async with SimulatedUhppoteBoard() as simulated, driving(simulated) as rig:
        stranger = SimulatedCard(12_300_001, *EVER, [True] * 4)
        simulated.state.put(stranger)
        simulated.state.put(SimulatedCard(10_000_001, *EVER, [True, True, True, False]))
        await rig.online()
        assert len(on(simulated)) == 2  # nobody has said what it should be
        rig.doors.keep_list([fallback(10_000_001, 1, 3), fallback(10_000_002, 4)])
        first, fourth = (True, False, True, False), (False, False, False, True)
        await until(lambda: on(simulated) == {10_000_001: first, 10_000_002: fourth})
        rig.doors.keep_list([fallback(10_000_002, 4)])
        await until(lambda: on(simulated) == {10_000_002: fourth})
        rig.doors.keep_list([])
        await until(lambda: not on(simulated))


async def test_a_board_that_was_away_gets_its_list_once_it_is_back() -> None:
    async with SimulatedUhppoteBoard() as simulated:
        simulated.plugged = False
        async with driving(simulated, timeout_ms=30) as rig:
            rig.doors.keep_list([fallback(10_000_001, 1)])
            await rig.told.next()
            simulated.plugged = True
            await until(lambda: 10_000_001 in on(simulated))


async def test_a_board_that_comes_back_empty_is_told_everything_again() -> None:
    async with SimulatedUhppoteBoard() as simulated, driving(simulated, timeout_ms=30) as rig:
        await rig.online()
        rig.doors.keep_list([fallback(10_000_001, 1)])
        await until(lambda: 10_000_001 in on(simulated))
        simulated.plugged = False
        await rig.told.until(lambda event: isinstance(event, Offline))
        simulated.state.cards.clear()  # another board was put in its place
        simulated.plugged = True
        await until(lambda: 10_000_001 in on(simulated))


async def test_a_list_that_is_right_is_not_written_again() -> None:
    async with SimulatedUhppoteBoard() as simulated, driving(simulated) as rig:
        await rig.online()
        rig.doors.keep_list([fallback(10_000_001, 1)])
        await until(lambda: 10_000_001 in on(simulated))
        written = simulated.questions.count(0x50)
        rig.doors.keep_list([fallback(10_000_001, 1)])
        read = simulated.questions.count(0x5C)
        await until(lambda: simulated.questions.count(0x5C) >= read + 2)
        assert simulated.questions.count(0x50) == written == 1


@pytest.mark.parametrize(
    ("begins", "ends", "days"),
    [
        (None, None, EVER),
        ("2026-11-24 00:00", "2026-11-27 00:00", (date(2026, 11, 24), date(2026, 11, 26))),
        ("2026-11-24 00:01", "2026-11-27 18:00", (date(2026, 11, 25), date(2026, 11, 26))),
        ("1990-01-01 00:00", "2150-01-01 00:00", EVER),
    ],
)
def test_a_card_is_good_on_the_days_that_it_is_good_from_end_to_end(
    begins: str | None, ends: str | None, days: tuple[date, date]
) -> None:
    one = fallback(
        10_000_001,
        2,
        valid_from_s=None if begins is None else seconds(begins),
        valid_until_s=None if ends is None else seconds(ends),
    )
    assert cards_of([one], SHANGHAI) == {
        10_000_001: Card(10_000_001, *days, (False, True, False, False))
    }


def test_what_the_board_can_not_read_or_know_is_left_out() -> None:
    short = fallback(
        10_000_001, 1, valid_from_s=seconds("2026-11-24 08:00"),
        valid_until_s=seconds("2026-11-24 18:00"),
    )  # fmt: skip
    em4100 = FallbackCard(card(0x100086F444, 40), frozenset({1}))
    assert cards_of([short, em4100], SHANGHAI) == {}
    utc = datetime(2026, 11, 24, tzinfo=UTC)
    assert cards_of([fallback(1, 1, valid_until_s=round(utc.timestamp()))], SHANGHAI)


def test_a_difference_is_told_by_the_last_digits_only() -> None:
    def known(number: int, day: int = 1) -> Card:
        return Card(number, date(2026, 1, day), date(2026, 12, 31), (True,) * 4)

    wanted = {n: known(n) for n in (10_000_001, 10_000_002, 10_000_003)}
    board = {10_000_002: known(10_000_002), 10_000_003: known(10_000_003, 2), 77: known(77)}
    found = compare(wanted, board)
    assert found == ListDifference(3, ("•••0001",), ("•••0077",), ("•••0003",))
    assert not found.same
    assert compare(wanted, dict(wanted)).same


async def test_the_board_is_asked_beside_a_daemon_that_has_it() -> None:
    async with SimulatedUhppoteBoard() as simulated, driving(simulated) as rig:
        await rig.online()
        simulated.state.put(SimulatedCard(12_300_001, *EVER, [True] * 4))
        options = rig.board._options
        listener = simulated._listener
        found = await uhppote_doors.DRIVER.compare_list(  # type: ignore[misc]  # it has one
            options, UhppoteDoorsOptions(bus="board"), SystemClock(), [fallback(10_000_001, 1)]
        )
        assert found == ListDifference(1, ("•••0001",), ("•••0001",))
        assert simulated._listener == listener
        assert rig.told.waiting == 0


async def test_a_board_that_can_not_be_asked_is_an_error() -> None:
    options = UhppoteOptions(
        address=f"127.0.0.1:{free_port()}", serial=7, listen="127.0.0.1:60001", timeout_ms=20
    )
    with pytest.raises(DeviceError, match="did not answer within 20 ms"):
        await uhppote_doors.compare_list(
            options, UhppoteDoorsOptions(bus="board"), SystemClock(), []
        )
    foreign = options.model_copy(update={"listen": "192.0.2.1:60001"})
    with pytest.raises(DeviceError, match=r"192\.0\.2\.1"):
        await uhppote_doors.compare_list(
            foreign, UhppoteDoorsOptions(bus="board"), SystemClock(), []
        )
