"""A control panel in a process of its own, so that its CPU time is its own: ours, or libosdp's.

Writes one line for each card to the pipe that it is given: nanoseconds of the monotonic clock, when
the decision on it was made, and the card's raw bits. The first line says that every reader is
online; the last one, after its input has ended, how much CPU time it took from there.
"""

from __future__ import annotations

import argparse
import asyncio
import select
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import osdp
import serial

from drivers.buses.osdp import OsdpBus, OsdpBusOptions
from drivers.readers.osdp import OsdpReader, OsdpReaderOptions
from gatewayd.clock import SystemClock
from gatewayd.domain.model import (
    AccessLevel,
    AccessPoint,
    AccessPointId,
    AccessRequest,
    Credential,
    CredentialKind,
    CredentialRecord,
    Direction,
    Door,
    DoorId,
    Grant,
    LevelId,
    Person,
    PersonId,
    Schedule,
    ScheduleId,
    Snapshot,
)
from gatewayd.domain.policy import decide
from gatewayd.domain.ports import BusEvent, DriverContext, Online, Presented, ReaderEvent
from gatewayd.domain.schedule import WHOLE_DAY, Moment
from tests.protocols.transports.osdp_foreign import FrameChannel

BIT_COUNT = 26
OFTEN_S = 0.001  # libosdp has to be called again and again; its own thread does so every 20 ms
ZONE = ZoneInfo("Asia/Shanghai")


class Gate:
    """Decides on every card, and tells when."""

    def __init__(self) -> None:
        door = Door(DoorId("gate"), "Gate")
        self._point = AccessPoint(AccessPointId("gate-in"), "Gate, in", door.id, Direction.IN)
        self._door = door
        self._clock = SystemClock()
        level = AccessLevel(LevelId("all"), "All", frozenset({door.id}), ScheduleId("always"))
        always = Schedule(level.schedule_id, "Always", (WHOLE_DAY,) * 7)
        person = Person(PersonId("p-1"), "Resident", level_ids=(level.id,))
        nobody = Credential(CredentialKind.CARD, "0", BIT_COUNT)
        record = CredentialRecord(nobody, person.id)
        self._known = Snapshot(1, record, person, (level,), {always.id: always})

    def tapped(self, bits: int) -> None:
        card = Credential(CredentialKind.CARD, f"{bits:07X}", BIT_COUNT)
        assert self._known.record is not None
        known = replace(self._known, record=replace(self._known.record, credential=card))
        request = AccessRequest(card, self._point, self._door)
        decision = decide(request, known, Moment(self._clock.now(), ZONE))
        assert isinstance(decision, Grant)
        tell(time.monotonic_ns(), bits)


def tell(*words: object) -> None:
    print(*words, flush=True)


# ------------------------------------------------------------------------------------ ours


async def ours(port: Path, baud: int, count: int, dead: int, key_file: Path) -> None:
    """`count` readers from address 0; the last `dead` of them are not there."""
    gate, clock = Gate(), SystemClock()
    bus = OsdpBus(OsdpBusOptions(port=str(port), baud_rate=baud), DriverContext("bus", clock))  # type: ignore[arg-type]  # one of its rates
    waited = set(range(count - dead))
    ready = asyncio.Event()

    def heard(address: int, event: ReaderEvent) -> None:
        if isinstance(event, Presented):
            gate.tapped(int(event.credential.value, 16))
        elif isinstance(event, Online):
            waited.discard(address)
            if not waited:
                ready.set()

    def line_heard(_event: BusEvent) -> None:
        pass

    async with asyncio.TaskGroup() as tg:
        tasks = []
        for address in range(count):
            options = OsdpReaderOptions(bus="bus", address=address, key_file=key_file)
            reader = OsdpReader(options, DriverContext(f"reader-{address}", clock, bus))
            emit = _for(address, heard)
            tasks.append(tg.create_task(reader.run(emit), name=f"reader {address}"))
        tasks.append(tg.create_task(bus.run(line_heard), name="bus"))
        await ready.wait()
        tell("online")
        used = time.process_time()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        tell("cpu", time.process_time() - used)
        for task in tasks:
            task.cancel()


def _for(address: int, heard: Any) -> Any:  # noqa: ANN401  # a function of one
    return lambda event: heard(address, event)


# --------------------------------------------------------------------------------- libosdp's


def theirs(port: Path, baud: int, count: int, dead: int, key_file: Path) -> None:
    gate, key = Gate(), bytes.fromhex(key_file.read_text("ascii"))
    line = serial.Serial(str(port), baud, exclusive=True, timeout=0)
    channel = FrameChannel(line.fileno())

    def heard(_device: int, event: dict[str, Any]) -> int:
        if event.get("event") == osdp.Event.CardRead:
            size = len(event["data"]) * 8
            gate.tapped(int.from_bytes(event["data"], "big") >> (size - event["length"]))
        return 0

    devices = [
        osdp.PDInfo(address, channel, scbk=key, flags=[osdp.LibFlag.EnforceSecure])
        for address in range(count)
    ]
    panel = osdp.ControlPanel(devices, log_level=osdp.LogLevel.Emergency, event_handler=heard)
    wanted = (1 << (count - dead)) - 1
    while panel.ctx.sc_status() & wanted != wanted:
        panel.ctx.refresh()
        time.sleep(OFTEN_S)
    tell("online")
    used = time.process_time()
    while not select.select([sys.stdin], [], [], 0)[0]:
        panel.ctx.refresh()
        time.sleep(OFTEN_S)
    tell("cpu", time.process_time() - used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("panel", choices=["ours", "libosdp"])
    parser.add_argument("--port", type=Path, required=True)
    parser.add_argument("--baud", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--dead", type=int, default=0)
    parser.add_argument("--key-file", type=Path, required=True)
    asked = parser.parse_args()
    how = asked.port, asked.baud, asked.count, asked.dead, asked.key_file
    if asked.panel == "ours":
        asyncio.run(ours(*how))
    else:
        theirs(*how)


if __name__ == "__main__":
    main()
