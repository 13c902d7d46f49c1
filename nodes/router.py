"""Where a question goes: a pure function over what is known of each place that could answer it.

Expected completion time in seconds decides; see `docs/architecture.md`. Knows no bearer and sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["Candidate", "choose", "expected_s"]

_PREFILL_SPEEDUP = 5.0
"""Prompt tokens are read about this many times faster than answer tokens are written, on small CPUs."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place that could answer."""

    address: str
    """The peer's address; empty for this node itself."""
    name: str
    model: str
    tokens_per_s: int
    context_tokens: int
    """0 when unknown."""
    backlog_s: float
    transfer_s: float
    """Seconds for the question to get there and the answer to come back; 0 for this node."""
    hops: int = 0


def expected_s(candidate: Candidate, *, prompt_tokens: int, answer_tokens: int) -> float:
    """Seconds until `candidate`'s whole answer would be here."""
    rate = max(1, candidate.tokens_per_s)
    work_s = prompt_tokens / (rate * _PREFILL_SPEEDUP) + answer_tokens / rate
    return candidate.backlog_s + work_s + candidate.transfer_s


def choose(candidates: Iterable[Candidate], *, model: str, prompt_tokens: int, answer_tokens: int) -> Candidate | None:
    """Return the candidate that should finish first, or None when none fits.

    Hard filters first: the wanted model (any when empty) and room for prompt and answer in its context.
    """
    fitting = [
        candidate
        for candidate in candidates
        if model in ("", candidate.model)
        and (not candidate.context_tokens or prompt_tokens + answer_tokens <= candidate.context_tokens)
    ]
    return min(
        fitting,
        key=lambda candidate: (
            expected_s(candidate, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens),
            candidate.address,
        ),
        default=None,
    )
