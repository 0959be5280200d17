"""Listening on an OSDP line without a word: a tap on its wires, cut into pieces with their times.

Owns the port while it listens; writes nothing to it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

from drivers.protocols.osdp.pieces import Piece, Splitter
from drivers.transport import check_url, open_port

# What has begun is over when so long nothing came: a gap in a frame, and a slow USB adapter.
QUIET_S = 0.1


async def listen(url: str, baud_rate: int) -> AsyncGenerator[tuple[int, Piece]]:
    """For ever: nanoseconds since 1970 UTC of the read that completed it, and the piece. Raises
    OSError where the line can't be opened or breaks, ValueError for a URL that names none."""
    port = await open_port(check_url(url), baud_rate)
    splitter = Splitter()
    try:
        while True:
            try:
                async with asyncio.timeout(QUIET_S if splitter.pending else None):
                    data = await port.read()
            except TimeoutError:
                pieces = splitter.quiet()
            else:
                if not data:
                    raise OSError(f"{url}: the line was closed by its other end")
                pieces = splitter.feed(data)
            now_ns = time.time_ns()
            for piece in pieces:
                yield now_ns, piece
    finally:
        await port.close()
