"""Puts the console's routes, guards and pages together. Owns the application's shape, no data."""

from __future__ import annotations

from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles

from gatewayd import __version__
from gatewayd.console import problems, static_folder
from gatewayd.console.context import Console, authorise
from gatewayd.console.deps import ConsoleDeps
from gatewayd.console.middleware import Guard
from gatewayd.console.permissions import PREFIX, TABLE
from gatewayd.console.routes import (
    areas,
    captures,
    devices,
    entries,
    modes,
    orders,
    pages,
    session,
    system,
)

API = (
    session.router, entries.router, orders.router, modes.router, areas.router, devices.router,
    captures.router, system.router
)  # fmt: skip
DESCRIPTION = """
The console's API of one gatehouse box. Sign in with `POST /api/v1/session`; the session is a
cookie. Errors are RFC 9457 problem documents with a stable `code`. Every order that moves
something is a POST with an `Idempotency-Key`, is journaled with the operator's name and reason
before anything moves (a lockdown alone waits for no disk), and answers with what came of it.
Times are milliseconds since 1970 UTC.
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
    _check_table()
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
    for router in API:
        app.include_router(router, dependencies=[Depends(authorise)])
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=static_folder()))
    problems.install(app)
    app.add_middleware(Guard)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name


def served_routes() -> set[str]:
    """Every route there is, as the table of permissions names them: "GET /api/v1/doors"."""
    routes = {
        f"{method} {route.path}"
        for router in (*API, pages.router)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    return {*routes, f"GET {PREFIX}/openapi.json"}


def _check_table() -> None:
    served = served_routes()
    if served != TABLE.keys():
        odd = ", ".join(sorted(served ^ TABLE.keys()))
        raise RuntimeError(f"gatewayd/console/permissions.py and the routes differ: {odd}")
