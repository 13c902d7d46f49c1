"""What an owner wishes to know, what comes back, and what is told meanwhile: data only."""

from __future__ import annotations

from dataclasses import dataclass

from nodes.interfaces import Cost
from nodes.router import Candidate
from protocol.messages import Turn

__all__ = ["DEADLINE_S", "Answer", "Chosen", "LookingAround", "Progress", "Promised", "Restarted", "Text", "Wish"]

DEADLINE_S = 300
"""After this an answer is of no use, unless the owner says otherwise."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the owner wants to know."""

    turns: tuple[Turn, ...]
    """The conversation, the question last."""
    model: str = ""
    """Name of the wanted model; empty for any."""
    max_tokens: int = 0
    """Longest answer in tokens; 0 for what suits the way."""
    deadline_s: int = DEADLINE_S
    fresh: bool = False
    """Ask afresh even when the answer is in the cache."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer and where it came from."""

    text: str
    model: str
    answered_by: str
    source: str
    """`model`, `cache`, or `fixed` where only an emergency's fixed text was given."""
    here: bool
    """Whether this node answered by itself, its cache included."""
    hops: int
    """Transmissions along the path to who answered first; 0 for this node."""
    tokens: int
    """0 when a peer did not say: over radio it doesn't, to save bytes."""
    truncated: bool
    seconds: float
    cost: Cost
    """Estimated from the frames seen here and the length of the path."""
    notice: str = ""
    """The beginning of `text` that no model wrote: see `nodes.emergency`."""


@dataclass(frozen=True, slots=True)
class Text:
    """The next characters of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Restarted:
    """The answer starts anew; what was shown is void."""


@dataclass(frozen=True, slots=True)
class LookingAround:
    """Nobody is known yet: asking who is there."""

    seconds: float
    """How long this may take at most."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The question goes to this candidate."""

    candidate: Candidate
    expected_s: float


@dataclass(frozen=True, slots=True)
class Promised:
    """The peer took the question."""

    wait_s: int


Progress = Text | Restarted | LookingAround | Chosen | Promised
