"""A console with real stores (journal, whitelist, operators, pictures) and the real alarm desk;
only the doors are fakes that do what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
from fastapi import FastAPI

from gatewayd.alarms import AlarmDesk
from gatewayd.console.app import create_app
from gatewayd.console.deps import ConsoleDeps, DeviceStatus, SystemStatus
from gatewayd.console.server import serve
from gatewayd.domain.events import (
    AccessDenied,
    AccessGranted,
    AccessOutcome,
    Cause,
    DesiredApplied,
    DoorModeChanged,
    DoorUnlocked,
    Event,
    InstallOutcome,
    Outcome,
    PictureStored,
)
from gatewayd.domain.model import (
    AccessPointId,
    CameraId,
    DeviceId,
    Direction,
    DoorId,
    DoorMode,
    LevelId,
    ModeSlot,
    Passage,
    PersonId,
    Reason,
    RuleResult,
    RuleTrace,
    card,
)
from gatewayd.domain.ports import (
    CaptureState,
    Clock,
    DoorStatus,
    FireAnswer,
    InstallRefusal,
    InstallRefusedError,
    InstallWindow,
)
from gatewayd.memory import SiteLayout, SiteMemory
from gatewayd.recorder import Recorder
from gatewayd.settings.bind import areas, domain_doors
from gatewayd.settings.model import Settings
from gatewayd.store.journal import JournalStore
from gatewayd.store.media import PictureFiles
from gatewayd.store.operators import Operator, OperatorStore, Role, hash_password
from gatewayd.store.whitelist import WhitelistStore
from tests.clock import ManualClock
from tests.fakes import NotedSignals
from tests.store.lists import full, person

PASSWORD = "night-shift-3am"
HASH = hash_password(PASSWORD)
OPERATORS = (
    Operator("li-guard", Role.GUARD, HASH, "en"),
    Operator("zhao-guard", Role.GUARD, HASH, "zh-CN"),
    Operator("chen-leader", Role.LEADER, HASH, "en"),
    Operator("wu-manager", Role.MANAGER, HASH, "en"),
    Operator("root-admin", Role.ADMINISTRATOR, HASH, "en"),
)
NAME_OF = {operator.role: operator.name for operator in OPERATORS if operator.name != "zhao-guard"}
DOORS = (("main-gate", "东门人行"), ("b1-lobby", "6栋大堂"), ("b2-lobby", "7栋大堂"))
ZONE_OF: dict[str, dict[str, Any]] = {
    "main-gate": {"inside": "yard"},
    "b1-lobby": {"zone": "lobbies", "inside": "hall", "outside": "yard"},
    "b2-lobby": {"zone": "lobbies", "escape": True},
}
READERS = (
    ("gate-in", "东门进", "main-gate", "in"),
    ("gate-out", "东门出", "main-gate", "out"),
    ("b1-in", "6栋进", "b1-lobby", "in"),
)


def settings(directory: Path) -> Settings:
    return Settings.model_validate(
        {
            "site": {"id": "yard", "name": "翠湖花园", "gateway": "gate-1"},
            "storage": {"directory": directory},
            "area": [
                {"id": "yard", "name": "小区", "anti_passback": "hard"},
                {"id": "hall", "name": "6栋", "maximum": 2, "minimum": 2},
            ],
            "door": [
                {"id": i, "name": n, "controller": "board-1", "relay": 1, **ZONE_OF.get(i, {})}
                for i, n in DOORS
            ],
            "reader": [
                {"id": i, "name": n, "driver": "ascii-tag", "door": d, "direction": way}
                | ({"cameras": ["cam-gate"]} if d == "main-gate" else {})
                for i, n, d, way in READERS
            ],
            "controller": [{"id": "board-1", "driver": "modbus-relay"}],
            "interlock": [{"id": "lobbies", "doors": ["b1-lobby", "b2-lobby"]}],
            "camera": [{"id": "cam-gate", "name": "东门全景"}],
            "console": {"port": 0},
        }
    )


@dataclass(frozen=True, slots=True)
class Link:
    state: str = "online"
    since_wall_ms: int = 1_795_000_000_000
    protocol: int | None = 5
    detail: str = ""


class FakeDoors:
    """Implements ports.Doors; what it is told comes true at once. `hang` never answers."""

    def __init__(self, journal: JournalStore) -> None:
        self.journal = journal
        self.now = {
            DoorId(i): DoorStatus(DoorId(i), "secure", DoorMode.LOCKED, False, False, True, False)
            for i, _ in DOORS
        }
        self.unlocked: list[tuple[DoorId, Cause]] = []
        self.lifted: list[DoorId] = []  # asked for
        self.answer = Outcome.UNLOCKED
        self.hang = False

    def set(self, door_id: str, **changes: Any) -> None:
        self.now[DoorId(door_id)] = replace(self.now[DoorId(door_id)], **changes)

    def status(self, door_id: DoorId) -> DoorStatus:
        return self.now[door_id]

    def all_status(self) -> Sequence[DoorStatus]:
        return list(self.now.values())

    async def unlock(
        self,
        door_id: DoorId,
        cause: Cause,
        unlock_s: float | None = None,
        *,
        passage: Passage | None = None,
        extra_held_s: float = 0.0,
    ) -> Outcome:
        self.unlocked.append((door_id, cause))
        if self.hang:
            await asyncio.Event().wait()
        if self.answer is Outcome.UNLOCKED:
            self.set(door_id, phase="unlocked", unlocked=True)
            await self.journal.append(DoorUnlocked(door_id, cause, unlock_s or 5.0))
        return self.answer

    async def set_mode(
        self, door_id: DoorId, mode: DoorMode, cause: Cause, *, until_ms: int | None = None
    ) -> Outcome:
        if self.hang:
            await asyncio.Event().wait()
        before = self.now[door_id].mode
        await self.journal.append(DoorModeChanged(door_id, mode, before, cause))
        self.set(
            door_id, mode=mode, mode_slot=ModeSlot.OPERATOR, mode_cause=cause,
            mode_until_ms=until_ms,
        )  # fmt: skip
        return self.answer

    async def withdraw(self, door_id: DoorId, cause: Cause) -> Outcome:
        await self.set_mode(door_id, DoorMode.LOCKED, cause)
        self.set(door_id, mode_slot=None, mode_cause=None)
        return self.answer

    async def lift(self, door_id: DoorId, cause: Cause) -> Outcome:
        self.lifted.append(door_id)
        if self.now[door_id].mode is not DoorMode.LOCKED_DOWN:
            return self.answer
        return await self.withdraw(door_id, cause)

    async def want(self, wanted: DesiredApplied) -> None:
        """The console orders nothing in the centre's name."""
        raise NotImplementedError


