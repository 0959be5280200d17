"""Each fault of the OSDP simulator does what it says, to a panel that believes nothing."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.control import ControlError
from simulators.osdp_device import SimulatedOsdpDevice
from simulators.osdp_faults import COUNTED, ON_WIRE, OsdpFault, collide, flip_bit, lose_bytes
from simulators.osdp_wire import decode
from tests.simulators import osdp_panel as p
from tests.simulators.osdp_panel import KEY, DirectPanel, PanelError

DEFAULT_KEY = bytes.fromhex("303132333435363738393A3B3C3D3E3F")


def in_session(seed: int = 0) -> tuple[SimulatedOsdpDevice, DirectPanel]:
    device = SimulatedOsdpDevice(0, key=KEY, seed=seed)
    panel = DirectPanel(device)
    panel.open_session()
    return device, panel


def in_clear() -> tuple[SimulatedOsdpDevice, DirectPanel]:
    device = SimulatedOsdpDevice(0, key=KEY)
    panel = DirectPanel(device)
    assert panel.ask(p.POLL).code == p.ACK
    return device, panel


def raw_reply(panel: DirectPanel, code: int = p.POLL, data: bytes = b"") -> bytes:
    raw = panel.device.handle(panel.build(code, data), panel.now_s)
    assert raw is not None
    return raw


# ------------------------------------------------------------------------------- the device's


def test_busy_has_sequence_0_and_no_seal_and_the_repeated_command_is_carried_out_once() -> None:
    device, panel = in_session()
    device.present_card(26, 5)
    device.fault(OsdpFault.BUSY, times=2)
    raw = panel.build(p.POLL)
    for _ in range(2):
        reply = panel.again(raw)
        assert (reply.code, reply.sequence, reply.block) == (p.BUSY, 0, b"")
    assert device.delivered == 0
    assert panel.again(panel.last).code == p.RAW
    assert device.secure


def test_a_nak_bears_the_code_and_the_link_goes_on() -> None:
    device, panel = in_session()
    device.fault(OsdpFault.NAK, times=1, amount=3)
    assert panel.refused(p.LSTAT) == 3
    assert panel.ask(p.LSTAT).data == b"\0\0"


def test_the_ack_to_keyset_comes_in_clear() -> None:
    device, panel = in_session()
    device.fault(OsdpFault.CLEAR_KEYSET_ACK)
    assert panel.ask(p.POLL).sealed  # that one command only
    reply = decode(raw_reply(panel, p.KEYSET, b"\1\x10" + DEFAULT_KEY))
    assert (reply.code, reply.block) == (p.ACK, b"")
    assert device.key == DEFAULT_KEY


def test_a_downgraded_reader_denies_the_secure_channel() -> None:
    device, panel = in_clear()
    device.fault(OsdpFault.NO_SECURE_CHANNEL)
    data = panel.ask(p.CAP, b"\0").data
    assert (9, 0, 0) in [tuple(data[at : at + 3]) for at in range(0, len(data), 3)]
    assert panel.refused(p.CHLNG, p.NONCE, b"\3\x11\1") == 5


def test_a_reader_may_promise_the_secure_channel_and_refuse_it() -> None:
    device, panel = in_clear()
    device.fault(OsdpFault.NAK_CHALLENGE, times=1)
    data = panel.ask(p.CAP, b"\0").data
    assert (9, 1, 0) in [tuple(data[at : at + 3]) for at in range(0, len(data), 3)]
    assert panel.refused(p.CHLNG, p.NONCE, b"\3\x11\1") == 5
    panel.open_session()  # the fault is used up


def test_an_answer_with_the_default_key_is_complete_so_that_only_the_panel_can_refuse_it() -> None:
    device, panel = in_clear()
    device.fault(OsdpFault.SCBK_D_ANSWER)
    with pytest.raises(PanelError, match="another key"):
        panel.open_session()
    panel.restart()
    panel.ask(p.POLL)
    reply = panel.ask(p.CHLNG, p.NONCE, b"\3\x11\1")
    cryptogram = panel.believe_challenge(reply, DEFAULT_KEY, 0)  # a careless panel
    panel.believe_rmac(panel.ask(p.SCRYPT, cryptogram, b"\3\x13\0"), cryptogram)
    assert panel.ask(p.POLL).sealed
    assert device.secure_with_default_key


@pytest.mark.parametrize("status", [None, 0])
def test_the_status_of_rmac_i_is_wrong_and_nothing_else(status: int | None) -> None:
    device, panel = in_clear()
    device.fault(OsdpFault.BAD_RMAC_STATUS, times=2, amount=status)
    with pytest.raises(PanelError, match="RMAC_I status"):
        panel.open_session()
    panel.restart()
    panel.ask(p.POLL)
    cryptogram = panel.believe_challenge(panel.ask(p.CHLNG, p.NONCE, b"\3\x11\1"), KEY, 1)
    reply = panel.ask(p.SCRYPT, cryptogram, b"\3\x13\1")
    assert reply.block == bytes((3, 0x14, 255 if status is None else status))
    mac = p.cbc(panel.mac2, bytes(16), p.cbc(panel.mac1, bytes(16), cryptogram))
    assert reply.data == mac


def test_a_lost_key_leaves_only_the_default_one() -> None:
    device, panel = in_session()
    device.fault(OsdpFault.KEY_LOST)
    assert not device.secure
    panel.now_s += 1
    with pytest.raises(PanelError, match="refused"):
        panel.open_session()
    panel.open_session(DEFAULT_KEY, 0)
    assert device.secure_with_default_key


def test_a_device_with_a_wrong_key_shows_a_wrong_cryptogram() -> None:
    device, panel = in_session()
    device.fault(OsdpFault.WRONG_KEY)
    panel.now_s += 1
    with pytest.raises(PanelError, match="cryptogram"):
        panel.open_session()


# -------------------------------------------------------------------------- the man in the middle


def test_a_wrong_sequence_is_the_next_one_with_a_right_check() -> None:
    device, panel = in_clear()
    device.fault(OsdpFault.WRONG_SEQUENCE, times=1)
    raw = raw_reply(panel)
    assert decode(raw).sequence == 2
    with pytest.raises(PanelError, match="sequence"):
        panel.read(raw)
    assert panel.again(panel.last).sequence == 1  # the honest one, from the cache


def test_a_card_in_clear_text_is_injected_into_a_session_only() -> None:
    device, panel = in_session()
    device.fault(OsdpFault.CLEAR_INJECTION, times=1)
    assert panel.ask(p.LSTAT).sealed  # no POLL
    raw = raw_reply(panel)
    forged = decode(raw)
    assert (forged.code, forged.block, forged.data[2:4]) == (p.RAW, b"", b"\x1a\0")
    with pytest.raises(PanelError, match="clear text"):
        panel.read(raw)
    clear, other = in_clear()
    clear.fault(OsdpFault.CLEAR_INJECTION)
    assert other.ask(p.POLL).code == p.ACK


def test_a_replayed_card_has_the_right_number_and_a_stale_mac() -> None:
    device, panel = in_session()
    device.present_card(26, 99)
    recorded = raw_reply(panel)
    sequence = panel.read(recorded).sequence
    device.fault(OsdpFault.REPLAY, times=1)
    while panel.sequence != sequence:
        assert panel.ask(p.POLL).code == p.ACK
    raw = raw_reply(panel)
    assert raw == recorded
    with pytest.raises(PanelError, match="MAC"):
        panel.read(raw)


def test_without_a_card_any_reply_of_that_number_is_replayed() -> None:
    device, panel = in_session()
    replies = {panel.sequence: raw_reply(panel)}
    panel.read(replies[panel.sequence])
    device.fault(OsdpFault.REPLAY, times=1)
    while panel.sequence not in replies:
        assert panel.ask(p.POLL).code == p.ACK
    assert raw_reply(panel) in replies.values()


def test_a_replay_waits_for_a_session() -> None:
    device, panel = in_clear()
    device.present_card(26, 99)
    assert panel.ask(p.POLL).code == p.RAW
    device.fault(OsdpFault.REPLAY)
    assert [panel.ask(p.POLL).code for _ in range(4)] == [p.ACK] * 4


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_has_a_right_check_and_a_wrong_mac(seed: int) -> None:
    device, panel = in_session(seed)
    device.fault(OsdpFault.BIT_FLIP, times=1)
    device.present_card(32, 0x12345678)
    raw = raw_reply(panel)
    honest = device.handle(panel.last, panel.now_s)
    assert honest is not None
    pairs = zip(raw[:-2], honest[:-2], strict=True)
    assert sum((a ^ b).bit_count() for a, b in pairs) == 1
    with pytest.raises(PanelError, match="MAC"):
        panel.read(raw)
    assert panel.read(honest).code == p.RAW


def test_in_clear_nobody_notices_a_flipped_bit() -> None:
    device, panel = in_clear()
    device.fault(OsdpFault.BIT_FLIP, times=1)
    reply = panel.ask(p.LSTAT)
    assert (reply.code, reply.data) != (p.LSTATR, b"\0\0")


# ------------------------------------------------------------------------------- the counting


def test_each_fault_has_one_place() -> None:
    at_once = {OsdpFault.KEY_LOST, OsdpFault.WRONG_KEY, OsdpFault.UNPLUG}
    assert set(COUNTED) == set(OsdpFault) - at_once
    assert set(ON_WIRE) < set(COUNTED)


def test_the_adapter_is_no_device() -> None:
    with pytest.raises(ControlError, match="no fault"):
        SimulatedOsdpDevice(0).fault(OsdpFault.UNPLUG)


def test_faults_end_after_their_times() -> None:
    device, panel = in_session()
    device.fault(OsdpFault.NAK, times=2)
    assert [panel.ask(p.POLL).code for _ in range(3)] == [p.NAK, p.NAK, p.ACK]
    assert device.faults.status() == {}


# ------------------------------------------------------------------------------ on the wire


@given(st.binary(min_size=1, max_size=50), st.integers(0, 99))
def test_one_bit_flips_within_the_limits(data: bytes, seed: int) -> None:
    flipped = flip_bit(data, 0, len(data), random.Random(seed))
    assert sum((a ^ b).bit_count() for a, b in zip(data, flipped, strict=True)) == 1
    assert flip_bit(data, 0, len(data), random.Random(seed)) == flipped


def test_losses_are_as_many_as_ordered_and_repeat() -> None:
    data = bytes(range(256)) * 40
    left = lose_bytes(data, 0.1, random.Random(1))
    assert 0.88 < len(left) / len(data) < 0.92
    assert lose_bytes(data, 0.1, random.Random(1)) == left
    assert lose_bytes(data, 0.0, random.Random(1)) == data
    assert lose_bytes(data, 1.0, random.Random(1)) == b""


def test_where_two_speak_a_0_wins() -> None:
    assert collide(b"\xf0\xff\x0f", b"\x3c\x3c\x3c", 1) == b"\xf0\x3c\x0c\x3c"
    assert collide(b"\xff\xff\xff\xff", b"\x01", 2) == b"\xff\xff\x01\xff"
