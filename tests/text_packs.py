"""A small pack for tests, trained in plain Python in a moment, and texts that it suits."""

from functools import cache

from nodes.pack_training import Recipe, train
from protocol.text import Pack

SENTENCES = (
    "Why is the sky blue?",
    "The sky is blue because air scatters blue light more than red light.",
    "How do I purify water? Boil it for a minute, then let it cool.",
    "Je, mbingu ni ya bluu kwa nini? Chemsha maji kwa dakika moja.",
    "Báwo ni? Mo wà dáadáa, ọmọ náà ń sùn.",
    "आसमान नीला क्यों है? पानी उबालो।",
    "لماذا السماء زرقاء؟ اغلِ الماء.",
    "Ça va bien, merci — et toi? «Oui.»",
    "def add(a, b):\n    return a + b\n",
    "Emoji 😀 and 日本語 too…",
)
TINY = Recipe(room=500, kinds=(1, 2, 3, 5, 9, 10, 11, 12, 13), local_contexts=(1, 2, 4))


def pieces(rounds: int = 4) -> list[bytes]:
    return [f"{sentence} {number}.".encode() for number in range(rounds) for sentence in SENTENCES]


@cache
def tiny_bytes() -> bytes:
    return train("tiny", pieces(), TINY, loop=None, watch=lambda *progress: None)


@cache
def tiny_pack() -> Pack:
    return Pack(tiny_bytes())
