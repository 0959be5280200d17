"""An order that is sent twice is carried out once. Owns the stored results of Idempotency-Keys.

Kept per session for the life of the process, at most `MAX_KEYS` each; must not know what an order
does.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel

from gatewayd.console.problems import ProblemError

MAX_KEYS = 64  # of one session: a hand gives some twenty orders a minute at most
MAX_SESSIONS = 200

T = TypeVar("T", bound=BaseModel)
Result = asyncio.Future[BaseModel]


@dataclass(frozen=True, slots=True)
class _Slot:
    order: str
    result: Result


class Repeats:
    def __init__(self) -> None:
        self._sessions: OrderedDict[str, OrderedDict[str, _Slot]] = OrderedDict()

    async def once(
        self, session_id: str, key: str, order: str, kind: type[T], act: Callable[[], Awaitable[T]]
    ) -> T:
        """What `act` gives, or gave when this key was first used for the same `order`.

        A repeat that comes while the first is under way waits for it, and gets its problem too
        where it ended in one. Any other error of `act` is forgotten, so that the key may try again.
        """
        slots = self._slots_of(session_id)
        slot = slots.get(key)
        if slot is not None:
            result = await self._repeated(slot, order)
            assert isinstance(result, kind)  # noqa: S101  # the same order has the same result type
            return result
        slot = _Slot(order, asyncio.get_running_loop().create_future())
        slots[key] = slot
        while len(slots) > MAX_KEYS:
            slots.popitem(last=False)
        try:
            done = await act()
        except ProblemError as problem:
            _fail(slot.result, problem)
            raise
        except BaseException:
            slots.pop(key, None)
            _fail(slot.result, ProblemError("interrupted"))
            raise
        slot.result.set_result(done)
        return done

    async def _repeated(self, slot: _Slot, order: str) -> BaseModel:
        if slot.order != order:
            raise ProblemError("idempotency-key-reused", "make a new key for each order")
        return await asyncio.shield(slot.result)

    def _slots_of(self, session_id: str) -> OrderedDict[str, _Slot]:
        slots = self._sessions.pop(session_id, None) or OrderedDict()
        self._sessions[session_id] = slots
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return slots


def _fail(result: Result, problem: ProblemError) -> None:
    """Whoever waits gets the problem; it is no error that nobody does."""
    result.set_exception(problem)
    result.exception()
