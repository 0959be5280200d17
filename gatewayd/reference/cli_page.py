"""docs/reference/cli.md: the command line from its parser. Owns how it is laid out: argparse's own
help wraps differently in each version of Python, and the page must not.
"""

from __future__ import annotations

import argparse

from gatewayd.cli import PASSED_ON, build_parser
from gatewayd.reference.markdown import code, page, table


def cli_page() -> str:
    """The whole command and each sub-command."""
    parser = build_parser()
    parts = [
        parser.description or "",
        f"```\n{(parser.epilog or '').strip()}\n```",
        *(part for name, sub in _commands(parser).items() for part in _command(name, sub)),
    ]
    return page("The command gatewayd", "gatewayd/cli.py", *parts)


def _command(name: str, parser: argparse.ArgumentParser) -> list[str]:
    actions = [action for action in parser._actions if action.dest != "help"]  # noqa: SLF001  # no public list
    usage = " ".join(["gatewayd", name, *map(_usage, actions)])
    rows = [(code(_name(action)), _help(action)) for action in actions]
    if name in PASSED_ON:
        usage += " …"
    body = [table(("argument", "what"), rows)] if rows else []
    return [f"## gatewayd {name}", parser.description or "", f"```\n{usage}\n```", *body]


def _usage(action: argparse.Action) -> str:
    name = f"{_name(action)} …" if action.nargs == "+" else _name(action)
    return name if action.required else f"[{name}]"


def _name(action: argparse.Action) -> str:
    if action.option_strings:
        return f"{action.option_strings[0]} {action.metavar or ''}".strip()
    return str(action.metavar or action.dest).upper()


def _help(action: argparse.Action) -> str:
    return (action.help or "") % {"default": action.default}


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Each command with its parser, and instead of one with commands of its own those."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:  # noqa: SLF001  # no public list
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # no public name
            for name, sub in action.choices.items():
                inner = _commands(sub)
                found |= {f"{name} {one}": each for one, each in inner.items()} or {name: sub}
    return found
