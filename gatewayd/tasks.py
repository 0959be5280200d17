"""Named tasks for as long as a block lasts, and a device's kept going. Owns no task of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from gatewayd.box import Box
from gatewayd.domain.model import DeviceId
from gatewayd.supervisor import supervise


@asynccontextmanager
async def running_tasks(named: Mapping[str, Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """These tasks for as long as the block lasts. One that fails ends the block and the process."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(work, name=name) for name, work in named.items()]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def supervised(box: Box, device: str, run: Any) -> Coroutine[Any, Any, None]:  # noqa: ANN401  # a driver's run
    return supervise(device, run, box.clock, partial(box.devices.offline, DeviceId(device)))
