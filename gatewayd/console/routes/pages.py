"""The two pages: the log-in and the console. Owns no data: the page asks the API for it."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gatewayd.console import static_folder
from gatewayd.console.context import Console, ConsoleDep
from gatewayd.console.problems import Responses, responses
from gatewayd.wording import LANGUAGES

router = APIRouter(tags=["pages"], default_response_class=HTMLResponse)

_TO_LOGIN: Responses = {303: {"description": "Nobody is signed in: to the log-in page."}}
# Told to the browser at once: it would find them one import after the other.
_APART = {"early.js", "login.js", "app.js"}
_MODULES = sorted(
    f"/static/{path.relative_to(static_folder())}"
    for path in (*static_folder().rglob("js/**/*.js"), *static_folder().glob("vendor/*.js"))
    if path.name not in _APART
)
_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
)


@router.get(
    "/",
    summary="The console's page",
    response_class=HTMLResponse,
    responses=_TO_LOGIN | responses("operators-unavailable", public=True),
)
async def console_page(request: Request, console: ConsoleDep) -> Response:
    """Whoever is not signed in is shown to the log-in."""
    who = await console.auth.signed_in(request)
    if who is None:
        return RedirectResponse("/login", 303)
    return _page(console, "console.html", who.operator.language)


@router.get(
    "/login",
    summary="The log-in page",
    response_class=HTMLResponse,
    responses=responses(public=True),
)
async def login_page(request: Request, console: ConsoleDep, lang: str = "") -> Response:
    """In the language of `lang`, else in the browser's."""
    language, _ = console.texts.of(request.headers.get("accept-language", ""))
    if lang in console.texts.by_language:
        language = lang
    return _page(console, "login.html", language)


def _page(console: Console, template: str, language: str) -> Response:
    rendered = _templates.get_template(template).render(
        language=language,
        other_language=next(one for one in LANGUAGES if one != language),
        t=console.texts.by_language[language],
        site=console.deps.settings.site.name,
        gateway=console.deps.settings.site.gateway,
        modules=_MODULES,
    )
    return HTMLResponse(rendered)
