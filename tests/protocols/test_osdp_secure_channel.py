"""The secure channel against SIA annex E and against a reckoning with single AES blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.protocols.osdp.secure_channel import (
    DEFAULT_KEY,
    SecureChannel,
    SessionKeys,
    decrypt,
    derive_keys,
    device_cryptogram,
    encrypt,
    full_mac,
    initial_mac,
    pad,
    panel_cryptogram,
)
from tests.protocols.osdp_pd import (
    Keys,
    inverted,
    reckon_decrypted,
    reckon_encrypted,
    reckon_keys,
    reckon_mac,
)

A, B = bytes.fromhex("B0B1B2B3B4B5B6B7"), bytes.fromhex("A0A1A2A3A4A5A6A7")
ENC = bytes.fromhex("BF8DC2A8329ACB8C67C6D0CD9A451682")
MAC1 = bytes.fromhex("5E86C676603BDEE2D8BEAFE178637332")
MAC2 = bytes.fromhex("6FDA86E857777E81132035758239172E")
PANEL = bytes.fromhex("26D3356E07762D262801FC8E6665A891")
DEVICE = bytes.fromhex("FDE5D2F428EC16312471EA3C02BD7796")
INITIAL = bytes.fromhex("B2A30057EB98BA2229EC1F875662B524")
KEYS = SessionKeys(ENC, MAC1, MAC2)
RECKONED = Keys(ENC, MAC1, MAC2)
BLOCKS = st.binary(min_size=16, max_size=16)


def test_the_standards_example() -> None:
    assert derive_keys(DEFAULT_KEY, A) == KEYS
    assert device_cryptogram(KEYS, A, B) == DEVICE
    assert panel_cryptogram(KEYS, A, B) == PANEL
    assert initial_mac(KEYS, PANEL) == INITIAL


@given(BLOCKS, st.binary(min_size=8, max_size=8))
def test_keys_are_those_of_an_independent_reckoning(base: bytes, random_a: bytes) -> None:
    keys, reckoned = derive_keys(base, random_a), reckon_keys(base, random_a)
    assert (keys.enc, keys.mac1, keys.mac2) == (reckoned.enc, reckoned.mac1, reckoned.mac2)


@given(BLOCKS, st.binary(min_size=1, max_size=100))
def test_macs_are_those_of_an_independent_reckoning(begin: bytes, covered: bytes) -> None:
    assert full_mac(KEYS, begin, covered) == reckon_mac(RECKONED, begin, covered)


@given(BLOCKS, st.binary(max_size=100))
def test_encryption_is_that_of_an_independent_reckoning(mac: bytes, data: bytes) -> None:
    sealed = encrypt(KEYS, mac, data)
    assert sealed == reckon_encrypted(RECKONED, mac, data)
    assert reckon_decrypted(RECKONED, mac, sealed) == data
    assert decrypt(KEYS, mac, sealed) == data


@pytest.mark.parametrize(
    ("length", "padding"), [(0, 16), (1, 15), (15, 1), (16, 16), (17, 15), (32, 16)]
)
def test_encryption_pads_always(length: int, padding: int) -> None:
    padded = pad(bytes(length))
    assert padded == bytes(length) + b"\x80" + bytes(padding - 1)
    assert len(encrypt(KEYS, INITIAL, bytes(length))) == length + padding


def test_a_mac_pads_only_what_is_unaligned() -> None:
    aligned = bytes(range(16))
    assert full_mac(KEYS, INITIAL, aligned[:15]) == full_mac(KEYS, INITIAL, aligned[:15] + b"\x80")
    assert full_mac(KEYS, INITIAL, aligned) != full_mac(KEYS, INITIAL, pad(aligned))


@pytest.mark.parametrize("plain", [bytes(16), b"\x80" + bytes(16) + bytes(15), b"\x01" * 16])
def test_padding_that_is_none_is_refused(plain: bytes) -> None:
    # One block, or two whose padding began a block too early, encrypted without pad().
    before, sealed = inverted(INITIAL), b""
    for at in range(0, len(plain), 16):
        block = bytes(a ^ b for a, b in zip(before, plain[at : at + 16], strict=True))
        before = device_cryptogram(KEYS, block[:8], block[8:])
        sealed += before
    assert decrypt(KEYS, INITIAL, sealed) is None


@pytest.mark.parametrize("length", [0, 1, 15, 17])
def test_data_of_no_whole_blocks_is_refused(length: int) -> None:
    assert decrypt(KEYS, INITIAL, bytes(length)) is None


def test_two_sides_talk_both_ways() -> None:
    panel, device = SecureChannel(DEFAULT_KEY, A), SecureChannel(DEFAULT_KEY, A)
    assert panel.check_device(B, DEVICE)
    assert device.check_device(B, DEVICE)
    assert panel.cryptogram == PANEL
    assert panel.check_initial_mac(INITIAL)
    replayed = []
    for text in (b"one", b"two, and sixteen", b""):
        for sender, receiver in ((panel, device), (device, panel)):
            sealed = sender.seal(text)
            mac = sender.sign(sealed)
            assert receiver.verify(sealed, mac)
            assert receiver.open(sealed) == text
            replayed.append((sealed, mac))
    panel.sign(b"next")
    assert not any(panel.verify(sealed, mac) for sealed, mac in replayed)


def test_wrong_proofs_are_seen() -> None:
    channel = SecureChannel(DEFAULT_KEY, A)
    assert not channel.check_device(B, PANEL)
    assert channel.check_device(B, DEVICE)
    assert not channel.check_initial_mac(inverted(INITIAL))
    assert not channel.check_initial_mac(INITIAL[:15])
    mac = channel.sign(b"a command")
    assert not channel.verify(b"a command", mac)
    assert not channel.verify(b"a reply", b"")


def test_keys_are_in_no_repr() -> None:
    for secret in (ENC, MAC1, MAC2):
        assert repr(secret) not in repr(KEYS)
    assert repr(KEYS) == "SessionKeys()"
