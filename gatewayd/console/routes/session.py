"""Log-in, log-out, and what an operator may change of their own. Must not decide rights."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request, Response

from gatewayd import __version__
from gatewayd.console.auth import SignedIn, address_of, clear_cookie, set_cookie
from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.models import (
    Language,
    LanguageChoice,
    Login,
    PasswordChange,
    SessionView,
    SiteView,
)
from gatewayd.console.permissions import PREFIX, TABLE, may
from gatewayd.console.problems import ProblemError, responses
from gatewayd.domain.events import OperatorOrdered
from gatewayd.store.operators import MIN_PASSWORD

router = APIRouter(prefix=PREFIX, tags=["session"])


@router.post(
    "/session",
    status_code=201,
    summary="Log in",
    responses=responses(
        "wrong-credentials",
        "too-many-attempts",
        "busy",
        "operators-unavailable",
        public=True,
        body=True,
    ),
)
async def log_in(
    login: Login, request: Request, response: Response, console: ConsoleDep
) -> SessionView:
    """Begins a session and sets its cookie (HttpOnly, SameSite=Strict). Failed attempts slow down
    further ones for the account and the address."""
    before = await console.auth.signed_in(request)
    who = await console.auth.log_in(login.name, login.password, address_of(request))
    if before is not None:
        await console.auth.log_out(before)
    if not who.operator.language:
        asked, _ = console.texts.of(request.headers.get("accept-language", ""))
        await console.deps.operators.set_language(who.operator.name, login.language or asked)
        who = await console.auth.renewed(who)
    set_cookie(request, response, who.token)
    return _view(console, who)


@router.get("/session", summary="Who is signed in", responses=responses())
async def session(who: Who, console: ConsoleDep) -> SessionView:
    return _view(console, who)


@router.delete("/session", status_code=204, summary="Log out", responses=responses(body=True))
async def log_out(who: Who, request: Request, console: ConsoleDep) -> Response:
    """Ends the session and its live pages."""
    await console.auth.log_out(who)
    response = Response(status_code=204)
    clear_cookie(request, response)
    return response


@router.put("/session/language", summary="Choose one's language", responses=responses(body=True))
async def choose_language(choice: LanguageChoice, who: Who, console: ConsoleDep) -> SessionView:
    """Kept with the operator: the next post they sit down at speaks it too."""
    await console.deps.operators.set_language(who.operator.name, choice.language)
    return _view(console, await console.auth.renewed(who))


@router.put(
    "/session/password",
    summary="Change one's password",
    responses=responses(
        "wrong-credentials",
        "password-unfit",
        "too-many-attempts",
        "busy",
        "journal-unavailable",
        body=True,
    ),
)
async def change_password(
    change: PasswordChange, request: Request, who: Who, console: ConsoleDep
) -> SessionView:
    """Ends every other session of this operator."""
    if len(change.new) < MIN_PASSWORD or change.new == change.current:
        raise ProblemError("password-unfit", f"at least {MIN_PASSWORD} characters, and a new one")
    await console.auth.check_password(who, change.current, address_of(request))
    encoded = await console.auth.passwords.hash(change.new)
    name = who.operator.name
    await console.deps.journal.append(OperatorOrdered(name, "change_password", name, ""))
    await console.deps.operators.set_password(name, encoded)
    await console.deps.operators.end_others(name, who.token)
    return _view(console, await console.auth.renewed(who))


def _view(console: Console, who: SignedIn) -> SessionView:
    site = console.deps.settings.site
    return SessionView(
        operator=who.operator.name,
        role=who.operator.role,
        language=cast("Language", who.operator.language),
        must_change_password=who.operator.must_change_password,
        ends_ms=console.deps.operators.ends_ms(who.session),
        may=[route for route in TABLE if may(who.operator.role, route)],
        site=SiteView(id=site.id, name=site.name, gateway=site.gateway, time_zone=site.time_zone),
        version=__version__,
    )
