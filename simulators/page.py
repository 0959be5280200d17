"""`gatewayd simulate page`: a page to present cards and press keys at simulated devices.

Owns the page and the way from it to the devices' control sockets. Must not know any device: what
one can do, it is asked. Serves the loopback only, and only whoever has the page's own address.
"""

from __future__ import annotations

import argparse
import json
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response

from simulators.arguments import named_path
from simulators.control import MAX_LINE, ORDERS, ControlClient, ControlError

NAME = "page"
HELP = "a page to present cards and press keys at simulated devices that run"

HOST = "127.0.0.1"
_FILES = {
    "": ("page.html", "text/html"),
    "page.js": ("page.js", "text/javascript"),
    "page.css": ("page.css", "text/css"),
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_app(devices: Mapping[str, Path], token: str) -> FastAPI:
    """The page under /`token`/; every other address is none."""
    app = FastAPI(openapi_url=None)

    @app.get(f"/{token}/{{name:path}}")
    async def page(name: str) -> Response:
        if name == "devices":
            return _answer([await _described(device, path) for device, path in devices.items()])
        if name not in _FILES:
            raise HTTPException(404)
        file, media_type = _FILES[name]
        text = (files("simulators") / file).read_bytes()
        return Response(text, media_type=media_type, headers=_HEADERS)

    @app.post(f"/{token}/devices/{{name}}")
    async def order(name: str, request: Request) -> Response:
        if name not in devices:
            raise HTTPException(404)
        return _answer(await _obeyed(devices[name], await _order_of(request)))

    return app


def _answer(content: object) -> Response:
    return Response(json.dumps(content), media_type="application/json", headers=_HEADERS)


async def _order_of(request: Request) -> Mapping[str, Any]:
    """The order in the request's body. Raises HTTPException for what is none."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_LINE:
            raise HTTPException(413, f"an order has at most {MAX_LINE} bytes")
    try:
        order = json.loads(body)
    except (ValueError, RecursionError):
        order = None
    if not isinstance(order, dict):
        raise HTTPException(422, 'write one JSON object, e.g. {"do": "status"}')
    return order


async def _described(name: str, path: Path) -> dict[str, Any]:
    """What the device can be told, and how it is."""
    told = await _obeyed(path, ORDERS)
    if not told["ok"]:
        return {"name": name, "away": told["error"], "orders": {}, "status": {}}
    status = await _obeyed(path, {"do": "status"})
    return {"name": name, "orders": told["orders"], "status": status}


async def _obeyed(path: Path, order: Mapping[str, Any]) -> dict[str, Any]:
    """The device's reply; why there is none is one too."""
    try:
        async with ControlClient(path) as client:
            return await client.ask(order)
    except ControlError as error:
        return {"ok": False, "error": str(error)}
    except (OSError, TimeoutError, ValueError) as error:
        return {"ok": False, "error": f"no simulated device answers at {path}: {error}"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--control",
        type=named_path,
        action="append",
        required=True,
        metavar="NAME=PATH",
        help="a device's control socket, and what to call it; repeat for more",
    )
    parser.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")


async def run(args: argparse.Namespace) -> int:
    """Serve until cancelled. Raises ValueError for a name twice, OSError for a port in use."""
    devices = dict(args.control)
    if len(devices) < len(args.control):
        raise ValueError("two devices have the same name: give each its own")
    token = secrets.token_urlsafe(16)
    with socket.create_server((HOST, args.port)) as listening:
        port = listening.getsockname()[1]
        url = f"http://{HOST}:{port}/{token}/"
        print("ready " + json.dumps({"url": url, "devices": list(devices)}), flush=True)
        config = uvicorn.Config(make_app(devices, token), log_level="warning", lifespan="off")
        await _Server(config).serve([listening])
    return 0


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: a signal cancels the simulator, and that ends it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
