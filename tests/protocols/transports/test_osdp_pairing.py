"""A device is given its key: in the right order on disk and on the wire, whole or not at all."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.buses.osdp import OsdpPlace
from drivers.buses.osdp_keys import KeyFile, read_key
from drivers.buses.osdp_pairing import Pairing
from drivers.protocols.osdp.commands import KEYSET_CODE
from drivers.protocols.osdp.replies import Nak, NakCode
from drivers.protocols.osdp.session import State
from drivers.readers.osdp import OsdpReader
from gatewayd.domain.ports import (
    DeviceError,
    Offline,
    Online,
    Presented,
    ReaderEvent,
    SecurityFailed,
)
from simulators.osdp_device import SimulatedOsdpDevice
from simulators.osdp_faults import OsdpFault
from simulators.osdp_line import SimulatedOsdpLine
from tests.protocols.transports.osdp_rig import (
    KEY,
    OTHER_KEY,
    LeapingClock,
    Panel,
    Watched,
    card,
    device,
    of,
    online,
    panel_and_line,
    panel_at,
    tap,
)

PATIENCE_S = 20
Told = Watched[OsdpReader, ReaderEvent]


def reader_of(panel: Panel, path: Path, address: int = 0) -> Told:
    """A reader whose key file is at `path`, there or not."""
    file = f"key-{KEY.hex()[:8]}"
    assert path.name != file  # `place` would write it
    options = panel.place(address, KEY) | {"key_file": path}
    panel.place = lambda *_: options  # type: ignore[method-assign]  # the same place, this file
    return panel.reader(address)


def keep(path: Path, key: bytes) -> None:
    path.write_text(key.hex() + "\n")
    path.chmod(0o600)


@asynccontextmanager
async def gate(
    folder: Path, reader: SimulatedOsdpDevice, **options: Any
) -> AsyncIterator[tuple[Panel, SimulatedOsdpLine, Told]]:
    async with (
        asyncio.timeout(PATIENCE_S),
        panel_and_line(folder, reader, clock=LeapingClock(), **options) as (panel, line),
    ):
        watched = reader_of(panel, folder / "reader.key")
        panel.start()
        yield panel, line, watched


# ------------------------------------------------------------------------------- all is well


async def test_a_new_reader_gets_a_key_of_its_own_and_is_online_under_it(tmp_path: Path) -> None:
    reader, file = device(key=None), tmp_path / "reader.key"
    async with gate(tmp_path, reader) as (_panel, _line, watched):
        assert await watched.ear.next() == Offline(
            f"it has no key yet, there is no {file}: run gatewayd osdp pair"
        )
        told = await watched.driver.pair(new_device=False)
        assert str(file) in told
        await online(watched)
        assert reader.key == read_key(file)
        assert reader.key not in (None, bytes(16))
        assert not reader.secure_with_default_key
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert not file.with_name("reader.key.new").exists()
        bits = tap(reader)
        assert await card(watched) == bits


async def test_a_reader_without_a_key_is_not_spoken_to_before_its_window(tmp_path: Path) -> None:
    reader, other = device(0, key=None), device(1)
    async with (
        asyncio.timeout(PATIENCE_S),
        panel_and_line(tmp_path, reader, other) as (panel, _line),
    ):
        neighbour = panel.reader(1)
        watched = reader_of(panel, tmp_path / "reader.key")
        panel.start()
        await online(neighbour)
        await other.wait_until(lambda: other.link.commands > 60)
        assert reader.link.commands == reader.link.refused == 0
        assert [type(e) for e in [await watched.ear.next()]] == [Offline]


async def test_a_paired_reader_changes_its_key_under_the_one_it_has(tmp_path: Path) -> None:
    keep(tmp_path / "reader.key", KEY)
    reader = device()
    async with gate(tmp_path, reader) as (_panel, _line, watched):
        await online(watched)
        await watched.driver.pair(new_device=False)
        assert reader.key not in (KEY, None)
        assert read_key(tmp_path / "reader.key") == reader.key
        bits = tap(reader)
        assert await card(watched) == bits  # and nobody was told that it was away
        assert watched.ear.waiting == 0


async def test_a_replaced_reader_is_paired_as_a_new_device(tmp_path: Path) -> None:
    keep(tmp_path / "reader.key", KEY)
    reader = device(key=None)
    async with gate(tmp_path, reader) as (_panel, _line, watched):
        told = await watched.ear.until(lambda event: isinstance(event, Offline))
        assert of(SecurityFailed, told)  # outside a window the default key is an attack
        with pytest.raises(DeviceError, match="pair it as a new device"):
            await watched.driver.pair(new_device=False)
        assert reader.keys_set == 0
        assert read_key(tmp_path / "reader.key") == KEY
        await watched.driver.pair(new_device=True)
        assert reader.key == read_key(tmp_path / "reader.key") != KEY
        await watched.until(Online)


async def test_an_acknowledgement_in_clear_text_will_do_where_a_session_proves_it(
    tmp_path: Path,
) -> None:
    reader = device(key=None)
    async with gate(tmp_path, reader) as (_panel, line, watched):
        line.fault(OsdpFault.CLEAR_KEYSET_ACK, 0, 1)
        await watched.driver.pair(new_device=False)
        assert reader.key == read_key(tmp_path / "reader.key")


async def test_a_reader_that_is_fitted_during_the_window_is_waited_for(tmp_path: Path) -> None:
    reader = device(key=None)
    async with gate(tmp_path, reader) as (_panel, line, watched):
        line.fault(OsdpFault.SILENCE, 0, 12)
        await watched.driver.pair(new_device=False)
        assert reader.key == read_key(tmp_path / "reader.key")


# --------------------------------------------------------------------------- what goes wrong


async def test_a_lost_acknowledgement_is_found_out_by_the_new_key(tmp_path: Path) -> None:
    keep(tmp_path / "reader.key", KEY)
    reader = device()
    async with gate(tmp_path, reader) as (_panel, line, watched):
        await online(watched)
        reader.key_changed = lambda: line.fault(OsdpFault.SILENCE, 0, 4)  # all its tries, and one
        await watched.driver.pair(new_device=False)
        assert reader.keys_set == 1
        assert reader.key == read_key(tmp_path / "reader.key") != KEY


async def test_a_reader_that_refuses_keys_keeps_the_one_it_has(tmp_path: Path) -> None:
    keep(tmp_path / "reader.key", KEY)
    reader = device()
    carry_out = reader.link._carry_out

    def refuse_keys(command: Any, data: bytes, sealed: bool) -> Any:
        if command.code == KEYSET_CODE:
            line.fault(OsdpFault.NAK, 0, 1, 9)
            return reader.link._answer(command, data, sealed=sealed)
        return carry_out(command, data, sealed)

    async with gate(tmp_path, reader) as (_panel, line, watched):
        reader.link._carry_out = refuse_keys
        await online(watched)
        with pytest.raises(DeviceError, match=r"refuses to take a key \(NAK 9"):
            await watched.driver.pair(new_device=False)
        bits = tap(reader)
        [*_, found] = await watched.until(Presented)
        assert isinstance(found, Presented)
        assert int(found.credential.value, 16) == bits
        assert reader.key == KEY
        assert read_key(tmp_path / "reader.key") == KEY
        assert not (tmp_path / "reader.key.new").exists()  # a session told which one it has


async def test_a_forged_reply_while_the_key_is_set_is_an_attack_and_ends_the_pairing(
    tmp_path: Path,
) -> None:
    reader = device(key=None)
    async with gate(tmp_path, reader) as (_panel, line, watched):
        reader.key_changed = lambda: line.fault(OsdpFault.BIT_FLIP, 0, 1)
        with pytest.raises(DeviceError, match="wrong mac"):
            await watched.driver.pair(new_device=False)
        assert of(SecurityFailed, await watched.until(SecurityFailed))
        await watched.until(Online)  # the key it was told is tried, and is the right one
        while (tmp_path / "reader.key.new").exists():  # a thread's work
            await asyncio.sleep(0)
        assert reader.key == read_key(tmp_path / "reader.key")


async def test_a_window_that_ends_leaves_nothing_behind(tmp_path: Path) -> None:
    reader = device(key=None)
    async with gate(tmp_path, reader) as (panel, line, watched):
        line.fault(OsdpFault.SILENCE, 0)
        pairing = panel.run(watched.driver.pair(new_device=False))  # type: ignore[arg-type]  # its word is not asked for
        while not (tmp_path / "reader.key.new").exists():
            await asyncio.sleep(0)
        pairing.cancel()
        while (tmp_path / "reader.key.new").exists():
            await asyncio.sleep(0)
        line.clear()
        handled = line.frames
        await asyncio.wait({pairing})
        assert line.frames <= handled + 1
        assert reader.key is None


async def test_a_device_that_speaks_clear_text_by_setting_is_not_paired(tmp_path: Path) -> None:
    async with panel_and_line(tmp_path, device(key=None)) as (panel, _line):
        watched = panel.reader(key=None)
        with pytest.raises(DeviceError, match="clear_text"):
            await watched.driver.pair(new_device=False)


async def test_where_the_key_can_not_be_written_no_device_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write anywhere, so the folder is one that is not there any more."""
    folder = tmp_path / "keys"
    folder.mkdir()
    reader = device(key=None)
    async with (
        asyncio.timeout(PATIENCE_S),
        panel_and_line(tmp_path, reader) as (panel, _line),
    ):
        watched = reader_of(panel, folder / "reader.key")
        panel.start()
        folder.rmdir()
        with pytest.raises(DeviceError, match=r"folder that gatewayd may write.*nothing was"):
            await watched.driver.pair(new_device=False)
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        with pytest.raises(DeviceError, match=r"systemd credential.*/var/lib/gatewayd/keys"):
            await watched.driver.pair(new_device=False)
        assert reader.link.commands == 0


