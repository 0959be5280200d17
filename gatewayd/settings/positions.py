"""Where each key of a TOML text stands. Owns line numbers; must not judge values or read files.

`tomllib` tells no positions, so this walks the same text again. It may be called only on a text
that `tomllib` has accepted: it knows the shape of TOML, not its errors.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_QUOTED_KEY = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
# A number, a truth value or a moment; a moment may hold one space, so it ends at punctuation.
_SCALAR = re.compile(r"[^,\]}#\r\n]*")
_STRINGS = (
    # Of the quotes that end a multi-line string, up to two may belong to the text itself.
    re.compile(r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}', re.DOTALL),
    re.compile(r"'''(?:[^']|'{1,2}(?!'))*'{3,5}", re.DOTALL),
    re.compile(r'"(?:[^"\\\n]|\\.)*"'),
    re.compile(r"'[^'\n]*'"),
)


def locate(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every table, array element and key of `text`, by its path.

    A path is the one that leads to the value in what `tomllib.loads` returns. A table that is
    only implied (the `a` of `[a.b]`) stands where it is first implied.
    """
    return _Walk(text).run()


class _Walk:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line_starts = [0, *(found.end() for found in re.finditer("\n", text))]
        self._found: dict[KeyPath, int] = {}
        self._lengths: dict[KeyPath, int] = {}  # of the arrays of tables so far

    def run(self) -> dict[KeyPath, int]:
        table: KeyPath = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._found

    def _header(self) -> KeyPath:
        line = self._line()
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        *parents, last = self._key()
        self._at += brackets
        path: KeyPath = ()
        for part in parents:
            path = (*path, part)
            self._found.setdefault(path, line)
            if path in self._lengths:
                path = (*path, self._lengths[path] - 1)
        path = (*path, last)
        if brackets == 2:
            self._found.setdefault(path, line)
            index = self._lengths.get(path, 0)
            self._lengths[path] = index + 1
            path = (*path, index)
        self._found[path] = line
        return path

    def _pair(self, table: KeyPath) -> None:
        line = self._line()
        path = table
        for part in self._key():
            path = (*path, part)
            self._found.setdefault(path, line)
        self._at += 1  # "="
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        """The parts of a key that may be dotted and quoted; leaves off at what follows it."""
        parts = []
        while True:
            self._skip(_SPACE)
            bare = _BARE_KEY.match(self._text, self._at)
            if bare:
                parts.append(bare.group())
                self._at = bare.end()
            else:
                raw = self._take(_QUOTED_KEY)
                parts.append(str(tomllib.loads(f"key = {raw}")["key"]))
            self._skip(_SPACE)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: KeyPath) -> None:
        match self._text[self._at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._string()
            case _:
                self._skip(_SCALAR)

    def _array(self, path: KeyPath) -> None:
        index = 0
        self._at += 1
        self._skip(_BLANK)
        while not self._text.startswith("]", self._at):
            self._found[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1
            self._skip_comma()
        self._at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self._at += 1
        self._skip(_BLANK)
        while not self._text.startswith("}", self._at):
            self._pair(path)
            self._skip_comma()
        self._at += 1

    def _skip_comma(self) -> None:
        self._skip(_BLANK)
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip(_BLANK)

    def _string(self) -> None:
        for form in _STRINGS:
            if form.match(self._text, self._at):
                self._take(form)
                return
        raise ValueError(f"not a TOML string at line {self._line()}; call tomllib first")

    def _take(self, form: re.Pattern[str]) -> str:
        found = form.match(self._text, self._at)
        if found is None:
            raise ValueError(f"not TOML at line {self._line()}; call tomllib first")
        self._at = found.end()
        return found.group()

    def _skip(self, form: re.Pattern[str]) -> None:
        self._take(form)

    def _line(self) -> int:
        return bisect_right(self._line_starts, self._at)
