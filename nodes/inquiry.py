"""The owner's questions: from the cache, from this node's engine, or from the peer that should be done first.

Tries again elsewhere when a peer is busy, refuses or fails, within the deadline, and says what happens meanwhile.
Each question ends in one answer or one error.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random

import trio

from nodes.admission import Admission, BusyError
from nodes.cache import AnswerCache, CachedAnswer
from nodes.interfaces import DIAGNOSIS_BYTES, Cost, Engine, Prompt
from nodes.lookout import Found, Lookout, Search, sizes
from nodes.pump import Pump
from nodes.router import Candidate, expected_s
from nodes.trace import Trace
from nodes.wishes import Answer, Chosen, Progress, Promised, Restarted, Text, Wish
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
from protocol.messages import Role, Turn

__all__ = ["Inquiry"]

_TRIES = 4
_CROWD_PASSES_S = 300
"""When to ask again after others used the air; see `protocol.budget`."""
_LOOK_AGAIN_S = 60
"""When to ask again where nothing was heard: by then a lost beacon may have been followed by another."""
_GRACE_S = 1.0
"""Past the deadline, for the session to say what was heard of the peer until then."""


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
        lookout: Lookout,
        rng: Random,
        trace: Trace,
    ) -> None:
        """`name` is this node's, as an answer made here names it."""
        self._name = name
        self._engine = engine
        self._admission = admission
        self._cache = cache
        self._lookout = lookout
        self._rng = rng
        self._trace = trace
        self._open: dict[tuple[Pump, int], trio.MemorySendChannel[_Reply]] = {}

    def take(self, pump: Pump, event: _Reply) -> None:
        """Hand a session's event to the question that it belongs to."""
        channel = self._open.get((pump, event.ask_id))
        if channel is not None:
            channel.send_nowait(event)

    async def ask(self, wish: Wish, show: Callable[[Progress], None]) -> Answer:
        """See `nodes.node.Node.ask`."""
        wish = _checked(wish)
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
        with trio.move_on_at(started + wish.deadline_s + _GRACE_S):
            answer = await self._ask_somebody(Search(wish, started + wish.deadline_s, set()), show)
            answer = replace(answer, seconds=trio.current_time() - started)
            self._keep(key, answer)
            return answer
        raise RemoteError(
            "no answer in time", f"the {wish.deadline_s} s are over", "ask again, or wait longer with --deadline"
        )

    async def _ask_somebody(self, search: Search, show: Callable[[Progress], None]) -> Answer:
        problem: MeshaiError | None = None
        has_text = False

        def tell(progress: Progress) -> None:
            nonlocal has_text
            has_text = isinstance(progress, Text) or (has_text and not isinstance(progress, Restarted))
            show(progress)

        for _ in range(_TRIES):
            found = await self._lookout.find(search, show) if problem is None else self._lookout.best(search)
            if found is None:
                break
            if has_text:
                tell(Restarted())
            candidate = found.candidate
            show(Chosen(candidate, expected_s(candidate, **sizes(search.wish, here=found.pump is None))))
            self._trace.note("ask.sent", to=candidate.address or "here", model=candidate.model)
            try:
                return await self._ask_one(found, search, tell)
            except _NotThisOneError as no:
                problem = no.error
                self._trace.note("ask.declined", by=candidate.address or "here", why=no.error.what)
                search.excluded.add(found.key)
                if no.retry_after_s is not None and self._lookout.best(search) is None:
                    if trio.current_time() + no.retry_after_s >= search.until:
                        break
                    await trio.sleep(no.retry_after_s)
                    search.excluded.remove(found.key)
        raise problem or self._lookout.nobody(search)

    async def _ask_one(self, found: Found, search: Search, show: Callable[[Progress], None]) -> Answer:
        if found.pump is None:
            answer = await self._ask_here(search.wish, found.candidate, show)
        else:
            answer = await self._ask_peer(search, found.candidate, found.pump, show)
        if not answer.text.strip():
            raise _NotThisOneError(RemoteError(f"no answer from {answer.answered_by}", "it is empty", "ask again"))
        return answer

    async def _ask_here(self, wish: Wish, candidate: Candidate, show: Callable[[Progress], None]) -> Answer:
        assert self._engine is not None
        tokens = sizes(wish, here=True)["answer_tokens"]
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
        except LocalError as error:
            raise _NotThisOneError(error) from error
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

    async def _ask_peer(
        self, search: Search, candidate: Candidate, pump: Pump, show: Callable[[Progress], None]
    ) -> Answer:
        wish, now = search.wish, trio.current_time()
        answer_sizes = sizes(wish, here=False)
        ask_id = pump.session.ask(
            candidate.address,
            wish.turns,
            deadline_s=max(limits.DEADLINE_S_MIN, int(search.until - now)),
            expect_s=expected_s(replace(candidate, transfer_s=0.0), **answer_sizes),
            now=now,
            model=wish.model,
            max_tokens=wish.max_tokens,
        )
        send, receive = trio.open_memory_channel[_Reply](float("inf"))
        self._open[pump, ask_id] = send
        pump.open_account(ask_id, candidate.address)
        try:
            pump.wake()
            silence = _Silence(candidate, pump, (search.until - now) / 2)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(silence.look_into)
                end = await _until_end(receive, silence, show)
                nursery.cancel_scope.cancel()
            if isinstance(end, AskFailed):
                raise _why_not(end, candidate, pump, silence.reason)
            return Answer(
                end.text,
                end.model or candidate.model,
                candidate.name,
                "model",
                False,
                pump.session.hops_to(candidate.address),
                end.tokens,
                end.truncated,
                trio.current_time() - now,
                pump.cost_of(ask_id),
            )
        finally:
            del self._open[pump, ask_id]
            pump.close_account(ask_id)
            pump.session.cancel(ask_id, trio.current_time())
            pump.wake()

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