async def test_two_pairings_at_a_time_are_one_too_many(tmp_path: Path) -> None:
    reader = device(key=None)
    async with gate(tmp_path, reader) as (panel, line, watched):
        line.fault(OsdpFault.SILENCE, 0)
        panel.run(watched.driver.pair(new_device=False))  # type: ignore[arg-type]  # its word is not asked for
        while not (tmp_path / "reader.key.new").exists():
            await asyncio.sleep(0)
        with pytest.raises(DeviceError, match="already"):
            await watched.driver.pair(new_device=False)


# ------------------------------------------------------------------ the power fails, each time


PROOF = "proof"  # the last step of the second opening, under the new key
STEPS = [*(s for s in State if s not in (State.CLOSED, State.OPEN)), PROOF]


def cuts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("reader.key*"))


@pytest.mark.parametrize("before", [None, KEY], ids=["a new reader", "a key change"])
@pytest.mark.parametrize("at", STEPS)
@pytest.mark.parametrize("when", ["asked", "answered"])
async def test_a_power_cut_at_any_step_leaves_a_reader_whose_key_is_known(
    tmp_path: Path, before: bytes | None, at: str, when: str
) -> None:
    """The panel dies as the command of that step goes out (asked), or as its answer is in
    (answered); another one begins with the files that are there."""
    file, reader = tmp_path / "reader.key", device(key=before)
    if before is not None:
        keep(file, before)
    line_up = SimulatedOsdpLine(tmp_path / "ttyOSDP", [reader], baud=115_200)
    async with asyncio.timeout(PATIENCE_S), line_up:
        async with panel_at(tmp_path / "ttyOSDP", clock=LeapingClock()) as panel:
            watched = reader_of(panel, file)
            die = die_at(panel, at, when)
            panel.start()
            pairing = panel.run(watched.driver.pair(new_device=False))  # type: ignore[arg-type]  # as above
            await die.wait()
            found = {name: (tmp_path / name).read_bytes() for name in cuts(tmp_path)}
            for task in panel._tasks:
                task.cancel()
            await asyncio.wait({pairing, *panel._tasks})
        for name in cuts(tmp_path):  # as the cut left them, not as a tidy end would
            (tmp_path / name).unlink()
        for name, content in found.items():
            (tmp_path / name).write_bytes(content)
        known = KeyFile(file).candidates
        assert reader.key is None or reader.key in known
        reader.power_cycle()
        async with panel_at(tmp_path / "ttyOSDP", clock=LeapingClock()) as panel:
            watched = reader_of(panel, file)
            panel.start()
            if reader.key is None:  # it never heard of a key: a second window does it
                await watched.driver.pair(new_device=False)
            told = await watched.until(Online)
            assert not of(SecurityFailed, told)  # an interrupted pairing is no attack
            while cuts(tmp_path) != ["reader.key"]:
                await asyncio.sleep(0)
            assert read_key(file) == reader.key


