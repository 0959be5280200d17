"""The faults that the simulated centre makes on order. Owns how often each still happens."""

from __future__ import annotations

from dataclasses import dataclass

UNTIL_CLEARED = -1
FAULTS = (
    "no_ack",  # events are kept and not acknowledged
    "late_ack",  # acknowledged `seconds` later
    "duplicate_ack",  # acknowledged twice
    "forged_command",  # signed with a key that no gateway knows
    "forged_desired",
    "forged_manifest",
    "retained_command",  # left at the broker: who subscribes later gets it, flagged as retained
    "wrong_chunk",  # its bytes are not those of the manifest
    "missing_chunk",  # not sent
)


@dataclass(slots=True)
class _Fault:
    times: int
    seconds: float


class Faults:
    """`order` a fault; the centre asks with `take` each time it could make it."""

    def __init__(self) -> None:
        self._ordered: dict[str, _Fault] = {}

    def order(self, name: str, times: int, seconds: float = 1.0) -> None:
        """Make the fault the next `times` times; UNTIL_CLEARED: always; 0: no more."""
        if times:
            self._ordered[name] = _Fault(times, seconds)
        else:
            self._ordered.pop(name, None)

    def take(self, name: str) -> float:
        """Its seconds (greater than 0) when the fault is to be made now; 0.0 when not."""
        fault = self._ordered.get(name)
        if fault is None:
            return 0.0
        if fault.times > 0:
            fault.times -= 1
            if fault.times == 0:
                del self._ordered[name]
        return fault.seconds

    def clear(self) -> None:
        self._ordered.clear()

    def standing(self) -> dict[str, int]:
        """What is still ordered, and how many times."""
        return {name: fault.times for name, fault in self._ordered.items()}
