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
READERS = {"main-gate-in": "rdm6300", "side-door-in": "wiegand-hex"}
DOORS = (
    "relay=1,contact=1,exit=2,name=main-gate",
    "relay=2,contact=3,exit=4,name=side-door",
)


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
        kind = READERS[name]
        return self._simulator(name, "reader", ["--kind", kind, "--link", str(self.line(name))])

    def board(self) -> Command:
        doors = [part for door in DOORS for part in ("--door", door)]
        more = ["--link", str(self.line("board-1")), "--baud", str(BOARD_BAUD), *doors]
        return self._simulator("board-1", "relay-board", more)

    def camera(self) -> Command:
        return self._simulator("cam-gate", "camera", ["--port", "0"])

    def central(self, broker: Mapping[str, Any]) -> Command:
        more = ["--directory", str(self.centre), "--host", broker["host"]]
        more += ["--port", str(broker["port"]), "--site", SITE, "--seed", str(self.seed)]
        if "centre" in broker["passwords"]:
            more += ["--username", "centre", "--password-file", broker["passwords"]["centre"]]
        if not broker["durable"]:
            more += ["--protocol", "3.1.1"]  # amqtt: no need to try MQTT 5 first
        return self._simulator("central", "central", more)

    def scenario(self, speed: float, seconds: float | None) -> Command:
        more = ["--compound-seed", str(self.seed), "--speed", str(speed)]
        more += ["--seconds", str(seconds)] if seconds else []
        for name in READERS:
            more += ["--reader", f"{name}={self.control(name)}"]
        more += ["--board", str(self.control("board-1")), "--record", str(self.taps)]
        more += ["--central", str(self.control("central"))]
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
        values: dict[str, object] = {
            "storage.directory": self.state,
            **ports,
            "controller.board-1.port": self.line("board-1"),
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
