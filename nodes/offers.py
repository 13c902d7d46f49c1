"""What this node's engine offers, also for the short time in which its process starts anew.

An engine's answers wait for a restart, so neither its owner nor the peers need to hear of one. An engine that stays
away longer offers nothing.
"""

from __future__ import annotations

from nodes.interfaces import Engine
from protocol.messages import ModelOffer

__all__ = ["Offers"]

_AWAY_S = 60.0
"""A restart takes seconds; who is away longer is in trouble."""


class Offers:
    """The models that this node answers with."""

    def __init__(self, engine: Engine | None) -> None:
        self._engine = engine
        self._last: tuple[ModelOffer, ...] = ()
        self._away_since: float | None = None

    def at(self, now: float) -> tuple[ModelOffer, ...]:
        """The models to be counted on now; those of before while the engine is away for a moment."""
        models = self._engine.models if self._engine is not None else ()
        if models:
            self._last, self._away_since = models, None
        elif self._away_since is None:
            self._away_since = now
        elif now - self._away_since > _AWAY_S:
            return ()
        return self._last
