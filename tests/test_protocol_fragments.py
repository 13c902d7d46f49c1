"""Cutting messages into frames and putting frames together, whatever order and damage they come in."""

from __future__ import annotations

from binascii import crc32
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol import limits
from protocol.errors import LocalError, RemoteError
from protocol.fragments import CLEAR, Reassembler, read_frame, split

PAYLOAD = limits.FRAGMENT_PAYLOAD_BYTES


def message(size: int, seed: int = 1) -> bytes:
    return Random(seed).randbytes(size)


def add(reassembler: Reassembler, frame: bytes, peer: str = "!b", now: float = 0.0) -> bytes | None:
    return reassembler.add(peer, read_frame(frame), now)


def frame_of(body: bytes, *, kind: int = CLEAR) -> bytes:
    """A frame whose check fits, whatever its body says."""
    return bytes([kind]) + crc32(body, crc32(b"meshai 1")).to_bytes(4, "big") + body


sizes = st.one_of(
    st.integers(0, 3 * PAYLOAD), st.sampled_from([PAYLOAD - 1, PAYLOAD, PAYLOAD + 1, limits.MESSAGE_BYTES_MAX])
)


@given(sizes, st.randoms(use_true_random=False), st.integers(0, 255))
def test_frames_in_any_order_and_repeated_make_the_message_once(size, order, transfer):
    data = message(size)
    frames = split(data, transfer)
    assert all(len(frame) <= limits.FRAME_BYTES_MAX - (limits.SEAL_BYTES - 1 - limits.CHECK_BYTES) for frame in frames)
    assert {read_frame(frame).total for frame in frames} == {len(frames)}
    arriving = frames * 2
    order.shuffle(arriving)
    reassembler = Reassembler()
    whole = [found for frame in arriving if (found := add(reassembler, frame)) is not None]
    assert whole == [data]
    assert reassembler.incomplete == ()


def test_a_message_that_fits_one_frame_costs_eight_bytes_more_than_itself():
    assert len(split(message(PAYLOAD), 0)) == 1
    assert len(split(message(20), 0)[0]) == 28
    assert len(split(message(PAYLOAD + 1), 0)) == 2


def test_a_message_beyond_the_longest_is_not_cut():
    assert len(split(bytes(limits.MESSAGE_BYTES_MAX), 0)) == limits.FRAGMENTS_MAX
    with pytest.raises(LocalError, match="256 packets"):
        split(bytes(limits.MESSAGE_BYTES_MAX + 1), 0)


@given(st.data(), sizes)
def test_a_damaged_frame_is_dropped(data, size):
    frame = bytearray(data.draw(st.sampled_from(split(message(size), 3))))
    frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(RemoteError, match="A frame was dropped"):
        read_frame(bytes(frame))


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        pytest.param(b"", "not one of meshai's", id="nothing"),
        pytest.param(b"\x01" * 7, "not one of meshai's", id="shorter than a head"),
        pytest.param(frame_of(bytes([0, 0, 1]) + bytes(PAYLOAD + 1)), "not one of meshai's", id="longer than a frame"),
        pytest.param(frame_of(bytes([0, 0, 1]) + b"x", kind=2), "not one of meshai's", id="another type"),
        pytest.param(b"\x01hello, this is a text", "check does not fit", id="another program's"),
        pytest.param(frame_of(bytes([0, 0, 0]) + b"x"), "part 0 of 0", id="part of nothing"),
        pytest.param(frame_of(bytes([0, 3, 3]) + bytes(PAYLOAD)), "part 3 of 3", id="part beyond the last"),
        pytest.param(frame_of(bytes([0, 0, 2]) + b"x"), "part 0 of 2 with 1 bytes", id="short part before the last"),
    ],
)
def test_a_frame_that_makes_no_sense_is_dropped(frame, why):
    with pytest.raises(RemoteError, match=why):
        read_frame(frame)


def test_missing_parts_are_named_and_the_beginning_is_readable():
    data = message(4 * PAYLOAD)
    frames = split(data, 7)
    reassembler = Reassembler()
    for index in (0, 1, 4):
        assert add(reassembler, frames[index], now=index) is None
    (partial,) = reassembler.incomplete
    assert (partial.peer, partial.transfer, partial.total) == ("!b", 7, 5)
    assert partial.missing == {2, 3}
    assert partial.prefix == data[: 2 * PAYLOAD - limits.MESSAGE_CHECK_BYTES]
    assert partial.quiet_since == 4


@given(st.integers(PAYLOAD - 1, 3 * PAYLOAD))
def test_the_beginning_never_holds_anything_but_the_message(size):
    data = message(size)
    reassembler = Reassembler()
    for frame in split(data, 7)[:-1]:
        add(reassembler, frame)
        assert data.startswith(reassembler.incomplete[0].prefix)


