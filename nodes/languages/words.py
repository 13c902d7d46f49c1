"""Words as people type them on phones, made comparable: case, accents and spelling folded, and lists of words matched.

Pure functions over strings; knows no language.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["fold", "matcher", "template_matcher"]

_LETTERS = str.maketrans(
    {"ɓ": "b", "ɗ": "d", "ƙ": "k", "ƴ": "y", "\u0131": "i", "ł": "l", "ø": "o", "ى": "ي", "ة": "\u0647", "ـ": ""}
)
"""Letters that keyboards offer in two ways, beyond what Unicode takes apart; the tatweel only stretches a word."""
_ACCENTS = re.compile("[\u0300-\u036f\u064b-\u065f\u0670\u093c]")
"""Latin accents, Arabic vowel signs and hamzas, the Devanagari nukta; other marks of Devanagari are its vowels."""
_DRAWN_OUT = re.compile(r"([^\W\d])\1{2,}")
_GAP = "~"
_GAP_WORDS_MAX = 3
_PLACEHOLDER = re.compile(r"\{\w*\}")
_NOTHING = re.compile(r"(?!)")


def fold(text: str) -> str:
    """Return the words of `text` in small letters without accents or punctuation, with one space between them.

    A drawn-out letter counts once: `Fiiire!!!` is `fire`.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold()).translate(_LETTERS)
    plain = _ACCENTS.sub("", plain)
    kinds = ((character, unicodedata.category(character)) for character in plain)
    words = "".join(character if kind[0] in "LMN" else " " for character, kind in kinds if kind != "Cf")
    return " ".join(_DRAWN_OUT.sub(r"\1", words).split())


def matcher(entries: Iterable[str]) -> re.Pattern[str]:
    """A pattern that finds any of the entries in a folded text, whole words only.

    In an entry `*` stands for any letters of a word, and ` ~ ` for up to three words between two others.
    """
    choices = "|".join(sorted({_entry_pattern(entry) for entry in entries}))
    return re.compile(f"(?<![^ ])(?:{choices})(?![^ ])") if choices else _NOTHING


def template_matcher(template: str) -> re.Pattern[str]:
    """A pattern that finds a folded text made from `template`, whatever was filled in for its `{placeholders}`."""
    parts = (re.escape(fold(part)) for part in _PLACEHOLDER.split(template))
    return re.compile(".*".join(parts))


def _entry_pattern(entry: str) -> str:
    pattern, joint = "", ""
    for word in entry.split():
        if word == _GAP:
            joint = f"(?: [^ ]+){{0,{_GAP_WORDS_MAX}}} "
            continue
        pattern += joint + "[^ ]*".join(fold(part) for part in word.split("*"))
        joint = " "
    return pattern
