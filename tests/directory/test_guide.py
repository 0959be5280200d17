"""docs/guide/stand-alone.md has both header tables and every format as the code has them."""

from __future__ import annotations

import re

from gatewayd.directory import cards
from gatewayd.directory.columns import Table
from gatewayd.directory.tables import TABLES
from tests.settings.example_files import ROOT

GUIDE = (ROOT / "docs" / "guide" / "stand-alone.md").read_text(encoding="utf-8")


def section(table: Table) -> str:
    """How the guide shows a table."""
    also = " · ".join(table.names[2:])
    title = f"### {table.names[0]} · {table.names[1]}"
    lines = [
        title,
        "",
        table.what + (f" Also: {also}." if also else ""),
        "",
        "| English | 中文 | also | what |",
        "| --- | --- | --- | --- |",
    ]
    for column in table.columns:
        must = " (must be there)" if column.required else ""
        what = column.what.replace("|", "\\|") + must
        names = column.headers
        lines.append(f"| {names[0]} | {names[1]} | {' · '.join(names[2:])} | {what} |")
    return "\n".join(lines)


def test_the_guide_has_every_table_with_its_headers() -> None:
    for table in TABLES:
        assert section(table) in GUIDE


def test_the_guide_has_every_format_of_a_card() -> None:
    named = re.findall(r"^\| `([A-Za-z0-9]+)` \|", GUIDE, re.MULTILINE)
    assert set(named) == set(cards.FORMATS)
