"""Pictures as files: names, budget, crashes, a full disk."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gatewayd.store.media import MediaError, PictureFiles, free_bytes, picture_name

DAY_MS = 86_400_000
WALL_MS = 1_795_392_000_000  # 2026-11-23T00:00:00Z


def files_in(folder: Path, budget: int = 1000) -> PictureFiles:
    return PictureFiles(folder, budget)


def names(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def refuse(code: int) -> Callable[..., None]:
    def fail(*_args: object, **_named: object) -> None:
        raise OSError(code, os.strerror(code))

    return fail


def test_a_picture_is_kept_under_its_date_event_and_camera(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    stored = files.save(b"jpeg", 1234, "cam-gate", WALL_MS)
    assert stored.name == "2026-11-23/0000001234-cam-gate.jpg"
    assert (stored.size, stored.sha256) == (4, hashlib.sha256(b"jpeg").hexdigest())
    path = files.open_picture(stored.name)
    assert path.read_bytes() == b"jpeg"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "2026-11-23").stat().st_mode) & 0o007 == 0
    assert (files.total_bytes, len(files)) == (4, 1)


@pytest.mark.parametrize(
    ("wall_ms", "day"),
    [(-1, "1969-12-31"), (0, "1970-01-01"), (10**18, "9999-12-31"), (WALL_MS, "2026-11-23")],
)
def test_any_clock_gives_a_name(wall_ms: int, day: str) -> None:
    assert picture_name(7, "gate", wall_ms) == f"{day}/0000000007-gate.jpg"


@pytest.mark.parametrize("camera_id", ["", "../x", "a/b", "A", "-a", "a" * 33, "a\n"])
def test_a_camera_id_that_is_no_file_name_is_refused(camera_id: str) -> None:
    with pytest.raises(MediaError, match="makes no picture name"):
        picture_name(1, camera_id, WALL_MS)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "2026-11-23/../../secret.jpg",
        "2026-11-23/0000000001-gate.jpg\n",
        "2026-11-23/0000000001-gate.jpg\0",
        "2026-11-23//0000000001-gate.jpg",
        "2026-11-23/0000000001-../gate.jpg",
        "٢٠٢٦-11-23/0000000001-gate.jpg",
        "2026-11-23/0000000001-gate.tmp",
        "",
    ],
)
def test_no_other_file_can_be_opened(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match="no picture name"):
        files_in(tmp_path).open_picture(name)


def test_a_picture_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"can't open picture 2026.*No such file"):
        files_in(tmp_path).open_picture("2026-11-23/0000000001-gate.jpg")


def test_a_link_planted_under_a_pictures_name_is_not_followed(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    stored = files.save(b"jpeg", 1, "gate", WALL_MS)
    (tmp_path / stored.name).unlink()
    (tmp_path / stored.name).symlink_to("/etc/passwd")
    with pytest.raises(MediaError, match="not an ordinary file"):
        files.open_picture(stored.name)


def test_the_oldest_go_first_when_the_budget_is_full(tmp_path: Path) -> None:
    files = files_in(tmp_path, budget=300)
    for seq in (1, 2, 3):
        files.save(bytes(100), seq, "gate", WALL_MS + (5 - seq) * DAY_MS)  # the clock runs back
    files.save(bytes(150), 4, "gate", WALL_MS)
    assert names(tmp_path) == ["2026-11-23/0000000004-gate.jpg", "2026-11-25/0000000003-gate.jpg"]
    assert not (tmp_path / "2026-11-27").exists()  # nor its empty folder
    assert (files.total_bytes, len(files)) == (250, 2)


def test_a_picture_of_an_open_alarm_stays_though_it_is_the_oldest(tmp_path: Path) -> None:
    files = files_in(tmp_path, budget=300)
    for seq in (1, 2, 3):
        files.save(bytes(100), seq, "gate", WALL_MS)
    files.save(bytes(100), 4, "gate", WALL_MS, protected={1, 2})
    left = [path.name for path in sorted((tmp_path / "2026-11-23").iterdir())]
    assert left == [f"000000000{seq}-gate.jpg" for seq in (1, 2, 4)]


def test_nothing_goes_when_all_that_could_go_is_not_enough(tmp_path: Path) -> None:
    files = files_in(tmp_path, budget=300)
    for seq in (1, 2, 3):
        files.save(bytes(100), seq, "gate", WALL_MS)
    with pytest.raises(MediaError, match=r"budget of 300 bytes.*open alarms"):
        files.save(bytes(150), 4, "gate", WALL_MS, protected={1, 2})
    assert (files.total_bytes, len(names(tmp_path))) == (300, 3)


def test_a_picture_larger_than_the_budget_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="budget of 300 bytes"):
        files_in(tmp_path, budget=300).save(bytes(301), 1, "gate", WALL_MS)


def test_when_the_disk_is_nearly_full_the_folder_stops_growing(tmp_path: Path) -> None:
    free = 10_000
    files = PictureFiles(tmp_path, 10_000, reserve_bytes=5_000, free=lambda _path: free)
    for seq in (1, 2, 3):
        files.save(bytes(100), seq, "gate", WALL_MS)
    free = 5_050
    files.save(bytes(100), 4, "gate", WALL_MS)
    assert (files.total_bytes, len(files)) == (300, 3)
    with pytest.raises(MediaError, match="disk space"):
        files.save(bytes(400), 5, "gate", WALL_MS)


def test_the_same_events_picture_again_replaces_the_first(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    files.save(bytes(100), 1, "gate", WALL_MS)
    files.save(bytes(70), 1, "gate", WALL_MS)
    files.save(bytes(30), 1, "yard", WALL_MS)
    assert (files.total_bytes, len(files)) == (100, 2)


def test_a_discarded_picture_is_gone_and_uncounted(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    stored = files.save(bytes(100), 1, "gate", WALL_MS)
    files.discard(2, "2026-11-23/0000000002-gate.jpg")
    files.discard(1, stored.name)
    assert (files.total_bytes, names(tmp_path)) == (0, [])


def test_a_disk_that_does_not_let_go_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_in(tmp_path)
    stored = files.save(bytes(100), 1, "gate", WALL_MS)
    monkeypatch.setattr(Path, "unlink", refuse(errno.EIO))
    with pytest.raises(MediaError, match=r"can't remove picture 2026.*check the disk"):
        files.discard(1, stored.name)
    assert files.total_bytes == 100


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace", "os.fchmod"])
def test_a_full_disk_leaves_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    files = files_in(tmp_path)
    files.save(b"first", 1, "gate", WALL_MS)
    with monkeypatch.context() as no_room:
        no_room.setattr(step, refuse(errno.ENOSPC))
        with pytest.raises(MediaError, match=r"can't keep picture .*; free some disk space"):
            files.save(b"second", 2, "gate", WALL_MS)
    assert names(tmp_path) == ["2026-11-23/0000000001-gate.jpg"]
    assert files.total_bytes == 5
    files.save(b"third", 3, "gate", WALL_MS)
    assert files.total_bytes == 10


def test_a_folder_that_cannot_be_synced_gives_up_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = files_in(tmp_path)
    files.save(b"first", 1, "gate", WALL_MS)
    real = os.fsync

    def only_files(number: int) -> None:
        if stat.S_ISDIR(os.fstat(number).st_mode):
            raise OSError(errno.EIO, "I/O error")
        real(number)

    monkeypatch.setattr("os.fsync", only_files)
    with pytest.raises(MediaError, match="check the disk"):
        files.save(b"second", 2, "gate", WALL_MS)
    assert names(tmp_path) == ["2026-11-23/0000000001-gate.jpg"]


def test_a_half_written_file_that_cannot_be_removed_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    files = files_in(tmp_path)
    monkeypatch.setattr("os.fsync", refuse(errno.ENOSPC))
    (tmp_path / "2026-11-23").mkdir()
    monkeypatch.setattr(Path, "unlink", refuse(errno.EROFS))
    with pytest.raises(MediaError):
        files.save(b"x", 1, "gate", WALL_MS)
    assert "half-written picture could not be removed" in caplog.text


KILLED = """
import os, pathlib, signal, sys
from gatewayd.store.media import PictureFiles
files = PictureFiles(pathlib.Path(sys.argv[1]), 1000)
files.save(b"whole", 1, "gate", 1795392000000)
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
files.save(b"half", 2, "gate", 1795392000000)
"""


def test_a_kill_between_writing_and_naming_is_healed_at_the_next_start(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=30)
    assert done.returncode == -signal.SIGKILL
    assert names(tmp_path) == ["2026-11-23/0000000001-gate.jpg", "2026-11-23/0000000002-gate.tmp"]
    files = files_in(tmp_path)
    assert names(tmp_path) == ["2026-11-23/0000000001-gate.jpg"]
    assert (files.total_bytes, len(files)) == (5, 1)


def test_a_start_adds_up_what_is_there_and_leaves_strangers_alone(tmp_path: Path) -> None:
    files = files_in(tmp_path)
    for seq in (1, 2):
        files.save(bytes(100), seq, "gate", WALL_MS + seq * DAY_MS)
    (tmp_path / "2026-11-24" / "notes.txt").write_text("the guard's")
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "lost+found" / "x.tmp").write_text("not ours")
    (tmp_path / "2026-11-01").symlink_to("/etc")
    (tmp_path / "2026-11-02").write_text("a file where a folder would be")
    again = files_in(tmp_path, budget=250)
    assert (again.total_bytes, len(again)) == (200, 2)
    again.save(bytes(100), 3, "gate", WALL_MS)
    assert (tmp_path / "2026-11-24" / "notes.txt").exists()
    assert (tmp_path / "lost+found" / "x.tmp").exists()
    assert not (tmp_path / "2026-11-24" / "0000000001-gate.jpg").exists()


def test_a_folder_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(MediaError, match="can't open the folder of pictures"):
        files_in(tmp_path / "taken")


def test_free_space_is_what_the_file_system_says(tmp_path: Path) -> None:
    space = os.statvfs(tmp_path)
    assert abs(free_bytes(tmp_path) - space.f_bavail * space.f_frsize) < 1 << 30


def test_the_store_of_pictures_needs_no_video_library() -> None:
    code = (
        "import sys, gatewayd.cameras, gatewayd.store.media; "
        "sys.exit('cv2' in sys.modules or 'av' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode == 0
