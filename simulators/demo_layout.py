"""The demo's run folder and the command lines of its processes. Pure; owns who is given what."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.demo_process import Command

SITE, GATEWAY = "demo", "gate-1"  # as in config/demo.toml
BOARD_BAUD = 38400
READERS = {
    "main-gate-in": ("--kind", "rdm6300"),
    "main-gate-out": ("--kind", "rdm6300"),
    "side-door-in": ("--kind", "wiegand-hex"),
    "archive-outer-in": ("--kind", "wiegand-hex"),
    "archive-inner-in": ("--kind", "wiegand-hex"),
    "strong-room-in": ("--kind", "wiegand-hex"),
    "lane-in": ("--kind", "id12"),
    "main-gate-qr": ("--kind", "line"),
    "lane-plates": ("--kind", "line", "--encoding", "gb18030"),
}
# Each on an OSDP line of its own, in a secure channel: keypad, light, buzzer and display.
OSDP_READERS = {"office-in": "office-line"}
OSDP_BAUD = 9600
BOARDS = {
    "board-1": (
        *("--door", "relay=1,contact=1,exit=2,name=main-gate"),
        *("--door", "relay=2,contact=3,exit=4,name=side-door"),
        *("--door", "relay=3,contact=5,exit=6,name=office"),
        *("--input", "name=fire,terminal=8,normal=active"),
    ),
    "board-2": (
        *("--door", "relay=1,contact=1,exit=2,name=archive-outer"),
        *("--door", "relay=2,contact=3,exit=4,name=archive-inner"),
    ),
    "board-3": (
        *("--door", "relay=3,contact=5,exit=6,name=strong-room"),
        *("--barrier", "open=1,close=2,loop=1,presence=2,up=3,down=4,name=lane,travel_s=1"),
    ),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """`run` holds what is kept; `sockets` is short, since a Unix socket's path may not be long."""

    run: Path
    sockets: Path
    config: Path
    seed: int = 1

    @property
    def state(self) -> Path:
        return self.run / "state"

    @property
    def taps(self) -> Path:
        return self.run / "taps.jsonl"

    @property
    def operators(self) -> Path:
        return self.run / "operators.toml"

    @property
    def pin_key(self) -> Path:
        """The site's key for PINs, which the centre and the gateway share."""
        return self.run / "pin.key"

    @property
    def told(self) -> Path:
        """Where the console is, and the passwords: for whoever plays a guard."""
        return self.run / "demo.json"

    @property
    def centre(self) -> Path:
        return self.run / "central"

    def log(self, name: str) -> Path:
        return self.run / "logs" / f"{name}.log"

    def control(self, name: str) -> Path:
        return self.sockets / f"{name}.sock"

    def line(self, name: str) -> Path:
        """Where a device's pty is linked."""
        return self.sockets / f"{name}.tty"

    # ------------------------------------------------------------------------- processes

    def broker(self, at: str, way: str, cache: Path) -> Command:
        where = ["--directory", str(self.run / "broker"), "--cache", str(cache)]
        chosen = ["--at", at] if at else ["--way", way]
        whom = ["--site", SITE, "--gateway", GATEWAY]
        return self._simulator("broker", "broker", [*where, *chosen, *whom], ready_s=180)

    def reader(self, name: str) -> Command:
        return self._simulator(name, "reader", [*READERS[name], "--link", str(self.line(name))])

    def osdp_reader(self, name: str) -> Command:
        more = ["--link", str(self.line(name)), "--baud", str(OSDP_BAUD), "--device", "0:reader"]
        more += ["--key-file", str(self.osdp_keys(name))]
        return self._simulator(name, "osdp", more)

    def osdp_key(self, name: str) -> Path:
        """The reader's secure channel key, as the gateway has it."""
        return self.run / f"{name}.key"

    def osdp_keys(self, name: str) -> Path:
        """The same key, as the simulated line keeps those of its devices."""
        return self.run / f"{name}.osdp-keys"

    def board(self, name: str) -> Command:
        more = ["--link", str(self.line(name)), "--baud", str(BOARD_BAUD), *BOARDS[name]]
        return self._simulator(name, "relay-board", more)

    def camera(self) -> Command:
        return self._simulator("cam-gate", "camera", ["--port", "0"])

    def central(self, broker: Mapping[str, Any]) -> Command:
        more = ["--directory", str(self.centre), "--host", broker["host"]]
        more += ["--port", str(broker["port"]), "--site", SITE, "--seed", str(self.seed)]
        more += ["--pin-key-file", str(self.pin_key)]
        if "centre" in broker["passwords"]:
            more += ["--username", "centre", "--password-file", broker["passwords"]["centre"]]
        if not broker["durable"]:
            more += ["--protocol", "3.1.1"]  # amqtt: no need to try MQTT 5 first
        return self._simulator("central", "central", more)

    def scenario(self, speed: float, seconds: float | None) -> Command:
        more = ["--compound-seed", str(self.seed), "--speed", str(speed)]
        more += ["--seconds", str(seconds)] if seconds else []
        for name in (*READERS, *OSDP_READERS):
            more += ["--reader", f"{name}={self.control(name)}"]
        for name in BOARDS:
            more += ["--board", f"{name}={self.control(name)}"]
        more += ["--record", str(self.taps)]
        more += ["--central", str(self.control("central")), "--guard", str(self.told)]
        return self._simulator("scenario", "scenario", more, control=False)

    def gatewayd(self, settings: Sequence[str]) -> Command:
        argv = [sys.executable, "-m", "gatewayd", "run", "--config", str(self.config)]
        argv += [part for setting in settings for part in ("--set", setting)]
        return Command("gatewayd", argv, self.log("gatewayd"), ready_s=30, end_s=35)

    def verify(self, settings: Sequence[str]) -> list[str]:
        argv = [sys.executable, "-m", "gatewayd", "verify", "--config", str(self.config)]
        return argv + [part for setting in settings for part in ("--set", setting)]

    def settings(
        self, broker: Mapping[str, Any], camera: Mapping[str, Any], keys: str, console_port: int
    ) -> list[str]:
        """What differs from run to run, as --set takes it."""
        ports = {f"reader.{name}.port": self.line(name) for name in READERS}
        ports |= {f"controller.{name}.port": self.line(name) for name in BOARDS}
        ports |= {f"bus.{bus}.port": self.line(name) for name, bus in OSDP_READERS.items()}
        ports |= {f"reader.{name}.key_file": self.osdp_key(name) for name in OSDP_READERS}
        values: dict[str, object] = {
            "site.pin_key_file": self.pin_key,
            "storage.directory": self.state,
            **ports,
            "camera.cam-gate.url": camera["url"],
            "link.host": broker["host"],
            "link.port": broker["port"],
            "link.central_keys_file": keys,
            "link.password_file": broker["passwords"].get(GATEWAY, self.no_password),
        }
        if "console" in tomllib.loads(self.config.read_text(encoding="utf-8")):
            values |= {"console.operators_file": self.operators, "console.port": console_port}
        if not broker["durable"]:
            values["link.protocol"] = "3.1.1"
        return [f"{key}={value}" for key, value in values.items()]

    @property
    def no_password(self) -> Path:
        """For a configured broker, which may not ask for one."""
        return self.run / "no.password"

    def _simulator(
        self,
        name: str,
        simulator: str,
        more: Sequence[str],
        *,
        ready_s: float = 30.0,
        control: bool = True,
    ) -> Command:
        argv = [sys.executable, "-m", "simulators.cli", simulator, *more]
        if control:
            argv += ["--control", str(self.control(name))]
        return Command(name, argv, self.log(name), ready_s=ready_s)
