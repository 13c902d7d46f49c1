"""What came before, as hashed contexts: the last characters, the word begun and the words before it.

Counts in characters, not bytes, so that Devanagari or Arabic look as far back as Latin does. Knows no tables and no
probabilities. Texts and integers only: every machine gets the same hashes.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CHARACTERS_MAX", "KINDS", "PREVIOUS_WORD", "SKIPPED_WORD", "TWO_WORDS", "WORD", "History"]

CHARACTERS_MAX: Final = 8
"""The kinds 1 to 8 are that many characters."""
WORD: Final = 9
"""The word so far (ASCII letters in lower case)."""
PREVIOUS_WORD: Final = 10
"""The word so far and the one before it."""
TWO_WORDS: Final = 11
"""The word so far and the two before it."""
SKIPPED_WORD: Final = 12
"""The word so far and the one before the previous one."""
_SHAPE: Final = 13
"""The last two characters and the word before."""
KINDS: Final = frozenset(range(1, 14))

_M32: Final = 0xFFFFFFFF
_K: Final = 0x9E3779B1
_NO_LETTERS: Final = frozenset((0x60C, 0x61B, 0x61F, 0x6D4, 0x964, 0x965, 0xA1, 0xAB, 0xBB, 0xBF))
_GENERAL_PUNCTUATION: Final = range(0x2000, 0x2070)
_LETTER: Final = tuple(chr(code).isascii() and (chr(code).isalnum() or chr(code) == "'") for code in range(128))
_NEWLINE: Final = 10


class History:
    """The bytes of one text so far, seen as contexts."""

    __slots__ = (
        "_before",
        "_characters",
        "_code",
        "_gap",
        "_missing",
        "_orders",
        "_part",
        "_two_before",
        "_word",
        "byte_before",
        "last_byte",
        "length",
        "word_length",
    )

    def __init__(self) -> None:
        self.last_byte = self.byte_before = 0
        self.length = 0
        """Bytes so far."""
        self.word_length = 0
        """Characters of the word begun."""
        self._characters = [0] * CHARACTERS_MAX
        self._orders = [0] * (CHARACTERS_MAX + 1)
        self._part = self._code = self._missing = 0
        self._word = self._before = self._two_before = self._gap = 0
        self._fold()

    def add(self, byte: int) -> None:
        """Take the next byte of the text."""
        self.byte_before, self.last_byte = self.last_byte, byte
        self.length += 1
        if byte < 0x80:
            self._part = 0
            self._character(byte)
        elif byte >= 0xC0:
            self._part = byte
            self._missing = 3 if byte >= 0xF0 else 2 if byte >= 0xE0 else 1
            self._code = byte & (0x3F >> self._missing)
        else:
            self._part = (self._part << 6 | byte) & _M32
            self._code = self._code << 6 | byte & 0x3F
            self._missing -= 1
            if self._missing == 0:
                self._part = 0
                self._character(self._code)

    def hashes(self, kinds: tuple[int, ...]) -> list[int]:
        """A 32-bit hash for each of `kinds`."""
        word, gap = self._word, self._gap if not self.word_length else 0
        pair = _mix(word + 0x202, self._before)
        values = (
            *self._orders,
            _mix(word + 0x101, gap),
            pair ^ gap,
            _mix(pair + 0x303, self._two_before) ^ gap,
            _mix(word + 0x404, self._two_before) ^ gap,
            _mix(self._orders[2] + 0x505, self._before),
        )
        part = self._part * 0x85EBCA6B
        found = []
        for kind in kinds:
            value = ((values[kind] ^ part ^ kind * 0xC2B2AE35) & _M32) * 0x2C1B3C6D & _M32
            value = (value ^ value >> 15) * _K & _M32
            found.append(value ^ value >> 13)
        return found

    def _character(self, code: int) -> None:
        self._characters.insert(0, code)
        self._characters.pop()
        self._fold()
        if _LETTER[code] if code < 0x80 else code not in _NO_LETTERS and code not in _GENERAL_PUNCTUATION:
            self._word = _mix(self._word, code + 32 if 65 <= code <= 90 else code)
            self.word_length += 1
            return
        if self.word_length:
            self._two_before, self._before = self._before, self._word
            self._word = self.word_length = 0
            self._gap = code * 7
        else:
            self._gap = (self._gap * 31 + code * 7) & _M32
        if code == _NEWLINE:
            self._before = _mix(self._before, code)

    def _fold(self) -> None:
        value = 0
        for order, code in enumerate(self._characters, 1):
            value = _mix(value, code)
            self._orders[order] = value


def _mix(value: int, code: int) -> int:
    value = (value + code + 1) * _K & _M32
    return value ^ value >> 15
