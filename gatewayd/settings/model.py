"""The shape of the settings as frozen models; descriptions feed the reference and the JSON Schema.

Owns what each table may hold. Must not read files: `gatewayd.settings.load` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

ID_PATTERN = r"^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$"

Id = Annotated[
    str,
    Field(
        pattern=ID_PATTERN,
        description="Lower-case letters, digits and hyphens, at most 32.",
    ),
]


class Table(BaseModel):
    """What all tables share: frozen, no unknown keys, no silent conversions."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SiteSettings(Table):
    """The compound and this box in it."""

    id: Id = Field(description="The site's id, as in the MQTT topics.")
    name: str = Field(description="The compound's name, as the console shows it.")
    gateway: Id = Field(description="This box's id: unique at the centre.")
    time_zone: str = Field(
        default="Asia/Shanghai", description="IANA time zone that schedules and pages use."
    )
    pin_key_file: Path | None = Field(
        default=None,
        description="At least 16 characters that only this site and its centre know: PINs are kept "
        "as hashes under this key. Only its owner may read it.",
        json_schema_extra={"secret_file": True},
    )


class StorageSettings(Table):
    """Where the box keeps its files, and how much."""

    directory: Path = Field(description="Folder of the journal, the whitelist and the pictures.")
    picture_budget_mb: int = Field(
        default=2_000, ge=10, description="Pictures beyond this go, the oldest first."
    )
    low_space_mb: int = Field(
        default=200, ge=1, description="Less free space than this raises an alarm."
    )

    @property
    def journal_file(self) -> Path:
        """The journal's database, which `gatewayd verify` reads too."""
        return self.directory / "journal.db"


class DoorSettings(Table):
    """A door: its lock on a relay, its contact and exit button on inputs of a controller."""

    id: Id = Field(description="The door's id, unique among all ids of this file.")
    name: str = Field(description="As the guard calls it.")
    controller: Id = Field(description="The id of the [[controller]] it is wired to.")
    relay: int = Field(ge=1, description="Relay terminal, from 1 as printed on the board.")
    contact_input: int | None = Field(
        default=None, ge=1, description="Input terminal of the door contact; leave out if none."
    )
    exit_input: int | None = Field(
        default=None, ge=1, description="Input terminal of the exit button; leave out if none."
    )
    contact_active_means: Literal["open", "closed"] = Field(
        default="closed", description="What an active contact input says of the door."
    )
    energised_means: Literal["unlocked", "locked"] = Field(
        default="unlocked",
        description="'unlocked' for a fail-secure strike, 'locked' for a magnetic lock.",
    )
    unlock_s: float = Field(default=5.0, gt=0, le=120, description="Unlocked after a grant.")
    held_s: float = Field(default=30.0, gt=0, description="Open longer than this is 'held'.")
    pre_alarm_s: float = Field(default=20.0, gt=0, description="Warn when open this long.")
    commit_deadline_ms: int = Field(
        default=250, ge=10, le=5_000, description="A grant must be on disk within this time."
    )
    fail_policy: Literal["secure", "open"] = Field(
        default="secure",
        description="Past the commit deadline: 'secure' stays locked, 'open' opens and records.",
    )


class DeviceTable(Table):
    """A table whose other keys are the options of its driver, which may hold a secret."""

    model_config = ConfigDict(extra="allow")

    @property
    def driver_options(self) -> dict[str, Any]:
        """The keys that the driver's own model checks."""
        return dict(self.__pydantic_extra__ or {})

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The table's own keys: what a driver's option holds is not shown."""
        own = type(self).model_fields
        return ((key, value) for key, value in super().__repr_args__() if key in own)


class ReaderSettings(DeviceTable):
    """A reader at a door: with its direction it is an access point. Other keys are the driver's."""

    id: Id = Field(description="The access point's id, unique among all ids of this file.")
    name: str = Field(description="As the guard calls this access point.")
    driver: str = Field(description="A reader driver's name, e.g. 'ascii-tag'.")
    door: Id = Field(description="The id of the [[door]] it opens.")
    direction: Literal["in", "out"] = Field(
        default="in", description="Which way a person goes who taps here."
    )
    cameras: tuple[Id, ...] = Field(
        default=(), strict=False, description="Ids of the [[camera]] that keep a picture of a tap."
    )


class ControllerSettings(DeviceTable):
    """A board with relays and inputs. Other keys are the driver's."""

    id: Id = Field(description="The board's id, unique among all ids of this file.")
    driver: str = Field(description="A controller driver's name, e.g. 'modbus-relay'.")


class CameraSettings(DeviceTable):
    """A camera. Other keys are the driver's."""

    id: Id = Field(description="The camera's id, unique among all ids of this file.")
    name: str = Field(description="As the guard calls it.")
    driver: str = Field(default="rtsp", description="A camera driver's name.")
    ring_s: float = Field(
        default=10.0, ge=2, le=120, description="Seconds of video kept in memory for pictures."
    )


class LinkSettings(Table):
    """The line to the central system over MQTT."""

    host: str = Field(description="The broker's host name or address.")
    port: int = Field(default=8883, ge=1, le=65_535, description="The broker's TCP port.")
    protocol: Literal["auto", "5", "3.1.1"] = Field(
        default="auto", description="'auto' tries MQTT 5 and falls back to 3.1.1."
    )
    username: str | None = Field(default=None, description="Name to log in to the broker with.")
    password_file: Path | None = Field(default=None, description="A file only its owner may read.")
    tls: bool = Field(default=True, description="Off only on loopback or a trusted line.")
    ca_file: Path | None = Field(
        default=None, description="PEM: who may sign the broker's certificate; else the system's."
    )
    certificate_file: Path | None = Field(
        default=None, description="PEM: this box's own certificate, with key_file."
    )
    key_file: Path | None = Field(default=None, description="PEM; only its owner may read it.")
    central_keys_file: Path = Field(
        description="JSON: the centre's Ed25519 public keys, each with kid and roles."
    )
    keepalive_s: int = Field(
        default=20, ge=5, le=600, description="A silent line is noticed after 1.5 times this."
    )
    window: int = Field(default=20, ge=1, le=100, description="Unacknowledged publishes at once.")
    resend_s: float = Field(
        default=10.0, gt=0, description="Send again what the centre has not acknowledged."
    )


class ConsoleSettings(Table):
    """The guards' console and API on the local network."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8080, ge=0, le=65_535, description="0 takes a free one.")
    certificate_file: Path | None = Field(default=None, description="PEM, to serve HTTPS.")
    key_file: Path | None = Field(default=None, description="PEM; only its owner may read it.")
    allow_plain_http: bool = Field(
        default=False,
        description="Serve other machines without HTTPS: passwords cross the network in the clear.",
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=24, description="A log-in ends after this, at work or not."
    )
    operators_file: Path | None = Field(
        default=None,
        description="TOML with the first operators (name, role, argon2 hash); read at first start. "
        "Only its owner may read it.",
        json_schema_extra={"secret_file": True},
    )


class Settings(Table):
    """All of gatewayd.toml. Cross-checks between tables are in `gatewayd.settings.check`."""

    site: SiteSettings
    storage: StorageSettings
    door: tuple[DoorSettings, ...] = Field(default=(), strict=False)
    reader: tuple[ReaderSettings, ...] = Field(default=(), strict=False)
    controller: tuple[ControllerSettings, ...] = Field(default=(), strict=False)
    camera: tuple[CameraSettings, ...] = Field(default=(), strict=False)
    link: LinkSettings | None = Field(default=None, description="Leave out to run alone.")
    console: ConsoleSettings | None = Field(default=None, description="Leave out for no console.")
