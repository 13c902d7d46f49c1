"""Coded text inside a message: the codec's byte, for all codecs but raw a CRC-16 of the plain text, and the coded text.

The check is what notices that two nodes' packs differ although their registries agree; who gets text that does not fit
asks for it again in a codec that needs no pack. How text is coded is the business of `protocol.text`.
"""

from __future__ import annotations

from binascii import crc_hqx
from typing import TYPE_CHECKING

from protocol.errors import RemoteError

if TYPE_CHECKING:
    from protocol.text import TextCoder

__all__ = ["NOTHING_READABLE", "UnreadableTextError", "read_beginning", "read_text", "write_text"]

NOTHING_READABLE = 0
"""Bitmap of no packs: what every node can read."""
_RAW = 0
_CRC_BYTES = 2


class UnreadableTextError(RemoteError):
    """A text came whole and can't be decoded here, or decodes to something else than was written."""


def write_text(coder: TextCoder | None, text: str, *, readable: int, about: str = "") -> bytes:
    """Return `text` in the shortest form that a reader of the packs in `readable` understands; None writes raw.

    `about` is text that both sides know. Raises UnicodeEncodeError when `text` is not Unicode text.
    """
    plain = text.encode()
    coded = coder.encode(text, readable=readable, about=about) if coder and readable else b""
    if not coded or coded[0] == _RAW or len(coded) + _CRC_BYTES > len(plain):
        return bytes((_RAW,)) + plain
    return coded[:1] + crc_hqx(plain, 0).to_bytes(_CRC_BYTES, "big") + coded[1:]


def read_text(coder: TextCoder | None, data: bytes, *, bytes_max: int, about: str = "") -> str:
    """Inverse of `write_text`; raises RemoteError when that is longer than `bytes_max` or no text.

    Raises UnreadableTextError when another codec may help.
    """
    if not data:
        raise RemoteError("a message can't be read", "it lacks its text")
    if data[0] == _RAW:
        if len(data) - 1 > bytes_max:
            raise RemoteError("a message can't be read", f"its text is longer than {bytes_max} bytes")
        try:
            return data[1:].decode()
        except UnicodeDecodeError as error:
            raise RemoteError("a message can't be read", "its text is not UTF-8") from error
    if coder is None or len(data) < 1 + _CRC_BYTES:
        raise UnreadableTextError("a text can't be read", "it is coded in a way that this node does not read")
    try:
        text = coder.decode(data[:1] + data[1 + _CRC_BYTES :], about=about, max_bytes=bytes_max)
    except RemoteError as error:
        raise UnreadableTextError(error.what, error.why) from error
    if crc_hqx(text.encode(), 0) != int.from_bytes(data[1 : 1 + _CRC_BYTES], "big"):
        raise UnreadableTextError("a text can't be read", "its check does not fit: the packs of the two nodes differ")
    return text


def read_beginning(coder: TextCoder | None, data: bytes, *, bytes_max: int, about: str = "") -> str:
    """Return the text that the first bytes of what `write_text` gave make certain, for the eyes only; never raises."""
    if data[:1] == bytes((_RAW,)):
        return data[1 : 1 + bytes_max].decode(errors="ignore")
    if coder is None or len(data) <= 1 + _CRC_BYTES:
        return ""
    return coder.beginning(data[:1] + data[1 + _CRC_BYTES :], about=about, max_bytes=bytes_max)
