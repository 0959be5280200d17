"""The camera's RTSP and RTP, request by request and packet by packet."""

from __future__ import annotations

import asyncio
import struct
import time
from socket import SO_RCVBUF, SO_SNDBUF, SOL_SOCKET
from typing import Any

import pytest

from simulators import rtsp_session
from simulators.camera import CameraOptions, SimulatedCamera
from simulators.rtp import NAL_SPS
from tests.simulators.rtsp_client import RtspClient
from tests.simulators.test_camera import tool

T_S = 20.0
TICKS = 6000  # from picture to picture at 15 a second


async def test_wrong_log_ins_and_paths_are_refused() -> None:
    async with SimulatedCamera(CameraOptions(user="guard", password="pw")) as camera:
        wrong = camera.url.replace("rtsp://", "rtsp://guard:no@")
        other = camera.url.replace("rtsp://", "rtsp://guard:pw@").replace("gate", "other")
        assert "401" in (await tool("ffprobe", wrong))[2]
        assert "404" in (await tool("ffprobe", other))[2]
        async with RtspClient(camera.server.port) as client:
            assert (await client.ask("OPTIONS")).status == 200
            first = await client.ask("DESCRIBE")
            assert first.status == 401
            assert "stale" not in first.headers["www-authenticate"]
            old = 'Digest username="guard", nonce="old", response="x"'
            stale = await client.ask("DESCRIBE", Authorization=old)
            assert stale.headers["www-authenticate"].endswith("stale=true")


async def test_requests_out_of_order_get_the_status_that_says_so() -> None:
    async with SimulatedCamera() as camera, RtspClient(camera.server.port) as client:
        assert (await client.ask("PLAY")).status == 455
        assert (await client.ask("RECORD")).status == 405
        assert (await client.ask("SETUP", Transport="RTP/AVP;unicast")).status == 461
        session = await client.play()
        assert (await client.ask("PLAY", Session="wrong")).status == 454
        assert (await client.ask("SETUP", Transport="RTP/AVP/TCP")).status == 455
        body = b"GET_PARAMETER * RTSP/1.0\r\nCSeq: 9\r\nContent-Length: 4\r\n\r\nping"
        assert (await client.send(b"\r\n" + body)).status == 200
        assert (await client.ask("PAUSE", Session=session)).status == 200
        client.packets.clear()
        assert (await client.ask("OPTIONS")).status == 200
        assert client.packets == []
        assert (await client.ask("PLAY", Session=session)).status == 200
        assert (await client.ask("TEARDOWN", Session=session)).status == 200
        assert (await client.ask("PLAY", Session=session)).status == 455


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"rubbish\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 505),
        (b"OPTIONS * RTSP/1.0\r\nX: " + b"x" * 9000, 400),
        (b"OPTIONS * RTSP/1.0\r\nContent-Length: 99999\r\n\r\n", 400),
    ],
)
async def test_rubbish_is_answered_and_ends_the_connection(data: bytes, status: int) -> None:
    async with SimulatedCamera() as camera, RtspClient(camera.server.port) as client:
        assert (await client.send(data)).status == status
        async with asyncio.timeout(T_S):
            assert await client.reader.read() == b""


async def test_packets_are_numbered_from_where_play_says_and_reports_come_beside() -> None:
    async with SimulatedCamera() as camera, RtspClient(camera.server.port) as client:
        described = await client.ask("DESCRIBE")
        assert "a=rtpmap:96 H264/90000" in described.body
        setup = await client.ask(
            "SETUP", client.base + "/trackID=0", Transport="RTP/AVP/TCP;interleaved=4-5"
        )
        session = setup.headers["session"].partition(";")[0]
        played = await client.ask("PLAY", Session=session)
        client.writer.write(b"$\x05\x00\x04rtcp")  # a receiver's report is taken without a word
        packets = [await client.next_packet()]
        while packets[-1][0] != 5:
            packets.append(await client.next_packet())
        assert (await client.ask("OPTIONS")).status == 200
        reports = [data for channel, data in packets if channel == 5]
        heads = [struct.unpack("!BBHII", data[:12]) for channel, data in packets if channel == 4]
    info = dict(part.split("=", 1) for part in played.headers["rtp-info"].split(";"))
    assert [head[2] for head in heads] == [int(info["seq"]) + i & 0xFFFF for i in range(len(heads))]
    assert heads[0][3] == int(info["rtptime"])
    assert f"ssrc={heads[0][4]:08X}" in setup.headers["transport"]
    assert struct.unpack("!BBHI", reports[0][:8]) == (0x80, 200, 6, heads[0][4])


async def next_picture(client: RtspClient) -> tuple[int, int]:
    """Time and first NAL unit's type of the next packet on channel 0."""
    while True:
        channel, data = await client.next_packet()
        if channel == 0:
            return struct.unpack("!I", data[4:8])[0], data[12] & 0x1F


async def test_a_client_that_does_not_read_loses_pictures_and_goes_on_at_a_keyframe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rtsp_session, "MAX_UNSENT", 20_000)
    async with SimulatedCamera() as camera, RtspClient(camera.server.port) as client:
        assert (await client.ask("OPTIONS")).status == 200
        [session] = camera.server._sessions
        for writer, option in ((session._writer, SO_SNDBUF), (client.writer, SO_RCVBUF)):
            writer.get_extra_info("socket").setsockopt(SOL_SOCKET, option, 4096)
        transport: Any = client.reader._transport  # type: ignore[attr-defined]  # no public name
        transport.pause_reading()
        client.writer.write(client.request("SETUP", Transport="RTP/AVP/TCP;interleaved=0-1"))
        client.writer.write(client.request("PLAY", Session=session._id))
        async with asyncio.timeout(T_S):
            while session.dropped < 10:
                await camera.wait_for_picture(time.monotonic_ns())
        transport.resume_reading()
        assert (await client.read()).status == 200
        assert (await client.read()).status == 200
        last, _ = await next_picture(client)
        ticks, kind = last, 0
        while (ticks - last) & 0xFFFFFFFF < 8 * TICKS:
            last = ticks
            ticks, kind = await next_picture(client)
    assert kind == NAL_SPS  # the first picture after the hole can be decoded


async def test_too_many_clients_are_turned_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulators.rtsp_server.MAX_CLIENTS", 1)
    async with SimulatedCamera() as camera, RtspClient(camera.server.port) as first:
        assert (await first.ask("OPTIONS")).status == 200
        async with RtspClient(camera.server.port) as second, asyncio.timeout(T_S):
            assert await second.reader.read() == b""


async def test_a_silent_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rtsp_session, "T_IDLE_S", 0.05)
    async with SimulatedCamera() as camera, RtspClient(camera.server.port) as client:
        async with asyncio.timeout(T_S):
            assert await client.reader.read() == b""
