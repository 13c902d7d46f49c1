"""When two questions are the same: the key under which an answer is kept.

Exact by design: only differences that no reader would notice (Unicode composition, runs of white space) are levelled,
because merging more served wrong answers in every measurement. The whole conversation is part of the key.
"""

from __future__ import annotations

import unicodedata
from hashlib import sha256

import msgpack

from protocol.messages import Turn

__all__ = ["answer_key"]

_KEY_VERSION = 1


def answer_key(turns: tuple[Turn, ...], *, model: str, max_tokens: int) -> bytes:
    """Return the 32-byte key of a conversation put to `model` (empty: any) with answers up to `max_tokens`."""
    canonical = [[int(turn.role), " ".join(unicodedata.normalize("NFC", turn.text).split())] for turn in turns]
    return sha256(msgpack.packb([_KEY_VERSION, model, max_tokens, canonical])).digest()
