"""Whitelist records for tests, as the centre writes them."""

from __future__ import annotations

import json
from typing import Any

ALWAYS = [[["00:00:00", "24:00:00"]]] * 7


def calendar(id_: str = "cn", *dates: str, **more: Any) -> dict[str, Any]:
    return {"t": "calendar", "id": id_, "name": "Holidays", "dates": list(dates)} | more


def schedule(id_: str = "always", **more: Any) -> dict[str, Any]:
    return {"t": "schedule", "id": id_, "name": "Always", "week": ALWAYS} | more


def group(id_: str = "lobbies", *doors: str) -> dict[str, Any]:
    return {"t": "group", "id": id_, "name": "Lobbies", "doors": list(doors)}


def level(id_: str = "residents", **more: Any) -> dict[str, Any]:
    return {
        "t": "level", "id": id_, "name": "Residents", "doors": ["main-gate"], "schedule": "always",
    } | more  # fmt: skip


def person(number: int = 17, **more: Any) -> dict[str, Any]:
    return {
        "t": "person", "id": f"p-{number}", "name": "王芳", "role": "owner", "building": "6",
        "unit": "2", "room": "1203", "phone": "13800001234", "levels": ["residents"],
    } | more  # fmt: skip


def credential(number: int = 17, **more: Any) -> dict[str, Any]:
    return {
        "t": "credential", "kind": "card", "bits": 26, "value": f"{number:07X}",
        "person": f"p-{number}",
    } | more  # fmt: skip


def delete(of: str, id_: str) -> dict[str, Any]:
    return {"t": "delete", "of": of, "id": id_}


def chunk(*records: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(r, ensure_ascii=False).encode() + b"\n" for r in records)


def full(*more: dict[str, Any], people: int = 1) -> list[bytes]:
    """A list of so many residents with a card each, in two chunks."""
    rest = [r for n in range(people) for r in (person(17 + n), credential(17 + n))]
    return [chunk(schedule(), level()), chunk(*rest, *more)]
