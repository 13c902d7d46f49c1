"""Starts virtual time: trio on a mock clock that jumps to the next deadline, with a scheduler that a seed decides.

The only place that touches trio's private switch for deterministic scheduling. Nothing run under it may use threads or
sockets: virtual time does not wait for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, TypeVar, TypeVarTuple

import trio
from trio.abc import Instrument
from trio.testing import MockClock

__all__ = ["run", "skip_to"]

Result = TypeVar("Result")
Args = TypeVarTuple("Args")


class _Ready(Instrument):
    """Counts the tasks that are to run at this moment of virtual time."""

    def __init__(self, clock: MockClock) -> None:
        self.clock = clock
        self.tasks = 0
        self.next_deadline_s: float | None = None
        """The first deadline of all tasks; None when one has run since that was looked up."""

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self.tasks += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.tasks -= 1
        self.next_deadline_s = None


_ready: ContextVar[_Ready | None] = ContextVar("ready", default=None)


def run(async_fn: Callable[[*Args], Awaitable[Result]], *args: *Args, seed: int) -> Result:
    """Run `async_fn(*args)` in virtual time from 0 s; the same seed gives the same run in every process."""
    scheduler: Any = importlib.import_module("trio._core._run")
    allowed, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    clock = MockClock(autojump_threshold=0)
    ready = _Ready(clock)
    token = _ready.set(ready)
    try:
        return trio.run(async_fn, *args, clock=clock, instruments=[ready])
    finally:
        _ready.reset(token)
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = allowed
        scheduler._r.setstate(state)


def skip_to(time_s: float) -> bool:
    """Move virtual time to `time_s` at once where nothing else happens before; True if it moved.

    Spares its caller a turn of trio's scheduler, which costs more than most events of the air. Always False outside of
    `run`. What the caller does between two calls may wake tasks, but not move deadlines.
    """
    ready = _ready.get()
    if ready is None or ready.tasks:
        return False
    now_s = ready.clock.current_time()
    if ready.next_deadline_s is None:
        ready.next_deadline_s = now_s + trio.lowlevel.current_statistics().seconds_to_next_deadline
    if time_s >= ready.next_deadline_s:
        return False
    if time_s > now_s:
        ready.clock.jump(time_s - now_s)
    return True
