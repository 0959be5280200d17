"""The command `gatewayd`: reads its arguments, calls what they name, says how it went.

Owns arguments, exit codes and what is printed. Imports late, so that `gatewayd version` is instant
and `gatewayd run` reads its settings before it loads a web server. Must not decide anything.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from gatewayd import __version__
from gatewayd.osdp.arguments import add_osdp

if TYPE_CHECKING:
    from gatewayd.directory.commands import Terminal
    from gatewayd.inquiry.sources import Place
    from gatewayd.settings.model import Settings

DEFAULT_CONFIG = Path("/etc/gatewayd/gatewayd.toml")

PASSED_ON = {"simulate", "demo"}  # the simulators read the arguments of these themselves

OWN_PACKAGES = {"gatewayd", "drivers", "simulators"}  # a module of these that is missing is a bug

OK = 0
PROBLEM_FOUND = 1  # check-config, verify: what was checked is not as it should be
USAGE = 2  # argparse's own
REFUSED = 3  # the command can't be carried out as things are; nothing was opened or changed
INTERRUPTED = 130  # Ctrl-C, as shells say it

_EXIT_CODES = """exit codes:
  0  done, and all is well
  1  a problem was found, or the daemon ended by a failure
  2  the command line is wrong
  3  refused to start: the settings are wrong, or something needed is missing
  130  ended by Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Ctrl-C ends any of them quietly."""
    words = list(sys.argv[1:] if argv is None else argv)
    # argparse would take a first option for its own: what is passed on is passed on unread.
    passed_on = words[1:] if set(words[:1]) & PASSED_ON else []
    arguments = build_parser().parse_args(words[:1] if passed_on else words)
    arguments.rest = passed_on
    command: Callable[[argparse.Namespace], int] = arguments.command
    try:
        status = command(arguments)
        sys.stdout.flush()  # here, where a reader that went away is no error
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough, as in `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    return status


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; docs/reference/cli.md is made from it."""
    parser = argparse.ArgumentParser(
        prog="gatewayd",
        description="Access-control gateway for the gatehouse of a residential compound.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"gatewayd {__version__}",
        help="print the version, as the command of that name does",
    )
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    run = _add(commands, "run", _run, "decide at the doors until told to stop (SIGTERM or Ctrl-C)")
    _add_settings(run)
    check = _add(commands, "check-config", _check_config, "say all that is wrong with the settings")
    _add_settings(check)

    verify = _add(
        commands, "verify", _verify, "check the journal's hash chain; name the first bad row"
    )
    verify.add_argument(
        "journal", type=Path, nargs="?", help="the journal's file; default: that of the settings"
    )
    verify.add_argument("--first", type=int, metavar="SEQ", help="begin at this row")
    verify.add_argument("--last", type=int, metavar="SEQ", help="end at this row")
    _add_settings(verify)

    _add_lists(commands)
    _add_inquiries(commands)
    add_osdp(commands, DEFAULT_CONFIG)
    _add_boards(commands)
    _add(
        commands,
        "simulate",
        _simulate,
        "a simulated reader, board, camera or centre; see its own --help",
    )
    _add(commands, "demo", _demo, "a whole compound, simulated; see its own --help")

    _add(commands, "version", _version, "print the version")
    _add(commands, "schema", _schema, "print the settings' JSON Schema, for editors")
    password = _add(
        commands,
        "hash-password",
        _hash_password,
        "ask for a password and print its argon2 hash; with --name a whole operator to append to "
        "operators_file",
    )
    password.add_argument("--name", help="who logs in with it: 1 to 32 characters")
    password.add_argument(
        "--role",
        choices=("guard", "leader", "manager", "administrator"),
        default="guard",
        metavar="ROLE",
        help="guard, leader, manager or administrator (default: %(default)s)",
    )
    return parser


