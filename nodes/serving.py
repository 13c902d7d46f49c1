"""Peers' questions: admitted, answered by the engine, or declined with the reason.

Answers only the radios that the owner listed. One task per question; a cancelled or expired question stops its task.
Work on a question begins when the air for its answer is near, for whoever had least air first; who can't be answered
in time hears so at once, with the time at which it makes sense to ask again; so does whoever asks while the owner's
rules let this node work for nobody. What was begun by then is finished.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from random import Random

import trio

from nodes.admission import Admission, BusyError
from nodes.interfaces import Engine, Finished, Prompt
from nodes.offers import Offers
from nodes.pump import Pump
from nodes.sharing import Verdict
from nodes.trace import Trace
from protocol import limits
from protocol.errors import LocalError, RefuseCode
from protocol.events import AskReceived, AskStopped
from protocol.messages import AnswerDone, Ask, Busy, ModelOffer, Refuse, Role, Turn
from protocol.sizing import AIR_BYTES_PER_BYTE, AnswerSize, answer_size, cut

__all__ = ["Serving"]

_PROMISE_AFTER_S = 15.0
"""A wait so much longer than our beacon said is told at once, so that the asker does not ask again meanwhile."""
_MARGIN, _PROMISE_MARGIN = 2.0, 1.2
"""Waits for air may become so many times longer, since others ask meanwhile and have to be told something too: then an
answer should still be in time; and what is promised: better a little late than broken."""
_REPLY_BYTES = 8
"""Of an Accept, or a Busy. An answer is counted with two of them: better a little late than a promise broken."""
_REFUSE_STRANGERS_EVERY_S = 60.0
"""Strangers are told once in this time that they are not answered: more would let anyone spend our air."""
_ENGINE_AWAY_S = 60
"""When to ask again a node whose engine is not there."""
_RESTS_S = 600
"""When to ask again a node whose owner's rules say no, where nobody knows for how long."""
_AFTER_OWNER_S = 1.0
"""What every peer counts as having had on top: the owner's own work always comes first."""
_FRAME_S_MIN = 1e-6
"""What a frame is taken to need of a medium that costs nothing, as a LAN."""
_EXPECTED_LATE_S = 120.0
"""Who was told when to ask again, and is this late, has lost the place kept for it."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """How a question will be answered."""

    offer: ModelOffer
    airtime_s: float
    """Of the answer, as expected, relays not counted."""
    pace_s: float
    """Seconds that this answer keeps the next one waiting."""
    wait_s: float
    """Until the answer may leave."""


@dataclass(eq=False, frozen=True, slots=True)
class _Taken:
    """A question that is worked on, or waits for it."""

    scope: trio.CancelScope
    airtime_s: float
    """Of its answer, as expected, relays not counted."""


class Serving:
    """Answers peers' questions with this node's engine."""

    def __init__(
        self,
        *,
        engine: Engine | None,
        offers: Offers,
        admission: Admission,
        serves: Callable[[str], bool],
        sharing: Callable[[], Verdict],
        rng: Random,
        trace: Trace,
    ) -> None:
        """`serves` tells whether a peer is answered at all, `sharing` whether anybody is now."""
        self._engine = engine
        self._offers = offers
        self._admission = admission
        self._serves = serves
        self._sharing = sharing
        self._rng = rng
        self._trace = trace
        self._nursery: trio.Nursery | None = None
        self._taken: dict[tuple[Pump, str, int], _Taken] = {}
        self._lanes: dict[Pump, Admission] = {}
        """By bearer, admission to the work whose answers leave next."""
        self._expected: dict[tuple[Pump, str], tuple[float, float]] = {}
        """Who was told when to ask again: then, and the air that its answer will take."""
        self._stranger_told_at = float("-inf")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold the tasks of the questions under way, until cancelled; `started()` when questions can be taken."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                await trio.sleep_forever()
            finally:
                self._nursery = None

    def take(self, pump: Pump, event: AskReceived) -> None:
        """Take a new question."""
        if self._nursery is None:
            return  # the node is stopping
        verdict = self._judge(pump, event.peer, event.ask)
        if isinstance(verdict, _Plan):
            # Known before its task runs: the question may be cancelled until then.
            taken = _Taken(trio.CancelScope(), verdict.airtime_s)
            self._taken[pump, event.peer, event.ask.ask_id] = taken
            self._nursery.start_soon(self._answer, pump, event.peer, event.ask, verdict, taken)
            return
        code = verdict.code if isinstance(verdict, Refuse) else None
        self._trace.note("ask.refused", peer=event.peer, why="BUSY" if code is None else code.name)
        if code is not RefuseCode.NOT_ALLOWED or self._may_tell_stranger():
            pump.session.decline(event.peer, verdict)
            pump.wake()

    def stop(self, pump: Pump, event: AskStopped) -> None:
        """Stop working on a question."""
        taken = self._taken.get((pump, event.peer, event.ask_id))
        if taken is not None:
            self._trace.note("ask.stopped", peer=event.peer, expired=event.expired)
            taken.scope.cancel()

    def stop_all(self) -> None:
        """Stop working on every question."""
        for taken in self._taken.values():
            taken.scope.cancel()

    def backlog_s(self, pump: Pump) -> float:
        """Seconds until work on a question that comes now could begin, or its answer leave."""
        airtime_s = pump.airtime_s(limits.FRAGMENT_PAYLOAD_BYTES) + self._told_s(pump)
        airtime_s += sum(taken.airtime_s for (where, *_), taken in self._taken.items() if where is pump)
        air_wait_s = pump.air_wait_s(airtime_s=airtime_s, hops=1, bulk=True)
        return max(self._admission.backlog_s(trio.current_time()), min(_MARGIN * air_wait_s, limits.DEADLINE_S_MAX))

    def _told_s(self, pump: Pump, but: str = "") -> float:
        """Air of the answers to those who were told when to come; where others answer too, some go there."""
        told_s = sum(s for (where, peer), (_, s) in self._expected.items() if where is pump and peer != but)
        return told_s / (1 + len(pump.peers.fresh(trio.current_time())))

    def _judge(self, pump: Pump, peer: str, ask: Ask) -> _Plan | Refuse | Busy:
        """How to answer, or why not."""
        now = trio.current_time()
        if not self._serves(peer):
            return Refuse(ask.ask_id, RefuseCode.NOT_ALLOWED)
        if pump.silent:
            return Busy(ask.ask_id, _ENGINE_AWAY_S, _ENGINE_AWAY_S)
        if ask.turns[-1].role is not Role.USER or not ask.turns[-1].text.strip():
            return Refuse(ask.ask_id, RefuseCode.BAD_REQUEST)
        offers = self._offers.at(now)
        if self._engine is not None and not offers:
            return Busy(ask.ask_id, _ENGINE_AWAY_S, _ENGINE_AWAY_S)
        offer = next((offer for offer in offers if ask.model in ("", offer.name)), None)
        if offer is None:
            return Refuse(ask.ask_id, RefuseCode.NO_MODEL)
        sharing = self._sharing()
        if not sharing.shares:
            wait_s = _RESTS_S if sharing.until_s is None else ceil(min(max(sharing.until_s, 1), limits.DEADLINE_S_MAX))
            return Busy(ask.ask_id, wait_s, wait_s)
        size = self._size(pump, peer, ask)
        work_s = size.tokens / offer.tokens_per_s
        crossing_s = pump.bearer.path_time_s(limits.FRAME_BYTES_MAX, pump.session.hops_to(peer) or limits.HOPS_ASSUMED)
        pace_s = max(work_s, pump.budget_wait_s(size.air_bytes, peer))
        airtime_s = pump.airtime_s(size.air_bytes) + 2 * pump.airtime_s(_REPLY_BYTES)
        work_wait_s = self._admission.backlog_s(now) + work_s
        air_wait_s = self._air_wait_s(pump, peer, airtime_s)
        if work_s + crossing_s > ask.deadline_s:
            return Refuse(ask.ask_id, RefuseCode.DEADLINE, f"it needs about {work_s:.0f} s")
        if pace_s == float("inf"):
            return Refuse(ask.ask_id, RefuseCode.DEADLINE, "its airtime is too small for an answer")
        if max(work_wait_s, _MARGIN * air_wait_s) + crossing_s > ask.deadline_s:
            return self._busy(pump, peer, ask, airtime_s, work_wait_s)
        self._expected.pop((pump, peer), None)
        return _Plan(offer, airtime_s, pace_s, max(work_wait_s, _PROMISE_MARGIN * air_wait_s))

    def _busy(self, pump: Pump, peer: str, ask: Ask, airtime_s: float, work_wait_s: float) -> Busy:
        """Say when to ask again, and keep that place.

        Not before this question's deadline, and when a new one would wait half as long, after all who were told so
        far. Where others answer too, they may have gone there.
        """
        now = trio.current_time()
        airtime_s += self._ahead_s(pump, peer)
        told_s, hops = self._told_s(pump, but=peer), pump.session.hops_to(peer)
        wait_s = max(work_wait_s, _MARGIN * pump.air_wait_s(airtime_s=airtime_s + told_s, hops=hops, bulk=True))
        retry_s = min(max(ask.deadline_s, wait_s - ask.deadline_s / 2), limits.DEADLINE_S_MAX)
        self._expected[pump, peer] = (now + retry_s, airtime_s)
        return Busy(ask.ask_id, ceil(retry_s), ceil(min(wait_s, limits.DEADLINE_S_MAX)))

    def _ahead_s(self, pump: Pump, peer: str) -> float:
        """Air of the answers under way that leave before one to `peer`: to those who had less."""
        now = trio.current_time()
        had_s = pump.shares.had_s(peer, now)
        return sum(
            taken.airtime_s
            for (where, other, _), taken in self._taken.items()
            if where is pump and pump.shares.had_s(other, now) <= had_s
        )

    def _air_wait_s(self, pump: Pump, peer: str, airtime_s: float) -> float:
        """Seconds until an answer to `peer` may leave: also after those to who was told to come until then."""
        now = trio.current_time()
        self._expected = {key: place for key, place in self._expected.items() if place[0] + _EXPECTED_LATE_S >= now}
        own_due_at, _ = self._expected.get((pump, peer), (float("inf"), 0.0))
        hops = pump.session.hops_to(peer)
        in_all_s = airtime_s + self._ahead_s(pump, peer)
        wait_s = pump.air_wait_s(airtime_s=in_all_s, hops=hops, bulk=True)
        for (where, _), (due_at, other_s) in sorted(self._expected.items(), key=lambda item: item[1]):
            if where is pump and due_at < min(own_due_at, now + wait_s):
                in_all_s += other_s / (1 + len(pump.peers.fresh(now)))
                wait_s = pump.air_wait_s(airtime_s=in_all_s, hops=hops, bulk=True)
        return wait_s

    def _size(self, pump: Pump, peer: str, ask: Ask) -> AnswerSize:
        now, hops = trio.current_time(), pump.session.hops_to(peer)
        return answer_size(
            left_s=pump.budget.left_s(now, transmissions=pump.transmissions(peer), bulk=True),
            frame_airtime_s=max(pump.bearer.cost(limits.FRAME_BYTES_MAX).airtime_s, _FRAME_S_MIN),
            hops=hops,
            utilisation_percent=pump.budget.utilisation_percent(now),
            waiting=self._lane(pump).waiting,
            tokens_max=ask.max_tokens,
            air_bytes_per_byte=AIR_BYTES_PER_BYTE if pump.compact else 1.0,
            crowded=pump.crowd is not None,
        )

    def _lane(self, pump: Pump) -> Admission:
        slots = self._engine.slots if self._engine is not None else 1
        return self._lanes.setdefault(pump, Admission(slots + 1))

    def _may_tell_stranger(self) -> bool:
        now = trio.current_time()
        if now - self._stranger_told_at < _REFUSE_STRANGERS_EVERY_S:
            return False
        self._stranger_told_at = now
        return True

    async def _answer(self, pump: Pump, peer: str, ask: Ask, plan: _Plan, taken: _Taken) -> None:
        key = (pump, peer, ask.ask_id)

        def had() -> float:
            return _AFTER_OWNER_S + pump.shares.had_s(peer, trio.current_time())

        with taken.scope:
            try:
                self._promise(pump, peer, ask, plan.wait_s)
                async with self._lane(pump).slot(plan.pace_s, had):
                    size = self._size(pump, peer, ask)
                    async with self._admission.slot(size.tokens / plan.offer.tokens_per_s, had):
                        text, finished = await self._produce(ask, plan.offer, size)
                    model = "" if finished.model == plan.offer.name else finished.model
                    pump.session.answer(peer, AnswerDone(ask.ask_id, 0, text, model, truncated=finished.truncated))
                    self._trace.note("ask.answered", peer=peer, tokens=finished.answer_tokens)
                    pump.wake()
                    self._forget(key, taken)  # from now on it is a message that waits
                    await pump.until_sent(peer, ask.ask_id)
            except BusyError as busy:
                pump.session.decline(peer, Busy(ask.ask_id, busy.retry_after_s, busy.backlog_s))
            except LocalError as error:
                self._trace.note("ask.failed", peer=peer, why=error.what)
                reason = error.what.encode(errors="replace")[: limits.REASON_BYTES_MAX].decode(errors="ignore")
                pump.session.decline(peer, Refuse(ask.ask_id, RefuseCode.ENGINE_FAILED, reason))
            finally:
                self._forget(key, taken)
                pump.wake()

    async def _produce(self, ask: Ask, offer: ModelOffer, size: AnswerSize) -> tuple[str, Finished]:
        """Have the engine answer within `size`; raises LocalError when it fails or says nothing."""
        assert self._engine is not None
        first = ask.turns[0]
        wishes, rest = ([first.text], ask.turns[1:]) if first.role is Role.SYSTEM else ([], ask.turns)
        brief = Turn(Role.SYSTEM, "\n".join([*wishes, size.instruction]))
        prompt = Prompt((brief, *rest), size.tokens, offer.name, seed=self._rng.getrandbits(31))
        pieces: list[str] = []
        enough = trio.CancelScope()

        def emit(piece: str) -> None:
            pieces.append(piece)
            if sum(len(piece.encode(errors="replace")) for piece in pieces) > size.text_bytes:
                enough.cancel()

        finished = Finished(offer.name, 0, 0, True, 0.0, 0.0)
        with enough:
            finished = await self._engine.answer(prompt, emit)
        whole = "".join(pieces).strip()
        text = cut(whole, size.text_bytes)
        if not text:
            raise LocalError("the model said nothing")
        tokens = finished.answer_tokens or len(pieces)
        return text, replace(finished, answer_tokens=tokens, truncated=finished.truncated or text != whole)

    def _promise(self, pump: Pump, peer: str, ask: Ask, wait_s: float) -> None:
        now = trio.current_time()
        wait_s = min(wait_s, limits.DEADLINE_S_MAX)
        if wait_s > _PROMISE_AFTER_S + pump.announced_backlog_s():
            pump.session.accept(peer, ask.ask_id, ceil(wait_s), now)
            pump.wake()
        else:
            pump.session.expect(peer, ask.ask_id, wait_s, now)

    def _forget(self, key: tuple[Pump, str, int], taken: _Taken) -> None:
        if self._taken.get(key) is taken:  # else the peer asks the same anew while this one was being stopped
            del self._taken[key]
