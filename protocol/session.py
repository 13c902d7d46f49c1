"""One node's side of the protocol on one bearer, without I/O: frames in, events and packets out.

`receive`, `ask`, `answer` and the timer change state and queue; nothing is sent here. Every method takes `now` in
seconds of any steady clock; `next_timer` says when `handle_timer` wants to be called.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol import limits
from protocol.answering import Request
from protocol.asking import Question
from protocol.codec import decode, decode_answer_prefix
from protocol.errors import LocalError, RefuseCode, RemoteError
from protocol.events import AskReceived, AskStopped, BeaconHeard, Dropped, Event, WhoHeard
from protocol.fragments import Incomplete, Reassembler, read_frame
from protocol.messages import (
    Accept,
    AnswerDone,
    AnswerPiece,
    Ask,
    Beacon,
    Busy,
    Cancel,
    Gap,
    Message,
    Refuse,
    Turn,
    Who,
)
from protocol.outbox import Outbox, Packet

if TYPE_CHECKING:
    from random import Random

__all__ = ["Session"]

_HOPS_UNKNOWN = 3
_GAP_SLACK_S = 1.0


class Session:
    """The protocol's state for all peers on one bearer."""

    def __init__(
        self,
        *,
        rng: Random,
        path_time: Callable[[int, int], float],
        serves: Callable[[str], bool] = lambda peer: True,
    ) -> None:
        """`path_time(frame_bytes, hops)`: seconds for one frame to cross; `serves(peer)`: whether we answer it."""
        self._rng = rng
        self._path_time = path_time
        self._serves = serves
        self._outbox = Outbox(rng.getrandbits(8))
        self._reassembler = Reassembler()
        self._questions: dict[int, Question] = {}
        self._requests: OrderedDict[tuple[str, int], Request] = OrderedDict()
        self._gaps: dict[tuple[str, int], tuple[int, float]] = {}
        self._hops: OrderedDict[str, int] = OrderedDict()
        self._events: deque[Event] = deque()

    # Asking

    def ask(
        self,
        peer: str,
        turns: tuple[Turn, ...],
        *,
        deadline_s: int,
        expect_s: float,
        now: float,
        model: str = "",
        max_tokens: int = 0,
    ) -> int:
        """Queue a question and return its id; `expect_s` is how long the peer should need.

        Raises LocalError when the question breaks a limit. Ends in exactly one AnswerFinished or AskFailed, unless
        cancelled.
        """
        ask_id = self._rng.getrandbits(32)
        while ask_id in self._questions:
            ask_id = self._rng.getrandbits(32)
        ask = Ask(ask_id, model, deadline_s, max_tokens, turns)
        self._outbox.queue(ask, peer)
        self._questions[ask_id] = Question(
            peer, ask, now + deadline_s, expect_s, 2 * self._pace_s(peer), self._outbox.queue
        )
        return ask_id

    def cancel(self, ask_id: int, now: float) -> None:
        """Give up a question; no event follows."""
        question = self._questions.pop(ask_id, None)
        if question is not None:
            self._outbox.drop(question.peer, ask_id)
            question.cancel(now)

    # Answering

    def accept(self, peer: str, ask_id: int, wait_s: int, now: float) -> None:
        """Promise the answer in `wait_s` seconds."""
        self._request(peer, ask_id).accept(wait_s, now)

    def expect(self, peer: str, ask_id: int, wait_s: float, now: float) -> None:
        """Note when the answer should be ready, to be told only if the peer asks again."""
        self._request(peer, ask_id).expect(wait_s, now)

    def answer(self, peer: str, part: AnswerPiece | AnswerDone) -> None:
        """Queue the next part of an answer; raises LocalError when its question is closed or it breaks a limit."""
        self._request(peer, part.ask_id).add(part)

    def decline(self, peer: str, message: Busy | Refuse) -> None:
        """Say that no answer will come, or none now."""
        self._request(peer, message.ask_id).say_no(message)

    # News

    def announce(self, news: Beacon | Who) -> None:
        """Queue a broadcast."""
        self._outbox.queue(news, None)

    # Frames

    def receive(self, frame: bytes, peer: str, now: float, *, hops: int = 0) -> None:
        """Take one frame from `peer`, which came over `hops` transmissions (0 when unknown)."""
        try:
            fragment = read_frame(frame)
            self._note_hops(peer, hops)
            data = self._reassembler.add(peer, fragment, now)
            if data is not None:
                self._take(decode(data), peer, now)
            elif fragment.total > 1:
                self._take_beginning(peer, fragment.transfer, now)
        except RemoteError as error:
            self._events.append(Dropped(peer, str(error)))

    def next_packet(self) -> Packet | None:
        """Take the most urgent packet to send, or None."""
        return self._outbox.next()

    def packet_sent(self, packet: Packet, now: float) -> None:
        """The bearer has sent `packet`: waiting for the reply starts here."""
        if packet.kind == Ask.__name__ and packet.last and packet.ask_id in self._questions:
            self._questions[packet.ask_id].was_sent(now)

    @property
    def packets_waiting(self) -> int:
        """How many packets wait to be sent."""
        return len(self._outbox)

    def hops_to(self, peer: str) -> int:
        """Transmissions along the path to `peer`, as last heard; 0 when unknown."""
        return self._hops.get(peer, 0)

    # Time

    def next_timer(self) -> float | None:
        """When `handle_timer` wants to be called, or None."""
        times = [question.deadline_at for question in self._questions.values()]
        times += [q.timer_at for q in self._questions.values() if q.timer_at is not None]
        times += [request.expires_at for request in self._requests.values()]
        times += [self._gap_at(partial) for partial in self._reassembler.incomplete]
        return min(times, default=None)

    def handle_timer(self, now: float) -> None:
        """Do what is due at `now`."""
        for partial in self._reassembler.incomplete:
            if now >= self._gap_at(partial):
                self._ask_for_gap(partial, now)
        incoming = {partial.peer for partial in self._reassembler.incomplete}
        for question in list(self._questions.values()):
            self._events += question.handle_timer(now, incoming=question.peer in incoming)
            self._tidy(question)
        for key, request in list(self._requests.items()):
            if now >= request.expires_at:
                self._close(request, expired=True)
                del self._requests[key]

    def next_event(self) -> Event | None:
        """Take the oldest event, or None."""
        return self._events.popleft() if self._events else None

    # Inside

    def _pace_s(self, peer: str) -> float:
        return self._path_time(limits.FRAME_BYTES_MAX, self._hops.get(peer) or _HOPS_UNKNOWN)

    def _note_hops(self, peer: str, hops: int) -> None:
        if hops:
            self._hops[peer] = hops
            self._hops.move_to_end(peer)
            if len(self._hops) > limits.PEERS_MAX:
                self._hops.popitem(last=False)

    def _request(self, peer: str, ask_id: int) -> Request:
        try:
            return self._requests[peer, ask_id]
        except KeyError:
            raise LocalError("the answer was not sent", "its question is closed") from None

    def _take(self, message: Message, peer: str, now: float) -> None:
        match message:
            case Beacon():
                self._events.append(BeaconHeard(peer, message, self.hops_to(peer)))
            case Who():
                self._events.append(WhoHeard(peer))
            case Ask():
                self._take_ask(message, peer, now)
            case Cancel():
                request = self._requests.get((peer, message.ask_id))
                if request is not None:
                    self._close(request, expired=False)
            case Gap():
                if not self._outbox.queue_again(peer, message.transfer, message.missing):
                    self._events.append(Dropped(peer, "it asked for parts of a message that is no longer held"))
            case AnswerPiece() | AnswerDone():
                question = self._question(peer, message.ask_id)
                if question is not None:
                    self._events += question.take_answer(message, now)
                    self._tidy(question)
            case Accept() | Busy() | Refuse():
                question = self._question(peer, message.ask_id)
                if question is not None:
                    self._events += question.take(message, now)
                    self._tidy(question)

    def _question(self, peer: str, ask_id: int) -> Question | None:
        question = self._questions.get(ask_id)
        if question is None or question.peer != peer:
            self._events.append(Dropped(peer, "it answered a question that is not open with it"))
            return None
        return question

    def _take_beginning(self, peer: str, transfer: int, now: float) -> None:
        for partial in self._reassembler.incomplete:
            if (partial.peer, partial.transfer) == (peer, transfer):
                answer = decode_answer_prefix(partial.prefix)
                question = self._questions.get(answer.ask_id) if answer else None
                if answer and question and question.peer == peer:
                    self._events += question.take_answer(answer, now, missing=len(partial.missing))

    def _take_ask(self, ask: Ask, peer: str, now: float) -> None:
        key = (peer, ask.ask_id)
        known = self._requests.get(key)
        if known is not None:
            known.again(ask, now)
            return
        if not ask.turns:
            self._outbox.queue(Refuse(ask.ask_id, RefuseCode.FORGOTTEN), peer)
            return
        held = [request for request in self._requests.values() if request.peer == peer and request.open]
        if len(held) >= limits.ASKS_HELD_PER_PEER_MAX:
            self._events.append(Dropped(peer, f"it has {len(held)} questions open already"))
            return
        if len(self._requests) >= limits.ASKS_HELD_MAX and not self._make_room():
            self._events.append(Dropped(peer, f"{limits.ASKS_HELD_MAX} questions are open already"))
            return
        expires_at = now + max(limits.DEADLINE_S_MIN, ask.deadline_s)
        self._requests[key] = Request(peer, ask, expires_at, self._outbox.queue, self._outbox.queue_again)
        self._events.append(AskReceived(peer, ask))

    def _make_room(self) -> bool:
        for key, request in self._requests.items():
            if not request.open:
                del self._requests[key]
                return True
        return False

    def _close(self, request: Request, *, expired: bool) -> None:
        self._outbox.drop(request.peer, request.ask.ask_id)
        if request.close(expired=expired):
            self._events.append(AskStopped(request.peer, request.ask.ask_id, expired))

    def _tidy(self, question: Question) -> None:
        if question.closed:
            del self._questions[question.ask.ask_id]
            self._outbox.drop(question.peer, question.ask.ask_id)

    def _gap_at(self, partial: Incomplete) -> float:
        count, asked_at = self._gaps.get((partial.peer, partial.transfer), (0, 0.0))
        quiet_s: float = (2 * self._pace_s(partial.peer) + _GAP_SLACK_S) * (1 << count)
        return max(partial.heard_at, asked_at) + quiet_s

    def _ask_for_gap(self, partial: Incomplete, now: float) -> None:
        key = (partial.peer, partial.transfer)
        count, _ = self._gaps.pop(key, (0, 0.0))
        wanted = self._serves(partial.peer) or any(q.peer == partial.peer for q in self._questions.values())
        if count >= limits.GAPS_MAX or not wanted:
            self._reassembler.forget(*key)
            self._events.append(Dropped(partial.peer, f"{len(partial.missing)} parts of a message never came"))
            return
        self._gaps[key] = (count + 1, now)
        self._outbox.queue(Gap(partial.transfer, partial.missing), partial.peer)
