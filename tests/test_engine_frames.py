"""Frames between the engine and its worker, and the small pure parts of the engine."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.engines.binding import Generated, LoadSettings, load_model
from nodes.engines.frames import FRAME_BYTES_MAX, BadFrame, FrameReader, pack_frame
from nodes.engines.llama import require_memory
from nodes.engines.llama_worker import batch_tokens_for
from nodes.engines.question_template import STOP, question_text
from nodes.engines.xllamacpp_binding import read_chunk
from nodes.models.describe import Description
from protocol.errors import LocalError

_VALUES = st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text() | st.floats(allow_nan=False)


@given(st.lists(st.tuples(st.text(min_size=1), _VALUES), max_size=5), st.lists(st.integers(1, 9), min_size=1))
def test_frames_arrive_whole_however_the_pipe_cuts_them(frames, cuts):
    stream = b"".join(pack_frame(*frame) for frame in frames)
    reader, arrived, turn = FrameReader(), [], 0
    while stream:
        size = cuts[turn % len(cuts)]
        arrived += reader.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert arrived == [list(frame) for frame in frames]


def test_a_claimed_length_beyond_the_limit_is_refused_before_anything_is_kept():
    with pytest.raises(BadFrame, match="claims"):
        list(FrameReader().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big")))
    with pytest.raises(ValueError, match="longer"):
        pack_frame("text", "x" * FRAME_BYTES_MAX)


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x01", b"\x90", b"\x91\x01", b"\x92\xa4text", b"\xa4text"])
def test_a_frame_that_is_no_list_with_a_kind_is_refused(body):
    with pytest.raises(BadFrame):
        list(FrameReader().feed(len(body).to_bytes(4, "big") + body))


def test_without_a_chat_template_turns_become_questions_and_answers():
    turns = [("system", "Be brief."), ("user", "Why? "), ("assistant", " Because."), ("user", "Since when?")]
    assert question_text(turns) == (
        "Be brief.\n\nThese are questions and their answers.\n\n"
        "Question: Why?\nAnswer: Because.\n\nQuestion: Since when?\nAnswer:"
    )
    assert question_text(turns[1:2]) == "These are questions and their answers.\n\nQuestion: Why?\nAnswer:"
    assert all(stop in question_text(turns) for stop in STOP)


def _chunk(delta, finish=None, **more):
    return json.dumps({"choices": [{"finish_reason": finish, "index": 0, "delta": delta}], **more}).encode()


def test_thinking_and_progress_are_no_part_of_an_answer():
    assert read_chunk(_chunk({"reasoning_content": "Let me think"})) == ""
    assert read_chunk(_chunk({"role": "assistant", "content": None}, prompt_progress={"processed": 64})) == ""
    assert read_chunk(_chunk({"content": "Because"})) == "Because"


def test_the_last_chunk_tells_how_the_answer_ended():
    timings = {
        "cache_n": 24,
        "prompt_n": 12,
        "prompt_per_second": 400.0,
        "predicted_n": 60,
        "predicted_per_second": 180.5,
    }
    assert read_chunk(_chunk({}, "length", timings=timings)) == Generated(36, 60, True, 400.0, 180.5)
    assert read_chunk(_chunk({}, "stop", timings=timings)).truncated is False
    short = {**timings, "prompt_n": 1, "predicted_n": 1}
    assert read_chunk(_chunk({}, "stop", timings=short)) == Generated(25, 1)


def test_llama_cpps_refusals_become_plain_errors():
    too_long = {"type": "exceed_context_size_error", "n_prompt_tokens": 5031, "n_ctx": 2048, "message": "request …"}
    error = read_chunk(json.dumps({"error": too_long}).encode())
    assert isinstance(error, LocalError)
    assert "too long" in error.what
    assert "5031" in error.why
    other = read_chunk(json.dumps({"error": {"message": "no"}}).encode())
    assert str(other) == "The model could not work on the question: no."


@pytest.mark.parametrize(("speed", "batch"), [(1e6, 64), (183, 64), (182, 32), (50, 16), (23, 8), (1, 8), (0.0, 8)])
def test_slow_devices_take_prompts_in_smaller_steps(speed, batch):
    assert batch_tokens_for(speed) == batch


def test_a_model_larger_than_the_free_memory_is_refused_before_it_is_loaded():
    model = Description("", "llama", 7_000_000_000, "Q4_0", 4096, 4_000_000_000, True, "", (), 32000, 131072)
    require_memory("big", model, 4096, 8_000_000_000)
    with pytest.raises(LocalError, match=r"larger than the memory.*4\.6 GB and 4\.5 GB are free"):
        require_memory("big", model, 4096, 4_500_000_000)


def test_an_unknown_binding_is_named_with_the_known_ones(tmp_path):
    with pytest.raises(LocalError, match="Choose one of: xllamacpp"):
        load_model("other", LoadSettings(tmp_path, 512, 1, 1, 64))
