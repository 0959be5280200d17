"""The report says what would change, with the first of each, and no number, PIN, name or phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatewayd.directory import listing
from gatewayd.directory.listing import Listing
from gatewayd.directory.report import compare, told
from tests.directory.files import site


def people(*ids: int, **more: Any) -> Listing:
    return listing.listing_of(
        {"t": "person", "id": f"p-{n}", "name": "王芳", "room": str(n), **more} for n in ids
    )


def lines(before: Listing, after: Listing) -> list[str]:
    return list(told(compare(before, after), before, after))


def test_what_comes_goes_and_differs_is_counted_and_named() -> None:
    before = people(1, 2, 3)
    after = {**people(2), "person": {**people(2)["person"], **people(3, 4, phone="138")["person"]}}
    found = lines(before, after)
    assert found[4:8] == [
        "people: 1 added, 1 changed, 1 removed, 1 as before",
        "  + p-4 4",
        "  ~ p-3 3: phone",
        "  - p-1 1",
    ]
    assert found[0] == "calendars: 0 added, 0 changed, 0 removed, 0 as before"
    assert [change.any for change in compare(before, after)] == [False] * 4 + [True, False]


def test_only_the_first_twenty_of_each_are_named() -> None:
    found = lines(people(), people(*range(50)))
    assert found[4] == "people: 50 added, 0 changed, 0 removed, 0 as before"
    assert len(found) == 6 + 21
    assert found[25] == "  + … and 30 more"


def test_no_secret_is_in_a_report(tmp_path: Path) -> None:
    made = site(tmp_path)
    code = {"t": "credential", "kind": "pin", "value": "a" * 64, "person": "p-17"}
    after = {
        **made,
        "credential": {**made["credential"], **listing.listing_of([code])["credential"]},
    }
    text = "\n".join(lines(listing.empty(), after))
    assert "card •••0E0F of 26 bits, p-17" in text
    assert "plate •••2345, p-17" in text
    assert "pin, p-17" in text
    assert "+ residents 业主通行" in text
    assert "p-17 6-2-1203" in text
    for secret in ("2190E0F", "王芳", "13800001234", "aaaa", "沪A"):
        assert secret not in text
