"""The simulators' command line: `gatewayd simulate …` and `gatewayd demo`. Owns the choice of the
simulator, SIGINT, SIGTERM and exit codes. Must not load a simulator that was not asked for.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

OK = 0
FAILED = 1
INTERRUPTED = 130  # by a second Ctrl-C, before all was put in order

# Name → module with NAME, HELP, add_arguments(parser) and async run(args) -> int.
SIMULATORS = {
    "reader": "simulators.reader",
    "present": "simulators.present",
    "relay-board": "simulators.relay_board",
    "modbus-line": "simulators.modbus_line",
    "lcus-board": "simulators.lcus_board",
    "osdp": "simulators.osdp_command",
    "uhppote": "simulators.uhppote_board",
    "camera": "simulators.camera",
    "central": "simulators.central",
    "broker": "simulators.broker",
    "scenario": "simulators.scenario",
    "page": "simulators.page",
    "demo": "simulators.demo",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one simulator to its end; its exit status. SIGINT and SIGTERM end it cleanly with 0."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = arguments[0] if arguments else ""
    if name not in SIMULATORS:
        _overview().parse_args(arguments or ["--help"])
        return OK
    module = import_module(SIMULATORS[name])
    prog = "gatewayd demo" if name == "demo" else f"gatewayd simulate {name}"
    parser = argparse.ArgumentParser(
        prog=prog, description=f"{module.HELP[0].upper()}{module.HELP[1:]}.", allow_abbrev=False
    )
    module.add_arguments(parser)
    parsed = parser.parse_args(arguments[1:])
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s"
    )
    try:
        return asyncio.run(_until_told(module, parsed))
    except (OSError, ValueError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return FAILED


def _overview() -> argparse.ArgumentParser:
    """Only reached for --help and for names that are none."""
    parser = argparse.ArgumentParser(
        prog="gatewayd simulate",
        description="Simulated devices and centre; each has its own --help.",
        epilog="\n".join(f"  {name:12} {import_module(m).HELP}" for name, m in SIMULATORS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("simulator", choices=tuple(SIMULATORS))
    return parser


async def _until_told(module: Any, parsed: argparse.Namespace) -> int:  # noqa: ANN401  # a module
    """A signal cancels the simulator, which then gives back all it took."""
    this = asyncio.current_task()
    assert this is not None  # noqa: S101  # asyncio.run made one
    told = False

    def stop() -> None:
        nonlocal told
        told = True
        this.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        return int(await module.run(parsed))
    except asyncio.CancelledError:
        return OK if told else INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
