"""The question and answer template for models that come without a chat template, which only continue a text.

What the system says stands first, then each question as `Question: …` with `Answer: …` on the next line, questions
parted by an empty line; the text ends with `Answer:`, and what the model writes up to its next label is the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["STOP", "question_text"]

STOP = ("\nQuestion:", "\nAnswer:")
"""Strings that end an answer: the model has begun a question of its own."""

_LABELS = {"user": "Question: ", "assistant": "Answer: ", "system": ""}


def question_text(turns: Iterable[tuple[str, str]]) -> str:
    """Return the text to continue, for turns as pairs of role (`system`, `user`, `assistant`) and text."""
    text = ""
    for role, said in turns:
        gap = "\n" if role == "assistant" else "\n\n"
        text += f"{gap if text else ''}{_LABELS[role]}{said.strip()}"
    return f"{text}\nAnswer:"
