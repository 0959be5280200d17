"""What attackers on the bus do, one by one: each ends the session, alarms, and delivers nothing."""

from __future__ import annotations

import pytest

from drivers.protocols.osdp.frame import Frame, FrameDecoder, encode_frame
from drivers.protocols.osdp.outcome import Attack, AttackKind, Ignored, Opened, Outcome, Progress
from drivers.protocols.osdp.session import Session, State
from tests.protocols.osdp_pd import KEY, Reader, reckon_frame
from tests.protocols.test_osdp_session import (
    NEW_KEY,
    a_session,
    before_install,
    frame_of,
    opened,
    talk,
)

CARD = bytes.fromhex("00 01 1A00 F0AA5500")


def is_attack(outcome: Outcome, kind: AttackKind, session: Session) -> bool:
    """Closed, and a well-behaved reader is opened anew."""
    closed = session.state is State.CLOSED and session.next_frame()[4] & 3 == 0
    session.restart()
    return isinstance(outcome, Attack) and outcome.kind is kind and closed


def at_the_end(session: Session, reader: Reader) -> Outcome:
    """The first outcome that is no progress."""
    while isinstance(outcome := talk(session, reader), Progress):
        pass
    return outcome


@pytest.mark.parametrize(
    ("reader", "kind"),
    [
        (Reader(key=KEY, capabilities=bytes.fromhex("090000")), AttackKind.DOWNGRADE),
        (Reader(key=KEY, naks={0x76: b"\x03"}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, naks={0x76: b"\x05"}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, naks={0x76: b"\x06"}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, naks={0x76: b""}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, naks={0x77: b"\x06"}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, in_clear={0x76: (0x40, b"")}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, in_clear={0x76: (0x76, bytes(32))}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, in_clear={0x76: (0x50, CARD)}), AttackKind.DOWNGRADE),
        (Reader(key=KEY, key_byte=0), AttackKind.DEFAULT_KEY),
        (Reader(key=KEY, key_byte=2), AttackKind.WRONG_CRYPTOGRAM),
        (Reader(key=KEY, wrong_cryptogram=True), AttackKind.WRONG_CRYPTOGRAM),
        (Reader(key=NEW_KEY), AttackKind.WRONG_CRYPTOGRAM),
        (Reader(key=None), AttackKind.WRONG_CRYPTOGRAM),
        (Reader(key=KEY, status=0), AttackKind.RMAC_STATUS),
        (Reader(key=KEY, status=0xFF), AttackKind.RMAC_STATUS),
        (Reader(key=KEY, wrong_initial_mac=True), AttackKind.WRONG_MAC),
        (Reader(key=KEY, in_clear={0x77: (0x78, bytes(16))}), AttackKind.CLEAR_TEXT),
        (Reader(key=KEY, in_clear={0x77: (0x40, b"")}), AttackKind.CLEAR_TEXT),
    ],
)
def test_a_session_never_opens_with_a_device_that_is_not_ours(
    reader: Reader, kind: AttackKind
) -> None:
    session = a_session()
    assert is_attack(at_the_end(session, reader), kind, session)
    opened(session, Reader(key=KEY))


@pytest.mark.parametrize(
    ("body", "command", "kind"),
    [
        (b"\x03\x12\x01\x76" + bytes(31), 0x76, AttackKind.WRONG_CRYPTOGRAM),
        (b"\x03\x12\x01\x40", 0x76, AttackKind.WRONG_CRYPTOGRAM),
        (b"\x02\x12\x76" + bytes(32), 0x76, AttackKind.WRONG_CRYPTOGRAM),
        (b"\x03\x14\x01\x76" + bytes(32), 0x76, AttackKind.DOWNGRADE),
        (b"\x03\x14\x01\x78" + bytes(15), 0x77, AttackKind.WRONG_MAC),
        (b"\x02\x14\x78" + bytes(16), 0x77, AttackKind.RMAC_STATUS),
        (b"\x03\x12\x01\x78" + bytes(16), 0x77, AttackKind.CLEAR_TEXT),
    ],
)
def test_handshake_frames_of_the_wrong_shape(body: bytes, command: int, kind: AttackKind) -> None:
    session, reader = a_session(), Reader(key=KEY)
    while (sent := session.next_frame())[8] != command:
        assert session.receive(frame_of(reader.answer(sent))) == Progress()
    forged = reckon_frame(0x81, sent[4] & 7 | 8, body)[0]
    assert is_attack(session.receive(frame_of(forged)), kind, session)