class FakeFire:
    """Implements ports.Fire; `answer` is what a reset gets while there is a fire."""

    def __init__(self) -> None:
        self.on = False
        self.answer = FireAnswer.RESET
        self.resets: list[Cause] = []

    async def reset(self, cause: Cause) -> FireAnswer:
        self.resets.append(cause)
        self.on = self.answer is FireAnswer.STILL_ON
        return self.answer


class FakeInstalls:
    """Implements ports.Installs: a window is open until it is closed; `refuses` says otherwise."""

    def __init__(self) -> None:
        self.window: InstallWindow | None = None
        self.refuses: InstallRefusal | None = None
        self.asked: list[tuple[str, float, Cause, bool]] = []

    async def open(
        self, device_id: DeviceId, for_s: float, cause: Cause, *, new_device: bool
    ) -> InstallWindow:
        if self.refuses is not None:
            raise InstallRefusedError(self.refuses)
        self.asked.append((device_id, for_s, cause, new_device))
        self.window = InstallWindow(device_id, 7, 1_795_000_300_000)
        return self.window

    def close(self) -> bool:
        assert self.window is not None
        self.window = replace(self.window, outcome=InstallOutcome.WITHDRAWN, detail="closed")
        return True


class FakeCaptures:
    """Implements ports.Captures; `fails` is what a start raises."""

    def __init__(self) -> None:
        self.state: CaptureState | None = None
        self.fails: Exception | None = None
        self.asked: list[tuple[str, float, int]] = []

    async def start(self, bus_id: DeviceId, for_s: float, max_bytes: int) -> CaptureState:
        if self.fails is not None:
            raise self.fails
        self.asked.append((bus_id, for_s, max_bytes))
        self.state = CaptureState(bus_id, "/var/x.osdpcap", 1_795_000_600_000)
        return self.state

    def stop(self) -> bool:
        if self.state is None or self.state.over is not None:
            return False
        self.state = replace(self.state, size=5, over="it was stopped")
        return True


