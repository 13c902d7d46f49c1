"""How things are said to a person: text from the net made harmless, answers and costs in one line each.

Pure functions from data to strings; prints nothing.
"""

from __future__ import annotations

import unicodedata

from nodes.interfaces import Cost
from nodes.wishes import Answer

__all__ = ["ago", "air_line", "clean", "cost_line", "origin_line"]

_BIDI_OVERRIDES = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")
_KEEP = frozenset("\n\t")


def clean(text: str, *, lines: bool = True) -> str:
    """Return `text` without control characters and direction overrides, which could rewrite a terminal.

    Keeps newlines and tabs, unless `lines` is False.
    """
    return "".join(
        character
        for character in text
        if (lines and character in _KEEP)
        or (unicodedata.category(character) not in ("Cc", "Cs") and character not in _BIDI_OVERRIDES)
    )


def cost_line(cost: Cost, *, estimated: bool = True) -> str:
    """Such as `4 packets, 512 bytes, 1.3 s of air (estimated)`."""
    if not cost.packets:
        return "no packet sent"
    packets = "1 packet" if cost.packets == 1 else f"{cost.packets} packets"
    line = f"{packets}, {cost.bytes_on_air} bytes, {cost.airtime_s:.1f} s of air"
    return f"{line} (estimated)" if estimated else line


def origin_line(answer: Answer) -> str:
    """Who answered, with which model, from where, in what time and at what cost, in one line."""
    if answer.source == "fixed":
        return "no model answered"
    who = clean(answer.answered_by, lines=False)
    hops = {0: "", 1: " over 1 hop"}.get(answer.hops, f" over {answer.hops} hops")
    source = "from this node's cache" if answer.source == "cache" else f"in {answer.seconds:.1f} s"
    cut = " · cut at the token limit, /more goes on" if answer.truncated else ""
    return f"{who}{hops} · {clean(answer.model, lines=False)} · {source} · {cost_line(answer.cost)}{cut}"


def air_line(air: str, *, silent: bool) -> str:
    """What a node may send now, from its status; empty without a radio."""
    return "quiet: nothing is sent by radio (meshai quiet --off ends it)" if silent else air


def ago(seconds: float) -> str:
    """Such as `40 s ago` or `3 min ago`."""
    if seconds < 90:
        return f"{seconds:.0f} s ago"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min ago"
    return f"{seconds / 3600:.0f} h ago"
