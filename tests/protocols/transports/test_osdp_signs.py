"""What an OSDP reader shows and sounds: in OSDP's words, and on a simulated reader."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from drivers.protocols.osdp import commands
from drivers.protocols.osdp.commands import Blink, Color, Led
from drivers.readers import osdp_signs
from gatewayd.domain.ports import Offline
from gatewayd.domain.signs import SIGNS, Indication, Light, Sign, Tone
from simulators.osdp_device import OsdpModel
from simulators.osdp_face import Buzz
from simulators.osdp_faults import OsdpFault
from tests.protocols.transports.osdp_rig import device, online, panel_and_line, tap

RED, GREEN = Sign(Light.RED), Sign(Light.GREEN)
LONG_S = 600.0  # a moment that no test sees the end of


# ------------------------------------------------------------------------------------ the words


def test_a_resting_light_is_permanent() -> None:
    steady = Led(reader=2, permanent=Blink(Color.RED, Color.RED, 1, 0))
    assert osdp_signs.resting(RED, RED, 2) == [commands.set_leds(steady)]
    blinks = Led(permanent=Blink(Color.BLUE, Color.BLACK, 4, 4))
    blinking = Sign(Light.BLUE, blinking=True)
    assert osdp_signs.resting(blinking, RED, 0) == [commands.set_leds(blinks)]


@pytest.mark.parametrize("light", Light)
def test_each_light_has_a_colour(light: Light) -> None:
    (said,) = osdp_signs.flashing(Sign(light), 1, 0)
    colour = Color.BLACK if light is Light.OFF else Color[light.name]
    assert said.data[5] == colour


def test_a_reader_of_which_nothing_is_known_is_told_all() -> None:
    said = osdp_signs.resting(Sign(text="Welcome"), None, 0)
    assert said == [
        commands.sound_buzzer(0, commands.Tone.OFF),
        commands.show_text("Welcome"),
    ]


def test_nothing_to_show_is_nothing_to_say() -> None:
    assert osdp_signs.resting(Sign(), Sign(), 0) == []
    assert osdp_signs.flashing(Sign(), 1, 0) == []


def test_a_text_that_is_over_is_blotted_out() -> None:
    assert osdp_signs.resting(Sign(), Sign(text="Shut the door"), 1) == [
        commands.show_text(" " * 13, reader=1)
    ]


def test_a_moment_is_temporary_and_as_long_as_the_wire_can_say() -> None:
    sign = Sign(Light.GREEN, tone=Tone.TWICE, text="Go")
    shine = Blink(Color.GREEN, Color.GREEN, 1, 0)
    assert osdp_signs.flashing(sign, 2.3, 0) == [
        commands.set_leds(Led(temporary=shine, temporary_100ms=23)),
        commands.sound_buzzer(0, commands.Tone.DEFAULT, 1, 1, 2),
        commands.show_text("Go", temporary_s=3),
    ]
    endless = osdp_signs.flashing(sign, 1e6, 0)
    assert endless[0] == commands.set_leds(Led(temporary=shine, temporary_100ms=0xFFFF))
    assert endless[2] == commands.show_text("Go", temporary_s=0xFF)
    blink = osdp_signs.flashing(GREEN, 0.01, 0)
    assert blink == [commands.set_leds(Led(temporary=shine, temporary_100ms=1))]


# ----------------------------------------------------------------------------- on the reader


async def test_a_resting_sign_is_shown_and_again_after_a_power_cycle(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        watched.driver.rest(replace(GREEN, text="Free"))  # before it is online
        panel.start()
        await reader.wait_for_light("green")
        await reader.wait_for_text("Free")
        watched.driver.rest(RED)
        await reader.wait_for_light("red")
        await reader.wait_for_text("    ")
        watched.driver.rest(replace(GREEN, text="Free"))
        await reader.wait_for_text("Free")
        reader.power_cycle()
        assert reader.lights[0].colour == "red"
        await watched.until(Offline)
        await reader.wait_for_light("green")
        await reader.wait_for_text("Free")


async def test_a_moments_sign_leaves_the_resting_one_to_come_back(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        watched.driver.rest(SIGNS[Indication.IDLE])
        panel.start()
        await online(watched)
        watched.driver.flash(SIGNS[Indication.GRANTED], 0.2)
        assert await reader.wait_for_buzz(already=1) == Buzz(2, 0.1, 0, 1)
        await reader.wait_for_light("red")
        assert list(reader.lights[0].history)[-2:] == ["green", "red"]


async def test_a_repeated_tone_begins_anew_after_a_moments_tone(tmp_path: Path) -> None:
    reader = device()
    repeated = Buzz(2, 0.2, 0.8, 0)
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        watched.driver.rest(SIGNS[Indication.HELD_PRE_ALARM])
        panel.start()
        await online(watched)
        await reader.wait_until(lambda: reader.buzzer.now == repeated)
        watched.driver.flash(SIGNS[Indication.GRANTED], 0.3)
        await reader.wait_for_buzz(already=1)
        watched.driver.flash(SIGNS[Indication.DENIED], 0.5)  # another one, before that is over
        await reader.wait_until(lambda: len(reader.buzzer.history) == 4)
        assert list(reader.buzzer.history) == [
            repeated,
            Buzz(2, 0.1, 0, 1),
            Buzz(2, 0.1, 0.1, 3),
            repeated,
        ]
        watched.driver.rest(RED)
        await reader.wait_until(lambda: reader.buzzer.now is None)


async def test_a_moments_light_alone_leaves_the_resting_tone(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        watched.driver.rest(SIGNS[Indication.HELD_PRE_ALARM])
        panel.start()
        await online(watched)
        watched.driver.flash(GREEN, 0.1)
        await reader.wait_for_light("green")
        await reader.wait_for_light("red")
        assert reader.buzzer.orders == 1


async def test_a_new_resting_sign_is_not_sounded_over(tmp_path: Path) -> None:
    """The moment's tone ends after the alarm that it interrupted."""
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        watched.driver.rest(SIGNS[Indication.HELD_PRE_ALARM])
        panel.start()
        await online(watched)
        watched.driver.flash(SIGNS[Indication.GRANTED], 0.2)
        watched.driver.rest(RED)
        await reader.wait_until(lambda: len(reader.buzzer.history) == 3)
        watched.driver.flash(Sign(Light.GREEN), 0.4)
        await reader.wait_for_light("green")
        await reader.wait_for_light("red")
        assert reader.buzzer.now is None
        assert reader.buzzer.orders == 3


