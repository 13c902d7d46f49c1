"""Answers cut for phones: thinking out, chunks that fit and join again, pages with the rest kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.phone_text.wording import CHUNK_BYTES_MAX, chunked, paged, said

TEXTS = st.text(
    st.sampled_from("ab é世界 \n🧑🏽\u200d🚒नमस्ते.") | st.characters(exclude_categories=["Cs", "Cc"]), max_size=900
)


def words_of(chunks):
    bodies = [chunk.removeprefix("AI: ") for chunk in chunks]
    return [body.partition(" ")[2] for body in bodies] if len(bodies) > 1 else bodies


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("Plain.", "Plain."),
        ("<think>Hmm.\nWell.</think>\n\nBlue.", "Blue."),
        ("<THINK class='x'>Hmm</THINK>Blue.", "Blue."),
        ("First. <thinking>Hmm</thinking> Then.", "First. Then."),
        ("<think>Hmm", ""),
        ("Blue. <think>Hmm, wait", "Blue."),
        ("Okay, the user asks.\n</think>\nBlue.", "Blue."),
        ("<think>one</think><think>two</think>Blue.", "Blue."),
        ("<think>one <think>nested</think> tail</think>Blue.", "Blue."),
        ("[THINK]Hmm[/THINK]Blue.", "Blue."),
        ("◁think▷Hmm◁/think▷Blue.", "Blue."),
        ("<reasoning>Hmm</reasoning><answer>Blue.</answer>", "Blue."),
        ("<|begin_of_thought|>Hmm<|end_of_thought|><|begin_of_solution|>Blue.<|end_of_solution|>", "Blue."),
        ("<|channel|>analysis<|message|>Hmm<|end|><|start|>assistant<|channel|>final<|message|>Blue.", "Blue."),
        ("<|channel|>analysis<|message|>Hmm", ""),
        ("I think that 1 < 2 and <b>bold</b>.", "I think that 1 < 2 and <b>bold</b>."),
        ("a \x1b[2J b\r\n\n\n c\td", "a [2J b\nc d"),
    ],
)
def test_what_a_model_thought_is_not_what_it_said(text, spoken):
    assert said(text) == spoken


def test_a_short_text_is_one_chunk_without_a_number():
    assert chunked("Blue.") == ["AI: Blue."]
    assert chunked("x" * 196) == ["AI: " + "x" * 196]
    assert len(chunked("x" * 197)) == 2


def test_chunks_are_cut_at_words():
    chunks = chunked(" ".join(["nine-char"] * 60))
    assert [chunk[:9] for chunk in chunks] == ["AI: (1/4)", "AI: (2/4)", "AI: (3/4)", "AI: (4/4)"]
    assert all(set(body.split()) == {"nine-char"} for body in words_of(chunks))


@given(TEXTS)
def test_every_chunk_fits_whatever_the_text_and_nothing_is_lost(text):
    text = said(text)
    chunks = chunked(text)
    assert all(len(chunk.encode()) <= CHUNK_BYTES_MAX and chunk.startswith("AI: ") for chunk in chunks)
    assert "".join("".join(words_of(chunks)).split()) == "".join(text.split())


@given(st.lists(st.sampled_from(["🧑🏽\u200d🚒", "é", "e\u0301", "ति", "世"]), min_size=1, max_size=300))
def test_no_chunk_is_cut_inside_a_character(clusters):
    bodies = words_of(chunked("".join(clusters)))
    assert "".join(bodies) == "".join(clusters)
    for body in bodies[1:]:
        assert body[0] not in "\u0301\u200d🏽िस्"
        assert not body.startswith("🚒")


@given(TEXTS, st.integers(1, 3), st.integers(0, 90))
def test_a_page_fits_and_the_rest_is_what_is_missing(text, chunks, spare):
    text = said(text)
    page, rest = paged(text, chunks, "(more)", spare_bytes=spare)
    assert len(chunked("x" * spare + page)) <= chunks
    shown = page.removesuffix("(more)") if rest else page
    assert "".join((shown + rest).split()) == "".join(text.split())
    assert page.endswith("(more)") == bool(rest) or text.endswith("(more)")


def test_a_word_longer_than_a_chunk_still_comes_through():
    chunks = chunked("x" * 1000)
    assert "".join(words_of(chunks)) == "x" * 1000


def test_a_character_that_no_chunk_holds_is_cut_rather_than_never_sent():
    assert all(len(chunk.encode()) <= CHUNK_BYTES_MAX for chunk in chunked("e" + "\u0301" * 500))
