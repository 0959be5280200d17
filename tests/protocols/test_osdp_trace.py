"""Frames in words: every command and reply has its name, keys are never shown, forgeries are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.osdp_tools.replay import Replay
from drivers.osdp_tools.trace import Trace
from drivers.osdp_tools.words import (
    COMMANDS,
    REPLIES,
    capability,
    command_name,
    command_says,
    reply_name,
    reply_says,
)
from drivers.protocols.osdp import commands
from drivers.protocols.osdp.capture import Direction, Record
from drivers.protocols.osdp.commands import Blink, Color, Led, Output, OutputControl, Tone
from drivers.protocols.osdp.crc import crc16
from drivers.protocols.osdp.frame import FrameDecoder, encode_frame
from drivers.protocols.osdp.pieces import Splitter
from drivers.protocols.osdp.replies import Capability, decode_reply
from drivers.protocols.osdp.session import Session
from gatewayd.domain.ports import Malformed
from tests.protocols.osdp_pd import Reader

KEY, OTHER_KEY = bytes(range(16)), bytes(range(1, 17))


def told(raw: bytes, trace: Trace | None = None) -> str:
    splitter = Splitter()
    [piece] = [*splitter.feed(raw), *splitter.quiet()]
    return (trace or Trace()).tell(piece)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (commands.POLL, ""),
        (commands.IDENTIFY, ""),
        (
            commands.control_outputs(
                OutputControl(0, Output.TIMED_ON, 50), OutputControl(1, Output.OFF)
            ),
            "output 0 timed on 5 s; output 1 off",
        ),
        (
            commands.set_leds(
                Led(temporary=Blink(Color.RED, Color.BLACK, 4, 4), temporary_100ms=20),
                Led(reader=1, led=1, cancel_temporary=True, permanent=Blink(Color.GREEN)),
            ),
            "reader 0 light 0, red 0.4 s, black 0.4 s for 2 s;"
            " reader 1 light 1, temporary state ends, rests green",
        ),
        (commands.sound_buzzer(0, Tone.OFF), "reader 0 silent"),
        (
            commands.sound_buzzer(0, Tone.DEFAULT, 2, 8, 0),
            "reader 0, 0.2 s on, 0.8 s off, until told otherwise",
        ),
        (commands.sound_buzzer(1, Tone.DEFAULT, 1, 1, 3), "reader 1, 0.1 s on, 0.1 s off, 3 times"),
        (commands.show_text("HI", temporary_s=3), "reader 0, row 1 column 1 for 3 s: 'HI'"),
        (commands.set_communication(5, 38_400), "address 5, 38400 baud"),
        (commands.set_key(KEY), "a key, not shown"),
        (commands.announce_receive_size(1440), "2 bytes"),
    ],
)
def test_a_command_is_told_in_words(command: commands.Command, says: str) -> None:
    assert command_says(command.code, command.data) == says
    assert command_name(command.code) in COMMANDS.values()


@given(st.integers(0, 255), st.binary(max_size=40))
def test_no_bytes_of_a_command_or_a_reply_break_the_words(code: int, data: bytes) -> None:
    assert isinstance(command_says(code, data), str)
    assert isinstance(reply_says(decode_reply(code, data), personal=True), str)


def test_codes_that_nobody_knows_have_names_too() -> None:
    assert (command_name(0xEE), reply_name(0xEE)) == ("command EE", "reply EE")
    assert command_says(0x68, b"\0") == "1 bytes, which is no length of this command"
    assert reply_says(Malformed("x")) == "malformed: x"
    assert len(set(REPLIES.values())) == len(REPLIES)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ((4, 4, 1), "lights: timed, three colours, 1 of them"),
        ((4, 9, 0), "lights: level 9"),
        ((9, 1, 1), "secure channel: AES-128, the default key is in use"),
        ((9, 0, 0), "secure channel: none"),
        ((10, 0xA0, 5), "takes frames of 1440 bytes"),
        ((11, 0, 1), "joins messages of 256 bytes"),
        ((12, 1, 0), "smart cards: transparent yes"),
        ((13, 0, 2), "readers: 2"),
        ((99, 1, 2), "function 99: level 1, 2 of them"),
    ],
)
def test_a_capability_is_told_in_words(entry: tuple[int, int, int], says: str) -> None:
    assert capability(Capability(*entry)) == says


@pytest.mark.parametrize(
    ("code", "data", "says"),
    [
        (0x40, b"", ""),
        (0x41, b"\x06", "security not met"),
        (0x48, b"\x01\x00", "tamper True, power_failed False"),
        (0x53, b"\x00\x0212", "reader 0, 2 keys"),
        (0x51, b"\x00\x00\x03abc", "reader 0, a card as characters"),
        (0x50, b"\x00\x00\x05\x00\xf8", "reader 0, card of 5 bits, unknown format"),
        (0x90, b"abc", "vendor b'abc'"),
        (0xEE, b"abc", "3 bytes"),
    ],
)
def test_a_reply_is_told_in_words_without_what_is_personal(
    code: int, data: bytes, says: str
) -> None:
    assert reply_says(decode_reply(code, data)) == says


def test_personal_things_are_told_where_that_is_asked() -> None:
    assert reply_says(decode_reply(0x53, b"\x00\x0212"), personal=True) == "reader 0, 1 2"
    assert reply_says(decode_reply(0x51, b"\x00\x00\x03abc"), personal=True) == "reader 0, abc"
    card = decode_reply(0x50, b"\x00\x00\x05\x00\xf8")
    assert reply_says(card, personal=True).endswith(", 1F")


# -------------------------------------------------------------------------- secure channels


def talk(reader: Reader, key: bytes | None, *, install: bytes | None = None) -> list[bytes]:
    """Both sides' frames from the first on: an opening, an order, and a few polls."""
    session = Session(0, key, random_bytes=lambda n: bytes(range(n)), install_key=install)
    orders, said = [commands.sound_buzzer(0, Tone.OFF)], list[bytes]()
    for _ in range(16):
        order = orders.pop() if orders and not session.needs_opening else None
        said.append(session.next_frame(order))
        said.append(reader.answer(said[-1]))
        [reply] = FrameDecoder().feed(said[-1])
        assert not isinstance(reply, Malformed)
        session.receive(reply)
    return said


