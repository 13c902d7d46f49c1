"""How long an answer may be, and where one is cut."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.airtime import DEFAULT_PRESET, PRESETS, data_bytes_on_air, time_on_air_s
from protocol.limits import FRAGMENT_PAYLOAD_BYTES, FRAME_BYTES_MAX
from protocol.sizing import AIR_BYTES_PER_BYTE, answer_size, cut


def frame_s(preset=DEFAULT_PRESET):
    return time_on_air_s(preset, data_bytes_on_air(FRAME_BYTES_MAX, 256))


def frames(size):
    return ceil(size.air_bytes / FRAGMENT_PAYLOAD_BYTES)


def sized(**how):
    usual = {"left_s": 72.0, "frame_airtime_s": frame_s(), "hops": 1, "utilisation_percent": 0.0, "waiting": 0}
    return answer_size(**{**usual, "tokens_max": 8192, **how})


def test_with_air_to_spare_an_answer_has_several_frames_and_the_fewer_the_longer_the_way():
    assert [frames(sized(hops=hops)) for hops in (1, 2, 3, 0, 7)] == [4, 3, 2, 2, 1]


def test_short_of_air_with_many_waiting_or_on_a_busy_channel_it_has_one():
    assert frames(sized(left_s=0)) == frames(sized(left_s=-5)) == 1
    assert frames(sized(left_s=10, waiting=9)) == 1
    assert frames(sized(left_s=20, waiting=3)) == 2
    assert [frames(sized(utilisation_percent=u)) for u in (6, 12, 18)] == [3, 2, 1]
    assert frames(sized(utilisation_percent=40)) == 1
    assert frames(sized(crowded=True)) == 1


def test_a_slow_preset_gets_one_frame_and_a_fast_one_eight_at_most():
    assert frames(sized(frame_airtime_s=frame_s(PRESETS["LONG_SLOW"]))) == 1
    assert frames(sized(frame_airtime_s=frame_s(PRESETS["SHORT_TURBO"]))) == 8


def test_compact_text_makes_room_for_about_six_hundred_characters_in_a_frame():
    plain, compact = sized(left_s=0), sized(left_s=0, air_bytes_per_byte=AIR_BYTES_PER_BYTE)
    assert (plain.text_bytes, plain.tokens, plain.words) == (172, 43, 21)
    assert 550 <= compact.text_bytes <= 600
    assert (frames(compact), frames(plain)) == (1, 1)
    assert compact.instruction == "Answer in about 71 words."


def test_an_asker_who_wants_less_gets_less():
    assert sized(tokens_max=10).tokens == 10
    assert (sized(tokens_max=10).air_bytes, sized(tokens_max=10).text_bytes) == (12 + 40, 80)
    assert sized(tokens_max=0).tokens == 140
    assert sized(tokens_max=1).words == 1


@pytest.mark.parametrize(
    ("text", "bytes_max", "kept"),
    [
        ("It is blue.", 11, "It is blue."),
        ("It is blue. And wide and far away.", 20, "It is blue."),
        ("Oh! It is so very blue and so very wide.", 24, "Oh! It is so very blue"),
        ("Überallüberall", 8, "Überall"),
        ("üüü", 3, "ü"),
        ("एक वाक्य। दूसरा वाक्य", 40, "एक वाक्य।"),
    ],
)
def test_what_came_out_too_long_is_cut_after_a_sentence_or_a_word(text, bytes_max, kept):
    assert cut(text, bytes_max) == kept


@given(text=st.text(), bytes_max=st.integers(0, 60))
def test_what_is_cut_is_a_beginning_and_fits(text, bytes_max):
    kept = cut(text, bytes_max)
    assert text.startswith(kept)
    assert len(kept.encode()) <= bytes_max
