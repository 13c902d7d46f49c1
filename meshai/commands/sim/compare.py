"""`meshai sim compare`: two scenarios over the same seeds, side by side, and whether they differ beyond chance."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from meshai.commands.options import json_option
from meshai.commands.sim.runs import RunsProgress, change_words, estimate_words
from meshai.run import dim, run_plain, tell, tell_json
from meshai.words import clean

if TYPE_CHECKING:
    from simulator.scenario.plan import Scenario
    from simulator.sweep import Difference, Row

__all__ = ["command"]


@click.command("compare")
@click.argument("first")
@click.argument("second")
@click.option("--seeds", type=click.IntRange(1, 100_000), default=5, show_default=True, help="Runs of each.")
@click.option("--first-seed", type=int, default=1, show_default=True, help="Seed of the first of them.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that make runs; one per core if not given.")
@json_option
def command(first: str, second: str, seeds: int, first_seed: int, workers: int | None, as_json: bool) -> None:
    """Run two scenarios, each by name or file, with the same seeds, and tell by how much they differ.

    Differences are taken seed by seed. One whose range leaves out 0 is beyond chance.
    """

    def work() -> None:
        from simulator.scenario.reading import load_scenario
        from simulator.spreading import cores, in_processes
        from simulator.sweep import FIGURES, Job, RunFigures, difference, row

        scenarios = [load_scenario(first), load_scenario(second)]
        jobs = [
            Job(number, seed, each, each.name)
            for seed in range(first_seed, first_seed + seeds)
            for number, each in enumerate(scenarios)
        ]
        runs: tuple[list[RunFigures], list[RunFigures]] = ([], [])
        with (
            in_processes(min(workers or cores(), len(jobs))) as spread,
            RunsProgress("runs", len(jobs)) as progress,
        ):
            for run in spread(jobs):
                runs[run.combination].append(run)
                progress.one_more()
        rows = [row(each) for each in runs]
        changes = {figure.name: difference(figure, *runs) for figure in FIGURES}
        if as_json:
            tell_json(_form(scenarios, seeds, first_seed, rows, changes))
        else:
            _show(scenarios, seeds, rows, changes)
        if any(one.violated for one in rows):
            sys.exit(1)

    run_plain(work, as_json=as_json)


def _form(
    scenarios: Sequence[Scenario],
    seeds: int,
    first_seed: int,
    rows: Sequence[Row],
    changes: dict[str, Difference | None],
) -> dict[str, Any]:
    """The table for programs; equal runs give equal forms."""
    from simulator.sweep import INTERVAL

    return {
        "seeds": seeds,
        "first_seed": first_seed,
        "interval": INTERVAL,
        "scenarios": [
            {
                "scenario": scenario.name,
                "asked": one.asked,
                "answered": one.answered,
                **{name: found.form() if found else None for name, found in one.figures.items()},
                "violated_seeds": list(one.violated),
            }
            for scenario, one in zip(scenarios, rows, strict=True)
        ],
        "differences": {
            name: {**found.change.form(), "beyond_chance": found.beyond_chance} if found else None
            for name, found in changes.items()
        },
    }


def _show(
    scenarios: Sequence[Scenario], seeds: int, rows: Sequence[Row], changes: dict[str, Difference | None]
) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from simulator.sweep import FIGURES

    names = [clean(scenario.name, lines=False) for scenario in scenarios]
    table = Table(title=f"{seeds} seeds each", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("")
    for name in names:
        table.add_column(Text(name), justify="right")
    table.add_column("difference", justify="right")
    table.add_column("beyond chance")
    for figure in FIGURES:
        found = changes[figure.name]
        verdict = {None: "-", True: "yes", False: "no"}[found.beyond_chance if found else None]
        cells = [estimate_words(one.figures[figure.name]) for one in rows]
        table.add_row(f"{figure.title}, {figure.unit}", *cells, change_words(found), verdict)
    Console().print(table)
    if seeds > 1:
        dim("Second lines: where the figure lies 19 times of 20 (Student's t; differences are taken seed by seed).")
    else:
        dim("One seed tells nothing of chance: use --seeds 5 or more.")
    for name, one in zip(names, rows, strict=True):
        if one.violated:
            tell(f"MUST NOT HAPPEN: checkers found something in {name}, seeds {', '.join(map(str, one.violated[:10]))}")
