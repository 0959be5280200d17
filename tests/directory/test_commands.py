"""`gatewayd import`, `export` and `whitelist`: a dry run first, the daemon puts it in force, and a
central system can take over."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from openpyxl import load_workbook

from gatewayd.directory import commands
from gatewayd.directory.commands import (
    Terminal,
    export_lists,
    hand_over,
    import_lists,
    operator_name,
    show_list,
)
from gatewayd.directory.listing import record_of
from gatewayd.directory.package import Inbox
from gatewayd.directory.problem import DirectoryError
from gatewayd.directory.words import Language
from gatewayd.domain.events import OperatorOrdered
from gatewayd.domain.model import PersonId, card
from gatewayd.domain.pin import person_pin
from gatewayd.domain.wiegand import encode
from gatewayd.settings.model import (
    DoorSettings,
    LinkSettings,
    Settings,
    SiteSettings,
    StorageSettings,
)
from gatewayd.store.hand_over import read_mark
from tests.directory.box import Box, box
from tests.directory.files import CREDENTIALS, PEOPLE, SITE, csv_file, workbook

WANG = card(encode("H10301", 12, 34567), 26)


@dataclass
class Screen:
    """What a command said; `pause` moves a clock of its own, and the daemon if there is one."""

    said: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    progress: list[str] = field(default_factory=list)
    time_s: float = 0.0
    paused: int = 0
    daemon: Box | None = None
    loop: asyncio.AbstractEventLoop | None = None

    @property
    def terminal(self) -> Terminal:
        return Terminal(
            self.said.append, self.noted.append, self.progress.append, lambda: self.time_s,
            self._pause,
        )  # fmt: skip

    def _pause(self, seconds: float) -> None:
        self.time_s += seconds
        self.paused += 1
        if self.daemon is not None and self.loop is not None:
            look = self.daemon.arrivals.look()
            asyncio.run_coroutine_threadsafe(look, self.loop).result(30)


def settings(folder: Path, *, link: bool = False) -> Settings:
    doors = tuple(
        DoorSettings(id=id_, name=name, controller="board", relay=n)
        for n, (id_, name) in enumerate({"main-gate": "大门", "garage": "车库"}.items(), 1)
    )
    line = LinkSettings(host="centre", central_keys_file=folder / "keys") if link else None
    return Settings(
        site=SiteSettings(id="site", name="云栖花园", gateway="gate-1"),
        storage=StorageSettings(directory=folder),
        door=doors,
        link=line,
    )


def whole_site(folder: Path) -> Path:
    return workbook(folder / "site.xlsx", SITE)


async def imported(at: Box, *paths: Path) -> Screen:
    """Import with --apply while the daemon of that box runs."""
    screen = Screen(daemon=at, loop=asyncio.get_running_loop())
    site = settings(at.folder)
    done = await asyncio.to_thread(import_lists, site, paths, screen.terminal, apply=True)
    assert done == ("applied" in " ".join(screen.said) or "nothing to change" in screen.said)
    return screen


# ----------------------------------------------------------------------------------- import


def test_a_dry_run_says_what_would_change_and_changes_nothing(tmp_path: Path) -> None:
    screen, data = Screen(), tmp_path / "data"
    path = whole_site(tmp_path)
    assert import_lists(settings(data), [path], screen.terminal, apply=False)
    assert "people: 2 added, 0 changed, 0 removed, 0 as before" in screen.said
    assert "  + p-17 6-2-1203" in screen.said
    assert screen.said[-1].startswith("this was a dry run, nothing was changed")
    assert screen.noted == ["note: group 'gates': this box has no door side"]
    assert not data.exists()


def test_pins_are_hashed_with_the_key_of_the_settings(tmp_path: Path) -> None:
    path, screen = csv_file(tmp_path / "people.csv", "id,name,pin", "p-1,x,1234"), Screen()
    key_file, plain = tmp_path / "pin-key", settings(tmp_path / "data")
    site = plain.site.model_copy(update={"pin_key_file": key_file})
    keyed = plain.model_copy(update={"site": site})
    with pytest.raises(DirectoryError, match="pin-key can't be used"):
        import_lists(keyed, [path], screen.terminal, apply=False)
    key_file.write_text("k" * 16 + "\n")
    key_file.chmod(0o600)
    assert import_lists(keyed, [path], screen.terminal, apply=True)
    waiting = commands._waiting(Inbox(tmp_path / "data"))
    assert waiting is not None
    [line] = waiting["person"].values()
    assert record_of(line)["pin"] == person_pin(b"k" * 16, PersonId("p-1"), "1234")


def test_bad_rows_are_all_told_and_nothing_is_applied(tmp_path: Path) -> None:
    screen, data = Screen(), tmp_path / "data"
    path = workbook(tmp_path / "a.xlsx", {"人员": [*PEOPLE[:1], ["王", "x"], ["李", "y"]]})
    assert not import_lists(settings(data), [path], screen.terminal, apply=True)
    assert [line.split(": ")[0] for line in screen.noted[:2]] == [
        "a.xlsx, sheet 人员, row 2, column A (编号)",
        "a.xlsx, sheet 人员, row 3, column A (编号)",
    ]
    assert screen.noted[2] == "2 to correct; nothing was changed"
    assert screen.said == []
    assert not (data / "inbox" / "ready").exists()
    assert not (data / "local-key").exists()


async def test_the_running_daemon_applies_it_and_the_journal_says_who(tmp_path: Path) -> None:
    async with box(tmp_path / "data") as at:
        screen = await imported(at, whole_site(tmp_path))
        assert screen.said[-1] == "applied: revision 1 decides"
        assert at.store.snapshot(WANG).record is not None
        [order] = await at.of(OperatorOrdered)
        assert order.operator == operator_name()
        assert order.reason.startswith("site.xlsx sha256:")
        again = await imported(at, whole_site(tmp_path))
        assert again.said[-1] == "nothing to change"
        assert again.paused == 0


async def test_an_export_edited_and_imported_again_changes_just_that(tmp_path: Path) -> None:
    async with box(tmp_path / "data") as at:
        await imported(at, whole_site(tmp_path))
        screen = Screen()
        export_lists(settings(at.folder), tmp_path / "out.xlsx", Language.CHINESE, screen.terminal)
        assert screen.said[-1] == (
            "revision 1 (2 calendars, 2 schedules, 1 groups, 3 levels, 2 people, 3 credentials)"
        )
        book = load_workbook(tmp_path / "out.xlsx")
        book["人员"]["F2"].value = "1303"
        book["凭证"].delete_rows(3)
        book.save(tmp_path / "out.xlsx")
        edited = await imported(at, tmp_path / "out.xlsx")
        assert "  ~ p-17 6-2-1303: room" in edited.said
        assert "credentials: 0 added, 0 changed, 1 removed, 2 as before" in edited.said
        assert edited.said[-1] == "applied: revision 2 decides"


async def test_a_folder_is_imported_as_it_was_exported(tmp_path: Path) -> None:
    async with box(tmp_path / "data") as at:
        await imported(at, whole_site(tmp_path))
        site, screen = settings(at.folder), Screen()
        export_lists(site, tmp_path / "out", Language.CHINESE, screen.terminal)
        assert (await imported(at, tmp_path / "out")).said[-1] == "nothing to change"
        with pytest.raises(DirectoryError, match="would be neither a workbook nor a folder"):
            export_lists(site, tmp_path / "out.pdf", Language.CHINESE, screen.terminal)
    (tmp_path / "bare").mkdir()
    with pytest.raises(DirectoryError, match="no CSV file in the folder"):
        import_lists(site, [tmp_path / "bare"], screen.terminal, apply=False)


async def test_one_table_alone_leaves_the_others(tmp_path: Path) -> None:
    async with box(tmp_path / "data") as at:
        await imported(at, whole_site(tmp_path))
        path = csv_file(tmp_path / "people.csv", "id,name", "p-17,王芳", "p-18,x", "p-19,y")
        screen = await imported(at, path)
        assert screen.said[-1] == "applied: revision 2 decides"
        assert at.store.snapshot(WANG).record is not None


async def test_what_the_daemon_refuses_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "keep_key", lambda _folder: _stranger())
    async with box(tmp_path / "data") as at:
        (at.folder / "local-key").write_bytes(b"k" * 32)
        screen = await imported(at, whole_site(tmp_path))
        assert screen.noted[-1] == (
            "refused by gatewayd, the old list decides: the signature does not verify"
        )


def _stranger() -> object:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.generate()


def test_without_a_daemon_it_waits_for_the_next_start(tmp_path: Path) -> None:
    data, screen = tmp_path / "data", Screen()
    path = whole_site(tmp_path)
    assert import_lists(settings(data), [path], screen.terminal, apply=True)
    assert screen.said[-1] == "gatewayd is not running: revision 1 is applied when it starts"
    assert screen.time_s >= commands.TAKEN_WITHIN_S
    # A second import goes on from the one that waits, and replaces it.
    one = workbook(tmp_path / "b.xlsx", {"凭证": CREDENTIALS[:2]})
    again = Screen()
    assert import_lists(settings(data), [one], again.terminal, apply=True)
    assert again.noted[0] == "note: compared with an import that waits for gatewayd to apply it"
    assert "people: 0 added, 0 changed, 0 removed, 2 as before" in again.said
    assert "credentials: 0 added, 0 changed, 2 removed, 1 as before" in again.said


async def test_it_is_applied_at_the_start(tmp_path: Path) -> None:
    data, screen = tmp_path / "data", Screen()
    import_lists(settings(data), [whole_site(tmp_path)], screen.terminal, apply=True)
    async with box(data) as at:
        await at.arrivals.look()
        assert at.store.snapshot(WANG).record is not None


async def test_a_package_that_the_daemon_is_at_is_not_overtaken(tmp_path: Path) -> None:
    data = tmp_path / "data"
    import_lists(settings(data), [whole_site(tmp_path)], Screen().terminal, apply=True)
    async with box(data) as at:
        at.inbox.take()
        path = workbook(tmp_path / "b.xlsx", {"凭证": CREDENTIALS[:2]})
        screen = await imported(at, path)
        assert screen.said[-1] == "applied: revision 2 decides"
        assert at.store.credential_count == 1


def test_a_daemon_that_takes_it_and_says_nothing_is_not_waited_for_for_ever(
    tmp_path: Path,
) -> None:
    data, screen = tmp_path / "data", Screen()

    def takes(seconds: float) -> None:
        screen.time_s += 10 * seconds
        Inbox(data).take()

    at = screen.terminal
    terminal = Terminal(at.say, at.note, at.progress, at.now_s, takes)
    assert not import_lists(settings(data), [whole_site(tmp_path)], terminal, apply=True)
    assert "has not said what became of it" in screen.noted[-1]
    assert screen.time_s >= commands.DECIDED_WITHIN_S


def test_a_site_with_a_centre_imports_nothing(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="comes from its centre"):
        import_lists(settings(tmp_path, link=True), [tmp_path], Screen().terminal, apply=False)


def test_a_list_in_force_that_can_not_be_read_needs_all_tables(tmp_path: Path) -> None:
    data, screen = tmp_path / "data", Screen()
    (data / "whitelist").mkdir(parents=True)
    (data / "whitelist" / "current.json").write_text('{"file": "gone.db", "revision": 7}')
    assert import_lists(settings(data), [whole_site(tmp_path)], screen.terminal, apply=True)
    assert screen.noted[1] == "note: compared with an empty list: give all tables"
    assert screen.said[-1] == "gatewayd is not running: revision 8 is applied when it starts"


def test_another_user_than_the_daemons_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    site = settings(tmp_path)
    theirs = r"belongs to .*: run this as that user"
    with pytest.raises(DirectoryError, match=theirs):
        import_lists(site, [], Screen().terminal, apply=True)
    with pytest.raises(DirectoryError, match=theirs):
        hand_over(site, tmp_path / "out", Screen().terminal)


@pytest.mark.parametrize(("login", "uid", "name"), [("0", 77, "root"), ("", 0, "root")])
def test_the_operator_is_who_logged_in(
    login: str, uid: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path, _encoding: login)
    monkeypatch.setattr(os, "getuid", lambda: uid)
    assert operator_name() == name


def test_an_operator_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _path, _encoding: str(2**32 - 1))
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    assert operator_name() == "54321"


# ------------------------------------------------------------------- export, show, hand over


def test_without_a_list_there_is_nothing_to_export(tmp_path: Path) -> None:
    screen, site = Screen(), settings(tmp_path)
    with pytest.raises(DirectoryError, match="gatewayd import makes the first"):
        export_lists(site, tmp_path / "out", Language.ENGLISH, screen.terminal)
    with pytest.raises(DirectoryError, match="gatewayd import makes the first"):
        show_list(site, screen.terminal)
    with pytest.raises(DirectoryError, match="gatewayd import makes the first"):
        hand_over(site, tmp_path / "out", screen.terminal)


async def test_show_says_which_list_is_in_force(tmp_path: Path) -> None:
    async with box(tmp_path / "data") as at:
        await imported(at, whole_site(tmp_path))
        screen = Screen()
        show_list(settings(at.folder), screen.terminal)
        assert screen.said[0] == "revision 1"
        assert screen.said[1].endswith("+0800 (0.0 hours)")
        assert screen.said[2] == f"sha256   {at.store.newest[1]}"
        assert [line.split() for line in screen.said[3:]] == [
            ["2", "calendars"], ["2", "schedules"], ["1", "groups"], ["3", "levels"],
            ["2", "people"], ["3", "credentials"],
        ]  # fmt: skip


async def test_hand_over_writes_the_centres_records_and_marks_the_box(tmp_path: Path) -> None:
    async with box(tmp_path / "data") as at:
        await imported(at, whole_site(tmp_path))
        screen, out = Screen(), tmp_path / "list.jsonl"
        hand_over(settings(at.folder), out, screen.terminal)
        kinds = [json.loads(line)["t"] for line in out.read_bytes().splitlines()]
        assert kinds == [
            *["calendar"] * 2, *["schedule"] * 2, "group", *["level"] * 3, *["person"] * 2,
            *["credential"] * 3,
        ]  # fmt: skip
        assert out.stat().st_mode & 0o777 == 0o600
        mark = read_mark(at.folder / "whitelist")
        assert mark is not None
        assert (mark.revision, mark.operator) == (1, operator_name())
        assert "whatever its revision is" in screen.said[1]
        with pytest.raises(DirectoryError, match="is there already"):
            hand_over(settings(at.folder), out, screen.terminal)


async def test_hand_over_is_refused_with_a_link_and_while_an_import_waits(tmp_path: Path) -> None:
    out = tmp_path / "list.jsonl"
    async with box(tmp_path / "data") as at:
        await imported(at, whole_site(tmp_path))
        with pytest.raises(DirectoryError, match=r"\[link\] is in the settings already"):
            hand_over(settings(at.folder, link=True), out, Screen().terminal)
        path = workbook(tmp_path / "b.xlsx", {"凭证": CREDENTIALS[:2]})
        import_lists(settings(at.folder), [path], Screen().terminal, apply=True)
        with pytest.raises(DirectoryError, match="an import waits"):
            hand_over(settings(at.folder), out, Screen().terminal)
    assert not out.exists()
