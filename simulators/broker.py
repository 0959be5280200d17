"""The demo's MQTT broker: the configured one, else mosquitto, else it unpacked, else amqtt.

Owns the choice, the users, who may use which topics, and the broker's process. Must not know what
is said over it.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import logging
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from simulators.broker_unpack import Program, UnpackError, installed, unpack
from simulators.central_signing import write_private
from simulators.control import ControlTable, Reply, Request, Verb
from simulators.device import Device, run_device
from simulators.tether import tethered

NAME = "broker"
HELP = "an MQTT broker on loopback, whichever this machine can have"

WAYS = ("auto", "mosquitto", "unpacked", "amqtt")
HOST = "127.0.0.1"
CENTRE = "centre"
T_START_S = 10.0
T_END_S = 5.0
PORT_TRIES = 5  # somebody else may take the port between our choice and the broker's start
RUNNING = re.compile(rb"mosquitto version \S+ running")
PBKDF2_ROUNDS = 101  # mosquitto_passwd's own default
NOT_DURABLE = (
    "NOT DURABLE: no mosquitto here, so the demo uses amqtt inside Python. It forgets all it holds "
    "when it ends. Events are safe all the same: the gateway keeps them until the centre has them."
)


@dataclass(frozen=True, slots=True)
class BrokerOptions:
    """`at` is a broker that already runs, as HOST:PORT; `way` one of WAYS otherwise."""

    directory: Path
    cache: Path
    site: str = "demo"
    gateways: tuple[str, ...] = ("gate-1",)
    at: str = ""
    way: str = "auto"

    @property
    def users(self) -> tuple[str, ...]:
        return (CENTRE, *self.gateways)

    def password_file(self, user: str) -> Path:
        return self.directory / f"{user}.password"


class BrokerError(OSError):
    """No broker can be had; the text says what was tried."""


class SimulatedBroker(Device):
    """`async with SimulatedBroker(options) as broker:` then `broker.host`, `broker.port`."""

    def __init__(self, options: BrokerOptions, control: Path | None = None) -> None:
        super().__init__(control)
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        self._tried: list[str] = []
        self.host = HOST
        self.port = 0
        self.kind = ""

    @property
    def durable(self) -> bool:
        return self.kind != "amqtt"

    async def open(self) -> None:
        """Start whichever can be had. Raises BrokerError naming all that was tried."""
        options = self._options
        if options.at:
            await self._find_configured(options.at)
            return
        options.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        passwords = {user: secrets.token_urlsafe(18) for user in options.users}
        for user, password in passwords.items():
            write_private(options.password_file(user), password.encode())
        program = await asyncio.to_thread(self._choose)
        if program is not None:
            await self._start_mosquitto(program, passwords)
        else:
            await self._start_amqtt(passwords)

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def controls(self) -> ControlTable:
        return {"status": Verb(self._status)}

    async def _status(self, _request: Request) -> Reply:
        running = self._process is None or self._process.poll() is None
        return {**self.ready(), "running": running}

    def ready(self) -> Mapping[str, Any]:
        """`passwords`: user to file, none for a configured broker."""
        told: dict[str, Any] = {
            "kind": self.kind,
            "host": self.host,
            "port": self.port,
            "durable": self.durable,
            "tried": self._tried,
            "notice": "" if self.durable else NOT_DURABLE,
            "passwords": {},
        }
        if self.kind != "configured":
            files = {user: str(self._options.password_file(user)) for user in self._options.users}
            told["passwords"] = files
        return told

    # ---------------------------------------------------------------------------- choosing

    async def _find_configured(self, at: str) -> None:
        host, _, port = at.rpartition(":")
        if not host or not port.isdigit():
            raise BrokerError(f"--at {at!r}: write HOST:PORT, e.g. 127.0.0.1:1883")
        try:
            await _connect(host, int(port))
        except (OSError, TimeoutError) as error:
            raise BrokerError(
                f"no broker answers at {at}: {error}; start it, or leave it out"
            ) from error
        self.kind, self.host, self.port = "configured", host, int(port)

    def _choose(self) -> Program | None:
        """mosquitto, installed or unpacked; None: amqtt. Raises BrokerError where `way` fails."""
        way = self._options.way
        if way in {"auto", "mosquitto"} and (program := installed()):
            self.kind = "mosquitto"
            return program
        if way in {"auto", "mosquitto"}:
            self._tried.append("mosquitto is not installed")
        if way in {"auto", "unpacked"}:
            try:
                program = unpack(self._options.cache)
            except UnpackError as error:
                self._tried.append(f"not unpacked from its Debian package: {error}")
            else:
                self.kind = "unpacked"
                return program
        if way in {"auto", "amqtt"}:
            self.kind = "amqtt"
            return None
        raise BrokerError(f"no broker: {'; '.join(self._tried)}")

    # --------------------------------------------------------------------------- mosquitto

    async def _start_mosquitto(self, program: Program, passwords: Mapping[str, str]) -> None:
        directory = self._options.directory
        write_private(directory / "users", _mosquitto_users(passwords))
        write_private(directory / "acl", _mosquitto_acl(self._options.site).encode())
        for _ in range(PORT_TRIES):
            port = free_port()
            write_private(directory / "mosquitto.conf", _mosquitto_conf(directory, port).encode())
            if await self._runs(program):
                self.port = port
                return
        log = (directory / "mosquitto.log").read_text(errors="replace").strip()
        raise BrokerError(f"mosquitto does not start: {log[-300:] or 'it said nothing'}")

    async def _runs(self, program: Program) -> bool:
        """Whether it listens; False where it ended, e.g. as the port was taken.

        Its own word counts: a connection would also be answered by whoever took the port.
        """
        self._process = process = self._spawn(program)
        log = self._options.directory / "mosquitto.log"
        async with asyncio.timeout(T_START_S):
            while process.poll() is None:
                if RUNNING.search(await asyncio.to_thread(log.read_bytes)):
                    return True
                await asyncio.sleep(0.05)
        return False

    def _spawn(self, program: Program) -> subprocess.Popen[bytes]:
        directory = self._options.directory
        command = [str(program.binary), "-c", str(directory / "mosquitto.conf")]
        with (directory / "mosquitto.log").open("wb") as log:
            return subprocess.Popen(  # noqa: S603  # the broker that was chosen
                tethered(command),
                env=dict(program.env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    # ------------------------------------------------------------------------------- amqtt

    async def _start_amqtt(self, passwords: Mapping[str, str]) -> None:
        """In this process; its default would listen on every address, so all is said."""
        try:
            from amqtt.broker import Broker
            from argon2 import PasswordHasher
        except ModuleNotFoundError as error:
            raise BrokerError(
                f"no broker: {'; '.join(self._tried)}; and amqtt is not installed ({error}): "
                "pip install 'gatewayd[demo]'"
            ) from error
        for chatty in ("amqtt", "transitions"):  # they tell every packet
            logging.getLogger(chatty).setLevel(logging.WARNING)
        hasher = PasswordHasher()
        lines = "".join(f"{user}:{hasher.hash(word)}\n" for user, word in passwords.items())
        write_private(self._options.directory / "users", lines.encode())
        self.port = free_port()
        self._amqtt = Broker(_amqtt_config(self._options, self.port))
        await self._amqtt.start()
        self.start(self._keep_amqtt(), "amqtt")
        print(f"\n*** {NOT_DURABLE} ***\n", file=sys.stderr, flush=True)

    async def _keep_amqtt(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            # Not asyncio.timeout, which is no bound in a cancelled task of Python 3.11.2.
            await asyncio.wait_for(self._amqtt.shutdown(), T_END_S)


async def _connect(host: str, port: int) -> None:
    async with asyncio.timeout(2):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.create_server((HOST, 0)) as server:
        return int(server.getsockname()[1])


def _mosquitto_conf(directory: Path, port: int) -> str:
    """Durable as mosquitto can be. It keeps our user id, or it could neither read these files nor
    die with us (see tether.py)."""
    user = "user root\n" if os.geteuid() == 0 else ""
    return (
        f"{user}listener {port} {HOST}\n"
        "allow_anonymous false\n"
        f"password_file {directory}/users\n"
        f"acl_file {directory}/acl\n"
        "persistence true\n"
        f"persistence_location {directory}/\n"
        "autosave_interval 1\n"
        "autosave_on_changes true\n"
        "max_queued_messages 100000\n"
        "log_dest stderr\n"
    )


def _mosquitto_users(passwords: Mapping[str, str]) -> bytes:
    """As mosquitto_passwd writes them, which may not be installed: PBKDF2 with SHA-512."""
    lines = []
    for user, password in passwords.items():
        salt = secrets.token_bytes(12)
        key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, PBKDF2_ROUNDS, 64)
        told = (base64.b64encode(part).decode() for part in (salt, key))
        lines.append(f"{user}:$7${PBKDF2_ROUNDS}${'$'.join(told)}\n")
    return "".join(lines).encode()


def _mosquitto_acl(site: str) -> str:
    """The centre on all of the site, each gateway on its own prefix (%u is its user name)."""
    return (
        f"user {CENTRE}\n"
        f"topic readwrite gw/v1/{site}/#\n\n"
        f"pattern write gw/v1/{site}/%u/up/#\n"
        f"pattern read gw/v1/{site}/%u/dn/#\n"
    )


def _amqtt_config(options: BrokerOptions, port: int) -> dict[str, Any]:
    up = {gw: [f"gw/v1/{options.site}/{gw}/up/#"] for gw in options.gateways}
    down = {gw: [f"gw/v1/{options.site}/{gw}/dn/#"] for gw in options.gateways}
    centre = {CENTRE: [f"gw/v1/{options.site}/#"]}
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.FileAuthPlugin": {
                "password_file": str(options.directory / "users")
            },
            "amqtt.plugins.topic_checking.TopicAccessControlListPlugin": {
                "publish_acl": centre | up,
                "acl": centre | down,  # to subscribe; its newer name is refused by amqtt 0.12.1
            },
        },
    }


# --------------------------------------------------------------------------- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--directory", type=Path, required=True, help="folder of its files")
    parser.add_argument(
        "--cache", type=Path, default=Path(".cache"), help="folder for the unpacked package"
    )
    parser.add_argument("--way", choices=WAYS, default="auto", help="auto: the first that works")
    parser.add_argument("--at", default="", metavar="HOST:PORT", help="a broker that already runs")
    parser.add_argument("--site", default="demo", help="the site's id, as in the topics")
    parser.add_argument("--gateway", action="append", help="a gateway's id and user; repeatable")
    parser.add_argument("--control", type=Path, help="Unix socket for questions")


async def run(args: argparse.Namespace) -> int:
    """Be a broker, or watch over one, until cancelled."""
    options = BrokerOptions(
        args.directory.absolute(),
        args.cache.absolute(),
        args.site,
        tuple(args.gateway or ("gate-1",)),
        args.at,
        args.way,
    )
    return await run_device(SimulatedBroker(options, args.control))
