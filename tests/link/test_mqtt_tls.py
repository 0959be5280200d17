"""TLS with a throw-away CA, client certificates, and a password: against a real mosquitto."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gatewayd.link.mqtt import Broker, LinkLostError, Will, connect
from tests.link.broker import Mosquitto, mosquitto
from tests.link.certificates import Authority

WILL = Will("gw/v1/site/gate-1/up/state", b"{}")
TOPIC = "gw/v1/site/gate-1/dn/cmd"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


async def talk(broker: Broker, version: int = 5) -> None:
    """Connect, publish and end; what goes wrong is raised."""
    connection = await connect(broker, version, WILL, [TOPIC], lambda _message: None)
    try:
        await connection.delivered("gw/v1/site/gate-1/up/evt", b"x" * 100_000)
    finally:
        connection.close()


def with_tls(folder: Path, authority: Authority, *more: str, days: int = 1) -> list[str]:
    certificate, key = authority.issue("server", address="127.0.0.1", days=days)
    return [f"cafile {authority.ca}", f"certfile {certificate}", f"keyfile {key}", *more]


@pytest.fixture
async def secured(tmp_path: Path, authority: Authority) -> AsyncIterator[Mosquitto]:
    """Only who has a certificate of our authority may come in."""
    more = with_tls(tmp_path, authority, "require_certificate true")
    async with mosquitto(tmp_path, *more) as started:
        yield started


def broker(port: int, authority: Authority, *, client: str | None = "gate-1") -> Broker:
    certificate, key = authority.issue(client) if client else (None, None)
    return Broker(
        "127.0.0.1", port, "gate-1",
        ca_file=authority.ca, certificate_file=certificate, key_file=key,
    )  # fmt: skip


@pytest.mark.parametrize("version", [5, 4])
async def test_with_our_certificate_the_line_is_up(
    secured: Mosquitto, authority: Authority, version: int
) -> None:
    await talk(broker(secured.port, authority), version)


async def test_without_a_certificate_of_ours_the_broker_lets_nobody_in(
    secured: Mosquitto, authority: Authority
) -> None:
    with pytest.raises(LinkLostError):
        await talk(broker(secured.port, authority, client=None))


async def test_a_broker_that_our_authority_did_not_sign_is_not_spoken_to(
    secured: Mosquitto, authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "stranger")
    wrong = replace(broker(secured.port, authority), ca_file=stranger.ca)
    with pytest.raises(LinkLostError, match="certificate verify failed"):
        await talk(wrong)


async def test_a_broker_under_another_name_is_not_spoken_to(
    secured: Mosquitto, authority: Authority
) -> None:
    with pytest.raises(LinkLostError, match="Hostname mismatch"):
        await talk(replace(broker(secured.port, authority), host="localhost"))


async def test_an_expired_certificate_of_the_broker_is_refused(
    tmp_path: Path, authority: Authority
) -> None:
    async with mosquitto(tmp_path, *with_tls(tmp_path, authority, days=-1)) as started:
        with pytest.raises(LinkLostError, match="expired"):
            await talk(broker(started.port, authority))


async def test_a_port_without_tls_is_no_reason_to_go_without(
    tmp_path: Path, authority: Authority
) -> None:
    async with mosquitto(tmp_path) as plain:
        with pytest.raises(LinkLostError):
            await talk(broker(plain.port, authority))


@pytest.mark.parametrize("missing", ["ca_file", "certificate_file", "key_file"])
async def test_a_missing_or_broken_file_is_a_lost_line_that_says_what_to_look_at(
    secured: Mosquitto, authority: Authority, tmp_path: Path, missing: str
) -> None:
    whole = broker(secured.port, authority)
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate", encoding="utf-8")
    for path in (tmp_path / "no-such-file", broken):
        with pytest.raises(LinkLostError, match="check the certificate files"):
            await talk(replace(whole, **{missing: path}))  # type: ignore[arg-type]  # paths all


# ------------------------------------------------------------------------------- passwords


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Mosquitto]:
    salt = b"twelve-bytes"
    digest = hashlib.pbkdf2_hmac("sha512", b"open sesame", salt, 101)
    hashed = f"$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"
    (tmp_path / "passwords").write_text(f"gate-1:{hashed}\n", encoding="utf-8")
    (tmp_path / "acl").write_text(
        "user gate-1\ntopic write gw/v1/site/gate-1/up/#\ntopic read gw/v1/site/gate-1/dn/#\n",
        encoding="utf-8",
    )
    lines = [f"password_file {tmp_path / 'passwords'}", f"acl_file {tmp_path / 'acl'}"]
    async with mosquitto(tmp_path, *lines, anonymous=False) as started:
        yield started


def login(port: int, username: str | None, password: str | None) -> Broker:
    return Broker("127.0.0.1", port, "gate-1", tls=False, username=username, password=password)


@pytest.mark.parametrize("version", [5, 4])
async def test_the_right_password_is_let_in(guarded: Mosquitto, version: int) -> None:
    await talk(login(guarded.port, "gate-1", "open sesame"), version)


@pytest.mark.parametrize("version", [5, 4])
@pytest.mark.parametrize(
    ("username", "password"), [("gate-1", "wrong"), ("gate-2", "open sesame"), (None, None)]
)
async def test_a_wrong_password_is_an_error_without_the_password_in_it(
    guarded: Mosquitto, username: str | None, password: str | None, version: int
) -> None:
    with pytest.raises(LinkLostError, match=r"(?i)not authorized") as caught:
        await talk(login(guarded.port, username, password), version)
    assert "sesame" not in str(caught.value)
    assert type(caught.value) is LinkLostError


async def test_another_gateways_topics_are_refused_by_the_brokers_acl(guarded: Mosquitto) -> None:
    ours = login(guarded.port, "gate-1", "open sesame")
    connection = await connect(ours, 5, WILL, [TOPIC], lambda _message: None)
    try:
        with pytest.raises(LinkLostError, match="refused a message: Not authorized"):
            await connection.delivered("gw/v1/site/gate-2/up/evt", b"{}")
    finally:
        connection.close()


def test_a_password_is_not_in_the_repr() -> None:
    assert "sesame" not in repr(login(1, "gate-1", "open sesame"))
