"""`gatewayd demo`: a whole compound on one machine, each part a process. Owns their order.

Start: broker and devices, the centre, the gateway, the scenario. End: the scenario, what is still
on its way to the centre, the gateway, the devices, the centre, the broker; then the reckoning.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from gatewayd.clock import SystemClock
from simulators.arguments import seconds, speed
from simulators.broker import WAYS
from simulators.central_signing import write_private
from simulators.compound import SITE_ZONE
from simulators.control import ControlClient
from simulators.demo_layout import BOARDS, OSDP_READERS, READERS, Layout
from simulators.demo_process import Command, Process, ProcessFailed
from simulators.demo_reckoning import DENIED, GRANTED, Centre, Lane, Reckoning, read_taps, reckon
from simulators.demo_table import Event, Screen, make_screen, summary
from simulators.osdp_secure import KEY_SIZE

NAME = "demo"
HELP = "a whole compound, simulated: broker, centre, devices, gateway and people"

CONFIG = Path(__file__).parents[1] / "config" / "demo.toml"
OPERATORS = {"guard": "guard", "leader": "leader", "admin": "administrator"}
OK, UNACCOUNTED, FAILED = 0, 1, 1
T_LIST_S = 30.0  # from the gateway's start until it has applied the residents' list
T_DRAIN_S = 30.0  # at the end, until all that happened is at the centre
QUIET_S = 1.5  # nothing new at the centre for so long: it has all
PAGE = 200
PIN_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`seconds` None: until Ctrl-C."""

    layout: Layout
    cache: Path
    seconds: float | None = None
    speed: float = 1.0
    broker: str = ""
    broker_way: str = "auto"
    console_port: int = 0


