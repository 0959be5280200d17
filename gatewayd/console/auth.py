"""Who asks: the session behind a request's cookie, its rights, and the log-in that begins one.

Owns the cookie and the journaling of log-ins. Must not hash on the event loop: argon2 takes some
40 ms of a core, in a thread of which two may run at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from fastapi import Request
from starlette.responses import Response

from gatewayd.console.deps import ConsoleDeps
from gatewayd.console.permissions import BEFORE_PASSWORD_CHANGE, PREFIX, TABLE, may
from gatewayd.console.problems import ProblemError
from gatewayd.console.throttle import Throttle
from gatewayd.domain.events import Event, OperatorLoggedIn, OperatorLoggedOut, OperatorLoginFailed
from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import Clock, JournalError
from gatewayd.store.operators import (
    Operator,
    OperatorStoreError,
    Session,
    hash_password,
    verify_password,
)

log = logging.getLogger(__name__)

MAX_HASHING = 2  # at once: 19 MiB and one core each
MAX_WAITING = 8  # hashing or waiting for it; the next log-in is told to come back
FAILURES_KEPT = 20  # failed log-ins journaled one by one, then one every FAILURE_EVERY_S
FAILURE_EVERY_S = 30
SEEN_S = 0.25  # a request waits so long for the note that its session was there
UNKNOWN = "?"  # what is typed where no such name exists may be a password: never kept

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SignedIn:
    session: Session
    token: str = field(repr=False)

    @property
    def operator(self) -> Operator:
        return self.session.operator


class Passwords:
    """Hashing off the event loop, a few at a time."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_HASHING)
        self._inside = 0

    async def verify(self, operator: Operator | None, password: str) -> bool:
        """An unknown or disabled operator costs the same and is refused."""
        encoded = operator.password_hash if operator and operator.enabled else None
        return await self._in_turn(lambda: verify_password(encoded, password))

    async def hash(self, password: str) -> str:
        return await self._in_turn(lambda: hash_password(password))

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._inside >= MAX_WAITING:
            raise ProblemError("busy", "many log in at once", headers={"Retry-After": "2"})
        self._inside += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(work)
        finally:
            self._inside -= 1


class FailureBudget:
    """How many failed log-ins are journaled: a flood of them must not fill the disk."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left = FAILURES_KEPT
        self._since_ns = clock.monotonic_ns()
        self._unsaid = 0

    def take(self) -> int | None:
        """None: don't journal this one. Else how many went unsaid since the last one journaled."""
        gained, _ = divmod(self._clock.monotonic_ns() - self._since_ns, FAILURE_EVERY_S * NS_PER_S)
        self._since_ns += gained * FAILURE_EVERY_S * NS_PER_S
        self._left = min(FAILURES_KEPT, self._left + gained)
        if self._left == 0:
            self._unsaid += 1
            return None
        self._left -= 1
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid


