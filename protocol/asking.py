"""Our own questions: what was asked, what came back, and when to ask again.

One `Question` per ask. It decides with the table in `protocol.states` and returns events; `protocol.session` owns
the questions and the outbox.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from protocol import limits
from protocol.errors import RefuseCode
from protocol.events import AnswerFinished, AnswerRestarted, AnswerText, AskFailed, AskPromised, Dropped, Event, Failure
from protocol.messages import Accept, AnswerDone, AnswerPiece, Ask, Busy, Cancel, Message, Refuse
from protocol.states import ASKER, Asking, AskingInput, Do

__all__ = ["Question"]


@dataclass(slots=True)
class Question:
    """One of our questions to one peer."""

    ask_id: int
    """What the owner of the session knows it by."""
    peer: str
    ask: Ask
    """As it is on the wire; its id is a fresh one after the peer forgot the question."""
    deadline_at: float
    expect_s: float
    """Seconds that the peer should need, judged from its beacon."""
    round_trip_s: float
    """Seconds for a full frame to go and one to come back."""
    queue: Callable[[Message], bool]
    fresh_id: Callable[[], int]
    state: Asking = Asking.ASKED
    timer_at: float | None = None
    """When to ask again; None while the Ask waits to be sent."""
    wait_s: float = field(init=False)
    """Seconds that the peer should still need after the next Ask, as far as it has told."""
    sent: bool = False
    heard: bool = False
    """Whether the peer was heard at all since we asked."""
    repeats: int = 0
    restarts: int = 0
    held_by_peer: bool = False
    """Whether the peer has shown that it holds the whole question."""
    pieces: dict[int, str] = field(default_factory=dict)
    last: AnswerDone | None = None
    shown: str = ""

    def __post_init__(self) -> None:
        self.wait_s = self.expect_s

    @property
    def closed(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state is Asking.CLOSED

    def was_sent(self, packets: int, now: float) -> None:
        """The last waiting packet of an Ask of that many packets left: from now on we wait."""
        self.sent = True
        lost_packets_s = self.round_trip_s + limits.SLACK_S if packets > 1 else 0.0
        self._arm(now, max(self.wait_s, lost_packets_s))

    def take(self, message: Accept | Busy | Refuse, now: float) -> list[Event]:
        """Take the peer's word on the question."""
        match message:
            case Accept():
                self.held_by_peer = True
                return self._step(AskingInput.ACCEPT, now, wait_s=message.wait_s)
            case Busy():
                failed = AskFailed(self.ask_id, Failure.BUSY, retry_after_s=message.retry_after_s, heard=True)
                return self._step(AskingInput.BUSY, now, failed=failed)
            case _:
                if message.code is RefuseCode.FORGOTTEN and self.restarts < limits.RESTARTS_MAX:
                    # Only a repetition without the turns can be forgotten; otherwise the reply is late.
                    return self._step(AskingInput.FORGOTTEN, now) if self.held_by_peer else []
                failed = AskFailed(self.ask_id, Failure.REFUSED, code=message.code, reason=message.reason, heard=True)
                return self._step(AskingInput.REFUSE, now, failed=failed)

    def take_answer(self, part: AnswerPiece | AnswerDone, now: float, *, missing: int = 0) -> list[Event]:
        """Take a part of the answer; `missing` frames of it are still to come (its text is then a beginning)."""
        if not self._fits(part):
            return [Dropped(self.peer, "a part of its answer does not fit the others")]
        self.held_by_peer = True
        if not missing:
            self.pieces.setdefault(part.number, part.text)
            if isinstance(part, AnswerDone):
                self.last = self.last or part
        whole = self.last is not None and len(self.pieces) > self.last.number
        return self._step(AskingInput.WHOLE if whole else AskingInput.PART, now, part=part, missing=missing)

    def handle_timer(self, now: float, *, incoming: bool) -> list[Event]:
        """Act on the deadline or the timer, if due; `incoming`: a message of this peer is arriving in parts."""
        if now >= self.deadline_at:
            failed = AskFailed(self.ask_id, Failure.DEADLINE, heard=self.heard)
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

    def _fits(self, part: AnswerPiece | AnswerDone) -> bool:
        """Whether `part` can be of the same answer as what is here already."""
        if self.last is not None:
            numbered_well = (
                (part.number == self.last.number) if isinstance(part, AnswerDone) else (part.number < self.last.number)
            )
        else:
            numbered_well = isinstance(part, AnswerPiece) or part.number > max(self.pieces, default=-1)
        other_bytes = sum(len(text.encode()) for number, text in self.pieces.items() if number != part.number)
        return numbered_well and other_bytes + len(part.text.encode()) <= limits.ANSWER_BYTES_MAX

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
            self.wait_s = 0
            self._arm(now, missing * self.round_trip_s / 2)
            return self._show(self._beginning(part))
        if do is Do.FINISH and self.last is not None:
            text = "".join(self.pieces[number] for number in range(self.last.number + 1))
            finished = AnswerFinished(self.ask_id, text, self.last.model, self.last.tokens, self.last.truncated)
            return [*self._show(text, final=True), finished]
        if do in (Do.FAIL_BUSY, Do.FAIL_REFUSED, Do.FAIL_DEADLINE) and failed is not None:
            return [failed]
        if do is Do.WAIT_PROMISED:
            self.wait_s = wait_s
            self._arm(now, wait_s)
            return [AskPromised(self.ask_id, wait_s)]
        if do is Do.ASK_FOR_MISSING:
            self._ask_again(now, turns_too=not self.held_by_peer)
        elif do is Do.ASK_WHOLE_AGAIN:
            self.restarts += 1
            self.ask = replace(self.ask, ask_id=self.fresh_id())
            self.pieces.clear()
            self.last, self.held_by_peer, self.wait_s = None, False, self.expect_s
            self._ask_again(now, turns_too=True)
            return self._show("", final=True)
        elif do is Do.SEND_CANCEL and self.sent:
            self.queue(Cancel(self.ask.ask_id))
        return []

    def _ask_again(self, now: float, *, turns_too: bool) -> None:
        self.repeats += 1
        left_s = max(limits.DEADLINE_S_MIN, int(self.deadline_at - now))
        turns = self.ask.turns if turns_too else ()
        self.timer_at = None
        if not self.queue(replace(self.ask, deadline_s=left_s, turns=turns, have=frozenset(self.pieces))):
            self._arm(now, self.wait_s)

    def _beginning(self, part: AnswerPiece | AnswerDone) -> str:
        texts: list[str] = []
        while (number := len(texts)) in self.pieces:
            texts.append(self.pieces[number])
        if part.number == number:
            texts.append(part.text)
        return "".join(texts)

    def _show(self, text: str, *, final: bool = False) -> list[Event]:
        """Events that lead from the text shown so far to `text`, or at least to it unless `final`."""
        if not final and self.shown.startswith(text):
            return []
        events: list[Event] = []
        if not text.startswith(self.shown):
            events.append(AnswerRestarted(self.ask_id))
            self.shown = ""
        if text != self.shown:
            events.append(AnswerText(self.ask_id, text[len(self.shown) :]))
        self.shown = text
        return events

    def _arm(self, now: float, wait_s: float) -> None:
        patience_s = (wait_s + self.round_trip_s + limits.SLACK_S) * limits.REPEAT_BACKOFF ** (self.repeats + 1)
        self.timer_at = now + patience_s
