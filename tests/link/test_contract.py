"""What is not a message becomes `Refused`, whatever the bytes; what is not signed is not heeded."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.link.contract import (
    COMMAND_DOMAIN,
    DESIRED_DOMAIN,
    Ack,
    Chunk,
    Command,
    Desired,
    Topics,
)
from gatewayd.signed import (
    MAX_MESSAGE,
    WHITELIST_DOMAIN,
    CentralKeys,
    CentralKeysError,
    Envelope,
    Manifest,
    Refused,
    Role,
    decode_base64,
    open_signed,
    parse,
    to_json,
)

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
ROLES: list[tuple[Role, bytes]] = [
    ("command", COMMAND_DOMAIN),
    ("desired", DESIRED_DOMAIN),
    ("whitelist", WHITELIST_DOMAIN),
]
ACK = {"v": 1, "stream": "evt", "epoch": "e", "upto": 7}
COMMAND = {
    "v": 1, "aud": "gate-1", "id": "c-1", "counter": 1, "nonce": "n", "issued_ms": 1,
    "exp_ms": 2, "action": "open", "target": "main-gate", "reason": "delivery",
}  # fmt: skip
MANIFEST = {
    "v": 1, "aud": "gate-1", "rev": 2, "base": None, "records": 0, "credentials": 0,
    "bytes": 0, "chunks": ["0" * 64], "content_sha256": "f" * 64,
}  # fmt: skip


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def keys(*roles: str) -> CentralKeys:
    entry = {"kid": "centre", "public_key": b64(KEY.public_key().public_bytes_raw())}
    return CentralKeys.from_json(json.dumps({"keys": [entry | {"roles": roles}]}).encode(), "k")


def signed(domain: bytes, body: bytes, key: Ed25519PrivateKey = KEY, kid: str = "centre") -> bytes:
    return to_json({"kid": kid, "sig": b64(key.sign(domain + body)), "body": b64(body)})


VALID = signed(COMMAND_DOMAIN, json.dumps(COMMAND, separators=(",", ":")).encode())


# ------------------------------------------------------------------------------- parsing


def test_an_acknowledgement_is_read_and_unknown_fields_are_ignored() -> None:
    assert parse(Ack, to_json(ACK | {"later": {"deep": [1]}})) == Ack(
        v=1, stream="evt", epoch="e", upto=7
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2}, {"v": 0}, {"v": "1"}, {"v": True}, {"v": 1.0}, {"v": None},
        {"upto": -1}, {"upto": 1.5}, {"upto": "7"}, {"upto": True}, {"upto": 2**53 + 1},
        {"upto": None}, {"upto": [7]}, {"stream": "other"}, {"stream": 1},
        {"epoch": "e" * 65}, {"epoch": 7},
    ],
)  # fmt: skip
def test_a_wrong_type_or_version_is_refused(changes: dict[str, object]) -> None:
    assert isinstance(parse(Ack, to_json(ACK | changes)), Refused)


@pytest.mark.parametrize("missing", sorted(COMMAND.keys() - {"reason"}))
def test_a_command_without_one_of_its_fields_is_refused(missing: str) -> None:
    body = {name: value for name, value in COMMAND.items() if name != missing}
    refused = parse(Command, json.dumps(body).encode())
    assert isinstance(refused, Refused)
    assert missing in refused.reason


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""}, {"id": "c_1"}, {"id": "c" * 65}, {"id": "c-1\n"}, {"action": "explode"},
        {"action": ["open"]}, {"counter": "1"}, {"counter": -1}, {"target": "x" * 65},
        {"aud": "x" * 65}, {"reason": "x" * 501}, {"exp_ms": 1e3}, {"nonce": None},
    ],
)  # fmt: skip
def test_a_command_with_a_wrong_field_is_refused(changes: dict[str, object]) -> None:
    assert isinstance(parse(Command, json.dumps(COMMAND | changes).encode()), Refused)


@pytest.mark.parametrize(
    "changes",
    [
        {"rev": 0}, {"rev": -1}, {"rev": "2"}, {"base": "1"}, {"base": -1}, {"bytes": -1},
        {"chunks": ["0" * 63]}, {"chunks": ["G" * 64]}, {"chunks": "0" * 64}, {"chunks": [7]},
        {"content_sha256": "F" * 64}, {"content_sha256": "f" * 64 + "\n"},
    ],
)  # fmt: skip
def test_a_manifest_with_a_wrong_field_is_refused(changes: dict[str, object]) -> None:
    assert isinstance(parse(Manifest, json.dumps(MANIFEST | changes).encode()), Refused)


def test_a_wanted_state_of_too_many_doors_or_too_long_names_is_refused() -> None:
    whole: dict[str, object] = {"v": 1, "aud": "gate-1", "rev": 1}
    many = {f"d-{n}": "Locked" for n in range(257)}
    assert isinstance(parse(Desired, json.dumps(whole | {"doors": many}).encode()), Refused)
    long = {"d" * 65: "Locked"}
    assert isinstance(parse(Desired, json.dumps(whole | {"doors": long}).encode()), Refused)


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"{", b"null", b"[]", b'"text"', b"7", b"\xff\xfe", b"\x00" * 50,
        b'{"v":1,"stream":"\xff"}', b'{"v":1}{"v":1}', b'{"v":NaN}',
        b'{"v":1,"deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"v":1,"upto":' + b"9" * 400_000 + b"}",
        b'{"v":1,"v":2,"stream":"evt","epoch":"e","upto":7}',
    ],
)  # fmt: skip
def test_bytes_that_are_no_message_are_refused_with_a_reason(payload: bytes) -> None:
    refused = parse(Ack, payload)
    assert isinstance(refused, Refused)
    assert refused.reason
    assert len(refused.reason) < 600


def test_an_oversized_message_is_refused_before_it_is_parsed() -> None:
    padding = b" " * (MAX_MESSAGE - len(to_json(ACK)))
    assert isinstance(parse(Ack, to_json(ACK) + padding), Ack)
    refused = parse(Ack, to_json(ACK) + padding + b" ")
    assert refused == Refused(f"larger than {MAX_MESSAGE} bytes")


@given(st.binary(max_size=300))
def test_no_bytes_at_all_raise(payload: bytes) -> None:
    for model in (Ack, Envelope, Chunk, Command, Desired, Manifest):
        assert isinstance(parse(model, payload), Refused)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text('aé"\\0', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("vab"), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([*COMMAND, *ACK, "kid", "sig", "body", "doors"]), _json))
def test_no_json_of_any_shape_raises(fields: dict[str, Any]) -> None:
    payload = json.dumps(fields).encode()
    for model in (Ack, Envelope, Chunk, Command, Desired, Manifest):
        parse(model, payload)
    assert isinstance(open_signed(keys("command"), Command, payload, b"", "command"), Refused)


def test_a_refusal_does_not_quote_what_was_in_the_message() -> None:
    refused = parse(Ack, to_json(ACK | {"upto": "13912345678"}))
    assert isinstance(refused, Refused)
    assert "139" not in refused.reason


# -------------------------------------------------------------------------------- topics


def test_only_topics_of_this_gateway_have_a_name() -> None:
    topics = Topics("site", "gate-1")
    assert topics.up("evt") == "gw/v1/site/gate-1/up/evt"
    assert topics.name_of(topics.down("cmd")) == "cmd"
    for foreign in ("gw/v1/site/gate-2/dn/cmd", "gw/v1/site/gate-1/up/evt", "gw/v1", ""):
        assert topics.name_of(foreign) is None


# ---------------------------------------------------------------------------- signatures


@pytest.mark.parametrize(("role", "domain"), ROLES)
def test_a_signed_body_is_opened_by_its_role_and_domain_only(role: Role, domain: bytes) -> None:
    envelope = parse(Envelope, signed(domain, b'{"v":1}'))
    assert isinstance(envelope, Envelope)
    for other_role, other_domain in ROLES:
        verified = keys(role).verify(envelope, other_domain, other_role)
        assert isinstance(verified, Refused) == (other_role != role)
        everything = keys("command", "desired", "whitelist")
        verified = everything.verify(envelope, other_domain, other_role)
        assert isinstance(verified, Refused) == (other_domain != domain)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (signed(COMMAND_DOMAIN, b"{}", OTHER), "does not verify"),
        (signed(COMMAND_DOMAIN, b"{}", KEY, "stranger"), "unknown key"),
        (signed(DESIRED_DOMAIN, b"{}"), "does not verify"),
        (to_json({"kid": "centre", "sig": "", "body": b64(b"{}")}), "does not verify"),
        (to_json({"kid": "centre", "sig": "!", "body": b64(b"{}")}), "not base64"),
        (to_json({"kid": "centre", "sig": b64(b"s" * 64), "body": "é"}), "not base64"),
        (to_json({"kid": "centre", "sig": b64(b"s" * 65), "body": b64(b"{}")}), "not verify"),
        (signed(COMMAND_DOMAIN, b"no json"), "json"),
        (signed(COMMAND_DOMAIN, b'{"v":2}'), "v:"),
    ],
)
def test_a_wrong_envelope_is_refused_and_says_why(payload: bytes, why: str) -> None:
    refused = open_signed(keys("command"), Command, payload, COMMAND_DOMAIN, "command")
    assert isinstance(refused, Refused)
    assert why in refused.reason


def test_a_key_without_the_role_is_refused_like_a_bad_signature() -> None:
    refused = open_signed(keys("whitelist"), Command, VALID, COMMAND_DOMAIN, "command")
    assert refused == Refused("signed by a key without the role 'command'")


@given(st.integers(0, len(VALID) - 1), st.integers(1, 255))
def test_no_changed_byte_of_a_signed_command_passes(place: int, by: int) -> None:
    altered = bytearray(VALID)
    altered[place] ^= by
    opened = open_signed(keys("command"), Command, bytes(altered), COMMAND_DOMAIN, "command")
    assert isinstance(opened, Refused)


def test_a_second_spelling_of_the_same_signature_is_refused() -> None:
    assert decode_base64("QQ==") == b"A"
    for other in ("QR==", "QQ=", "QQ", "QQ==\n", " QQ==", "QQ===="):
        assert decode_base64(other) is None


# ------------------------------------------------------------------------------ key file


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{}", b"[]", b'{"keys":[]}', b'{"keys":[{"kid":"a"}]}',
        b'{"keys":[{"kid":"a","public_key":"AAAA","roles":["command"]}]}',
        b'{"keys":[{"kid":"a","public_key":"?","roles":["command"]}]}',
        json.dumps({"keys": [{"kid": "a", "public_key": b64(b"k" * 32), "roles": ["boss"]}]}),
        json.dumps({"keys": [{"kid": "", "public_key": b64(b"k" * 32), "roles": []}]}),
    ],
)  # fmt: skip
def test_a_key_file_that_is_none_names_the_file_and_what_to_do(text: bytes | str) -> None:
    raw = text.encode() if isinstance(text, str) else text
    with pytest.raises(CentralKeysError, match=r"^keys\.json: .*ask the centre"):
        CentralKeys.from_json(raw, "keys.json")


def test_two_keys_of_one_id_are_refused_instead_of_one_replacing_the_other() -> None:
    entry = {"kid": "a", "public_key": b64(b"k" * 32), "roles": ["command"]}
    text = json.dumps({"keys": [entry, entry | {"roles": ["whitelist"]}]}).encode()
    with pytest.raises(CentralKeysError, match="twice"):
        CentralKeys.from_json(text, "keys.json")
