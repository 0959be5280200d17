"""Settings: TOML in, frozen models out; every mistake in one go, each with its place."""

from gatewayd.settings.model import (
    CameraSettings,
    ConsoleSettings,
    ControllerSettings,
    DoorSettings,
    LinkSettings,
    ReaderSettings,
    Settings,
    SiteSettings,
    StorageSettings,
)

__all__ = [
    "CameraSettings",
    "ConsoleSettings",
    "ControllerSettings",
    "DoorSettings",
    "LinkSettings",
    "ReaderSettings",
    "Settings",
    "SiteSettings",
    "StorageSettings",
]
