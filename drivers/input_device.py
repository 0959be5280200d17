"""An input device of this machine, opened and grabbed. Owns its descriptor; must not know what the
events mean.

Grabbed, its events come to us alone: what a scanner types never reaches a console or a desktop, and
no key of it (Ctrl-Alt-Del, say) is obeyed by anything else.
"""

from __future__ import annotations

import errno
import os
from fcntl import ioctl

from drivers.line_ports import Watched

EVIOCGRAB = 0x40044590  # linux/input.h: _IOW('E', 0x90, int)

_GRAB_REFUSED = {
    errno.EBUSY: "in use by another process: stop one of the two",
    errno.ENOTTY: "no input device: name a path such as '/dev/input/by-id/…-event-kbd'",
    errno.EINVAL: "no input device: name a path such as '/dev/input/by-id/…-event-kbd'",
}


class InputDevice:
    """Implements `drivers.line_ports.Source`."""

    def __init__(self, path: str) -> None:
        """Raises OSError, with a hint where the device is there and can't be had."""
        self._fd = _open(path)
        try:
            ioctl(self._fd, EVIOCGRAB, 1)
        except OSError as error:
            os.close(self._fd)
            raise OSError(_GRAB_REFUSED.get(error.errno or 0, f"not grabbed: {error}")) from error
        self._watched = Watched(self._fd)

    async def read(self) -> bytes:
        """Whole events as the kernel gives them; OSError (ENODEV) once it is unplugged."""
        return await self._watched.read()

    async def close(self) -> None:
        """Let go of it: the kernel ends the grab with the descriptor."""
        self._watched.release()
        os.close(self._fd)


def _open(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except PermissionError as error:
        raise OSError(
            f"{error.strerror}: gatewayd's user must be in the device's group, and its unit allow "
            "the device: see docs/reference/drivers/evdev-reader.md"
        ) from error
