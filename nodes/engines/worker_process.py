"""One life of the process that holds a model: started, spoken to, watched, and seen to its end.

It notices a crash, a hang and silence, and says in plain words why a life ended. Whether another life follows, and
what an answer is for, is the supervisor's business (`nodes.engines.llama`).
"""

from __future__ import annotations

import math
import re
import signal
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import trio

from nodes.engines.frames import BadFrame, FrameReader, pack_frame
from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["DEFAULT_LIMITS", "Ended", "Job", "Limits", "WorkerFacts", "WorkerProcess"]

_STDERR_KEPT_BYTES = 4096
_END_GRACE_S = 1.0
_LINE_CHARS_MAX = 200
_LOGGED_ERROR = re.compile(r"^\S+ E +(?:\w+ +)?\S+: (?:error loading model: )?(.+)$", re.MULTILINE)
"""llama.cpp's log: time, level, perhaps a component, function, text."""
_ASK_AGAIN = "Ask again: it starts anew"
_START_OTHERWISE = "Choose a smaller model, a shorter context or fewer slots"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to wait before a worker is given up."""

    load_s: float = 600.0
    """From its start until it is ready: a large model comes slowly from an SD card."""
    silence_s: float = 10.0
    """Without a frame; it sends a heartbeat every 2 s."""
    stall_s: float = 60.0
    """With questions to work on and no progress on any, though the heartbeat goes on."""


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """What a worker says of itself when it is ready."""

    tokens_per_s: float
    """Speed of a short answer, 0.0 when it could not be measured."""
    batch_tokens: int
    """Prompt tokens it works on between two chances to stop."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the worker says that an answer ended."""

    prompt_tokens: int
    answer_tokens: int
    truncated: bool
    tokens_per_s: float
    """0.0 when the answer was too short to measure."""


@dataclass(eq=False, slots=True)
class Job:
    """A question that the worker holds; `events` gives pieces of the answer and then its end, exactly one."""

    number: int = 0
    """Given by the worker process that takes it."""
    _send: trio.MemorySendChannel[str | Ended | LocalError] = field(init=False)
    events: trio.MemoryReceiveChannel[str | Ended | LocalError] = field(init=False)

    def __post_init__(self) -> None:
        # Bounded in fact by the longest answer: the worker generates no more.
        self._send, self.events = trio.open_memory_channel[str | Ended | LocalError](math.inf)

    def add(self, event: str | Ended | LocalError) -> None:
        """Pass on a piece or the end."""
        self._send.send_nowait(event)


