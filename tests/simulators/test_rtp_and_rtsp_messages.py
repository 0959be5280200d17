"""The camera's wire, byte for byte, from the RFCs' rules."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators import rtsp_messages as rtsp
from simulators.h264 import parameter_sets
from simulators.rtp import MAX_PAYLOAD, AccessUnit, RtpStream, payloads_of, split_nals


def unit(*payloads: bytes, ticks: int = 0) -> AccessUnit:
    return AccessUnit(0, 0, ticks, keyframe=True, payloads=payloads)


def test_start_codes_of_either_length_part_the_units() -> None:
    assert split_nals(b"\0\0\0\1\x67ab\0\0\1\x68c\0\0\0\1\x65d") == [b"\x67ab", b"\x68c", b"\x65d"]


def test_a_small_unit_goes_alone() -> None:
    assert payloads_of(b"\x65" + bytes(MAX_PAYLOAD - 1)) == [b"\x65" + bytes(MAX_PAYLOAD - 1)]


@given(st.integers(1401, 9000), st.binary(min_size=1, max_size=40))
def test_fragments_join_to_the_unit(size: int, pattern: bytes) -> None:
    data = (pattern * size)[:size]
    pieces = payloads_of(data)
    assert all(len(piece) <= MAX_PAYLOAD and piece[0] & 0x1F == 28 for piece in pieces)
    assert [piece[1] >> 6 for piece in pieces] == [2, *[0] * (len(pieces) - 2), 1]
    header = pieces[0][0] & 0xE0 | pieces[0][1] & 0x1F
    assert bytes([header]) + b"".join(piece[2:] for piece in pieces) == data


def test_packets_count_up_past_65535_and_mark_the_last() -> None:
    stream = RtpStream(ssrc=0x01020304, first_seq=0xFFFF, ticks_offset=0xFFFFFFFF)
    heads = [struct.unpack("!BBHII", p[:12]) for p in stream.packets(unit(b"a", b"b", ticks=2))]
    assert heads == [(0x80, 96, 0xFFFF, 1, 0x01020304), (0x80, 0x80 | 96, 0, 1, 0x01020304)]


def test_a_sender_report_tells_what_was_sent() -> None:
    stream = RtpStream(ssrc=7, first_seq=0, ticks_offset=10)
    stream.packets(unit(b"abc", b"de"))
    report = stream.sender_report(90, 1_500_000_000)
    assert struct.unpack("!BBHIIIIII", report) == (0x80, 200, 6, 7, 1, 1 << 31, 100, 2, 5)


def test_a_picture_without_parameter_sets_is_named() -> None:
    with pytest.raises(ValueError, match="frame 0 carries no parameter sets"):
        parameter_sets(unit(b"\x65abc"))


def test_a_request_is_taken_apart() -> None:
    head = b"SETUP rtsp://h:1/gate/trackID=0 RTSP/1.0\r\nCSeq: 3\r\nTransport: x;y\r\n\r\n"
    request = rtsp.parse_request(head)
    assert (request.method, request.path, request.body_length) == ("SETUP", "/gate", 0)
    assert request.headers == {"cseq": "3", "transport": "x;y"}


@pytest.mark.parametrize(
    ("url", "path"),
    [("*", "*"), ("rtsp://h", "/"), ("rtsp://h:1/gate/", "/gate"), ("/a/trackID=0/", "/a")],
)
def test_the_path_is_the_streams(url: str, path: str) -> None:
    assert rtsp.RtspRequest("PLAY", url, {}).path == path


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"PLAY x RTSP/2.0\r\n\r\n", 505),
        (b"PLAY x RTSP/1.0\r\nno colon\r\n\r\n", 400),
        (b"\xff\xfe \xff \xff\r\n\r\n", 505),
    ],
)
def test_what_is_no_request_gets_a_status(head: bytes, status: int) -> None:
    with pytest.raises(rtsp.BadRequestError) as caught:
        rtsp.parse_request(head)
    assert caught.value.status == status


@pytest.mark.parametrize("length", ["x", "-1", "99999", "²", ""])
def test_an_absurd_body_length_is_refused(length: str) -> None:
    with pytest.raises(rtsp.BadRequestError, match="Content-Length"):
        _ = rtsp.RtspRequest("GET_PARAMETER", "*", {"content-length": length}).body_length


@pytest.mark.parametrize(
    ("header", "transport"),
    [
        ("RTP/AVP/TCP;unicast;interleaved=2-3", rtsp.Transport(False, 2, 3)),
        ("RTP/AVP/TCP", rtsp.Transport(False, 0, 1)),
        ("RTP/AVP;unicast;client_port=5000-5001", rtsp.Transport(True, 5000, 5001)),
        ("RTP/AVP/UDP;unicast;client_port=5000", rtsp.Transport(True, 5000, 5001)),
        ("RTP/AVP;multicast,RTP/AVP/TCP;interleaved=0-1", rtsp.Transport(False, 0, 1)),
        ("RTP/AVP;unicast", None),
        ("RTP/AVP;client_port=70000-70001", None),
        ("RTP/AVP/TCP;interleaved=255", None),
        ("RAW/RAW/UDP;client_port=1-2", None),
        ("", None),
    ],
)
def test_the_first_transport_that_fits_is_taken(
    header: str, transport: rtsp.Transport | None
) -> None:
    assert rtsp.parse_transport(header) == transport


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def authorization(pw: str = "pw", nonce: str = "n1", qop: str = "") -> str:
    secret, what = md5(f"guard:{rtsp.REALM}:{pw}"), md5("DESCRIBE:rtsp://h/gate")
    middle = f"{nonce}:00000001:c1:{qop}" if qop else nonce
    extra = f', qop={qop}, nc=00000001, cnonce="c1"' if qop else ""
    return (
        f'Digest username="guard", realm="{rtsp.REALM}", nonce="{nonce}", uri="rtsp://h/gate", '
        f'response="{md5(f"{secret}:{middle}:{what}")}"{extra}'
    )


def test_the_right_password_is_proved_with_and_without_qop() -> None:
    for header in (authorization(), authorization(qop="auth")):
        assert rtsp.is_authorised("DESCRIBE", header, "n1", "guard", "pw")


@pytest.mark.parametrize(
    ("method", "header", "nonce"),
    [
        ("DESCRIBE", authorization(pw="other"), "n1"),
        ("DESCRIBE", authorization(nonce="old"), "n1"),
        ("PLAY", authorization(), "n1"),
        ("DESCRIBE", authorization().replace("guard", "other"), "n1"),
        ("DESCRIBE", "Basic Z3VhcmQ6cHc=", "n1"),
        ("DESCRIBE", "", "n1"),
        ("DESCRIBE", "Digest username=guard, nonce=n1, response=\u00e9", "n1"),
    ],
)
def test_anything_else_proves_nothing(method: str, header: str, nonce: str) -> None:
    assert not rtsp.is_authorised(method, header, nonce, "guard", "pw")


def test_a_nonce_that_is_not_the_connections_is_told_to_be_stale() -> None:
    assert rtsp.digest_nonce(authorization(nonce="old")) == "old"
    assert rtsp.challenge("n2", stale=True).endswith('nonce="n2", stale=true')
