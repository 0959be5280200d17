"""The running daemon, spoken to over its own console as an operator. Owns one signed-in session.

Only the standard library: the command line must work on a box where little else does.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from gatewayd.settings.model import ConsoleSettings

PREFIX = "/api/v1"
TIMEOUT_S = 15.0
MAX_ANSWER = 1_000_000  # bytes


class ConsoleError(OSError):
    """The daemon can't be reached, or refuses: the message says which, and what to do."""


def console_url(settings: ConsoleSettings | None) -> str:
    """Where this machine reaches the console. Raises ConsoleError where there is none."""
    if settings is None:
        raise ConsoleError(
            "the settings have no [console], and the daemon takes orders over it alone: add one"
            " (host = '127.0.0.1' is enough) with an operators_file, and restart gatewayd"
        )
    if settings.port == 0:
        raise ConsoleError("[console] port = 0 is another one at each start: name it with --url")
    scheme = "http" if settings.certificate_file is None else "https"
    host = settings.host
    try:
        if ipaddress.ip_address(host).is_unspecified:
            host = "::1" if ":" in host else "127.0.0.1"
    except ValueError:
        pass  # a name
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


class Console:
    """`with Console(url, name, password, certificate) as console:` signs in, and out at the end."""

    def __init__(self, url: str, name: str, password: str, certificate: Path | None) -> None:
        """`certificate`: the console's own, of the settings; it is trusted as it is. Raises
        ConsoleError for a URL that is none or would carry the password in clear to elsewhere."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConsoleError(f"--url {url}: write https://host:port")
        if parts.scheme == "http" and not _is_here(parts.hostname):
            raise ConsoleError(f"--url {url}: a password goes to another machine by https only")
        self._url = url
        self._host, self._port = parts.hostname, parts.port
        self._context = _trusting(certificate) if parts.scheme == "https" else None
        self._body = {"name": name, "password": password}
        self._cookie = ""

    def __enter__(self) -> Self:
        self.post("/session", self._body, keyed=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            self._ask("DELETE", "/session", None, {})
        except ConsoleError:
            if error is None:
                raise

    def get(self, path: str) -> dict[str, Any]:
        """Raises ConsoleError."""
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: Mapping[str, Any], *, keyed: bool = True) -> dict[str, Any]:
        """Raises ConsoleError."""
        more = {"Idempotency-Key": token_hex(16)} if keyed else {}
        return self._ask("POST", path, body, more)

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None, more: Mapping[str, str]
    ) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Cookie": self._cookie, **more}
        connection = self._connect()
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, PREFIX + path, text, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read(MAX_ANSWER) or b"{}")
        except (OSError, HTTPException, ValueError) as error:
            raise ConsoleError(
                f"the console at {self._url} can't be reached ({error}): is gatewayd running?"
            ) from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise ConsoleError(_refusal(said))
        self._keep_cookie(answer)
        return dict(said)

    def _connect(self) -> HTTPConnection:
        if self._context is None:
            return HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        return HTTPSConnection(self._host, self._port, timeout=TIMEOUT_S, context=self._context)

    def _keep_cookie(self, answer: HTTPResponse) -> None:
        given = answer.headers.get("Set-Cookie")
        if given is not None:
            self._cookie = given.split(";")[0]


def _refusal(said: object) -> str:
    """The problem document in one line."""
    if not isinstance(said, dict):
        return "the console refuses, and does not say why"
    title, detail = said.get("title", "the console refuses"), said.get("detail", "")
    return f"{title} ({detail})" if detail else str(title)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _trusting(certificate: Path | None) -> ssl.SSLContext:
    """The console's own certificate, whoever signed it and whatever name is in it: the settings say
    that it is the console's."""
    try:
        context = ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise ConsoleError(f"{certificate} can't be used as a certificate: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context
