"""Where a question goes: a pure function over what is known of each place that could answer it.

Expected completion time in seconds decides; see `docs/architecture.md`. Knows no bearer and sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

__all__ = ["Candidate", "choose", "expected_s"]

_ABOUT_THE_SAME = 1.1
"""Beacons are too coarse to tell times apart that differ by less."""
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


def choose(
    candidates: Iterable[Candidate], *, model: str, prompt_tokens: int, answer_tokens: int, asker: str = ""
) -> Candidate | None:
    """Return the candidate that should finish first, or None when none fits.

    Hard filters first: the wanted model (any when empty) and room for prompt and answer in its context. Where several
    should be done at about the same time, `asker` decides: each asker has an order of its own, always the same, so
    that neighbours who know the same beacons don't all come to the same peer.
    """
    fitting = [
        candidate
        for candidate in candidates
        if model in ("", candidate.model)
        and (not candidate.context_tokens or prompt_tokens + answer_tokens <= candidate.context_tokens)
    ]
    done_s = {one: expected_s(one, prompt_tokens=prompt_tokens, answer_tokens=answer_tokens) for one in fitting}
    soon_s = _ABOUT_THE_SAME * min(done_s.values(), default=0.0)
    return min(
        (one for one in fitting if done_s[one] <= soon_s),
        key=lambda one: (crc32(f"{asker} {one.address}".encode()), done_s[one], one.address),
        default=None,
    )
