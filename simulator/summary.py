"""What of a run matters to a person: did answers come, after how long, at what cost to the others.

Pure sums over an `Outcome`; knows nothing of pages, tables or how the world that filled it works. Where there is
nothing to divide by, a figure is None.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from simulator.outcome import Outcome

__all__ = ["ASKING_KINDS", "BusiestRelay", "HourUse", "Summary", "percentile", "summary", "wilson_percent"]

ASKING_KINDS = ("question", "answer", "control")
"""Kinds of packets that are there because somebody asked."""
_Z_95 = 1.959964
"""Half the width, in standard deviations, of an interval that holds 95 % of a normal distribution."""
_NAMED = re.compile(r"from [^:]+?(?=:)")
_FIGURE = re.compile(r"[0-9]+(?:[.,][0-9]+)?")
_UNNAMED_REASON = "no reason given"


@dataclass(frozen=True, slots=True)
class HourUse:
    """How busy the air was in one hour of the run."""

    hour: int
    """Hour of the day at which it begins, 0 to 23."""
    mean_percent: float
    """Channel utilisation, mean over the radios."""
    worst_percent: float
    """Channel utilisation at the radio that had most."""


@dataclass(frozen=True, slots=True)
class BusiestRelay:
    """The radio that passed on most packets of others."""

    name: str
    relayed: int
    sent_s: float
    """Seconds of air that it sent, its own packets included."""
    utilisation_percent: float | None
    """Channel utilisation there, mean over the run."""
    utilisation_worst_percent: float | None
    """The same in its busiest hour."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in a few figures."""

    asked: int
    answered: int
    """Questions that ended with an answer of any kind: by a model, from a cache, or a fixed text."""
    cached: int
    """Of these, from a cache."""
    fixed: int
    """Of these, a fixed text such as emergency numbers."""
    failed: dict[str, int]
    """What the person was told -> how many, most frequent first."""
    answered_low_percent: float | None
    """Lower end of the answered share's 95 % Wilson interval."""
    answered_high_percent: float | None
    seconds_p50: float | None
    """Half of the answers were there after that many seconds, cached ones included."""
    seconds_p95: float | None
    air_per_answer_s: float | None
    """Seconds of air of all transmitters for questions and answers, failed ones included, for each answer."""
    energy_per_answer_wh: float | None
    """All that radios and devices took, waiting included, for each answer."""
    hours: tuple[HourUse, ...]
    busiest_relay: BusiestRelay | None
    """None when nobody relayed."""
    answers_by_house: dict[str, int]
    """House with a model -> questions of others that it answered, most first; houses that answered none included."""
    transmissions: int
    receptions: int
    collisions: int

    @property
    def answered_percent(self) -> float | None:
        """Share of the questions that got an answer, percent."""
        return _percent(self.answered, self.asked)

    @property
    def cached_percent(self) -> float | None:
        """Share of the questions that a cache answered, percent."""
        return _percent(self.cached, self.asked)

    def form(self) -> dict[str, object]:
        """Plain numbers and stable names, for JSON: shares to 0.1 %, seconds and watt-hours to two digits."""
        relay = self.busiest_relay
        has_range = self.answered_low_percent is not None
        return {
            "asked": self.asked,
            "answered": self.answered,
            "answered_percent": _rounded(self.answered_percent, 1),
            "answered_percent_range": [
                _rounded(self.answered_low_percent, 1),
                _rounded(self.answered_high_percent, 1),
            ]
            if has_range
            else None,
            "cached": self.cached,
            "cached_percent": _rounded(self.cached_percent, 1),
            "fixed": self.fixed,
            "failed": dict(self.failed),
            "seconds_p50": _rounded(self.seconds_p50, 2),
            "seconds_p95": _rounded(self.seconds_p95, 2),
            "air_s_per_answer": _rounded(self.air_per_answer_s, 2),
            "energy_wh_per_answer": _rounded(self.energy_per_answer_wh, 2),
            "utilisation_percent_by_hour": [
                {"hour": use.hour, "mean": _rounded(use.mean_percent, 1), "worst": _rounded(use.worst_percent, 1)}
                for use in self.hours
            ],
            "busiest_relay": None
            if relay is None
            else {
                "name": relay.name,
                "relayed": relay.relayed,
                "sent_s": _rounded(relay.sent_s, 1),
                "utilisation_percent": _rounded(relay.utilisation_percent, 1),
                "utilisation_percent_worst_hour": _rounded(relay.utilisation_worst_percent, 1),
            },
            "answers_by_house": dict(self.answers_by_house),
            "transmissions": self.transmissions,
            "receptions": self.receptions,
            "collisions": self.collisions,
        }


