"""mosquitto without root: its Debian package and libraries unpacked into a folder of the project.

Owns that folder. Must not install anything, and asks no other source than the machine's own apt.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "mosquitto"
T_APT_S = 120.0
T_START_S = 10.0


class UnpackError(OSError):
    """It can't be had that way; the text says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """A mosquitto that starts, with the environment it needs."""

    binary: Path
    env: Mapping[str, str]


def installed(system_folders: Sequence[str] = ("/usr/sbin", "/usr/local/sbin")) -> Program | None:
    """Debian's own, whose folder is not on every user's PATH."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *system_folders))
    found = shutil.which(PACKAGE, path=path)
    return Program(Path(found), dict(os.environ)) if found else None


def unpack(cache: Path) -> Program:
    """The unpacked mosquitto below `cache`, downloaded on first use. Raises UnpackError."""
    root = cache / PACKAGE
    program = _program(root)
    if not program.binary.exists():
        fresh = cache / f"{PACKAGE}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _download(fresh)
        shutil.rmtree(root, ignore_errors=True)
        (fresh / "root").replace(root)
        shutil.rmtree(fresh)
        program = _program(root)
    _must_start(program)
    return program


def _program(root: Path) -> Program:
    folders = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*"), root / "usr/lib"]
    libraries = os.pathsep.join(str(folder) for folder in folders)
    binary = root / "usr/sbin/mosquitto"
    return Program(binary, {**os.environ, "LD_LIBRARY_PATH": libraries})


def _download(folder: Path) -> None:
    folder.mkdir(parents=True)
    _run(("apt-get", "download", *_needed()), folder)
    for package in sorted(folder.glob("*.deb")):
        _run(("dpkg-deb", "-x", str(package), "root"), folder)


def _needed() -> list[str]:
    """The package and those of its libraries that this machine lacks, as apt would install them."""
    plan = _run(
        ("apt-get", "install", "--simulate", "--no-install-recommends", PACKAGE), Path.cwd()
    )
    lacking = [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]
    return [PACKAGE, *(name for name in lacking if name != PACKAGE)]


def _must_start(program: Program) -> None:
    said = _run((str(program.binary), "-h"), Path.cwd(), env=program.env, ok=(0, 1, 3))
    if "mosquitto version" not in said:
        raise UnpackError(f"{program.binary} does not start: {said.strip()[:200]}")


def _run(
    command: Sequence[str],
    cwd: Path,
    *,
    env: Mapping[str, str] | None = None,
    ok: Sequence[int] = (0,),
) -> str:
    try:
        done = subprocess.run(  # noqa: S603  # apt, dpkg and mosquitto with fixed arguments
            command,
            cwd=cwd,
            env={**(env or os.environ), "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=T_START_S if env else T_APT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnpackError(f"{command[0]}: {error}") from error
    if done.returncode not in ok:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise UnpackError(f"{' '.join(command[:2])} failed: {''.join(last)[:200]}")
    return done.stdout + done.stderr
