"""The first operators, from the TOML file that `[console] operators_file` names.

Owns that file's shape and its error messages. Must not open a database.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gatewayd.store.operators import Operator, Role

NAME_PATTERN = r"^[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]{0,30}[^\s\x00-\x1f\x7f])?$"
_HINT = "run: gatewayd hash-password, and paste what it prints"


class OperatorsFileError(ValueError):
    """Says each thing that is wrong, with the file and the operator's place in it."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    role: Role
    password_hash: Annotated[str, Field(pattern=r"^\$argon2id\$v=19\$\S+$", repr=False)]
    language: Literal["zh-CN", "en"] | None = None
    must_change_password: bool = False


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    operator: Annotated[tuple[_Entry, ...], Field(min_length=1)]


def read_operators_file(path: Path) -> list[Operator]:
    """The operators of the file. Raises OperatorsFileError for content that is wrong, and OSError
    where the file can't be read."""
    try:
        entries = _File.model_validate(tomllib.loads(path.read_text("utf-8"))).operator
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OperatorsFileError(f"{path}: no TOML: {error}") from error
    except ValidationError as error:
        raise OperatorsFileError("\n".join(_sentences(path, error))) from None
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise OperatorsFileError(f"{path}: operator named twice: {', '.join(twice)}")
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


def _sentences(path: Path, error: ValidationError) -> list[str]:
    """One line a mistake, without the values: one of them is a password's hash."""
    lines = []
    for mistake in error.errors(include_input=False, include_url=False):
        where = ".".join(
            str(part + 1) if isinstance(part, int) else part for part in mistake["loc"]
        )
        hint = f" ({_HINT})" if "password_hash" in mistake["loc"] else ""
        lines.append(f"{path}: {where}: {mistake['msg']}{hint}")
    return lines
