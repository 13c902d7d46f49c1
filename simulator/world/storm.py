"""A hard hour for eight houses, different with every seed: what `meshai sim storm` and CI put the node code through.

The scenario is made here; `simulator.world.live` runs it and the checkers judge.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from simulator.scenario.plan import DevicePlan, FaultPlan, PeoplePlan, Place, RadioPlan, Scenario
from simulator.world.live import run_scenario

__all__ = ["StormEnd", "run_storm", "storm"]

_HOUSES = 8


@dataclass(frozen=True, slots=True)
class StormEnd:
    """What came of a storm."""

    seed: int
    asked: int
    answered: int
    faults: dict[str, int]
    violations: tuple[str, ...]
    trace_hash: str


def run_storm(seed: int, hours: float = 1.0) -> StormEnd:
    """Run the storm of a seed and judge it."""
    outcome = run_scenario(storm(seed, hours), seed)
    answered = sum(asked.ending != "failed" for asked in outcome.asked)
    return StormEnd(seed, len(outcome.asked), answered, outcome.faults, tuple(outcome.violations), outcome.trace_hash)


def storm(seed: int, hours: float = 1.0) -> Scenario:
    """Eight houses, some with a model, and more than a hundred faults an hour, all drawn from `seed`."""
    rng = Random(f"storm {seed}")
    size_m = rng.choice((300.0, 1200.0, 2400.0))
    places = tuple(
        Place(f"house {number}", rng.uniform(0, size_m), rng.uniform(0, size_m)) for number in range(1, _HOUSES + 1)
    )

    def times(low: int, high: int) -> int:
        return round(rng.randint(low, high) * hours)

    faults = FaultPlan(
        loss=rng.choice((0.0, 0.1, 0.3)),
        duplicate=times(15, 30),
        reorder=times(15, 30),
        corrupt=times(15, 30),
        partition=times(2, 4),
        crash=times(20, 30),
        disk_full=times(6, 12),
        clock_jump=times(6, 12),
        freeze=times(8, 12),
        battery_empty=times(8, 12),
        radio_unplugged=times(8, 12),
    )
    return Scenario(
        name=f"storm-{seed}",
        title="A hard hour",
        about="Eight houses in which much goes wrong.",
        places=places,
        hours=hours,
        start_hour=12.0,
        radio=RadioPlan(
            preset=rng.choice(("LONG_FAST", "MEDIUM_FAST", "SHORT_FAST")),
            region=rng.choice(("US", "EU_868")),
            firmware=rng.choice(("2.8.0", "2.7.26")),
            chatter=rng.random() < 0.5,
            fading_db=rng.choice((0.0, 2.0)),
        ),
        devices=(DevicePlan("computer with a model", count=rng.randint(1, 3), tokens_per_s=rng.choice((5.0, 20.0))),),
        people=PeoplePlan(
            questions_per_day=24 * rng.choice((20, 40, 80)), patience_s=rng.choice((60, 180, 300)), answer_chars=120
        ),
        faults=faults,
    )
