"""The binding to llama.cpp through xllamacpp: the only file that knows it. Runs inside the worker process alone.

xllamacpp wraps llama.cpp's server, which batches several askers. Its HTTP listener can't be switched off: it is bound
to a socket in a private folder, and the socket's name is removed at once, so that nobody can ever connect.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nodes.engines.binding import Generated, Generation, LoadedModel, LoadSettings
from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["common_params", "load", "read_chunk"]

_LOG_ERRORS = 1
_SOCKET = "unused.sock"
_SPINS = "1500"
"""How often a thread that waits for the others looks before it sleeps. llama.cpp's threads meet hundreds of times per
token. With libgomp's default of 300,000 and free to move, two of them meet on one core as soon as anything else runs,
each waiting out the other's share: on 2 cores beside one busy program, even one of lowest priority, SmolLM2 fell from
150 tokens/s to 10 and below. Pinned and with few spins it keeps 45 to 110, and loses nothing on a quiet machine."""
_MIN_MEASURED_TOKENS = 4


def common_params(settings: LoadSettings) -> Any:
    """Return xllamacpp's `CommonParams` for `settings`; at its best when xllamacpp was not imported before."""
    params = _xllamacpp().CommonParams()
    params.model.path = str(settings.path)
    params.n_parallel = settings.slots
    params.n_ctx = settings.context_tokens * settings.slots
    params.n_batch = params.n_ubatch = settings.batch_tokens
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = settings.threads
    _pin(params.cpuparams, settings.threads)
    _pin(params.cpuparams_batch, settings.threads)
    params.verbosity = _LOG_ERRORS
    # What follows saves memory: the worker warms up by itself, and a prompt's state lives in its slot alone.
    params.warmup = False
    params.cache_ram_mib = 0
    params.n_ctx_checkpoints = 0
    params.hostnames = [_SOCKET]
    params.n_threads_http = 1
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    return params


def _xllamacpp() -> Any:
    # libgomp reads this once, when the import brings it in.
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
    # On a failed assertion ggml would start a debugger, if one is installed, before it gives up.
    os.environ.setdefault("GGML_NO_BACKTRACE", "1")
    try:
        import xllamacpp
    except ImportError as error:
        raise LocalError(
            "llama.cpp can't be started", str(error), "Install what is named; libgomp comes with `apt install libgomp1`"
        ) from error
    return xllamacpp


def _pin(cpu: Any, threads: int) -> None:
    """Give each thread a core of its own, where the threads are to have all cores and the system can do it."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    if threads == len(cores):
        cpu.cpumask = [core in cores for core in range(len(cpu.cpumask))]
        cpu.mask_valid = cpu.strict_cpu = True


def load(settings: LoadSettings) -> LoadedModel:
    """Load the model. Holds the interpreter lock until it is done. Raises LocalError."""
    # A worker that died while it loaded left its own behind.
    Path(_SOCKET).unlink(missing_ok=True)
    try:
        server = _xllamacpp().Server(common_params(settings))
    except RuntimeError as error:
        raise LocalError(
            f"The model {settings.path.name} can't be loaded",
            "llama.cpp refused it, because it is damaged, too large, or of a kind this version does not know",
            "Fetch the file again, or choose another model",
        ) from error
    Path(_SOCKET).unlink()
    return _XllamacppModel(server)


class _XllamacppModel(LoadedModel):
    def __init__(self, server: Any) -> None:
        self._server = server

    def generate(self, generation: Generation, on_text: Callable[[str], None], step: Callable[[], bool]) -> Generated:
        end: Generated | LocalError | None = None
        stopped = False

        def on_chunk(raw: bytes) -> bool:
            nonlocal end, stopped
            read = read_chunk(raw)
            if not isinstance(read, str):
                end = read
            elif read:
                on_text(read)
            stopped = step()
            return stopped

        body: dict[str, Any] = {
            "stream": True,
            "return_progress": True,
            "max_tokens": generation.max_tokens,
            "temperature": generation.temperature,
        }
        if generation.seed is not None:
            body["seed"] = generation.seed
        if generation.stop:
            body["stop"] = generation.stop
        if generation.turns:
            body["messages"] = [{"role": role, "content": text} for role, text in generation.turns]
            handle = self._server.handle_chat_completions
        else:
            body["prompt"] = generation.text
            handle = self._server.handle_completions
        try:
            handle(json.dumps(body).encode(), on_chunk)
        except RuntimeError as error:
            raise LocalError("The model could not work on the question", str(error)) from error
        if isinstance(end, LocalError):
            raise end
        if end is None and not stopped:
            raise LocalError("The model's answer broke off", "llama.cpp sent something this meshai can't read")
        return end or Generated()

    def close(self) -> None:
        del self._server


def read_chunk(raw: bytes) -> str | Generated | LocalError:
    """Read one chunk of llama.cpp's stream: a piece of the answer (perhaps empty), its end, or why it failed.

    Thinking comes as `reasoning_content` and is left out.
    """
    chunk = json.loads(raw)
    if "error" in chunk:
        return _failure(chunk["error"])
    choice = chunk["choices"][0]
    if choice["finish_reason"] is None:
        return choice["delta"].get("content") or "" if "delta" in choice else choice["text"]
    timings = chunk.get("timings", {})
    prompt_tokens, answer_tokens = timings.get("prompt_n", 0), timings.get("predicted_n", 0)
    return Generated(
        prompt_tokens=timings.get("cache_n", 0) + prompt_tokens,
        answer_tokens=answer_tokens,
        truncated=choice["finish_reason"] == "length",
        prompt_tokens_per_s=timings["prompt_per_second"] if prompt_tokens >= _MIN_MEASURED_TOKENS else 0.0,
        tokens_per_s=timings["predicted_per_second"] if answer_tokens >= _MIN_MEASURED_TOKENS else 0.0,
    )


def _failure(error: dict[str, Any]) -> LocalError:
    if error.get("type") == "exceed_context_size_error":
        return LocalError(
            "The question is too long for this model",
            f"it takes {error.get('n_prompt_tokens', '?')} tokens and the model holds {error.get('n_ctx', '?')}, "
            "answer included",
            "Ask a shorter question, or use a model with a longer context",
        )
    return LocalError("The model could not work on the question", str(error.get("message", "it gave no reason")))
