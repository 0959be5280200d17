"""Every mistake in the settings is named with its file, line and key, all in one go."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewayd.domain.ports import Driver
from gatewayd.registry import DriverLoadError
from gatewayd.settings.load import check_settings, load_settings
from gatewayd.settings.problem import Problem, SettingsError
from gatewayd.settings.source import MAX_FILE_BYTES
from tests.settings.conftest import CENTRAL_KEYS, REGISTRY, SITE, SiteFile

LINK = '\n[link]\nhost = "centre.example"\ncentral_keys_file = "central.json"\n'


def test_a_right_file_has_no_problems(site: SiteFile) -> None:
    assert site.problems() == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            'gateway = "gate-1"',
            'gatway = "gate-1"',
            [
                "gatewayd.toml:1: site.gateway: is missing (This box's id: unique at the centre.)",
                "gatewayd.toml:4: site.gatway: is not a known key (did you mean 'gateway'?)",
            ],
        ),
        (
            "[storage]",
            "[stroage]",
            [
                "gatewayd.toml:1: storage: the table [storage] is missing "
                "(Where the box keeps its files, and how much.)",
                "gatewayd.toml:6: stroage: is not a table of the settings (did you mean 'storage'? "
                "known: 'alarms', 'area', 'bus', 'camera', 'console', 'controller', 'door', "
                "'fire', 'interlock', 'link', 'linkage', 'reader', 'site', 'storage')",
            ],
        ),
        (
            "relay = 1",
            'relay = "one"',
            [
                "gatewayd.toml:13: door.main-gate.relay: must be a whole number, is 'one' "
                "(Relay terminal, from 1 as printed on the board.)"
            ],
        ),
        (
            "relay = 1",
            "relay = 0",
            [
                "gatewayd.toml:13: door.main-gate.relay: must be at least 1, is 0 "
                "(Relay terminal, from 1 as printed on the board.)"
            ],
        ),
        (
            "relay = 1",
            "relay = true",
            [
                "gatewayd.toml:13: door.main-gate.relay: must be a whole number, is true "
                "(Relay terminal, from 1 as printed on the board.)"
            ],
        ),
        (
            'id = "main-gate-in"',
            'id = "Main_Gate"',
            [
                "gatewayd.toml:18: reader.Main_Gate.id: must be an id like 'main-gate-1', is "
                "'Main_Gate' (The access point's id, unique among all ids of this file.)"
            ],
        ),
        (
            'directory = "data"',
            "directory = [1]",
            [
                "gatewayd.toml:7: storage.directory: must be a path in quotes, is a list "
                "(Folder of the journal, the whitelist and the pictures.)"
            ],
        ),
        (
            'cameras = ["gate-cam"]',
            'cameras = [\n"gate-cam",\n"gate-cma"]',
            [
                "gatewayd.toml:24: reader.main-gate-in.cameras[2]: there is no [[camera]] with the "
                "id 'gate-cma' (did you mean 'gate-cam'? [[camera]] ids: 'gate-cam')"
            ],
        ),
        (
            'door = "main-gate"',
            'door = "side"',
            [
                "gatewayd.toml:9: door.main-gate: no reader names this door "
                '(add a [[reader]] with door = "main-gate")',
                "gatewayd.toml:21: reader.main-gate-in.door: there is no [[door]] with the id "
                "'side' ([[door]] ids: 'main-gate')",
            ],
        ),
        (
            'controller = "board"',
            'controller = "bored"',
            [
                "gatewayd.toml:12: door.main-gate.controller: there is no [[controller]] with the "
                "id 'bored' (did you mean 'board'? [[controller]] ids: 'board')"
            ],
        ),
        (
            'driver = "tags"',
            'driver = "tag"',
            [
                "gatewayd.toml:20: reader.main-gate-in.driver: there is no driver 'tag' "
                "(did you mean 'tags'? installed reader drivers: 'tags')"
            ],
        ),
        (
            'driver = "tags"',
            'driver = "video"',
            [
                "gatewayd.toml:20: reader.main-gate-in.driver: 'video' drives a camera, not a "
                "reader (put it into a [[camera]] table)"
            ],
        ),
        (
            'driver = "tags"\n',
            "",
            [
                "gatewayd.toml:17: reader.main-gate-in.driver: is missing "
                "(A reader driver's name, e.g. 'ascii-tag'.)"
            ],
        ),
        (
            'port = "/dev/ttyTEST0"',
            'port = "/dev/ttyTEST0"\nbuad = 9600\nbaud = 110',
            [
                "gatewayd.toml:24: reader.main-gate-in.buad: is not a known key "
                "(did you mean 'baud'?)",
                "gatewayd.toml:25: reader.main-gate-in.baud: must be at least 300, is 110 "
                "(Bits a second.)",
            ],
        ),
        (
            'port = "/dev/ttyTEST0"',
            'port = "/dev/lp0"',
            [
                "gatewayd.toml:23: reader.main-gate-in.port: a printer is no reader "
                "(The serial port.)"
            ],
        ),
        (
            'port = "/dev/ttyTEST1"',
            'port = "/dev/ttyTEST0"',
            [
                "gatewayd.toml:28: controller.board.port: the port /dev/ttyTEST0 is taken by "
                "[[reader]] main-gate-in at line 17 (one port, one driver)"
            ],
        ),
        (
            "relay = 1",
            "relay = 9",
            [
                "gatewayd.toml:13: door.main-gate.relay: 'board' has 8 relays, and this is 9 "
                "(set relays of the [[controller]] if the board has more)"
            ],
        ),
        (
            "exit_input = 2",
            "exit_input = 1",
            [
                "gatewayd.toml:15: door.main-gate.exit_input: input 1 of 'board' is taken by "
                "door.main-gate.contact_input (one terminal, one use)"
            ],
        ),
        (
            "exit_input = 2",
            "exit_input = 2\nheld_s = 20",
            [
                "gatewayd.toml:16: door.main-gate.held_s: pre_alarm_s (20) must be less than "
                "held_s (20) (the warning comes first)"
            ],
        ),
        (
            "exit_input = 2",
            "pre_alarm_s = 30",
            [
                "gatewayd.toml:15: door.main-gate.pre_alarm_s: pre_alarm_s (30) must be less than "
                "held_s (30) (the warning comes first)"
            ],
        ),
        (
            "exit_input = 2",
            "held_s = inf",
            [
                "gatewayd.toml:15: door.main-gate.held_s: input should be a finite number "
                "(Open longer than this is 'held'.)"
            ],
        ),
        (
            "exit_input = 2",
            'fail_policy = "secur"',
            [
                "gatewayd.toml:15: door.main-gate.fail_policy: must be 'secure' or 'open', is "
                "'secur' (did you mean 'secure'?)"
            ],
        ),
        (
            'id = "board"',
            'id = "main-gate"',
            [
                "gatewayd.toml:12: door.main-gate.controller: there is no [[controller]] with the "
                "id 'board' ([[controller]] ids: 'main-gate')",
                "gatewayd.toml:26: controller.main-gate.id: the id 'main-gate' is taken by "
                "[[door]] main-gate at line 9 (ids are unique across all tables)",
            ],
        ),
        (
            'id = "board"',
            'id = "system"',
            [
                "gatewayd.toml:12: door.main-gate.controller: there is no [[controller]] with the "
                "id 'board' ([[controller]] ids: 'system')",
                "gatewayd.toml:26: controller.system.id: 'system' is a word of the journal's own "
                "(name it otherwise, e.g. with a number)",
            ],
        ),
        (
            'gateway = "gate-1"',
            'gateway = "gate-1"\ntime_zone = "Asia/Shangai"',
            [
                "gatewayd.toml:5: site.time_zone: unknown time zone 'Asia/Shangai' "
                "(did you mean 'Asia/Shanghai'?)"
            ],
        ),
        (
            'gateway = "gate-1"',
            'gateway = "gate-1"\ntime_zone = "Asia"',
            [
                "gatewayd.toml:5: site.time_zone: unknown time zone 'Asia' "
                "(did you mean 'Asia/Oral'?)"
            ],
        ),
        (
            'gateway = "gate-1"',
            'gateway = "gate-1"\ntime_zone = "../zz"',
            [
                "gatewayd.toml:5: site.time_zone: unknown time zone '../zz' "
                "(write for example 'Asia/Shanghai')"
            ],
        ),
        (
            "[storage]",
            "[[storage]]",
            ["gatewayd.toml:6: storage: must be one table, written [storage]"],
        ),
        (
            "[[camera]]",
            "[camera]",
            [
                "gatewayd.toml:22: reader.main-gate-in.cameras[1]: there is no [[camera]] with the "
                "id 'gate-cam' ([[camera]] ids: none)",
                "gatewayd.toml:30: camera: must be a list of tables, each written [[camera]]",
            ],
        ),
        (
            'name = "Riverside"',
            'name = "Riverside',
            [
                "gatewayd.toml:3: is not TOML at column 18: Illegal character '\\n' "
                '(text stands in quotes, as in key = "text"; the rest is checked once this is '
                "right)"
            ],
        ),
        (
            'url = "rtsp://127.0.0.1/1"\n',
            'url = """',
            [
                "gatewayd.toml:34: is not TOML: Unterminated string (text stands in quotes, as in "
                'key = "text"; the rest is checked once this is right)'
            ],
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(
    site: SiteFile, old: str, new: str, expected: list[str]
) -> None:
    site.replace(old, new)
    assert site.problems() == expected


