"""How the box itself is. Reads only."""

from __future__ import annotations

import asyncio
import shutil

from fastapi import APIRouter

from gatewayd import __version__
from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.models import DeviceView, DiskView, SystemView
from gatewayd.console.permissions import PREFIX
from gatewayd.console.problems import responses

router = APIRouter(prefix=PREFIX, tags=["system"])

MB = 1_000_000


@router.get("/system", summary="How the box itself is", responses=responses("journal-unavailable"))
async def system(_who: Who, console: ConsoleDep) -> SystemView:
    """Devices, the line, the whitelist, the journal, the disk and the clock."""
    deps, views = console.deps, console.views
    now = deps.clock.now()
    status = deps.system_status()
    return SystemView(
        version=__version__,
        started_ms=status.started_wall_ms,
        wall_ms=now.wall_ms,
        wall_trusted=now.wall_trusted,
        whitelist=views.whitelist(),
        link=views.link(),
        outbox={str(s): depth for s, depth in (await deps.journal.outbox_depth()).items()},
        journal_epoch=deps.journal.epoch,
        journal_last_seq=deps.journal.last_seq,
        disk=await _disk(console),
        devices=[
            DeviceView.model_validate(
                {
                    "id": device.id,
                    "name": views.devices.get(device.id, device.id),
                    "kind": str(device.kind),
                    "driver": device.driver,
                    "online": device.online,
                    "detail": device.detail,
                }
            )
            for device in status.devices
        ],
    )


async def _disk(console: Console) -> DiskView:
    """A path that can't be asked has no room: that is what writing to it would find, too."""
    storage = console.deps.settings.storage
    low = storage.low_space_mb * MB
    try:
        usage = await asyncio.to_thread(shutil.disk_usage, storage.directory)
    except OSError:
        return DiskView(free_bytes=0, total_bytes=0, low_bytes=low)
    return DiskView(free_bytes=usage.free, total_bytes=usage.total, low_bytes=low)
