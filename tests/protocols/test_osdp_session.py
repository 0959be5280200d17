"""A panel's session with a well-behaved reader: opening, commands, repeats, refusals."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.protocols.keypad import Key
from drivers.protocols.osdp import commands
from drivers.protocols.osdp.commands import Color, Command
from drivers.protocols.osdp.frame import Frame, FrameDecoder, encode_frame
from drivers.protocols.osdp.outcome import (
    Busy,
    Ignored,
    KeyInstalled,
    Opened,
    Outcome,
    Progress,
    Refused,
    Replied,
)
from drivers.protocols.osdp.replies import (
    Ack,
    Capabilities,
    Capability,
    DeviceId,
    KeypadKeys,
    Nak,
    RawCard,
    UnknownReply,
)
from drivers.protocols.osdp.session import TRANSITIONS, Session, State
from gatewayd.domain.ports import Malformed
from tests.protocols.osdp_pd import DEFAULT, KEY, Reader, reckon_frame

NEW_KEY = bytes.fromhex("F0E0D0C0B0A090807060504030201000")
DEVICE = DeviceId(b"\xa1\xb2\xc3", 7, 2, 0x01020304, (1, 2, 3))
CAPABILITIES = Capabilities((Capability(1, 2, 2), Capability(4, 4, 1), Capability(9, 1, 1)))
BUSY = reckon_frame(0x81, 0x04, b"\x79")[0]
BEEP = commands.sound_buzzer(0, commands.Tone.DEFAULT, 1)


def a_session(key: bytes | None = KEY, install_key: bytes | None = None) -> Session:
    return Session(
        1, key, install_key=install_key, random_bytes=lambda count: bytes(range(0xB0, 0xB0 + count))
    )


def frame_of(raw: bytes) -> Frame:
    (frame,) = FrameDecoder().feed(raw)
    assert isinstance(frame, Frame)
    return frame


def talk(session: Session, reader: Reader, command: Command | None = None) -> Outcome:
    return session.receive(frame_of(reader.answer(session.next_frame(command))))


def opened(session: Session, reader: Reader) -> Session:
    while session.needs_opening:
        outcome = talk(session, reader)
        assert isinstance(outcome, Progress | Opened)
    reader.commands.clear()
    return session


def before_install(session: Session, reader: Reader) -> None:
    """Open as far as the frame before KEYSET."""
    while session.state is not State.INSTALL:
        assert talk(session, reader) == Progress()


SETTINGS = [
    pytest.param(KEY, KEY, id="secure"),
    pytest.param(None, None, id="clear"),
]
both = pytest.mark.parametrize(("key", "readers_key"), SETTINGS)


def test_a_secure_session_opens_step_by_step() -> None:
    session, reader = a_session(), Reader(key=KEY)
    states, outcomes = [], []
    while session.needs_opening:
        states.append(session.state)
        outcomes.append(talk(session, reader))
    assert states == [State.CLOSED, State.CAPABILITIES, State.CHALLENGE, State.CRYPT]
    assert outcomes == [Progress()] * 3 + [Opened(DEVICE, CAPABILITIES, secure=True)]
    assert session.state is State.OPEN
    assert [code for code, _ in reader.commands] == [0x61, 0x62, 0x76, 0x77]


def test_a_clear_session_opens_without_a_challenge() -> None:
    session, reader = a_session(None), Reader()
    assert talk(session, reader) == Progress()
    assert talk(session, reader) == Opened(DEVICE, CAPABILITIES, secure=False)
    assert [code for code, _ in reader.commands] == [0x61, 0x62]
    assert not session.secure


def test_the_first_frames_on_the_wire() -> None:
    session, reader = a_session(), Reader(key=KEY)
    wire = []
    for _ in range(5):
        wire.append(session.next_frame())
        session.receive(frame_of(reader.answer(wire[-1])))
    assert wire[0] == reckon_frame(0x01, 0x04, b"\x61\x00")[0]
    assert wire[1] == reckon_frame(0x01, 0x05, b"\x62\x00")[0]
    challenge = bytes.fromhex("03 11 01 76 B0B1B2B3B4B5B6B7")
    assert wire[2] == reckon_frame(0x01, 0x0E, challenge)[0]
    assert wire[3][:9] == bytes.fromhex("53 01 1B 00 0F 03 13 01 77")
    assert wire[4][:8] == bytes.fromhex("53 01 0E 00 0D 02 15 60")


@both
def test_numbers_run_from_0_to_3_and_again_from_1(
    key: bytes | None, readers_key: bytes | None
) -> None:
    session, reader = a_session(key), Reader(key=readers_key)
    numbers = []
    for _ in range(9):
        raw = session.next_frame()
        numbers.append(raw[4] & 3)
        session.receive(frame_of(reader.answer(raw)))
    assert numbers == [0, 1, 2, 3, 1, 2, 3, 1, 2]
    session.restart()
    assert session.next_frame()[4] & 3 == 0


@both
def test_commands_go_out_and_cards_and_keys_come_in(
    key: bytes | None, readers_key: bytes | None
) -> None:
    reader = Reader(key=readers_key)
    session = opened(a_session(key), reader)
    leds = commands.set_leds(commands.Led(permanent=commands.Blink(Color.GREEN)))
    reader.events.append((0x50, bytes.fromhex("00 01 1A00 F0AA5500")))
    reader.events.append((0x53, bytes.fromhex("00 02 34 0D")))
    reader.events.append((0xFE, bytes(range(64))))
    assert talk(session, reader, leds) == Replied(Ack())
    assert talk(session, reader) == Replied(RawCard(0, 1, 26, 0xF0AA5500 >> 6))
    assert talk(session, reader) == Replied(KeypadKeys(0, (Key("4"), Key("#"))))
    assert talk(session, reader) == Replied(UnknownReply(0xFE, bytes(range(64))))
    assert talk(session, reader, BEEP) == Replied(Ack())
    assert reader.commands == [(leds.code, leds.data), *[(0x60, b"")] * 3, (BEEP.code, BEEP.data)]


def test_cards_are_not_readable_on_the_wire() -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    card = bytes.fromhex("00 01 1A00 F0AA5500")
    reader.events.append((0x50, card))
    assert card not in reader.answer(session.next_frame())
    session.restart()
    text = commands.show_text("Good morning")
    opened(session, reader)
    assert b"Good" not in session.next_frame(text)


def test_a_session_with_checksums_is_as_good() -> None:
    session = Session(1, KEY, use_crc=False, random_bytes=bytes)
    reader = Reader(key=KEY)
    opened(session, reader)
    reader.events.append((0x50, bytes.fromhex("00 01 0800 A5")))
    assert talk(session, reader) == Replied(RawCard(0, 1, 8, 0xA5))


def test_data_with_a_mac_but_not_encrypted_is_taken() -> None:
    reader = Reader(key=KEY, plain_data=True)
    session = opened(a_session(), reader)
    reader.events.append((0x50, bytes.fromhex("00 01 0800 A5")))
    assert talk(session, reader) == Replied(RawCard(0, 1, 8, 0xA5))


@both
def test_a_retry_is_the_same_bytes_and_its_cached_answer_is_taken(
    key: bytes | None, readers_key: bytes | None
) -> None:
    reader = Reader(key=readers_key)
    session = opened(a_session(key), reader)
    sent = session.next_frame(BEEP)
    lost = reader.answer(sent)
    assert session.again() == sent
    assert session.again() == sent
    answer = frame_of(reader.answer(sent))
    assert answer.raw == lost
    assert session.receive(answer) == Replied(Ack())
    assert reader.commands == [(BEEP.code, BEEP.data)]  # once
    assert session.receive(answer) == Ignored("reply to nothing")
    session.next_frame()
    assert session.receive(answer) == Ignored("reply to an earlier frame")
    assert not session.needs_opening


@both
def test_a_busy_reader_is_asked_again(key: bytes | None, readers_key: bytes | None) -> None:
    reader = Reader(key=readers_key)
    session = a_session(key)
    while True:
        sent = session.next_frame()
        assert session.receive(frame_of(BUSY)) == Busy()
        assert session.again() == sent
        outcome = session.receive(frame_of(reader.answer(sent)))
        if outcome == Replied(Ack()):
            break
        assert isinstance(outcome, Progress | Opened)


@both
@pytest.mark.parametrize("code", [1, 2])
def test_a_frame_that_was_spoilt_on_its_way_is_repeated(
    key: bytes | None, readers_key: bytes | None, code: int
) -> None:
    reader = Reader(key=readers_key)
    session = opened(a_session(key), reader)
    sent = session.next_frame(BEEP)
    nak = reckon_frame(0x81, sent[4] & 7, bytes([0x41, code]))[0]
    assert session.receive(frame_of(nak)) == Busy()
    assert session.again() == sent
    assert session.receive(frame_of(reader.answer(sent))) == Replied(Ack())


@both
@pytest.mark.parametrize("code", [0, 3, 7, 8, 9, 99])
def test_a_refused_command_leaves_the_session_open(
    key: bytes | None, readers_key: bytes | None, code: int
) -> None:
    reader = Reader(key=readers_key)
    session = opened(a_session(key), reader)
    reader.events.append((0x41, bytes([code])))
    assert talk(session, reader) == Refused(Nak(code))
    assert not session.needs_opening
    assert talk(session, reader) == Replied(Ack())


@both
@pytest.mark.parametrize("code", [4, 5, 6])
def test_a_refusal_of_the_session_closes_it(
    key: bytes | None, readers_key: bytes | None, code: int
) -> None:
    reader = Reader(key=readers_key)
    session = opened(a_session(key), reader)
    reader.events.append((0x41, bytes([code])))
    assert talk(session, reader) == Refused(Nak(code))
    assert session.state is State.CLOSED
    assert not opened(session, reader).needs_opening


@both
@pytest.mark.parametrize("code", [4, 5, 6])
def test_a_reader_that_lost_its_power_is_opened_anew(
    key: bytes | None, readers_key: bytes | None, code: int
) -> None:
    reader = Reader(key=readers_key)
    session = opened(a_session(key), reader)
    session.next_frame()
    nak = reckon_frame(0x81, 0x04, bytes([0x41, code]))[0]  # sequence 0
    assert session.receive(frame_of(nak)) == Refused(Nak(code))
    assert session.state is State.CLOSED
    opened(session, Reader(key=readers_key))


def test_another_refusal_with_another_number_is_ignored() -> None:
    session = opened(a_session(), Reader(key=KEY))
    session.next_frame()
    for control, code in ((0x04, 9), (0x06, 4)):
        nak = frame_of(reckon_frame(0x81, control, bytes([0x41, code]))[0])
        assert session.receive(nak) == Ignored("reply to an earlier frame")
    assert not session.needs_opening


@pytest.mark.parametrize("code", [3, 9])
def test_a_refusal_in_clear_ends_a_secure_session_and_no_more(code: int) -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.naks[0x60] = bytes([code])
    assert talk(session, reader) == Refused(Nak(code))
    assert session.state is State.CLOSED


def test_a_reader_that_cannot_be_identified_stays_closed() -> None:
    session = a_session()
    assert talk(session, Reader(naks={0x61: b"\x03"})) == Refused(Nak(3))
    assert session.state is State.CLOSED


@both
def test_a_reader_without_capabilities_is_opened(
    key: bytes | None, readers_key: bytes | None
) -> None:
    session, reader = a_session(key), Reader(key=readers_key, naks={0x62: b"\x03"})
    outcomes = []
    while session.needs_opening:
        outcomes.append(talk(session, reader))
    assert outcomes[-1] == Opened(DEVICE, Capabilities(), secure=key is not None)


def test_a_sequence_refusal_while_opening_starts_over() -> None:
    for command in (0x61, 0x62, 0x76, 0x77):
        session, reader = a_session(), Reader(key=KEY, naks={command: b"\x04"})
        while (outcome := talk(session, reader)) == Progress():
            pass
        assert outcome == Refused(Nak(4))
        assert session.state is State.CLOSED
        reader.naks.clear()
        opened(session, reader)


def test_only_the_answer_to_the_question_counts_while_opening() -> None:
    session = a_session()
    session.next_frame()
    for body in (b"\x40", b"\x46\x09\x01\x01", b"\x45\x00"):
        outcome = session.receive(frame_of(reckon_frame(0x81, 0x04, body)[0]))
        assert outcome == Ignored(f"reply {body[0]:#04x} is not what was asked for")
    assert session.state is State.IDENTIFY


def test_a_secured_reply_outside_a_secure_channel_is_ignored() -> None:
    session = opened(a_session(None), Reader())
    sent = session.next_frame()
    secured = reckon_frame(0x81, sent[4] & 3 | 0x0C, b"\x02\x16\x40\x01\x02\x03\x04")[0]
    outcome = session.receive(frame_of(secured))
    assert outcome == Ignored("security block outside a secure channel")


def test_frames_for_others_are_ignored() -> None:
    session = opened(a_session(), Reader(key=KEY))
    sent = session.next_frame(BEEP)
    assert session.receive(frame_of(sent)) == Ignored("echo")
    other = encode_frame(2, 0x40, sequence=sent[4] & 3, is_reply=True)
    assert session.receive(frame_of(other)) == Ignored("another device's reply")
    command = encode_frame(1, 0x60, sequence=1)
    assert session.receive(frame_of(command)) == Ignored("a command, not a reply")
    keyset = encode_frame(2, 0x75, sequence=1)
    assert session.receive(frame_of(keyset)) == Ignored("a command, not a reply")
    assert session.again() == sent


def test_a_genuine_reply_that_makes_no_sense_costs_no_session() -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.events.append((0x50, b"\x00"))
    assert talk(session, reader) == Replied(Malformed("length of a RAW"))
    reader.plain_data = True
    reader.events.append((0x50, bytes.fromhex("00 01 0800 A5")))
    assert talk(session, reader) == Replied(RawCard(0, 1, 8, 0xA5))


def test_a_genuine_reply_that_cannot_be_decrypted_costs_no_session() -> None:
    reader = Reader(key=KEY, spoilt_encryption=True)
    session = opened(a_session(), reader)
    reader.events.append((0x50, bytes.fromhex("00 01 0800 A5")))
    assert talk(session, reader) == Replied(Malformed("encryption"))
    assert talk(session, reader) == Replied(Ack())


@pytest.mark.parametrize("in_clear", [False, True])
@pytest.mark.parametrize(
    ("key", "readers_key", "key_byte"),
    [(None, None, 0), (KEY, KEY, 1)],
    ids=["under the default key", "under the old key"],
)
def test_a_key_is_installed_in_a_session_made_for_it(
    key: bytes | None, readers_key: bytes | None, key_byte: int, in_clear: bool
) -> None:
    reader = Reader(key=readers_key)
    if in_clear:
        reader.in_clear[0x75] = (0x40, b"")
    session = a_session(key, install_key=NEW_KEY)
    pairing, outcomes, challenges = [session.pairing], [], []
    assert session.secure
    while KeyInstalled() not in outcomes:
        raw = session.next_frame(BEEP)
        challenges += [raw[7]] if raw[8] == 0x76 else []
        outcomes.append(session.receive(frame_of(reader.answer(raw))))
    assert outcomes == [*[Progress()] * 4, KeyInstalled()]
    assert challenges == [key_byte]
    assert reader.commands[-1] == (0x75, b"\x01\x10" + NEW_KEY)
    assert session.state is State.CLOSED
    pairing.append(session.pairing)
    assert pairing == [True, False]
    assert reader.key == NEW_KEY
    opened(session, reader)
    assert session.secure


@pytest.mark.parametrize("secured", [False, True])
def test_a_refused_key_closes_the_session_and_is_still_to_install(secured: bool) -> None:
    reader, session = Reader(), a_session(None, install_key=NEW_KEY)
    before_install(session, reader)
    if secured:
        reader.replies[0x75] = (0x41, b"\x09")
    else:
        reader.naks[0x75] = b"\x09"
    assert talk(session, reader) == Refused(Nak(9))
    assert session.state is State.CLOSED
    assert session.pairing


def test_an_odd_answer_to_a_key_closes_the_session() -> None:
    reader, session = Reader(), a_session(None, install_key=NEW_KEY)
    before_install(session, reader)
    reader.replies[0x75] = (0x48, b"\x00\x00")
    assert isinstance(talk(session, reader), Replied)
    assert session.state is State.CLOSED
    assert session.pairing


@both
@pytest.mark.parametrize(
    "command",
    [commands.set_key(NEW_KEY), commands.challenge(bytes(8)), commands.answer_challenge(bytes(16))],
)
def test_a_caller_cannot_send_what_is_the_sessions(
    key: bytes | None, readers_key: bytes | None, command: Command
) -> None:
    session = opened(a_session(key), Reader(key=readers_key))
    with pytest.raises(ValueError, match="own commands"):
        session.next_frame(command)


def test_a_command_too_long_for_a_frame_changes_nothing() -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    with pytest.raises(ValueError, match="at most 1440"):
        session.next_frame(commands.manufacturer(b"abc", bytes(1425)))
    assert talk(session, reader) == Replied(Ack())


def test_one_question_at_a_time() -> None:
    session = a_session()
    with pytest.raises(RuntimeError, match="no OSDP frame"):
        session.again()
    session.next_frame()
    with pytest.raises(RuntimeError, match="unanswered"):
        session.next_frame()
    session.restart()
    with pytest.raises(RuntimeError, match="no OSDP frame"):
        session.again()
    assert session.next_frame()[4] & 3 == 0


@pytest.mark.parametrize(
    "build",
    [
        lambda: Session(-1, KEY, random_bytes=bytes),
        lambda: Session(127, KEY, random_bytes=bytes),
        lambda: Session(1, KEY[:15], random_bytes=bytes),
        lambda: Session(1, b"", random_bytes=bytes),
        lambda: Session(1, DEFAULT, random_bytes=bytes),
        lambda: Session(1, None, install_key=DEFAULT, random_bytes=bytes),
        lambda: Session(1, None, install_key=KEY + b"\x00", random_bytes=bytes),
    ],
)
def test_no_session_is_made_of_no_address_or_no_key(build: Callable[[], Session]) -> None:
    with pytest.raises(ValueError, match="an OSDP"):
        build()


def test_every_state_can_fail_and_is_reached() -> None:
    assert {state for state, _ in TRANSITIONS} == set(State)
    assert set(TRANSITIONS.values()) == set(State)
    failing = [to for (_, event), to in TRANSITIONS.items() if event.name == "FAILED"]
    assert failing == [State.CLOSED] * len(State)


def test_each_opening_asks_for_new_random_bytes() -> None:
    asked: list[int] = []

    def random_bytes(count: int) -> bytes:
        asked.append(count)
        return bytes([len(asked)] * count)

    session, reader = Session(1, KEY, random_bytes=random_bytes), Reader(key=KEY)
    challenges = set()
    for _ in range(3):
        while session.needs_opening:
            talk(session, reader)
        challenges.add(next(data for code, data in reversed(reader.commands) if code == 0x76))
        session.restart()
    assert asked == [8, 8, 8]
    assert len(challenges) == 3
