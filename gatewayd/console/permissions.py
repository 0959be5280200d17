"""Who may use which route: one table. Owns the rights; must not know what a route does."""

from __future__ import annotations

from gatewayd.store.operators import Role

PUBLIC = None
_RANK = {role: rank for rank, role in enumerate(Role)}
PREFIX = "/api/v1"

# A route that is not here does not start: `create_app` compares this table with what it serves.
# The lowest role that may; each higher role may as well.
TABLE: dict[str, Role | None] = {
    "GET /": PUBLIC,
    "GET /login": PUBLIC,
    f"GET {PREFIX}/openapi.json": PUBLIC,
    f"POST {PREFIX}/session": PUBLIC,
    f"GET {PREFIX}/session": Role.GUARD,
    f"DELETE {PREFIX}/session": Role.GUARD,
    f"PUT {PREFIX}/session/language": Role.GUARD,
    f"PUT {PREFIX}/session/password": Role.GUARD,
    f"GET {PREFIX}/entries": Role.GUARD,
    f"GET {PREFIX}/entries/{{seq}}": Role.GUARD,
    f"GET {PREFIX}/events/stream": Role.GUARD,
    f"GET {PREFIX}/pictures/{{day}}/{{file}}": Role.GUARD,
    f"GET {PREFIX}/state": Role.GUARD,
    f"GET {PREFIX}/doors": Role.GUARD,
    f"POST {PREFIX}/doors/{{door_id}}/unlock": Role.GUARD,
    f"POST {PREFIX}/doors/lockdown": Role.LEADER,
    f"POST {PREFIX}/doors/lift-lockdown": Role.LEADER,
    f"POST {PREFIX}/doors/{{door_id}}/mode": Role.LEADER,
    f"POST {PREFIX}/doors/{{door_id}}/mode/withdraw": Role.LEADER,
    f"POST {PREFIX}/fire/reset": Role.LEADER,
    f"GET {PREFIX}/areas": Role.GUARD,
    f"GET {PREFIX}/areas/{{area_id}}/people": Role.GUARD,
    f"POST {PREFIX}/areas/forgive": Role.LEADER,
    f"POST {PREFIX}/devices/{{device_id}}/install-window": Role.ADMINISTRATOR,
    f"GET {PREFIX}/install-window": Role.ADMINISTRATOR,
    f"POST {PREFIX}/install-window/close": Role.ADMINISTRATOR,
    f"POST {PREFIX}/buses/{{bus_id}}/capture": Role.ADMINISTRATOR,
    f"GET {PREFIX}/capture": Role.ADMINISTRATOR,
    f"POST {PREFIX}/capture/stop": Role.ADMINISTRATOR,
    f"GET {PREFIX}/alarms": Role.GUARD,
    f"POST {PREFIX}/alarms/{{alarm_id}}/acknowledge": Role.GUARD,
    f"POST {PREFIX}/alarms/{{alarm_id}}/shelve": Role.GUARD,
    f"POST {PREFIX}/alarms/{{alarm_id}}/unshelve": Role.GUARD,
    f"GET {PREFIX}/system": Role.GUARD,
}

# All that a session may do before its operator has changed a first password.
BEFORE_PASSWORD_CHANGE = frozenset(
    {
        f"GET {PREFIX}/session",
        f"DELETE {PREFIX}/session",
        f"PUT {PREFIX}/session/language",
        f"PUT {PREFIX}/session/password",
    }
)


def may(role: Role, route: str) -> bool:
    """Whether `role` may use `route` ("GET /api/v1/doors"). KeyError for a route not listed."""
    lowest = TABLE[route]
    return lowest is PUBLIC or _RANK[role] >= _RANK[lowest]
