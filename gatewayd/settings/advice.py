"""What is not wrong with the settings, and would be better otherwise. Must not refuse anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from gatewayd.domain.ports import Registry
from gatewayd.settings.problem import Problem
from gatewayd.settings.source import read_source
from gatewayd.settings.tables import Draft, read_tables


def advice(path: Path, registry: Registry, overrides: Sequence[str] = ()) -> list[Problem]:
    """Of settings that would load, in the file's order. Raises SettingsError for a file that is
    no TOML."""
    return list(_of_buses(read_tables(read_source(path, overrides), registry)))


def _of_buses(draft: Draft) -> Iterator[Problem]:
    """A line may be too slow for all that is on it."""
    parts = list(draft.of("reader", "controller"))
    for bus in draft.of("bus"):
        if bus.driver is None or bus.options is None:
            continue
        on_it = [
            part.options
            for part in parts
            if part.options is not None and part.raw.get("bus") == bus.id
        ]
        for key, what, hint in bus.driver.advice_of(bus.options, on_it):
            yield draft.source.problem((*bus.at, key), what, hint)
