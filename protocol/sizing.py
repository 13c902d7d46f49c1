"""How long an answer may be, judged by the air there is for it, and where to cut one that came out longer.

Pure arithmetic over the budget, the preset's time on air, the path and the load. Knows no model and sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from protocol import limits
from protocol.airtime import transmissions
from protocol.budget import BUSY_PERCENT

__all__ = ["AIR_BYTES_PER_BYTE", "BYTES_PER_TOKEN", "USUAL_TOKENS", "AnswerSize", "answer_size", "cut"]

AIR_BYTES_PER_BYTE = 0.3
"""Bytes on the air for one byte of UTF-8 in compact text, over all languages; 1 where text goes as it is."""
BYTES_PER_TOKEN = 4
"""Of text, roughly."""
USUAL_TOKENS = 140
"""Longest answer over the air for an asker who names no length: some 560 characters, a frame of compact text."""

_BYTES_PER_TOKEN_MAX = 2 * BYTES_PER_TOKEN
_TOKENS_PER_WORD = 2
"""Rather too many: a model that is told a number of words overshoots it."""
_ANSWER_AIR_S = 22.0
"""The most air that one answer takes, relays included, however much there is."""
_FRAMES_MAX = 8
_HEAD_BYTES = 12
"""Of an AnswerDone before its text."""
_MINUTE_S = 60.0
"""What channel utilisation is counted over."""


@dataclass(frozen=True, slots=True)
class AnswerSize:
    """How long an answer may be."""

    air_bytes: int
    """Of the message on the air, as far as can be expected."""
    text_bytes: int
    """Of UTF-8, at most: what has more is cut."""
    tokens: int
    words: int

    @property
    def instruction(self) -> str:
        """What the model is told."""
        return f"Answer in about {self.words} words."


def answer_size(
    *,
    left_s: float,
    frame_airtime_s: float,
    hops: int,
    utilisation_percent: float,
    waiting: int,
    tokens_max: int = 0,
    air_bytes_per_byte: float = 1.0,
    crowded: bool = False,
) -> AnswerSize:
    """Size an answer: whole frames, at least one, and so many that the channel is not busy before the last has left.

    `left_s`: air that this node may send now; `hops`: length of the path, 0 when unknown; `waiting`: how many others
    wait for an answer; `tokens_max`: the longest answer that the asker wants, 0 for the usual; `crowded`: others use
    the air too, so that more than a frame would hardly get through in one go.
    """
    times = transmissions(hops or limits.HOPS_ASSUMED)
    seconds = min(left_s / (waiting + 1), _ANSWER_AIR_S / times)
    room_s = max(0.0, BUSY_PERCENT - utilisation_percent) / 100 * _MINUTE_S / times
    frames = min(int(seconds / frame_airtime_s), 1 + int(room_s / frame_airtime_s), 1 if crowded else _FRAMES_MAX)
    air_bytes = max(1, frames) * limits.FRAGMENT_PAYLOAD_BYTES
    room_bytes = int((air_bytes - _HEAD_BYTES) / air_bytes_per_byte)
    tokens = min(tokens_max or USUAL_TOKENS, room_bytes // BYTES_PER_TOKEN)
    text_bytes = min(room_bytes, tokens * _BYTES_PER_TOKEN_MAX)
    expected_bytes = _HEAD_BYTES + ceil(tokens * BYTES_PER_TOKEN * air_bytes_per_byte)
    return AnswerSize(min(air_bytes, expected_bytes), text_bytes, tokens, max(1, tokens // _TOKENS_PER_WORD))


def cut(text: str, bytes_max: int) -> str:
    """Return the beginning of `text` that fits into so many bytes of UTF-8: whole sentences if half of it or more."""
    if len(text.encode()) <= bytes_max:
        return text
    kept = text.encode()[:bytes_max].decode(errors="ignore")
    ends = [kept.rfind(mark) + 1 for mark in (". ", "! ", "? ", "\n", "。", "।", "؟ ")]
    sentence, word = max(ends), kept.rfind(" ")
    if sentence >= len(kept) / 2:
        return kept[:sentence].rstrip()
    return kept[:word].rstrip() if word > 0 else kept
