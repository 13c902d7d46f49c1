"""Peers' questions: which are open, what was answered, and what to send when one is repeated.

One `Request` per question of a peer. It decides with the table in `protocol.states`; a repeated question never
reaches the engine again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from protocol import limits
from protocol.errors import LocalError
from protocol.messages import Accept, AnswerDone, AnswerPiece, Ask, Busy, Message, Refuse
from protocol.states import ANSWERER, Answering, AnsweringInput, Do

__all__ = ["Request"]


@dataclass(slots=True)
class Request:
    """One question of one peer."""

    peer: str
    ask: Ask
    expires_at: float
    run: int
    """What marks the parts of this answer, when it has several."""
    queue: Callable[[Message, str], bool]
    repeat: Callable[[Message, str, int], bool]
    """As `queue`, for what was sent before, and to be sent so many times."""
    state: Answering = Answering.ASKED
    ready_at: float | None = None
    """When the whole answer should be ready, as far as the node has said."""
    parts: list[AnswerPiece | AnswerDone] = field(default_factory=list)
    """The parts of the answer so far, in order."""
    answer_bytes: int = 0
    repeats: int = 0
    """How often the peer has asked again."""
    decline: Busy | Refuse | None = None

    @property
    def open(self) -> bool:
        """Whether the node still works on it."""
        return self.state in (Answering.ASKED, Answering.PROMISED)

    def accept(self, wait_s: float, now: float) -> None:
        """Promise the answer in `wait_s` seconds."""
        if self._step(AnsweringInput.ACCEPT) is Do.SEND_PROMISE:
            self.expect(wait_s, now)
            self._send_promise(now)

    def expect(self, wait_s: float, now: float) -> None:
        """Note when the answer should be ready, for repetitions, without telling the peer now."""
        self.ready_at = now + wait_s

    def add(self, part: AnswerPiece | AnswerDone) -> None:
        """Queue the next part of the answer; raises LocalError, and changes nothing, when it can't be sent."""
        after, do = self._after(AnsweringInput.DONE if isinstance(part, AnswerDone) else AnsweringInput.PIECE)
        size = self.answer_bytes + len(part.text.encode(errors="replace"))
        if do is not Do.SEND_PART:
            raise LocalError("the answer was not sent", "its question is closed")
        if part.number != len(self.parts):
            raise LocalError("the answer was not sent", f"part {len(self.parts)} comes next, not {part.number}")
        if size > limits.ANSWER_BYTES_MAX:
            raise LocalError("the answer was not sent", f"{limits.ANSWER_BYTES_MAX} bytes are the most")
        if self.parts or isinstance(part, AnswerPiece):
            part = replace(part, run=self.run)
        if not self.queue(part, self.peer):
            raise LocalError("the answer was not sent", "too many messages wait to be sent already")
        self.state, self.answer_bytes = after, size
        self.parts.append(part)

    def say_no(self, decline: Busy | Refuse) -> None:
        """Tell the peer that no answer will come, or none now; raises LocalError when `decline` breaks a limit."""
        after, do = self._after(AnsweringInput.DECLINE)
        if do is Do.SEND_DECLINE:
            self.queue(decline, self.peer)
            self.state, self.decline = after, decline

    def again(self, ask: Ask, now: float) -> None:
        """The peer repeated its question: send what it lacks."""
        do = self._step(AnsweringInput.AGAIN)
        if ask.packs != self.ask.packs:
            # It could not read what was sent: parts that are new objects are coded anew.
            self.ask = replace(self.ask, packs=ask.packs)
            self.parts = [replace(part) for part in self.parts]
        if do is Do.REPEAT_DECLINE and self.decline is not None:
            self.queue(self.decline, self.peer)
        elif do is Do.SEND_MISSING:
            have = ask.have or frozenset()
            self.repeats += 1
            copies = limits.COPIES if self.repeats > limits.COPIES_AFTER else 1
            for part in self.parts:
                if part.number not in have or part.run != ask.run:
                    self.repeat(part, self.peer, copies)
            if self.open and (self.parts or self.ready_at is not None):
                self._send_promise(now)

    def close(self, *, expired: bool) -> bool:
        """End it; returns True when the node must stop working on it."""
        do = self._step(AnsweringInput.EXPIRE if expired else AnsweringInput.CANCEL)
        self.parts.clear()
        return do is Do.STOP

    def _send_promise(self, now: float) -> None:
        left_s = 0.0 if self.ready_at is None else self.ready_at - now
        self.queue(Accept(self.ask.ask_id, min(max(0, round(left_s)), self.ask.deadline_s)), self.peer)

    def _step(self, what: AnsweringInput) -> Do:
        self.state, do = self._after(what)
        return do

    def _after(self, what: AnsweringInput) -> tuple[Answering, Do]:
        return ANSWERER.get((self.state, what), (self.state, Do.NOTHING))
