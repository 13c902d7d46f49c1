"""Many runs made into few figures: what is kept of a run, means with their intervals, and differences of two scenarios.

Pure sums; `simulator.spreading` has the runs made, `simulator.runsfile` keeps them. Figures are Student's t intervals
(95 %) over the seeds, each seed one independent try; they repeat exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

from protocol.errors import LocalError
from simulator.outcome import Outcome
from simulator.scenario.plan import Scenario
from simulator.summary import summary, wilson_percent

__all__ = [
    "FIGURES",
    "INTERVAL",
    "Difference",
    "Estimate",
    "Figure",
    "Job",
    "Row",
    "RunFigures",
    "difference",
    "estimate",
    "figures_of",
    "row",
    "run_job",
    "t_quantile",
]

INTERVAL = "95 % by Student's t over the seeds; for the answered share no narrower than Wilson's over all its questions"
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Job:
    """A run to be made."""

    combination: int
    """Counts the scenarios of the sweep from 0."""
    seed: int
    scenario: Scenario
    name: str = ""
    """What errors call the scenario."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What is kept of a run: plain numbers. None where there is nothing to divide by."""

    combination: int
    seed: int
    asked: int
    answered: int
    cached: int
    seconds_p50: float | None
    seconds_p95: float | None
    air_s_per_answer: float | None
    energy_wh_per_answer: float | None
    utilisation_percent: float | None
    """Channel utilisation, mean over the radios and the hours."""
    utilisation_percent_worst: float | None
    """The same at the radio and in the hour that had most."""
    violations: int
    """Findings of the checkers."""
    trace_hash: str

    @property
    def answered_percent(self) -> float | None:
        """Share of the questions that got an answer, percent."""
        return 100 * self.answered / self.asked if self.asked else None

    @property
    def cached_percent(self) -> float | None:
        """Share of the questions that a cache answered, percent."""
        return 100 * self.cached / self.asked if self.asked else None

    def form(self) -> dict[str, Any]:
        """As it is written down."""
        return asdict(self)

    @classmethod
    def from_form(cls, form: Any) -> RunFigures:
        """Read what `form` gave; raises ValueError for anything else."""
        names = [field.name for field in fields(cls)]
        if not isinstance(form, dict) or sorted(form) != sorted(names):
            raise ValueError("not a run")
        for name, value in form.items():
            if name == "trace_hash":
                right = isinstance(value, str)
            elif name in _WHOLE:
                right = isinstance(value, int) and not isinstance(value, bool)
            else:
                right = value is None or (isinstance(value, float | int) and not isinstance(value, bool))
                right = right and (value is None or math.isfinite(value))
            if not right:
                raise ValueError(f"{name} is wrong")
        return cls(**form)


_WHOLE = ("combination", "seed", "asked", "answered", "cached", "violations")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is told of every combination."""

    name: str
    """In JSON, with its unit."""
    title: str
    """For people."""
    of: Callable[[RunFigures], float | None]
    unit: str
    low: float = 0.0
    high: float = math.inf
    """No interval goes beyond these."""


FIGURES = (
    Figure("answered_percent", "answered", lambda run: run.answered_percent, "%", high=100),
    Figure("seconds_p50", "half within", lambda run: run.seconds_p50, "s"),
    Figure("seconds_p95", "19 of 20 within", lambda run: run.seconds_p95, "s"),
    Figure("air_s_per_answer", "air per answer", lambda run: run.air_s_per_answer, "s"),
    Figure("utilisation_percent", "air in use", lambda run: run.utilisation_percent, "%", high=100),
)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over the seeds, and where the true one lies 19 times of 20."""

    mean: float
    low: float | None
    """None where a single run says nothing of the spread."""
    high: float | None
    runs: int
    """In how many the figure could be told: a run without answers has no seconds."""

    def form(self) -> dict[str, Any]:
        """For JSON, to three digits."""
        return {
            "mean": round(self.mean, 3),
            "low": None if self.low is None else round(self.low, 3),
            "high": None if self.high is None else round(self.high, 3),
            "runs": self.runs,
        }


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one combination."""

    runs: int
    asked: int
    answered: int
    figures: Mapping[str, Estimate | None]
    """By `Figure.name`; None where no run could tell."""
    violated: tuple[int, ...]
    """Seeds of the runs in which a checker found something."""


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much a figure of the second scenario is above that of the first, over the seeds of both."""

    change: Estimate

    @property
    def beyond_chance(self) -> bool | None:
        """Whether the interval leaves out 0; None where a single pair has none."""
        if self.change.low is None or self.change.high is None:
            return None
        return self.change.low > 0 or self.change.high < 0


