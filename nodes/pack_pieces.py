"""Reads the texts that a pack is made from, piece by piece, and says how long the making will take.

Takes text files and `.xz` ones: pieces (messages, paragraphs) with a zero byte or an empty line between two. Knows
nothing of how a pack is made.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from protocol.errors import LocalError

__all__ = ["minutes_without_compiler", "read_pieces"]

_TEXT_BYTES_MAX: Final = 256 << 20
_PIECE_BYTES_MAX: Final = 32_000
_EMPTY_LINE: Final = re.compile(r"\n(?:[ \t\r]*\n)+")
_SECONDS_PER_MB: Final = 300


def read_pieces(paths: Sequence[Path], *, longest: int = 0) -> list[bytes]:
    """Return the pieces of all `paths` in order, of at most `longest` bytes of UTF-8 each (0: all).

    Raises LocalError where a file can't be read, isn't UTF-8, or is too large.
    """
    most = min(longest or _PIECE_BYTES_MAX, _PIECE_BYTES_MAX)
    pieces = []
    for path in paths:
        text = _text(path)
        for piece in text.split("\0") if "\0" in text else _EMPTY_LINE.split(text.strip("\n")):
            plain = piece.encode()
            if piece.strip() and len(plain) <= most:
                pieces.append(plain)
    return pieces


def minutes_without_compiler(pieces: Sequence[bytes]) -> int:
    """About how long making a pack of `pieces` takes in plain Python, on an ordinary laptop."""
    return max(1, sum(map(len, pieces)) * _SECONDS_PER_MB // 60_000_000)


def _text(path: Path) -> str:
    try:
        with lzma.open(path) if path.suffix == ".xz" else path.open("rb") as file:
            data = file.read(_TEXT_BYTES_MAX + 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise LocalError(f"{path} can't be read", str(error), "check its name and that it is whole") from error
    if len(data) > _TEXT_BYTES_MAX:
        raise LocalError(f"{path} is too large", f"it holds more than {_TEXT_BYTES_MAX >> 20} MB", "take less text")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise LocalError(f"{path} can't be read", "it is no UTF-8", "convert it, for example with iconv") from error
