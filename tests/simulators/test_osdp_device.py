"""A simulated OSDP reader and board, asked directly: opening, sequence, cards, lights, states."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from simulators.osdp_device import (
    BOARD,
    MAX_EVENTS,
    OFFLINE_S,
    READER,
    OsdpModel,
    SimulatedOsdpDevice,
)
from tests.simulators import osdp_panel as p
from tests.simulators.osdp_panel import KEY, DirectPanel, PanelError

DEFAULT_KEY = bytes.fromhex("303132333435363738393A3B3C3D3E3F")
NEW_KEY = bytes.fromhex("A0A1A2A3A4A5A6A7A8A9AAABACADAEAF")
CLEAR, SEALED = "in clear", "sealed"


def reader(key: bytes | None = KEY, **changes: object) -> SimulatedOsdpDevice:
    return SimulatedOsdpDevice(0, dataclasses.replace(READER, **changes), key=key)  # type: ignore[arg-type]  # fields by name


def online(device: SimulatedOsdpDevice, how: str = CLEAR) -> DirectPanel:
    panel = DirectPanel(device)
    if how == SEALED:
        panel.open_session()
    else:
        assert panel.ask(p.POLL).code == p.ACK
    return panel


def led(
    temporary: tuple[int, int, int, int, int, int] | None = None,
    permanent: tuple[int, int, int, int] | None = None,
) -> bytes:
    """on, off, on colour, off colour, and of the temporary one its time in tenths (u16)."""
    first = bytes((2, *temporary)) if temporary else bytes(7)
    second = bytes((1, *permanent)) if permanent else bytes(5)
    return b"\0\0" + first + second


GREEN_FOR_3_S = (1, 0, 2, 0, 30, 0)
ALWAYS_BLUE = (1, 0, 4, 0)


# --------------------------------------------------------------------------- opening, sequence


@pytest.mark.parametrize("crc", [True, False])
def test_a_link_opens_in_clear(crc: bool) -> None:
    device = reader()
    panel = DirectPanel(device, crc=crc)
    assert [panel.ask(p.POLL).sequence for _ in range(6)] == [0, 1, 2, 3, 1, 2]
    assert device.online
    assert not device.secure


def test_who_it_is_and_what_it_can() -> None:
    panel = online(reader())
    identity = panel.ask(p.ID, b"\0")
    assert (identity.code, identity.data) == (
        p.PDID,
        b"SIM\x01\x01" + (0x1000).to_bytes(4, "little") + b"\1\0\0",
    )
    reply = panel.ask(p.CAP, b"\0")
    entries = {reply.data[at]: tuple(reply.data[at + 1 : at + 3]) for at in range(0, 33, 3)}
    assert reply.code == p.PDCAP
    assert (entries[8], entries[9], entries[4]) == ((1, 0), (1, 0), (4, 1))
    assert entries[10] == (0xA0, 0x05)  # 1440


def test_before_a_panel_begins_only_sequence_0_is_heard() -> None:
    panel = DirectPanel(reader())
    panel.sequence = 2
    assert panel.refused(p.POLL) == 4
    assert not panel.device.online


def test_a_number_left_out_or_used_twice_for_another_command_is_refused() -> None:
    panel = online(reader())
    panel.sequence = 2
    assert panel.refused(p.POLL) == 4
    panel.sequence = 0
    assert panel.ask(p.POLL).code == p.ACK
    assert panel.ask(p.POLL).code == p.ACK
    panel.sequence = 1
    assert panel.refused(p.LSTAT) == 4


@pytest.mark.parametrize("how", [CLEAR, SEALED])
def test_a_retry_gets_the_very_same_reply_and_no_second_card(how: str) -> None:
    device = reader()
    panel = online(device, how)
    device.present_card(26, 0x2345678)
    raw = panel.build(p.POLL)
    first, second = device.handle(raw, 1000.0), device.handle(raw, 1000.1)
    assert first == second
    assert first is not None
    assert panel.read(first).code == p.RAW
    assert (device.link.retries, device.delivered) == (1, 1)
    assert panel.ask(p.POLL).code == p.ACK


@pytest.mark.parametrize(("key", "number"), [(KEY, 1), (None, 0)])
def test_a_session_opens_and_carries_both_ways(key: bytes | None, number: int) -> None:
    device = reader(key)
    panel = DirectPanel(device)
    panel.open_session(key or DEFAULT_KEY, number)
    for round_ in range(8):  # the MACs chain
        assert panel.ask(p.POLL).sealed
        assert panel.ask(p.LSTAT).data == b"\0\0"
        assert panel.ask(p.TEXT, b"\0\2\0\1\1" + bytes([round_]) + b"x" * round_).code == p.ACK
        assert device.text == "x" * round_
    assert device.secure
    assert device.secure_with_default_key == (number == 0)


def test_the_cryptogram_is_the_one_that_the_rules_give() -> None:
    """Known values: of this key, this nonce, and the nonce that the seed gives."""
    panel = online(reader())
    reply = panel.ask(p.CHLNG, p.NONCE, b"\3\x11\1")
    s_enc = p.cbc(KEY, bytes(16), b"\x01\x82" + p.NONCE[:6] + bytes(8))
    assert reply.data[16:] == p.cbc(s_enc, bytes(16), p.NONCE + reply.data[8:16])
    assert reply.data[:8] == b"SIM\x01\x01\x00\x10\x00"
    assert len(reply.data) == 32


def test_nonces_differ_and_repeat_only_with_the_seed() -> None:
    def challenge(seed: int) -> list[bytes]:
        panel = online(SimulatedOsdpDevice(0, key=KEY, seed=seed))
        return [panel.ask(p.CHLNG, p.NONCE, b"\3\x11\1").data[8:16] for _ in range(3)]

    assert len(set(challenge(1))) == 3
    assert challenge(1) == challenge(1)
    assert challenge(1) != challenge(2)


def test_a_device_with_a_key_has_left_the_default_one_behind() -> None:
    panel = online(reader())
    assert panel.refused(p.CHLNG, p.NONCE, b"\3\x11\0") == 6
    assert not panel.device.secure


def test_a_panel_with_another_key_gets_no_session() -> None:
    panel = online(reader())
    panel.ask(p.CHLNG, p.NONCE, b"\3\x11\1")
    assert panel.refused(p.SCRYPT, bytes(16), b"\3\x13\1") == 6
    assert panel.device.link.session is None
    assert panel.device.link.security_errors == 1


@pytest.mark.parametrize(
    ("code", "data", "block", "nak"),
    [
        (p.CHLNG, p.NONCE, b"", 5),
        (p.CHLNG, p.NONCE, b"\3\x13\1", 5),
        (p.CHLNG, p.NONCE[:7], b"\3\x11\1", 2),
        (p.CHLNG, p.NONCE, b"\3\x11\7", 6),
        (p.SCRYPT, bytes(16), b"\3\x13\1", 5),  # with no challenge before it
        (p.POLL, b"", b"\3\x11\1", 5),
        (p.POLL, b"", b"\2\x15", 6),  # sealed, with no session
        (0x99, b"", b"", 3),
        (p.POLL, b"x", b"", 2),
        (p.LED, b"\0" * 13, b"", 2),
        (p.LED, b"\0\1" + bytes(12), b"", 9),
        (p.LED, led(permanent=(1, 0, 8, 0)), b"", 9),
        (p.BUZ, b"\0\3\1\1\1", b"", 9),
        (p.TEXT, b"\0\1\0\2\1\1x", b"", 9),
        (p.TEXT, b"\0\1\0\1\1\2x", b"", 9),
        (p.ISTAT, b"", b"", 3),  # a reader without inputs
        (p.OUT, b"\0\2\0\0", b"", 3),
        (p.KEYSET, b"\1\x10" + NEW_KEY, b"", 6),
    ],
)
def test_what_is_wrong_gets_its_nak_and_the_link_goes_on(
    code: int, data: bytes, block: bytes, nak: int
) -> None:
    panel = online(reader())
    raw = panel.build(code, data, block)
    if block == b"\2\x15":  # room for a MAC
        raw = raw[:2] + b"\x0e" + raw[3:-2] + bytes(4)
        raw += p.check(raw)
    reply = panel.again(raw)
    assert (reply.code, reply.data) == (p.NAK, bytes([nak]))
    assert panel.ask(p.POLL).code == p.ACK


def test_a_wrong_check_gets_nak_1_or_silence_and_changes_nothing() -> None:
    panel = online(reader())
    raw = bytearray(panel.build(p.POLL))
    raw[-1] ^= 1
    reply = panel.device.handle(bytes(raw), 1000.0)
    assert reply is not None
    assert reply[5:7] == b"\x41\x01"
    assert panel.ask(p.POLL).code == p.ACK
    silent = online(reader(naks_bad_check=False))
    assert silent.device.handle(bytes(raw), 1000.0) is None


def test_a_frame_for_another_address_is_not_heard_but_a_broadcast_is() -> None:
    device = reader()
    assert device.handle(p.Panel(1).build(p.POLL), 1.0) is None
    panel = p.Panel(0x7F)
    raw = device.handle(panel.build(p.POLL), 1.0)
    assert raw is not None
    assert panel.read(raw).code == p.ACK


# --------------------------------------------------------------------------- inside a session


def test_a_spoilt_mac_ends_the_session() -> None:
    panel = online(reader(), SEALED)
    raw = bytearray(panel.build(p.POLL))
    raw[-3] ^= 1
    raw[-2:] = p.check(bytes(raw[:-2]))
    with pytest.raises(PanelError, match="clear text"):
        panel.again(bytes(raw))
    assert not panel.device.secure


def test_clear_text_within_a_session_is_refused() -> None:
    panel = online(reader(), SEALED)
    panel.secure = False
    assert panel.refused(p.POLL) == 6


def test_sequence_0_ends_the_session() -> None:
    panel = online(reader(), SEALED)
    panel.restart()
    assert panel.ask(p.POLL).code == p.ACK
    assert not panel.device.secure


@pytest.mark.parametrize(
    ("scs", "code", "data"), [(0x15, p.TEXT, b"\0\1\0\1\1\1x"), (0x17, p.POLL, b"")]
)
def test_a_security_block_that_does_not_suit_the_data_is_refused(
    scs: int, code: int, data: bytes
) -> None:
    """SCS_15 with data would show it to all on the wire."""
    panel = online(reader(), SEALED)
    rest = bytes([4 | 8 | panel.sequence, 2, scs, code]) + data
    head = bytes([0x53, 0]) + (len(rest) + 10).to_bytes(2, "little") + rest
    body = head + panel.mac(head, panel.reply_mac)[:4]
    with pytest.raises(PanelError, match="clear text"):
        panel.again(body + p.check(body))
    assert panel.device.text == ""


def test_a_new_key_is_kept_and_the_next_session_needs_it() -> None:
    device = reader(None)
    kept = []
    device.key_changed = lambda: kept.append(device.key)
    panel = DirectPanel(device)
    panel.open_session(DEFAULT_KEY, 0)
    assert panel.ask(p.KEYSET, b"\1\x10" + NEW_KEY).code == p.ACK
    assert panel.ask(p.POLL).sealed  # the session goes on
    assert (device.keys_set, kept) == (1, [NEW_KEY])
    with pytest.raises(PanelError, match="refused"):
        panel.open_session(DEFAULT_KEY, 0)
    panel.open_session(NEW_KEY)
    assert panel.refused(p.KEYSET, b"\2\x10" + KEY) == 9
    assert panel.refused(p.KEYSET, b"\1\x10" + KEY[1:]) == 2
    assert device.key == NEW_KEY


def test_where_security_is_compulsory_only_the_handshake_is_in_clear() -> None:
    panel = DirectPanel(reader(secure_only=True))
    assert panel.refused(p.POLL) == 6
    assert panel.ask(p.ID, b"\0").code == p.PDID
    panel.restart()
    panel.refused(p.POLL)
    cryptogram = panel.believe_challenge(panel.ask(p.CHLNG, p.NONCE, b"\3\x11\1"), KEY, 1)
    panel.believe_rmac(panel.ask(p.SCRYPT, cryptogram, b"\3\x13\1"), cryptogram)
    assert panel.ask(p.POLL).sealed


# ------------------------------------------------------------------------------ cards and keys


@pytest.mark.parametrize("how", [CLEAR, SEALED])
def test_a_card_and_keys_come_with_the_next_polls(how: str) -> None:
    device = reader()
    panel = online(device, how)
    assert device.present_card(26, 0x2AAAAAA)
    assert device.press_keys("1*#")
    assert device.press_keys("90", together=True)
    card = panel.ask(p.POLL)
    # 26 bits, left-aligned in four bytes: 6 bits to the left
    assert (card.code, card.data) == (
        p.RAW,
        b"\0\0" + b"\x1a\0" + (0x2AAAAAA << 6).to_bytes(4, "big"),
    )
    replies = [panel.ask(p.POLL) for _ in range(5)]
    assert [reply.code for reply in replies] == [p.KEYPAD] * 4 + [p.ACK]
    assert [reply.data for reply in replies[:4]] == [
        b"\0\x011",
        b"\0\1\x7f",
        b"\0\1\x0d",
        b"\0\x0290",
    ]


def test_a_card_of_whole_bytes_has_no_bits_to_fill() -> None:
    device = reader()
    panel = online(device)
    device.present_card(40, 0x100086F444)
    assert panel.ask(p.POLL).data == bytes.fromhex("0000 2800 100086F444")


def test_a_reader_that_is_offline_or_full_loses_the_card() -> None:
    device = reader()
    assert not device.present_card(26, 1)
    panel = online(device)
    assert panel.ask(p.POLL).code == p.ACK
    assert all(device.present_card(26, number) for number in range(MAX_EVENTS))
    assert not device.present_card(26, 1)
    assert device.events_lost == 1


@pytest.mark.parametrize(("bits", "value"), [(26, 1 << 26), (0, 0), (26, -1), (2000, 1)])
def test_a_card_that_can_not_be_is_refused_without_its_number(bits: int, value: int) -> None:
    with pytest.raises(ValueError, match="a card has") as caught:
        reader().present_card(bits, value)
    assert "67108864" not in str(caught.value)


def test_what_a_person_does_is_in_no_repr() -> None:
    device = reader()
    online(device)
    device.present_card(32, 0x41424344)
    device.press_keys("7777", together=True)
    seen = repr(device._events) + repr(device.status())
    assert "ABCD" not in seen
    assert "7777" not in seen
    with pytest.raises(ValueError, match="keys must be") as caught:
        device.press_keys("77A7")
    assert "77A7" not in str(caught.value)


# ------------------------------------------------------------------------ lights, sound, text


async def test_a_temporary_light_falls_back_to_the_permanent_one_after_its_time() -> None:
    device = reader()
    panel = online(device)
    assert device.lights[0].colour == "red"  # at rest
    assert panel.ask(p.LED, led(GREEN_FOR_3_S, ALWAYS_BLUE)).code == p.ACK
    await device.wait_for_light("green")
    device.tick(panel.now_s + 2.99)
    assert device.lights[0].colour == "green"
    waiter = asyncio.create_task(device.wait_for_light("blue"))
    await asyncio.sleep(0)
    assert not waiter.done()
    device.tick(panel.now_s + 3.0)
    await waiter
    assert list(device.lights[0].history) == ["green", "blue"]
    assert device.lights[0].temporary is None


def test_a_temporary_light_ends_when_told() -> None:
    device = reader()
    panel = online(device)
    panel.ask(p.LED, led(GREEN_FOR_3_S, ALWAYS_BLUE))
    panel.ask(p.LED, b"\0\0\1" + bytes(11))
    assert device.lights[0].colour == "blue"


def test_a_blinking_light_says_so() -> None:
    device = reader()
    panel = online(device)
    panel.ask(p.LED, led(permanent=(5, 5, 1, 3)))
    assert device.lights[0].status() == {"colour": "red", "blinks": True, "temporary": False}
    pattern = device.lights[0].pattern
    assert (pattern.on_s, pattern.off_s, pattern.off_colour) == (0.5, 0.5, "amber")
    panel.ask(p.LED, led(permanent=(0, 5, 1, 3)))
    assert device.lights[0].colour == "amber"


def sounds(device: SimulatedOsdpDevice) -> bool:
    return device.buzzer.now is not None


async def test_the_buzzer_sounds_for_its_time() -> None:
    device = reader()
    panel = online(device)
    panel.ask(p.BUZ, b"\0\2\1\1\3")
    buzz = await device.wait_for_buzz()
    assert (buzz.count, buzz.on_s) == (3, 0.1)
    assert buzz.lasts_s == pytest.approx(0.6)
    assert sounds(device)
    device.tick(panel.now_s + 0.61)
    assert not sounds(device)
    panel.ask(p.BUZ, b"\0\2\1\1\0")  # until told
    device.tick(panel.now_s + OFFLINE_S)
    assert sounds(device)


def test_silence_ordered_is_silence() -> None:
    device = reader()
    panel = online(device)
    panel.ask(p.BUZ, b"\0\2\1\1\0")
    panel.ask(p.BUZ, b"\0\1\0\0\0")
    assert device.buzzer.now is None
    assert device.buzzer.orders == 2


async def test_a_temporary_text_hides_the_permanent_one() -> None:
    device = reader(rows=2)
    panel = online(device)
    panel.ask(p.TEXT, b"\0\1\0\1\1\5hello")
    panel.ask(p.TEXT, b"\0\3\2\2\3\4open")
    await device.wait_for_text("hello\n  open")
    device.tick(panel.now_s + 2.0)
    assert device.text == "hello"


# ------------------------------------------------------------------------- inputs and outputs


def board() -> tuple[SimulatedOsdpDevice, DirectPanel]:
    device = SimulatedOsdpDevice(3, BOARD, key=KEY)
    panel = DirectPanel(device)
    panel.open_session()
    return device, panel


async def test_outputs_do_as_ordered_and_a_pulse_ends_by_itself() -> None:
    device, panel = board()
    assert panel.ask(p.OUT, b"\0\2\0\0" + b"\3\5\x05\0").code == p.ACK
    await device.wait_for_output(3, energised=True)
    assert panel.ask(p.OSTAT).data == b"\1\0\0\1"
    device.tick(panel.now_s + 0.49)
    assert device.outputs[3].energised
    device.tick(panel.now_s + 0.5)
    assert [output.energised for output in device.outputs] == [True, False, False, False]
    panel.ask(p.OUT, b"\0\1\0\0")
    assert (panel.ask(p.OSTAT).data, device.outputs[3].times_on) == (bytes(4), 1)


def energised(device: SimulatedOsdpDevice) -> list[bool]:
    return [output.energised for output in device.outputs]


def test_permanent_states_let_a_pulse_end_or_cut_it_off() -> None:
    device, panel = board()
    panel.ask(p.OUT, b"\0\5\x0a\0" + b"\0\3\0\0")
    assert energised(device)[0] is True
    device.tick(panel.now_s + 1.0)
    assert energised(device)[0] is False
    panel.ask(p.OUT, b"\0\5\x0a\0" + b"\0\1\0\0")
    assert energised(device)[0] is False
    panel.ask(p.OUT, b"\1\2\0\0" + b"\1\6\x0a\0")
    assert energised(device)[1] is False
    device.tick(panel.now_s + 1.0)
    assert energised(device)[1] is True


def test_one_wrong_record_moves_no_output() -> None:
    device, panel = board()
    assert panel.refused(p.OUT, b"\0\2\0\0" + b"\4\2\0\0") == 9
    assert panel.refused(p.OUT, b"\0\2\0\0" + b"\1\7\0\0") == 9
    assert not any(output.energised for output in device.outputs)


def test_changes_are_reported_once_each() -> None:
    device, panel = board()
    device.set_input(2, active=True)
    device.set_input(2, active=True)
    device.set_input(2, active=False)
    device.set_tamper(True)
    device.set_power_failed(True)
    replies = [panel.ask(p.POLL) for _ in range(5)]
    assert [(reply.code, reply.data) for reply in replies] == [
        (p.ISTATR, bytes((0, 0, 1, 0, 0, 0, 0, 0))),
        (p.ISTATR, bytes(8)),
        (p.LSTATR, b"\1\0"),
        (p.LSTATR, b"\1\1"),
        (p.ACK, b""),
    ]
    assert panel.ask(p.LSTAT).data == b"\1\1"
    with pytest.raises(IndexError, match="no input 8"):
        device.set_input(8, active=True)


def test_status_of_the_readers() -> None:
    assert online(reader()).ask(p.RSTAT).data == b"\0"
    _, panel = board()
    assert panel.refused(p.RSTAT) == 3
    assert panel.refused(p.LED, led(permanent=ALWAYS_BLUE)) == 3


def test_a_board_has_no_place_for_a_card() -> None:
    device, _ = board()
    with pytest.raises(ValueError, match="address 3 has no reader"):
        device.present_card(26, 1)


# ------------------------------------------------------------------------ settings, power, time


def test_comset_is_answered_from_the_old_address_and_then_holds() -> None:
    device = reader()
    panel = online(device)
    reply = panel.ask(p.COMSET, b"\5" + (38400).to_bytes(4, "little"))
    assert (reply.code, reply.data) == (p.COM, b"\5" + (38400).to_bytes(4, "little"))
    assert (device.address, device.baud) == (5, 38400)
    assert device.handle(panel.build(p.POLL), 1000.0) is None
    assert DirectPanel(device).ask(p.POLL).code == p.ACK


def test_comset_to_what_it_can_not_be_changes_nothing() -> None:
    device = reader()
    device.baud = 9600
    panel = online(device)
    reply = panel.ask(p.COMSET, b"\5" + (1234).to_bytes(4, "little"))
    assert reply.data == b"\0" + (9600).to_bytes(4, "little")
    assert panel.ask(p.POLL).code == p.ACK


def test_manufacturer_and_file_are_answered_plainly() -> None:
    panel = online(reader(), SEALED)
    reply = panel.ask(0x80, b"ABCxyz")
    assert (reply.code, reply.data) == (p.MFGREP, b"ABC")
    first = b"\1" + (6).to_bytes(4, "little") + bytes(4) + b"\4\0" + b"abcd"
    last = b"\1" + (6).to_bytes(4, "little") + b"\4\0\0\0" + b"\2\0" + b"ef"
    replies = [panel.ask(0x7C, part) for part in (first, last)]
    assert [reply.code for reply in replies] == [p.FTSTAT, p.FTSTAT]
    assert [reply.data[3] for reply in replies] == [0, 1]
    assert panel.device.file_bytes == 6


async def test_a_panel_that_says_nothing_for_8_s_is_gone() -> None:
    device = reader()
    panel = online(device, SEALED)
    panel.ask(p.LED, led(permanent=ALWAYS_BLUE))
    panel.ask(p.BUZ, b"\0\2\1\1\0")
    device.press_keys("1")
    device.tick(panel.now_s + OFFLINE_S)
    assert (device.online, device.secure) == (True, True)
    device.tick(panel.now_s + OFFLINE_S + 0.01)
    await device.wait_online(online=False)
    assert (device.online, device.secure) == (False, False)
    assert (device.lights[0].colour, device.buzzer.now) == ("red", None)
    panel.secure = False
    assert panel.refused(p.POLL) == 4  # it wants a beginning
    panel.open_session()
    assert panel.ask(p.POLL).code == p.ACK  # the key is forgotten


def test_a_power_cycle_forgets_all_but_key_and_address_and_takes_its_time() -> None:
    device, panel = board()
    panel.ask(p.OUT, b"\0\2\0\0")
    device.power_cycle()
    assert not device.secure
    assert not device.outputs[0].energised
    panel.restart()
    assert device.handle(panel.build(p.POLL), panel.now_s + 0.29) is None
    panel.now_s += 0.31
    panel.open_session()
    assert device.secure


@pytest.mark.parametrize(("address", "key"), [(127, None), (-1, None), (0, b"short")])
def test_a_device_that_can_not_be_is_refused(address: int, key: bytes | None) -> None:
    with pytest.raises(ValueError, match="address"):
        SimulatedOsdpDevice(address, OsdpModel("reader"), key=key)


def test_a_mark_comes_first_where_the_model_has_one() -> None:
    device = reader(mark=True)
    raw = device.handle(p.Panel().build(p.POLL), 1.0)
    assert raw is not None
    assert raw[0] == 0xFF
    assert p.Panel().read(raw[1:]).code == p.ACK
