"""Our own questions: what was asked, what came back, and when to ask again.

One `Question` per ask. It decides with the table in `protocol.states` and returns events; `protocol.session` owns
the questions and the outbox.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from protocol import limits
from protocol.events import AnswerFinished, AnswerRestarted, AnswerText, AskFailed, AskPromised, Event, Failure
from protocol.messages import Accept, AnswerDone, AnswerPiece, Ask, Busy, Cancel, Message, Refuse
from protocol.states import ASKER, Asking, AskingInput, Do

__all__ = ["Question"]

_BACKOFF = 1.5
"""Each repetition waits this many times longer than the one before: a silent peer costs little air."""
_SLACK_S = 1.0


@dataclass(slots=True)
class Question:
    """One of our questions to one peer."""

    peer: str
    ask: Ask
    deadline_at: float
    expect_s: float
    """Seconds that the peer should need, judged from its beacon or its Accept."""
    round_trip_s: float
    """Seconds for a full frame to go and one to come back."""
    queue: Callable[[Message, str], int]
    state: Asking = Asking.ASKED
    timer_at: float | None = None
    """When to ask again; None until the question was sent."""
    sent: bool = False
    heard: bool = False
    repeats: int = 0
    held_by_peer: bool = False
    """Whether the peer has shown that it holds the whole question."""
    pieces: dict[int, str] = field(default_factory=dict)
    last: AnswerDone | None = None
    shown: str = ""

    @property
    def closed(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state is Asking.CLOSED

    def was_sent(self, now: float) -> None:
        """The last packet of an Ask left: from now on we wait."""
        self.sent = True
        if not self.closed:
            self._arm(now, self.expect_s)

    def take(self, message: Accept | Busy | Refuse, now: float) -> list[Event]:
        """Take the peer's word on the question."""
        self.heard = True
        match message:
            case Accept():
                self.held_by_peer = True
                return self._step(AskingInput.ACCEPT, now, wait_s=message.wait_s)
            case Busy():
                return self._step(
                    AskingInput.BUSY,
                    now,
                    failed=AskFailed(self.ask.ask_id, Failure.BUSY, retry_after_s=message.retry_after_s, heard=True),
                )
            case Refuse():
                if message.code is message.code.FORGOTTEN:
                    return self._step(AskingInput.FORGOTTEN, now)
                return self._step(
                    AskingInput.REFUSE,
                    now,
                    failed=AskFailed(
                        self.ask.ask_id, Failure.REFUSED, code=message.code, reason=message.reason, heard=True
                    ),
                )

    def take_answer(self, part: AnswerPiece | AnswerDone, now: float, *, missing: int = 0) -> list[Event]:
        """Take a part of the answer; `missing` frames of it are still to come (its text is then a beginning)."""
        if self.closed:
            return []
        self.heard = self.held_by_peer = True
        if not missing and sum(map(len, self.pieces.values())) + len(part.text) <= limits.ANSWER_BYTES_MAX:
            self.pieces[part.number] = part.text
            if isinstance(part, AnswerDone):
                self.last = part
        whole = not missing and self.last is not None and len(self.pieces) > self.last.number
        return self._step(AskingInput.WHOLE if whole else AskingInput.PART, now, part=part, missing=missing)

    def handle_timer(self, now: float, *, incoming: bool) -> list[Event]:
        """Act on the deadline or the timer, if due; `incoming`: a message of this peer is arriving in parts."""
        if now >= self.deadline_at:
            failed = AskFailed(self.ask.ask_id, Failure.DEADLINE, heard=self.heard)
            return self._step(AskingInput.DEADLINE, now, failed=failed)
        if self.timer_at is None or now < self.timer_at:
            return []
        if incoming:
            self._arm(now, 0)
            return []
        return self._step(AskingInput.TIMER, now)

    def cancel(self, now: float) -> None:
        """Give the question up."""
        self._step(AskingInput.CANCEL, now)

    def _step(
        self,
        what: AskingInput,
        now: float,
        *,
        failed: AskFailed | None = None,
        wait_s: int = 0,
        part: AnswerPiece | AnswerDone | None = None,
        missing: int = 0,
    ) -> list[Event]:
        self.state, do = ASKER.get((self.state, what), (self.state, Do.NOTHING))
        if do is Do.SHOW and part is not None:
            self._arm(now, missing * self.round_trip_s / 2)
            return self._show(part)
        if do is Do.FINISH and self.last is not None:
            text = "".join(self.pieces[number] for number in range(self.last.number + 1))
            rest = [AnswerText(self.ask.ask_id, text[len(self.shown) :])] if len(text) > len(self.shown) else []
            return [
                *rest,
                AnswerFinished(self.ask.ask_id, text, self.last.model, self.last.tokens, self.last.truncated),
            ]
        if do in (Do.FAIL_BUSY, Do.FAIL_REFUSED, Do.FAIL_DEADLINE) and failed is not None:
            return [failed]
        if do is Do.WAIT_PROMISED:
            self.expect_s = wait_s
            self._arm(now, wait_s)
            return [AskPromised(self.ask.ask_id, wait_s)]
        if do is Do.ASK_FOR_MISSING:
            self._ask_again(now, turns_too=not self.held_by_peer)
        elif do is Do.ASK_WHOLE_AGAIN:
            restarted = bool(self.shown)
            self.pieces.clear()
            self.last, self.shown, self.held_by_peer = None, "", False
            self._ask_again(now, turns_too=True)
            return [AnswerRestarted(self.ask.ask_id)] if restarted else []
        elif do is Do.SEND_CANCEL and self.sent:
            self.queue(Cancel(self.ask.ask_id), self.peer)
        return []

    def _ask_again(self, now: float, *, turns_too: bool) -> None:
        self.repeats += 1
        left_s = max(limits.DEADLINE_S_MIN, int(self.deadline_at - now))
        turns = self.ask.turns if turns_too else ()
        self.queue(replace(self.ask, deadline_s=left_s, turns=turns, have=frozenset(self.pieces)), self.peer)
        self.timer_at = None

    def _show(self, part: AnswerPiece | AnswerDone) -> list[Event]:
        text = ""
        for number in range(limits.PIECES_MAX):
            if number not in self.pieces:
                text += part.text if part.number == number else ""
                break
            text += self.pieces[number]
        new = text[len(self.shown) :]
        self.shown += new
        return [AnswerText(self.ask.ask_id, new)] if new else []

    def _arm(self, now: float, wait_s: float) -> None:
        patience_s = (wait_s + self.round_trip_s + _SLACK_S) * _BACKOFF ** (self.repeats + 1)
        self.timer_at = now + patience_s
