"""Areas: how many are inside, who they are, and forgiving. Must not reckon: the memory does.

A head count names people, for whoever leads them out; it shows no phone and no card.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.deps import AreaDesk
from gatewayd.console.models import AreaList, AreaPeople, Forgiveness, ForgiveResult
from gatewayd.console.permissions import PREFIX
from gatewayd.console.problems import ProblemError, responses
from gatewayd.console.routes.ordering import ORDER_ERRORS, Key, cause_of, key_of
from gatewayd.domain.model import Area, AreaId, PersonId

router = APIRouter(prefix=PREFIX, tags=["areas"])


@router.get("/areas", summary="Every area and how many are in it", responses=responses())
async def areas(_who: Who, console: ConsoleDep) -> AreaList:
    return AreaList(areas=console.views.areas())


@router.get(
    "/areas/{area_id}/people",
    summary="Who is in an area: a head count",
    responses=responses("no-such-area"),
)
async def area_people(
    area_id: Annotated[str, Path(max_length=32)], _who: Who, console: ConsoleDep
) -> AreaPeople:
    """By their last passage; whoever was let through by hand, or followed another, is not seen."""
    desk, area = _area(console, area_id)
    return console.views.area_people(desk, area)


@router.post(
    "/areas/forgive",
    summary="Let the next passage be in order, wherever it leads",
    responses=responses(*ORDER_ERRORS, "no-such-area", "no-such-person", body=True),
)
async def forgive(
    order: Forgiveness, who: Who, console: ConsoleDep, key: Key = None
) -> ForgiveResult:
    """Of a person, of everyone in an area, or of everyone: they are neutral until then, and counted
    nowhere."""
    desk = _desk(console)
    area_id = None if order.area_id is None else _area(console, order.area_id)[1].id
    person_id = None if order.person_id is None else _person(console, desk, order.person_id)

    async def act() -> ForgiveResult:
        cause = cause_of(who, order.reason)
        now = console.deps.clock.now()
        return ForgiveResult(seq=await desk.forgive(person_id, area_id, cause, now))

    what = f"forgive {order}"
    return await console.repeats.once(who.session.id, key_of(key), what, ForgiveResult, act)


def _desk(console: Console) -> AreaDesk:
    if console.deps.areas is None:
        raise ProblemError("no-such-area", "nobody keeps book of areas here")
    return console.deps.areas


def _area(console: Console, area_id: str) -> tuple[AreaDesk, Area]:
    desk = _desk(console)
    area = desk.areas.get(AreaId(area_id))
    if area is None:
        raise ProblemError("no-such-area", f"the settings have no area {area_id!r}")
    return desk, area


def _person(console: Console, desk: AreaDesk, person_id: str) -> PersonId:
    """A slip must not forgive a person who does not exist: nobody would notice."""
    found = PersonId(person_id)
    if not desk.knows(found) and not console.views.listed(found):
        raise ProblemError("no-such-person", "load the area again; the list may be a newer one")
    return found
