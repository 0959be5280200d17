"""The command `uhppote diff`: the lists that boards have of their own, against the list in force.

Owns what is asked and how it is told. Asks the boards beside the daemon; changes nothing.
"""

from __future__ import annotations

import asyncio

from gatewayd.clock import SystemClock
from gatewayd.domain.ports import DeviceError, ListDifference, WhitelistReadError
from gatewayd.fallback import gather, terminals_of
from gatewayd.inquiry.sources import InquiryError
from gatewayd.settings.load import LoadedSettings

SHOWN = 20  # cards of each sort; the count tells of the others


def answer_diff(loaded: LoadedSettings, controller: str | None) -> tuple[str, bool]:
    """What to print, and whether all boards have what they should. Raises InquiryError where one
    can't be asked."""
    keepers = [
        board.id for board in loaded.settings.controller if loaded.drivers[board.id].keeps_list
    ]
    if controller is not None and controller not in keepers:
        known = ", ".join(keepers) or "none"
        raise InquiryError(f"no board {controller!r} has a list of its own; there are: {known}")
    asked = keepers if controller is None else [controller]
    if not asked:
        raise InquiryError("no [[controller]] of the settings has a list of its own")
    found = {board: asyncio.run(_difference(loaded, board)) for board in asked}
    text = "\n".join(_as_text(board, difference) for board, difference in found.items())
    return text, all(difference.same for difference in found.values())


async def _difference(loaded: LoadedSettings, board: str) -> ListDifference:
    settings, driver = loaded.settings, loaded.drivers[board]
    assert driver.compare_list is not None  # noqa: S101  # it keeps a list
    options = loaded.options[board]
    bus_options = None if driver.bus is None else loaded.options[options.bus]
    try:
        cards = gather(settings.storage.directory / "whitelist", terminals_of(settings, board))
        return await driver.compare_list(bus_options, options, SystemClock(), cards)
    except (DeviceError, WhitelistReadError) as error:
        raise InquiryError(f"{board}: {error}") from error


def _as_text(board: str, found: ListDifference) -> str:
    if found.same:
        return f"{board}: {found.cards} cards, as they should be"
    lines = [f"{board}: {found.cards} cards, and they are not as they should be"]
    sorts = (
        ("not on the board", found.missing),
        ("on the board, and may not pass", found.surplus),
        ("with other doors or days", found.changed),
    )
    for what, cards in sorts:
        if cards:
            more = f" and {len(cards) - SHOWN} more" if len(cards) > SHOWN else ""
            lines.append(f"  {what}: {len(cards)}: {', '.join(cards[:SHOWN])}{more}")
    return "\n".join(lines)
