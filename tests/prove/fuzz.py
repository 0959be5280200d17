"""`make prove-fuzz`: coverage-guided fuzzing of the codecs, with atheris (libFuzzer).

Each codec runs in a process of its own for the time that is given, then all that was found goes
through it again and again in a fresh one, to see that no memory is kept. Fails for an exception
that is none of ours, a broken promise, a parse that takes more than 10 ms of CPU time, and memory
that grows. Prints what was run; a codec's inputs stay in the corpus folder and are where the next
run begins.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

NAMES = (
    *("ascii-tag", "wiegand-hex", "wiegand-binary", "keypad", "text-line", "evdev"),
    *("modbus", "osdp-frames", "osdp-replies", "osdp-session"),
)
CORPUS = Path(".cache/fuzz")
_EXECUTED = re.compile(rb"stat::number_of_executed_units:\s*(\d+)")
_COVERED = re.compile(rb"cov: (\d+)")


@dataclass(frozen=True, slots=True)
class Result:
    """Of one codec. `fault` is empty where it held; `slowest_s` is CPU time of one input."""

    codec: str
    executions: int
    covered: int
    inputs: int
    slowest_s: float
    growth_kb: int
    fault: str = ""


def main(argv: Sequence[str] | None = None) -> int:
    """0: all held; 1: something did not; 2: can't be run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.prove.fuzz", description=__doc__)
    parser.add_argument("codecs", nargs="*", choices=[*NAMES, []], help="default: all")
    parser.add_argument("--seconds", type=int, default=600, help="for each codec (default 600)")
    parser.add_argument("--jobs", type=int, default=2, help="codecs at a time (default 2)")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help=f"default: {CORPUS}")
    asked = parser.parse_args(argv)
    if find_spec("atheris") is None:
        print("atheris is not installed: make prove-fuzz does so (x86_64 only)", file=sys.stderr)
        return 2
    names = asked.codecs or list(NAMES)
    with ThreadPoolExecutor(asked.jobs) as pool:
        results = list(pool.map(lambda name: _proved(name, asked.corpus, asked.seconds), names))
    print(_table(results, asked.seconds))
    for result in results:
        if result.fault:
            print(f"\n{result.codec}:\n{result.fault}")
    return int(any(result.fault for result in results))


def _table(results: Sequence[Result], seconds: int) -> str:
    head = f"{'codec':16} {'executions':>12} {'per s':>8} {'edges':>6} {'inputs':>7}"
    rows = (
        f"{each.codec:16} {each.executions:12,} {each.executions // max(seconds, 1):8,}"
        f" {each.covered:6} {each.inputs:7,} {each.slowest_s * 1e3:10.2f} {each.growth_kb:9}"
        f"  {'NO' if each.fault else 'yes'}"
        for each in results
    )
    return "\n".join((f"{head} {'slowest ms':>10} {'growth kB':>9}  held", *rows))


def _proved(codec: str, corpus: Path, seconds: int) -> Result:
    (corpus / codec).mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "tests.prove.fuzz_one", codec, str(corpus / codec)]
    fuzzed = subprocess.run([*words, str(seconds)], capture_output=True, check=False)
    again = subprocess.run(words, capture_output=True, check=False)
    said = fuzzed.stdout + fuzzed.stderr
    slowest, growth = (again.stdout.split() or [b"0", b"0"])[:2]
    fault = ""
    if fuzzed.returncode:
        fault = said.decode(errors="replace")[-3000:]
    elif again.returncode:
        fault = again.stderr.decode(errors="replace")[-3000:]
    executed, covered = _EXECUTED.findall(said), _COVERED.findall(said)
    return Result(
        codec,
        int(executed[-1]) if executed else 0,
        int(covered[-1]) if covered else 0,
        sum(1 for _ in (corpus / codec).iterdir()),
        float(slowest),
        int(growth),
        fault,
    )


if __name__ == "__main__":
    sys.exit(main())
