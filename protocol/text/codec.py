"""Text for the air: picks the coding that gives the fewest bytes, and reads what others sent.

One byte in front says how: two bits of format, six of codec or pack. Never longer than UTF-8 and that byte. Works on
packs it is given, and reads no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

from protocol.errors import LocalError, RemoteError
from protocol.text import coder
from protocol.text.pack import FORMAT, Pack
from protocol.text.registry import BROTLI, CODEC_IDS, RAW

__all__ = ["Loop", "TextCoder"]

_BROTLI_FROM_BYTES: Final = 64
"""Shorter texts gain nothing from brotli."""
_SAMPLE_BYTES: Final = 256
"""So much of a text is looked at to tell its language."""
_TRIED: Final = 5
"""Packs tried on the beginning of a text."""
_TRIAL_BYTES: Final = 128
_COST: Final = tuple(rank.bit_length() * 8 + 8 for rank in range(64))
"""What a byte costs about by its rank, in eighths of a bit."""
_UNKNOWN_COST: Final = 160


class Loop(Protocol):
    """What codes with a pack: `protocol.text.coder`, or the same compiled."""

    def encode(self, pack: Pack, text: bytes, *, about: bytes = ..., bytes_max: int) -> bytes | None:
        """Code `text`; None where it takes more than `bytes_max` bytes."""

    def decode(self, pack: Pack, data: bytes, *, about: bytes = ..., bytes_max: int) -> bytes:
        """Return the text. Raises RemoteError where there is none, or more than `bytes_max` bytes of it."""


class TextCoder:
    """Codes texts with `packs`, by number; raw and brotli need none."""

    def __init__(self, packs: Mapping[int, Pack], *, loop: Loop = coder) -> None:
        if not all(number in CODEC_IDS and number not in (RAW, BROTLI) for number in packs):
            raise LocalError("a text pack can't be used", "its number isn't from 2 to 63", "give it one that is")
        self._packs = dict(packs)
        self._loop = loop

    @property
    def packs(self) -> frozenset[int]:
        """The numbers of the packs we can read."""
        return frozenset(self._packs)

    @property
    def bitmap(self) -> int:
        """The same as bits: bit n is pack n."""
        return sum(1 << number for number in self._packs)

    def encode(self, text: str, *, readable: int, about: str = "") -> bytes:
        """Return the shortest coding of `text` that a peer with the packs `readable` (a bitmap) can read.

        `about` is what the peer knows already; it must give the same to `decode`. Raises LocalError where `text` is
        no Unicode.
        """
        try:
            plain, known = text.encode(), about.encode()
        except UnicodeEncodeError as error:
            raise LocalError("this text can't be sent", "it holds half a character", "take it out") from error
        best = bytes([_front(RAW)]) + plain
        if len(plain) > 1 and b"\0" not in plain:
            candidates = [number for number in self._packs if readable >> number & 1]
            number = self._likeliest(plain, known, candidates)
            if number is not None:
                coded = self._loop.encode(self._packs[number], plain, about=known, bytes_max=len(best) - 2)
                if coded is not None:
                    best = bytes([_front(number)]) + coded
        if len(plain) >= _BROTLI_FROM_BYTES:
            import brotli

            squeezed = brotli.compress(plain, mode=brotli.MODE_TEXT, lgwin=16)
            if len(squeezed) + 1 < len(best):
                best = bytes([_front(BROTLI)]) + squeezed
        return best

    def decode(self, data: bytes, *, about: str = "", max_bytes: int) -> str:
        """Return the text that `data` codes, of at most `max_bytes` bytes of UTF-8.

        Raises RemoteError where we lack the pack, or where `data` is damaged or holds more.
        """
        if not data:
            raise RemoteError("a text can't be read", "it is empty and doesn't say how it is coded")
        front, body = data[0], data[1:]
        if front >> 6 != FORMAT:
            raise RemoteError(
                "a text can't be read",
                f"it is coded in format {front >> 6}, and this version reads format {FORMAT}",
                "bring both nodes up to date",
            )
        number = front & 63
        if number == RAW:
            plain = body
        elif number == BROTLI:
            plain = _unsqueezed(body, max_bytes)
        elif number in self._packs:
            plain = self._loop.decode(self._packs[number], body, about=about.encode(), bytes_max=max_bytes)
        else:
            raise RemoteError("a text can't be read", f"it is coded with pack {number}, which isn't here")
        if len(plain) > max_bytes:
            raise RemoteError("a coded text is too long", f"it holds more than {max_bytes} bytes")
        try:
            return plain.decode()
        except UnicodeDecodeError as error:
            raise RemoteError("a coded text is damaged", "what it holds is no UTF-8") from error

    def beginning(self, data: bytes, *, about: str = "", max_bytes: int) -> str:
        """Return the text that the first bytes of a coded text make certain; empty where they make none.

        Nothing vouches for it until the whole is here.
        """
        pack = self._packs.get(data[0] & 63) if data and data[0] >> 6 == FORMAT else None
        if pack is None:
            return ""
        plain = coder.beginning(pack, data[1:], about=about.encode(), bytes_max=max_bytes)
        return plain.decode(errors="ignore")

    def _likeliest(self, plain: bytes, known: bytes, candidates: list[int]) -> int | None:
        """The pack that suits `plain`: by which bytes follow which, then by trying the best on its beginning."""
        if len(candidates) <= 1:
            return candidates[0] if candidates else None
        candidates.sort(key=lambda number: (_estimate(self._packs[number], plain), number))
        shortest: tuple[int, int] | None = None
        for number in candidates[:_TRIED]:
            most = shortest[0] - 1 if shortest else _TRIAL_BYTES * 2
            coded = self._loop.encode(self._packs[number], plain[:_TRIAL_BYTES], about=known, bytes_max=most)
            if coded is not None:
                shortest = (len(coded), number)
        return shortest[1] if shortest else candidates[0]


def _front(number: int) -> int:
    return FORMAT << 6 | number


def _estimate(pack: Pack, plain: bytes) -> int:
    """What `plain` would cost about, from the alphabets alone."""
    alphabet, last, cost = pack.alphabet, 0, 0
    for byte in plain[:_SAMPLE_BYTES].lower():
        rank = alphabet.find(byte, last * 64, last * 64 + 64) - last * 64
        cost += _COST[rank] if rank >= 0 else _UNKNOWN_COST
        last = byte
    return cost


def _unsqueezed(body: bytes, max_bytes: int) -> bytes:
    import brotli

    reader = brotli.Decompressor()
    try:
        plain: bytes = reader.process(body, output_buffer_limit=max_bytes + 1)
    except brotli.error as error:
        raise RemoteError("a coded text is damaged", "brotli can't read it") from error
    if len(plain) <= max_bytes and not reader.is_finished():
        raise RemoteError("a coded text is damaged", "it ends before its end mark")
    return plain