class WorkerProcess:
    """A worker process and the questions it holds. `run` it once."""

    def __init__(
        self,
        command: Sequence[str],
        folder: str,
        *,
        limits: Limits,
        build_hint: str,
        on_end: Callable[[Job, Ended | LocalError], None],
    ) -> None:
        """`command` runs in `folder`, which nobody else can enter; `build_hint` helps when this processor can't run it.

        `on_end` is called for each job when it has ended, whether well, badly or with the worker itself.
        """
        self._command = command
        self._folder = folder
        self._limits = limits
        self._build_hint = build_hint
        self._on_end = on_end
        self._jobs: dict[int, Job] = {}
        self._last_id = 0
        self._to_send, self._outgoing = trio.open_memory_channel[bytes](math.inf)
        self._stderr = bytearray()
        self._stderr_closed = trio.Event()
        self._given_up = ""
        self._failed: LocalError | None = None
        self._was_ready = False
        self._steps = 0
        self._moved_at = 0.0
        self.pid = 0
        self.gone = False
        """True once it can take no more questions."""

    async def run(self, load: dict[str, Any], on_ready: Callable[[WorkerFacts], None]) -> LocalError:
        """Start the process, call `on_ready` once the model is loaded, and return why it ended when it does.

        Cancelled, it kills the process and waits for it.
        """
        try:
            # In a process group of its own a terminal's Ctrl-C does not reach it: what that means is decided here.
            process = await trio.lowlevel.open_process(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self._folder,
                process_group=0,
            )
        except OSError as error:
            return LocalError("The model's process can't be started", error.strerror or str(error))
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        self._send("load", load)
        reason = LocalError("The answer was lost", "its engine is being stopped")
        try:
            async with process.stdin, process.stdout, process.stderr, trio.open_nursery() as nursery:
                nursery.start_soon(self._write, process.stdin)
                nursery.start_soon(self._collect_stderr, process.stderr)
                await self._watch(process.stdout, on_ready)
                self.gone = True
                await self._let_go(process)
                nursery.cancel_scope.cancel()
            reason = self._why_it_ended(process.returncode or 0)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            for job in tuple(self._jobs.values()):
                self._end(job, LocalError(reason.what, reason.why, reason.fix))
        return reason

    def ask(
        self, job: Job, turns: list[tuple[str, str]], *, max_tokens: int, temperature: float, seed: int | None
    ) -> None:
        """Give the worker a question: pairs of role and text. Returns at once; `job.events` tells the rest."""
        self._last_id = job.number = self._last_id + 1
        if not self._jobs:
            self._moved_at = trio.current_time()
        self._jobs[job.number] = job
        self._send("ask", job.number, turns, max_tokens, temperature, seed)

    def cancel(self, job: Job) -> None:
        """Tell the worker that the answer is no longer wanted; it still says when the job has ended."""
        if job.number in self._jobs:
            self._send("cancel", job.number)

    def _send(self, *parts: Any) -> None:
        self._to_send.send_nowait(pack_frame(*parts))

    async def _write(self, stdin: trio.abc.SendStream) -> None:
        async for frame in self._outgoing:
            try:
                await stdin.send_all(frame)
            except trio.BrokenResourceError:
                return  # it died, which the reading side notices and explains

    async def _collect_stderr(self, stderr: trio.abc.ReceiveStream) -> None:
        async for data in stderr:
            self._stderr += data
            del self._stderr[:-_STDERR_KEPT_BYTES]
        self._stderr_closed.set()

    async def _watch(self, stdout: trio.abc.ReceiveStream, on_ready: Callable[[WorkerFacts], None]) -> None:
        """Take in what the worker says until it ends, fails or is given up."""
        patience_s = self._limits.load_s
        reader = FrameReader()
        while data := await self._hear(stdout, patience_s):
            try:
                for frame in reader.feed(data):
                    if frame[0] == "ready":
                        self._was_ready = True
                        on_ready(WorkerFacts(**frame[1]))
                        patience_s = self._limits.silence_s
                    else:
                        self._take(frame)
            except (BadFrame, TypeError) as error:
                self._given_up = f"it said something that can't be understood ({error})"
            if self._given_up or self._failed:
                return

    async def _hear(self, stdout: trio.abc.ReceiveStream, patience_s: float) -> bytes | bytearray:
        with trio.move_on_after(patience_s):
            return await stdout.receive_some()
        self._given_up = f"nothing was heard of it for {patience_s:g} s"
        return b""

    def _take(self, frame: list[Any]) -> None:
        match frame:
            case ["text", int(number), str(text)]:
                if number in self._jobs:
                    self._jobs[number].add(text)
            case ["done", int(number), *figures] if number in self._jobs:
                self._end(self._jobs[number], Ended(*figures))
            case ["error", int(number), str(what), str(why), str(fix)] if number in self._jobs:
                self._end(self._jobs[number], LocalError(what, why, fix))
            case ["beat", int(steps)]:
                if steps != self._steps or not self._jobs:
                    self._steps, self._moved_at = steps, trio.current_time()
                elif trio.current_time() - self._moved_at > self._limits.stall_s:
                    self._given_up = f"it made no progress for {self._limits.stall_s:g} s"
            case ["failed", str(what), str(why), str(fix)]:
                self._failed = LocalError(what, why, fix)
            case _:
                raise BadFrame(f"kind {frame[0]!r}")

    def _end(self, job: Job, end: Ended | LocalError) -> None:
        del self._jobs[job.number]
        job.add(end)
        self._on_end(job, end)

    async def _let_go(self, process: trio.Process) -> None:
        """Wait a moment for the end of a process that closed its output, and for its last words; then kill it."""
        with trio.move_on_after(0.0 if self._given_up or self._failed else _END_GRACE_S) as grace:
            await process.wait()
        if grace.cancelled_caught and not self._given_up and not self._failed:
            self._given_up = "it stopped talking without ending"
        process.kill()
        with trio.move_on_after(_END_GRACE_S):
            await process.wait()
            await self._stderr_closed.wait()

    def _why_it_ended(self, status: int) -> LocalError:
        fix = _ASK_AGAIN if self._was_ready else _START_OTHERWISE
        said = self._stderr.decode(errors="replace")
        if self._failed is not None:
            return _refusal(self._failed, said)
        if self._given_up:
            return LocalError("The model hung, and its process was ended", self._given_up, fix)
        if status == -signal.SIGILL:
            return LocalError(
                "The model can't run on this processor",
                "its program uses instructions that this processor lacks (on x86: AVX2)",
                self._build_hint,
            )
        if status == -signal.SIGKILL:
            return LocalError("The model's process was killed", "most likely because the device ran out of memory", fix)
        end = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        last_words = next((line.strip() for line in reversed(said.split("\n")) if re.search("[a-z]", line)), "")
        why = f"{end}: {last_words[:_LINE_CHARS_MAX]}" if last_words else end
        return LocalError("The model's process crashed", why, fix)


def _refusal(failed: LocalError, said: str) -> LocalError:
    # llama.cpp returns nothing but failure; the first error it logs says more.
    logged = _LOGGED_ERROR.search(said)
    if logged is None:
        return failed
    fix = _START_OTHERWISE if re.search("memory|alloc", logged[1]) else failed.fix
    return LocalError(failed.what, f"llama.cpp says: {logged[1][:_LINE_CHARS_MAX]}", fix)
