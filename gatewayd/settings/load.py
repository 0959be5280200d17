"""The settings whole: a file and its overrides in, checked and frozen values out, or all that is
wrong with them. Owns the order of the checks. Opens no device and writes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from gatewayd.domain.ports import Driver, Registry
from gatewayd.settings.check import check_draft
from gatewayd.settings.files import check_files
from gatewayd.settings.linkage_checks import check_linkages
from gatewayd.settings.model import Settings
from gatewayd.settings.problem import Problem, SettingsError
from gatewayd.settings.secrets import SECRET_NAME, redacted
from gatewayd.settings.source import Source, read_source
from gatewayd.settings.tables import DEVICE_TABLES, Draft, read_tables


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings that are right. `drivers` and `options` are by device id: to build a device is
    `loaded.drivers[id].build(loaded.options[id], DriverContext(id, clock))`."""

    path: Path
    settings: Settings = field(repr=False)
    drivers: Mapping[str, Driver] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False)
    sha256: str = ""


def load_settings(
    path: Path, registry: Registry, overrides: Sequence[str] = (), *, look_into_files: bool = True
) -> LoadedSettings:
    """The settings in effect. Raises SettingsError with every problem at once.

    `overrides` are `TABLE.KEY=VALUE`, as `--set` takes them; relative paths start at the folder
    of the file. Whoever only asks what is kept needs none of the files that the settings name, and
    may have no right to read them: `look_into_files` False.
    """
    draft, problems = _examine(path, registry, overrides, look_into_files=look_into_files)
    if problems:
        raise SettingsError(problems)
    settings = draft.settings()
    devices = list(draft.of(*DEVICE_TABLES))
    drivers = {str(entry.id): entry.driver for entry in devices if entry.driver is not None}
    options = {str(entry.id): entry.options for entry in devices}
    return LoadedSettings(path, settings, drivers, options, settings_sha256(settings, options))


def check_settings(path: Path, registry: Registry, overrides: Sequence[str] = ()) -> list[Problem]:
    """All that is wrong with the settings, in the file's order; none: they would load."""
    try:
        return _examine(path, registry, overrides, look_into_files=True)[1]
    except SettingsError as error:
        return list(error.problems)


def settings_sha256(settings: Settings, options: Mapping[str, Any]) -> str:
    """The hash of the settings in effect, defaults included, that the journal keeps at each start.

    Over canonical JSON; passwords and what else is secret by its name are left out of it, so the
    hash tells nothing of them.
    """
    whole = {
        "settings": settings.model_dump(mode="json"),
        "options": {key: value.model_dump(mode="json") for key, value in options.items()},
    }
    text = json.dumps(
        _without_secrets(whole), sort_keys=True, ensure_ascii=False, separators=(",", ":")
    )
    return sha256(text.encode()).hexdigest()


def _examine(
    path: Path, registry: Registry, overrides: Sequence[str], *, look_into_files: bool
) -> tuple[Draft, list[Problem]]:
    source = read_source(path, overrides)
    draft = read_tables(source, registry)
    found = [*draft.problems, *check_draft(draft), *check_linkages(draft)]
    found += check_files(draft) if look_into_files else []
    return draft, sorted(dict.fromkeys(found), key=lambda problem: _order(source, problem))


def _order(source: Source, problem: Problem) -> tuple[bool, int]:
    """By line; what `--set` made comes last. The sort keeps the order within a line."""
    return problem.path != str(source.path), problem.line or 0


def _without_secrets(value: Any, name: str = "") -> Any:  # noqa: ANN401  # JSON values
    if isinstance(value, dict):
        return {key: _without_secrets(inner, str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner, name) for inner in value]
    if isinstance(value, str):
        return "…" if SECRET_NAME.search(name) and not name.endswith("_file") else redacted(value)
    return value
