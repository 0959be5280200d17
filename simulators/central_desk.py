"""What the simulated centre can be asked and ordered over its control socket. Owns the table of
orders; must not keep or send anything itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from simulators import central_chain
from simulators.central_directory import DirectoryError
from simulators.central_faults import FAULTS, UNTIL_CLEARED
from simulators.central_orders import ACTIONS, DEFAULT_TTL_S, MAX_TTL_S, Order
from simulators.central_store import Presence
from simulators.control import MAX_LINE, ControlError, ControlTable, Reply, Request, Verb

if TYPE_CHECKING:
    from simulators.central import SimulatedCentral

T = TypeVar("T")

MAX_REPLY = MAX_LINE - 4096  # bytes of events in one reply; the asker asks again from the last
MAX_EVENTS = 500
MAX_WAIT_S = 25.0  # under the control client's own patience


class CentralDesk:
    """Each method is one order."""

    def __init__(self, central: SimulatedCentral) -> None:
        self._central = central

    def table(self) -> ControlTable:
        return {
            "status": Verb(self._status),
            "missing": Verb(self._missing),
            "events": Verb(self._events, ("after", "limit", "kinds", "wait_s")),
            "chain": Verb(self._chain),
            "accept_hole": Verb(self._accept_hole, ("gw", "epoch", "stream")),
            "person": Verb(self._person, ("id",)),
            "edit": Verb(self._edit, ("person", "credential")),
            "delete": Verb(self._delete, ("of", "id")),
            "command": Verb(self._command, ("gw", "action", "target", "reason", "ttl_s", "wait_s")),
            "commands": Verb(self._commands),
            "replay": Verb(self._replay),
            "desired": Verb(self._desired, ("gw", "doors")),
            "fault": Verb(self._fault, ("name", "times", "seconds")),
            "clear": Verb(self._clear),
        }

    # --------------------------------------------------------------------------- questions

    async def _status(self, _request: Request) -> Reply:
        central = self._central
        return {
            "connected": central.line.up.is_set(),
            "protocol": central.line.protocol,
            "revision": central.directory.revision,
            "persons": central.directory.count("person"),
            "credentials": central.directory.count("credential"),
            "refused": central.refused,
            "dropped": central.dropped,
            "faults": central.faults.standing(),
            "gateways": [_presence(gateway) for gateway in central.store.gateways()],
            **central.store.counts(),
        }

    async def _missing(self, _request: Request) -> Reply:
        holes = self._central.store.missing()
        return {"missing": holes, "complete": not holes}

    async def _events(self, request: Request) -> Reply:
        """Events in order of arrival; with `wait_s` it waits that long for the first one."""
        after = request.integer("after", 0, most=2**62)
        limit = request.integer("limit", 50, least=1, most=MAX_EVENTS)
        kinds = _texts(request, "kinds")
        wait_s = request.number("wait_s", 0, most=MAX_WAIT_S)

        def found() -> list[dict[str, Any]]:
            return self._central.store.after(after, limit, kinds)

        events = await self._until(found, wait_s)
        told: list[dict[str, Any]] = []
        room = MAX_REPLY
        for event in events:
            room -= len(json.dumps(event))
            if room < 0 and told:
                break
            told.append(event)
        return {"events": told}

    async def _chain(self, _request: Request) -> Reply:
        store = self._central.store
        checks = [
            {"gw": gw, "epoch": epoch, **central_chain.check(store.chain_rows(gw, epoch))}
            for gw, epoch in store.journals()
        ]
        return {"journals": checks, "whole": not any(check["bad"] for check in checks)}

    async def _accept_hole(self, request: Request) -> Reply:
        stream = request.choice("stream", ("evt", "alarm"))
        ack = self._central.store.accept_hole(request.text("gw"), request.text("epoch"), stream)
        self._central.send_ack(ack)
        return {"upto": ack.upto}

    # --------------------------------------------------------------------------- residents

    async def _person(self, request: Request) -> Reply:
        person = self._central.directory.find("person", request.text("id"))
        if person is None:
            raise ControlError("nobody has that id: ids are like 'p-17'")
        return {"person": person}

    async def _edit(self, request: Request) -> Reply:
        """Change fields of a person or of a card, or enter a new one; sends the delta."""
        given = [of for of in ("person", "credential") if of in request.fields]
        if len(given) != 1 or not isinstance(change := request.fields[given[0]], dict):
            raise ControlError("name one object: 'person' (by id) or 'credential' (bits, value)")
        return self._changed(lambda: self._central.directory.edit(given[0], change))

    async def _delete(self, request: Request) -> Reply:
        of = request.choice("of", ("person", "credential"))
        gone = request.text("id")
        return self._changed(lambda: self._central.directory.change(delete=[(of, gone)]))

    def _changed(self, change: Callable[[], int]) -> Reply:
        try:
            revision = change()
        except DirectoryError as error:
            raise ControlError(str(error)) from None
        self._central.push_list()
        return {"revision": revision}

    # ------------------------------------------------------------------------------ orders

    async def _command(self, request: Request) -> Reply:
        """Send a signed command; with `wait_s` it waits that long for the result."""
        action = request.choice("action", ACTIONS)
        target = request.text("target", "*", most=32)
        reason = request.text("reason", "", most=200)
        ttl_s = request.number("ttl_s", DEFAULT_TTL_S, least=0.1, most=MAX_TTL_S)
        wait_s = request.number("wait_s", 0, most=MAX_WAIT_S)
        to = self._gateway(request)
        order = self._central.command(to, action, target, reason, ttl_s)

        def answered() -> Order | None:
            now = self._central.orders.find(order.id)
            return now if now is not None and now.outcome else None

        answer: Order | None = await self._until(answered, wait_s)
        return _order(answer or order)

    async def _commands(self, _request: Request) -> Reply:
        return {"commands": [_order(order) for order in self._central.orders.last()]}

    async def _replay(self, _request: Request) -> Reply:
        if not self._central.replay():
            raise ControlError("nothing to replay: send a command first, with the line up")
        return {}

    async def _desired(self, request: Request) -> Reply:
        doors = request.fields.get("doors")
        if not isinstance(doors, dict) or not all(isinstance(mode, str) for mode in doors.values()):
            raise ControlError("'doors' must be an object of door ids with their mode")
        body = self._central.orders.want(self._gateway(request).gw, doors)
        self._central.send_desired(body)
        return {"rev": body["rev"]}

    async def _fault(self, request: Request) -> Reply:
        name = request.choice("name", FAULTS)
        times = request.integer("times", 1, least=UNTIL_CLEARED, most=1_000_000)
        self._central.faults.order(name, times, request.number("seconds", 1, least=0.01, most=600))
        return {"faults": self._central.faults.standing()}

    async def _clear(self, _request: Request) -> Reply:
        self._central.clear_faults()
        return {}

    # ---------------------------------------------------------------------------- together

    def _gateway(self, request: Request) -> Presence:
        """The named gateway, or the only one. Raises ControlError."""
        known = {gateway.gw: gateway for gateway in self._central.store.gateways()}
        name = request.text("gw", next(iter(known)) if len(known) == 1 else "")
        if name not in known:
            raise ControlError(
                f"'gw' must name a gateway that was here: {', '.join(known) or 'none'}"
            )
        return known[name]

    async def _until(self, found: Callable[[], T], wait_s: float) -> T:
        """What `found` finds, as soon as it finds something, or at the end of `wait_s`."""
        try:
            async with asyncio.timeout(wait_s), self._central.news:
                while not (something := found()):
                    await self._central.news.wait()
                return something
        except TimeoutError:
            return found()


def _presence(gateway: Presence) -> dict[str, Any]:
    return {
        "gw": gateway.gw,
        "online": gateway.online,
        "version": gateway.version,
        "epoch": gateway.epoch,
        "whitelist_rev": gateway.whitelist_rev,
        "reported": gateway.reported,
    }


def _order(order: Order) -> Reply:
    return {
        "id": order.id,
        "gw": order.gw,
        "counter": order.body["counter"],
        "action": order.body["action"],
        "target": order.body["target"],
        "outcome": order.outcome,
        "detail": order.detail,
        "seq": order.seq,
    }


def _texts(request: Request, key: str) -> tuple[str, ...]:
    value = request.fields.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ControlError(f"'{key}' must be a list of strings")
    return tuple(value)
