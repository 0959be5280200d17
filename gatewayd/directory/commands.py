"""What `gatewayd import`, `export` and `whitelist` do. Owns their order and what they say.

Only the daemon puts a list in force and writes the journal: these put a signed package into its
inbox, and read. Everything that was refused is a DirectoryError that says what to do.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from zoneinfo import ZoneInfo

from gatewayd.clock import SystemClock
from gatewayd.directory import listing
from gatewayd.directory.columns import DOORS, Names, Reading
from gatewayd.directory.draft import Draft, draft_of
from gatewayd.directory.export import export
from gatewayd.directory.listing import Listing
from gatewayd.directory.package import ImportedFile, Inbox, LocalKeyError, keep_key, sign
from gatewayd.directory.problem import DirectoryError
from gatewayd.directory.report import PLURAL, compare, told
from gatewayd.directory.shown import Showing
from gatewayd.directory.words import Language
from gatewayd.domain.events import WhitelistApplied, WhitelistRejected
from gatewayd.domain.ports import WhitelistReadError
from gatewayd.settings.model import Settings
from gatewayd.settings.secrets import SecretFileError, read_secret
from gatewayd.signed import Refused
from gatewayd.store.durable import write_whole
from gatewayd.store.hand_over import HandOver, write_mark
from gatewayd.store.journal_peek import events_after, last_seq
from gatewayd.store.staging import Staging
from gatewayd.store.whitelist_listing import ListReader, newest_revision, open_list

TAKEN_WITHIN_S = 5.0  # a running daemon looks every second
DECIDED_WITHIN_S = 120.0  # 100,000 people take some five seconds
LOOK_EVERY_S = 0.2
_UNSET_LOGIN = 2**32 - 1  # Linux: /proc/self/loginuid of what nobody logged in for


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a command says something: `say` is its outcome, `note` is beside it, `progress` comes
    and goes. Time passes in `pause` alone."""

    say: Callable[[str], None]
    note: Callable[[str], None]
    progress: Callable[[str], None]
    now_s: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep


@contextmanager
def _refusing() -> Iterator[None]:
    """What lies below says why a file can't be used; to whoever typed a command that is enough."""
    try:
        yield
    except (OSError, SecretFileError, LocalKeyError) as error:
        raise DirectoryError(str(error)) from error


# ----------------------------------------------------------------------------------- import


def import_lists(
    settings: Settings, paths: Sequence[Path], terminal: Terminal, *, apply: bool
) -> bool:
    """Say what the files would change, and with `apply` have the daemon do it. False where rows
    are bad or the daemon refused the list; nothing has changed then."""
    if settings.link is not None:
        raise DirectoryError(
            "the list of this site comes from its centre ([link] in the settings): change it there"
        )
    inbox, files = Inbox(settings.storage.directory), _files(paths)
    if apply:
        _refuse_other_user(settings.storage.directory)
    with _refusing(), inbox.locked() if apply else nullcontext():
        before = _before(settings, inbox, terminal)
        draft = draft_of(files, before, _reading(settings), terminal.progress)
        terminal.progress("")
        return _judge(settings, draft, files, terminal, inbox if apply else None)


def _files(paths: Sequence[Path]) -> list[Path]:
    """The files themselves, and of each folder the CSV files in it, as an export makes them."""
    files: list[Path] = []
    for path in paths:
        found = sorted(path.glob("*.csv")) if path.is_dir() else [path]
        if not found:
            raise DirectoryError(f"no CSV file in the folder {path}: name workbooks or CSV files")
        files += found
    return files


def _judge(
    settings: Settings,
    draft: Draft,
    paths: Sequence[Path],
    terminal: Terminal,
    inbox: Inbox | None,
) -> bool:
    for notice in (*draft.notices, *_unknown_doors(settings, draft.listing)):
        terminal.note(f"note: {notice}")
    for problem in draft.problems:
        terminal.note(str(problem))
    if draft.problems:
        terminal.note(f"{len(draft.problems)} to correct; nothing was changed")
        return False
    changes = compare(draft.base, draft.listing)
    for line in told(changes, draft.base, draft.listing):
        terminal.say(line)
    if not any(some.any for some in changes):
        terminal.say("nothing to change")
        return True
    if inbox is None:
        terminal.say("this was a dry run, nothing was changed; to do it: the same with --apply")
        return True
    return _hand_in(settings, draft.listing, paths, terminal, inbox)


