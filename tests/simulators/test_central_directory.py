"""The centre's residents: revisions, packages, checks; and its keys."""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from simulators.central_directory import CHUNK_BYTES, Directory, DirectoryError, Package
from simulators.central_orders import OrderBook
from simulators.central_signing import Signer
from simulators.central_store import Presence, open_database
from simulators.compound import make_compound
from simulators.compound_records import records

GATE = Presence("gate-1", True, "b", "e", "nonce-1", "0.1.0", 0, {})


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(tmp_path / "central.db")) as opened:
        yield opened


@pytest.fixture
def directory(db: sqlite3.Connection) -> Directory:
    entered = Directory(db)
    entered.change(records(make_compound(1, date(2026, 11, 24))))
    return entered


def lines(package: Package | None) -> list[dict[str, Any]]:
    assert package is not None
    return [json.loads(line) for line in b"".join(package.chunks).splitlines()]


def test_a_full_list_has_all_records_in_order(directory: Directory) -> None:
    package = directory.package(0)
    assert package is not None
    assert (package.rev, package.base) == (1, None)
    listed = lines(package)
    types = list(dict.fromkeys(record["t"] for record in listed))
    assert types == ["calendar", "schedule", "group", "level", "person", "credential"]
    assert package.records == len(listed)
    assert package.credentials == directory.count("credential")


def test_chunks_are_whole_lines_with_their_hashes_in_the_manifest(directory: Directory) -> None:
    package = directory.package(0)
    assert package is not None
    assert len(package.chunks) > 1
    assert all(chunk.endswith(b"\n") and len(chunk) <= CHUNK_BYTES for chunk in package.chunks)
    manifest = package.manifest("gate-1")
    assert manifest["chunks"] == [hashlib.sha256(c).hexdigest() for c in package.chunks]
    whole = b"".join(package.chunks)
    assert manifest["content_sha256"] == hashlib.sha256(whole).hexdigest()
    assert manifest["bytes"] == len(whole)


def test_an_edit_is_a_delta_with_that_record_alone(directory: Directory) -> None:
    assert directory.edit("person", {"id": "p-17", "phone": "13800009999"}) == 2
    package = directory.package(1)
    assert package is not None
    assert (package.rev, package.base) == (2, 1)
    [record] = lines(package)
    assert (record["id"], record["phone"]) == ("p-17", "13800009999")
    assert record["name"]


def test_a_new_resident_and_card_can_be_entered(directory: Directory) -> None:
    directory.edit("person", {"id": "p-new", "name": "新人", "levels": ["residents"]})
    directory.edit("credential", {"bits": 26, "value": "2012345", "person": "p-new"})
    assert [record["t"] for record in lines(directory.package(1))] == ["person", "credential"]
    assert directory.package(directory.revision) is None


def test_removals_follow_the_changes_cards_before_people(directory: Directory) -> None:
    directory.edit("person", {"id": "p-new"})
    directory.edit("credential", {"bits": 26, "value": "2012345", "person": "p-new"})
    directory.change(delete=[("credential", "card:26:2012345"), ("person", "p-new")])
    assert lines(directory.package(3)) == [
        {"t": "delete", "of": "credential", "id": "card:26:2012345"},
        {"t": "delete", "of": "person", "id": "p-new"},
    ]
    assert all(record["t"] != "delete" for record in lines(directory.package(0)))


@pytest.mark.parametrize(
    ("of", "change", "why"),
    [
        ("person", {"id": "p-17", "levels": ["nowhere"]}, "names level 'nowhere'"),
        ("credential", {"bits": 26, "value": "2012345", "person": "nobody"}, "names person"),
        ("person", {"id": "p-17", "salary": 1}, "salary"),
        ("credential", {"bits": 26, "value": "2012345", "person": "p-17", "ages": 3}, "ages"),
        ("person", {"name": "x"}, "must name id"),
    ],
)
def test_a_change_that_would_break_the_list_is_refused_whole(
    directory: Directory, of: str, change: dict[str, Any], why: str
) -> None:
    with pytest.raises(DirectoryError, match=why):
        directory.edit(of, change)
    assert directory.revision == 1
    assert directory.package(1) is None


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (
            {"t": "level", "id": "x", "name": "", "doors": [], "groups": ["entrances", "gone"]}
            | {"schedule": "always"},
            "level 'x' names group 'gone', which is not there",
        ),
        (
            {"t": "level", "id": "x", "name": "", "doors": [], "schedule": "gone"},
            "level 'x' names schedule 'gone'",
        ),
        (
            {"t": "schedule", "id": "x", "name": "", "week": [[]] * 7}
            | {"special_days": [{"calendar": "cn-2026", "as": "mon"}, {"calendar": "gone"}]},
            "schedule 'x' names calendar 'gone'",
        ),
        (
            {"t": "schedule", "id": "x", "name": "", "week": [[]] * 7}
            | {"holiday_calendars": ["gone"], "holidays": []},
            "schedule 'x' names calendar 'gone'",
        ),
    ],
)
def test_rules_name_only_what_is_there(
    directory: Directory, record: dict[str, Any], why: str
) -> None:
    with pytest.raises(DirectoryError, match=why):
        directory.change([record])
    assert directory.revision == 1


