"""What is wrong with the settings, and where. Owns how a problem reads; must not find any."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `path` is the file as it was named, or the `--set` that made it.

    `line` counts from 1; None where no line is to blame. `key` is dotted, with an element of an
    array of tables by its id: "reader.main-gate-in.port". No field ever holds a secret.
    """

    path: str
    line: int | None
    key: str
    what: str
    hint: str = ""

    def __str__(self) -> str:
        """`file:line: key: what (hint)`, without the parts that there are none of."""
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        text = ": ".join(part for part in (place, self.key, self.what) if part)
        return f"{text} ({self.hint})" if self.hint else text


class SettingsError(ValueError):
    """The settings cannot be used; `problems` are all that is wrong, in the file's order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


def nearest(word: str, known: Collection[str]) -> str:
    """ "did you mean 'x'?" for the known word that is most like it; "" where none is."""
    close = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""


def listed(words: Collection[str]) -> str:
    """The words, sorted and quoted, or "none"."""
    return ", ".join(repr(word) for word in sorted(words)) or "none"


def suggestion(word: str, known: Collection[str], what: str) -> str:
    """The nearest known word where there is one, and all of them: "`what`: 'a', 'b'"."""
    return " ".join(part for part in (nearest(word, known), f"{what}: {listed(known)}") if part)
