"""Starts virtual time: trio on a mock clock that jumps to the next deadline, with a scheduler that a seed decides.

The only place that touches trio's private switch for deterministic scheduling. Nothing run under it may use threads or
sockets: virtual time does not wait for them.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, TypeVarTuple

import trio
from trio.testing import MockClock

__all__ = ["run"]

Result = TypeVar("Result")
Args = TypeVarTuple("Args")


def run(async_fn: Callable[[*Args], Awaitable[Result]], *args: *Args, seed: int) -> Result:
    """Run `async_fn(*args)` in virtual time from 0 s; the same seed gives the same run in every process."""
    scheduler: Any = importlib.import_module("trio._core._run")
    allowed, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, scheduler._r.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        return trio.run(async_fn, *args, clock=MockClock(autojump_threshold=0))
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = allowed
        scheduler._r.setstate(state)