def words(frames: list[bytes], trace: Trace) -> str:
    return "\n".join(told(frame, trace) for frame in frames)


CARD = (0x50, b"\x00\x00\x05\x00\xf8")


def with_card(**options: Any) -> Reader:
    reader = Reader(address=0, **options)
    reader.events.append(CARD)
    return reader


def test_a_secure_channel_is_opened_under_its_key_and_followed() -> None:
    frames = talk(with_card(key=KEY), KEY)
    text = words(frames, Trace(KEY))
    for line in (
        "  0 > 2 CHLNG    [handshake, own key] the panel's random number",
        "  0 < 3 RMAC_I   [handshake, done] the MAC that both begin with",
        "BUZ      [secure] reader 0 silent",
        "RAW      [secure] reader 0, card of 5 bits, unknown format",
    ):
        assert line in text
    assert "WRONG" not in text
    assert KEY.hex() not in text


def test_without_its_key_or_under_another_it_stays_shut() -> None:
    frames = talk(with_card(key=KEY), KEY)
    shut = words(frames, Trace())
    assert "BUZ      [secure, not opened] 16 bytes, encrypted" in shut
    assert "card" not in shut
    wrong = words(frames, Trace(OTHER_KEY))
    assert "PROOF WRONG under the key that was given" in wrong
    assert "card" not in wrong


def test_the_default_key_is_known_and_the_key_that_is_set_is_not_shown() -> None:
    text = words(talk(Reader(address=0, key=None), None, install=KEY), Trace())
    assert "KEYSET   [secure, DEFAULT KEY] a key, not shown" in text
    assert KEY.hex() not in text.replace(" ", "")


def test_a_forged_frame_and_a_repeat_are_told() -> None:
    frames = talk(with_card(key=KEY), KEY)
    at = next(i for i, frame in enumerate(frames) if frame[5:8] == b"\x02\x15\x60")
    repeated = words([*frames[: at + 2], frames[at], frames[at + 1]], Trace(KEY))
    assert repeated.count("the same again") == 2
    poll = frames[at]
    spoilt = poll[:8] + bytes([poll[8] ^ 1]) + poll[9:-2]
    for end in (spoilt + crc16(spoilt),):
        text = words([*frames[:at], end, frames[at + 1]], Trace(KEY))
        assert "POLL     [secure, MAC WRONG] nothing after it can be opened" in text
        assert text.endswith("[secure, not opened] 16 bytes, encrypted")
    reply = frames[at + 1]
    spoilt = reply[:8] + bytes([reply[8] ^ 1]) + reply[9:-2]
    text = words([*frames[: at + 1], spoilt + crc16(spoilt)], Trace(KEY))
    assert "MAC WRONG" in text


