"""The way to the broker: TCP and TLS, in a thread. Owns a socket until it is open or closed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho


def tls_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, the broker's name checked. Raises OSError for files that can't be used."""
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    return context


def open_socket(
    host: str, port: int, timeout_s: float, context: ssl.SSLContext | None
) -> socket.socket:
    """An open line; it blocks. `timeout_s` is for each step. Raises OSError, with nothing open."""
    plain = socket.create_connection((host, port), timeout_s)
    try:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return plain if context is None else context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


class Client(paho.Client):
    """paho's client on a socket of ours: its own way leaves one open when a handshake fails."""

    def __init__(
        self,
        dial: Callable[[], socket.socket],
        *args: Any,  # noqa: ANN401  # paho's
        **more: Any,  # noqa: ANN401  # paho's
    ) -> None:
        super().__init__(*args, **more)
        self._dial = dial

    def _create_socket(self) -> socket.socket:
        return self._dial()
