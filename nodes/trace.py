"""What happened in a node, as short facts for people who debug it. Never holds the text of a question or an answer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio

__all__ = ["Fact", "Trace"]

_KEEP = 500


@dataclass(frozen=True, slots=True)
class Fact:
    """One traced happening."""

    time_s: float
    """trio's clock."""
    name: str
    """Such as `beacon.heard`."""
    fields: dict[str, str | int | float | bool | None]


class Trace:
    """Keeps the newest facts and hands each to its listeners."""

    def __init__(self) -> None:
        self._facts: deque[Fact] = deque(maxlen=_KEEP)
        self._listeners: list[Callable[[Fact], None]] = []

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The newest facts, oldest first."""
        return tuple(self._facts)

    def listen(self, listener: Callable[[Fact], None]) -> Callable[[], None]:
        """Call `listener` with every fact from now on; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def note(self, name: str, **fields: str | int | float | bool | None) -> None:
        """Note a fact."""
        fact = Fact(trio.current_time(), name, fields)
        self._facts.append(fact)
        for listener in self._listeners:
            listener(fact)
