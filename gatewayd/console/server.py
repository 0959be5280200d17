"""Serves the console inside the daemon's event loop. Owns its socket, its start and its end.

uvicorn is kept from doing what only the daemon may: catching signals and ending the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from gatewayd.console.app import create_app
from gatewayd.console.context import Console
from gatewayd.console.deps import ConsoleDeps

BACKLOG = 128
MAX_CONNECTIONS = 400  # 20 consoles with six connections each, three times over
GOODBYE_S = 2  # what is under way when the daemon ends has this long


class ConsoleAddressError(OSError):
    """The console can't listen where the settings say."""


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, ending its connections when its task is cancelled."""

    def __init__(
        self, config: uvicorn.Config, console: Console, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._console = console
        self._on_started = on_started
        self.cancelled = False

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    async def main_loop(self) -> None:
        try:
            await super().main_loop()
        except asyncio.CancelledError:
            self.cancelled = True  # raised again by `_serve`, once the connections are closed
            self._console.feed.close()


async def serve(
    deps: ConsoleDeps,
    host: str,
    port: int,
    *,
    certificate_file: Path | None = None,
    key_file: Path | None = None,
    on_ready: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve until cancelled; `on_ready` gets the URL once it answers (port 0: the one it found).

    Raises ConsoleAddressError where it can't listen, and OSError for a certificate it can't read.
    """
    app = create_app(deps)
    console: Console = app.state.console
    listener = _listen(host, port)
    with contextlib.closing(listener):
        scheme = "https" if certificate_file else "http"
        url = f"{scheme}://{_shown(host)}:{listener.getsockname()[1]}/"
        config = _config(app, certificate_file, key_file)
        server = _Server(config, console, lambda: on_ready(url))
        async with asyncio.TaskGroup() as group:
            feed = group.create_task(console.feed.run(), name="console feed")
            group.create_task(_serve(server, listener, feed), name="console http")


async def _serve(server: _Server, listener: socket.socket, feed: asyncio.Task[None]) -> None:
    try:
        await server.serve(sockets=[listener])
    finally:
        feed.cancel()
    if server.cancelled:
        raise asyncio.CancelledError


def _config(app: object, certificate_file: Path | None, key_file: Path | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # FastAPI's __call__ is an ASGI application
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=GOODBYE_S,
        h11_max_incomplete_event_size=32 * 1024,
        ssl_certfile=certificate_file,
        ssl_keyfile=key_file,
    )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket that says it is TCP: only then asyncio turns off Nagle's algorithm, which
    else holds every answer back for 40 ms."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


def _cannot_listen(host: str, port: int, error: OSError) -> ConsoleAddressError:
    return ConsoleAddressError(
        f"console: cannot listen on {host} port {port}: {error} "
        "(change [console] host or port, or end the program that holds it)"
    )


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
