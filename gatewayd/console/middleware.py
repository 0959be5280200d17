"""What every request and response goes through: headers, origin, size and kind of the body.

Plain ASGI, so that live streams pass untouched. Must not know sessions or routes.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gatewayd.console.problems import ProblemError, problem_response

MAX_BODY = 64 * 1024  # the largest order is a few hundred bytes
BODY_TIMEOUT_S = 10.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "font-src 'self'; media-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": (
        "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), "
        "magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=()"
    ),
}
HSTS = "max-age=31536000"


class Guard:
    """ASGI middleware. Refuses foreign pages and bad bodies; adds the headers to every response."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _with_headers(scope, send)
        try:
            if scope["method"] not in SAFE_METHODS:
                headers = Headers(scope=scope)
                check_origin(headers, scope["scheme"])
                receive = _once(await _read_body(headers, receive))
        except ProblemError as problem:
            await problem_response(problem)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def check_origin(headers: Headers, scheme: str) -> None:
    """Raises ProblemError unless an order comes from our own page, or from no page at all.

    A browser tells the origin with every POST; a program sends neither header, and has no
    cookie that another site's page could ride on.
    """
    site = headers.get("sec-fetch-site")
    origin = headers.get("origin")
    own = f"{scheme}://{headers.get('host', '')}".lower()
    if (site is not None and site != "same-origin") or (origin is not None and origin != own):
        raise ProblemError("foreign-origin", "open the console itself, at its own address")


async def _read_body(headers: Headers, receive: Receive) -> bytes:
    declared = headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_BODY:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            body = await _collect(receive)
    except TimeoutError:
        raise ProblemError("body-too-slow") from None
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if body and kind != "application/json":
        raise ProblemError("not-json")
    return body


async def _collect(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        body += message.get("body", b"")
        if len(body) > MAX_BODY:
            raise _too_large()
        if not message.get("more_body", False):
            return bytes(body)


def _too_large() -> ProblemError:
    return ProblemError("body-too-large", f"at most {MAX_BODY} bytes")


def _once(body: bytes) -> Receive:
    """A `receive` that hands over the body that was read already, and then no more."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    return receive


def _with_headers(scope: Scope, send: Send) -> Send:
    static = scope["path"].startswith("/static/")

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            if scope["scheme"] == "https":
                headers["Strict-Transport-Security"] = HSTS
            # Static files are asked about each time (a 304 costs nothing on the local network), so
            # that an update of the box never leaves half an old page behind.
            headers.setdefault("Cache-Control", "no-cache" if static else "no-store")
        await send(message)

    return send_with_headers
