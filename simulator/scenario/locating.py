"""Finds the line on which each key of a TOML text stands, which `tomllib` does not tell.

For text that `tomllib` has read without complaint: nothing is checked here, and values are skipped, not understood.
"""

from __future__ import annotations

import re
import tomllib

__all__ = ["Lines", "Path"]

Path = tuple[str | int, ...]
"""A key's way from the top: names, and numbers from 0 for elements of lists."""

_SKIP = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BLANKS = re.compile(r"[ \t]*")
_STRING = re.compile(r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\\n])*"' r"|'[^'\n]*'", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR = re.compile(r"[^,\]}\n#]*")


class Lines:
    """Where the keys of one TOML text stand."""

    def __init__(self, text: str) -> None:
        """`text` must be valid TOML with newlines as `\\n`, nested no deeper than `tomllib` reads."""
        self._text = text
        self._at = 0
        self._line, self._counted_to = 1, 0
        self._lists: dict[Path, int] = {}
        """Arrays of tables, and how many tables of each were seen."""
        self._lines: dict[Path, int] = {}
        self._read()

    def of(self, path: Path) -> int:
        """The line of a key, or of the nearest table around it that is written; 1 for the whole text."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def _read(self) -> None:
        table: Path = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _header(self) -> Path:
        is_list = self._text.startswith("[[", self._at)
        self._at += 2 if is_list else 1
        *parents, last = self._key()
        self._at += 2 if is_list else 1
        path: Path = ()
        for name in parents:
            path = self._latest((*path, name))
        path = (*path, last)
        self._note(path)
        if is_list:
            number = self._lists.get(path, 0)
            self._lists[path] = number + 1
            path = (*path, number)
            self._note(path)
        return self._latest(path)

    def _latest(self, path: Path) -> Path:
        """The table that a name means: of an array of tables, the last one."""
        return (*path, self._lists[path] - 1) if path in self._lists else path

    def _pair(self, table: Path) -> None:
        path = table
        for name in self._key():
            path = (*path, name)
            self._note(path)
        self._at += 1  # the equals sign
        self._value(path)

    def _key(self) -> list[str]:
        """A key and its parts between dots, up to what follows it."""
        parts = []
        while True:
            self._match(_BLANKS)
            if self._text[self._at] in "\"'":
                parts.append(tomllib.loads(f"key = {self._match(_STRING)}")["key"])
            else:
                parts.append(self._match(_BARE))
            self._match(_BLANKS)
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, path: Path) -> None:
        self._match(_BLANKS)
        first = self._text[self._at : self._at + 1]
        if first == "[":
            self._list(path)
        elif first == "{":
            self._inline_table(path)
        elif first in ('"', "'"):
            self._match(_STRING)
        else:
            self._match(_SCALAR)

    def _list(self, path: Path) -> None:
        self._at += 1
        number = 0
        while not self._ends("]"):
            self._note((*path, number))
            self._value((*path, number))
            number += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while not self._ends("}"):
            self._pair(path)

    def _ends(self, bracket: str) -> bool:
        """Skip to the next element, or past the closing bracket."""
        self._skip()
        if self._text.startswith(",", self._at):
            self._at += 1
            self._skip()
        if self._text.startswith(bracket, self._at):
            self._at += 1
            return True
        return False

    def _skip(self) -> None:
        self._match(_SKIP)

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        assert found is not None, "tomllib let this pass"
        self._at = found.end()
        return found.group()

    def _note(self, path: Path) -> None:
        self._line += self._text.count("\n", self._counted_to, self._at)
        self._counted_to = self._at
        self._lines.setdefault(path, self._line)
