"""Our own questions: what was asked, what came back, and when to ask again.

One `Question` per ask. It decides with the table in `protocol.states` and returns events; `protocol.session` owns
the questions and the outbox.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from protocol import limits
from protocol.coded import NOTHING_READABLE
from protocol.errors import RefuseCode
from protocol.events import AnswerFinished, AnswerRestarted, AnswerText, AskFailed, AskPromised, Dropped, Event, Failure
from protocol.messages import Accept, AnswerDone, AnswerPiece, Ask, Busy, Cancel, Message, Refuse
from protocol.states import ASKER, Asking, AskingInput, Do

__all__ = ["Question"]


@dataclass(slots=True)
class _Parts:
    """One answer, as far as it is here."""

    texts: dict[int, str] = field(default_factory=dict)
    last: AnswerDone | None = None

    @property
    def whole(self) -> bool:
        return self.last is not None and len(self.texts) > self.last.number

    def fits(self, part: AnswerPiece | AnswerDone) -> bool:
        """Whether `part` can be of the same answer as what is here already."""
        if self.last is None:
            numbered_well = isinstance(part, AnswerPiece) or part.number > max(self.texts, default=-1)
        elif isinstance(part, AnswerDone):
            numbered_well = part.number == self.last.number
        else:
            numbered_well = part.number < self.last.number
        other_bytes = sum(len(text.encode()) for number, text in self.texts.items() if number != part.number)
        return numbered_well and other_bytes + len(part.text.encode()) <= limits.ANSWER_BYTES_MAX

    def add(self, part: AnswerPiece | AnswerDone) -> None:
        """Keep `part`; the first one of a number counts."""
        self.texts.setdefault(part.number, part.text)
        if isinstance(part, AnswerDone):
            self.last = self.last or part

    def beginning(self, part: AnswerPiece | AnswerDone) -> str:
        """The text up to the first gap, which `part` may help to fill though it is not here whole."""
        texts: list[str] = []
        while (number := len(texts)) in self.texts:
            texts.append(self.texts[number])
        if part.number == number:
            texts.append(part.text)
        return "".join(texts)


@dataclass(slots=True)
class Question:
    """One of our questions to one peer."""

    peer: str
    ask: Ask
    deadline_at: float
    expect_s: float
    """Seconds that the peer should need, judged from its beacon."""
    reply_s: float
    """Seconds for a full frame to come back."""
    queue: Callable[[Message, int], bool]
    """Queues a message for the peer, to be sent so many times; False without room."""
    busy: Callable[[], bool]
    """Whether others use the air now."""
    state: Asking = Asking.ASKED
    timer_at: float | None = None
    """When to ask again; None while the Ask waits to be sent."""
    wait_s: float = field(init=False)
    """Seconds that the peer should still need after the next Ask, as far as it has told."""
    sent: bool = False
    """Whether a whole Ask has left, or is leaving."""
    heard: bool = False
    """Whether the peer was heard at all since we asked."""
    repeats: int = 0
    restarts: int = 0
    plainly: bool = False
    """Whether the peer could not read our packs, so that the question goes in none."""
    held_by_peer: bool = False
    """Whether the peer has shown that it holds the whole question."""
    answers: OrderedDict[int, _Parts] = field(default_factory=OrderedDict)
    """By their run; the one that a part came of last stands last."""
    shown: str = ""

    def __post_init__(self) -> None:
        self.wait_s = self.expect_s

    @property
    def closed(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state is Asking.CLOSED

    def was_sent(self, packets: int, now: float) -> None:
        """The last waiting packet of an Ask of that many packets has crossed: from now on we wait."""
        lost_packets_s = 2 * self.reply_s + limits.SLACK_S if packets > 1 else 0.0
        self._arm(now, max(self.wait_s, lost_packets_s))

    def take(self, message: Accept | Busy | Refuse, now: float) -> list[Event]:
        """Take the peer's word on the question."""
        ask_id = self.ask.ask_id
        match message:
            case Accept():
                self.held_by_peer = True
                return self._step(AskingInput.ACCEPT, now, wait_s=message.wait_s)
            case Busy():
                failed = AskFailed(ask_id, Failure.BUSY, retry_after_s=message.retry_after_s, heard=True)
                return self._step(AskingInput.BUSY, now, failed=failed)
            case _:
                if message.code is RefuseCode.FORGOTTEN and self.restarts < limits.RESTARTS_MAX:
                    # Only a repetition without the turns can be forgotten; otherwise the reply is late.
                    return self._step(AskingInput.FORGOTTEN, now) if self.held_by_peer else []
                if message.code is RefuseCode.UNREADABLE and not self.plainly:
                    self.plainly = True
                    return self._step(AskingInput.FORGOTTEN, now)
                failed = AskFailed(ask_id, Failure.REFUSED, code=message.code, reason=message.reason, heard=True)
                return self._step(AskingInput.REFUSE, now, failed=failed)

    def take_answer(self, part: AnswerPiece | AnswerDone, now: float, *, missing: int = 0) -> list[Event]:
        """Take a part of the answer; `missing` frames of it are still to come (its text is then a beginning)."""
        parts = self.answers.get(part.run) or _Parts()
        if not parts.fits(part):
            return [Dropped(self.peer, "a part of its answer does not fit the others")]
        self.held_by_peer = True
        self.answers[part.run] = parts
        self.answers.move_to_end(part.run)
        if len(self.answers) > limits.RUNS_HELD_MAX:
            self.answers.popitem(last=False)
        if not missing:
            parts.add(part)
        text = parts.beginning(part)
        if parts.whole:
            return self._step(AskingInput.WHOLE, now, text=text, last=parts.last)
        return self._step(AskingInput.PART, now, text=text, missing=missing)

    def could_not_read(self, now: float) -> list[Event]:
        """The peer's answer came in a code that can't be read here: once, ask for it in plain text."""
        if self.ask.packs == NOTHING_READABLE:
            return []
        self.ask = replace(self.ask, packs=NOTHING_READABLE)
        self.held_by_peer = True
        return self._step(AskingInput.TIMER, now)

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
        text: str = "",
        missing: int = 0,
        last: AnswerDone | None = None,
    ) -> list[Event]:
        ask_id = self.ask.ask_id
        self.state, do = ASKER.get((self.state, what), (self.state, Do.NOTHING))
        if do is Do.SHOW:
            self.wait_s = 0
            self._arm(now, missing * self.reply_s)
            return [] if self.shown.startswith(text) else self._show(text)
        if do is Do.FINISH and last is not None:
            return [*self._show(text), AnswerFinished(ask_id, text, last.model, last.tokens, last.truncated)]
        if do in (Do.FAIL_BUSY, Do.FAIL_REFUSED, Do.FAIL_DEADLINE) and failed is not None:
            return [failed]
        if do is Do.WAIT_PROMISED:
            self.wait_s = wait_s
            self._arm(now, wait_s)
            return [AskPromised(ask_id, wait_s)]
        if do is Do.ASK_FOR_MISSING:
            self._ask_again(now)
        elif do is Do.ASK_WHOLE_AGAIN:
            self.restarts += 1
            self.held_by_peer = False
            self._ask_again(now, self.expect_s)
        elif do is Do.SEND_CANCEL and self.sent:
            self.queue(Cancel(ask_id), 1)
        return []

    def _ask_again(self, now: float, wait_s: float = 0.0) -> None:
        """Ask again; a peer that is still at work says how long it needs."""
        self.repeats += 1
        self.wait_s = wait_s
        run = next(reversed(self.answers), 0)
        again = replace(
            self.ask,
            deadline_s=max(limits.DEADLINE_S_MIN, int(self.deadline_at - now)),
            turns=() if self.held_by_peer else self.ask.turns,
            have=frozenset(self.answers[run].texts) if run in self.answers else frozenset(),
            run=run,
        )
        self.timer_at = None
        if not self.queue(again, limits.COPIES if self.repeats > limits.COPIES_AFTER and not self.busy() else 1):
            self._arm(now, self.wait_s)

    def _show(self, text: str) -> list[Event]:
        """Events that lead from the text shown so far to `text`."""
        events: list[Event] = []
        if not text.startswith(self.shown):
            events.append(AnswerRestarted(self.ask.ask_id))
            self.shown = ""
        if text != self.shown:
            events.append(AnswerText(self.ask.ask_id, text[len(self.shown) :]))
        self.shown = text
        return events

    def _arm(self, now: float, wait_s: float) -> None:
        patience_s = wait_s + limits.REPLY_SPREAD * self.reply_s + limits.SLACK_S
        if self.busy():
            patience_s = max(patience_s, limits.PATIENCE_BUSY_S) * limits.REPEAT_BACKOFF_BUSY**self.repeats
        else:
            patience_s = max(patience_s, min(patience_s * limits.REPEAT_BACKOFF**self.repeats, limits.REPEAT_STEADY_S))
        self.timer_at = now + patience_s
