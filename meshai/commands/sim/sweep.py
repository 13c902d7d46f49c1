"""`meshai sim sweep`: one scenario with some of its values varied, many seeds each, spread over cores with Dask."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshai.commands.options import json_option
from meshai.commands.sim.runs import RunsProgress, estimate_words
from meshai.run import dim, run_plain, tell, tell_json
from meshai.words import clean

if TYPE_CHECKING:
    from simulator.runsfile import RunsFile
    from simulator.scenario.plan import Scenario
    from simulator.sweep import Row
    from simulator.variations import Variation

__all__ = ["command"]

_PLOT_KINDS = (".svg", ".html")
_NARROW = 16
"""Longer names of keys may be broken in the table."""


@click.command("sweep")
@click.argument("scenario")
@click.option(
    "--vary",
    multiple=True,
    metavar="KEY=VALUES",
    help="Values of a key of the scenario, such as hop_limit=3,5. May be repeated: all combinations are run.",
)
@click.option(
    "--seeds", type=click.IntRange(1, 100_000), default=5, show_default=True, help="Runs of each combination."
)
@click.option("--first-seed", type=int, default=1, show_default=True, help="Seed of the first of them.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the table to this .svg or .html.")
@click.option(
    "--workers", type=click.IntRange(1, 256), help="Processes on this device that make runs; one per core if not given."
)
@click.option(
    "--scheduler",
    default="",
    metavar="ADDRESS",
    help="Use this cluster of Dask's instead, such as tcp://10.0.0.7:8786.",
)
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Go on with a sweep that was stopped: this file holds its finished runs.",
)
@json_option
def command(
    scenario: str,
    vary: tuple[str, ...],
    seeds: int,
    first_seed: int,
    plot: Path | None,
    workers: int | None,
    scheduler: str,
    resume: Path | None,
    as_json: bool,
) -> None:
    """Run SCENARIO with some values varied, and tell what each combination does, with its range.

    Finished runs are kept in a file in this folder. Ctrl-C loses none of them: the same command with --resume FILE goes
    on. Needs Dask: pip install 'meshai-grid[sweep]'.
    """

    def work() -> None:
        from simulator.runsfile import RunsFile
        from simulator.scenario.reading import load_scenario
        from simulator.spreading import need_dask
        from simulator.sweep import Job, row
        from simulator.variations import axes_from, variations

        need_dask()
        _check_plot(plot)
        base = load_scenario(scenario)
        axes = axes_from(base, vary)
        combinations = variations(base, axes)
        chosen = range(first_seed, first_seed + seeds)
        here = Path()
        with RunsFile.resumed(resume, base, axes) if resume else RunsFile.begun(here, base, axes) as kept:
            jobs = [
                Job(number, seed, each.scenario, each.name)
                for seed in chosen
                for number, each in enumerate(combinations)
                if (number, seed) not in kept.runs
            ]
            again = _again(scenario, vary, seeds, first_seed, plot, workers, scheduler, kept.path, as_json)
            if jobs:
                _make(jobs, kept, workers, scheduler, len(combinations) * seeds, again)
            runs = dict(kept.runs)
        rows = [row(runs[number, seed] for seed in chosen) for number in range(len(combinations))]
        if as_json:
            tell_json(_form(base, chosen, combinations, rows))
        else:
            _show(base, seeds, combinations, rows)
        dim(f"All runs are kept in {clean(str(kept.path), lines=False)}.")
        if plot is not None:
            _draw(plot, base, combinations, rows)
        if any(one.violated for one in rows):
            sys.exit(1)

    run_plain(work, as_json=as_json)


def _make(jobs: list[Any], kept: RunsFile, workers: int | None, scheduler: str, total: int, again: str) -> None:
    """Make the runs that are missing and keep each; however that ends, say where they are and how to go on."""
    from simulator.spreading import cores, on_dask

    file = clean(str(kept.path), lines=False)
    if len(jobs) < total:
        dim(f"{total - len(jobs)} of {total} runs are there already, in {file}.")
    else:
        dim(f"{total} runs; those that are finished are kept in {file}.")
    made = 0
    try:
        with (
            on_dask(min(workers or cores(), len(jobs)), scheduler) as spread,
            RunsProgress("runs", len(jobs)) as progress,
        ):
            for run in spread(jobs):
                kept.keep(run)
                made += 1
                progress.one_more()
    except BaseException:
        if kept.runs:
            dim(f"Stopped. {total - len(jobs) + made} of {total} runs are kept in {file}. To go on: {clean(again)}")
        raise


def _again(
    scenario: str,
    vary: Sequence[str],
    seeds: int,
    first_seed: int,
    plot: Path | None,
    workers: int | None,
    scheduler: str,
    file: Path,
    as_json: bool,
) -> str:
    """The command that goes on."""
    words = ["meshai", "sim", "sweep", scenario]
    for wish in vary:
        words += ["--vary", wish]
    words += ["--seeds", str(seeds)]
    words += ["--first-seed", str(first_seed)] if first_seed != 1 else []
    words += ["--plot", str(plot)] if plot is not None else []
    words += ["--workers", str(workers)] if workers is not None else []
    words += ["--scheduler", scheduler] if scheduler else []
    words += ["--json"] if as_json else []
    return shlex.join([*words, "--resume", str(file)])


def _form(base: Scenario, seeds: range, combinations: Sequence[Variation], rows: Sequence[Row]) -> dict[str, Any]:
    """The table for programs; equal sweeps give equal forms."""
    from simulator.sweep import INTERVAL

    return {
        "scenario": base.name,
        "seeds": len(seeds),
        "first_seed": seeds.start,
        "interval": INTERVAL,
        "combinations": [
            {
                "vary": dict(variation.changes),
                "asked": one.asked,
                "answered": one.answered,
                **{name: found.form() if found else None for name, found in one.figures.items()},
                "violated_seeds": list(one.violated),
            }
            for variation, one in zip(combinations, rows, strict=True)
        ],
    }


def _show(base: Scenario, seeds: int, combinations: Sequence[Variation], rows: Sequence[Row]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from simulator.sweep import FIGURES
    from simulator.variations import value_words

    labels = [label for label, _ in combinations[0].changes]
    table = Table(
        title=Text(clean(f"{base.title}, {seeds} seeds each", lines=False)), title_justify="left", box=SIMPLE_HEAD
    )
    for label in labels:
        table.add_column(Text(clean(label, lines=False)), no_wrap=len(label) < _NARROW, overflow="fold")
    for figure in FIGURES:
        table.add_column(f"{figure.title}\n{figure.unit}", justify="right")
    for variation, one in zip(combinations, rows, strict=True):
        values = [Text(clean(value_words(value), lines=False)) for _, value in variation.changes]
        table.add_row(*values, *(estimate_words(one.figures[figure.name]) for figure in FIGURES))
    Console().print(table)
    if seeds > 1:
        dim("Second lines: where the figure lies 19 times of 20 (Student's t over the seeds).")
    for variation, one in zip(combinations, rows, strict=True):
        if one.violated:
            shown = ", ".join(map(str, one.violated[:10]))
            tell(f"MUST NOT HAPPEN: checkers found something with {clean(variation.name, lines=False)}, seeds {shown}")


def _check_plot(plot: Path | None) -> None:
    """Raise LocalError for a picture that could not be written when all is done."""
    from protocol.errors import LocalError

    if plot is None:
        return
    if plot.suffix.lower() not in _PLOT_KINDS:
        raise LocalError(f"{plot} is no kind of picture that can be drawn", "", "let its name end in .svg or .html")
    if not plot.absolute().parent.is_dir():
        raise LocalError(f"there is no folder {plot.absolute().parent}", "", "make it, or choose another")


def _draw(plot: Path, base: Scenario, combinations: Sequence[Variation], rows: Sequence[Row]) -> None:
    from protocol.errors import LocalError
    from simulator.sweepplot import sweep_html, sweep_svg

    draw = sweep_svg if plot.suffix.lower() == ".svg" else sweep_html
    try:
        names = [clean(each.name, lines=False) for each in combinations]
        plot.write_text(draw(clean(base.title, lines=False), names, rows), "utf-8")
    except OSError as error:
        raise LocalError(f"{plot} can't be written", error.strerror or str(error), "choose another place") from None
    dim(f"The picture is in {clean(str(plot), lines=False)}.")
