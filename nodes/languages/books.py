"""The languages a node speaks: each file read, checked against English, and asked for a phrase or a guess.

A phrase that a file lacks is English. Files come with the program; a damaged one is a mistake of ours and raises
LocalError at the first use.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nodes.languages.words import fold, matcher
from protocol.errors import LocalError

__all__ = ["KINDS", "ORIGINAL", "Language", "language", "languages", "likely", "read_language"]

ORIGINAL = "en"
"""What the others are translated from, and what stands in for a missing phrase."""
KINDS = ("poison", "injury", "fire", "drowning", "violence")
"""The emergencies that are told apart."""

_FOLDER = Path(__file__).parent
_RIVAL = 0.6
"""Another language with this share of the best one's words is as likely."""


@dataclass(frozen=True, slots=True)
class Language:
    """One language's file."""

    code: str
    """ISO 639-1."""
    name: str
    """In the language itself."""
    translator: str
    reviewer: str
    """Who read the translation and found it right; empty for nobody yet."""
    phrases: Mapping[str, str]
    commands: Mapping[str, tuple[str, ...]]
    """Command -> its words, folded."""
    common: re.Pattern[str]
    """The commonest words, by which the language is recognised."""
    alarms: Mapping[str, re.Pattern[str]]
    """Kind of emergency -> what tells of one, in a folded text."""
    harmless: re.Pattern[str]
    """What sounds like an emergency and is none."""

    @property
    def reviewed(self) -> bool:
        """Whether a person who speaks it has read the translation."""
        return bool(self.reviewer)

    def say(self, phrase: str, **values: str | int) -> str:
        """The phrase with its values filled in, in English where this language lacks it."""
        template = self.phrases.get(phrase) or language(ORIGINAL).phrases[phrase]
        return template.format_map(values)


@cache
def languages() -> Mapping[str, Language]:
    """Every language by its code, English first."""
    codes = sorted((path.stem for path in _FOLDER.glob("*.toml")), key=lambda code: (code != ORIGINAL, code))
    return {code: read_language(code, (_FOLDER / f"{code}.toml").read_text(encoding="utf-8")) for code in codes}


def language(code: str) -> Language:
    """The language with this code; English when there is none."""
    return languages().get(code) or languages()[ORIGINAL]


def likely(text: str, *, sure_words: int = 2) -> tuple[str, ...]:
    """Codes of the languages that `text` may well be in, the likeliest first; empty when it is too short to tell.

    `sure_words`: how many of a language's commonest words make a guess.
    """
    folded = fold(text)
    scores = {code: len(book.common.findall(folded)) for code, book in languages().items()}
    best = max(scores.values())
    if best < sure_words:
        return ()
    rivals = [code for code in scores if scores[code] >= _RIVAL * best]
    return tuple(sorted(rivals, key=lambda code: -scores[code]))


def read_language(code: str, text: str) -> Language:
    """Read one language's file; raises LocalError for what it can't mean."""
    try:
        return _language(code, tomllib.loads(text))
    except (tomllib.TOMLDecodeError, KeyError, TypeError, AttributeError) as error:
        raise LocalError(f"the language file {code}.toml can't be read", str(error), "see docs/phones.md") from error


def _language(code: str, book: dict[str, Any]) -> Language:
    if bool(book["reviewed"]) != bool(book["reviewer"].strip()):
        raise LocalError(
            f"the language file {code}.toml can't be right",
            "reviewed and reviewer contradict each other",
            "name the reviewer where reviewed = true, and nobody where it is false",
        )
    emergency = book.get("emergency", {})
    return Language(
        code,
        book["language"],
        book["translator"],
        book["reviewer"].strip(),
        dict(book.get("phrases", {})),
        {command: tuple(fold(word) for word in words) for command, words in book.get("commands", {}).items()},
        matcher(book.get("common", [])),
        {kind: matcher(emergency.get(kind, [])) for kind in KINDS},
        matcher(emergency.get("harmless", [])),
    )