class _Silence:
    """Looks for a reason when a peer says nothing for long."""

    def __init__(self, candidate: Candidate, pump: Pump, patience_s: float) -> None:
        self.reason: RemoteError | None = None
        self.broken = trio.Event()
        """Set once the peer has said something."""
        self._candidate = candidate
        self._pump = pump
        self._patience_s = patience_s

    async def look_into(self) -> None:
        """Wait for a word of the peer; when none comes in time, find out what can be found out."""
        with trio.move_on_after(self._patience_s):
            await self.broken.wait()
            return
        airtime_s = self._pump.bearer.cost(DIAGNOSIS_BYTES).airtime_s
        with suppress(LocalError):
            async with self._pump.turn(airtime_s, hops=self._candidate.hops):
                self.reason = await self._pump.bearer.diagnose(self._candidate.address, hops=self._candidate.hops)


async def _until_end(
    receive: trio.MemoryReceiveChannel[_Reply], silence: _Silence, show: Callable[[Progress], None]
) -> AnswerFinished | AskFailed:
    """Show what comes until the question has ended."""
    async for event in receive:
        match event:
            case AskPromised(wait_s=promised_s):
                show(Promised(promised_s))
            case AnswerText(text=text):
                show(Text(text))
            case AnswerRestarted():
                show(Restarted())
            case AnswerFinished() | AskFailed():
                return event
        silence.broken.set()
    raise AssertionError("the channel stays open while its question is")


_Reply = AskPromised | AnswerText | AnswerRestarted | AnswerFinished | AskFailed

_REFUSALS = {
    RefuseCode.UNKNOWN: ("it refused", "ask another node"),
    RefuseCode.NO_MODEL: ("it does not have that model", "see `meshai peers`, or let the model open"),
    RefuseCode.TOO_LONG: ("the question is too long for its model", "shorten it"),
    RefuseCode.NOT_ALLOWED: ("it does not answer this radio", "its owner can allow you with --allow and your number"),
    RefuseCode.DEADLINE: ("it can't answer in time", "wait longer with --deadline"),
    RefuseCode.ENGINE_FAILED: ("its model failed", "ask again"),
    RefuseCode.LEAVING: ("it is shutting down", "ask another node"),
    RefuseCode.UNREADABLE: ("it can't read this node's text packs", "update meshai on both sides"),
    RefuseCode.BAD_REQUEST: ("it did not understand the question", "update meshai on both sides"),
}


def _why_not(failed: AskFailed, candidate: Candidate, pump: Pump, reason: RemoteError | None) -> Exception:
    name = candidate.name
    if failed.failure is Failure.BUSY:
        pump.peers.busy(candidate.address, trio.current_time() + failed.retry_after_s)
        why = f"it is busy and asks to wait {failed.retry_after_s} s"
        error = RemoteError(f"no answer from {name}", why, "try again then")
        return _NotThisOneError(error, failed.retry_after_s)
    if failed.failure is Failure.REFUSED:
        why, fix = _REFUSALS.get(failed.code, _REFUSALS[RefuseCode.UNKNOWN])
        return _NotThisOneError(RemoteError(f"no answer from {name}", failed.reason or why, fix, code=failed.code))
    if not failed.heard and pump.crowd is None:  # else it may only have had to be silent
        pump.peers.lost(candidate.address)
    if reason is not None and not failed.heard:
        return RemoteError(f"no answer from {name}", f"{reason.what}: {reason.why}", reason.fix)
    why = "it was heard, but the answer did not come in time" if failed.heard else "nothing was heard from it"
    crowd = pump.crowd
    if crowd is not None:
        pump.peers.busy(candidate.address, trio.current_time() + _CROWD_PASSES_S)
        why = f"{why}: {crowd} of the air is in use here"
        return RemoteError(f"no answer from {name}", why, f"ask again in {_CROWD_PASSES_S} s, when less is going on")
    return RemoteError(f"no answer from {name}", why, f"ask again in {_LOOK_AGAIN_S} s, or wait longer with --deadline")


def _checked(wish: Wish) -> Wish:
    """Return the wish as text that can be sent and kept; raises LocalError when it can't be fulfilled."""
    wish = replace(wish, model=_text(wish.model), turns=tuple(Turn(turn.role, _text(turn.text)) for turn in wish.turns))
    size = sum(len(turn.text.encode()) for turn in wish.turns)
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
    return wish


def _text(text: str) -> str:
    # A lone surrogate, as a broken clipboard or a strange file name brings, has no UTF-8 form.
    return text.encode(errors="replace").decode()
