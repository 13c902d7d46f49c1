"""The numbers of the text codecs and packs, and which bytes each pack must have. Numbers only append.

A pack that is trained anew takes a new number: two nodes that name the same one hold the same bytes. Knows no file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["BROTLI", "CODEC_IDS", "LOCAL_IDS", "RAW", "REGISTERED", "Registered"]

RAW: Final = 0
BROTLI: Final = 1
CODEC_IDS: Final = range(64)
LOCAL_IDS: Final = range(48, 63)
"""For packs that a community made and agreed on among itself: never in `REGISTERED`."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A pack that everyone can have."""

    number: int
    name: str
    """The language's ISO 639-1 code where it has one; also the pack's file name."""
    title: str
    sha256: str


REGISTERED: Final = {
    pack.number: pack
    for pack in (
        Registered(2, "en", "English", "61987b931cf10ebe553e92e9a042e6c491f28e69e26889946bf34f957f7c8cab"),
        Registered(3, "sw", "Swahili", "91c2a59498da2793e557371bdcc15e5cd5adc1e96efb65a3a2e2ac9948f9bd8c"),
    )
}
