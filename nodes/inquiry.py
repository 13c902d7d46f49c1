"""The owner's questions: from the cache, from this node's engine, or from the peer that should be done first.

Tries again elsewhere when a peer is busy, refuses or fails, within the deadline, and says what happens meanwhile.
Each question ends in one answer or one error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random

import trio

from nodes.admission import Admission, BusyError
from nodes.cache import AnswerCache, CachedAnswer
from nodes.interfaces import Cost, Engine, Prompt
from nodes.pump import Pump
from nodes.router import Candidate, choose, expected_s
from nodes.serving import AIR_TOKENS
from nodes.trace import Trace
from nodes.wishes import Answer, Chosen, LookingAround, Progress, Promised, Restarted, Text, Wish
from protocol import limits
from protocol.answers import answer_key
from protocol.errors import LocalError, MeshaiError, RefuseCode, RemoteError
from protocol.events import (
    AnswerFinished,
    AnswerRestarted,
    AnswerText,
    AskFailed,
    AskPromised,
    Failure,
)
from protocol.messages import Role
from protocol.peers import PeerTable

__all__ = ["Inquiry"]

HERE_TOKENS = 512
"""Answer length on this node when the asker names none."""
AIR_QUESTION_BYTES_MAX = 1500
"""Longest conversation sent by radio: nine packets, some 20 s of air on LONG_FAST."""

_TRIES = 4
_LOOKS = 4
_LOOK_S_MAX = 50.0
"""Looking around ends within this: who waits longer should hear that nobody is there."""
_LOOK_SLACK_S = 4.0
_BEARER_PATIENCE_S = 15.0
"""How long a question waits for a radio that is away."""
_HOPS_ASSUMED = 3
_BYTES_PER_TOKEN = 4


class _NotThisOneError(Exception):
    """This candidate gives no answer; another may."""

    def __init__(self, error: MeshaiError, retry_after_s: float | None = None) -> None:
        self.error = error
        self.retry_after_s = retry_after_s
        super().__init__(error)


class Inquiry:
    """Answers the owner's questions."""

    def __init__(
        self,
        *,
        name: str,
        engine: Engine | None,
        admission: Admission,
        cache: AnswerCache,
        peers: PeerTable,
        pumps: Sequence[Pump],
        look_around: Callable[[], None],
        rng: Random,
        trace: Trace,
    ) -> None:
        """`look_around` sends a Who on every bearer, at a bounded rate."""
        self._name = name
        self._engine = engine
        self._admission = admission
        self._cache = cache
        self._peers = peers
        self._pumps = pumps
        self._look_around = look_around
        self._rng = rng
        self._trace = trace
        self._open: dict[tuple[str, int], trio.MemorySendChannel[_Reply]] = {}
        self._changed = trio.lowlevel.ParkingLot()

    def take(self, pump: Pump, event: _Reply) -> None:
        """Hand a session's event to the question that it belongs to."""
        channel = self._open.get((pump.bearer.name, event.ask_id))
        if channel is not None:
            channel.send_nowait(event)

    def look_again(self) -> None:
        """A beacon came, or a bearer is up: whoever waits for a peer looks again."""
        self._changed.unpark_all()

    async def ask(self, wish: Wish, show: Callable[[Progress], None]) -> Answer:
        """See `nodes.node.Node.ask`."""
        _check(wish)
        started = trio.current_time()
        key = answer_key(wish.turns, model=wish.model, max_tokens=wish.max_tokens)
        kept = None if wish.fresh else self._cache.get(key)
        if kept is not None:
            show(Text(kept.text))
            self._trace.note("ask.cached")
            return Answer(
                kept.text,
                kept.model,
                kept.answered_by,
                "cache",
                True,
                kept.hops,
                kept.tokens,
                kept.truncated,
                trio.current_time() - started,
                Cost(),
            )
        with trio.move_on_after(wish.deadline_s):
            answer = await self._ask_somebody(wish, show)
            answer = replace(answer, seconds=trio.current_time() - started)
            self._keep(key, answer)
            return answer
        raise RemoteError(
            "no answer in time", f"the {wish.deadline_s} s are over", "ask again, or wait longer with --deadline"
        )

    async def _ask_somebody(self, wish: Wish, show: Callable[[Progress], None]) -> Answer:
        excluded: set[str] = set()
        problem: MeshaiError | None = None
        for _ in range(_TRIES):
            candidate = await self._find(wish, excluded, show, waiting=problem is None)
            if candidate is None:
                break
            show(Chosen(candidate, expected_s(candidate, **_sizes(wish, here=not candidate.address))))
            self._trace.note("ask.sent", to=candidate.address or "here", model=candidate.model)
            try:
                if not candidate.address:
                    return await self._ask_here(wish, candidate, show)
                return await self._ask_peer(wish, candidate, show)
            except _NotThisOneError as no:
                problem = no.error
                self._trace.note("ask.declined", by=candidate.address or "here", why=no.error.what)
                if no.retry_after_s is not None and not self._candidates(wish, excluded | {candidate.address}):
                    await trio.sleep(no.retry_after_s)
                else:
                    excluded.add(candidate.address)
        raise problem or self._nobody(wish)

    # Who could answer

    async def _find(
        self, wish: Wish, excluded: set[str], show: Callable[[Progress], None], *, waiting: bool
    ) -> Candidate | None:
        give_up_at = trio.current_time() + _LOOK_S_MAX
        for _ in range(_LOOKS):
            candidate = self._choose(wish, excluded)
            usable = await self._usable(patient=candidate is None and waiting)
            if candidate is not None or not waiting or not usable:
                return candidate
            slowest_s = max(pump.bearer.path_time_s(limits.FRAME_BYTES_MAX, _HOPS_ASSUMED) for pump in usable)
            wait_s = slowest_s * 2 + _LOOK_SLACK_S
            if trio.current_time() + wait_s > give_up_at:
                break
            show(LookingAround(wait_s))
            self._look_around()
            with trio.move_on_after(wait_s):
                while self._choose(wish, excluded) is None:
                    await self._changed.park()
        return self._choose(wish, excluded)

    async def _usable(self, *, patient: bool) -> list[Pump]:
        """The pumps whose bearers can send; with `patient`, waits a little for one."""
        with trio.move_on_after(_BEARER_PATIENCE_S if patient and self._pumps else 0):
            while all(pump.bearer.problem for pump in self._pumps):
                await self._changed.park()
        return [pump for pump in self._pumps if not pump.bearer.problem]

    def _choose(self, wish: Wish, excluded: set[str]) -> Candidate | None:
        candidates = self._candidates(wish, excluded)
        here = any(not candidate.address for candidate in candidates)
        return choose(candidates, model=wish.model, **_sizes(wish, here=here))

    def _candidates(self, wish: Wish, excluded: set[str]) -> list[Candidate]:
        now = trio.current_time()
        found = []
        if self._engine is not None and "" not in excluded:
            backlog_s = self._admission.backlog_s(now)
            found += [
                Candidate("", self._name, offer.name, offer.tokens_per_s, offer.context_tokens, backlog_s, 0.0)
                for offer in self._engine.models
            ]
        for pump in self._pumps:
            if pump.bearer.problem:
                continue
            for peer in self._peers.fresh(now):
                offer = peer.offer(wish.model)
                if offer is not None and peer.address not in excluded:
                    hops = peer.hops or _HOPS_ASSUMED
                    transfer_s = 4 * pump.bearer.path_time_s(limits.FRAME_BYTES_MAX, hops)
                    found.append(
                        Candidate(
                            peer.address,
                            peer.beacon.name,
                            offer.name,
                            offer.tokens_per_s,
                            offer.context_tokens,
                            peer.backlog_s(now),
                            transfer_s,
                            peer.hops,
                        )
                    )
        return found

    def _nobody(self, wish: Wish) -> MeshaiError:
        now = trio.current_time()
        problems = "; ".join(pump.bearer.problem for pump in self._pumps if pump.bearer.problem)
        model = f" with the model {wish.model}" if wish.model else ""
        if problems:
            return LocalError("the question can't leave this device", problems, "check the radio's cable and address")
        if not self._pumps:
            return LocalError(
                f"nobody can answer{model}",
                "this node has no model and no radio",
                "fetch a model with `meshai models get smollm2-135m`, or name a radio with --radio",
            )
        if self._peers.fresh(now):
            return RemoteError(
                f"nobody in reach answers{model}",
                "the nodes heard have other models or too little room",
                "see `meshai peers`, ask something shorter, or let the model open",
            )
        return RemoteError(
            f"nobody in reach{model}",
            "no node that answers was heard",
            "check the antenna, move the radio higher, or wait: nodes announce themselves every few minutes",
        )

    # Asking one

    async def _ask_here(self, wish: Wish, candidate: Candidate, show: Callable[[Progress], None]) -> Answer:
        assert self._engine is not None
        tokens = _sizes(wish, here=True)["answer_tokens"]
        shown: list[str] = []

        def emit(text: str) -> None:
            shown.append(text)
            show(Text(text))

        prompt = Prompt(wish.turns, tokens, candidate.model, seed=self._rng.getrandbits(31))
        try:
            async with self._admission.slot(tokens / candidate.tokens_per_s):
                finished = await self._engine.answer(prompt, emit)
        except BusyError as busy:
            error = LocalError("this node is busy", f"{busy.backlog_s} s of work wait", "try again then")
            raise _NotThisOneError(error, busy.retry_after_s) from busy
        return Answer(
            "".join(shown),
            finished.model,
            self._name,
            "model",
            True,
            0,
            finished.answer_tokens,
            finished.truncated,
            finished.seconds,
            Cost(),
        )

    async def _ask_peer(self, wish: Wish, candidate: Candidate, show: Callable[[Progress], None]) -> Answer:
        pump = self._pumps[0] if len(self._pumps) == 1 else next(p for p in self._pumps if not p.bearer.problem)
        size = sum(len(turn.text.encode()) for turn in wish.turns)
        if size > AIR_QUESTION_BYTES_MAX:
            raise LocalError(
                f"the question has {size} bytes, too many for the radio",
                f"{AIR_QUESTION_BYTES_MAX} are the most",
                "shorten it, or start a new conversation",
            )
        now = trio.current_time()
        sizes = _sizes(wish, here=False)
        before = pump.spent_with(candidate.address)
        wait_s = expected_s(replace(candidate, transfer_s=0.0), **sizes)
        ask_id = pump.session.ask(
            candidate.address,
            wish.turns,
            deadline_s=wish.deadline_s,
            expect_s=wait_s,
            now=now,
            model=wish.model,
            max_tokens=sizes["answer_tokens"],
        )
        send, receive = trio.open_memory_channel[_Reply](float("inf"))
        self._open[pump.bearer.name, ask_id] = send
        try:
            pump.wake()
            async for event in receive:
                match event:
                    case AskPromised(wait_s=promised_s):
                        show(Promised(promised_s))
                    case AnswerText(text=text):
                        show(Text(text))
                    case AnswerRestarted():
                        show(Restarted())
                    case AnswerFinished():
                        return Answer(
                            event.text,
                            event.model,
                            candidate.name,
                            "model",
                            False,
                            pump.session.hops_to(candidate.address),
                            event.tokens,
                            event.truncated,
                            trio.current_time() - now,
                            pump.spent_with(candidate.address) - before,
                        )
                    case AskFailed():
                        raise self._why_not(event, candidate)
            raise AssertionError("the channel closes only below")
        finally:
            del self._open[pump.bearer.name, ask_id]
            pump.session.cancel(ask_id, trio.current_time())
            pump.wake()

    def _why_not(self, failed: AskFailed, candidate: Candidate) -> Exception:
        name = candidate.name
        if failed.failure is Failure.BUSY:
            why = f"it is busy and asks to wait {failed.retry_after_s} s"
            error = RemoteError(f"no answer from {name}", why, "try again then")
            return _NotThisOneError(error, failed.retry_after_s)
        if failed.failure is Failure.REFUSED:
            why, fix = _REFUSALS.get(failed.code, _REFUSALS[RefuseCode.UNKNOWN])
            return _NotThisOneError(RemoteError(f"no answer from {name}", failed.reason or why, fix, code=failed.code))
        self._peers.lost(candidate.address)
        why = "it was heard, but the answer did not come in time" if failed.heard else "nothing was heard from it"
        return RemoteError(f"no answer from {name}", why, "ask again, or wait longer with --deadline")

    def _keep(self, key: bytes, answer: Answer) -> None:
        self._cache.put(
            key,
            CachedAnswer(
                answer.text,
                answer.model,
                answer.answered_by,
                answer.tokens,
                answer.truncated,
                answer.hops,
            ),
        )


