"""RTSP/1.0 requests, responses, SDP and Digest authentication as text (RFC 2326, 4566, 7616). Pure:
no sockets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from simulators.rtp import CLOCK_HZ, PAYLOAD_TYPE

MAX_HEAD = 8 * 1024  # a request's line and headers
MAX_BODY = 4 * 1024  # of GET_PARAMETER and SET_PARAMETER
TRACK = "trackID=0"
REALM = "simulated camera"

REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    503: "Service Unavailable",
    505: "RTSP Version Not Supported",
}
_DIGEST_FIELD = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))')


class BadRequestError(Exception):
    """What the client sent is no RTSP request; carries the status to answer with."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class RtspRequest:
    """Header names are lower case. `path` is the URL's path without the track's suffix."""

    method: str
    url: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        path = urlsplit(self.url).path if "://" in self.url else self.url
        return path.rstrip("/").removesuffix(TRACK).rstrip("/") or "/"

    @property
    def body_length(self) -> int:
        """Raises BadRequestError where it is no number or too much."""
        text = self.headers.get("content-length", "0")
        if not text.isascii() or not text.isdigit() or int(text[:9]) > MAX_BODY:
            raise BadRequestError(f"Content-Length must be a number up to {MAX_BODY}")
        return int(text)


def parse_request(head: bytes) -> RtspRequest:
    """The request in `head`, which ends with an empty line. Raises BadRequestError."""
    lines = head.decode("utf-8", "replace").rstrip("\r\n").split("\r\n")
    parts = lines[0].split(" ")
    if len(parts) != 3:
        raise BadRequestError("the first line must be: METHOD URL RTSP/1.0")
    if parts[2] != "RTSP/1.0":
        raise BadRequestError("RTSP/1.0 only", 505)
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon:
            raise BadRequestError("a header line must hold a colon")
        headers[name.strip().lower()] = value.strip()
    return RtspRequest(parts[0], parts[1], headers)


def format_response(
    status: int, cseq: str, headers: Mapping[str, str] | None = None, body: str = ""
) -> bytes:
    """A response; adds CSeq and, for a body, its length."""
    fields = {"CSeq": cseq, **(headers or {})}
    if body:
        fields["Content-Length"] = str(len(body.encode()))
    lines = [f"RTSP/1.0 {status} {REASONS[status]}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


@dataclass(frozen=True, slots=True)
class Transport:
    """The way a client wants its packets: channels of this connection, or ports of its host."""

    udp: bool
    first: int
    second: int


def parse_transport(header: str) -> Transport | None:
    """The first of the offered transports that the camera speaks, or None."""
    for offer in header.split(","):
        words = [word.strip() for word in offer.split(";")]
        fields = dict(word.partition("=")[::2] for word in words[1:])
        if "multicast" in fields:
            continue
        profile = words[0].upper()
        if profile == "RTP/AVP/TCP":
            pair = _pair(fields.get("interleaved", "0-1"), 255)
        elif profile in {"RTP/AVP", "RTP/AVP/UDP"}:
            pair = _pair(fields.get("client_port", ""), 65_535)
        else:
            continue
        if pair is not None:
            return Transport(profile != "RTP/AVP/TCP", *pair)
    return None


def _pair(text: str, most: int) -> tuple[int, int] | None:
    """'4-5' or '4' (which means 4-5), each at most `most`."""
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if match is None:
        return None
    first = int(match[1])
    second = int(match[2]) if match[2] else first + 1
    return (first, second) if max(first, second) <= most else None


def describe(host: str, sps: bytes, pps: bytes, fps: int) -> str:
    """The session's SDP, with the parameter sets (RFC 6184 §8.2.1)."""
    sets = ",".join(base64.b64encode(nal).decode() for nal in (sps, pps))
    return "\r\n".join(
        (
            "v=0",
            f"o=- 0 0 IN IP4 {host}",
            "s=simulated camera",
            f"c=IN IP4 {host}",
            "t=0 0",
            "a=control:*",
            "a=range:npt=now-",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} H264/{CLOCK_HZ}",
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;"
            f"profile-level-id={sps[1:4].hex()};sprop-parameter-sets={sets}",
            f"a=framerate:{fps}",
            f"a=control:{TRACK}",
            "",
        )
    )


def challenge(nonce: str, *, stale: bool = False) -> str:
    """The WWW-Authenticate header, in the form that cameras use: MD5, no qop."""
    return f'Digest realm="{REALM}", nonce="{nonce}"' + (", stale=true" if stale else "")


def digest_nonce(header: str) -> str:
    """The nonce that an Authorization header answers, or an empty string."""
    return _digest_fields(header).get("nonce", "")


def is_authorised(method: str, header: str, nonce: str, user: str, password: str) -> bool:
    """Whether an Authorization header proves the password (RFC 2617 §3.2.2; qop optional)."""
    fields = _digest_fields(header)
    if fields.get("username") != user or fields.get("nonce") != nonce:
        return False
    secret = _md5(f"{user}:{REALM}:{password}")
    what = _md5(f"{method}:{fields.get('uri', '')}")
    middle = nonce
    if fields.get("qop"):
        middle = ":".join((nonce, fields.get("nc", ""), fields.get("cnonce", ""), fields["qop"]))
    expected = _md5(f"{secret}:{middle}:{what}")
    return hmac.compare_digest(expected.encode(), fields.get("response", "").lower().encode())


def _digest_fields(header: str) -> dict[str, str]:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "digest":
        return {}
    return {name.lower(): quoted or bare for name, quoted, bare in _DIGEST_FIELD.findall(rest)}


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
