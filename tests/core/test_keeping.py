"""The recorder, the alarm desk, device states, supervision, the health watches, the secret."""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd import boot, health, recorder
from gatewayd.alarms import MAX_SIGNALS, AlarmDesk
from gatewayd.clock import SystemClock
from gatewayd.devices import DeviceDesk
from gatewayd.domain.alarm import OpenAlarm
from gatewayd.domain.events import (
    AlarmAcknowledged,
    AlarmCleared,
    AlarmRaised,
    ClockJumped,
    DeviceOffline,
    DeviceOnline,
    DoorClosed,
    GapRecorded,
    InputMalformed,
)
from gatewayd.domain.model import AlarmKind, DeviceId, DoorId
from gatewayd.domain.ports import DeviceError, JournalEntry, JournalError
from gatewayd.recorder import Recorder
from gatewayd.supervisor import feed_watchdog, notify, supervise, watchdog_interval_ns
from tests.clock import ManualClock
from tests.fakes import MemoryJournal, running

CLOSED = DoorClosed(DoorId("gate"))


class Post:
    """A recorder and an alarm desk over a journal in memory."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.journal = MemoryJournal(self.clock)
        self.failing: list[bool] = []
        self.raised: list[OpenAlarm] = []
        self.recorder = Recorder(
            self.journal, self.clock, lambda bad, _why: self.failing.append(bad)
        )
        self.alarms = AlarmDesk(self.journal, self.recorder, self.clock, self.raised.append)

    def tasks(self) -> list[object]:
        return [self.recorder.run(), self.alarms.run()]


# ------------------------------------------------------------------------------- recorder


async def test_events_are_kept_in_order_with_the_time_they_happened() -> None:
    post = Post()
    first = post.clock.now()
    post.recorder.record(CLOSED)
    await post.clock.advance(5)
    async with running(post.recorder.run()):
        post.recorder.record(DeviceOnline(DeviceId("r")))
        await post.recorder.flushed()
    assert [type(e) for e in post.journal.events] == [DoorClosed, DeviceOnline]
    assert post.journal.entries[0][2] == first


async def test_a_refusing_disk_is_tried_again_and_told_once() -> None:
    post = Post()
    post.journal.refuse = "disk full"
    async with running(post.recorder.run()):
        post.recorder.record(CLOSED)
        await post.clock.advance(3)
        assert post.failing == [True]
        assert post.recorder.waiting == 1
        post.journal.refuse = None
        await post.clock.advance(1)
        await post.recorder.flushed()
    assert post.failing == [True, False]
    assert post.journal.events == [CLOSED]


async def test_what_memory_cannot_hold_is_counted_and_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING", 2)
    post = Post()
    for _ in range(5):
        post.recorder.record(CLOSED)
    async with running(post.recorder.run()):
        await post.recorder.flushed()
    [gap] = post.journal.of(GapRecorded)
    assert isinstance(gap, GapRecorded)
    assert gap.lost == 3
    assert len(post.journal.of(DoorClosed)) == 2


async def test_a_gap_stands_where_events_are_missing_with_the_time_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING", 2)
    post = Post()
    for _ in range(3):
        post.recorder.record(CLOSED)
    began = post.clock.now()
    await post.clock.advance(5)
    post.recorder.record(CLOSED)
    async with running(post.recorder.run()):
        await post.journal.until(DoorClosed, 2)
        post.recorder.record(DeviceOnline(DeviceId("r")))
        await post.recorder.flushed()
    told = [type(event) for event in post.journal.events]
    assert told == [DoorClosed, DoorClosed, GapRecorded, DeviceOnline]
    assert post.journal.entries[2][2] == began


async def test_a_gap_that_the_disk_refuses_is_tried_again_and_waits_for_no_next_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "MAX_WAITING", 2)
    post = Post()
    for _ in range(3):
        post.recorder.record(CLOSED)
    post.journal.refuse_kind = GapRecorded
    async with running(post.recorder.run()):
        await post.clock.advance(3)
        assert len(post.journal.events) == 2
        post.journal.refuse_kind = None
        await post.clock.advance(1)
        assert [type(event) for event in post.journal.events][2:] == [GapRecorded]
        assert post.recorder.waiting == 0


# ------------------------------------------------------------------------------ alarm desk


async def test_a_repeat_folds_into_the_open_alarm() -> None:
    post = Post()
    first = await post.alarms.raise_alarm(AlarmKind.DOOR_HELD, "gate", "long")
    again = await post.alarms.raise_alarm(AlarmKind.DOOR_HELD, "gate", "long")
    assert first == again
    assert len(post.journal.of(AlarmRaised)) == 1
    assert post.alarms.open_alarms()[0].repeats == 1
    assert [a.alarm_id for a in post.raised] == [first]


async def test_of_two_guards_one_wins_and_the_other_reads_who() -> None:
    post = Post()
    alarm_id = await post.alarms.raise_alarm(AlarmKind.DOOR_HELD, "gate")
    li, wu = await asyncio.gather(
        post.alarms.acknowledge(alarm_id, "li"), post.alarms.acknowledge(alarm_id, "wu")
    )
    assert li.acknowledged_by == wu.acknowledged_by == "li"
    assert len(post.journal.of(AlarmAcknowledged)) == 1
    await post.alarms.clear(AlarmKind.DOOR_HELD, "gate")
    assert post.alarms.open_alarms() == []
    with pytest.raises(KeyError):
        await post.alarms.acknowledge(alarm_id, "li")


async def test_an_acknowledgement_that_is_not_durable_is_none() -> None:
    post = Post()
    alarm_id = await post.alarms.raise_alarm(AlarmKind.DOOR_HELD, "gate")
    post.journal.refuse = "disk full"
    with pytest.raises(JournalError):
        await post.alarms.acknowledge(alarm_id, "li")
    assert post.alarms.open_alarms()[0].acknowledged_by is None


async def test_an_alarm_is_shown_even_while_the_disk_refuses_it() -> None:
    post = Post()
    async with running(*post.tasks()):
        post.journal.refuse = "disk full"
        post.alarms.signal(AlarmKind.JOURNAL_FAILED, "journal", active=True, detail="disk full")
        await post.clock.advance(0)
        assert [a.kind for a in post.alarms.open_alarms()] == [AlarmKind.JOURNAL_FAILED]
        post.journal.refuse = None
        await post.clock.advance(2)
        await post.journal.until(AlarmRaised)
        post.alarms.signal(AlarmKind.JOURNAL_FAILED, "journal", active=False)
        await post.journal.until(AlarmCleared)


async def test_an_alarm_is_cleared_in_the_journal_after_it_was_raised_there() -> None:
    post = Post()
    async with running(post.recorder.run()):
        post.journal.refuse = "disk full"
        await post.alarms.raise_alarm(AlarmKind.DOOR_HELD, "gate")
        await post.clock.advance(0.5)
        post.journal.refuse = None  # the recorder tries again in half a second
        await post.alarms.clear(AlarmKind.DOOR_HELD, "gate")
        await post.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "gate")
        await post.clock.advance(1)
        assert [type(e) for e in post.journal.events] == [AlarmRaised, AlarmCleared, AlarmRaised]
        await post.alarms.clear(AlarmKind.DOOR_FORCED, "gate")
        assert post.journal.of(AlarmCleared)[1:] != []  # at once: nothing is waiting before it


async def test_an_alarm_does_not_wait_behind_a_doors_events() -> None:
    post = Post()
    post.recorder.record(CLOSED)
    await post.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "gate")
    assert [a.raised_seq for a in post.raised] == [1]  # which its picture is kept for


async def test_an_alarm_is_not_acknowledged_in_the_journal_before_it_was_raised_there() -> None:
    post = Post()
    async with running(post.recorder.run()):
        post.journal.refuse = "disk full"
        alarm_id = await post.alarms.raise_alarm(AlarmKind.DOOR_HELD, "gate")
        await post.clock.advance(0.5)
        post.journal.refuse = None
        with pytest.raises(JournalError, match="acknowledge it again"):
            await post.alarms.acknowledge(alarm_id, "li")
        await post.clock.advance(1)
        assert (await post.alarms.acknowledge(alarm_id, "li")).acknowledged_by == "li"
    assert [type(e) for e in post.journal.events] == [AlarmRaised, AlarmAcknowledged]


async def test_open_alarms_survive_a_restart() -> None:
    post = Post()
    alarm_id = await post.alarms.raise_alarm(AlarmKind.DOOR_FORCED, "gate")
    await post.journal.append(CLOSED)
    entries = [JournalEntry(seq, stamp, event) for seq, event, stamp in post.journal.entries]
    after = AlarmDesk(post.journal, post.recorder, post.clock)
    after.restore(entries)
    assert [(a.alarm_id, a.raised_seq) for a in after.open_alarms()] == [(alarm_id, 1)]


async def test_a_full_desk_drops_signals_and_goes_on() -> None:
    post = Post()
    for number in range(MAX_SIGNALS + 5):
        post.alarms.signal(AlarmKind.DOOR_HELD, f"d{number}", active=True)
    async with running(*post.tasks()):
        await post.journal.until(AlarmRaised, MAX_SIGNALS)


async def test_clearing_what_is_not_raised_is_nothing() -> None:
    post = Post()
    await post.alarms.clear(AlarmKind.DOOR_HELD, "gate")
    assert post.journal.events == []


# --------------------------------------------------------------------------------- devices

READER, CAMERA = DeviceId("gate-in"), DeviceId("cam")


async def test_a_device_tells_its_state_once_and_alarms_while_offline() -> None:
    post = Post()
    desk = DeviceDesk(
        [(READER, "reader"), (CAMERA, "camera")], post.clock, post.recorder, post.alarms
    )
    async with running(*post.tasks()):
        desk.online(READER, "ok")
        desk.online(READER, "ok")
        desk.offline(READER, "unplugged")
        desk.offline(CAMERA, "stalled")
        raised = await post.journal.until(AlarmRaised, 2)
        kinds = {e.alarm for e in raised if isinstance(e, AlarmRaised)}
        assert kinds == {AlarmKind.DEVICE_OFFLINE, AlarmKind.CAMERA_OFFLINE}
        desk.online(READER)
        await post.journal.until(AlarmCleared)
    assert len(post.journal.of(DeviceOnline)) == 2
    assert len(post.journal.of(DeviceOffline)) == 2
    assert [(s.device_id, s.online) for s in desk.states()] == [(READER, True), (CAMERA, False)]


async def test_a_devices_change_is_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    post = Post()
    devices = [(READER, "reader"), (CAMERA, "camera")]
    desk = DeviceDesk(devices, post.clock, post.recorder, post.alarms)
    caplog.set_level(logging.INFO, "gatewayd.devices")
    for _ in range(2):
        desk.offline(CAMERA, "stalled")
        desk.online(READER)
    desk.online(CAMERA, "h264")
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "camera cam is offline: stalled"),
        ("INFO", "reader gate-in is online"),
        ("INFO", "camera cam is online: h264"),
    ]


async def test_alarms_of_a_device_that_the_settings_no_longer_have_end_with_the_start() -> None:
    post = Post()
    before = DeviceDesk(
        [(READER, "reader"), (CAMERA, "camera")], post.clock, post.recorder, post.alarms
    )
    async with running(*post.tasks()):
        before.offline(READER, "unplugged")
        before.offline(CAMERA, "stalled")
        await post.journal.until(AlarmRaised, 2)
        while len(post.alarms.open_alarms()) < 2:
            await asyncio.sleep(0)
        now = DeviceDesk([(READER, "reader")], post.clock, post.recorder, post.alarms)
        now.end_of_removed()
        await post.journal.until(AlarmCleared)
        await post.recorder.flushed()
    still = [alarm.about for alarm in post.alarms.open_alarms() if alarm.active]
    assert still == [READER], "it is still away, and in the settings"


async def test_nonsense_on_a_line_is_counted_into_one_event_a_minute() -> None:
    post = Post()
    desk = DeviceDesk([(READER, "reader")], post.clock, post.recorder, post.alarms)
    async with running(*post.tasks()):
        for _ in range(100):
            desk.malformed(READER, "checksum")
        await post.clock.advance(61)
        desk.malformed(READER, "checksum")
        await post.recorder.flushed()
    assert [e.count for e in post.journal.of(InputMalformed) if isinstance(e, InputMalformed)] == [
        1,
        100,
    ]
    assert desk.states()[0].malformed == 101


# ----------------------------------------------------------------------------- supervision


async def test_a_declared_failure_restarts_with_a_capped_backoff() -> None:
    clock, failures, starts = ManualClock(), list[str](), list[int]()

    async def device() -> None:
        starts.append(clock.monotonic_ns())
        if len(starts) == 3:
            return
        raise DeviceError("cam: refused")

    async with running(supervise("cam", device, clock, failures.append)):
        await clock.advance(60)
    gaps = [b - a for a, b in itertools.pairwise(starts)]
    assert gaps[:3] == [200_000_000, 400_000_000, 800_000_000]
    assert max(gaps) == 5_000_000_000
    assert failures[:3] == ["cam: refused", "cam: refused", "ended by itself"]


async def test_a_steady_run_starts_the_backoff_anew() -> None:
    clock, starts = ManualClock(), list[int]()

    async def device() -> None:
        starts.append(clock.monotonic_ns())
        await clock.sleep_until(clock.monotonic_ns() + 40_000_000_000)
        raise DeviceError("cam: stalled")

    async with running(supervise("cam", device, clock)):
        await clock.advance(130)
    assert [b - a for a, b in itertools.pairwise(starts)] == [40_200_000_000] * 3


async def test_a_bug_is_not_caught() -> None:
    async def device() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await supervise("cam", device, ManualClock())


async def test_a_group_of_declared_failures_is_a_declared_failure() -> None:
    clock, failures = ManualClock(), list[str]()

    async def device() -> None:
        inner = ExceptionGroup("poll", [DeviceError("cam: no answer"), TimeoutError()])
        raise ExceptionGroup("run", [DeviceError("cam: no answer"), inner])

    async with running(supervise("cam", device, clock, failures.append)):
        await clock.advance(1)
    assert failures[0] == "TimeoutError; cam: no answer"
    assert len(failures) > 1


async def test_a_bug_beside_a_declared_failure_is_not_caught() -> None:
    async def device() -> None:
        raise ExceptionGroup("run", [DeviceError("cam: no answer"), ZeroDivisionError()])

    failures = list[str]()
    with pytest.raises(ExceptionGroup) as caught:
        await supervise("cam", device, ManualClock(), failures.append)
    assert caught.group_contains(ZeroDivisionError)
    assert failures == []


async def test_systemd_is_fed_only_after_a_self_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    line.bind(str(tmp_path / "notify"))
    line.settimeout(2)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    clock, answers = ManualClock(), iter([None, "the door's task does not answer", None])

    async def self_test() -> str | None:
        return next(answers, None)

    with line:
        async with running(feed_watchdog(self_test, clock, 5_000_000_000)):
            await clock.advance(10)
        said = [line.recv(200).decode() for _ in range(3)]
    assert [s.split("=")[0] for s in said] == ["WATCHDOG", "STATUS", "WATCHDOG"]


def test_without_systemd_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    assert not notify("READY=1")
    assert watchdog_interval_ns() is None


def test_an_abstract_socket_is_spoken_to(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("\0gatewayd-test-notify")
        line.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", "@gatewayd-test-notify")
        assert notify("READY=1")
        assert line.recv(100) == b"READY=1"


def test_the_watchdog_interval_is_a_third_of_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "15000000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    assert watchdog_interval_ns() == 5_000_000_000
    monkeypatch.setenv("WATCHDOG_PID", "1")
    assert watchdog_interval_ns() is None


# ---------------------------------------------------------------------------------- health


async def test_a_jump_of_a_year_is_journaled_and_alarmed_and_a_slew_is_not() -> None:
    post = Post()
    async with running(*post.tasks(), health.watch_clock(post.clock, post.recorder, post.alarms)):
        await post.clock.advance(3)
        post.clock.jump_wall(0.5)
        await post.clock.advance(3)
        assert post.journal.of(ClockJumped) == []
        post.clock.jump_wall(-365 * 86_400)
        await post.clock.advance(1)
        [jumped] = await post.journal.until(ClockJumped)
    assert isinstance(jumped, ClockJumped)
    assert jumped.by_ms == -365 * 86_400_000
    assert len(post.journal.of(AlarmRaised)) == 1


async def test_little_space_raises_an_alarm_until_there_is_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, space = Post(), [50, 105, 111]
    monkeypatch.setattr(health, "free_mb", lambda _directory: space.pop(0))
    async with running(*post.tasks(), health.watch_space(tmp_path, 100, post.clock, post.alarms)):
        await post.journal.until(AlarmRaised)
        await post.clock.advance(30)
        assert post.journal.of(AlarmCleared) == []
        await post.clock.advance(29)
        space.append(111)
        await post.clock.advance(1)
        await post.journal.until(AlarmCleared)


async def test_a_list_that_cannot_be_read_is_tried_again_every_minute() -> None:
    post, tries = Post(), list[int]()

    class Unreadable:
        async def read_again(self) -> None:
            tries.append(post.clock.monotonic_ns())

    async with running(health.watch_list(Unreadable(), post.clock)):
        await post.clock.advance(125)
    assert len(tries) == 2


def test_free_space_is_told_in_megabytes(tmp_path: Path) -> None:
    assert health.free_mb(tmp_path) > 0


# --------------------------------------------------------------------- the secret, the clock


def test_the_secret_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    first = boot.keep_secret(path)
    assert boot.keep_secret(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_one_gateways_until_its_process_ends(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    hold = (
        "import sys; from pathlib import Path; from gatewayd.boot import sole_gateway\n"
        "with sole_gateway(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        wanted = pytest.raises(boot.OtherGatewayError, match=f"directory {directory}$")
        with wanted, boot.sole_gateway(directory):
            pytest.fail("two at once")
        other.kill()
    with boot.sole_gateway(directory):
        assert directory.is_dir()


def test_a_damaged_secret_is_refused_with_a_hint(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="restore it from a backup"):
        boot.keep_secret(path)


async def test_the_system_clock_runs_forward_and_sleeps_no_shorter_than_asked() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep_until(before.monotonic_ns + 1_000_000)
    await clock.sleep_until(0)
    after = clock.now()
    assert after.monotonic_ns - before.monotonic_ns >= 1_000_000
    assert after.boot_id == before.boot_id
    assert after.wall_trusted
    assert replace(after, wall_ms=0).wall_ms == 0