@pytest.mark.parametrize("parts", [2, 3])
def test_a_number_given_again_makes_no_mixed_message(parts):
    size = parts * PAYLOAD - 50
    old, new = split(message(size, 1), 5), split(message(size, 2), 5)
    reassembler = Reassembler()
    for frame in (old[0], *new[1:-1]):
        assert add(reassembler, frame) is None
    with pytest.raises(RemoteError, match="do not fit together"):
        add(reassembler, new[-1])
    assert reassembler.incomplete == ()
    assert [add(reassembler, frame) for frame in new] == [None] * (parts - 1) + [message(size, 2)]


@pytest.mark.parametrize("new_size", [2 * PAYLOAD, 3 * PAYLOAD])
def test_a_number_given_again_starts_anew_when_that_shows(new_size):
    old, new = split(message(2 * PAYLOAD, 1), 5), split(message(new_size, 2), 5)
    reassembler = Reassembler()
    add(reassembler, old[0])
    found = [add(reassembler, frame) for frame in new]
    assert found[-1] == message(new_size, 2)


def test_a_message_sent_again_under_its_number_with_the_same_end_is_received():
    old = split(bytes(PAYLOAD) + bytes(range(100)), 5)
    new = split(b"\1" + bytes(PAYLOAD - 1) + bytes(range(100)), 5)
    assert old[1] == new[1]
    reassembler = Reassembler()
    assert [add(reassembler, frame) is None for frame in old] == [True, False]
    assert [add(reassembler, frame) is None for frame in new] == [True, False]


def test_a_whole_message_is_not_taken_twice_until_many_others_came():
    frame = split(b"hello", 0)[0]
    reassembler = Reassembler()
    assert add(reassembler, frame) == b"hello"
    for number in range(1, limits.DONE_TRANSFERS_MAX):
        assert add(reassembler, split(b"other", number)[0]) == b"other"
    assert add(reassembler, frame) is None
    assert add(reassembler, split(b"other", limits.DONE_TRANSFERS_MAX)[0]) == b"other"
    assert add(reassembler, frame) == b"hello"


def test_a_number_used_again_is_remembered_from_then_on():
    reassembler = Reassembler()
    frame = split(b"again", 0)[0]
    add(reassembler, split(b"first", 0)[0])
    for number in range(1, limits.DONE_TRANSFERS_MAX):
        add(reassembler, split(b"other", number)[0])
    assert add(reassembler, frame) == b"again"
    add(reassembler, split(b"other", 200)[0])
    assert add(reassembler, frame) is None


def test_peers_with_the_same_number_are_kept_apart():
    reassembler = Reassembler()
    first, second = split(message(300, 1), 9), split(message(300, 2), 9)
    assert add(reassembler, first[0], "!b") is None
    assert add(reassembler, second[0], "!c") is None
    assert add(reassembler, second[1], "!c") == message(300, 2)
    assert add(reassembler, first[1], "!b") == message(300, 1)


def test_one_peer_keeps_few_incomplete_messages_and_the_longest_quiet_goes():
    reassembler = Reassembler()
    for number in range(limits.PARTIAL_TRANSFERS_PER_PEER_MAX + 1):
        add(reassembler, split(message(300), number)[0], now=number)
    assert [partial.transfer for partial in reassembler.incomplete] == [1, 2, 3, 4]
    assert limits.PARTIAL_TRANSFERS_PER_PEER_MAX == 4


def test_an_incomplete_message_that_goes_on_outlives_quieter_ones():
    reassembler = Reassembler()
    frames = split(message(500), 0)
    add(reassembler, frames[0])
    for number in range(1, limits.PARTIAL_TRANSFERS_PER_PEER_MAX):
        add(reassembler, split(message(300), number)[0])
    add(reassembler, frames[1])
    add(reassembler, split(message(300), 99)[0])
    assert [partial.transfer for partial in reassembler.incomplete] == [2, 3, 0, 99]


def test_all_peers_together_keep_a_bounded_number_of_incomplete_messages():
    reassembler = Reassembler()
    for number in range(limits.PARTIAL_TRANSFERS_MAX + 5):
        add(reassembler, split(message(300), 0)[0], f"!{number}")
    assert len(reassembler.incomplete) == limits.PARTIAL_TRANSFERS_MAX
    assert reassembler.incomplete[0].peer == "!5"


def test_an_incomplete_message_can_be_given_up():
    frames = split(message(300), 0)
    reassembler = Reassembler()
    add(reassembler, frames[0])
    reassembler.forget("!b", 0)
    reassembler.forget("!b", 0)
    assert reassembler.incomplete == ()
    assert add(reassembler, frames[1]) is None


def test_asking_about_a_message_is_counted_until_more_of_it_comes():
    frames = split(message(500), 0)
    reassembler = Reassembler()
    add(reassembler, frames[0], now=1)
    (partial,) = reassembler.incomplete
    partial.asked_about(5)
    partial.asked_about(9)
    assert (partial.gaps, partial.quiet_since) == (2, 9)
    add(reassembler, frames[1], now=12)
    assert (partial.gaps, partial.quiet_since) == (0, 12)