def _add_lists(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The commands of a site that stands alone; docs/guide/stand-alone.md shows them at work."""
    import_ = _add(
        commands,
        "import",
        _import,
        "say what lists in spreadsheets would change, and name every bad row; with --apply do it",
    )
    import_.add_argument(
        "files",
        type=Path,
        nargs="+",
        metavar="FILE",
        help="workbooks (.xlsx), CSV files, or folders of CSV files",
    )
    import_.add_argument("--apply", action="store_true", help="put the list in force")
    _add_settings(import_)
    export = _add(commands, "export", _export, "write the list in force as spreadsheets")
    export.add_argument(
        "target", type=Path, metavar="TARGET", help="a workbook (.xlsx), or a folder for CSV files"
    )
    export.add_argument(
        "--language",
        choices=("zh-CN", "en"),
        default="zh-CN",
        metavar="zh-CN|en",
        help="of the headers and words (default: %(default)s)",
    )
    _add_settings(export)
    about = "the list in force"
    whitelist = commands.add_parser(
        "whitelist", help=about, description=f"{about.capitalize()}.", allow_abbrev=False
    ).add_subparsers(metavar="COMMAND", required=True)
    show = _add(whitelist, "show", _show_list, "which list is in force: revision, counts, age")
    _add_settings(show)
    hand_over = _add(
        whitelist,
        "hand-over",
        _hand_over,
        "write the list for a central system, whose first list then replaces it",
    )
    hand_over.add_argument(
        "target", type=Path, metavar="FILE", help="the file to write, e.g. list.jsonl"
    )
    _add_settings(hand_over)


def _add_boards(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Questions to boards, beside the daemon that has them."""
    about = "boards that decide by themselves while the box is away"
    uhppote = commands.add_parser(
        "uhppote", help=about, description=f"{about.capitalize()}.", allow_abbrev=False
    ).add_subparsers(metavar="COMMAND", required=True)
    diff = _add(
        uhppote,
        "diff",
        _diff_list,
        "compare the list on each board with the list in force; 1: they differ",
    )
    diff.add_argument("controller", nargs="?", help="the id of one [[controller]]; default: all")
    _add_settings(diff)


def _add_inquiries(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Questions to the files of a gateway, which may run meanwhile."""
    why = _add(commands, "why", _why, "tell how the tap at this entry was decided, rule by rule")
    why.add_argument("seq", type=int, metavar="SEQ", help="the entry's number in the journal")
    replay = _add(
        commands,
        "replay",
        _replay,
        "decide the journal's taps again, under another list or other settings; 1: some differ",
    )
    moment = "a number, or a time of the site as in '2026-11-30 06:30'"
    replay.add_argument("--from", dest="first", metavar="SEQ|TIME", help=f"begin here: {moment}")
    replay.add_argument("--to", dest="last", metavar="SEQ|TIME", help="end here, or before then")
    replay.add_argument(
        "--whitelist",
        type=Path,
        metavar="PATH",
        help="a list's folder, its file, or records as the centre sends them, one a line "
        "(default: the list in force)",
    )
    what_if = _add(
        commands,
        "simulate-access",
        _what_if,
        "tell what would happen if someone tapped; 0: granted, 1: denied",
    )
    _add_question(what_if)
    for parser in (why, replay, what_if):
        parser.add_argument(
            "--lang", choices=("zh-CN", "en"), default="en", help="default: %(default)s"
        )
        parser.add_argument("--json", action="store_true", help="for programs")
        _add_settings(parser)


def _add_question(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--who",
        required=True,
        help="a person's id or name, or a credential as kind:bits:value (card:26:0000011)",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--door", help="going in at this door")
    where.add_argument("--reader", help="at this reader")
    parser.add_argument(
        "--at", metavar="TIME", help="the site's own time, as in '2026-11-30 06:30'; default: now"
    )
    parser.add_argument(
        "--pin", choices=("right", "wrong", "none"), default="none", help="default: %(default)s"
    )
    parser.add_argument(
        "--inside",
        metavar="AREA",
        help="where they are: an area, 'outside' or 'unknown'; default: as the journal has it now",
    )
    parser.add_argument(
        "--after",
        metavar="PERSON",
        help="whoever tapped here just before, by id or name: an escort, or the first of two",
    )
    parser.add_argument(
        "--vehicle",
        choices=("yes", "no"),
        help="whether a vehicle stands at the lane; default: as at a lane that can't tell",
    )


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    action: Callable[[argparse.Namespace], int],
    text: str,
    *,
    add_help: bool = True,
) -> argparse.ArgumentParser:
    sub = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.",
        add_help=add_help,
        allow_abbrev=False,
    )
    sub.set_defaults(command=action)
    return sub


def _add_settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        default=DEFAULT_CONFIG,
        metavar="FILE",
        help="the settings (default: %(default)s)",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="use this instead of what the file says; an element of an array by its id, as in "
        "reader.main-gate-in.port=/dev/ttyUSB0; may be given many times",
    )


def _say(text: str) -> None:
    """Errors and what a person asked to know while another program reads stdout."""
    print(text, file=sys.stderr)


# ------------------------------------------------------------------------------- commands


def _run(arguments: argparse.Namespace) -> int:
    from gatewayd.registry import load_registry
    from gatewayd.settings.load import load_settings
    from gatewayd.settings.problem import SettingsError

    try:
        loaded = load_settings(arguments.config, load_registry(), arguments.overrides)
    except SettingsError as error:
        _say(str(error))
        _say("gatewayd run: refused to start, nothing was opened")
        return REFUSED
    from gatewayd.daemon import run

    return run(loaded)


def _check_config(arguments: argparse.Namespace) -> int:
    from gatewayd.registry import load_registry
    from gatewayd.settings.advice import advice
    from gatewayd.settings.load import check_settings

    registry = load_registry()
    problems = check_settings(arguments.config, registry, arguments.overrides)
    for problem in problems:
        _say(str(problem))
    if problems:
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        _say(f"gatewayd check-config: {count} in {arguments.config}")
        return PROBLEM_FOUND
    print(f"{arguments.config}: no problem found")
    for better in advice(arguments.config, registry, arguments.overrides):
        print(f"advice: {better}")
    return OK


def _verify(arguments: argparse.Namespace) -> int:
    from gatewayd.store.verify import VerifyError, verify

    journal = arguments.journal or _journal_of(arguments)
    if journal is None:
        return REFUSED
    try:
        report = verify(journal, arguments.first, arguments.last)
    except VerifyError as error:
        _say(f"gatewayd verify: {error}")
        return PROBLEM_FOUND
    if report.bad is not None:
        _say(f"{journal}: row {report.bad.seq} is {report.bad.what}: {report.bad.detail}")
        _say(f"gatewayd verify: {report.checked} rows checked, up to the first bad one")
        return PROBLEM_FOUND
    print(f"{journal}: {report.checked} rows checked, last {report.last_seq}, all as written")
    return OK


def _journal_of(arguments: argparse.Namespace) -> Path | None:
    otherwise = "verify: name the journal's file, or correct the settings"
    settings = _settings(arguments, otherwise, look_into_files=False)
    return None if settings is None else settings.storage.journal_file


def _settings(
    arguments: argparse.Namespace, otherwise: str, *, look_into_files: bool = True
) -> Settings | None:
    """The settings, or None after saying what is wrong with them, and what to do `otherwise`."""
    from gatewayd.registry import load_registry
    from gatewayd.settings.load import load_settings
    from gatewayd.settings.problem import SettingsError

    try:
        loaded = load_settings(
            arguments.config,
            load_registry(),
            arguments.overrides,
            look_into_files=look_into_files,
        )
    except SettingsError as error:
        _say(str(error))
        _say(f"gatewayd {otherwise}")
        return None
    return loaded.settings


def _import(arguments: argparse.Namespace) -> int:
    from gatewayd.directory.commands import import_lists

    files, apply = arguments.files, arguments.apply
    return _with_lists(
        arguments, "import", lambda site, at: import_lists(site, files, at, apply=apply)
    )


def _export(arguments: argparse.Namespace) -> int:
    from gatewayd.directory.commands import export_lists
    from gatewayd.directory.words import Language

    target, language = arguments.target, Language(arguments.language)
    return _with_lists(
        arguments, "export", lambda site, at: export_lists(site, target, language, at)
    )


def _show_list(arguments: argparse.Namespace) -> int:
    from gatewayd.directory.commands import show_list

    return _with_lists(arguments, "whitelist show", show_list)


def _hand_over(arguments: argparse.Namespace) -> int:
    from gatewayd.directory.commands import hand_over

    target = arguments.target
    return _with_lists(
        arguments, "whitelist hand-over", lambda site, at: hand_over(site, target, at)
    )


def _with_lists(
    arguments: argparse.Namespace,
    command: str,
    work: Callable[[Settings, Terminal], bool | None],
) -> int:
    """Do it with the settings and a terminal. False is a problem that it has told."""
    from gatewayd.directory.commands import Terminal
    from gatewayd.directory.problem import DirectoryError

    settings = _settings(arguments, f"{command}: correct the settings first")
    if settings is None:
        return REFUSED
    try:
        done = work(settings, Terminal(print, _say, _progress))
    except DirectoryError as error:
        _progress("")
        _say(f"gatewayd {command}: {error}")
        return REFUSED
    return PROBLEM_FOUND if done is False else OK


def _progress(text: str) -> None:
    """What is under way, in one line that the next one replaces; only where a person looks on."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _why(arguments: argparse.Namespace) -> int:
    from gatewayd.inquiry.commands import answer_why

    return _inquire("why", arguments, answer_why)


def _what_if(arguments: argparse.Namespace) -> int:
    from gatewayd.inquiry.commands import answer_what_if

    return _inquire("simulate-access", arguments, answer_what_if)


def _replay(arguments: argparse.Namespace) -> int:
    from gatewayd.inquiry.commands import answer_replay

    return _inquire("replay", arguments, partial(answer_replay, tell=_percent))


def _diff_list(arguments: argparse.Namespace) -> int:
    from gatewayd.inquiry.board_lists import answer_diff
    from gatewayd.inquiry.sources import InquiryError
    from gatewayd.registry import load_registry
    from gatewayd.settings.load import load_settings
    from gatewayd.settings.problem import SettingsError

    try:
        loaded = load_settings(
            arguments.config, load_registry(), arguments.overrides, look_into_files=False
        )
        text, same = answer_diff(loaded, arguments.controller)
    except (SettingsError, InquiryError) as error:
        _say(f"gatewayd uhppote diff: {error}")
        return REFUSED
    print(text)
    return OK if same else PROBLEM_FOUND


def _percent(done: int, of: int) -> None:
    """How far it is."""
    percent = max(0, 100 * done // of)
    _progress(f"{percent:3} %" if percent < 100 else "")


def _inquire(
    name: str,
    arguments: argparse.Namespace,
    answer: Callable[[argparse.Namespace, Place, int], tuple[str, bool]],
) -> int:
    """Put one question to the gateway's files, and print the answer."""
    from gatewayd.clock import SystemClock
    from gatewayd.inquiry.sources import InquiryError, place_of
    from gatewayd.registry import load_registry
    from gatewayd.settings.load import load_settings
    from gatewayd.settings.problem import SettingsError

    try:
        loaded = load_settings(
            arguments.config, load_registry(), arguments.overrides, look_into_files=False
        )
        text, well = answer(arguments, place_of(loaded), SystemClock().now().wall_ms)
    except (SettingsError, InquiryError) as error:
        _say(f"gatewayd {name}: {error}")
        return REFUSED
    print(text)
    return OK if well else PROBLEM_FOUND


def _simulate(arguments: argparse.Namespace) -> int:
    return _simulators("simulate", arguments.rest)


def _demo(arguments: argparse.Namespace) -> int:
    return _simulators("demo", ["demo", *arguments.rest])


def _simulators(command: str, argv: list[str]) -> int:
    """The simulators are a package of their own that nothing in production loads."""
    if find_spec("simulators") is None:
        _say(f"gatewayd {command}: the package 'simulators' is not installed here")
        return REFUSED
    try:
        return int(
            import_module("simulators.cli").main(argv)
        )  # which loads the one it was asked for
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] in OWN_PACKAGES:
            raise
        _say(f"gatewayd {command}: {error} (install with: pip install 'gatewayd[demo]')")
        return REFUSED


def _version(_arguments: argparse.Namespace) -> int:
    print(f"gatewayd {__version__}")
    return OK


def _schema(_arguments: argparse.Namespace) -> int:
    from gatewayd.registry import DriverLoadError, load_registry
    from gatewayd.settings.schema import settings_schema_text

    try:
        print(settings_schema_text(load_registry()), end="")
    except DriverLoadError as error:
        _say(f"gatewayd schema: {error}")
        return REFUSED
    return OK


def _hash_password(arguments: argparse.Namespace) -> int:
    from gatewayd.store.operators import Role, hash_password
    from gatewayd.store.operators_file import operator_block

    try:
        encoded = hash_password(_ask_password())
        if arguments.name is None:
            print(encoded)
        else:
            print(operator_block(arguments.name, Role(arguments.role), encoded), end="")
    except ValueError as error:
        _say(f"gatewayd hash-password: {error}")
        return PROBLEM_FOUND
    return OK


def _ask_password() -> str:
    """Asks twice on a terminal; takes one line of a pipe. The password is never an argument.
    Raises ValueError for one that nobody could log in with or may choose."""
    from gatewayd.store.operators import MIN_PASSWORD

    if sys.stdin.isatty():
        from getpass import getpass

        try:
            password = getpass("Password: ")
            again = getpass("Again: ") if password else ""
        except EOFError:  # Ctrl-D
            password = again = ""
        if again != password:
            raise ValueError("the two differ")
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise ValueError("the password is empty")
    if len(password) < MIN_PASSWORD:
        raise ValueError(f"the password must have at least {MIN_PASSWORD} characters")
    return password
