"""What goes wrong, told the same way everywhere: RFC 9457 problem documents with stable codes.

Owns the list of codes and their HTTP status. Must not echo what was sent: it may be a password.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from gatewayd.domain.ports import JournalError
from gatewayd.store.operators import OperatorStoreError

TYPE_PREFIX = "urn:gatewayd:problem:"
MEDIA_TYPE = "application/problem+json"

Responses = dict[int | str, dict[str, Any]]

# code: (status, title). Codes are only ever added; the page has a text for each in each language.
PROBLEMS: dict[str, tuple[int, str]] = {
    "idempotency-key-missing": (400, "The order has no Idempotency-Key"),
    "not-signed-in": (401, "No session, or it is over"),
    "wrong-credentials": (401, "Name or password is wrong"),
    "role-too-low": (403, "This role may not do that"),
    "password-change-required": (403, "The first password must be changed before anything else"),
    "foreign-origin": (403, "The request came from another site's page"),
    "not-found": (404, "There is nothing at this address"),
    "no-such-entry": (404, "The journal has no such entry"),
    "no-such-door": (404, "The settings have no such door"),
    "no-such-zone": (404, "No door of the settings is in such a zone"),
    "no-such-area": (404, "The settings have no such area"),
    "no-such-person": (404, "Nobody of that id is in the list, or was seen anywhere"),
    "no-such-device": (404, "The settings have no such reader or controller"),
    "no-such-bus": (404, "The settings have no such bus, or it can't be captured"),
    "no-such-alarm": (404, "No such alarm is open"),
    "no-such-picture": (404, "There is no such picture, or it is no longer kept"),
    "method-not-allowed": (405, "This address does not take that method"),
    "body-too-slow": (408, "The body did not arrive in time"),
    "already-acknowledged": (409, "Another operator was first"),
    "takes-no-key": (409, "This device can't be given a key by the box"),
    "install-window-open": (409, "Another install window is open; one at a time"),
    "no-install-window": (409, "No install window is open"),
    "capture-runs": (409, "Another capture runs; one at a time"),
    "no-capture": (409, "No capture runs"),
    "captures-full": (409, "Too many captures are kept; remove some from the box"),
    "no-fire": (409, "There is no fire to reset"),
    "fire-still-on": (409, "The fire input still says fire"),
    "fire-not-known": (409, "What the fire input says can't be told now"),
    "never-shelved": (409, "Alarms of this kind can't be shelved"),
    "body-too-large": (413, "The body is larger than the console takes"),
    "not-json": (415, "A body must be application/json"),
    "invalid-request": (422, "The request does not have the form that this route takes"),
    "idempotency-key-reused": (422, "The Idempotency-Key belongs to another order"),
    "until-passed": (422, "The end of the order lies in the past"),
    "shelf-time-unfit": (422, "The alarm would be shelved for no time, or for more than 8 hours"),
    "password-unfit": (422, "The new password is too short, or is the old one"),
    "too-many-attempts": (429, "Too many log-ins failed; wait"),
    "too-many-streams": (429, "This session has too many live pages open"),
    "internal-error": (500, "The console has a defect; it is in the log"),
    "journal-unavailable": (503, "The journal can't be used now, so nothing was done"),
    "operators-unavailable": (503, "The operators' file can't be used now"),
    "capture-failed": (503, "The capture's file can't be made"),
    "busy": (503, "Too much to do at once; try again in a moment"),
    "interrupted": (503, "The order was interrupted; look at the door before you repeat it"),
    "order-too-late": (504, "The journal took the order so late that no door was moved"),
    "door-silent": (504, "The door did not say in time what came of it"),
}


class Problem(BaseModel):
    """RFC 9457. `code` is the last part of `type`; further members belong to some codes only."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="`urn:gatewayd:problem:` and the code.")
    title: str
    status: int
    code: str = Field(description="Stable; the page's texts are keyed by it.")
    detail: str = Field(default="", description="What of this request is wrong, and what to do.")


@dataclass(slots=True)
class ProblemError(Exception):
    """Raised anywhere below a route; becomes the response. `more` are members of the document."""

    code: str
    detail: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}" if self.detail else self.code

    @property
    def status(self) -> int:
        return PROBLEMS[self.code][0]


def problem_response(error: ProblemError) -> Response:
    status, title = PROBLEMS[error.code]
    body = {
        **error.more,
        "type": TYPE_PREFIX + error.code,
        "title": title,
        "status": status,
        "code": error.code,
        "detail": error.detail,
    }
    return JSONResponse(body, status, dict(error.headers), MEDIA_TYPE)


# What may happen on every route, on every route that asks for a session, on every one that takes
# a body.
EVERYWHERE = ("invalid-request", "internal-error")
SIGNED_IN = ("not-signed-in", "role-too-low", "password-change-required", "operators-unavailable")
BODY = ("foreign-origin", "body-too-slow", "body-too-large", "not-json")


def responses(*codes: str, public: bool = False, body: bool = False) -> Responses:
    """The error responses of a route for its OpenAPI entry, by status: its own `codes`, and those
    of its kind."""
    everything = (*EVERYWHERE, *(() if public else SIGNED_IN), *(BODY if body else ()), *codes)
    by_status: Responses = {}
    for code in dict.fromkeys(everything):
        status, title = PROBLEMS[code]
        text = f"`{code}`: {title}."
        before = by_status.get(status)
        by_status[status] = {
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            "description": f"{before['description']} {text}" if before else text,
        }
    return by_status


_OF_STATUS = {404: "not-found", 405: "method-not-allowed"}


async def _on_problem(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101  # registered for this class
    return problem_response(error)


async def _on_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this class
    return problem_response(
        ProblemError("invalid-request", "see `errors`", {"errors": _mistakes(error.errors())})
    )


def _mistakes(errors: Sequence[Any]) -> list[dict[str, str]]:
    """Place and sentence of each mistake, without the values."""
    return [
        {"where": ".".join(str(part) for part in mistake["loc"]), "what": str(mistake["msg"])}
        for mistake in errors
    ]


async def _on_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this class
    code = _OF_STATUS.get(error.status_code, "invalid-request")
    return problem_response(ProblemError(code, headers=error.headers or {}))


async def _on_journal(_request: Request, error: Exception) -> Response:
    return problem_response(ProblemError("journal-unavailable", str(error)))


async def _on_operators(_request: Request, error: Exception) -> Response:
    return problem_response(ProblemError("operators-unavailable", str(error)))


async def _on_defect(_request: Request, _error: Exception) -> Response:
    """Starlette raises the error again after this, so that the server logs it."""
    return problem_response(ProblemError("internal-error"))


def install(app: FastAPI) -> None:
    """Every error of `app` becomes a problem document."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(JournalError, _on_journal)
    app.add_exception_handler(OperatorStoreError, _on_operators)
    app.add_exception_handler(Exception, _on_defect)