def test_what_few_people_have_can_be_entered_and_is_sent(directory: Directory) -> None:
    directory.edit("person", {"id": "p-17", "watch": "theft", "needs_escort": True})
    directory.edit("person", {"id": "p-17", "phone": "13800009999"})
    [record] = lines(directory.package(1))
    assert (record["watch"], record["needs_escort"]) == ("theft", True)


def test_a_group_that_levels_name_can_not_be_removed(directory: Directory) -> None:
    with pytest.raises(DirectoryError, match="names group 'entrances'"):
        directory.change(delete=[("group", "entrances")])


def test_a_person_who_holds_a_card_can_not_be_removed_alone(directory: Directory) -> None:
    with pytest.raises(DirectoryError, match="a credential names person 'p-17'") as refused:
        directory.change(delete=[("person", "p-17")])
    assert "card:" not in str(refused.value)
    with pytest.raises(DirectoryError, match="no person 'ghost'"):
        directory.change(delete=[("person", "ghost")])


def test_an_unknown_type_of_record_is_refused(directory: Directory) -> None:
    with pytest.raises(DirectoryError, match="unknown type"):
        directory.change([{"t": "pet", "id": "cat"}])


# ----------------------------------------------------------------------------------- keys


def public_key(path: Path) -> Ed25519PublicKey:
    [key] = json.loads(path.read_text())["keys"]
    assert key["kid"] == "centre-1"
    assert key["roles"] == ["whitelist", "command", "desired"]
    return Ed25519PublicKey.from_public_bytes(base64.b64decode(key["public_key"]))


def test_an_envelope_verifies_with_the_keys_file_and_its_own_domain_only(tmp_path: Path) -> None:
    signer = Signer.load_or_make(tmp_path / "key")
    signer.write_keys_file(tmp_path / "keys.json")
    key = public_key(tmp_path / "keys.json")
    envelope = signer.envelope("command", {"v": 1, "reason": "门"})
    body, signature = (base64.b64decode(envelope[part]) for part in ("body", "sig"))
    key.verify(signature, b"gatewayd-cmd-v1\n" + body)
    with pytest.raises(InvalidSignature):
        key.verify(signature, b"gatewayd-desired-v1\n" + body)


def test_a_forged_envelope_does_not_verify(tmp_path: Path) -> None:
    signer = Signer.load_or_make(tmp_path / "key")
    signer.write_keys_file(tmp_path / "keys.json")
    envelope = signer.envelope("manifest", {"v": 1}, forged=True)
    body, signature = (base64.b64decode(envelope[part]) for part in ("body", "sig"))
    with pytest.raises(InvalidSignature):
        public_key(tmp_path / "keys.json").verify(signature, b"gatewayd-whitelist-v1\n" + body)


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    assert Signer.load_or_make(path).public_key == Signer.load_or_make(path).public_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_bytes(b"short")
    with pytest.raises(ValueError, match="no Ed25519 key"):
        Signer.load_or_make(path)


# --------------------------------------------------------------------------------- orders


def test_counters_grow_over_restarts_and_gateways(db: sqlite3.Connection) -> None:
    book = OrderBook(db)
    first = book.command(GATE, "open", "main-gate", "parcel", 1_000, 10)
    again = OrderBook(db).command(GATE, "lockdown", "*", "", 1_000, 10)
    assert [first.body["counter"], again.body["counter"]] == [1, 2]
    assert first.body["nonce"] == "nonce-1"
    assert first.body["exp_ms"] == 11_000


def test_a_command_is_pending_until_its_end(db: sqlite3.Connection) -> None:
    book = OrderBook(db)
    order = book.command(GATE, "open", "main-gate", "", 1_000, 10)
    assert [pending.id for pending in book.pending(10_999)] == [order.id]
    assert book.pending(11_000) == []


def test_wanted_modes_add_up_under_a_growing_revision(db: sqlite3.Connection) -> None:
    book = OrderBook(db)
    assert book.wanted("gate-1") is None
    book.want("gate-1", {"a": "LockedDown"})
    body = book.want("gate-1", {"b": "Locked"})
    assert body == {"v": 1, "aud": "gate-1", "rev": 2, "doors": {"a": "LockedDown", "b": "Locked"}}
    assert book.wanted("gate-1") == body