def test_all_mistakes_are_told_in_one_go_and_in_the_files_order(site: SiteFile) -> None:
    site.replace("relay = 1", "relay = 0")
    site.replace('door = "main-gate"', 'door = "mian-gate"')
    site.replace("[site]", "[site]\ncolour = 1")
    site.replace('port = "/dev/ttyTEST1"', "port = 7")
    found = check_settings(site.path, REGISTRY)
    assert [(problem.line, problem.key) for problem in found] == [
        (2, "site.colour"),
        (10, "door.main-gate"),
        (14, "door.main-gate.relay"),
        (22, "reader.main-gate-in.door"),
        (29, "controller.board.port"),
    ]
    with pytest.raises(SettingsError) as caught:
        load_settings(site.path, REGISTRY)
    assert list(caught.value.problems) == found
    assert str(caught.value).count("\n") == 4


def test_elements_that_are_no_tables_are_named_by_their_number(site: SiteFile) -> None:
    site.replace("[site]", "camera = [1]\n[site]")
    site.replace(SITE[SITE.index("\n[[camera]]") :], "")
    site.replace('cameras = ["gate-cam"]\n', "")
    assert site.problems() == ["gatewayd.toml:1: camera[1]: must be a table, written [[camera]]"]


def test_an_element_without_an_id_is_named_by_its_number(site: SiteFile) -> None:
    site.replace('id = "main-gate-in"\n', "")
    assert site.problems() == [
        "gatewayd.toml:17: reader[1].id: is missing "
        "(The access point's id, unique among all ids of this file.)"
    ]


