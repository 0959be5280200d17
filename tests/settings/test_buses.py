"""Lines that several devices share, and what readers with lights are told to show."""

from __future__ import annotations

from pathlib import Path

import pytest

from gatewayd.domain.linkage import ShowSign
from gatewayd.domain.signs import MOMENTS_S, SIGNS, Indication, Light, Sign, Tone
from gatewayd.registry import load_registry
from gatewayd.settings.advice import advice
from gatewayd.settings.bind import domain_linkage, reader_signs
from tests.settings.conftest import WITH_BUSES, SiteFile

BUS = """
[[bus]]
id = "bus-1"
driver = "shared-line"
port = "/dev/ttyBUS"
[[bus]]
id = "bus-2"
driver = "other-line"
port = "/dev/ttyBUS2"
"""


@pytest.fixture
def site(tmp_path: Path) -> SiteFile:
    return SiteFile(tmp_path, WITH_BUSES)


def reader(name: str, bus: str, address: int, more: str = "") -> str:
    return f"""
[[reader]]
id = "{name}"
name = "In"
driver = "lit"
door = "main-gate"
bus = "{bus}"
address = {address}
{more}
"""


def test_readers_share_a_bus_by_their_addresses(site: SiteFile) -> None:
    site.append(BUS + reader("lit-1", "bus-1", 0) + reader("lit-2", "bus-1", 1))
    assert site.problems() == []
    loaded = site.load()
    assert next(iter(loaded.drivers)) == "bus-1"  # built before what hangs on it
    assert loaded.options["lit-2"].address == 1


def test_two_readers_at_one_address_are_told(site: SiteFile) -> None:
    site.append(BUS + reader("lit-1", "bus-1", 3) + reader("lit-2", "bus-1", 3))
    [problem] = site.problems()
    assert "the place bus-1 address 3 is taken by [[reader]] lit-1" in problem


@pytest.mark.parametrize(
    ("bus", "told"),
    [
        ("bus-9", "there is no [[bus]] with the id 'bus-9'"),
        ("bus-2", "'bus-2' is no bus of the driver 'shared-line'"),
    ],
)
def test_a_bus_that_can_not_be_is_told(site: SiteFile, bus: str, told: str) -> None:
    site.append(BUS + reader("lit-1", bus, 0))
    [problem] = site.problems()
    assert "reader.lit-1.bus: " in problem
    assert told in problem


def test_signs_of_the_settings_lie_over_the_usual_ones(site: SiteFile) -> None:
    own = """[reader.signs]
granted = { light = "blue", tone = "long", text = "HELLO", for_s = 7 }
denied = { text = "NO" }
lockdown = { light = "off" }
"""
    site.append(BUS + reader("lit-1", "bus-1", 0, own))
    assert site.problems() == []
    found = reader_signs(next(r for r in site.load().settings.reader if r.id == "lit-1"))
    assert found.signs[Indication.GRANTED] == Sign(Light.BLUE, tone=Tone.LONG, text="HELLO")
    assert found.signs[Indication.DENIED] == Sign(text="NO")
    assert found.signs[Indication.LOCKDOWN] == Sign(Light.OFF)
    assert found.signs[Indication.IDLE] == SIGNS[Indication.IDLE]
    assert dict(found.moments_s) == {**MOMENTS_S, Indication.GRANTED: 7}


def test_a_reader_without_lights_can_be_told_to_show_nothing(site: SiteFile) -> None:
    site.replace('driver = "tags"', 'driver = "tags"\nsigns = { granted = { light = "blue" } }')
    [problem] = site.problems()
    assert "the driver 'tags' moves no light, buzzer or display" in problem


def test_a_linkage_shows_a_sign_at_a_reader_that_has_lights(site: SiteFile) -> None:
    linkage = """
[[linkage]]
id = "say-sorry"
when = "door.opened"
then = [{ do = "reader", reader = "NAME", light = "blue", blinking = true, for_s = 4 }]
"""
    site.append(BUS + reader("lit-1", "bus-1", 0) + linkage.replace("NAME", "lit-1"))
    assert site.problems() == []
    [wanted] = [domain_linkage(each) for each in site.load().settings.linkage]
    assert wanted.then == (ShowSign("lit-1", Sign(Light.BLUE, blinking=True), 4),)  # type: ignore[arg-type]  # an id
    site.replace('reader = "lit-1"', 'reader = "main-gate-in"')
    [problem] = site.problems()
    assert "linkage.say-sorry.then[1].reader" in problem
    assert "moves no light, buzzer or display" in problem


def test_a_pin_needs_a_reader_that_may_have_keys(site: SiteFile) -> None:
    site.append(BUS + reader("lit-1", "bus-1", 0, 'verification = "pin"'))
    assert any(
        "lit-1.verification: the driver 'lit' has no keypad, so nobody can type a PIN" in problem
        for problem in site.problems()
    )


def test_an_area_with_room_for_fewer_than_it_asks_for_is_told(site: SiteFile) -> None:
    site.append('[[area]]\nid = "lab"\nname = "Lab"\nminimum = 5\nmaximum = 2\n')
    [problem] = site.problems()
    assert "area.lab.minimum: minimum (5) is more than maximum (2)" in problem