@pytest.mark.parametrize("reply", [(0x40, b""), (0x50, CARD), (0x53, b"\x00\x01\x31")])
def test_clear_text_inside_a_session_is_never_delivered(reply: tuple[int, bytes]) -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.in_clear[0x60] = reply
    assert is_attack(talk(session, reader), AttackKind.CLEAR_TEXT, session)


def test_a_wrong_mac_is_never_delivered() -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.events.append((0x50, CARD))
    reader.wrong_mac = True
    outcome = talk(session, reader)
    assert is_attack(outcome, AttackKind.WRONG_MAC, session)
    assert outcome == Attack(AttackKind.WRONG_MAC, "reply 0x50")


def change(raw: bytes, at: int, bits: int = 1) -> bytes:
    """The frame with a byte's bits turned, and its CRC made right again."""
    body = bytearray(raw[:-2])
    body[at] ^= bits
    return reckon_frame(body[1], body[4], bytes(body[5:]))[0]


@pytest.mark.parametrize("at", [7, 8, 12, 23, 24, 27])  # code, data and MAC
def test_a_single_bit_that_was_changed_is_seen(at: int) -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.events.append((0x50, CARD))
    raw = reader.answer(session.next_frame())
    assert len(raw) == 30
    assert is_attack(session.receive(frame_of(change(raw, at))), AttackKind.WRONG_MAC, session)


@pytest.mark.parametrize("block", [b"\x02\x15", b"\x02\x17", b"\x03\x12\x01", b"\x02\x19"])
def test_a_reply_under_a_block_that_is_no_replys_is_refused(block: bytes) -> None:
    session = opened(a_session(), Reader(key=KEY))
    sent = session.next_frame()
    forged = reckon_frame(0x81, sent[4] & 7 | 8, block + b"\x40\x01\x02\x03\x04")[0]
    assert is_attack(session.receive(frame_of(forged)), AttackKind.WRONG_MAC, session)


@pytest.mark.parametrize("block", [b"\x02\x15", b"\x02\x17"])
def test_a_right_mac_does_not_make_a_commands_block_a_replys(block: bytes) -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.block = block
    assert is_attack(talk(session, reader), AttackKind.WRONG_MAC, session)


def test_a_busy_that_claims_security_must_prove_it() -> None:
    session = opened(a_session(), Reader(key=KEY))
    sent = session.next_frame()
    forged = reckon_frame(0x81, sent[4] & 7 | 8, b"\x02\x16\x79\x01\x02\x03\x04")[0]
    assert is_attack(session.receive(frame_of(forged)), AttackKind.WRONG_MAC, session)


def test_a_commands_mac_is_no_replys() -> None:
    """The panel's own frame, sent back as a reply with its right MAC."""
    session = opened(a_session(), Reader(key=KEY))
    sent = session.next_frame()
    reflected = reckon_frame(0x81, sent[4], b"\x02\x16" + sent[7:-2])[0]
    assert is_attack(session.receive(frame_of(reflected)), AttackKind.WRONG_MAC, session)


def test_an_earlier_reply_is_a_replay_whatever_number_it_is_given() -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.events.append((0x50, CARD))
    first = reader.answer(session.next_frame())
    assert not isinstance(session.receive(frame_of(first)), Attack)
    sent = session.next_frame()
    assert session.receive(frame_of(first)) == Ignored("reply to an earlier frame")
    renumbered = reckon_frame(0x81, first[4] & ~3 | sent[4] & 3, first[5:-2])[0]
    assert is_attack(session.receive(frame_of(renumbered)), AttackKind.REPLAY, session)


def test_a_reply_is_a_replay_when_its_number_comes_back() -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.events.append((0x50, CARD))
    first = reader.answer(session.next_frame())
    session.receive(frame_of(first))
    for _ in range(2):
        talk(session, reader)
    session.next_frame()
    assert is_attack(session.receive(frame_of(first)), AttackKind.REPLAY, session)


