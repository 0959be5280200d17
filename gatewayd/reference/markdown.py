"""Small pieces of Markdown. Owns escaping and tables; knows nothing of what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

MADE_BY = "<!-- Made by `make docs` from {source}: edit that, not this page. -->\n"


def page(title: str, source: str, *parts: str) -> str:
    """A whole page: its title, where it is made from, and its parts with one line between."""
    head = f"# {title}\n\n{MADE_BY.format(source=source)}"
    return "\n".join([head, *(part.strip("\n") + "\n" for part in parts)])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; cells are one line each, and a bar in one is text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(cell, line)) + " |" for line in lines)


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def code(text: str) -> str:
    """As code, whatever it holds; nothing for nothing."""
    return f"`{text}`" if text else ""


def first_paragraph(docstring: str | None) -> str:
    """The docstring up to its first empty line, on one line."""
    return " ".join((docstring or "").strip().split("\n\n")[0].split())
