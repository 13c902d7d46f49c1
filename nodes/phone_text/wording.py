"""Answers cut to what a phone shows and the air can spare: thinking taken out, pages, numbered chunks.

Pure functions over strings. Sizes are bytes of UTF-8.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["CHUNK_BYTES_MAX", "MARK", "chunked", "paged", "said"]

CHUNK_BYTES_MAX = 200
"""Longest text in one packet, its mark and number included: fits every path that Meshtastic has."""
MARK = "AI:"
"""Begins everything that a machine says here, so that neither people nor other machines take it for a person."""
_BEGINNING = f"{MARK} "

_NAMES = "think|thinking|thought|reasoning|reflection|analysis"
_THINKING = re.compile(
    rf"<(?P<tag>{_NAMES})\b[^>]*>.*?</(?P=tag)\s*>"
    r"|\[THINK\].*?\[/THINK\]"
    r"|◁think▷.*?◁/think▷"
    r"|<\|begin_of_thought\|>.*?<\|end_of_thought\|>"
    r"|<\|channel\|>\s*analysis.*?(?=<\|channel\|>\s*final|<\|end\|>)",
    re.IGNORECASE | re.DOTALL,
)
"""What reasoning models put around their thoughts: DeepSeek, Qwen, Magistral, Kimi, gpt-oss and others."""
_BEGUN = re.compile(
    rf"<(?:{_NAMES})\b[^>]*>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>\s*analysis", re.IGNORECASE
)
_ENDED = re.compile(rf"</(?:{_NAMES})\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>", re.IGNORECASE)
_CONTROL = re.compile(
    r"<\|start\|>\s*assistant|<\|channel\|>\s*\w+|<\|\w+\|>|</?(?:answer|final)>|<\|begin_of_solution\|>", re.IGNORECASE
)
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
"""What turns the direction of writing around, and so can make a text read as another."""
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?\n\s*")
_JOINS_NEXT = "\u200d"


def said(text: str) -> str:
    """What a model said, without what it thought: `<think>…</think>` and the like, closed or not; blanks condensed.

    Empty when it only thought.
    """
    spoken = _THINKING.sub(" ", text)
    if begun := _BEGUN.search(spoken):
        spoken = spoken[: begun.start()]
    *_, spoken = _ENDED.split(spoken)  # a template may open the thinking before the model's first word
    spoken = _BLANKS.sub(" ", _CONTROL.sub(" ", spoken))
    spoken = "".join(letter for letter in spoken if letter == "\n" or unicodedata.category(letter) not in ("Cc", "Cs"))
    return _LINES.sub("\n", _OVERRIDES.sub("", spoken)).strip()


def chunked(text: str) -> list[str]:
    """`text` in as few packets as possible, each marked, and numbered such as `(1/3)` when there are several.

    Cut between words, and inside one only when it fills a packet by itself, never inside a character.
    """
    if len(text.encode()) <= CHUNK_BYTES_MAX - len(_BEGINNING):
        return [_BEGINNING + text]
    room = _room_bytes(text)
    pieces = []
    while text:
        piece, text = _first_words(text, room)
        pieces.append(piece)
    return [f"{_BEGINNING}({number}/{len(pieces)}) {piece}" for number, piece in enumerate(pieces, 1)]


def paged(text: str, chunks: int, hint: str, *, spare_bytes: int = 0) -> tuple[str, str]:
    """What of `text` fits into so many chunks, ending in `hint` when more is left, and the rest.

    `spare_bytes` are left free for what goes before it.
    """
    before = "x" * spare_bytes
    if len(chunked(before + text)) <= chunks:
        return text, ""
    room = chunks * _room_bytes(before + text) - spare_bytes
    page, rest = _first_words(text, room)
    while len(chunked(f"{before}{page} {hint}")) > chunks and len(page) > 1:
        # Chunks are cut at words, so how much fits shows only when it is tried.
        room = len(page.encode()) - 1
        page, rest = _first_words(text, room)
    return f"{page} {hint}", rest


def _room_bytes(text: str) -> int:
    """What of a text of several chunks fits into one, beside mark and number."""
    digits = len(str(2 * len(text.encode()) // CHUNK_BYTES_MAX + 1))  # cut at words, chunks stay more than half full
    return CHUNK_BYTES_MAX - len(_BEGINNING) - len("(/) ") - 2 * digits


def _first_words(text: str, room_bytes: int) -> tuple[str, str]:
    """The beginning of `text` that fits into `room_bytes`, at least one character, and the rest, both stripped."""
    end = used = 0
    for letter in text:
        used += len(letter.encode(errors="replace"))
        if used > room_bytes and end:
            break
        end += 1
    if end == len(text):
        return text.strip(), ""
    blank = max(text.rfind(" ", 0, end + 1), text.rfind("\n", 0, end + 1))
    if blank > 0:
        end = blank
    else:
        whole = end
        while whole > 0 and _continues(text, whole):
            whole -= 1
        end = whole or end
    return text[:end].strip(), text[end:].strip()


def _continues(text: str, at: int) -> bool:
    """Whether the letter at `at` is shown as one with the letter before it."""
    return (
        unicodedata.category(text[at])[0] == "M"
        or text[at] == _JOINS_NEXT
        or text[at - 1] == _JOINS_NEXT
        or "\U0001f3fb" <= text[at] <= "\U0001f3ff"
    )
