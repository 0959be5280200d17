"""The installed drivers by name. Owns how an entry point becomes a `Driver`, and when: only when it
is asked for, so that a box without cameras never loads a video library. Must not build devices.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points

from gatewayd.domain.ports import Driver, Registry

GROUP = "gatewayd.drivers"

# What a broken package does while Python imports it. Anything else is a bug that should end us.
_IMPORT_FAILURES = (
    ImportError,
    AttributeError,
    NameError,
    SyntaxError,
    OSError,
    TypeError,
    ValueError,
    RuntimeError,
)


class DriverLoadError(RuntimeError):
    """A driver is installed but can't be loaded; the message names it and where it should be."""


class InstalledDrivers(Mapping[str, Driver]):
    """Implements `ports.Registry` over entry points. Names are listed without importing any."""

    def __init__(self, found: Iterable[EntryPoint]) -> None:
        self._places: dict[str, list[EntryPoint]] = {}
        self._loaded: dict[str, Driver] = {}
        for point in found:
            places = self._places.setdefault(point.name, [])
            if all(point.value != other.value for other in places):
                places.append(point)

    def __getitem__(self, name: str) -> Driver:
        """The driver, imported now. Raises KeyError (no such name) or DriverLoadError."""
        if name not in self._loaded:
            self._loaded[name] = _load(name, self._places[name])
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def load_registry() -> Registry:
    """All drivers that installed packages announce in the entry point group `gatewayd.drivers`."""
    return InstalledDrivers(entry_points(group=GROUP))


def _load(name: str, places: list[EntryPoint]) -> Driver:
    if len(places) > 1:
        both = " and ".join(sorted(place.value for place in places))
        raise DriverLoadError(f"driver {name!r} is announced twice, by {both}")
    point = places[0]
    try:
        driver = point.load()
    except _IMPORT_FAILURES as error:
        why = f"{type(error).__name__}: {error}"
        raise DriverLoadError(f"driver {name!r} ({point.value}) can't be loaded: {why}") from error
    if not isinstance(driver, Driver):
        raise DriverLoadError(f"driver {name!r}: {point.value} is no gatewayd.domain.ports.Driver")
    if driver.name != name:
        raise DriverLoadError(f"driver {name!r}: {point.value} calls itself {driver.name!r}")
    return driver