async def test_a_tone_that_is_due_while_the_reader_is_away_waits_for_it(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, line):
        watched = panel.reader()
        watched.driver.rest(SIGNS[Indication.HELD_PRE_ALARM])
        panel.start()
        await online(watched)
        watched.driver.flash(SIGNS[Indication.GRANTED], 1.6)
        await reader.wait_for_buzz(already=1)
        line.fault(OsdpFault.SILENCE, 0)
        await watched.until(Offline)
        await panel.clock.sleep_until(panel.clock.monotonic_ns() + 700_000_000)
        line.clear()
        await online(watched)
        await reader.wait_for_buzz(already=2)
        watched.driver.flash(GREEN, LONG_S)  # after all that waits for its turn
        await reader.wait_for_light("green")
        assert reader.buzzer.orders == 3


async def test_a_reader_that_is_away_misses_the_moment(tmp_path: Path) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        watched.driver.flash(GREEN, LONG_S)
        panel.start()
        await online(watched)
        tap(reader)
        await watched.ear.next()
        assert list(reader.lights[0].history) == []


async def test_a_text_that_the_display_can_not_show_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reader = device()
    async with panel_and_line(tmp_path, reader) as (panel, _):
        watched = panel.reader()
        watched.driver.rest(replace(GREEN, text="请刷卡"))
        panel.start()
        await reader.wait_for_light("green")
        watched.driver.flash(Sign(Light.AMBER, text="a\tb"), LONG_S)
        await reader.wait_for_light("amber")
        assert reader.text == ""
        assert [
            record.getMessage() for record in caplog.records if record.levelname == "WARNING"
        ] == [
            "reader reader-0: an OSDP display shows ASCII only, no '请刷卡'",
            "reader reader-0: an OSDP display shows ASCII only, no 'a\\tb'",
        ]


async def test_a_reader_is_not_told_what_it_says_it_can_not_show(tmp_path: Path) -> None:
    """PDCAP of the one denies lights and buzzer, that of both a display."""
    bare, no_display = (
        device(0, OsdpModel("bare", lights=0, rows=0)),
        device(1, OsdpModel("lit", rows=0)),
    )
    async with panel_and_line(tmp_path, bare, no_display) as (panel, _):
        both = [panel.reader(address) for address in (0, 1)]
        for watched in both:
            watched.driver.rest(Sign(Light.RED, tone=Tone.SHORT, text="CLOSED"))
        panel.start()
        for watched in both:
            await online(watched)
            watched.driver.flash(Sign(Light.GREEN, tone=Tone.TWICE, text="WELCOME"), 3)
        await no_display.wait_for_buzz(1)
        polled = bare.link.commands
        await bare.wait_until(lambda: bare.link.commands > polled + 4)
        assert bare.buzzer.orders == 0
        assert bare.link.refused == no_display.link.refused == 0
