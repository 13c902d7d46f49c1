"""The shipped text coder, remembering what it coded: in a simulation the same texts cross the air again and again.

The bytes are those of the real coder, so sizes on the air are too; only work that was done before is spared.
"""

from __future__ import annotations

from functools import cache

from nodes.packs import text_coder
from nodes.text_loop import compiled_loop
from protocol.text import TextCoder

__all__ = ["RememberingCoder", "remembering_coder"]


class RememberingCoder(TextCoder):
    """A text coder that codes each text once, and need not decode what it coded itself."""

    def __init__(self, coder: TextCoder) -> None:
        self._coder = coder
        self._coded: dict[tuple[str, int, str], bytes] = {}
        self._texts: dict[tuple[bytes, str], str] = {}

    @property
    def packs(self) -> frozenset[int]:
        """The numbers of the packs we can read."""
        return self._coder.packs

    @property
    def bitmap(self) -> int:
        """The same as bits."""
        return self._coder.bitmap

    def encode(self, text: str, *, readable: int, about: str = "") -> bytes:
        """As the real coder."""
        key = (text, readable, about)
        if key not in self._coded:
            self._coded[key] = self._coder.encode(text, readable=readable, about=about)
            self._texts[self._coded[key], about] = text
        return self._coded[key]

    def decode(self, data: bytes, *, about: str = "", max_bytes: int) -> str:
        """As the real coder: what is damaged, or was coded elsewhere, it decodes."""
        text = self._texts.get((bytes(data), about))
        if text is None or len(text.encode()) > max_bytes:
            return self._coder.decode(data, about=about, max_bytes=max_bytes)
        return text

    def beginning(self, data: bytes, *, about: str = "", max_bytes: int) -> str:
        """As the real coder."""
        return self._coder.beginning(data, about=about, max_bytes=max_bytes)


@cache
def remembering_coder() -> RememberingCoder:
    """The one of this process. Compiles the inner loop where a C compiler is there: the bytes are the same."""
    compiled_loop()
    return RememberingCoder(text_coder())
