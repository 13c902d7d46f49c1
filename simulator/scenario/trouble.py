"""What is wrong with a scenario's files: each mistake with its file and line, and all of them as one error.

Knows nothing of scenarios: whoever reads a file notes here what it found and what it expected.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from protocol.errors import LocalError

__all__ = ["PROBLEMS_MAX", "Problem", "ScenarioError", "Troubles", "did_you_mean", "line_numbers", "read_text", "shown"]

PROBLEMS_MAX = 10
"""More mistakes than that are not told at once."""
_SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    file: str
    line: int
    """From 1; 0 where no line is to blame."""
    what: str
    """What was found."""
    expected: str
    """What should stand there instead, or what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self._told}"

    @property
    def where(self) -> str:
        """Such as `village.toml, line 12`."""
        return f"{self.file}, line {self.line}" if self.line else self.file

    @property
    def _told(self) -> str:
        return f"{self.what}; {self.expected}" if self.expected else self.what


class ScenarioError(LocalError):
    """A scenario that can't be used, and every mistake that was found in it."""

    def __init__(self, problems: Iterable[Problem], *, more: bool = False) -> None:
        """`more`: there may be further ones."""
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        """At least one, in the order of their lines."""
        first = self.problems[0]
        if len(self.problems) == 1 and not more:
            super().__init__(f"in {first.where}: {first.what}", "", first.expected)
            return
        counted = f"more than {len(self.problems)}" if more else f"{len(self.problems)}"
        super().__init__(
            f"{counted} things in {first.file} need mending",
            "\n".join(["", *(f"  {problem}" for problem in self.problems)]),
        )

    def __str__(self) -> str:
        if len(self.problems) == 1:
            return super().__str__()
        return f"{self.what[:1].upper()}{self.what[1:]}:{self.why}"


class Troubles:
    """Collects mistakes; raises them all when there are too many to go on."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    def note(self, file: str, line: int, what: str, expected: str) -> None:
        """Note a mistake, once; raises ScenarioError when `PROBLEMS_MAX` are noted and one more comes."""
        problem = Problem(file, line, what, expected)
        if problem in self.found:
            return
        if len(self.found) == PROBLEMS_MAX:
            raise ScenarioError(self.found, more=True)
        self.found.append(problem)

    def settle(self) -> None:
        """Raise ScenarioError when anything was noted."""
        if self.found:
            raise ScenarioError(self.found)


def shown(value: object) -> str:
    """A value from a file as a message names it: short, a text in quotes, a table or list by its kind."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    cut = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"
    return f'"{cut}"' if isinstance(value, str) else cut


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Such as `perhaps "preset" is meant`, or else `expected one of hours, start`."""
    names = list(known)
    folded = {name.casefold(): name for name in names}
    wanted = word.casefold()[:_SHOWN_CHARS]
    longer = [name for name in folded if wanted and name.startswith(wanted)]
    close = get_close_matches(wanted, folded, n=1) or (longer if len(longer) == 1 else [])
    return f'perhaps "{folded[close[0]]}" is meant' if close else f"expected one of {', '.join(names)}"


def line_numbers(text: str, starts: Iterable[int]) -> list[int]:
    """The line, from 1, of each offset in a text; offsets ascend."""
    lines, line, counted_to = [], 1, 0
    for start in starts:
        line += text.count("\n", counted_to, start)
        counted_to = start
        lines.append(line)
    return lines


def read_text(path: Path, file: str, bytes_max: int, troubles: Troubles) -> str | None:
    """The text of a UTF-8 file, with or without byte-order mark; None when that can't be read, and noted.

    No more than `bytes_max` is ever read. Newlines come back as `\\n`.
    """
    try:
        if not path.is_file():
            troubles.note(file, 0, "there is no such file", "check the name and the folder")
            return None
        with path.open("rb") as opened:
            data = opened.read(bytes_max + 1)
    except OSError as error:
        troubles.note(file, 0, f"can't be read: {error.strerror or error}", "check the name and the folder")
        return None
    except ValueError:
        troubles.note(file, 0, "can't be read: no file can have that name", "check the name")
        return None
    if len(data) > bytes_max:
        troubles.note(file, 0, "the file is too large", f"at most {bytes_max} bytes are read")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        troubles.note(file, line, "the text is not UTF-8", 'save it as "UTF-8" (spreadsheets call it "CSV UTF-8")')
        return None
    return text.replace("\r\n", "\n").replace("\r", "\n")
