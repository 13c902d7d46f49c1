"""Coded text inside a message: the codec's byte, for all codecs but raw a CRC-16 of the plain text, and the coded text.

The check is what notices that two nodes' packs differ although their registries agree; who gets text that does not fit
asks for it again in a codec that needs no pack. How text is coded is the business of `protocol.text`.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from protocol import limits
from protocol.errors import RemoteError

if TYPE_CHECKING:
    from protocol.text import TextCoder

__all__ = ["NOTHING_READABLE", "Texts", "UnreadableTextError", "read_beginning", "read_text", "write_text"]

NOTHING_READABLE = 0
"""Bitmap of no packs: what every node can read."""
_RAW = 0
_CRC_BYTES = 2


class UnreadableTextError(RemoteError):
    """A text came whole and can't be decoded here, or decodes to something else than was written.

    `kind` and `ask_id`: the message that it belongs to, where that is known.
    """

    kind: type | None = None
    ask_id: int = 0


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


class Texts:
    """What one session writes and reads: in which packs, and which texts are worth the time that reading takes."""

    def __init__(self, coder: TextCoder | None, wanted: Callable[[str, type, int], str | None]) -> None:
        """`wanted(peer, kind, ask_id)`: what is known about a message's text already, None when nobody waits for it."""
        self._coder = coder
        self._wanted = wanted
        self._packs_of: OrderedDict[str, int] = OrderedDict()

    @property
    def packs(self) -> int:
        """Bitmap of the packs that are here."""
        return self._coder.bitmap if self._coder else NOTHING_READABLE

    def packs_of(self, peer: str) -> int:
        """Bitmap of the packs that `peer` said it reads."""
        return self._packs_of.get(peer, NOTHING_READABLE)

    def told(self, peer: str, packs: int) -> None:
        """Note the packs that a peer reads."""
        self._packs_of[peer] = packs
        self._packs_of.move_to_end(peer)
        if len(self._packs_of) > limits.PEERS_MAX:
            self._packs_of.popitem(last=False)

    def write(self, text: str, readable: int, about: str) -> bytes:
        """See `write_text`."""
        return write_text(self._coder, text, readable=readable, about=about)

    def read(self, peer: str, kind: type, ask_id: int, data: bytes, bytes_max: int) -> str | None:
        """Read a message's text, if somebody waits for it; see `read_text`."""
        about = self._wanted(peer, kind, ask_id)
        if about is None:
            return None
        try:
            return read_text(self._coder, data, bytes_max=bytes_max, about=about)
        except UnreadableTextError as error:
            error.kind, error.ask_id = kind, ask_id
            raise

    def read_beginning(self, peer: str, kind: type, ask_id: int, data: bytes) -> str:
        """Read what is certain of a message's text, if somebody waits for it; see `read_beginning`."""
        about = self._wanted(peer, kind, ask_id)
        if about is None:
            return ""
        return read_beginning(self._coder, data, bytes_max=limits.ANSWER_BYTES_MAX, about=about)
