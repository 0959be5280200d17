"""`make bench`: every benchmark in turn, as a table on the terminal and in the reference."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.table import Row, markdown

NAMES = (
    *("decision", "rules", "journal", "whitelist", "gate", "readers", "lockdown", "link", "replay"),
)
PAGE = Path("docs/reference/benchmarks.md")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns 0; a goal that is missed is said in the table, not by the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="default: all")
    parser.add_argument("--scale", type=float, default=1.0, help="0.01 is a quick look")
    arguments = parser.parse_args(argv)
    rows: list[Row] = []
    busy = os.getloadavg()[0]
    for name in arguments.names or NAMES:
        print(f"measuring: {name} …", file=sys.stderr, flush=True)
        rows += asyncio.run(import_module(f"benchmarks.{name}").run(arguments.scale))
    table = markdown(rows)
    print(table)
    if not arguments.names and arguments.scale == 1.0:
        PAGE.write_text(_page(table, busy), encoding="utf-8")
    return 0


def _page(table: str, busy: float) -> str:
    """`busy` is the machine's load average before the run: what others did meanwhile is in it."""
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return (
        "# Benchmarks\n\n"
        f"Made by `make bench` on: {machine}; load average {busy:.1f} before the run and "
        f"{os.getloadavg()[0]:.1f} after it. Figures are of that run; ratios hold better than "
        "figures. A floor is what the bare tool does in the same run.\n\n"
        f"{table}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