def test_two_doors_on_one_relay_are_told(site: SiteFile) -> None:
    site.append('\n[[door]]\nid="b"\nname="B"\ncontroller="board"\nrelay=1\nexit_input=1\n')
    site.append('\n[[reader]]\nid="b-in"\nname="B"\ndriver="tags"\ndoor="b"\nport="/dev/x"\n')
    assert site.problems() == [
        "gatewayd.toml:40: door.b.relay: relay 1 of 'board' is taken by door.main-gate.relay "
        "(one terminal, one use)",
        "gatewayd.toml:41: door.b.exit_input: input 1 of 'board' is taken by "
        "door.main-gate.contact_input (one terminal, one use)",
    ]


def test_two_names_of_one_plug_are_one_port(site: SiteFile, tmp_path: Path) -> None:
    (tmp_path / "plug").write_text("")
    (tmp_path / "by-id").symlink_to(tmp_path / "plug")
    site.replace("/dev/ttyTEST0", str(tmp_path / "plug"))
    site.replace("/dev/ttyTEST1", str(tmp_path / "by-id"))
    assert site.problems() == [
        "gatewayd.toml:28: controller.board.port: the port by-id (that is plug) is taken by "
        "[[reader]] main-gate-in at line 17 (one port, one driver)"
    ]


def test_a_broken_driver_is_a_problem_of_the_device_that_names_it(site: SiteFile) -> None:
    class Broken(dict[str, Driver]):
        def __getitem__(self, name: str) -> Driver:
            if name == "tags":
                raise DriverLoadError("driver 'tags' (x:Y) can't be loaded: ImportError: no x")
            return super().__getitem__(name)

    found = check_settings(site.path, Broken(REGISTRY))
    assert [str(problem.line) + problem.what for problem in found] == [
        "20driver 'tags' (x:Y) can't be loaded: ImportError: no x"
    ]


# -------------------------------------------------------------------------------- the file


def test_a_missing_file_says_how_to_name_one(site: SiteFile) -> None:
    site.path.unlink()
    assert site.problems() == [
        "gatewayd.toml: can't be read: No such file or directory "
        "(name the settings file with --config)"
    ]


def test_a_file_in_another_encoding_is_named_with_its_line(site: SiteFile) -> None:
    site.path.write_bytes(SITE.replace("Riverside", "河边").encode("gb18030"))
    assert site.problems() == ["gatewayd.toml:3: is not UTF-8 text (save the file as UTF-8)"]


def test_a_byte_order_mark_is_no_mistake(site: SiteFile) -> None:
    site.path.write_bytes(b"\xef\xbb\xbf" + SITE.replace("\n", "\r\n").encode())
    assert site.problems() == []


