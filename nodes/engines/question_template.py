"""The question and answer template for models that come without a chat template, which only continue a text.

What the system says stands first, then a line that sets the scene, then each question as `Question: …` with
`Answer: …` on the next line, all parted by empty lines. The text ends with `Answer:`, and what the model writes up to
its next label is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["STOP", "question_text"]

STOP = ("\n\nQuestion:", "\nQuestion:", "\nAnswer:")
"""Strings that end an answer: the model has begun a question of its own."""

_SCENE = "These are questions and their answers."
"""Without it, instruction models whose chat template was lost (SmolLM2) often say nothing at all, and base models
(Gemma 3 270M) repeat themselves to the token limit."""


def question_text(turns: Sequence[tuple[str, str]]) -> str:
    """Return the text to continue, for turns as pairs of role (`system`, `user`, `assistant`) and text."""
    text = "".join(f"{said.strip()}\n\n" for role, said in turns if role == "system") + _SCENE
    for role, said in turns:
        if role == "user":
            text += f"\n\nQuestion: {said.strip()}"
        elif role == "assistant":
            text += f"\nAnswer: {said.strip()}"
    return f"{text}\nAnswer:"
