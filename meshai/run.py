"""Runs a command's work under trio, and ends it well: signals cancel it, errors become a sentence and an exit code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import select
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator

import trio

from meshai.words import clean
from protocol.errors import LocalError, MeshaiError

__all__ = ["StdinLines", "dim", "is_heard", "run", "run_plain", "tell", "tell_json"]

_LINE_BYTES_MAX = 1 << 20
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(
    work: Callable[[], Awaitable[None]], *, as_json: bool = False, interrupted: Callable[[], bool] = lambda: False
) -> None:
    """Run `work` to its end. Ctrl-C and SIGTERM cancel it, wait for its tidying, and exit with 128 + the signal.

    A MeshaiError is told on stderr (as JSON on stdout with `as_json`) and exits with 1. `interrupted` is told of each
    Ctrl-C first; where it returns True, the work goes on.
    """
    from meshai.api import first_error

    ended_by: list[int] = []

    async def until_signalled() -> None:
        with trio.open_signal_receiver(*_ending()) as arrived:
            async with trio.open_nursery() as nursery:
                working = trio.CancelScope()

                async def watch() -> None:
                    async for number in arrived:  # also while tidying: a second Ctrl-C must not cut that short
                        if number != signal.SIGINT or not interrupted():
                            ended_by.append(number)
                            working.cancel()

                nursery.start_soon(watch)
                with working:
                    await work()
                nursery.cancel_scope.cancel()

    with _told(as_json):
        try:
            trio.run(until_signalled)
        except BaseExceptionGroup as group:
            raise first_error(group) from group
    if ended_by:
        sys.exit(128 + ended_by[0])


def run_plain(work: Callable[[], None], *, as_json: bool = False) -> None:
    """As `run`, for work without trio, or which starts trio by itself, as simulations do.

    Ctrl-C and SIGTERM raise KeyboardInterrupt in it: what it does with that is its own; then the exit code is 130, or
    143.
    """
    from meshai.api import first_error

    ended_by = signal.SIGINT

    def interrupt(number: int, frame: object) -> None:
        nonlocal ended_by
        ended_by = signal.Signals(number)
        signal.default_int_handler(number, None)

    before = {number: signal.signal(number, interrupt) for number in _ending() if number is not signal.SIGINT}
    try:
        with _told(as_json):
            try:
                work()
            except BaseExceptionGroup as group:
                raise first_error(group) from group
    except KeyboardInterrupt:
        sys.exit(128 + ended_by)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _told(as_json: bool) -> Iterator[None]:
    """Tell a MeshaiError, and exit; stop quietly where nobody reads any more."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what a terminal can't show must not end us
    try:
        yield
    except MeshaiError as error:
        _tell_error(error, as_json)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _ending() -> list[signal.Signals]:
    """The signals that end us; started with nohup, we outlive the terminal."""
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        return [number for number in _ENDING if number is not signal.SIGHUP]
    return list(_ENDING)


class StdinLines:
    """Standard input, line by line, without a thread that would outlive us, and without changing the terminal."""

    def __init__(self) -> None:
        # Closed standard input is None to Python; its number then names some other file.
        self._fd = None if sys.stdin is None else sys.stdin.fileno()
        self._rest = b""

    async def next(self, prompt: str = "") -> str | None:
        """The next line without its end, or None when there are no more; `prompt` is shown to a person only."""
        if prompt and self._fd is not None and os.isatty(self._fd):
            tell(prompt, end="")
        while b"\n" not in self._rest:
            data = await self._read()
            if not data:
                line, self._rest = self._rest, b""
                return line.decode(errors="replace") if line else None
            self._rest += data
            if len(self._rest) > _LINE_BYTES_MAX:
                raise LocalError("the line is too long", f"{_LINE_BYTES_MAX} bytes are the most")
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode(errors="replace")

    async def everything(self) -> str:
        """All that is left of the input."""
        parts = [self._rest]
        while data := await self._read():
            parts.append(data)
        self._rest = b""
        return b"".join(parts).decode(errors="replace")

    async def until_closed(self) -> None:
        """Wait for the end of input: a child started by us leaves when we are gone, however we went."""
        while await self._read():
            pass

    async def _read(self) -> bytes:
        if self._fd is None:
            await trio.lowlevel.checkpoint()
            return b""
        with contextlib.suppress(PermissionError):  # a plain file: always ready, and epoll will not have it
            await trio.lowlevel.wait_readable(self._fd)
        await trio.lowlevel.checkpoint_if_cancelled()
        return os.read(self._fd, 4096)


def is_heard() -> bool:
    """Whether telling something now would not block: a terminal that is stopped, or a pipe that is full, would."""
    if sys.stdout is None:
        return False
    try:
        return bool(select.select([], [sys.stdout], [], 0)[1])
    except (OSError, ValueError):  # no file behind it
        return True


def tell(text: str, *, end: str = "\n") -> None:
    """Print for a person, at once."""
    print(text, end=end, flush=True)


def tell_json(form: object) -> None:
    """Print one JSON object on one line, at once."""
    print(json.dumps(form, ensure_ascii=False), flush=True)


def dim(text: str) -> None:
    """Print a note for a person on stderr, in grey where that works."""
    grey = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    print(f"\x1b[2m{text}\x1b[0m" if grey else text, file=sys.stderr, flush=True)


def _tell_error(error: MeshaiError, as_json: bool) -> None:
    if as_json:
        from meshai.forms import error_form

        tell_json(error_form(error))
    print(f"meshai: {clean(str(error))}", file=sys.stderr, flush=True)
