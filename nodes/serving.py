"""Peers' questions: admitted, answered by the engine, or declined with the reason.

Answers only the radios that the owner listed. One task per question; a cancelled or expired question stops its task.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from random import Random

import trio

from nodes.admission import Admission, BusyError
from nodes.interfaces import Engine, Prompt
from nodes.offers import Offers
from nodes.pump import Pump
from nodes.trace import Trace
from protocol import limits
from protocol.errors import LocalError, RefuseCode
from protocol.events import AskReceived, AskStopped
from protocol.messages import AnswerDone, Ask, Busy, ModelOffer, Refuse, Role, Turn

__all__ = ["AIR_TOKENS", "BYTES_PER_TOKEN", "Serving"]

AIR_TOKENS = 120
"""Answer length over the air when the asker names none: about three packets."""
BYTES_PER_TOKEN = 4
"""Of text, roughly."""
_AIR_TOKENS_MAX = 300
_PROMISE_AFTER_S = 15.0
"""A wait longer than this is told at once, so that the asker does not ask again meanwhile."""
_REFUSE_STRANGERS_EVERY_S = 60.0
"""Strangers are told once in this time that they are not answered: more would let anyone spend our air."""
_ENGINE_AWAY_S = 60
"""When to ask again a node whose engine is not there."""
_BRIEF = Turn(Role.SYSTEM, "Answer in one to three short sentences.")
"""Put before a conversation without instructions: every byte of the answer costs shared air."""


class Serving:
    """Answers peers' questions with this node's engine."""

    def __init__(
        self,
        *,
        engine: Engine | None,
        offers: Offers,
        admission: Admission,
        serves: Callable[[str], bool],
        rng: Random,
        trace: Trace,
    ) -> None:
        """`serves` tells whether a peer is answered at all."""
        self._engine = engine
        self._offers = offers
        self._admission = admission
        self._serves = serves
        self._rng = rng
        self._trace = trace
        self._nursery: trio.Nursery | None = None
        self._scopes: dict[tuple[Pump, str, int], trio.CancelScope] = {}
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
        if isinstance(verdict, ModelOffer):
            # Known before its task runs: the question may be cancelled until then.
            scope = self._scopes[pump, event.peer, event.ask.ask_id] = trio.CancelScope()
            self._nursery.start_soon(self._answer, pump, event.peer, event.ask, verdict, scope)
            return
        code = verdict.code if isinstance(verdict, Refuse) else None
        self._trace.note("ask.refused", peer=event.peer, why="BUSY" if code is None else code.name)
        if code is not RefuseCode.NOT_ALLOWED or self._may_tell_stranger():
            pump.session.decline(event.peer, verdict)
            pump.wake()

    def stop(self, pump: Pump, event: AskStopped) -> None:
        """Stop working on a question."""
        scope = self._scopes.get((pump, event.peer, event.ask_id))
        if scope is not None:
            self._trace.note("ask.stopped", peer=event.peer, expired=event.expired)
            scope.cancel()

    def _judge(self, pump: Pump, peer: str, ask: Ask) -> ModelOffer | Refuse | Busy:
        """The model to answer with, or why not."""
        now = trio.current_time()
        if not self._serves(peer):
            return Refuse(ask.ask_id, RefuseCode.NOT_ALLOWED)
        if ask.turns[-1].role is not Role.USER or not ask.turns[-1].text.strip():
            return Refuse(ask.ask_id, RefuseCode.BAD_REQUEST)
        offers = self._offers.at(now)
        if self._engine is not None and not offers:
            return Busy(ask.ask_id, _ENGINE_AWAY_S, _ENGINE_AWAY_S)
        if max(self._admission.backlog_s(now), pump.air_wait_s(0)) > ask.deadline_s:
            return Refuse(ask.ask_id, RefuseCode.DEADLINE)
        offer = next((offer for offer in offers if ask.model in ("", offer.name)), None)
        return offer or Refuse(ask.ask_id, RefuseCode.NO_MODEL)

    def _may_tell_stranger(self) -> bool:
        now = trio.current_time()
        if now - self._stranger_told_at < _REFUSE_STRANGERS_EVERY_S:
            return False
        self._stranger_told_at = now
        return True

    async def _answer(self, pump: Pump, peer: str, ask: Ask, offer: ModelOffer, scope: trio.CancelScope) -> None:
        assert self._engine is not None
        key = (pump, peer, ask.ask_id)
        tokens = min(ask.max_tokens or AIR_TOKENS, _AIR_TOKENS_MAX)
        work_s = tokens / offer.tokens_per_s
        turns = ask.turns if ask.turns[0].role is Role.SYSTEM else (_BRIEF, *ask.turns)
        prompt = Prompt(turns, tokens, offer.name, seed=self._rng.getrandbits(31))
        text: list[str] = []
        with scope:
            try:
                self._promise(pump, peer, ask, tokens, work_s)
                async with self._admission.slot(work_s):
                    finished = await self._engine.answer(prompt, text.append)
                answer = "".join(text).strip()
                if not answer:
                    raise LocalError("the model said nothing")
                model = "" if finished.model == offer.name else finished.model
                done = AnswerDone(ask.ask_id, 0, answer, model, truncated=finished.truncated)
                pump.session.answer(peer, done)
                self._trace.note("ask.answered", peer=peer, tokens=finished.answer_tokens)
            except BusyError as busy:
                pump.session.decline(peer, Busy(ask.ask_id, busy.retry_after_s, busy.backlog_s))
            except LocalError as error:
                self._trace.note("ask.failed", peer=peer, why=error.what)
                reason = error.what.encode(errors="replace")[: limits.REASON_BYTES_MAX].decode(errors="ignore")
                pump.session.decline(peer, Refuse(ask.ask_id, RefuseCode.ENGINE_FAILED, reason))
            finally:
                if self._scopes[key] is scope:  # else the peer asks the same anew while this one was being stopped
                    del self._scopes[key]
                pump.wake()

    def _promise(self, pump: Pump, peer: str, ask: Ask, tokens: int, work_s: float) -> None:
        now = trio.current_time()
        # The promise needs air too, and it is better a little late than broken.
        air_wait_s = pump.air_wait_s(tokens * BYTES_PER_TOKEN + limits.FRAGMENT_PAYLOAD_BYTES)
        wait_s = min(max(self._admission.backlog_s(now) + work_s, air_wait_s), limits.DEADLINE_S_MAX)
        if wait_s > _PROMISE_AFTER_S:
            pump.session.accept(peer, ask.ask_id, ceil(wait_s), now)
            pump.wake()
        else:
            pump.session.expect(peer, ask.ask_id, wait_s, now)
