"""What boards may know for the time that the box is away: gathered from the list in force, handed
to them when it changes. Owns when; what they may know is `gatewayd.domain.fallback`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gatewayd.domain.fallback import fallback_card, may_fall_back
from gatewayd.domain.model import NS_PER_S, CredentialKind, DeviceId, DoorId, FallbackCard
from gatewayd.domain.ports import Clock, ListKeeper, Whitelist, WhitelistReadError
from gatewayd.settings.bind import access_points, areas, domain_doors, interlocks
from gatewayd.settings.model import Settings
from gatewayd.store.whitelist import pointed_to
from gatewayd.store.whitelist_revision import credential_of, open_revision

log = logging.getLogger(__name__)

LOOK_NS = 5 * NS_PER_S  # a list that came is on its way to the boards after this
TRIES = 3  # a list that is swapped while we open it is looked for again

Terminals = Mapping[DoorId, int]


def terminals_of(settings: Settings, device_id: str) -> dict[DoorId, int]:
    """The doors on this board that may fall back, with their relays."""
    doors, points, places = domain_doors(settings), access_points(settings), areas(settings)
    interlocked = {door for each in interlocks(settings) for door in each.door_ids}
    return {
        DoorId(door.id): door.relay
        for door in settings.door
        if door.controller == device_id
        and may_fall_back(doors[DoorId(door.id)], points.values(), places, interlocked)
    }


def gather(folder: Path, terminals: Terminals) -> list[FallbackCard]:
    """From the list that the whitelist's folder has in force, which may be a hundred thousand
    cards: call it in a thread. Raises WhitelistReadError."""
    for left in reversed(range(TRIES)):
        try:
            return _gather(folder, terminals)
        except FileNotFoundError as error:
            if not left:
                raise WhitelistReadError(f"there is no list: {error}") from error
        except (OSError, ValueError) as error:
            raise WhitelistReadError(str(error)) from error
    raise AssertionError("unreachable")


def _gather(folder: Path, terminals: Terminals) -> list[FallbackCard]:
    with closing(open_revision(pointed_to(folder)[0])) as listed:
        every = listed.keys()
        keys = (key for key in every if key.startswith(f"{CredentialKind.CARD}:"))
        cards = (fallback_card(listed.snapshot(credential_of(key)), terminals) for key in keys)
        return [card for card in cards if card is not None]


@dataclass(frozen=True, slots=True)
class FallbackDesk:
    """Hands each board its list, at the start and whenever another revision decides. Before the
    first, or while none can be read, boards keep what they have."""

    folder: Path
    boards: Mapping[DeviceId, tuple[ListKeeper, Terminals]]
    whitelist: Whitelist
    clock: Clock

    async def run(self) -> None:
        """For ever."""
        handed: int | None = None
        while True:
            revision = self.whitelist.revision
            if revision not in {0, handed} and await self._hand_out():
                handed = revision
            await self.clock.sleep_until(self.clock.monotonic_ns() + LOOK_NS)

    async def _hand_out(self) -> bool:
        try:
            for device_id, (board, terminals) in self.boards.items():
                cards: Sequence[FallbackCard] = await asyncio.to_thread(
                    gather, self.folder, terminals
                )
                log.info("%s may let in %d cards by itself", device_id, len(cards))
                board.keep_list(cards)
        except WhitelistReadError as error:
            log.warning("the boards keep the lists they have: %s", error)
            return False
        return True
