"""Runs a program that dies with whoever started it, even by kill -9. Owns that promise only.

`python -m simulators.tether PARENT_PID PROGRAM ARGS…` asks the kernel (prctl PR_SET_PDEATHSIG) for
a SIGKILL when the parent ends, then becomes the program: the setting survives execve. It holds for
programs that keep their user id, which is why the demo's mosquitto does not change its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
ORPHANED = 70  # exit status when the parent was gone before we could tie ourselves to it


def tethered(command: Sequence[str]) -> list[str]:
    """The command line that runs `command` tied to this process."""
    return [sys.executable, "-m", "simulators.tether", str(os.getpid()), *command]


def main(argv: Sequence[str]) -> int:
    """Does not return where all goes well. Raises OSError where the program can't be started."""
    parent, program = int(argv[0]), list(argv[1:])
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return ORPHANED
    return os.execvp(program[0], program)  # noqa: S606  # the caller's own program, no shell


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
