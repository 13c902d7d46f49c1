"""What waits to be sent to phones: letters of a few chunks, emergencies first, bounded in number and age.

Pure: says which chunk is next and what a delivery means for its letter. Sends nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from nodes.phone_text.wording import chunked

__all__ = ["LETTERS_MAX", "Letter", "Tray"]

LETTERS_MAX = 16
_PER_PERSON_MAX = 4
_LETTER_S = 600.0
"""A letter that could not leave for so long is of no use any more."""
_TRIES_MAX = 3
"""Times that one chunk is sent, the first included."""


@dataclass(eq=False, slots=True)
class Letter:
    """One text for one person, or for a channel."""

    person: str
    channel: int
    is_direct: bool
    """Whether it is for that person alone, who then acknowledges it."""
    text: str
    hops: int = 0
    """Length of the path to the person, in transmissions."""
    reply_id: int = 0
    """The packet that it answers, as an app shows it."""
    urgent: bool = False
    """Whether it goes before all others."""
    undelivered: Callable[[str], None] = lambda text: None
    """Gets what did not arrive, when the letter is given up."""
    written_at: float = 0.0
    chunks: list[str] = field(init=False)
    """Those still to be delivered."""
    tries: int = 0
    """How often the first of them was sent."""

    def __post_init__(self) -> None:
        self.chunks = chunked(self.text)

    @property
    def expires_at(self) -> float:
        """When it is given up."""
        return self.written_at + _LETTER_S


class Tray:
    """The letters that wait, in the order in which they leave."""

    def __init__(self) -> None:
        self._letters: deque[Letter] = deque()

    def __len__(self) -> int:
        return len(self._letters)

    def put(self, letter: Letter) -> bool:
        """Take a letter; False when too many wait already."""
        same = sum(waiting.person == letter.person for waiting in self._letters)
        if len(self._letters) >= LETTERS_MAX or (same >= _PER_PERSON_MAX and not letter.urgent):
            return False
        if letter.urgent:
            before = sum(waiting.urgent for waiting in self._letters)
            self._letters.insert(before, letter)
        else:
            self._letters.append(letter)
        return True

    def first(self, now: float) -> Letter | None:
        """The letter whose chunk goes next; those too old are given up."""
        while self._letters and self._letters[0].expires_at <= now:
            self._give_up(self._letters[0])
        return self._letters[0] if self._letters else None

    def sent(self, letter: Letter, *, delivered: bool) -> None:
        """Note what became of its first chunk: done with, or to be sent again a bounded number of times."""
        letter.tries += 1
        if delivered:
            letter.chunks.pop(0)
            letter.tries = 0
            if not letter.chunks:
                self._letters.remove(letter)
        elif letter.tries >= _TRIES_MAX:
            self._give_up(letter)

    def _give_up(self, letter: Letter) -> None:
        self._letters.remove(letter)
        letter.undelivered(" ".join(_bare(chunk) for chunk in letter.chunks))


def _bare(chunk: str) -> str:
    """A chunk's own words, without mark and number."""
    words = chunk.split(" ", 2)
    is_numbered = len(words) == 3 and words[1].startswith("(") and words[1].endswith(")") and "/" in words[1]
    return words[2] if is_numbered else chunk.partition(" ")[2]