OSDP = """
[[bus]]
id = "line"
driver = "osdp"
port = "/dev/ttyOSDP"
[[reader]]
id = "osdp-in"
name = "In"
driver = "osdp-reader"
door = "main-gate"
bus = "line"
address = 0
key_file = "a.key"
"""


@pytest.fixture
def osdp(tmp_path: Path) -> SiteFile:
    for name, digits in (("a", "0123456789abcdef" * 2), ("b", "fedcba9876543210" * 2)):
        key = tmp_path / f"{name}.key"
        key.write_text(digits)
        key.chmod(0o600)
    drivers = {name: load_registry()[name] for name in ("osdp", "osdp-reader", "osdp-io")}
    site = SiteFile(tmp_path, {**WITH_BUSES, **drivers})
    site.append(OSDP)
    assert site.problems() == []
    return site


@pytest.mark.parametrize("digits", ["1234", "x" * 32, "", "303132333435363738393a3b3c3d3e3f"])
def test_a_key_file_that_holds_no_key_or_everybodys_is_told(osdp: SiteFile, digits: str) -> None:
    (osdp.path.parent / "a.key").write_text(digits)
    [problem] = osdp.problems()
    assert "reader.osdp-in.key_file: " in problem
    assert digits == "" or digits not in problem


def test_two_parts_of_one_device_must_say_the_same_of_it(osdp: SiteFile) -> None:
    board = '[[controller]]\nid = "io"\ndriver = "osdp-io"\nbus = "line"\naddress = 0\n'
    osdp.append(board + 'key_file = "b.key"\n')
    [problem] = osdp.problems()
    assert "controller.io: is the same device as [[reader]] osdp-in" in problem
    osdp.replace('key_file = "b.key"', 'key_file = "a.key"')
    assert osdp.problems() == []


def test_a_text_that_the_display_can_not_show_is_told(osdp: SiteFile) -> None:
    osdp.append('[reader.signs]\ngranted = { text = "欢迎光临" }\ndenied = { text = "NO" }\n')
    [problem] = osdp.problems()
    assert "reader.osdp-in.signs.granted.text: the display of 'osdp-reader' can't show" in problem


def test_a_key_file_that_pairing_will_write_need_not_be_there(
    osdp: SiteFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    (osdp.path.parent / "a.key").unlink()
    assert osdp.problems() == []
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(osdp.path.parent))  # which nobody can write to
    [problem] = osdp.problems()
    assert "reader.osdp-in.key_file: " in problem
    assert "can't be used: No such file" in problem
    monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    osdp.replace('key_file = "a.key"', 'key_file = "nowhere/a.key"')
    [problem] = osdp.problems()
    assert "nowhere/a.key can't be used" in problem


def test_a_line_that_is_slow_for_all_that_is_on_it_gets_advice(
    osdp: SiteFile,
) -> None:
    more = "".join(
        OSDP[OSDP.index("[[reader]]") :]
        .replace('"osdp-in"', f'"osdp-{number}"')
        .replace("address = 0", f"address = {number}")
        for number in range(1, 4)
    )
    osdp.append(more)
    assert advice(osdp.path, osdp.registry) == []
    osdp.append('[[controller]]\nid = "io"\ndriver = "osdp-io"\nbus = "line"\naddress = 9\n')
    osdp.append('key_file = "a.key"\n')
    assert osdp.problems() == []
    [found] = advice(osdp.path, osdp.registry)
    assert found.key == "bus.line.baud_rate"
    assert "5 devices at 9600 baud: a card may wait 0.17 s" in str(found)
    osdp.replace('port = "/dev/ttyOSDP"', 'port = "/dev/ttyOSDP"\nbaud_rate = 38400')
    assert advice(osdp.path, osdp.registry) == []


def test_an_unknown_key_hides_no_mistake_across_tables(osdp: SiteFile) -> None:
    second = OSDP[OSDP.index("[[reader]]") :].replace('"osdp-in"', '"osdp-out"')
    osdp.append(second.replace("address = 0", 'address = 0\nadress = 1\nclear_text = "no"'))
    found = "\n".join(osdp.problems())
    assert "osdp-out.adress: is not a known key (did you mean 'address'?)" in found
    assert "osdp-out.clear_text: must be true or false" in found
    assert "line, address 0, reader 0" in found, "its place is taken, and that is told as well"


def test_an_unknown_key_hides_no_mistake_of_its_own_table(osdp: SiteFile) -> None:
    osdp.replace('key_file = "a.key"', 'key_file = "a.key"\nclear_text = true\nadress = 1')
    found = "\n".join(osdp.problems())
    assert "osdp-in.adress: is not a known key" in found
    assert "has a key_file and clear_text = true: remove one of the two" in found


def test_a_wrong_value_is_not_told_again_as_a_missing_one(osdp: SiteFile) -> None:
    osdp.replace('key_file = "a.key"', "key_file = 7")
    [problem] = osdp.problems()
    assert "osdp-in.key_file: must be" in problem
