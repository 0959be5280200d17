"""The OSDP drivers with a reader that is none of ours: libosdp's, in a secure channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import osdp

from drivers.readers.osdp import OsdpReader
from gatewayd.domain import wiegand
from gatewayd.domain.ports import (
    KeyPressed,
    Offline,
    Online,
    PowerChanged,
    ReaderEvent,
    SecurityFailed,
    TamperChanged,
)
from gatewayd.domain.signs import SIGNS, Indication, Light, Sign, Tone
from tests.protocols.transports.lines import WAIT_S, PtyDevice
from tests.protocols.transports.osdp_foreign import ADDRESS, ForeignReader
from tests.protocols.transports.osdp_rig import (
    KEY,
    OTHER_KEY,
    LeapingClock,
    Watched,
    card,
    of,
    online,
    panel_at,
)

Both = tuple[Watched[OsdpReader, ReaderEvent], ForeignReader]


@asynccontextmanager
async def with_libosdp(device: PtyDevice, key: bytes = KEY, **options: Any) -> AsyncIterator[Both]:
    """Our panel with `KEY`, and libosdp's reader with `key`."""
    assert device.master is not None
    foreign = ForeignReader(device.master, key)
    async with panel_at(Path(device.path), **options) as panel:
        panel.run(foreign.run())
        watched = panel.reader(ADDRESS)
        panel.start()
        yield watched, foreign


async def told(foreign: ForeignReader, kind: int) -> dict[str, Any]:
    """The next command of that kind."""
    async with asyncio.timeout(WAIT_S):
        while (command := await foreign.commands.get())["command"] != kind:
            pass
    return command


async def test_libosdp_is_opened_in_a_secure_channel(device: PtyDevice) -> None:
    async with with_libosdp(device) as (watched, foreign):
        first = await online(watched)
        assert [type(event) for event in first] == [Online, TamperChanged, PowerChanged]
        assert first[0].detail.endswith("secure channel")
        assert foreign.secure


async def test_cards_and_keys_of_libosdp_are_told(device: PtyDevice) -> None:
    async with with_libosdp(device) as (watched, foreign):
        await online(watched)
        for number in range(20):
            bits = wiegand.encode("H10301", 3, number)
            foreign.present_card(26, bits)
            assert await card(watched) == bits
        foreign.press_keys(b"1290\x7f\r")
        keys = of(KeyPressed, [await watched.ear.next() for _ in range(6)])
        assert "".join(event.key for event in keys) == "1290*#"
        assert watched.ear.waiting == 0


async def test_libosdp_sees_our_signs(device: PtyDevice) -> None:
    async with with_libosdp(device) as (watched, foreign):
        await online(watched)
        watched.driver.rest(Sign(Light.GREEN, tone=Tone.SHORT, text="Hi"))
        led = await told(foreign, osdp.Command.LED)
        green = osdp.CommandLEDColor.Green
        assert not led["temporary"]
        assert (led["on_color"], led["off_color"], led["off_count"]) == (green, green, 0)
        buzzer = await told(foreign, osdp.Command.Buzzer)
        assert (buzzer["control_code"], buzzer["on_count"], buzzer["rep_count"]) == (2, 1, 1)
        text = await told(foreign, osdp.Command.Text)
        assert (text["data"], text["temp_time"]) == ("Hi", 0)
        watched.driver.flash(SIGNS[Indication.DENIED], 2.0)
        led = await told(foreign, osdp.Command.LED)
        assert led["temporary"]
        assert led["timer_count"] == 20
        assert (led["on_color"], led["off_color"]) == (osdp.CommandLEDColor.Red, 0)
        buzzer = await told(foreign, osdp.Command.Buzzer)
        assert buzzer["rep_count"] == 3
        assert foreign.secure


async def test_libosdp_with_another_key_is_an_alarm(device: PtyDevice) -> None:
    async with with_libosdp(device, OTHER_KEY, clock=LeapingClock()) as (watched, foreign):
        first = [await watched.ear.next(), await watched.ear.next()]
        assert [type(event) for event in first] == [SecurityFailed, Offline]
        assert not foreign.secure