class Auth:
    def __init__(self, deps: ConsoleDeps) -> None:
        self._deps = deps
        self._throttle = Throttle(deps.clock)
        self._failures = FailureBudget(deps.clock)
        self.passwords = Passwords()
        self._keeping: asyncio.Task[None] | None = None
        self._seen_fails = False

    # --------------------------------------------------------------------------- requests

    async def signed_in(self, request: Request) -> SignedIn | None:
        """Whose session the request's cookie opens; asking counts as being there."""
        token = request.cookies.get(cookie_name(request))
        if not token:
            return None
        session = await self._deps.operators.session(token)
        if session is None:
            return None
        if self._deps.operators.seen(token, session):
            await self._keep_seen()
        return SignedIn(session, token)

    async def _keep_seen(self) -> None:
        """Waits a moment at most: where operators.db is full or hangs, whoever is signed in must
        still see the alarms and lock down."""
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.create_task(self._write_seen(), name="sessions seen")
        await asyncio.wait({self._keeping}, timeout=SEEN_S)

    async def _write_seen(self) -> None:
        try:
            await self._deps.operators.write_seen()
        except OperatorStoreError as error:
            if not self._seen_fails:
                log.error("sessions' last uses are not written, nobody is put out: %s", error)
            self._seen_fails = True
        else:
            self._seen_fails = False

    async def authorise(self, request: Request) -> SignedIn | None:
        """The session, where the table lets it use this route; None on a public route. Raises
        ProblemError else."""
        route = f"{request.method} {request.scope['route'].path}"
        if TABLE[route] is None:
            return None
        who = await self.signed_in(request)
        if who is None:
            raise ProblemError("not-signed-in", f"POST {PREFIX}/session first")
        if not may(who.operator.role, route):
            lowest = TABLE[route]
            raise ProblemError("role-too-low", f"this takes a {lowest} or above")
        if who.operator.must_change_password and route not in BEFORE_PASSWORD_CHANGE:
            raise ProblemError("password-change-required", f"PUT {PREFIX}/session/password")
        return who

    # ----------------------------------------------------------------------------- log-in

    async def log_in(self, name: str, password: str, address: str) -> SignedIn:
        """A new session. Raises ProblemError, after the same work whatever is wrong."""
        self._allow(name, address)
        operator = await self._deps.operators.operator(name)
        if not await self.passwords.verify(operator, password) or operator is None:
            await self._failed(operator, address)
            raise ProblemError("wrong-credentials", "check the name and the password")
        self._throttle.succeeded(name, address)
        token = await self._deps.operators.begin_session(name, address)
        session = await self._deps.operators.session(token)
        if session is None:
            raise ProblemError("wrong-credentials", "the operator was disabled just now")
        await self._journal(OperatorLoggedIn(name, operator.role.value, address))
        return SignedIn(session, token)

    async def log_out(self, who: SignedIn) -> None:
        """The session is over before the journal is told, which ends its live pages."""
        await self._deps.operators.end_session(who.token)
        await self._journal(OperatorLoggedOut(who.operator.name))

    async def check_password(self, who: SignedIn, password: str, address: str) -> None:
        """Before an act that a borrowed session must not do. Raises ProblemError as `log_in`."""
        name = who.operator.name
        self._allow(name, address)
        if not await self.passwords.verify(who.operator, password):
            await self._failed(who.operator, address)
            raise ProblemError("wrong-credentials", "that is not the present password")
        self._throttle.succeeded(name, address)

    async def renewed(self, who: SignedIn) -> SignedIn:
        """The session as it stands after something of its operator changed."""
        session = await self._deps.operators.session(who.token)
        if session is None:
            raise ProblemError("not-signed-in", "the session ended just now")
        return SignedIn(session, who.token)

    def _allow(self, name: str, address: str) -> None:
        wait_s = self._throttle.attempt(name, address)
        if wait_s:
            raise ProblemError(
                "too-many-attempts",
                f"try again in {wait_s} s",
                {"retry_after_s": wait_s},
                {"Retry-After": str(wait_s)},
            )

    async def _failed(self, operator: Operator | None, address: str) -> None:
        unsaid = self._failures.take()
        if unsaid is None:
            return
        why = "unknown name" if operator is None else "wrong password"
        if operator is not None and not operator.enabled:
            why = "operator disabled"
        more = f"; {unsaid} more before it were not journaled one by one" if unsaid else ""
        name = UNKNOWN if operator is None else operator.name
        await self._journal(OperatorLoginFailed(name, address, why + more))

    async def _journal(self, event: Event) -> None:
        """A guard must get in to see the very alarm that says the journal fails."""
        try:
            await self._deps.journal.append(event)
        except JournalError as error:
            log.error("%s by %s not journaled: %s", event.KIND, event.subject, error)


def cookie_name(request: Request) -> str:
    """`__Host-` makes the browser refuse such a cookie from anywhere but this host over HTTPS."""
    return "__Host-gatewayd" if request.url.scheme == "https" else "gatewayd"


def set_cookie(request: Request, response: Response, token: str) -> None:
    """For as long as the browser runs; the store knows when the session is over."""
    response.set_cookie(
        cookie_name(request),
        token,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def clear_cookie(request: Request, response: Response) -> None:
    response.delete_cookie(
        cookie_name(request),
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def address_of(request: Request) -> str:
    return request.client.host if request.client else "local"
