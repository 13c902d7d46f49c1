"""What the worker process needs of a llama.cpp binding: one way to load a model, one way to generate text.

Each binding is one small module, named in `BINDINGS`, with a function `load(settings: LoadSettings) -> LoadedModel`.
Nothing else in meshai knows which binding runs. Calls block: the worker makes them in threads, with a folder that no
other user can enter as its working directory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from protocol.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["BINDINGS", "Binding", "Generated", "Generation", "LoadSettings", "LoadedModel", "load_model"]


@dataclass(frozen=True, slots=True)
class Binding:
    """A binding that meshai can use."""

    module: str
    build_hint: str
    """What to do where its prebuilt package asks too much of the processor."""


BINDINGS = {
    "xllamacpp": Binding(
        "nodes.engines.xllamacpp_binding",
        "Build xllamacpp for this processor: pip install --force-reinstall --no-deps --no-binary xllamacpp xllamacpp "
        "(needs a C++ compiler, CMake and Rust)",
    )
}
"""The bindings by name."""


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How to load a model."""

    path: Path
    context_tokens: int
    """Of each slot."""
    slots: int
    threads: int
    batch_tokens: int
    """Most prompt tokens worked on between two chances to stop."""


@dataclass(frozen=True, slots=True)
class Generation:
    """What to generate: from `turns` with the model's own chat template, or from `text` as it stands."""

    turns: tuple[tuple[str, str], ...]
    """Pairs of role (`system`, `user`, `assistant`) and text; empty when `text` is given."""
    text: str
    stop: tuple[str, ...]
    """Strings that end the answer and are no part of it."""
    max_tokens: int
    temperature: float
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Generated:
    """How a generation ended. Speeds are 0.0 when there was too little to measure."""

    prompt_tokens: int = 0
    answer_tokens: int = 0
    truncated: bool = False
    prompt_tokens_per_s: float = 0.0
    tokens_per_s: float = 0.0


class LoadedModel(ABC):
    """A model in memory. `generate` may run in as many threads at once as the model has slots."""

    @abstractmethod
    def generate(self, generation: Generation, on_text: Callable[[str], None], step: Callable[[], bool]) -> Generated:
        """Generate text, calling `on_text` with each piece of the answer; text of the model's thinking is left out.

        `step` is called at each sign of life, at least once per batch of the prompt and once per token; when it
        returns True the generation stops soon and what is returned has no meaning. Neither callback may raise.
        Raises LocalError when this generation failed; the next one can succeed.
        """

    @abstractmethod
    def close(self) -> None:
        """Free the model. Nothing may be called afterwards."""


def load_model(binding: str, settings: LoadSettings) -> LoadedModel:
    """Load a model with the binding of that name. Raises LocalError when that can't be done."""
    if binding not in BINDINGS:
        raise LocalError(f"There is no binding called {binding!r}", "", f"Choose one of: {', '.join(sorted(BINDINGS))}")
    model: LoadedModel = import_module(BINDINGS[binding].module).load(settings)
    return model
