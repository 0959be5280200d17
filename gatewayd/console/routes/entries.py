"""Entries, their pictures, and the stream of what happens. Reads only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from gatewayd.console.context import Console, ConsoleDep, Who
from gatewayd.console.models import EntryDetail, EntryPage, StateView
from gatewayd.console.permissions import PREFIX
from gatewayd.console.problems import ProblemError, Responses, responses
from gatewayd.console.views import DECISIONS
from gatewayd.domain.events import AccessDenied, AccessGranted

router = APIRouter(prefix=PREFIX, tags=["entries"])

MAX_PAGE = 200
MAX_STREAMS = 4  # live pages of one session; a browser has six connections to a host
MAX_ALL_STREAMS = 100
MAX_SEQ = 2**62

Seq = Annotated[int, Path(ge=1, le=MAX_SEQ)]
_KINDS = {
    "all": DECISIONS,
    "granted": frozenset({AccessGranted.KIND}),
    "denied": frozenset({AccessDenied.KIND}),
}


@router.get(
    "/entries",
    summary="Decisions at the access points, newest first",
    responses=responses("journal-unavailable"),
)
async def entries(
    _who: Who,
    console: ConsoleDep,
    before: Annotated[
        int | None, Query(ge=1, le=MAX_SEQ, description="`next_before` of the page before.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50,
    decision: Literal["all", "granted", "denied"] = "all",
    access_point: Annotated[
        str | None, Query(max_length=32, description="Only those at this reader.")
    ] = None,
) -> EntryPage:
    """A page of decisions, each with the person, the place, the outcome and its pictures."""
    journal = console.deps.journal
    last_seq = journal.last_seq
    found = await journal.entries_before(
        before, limit + 1, kinds=_KINDS[decision], subject=access_point
    )
    page = found[:limit]
    return EntryPage(
        epoch=journal.epoch,
        last_seq=last_seq,
        entries=await console.views.entries(page),
        next_before=page[-1].seq if len(found) > limit else None,
    )


@router.get(
    "/entries/{seq}",
    summary="One decision with its trace",
    responses=responses("no-such-entry", "journal-unavailable"),
)
async def entry(seq: Seq, _who: Who, console: ConsoleDep) -> EntryDetail:
    """Everything a page of entries shows, and each rule that was tried with what it saw."""
    found = await console.deps.journal.entry(seq)
    detail = await console.views.entry_detail(found) if found else None
    if detail is None:
        raise ProblemError("no-such-entry", f"no decision stands at {seq}")
    return detail


_PICTURE: Responses = {
    200: {
        "description": "A JPEG. It never changes: the browser may keep it.",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.get(
    "/pictures/{day}/{file}",
    summary="The picture of an entry or alarm",
    response_class=Response,
    responses=_PICTURE | responses("no-such-picture"),
)
async def picture(
    day: Annotated[str, Path(pattern=r"^\d{4}-\d{2}-\d{2}$")],
    file: Annotated[str, Path(pattern=r"^[a-z0-9-]{1,64}\.jpg$")],
    _who: Who,
    console: ConsoleDep,
) -> Response:
    """As a `PictureView` of an entry names it."""

    def read() -> bytes:
        return console.deps.media.open_picture(f"{day}/{file}").read_bytes()

    try:
        data = await asyncio.to_thread(read)
    except OSError:
        raise ProblemError("no-such-picture") from None
    kept = {"Cache-Control": "private, max-age=31536000, immutable"}
    return Response(data, media_type="image/jpeg", headers=kept)


@router.get(
    "/state",
    summary="All that is true now",
    tags=["live"],
    responses=responses("journal-unavailable"),
)
async def state(_who: Who, console: ConsoleDep) -> StateView:
    """What the stream's `state` message holds: doors, alarms, the line to the centre."""
    return await console.views.state()


_STREAM: Responses = {
    200: {
        "description": (
            "Messages until the session ends. `state` (StateView; at the start and every 5 s), "
            "`entry` (EntryView; the same `seq` again when its outcome or picture is known), "
            "`door` (DoorView), `alarms` (AlarmList), `reset` (the journal was replaced: load "
            "everything anew). Message ids are journal seqs; state messages of the beat have none."
        ),
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}


@router.get(
    "/events/stream",
    summary="What happens, as it happens (server-sent events)",
    tags=["live"],
    response_class=StreamingResponse,
    responses=_STREAM | responses("too-many-streams"),
)
async def stream(
    request: Request,
    who: Who,
    console: ConsoleDep,
    after: Annotated[
        int | None,
        Query(ge=0, le=MAX_SEQ, description="Begin after this seq; left out: with what comes."),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(pattern=r"^\d{1,19}$", description="Sent by the browser; goes before `after`."),
    ] = None,
) -> StreamingResponse:
    """Gap-free: what came after `after` is replayed from the journal, then it goes on live."""
    here = console.streams.get(who.session.id, 0)
    if here >= MAX_STREAMS or sum(console.streams.values()) >= MAX_ALL_STREAMS:
        raise ProblemError("too-many-streams", "close a page of this console")
    begin = console.deps.journal.last_seq if after is None else after
    begin = int(last_event_id) if last_event_id else begin
    messages = _messages(console, request, who.session.id, begin)
    return StreamingResponse(messages, media_type="text/event-stream")


async def _messages(
    console: Console, request: Request, session_id: str, begin: int
) -> AsyncIterator[bytes]:
    """The feed's messages, counted as one live page of the session while they last."""

    async def alive() -> bool:
        return await console.auth.signed_in(request) is not None

    console.streams[session_id] = console.streams.get(session_id, 0) + 1
    try:
        async for message in console.feed.stream(begin, alive):
            yield message
    finally:
        console.streams[session_id] -= 1
        if not console.streams[session_id]:
            del console.streams[session_id]
