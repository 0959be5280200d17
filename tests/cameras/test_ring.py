"""The ring of packets: what it keeps, and what it cuts out for a moment."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewayd.cameras.ring import NoPicture, PacketRing
from gatewayd.domain.model import NS_PER_S
from gatewayd.domain.ports import StreamInfo, VideoPacket

INFO = StreamInfo("h264", 320, 180, b"sets")


def packet(at_s: float, *, key: bool = False, size: int = 10) -> VideoPacket:
    return VideoPacket(round(at_s * NS_PER_S), None, key, bytes(size))


def ring_of(*packets: VideoPacket, keep_s: float = 4, max_bytes: int = 1000) -> PacketRing:
    ring = PacketRing(keep_s, max_bytes)
    ring.opened(INFO)
    for one in packets:
        ring.packet(one)
    return ring


def ns(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def test_nothing_is_kept_before_the_first_keyframe() -> None:
    ring = ring_of(packet(1), packet(2), packet(3, key=True), packet(4))
    assert [p.arrival_ns for p in ring.packets()] == [ns(3), ns(4)]


def test_a_cut_runs_from_the_keyframe_to_the_newest_packet_at_the_moment() -> None:
    ring = ring_of(packet(1, key=True), packet(2), packet(3, key=True), packet(3.5), packet(4))
    assert [p.arrival_ns for p in ring.cut(ns(3.9)).packets] == [ns(3), ns(3.5)]
    assert [p.arrival_ns for p in ring.cut(ns(3.5)).packets] == [ns(3), ns(3.5)]
    assert [p.arrival_ns for p in ring.cut(ns(2.9)).packets] == [ns(1), ns(2)]
    assert ring.cut(ns(3)).info == INFO


def test_a_moment_before_the_first_connection_has_no_picture() -> None:
    with pytest.raises(NoPicture, match="has not been connected"):
        PacketRing(4).cut(ns(1))


def test_a_moment_before_the_first_keyframe_has_no_picture_and_says_so() -> None:
    ring = ring_of(packet(1), packet(2))
    with pytest.raises(NoPicture, match="no keyframe had come"):
        ring.cut(ns(2))
    ring.packet(packet(3, key=True))
    with pytest.raises(NoPicture, match="no keyframe had come"):
        ring.cut(ns(2.9))


def test_a_moment_long_after_the_last_packet_has_no_picture_and_tells_its_age() -> None:
    ring = ring_of(packet(1, key=True), packet(2))
    assert ring.cut(ns(4)).packets[-1].arrival_ns == ns(2)
    with pytest.raises(NoPicture, match="2001 ms old"):
        ring.cut(ns(4.001))


def test_a_moment_that_the_ring_no_longer_holds_is_told_apart() -> None:
    ring = ring_of(*(packet(t, key=True) for t in range(1, 9)), keep_s=2)
    with pytest.raises(NoPicture, match="ring_s"):
        ring.cut(ns(2))


def test_the_ring_keeps_its_seconds_and_one_group_more() -> None:
    ring = ring_of(*(packet(t / 2, key=t % 4 == 0) for t in range(41)), keep_s=3, max_bytes=10_000)
    first = ring.packets()[0]
    assert first.keyframe
    assert first.arrival_ns == ns(16)  # 20 s less 3 s falls into the group that began at 16 s


def test_the_oldest_group_goes_when_the_bytes_are_full() -> None:
    ring = ring_of(
        packet(1, key=True, size=400),
        packet(1.1, size=200),
        packet(2, key=True, size=400),
        packet(2.1, size=1),
    )
    assert [p.arrival_ns for p in ring.packets()] == [ns(2), ns(2.1)]
    assert ring.size_bytes == 401


def test_a_group_larger_than_the_ring_is_dropped_and_the_reason_told() -> None:
    ring = ring_of(packet(1, key=True, size=600), packet(1.1, size=600), packet(1.2))
    assert ring.packets() == ()
    with pytest.raises(NoPicture, match="larger than the ring's 1000 bytes"):
        ring.cut(ns(1.2))
    ring.packet(packet(3, key=True))
    assert len(ring.cut(ns(3)).packets) == 1


def test_a_new_connection_forgets_what_can_no_longer_be_decoded() -> None:
    ring = ring_of(packet(1, key=True))
    ring.opened(INFO)
    assert ring.size_bytes == 0
    with pytest.raises(NoPicture, match="since the camera connected"):
        ring.cut(ns(1))


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 400), st.integers(1, 2000)), max_size=60),
    st.integers(0, 60_000),
)
def test_whatever_comes_the_caps_hold_and_a_cut_starts_on_a_keyframe(
    stream: list[tuple[bool, int, int]], at_ms: int
) -> None:
    ring = PacketRing(keep_s=4, max_bytes=1000)
    ring.opened(INFO)
    now_ms = 0
    for key, size, gap_ms in stream:
        now_ms += gap_ms
        ring.packet(packet(now_ms / 1000, key=key, size=size))
        kept = ring.packets()
        assert ring.size_bytes == sum(len(p.data) for p in kept) <= 1000
        assert not kept or kept[0].keyframe
        second = [p for p in kept if p.keyframe][1:2]
        assert all(ns(now_ms / 1000) - p.arrival_ns < 4 * NS_PER_S for p in second)
    try:
        cut = ring.cut(at_ms * 1_000_000)
    except NoPicture:
        return
    assert [p.keyframe for p in cut.packets] == [True] + [False] * (len(cut.packets) - 1)
    assert 0 <= at_ms * 1_000_000 - cut.packets[-1].arrival_ns <= 2 * NS_PER_S


def test_the_camera_may_write_while_moments_are_cut() -> None:
    ring = ring_of(packet(0, key=True), keep_s=2, max_bytes=100_000)
    done = threading.Event()

    def write() -> None:
        for number in range(1, 4000):
            ring.packet(packet(number / 25, key=number % 50 == 0))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    cuts = 0
    while not done.is_set() or not cuts:
        kept = ring.packets()
        assert kept[0].keyframe
        try:
            cut = ring.cut(kept[-1].arrival_ns)
        except NoPicture:
            continue  # the writer was faster than a ring of two seconds
        assert cut.packets[0].keyframe
        cuts += 1
    writer.join()
