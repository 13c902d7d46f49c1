"""One node's side of the protocol on one bearer, without I/O: frames in, events and packets out.

`receive`, `ask`, `answer` and the timer change state and queue; nothing is sent here. `now` is in seconds of any
steady clock; `next_timer` says when `handle_timer` wants to be called. Whatever arrives, nothing but Dropped comes of
what makes no sense, and memory stays within `protocol.limits`.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import partial as bound
from typing import TYPE_CHECKING

from protocol import limits
from protocol.answering import Request
from protocol.asking import Question
from protocol.codec import decode, decode_answer_prefix, encode
from protocol.coded import NOTHING_READABLE, Texts, UnreadableTextError
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

    from protocol.text import TextCoder

__all__ = ["Session"]


_RETRIES_AFTER_DEADLINE = 2
"""A finished answer is held for so many round trips past its deadline."""


class Session:
    """The protocol's state for all peers on one bearer."""

    def __init__(
        self,
        *,
        rng: Random,
        path_time: Callable[[int, int], float],
        serves: Callable[[str], bool] = lambda peer: True,
        coder: TextCoder | None = None,
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        """`path_time(frame_bytes, hops)`: seconds for one frame to cross; `serves(peer)`: whether we answer it.

        `coder` makes texts compact; None sends them as they are and reads no other. `busy()`: whether others use the
        air now, so that we are patient.
        """
        self._rng = rng
        self._path_time = path_time
        self._serves = serves
        self._texts = Texts(coder, self._wanted)
        self._busy = busy
        self._outbox = Outbox(rng.getrandbits(8), self._encode)
        self._reassembler = Reassembler()
        self._questions: dict[int, Question] = {}
        self._requests: dict[tuple[str, int], Request] = {}
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
        if not turns:
            raise LocalError("there is no question", "the conversation is empty")
        if len(self._questions) >= limits.QUESTIONS_MAX:
            raise LocalError(
                "the question was not sent", f"{limits.QUESTIONS_MAX} are open already", "wait for answers"
            )
        while (ask_id := self._rng.getrandbits(32)) in self._questions:
            pass
        ask = Ask(ask_id, model, deadline_s, max_tokens, turns, packs=self._texts.packs)

        def queue(message: Message, copies: int) -> bool:
            return self._outbox.queue(message, peer, copies)

        question = Question(peer, ask, now + deadline_s, expect_s, self._pace_s(peer), queue, self._busy)
        self._questions[ask_id] = question
        try:
            if not queue(ask, 1):
                raise LocalError("the question was not sent", "too many messages wait to be sent already", "ask later")
        except LocalError:
            del self._questions[ask_id]
            raise
        return ask_id

    def cancel(self, ask_id: int, now: float) -> None:
        """Give up a question; no event follows."""
        question = self._questions.pop(ask_id, None)
        if question is not None:
            self._outbox.drop(question.peer, ask_id)
            question.cancel(now)

    # Answering

    def accept(self, peer: str, ask_id: int, wait_s: float, now: float) -> None:
        """Promise the answer in `wait_s` seconds. Nothing happens when its question is closed."""
        if (request := self._requests.get((peer, ask_id))) is not None:
            request.accept(wait_s, now)

    def expect(self, peer: str, ask_id: int, wait_s: float, now: float) -> None:
        """Note when the answer should be ready, to be told only if the peer asks again."""
        if (request := self._requests.get((peer, ask_id))) is not None:
            request.expect(wait_s, now)

    def answer(self, peer: str, part: AnswerPiece | AnswerDone) -> None:
        """Queue the next part of an answer; raises LocalError when its question is closed or it breaks a limit."""
        request = self._requests.get((peer, part.ask_id))
        if request is None:
            raise LocalError("the answer was not sent", "its question is closed")
        request.add(part)
        if isinstance(part, AnswerDone):
            # The asker's deadline began before we heard of it, and its last repetitions may come late.
            request.expires_at += _RETRIES_AFTER_DEADLINE * 2 * self._pace_s(peer)

    def decline(self, peer: str, message: Busy | Refuse) -> None:
        """Say that no answer will come, or none now. Nothing happens when the question is closed.

        Raises LocalError when the message breaks a limit.
        """
        if (request := self._requests.get((peer, message.ask_id))) is not None:
            request.say_no(message)

    # News

    def announce(self, news: Beacon | Who) -> None:
        """Queue a broadcast, in place of one of its kind that still waits; raises LocalError when it breaks a limit."""
        self._outbox.queue(news, None)

    # Frames

    def receive(self, frame: bytes, peer: str, now: float, *, hops: int = 0) -> None:
        """Take one frame from `peer`, which came over `hops` transmissions (0 when unknown)."""
        try:
            fragment = read_frame(frame)
            self._note_heard(peer, hops)
            data = self._reassembler.add(peer, fragment, now)
            if data is not None:
                self._take(decode(data, bound(self._texts.read, peer)), peer, now)
            elif fragment.total > 1 and self._asked(peer):
                self._take_beginning(peer, fragment.transfer, now)
        except UnreadableTextError as unreadable:
            self._take_unreadable(unreadable, peer, now)
        except RemoteError as error:
            self._events.append(Dropped(peer, str(error)))

    def next_packet(self, used: Callable[[str | None], float] = lambda peer: 0.0) -> Packet | None:
        """Take the most urgent packet to send, or None; among equals, for the peer for whom `used` gives least."""
        packet = self._outbox.next(used)
        if packet is not None and (question := self._asked_by(packet)) is not None:
            question.sent = True
        return packet

    def peek_packet(self, used: Callable[[str | None], float] = lambda peer: 0.0) -> Packet | None:
        """The packet that `next_packet` would take."""
        return self._outbox.peek(used)

    def waiting(self) -> Iterator[Packet]:
        """The packets that wait to be sent."""
        return self._outbox.waiting()

    def packet_sent(self, packet: Packet, now: float) -> None:
        """`packet` has crossed, as far as the bearer can tell: waiting for the reply starts here."""
        if (question := self._asked_by(packet)) is not None:
            question.was_sent(packet.total, now)

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
        coming = [partial for partial in self._reassembler.incomplete if partial.gaps < limits.GAPS_PATIENT]
        incoming = {partial.peer for partial in coming}
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

    def _asked_by(self, packet: Packet) -> Question | None:
        """The open question that `packet` puts, if it is the last one waiting of its Ask."""
        if packet.ask_id is None or packet.kind != Ask.__name__ or self._outbox.waits(packet.transfer):
            return None
        return self._questions.get(packet.ask_id)

    def _encode(self, message: Message, peer: str | None) -> bytes:
        readable, about = NOTHING_READABLE, ""
        if isinstance(message, Ask):
            question = self._questions[message.ask_id]
            readable = NOTHING_READABLE if question.plainly else self._texts.packs_of(question.peer)
        elif isinstance(message, AnswerPiece | AnswerDone) and peer is not None:
            ask = self._requests[peer, message.ask_id].ask
            readable, about = ask.packs, ask.turns[-1].text
        return encode(message, lambda text: self._texts.write(text, readable, about))

    def _wanted(self, peer: str, kind: type, ask_id: int) -> str | None:
        """What is known about a text that a peer sent: the question of an answer. None when nobody waits for it."""
        if kind is Ask:
            return "" if self._serves(peer) and (peer, ask_id) not in self._requests else None
        question = self._question(peer, ask_id)
        return question.ask.turns[-1].text if question else None

    def _take_unreadable(self, unreadable: UnreadableTextError, peer: str, now: float) -> None:
        self._events.append(Dropped(peer, str(unreadable)))
        if unreadable.kind is Ask:
            self._outbox.queue(Refuse(unreadable.ask_id, RefuseCode.UNREADABLE), peer)
        else:
            self._events += self._questions[unreadable.ask_id].could_not_read(now)

    def _pace_s(self, peer: str) -> float:
        return self._path_time(limits.FRAME_BYTES_MAX, self._hops.get(peer) or limits.HOPS_ASSUMED)

    def _note_heard(self, peer: str, hops: int) -> None:
        for question in self._questions.values():
            question.heard |= question.peer == peer
        if hops > 0:
            self._hops[peer] = hops
            self._hops.move_to_end(peer)
            if len(self._hops) > limits.PEERS_MAX:
                self._hops.popitem(last=False)

    def _take(self, message: Message, peer: str, now: float) -> None:
        match message:
            case Beacon():
                self._texts.told(peer, message.packs)
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
            case _:
                self._take_reply(message, peer, now)

    def _question(self, peer: str, ask_id: int) -> Question | None:
        """Our question `ask_id`, if it is open and was put to `peer`."""
        question = self._questions.get(ask_id)
        return question if question is not None and question.peer == peer else None

    def _take_reply(self, message: Accept | Busy | Refuse | AnswerPiece | AnswerDone, peer: str, now: float) -> None:
        question = self._question(peer, message.ask_id)
        if question is None:
            self._events.append(Dropped(peer, "it answered a question that is not open with it"))
            return
        if isinstance(message, AnswerPiece | AnswerDone):
            self._events += question.take_answer(message, now)
        else:
            self._events += question.take(message, now)
        self._tidy(question)

    def _take_beginning(self, peer: str, transfer: int, now: float) -> None:
        for partial in self._reassembler.incomplete:
            if (partial.peer, partial.transfer) == (peer, transfer):
                answer = decode_answer_prefix(partial.prefix, bound(self._texts.read_beginning, peer))
                question = self._question(peer, answer.ask_id) if answer else None
                if answer and question:
                    self._events += question.take_answer(answer, now, missing=len(partial.missing))

    def _take_ask(self, ask: Ask, peer: str, now: float) -> None:
        key = (peer, ask.ask_id)
        known = self._requests.get(key)
        if known is not None:
            known.again(ask, now)
        elif not ask.turns:
            self._events.append(Dropped(peer, "it repeated a question that is not held"))
            if self._serves(peer):
                self._outbox.queue(Refuse(ask.ask_id, RefuseCode.FORGOTTEN), peer)
        elif not self._make_room(peer):
            self._events.append(Dropped(peer, "too many questions are held already"))
        else:
            expires_at = now + max(limits.DEADLINE_S_MIN, ask.deadline_s)
            run = self._rng.getrandbits(16) or 1
            self._requests[key] = Request(peer, ask, expires_at, run, self._outbox.queue, self._outbox.repeat)
            self._events.append(AskReceived(peer, ask))

    def _make_room(self, peer: str) -> bool:
        """Forget the oldest question that may go, if `peer` or all hold too many: strangers take no friend's place."""
        own = [request for request in self._requests.values() if request.peer == peer]
        if len(own) >= limits.ASKS_HELD_PER_PEER_MAX:
            may_go = [request for request in own if not request.open]
        elif len(self._requests) >= limits.ASKS_HELD_MAX:
            may_go = [request for request in self._requests.values() if not self._serves(request.peer)]
            if not may_go and self._serves(peer):
                may_go = [request for request in self._requests.values() if not request.open]
        else:
            return True
        if not may_go:
            return False
        if may_go[0].open:
            self._close(may_go[0], expired=False)
        del self._requests[may_go[0].peer, may_go[0].ask.ask_id]
        return True

    def _close(self, request: Request, *, expired: bool) -> None:
        self._outbox.drop(request.peer, request.ask.ask_id)
        if request.close(expired=expired):
            self._events.append(AskStopped(request.peer, request.ask.ask_id, expired))

    def _tidy(self, question: Question) -> None:
        if question.closed:
            del self._questions[question.ask.ask_id]
            self._outbox.drop(question.peer, question.ask.ask_id)

    def _gap_at(self, partial: Incomplete) -> float:
        patience_s: float = (2 * self._pace_s(partial.peer) + limits.SLACK_S) * limits.GAP_BACKOFF**partial.gaps
        return partial.quiet_since + patience_s

    def _ask_for_gap(self, partial: Incomplete, now: float) -> None:
        if partial.gaps >= limits.GAPS_MAX or not self._wants(partial):
            self._reassembler.forget(partial.peer, partial.transfer)
            self._events.append(Dropped(partial.peer, f"{len(partial.missing)} parts of a message never came"))
        else:
            partial.asked_about(now)
            self._outbox.queue(Gap(partial.transfer, partial.missing), partial.peer)

    def _wants(self, partial: Incomplete) -> bool:
        answer = decode_answer_prefix(partial.prefix)
        if answer is not None:
            return self._question(partial.peer, answer.ask_id) is not None
        return self._asked(partial.peer) or self._serves(partial.peer)

    def _asked(self, peer: str) -> bool:
        return any(question.peer == peer for question in self._questions.values())