def _reading(settings: Settings) -> Reading:
    doors = {door.id: door.name for door in settings.door}
    zone, key_file = ZoneInfo(settings.site.time_zone), settings.site.pin_key_file
    pin_key = None if key_file is None else read_secret(key_file).encode()
    return Reading(zone, pin_key, {DOORS: Names(doors)})


def _before(settings: Settings, inbox: Inbox, terminal: Terminal) -> Listing:
    """The list that will be in force: that of an import which waits, else the one that is."""
    waiting = _waiting(inbox)
    if waiting is not None:
        terminal.note("note: compared with an import that waits for gatewayd to apply it")
        return waiting
    try:
        with open_list(_whitelist(settings)) as current:
            return listing.listing_of(current.records() if current else ())
    except WhitelistReadError as error:
        terminal.note(f"note: {error}")
        terminal.note("note: compared with an empty list: give all tables")
        return listing.empty()


def _waiting(inbox: Inbox) -> Listing | None:
    package = Staging(inbox.ready if inbox.ready.exists() else inbox.taken)
    if package.manifest() is None or isinstance(inbox.open(package), Refused):
        return None
    records = (listing.record_of(line) for raw in package.chunks() for line in raw.splitlines())
    return listing.listing_of(records)


def _whitelist(settings: Settings) -> Path:
    return settings.storage.directory / "whitelist"


def _unknown_doors(settings: Settings, made: Listing) -> Iterator[str]:
    known = {door.id for door in settings.door}
    for kind in ("group", "level"):
        for line in made[kind].values():
            record = listing.record_of(line)
            unknown = [door for door in record["doors"] if door not in known]
            if unknown:
                yield f"{kind} {record['id']!r}: this box has no door {', '.join(unknown)}"


def _refuse_other_user(directory: Path) -> None:
    """Files of another user would be closed to the daemon."""
    owner = directory.stat().st_uid if directory.exists() else os.geteuid()
    if owner != os.geteuid():
        raise DirectoryError(
            f"{directory} belongs to {_user(owner)}: run this as that user, "
            f"e.g. setpriv --reuid {_user(owner)} --clear-groups gatewayd …"
        )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def operator_name() -> str:
    """The OS user who logged in, also behind sudo or setpriv; else the one who runs this."""
    try:
        login = int(Path("/proc/self/loginuid").read_text("ascii"))
    except (OSError, ValueError):
        login = _UNSET_LOGIN
    return _user(os.getuid() if login == _UNSET_LOGIN else login)[:64]


def _hand_in(
    settings: Settings, made: Listing, paths: Sequence[Path], terminal: Terminal, inbox: Inbox
) -> bool:
    """Sign the list, put it into the inbox and wait for what becomes of it."""
    directory = settings.storage.directory
    revision = max(newest_revision(_whitelist(settings)), inbox.under_way()) + 1
    payload, content = sign(
        keep_key(directory),
        settings.site.gateway,
        revision,
        made,
        operator_name(),
        [_file(path) for path in paths],
    )
    seq = last_seq(settings.storage.journal_file)
    terminal.progress("writing the list")
    inbox.put(payload, listing.chunks(made))
    outcome = _outcome(settings.storage.journal_file, seq, revision, content, inbox, terminal)
    terminal.progress("")
    match outcome:
        case WhitelistApplied():
            terminal.say(f"applied: revision {revision} decides")
            return True
        case WhitelistRejected():
            terminal.note(f"refused by gatewayd, the old list decides: {outcome.detail}")
            return False
        case None if inbox.ready.exists():
            terminal.say(f"gatewayd is not running: revision {revision} is applied when it starts")
            return True
        case None:
            terminal.note("gatewayd took the list but has not said what became of it: see its log")
            return False


