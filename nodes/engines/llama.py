"""The engine that runs a GGUF model on this device, in a worker process under supervision.

A crash, a hang or an out-of-memory kill of the worker costs the answers it was working on one clear error each, and
the next answer finds a new worker. Knows nothing of llama.cpp's binding, which lives in the worker alone.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from nodes.engines.binding import BINDINGS
from nodes.engines.worker_process import DEFAULT_LIMITS, Ended, Job, Limits, WorkerFacts, WorkerProcess
from nodes.interfaces import Engine, Finished, Prompt
from nodes.models.describe import Description, describe
from nodes.models.device import memory_bytes
from nodes.models.disk import size_text
from protocol.errors import LocalError
from protocol.messages import ModelOffer, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LlamaEngine", "available_memory_bytes", "require_memory"]

_WORKER = (sys.executable, "-P", "-m", "nodes.engines.llama_worker")
"""-P: a folder `nodes` in some working directory must not be taken for ours."""

_RESTART_S = (0.2, 2.0)
"""Wait before each restart after crashes in a row; one more crash and the model is set aside."""
_SET_ASIDE_S = 600.0
_SPEED_WEIGHT = 0.2
"""How much the last answer counts in the moving figure of tokens/s."""

_PROMPT_CHARS_MAX = 400_000
_TURN_CHARS = 16
"""What a turn takes beside its text, roughly."""


class LlamaEngine(Engine):
    """Answers with the GGUF model at `path`, under `name`."""

    def __init__(
        self,
        path: Path,
        name: str,
        *,
        slots: int = 2,
        context_tokens: int = 2048,
        threads: int | None = None,
        memory_limit_mb: int | None = None,
        binding: str = "xllamacpp",
        command: Sequence[str] = _WORKER,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        """Prepare the engine; nothing happens until `run`.

        `context_tokens` is what each of the `slots` holds, less where the model itself holds less; `threads` are as
        many as the cores this process may use; `memory_limit_mb` bounds the worker's own memory, the mapped model file
        aside. `command` starts the worker: anything that speaks the frames of `nodes.engines.llama_worker`.
        """
        self._path = path.absolute()
        self._name = name
        self._slots = slots
        self._context_tokens = context_tokens
        self._threads = threads or _cores()
        self._memory_limit_mb = memory_limit_mb
        self._binding = binding
        self._command = tuple(command)
        self._limits = limits
        self._free = trio.CapacityLimiter(slots)
        self._running = self._started = False
        self._worker: WorkerProcess | None = None
        self._set_aside: LocalError | None = None
        self._changed = trio.Event()
        self._crashes = 0
        self._tokens_per_s = 0.0
        self._batch_tokens = 0
        self._completes_text = False

    @property
    def models(self) -> tuple[ModelOffer, ...]:
        """The model, while its worker is ready."""
        if self._worker is None or self._worker.gone:
            return ()
        return (ModelOffer(self._name, max(1, round(self._tokens_per_s)), self._context_tokens),)

    @property
    def slots(self) -> int:
        """How many questions are worked on at once; more wait their turn."""
        return self._slots

    @property
    def completes_text(self) -> bool:
        """True when the model has no chat template: it continues a text of questions and answers. Known once ready."""
        return self._completes_text

    @property
    def batch_tokens(self) -> int:
        """Prompt tokens worked on between two chances to stop, as chosen for this device's speed; 0 until ready."""
        return self._batch_tokens

    @property
    def worker_pid(self) -> int | None:
        """Process number of the worker, None while there is none that is ready."""
        return self._worker.pid if self._worker else None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at the model, start its worker and start it again whenever it ends, until cancelled.

        Raises LocalError when the model can't be used, or its first worker ends before it is ready.
        """
        if self._binding not in BINDINGS:
            raise LocalError(f"There is no binding {self._binding!r}", "", f"Choose one of: {', '.join(BINDINGS)}")
        description = await describe(self._path)
        self._completes_text = not description.chats
        self._context_tokens = min(self._context_tokens, description.context_tokens or self._context_tokens)
        require_memory(self._name, description, self._context_tokens * self._slots, available_memory_bytes())
        load = {
            "binding": self._binding,
            "path": str(self._path),
            "context_tokens": self._context_tokens,
            "slots": self._slots,
            "threads": self._threads,
            "chats": description.chats,
            "memory_limit_mb": self._memory_limit_mb,
        }
        self._running, self._started = True, False
        try:
            while True:
                reason = await self._live(load, task_status)
                if not self._started:
                    raise reason
                await self._recover(reason)
        finally:
            self._running = False
            self._change()

    async def answer(self, prompt: Prompt, emit: Callable[[str], None]) -> Finished:
        """Answer `prompt`; while the worker is being started anew, this waits for it.

        Raises LocalError for a question that is empty or too long, when the worker ended during this answer, when the
        model said nothing, and while it is set aside after crashes in a row.
        """
        turns = self._turns(prompt)
        started = trio.current_time()
        job = Job()
        await self._free.acquire_on_behalf_of(job)
        try:
            worker = await self._ready_worker()
        except BaseException:
            self._free.release_on_behalf_of(job)
            raise
        # From here on the slot is freed by `_ended`, when the worker is done with the job or gone.
        worker.ask(job, turns, max_tokens=prompt.max_tokens, temperature=prompt.temperature, seed=prompt.seed)
        first_token_s: float | None = None
        try:
            while isinstance(event := await job.events.receive(), str):
                if first_token_s is None:
                    first_token_s = trio.current_time() - started
                emit(event)
        finally:
            worker.cancel(job)
        if isinstance(event, LocalError):
            raise event
        if first_token_s is None:
            raise _nothing_said(event)
        return Finished(
            model=self._name,
            prompt_tokens=event.prompt_tokens,
            answer_tokens=event.answer_tokens,
            truncated=event.truncated,
            first_token_s=first_token_s,
            seconds=trio.current_time() - started,
        )

    async def _live(self, load: dict[str, Any], task_status: trio.TaskStatus[None]) -> LocalError:
        """Run one worker process and return why it ended."""
        try:
            folder = tempfile.TemporaryDirectory(prefix="meshai-", ignore_cleanup_errors=True)
        except OSError as error:
            return LocalError(
                "The model's process has no place for its files", str(error), "Free some room on the disk"
            )
        with folder:
            worker = WorkerProcess(
                self._command,
                folder.name,
                limits=self._limits,
                build_hint=BINDINGS[self._binding].build_hint,
                on_end=self._ended,
            )
            return await worker.run(load, partial(self._ready, worker, task_status))

    async def _recover(self, reason: LocalError) -> None:
        """Wait until the next worker may start: a little longer each time, and long after crashes in a row."""
        self._crashes += 1
        self._change()
        if self._crashes <= len(_RESTART_S):
            await trio.sleep(_RESTART_S[self._crashes - 1])
        else:
            self._change(set_aside=_set_aside(self._name, self._crashes, reason))
            await trio.sleep(_SET_ASIDE_S)
            self._change()

    def _ready(self, worker: WorkerProcess, task_status: trio.TaskStatus[None], facts: WorkerFacts) -> None:
        self._tokens_per_s, self._batch_tokens = facts.tokens_per_s, facts.batch_tokens
        self._change(worker=worker)
        if not self._started:
            self._started = True
            task_status.started()

    def _change(self, *, worker: WorkerProcess | None = None, set_aside: LocalError | None = None) -> None:
        self._worker, self._set_aside = worker, set_aside
        self._changed.set()
        self._changed = trio.Event()

    async def _ready_worker(self) -> WorkerProcess:
        while self._worker is None or self._worker.gone:
            if not self._running:
                raise LocalError(f"The model {self._name} is not running", "its engine was not started, or has stopped")
            if self._set_aside is not None:
                raise LocalError(self._set_aside.what, self._set_aside.why, self._set_aside.fix)
            await self._changed.wait()
        return self._worker

    def _ended(self, job: Job, end: Ended | LocalError) -> None:
        self._free.release_on_behalf_of(job)
        if isinstance(end, Ended):
            self._crashes = 0
            if end.tokens_per_s:
                self._tokens_per_s += _SPEED_WEIGHT * (end.tokens_per_s - self._tokens_per_s)

    def _turns(self, prompt: Prompt) -> list[tuple[str, str]]:
        if prompt.model not in ("", self._name):
            raise LocalError(f"There is no model {prompt.model!r} here", f"this engine runs {self._name}")
        if prompt.max_tokens < 1:
            raise LocalError("The answer has no room", f"{prompt.max_tokens} tokens were allowed", "Allow at least 1")
        if not prompt.turns or prompt.turns[-1].role is not Role.USER or not prompt.turns[-1].text.strip():
            raise LocalError("There is no question", "the last turn is empty or not the user's", "Type a question")
        if sum(len(turn.text) + _TURN_CHARS for turn in prompt.turns) > _PROMPT_CHARS_MAX:
            raise LocalError(
                "The question is too long",
                f"the conversation is longer than {_PROMPT_CHARS_MAX:,} characters",
                "Ask a shorter question",
            )
        # A lone surrogate, as a broken clipboard brings, has no UTF-8 form.
        return [(turn.role.name.lower(), turn.text.encode(errors="replace").decode()) for turn in prompt.turns]


def require_memory(name: str, description: Description, context_tokens: int, available_bytes: int) -> None:
    """Raise LocalError unless the model with `context_tokens` over all its slots fits in `available_bytes`."""
    needed_bytes = description.memory_bytes(context_tokens)
    if needed_bytes > available_bytes:
        raise LocalError(
            f"The model {name} is larger than the memory that is free",
            f"it takes {size_text(needed_bytes)} and {size_text(available_bytes)} are free",
            "Choose a smaller model, fewer slots or a shorter context, or close other programs",
        )


def available_memory_bytes() -> int:
    """Return the memory that a program may take now without pushing out another, or all of it where nobody says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return memory_bytes()
    available = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
    return memory_bytes() if available is None else min(available, memory_bytes())


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _set_aside(name: str, crashes: int, reason: LocalError) -> LocalError:
    return LocalError(
        f"The model {name} is set aside",
        f"its process ended {crashes} times in a row, the last time so: {reason.what}"
        + (f" ({reason.why})" if reason.why else ""),
        f"It is tried again every {_SET_ASIDE_S / 60:.0f} minutes; choose another model, or start meshai again",
    )


def _nothing_said(end: Ended) -> LocalError:
    why = f"it spent its {end.answer_tokens} tokens on thinking" if end.truncated else "it ended its answer at once"
    return LocalError("The model said nothing", why, "Ask again, in other words or with room for a longer answer")
