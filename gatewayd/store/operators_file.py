"""The first operators, from the TOML file that `[console] operators_file` names.

Owns that file's shape and its error messages. Must not open a database.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from gatewayd.store.operators import Operator, Role

NAME_PATTERN = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,30}[^\s\x00-\x1f\x7f])?$"
_NAME_RULE = "must be 1 to 32 characters, without a space at either end"
# Whole: one of which a part is missing would let nobody in, and be found out at the first log-in.
HASH_PATTERN = r"^\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{16,}$"


class OperatorsFileError(ValueError):
    """Each thing that is wrong with the file; `mistakes` name the operator, not the file."""

    def __init__(self, path: Path, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(f"{path}: {mistake}" for mistake in mistakes))


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    role: Role
    password_hash: Annotated[str, Field(pattern=HASH_PATTERN, repr=False)]
    language: Literal["zh-CN", "en"] | None = None
    must_change_password: bool = False


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    operator: tuple[_Entry, ...] = ()


def read_operators_file(path: Path) -> list[Operator]:
    """The operators of the file. Raises OperatorsFileError for content that is wrong, and OSError
    where the file can't be read."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        entries = _File.model_validate(data).operator
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorsFileError(path, [f"no TOML: {error}"]) from error
    except ValidationError as error:
        raise OperatorsFileError(path, _sentences(data, error)) from None
    if not entries:
        hint = "gatewayd hash-password --name NAME prints one"
        raise OperatorsFileError(path, [f"there is no [[operator]] in it ({hint})"])
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OperatorsFileError(path, [f"operator named twice: {', '.join(twice)}"])
    return [
        Operator(
            entry.name,
            entry.role,
            entry.password_hash,
            entry.language or "",
            must_change_password=entry.must_change_password,
        )
        for entry in entries
    ]


def operator_block(name: str, role: Role, password_hash: str) -> str:
    """The operator as the file has them, to be appended to it. ValueError for an unfit name."""
    if not name.isprintable() or re.fullmatch(NAME_PATTERN, name) is None:
        raise ValueError(f"the name {_NAME_RULE}")
    quoted = json.dumps(name, ensure_ascii=False)  # of what is printable, a string of TOML as well
    return f'[[operator]]\nname = {quoted}\nrole = "{role}"\npassword_hash = "{password_hash}"\n'


def _sentences(data: Mapping[str, Any], error: ValidationError) -> list[str]:
    """One line a mistake, without the values: one of them is a password's hash."""
    return [
        f"{_where(data, mistake['loc'])}: {_what(mistake)}"
        for mistake in error.errors(include_input=False, include_url=False)
    ]


def _where(data: Mapping[str, Any], at: tuple[str | int, ...]) -> str:
    """The operator by name, or by place where the name is what is wrong; then the key."""
    match at:
        case ("operator", int(index), *keys):
            element = data["operator"][index]
            name = element.get("name") if isinstance(element, dict) else None
            known = isinstance(name, str) and keys != ["name"]
            who = f"operator {name!r}" if known else f"operator {index + 1}"
            return ": ".join([who, *map(str, keys)])
        case _:
            return ".".join(map(str, at))


def _what(mistake: ErrorDetails) -> str:
    match mistake["type"], mistake["loc"][-1]:
        case "missing", _:
            return "is missing"
        case "extra_forbidden", _:
            return f"is not a known key (known: {', '.join(_Entry.model_fields)})"
        case "model_type", _:
            return "must be a table, written [[operator]]"
        case _, "role":
            return f"must be one of {', '.join(repr(role.value) for role in Role)}"
        case _, "password_hash":
            return "is no argon2id hash (run: gatewayd hash-password, and paste what it prints)"
        case "string_pattern_mismatch", "name":
            return _NAME_RULE
        case _:
            return mistake["msg"]
