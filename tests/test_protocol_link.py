"""Two sessions on a line in virtual time: nothing needless without loss, an answer in spite of loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_link import Line, path_time_s, question

from protocol import limits
from protocol.events import AnswerFinished, AnswerText, AskReceived, Event
from protocol.messages import AnswerDone, AnswerPiece


@dataclass
class Run:
    """One question from `a`, answered by `b` after `work_s` in the parts given."""

    line: Line
    finished_at: float | None = None
    text: str = ""
    shown: str = ""
    received: int = 0
    kinds: Counter[str] = field(default_factory=Counter)


def run(
    parts: list[str],
    *,
    asked: str = "Why?",
    work_s: float = 20.0,
    promise: str = "accept",
    deadline_s: int = 3600,
    hops: int = 2,
    loss: float = 0.0,
    seed: int = 1,
) -> Run:
    def answer(ask_id: int) -> None:
        session = result.line.sessions["b"]
        for number, text in enumerate(parts[:-1]):
            session.answer("a", AnswerPiece(ask_id, number, text))
        session.answer("a", AnswerDone(ask_id, len(parts) - 1, parts[-1], "m", 9))

    def handle(side: str, event: Event) -> None:
        match event:
            case AskReceived(ask=ask):
                result.received += 1
                session = result.line.sessions["b"]
                if promise == "accept":
                    session.accept("a", ask.ask_id, work_s, result.line.now)
                elif promise == "expect":
                    session.expect("a", ask.ask_id, work_s, result.line.now)
                result.line.at(result.line.now + work_s, lambda: answer(ask.ask_id))
            case AnswerText(text=text):
                result.shown += text
            case AnswerFinished(text=text):
                result.finished_at, result.text = result.line.now, text

    result = Run(Line(handle, seed=seed, hops=hops, loss=loss))
    expect_s = 0.0 if promise == "none" else work_s
    result.line.sessions["a"].ask("b", question(asked), deadline_s=deadline_s, expect_s=expect_s, now=0)
    result.line.run(deadline_s)
    result.kinds = Counter(packet.kind for _, packet in result.line.sent)
    return result


texts = st.text(max_size=400)


@given(
    parts=st.lists(texts, min_size=1, max_size=5),
    asked=st.text(min_size=1, max_size=1500),
    work_s=st.floats(0, 300),
    promise=st.sampled_from(["accept", "expect", "none"]),
    hops=st.integers(1, 5),
)
def test_without_loss_every_question_is_answered_as_soon_as_the_air_allows(parts, asked, work_s, promise, hops):
    result = run(parts, asked=asked, work_s=work_s, promise=promise, hops=hops)
    assert result.text == result.shown == "".join(parts)
    assert result.finished_at is not None
    assert result.received == 1
    air_s = len(result.line.sent) * path_time_s(limits.FRAME_BYTES_MAX, hops)
    assert result.finished_at <= work_s + air_s
    assert result.finished_at < 3600 / 2


@given(
    text=texts,
    asked=st.text(min_size=1, max_size=1500),
    work_s=st.floats(0, 300),
    promise=st.booleans(),
    hops=st.integers(1, 5),
)
def test_without_loss_nothing_is_sent_that_is_not_needed(text, asked, work_s, promise, hops):
    result = run([text], asked=asked, work_s=work_s, promise="accept" if promise else "expect", hops=hops)
    messages = Counter(packet.kind for _, packet in result.line.sent if packet.last)
    assert messages == ({"Ask": 1, "AnswerDone": 1, "Accept": 1} if promise else {"Ask": 1, "AnswerDone": 1})
    assert len({packet.frame for _, packet in result.line.sent}) == len(result.line.sent)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize(
    "parts", [["The sky is blue. " * 60], ["one ", "two " * 100, "three"]], ids=["whole", "pieces"]
)
def test_with_a_fifth_of_the_packets_lost_the_answer_comes_all_the_same(seed, parts):
    result = run(parts, asked="Why? " * 100, loss=0.2, seed=seed)
    assert result.text == result.shown == "".join(parts)
    assert result.received == 1, "the engine worked once"


def test_what_loss_costs_is_bounded():
    needed = sum(run(["The sky is blue. " * 60]).kinds.values())
    spent = [sum(run(["The sky is blue. " * 60], loss=0.2, seed=seed).kinds.values()) for seed in range(40)]
    assert sum(spent) / len(spent) < 2.5 * needed
