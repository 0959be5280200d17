"""Which faults a simulated serial device has now, and for how many messages more. Owns counting
only; the device makes the fault happen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from simulators.control import ControlError

MAX_TIMES = 1_000_000  # messages that one order may spoil
MAX_SLOWDOWN = 1000.0


@dataclass(slots=True)
class _Fault:
    left: int  # messages; 0 is for ever
    amount: float


class LineFaults:
    """Faults by kind. `take` uses one up."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds
        self._faults: dict[str, _Fault] = {}

    def put(self, kind: str, times: int = 0, amount: float = 0.0) -> None:
        """From now on, for `times` messages (0: until cleared). Raises ControlError."""
        if kind not in self._kinds:
            raise ControlError(f"no fault {kind!r} here; known: {', '.join(self._kinds)}")
        self._faults[kind] = _Fault(times, amount)

    def take(self, kind: str) -> float | None:
        """The fault's amount if it applies to this message, else None."""
        fault = self._faults.get(kind)
        if fault is None:
            return None
        if fault.left == 1:
            del self._faults[kind]
        elif fault.left:
            fault.left -= 1
        return fault.amount

    def clear(self) -> None:
        self._faults.clear()

    def status(self) -> dict[str, Any]:
        """Each fault with the messages it has left; null is until cleared."""
        return {kind: fault.left or None for kind, fault in sorted(self._faults.items())}
