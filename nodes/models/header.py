"""Reads what stands at the start of a GGUF file: its metadata and the shapes of its tensors.

A walk over the bytes that trusts no number in them: each count and length is held against the bytes that are left
before it is used, long arrays (the vocabulary) are stepped over, and the header as a whole is bounded. Knows the file
format and nothing of what the values mean. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocol.errors import LocalError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAGIC", "Header", "Skipped", "TensorShape", "Value", "read_header"]

MAGIC = b"GGUF"

_VERSIONS = (2, 3)
_HEADER_BYTES_MAX = 128 << 20
_KEYS_MAX = 65_536
_TENSORS_MAX = 65_536
_KEY_BYTES_MAX = 65_535
_KEPT_STRING_BYTES_MAX = 65_536
_KEPT_ITEMS_MAX = 1024
_DIMENSIONS_MAX = 4
_KEY_BYTES_MIN = 8 + 4 + 1
_TENSOR_BYTES_MIN = 8 + 4 + 8 + 4 + 8

_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True, slots=True)
class Skipped:
    """A value too long to keep."""

    length: int
    """Items of an array, bytes of a string."""


Value = int | float | bool | str | tuple[int | float | bool | str, ...] | Skipped


@dataclass(frozen=True, slots=True)
class TensorShape:
    """One tensor's entry."""

    elements: int
    kind: int
    """ggml's number of the type its elements are stored in."""
    offset: int
    """Where its data starts, counted from the end of the padded header."""


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a GGUF file says."""

    version: int
    metadata: dict[str, Value]
    tensors: tuple[TensorShape, ...]
    data_start: int
    """Byte at which tensor data starts."""
    file_bytes: int


def read_header(path: Path) -> Header:
    """Read the header of the GGUF file at `path`.

    Raises LocalError when it can't be read, is no GGUF, ends within its header, or holds numbers no model has.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
            if magic != MAGIC:
                raise LocalError(f"{path} is no GGUF model", _what_it_is(magic), "Name a file that ends in .gguf")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Walk(data, path).header()
    except OSError as error:
        raise LocalError(f"{path} can't be read", error.strerror or str(error)) from error


def _what_it_is(magic: bytes) -> str:
    if not magic:
        return "it is empty"
    if magic.lstrip()[:1] == b"<":
        return "it looks like a web page"
    if magic[:2] == b"PK":
        return "it is a zip archive"
    return f"it starts with {magic!r} instead of {MAGIC!r}"


class _Walk:
    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self._data = data
        self._path = path
        self._at = len(MAGIC)
        self._end = min(len(data), _HEADER_BYTES_MAX)

    def header(self) -> Header:
        version = self._scalar("I")
        if version not in _VERSIONS:
            raise self._wrong(f"its version is {version}, and versions 2 and 3 are known", "Fetch a newer conversion")
        tensor_count = self._count("tensors", _TENSORS_MAX, _TENSOR_BYTES_MIN)
        key_count = self._count("keys", _KEYS_MAX, _KEY_BYTES_MIN)
        metadata: dict[str, Value] = {}
        for _ in range(key_count):
            key = self._text(self._length("key", _KEY_BYTES_MAX))
            if key in metadata:
                raise self._wrong(f"the key {key!r} is there twice")
            metadata[key] = self._value(self._scalar("I"))
        tensors = tuple(self._tensor() for _ in range(tensor_count))
        alignment = metadata.get("general.alignment", 32)
        if not isinstance(alignment, int) or not 1 <= alignment <= 1 << 20 or alignment & (alignment - 1):
            raise self._wrong(f"its alignment is {alignment!r}")
        return Header(version, metadata, tensors, -(-self._at // alignment) * alignment, len(self._data))

    def _value(self, kind: int) -> Value:
        if kind == _ARRAY:
            return self._array()
        if kind == _STRING:
            length = self._length("string", _HEADER_BYTES_MAX)
            if length <= _KEPT_STRING_BYTES_MAX:
                return self._text(length)
            self._at += length
            return Skipped(length)
        return self._number(kind)

    def _array(self) -> Value:
        kind = self._scalar("I")
        if kind == _STRING:
            count = self._count("array items", _HEADER_BYTES_MAX, 8)
            if count <= _KEPT_ITEMS_MAX:
                lengths = (self._length("string", _KEPT_STRING_BYTES_MAX) for _ in range(count))
                return tuple(self._text(length) for length in lengths)
            self._step_over_strings(count)
            return Skipped(count)
        if kind not in _SCALARS:
            raise self._wrong(f"it has an array of type {kind}")
        width = struct.calcsize(f"<{_SCALARS[kind]}")
        count = self._count("array items", _HEADER_BYTES_MAX, width)
        if count <= _KEPT_ITEMS_MAX:
            return tuple(self._number(kind) for _ in range(count))
        self._at += count * width
        return Skipped(count)

    def _step_over_strings(self, count: int) -> None:
        # Vocabularies hold 50,000 to 1,000,000 strings: nothing but this loop decides how long a header takes.
        unpack, data, at, end = struct.Struct("<Q").unpack_from, self._data, self._at, self._end - 8
        for _ in range(count):
            if at > end:
                raise self._ended()
            at += 8 + unpack(data, at)[0]
        self._at = at
        self._need(0)

    def _tensor(self) -> TensorShape:
        self._text(self._length("tensor name", _KEY_BYTES_MAX))
        dimensions = self._scalar("I")
        if not 1 <= dimensions <= _DIMENSIONS_MAX:
            raise self._wrong(f"a tensor has {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self._scalar("Q")
        return TensorShape(elements, self._scalar("I"), self._scalar("Q"))

    def _number(self, kind: int) -> int | float | bool:
        if kind not in _SCALARS:
            raise self._wrong(f"it has a value of type {kind}")
        code = f"<{_SCALARS[kind]}"
        self._need(struct.calcsize(code))
        number: int | float | bool = struct.unpack_from(code, self._data, self._at)[0]
        self._at += struct.calcsize(code)
        return number

    def _scalar(self, code: str) -> int:
        width = struct.calcsize(f"<{code}")
        self._need(width)
        number: int = struct.unpack_from(f"<{code}", self._data, self._at)[0]
        self._at += width
        return number

    def _length(self, what: str, most: int) -> int:
        return self._count(f"bytes of a {what}", most, 1)

    def _count(self, what: str, most: int, bytes_each: int) -> int:
        count = self._scalar("Q")
        if count > most:
            raise self._wrong(f"it claims {count:,} {what}")
        self._need(count * bytes_each)
        return count

    def _text(self, length: int) -> str:
        self._need(length)
        raw = self._data[self._at : self._at + length]
        self._at += length
        return raw.decode("utf-8", errors="replace")

    def _need(self, count: int) -> None:
        if self._at + count > self._end:
            raise self._ended()

    def _ended(self) -> LocalError:
        if self._end < len(self._data):
            return self._wrong(f"its header is longer than {_HEADER_BYTES_MAX >> 20} MiB")
        return LocalError(
            f"{self._path} is cut short",
            f"its header needs more than the {len(self._data):,} bytes that are there",
            "Fetch it again",
        )

    def _wrong(self, why: str, fix: str = "Fetch it again, from a source you trust") -> LocalError:
        return LocalError(f"{self._path} is damaged, or was made to mislead", why, fix)
