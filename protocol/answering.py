"""Peers' questions: which are open, what was answered, and what to send when one is repeated.

One `Request` per question of a peer. It decides with the table in `protocol.states`; a repeated question never
reaches the engine again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

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
    queue: Callable[[Message, str], int]
    queue_again: Callable[[str, int, Iterable[int]], bool]
    state: Answering = Answering.ASKED
    ready_at: float | None = None
    """When the whole answer should be ready, as promised."""
    parts: list[tuple[int, AnswerPiece | AnswerDone]] = field(default_factory=list)
    """Transfer number and message of each part of the answer, in order."""
    decline: Busy | Refuse | None = None

    @property
    def open(self) -> bool:
        """Whether the node still works on it."""
        return self.state in (Answering.ASKED, Answering.PROMISED)

    def accept(self, wait_s: int, now: float) -> None:
        """Promise the answer in `wait_s` seconds."""
        if self._step(AnsweringInput.ACCEPT) is Do.SEND_PROMISE:
            self.expect(wait_s, now)
            self._send_promise(now)

    def expect(self, wait_s: float, now: float) -> None:
        """Note when the answer should be ready, for repetitions, without telling the peer now."""
        self.ready_at = now + wait_s

    def add(self, part: AnswerPiece | AnswerDone) -> None:
        """Queue the next part of the answer; raises LocalError when the question is no longer open."""
        what = AnsweringInput.DONE if isinstance(part, AnswerDone) else AnsweringInput.PIECE
        if self._step(what) is not Do.SEND_PART:
            raise LocalError("the answer was not sent", "its question is closed")
        self.parts.append((self.queue(part, self.peer), part))

    def say_no(self, decline: Busy | Refuse) -> None:
        """Tell the peer that no answer will come, or none now."""
        if self._step(AnsweringInput.DECLINE) is Do.SEND_DECLINE:
            self.decline = decline
            self.queue(decline, self.peer)

    def again(self, ask: Ask, now: float) -> None:
        """The peer repeated its question: send what it lacks."""
        do = self._step(AnsweringInput.AGAIN)
        if do is Do.REPEAT_DECLINE and self.decline is not None:
            self.queue(self.decline, self.peer)
        elif do is Do.SEND_MISSING:
            have = ask.have or frozenset()
            self.parts = [
                (transfer, part)
                if part.number in have or self.queue_again(self.peer, transfer, ())
                else (self.queue(part, self.peer), part)
                for transfer, part in self.parts
            ]
            if self.open:
                self._send_promise(now)

    def close(self, *, expired: bool) -> bool:
        """End it; returns True when the node must stop working on it."""
        do = self._step(AnsweringInput.EXPIRE if expired else AnsweringInput.CANCEL)
        self.parts.clear()
        return do is Do.STOP

    def _send_promise(self, now: float) -> None:
        wait_s = max(0, round((self.ready_at or now) - now))
        self.queue(Accept(self.ask.ask_id, min(wait_s, self.ask.deadline_s)), self.peer)

    def _step(self, what: AnsweringInput) -> Do:
        self.state, do = ANSWERER.get((self.state, what), (self.state, Do.NOTHING))
        return do
