"""One codec in a process of its own: fuzz_one.py CODEC CORPUS SECONDS fuzzes it; without SECONDS
the corpus is gone through again and again. See `tests.prove.fuzz`.

What is fuzzed must not be imported before atheris can count its branches.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

MAX_PARSE_S = 0.010
MAX_GROWTH_KB = 1024
MAX_INPUT = 4096  # bytes: four of the longest OSDP frames
AGAIN_S = 5.0  # how long a corpus is gone through to see whether memory grows


def fuzz(codec: str, corpus: Path, seconds: int) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["drivers", "gatewayd", "tests.prove"]):
        from tests.prove.fuzz_targets import TARGETS
    options = [
        *(f"-max_total_time={seconds}", f"-max_len={MAX_INPUT}", "-print_final_stats=1"),
        *(f"-artifact_prefix={corpus.parent}/crash-{codec}-", str(corpus)),
    ]
    atheris.Setup([sys.argv[0], *options], TARGETS[codec])
    atheris.Fuzz()


def again(codec: str, corpus: Path) -> int:
    """Prints the slowest input's seconds of CPU time and the growth of memory in kB."""
    from tests.prove.fuzz_targets import TARGETS

    target, inputs = TARGETS[codec], [path.read_bytes() for path in sorted(corpus.iterdir())]
    for data in inputs:  # what is made once is made now
        target(data)
    slowest, worst = 0.0, b""
    for data in inputs:
        taken = min(_cpu_s(target, data) for _ in range(3))
        if taken > slowest:
            slowest, worst = taken, data
    gc.collect()
    before, until = _resident_kb(), time.monotonic() + AGAIN_S
    for data in _round_and_round(inputs, until):
        target(data)
    gc.collect()
    growth = _resident_kb() - before
    print(slowest, growth)
    if slowest > MAX_PARSE_S:
        print(f"{slowest * 1e3:.1f} ms for the input {worst.hex()}", file=sys.stderr)
    if growth > MAX_GROWTH_KB:
        print(f"memory grew by {growth} kB in {AGAIN_S:g} s", file=sys.stderr)
    return int(slowest > MAX_PARSE_S or growth > MAX_GROWTH_KB)


def _cpu_s(target: object, data: bytes) -> float:
    """Of one parse of all of it, however many reads that is."""
    assert callable(target)
    begin = time.thread_time()
    target(data)
    return time.thread_time() - begin


def _round_and_round(inputs: Sequence[bytes], until: float) -> Iterator[bytes]:
    while inputs and time.monotonic() < until:
        yield from inputs


def _resident_kb() -> int:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


if __name__ == "__main__":
    named, folder = sys.argv[1], Path(sys.argv[2])
    if len(sys.argv) > 3:
        fuzz(named, folder, int(sys.argv[3]))
    sys.exit(again(named, folder))
