"""A pack: what is known of a language before a message, as frozen tables in one buffer.

Lays out and checks that buffer; opens no file and predicts nothing. All numbers are 16-bit, little-endian:

    header    0..1 b"mtxt", 2 format, 3 contexts, 4 local contexts, 5 sections' check, 6..13 name, 16.. kinds
    alphabet  256 x 64 bytes: which bytes follow a byte, commonest first
    pairs     256 x 256: of the next bits after one byte, 12 bits of probability and 3 of confidence
    states    contexts x 8 x 144, signed: stretched probability of one bit, by bit and state
    locals    local contexts x 8 x 8, signed: the same for what was seen within the message
    weights   (256 + 1024 + 400) x width, signed, 4096 = 1: width = 8 x (contexts + 1 + local contexts)
    final     64 x 3, signed, 4096 = 1
    map       4096 x 33: what the mixed probability turned out to be
    tables    for each context: buckets + 1 offsets, then its entries
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from protocol.errors import LocalError
from protocol.text.contexts import KINDS

__all__ = ["CONTEXTS_MAX", "FORMAT", "HEADER", "LOCALS_MAX", "Pack", "Sizes", "Table", "little_endian", "native"]

FORMAT: Final = 0
"""Version of the model, the tables and the coding: two bits of the codec byte."""
HEADER: Final = 128
"""Numbers in the header."""
CONTEXTS_MAX: Final = 16
LOCALS_MAX: Final = 8
_MAGIC: Final = b"mtxt"
_SETS: Final = (256, 1024, 400)
FINAL_SETS: Final = 64
MAP_SETS: Final = 4096
_NAME_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Table:
    """Where one context's followers lie, in numbers from the start of the pack."""

    buckets: int
    entries: int
    offsets_at: int
    """buckets + 1 of them: first entry of the bucket minus its expected place, plus 32768."""
    entries_at: int
    """Each: level (3 bits), rank in the alphabet of the byte before (6), check of the hash (7)."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Where each section of a pack starts, in numbers, and how many numbers it has in all but the tables."""

    contexts: int
    local_contexts: int
    alphabet: int
    pairs: int
    states: int
    local_states: int
    weights: tuple[int, int, int]
    final: int
    map: int
    tables: int

    @property
    def width(self) -> int:
        """Weights in a set."""
        return 8 * (self.contexts + 1 + self.local_contexts)

    @classmethod
    def of(cls, contexts: int, local_contexts: int) -> Sizes:
        """The layout of a pack with so many contexts."""
        width = 8 * (contexts + 1 + local_contexts)
        pairs = HEADER + 256 * 64 // 2
        states = pairs + 65536
        local_states = states + contexts * 8 * 144
        first = local_states + local_contexts * 8 * 8
        second = first + _SETS[0] * width
        third = second + _SETS[1] * width
        final = third + _SETS[2] * width
        apm = final + FINAL_SETS * 3
        return cls(
            contexts, local_contexts, HEADER, pairs, states, local_states, (first, second, third), final, apm,
            apm + MAP_SETS * 33,
        )  # fmt: skip


class Pack:
    """One pack over `buffer` (bytes, mmap or memoryview), which stays in use for as long as the pack.

    Raises LocalError where the buffer is no pack that this version can use.
    """

    def __init__(self, buffer: bytes | memoryview) -> None:
        view = memoryview(buffer)
        if view.nbytes < 2 * HEADER or view.nbytes % 2 or bytes(view[:4]) != _MAGIC:
            raise _unusable("it doesn't begin as one")
        self.numbers: Sequence[int] = native(view, "H")
        self.signed: Sequence[int] = native(view, "h")
        header = self.numbers[:HEADER]
        if header[2] != FORMAT:
            raise _unusable(f"it is of format {header[2]}, and this version reads format {FORMAT}")
        contexts, local_contexts = header[3], header[4]
        if not 1 <= contexts <= CONTEXTS_MAX or local_contexts > min(LOCALS_MAX, contexts):
            raise _unusable("it says that it has too many contexts")
        self.name = bytes(view[12 : 12 + _NAME_BYTES]).rstrip(b"\0").decode("ascii", "replace")
        self.kinds = tuple(header[32 : 32 + contexts])
        self.local_contexts = tuple(header[48 : 48 + local_contexts])
        """Which of the contexts are also followed within the message."""
        if not KINDS.issuperset(self.kinds) or any(index >= contexts for index in self.local_contexts):
            raise _unusable("it names contexts that this version doesn't know")
        self.sizes = Sizes.of(contexts, local_contexts)
        self.alphabet = bytes(view[2 * HEADER : 2 * self.sizes.pairs])
        at, tables = self.sizes.tables, []
        for index in range(contexts):
            low, high, low_entries, high_entries = header[64 + 4 * index : 68 + 4 * index]
            buckets, entries = low | high << 16, low_entries | high_entries << 16
            tables.append(Table(buckets, entries, at, at + buckets + 1))
            at += buckets + 1 + entries
        if at * 2 != view.nbytes or not all(table.buckets for table in tables):
            raise _unusable("its tables are of other sizes than it says")
        self.tables = tuple(tables)

    @staticmethod
    def header(
        name: str, kinds: Sequence[int], local_contexts: Sequence[int], tables: Sequence[tuple[int, int]]
    ) -> bytes:
        """The head of a pack whose tables have so many (buckets, entries)."""
        head = array("H", bytes(2 * HEADER))
        head[2], head[3], head[4] = FORMAT, len(kinds), len(local_contexts)
        head[32 : 32 + len(kinds)] = array("H", kinds)
        head[48 : 48 + len(local_contexts)] = array("H", local_contexts)
        for index, (buckets, entries) in enumerate(tables):
            head[64 + 4 * index : 68 + 4 * index] = array(
                "H", (buckets & 0xFFFF, buckets >> 16, entries & 0xFFFF, entries >> 16)
            )
        data = bytearray(little_endian(head))
        data[:4] = _MAGIC
        data[12 : 12 + _NAME_BYTES] = name.encode("ascii")[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
        return bytes(data)


def little_endian(numbers: array[int], order: str = sys.byteorder) -> bytes:
    """The bytes of `numbers` as a pack holds them, on a machine of byte order `order`."""
    if order == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def native(view: memoryview, kind: str, order: str = sys.byteorder) -> Sequence[int]:
    """The numbers of a pack in `view`, as a machine of byte order `order` reads them; copied where it must swap."""
    if order == "little":
        return view.cast("B").cast(kind)  # type: ignore[call-overload,no-any-return]
    swapped = array(kind, view.tobytes())
    swapped.byteswap()
    return swapped


def _unusable(why: str) -> LocalError:
    return LocalError("this text pack can't be used", why, "build it anew with `meshai packs train`")
