"""The command line: what each command says, where it says it, and with which exit code."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from gatewayd import __version__, cli
from gatewayd.domain.events import ExitRequested
from gatewayd.domain.model import DoorId
from gatewayd.settings.load import LoadedSettings
from gatewayd.store.journal import JournalStore
from gatewayd.store.operators import verify_password
from gatewayd.store.operators_file import read_operators_file
from tests.clock import ManualClock
from tests.settings.example_files import ROOT, example_site

Captured = pytest.CaptureFixture[str]


def gatewayd(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gatewayd", *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


# ------------------------------------------------------------------------------- the whole


def test_version_is_told_without_loading_what_the_daemon_needs() -> None:
    heavy = ("fastapi", "pydantic", "cv2", "av", "paho", "sqlite3", "numpy", "asyncio", "argon2")
    code = (
        "import sys; from gatewayd.cli import main; status = main(['version']);"
        f"print(sorted(set(sys.modules) & set({heavy!r}))); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == f"gatewayd {__version__}\n[]\n"


def test_check_config_loads_only_the_drivers_that_the_settings_name(tmp_path: Path) -> None:
    path = tmp_path / "gatewayd.toml"
    path.write_text(
        '[site]\nid="a"\nname="A"\ngateway="g"\n[storage]\ndirectory="d"\n'
        '[[controller]]\nid="b"\ndriver="modbus-relay"\nport="/dev/ttyS9"\n'
    )
    code = (
        "import sys; from gatewayd.cli import main;"
        f"status = main(['check-config', '--config', {str(path)!r}]);"
        "print(sorted(set(sys.modules) & {'cv2', 'av', 'fastapi', 'drivers.cameras.rtsp',"
        "'drivers.readers.ascii_tag'})); sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == f"{path}: no problem found\n[]\n"


def test_the_module_is_the_command() -> None:
    for word in ("version", "--version"):
        done = gatewayd(word)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"gatewayd {__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["run", "--conf", "x"], ["verify", "-x"]])
def test_a_wrong_command_line_is_told_on_stderr_with_2(
    arguments: list[str], capsys: Captured
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == cli.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "usage: gatewayd" in shown.err


def test_ctrl_c_ends_any_command_quietly(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def interrupted(_argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "simulators.cli", types.SimpleNamespace(main=interrupted))
    assert cli.main(["demo"]) == cli.INTERRUPTED
    assert capsys.readouterr().err == ""


def test_a_reader_of_the_output_that_goes_away_is_no_error() -> None:
    script = f"{sys.executable} -m gatewayd schema | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60
    )
    assert done.stdout == "{\n0\n"
    assert done.stderr == ""


# ---------------------------------------------------------------------------- check-config


def test_check_config_passes_on_the_example_where_its_files_are(
    tmp_path: Path, capsys: Captured
) -> None:
    path = example_site(tmp_path)
    assert cli.main(["check-config", "--config", str(path)]) == cli.OK
    assert capsys.readouterr().out == f"{path}: no problem found\n"


def test_check_config_tells_every_mistake_with_its_place(tmp_path: Path, capsys: Captured) -> None:
    path = example_site(tmp_path)
    text = path.read_text()
    path.write_text(text.replace('driver = "wiegand-serial"', 'driver = "wigand-serial"', 1))
    (tmp_path / "central-keys.json").unlink()
    arguments = ["check-config", "--config", str(path), "--set", "door.main-gate.relay=none"]
    assert cli.main([*arguments, "--set", "door.nowhere.relay=1"]) == cli.PROBLEM_FOUND
    assert "--set door.nowhere.relay: " in capsys.readouterr().err
    assert cli.main(arguments) == cli.PROBLEM_FOUND
    shown = capsys.readouterr()
    lines = shown.err.splitlines()
    assert shown.out == ""
    driver_line = text[: text.index("wiegand-serial")].count("\n") + 1
    assert lines[0].startswith(
        f"{path}:{driver_line}: reader.side-gate-in.driver: there is no driver 'wigand-serial' "
        "(did you mean 'wiegand-serial'?"
    )
    assert ": link.central_keys_file: " in lines[1]
    assert lines[2].startswith("--set door.main-gate.relay: door.main-gate.relay: must be a whole")
    assert lines[3] == f"gatewayd check-config: 3 problems in {path}"


# ------------------------------------------------------------------------------------- run


def test_run_hands_right_settings_to_the_daemon_and_returns_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[LoadedSettings] = []

    def run(loaded: LoadedSettings) -> int:
        given.append(loaded)
        return 7

    monkeypatch.setitem(sys.modules, "gatewayd.daemon", types.SimpleNamespace(run=run))
    path = example_site(tmp_path)
    assert cli.main(["run", "--config", str(path), "--set", "console.port=9000"]) == 7
    (loaded,) = given
    assert loaded.settings.console is not None
    assert loaded.settings.console.port == 9000
    assert loaded.drivers["main-gate-in"].name == "ascii-tag"


def test_run_refuses_wrong_settings_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setitem(sys.modules, "gatewayd.daemon", types.SimpleNamespace(run=pytest.fail))
    path = example_site(tmp_path)
    (tmp_path / "secrets" / "mqtt-password").chmod(0o644)
    state = tmp_path / "state"
    arguments = ["run", "--config", str(path), "--set", f"storage.directory={state}"]
    assert cli.main(arguments) == cli.REFUSED
    shown = capsys.readouterr()
    assert "mqtt-password can be read by others (mode 0644)" in shown.err
    assert shown.err.endswith("gatewayd run: refused to start, nothing was opened\n")
    assert not state.exists()


# ---------------------------------------------------------------------------------- verify


async def make_journal(path: Path, rows: int) -> None:
    path.parent.mkdir(exist_ok=True)
    store = await JournalStore.open(path, ManualClock(), secret=b"s" * 32)
    async with store.running():
        for _ in range(rows):
            await store.append(ExitRequested(DoorId("main-gate")))
    await store.close()


def test_verify_checks_the_journal_of_the_settings(tmp_path: Path, capsys: Captured) -> None:
    path = example_site(tmp_path)
    asyncio.run(make_journal(tmp_path / "state" / "journal.db", 3))
    arguments = ["verify", "--config", str(path), "--set", "storage.directory=state"]
    assert cli.main(arguments) == cli.OK
    journal = tmp_path / "state" / "journal.db"
    assert capsys.readouterr().out == f"{journal}: 3 rows checked, last 3, all as written\n"


def test_verify_names_the_first_bad_row(tmp_path: Path, capsys: Captured) -> None:
    import sqlite3

    journal = tmp_path / "journal.db"
    asyncio.run(make_journal(journal, 5))
    database = sqlite3.connect(journal)
    triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in triggers:
        database.execute(f'DROP TRIGGER "{name}"')
    (table,) = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%prev%hash%'"
    ).fetchone()
    database.execute(f"UPDATE {table} SET subject = 'other' WHERE seq = 3")
    database.commit()
    database.close()
    assert cli.main(["verify", str(journal)]) == cli.PROBLEM_FOUND
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"{journal}: row 3 is " in shown.err
    assert cli.main(["verify", str(journal), "--first", "1", "--last", "2"]) == cli.OK


def test_verify_of_no_journal_says_so(tmp_path: Path, capsys: Captured) -> None:
    assert cli.main(["verify", str(tmp_path / "none.db")]) == cli.PROBLEM_FOUND
    assert "gatewayd verify: " in capsys.readouterr().err
    assert cli.main(["verify", "--config", str(tmp_path / "none.toml")]) == cli.REFUSED
    assert "name the journal's file, or correct the settings" in capsys.readouterr().err


# ---------------------------------------------------------------------------- demo, simulate


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["demo", "--seconds", "5"], ["demo", "--seconds", "5"]),
        (["demo"], ["demo"]),
        (["simulate", "reader", "--help"], ["reader", "--help"]),
        (["simulate", "--help"], ["--help"]),
    ],
)
def test_simulators_get_their_arguments_as_they_are(
    arguments: list[str], passed_on: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[list[str]] = []

    def main(argv: list[str]) -> int:
        given.append(argv)
        return 0

    monkeypatch.setitem(sys.modules, "simulators.cli", types.SimpleNamespace(main=main))
    assert cli.main(arguments) == 0
    assert given == [passed_on]


def test_a_machine_without_the_simulators_is_told_plainly(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(cli, "find_spec", lambda _name: None)
    assert cli.main(["demo"]) == cli.REFUSED
    assert capsys.readouterr().err == (
        "gatewayd demo: the package 'simulators' is not installed here\n"
    )


def test_a_machine_without_the_demos_packages_is_told_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['rich'] = None; from gatewayd.cli import main;"
        "sys.exit(main(['demo', '--seconds', '1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60,
    )  # fmt: skip
    assert done.returncode == cli.REFUSED
    assert done.stderr.startswith("gatewayd demo: ")
    assert done.stderr.endswith(" (install with: pip install 'gatewayd[demo]')\n")
    assert done.stderr.count("\n") == 1


def test_a_module_of_our_own_that_is_missing_is_no_matter_of_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(_name: str) -> object:
        raise ModuleNotFoundError("No module named 'simulators.x'", name="simulators.x")

    monkeypatch.setattr(cli, "import_module", missing)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["simulate", "camera"])


# ---------------------------------------------------------------------------------- lists


@pytest.mark.parametrize(
    "words",
    [["import", "people.csv"], ["export", "out"], ["whitelist", "show"],
     ["whitelist", "hand-over", "out"]],
)  # fmt: skip
def test_lists_need_right_settings(words: list[str], tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "gatewayd.toml"
    path.write_text("[site]\nid = 7\n")
    assert cli.main([*words, "--config", str(path)]) == cli.REFUSED
    command = " ".join(words[:2] if words[0] == "whitelist" else words[:1])
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == f"gatewayd {command}: correct the settings first"


def test_a_site_with_a_centre_imports_nothing(tmp_path: Path, capsys: Captured) -> None:
    path = example_site(tmp_path)
    assert cli.main(["import", "people.csv", "--config", str(path)]) == cli.REFUSED
    assert capsys.readouterr().err.startswith(
        "gatewayd import: the list of this site comes from its centre"
    )


def test_bad_rows_are_a_problem_found_and_told_on_stderr(tmp_path: Path, capsys: Captured) -> None:
    config = tmp_path / "gatewayd.toml"
    config.write_text(
        '[site]\nid = "site"\nname = "x"\ngateway = "gate-1"\n[storage]\ndirectory = "data"\n'
    )
    people = tmp_path / "people.csv"
    people.write_text("id,name\n王,x\n")
    assert cli.main(["import", str(people), "--config", str(config)]) == cli.PROBLEM_FOUND
    shown = capsys.readouterr()
    assert "people.csv, row 2, column A (id)" in shown.err
    assert shown.out == ""
    people.write_text("id,name\np-1,x\n")
    assert cli.main(["import", str(people), "--config", str(config)]) == cli.OK
    assert "people: 1 added" in capsys.readouterr().out


def test_progress_is_for_a_terminal_only(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    cli._progress("1 row")
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    cli._progress("1 row")
    assert terminal.getvalue() == "\r\x1b[K1 row"


# ------------------------------------------------------------------------ schema, passwords


def test_schema_prints_the_kept_one(capsys: Captured) -> None:
    assert cli.main(["schema"]) == cli.OK
    kept = (ROOT / "config" / "gatewayd.schema.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == kept


def test_schema_with_a_broken_driver_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    package = tmp_path / "acme-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[gatewayd.drivers]\nacme = acme_lock:DRIVER\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert cli.main(["schema"]) == cli.REFUSED
    assert "driver 'acme' (acme_lock:DRIVER) can't be loaded" in capsys.readouterr().err


def test_a_password_from_a_pipe_becomes_its_hash(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("夜班 guard 7\n"))
    assert cli.main(["hash-password"]) == cli.OK
    shown = capsys.readouterr()
    assert PasswordHasher().verify(shown.out.strip(), "夜班 guard 7")
    assert "guard" not in shown.out + shown.err


def test_a_password_with_a_name_becomes_an_operator_to_append(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    blocks = ""
    for more in (["--name", '王"班长', "--role", "leader"], ["--name", "li"]):
        monkeypatch.setattr(sys, "stdin", io.StringIO("night guard 7\n"))
        assert cli.main(["hash-password", *more]) == cli.OK
        blocks += capsys.readouterr().out
    path = tmp_path / "operators.toml"
    path.write_text(blocks, encoding="utf-8")
    leader, guard = read_operators_file(path)
    assert (leader.name, leader.role) == ('王"班长', "leader")
    assert (guard.name, guard.role) == ("li", "guard")
    assert verify_password(guard.password_hash, "night guard 7")


def test_a_name_that_no_operator_can_have_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("night guard 7\n"))
    assert cli.main(["hash-password", "--name", " li"]) == cli.PROBLEM_FOUND
    assert capsys.readouterr().err == (
        "gatewayd hash-password: the name must be 1 to 32 characters, "
        "without a space at either end\n"
    )


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("typed", "status", "said"),
    [
        (["long secret", "long secret"], cli.OK, ""),
        (["secret", "secrte"], cli.PROBLEM_FOUND, "gatewayd hash-password: the two differ\n"),
        (["", ""], cli.PROBLEM_FOUND, "gatewayd hash-password: the password is empty\n"),
        ([], cli.PROBLEM_FOUND, "gatewayd hash-password: the password is empty\n"),
        (["long secret"], cli.PROBLEM_FOUND, "gatewayd hash-password: the password is empty\n"),
        (
            ["secret789", "secret789"],
            cli.PROBLEM_FOUND,
            "gatewayd hash-password: the password must have at least 10 characters\n",
        ),
    ],
)
def test_a_password_on_a_terminal_is_asked_for_twice(
    typed: list[str],
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    answers = iter(typed)
    monkeypatch.setattr(sys, "stdin", Terminal())

    def getpass(_prompt: str) -> str:
        for answer in answers:
            return answer
        raise EOFError  # Ctrl-D

    monkeypatch.setattr("getpass.getpass", getpass)
    assert cli.main(["hash-password"]) == status
    assert capsys.readouterr().err == said