def test_a_rejected_proof_and_noise_are_told() -> None:
    frames = talk(Reader(address=0, key=KEY, status=255), KEY)
    assert "THE PANEL'S PROOF IS REJECTED" in words(frames[:8], Trace(KEY))
    assert told(b"\x01\x02") == "  ?   malformed: bytes outside a frame: 2 bytes, 01 02"
    assert told(bytes(99)).endswith("00 …")
    everybody = encode_frame(0x7F, 0x60, sequence=1, use_crc=False)
    assert told(everybody) == "all > 1 POLL     [clear, checksum]"


# --------------------------------------------------------------------------------- replay


def records(frames: list[bytes], *, trace: bool = False) -> list[Record]:
    ways = (Direction.TRACE,) * 2 if trace else (Direction.OUTPUT, Direction.INPUT)
    return [Record(at, ways[at % 2], frame) for at, frame in enumerate(frames)]


def replayed(frames: list[bytes], *, trace: bool = False) -> tuple[Replay, str]:
    replay = Replay({0: KEY})
    said = [text for _, text in replay.through(records(frames, trace=trace))]
    return replay, "\n".join(said)


@pytest.mark.parametrize("trace", [True, False], ids=["a listener's", "a panel's"])
def test_a_capture_goes_through_the_session_again(trace: bool) -> None:
    frames = talk(with_card(key=KEY), KEY)
    replay, text = replayed(frames, trace=trace)
    assert replay.same
    assert replay.counts["commands"] == 16
    assert "  0 < RAW reader 0, card of 5 bits" in text
    assert "online, in the secure channel" in text


def test_a_repeat_is_the_panels_too_and_another_command_is_not() -> None:
    frames = talk(with_card(key=KEY), KEY)
    replay, _ = replayed([*frames[:10], frames[10], b"\x00", *frames[10:]])
    assert replay.same
    assert replay.counts["malformed"] == 1
    spoilt = frames[4][:-3] + bytes([frames[4][-3] ^ 1])
    replay, text = replayed([*frames[:4], spoilt + crc16(spoilt), *frames[5:]])
    assert "ATTACK, wrong cryptogram" in text or not replay.same


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wrong_cryptogram": True}, "ATTACK, wrong cryptogram"),
        ({"status": 255}, "ATTACK, rmac status"),
        ({"in_clear": {0x6A: CARD}}, "ATTACK, clear text: reply 0x50 in clear text"),
        ({"naks": {0x61: b"\x03"}}, "refuses: NAK 3, unknown command"),
        ({"in_clear": {0x62: (0x79, b"")}}, "busy, or could not read the frame"),
    ],
)
def test_what_the_panel_concludes_of_a_field_fault_is_told(
    options: dict[str, Any], says: str
) -> None:
    """The other side of these captures stops where its panel did."""
    reader = Reader(address=0, key=KEY, **options)
    session = Session(0, KEY, random_bytes=lambda n: bytes(range(n)))
    frames = list[bytes]()
    for _ in range(7):
        try:
            order = None if session.needs_opening else commands.sound_buzzer(0, Tone.OFF)
            frames.append(session.next_frame(order))
        except RuntimeError:
            break  # busy: it asks no more here
        frames.append(reader.answer(frames[-1]))
        [reply] = FrameDecoder().feed(frames[-1])
        assert not isinstance(reply, Malformed)
        session.receive(reply)
    replay, text = replayed(frames)
    assert says in text
    assert replay.same


def test_a_key_installation_is_concluded_as_far_as_it_can_be() -> None:
    """The new key is in no capture: this panel would not set one, so it is not followed."""
    replay, text = replayed(talk(Reader(address=0, key=None), None, install=OTHER_KEY))
    assert not replay.same
    assert "this panel would say otherwise" in text
