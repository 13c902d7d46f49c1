"""What a person reads: harmless, and plain."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from meshai.words import ago, clean, cost_line, origin_line
from nodes.interfaces import Cost
from nodes.wishes import Answer


@given(st.text())
def test_no_control_character_or_direction_override_reaches_the_terminal(text):
    shown = clean(text)
    assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert "\n" not in clean(text, lines=False)


@given(st.text("abc يوروبا हिन्दी ọ̀run \u200d\n", max_size=50))
def test_the_scripts_of_the_world_pass_unharmed(text):
    assert clean(text) == text


def test_an_escape_sequence_in_a_peers_name_is_shown_harmless():
    answer = Answer("", "tiny", "\x1b[2Jhouse\u202e", "model", False, 2, 5, False, 3.21, Cost(4, 512, 1.25))
    assert (
        origin_line(answer) == "[2Jhouse over 2 hops · tiny · in 3.2 s · 4 packets, 512 bytes, 1.2 s of air (estimated)"
    )


def test_costs_and_ages_are_said_in_plain_words():
    assert cost_line(Cost()) == "no packet sent"
    assert cost_line(Cost(1, 90, 0.11), estimated=False) == "1 packet, 90 bytes, 0.1 s of air"
    assert [ago(s) for s in (3, 300, 7200)] == ["3 s ago", "5 min ago", "2 h ago"]
