"""The commands of docs/guide/install.md make every file that the example of the settings names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from gatewayd import cli
from tests.settings.conftest import CENTRAL_KEYS
from tests.settings.example_files import EXAMPLE, ROOT, make_certificate

GUIDE = (ROOT / "docs" / "guide" / "install.md").read_text(encoding="utf-8")

LEFT_OUT = (
    *("pin_key_file", "verification", "pin_schedule", "cameras"),
    *("certificate_file", "key_file", "operators_file"),
)


def commands(folder: Path, centre: Path) -> str:
    """Those that make the files, for another folder, with something typed and no other user."""
    [block] = [b for b in re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL) if "umask" in b]
    program = f"echo a long password | {sys.executable} -m gatewayd hash-password"
    text = re.sub(r"^cat >", "echo secret >", block, flags=re.MULTILINE)
    text = text.replace("/opt/gatewayd/bin/gatewayd hash-password", program)
    text = text.replace("chown -R gatewayd:gatewayd", "ls").replace("/etc/gatewayd", str(folder))
    return text.replace("/root/centre", str(centre))


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The example copied, beside what the commands made."""
    folder, centre = tmp_path / "etc", tmp_path / "centre"
    for made in (folder / "secrets", folder / "tls"):
        made.mkdir(parents=True)
    make_certificate(centre, "property-ca")
    (centre / "central-keys.json").write_text(CENTRAL_KEYS)
    config = folder / "gatewayd.toml"
    config.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    script = ["bash", "-euc", commands(folder, centre)]
    subprocess.run(
        script,
        check=True,
        capture_output=True,
        timeout=60,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )
    return config


def test_after_the_commands_of_the_guide_the_example_has_no_problem(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check-config", "--config", str(installed)]) == cli.OK, capsys.readouterr().err


def test_what_the_guide_says_can_be_left_out_can_be_left_out(
    installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = installed.read_text(encoding="utf-8")
    text = re.sub(r"^\[link\]$.*?(?=^\[console\]$)", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^\[\[camera\]\]$.*?(?=^\[alarms\]$)", "", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r'^key_file = "secrets/.*$', "clear_text = true", text, flags=re.MULTILINE)
    text = re.sub(rf"^({'|'.join(LEFT_OUT)}) .*$", "", text, flags=re.MULTILINE)
    text = re.sub(r'^ *\{ do = "picture".*$', "", text, flags=re.MULTILINE)
    installed.write_text(text.replace('host = "0.0.0.0"', 'host = "127.0.0.1"'), encoding="utf-8")
    for path in installed.parent.rglob("*"):
        if path.is_file() and path != installed:
            path.unlink()
    assert cli.main(["check-config", "--config", str(installed)]) == cli.OK, capsys.readouterr().err
