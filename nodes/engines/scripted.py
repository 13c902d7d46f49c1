"""An engine whose answers are known beforehand: no model, no process, the same run every time.

For simulations of many nodes, for trying a mesh on devices without a model, and for tests. It takes the time that a
model of the given speed would take, on trio's clock, so it runs in virtual time too.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping

import trio

from nodes.interfaces import Engine, Finished, Prompt
from protocol.errors import LocalError
from protocol.messages import ModelOffer

__all__ = ["Script", "ScriptedEngine"]

Script = Mapping[str, str] | Callable[[str], str]
"""Question -> answer, as a table or a function; a function may raise LocalError, which fails that answer."""

_TOKEN = re.compile(r"\s*\S+(?:\s+\Z)?")


class ScriptedEngine(Engine):
    """Answers the last turn of a conversation from a script. A word, with the space before it, counts as a token."""

    def __init__(
        self,
        script: Script,
        *,
        name: str = "scripted",
        tokens_per_s: float = 20.0,
        prefill_tokens_per_s: float = 200.0,
        slots: int = 1,
        context_tokens: int = 2048,
    ) -> None:
        """Speeds hold for each slot on its own, however many are busy. Raises LocalError on speeds or slots of 0."""
        if tokens_per_s <= 0 or prefill_tokens_per_s <= 0 or slots < 1:
            raise LocalError("A scripted engine needs speeds above 0 and at least 1 slot")
        self._script = script
        self._name = name
        self._tokens_per_s = tokens_per_s
        self._prefill_tokens_per_s = prefill_tokens_per_s
        self._context_tokens = context_tokens
        self._free = trio.CapacityLimiter(slots)
        self._failures: deque[tuple[LocalError, int]] = deque()

    @property
    def models(self) -> tuple[ModelOffer, ...]:
        """The one model that it plays."""
        return (ModelOffer(self._name, max(1, round(self._tokens_per_s)), self._context_tokens),)

    @property
    def slots(self) -> int:
        """How many questions are worked on at once; more wait their turn."""
        return int(self._free.total_tokens)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hold nothing until cancelled; answers may be asked for before."""
        task_status.started()
        await trio.sleep_forever()

    def fail_next(self, error: LocalError, *, after_tokens: int = 0) -> None:
        """Let the next answer fail with `error` once `after_tokens` are out; called twice, the next two fail."""
        self._failures.append((error, after_tokens))

    async def answer(self, prompt: Prompt, emit: Callable[[str], None]) -> Finished:
        """Answer the last turn. Raises LocalError when there is no question, none in the script, or told to fail."""
        if not prompt.turns or not prompt.turns[-1].text.strip():
            raise LocalError("There is no question", "the last turn is empty", "Type a question")
        if prompt.model not in ("", self._name):
            raise LocalError(f"There is no model {prompt.model!r} here", f"this engine plays {self._name}")
        started = trio.current_time()
        async with self._free:
            prompt_tokens = sum(len(_TOKEN.findall(turn.text)) for turn in prompt.turns)
            if prompt_tokens >= self._context_tokens:
                raise LocalError(
                    "The question is too long for this model",
                    f"it takes {prompt_tokens} tokens and the model holds {self._context_tokens}, answer included",
                    "Ask a shorter question",
                )
            failure, fails_after = self._failures.popleft() if self._failures else (None, 0)
            await trio.sleep(prompt_tokens / self._prefill_tokens_per_s)
            tokens = _TOKEN.findall(self._look_up(prompt.turns[-1].text))
            room = min(prompt.max_tokens, self._context_tokens - prompt_tokens)
            first_token_s = 0.0
            for number, token in enumerate(tokens[:room]):
                if failure is not None and number == fails_after:
                    raise failure
                await trio.sleep(1 / self._tokens_per_s)
                first_token_s = first_token_s or trio.current_time() - started
                emit(token)
            if failure is not None:
                raise failure
        return Finished(
            model=self._name,
            prompt_tokens=prompt_tokens,
            answer_tokens=min(len(tokens), room),
            truncated=len(tokens) > room,
            first_token_s=first_token_s,
            seconds=trio.current_time() - started,
        )

    def _look_up(self, question: str) -> str:
        if isinstance(self._script, Mapping):
            if question not in self._script:
                raise LocalError("The script has no answer to this question", f"nothing stands at {question!r}")
            return self._script[question]
        return self._script(question)
