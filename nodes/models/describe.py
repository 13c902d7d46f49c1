"""What a GGUF file is: size, parameters, quantisation, context, and whether it was made to chat.

Asks `nodes.models.probe` in a process of its own: numpy stays out of this one, and a file that is made to mislead
costs that process at most. Knows nothing of where models come from.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import trio

from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Description", "describe", "run_probe"]

_PATIENCE_S = 120
_OVERHEAD_BYTES = 64_000_000


@dataclass(frozen=True, slots=True)
class Description:
    """What the header of a GGUF file says about the model in it."""

    title: str
    """The name its makers gave it; empty when the file has none."""
    architecture: str
    parameters: int
    quantisation: str
    """How its numbers are stored, such as `Q4_K_M`."""
    context_tokens: int
    """Longest text it was made for, prompt and answer together; 0 when the file doesn't say."""
    size_bytes: int
    chats: bool
    """True when it brings a chat template; a model without one only completes text."""
    licence: str
    languages: tuple[str, ...]
    vocabulary: int
    cache_bytes_per_token: int
    """Memory that each token of context takes while the model works, in 16-bit numbers; 0 when unknown."""

    def memory_bytes(self, context_tokens: int) -> int:
        """Return roughly the memory the model needs with a context of `context_tokens`, over all its askers.

        Weights, cache, and 64 MB for buffers and the process: within 10 % of what SmolLM2 135M (contexts of 2,048 and
        8,192 tokens) and Gemma 3 270M (2,048) took on a CPU with batches of 64 tokens.
        """
        return self.size_bytes + self.cache_bytes_per_token * context_tokens + _OVERHEAD_BYTES

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Description:
        """Return what `to_json` gave. Raises KeyError or TypeError on anything else."""
        values = {field.name: data[field.name] for field in fields(cls)}
        return cls(**{**values, "languages": tuple(values["languages"])})


async def describe(path: Path) -> Description:
    """Read the header of the GGUF file at `path`. Takes about 0.3 s, most of it a new Python.

    Raises LocalError when the file is missing, no GGUF, cut short, made to mislead, or holds something else than a
    language model.
    """
    return Description.from_json(await run_probe("describe", str(path)))


async def run_probe(*arguments: str) -> dict[str, Any]:
    """Run `nodes.models.probe` with `arguments` in its own process and return the JSON object it prints.

    Raises LocalError with what the probe reported, or when it died or took longer than two minutes.
    """
    # -P: a folder `nodes` in the user's working directory must not be taken for ours.
    command = [sys.executable, "-P", "-m", "nodes.models.probe", *arguments]
    with trio.move_on_after(_PATIENCE_S) as patience:
        done = await trio.run_process(
            command, capture_stdout=True, capture_stderr=True, stdin=subprocess.DEVNULL, check=False
        )
    if patience.cancelled_caught:
        raise LocalError(f"Looking at {arguments[-1]} took longer than {_PATIENCE_S} s", "it was given up")
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last_words = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        end = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        why = f"its process ended with {end}" + (f" and said: {last_words}" if last_words else "")
        raise LocalError(f"Looking at {arguments[-1]} failed", why) from None
    if "error" in answer:
        raise LocalError(*answer["error"])
    return answer
