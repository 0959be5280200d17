"""A site's settings in a folder of their own, with two made-up drivers."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from pydantic import BaseModel, ConfigDict, Field, field_validator

from gatewayd.domain.ports import Driver, DriverKind, Registry
from gatewayd.settings.load import LoadedSettings, check_settings, load_settings

SITE = """\
[site]
id = "riverside"
name = "Riverside"
gateway = "gate-1"

[storage]
directory = "data"

[[door]]
id = "main-gate"
name = "Main gate"
controller = "board"
relay = 1
contact_input = 1
exit_input = 2

[[reader]]
id = "main-gate-in"
name = "Main gate, in"
driver = "tags"
door = "main-gate"
cameras = ["gate-cam"]
port = "/dev/ttyTEST0"

[[controller]]
id = "board"
driver = "relays"
port = "/dev/ttyTEST1"

[[camera]]
id = "gate-cam"
name = "Gate"
driver = "video"
url = "rtsp://127.0.0.1/1"
"""


CENTRAL_KEYS = json.dumps(
    {
        "keys": [
            {
                "kid": "centre-1",
                "public_key": base64.b64encode(
                    ed25519.Ed25519PrivateKey.from_private_bytes(b"k" * 32)
                    .public_key()
                    .public_bytes_raw()
                ).decode(),
                "roles": ["whitelist", "command", "desired"],
            }
        ]
    }
)


class TagOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    port: str = Field(description="The serial port.")
    baud: int = Field(default=9600, ge=300, description="Bits a second.")
    token_key_file: Path | None = None
    map_file: Path | None = None

    @field_validator("port")
    @classmethod
    def _not_a_printer(cls, value: str) -> str:
        if "lp" in value:
            raise ValueError("a printer is no reader")
        return value


class RelayOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    port: str
    relays: int = 8


class BusOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    port: str


class SharedOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    bus: str
    address: int


class VideoOptions(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    url: str
    pass_phrase: Annotated[Path, Field(strict=False)] | None = Field(
        default=None, json_schema_extra={"secret_file": True}
    )
    password: str | None = None


def _no_device(_options: Any, _context: Any) -> None:
    raise AssertionError("settings build no devices")


REGISTRY: Registry = {
    "tags": Driver(
        DriverKind.READER, "tags", TagOptions, _no_device, lambda o: str(o.port), keypad=True
    ),
    "relays": Driver(
        DriverKind.CONTROLLER, "relays", RelayOptions, _no_device, lambda o: str(o.port)
    ),
    "video": Driver(DriverKind.CAMERA, "video", VideoOptions, _no_device),
}


# Drivers for a line that several devices share, for the tests that are about one.
WITH_BUSES: Registry = {
    **REGISTRY,
    "shared-line": Driver(DriverKind.BUS, "shared-line", BusOptions, _no_device),
    "other-line": Driver(DriverKind.BUS, "other-line", BusOptions, _no_device),
    "lit": Driver(
        DriverKind.READER,
        "lit",
        SharedOptions,
        _no_device,
        lambda o: f"{o.bus} address {o.address}",
        bus="shared-line",
        signs=True,
    ),
}


class SiteFile:
    """A settings file that a test edits and then asks what is wrong with."""

    def __init__(self, folder: Path, registry: Registry = REGISTRY) -> None:
        self.registry = registry
        self.path = folder / "gatewayd.toml"
        self.path.write_text(SITE)

    def write(self, text: str) -> None:
        self.path.write_text(text)

    def replace(self, old: str, new: str) -> None:
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new, 1))

    def append(self, text: str) -> None:
        self.path.write_text(self.path.read_text() + text)

    def problems(self, *overrides: str) -> list[str]:
        """What is wrong, each as it is shown, with the folder cut off."""
        found = check_settings(self.path, self.registry, overrides)
        return [str(problem).replace(f"{self.path.parent}/", "") for problem in found]

    def load(self, *overrides: str) -> LoadedSettings:
        return load_settings(self.path, self.registry, overrides)


@pytest.fixture
def site(tmp_path: Path) -> SiteFile:
    return SiteFile(tmp_path)


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str], Path]:
    """Makes a file that only its owner may read."""

    def make(name: str) -> Path:
        path = tmp_path / name
        path.write_text("secret\n")
        path.chmod(0o600)
        return path

    return make
