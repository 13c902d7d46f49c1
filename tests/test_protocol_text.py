"""Compact text: every text comes back, never longer than raw, and nothing that arrives can do harm."""

from __future__ import annotations

from array import array
from contextlib import suppress

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_packs import SENTENCES, tiny_bytes, tiny_pack

from protocol.errors import LocalError, RemoteError
from protocol.text import BROTLI, LOCAL_IDS, RAW, REGISTERED, Pack, TextCoder, coder
from protocol.text.pack import little_endian, native

TINY, OTHER = 48, 49
ALL = -1
texts = st.one_of(
    st.text(),
    st.lists(st.sampled_from(SENTENCES), max_size=4).map(" ".join),
    st.text(alphabet="abcáñọ́ß€漢😀 .?\n\0", max_size=60),
)


@pytest.fixture(scope="module")
def text_coder():
    return TextCoder({TINY: tiny_pack()})


# Round trips


@settings(deadline=None, max_examples=50)
@given(text=texts, about=st.sampled_from(("", *SENTENCES)))
def test_every_text_comes_back_and_never_longer_than_raw(text, about):
    text_coder = TextCoder({TINY: tiny_pack()})
    plain = text.encode()
    data = text_coder.encode(text, readable=ALL, about=about)
    assert len(data) <= len(plain) + 1
    assert text_coder.decode(data, about=about, max_bytes=len(plain)) == text


def test_text_like_that_of_the_pack_gets_short(text_coder):
    for sentence in SENTENCES:
        data = text_coder.encode(sentence, readable=text_coder.bitmap)
        assert data[0] == TINY
        assert len(data) < 0.4 * len(sentence.encode())


def test_what_both_know_makes_a_text_shorter(text_coder):
    unknown = "Zxqwv jkpfh Zxqwv bdgmt qqrst wxzvk."
    alone = text_coder.encode(unknown, readable=ALL)
    beside = text_coder.encode(unknown, readable=ALL, about=unknown)
    assert len(beside) < len(alone)


def test_only_packs_that_the_reader_has_are_used(text_coder):
    assert text_coder.encode(SENTENCES[0], readable=0)[0] == RAW
    assert text_coder.encode(SENTENCES[0], readable=1 << OTHER)[0] == RAW
    assert text_coder.encode(SENTENCES[0], readable=1 << TINY)[0] == TINY


def test_long_text_that_no_pack_suits_goes_through_brotli():
    text = "0123456789" * 40
    data = TextCoder({}).encode(text, readable=ALL)
    assert data[0] == BROTLI
    assert len(data) < 40
    assert TextCoder({}).decode(data, max_bytes=400) == text


def test_the_pack_that_suits_best_is_chosen_among_several():
    english, other = tiny_pack(), Pack(retrained())
    text_coder = TextCoder({TINY: english, OTHER: other})
    assert text_coder.encode("Kwa nini? " + SENTENCES[3], readable=ALL)[0] == TINY
    assert text_coder.encode("zzyzx vrrp qwop! zzyzx vrrp", readable=ALL)[0] == OTHER
    assert text_coder.encode("z", readable=ALL)[0] in (RAW, TINY, OTHER)


def test_what_a_coder_can_read_is_named_by_number_and_by_bit(text_coder):
    assert text_coder.packs == {TINY}
    assert text_coder.bitmap == 1 << TINY


@pytest.mark.parametrize("number", [-1, RAW, BROTLI, 64])
def test_numbers_that_are_no_packs_are_refused(number):
    with pytest.raises(LocalError, match="from 2 to 63"):
        TextCoder({number: tiny_pack()})


def test_half_a_character_is_refused(text_coder):
    with pytest.raises(LocalError, match="half a character"):
        text_coder.encode("\ud800", readable=ALL)


def test_long_text_that_nothing_shortens_stays_raw():
    text = "".join(chr(33 + (number * number * 7 + number // 3) % 90) for number in range(70))
    assert TextCoder({}).encode(text, readable=ALL) == b"\0" + text.encode()


# What others send


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "it is empty", id="nothing"),
        pytest.param(bytes([1 << 6 | RAW]) + b"x", "format 1", id="another format"),
        pytest.param(bytes([OTHER]) + b"x", "pack 49, which isn't here", id="a pack we lack"),
        pytest.param(bytes([RAW]) + b"\xff", "no UTF-8", id="raw bytes that are no text"),
        pytest.param(bytes([RAW]) + b"x" * 101, "more than 100 bytes", id="a long raw text"),
        pytest.param(bytes([BROTLI]) + b"\xff\xff\xff", "brotli can't read it", id="no brotli"),
        pytest.param(bytes([BROTLI]) + brotli.compress(b"hello world")[:-3], "before its end", id="half of a brotli"),
        pytest.param(bytes([BROTLI]) + brotli.compress(b"a" * 10**8), "more than 100 bytes", id="a brotli bomb"),
        pytest.param(bytes([TINY]) + b"\0" * 100, "more than 100 bytes|damaged", id="zeros"),
    ],
)
def test_bad_data_is_refused_with_the_reason(text_coder, data, why):
    with pytest.raises(RemoteError, match=why):
        text_coder.decode(data, max_bytes=100)


