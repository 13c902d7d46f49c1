"""What a node says and understands in each language: fixed phrases, command words, and the words of emergencies.

General layout: one TOML file per language beside this one, `words` (folding and matching), `books` (the files read and
checked). Imports nothing of the rest of `nodes`.
"""

from nodes.languages.books import KINDS, ORIGINAL, Language, language, languages, likely
from nodes.languages.words import fold

__all__ = ["KINDS", "ORIGINAL", "Language", "fold", "language", "languages", "likely"]
