"""The fixed numbers of the text model: logistic curve, counts and what they stand for. Integers only, so that two
machines never differ; it knows nothing of packs or of text.

Probabilities are 16-bit; stretched ones, `ln(p / (1 - p))`, are in units of 1/256, from -2047 to 2047.
"""

from __future__ import annotations

__all__ = ["COUNT_OF_LEVEL", "KIND_OF_STATE", "QUANTUM", "SQUASH", "STRETCH", "level_of"]

# 65536 / (1 + exp(-x)) for x from -8 to 8 in steps of a quarter.
_KNOTS = (
    22,
    28,
    36,
    47,
    60,
    77,
    98,
    126,
    162,
    208,
    267,
    342,
    439,
    562,
    720,
    922,
    1179,
    1506,
    1921,
    2446,
    3108,
    3938,
    4971,
    6249,
    7812,
    9702,
    11955,
    14595,
    17625,
    21025,
    24743,
    28693,
    32768,
    36843,
    40793,
    44511,
    47911,
    50941,
    53581,
    55834,
    57724,
    59287,
    60565,
    61598,
    62428,
    63090,
    63615,
    64030,
    64357,
    64614,
    64816,
    64974,
    65097,
    65194,
    65269,
    65328,
    65374,
    65410,
    65438,
    65459,
    65476,
    65489,
    65500,
    65508,
    65514,
)


def _squash(x: int) -> int:
    step, part = divmod(x + 2048, 64)
    return (_KNOTS[step] * (64 - part) + _KNOTS[step + 1] * part) >> 6


SQUASH = tuple(_squash(x) for x in range(-2048, 2048))
"""16-bit probability of each stretched one, at index x + 2048."""


def _stretch() -> tuple[int, ...]:
    found, x = [], 0
    for p in range(4096):
        while x < 4095 and SQUASH[x] < p << 4 | 8:
            x += 1
        found.append(max(-2047, x - 2048))
    return tuple(found)


STRETCH = _stretch()
"""Stretched probability of each 12-bit one: the inverse of `SQUASH`."""

COUNT_OF_LEVEL = (1, 2, 3, 5, 8, 14, 32, 100)
"""What a 3-bit level in a table stands for."""


def level_of(count: int) -> int:
    """The level of a count of 1 or more."""
    return sum(count > most for most in (1, 2, 3, 5, 9, 20, 60))


QUANTUM = tuple(n if n < 5 else sum(n > most for most in (6, 9, 14, 24, 49, 99)) + 5 for n in range(64 * 100 + 1))
"""A sum of counts in 12 steps. A state is QUANTUM of the zeros times 12, plus QUANTUM of the ones."""


def _kind(zeros: int, ones: int) -> int:
    if not zeros or not ones:
        return (0, 0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 4)[zeros + ones]
    return 5 if zeros + ones < 6 else 6 if zeros + ones < 11 else 7


KIND_OF_STATE = tuple(_kind(zeros, ones) for zeros in range(12) for ones in range(12))
"""Which of the eight weights of a context counts: by how much was seen, and whether it all agreed."""