@dataclass
class Rig:
    clock: Clock
    journal: JournalStore
    whitelist: WhitelistStore
    operators: OperatorStore
    pictures: PictureFiles
    doors: FakeDoors
    alarms: AlarmDesk
    deps: ConsoleDeps
    app: FastAPI
    recorder: Recorder  # of the memory, running
    devices: list[DeviceStatus] = field(default_factory=list)
    fire: FakeFire = field(default_factory=FakeFire)
    installs: FakeInstalls = field(default_factory=FakeInstalls)
    captures: FakeCaptures = field(default_factory=FakeCaptures)

    @property
    def memory(self) -> SiteMemory:
        assert isinstance(self.deps.areas, SiteMemory)
        return self.deps.areas

    async def passed(self, number: int, door: str = "main-gate", way: str = "in") -> None:
        """Someone went through, and that is on disk."""
        passage = Passage(PersonId(f"p-{number}"), AccessPointId("gate-in"), 1, Direction(way))
        self.memory.passed(DoorId(door), passage, self.clock.now())
        await self.recorder.flushed()

    def client(
        self, *, address: str = "10.0.0.5", base: str = "http://gate.test"
    ) -> httpx.AsyncClient:
        """A program, not a browser: it sends no Origin."""
        transport = httpx.ASGITransport(self.app, client=(address, 40_000))
        return httpx.AsyncClient(transport=transport, base_url=base)

    @asynccontextmanager
    async def signed_in(self, role: Role = Role.GUARD) -> AsyncIterator[httpx.AsyncClient]:
        async with self.client() as client:
            body = {"name": NAME_OF[role], "password": PASSWORD}
            answer = await client.post("/api/v1/session", json=body)
            assert answer.status_code == 201, answer.text
            yield client

    async def granted(self, number: int = 17, reader: str = "gate-in", **more: Any) -> int:
        door, way = next((d, w) for i, _, d, w in READERS if i == reader)
        trace = (RuleTrace("credential_known", "known", RuleResult.PASS, (("kind", "card"),)),)
        reference = self.journal.credential_ref(card(number, 26))
        event = AccessGranted(
            AccessPointId(reader), DoorId(door), Direction(way), reference,
            PersonId(f"p-{number}"), "6-2-1203", LevelId("residents"), 5.0, 1, trace,
        )  # fmt: skip
        return await self.journal.append(replace(event, **more))

    async def denied(
        self,
        reason: Reason = Reason.EXPIRED,
        number: int | None = 17,
        reader: str = "gate-in",
        detail: tuple[tuple[str, str], ...] = (("valid_until_s", "1794960000"),),
        **more: Any,
    ) -> int:
        door, way = next((d, w) for i, _, d, w in READERS if i == reader)
        trace = (
            RuleTrace("credential_known", "known", RuleResult.PASS, (("kind", "card"),)),
            RuleTrace("valid_until", "ended", RuleResult.FAIL, (("valid_until_s", "1794960000"),)),
        )
        person_id = None if number is None else PersonId(f"p-{number}")
        event = AccessDenied(
            AccessPointId(reader), DoorId(door), Direction(way),
            self.journal.credential_ref(card(number or 99, 26)), reason, 1, trace,
            person_id, "6-2-1203" if person_id else "", detail,
        )  # fmt: skip
        return await self.journal.append(replace(event, **more))

    async def outcome(
        self, seq: int, outcome: Outcome = Outcome.UNLOCKED, reader: str = "gate-in"
    ) -> int:
        door = next(d for i, _, d, _ in READERS if i == reader)
        return await self.journal.append(
            AccessOutcome(AccessPointId(reader), DoorId(door), seq, outcome)
        )

    async def picture(self, for_seq: int) -> str:
        """Keep a picture for the event; its name."""
        stored = await asyncio.to_thread(
            self.pictures.save, jpeg(for_seq), for_seq, "cam-gate", self.clock.now().wall_ms
        )
        await self.journal.append(
            PictureStored(
                for_seq, CameraId("cam-gate"), stored.name, stored.sha256, stored.size, age_ms=80
            )
        )
        return stored.name

    async def journaled(self, kind: type[Event]) -> list[Event]:
        entries = await self.journal.entries_after(0, 10_000, kinds={kind.KIND})
        return [entry.event for entry in entries]


