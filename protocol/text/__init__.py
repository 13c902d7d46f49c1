"""Compact coding of short text for the air, from frozen packs of what a language is like.

Layout: numbers <- contexts, pack <- model <- coder <- codec; registry stands alone. Takes buffers, opens no file.
"""

from protocol.text.codec import Loop, TextCoder
from protocol.text.pack import Pack
from protocol.text.registry import BROTLI, LOCAL_IDS, RAW, REGISTERED, Registered

__all__ = ["BROTLI", "LOCAL_IDS", "RAW", "REGISTERED", "Loop", "Pack", "Registered", "TextCoder"]
