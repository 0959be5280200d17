"""Settings that are right come out frozen, with their overrides, drivers' options and hash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from gatewayd.domain.model import AccessPoint, Direction, Door, FailPolicy
from gatewayd.registry import load_registry
from gatewayd.settings.bind import access_points, domain_doors
from gatewayd.settings.load import load_settings
from gatewayd.settings.problem import SettingsError
from gatewayd.settings.secrets import SecretFileError, check_secret_file, read_secret
from tests.settings.conftest import CENTRAL_KEYS, SiteFile, TagOptions
from tests.settings.example_files import example_site, make_certificate


def test_values_defaults_and_drivers_options_are_there(site: SiteFile, tmp_path: Path) -> None:
    loaded = site.load()
    assert loaded.settings.site.time_zone == "Asia/Shanghai"
    assert loaded.settings.storage.directory == tmp_path / "data"
    assert loaded.settings.reader[0].cameras == ("gate-cam",)
    assert loaded.options["main-gate-in"] == TagOptions(port="/dev/ttyTEST0")
    assert loaded.drivers["board"].name == "relays"
    assert loaded.options.keys() == loaded.drivers.keys() == {"main-gate-in", "board", "gate-cam"}
    assert loaded.settings.link is None
    with pytest.raises(ValidationError):
        loaded.settings.site.name = "x"  # type: ignore[misc]  # that it is refused is the test


def test_relative_paths_start_at_the_settings_file(
    site: SiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    (tmp_path / "map").write_text("")
    site.replace('port = "/dev/ttyTEST0"', 'port = "/dev/ttyTEST0"\nmap_file = "map"')
    assert site.load().options["main-gate-in"].map_file == tmp_path / "map"


@pytest.mark.parametrize("port", ["ttyR", "lines/ttyR", "./ttyR"])
def test_a_port_is_a_path_like_others_unless_it_is_a_url(
    tmp_path: Path, port: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    path = example_site(tmp_path)
    text = path.read_text().replace(
        '"/dev/serial/by-id/usb-FTDI_FT232R_main-gate-out-if00-port0"', f'"{port}"'
    )
    path.write_text(text)
    options = load_settings(path, load_registry()).options
    assert options["main-gate-out"].port == str(tmp_path / port)
    assert options["building-6-in"].port == "socket://192.168.20.16:4002"


# ------------------------------------------------------------------------------ overrides


def test_set_changes_a_key_an_element_by_id_and_a_drivers_option(site: SiteFile) -> None:
    loaded = site.load(
        "site.name=北门小区",
        "door.main-gate.unlock_s=7.5",
        "reader.main-gate-in.port=/dev/serial/by-id/usb-1",
        "reader.main-gate-in.cameras=[]",
        "console.port=9000",
    )
    assert loaded.settings.site.name == "北门小区"
    assert loaded.settings.door[0].unlock_s == 7.5
    assert loaded.options["main-gate-in"].port == "/dev/serial/by-id/usb-1"
    assert loaded.settings.reader[0].cameras == ()
    assert loaded.settings.console is not None
    assert loaded.settings.console.port == 9000


def test_a_value_that_would_smuggle_in_another_key_is_taken_as_text(site: SiteFile) -> None:
    assert site.load("site.name=1\nx = 2").settings.site.name == "1\nx = 2"


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (
            "door.main-gate.relay=one",
            "--set door.main-gate.relay: door.main-gate.relay: must be a whole number, is 'one' "
            "(Relay terminal, from 1 as printed on the board.)",
        ),
        (
            "door.side.relay=2",
            "--set door.side.relay: door.side.relay: there is no [[door]] with the id 'side' "
            "(there are: 'main-gate')",
        ),
        (
            "console.prot=1",
            "--set console.prot: console.prot: is not a known key (did you mean 'port'?)",
        ),
        (
            "link.port=1",
            "--set link.port: link.host: is missing (The broker's host name or address.)",
        ),
        (
            "nonsense",
            "--set nonsense: is not of the form TABLE.KEY=VALUE (write for example --set "
            "console.port=8081 or --set reader.main-gate-in.port=/dev/ttyUSB0)",
        ),
        (
            "door.main-gate=3",
            "--set door.main-gate: door.main-gate: door is not a table that "
            "could hold 'main-gate' (an element of a list is named by its id)",
        ),
        (
            "site.name.x=3",
            "--set site.name.x: site.name.x: site.name is not a table that could hold 'x' "
            "(an element of a list is named by its id)",
        ),
    ],
)
def test_a_wrong_set_is_told_by_its_flag(site: SiteFile, flag: str, expected: str) -> None:
    assert expected in site.problems(flag)


def test_a_password_given_by_set_is_not_shown(site: SiteFile) -> None:
    found = site.problems("camera.gate-cam.password=true", "camera.gate-cam.url=12345678")
    assert found
    assert "is true" not in "".join(found)


# ----------------------------------------------------------------------------------- hash


def test_the_hash_follows_the_settings_in_effect_and_not_how_they_are_written(
    site: SiteFile,
) -> None:
    first = site.load().sha256
    site.replace("[site]", "# a comment\n[site]\ntime_zone = 'Asia/Shanghai'")
    site.replace('port = "/dev/ttyTEST0"', 'baud = 9600\nport = "/dev/ttyTEST0"')
    assert site.load().sha256 != ""
    assert len(first) == 64
    assert site.load("reader.main-gate-in.baud=19200").sha256 != first


def test_a_default_written_out_leaves_the_hash_as_it_is(site: SiteFile) -> None:
    first = site.load().sha256
    site.replace("[site]", "# a comment\n[site]\ntime_zone = 'Asia/Shanghai'")
    assert site.load().sha256 == first


def test_the_hash_holds_no_secret(site: SiteFile) -> None:
    site.path.chmod(0o600)
    one = site.load("camera.gate-cam.url=rtsp://a:one@x/", "camera.gate-cam.password=one")
    two = site.load("camera.gate-cam.url=rtsp://a:zwei@x/", "camera.gate-cam.password=zwei")
    other = site.load("camera.gate-cam.url=rtsp://a:zwei@y/", "camera.gate-cam.password=zwei")
    assert one.sha256 == two.sha256 != other.sha256
    assert "zwei" not in f"{other!r} {other.settings!r}"
    assert other.settings.camera[0].driver_options["password"] == "zwei"


# ----------------------------------------------------------------------------------- bind


def test_doors_and_access_points_of_the_rules_come_from_the_settings(site: SiteFile) -> None:
    site.replace("contact_input = 1\n", "fail_policy = 'open'\n")
    site.replace('door = "main-gate"', 'door = "main-gate"\ndirection = "out"')
    settings = site.load().settings
    door = domain_doors(settings)
    assert list(door.values()) == [
        Door(door.popitem()[0], "Main gate", fail_policy=FailPolicy.OPEN, has_contact=False)
    ]
    (point,) = access_points(settings).values()
    assert point == AccessPoint(
        point.id, "Main gate, in", point.door_id, Direction.OUT, point.camera_ids
    )
    assert (point.id, point.door_id, point.camera_ids) == (
        "main-gate-in",
        "main-gate",
        ("gate-cam",),
    )


# -------------------------------------------------------------------------------- secrets


def test_a_secret_is_read_without_its_line_end(secret: Callable[[str], Path]) -> None:
    path = secret("pw")
    path.write_bytes("schlüssel \r\n".encode())
    assert read_secret(path) == "schlüssel "


@pytest.mark.parametrize(
    ("raw", "what"), [(b"\xff\xfe12345678", "not UTF-8"), (b"x" * 70_000, "too large")]
)
def test_a_file_that_is_no_secret_is_refused_without_showing_it(
    secret: Callable[[str], Path], raw: bytes, what: str
) -> None:
    path = secret("pw")
    path.write_bytes(raw)
    with pytest.raises(SecretFileError, match=what) as caught:
        read_secret(path)
    assert "1234" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_secret_that_goes_away_is_told(
    secret: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied")

    path = secret("pw")
    monkeypatch.setattr(Path, "open", refuse)  # the OS said no, after the check
    with pytest.raises(SecretFileError, match="Permission denied"):
        read_secret(path)


def test_a_credential_from_systemd_may_show_its_access_list_as_group_rights(
    secret: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = secret("pw")
    path.chmod(0o440)
    with pytest.raises(SecretFileError, match="read by others"):
        check_secret_file(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    check_secret_file(path)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "other"))
    with pytest.raises(SecretFileError, match="read by others"):
        check_secret_file(path)


# ------------------------------------------------------------------------------------ TLS


CONSOLE = '\n[console]\nhost = "0.0.0.0"\ncertificate_file = "a.pem"\n'


def test_a_certificate_with_its_key_opens_the_console_to_others(
    site: SiteFile, tmp_path: Path
) -> None:
    make_certificate(tmp_path, "a")
    site.append(CONSOLE + 'key_file = "a.key"\n')
    assert site.problems() == []


def test_a_certificate_without_its_key_is_told(site: SiteFile, tmp_path: Path) -> None:
    make_certificate(tmp_path, "a")
    site.append(CONSOLE)
    assert site.problems() == [
        "gatewayd.toml:38: console.certificate_file: needs key_file beside it (set key_file)"
    ]
    site.replace("certificate_file = ", "allow_plain_http = true\nkey_file = ")
    site.replace("a.pem", "a.key")
    assert site.problems() == [
        "gatewayd.toml:39: console.key_file: needs certificate_file beside it "
        "(set certificate_file)"
    ]


def test_a_certificate_with_anothers_key_is_told(site: SiteFile, tmp_path: Path) -> None:
    make_certificate(tmp_path, "a")
    make_certificate(tmp_path, "b")
    site.append(CONSOLE + 'key_file = "b.key"\n')
    (found,) = site.problems()
    assert "console.certificate_file: a.pem and b.key are no pair: key values mismatch" in found


def test_a_key_with_a_pass_phrase_is_told_and_not_asked_for(site: SiteFile, tmp_path: Path) -> None:
    make_certificate(tmp_path, "a", b"phrase")
    site.append(CONSOLE + 'key_file = "a.key"\n')
    (found,) = site.problems()
    assert "a.pem and a.key are no pair" in found


def test_the_centres_authority_must_be_a_certificate(site: SiteFile, tmp_path: Path) -> None:
    make_certificate(tmp_path, "a")
    (tmp_path / "central.json").write_text(CENTRAL_KEYS)
    site.append('\n[link]\nhost = "x"\ncentral_keys_file = "central.json"\nca_file = "a.pem"\n')
    assert site.problems() == []
    (tmp_path / "a.pem").write_text("nothing")
    assert site.problems() == [
        "gatewayd.toml:39: link.ca_file: a.pem holds no certificate (it must be PEM)"
    ]


def test_an_error_of_loading_is_a_settings_error(site: SiteFile) -> None:
    site.path.unlink()
    with pytest.raises(SettingsError, match="can't be read"):
        site.load()


def test_a_line_that_is_a_path_starts_at_the_settings_folder(tmp_path: Path) -> None:
    text = """
[site]
id = "s"
name = "S"
gateway = "g"
[storage]
directory = "data"
[[controller]]
id = "b"
driver = "modbus-relay"
port = "./board"
[[door]]
id = "d"
name = "D"
controller = "b"
relay = 1
[[reader]]
id = "r"
name = "R"
driver = "ascii-tag"
port = "socket://127.0.0.1:4001"
door = "d"
"""
    (tmp_path / "g.toml").write_text(text, encoding="utf-8")
    loaded = load_settings(tmp_path / "g.toml", load_registry())
    assert loaded.options["b"].port == str(tmp_path / "board")
    assert loaded.options["r"].port == "socket://127.0.0.1:4001"
