"""A small compound whose taps go the daemon's own path: rules, memory, doors, journal and list are
the real ones, the boards and the clock are not. Its files stay for whoever asks them questions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gatewayd.alarms import AlarmDesk
from gatewayd.boot import keep_secret
from gatewayd.domain.door import ContactChanged, ControllerBack
from gatewayd.domain.events import SystemStarted
from gatewayd.domain.model import AccessPointId, Credential, DoorId, Tap, card
from gatewayd.domain.modes import effective
from gatewayd.domain.pin import person_pin
from gatewayd.doors import DoorTask, DoorTasks, DoorWiring
from gatewayd.hours import DoorHours
from gatewayd.inquiry.sources import Place, place_of
from gatewayd.memory import SiteLayout, SiteMemory
from gatewayd.modes import ModeDesk
from gatewayd.recorder import Recorder
from gatewayd.registry import load_registry
from gatewayd.rulings import Rulings, Site
from gatewayd.settings.bind import access_points, areas, domain_doors, interlocks
from gatewayd.settings.load import LoadedSettings, load_settings
from gatewayd.store.journal import JournalStore
from gatewayd.store.whitelist import WhitelistStore
from gatewayd.tap import TapPath
from tests.clock import ManualClock
from tests.fakes import FakeBoard, NotedPictures, running
from tests.store.lists import chunk, credential, level, person, schedule

PIN_KEY = "the site's own key, long enough"
SITE = """\
[site]
id = "lakeside"
name = "湖畔花园"
gateway = "gate-1"
pin_key_file = "pin-key"
[storage]
directory = "data"
[[area]]
id = "yard"
name = "院内"
anti_passback = "hard"
maximum = 4
[[area]]
id = "garage"
name = "车库"
anti_passback = "timed"
forgive_min = 2.0
admit_unknown = false
[[controller]]
id = "board"
driver = "modbus-relay"
port = "/dev/ttyTEST0"
relays = 8
inputs = 8
"""
DOORS = (
    ("main-gate", "东门", 'inside = "yard"'),
    ("garage-door", "车库门", 'outside = "yard"\ninside = "garage"'),
    ("vault", "弱电间", "two_person_s = 20.0"),
    ("lab", "机房", "escort_s = 30.0"),
)
READERS = (
    ("gate-in", "东门进", "main-gate", "in", ""),
    ("gate-out", "东门出", "main-gate", "out", ""),
    ("garage-in", "车库进", "garage-door", "in", ""),
    ("garage-out", "车库出", "garage-door", "out", ""),
    ("vault-in", "弱电间进", "vault", "in", 'verification = "card-and-pin"'),
    ("lab-in", "机房进", "lab", "in", ""),
)
INTERLOCK = '[[interlock]]\nid = "lock"\ndoors = ["vault", "lab"]\nrule = "one-open"\n'
OFFICE = [[["08:00:00", "18:00:00"]]] * 5 + [[], []]


def settings_text(**readers: str) -> str:
    """The settings; what is given for a reader's id comes in the place of its own keys."""
    parts = [SITE, INTERLOCK]
    for number, (id_, name, more) in enumerate(DOORS, 1):
        parts.append(
            f'[[door]]\nid = "{id_}"\nname = "{name}"\ncontroller = "board"\nrelay = {number}\n'
            f"contact_input = {number}\ncommit_deadline_ms = 5000\n{more}\n"
        )
    for id_, name, door, direction, more in READERS:
        own = readers.get(id_.replace("-", "_"), more)
        parts.append(
            f'[[reader]]\nid = "{id_}"\nname = "{name}"\ndriver = "wiegand-serial"\n'
            f'port = "/dev/ttyTEST-{id_}"\ndoor = "{door}"\ndirection = "{direction}"\n{own}\n'
        )
    return "\n".join(parts)


def pin(number: int, digits: str = "1234") -> str:
    return person_pin(PIN_KEY.encode(), f"p-{number}", digits)  # type: ignore[arg-type]  # an id


def records() -> list[dict[str, Any]]:
    """Eleven people, each with what makes one rule speak."""
    doors = [id_ for id_, _, _ in DOORS]
    return [
        schedule(), schedule("office", name="办公时间", week=OFFICE),
        level("residents", name="住户", doors=doors),
        level("cleaners", name="保洁", doors=doors[:1], schedule="office"),
        person(17, pin=pin(17), may_escort=True), credential(17),
        person(18, name="李强", pin=pin(18), duress_pin=pin(18, "4321")), credential(18),
        person(19, name="张伟", needs_escort=True), credential(19),
        person(20, name="陈静", levels=["cleaners"]), credential(20),
        person(21, name="访客"), credential(21, uses=2),
        person(22, name="赵敏"), credential(22, status="lost"),
        person(23, name="孙丽"), credential(23, valid_until=1_795_000_900),
        person(24, name="周涛", pin=pin(24)), credential(24), credential(124, person="p-24"),
        person(25, name="吴刚", levels=[]), credential(25),
        person(26, name="郑洁", watch="no entry"), credential(26),
        person(27, name="何访", escorts=["p-18"]), credential(27),
    ]  # fmt: skip