def summary(outcome: Outcome) -> Summary:
    """Return the figures of `outcome` that matter to a person."""
    endings = Counter(asked.ending for asked in outcome.asked)
    asked_count = len(outcome.asked)
    answered = asked_count - endings["failed"]
    reasons = Counter(_gist(asked.why) for asked in outcome.asked if asked.ending == "failed")
    seconds = sorted(asked.seconds for asked in outcome.asked if asked.ending != "failed")
    interval = wilson_percent(answered, asked_count)
    air_s = math.fsum(outcome.airtime_by_kind_s.get(kind, 0.0) for kind in ASKING_KINDS)
    energy_wh = math.fsum(use.energy_wh for use in outcome.use)
    return Summary(
        asked=asked_count,
        answered=answered,
        cached=endings["cached"],
        fixed=endings["fixed"],
        failed=_most_first(reasons),
        answered_low_percent=interval[0] if interval else None,
        answered_high_percent=interval[1] if interval else None,
        seconds_p50=percentile(seconds, 50),
        seconds_p95=percentile(seconds, 95),
        air_per_answer_s=air_s / answered if answered else None,
        energy_per_answer_wh=energy_wh / answered if answered else None,
        hours=_hours(outcome),
        busiest_relay=_busiest_relay(outcome),
        answers_by_house=_most_first(
            {
                station.name: use.answered
                for station, use in zip(outcome.stations, outcome.use, strict=True)
                if station.models
            }
        ),
        transmissions=outcome.transmissions,
        receptions=outcome.receptions,
        collisions=outcome.collisions,
    )


def _gist(why: str) -> str:
    """What a person was told, without names, figures and advice: what several were told counts together."""
    what = _NAMED.sub("from a neighbour", why.split(". ")[0])
    return _FIGURE.sub("…", what).strip() or _UNNAMED_REASON


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The value below which `percent` of the `ordered` ones lie, drawn straight between two; None without any."""
    if not ordered:
        return None
    place = (len(ordered) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def wilson_percent(successes: int, tries: int) -> tuple[float, float] | None:
    """The 95 % interval of a share, in percent (Wilson 1927); None without any try.

    Unlike the usual one it stays within 0 and 100 and holds for few tries.
    """
    if not tries:
        return None
    share, square = successes / tries, _Z_95 * _Z_95
    middle = (share + square / (2 * tries)) / (1 + square / tries)
    half = _Z_95 / (1 + square / tries) * math.sqrt(share * (1 - share) / tries + square / (4 * tries * tries))
    return max(0.0, 100 * (middle - half)), min(100.0, 100 * (middle + half))


def _hours(outcome: Outcome) -> tuple[HourUse, ...]:
    columns = max((len(use.utilisation_by_hour) for use in outcome.use), default=0)
    hours = []
    for column in range(columns):
        values = [use.utilisation_by_hour[column] for use in outcome.use if column < len(use.utilisation_by_hour)]
        hours.append(HourUse(int(outcome.scenario.start_hour + column) % 24, fmean(values), max(values)))
    return tuple(hours)


def _busiest_relay(outcome: Outcome) -> BusiestRelay | None:
    pairs = zip(outcome.stations, outcome.use, strict=True)
    station, use = max(pairs, key=lambda pair: pair[1].relayed, default=(None, None))
    if station is None or use is None or not use.relayed:
        return None
    by_hour = use.utilisation_by_hour
    return BusiestRelay(
        station.name,
        use.relayed,
        use.sent_s,
        fmean(by_hour) if by_hour else None,
        max(by_hour) if by_hour else None,
    )


def _most_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
