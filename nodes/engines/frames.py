"""Frames between the engine and its worker process: a length of four bytes, big-endian, then one msgpack list.

A list opens with its kind, a short word; `nodes.engines.llama_worker` documents each. Bytes in, lists out: opens no
pipe and knows nothing of models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgpack

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FRAME_BYTES_MAX", "BadFrame", "FrameReader", "pack_frame"]

FRAME_BYTES_MAX = 4 << 20
"""Longest frame: a conversation of a million characters fits."""

_LENGTH_BYTES = 4


class BadFrame(Exception):
    """The other process sent something that is no frame; nothing after it can be trusted."""


def pack_frame(*parts: Any) -> bytes:
    """Return one frame that holds the list `parts`. Raises ValueError when it is longer than FRAME_BYTES_MAX."""
    body: bytes = msgpack.packb(parts)
    if len(body) > FRAME_BYTES_MAX:
        raise ValueError(f"a frame of {len(body)} bytes is longer than {FRAME_BYTES_MAX}")
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes | bytearray) -> Iterator[list[Any]]:
        """Take the next bytes and yield each list they complete. Raises BadFrame."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            length = int.from_bytes(self._buffer[start:body], "big")
            if length > FRAME_BYTES_MAX:
                raise BadFrame(f"a frame claims {length} bytes")
            if len(self._buffer) - body < length:
                break
            yield _unpack(bytes(self._buffer[body : body + length]))
            start = body + length
        del self._buffer[:start]


def _unpack(body: bytes) -> list[Any]:
    try:
        parts = msgpack.unpackb(body)
    except (ValueError, msgpack.UnpackException) as error:
        raise BadFrame("a frame is not msgpack") from error
    if not isinstance(parts, list) or not parts or not isinstance(parts[0], str):
        raise BadFrame("a frame is no list that opens with its kind")
    return parts
