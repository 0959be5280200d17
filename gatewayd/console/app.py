"""Puts the console's routes, guards and pages together. Owns the application's shape, no data."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles

from gatewayd import __version__
from gatewayd.console import problems
from gatewayd.console.context import Console, authorise
from gatewayd.console.deps import ConsoleDeps
from gatewayd.console.middleware import Guard
from gatewayd.console.permissions import PREFIX, TABLE
from gatewayd.console.routes import entries, orders, pages, session, system

DESCRIPTION = """
The console's API of one gatehouse box. Sign in with `POST /api/v1/session`; the session is a
cookie. Errors are RFC 9457 problem documents with a stable `code`. Every order that moves
something is a POST with an `Idempotency-Key`, is journaled with the operator's name and reason
before anything moves, and answers with what came of it. Times are milliseconds since 1970 UTC.
Fields are only ever added within v1.
"""


def create_app(deps: ConsoleDeps) -> FastAPI:
    """The ASGI application. Its live events come while `app.state.console.feed.run()` runs.

    Raises RuntimeError for a route that the table of permissions does not have, or the reverse.
    """
    app = build()
    app.state.console = Console(deps)
    return app


class _Api(FastAPI):
    """Describes its problems as what they are, which FastAPI knows nothing of."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            schemas = super().openapi().setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = problems.Problem.model_json_schema()
        return super().openapi()


def build() -> FastAPI:
    """The application without anything to serve from: enough to describe itself."""
    app = _Api(
        title="gatewayd console",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
        generate_unique_id_function=_operation_id,
    )
    for router in (session.router, entries.router, orders.router, system.router):
        app.include_router(router, dependencies=[Depends(authorise)])
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=str(files("gatewayd.console") / "static")))
    problems.install(app)
    app.add_middleware(Guard)
    _check_table(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def routes_of(app: FastAPI) -> list[str]:
    """Every operation that the OpenAPI document describes, as the table names them."""
    document: dict[str, Any] = app.openapi()
    return [
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
    ]


def _check_table(app: FastAPI) -> None:
    served = {*routes_of(app), f"GET {PREFIX}/openapi.json"}
    if served != TABLE.keys():
        odd = ", ".join(sorted(served ^ TABLE.keys()))
        raise RuntimeError(f"gatewayd/console/permissions.py and the routes differ: {odd}")
