"""`meshai sim storm`: hard hours for the node code, one per seed, judged by checkers; what CI runs, and `make soak`."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import click

from meshai.commands.options import json_option
from meshai.commands.sim.showing import ProgressBar
from meshai.run import run_plain, tell, tell_json

if TYPE_CHECKING:
    from simulator.world.storm import StormEnd

__all__ = ["command"]


@click.command("storm")
@click.option("--seeds", type=click.IntRange(1, 1_000_000), default=10, show_default=True, help="How many runs.")
@click.option("--first", type=int, default=1, show_default=True, help="Seed of the first run.")
@click.option("--hours", type=click.FloatRange(0.05, 24), default=1.0, show_default=True, help="Length of each run.")
@click.option("--jobs", type=click.IntRange(1, 256), default=os.cpu_count() or 1, help="Runs at a time; one per core.")
@json_option
def command(seeds: int, first: int, hours: float, jobs: int, as_json: bool) -> None:
    """Put the node's own code through hard hours: eight houses, more than a hundred faults each.

    Packets lost, doubled, late and damaged, nodes that crash or hang, empty batteries, full disks, leaping clocks, a
    map that falls apart. Checkers watch that every question ends in one answer or one plain error by its deadline, that
    answers reach who asked, that the air's limits hold, that nothing kept is lost, and that life returns. A run that
    fails is named with the command that repeats it.
    """

    def work() -> None:
        faults: Counter[str] = Counter()
        failed: list[StormEnd] = []
        asked = answered = 0
        with ProgressBar("hard hours") as progress:
            for number, end in enumerate(_ends(range(first, first + seeds), hours, jobs), 1):
                faults.update(end.faults)
                asked, answered = asked + end.asked, answered + end.answered
                if end.violations:
                    failed.append(end)
                progress(number / seeds)
        if as_json:
            tell_json(
                {
                    "runs": seeds,
                    "first_seed": first,
                    "hours": hours,
                    "asked": asked,
                    "answered": answered,
                    "faults": dict(sorted(faults.items())),
                    "failed": [
                        {"seed": end.seed, "violations": list(end.violations), "again": _again(end.seed, hours)}
                        for end in failed
                    ],
                }
            )
        else:
            tell(f"{seeds} runs of {hours:g} h: {asked} questions, {answered} answered, {faults.total()} faults")
            for end in failed:
                tell(f"seed {end.seed} FAILED; {_again(end.seed, hours)} repeats it:")
                for violation in end.violations:
                    tell(f"  {violation}")
            tell(f"{seeds - len(failed)} passed, {len(failed)} failed")
        if failed:
            sys.exit(1)

    run_plain(work, as_json=as_json)


def _again(seed: int, hours: float) -> str:
    return f"meshai sim storm --first {seed} --seeds 1 --hours {hours:g}"


def _ends(seeds: range, hours: float, jobs: int) -> Iterator[StormEnd]:
    from simulator.world.storm import run_storm

    if min(jobs, len(seeds)) == 1:
        yield from (run_storm(seed, hours) for seed in seeds)
        return
    pool = ProcessPoolExecutor(min(jobs, len(seeds)), mp_context=get_context("spawn"))
    try:
        yield from pool.map(run_storm, seeds, [hours] * len(seeds))
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