@settings(deadline=None, max_examples=50)
@given(st.binary(max_size=60))
def test_random_bytes_give_a_bounded_text_or_an_error(noise):
    text_coder = TextCoder({TINY: tiny_pack()})
    with suppress(RemoteError):
        assert len(text_coder.decode(bytes([TINY]) + noise, max_bytes=80).encode()) <= 80


def test_a_text_cut_short_or_drawn_out_is_noticed_or_other():
    text = SENTENCES[1]
    data = coder.encode(tiny_pack(), text.encode(), bytes_max=1000)
    with pytest.raises(RemoteError, match="bytes follow its end mark"):
        coder.decode(tiny_pack(), data + b"\x55" * 6, bytes_max=1000)
    reasons = set()
    for size in range(len(data)):
        try:
            assert coder.decode(tiny_pack(), data[:size], bytes_max=1000) != text.encode()
        except RemoteError as error:
            reasons.add(error.why)
    assert "it ends before its end mark" in reasons


def test_decoding_stops_at_the_limit():
    data = coder.encode(tiny_pack(), b"light " * 200, bytes_max=2000)
    assert coder.decode(tiny_pack(), data, bytes_max=1200) == b"light " * 200
    with pytest.raises(RemoteError, match="more than 1199 bytes"):
        coder.decode(tiny_pack(), data, bytes_max=1199)


def test_coding_gives_up_once_it_can_not_win():
    assert coder.encode(tiny_pack(), b"\x01\x02\x03" * 50, bytes_max=20) is None
    whole = coder.encode(tiny_pack(), SENTENCES[0].encode(), bytes_max=100)
    assert coder.encode(tiny_pack(), SENTENCES[0].encode(), bytes_max=len(whole)) == whole
    assert coder.encode(tiny_pack(), SENTENCES[0].encode(), bytes_max=len(whole) - 1) is None


# Packs


def retrained():
    from nodes.pack_training import Recipe, train

    words = [b"zzyzx vrrp qwop! zzyzx vrrp %d" % number for number in range(20)]
    return train("other", words, Recipe(room=100, kinds=(2,), local_contexts=()), loop=None, watch=lambda *step: None)


def changed(at, value):
    data = bytearray(tiny_bytes())
    data[2 * at : 2 * at + 2] = value.to_bytes(2, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "doesn't begin", id="nothing"),
        pytest.param(b"PK" + bytes(1000), "doesn't begin", id="another file"),
        pytest.param(tiny_bytes()[:-1], "doesn't begin", id="half a number"),
        pytest.param(tiny_bytes()[:-2], "other sizes", id="cut short"),
        pytest.param(tiny_bytes() + b"\0\0", "other sizes", id="drawn out"),
        pytest.param(changed(2, 3), "format 3", id="another format"),
        pytest.param(changed(3, 0), "too many contexts", id="no context"),
        pytest.param(changed(3, 17), "too many contexts", id="too many contexts"),
        pytest.param(changed(4, 9), "too many contexts", id="too many local ones"),
        pytest.param(changed(32, 99), "doesn't know", id="an unknown context"),
        pytest.param(changed(48, 9), "doesn't know", id="a local one that isn't there"),
        pytest.param(changed(64, 0), "other sizes", id="a table without buckets"),
        pytest.param(changed(67, 0xFFFF), "other sizes", id="a table beyond the end"),
    ],
)
def test_what_is_no_pack_is_refused_with_the_reason(data, why):
    with pytest.raises(LocalError, match=why):
        Pack(data)


def test_a_pack_is_the_same_on_a_big_endian_machine():
    numbers = array("H", (1, 258, 65535))
    stored = b"\1\0\2\1\xff\xff"
    assert little_endian(numbers, "little") == stored
    assert list(native(memoryview(stored), "H", "little")) == list(numbers)
    assert little_endian(numbers, "big") == bytes.fromhex("0001 0102 ffff")
    assert list(native(memoryview(stored), "H", "big")) == [256, 513, 65535]


def test_a_pack_says_its_name():
    assert tiny_pack().name == "tiny"


@settings(deadline=None, max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=200))
def test_a_pack_with_wrong_bytes_inside_does_no_harm(changes):
    data = bytearray(tiny_bytes())
    for at, value in changes:
        data[256 + at % (len(data) - 256)] = value
    text_coder = TextCoder({TINY: Pack(bytes(data))})
    for sentence in SENTENCES[:3]:
        coded = text_coder.encode(sentence, readable=ALL)
        assert text_coder.decode(coded, max_bytes=200) == sentence


def test_numbers_of_packs_are_those_ever_given():
    assert {number: pack.name for number, pack in REGISTERED.items()} == {
        2: "en",
        3: "sw",
        4: "ha",
        5: "yo",
        6: "zu",
        7: "xh",
        8: "es",
        9: "hi",
        10: "fr",
        11: "pt",
        12: "ar",
        13: "id",
        14: "code",
        15: "chat",
    }
    assert not set(LOCAL_IDS) & set(REGISTERED)
    assert all(len(pack.sha256) == 64 and pack.title for pack in REGISTERED.values())
