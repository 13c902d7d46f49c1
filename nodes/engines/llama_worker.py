"""The process that holds the model: `python -m nodes.engines.llama_worker`, started by `nodes.engines.llama`.

It may crash, hang or be killed at any time; its supervisor copes. It leaves when its stdin closes and takes its working
directory, an empty folder of its own, with it. It knows nothing of nodes, peers or users. Frames (see
`nodes.engines.frames`) travel on stdin and stdout; stderr is for a person.

To the worker: `load` settings (first and once; a mapping, see `_Settings`), then
`ask` id, turns, max_tokens, temperature, seed or nil; `cancel` id.
From the worker: `ready` facts (a mapping, see `_load`) or `failed` what, why, fix; then
`beat` steps (every 2 s; the count grows while the model works); `text` id, piece; and to each `ask` exactly one
`done` id, prompt_tokens, answer_tokens, truncated, tokens_per_s, or `error` id, what, why, fix.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import trio

from nodes.engines.binding import Generation, LoadedModel, LoadSettings, load_model
from nodes.engines.frames import FrameReader, pack_frame
from nodes.engines.question_template import STOP, question_text
from protocol.errors import LocalError

__all__ = ["BEAT_S", "batch_tokens_for", "private_pipes", "serve"]

BEAT_S = 2.0

_GATHER_S = 0.05
"""Twenty times a second reads as a steady stream."""

_BATCHES = (64, 32, 16, 8)
"""Prompt tokens per step, the widest first. On 2 x86 cores a prompt of 1,831 tokens took 4.9 s in steps of 512, 5.1 s
of 256, 5.2 s of 128, 5.5 s of 64, 7.8 s of 32, 8.3 s of 16 and 9.8 s of 8; a cancelled prompt stops within two steps,
1.1 s at 512 and 0.3 s at 64. Slower devices take the widest step that keeps two of them below a second."""
_STEP_S_MAX = 0.35

_WARM_UP = "The sun is a star, and the moon is a rock that circles the earth. Every month"
_WARM_UP_TOKENS = 16
_WARM_UP_S_MAX = 0.6


def batch_tokens_for(prompt_tokens_per_s: float, step_s_max: float = _STEP_S_MAX) -> int:
    """Return how many prompt tokens to work on per step, at a measured speed, so that a cancel is heeded in time."""
    fitting = (batch for batch in _BATCHES if batch <= prompt_tokens_per_s * step_s_max)
    return next(fitting, _BATCHES[-1])


@dataclass(frozen=True, slots=True)
class _Settings:
    """What `load` carries."""

    binding: str
    path: str
    context_tokens: int
    slots: int
    threads: int
    chats: bool
    memory_limit_mb: int | None = None
    step_s_max: float = _STEP_S_MAX


class _Outbox:
    """Frames to the supervisor, from any thread, written by one task.

    An answer's first piece travels at once, and so does one after a pause; pieces that follow within `_GATHER_S` wait
    and travel together, without a wake-up each. Every wake-up, here or over there, takes time from the model's threads.
    """

    def __init__(self, fd: int) -> None:
        self._stream = trio.lowlevel.FdStream(fd)
        self._token = trio.lowlevel.current_trio_token()
        self._waiting: deque[tuple[Any, ...]] = deque()
        self._asleep = False
        self._something = trio.Event()
        self._urgent = trio.Event()

    def put(self, *parts: Any) -> None:
        """Queue a frame that is written at once. From the trio thread only."""
        self._waiting.append(parts)
        self._wake()

    def put_text(self, job_id: int, text: str, *, first: bool) -> None:
        """Queue a piece of an answer, the first of which does not wait. From any thread."""
        self._waiting.append(("text", job_id, text))
        if first or self._asleep:
            self._asleep = False
            self._token.run_sync_soon(self._wake, idempotent=True)

    def _wake(self) -> None:
        self._something.set()
        self._urgent.set()

    async def write(self) -> None:
        while True:
            self._something = trio.Event()
            self._asleep = True
            if not self._waiting:
                await self._something.wait()
            self._asleep = False
            self._urgent = trio.Event()
            try:
                await self._stream.send_all(self._drain())
            except trio.BrokenResourceError:
                _leave()
            with trio.move_on_after(_GATHER_S):
                await self._urgent.wait()

    def _drain(self) -> bytes:
        frames: list[bytes] = []
        texts: dict[int, list[str]] = {}
        while self._waiting:
            kind, *rest = self._waiting.popleft()
            if kind == "text":
                texts.setdefault(rest[0], []).append(rest[1])
            else:
                frames += _text_frames(texts)
                texts.clear()
                frames.append(pack_frame(kind, *rest))
        return b"".join(frames + _text_frames(texts))


def _text_frames(texts: dict[int, list[str]]) -> list[bytes]:
    return [pack_frame("text", job_id, "".join(pieces)) for job_id, pieces in texts.items()]


class _Inbox:
    """Frames from the supervisor, one at a time."""

    def __init__(self, fd: int) -> None:
        self._stream = trio.lowlevel.FdStream(fd)
        self._reader = FrameReader()
        self._read: deque[list[Any]] = deque()

    async def next(self) -> list[Any]:
        """Return the next frame; when the supervisor is gone, so is this process."""
        while not self._read:
            data = await self._stream.receive_some()
            if not data:
                _leave()
            self._read.extend(self._reader.feed(data))
        return self._read.popleft()


class _Answers:
    """The questions being worked on."""

    def __init__(self, model: LoadedModel, settings: _Settings, outbox: _Outbox) -> None:
        self._model = model
        self._chats = settings.chats
        self._limiter = trio.CapacityLimiter(settings.slots)
        self._outbox = outbox
        self._wanted: set[int] = set()
        self._steps = 0

    async def beat(self) -> None:
        while True:
            self._outbox.put("beat", self._steps)
            await trio.sleep(BEAT_S)

    def expect(self, job_id: int) -> None:
        self._wanted.add(job_id)

    def cancel(self, job_id: int) -> None:
        self._wanted.discard(job_id)

    async def answer(
        self, job_id: int, turns: list[tuple[str, str]], max_tokens: int, temperature: float, seed: int | None
    ) -> None:
        """Work on one `ask` and report how it ended."""
        if self._chats:
            generation = Generation(tuple(turns), "", (), max_tokens, temperature, seed)
        else:
            generation = Generation((), question_text(turns), STOP, max_tokens, temperature, seed)
        begun = False

        def on_text(text: str) -> None:
            nonlocal begun
            if begun:
                self._outbox.put_text(job_id, text, first=False)
            elif text := text.lstrip():
                begun = True
                self._outbox.put_text(job_id, text, first=True)

        def step() -> bool:
            self._steps += 1
            return job_id not in self._wanted

        try:
            end = await trio.to_thread.run_sync(self._model.generate, generation, on_text, step, limiter=self._limiter)
        except LocalError as error:
            self._outbox.put("error", job_id, error.what, error.why, error.fix)
        else:
            self._outbox.put("done", job_id, end.prompt_tokens, end.answer_tokens, end.truncated, end.tokens_per_s)
        finally:
            self._wanted.discard(job_id)


async def serve(requests_fd: int, replies_fd: int) -> None:
    """Load the model that the first frame names and answer until stdin closes."""
    inbox, outbox = _Inbox(requests_fd), _Outbox(replies_fd)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outbox.write)
        _, given = await inbox.next()
        settings = _Settings(**given)
        _leave_when_closed(requests_fd, armed=True)
        try:
            model, facts = _load(settings)
        except LocalError as error:
            outbox.put("failed", error.what, error.why, error.fix)
            await trio.sleep_forever()
        finally:
            _leave_when_closed(requests_fd, armed=False)
            _ignore_interrupts()
        outbox.put("ready", facts)
        answers = _Answers(model, settings, outbox)
        nursery.start_soon(answers.beat)
        while True:
            match await inbox.next():
                case ["ask", job_id, *request]:
                    answers.expect(job_id)
                    nursery.start_soon(answers.answer, job_id, *request)
                case ["cancel", job_id]:
                    answers.cancel(job_id)


def _load(settings: _Settings) -> tuple[LoadedModel, dict[str, Any]]:
    """Load the model and time it. Blocks. Returns the facts of `ready` beside it. Raises LocalError."""
    if settings.memory_limit_mb is not None:
        _limit_memory(settings.memory_limit_mb)
    batch_tokens = _BATCHES[0]
    model = _open(settings, batch_tokens)
    prompt_tokens_per_s, tokens_per_s = _warm_up(model)
    fitting = batch_tokens_for(prompt_tokens_per_s, settings.step_s_max)
    if fitting < batch_tokens:
        model.close()
        batch_tokens = fitting
        model = _open(settings, batch_tokens)
    return model, {"batch_tokens": batch_tokens, "tokens_per_s": tokens_per_s}


def _open(settings: _Settings, batch_tokens: int) -> LoadedModel:
    return load_model(
        settings.binding,
        LoadSettings(
            path=Path(settings.path),
            context_tokens=settings.context_tokens,
            slots=settings.slots,
            threads=settings.threads,
            batch_tokens=batch_tokens,
        ),
    )


def _warm_up(model: LoadedModel) -> tuple[float, float]:
    """Return the speed of a short prompt and of a short answer, tokens/s; 0.0 where nothing could be measured."""
    # The first token of all brings the weights in from the disk.
    model.generate(Generation((), "The", (), 1, temperature=0.0), on_text=lambda _: None, step=lambda: False)
    started = trio.current_time()
    pieces_at: list[float] = []

    def on_text(text: str) -> None:
        pieces_at.append(trio.current_time())

    def step() -> bool:
        return len(pieces_at) > 1 and trio.current_time() - started > _WARM_UP_S_MAX

    model.generate(Generation((), _WARM_UP, (), _WARM_UP_TOKENS, temperature=0.0), on_text, step)
    if len(pieces_at) < 2:
        return 0.0, 0.0
    return len(_WARM_UP.split()) / (pieces_at[0] - started), (len(pieces_at) - 1) / (pieces_at[-1] - pieces_at[0])


def _limit_memory(limit_mb: int) -> None:
    import resource

    # Data, not address space: the model file itself is mapped, and its pages can be given back at any time.
    resource.setrlimit(resource.RLIMIT_DATA, (limit_mb << 20, limit_mb << 20))


def _ignore_interrupts() -> None:
    # Ctrl-C reaches the whole terminal; what it means is the supervisor's to decide.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _leave() -> NoReturn:
    # A supervisor that was killed could not remove our folder.
    with suppress(OSError):
        Path.cwd().rmdir()
    # Threads may be deep in native code that no cancellation reaches.
    os._exit(0)


def _leave_when_closed(fd: int, *, armed: bool) -> None:
    """While armed, the kernel ends this process when the other end of `fd` closes, even inside a native call.

    Nothing may arrive meanwhile: SIGIO, whose default is to end the process, comes for data too. A system that ignores
    SIGIO by default (macOS) ends the process as soon as the native call returns.
    """
    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(fd, fcntl.F_GETFL)
    fcntl.fcntl(fd, fcntl.F_SETFL, flags | os.O_ASYNC if armed else flags & ~os.O_ASYNC)
    if armed and select.select([fd], [], [], 0)[0]:
        _leave()


def private_pipes() -> tuple[int, int]:
    """Move stdin and stdout to descriptors of our own, so that nothing native code prints or reads touches them."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return requests, replies


if __name__ == "__main__":
    _ignore_interrupts()
    trio.run(serve, *private_pipes())
