"""What one running console holds, and how a route gets at it. Owns no behaviour of its own."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from gatewayd.console.auth import Auth, SignedIn
from gatewayd.console.deps import ConsoleDeps
from gatewayd.console.feed import Feed
from gatewayd.console.repeats import Repeats
from gatewayd.console.texts import Texts
from gatewayd.console.views import Views


class Console:
    def __init__(self, deps: ConsoleDeps) -> None:
        self.deps = deps
        self.views = Views(deps)
        self.feed = Feed(deps, self.views)
        self.auth = Auth(deps)
        self.repeats = Repeats()
        self.texts = Texts.load()
        self.streams: dict[str, int] = {}  # how many live pages each session has open


# Coroutines although nothing waits: FastAPI would run a plain function in a thread.
async def console_of(request: Request) -> Console:
    console = request.app.state.console
    assert isinstance(console, Console)  # noqa: S101  # set by create_app
    return console


async def authorise(request: Request) -> SignedIn | None:
    """A dependency of every route: the table of `permissions` decides."""
    console = await console_of(request)
    return await console.auth.authorise(request)


async def signed_in(who: Annotated[SignedIn | None, Depends(authorise)]) -> SignedIn:
    assert who is not None  # noqa: S101  # a public route does not ask who
    return who


ConsoleDep = Annotated[Console, Depends(console_of)]
Who = Annotated[SignedIn, Depends(signed_in)]