class Demo:
    """`await demo.run()` is the exit status."""

    def __init__(self, options: DemoOptions, screen: Screen) -> None:
        self._options = options
        self._layout = options.layout
        self._screen = screen
        self._running: list[Process] = []
        self._events: list[Event] = []
        self._news = asyncio.Condition()
        self._over: asyncio.Queue[ProcessFailed | None] = asyncio.Queue()
        self._ending = False

    async def run(self) -> int:
        """Raises ProcessFailed with the log's tail where a part fails."""
        with self._screen:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                try:
                    text, status = await self._whole()
                finally:
                    await self._end_all()
        print(text, flush=True)
        return status

    async def _whole(self) -> tuple[str, int]:
        settings = await self._start_all()
        await self._list_applied()
        await self._play()
        await self._drained()
        gateway = self._process("gatewayd")
        self._ending = True
        self._screen.step("the gateway ends")
        status = await gateway.stop()
        if status:
            raise gateway.failed(f"ended with status {status}")
        verified = await asyncio.to_thread(self._verify, settings)
        return await self._reckoned(verified)

    # ------------------------------------------------------------------------------ start

    async def _start_all(self) -> list[str]:
        """Everything but the scenario; the settings that the gateway was given."""
        layout, options = self._layout, self._options
        passwords = make_operators(layout.operators)
        write_private(layout.no_password, b"none\n")
        write_private(layout.pin_key, secrets.token_hex(PIN_KEY_BYTES).encode())
        for reader in OSDP_READERS:
            key = secrets.token_hex(KEY_SIZE)
            write_private(layout.osdp_key(reader), key.encode())
            write_private(layout.osdp_keys(reader), f"0 {key}\n".encode())
        command = layout.broker(options.broker, options.broker_way, options.cache)
        broker, camera, *_ = await self._start(
            *(command, layout.camera()),
            *map(layout.board, BOARDS),
            *map(layout.reader, READERS),
            *map(layout.osdp_reader, OSDP_READERS),
        )
        if broker["notice"]:
            self._screen.step(f"*** {broker['notice']} ***")
        (central,) = await self._start(layout.central(broker))
        self._tasks.create_task(self._follow(), name="events at the centre")
        settings = layout.settings(broker, camera, central["keys_file"], options.console_port)
        (gateway,) = await self._start(layout.gatewayd(settings))
        self._tell(gateway, broker, passwords)
        return settings

    async def _start(self, *commands: Command) -> list[Mapping[str, Any]]:
        """Start them beside each other; what their ready lines say, in the same order."""
        fresh = [Process(command) for command in commands]
        for process in fresh:
            self._screen.step(f"{process.name} starts")
            self._running.append(process)
            await process.launch()
        told = [await process.wait_ready() for process in fresh]
        for process in fresh:
            self._tasks.create_task(self._watch(process), name=f"watch {process.name}")
        return told

    async def _watch(self, process: Process) -> None:
        """A part that ends by itself ends the demo; the scenario may, when it is told."""
        status = await process.ended()
        if self._ending:
            return
        told = process.name == "scenario" and status == 0
        self._over.put_nowait(None if told else process.failed(f"ended with status {status}"))
        async with self._news:
            self._news.notify_all()

    def _tell(
        self, gateway: Mapping[str, Any], broker: Mapping[str, Any], passwords: Mapping[str, str]
    ) -> None:
        logins = "   ".join(f"{name} / {password}" for name, password in passwords.items())
        console = gateway.get("console") or "none: see the log of gatewayd"
        self._screen.head(
            [
                f"console   {console}",
                f"log in    {logins}",
                f"broker    {broker['kind']} at {broker['host']}:{broker['port']}",
                f"files     {self._layout.run}",
            ]
        )
        sockets = {p.name: str(self._layout.control(p.name)) for p in self._running}
        told = {"console": console, "operators": passwords, "control": sockets}
        write_private(self._layout.told, json.dumps(told, indent=2).encode())

    # ------------------------------------------------------------------------------- play

    async def _follow(self) -> None:
        """What comes to the centre goes to the screen, and is kept for the reckoning."""
        with contextlib.suppress(OSError):  # the centre ended: `_watch` says so
            async with ControlClient(self._layout.control("central")) as centre:
                while not self._ending:
                    await self._follow_once(centre)

    async def _follow_once(self, centre: ControlClient) -> None:
        last = self._events[-1]["n"] if self._events else 0
        asked = {"do": "events", "after": last, "limit": PAGE, "wait_s": 1}
        events: list[Event] = (await centre.ask(asked))["events"]
        self._events += events
        self._screen.events(events)
        async with self._news:
            self._news.notify_all()

    async def _list_applied(self) -> None:
        self._screen.step("the gateway fetches the residents' list")
        try:
            async with asyncio.timeout(T_LIST_S), self._news:
                while not any(event["kind"] == "whitelist.applied" for event in self._events):
                    self._or_failed()
                    await self._news.wait()
        except TimeoutError:
            gateway = self._process("gatewayd")
            raise gateway.failed(f"applied no list within {T_LIST_S:g} s") from None

    def _or_failed(self) -> None:
        """Raises what a part's end left in the queue."""
        if not self._over.empty() and (failure := self._over.get_nowait()):
            raise failure

    async def _play(self) -> None:
        """Until the scenario is told, or Ctrl-C; raises ProcessFailed where a part ended."""
        options = self._options
        with _asked_to_end(self._over):
            (told,) = await self._start(self._layout.scenario(options.speed, options.seconds))
            if told["left_out"]:
                self._screen.step(f"left out, too little time: {'; '.join(told['left_out'])}")
            for_s = f"for {options.seconds:g} s" if options.seconds else "until Ctrl-C"
            self._screen.step(f"people come and go, {for_s}")
            failure = await self._over.get()
        if failure:
            raise failure
        await self._process("scenario").stop(signal.SIGINT)

    async def _drained(self) -> None:
        """Until the centre has a decision for each tap, and nothing new comes; within T_DRAIN_S."""
        self._screen.step("what is still on its way comes to the centre")
        taps = len(read_taps(self._layout.taps))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(T_DRAIN_S):
                while True:
                    self._or_failed()
                    before = len(self._events)
                    decided = sum(event["kind"] in {GRANTED, DENIED} for event in self._events)
                    await asyncio.sleep(QUIET_S)
                    if decided >= taps and len(self._events) == before:
                        return

    # -------------------------------------------------------------------------------- end

    async def _reckoned(self, verified: str) -> tuple[str, int]:
        async with ControlClient(self._layout.control("central")) as centre:
            events = [event async for event in _all_events(centre)]
            status = await centre.ask({"do": "status"})
            missing = await centre.ask({"do": "missing"})
            chain = await centre.ask({"do": "chain"})
        self._screen.events(events[len(self._events) :])
        upto = {(s["epoch"], s["stream"]): s["upto"] for s in status["streams"]}
        told = Centre(
            *(events, upto, missing["missing"], chain["whole"]),
            *(status["repeats"], status["altered"]),
        )
        reckoning = reckon(read_taps(self._layout.taps), told, await self._lanes())
        journaled = journaled_decisions(self._layout.state)
        files = sum(1 for _ in self._layout.state.glob("pictures/**/*.jpg"))
        notes = [verified, f"kept in {self._layout.run}", *self._how_to_ask(events)]
        text = summary(reckoning, journaled, files, notes)
        return text, self._verdict(reckoning, journaled)

    def _how_to_ask(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """Why somebody was refused, as a command that can be pasted."""
        refused = next((e["seq"] for e in events if e["kind"] == DENIED), None)
        if refused is None:
            return []
        program = Path(sys.executable).with_name("gatewayd")
        asked = f"--config {self._layout.config} --set storage.directory={self._layout.state}"
        return [f"why, e.g.: {program} why {refused} {asked}"]

    async def _lanes(self) -> list[Lane]:
        """What became of the vehicles, as the boards saw it."""
        lanes = []
        for name in BOARDS:
            async with ControlClient(self._layout.control(name)) as board:
                barriers = (await board.ask({"do": "status"}))["barriers"]
            lanes += [Lane(each["name"], each["passed"], each["hits"]) for each in barriers]
        return lanes

    @staticmethod
    def _verdict(reckoning: Reckoning, journaled: int) -> int:
        whole = not reckoning.faults and journaled == reckoning.sent == reckoning.decided
        return OK if whole else UNACCOUNTED

    def _verify(self, settings: list[str]) -> str:
        """What `gatewayd verify` says of the journal. Raises ProcessFailed where it finds fault."""
        done = subprocess.run(  # noqa: S603  # our own command
            self._layout.verify(settings), capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode:
            raise ProcessFailed(f"gatewayd verify: {done.stderr.strip()[-500:]}")
        return "journal: " + done.stdout.strip().rpartition(": ")[2]

    async def _end_all(self) -> None:
        """In the reverse order of the start; those already ended are only waited for."""
        self._ending = True
        for process in reversed(self._running):
            await process.stop()

    def _process(self, name: str) -> Process:
        return next(process for process in self._running if process.name == name)


@contextlib.contextmanager
def _asked_to_end(over: asyncio.Queue[ProcessFailed | None]) -> Iterator[None]:
    """From here on a first SIGINT or SIGTERM ends the play in order; a second ends all at once."""
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None  # noqa: S101  # we run in one

    def asked() -> None:
        over.put_nowait(None)
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, this.cancel)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    yield


async def _all_events(centre: ControlClient) -> AsyncIterator[Event]:
    last = 0
    while events := (await centre.ask({"do": "events", "after": last, "limit": PAGE}))["events"]:
        for event in events:
            yield event
        last = events[-1]["n"]


def make_operators(path: Path) -> dict[str, str]:
    """Write the console's first operators with fresh passwords; name to password."""
    hasher = PasswordHasher()
    passwords = {name: secrets.token_hex(4) for name in OPERATORS}
    tables = []
    for name, role in OPERATORS.items():
        hashed = hasher.hash(passwords[name])
        lines = (
            "[[operator]]",
            f'name = "{name}"',
            f'role = "{role}"',
            f'password_hash = "{hashed}"',
        )
        tables.append("\n".join((*lines, "")))
    write_private(path, "\n".join(tables).encode())
    return passwords


def journaled_decisions(state: Path) -> int:
    """Granted and denied in the gateway's own journal, read after its end; 0 without one."""
    path = state / "journal.db"
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        row = db.execute(
            "SELECT count(*) FROM event WHERE kind IN (?, ?)", (GRANTED, DENIED)
        ).fetchone()
    return int(row[0])


# --------------------------------------------------------------------------- command line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=seconds, help="end by itself after so many seconds")
    parser.add_argument("--speed", type=speed, default=1.0, help="so many times faster")
    parser.add_argument("--broker", default="", metavar="HOST:PORT", help="one that already runs")
    parser.add_argument("--broker-way", choices=WAYS, default="auto", help="which one to start")
    parser.add_argument("--console-port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--config", type=Path, default=CONFIG, help="the gateway's settings")
    parser.add_argument("--seed", type=int, default=1, help="of the compound")
    parser.add_argument("--run", type=Path, help="folder to keep all files of this run in")


async def run(args: argparse.Namespace) -> int:
    options = _options(args)
    try:
        return await Demo(options, make_screen()).run()
    except* ProcessFailed as failures:
        print("\n".join(str(failure) for failure in failures.exceptions), flush=True)
    finally:
        shutil.rmtree(options.layout.sockets, ignore_errors=True)
    return FAILED


def _options(args: argparse.Namespace) -> DemoOptions:
    """Makes the run's folder. Raises OSError."""
    if not args.config.exists():
        raise FileNotFoundError(f"{args.config}: name the demo's settings with --config")
    cache = Path(".cache").absolute()
    now = datetime.fromtimestamp(SystemClock().now().wall_ms / 1000, SITE_ZONE)
    folder = args.run or cache / "demo" / f"{now:%Y%m%d-%H%M%S}-{os.getpid()}"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    sockets = Path(tempfile.mkdtemp(prefix="gatewayd-demo-"))
    layout = Layout(folder.absolute(), sockets, args.config.absolute(), args.seed)
    broker = args.broker.removeprefix("mqtt://").rstrip("/")
    return DemoOptions(
        *(layout, cache, args.seconds, args.speed, broker, args.broker_way, args.console_port)
    )
