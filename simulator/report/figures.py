"""The sums behind the page's charts: bars, the heat strip's rows, and the two directions of a link as one line.

Pure, and without words or markup.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from protocol.airtime import DEFAULT_PRESET, PRESETS
from simulator.outcome import LinkUse, Outcome, StationUse

__all__ = ["Bars", "Pair", "busiest_first", "hops_bars", "kinds_bars", "pairs", "seconds_bars", "snr_limit_db"]

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
_MAX_BARS = 16


@dataclass(frozen=True, slots=True)
class Bars:
    """A histogram."""

    labels: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two stations that hear each other, or one of them the other."""

    one: int
    """Index in `Outcome.stations`, the lower of the two."""
    other: int
    there_db: float | None
    """SNR at `other` of what `one` sends; None where nothing gets there."""
    back_db: float | None
    heard: int
    """Packets received over it, both directions."""
    lost: int


def seconds_bars(outcome: Outcome) -> Bars:
    """Answers by seconds until they were there; the last bar holds all that took longer."""
    seconds = [each.seconds for each in outcome.asked if each.ending != "failed"]
    if not seconds:
        return Bars((), ())
    longest_s = sorted(seconds)[math.ceil(0.98 * len(seconds)) - 1]
    step = next((step for step in _STEPS_S if longest_s < step * (_MAX_BARS - 1)), _STEPS_S[-1])
    count = min(_MAX_BARS - 1, int(longest_s // step) + 1)
    counts = Counter(min(count, int(each // step)) for each in seconds)
    labels = [f"{number * step}\u2013{(number + 1) * step}" for number in range(count)]
    if counts[count]:
        labels.append(f"{count * step}+")
    return Bars(tuple(labels), tuple(counts[number] for number in range(len(labels))))


def hops_bars(outcome: Outcome) -> Bars:
    """Answers of others' models by hops: how many transmissions lay in between."""
    theirs = [each for each in outcome.asked if each.answered_by not in (None, each.station)]
    counts = Counter(each.hops for each in theirs if each.ending == "answered")
    if not counts:
        return Bars((), ())
    numbers = range(min(1, *counts), max(counts) + 1)
    return Bars(tuple(str(number) for number in numbers), tuple(counts[number] for number in numbers))


def kinds_bars(outcome: Outcome) -> Bars:
    """Seconds of air by kind of packet, most first."""
    ordered = sorted(outcome.airtime_by_kind_s.items(), key=lambda item: (-item[1], item[0]))
    return Bars(tuple(kind for kind, _ in ordered), tuple(seconds for _, seconds in ordered))


def pairs(links: Iterable[LinkUse]) -> list[Pair]:
    """Join the two directions of each link, those with most use last, so that they are drawn on top."""
    found: dict[tuple[int, int], dict[int, LinkUse]] = {}
    for link in links:
        key = min(link.sender, link.receiver), max(link.sender, link.receiver)
        found.setdefault(key, {})[link.sender] = link
    joined = []
    for (one, other), ways in found.items():
        there, back = ways.get(one), ways.get(other)
        joined.append(
            Pair(
                one,
                other,
                there.snr_db if there else None,
                back.snr_db if back else None,
                sum(way.heard for way in ways.values()),
                sum(way.lost for way in ways.values()),
            )
        )
    return sorted(joined, key=lambda pair: (pair.heard, pair.one, pair.other))


def busiest_first(use: Sequence[StationUse]) -> list[int]:
    """Stations by their busiest hour, then by their mean."""
    return sorted(
        range(len(use)),
        key=lambda index: (
            -max(use[index].utilisation_by_hour, default=0.0),
            -fmean(use[index].utilisation_by_hour or [0.0]),
            index,
        ),
    )


def snr_limit_db(outcome: Outcome) -> float:
    """SNR below which the run's preset is not received: -7.5 dB at SF7, 2.5 dB less for each step (Semtech SX1262)."""
    preset = PRESETS.get(outcome.scenario.radio.preset.upper(), DEFAULT_PRESET)
    return -7.5 - 2.5 * (preset.spreading_factor - 7)