def test_a_reply_of_an_earlier_session_is_a_replay() -> None:
    nonces = iter(range(1, 9))
    session = Session(1, KEY, random_bytes=lambda count: bytes([next(nonces)] * count))
    reader = Reader(key=KEY)
    opened(session, reader)
    first = reader.answer(session.next_frame())
    session.receive(frame_of(first))
    session.restart()
    opened(session, reader)
    session.next_frame()
    assert is_attack(session.receive(frame_of(first)), AttackKind.REPLAY, session)


def test_a_recorded_handshake_is_worth_nothing() -> None:
    nonces = iter(range(1, 9))
    session = Session(1, KEY, random_bytes=lambda count: bytes([next(nonces)] * count))
    reader, recorded = Reader(key=KEY), []
    while session.needs_opening:
        recorded.append(reader.answer(session.next_frame()))
        session.receive(frame_of(recorded[-1]))
    session.restart()
    outcomes: list[Outcome] = []
    for raw in recorded[:3]:
        session.next_frame()
        outcomes.append(session.receive(frame_of(raw)))
    assert outcomes[:2] == [Progress(), Progress()]
    assert is_attack(outcomes[2], AttackKind.WRONG_CRYPTOGRAM, session)


@pytest.mark.parametrize("address", [1, 0x7F])
def test_a_key_set_by_somebody_else_is_seen(address: int) -> None:
    session = opened(a_session(), Reader(key=KEY))
    session.next_frame()
    keyset = encode_frame(address, 0x75, b"\x01\x10" + NEW_KEY, sequence=0)
    assert is_attack(session.receive(frame_of(keyset)), AttackKind.FOREIGN_KEYSET, session)


def test_without_a_key_anybody_may_set_one() -> None:
    session = opened(a_session(None), Reader())
    keyset = encode_frame(1, 0x75, b"\x01\x10" + NEW_KEY, sequence=0)
    assert session.receive(frame_of(keyset)) == Ignored("a command, not a reply")


def test_the_panels_own_key_setting_is_no_attack_as_an_echo() -> None:
    session, reader = a_session(None, install_key=NEW_KEY), Reader()
    before_install(session, reader)
    sent = session.next_frame()
    assert session.receive(frame_of(sent)) == Ignored("echo")
    session.receive(frame_of(reader.answer(sent)))
    assert session.receive(frame_of(sent)) == Ignored("echo")


@pytest.mark.parametrize("reply", [(0x50, CARD), (0x40, b"\x00"), (0x46, b"")])
def test_only_a_plain_ack_answers_a_key_setting_in_clear(reply: tuple[int, bytes]) -> None:
    session, reader = a_session(None, install_key=NEW_KEY), Reader()
    reader.in_clear[0x75] = reply
    assert is_attack(at_the_end(session, reader), AttackKind.CLEAR_TEXT, session)
    assert session.pairing


def test_a_forged_ack_to_a_key_setting_opens_nothing() -> None:
    session, reader = a_session(None, install_key=NEW_KEY), Reader()
    before_install(session, reader)
    sent = session.next_frame()
    session.receive(frame_of(encode_frame(1, 0x40, sequence=sent[4] & 3, is_reply=True)))
    assert is_attack(at_the_end(session, reader), AttackKind.WRONG_CRYPTOGRAM, session)


def test_a_reader_with_its_own_key_is_not_paired_under_the_default() -> None:
    session, reader = a_session(None, install_key=NEW_KEY), Reader(key=KEY, key_byte=1)
    assert is_attack(at_the_end(session, reader), AttackKind.WRONG_CRYPTOGRAM, session)


@pytest.mark.parametrize("capabilities", ["", "010202", "090100", "090101"])
def test_what_a_reader_says_of_its_key_changes_nothing(capabilities: str) -> None:
    """PDCAP may claim that the default key is in place: the panel asks under its own."""
    session = a_session()
    reader = Reader(key=KEY, capabilities=bytes.fromhex(capabilities))
    assert isinstance(at_the_end(session, reader), Opened)
    assert not any(code == 0x75 for code, _ in reader.commands)


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("at", range(5, 28))
def test_no_changed_reply_is_ever_delivered(at: int, bit: int) -> None:
    reader = Reader(key=KEY)
    session = opened(a_session(), reader)
    reader.events.append((0x50, CARD))
    raw = reader.answer(session.next_frame())
    for frame in FrameDecoder().feed(change(raw, at, 1 << bit)):
        if isinstance(frame, Frame):
            assert isinstance(session.receive(frame), Attack)
            assert session.needs_opening
