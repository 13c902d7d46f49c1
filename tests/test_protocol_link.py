"""Two sessions on a line in virtual time: nothing needless without loss, an answer in spite of loss."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from protocol_link import Line, path_time_s, question

from protocol import limits
from protocol.events import AnswerFinished, AnswerRestarted, AnswerText, AskFailed, AskReceived, Event
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


class TwoLives:
    """A question whose answerer restarts while it answers; each life gives other pieces."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.line = Line(self.handle, seed=seed, loss=0.1, repeats=0.2, late_s=60)
        self.life = 1
        self.given: list[str] = []
        self.shown = ""
        self.ended: list[Event] = []
        self.restarts = 0
        self.line.sessions["a"].ask("b", question("Why? " * 60), deadline_s=3000, expect_s=5, now=0)
        self.line.at(self.rng.uniform(10, 120), self.restart)
        self.line.run(3001)

    def restart(self) -> None:
        self.line.restart("b")
        self.life = 2

    def handle(self, side: str, event: Event) -> None:
        match event:
            case AskReceived(ask=ask):
                self.line.sessions["b"].accept("a", ask.ask_id, 5, self.line.now)
                parts = [
                    f"life {self.life} part {n} " * self.rng.choice([1, 1, 12]) for n in range(self.rng.randint(1, 3))
                ]
                self.line.at(self.line.now + 5, partial(self.answer, ask.ask_id, parts, self.life))
            case AnswerText(text=text):
                self.shown += text
            case AnswerRestarted():
                self.shown = ""
                self.restarts += 1
            case AnswerFinished() | AskFailed():
                self.ended.append(event)

    def answer(self, ask_id: int, parts: list[str], life: int) -> None:
        if life == self.life:
            for number, text in enumerate(parts[:-1]):
                self.line.sessions["b"].answer("a", AnswerPiece(ask_id, number, text))
            self.line.sessions["b"].answer("a", AnswerDone(ask_id, len(parts) - 1, parts[-1], "m", 9))
            self.given.append("".join(parts))


def test_what_two_lives_of_the_answerer_gave_never_mixes():
    runs = [TwoLives(seed) for seed in range(400)]
    assert {len(run.ended) for run in runs} == {1}
    finished = [(run, run.ended[0]) for run in runs if isinstance(run.ended[0], AnswerFinished)]
    for run, end in finished:
        assert end.text in run.given
        assert run.shown == end.text
    assert len(finished) > 380
    assert sum(run.restarts for run in runs) > 10, "text of the first life was shown and taken back"
