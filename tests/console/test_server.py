"""The console on a real socket: its start and end inside the daemon's loop, and its streams."""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import signal
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gatewayd.console import server
from gatewayd.console.routes import entries
from gatewayd.console.server import ConsoleAddressError, serve
from tests.console.rig import PASSWORD, Rig, served

LOGIN = {"name": "li-guard", "password": PASSWORD}
STREAM = "/api/v1/events/stream"


async def client_of(url: str) -> httpx.AsyncClient:
    client = httpx.AsyncClient(base_url=url, timeout=30)
    assert (await client.post("/api/v1/session", json=LOGIN)).status_code == 201
    return client


async def ids(lines: AsyncIterator[str], last: int) -> list[int]:
    """The ids heard, up to and with `last`."""
    heard: list[int] = []
    async with asyncio.timeout(30):
        async for line in lines:
            if line.startswith("id: "):
                heard.append(int(line[4:]))
                if heard[-1] >= last:
                    break
    return heard


async def test_it_finds_a_free_port_and_answers_there(console: Rig) -> None:
    async with served(console.deps) as url, httpx.AsyncClient(base_url=url) as client:
        assert not url.endswith(":0/")
        answer = await client.get("/login")
    assert answer.status_code == 200
    assert "server" not in answer.headers


async def test_it_leaves_the_signals_to_the_daemon(console: Rig) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with served(console.deps):
        assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


async def test_a_port_that_is_taken_is_named(console: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConsoleAddressError, match=rf"127\.0\.0\.1 port {port}: .*\[console\]"):
            await serve(console.deps, "127.0.0.1", port)


async def test_an_ipv6_address_is_shown_as_a_browser_wants_it(console: Rig) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(serve(console.deps, "::1", 0, on_ready=ready.set_result), name="c")
        assert (await ready).startswith("http://[::1]:")
        task.cancel()


async def test_a_stream_over_http_goes_on_where_it_stopped(console: Rig) -> None:
    seqs = [await console.granted() for _ in range(5)]
    async with served(console.deps) as url:
        client = await client_of(url)
        async with client.stream("GET", f"{STREAM}?after={seqs[1]}") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.headers["cache-control"] == "no-store"
            assert set(await ids(stream.aiter_lines(), seqs[4])) >= set(seqs[2:])
        back = {"Last-Event-ID": str(seqs[3])}
        async with client.stream("GET", f"{STREAM}?after=0", headers=back) as stream:
            lines = stream.aiter_lines()
            heard = await ids(lines, seqs[4])
            live = await console.granted()
            heard += await ids(lines, live)
        await client.aclose()
    assert seqs[3] not in heard
    assert {seqs[4], live} <= set(heard)


async def test_a_stream_without_a_place_begins_with_what_comes(console: Rig) -> None:
    old = await console.granted()
    async with served(console.deps) as url:
        client = await client_of(url)
        async with client.stream("GET", STREAM) as stream:
            lines = stream.aiter_lines()
            while not (await anext(lines)).startswith("event: state"):
                continue
            new = await console.granted()
            assert old not in await ids(lines, new)
        wrong = await client.get(STREAM, headers={"Last-Event-ID": "abc"})
        await client.aclose()
    assert wrong.status_code == 422


async def test_a_session_has_so_many_streams_and_no_more(console: Rig) -> None:
    with patch.object(entries, "MAX_STREAMS", 1):
        async with served(console.deps) as url:
            client = await client_of(url)
            async with client.stream("GET", STREAM) as stream:
                lines = stream.aiter_lines()  # kept: once it is gone, the line is closed
                await anext(lines)
                assert (await client.get(STREAM)).json()["code"] == "too-many-streams"
            state = None
            async with asyncio.timeout(30):
                while state != 200:
                    async with client.stream("GET", STREAM) as again:
                        state = again.status_code
            await client.aclose()


async def test_logging_out_ends_the_sessions_streams(console: Rig) -> None:
    async with served(console.deps) as url:
        client = await client_of(url)
        async with asyncio.timeout(30), client.stream("GET", STREAM) as stream:
            lines = stream.aiter_lines()
            await anext(lines)
            await client.delete("/api/v1/session")
            async for _ in lines:
                continue
        await client.aclose()


async def test_it_ends_at_once_though_streams_are_open_and_starts_again_on_its_port(
    console: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(console.deps) as url:
        client = await client_of(url)
        stream = await client.send(client.build_request("GET", STREAM), stream=True)
        lines = stream.aiter_lines()  # kept: once it is gone, the line is closed
        await anext(lines)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1.5
    assert "graceful shutdown exceeded" not in caplog.text
    await stream.aclose()
    port = int(url.rstrip("/").rsplit(":", 1)[1])
    async with served(console.deps, port) as again:
        assert again == url
        assert (await client.get("/api/v1/session")).status_code == 200
    await client.aclose()


async def test_it_serves_https_with_the_sites_own_certificate(console: Rig, tmp_path: Path) -> None:
    certificate, key = certify(tmp_path)
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            serve(
                console.deps, "127.0.0.1", 0, certificate_file=certificate, key_file=key,
                on_ready=ready.set_result,
            ),
            name="console",
        )  # fmt: skip
        url = await ready
        trusting = ssl.create_default_context(cafile=str(certificate))
        async with httpx.AsyncClient(base_url=url, verify=trusting) as client:
            answer = await client.post("/api/v1/session", json=LOGIN)
        task.cancel()
    assert url.startswith("https://127.0.0.1:")
    assert answer.headers["set-cookie"].startswith("__Host-gatewayd=")


def certify(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gate")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "gate.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "gate.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "gate.pem", folder / "gate.key"


def test_no_answer_is_held_back_for_a_larger_packet() -> None:
    """asyncio sets TCP_NODELAY only on sockets that say they are TCP: 47 ms a request without."""
    with closing(server._listen("127.0.0.1", 0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(ConsoleAddressError, match=r"cannot listen on no\.such\.host\.invalid"):
        server._listen("no.such.host.invalid", 0)
