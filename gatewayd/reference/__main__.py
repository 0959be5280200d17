"""`python -m gatewayd.reference [--check]`: writes the generated pages, or says which are stale.

Owns the list of generated files. Run it from the project's root.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gatewayd.console.reference import api_page
from gatewayd.domain.ports import Registry
from gatewayd.reference.cli_page import cli_page
from gatewayd.reference.domain_pages import alarms_page, events_page, reasons_page
from gatewayd.reference.rules_page import rules_page
from gatewayd.reference.settings_page import settings_page
from gatewayd.registry import load_registry
from gatewayd.settings.schema import settings_schema_text


def generated(registry: Registry) -> Mapping[str, str]:
    """Every generated file's text, by its path from the project's root."""
    return {
        "config/gatewayd.schema.json": settings_schema_text(registry),
        "docs/reference/alarms.md": alarms_page(),
        "docs/reference/api.md": api_page(),
        "docs/reference/cli.md": cli_page(),
        "docs/reference/events.md": events_page(),
        "docs/reference/reasons.md": reasons_page(),
        "docs/reference/rules.md": rules_page(),
        "docs/reference/settings.md": settings_page(registry),
    }


def stale(root: Path, registry: Registry) -> list[str]:
    """The generated files that are missing below `root` or not what the code says now."""
    return [
        name
        for name, text in generated(registry).items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != text
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Write what is stale below the working folder; with --check only tell, and return 1."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    registry = load_registry()
    names = stale(Path(), registry)
    for name in names:
        if "--check" in arguments:
            sys.stderr.write(f"{name} is not current: run make docs\n")
        else:
            Path(name).parent.mkdir(parents=True, exist_ok=True)
            Path(name).write_text(generated(registry)[name], encoding="utf-8")
            sys.stdout.write(f"wrote {name}\n")
    return 1 if names and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main())