def die_at(panel: Panel, at: str, when: str) -> asyncio.Event:
    """Set, and the panel is silent for ever, at that step of a pairing."""
    write, dead = panel.bus._line.write, asyncio.Event()
    [each] = panel.bus._devices.values()

    async def watch(frame: bytes) -> None:
        pairing, state = each._choice.pairing, each.session.state
        proof = pairing is not None and pairing.acknowledged
        here = (proof and state is State.CRYPT) if at == PROOF else state == at
        if pairing is not None and here:
            if when == "answered":
                await write(frame)
                while not panel.bus._came:
                    await asyncio.sleep(0)
            dead.set()
            await asyncio.Event().wait()
        await write(frame)

    panel.bus._line.write = watch  # type: ignore[method-assign,assignment]  # it only watches
    return dead


@pytest.mark.parametrize("before", [None, KEY], ids=["a new reader", "a key change"])
async def test_a_file_that_can_not_be_moved_is_used_where_it_is(
    tmp_path: Path, before: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a power cut between the proof and the move."""
    if before is not None:
        keep(tmp_path / "reader.key", before)
    reader = device(key=before)
    real = Path.replace
    async with gate(tmp_path, reader) as (_panel, _line, watched):
        monkeypatch.setattr(Path, "replace", _refuse)
        assert "reader.key.new" in await watched.driver.pair(new_device=False)
        await watched.until(Online)
    monkeypatch.setattr(Path, "replace", real)
    assert KeyFile(tmp_path / "reader.key").candidates[0] == reader.key
    reader.power_cycle()
    async with gate(tmp_path, reader) as (_panel, _line, watched):
        assert not of(SecurityFailed, await watched.until(Online))
        while cuts(tmp_path) != ["reader.key"]:
            await asyncio.sleep(0)
    assert read_key(tmp_path / "reader.key") == reader.key


def _refuse(_path: Path, _target: Path) -> Path:
    raise OSError(30, "Read-only file system")


def test_half_a_new_key_was_never_told_to_anybody(tmp_path: Path) -> None:
    file = tmp_path / "reader.key"
    file.with_name("reader.key.new").write_text("0011")
    keys = KeyFile(file)
    assert keys.candidates == []
    assert read_key(keys.pending_path if keys.make_pending() else file) == keys.pending


def test_a_place_with_a_key_file_that_is_not_there_yet_is_no_fault(tmp_path: Path) -> None:
    from drivers.buses.osdp import faults_of

    place = OsdpPlace(bus="b", address=0, key_file=tmp_path / "reader.key")
    assert faults_of(place) == []


async def test_a_nak_that_tells_of_a_lost_session_does_not_end_a_pairing() -> None:
    pairing = Pairing(KEY, OTHER_KEY, left_over=None)
    pairing.refused(Nak(NakCode.CANNOT_PROCESS))  # of something else than KEYSET
    pairing.asks(State.INSTALL)
    pairing.refused(Nak(NakCode.SECURITY_NOT_MET))
    assert not pairing.done.done()
    pairing.refused(Nak(NakCode.CANNOT_PROCESS))
    assert pairing.done.exception() is not None
    pairing.succeed("too late")
    assert not pairing.succeeded