def card_of(number: int) -> Credential:
    return card(number, 26)


def write_settings(folder: Path, text: str | None = None) -> Path:
    """The settings and the file that they name; the path of the settings."""
    (folder / "pin-key").write_text(PIN_KEY + "\n")
    (folder / "pin-key").chmod(0o600)
    path = folder / "gatewayd.toml"
    path.write_text(settings_text() if text is None else text, "utf-8")
    return path


def load(path: Path) -> LoadedSettings:
    return load_settings(path, load_registry())


def place(path: Path) -> Place:
    return place_of(load(path))


@dataclass
class Compound:
    """The running parts."""

    clock: ManualClock
    journal: JournalStore
    whitelist: WhitelistStore
    recorder: Recorder
    memory: SiteMemory
    doors: DoorTasks
    modes: ModeDesk
    path: TapPath
    board: FakeBoard

    async def tap(self, number: int, reader: str, digits: str | None = None) -> int:
        """Decided, journaled and come to its outcome; the seq of the last event then."""
        tap = Tap(AccessPointId(reader), card_of(number), self.clock.now(), digits)
        await self.path.handle(tap)
        await self.kept()
        return self.journal.last_seq

    async def go(self, door: str) -> None:
        """The door opens and closes: whoever was granted it has passed."""
        for open_ in (True, False):
            self.doors.tasks[DoorId(door)].post(ContactChanged(open_))
            await self.clock.advance(1)
        await self.kept()

    async def kept(self) -> None:
        await self.recorder.flushed()

    async def later(self, seconds: float) -> None:
        """What doors tell meanwhile is journaled before anything that comes then."""
        await self.clock.advance(seconds)
        await self.kept()


@asynccontextmanager
async def compound(
    config: Path, clock: ManualClock | None = None, *, lists: Sequence[list[dict[str, Any]]] = ()
) -> AsyncIterator[Compound]:
    """Running until the block ends; in the same folder again it is a restart."""
    loaded, clock = load(config), clock or ManualClock()
    settings = loaded.settings
    directory = settings.storage.directory
    directory.mkdir(exist_ok=True)
    secret = keep_secret(directory / "secret")
    journal = await JournalStore.open(settings.storage.journal_file, clock, secret=secret)
    whitelist = await WhitelistStore.open(directory / "whitelist")
    for records_ in lists:
        await whitelist.apply_full(whitelist.revision + 1, [chunk(*records_)])
    site = Site(access_points(settings), domain_doors(settings), ZoneInfo(settings.site.time_zone))
    recorder = Recorder(journal, clock, lambda _failing, _why: None)
    alarms = AlarmDesk(journal, recorder, clock)
    layout = SiteLayout(site.doors, areas(settings), pin_key=PIN_KEY.encode())
    memory = SiteMemory(layout, journal, recorder, alarms)
    memory.restore(await journal.whereabouts(), await journal.credential_uses())
    orders, sets, board = await journal.mode_orders(), interlocks(settings), FakeBoard()
    now, interlocked = clock.now(), {door for each in sets for door in each.door_ids}
    tasks = {}
    for door in settings.door:
        id_ = DoorId(door.id)
        governs = effective(
            orders.get(id_, {}), now.wall_ms, now.wall_trusted, interlocked=id_ in interlocked
        )
        wiring = DoorWiring(board, door.relay, door.contact_input, None, True, True)
        passed = _passed(memory, id_)
        tasks[id_] = DoorTask(
            site.doors[id_], wiring, clock, recorder, alarms, governs.mode, passed
        )
    doors = DoorTasks(tasks, sets)
    hours = DoorHours(whitelist, clock, site.zone)
    modes = ModeDesk(doors, journal, recorder, clock, hours, orders)
    rulings = Rulings(site, whitelist, modes, memory, clock)
    path = TapPath(
        rulings, memory, journal, recorder, modes, NotedPictures(), alarms, clock,
        modes.first_person_came,
    )  # fmt: skip
    work = [
        recorder.run(),
        alarms.run(),
        modes.run(),
        path.run(),
        *(t.run() for t in tasks.values()),
    ]
    try:
        async with journal.running(), running(*work):
            recorder.record(SystemStarted("0.1.0", loaded.sha256, whitelist.revision))
            for task in tasks.values():
                task.post(ControllerBack())
                task.post(ContactChanged(False))
            await clock.advance(0)
            made = Compound(clock, journal, whitelist, recorder, memory, doors, modes, path, board)
            await made.kept()
            yield made
            await asyncio.sleep(0)
            await made.kept()
    finally:
        whitelist.close()


def _passed(memory: SiteMemory, door_id: DoorId) -> Any:
    return lambda passage, stamp: memory.passed(door_id, passage, stamp)