def _file(path: Path) -> ImportedFile:
    with path.open("rb") as file:
        return ImportedFile(name=path.name, sha256=file_digest(file, "sha256").hexdigest())


def _outcome(
    journal: Path, seq: int, revision: int, content: str, inbox: Inbox, terminal: Terminal
) -> WhitelistApplied | WhitelistRejected | None:
    """What the journal says of the package, or None where nothing came in time."""
    begun_s = terminal.now_s()
    kinds = (WhitelistApplied.KIND, WhitelistRejected.KIND)
    while True:
        for event in events_after(journal, seq, kinds):
            match event:
                case WhitelistApplied(content_sha256=applied) if applied == content:
                    return event
                case WhitelistRejected(revision=refused) if refused in {0, revision}:
                    return event
                case _:
                    continue
        waited_s = terminal.now_s() - begun_s
        limit_s = TAKEN_WITHIN_S if inbox.ready.exists() else DECIDED_WITHIN_S
        if waited_s >= limit_s:
            return None
        terminal.progress(f"waiting for gatewayd, {waited_s:.0f} s")
        terminal.pause(LOOK_EVERY_S)


# ----------------------------------------------------------------------------------- export


def export_lists(settings: Settings, target: Path, language: Language, terminal: Terminal) -> None:
    """Write the list in force as a workbook or as CSV files."""
    with _refusing(), _current(settings) as current:
        made = listing.listing_of(current.records())
        showing = Showing(language, ZoneInfo(settings.site.time_zone))
        for path in export(target, made, showing):
            terminal.say(str(path))
        terminal.say(f"revision {current.in_force.revision} {_counted(made)}")


@contextmanager
def _current(settings: Settings) -> Iterator[ListReader]:
    """The list in force. Raises DirectoryError where there is none."""
    with open_list(_whitelist(settings)) as current:
        if current is None:
            raise DirectoryError("this box has no list yet: gatewayd import makes the first")
        yield current


def _counted(made: Listing) -> str:
    return "(" + ", ".join(f"{len(made[kind])} {PLURAL[kind]}" for kind in listing.KINDS) + ")"


# -------------------------------------------------------------------------------- whitelist


def show_list(settings: Settings, terminal: Terminal) -> None:
    """Which list is in force: revision, counts, age, hash."""
    with _refusing(), _current(settings) as current:
        known = current.in_force
        zone = ZoneInfo(settings.site.time_zone)
        since = datetime.fromtimestamp(known.since_ms / 1000, tz=zone)
        age_h = (SystemClock().now().wall_ms - known.since_ms) / 3_600_000
        terminal.say(f"revision {known.revision}")
        terminal.say(f"since    {since:%Y-%m-%d %H:%M:%S %z} ({age_h:.1f} hours)")
        terminal.say(f"sha256   {known.content_sha256}")
        for kind in listing.KINDS:
            terminal.say(f"{known.counts.get(kind, 0):8} {PLURAL[kind]}")


def hand_over(settings: Settings, target: Path, terminal: Terminal) -> None:
    """Write the list for a central system, and mark the box so that its first list is taken
    whatever its number. Nothing that decides changes."""
    if settings.link is not None:
        raise DirectoryError(
            "[link] is in the settings already: without it this box hands over, with it it obeys"
        )
    directory = settings.storage.directory
    _refuse_other_user(directory)
    inbox = Inbox(directory)
    with _refusing(), inbox.locked(), _current(settings) as current:
        if inbox.ready.exists() or inbox.taken.exists():
            raise DirectoryError("an import waits to be applied: start gatewayd first")
        if target.exists():
            raise DirectoryError(f"{target} is there already: name another, or remove it")
        made = listing.listing_of(current.records())
        write_whole(target, b"".join(listing.chunks(made)))
        known = current.in_force
        write_mark(_whitelist(settings), HandOver(known.file, known.revision, operator_name()))
        terminal.say(f"{target}: revision {known.revision} {_counted(made)}")
        terminal.say("the centre's first full list will be taken, whatever its revision is")
        terminal.say("now: give the file to the centre, add [link] to the settings, restart")