_Reply = AskPromised | AnswerText | AnswerRestarted | AnswerFinished | AskFailed

_REFUSALS = {
    RefuseCode.UNKNOWN: ("it refused", "ask another node"),
    RefuseCode.NO_MODEL: ("it does not have that model", "see `meshai peers`, or let the model open"),
    RefuseCode.TOO_LONG: ("the question is too long for its model", "shorten it"),
    RefuseCode.NOT_ALLOWED: ("it does not answer this radio", "its owner can allow you with --allow and your number"),
    RefuseCode.DEADLINE: ("it can't answer in time", "wait longer with --deadline"),
    RefuseCode.ENGINE_FAILED: ("its model failed", "ask again"),
    RefuseCode.LEAVING: ("it is shutting down", "ask another node"),
    RefuseCode.BAD_REQUEST: ("it did not understand the question", "update meshai on both sides"),
}


def _check(wish: Wish) -> None:
    size = sum(len(turn.text.encode(errors="replace")) for turn in wish.turns)
    if not wish.turns or not wish.turns[-1].text.strip() or wish.turns[-1].role is not Role.USER:
        raise LocalError("there is no question", "it is empty", 'write one, such as: meshai ask "Why is the sky blue?"')
    if size > limits.QUESTION_BYTES_MAX:
        raise LocalError(
            f"the question has {size} bytes, too many",
            f"{limits.QUESTION_BYTES_MAX} are the most",
            "shorten it, or start a new conversation",
        )
    if not limits.DEADLINE_S_MIN <= wish.deadline_s <= limits.DEADLINE_S_MAX:
        raise LocalError(
            f"a deadline of {wish.deadline_s} s is impossible",
            "",
            f"use {limits.DEADLINE_S_MIN} to {limits.DEADLINE_S_MAX} s",
        )
    if not 0 <= wish.max_tokens <= limits.TOKENS_MAX:
        raise LocalError(f"{wish.max_tokens} tokens are impossible", "", f"use 1 to {limits.TOKENS_MAX}")


def _sizes(wish: Wish, *, here: bool) -> dict[str, int]:
    prompt_tokens = sum(len(turn.text.encode(errors="replace")) for turn in wish.turns) // _BYTES_PER_TOKEN + 1
    return {"prompt_tokens": prompt_tokens, "answer_tokens": wish.max_tokens or (HERE_TOKENS if here else AIR_TOKENS)}
