"""The only owner of wall time. Everything that waits uses trio's clock; this is for dates that outlive a process."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["WallClock", "system_wall_clock"]

WallClock = Callable[[], float]
"""Seconds since 1970. Simulations pass one that follows virtual time."""


def system_wall_clock() -> float:
    """Return this machine's idea of the date; it may be wrong on devices off the internet."""
    return time.time()