def run_job(job: Job) -> RunFigures:
    """Make a run, here and now; the same job gives the same figures everywhere. Raises LocalError."""
    from simulator.world.live import run_scenario

    try:
        outcome = run_scenario(job.scenario, job.seed)
    except LocalError as error:
        where = f"run with {job.name}, seed {job.seed}"
        raise LocalError(f"{where}: {error.what}", error.why, error.fix) from None
    return figures_of(job.combination, outcome)


def figures_of(combination: int, outcome: Outcome) -> RunFigures:
    """Return what is kept of a run."""
    found = summary(outcome)
    return RunFigures(
        combination=combination,
        seed=outcome.seed,
        asked=found.asked,
        answered=found.answered,
        cached=found.cached,
        seconds_p50=_rounded(found.seconds_p50),
        seconds_p95=_rounded(found.seconds_p95),
        air_s_per_answer=_rounded(found.air_per_answer_s),
        energy_wh_per_answer=_rounded(found.energy_per_answer_wh),
        utilisation_percent=_rounded(fmean(hour.mean_percent for hour in found.hours) if found.hours else None),
        utilisation_percent_worst=_rounded(max((hour.worst_percent for hour in found.hours), default=None)),
        violations=len(outcome.violations),
        trace_hash=outcome.trace_hash,
    )


def row(runs: Iterable[RunFigures]) -> Row:
    """Gather the runs of one combination, in whatever order they come."""
    ordered = sorted(runs, key=lambda run: run.seed)
    asked, answered = sum(run.asked for run in ordered), sum(run.answered for run in ordered)
    figures = {figure.name: estimate(map(figure.of, ordered), low=figure.low, high=figure.high) for figure in FIGURES}
    figures["answered_percent"] = _widened(figures["answered_percent"], wilson_percent(answered, asked))
    return Row(len(ordered), asked, answered, figures, tuple(run.seed for run in ordered if run.violations))


def difference(figure: Figure, first: Iterable[RunFigures], second: Iterable[RunFigures]) -> Difference | None:
    """Compare the runs of two scenarios, seed by seed; None where no seed tells the figure of both."""
    others = {run.seed: figure.of(run) for run in second}
    changes = []
    for run in sorted(first, key=lambda run: run.seed):
        before, after = figure.of(run), others.get(run.seed)
        if before is not None and after is not None:
            changes.append(after - before)
    change = estimate(changes)
    return None if change is None else Difference(change)


def estimate(values: Iterable[float | None], *, low: float = -math.inf, high: float = math.inf) -> Estimate | None:
    """The mean of `values` with its 95 % t interval, cut to `low` and `high`; those that are None are left out."""
    told = [value for value in values if value is not None]
    if not told:
        return None
    mean = math.fsum(told) / len(told)
    if len(told) == 1:
        return Estimate(mean, None, None, 1)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in told) / (len(told) - 1))
    half = t_quantile(len(told) - 1) * spread / math.sqrt(len(told))
    return Estimate(mean, max(low, mean - half), min(high, mean + half), len(told))


def t_quantile(degrees: int) -> float:
    """The value that Student's t, with so many degrees of freedom, exceeds in size one time of twenty.

    By bisection of the closed form for whole degrees (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    low, high = 1.9, 13.0
    for _ in range(60):
        middle = (low + high) / 2
        if _t_within(middle, degrees) < 0.95:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_within(value: float, degrees: int) -> float:
    """Probability that Student's t is no larger in size than `value`."""
    angle = math.atan(value / math.sqrt(degrees))
    square = math.cos(angle) ** 2
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = term if degrees > 1 else 0.0
    for step in range(2 + odd, degrees - 1, 2):
        term *= square * (step - 1) / step
        total += term
    if odd:
        return 2 / math.pi * (angle + math.sin(angle) * total)
    return math.sin(angle) * total


def _widened(found: Estimate | None, share: tuple[float, float] | None) -> Estimate | None:
    """Where all seeds answered alike, their spread says nothing; then the number of questions does."""
    if found is None or share is None:
        return found
    low = min(share[0], found.mean if found.low is None else found.low)
    high = max(share[1], found.mean if found.high is None else found.high)
    return Estimate(found.mean, low, high, found.runs)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