def test_a_huge_or_deeply_nested_file_is_refused(site: SiteFile) -> None:
    site.write("#" * (MAX_FILE_BYTES + 1))
    assert site.problems() == [
        f"gatewayd.toml: is larger than {MAX_FILE_BYTES} bytes: not a settings file"
    ]
    site.write("a = " + "[" * 10_000)
    assert site.problems() == ["gatewayd.toml: is nested too deeply to be settings"]


def test_an_empty_file_lacks_its_tables(site: SiteFile) -> None:
    site.write("")
    assert site.problems() == [
        "gatewayd.toml:1: site: the table [site] is missing (The compound and this box in it.)",
        "gatewayd.toml:1: storage: the table [storage] is missing "
        "(Where the box keeps its files, and how much.)",
    ]


# ----------------------------------------------------------------------------- the files it names


def test_a_missing_key_file_is_told(site: SiteFile) -> None:
    site.append(LINK)
    assert site.problems() == [
        "gatewayd.toml:38: link.central_keys_file: central.json can't be used: No such file or "
        "directory (make it, or correct the path; relative ones start at the settings file)"
    ]


def test_a_key_file_that_is_none_is_told(site: SiteFile, tmp_path: Path) -> None:
    site.append(LINK)
    (tmp_path / "central.json").write_text('{"keys": []}')
    (found,) = site.problems()
    assert found.startswith(
        "gatewayd.toml:38: link.central_keys_file: central.json: is not the centre's key file"
    )


def test_keys_that_anyone_may_change_are_refused(site: SiteFile, tmp_path: Path) -> None:
    site.append(LINK)
    (tmp_path / "central.json").write_text(CENTRAL_KEYS)
    (tmp_path / "central.json").chmod(0o646)
    assert site.problems() == [
        "gatewayd.toml:38: link.central_keys_file: central.json can be changed by any user "
        "(run: chmod o-w central.json)"
    ]
    (tmp_path / "central.json").chmod(0o644)
    assert site.problems() == []


@pytest.mark.parametrize(
    ("again", "line"),
    [("port = 'x'", 24), ("port = [\n 1,\n]", 24), ("baud = 300\nport = 'x'", 25)],
)
def test_a_key_that_stands_there_twice_is_named_with_both_lines(
    site: SiteFile, again: str, line: int
) -> None:
    site.replace('port = "/dev/ttyTEST0"', f'port = "/dev/ttyTEST0"\n{again}')
    assert site.problems() == [
        f"gatewayd.toml:{line}: port: stands in this table twice, first in line 23 "
        "(leave one of the two)"
    ]


def test_a_table_that_would_replace_a_value_is_told_at_its_line(site: SiteFile) -> None:
    site.replace("[storage]", "[site.name]")
    assert site.problems()[0].startswith("gatewayd.toml:6: is not TOML at column ")


def test_each_mistake_in_the_operators_file_is_told(
    site: SiteFile, secret: Callable[[str], Path]
) -> None:
    site.append('\n[console]\noperators_file = "operators.toml"\n')
    secret("operators.toml").write_text(
        '[[operator]]\nname = "li"\nrole = "boss"\npassword_hash = "1234"\n'
    )
    place = "gatewayd.toml:37: console.operators_file: operators.toml: operator 'li': "
    assert site.problems() == [
        f"{place}role: must be one of 'guard', 'leader', 'manager', 'administrator'",
        f"{place}password_hash: is no argon2id hash "
        "(run: gatewayd hash-password, and paste what it prints)",
    ]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_secret_that_others_can_read_is_refused(
    site: SiteFile, secret: Callable[[str], Path], mode: int
) -> None:
    site.append('\n[console]\noperators_file = "operators.toml"\n')
    secret("operators.toml").chmod(mode)
    assert site.problems() == [
        f"gatewayd.toml:37: console.operators_file: operators.toml can be read by others (mode "
        f"{mode:04o}) (run: chmod 600 operators.toml)"
    ]


@pytest.mark.parametrize(
    ("key", "table"),
    [("pass_phrase", "camera.gate-cam"), ("token_key_file", "reader.main-gate-in")],
)
def test_a_drivers_secret_file_must_be_private_too(
    site: SiteFile, secret: Callable[[str], Path], key: str, table: str
) -> None:
    path = secret("s")
    site.replace(
        "url" if "camera" in table else 'port = "/dev/ttyTEST0"\n',
        'pass_phrase = "s"\nurl'
        if "camera" in table
        else 'port = "/dev/ttyTEST0"\ntoken_key_file = "s"\n',
    )
    assert site.problems() == []
    path.chmod(0o644)
    (found,) = site.problems()
    assert f"{table}.{key}: s can be read by others (mode 0644)" in found