def jpeg(seed: int) -> bytes:
    """A small scene that differs by its seed: night, a wall, a lamp, someone."""
    picture = np.zeros((360, 640, 3), np.uint8)
    picture[:] = (46, 36, 28)
    cv2.rectangle(picture, (0, 250), (640, 360), (60, 56, 52), -1)
    cv2.rectangle(picture, (410, 70), (560, 300), (86, 76, 60), -1)
    cv2.circle(picture, (485, 50), 60, (120, 190, 235), -1)
    x = 120 + seed * 53 % 220
    cv2.ellipse(picture, (x, 260), (46, 90), 0, 0, 360, (120, 92, 60 + seed * 31 % 120), -1)
    cv2.circle(picture, (x, 150), 34, (150, 175, 205), -1)
    ok, data = cv2.imencode(".jpg", picture)
    assert ok
    return bytes(data)


PEOPLE = (
    ("王芳", "owner", "6", "2", "1203"),
    ("李建国", "tenant", "6", "1", "0802"),
    ("Anna Schmidt", "family", "7", "1", "1501"),
    ("赵小燕", "staff", "", "", ""),
)


async def whitelist(directory: Path, *more: dict[str, Any]) -> WhitelistStore:
    """Four people, p-17 … p-20, and whoever else is given."""
    store = await WhitelistStore.open(directory)
    people = [
        person(18 + n, name=name, role=role, building=building, unit=unit, room=room)
        for n, (name, role, building, unit, room) in enumerate(PEOPLE[1:])
    ]
    await store.apply_full(7, full(*people, *more))
    return store


@asynccontextmanager
async def rig(
    directory: Path, clock: Clock | None = None, people: Sequence[dict[str, Any]] = ()
) -> AsyncIterator[Rig]:
    """Everything under `directory`; opening the same one again is a restart of the box."""
    clock = clock or ManualClock()
    first = not (directory / "operators.db").exists()
    async with AsyncExitStack() as stack:
        opened = await JournalStore.open(directory / "journal.db", clock, secret=b"s" * 32)
        journal = await stack.enter_async_context(opened.running())
        listed = (
            await whitelist(directory / "whitelist", *people)
            if first
            else await WhitelistStore.open(directory / "whitelist")
        )
        stack.callback(listed.close)
        operators = await OperatorStore.open(directory / "operators.db", clock)
        stack.push_async_callback(operators.close)
        await operators.add_first(OPERATORS)
        pictures = PictureFiles(directory / "pictures", budget_bytes=10_000_000)
        doors, fire = FakeDoors(journal), FakeFire()
        installs, captures = FakeInstalls(), FakeCaptures()
        desk = AlarmDesk(journal, Recorder(journal, clock, lambda _failing, _why: None), clock)
        desk.restore(await journal.alarm_events())
        devices = [
            DeviceStatus("gate-in", "reader", "ascii-tag", True, "9600 baud"),
            DeviceStatus("board-1", "controller", "modbus-relay", True),
            DeviceStatus("cam-gate", "camera", "rtsp", False, "no packet for 12 s"),
        ]
        started = clock.now().wall_ms
        recorder = Recorder(journal, clock, lambda _failing, _why: None)
        stack.callback(asyncio.create_task(recorder.run(), name="memory's recorder").cancel)
        layout = SiteLayout(domain_doors(settings(directory)), areas(settings(directory)))
        memory = SiteMemory(layout, journal, recorder, NotedSignals())
        memory.restore(await journal.whereabouts(), {})
        deps = ConsoleDeps(
            settings(directory), journal, listed, doors, desk, pictures, operators, clock,
            lambda: SystemStatus(started, tuple(devices)), Link, fire, memory, installs,
            captures,
        )  # fmt: skip
        app = create_app(deps)
        yield Rig(
            clock, journal, listed, operators, pictures, doors, desk, deps, app, recorder,
            devices, fire, installs, captures,
        )  # fmt: skip


@asynccontextmanager
async def served(deps: ConsoleDeps, port: int = 0) -> AsyncIterator[str]:
    """The console on a real socket of the loopback; its URL."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        server = group.create_task(
            serve(deps, "127.0.0.1", port, on_ready=ready.set_result), name="console"
        )
        try:
            async with asyncio.timeout(10):
                url = await ready
            yield url
        finally:
            server.cancel()
