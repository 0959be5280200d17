"""A guard at the console, as a program: logs in and resets a fire over the console's own API.

Owns that one act. Must not know the gateway's insides: what a guard may not, it may not either.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from pathlib import Path
from typing import Any, Self

API = "api/v1"
OPERATOR = "leader"  # whose shift it is
T_REPLY_S = 10.0
TRIES, WAIT_S = 10, 0.5  # while the panel still says fire


class GuardError(OSError):
    """The console did not do it; the text has its own words."""


@dataclass(frozen=True, slots=True)
class Guard:
    """`await guard.reset_fire("the panel is reset")`."""

    console: str
    name: str
    password: str = field(repr=False)

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """From what the demo writes of itself. Raises OSError, or ValueError for another file."""
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            return cls(told["console"], OPERATOR, told["operators"][OPERATOR])
        except (KeyError, TypeError) as error:
            what = f"{path}: needs 'console' and the password of {OPERATOR!r} in 'operators'"
            raise ValueError(what) from error

    async def reset_fire(self, reason: str) -> bool:
        """True when the fire is over, False where the panel went on saying so. Raises OSError."""
        for _ in range(TRIES):
            if await asyncio.to_thread(self._reset, reason):
                return True
            await asyncio.sleep(WAIT_S)
        return False

    def _reset(self, reason: str) -> bool:
        cookies = urllib.request.HTTPCookieProcessor(CookieJar())
        browser = urllib.request.build_opener(cookies)
        self._post(browser, "session", {"name": self.name, "password": self.password})
        try:
            self._post(browser, "fire/reset", {"reason": reason}, once=True)
        except urllib.error.HTTPError as refused:
            problem = json.load(refused)
            if str(problem.get("code")) in {"fire-still-on", "fire-not-known"}:
                return False
            raise GuardError(f"the console refused the reset: {problem}") from refused
        return True

    def _post(
        self,
        browser: urllib.request.OpenerDirector,
        route: str,
        body: dict[str, Any],
        *,
        once: bool = False,
    ) -> None:
        headers = {"Content-Type": "application/json"}
        if once:
            headers["Idempotency-Key"] = secrets.token_hex(16)
        url = f"{self.console.rstrip('/')}/{API}/{route}"
        request = urllib.request.Request(  # noqa: S310  # our own console's address
            url, json.dumps(body).encode(), headers, method="POST"
        )
        browser.open(request, timeout=T_REPLY_S).close()
