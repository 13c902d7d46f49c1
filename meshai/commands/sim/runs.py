"""What the commands that make many runs share: their progress on stderr, and how an estimate is told."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from meshai.run import dim

if TYPE_CHECKING:
    from simulator.sweep import Difference, Estimate

__all__ = ["RunsProgress", "change_words", "estimate_words"]

_TOLD_TIMES = 10


class RunsProgress:
    """Tells on stderr how many runs are done and how long the rest takes: a bar on a terminal, else a line at times."""

    def __init__(self, title: str, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._is_bar = console.is_terminal
        columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        self._bar = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not self._is_bar)
        self._task = self._bar.add_task(title, total=total)
        self._total = total
        self._done = 0
        self._began_s = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def one_more(self) -> None:
        """One more run is done."""
        self._done += 1
        self._bar.advance(self._task)
        part = self._done * _TOLD_TIMES // self._total
        if not self._is_bar and part != (self._done - 1) * _TOLD_TIMES // self._total and self._done < self._total:
            left_s = (time.monotonic() - self._began_s) / self._done * (self._total - self._done)
            left = f"{left_s / 60:.0f} min" if left_s >= 90 else f"{left_s:.0f} s"
            dim(f"{self._done} of {self._total} runs, {left} left")


def estimate_words(found: Estimate | None) -> str:
    """A mean, and in a second line the range in which it lies 19 times of 20; a dash where there is none."""
    if found is None:
        return "-"
    if found.low is None or found.high is None:
        return f"{found.mean:.1f}"
    return f"{found.mean:.1f}\n{_rough(found.low)}-{_rough(found.high)}"


def change_words(found: Difference | None) -> str:
    """A difference with its range, signs and all."""
    if found is None:
        return "-"
    change = found.change
    if change.low is None or change.high is None:
        return f"{change.mean:+.1f}"
    return f"{change.mean:+.1f}\n{_rough(change.low, '+')} to {_rough(change.high, '+')}"


def _rough(value: float, sign: str = "") -> str:
    """The end of a range: more digits than that would pretend."""
    return f"{value:{sign}.1f}" if abs(value) < 9.95 else f"{value:{sign}.0f}"