def test_a_drivers_plain_file_must_be_there(site: SiteFile) -> None:
    site.append("")
    site.replace('port = "/dev/ttyTEST0"', 'port = "/dev/ttyTEST0"\nmap_file = "map"')
    (found,) = site.problems()
    assert "gatewayd.toml:24: reader.main-gate-in.map_file: map can't be used" in found


def test_an_empty_secret_or_a_folder_in_its_place_is_refused(
    site: SiteFile, secret: Callable[[str], Path], tmp_path: Path
) -> None:
    site.append(LINK + 'username = "gate-1"\npassword_file = "empty"\n')
    (tmp_path / "central.json").mkdir()
    secret("empty").write_text("")
    assert site.problems() == [
        "gatewayd.toml:38: link.central_keys_file: central.json is not a file (name a file)",
        "gatewayd.toml:40: link.password_file: empty is empty (write the secret into it)",
    ]


def test_a_file_of_another_user_can_not_be_read(
    site: SiteFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.append(LINK)
    (tmp_path / "central.json").write_text(CENTRAL_KEYS)
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # the OS said no, even to root
    (found,) = site.problems()
    assert "central.json can't be read (give it to the user that runs this: uid " in found


def test_storage_can_not_be_below_a_file(site: SiteFile, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    site.replace('"data"', '"data/journal"')
    assert site.problems() == [
        "gatewayd.toml:7: storage.directory: data is a file, not a folder (name a folder)"
    ]


# ------------------------------------------------------------------------------- passwords


def test_a_password_in_an_address_makes_the_settings_a_secret(site: SiteFile) -> None:
    site.replace("rtsp://127", "rtsp://admin:hunter2@127")
    site.path.chmod(0o644)
    (found,) = site.problems()
    assert found == (
        "gatewayd.toml:34: camera.gate-cam.url: holds a password, and others can read this file "
        "(move it to a password_file, or run: chmod 600 gatewayd.toml)"
    )
    site.path.chmod(0o600)
    assert site.problems() == []


@pytest.mark.parametrize(
    "line", ["password = 12345678", 'ulr = "x"\nbaud = "rtsp://admin:12345678@x"']
)
def test_no_problem_shows_a_secret(site: SiteFile, line: str) -> None:
    site.path.chmod(0o600)
    site.replace('url = "rtsp://127.0.0.1/1"', f"url = 5\n{line}")
    found = site.problems()
    assert found
    assert "12345678" not in "".join(found)
    site.replace("relay = 1", 'relay = "rtsp://admin:12345678@x"')
    found = site.problems()
    assert any("is 'rtsp://…@x'" in text for text in found)
    assert "12345678" not in "".join(found)


# ------------------------------------------------------------------------------- console, link


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "[::1]", "localhost", "127.9.9.9"])
def test_the_console_needs_no_certificate_on_loopback(site: SiteFile, host: str) -> None:
    site.append(f'\n[console]\nhost = "{host}"\n')
    assert site.problems() == []


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "gatehouse.lan", ""])  # noqa: S104  # what must be refused
def test_the_console_needs_a_certificate_for_other_machines(site: SiteFile, host: str) -> None:
    site.append(f'\n[console]\nhost = "{host}"\n')
    assert site.problems() == [
        f"gatewayd.toml:37: console.host: {host!r} serves other machines, and there is no "
        "certificate (set certificate_file and key_file, or allow_plain_http = true)"
    ]
    site.append("allow_plain_http = true\n")
    assert site.problems() == []


def test_link_keys_that_have_no_effect_are_told(
    site: SiteFile, secret: Callable[[str], Path]
) -> None:
    secret("central.json").write_text(CENTRAL_KEYS)
    secret("pw")
    site.append(LINK + 'tls = false\nca_file = "central.json"\npassword_file = "pw"\n')
    assert site.problems() == [
        "gatewayd.toml:40: link.ca_file: is set, but tls = false would not use it "
        "(remove one of the two)",
        "gatewayd.toml:40: link.ca_file: central.json holds no certificate (it must be PEM)",
        "gatewayd.toml:41: link.password_file: is of no use alone (set username beside it)",
    ]


def test_a_problem_reads_well_without_its_parts() -> None:
    assert str(Problem("f", None, "", "is odd")) == "f: is odd"
    assert str(Problem("f", 3, "k", "is odd", "try")) == "f:3: k: is odd (try)"
