"""How simulations are shown in a terminal: numbers for people, and a progress bar that leaves nothing behind."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

__all__ = ["ProgressBar", "minutes", "percent", "seconds", "share_range"]


def percent(value: float | None) -> str:
    """A share; a dash where there is none."""
    return "-" if value is None else f"{value:.0f} %"


def seconds(value: float | None) -> str:
    """A time; a dash where there is none."""
    return "-" if value is None else f"{value:.1f} s"


def share_range(value: float | None, low: float | None, high: float | None) -> str:
    """A share with the range in which it lies 19 times of 20."""
    return percent(value) if low is None or high is None else f"{percent(value)} ({low:.0f} to {high:.0f} %)"


def minutes(length_s: float) -> str:
    """A length in the unit that suits it."""
    if length_s >= 2 * 24 * 3600:
        return f"{length_s / 86400:g} days"
    return f"{length_s / 3600:g} hours" if length_s >= 7200 else f"{length_s / 60:g} minutes"


class ProgressBar:
    """A bar on stderr, where that is a terminal; called with the share that is done, 0 to 1."""

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        columns: list[Any] = [TextColumn("{task.description}"), BarColumn(), "{task.percentage:.0f} %"]
        self._bar = Progress(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._bar.add_task(title, total=1.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, share: float) -> None:
        """Show that so much is done."""
        self._bar.update(self._task, completed=share)
