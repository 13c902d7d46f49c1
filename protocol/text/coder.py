"""Text to bytes and back: a 32-bit binary arithmetic coder driven by the model of a pack.

A zero byte inside the model ends the text, so no length is sent. Work and output are bounded by what the caller
allows. It chooses no pack and knows no codec byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from protocol.errors import RemoteError
from protocol.text.model import predictions
from protocol.text.pack import Pack

__all__ = ["beginning", "decode", "encode"]

_M32: Final = 0xFFFFFFFF
_END: Final = 0
_TAIL_MAX: Final = 8
"""Zeros that a decoder may read behind the last byte: four in its window, and four that the encoder left out."""


def encode(pack: Pack, text: bytes, *, about: bytes = b"", bytes_max: int) -> bytes | None:
    """Code `text`, which holds no zero byte. None as soon as it would take more than `bytes_max` bytes."""
    model = predictions(pack, about)
    p = next(model)
    low, high = 0, _M32
    out = bytearray()
    for byte in (*text, _END):
        for shift in (7, 6, 5, 4, 3, 2, 1, 0):
            one = byte >> shift & 1
            middle = low + ((high - low) * p >> 16)
            if one:
                high = middle
            else:
                low = middle + 1
            while not (low ^ high) >> 24:
                out.append(high >> 24)
                low = low << 8 & _M32
                high = high << 8 & _M32 | 255
            p = model.send(one)
        if len(out) > bytes_max:
            return None
    out += _shortest_between(low, high)
    zeros = len(out) - len(out.rstrip(b"\0"))
    del out[len(out) - min(zeros, _TAIL_MAX - 4) :]
    return bytes(out) if len(out) <= bytes_max else None


def decode(pack: Pack, data: bytes, *, about: bytes = b"", bytes_max: int) -> bytes:
    """Return the text that `data` codes. Raises RemoteError where it is none, or longer than `bytes_max` bytes."""
    out, decoded = bytearray(), _decoded(pack, data, about)
    while True:
        byte, taken = next(decoded)
        if byte == _END:
            if taken < len(data):
                raise RemoteError("a coded text is damaged", "bytes follow its end mark")
            return bytes(out)
        if taken > len(data) + _TAIL_MAX:
            raise RemoteError("a coded text is damaged", "it ends before its end mark")
        if len(out) == bytes_max:
            raise RemoteError("a coded text is too long", f"it holds more than {bytes_max} bytes")
        out.append(byte)


def beginning(pack: Pack, data: bytes, *, about: bytes = b"", bytes_max: int) -> bytes:
    """Return the text that is certain when only the first bytes of a coded text are here, at most `bytes_max` bytes."""
    out, decoded = bytearray(), _decoded(pack, data, about)
    while True:
        byte, taken = next(decoded)
        if byte == _END or taken > len(data) or len(out) == bytes_max:
            return bytes(out)
        out.append(byte)


def _decoded(pack: Pack, data: bytes, about: bytes) -> Iterator[tuple[int, int]]:
    """Yield each byte, and how many of `data` were needed up to it; those behind its end count as zeros."""
    model = predictions(pack, about)
    p = next(model)
    low, high = 0, _M32
    window = int.from_bytes(data[:4].ljust(4, b"\0"), "big")
    taken = 4
    while True:
        byte = 0
        for _ in range(8):
            middle = low + ((high - low) * p >> 16)
            one = int(window <= middle)
            if one:
                high = middle
            else:
                low = middle + 1
            while not (low ^ high) >> 24:
                low = low << 8 & _M32
                high = high << 8 & _M32 | 255
                window = window << 8 & _M32 | (data[taken] if taken < len(data) else 0)
                taken += 1
            byte = byte * 2 + one
            p = model.send(one)
        yield byte, taken


def _shortest_between(low: int, high: int) -> bytes:
    """The fewest bytes that, followed by zeros, are a number from `low` to `high`."""
    roundings = [(low + (1 << step) - 1 >> step << step, 4 - step // 8) for step in (32, 24, 16, 8, 0)]
    value, size = min((rounding for rounding in roundings if rounding[0] <= high), key=itemgetter(1))
    return value.to_bytes(5, "big")[1 : 1 + size]
