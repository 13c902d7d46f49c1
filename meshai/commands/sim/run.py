"""`meshai sim run`: runs a scenario in virtual time and tells what matters to a person."""

from __future__ import annotations

import platform
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshai.commands.options import json_option
from meshai.commands.sim.showing import ProgressBar, minutes, percent, seconds, share_range
from meshai.run import dim, run_plain, tell, tell_json
from meshai.words import clean

if TYPE_CHECKING:
    from simulator.outcome import Outcome
    from simulator.summary import Summary

__all__ = ["command", "outcome_form"]

_REASONS_SHOWN = 5


@click.command("run")
@click.argument("scenario")
@click.option("--seed", type=int, default=1, show_default=True, help="Decides everything random.")
@click.option("--hours", type=click.FloatRange(0, min_open=True), help="Simulate so long instead of what it says.")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a page with map, replay and findings to this file.",
)
@json_option
def command(scenario: str, seed: int, hours: float | None, report: Path | None, as_json: bool) -> None:
    """Run SCENARIO, one of `meshai sim list` or a file, and tell what people would feel.

    Did answers come, after how long, and at what cost to the others. Runs the node's own code on virtual radios.
    """

    def work() -> None:
        from simulator.report import report_html
        from simulator.scenario.reading import load
        from simulator.summary import summary
        from simulator.world.live import run_scenario

        planned = load(scenario).scenario
        if hours is not None:
            planned = replace(planned, hours=hours)
        began = time.time(), time.perf_counter(), time.process_time()
        with ProgressBar(planned.title) as progress:
            outcome = run_scenario(planned, seed, keep_packets=report is not None, progress=progress)
        spent = {"wall_s": round(time.perf_counter() - began[1], 3), "cpu_s": round(time.process_time() - began[2], 3)}
        if report is not None:
            report.write_text(report_html(outcome), encoding="utf-8")
        figures = summary(outcome)
        if as_json:
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began[0]))
            machine = f"{platform.machine()} {platform.system()} Python {platform.python_version()}"
            tell_json({**outcome_form(outcome, figures), **spent, "started": started, "machine": machine})
        else:
            _show(outcome, figures)
            dim(f"{outcome.events} happenings in the air in {spent['wall_s']:.1f} s.")
            if report is not None:
                tell(f"The report is in {report}: open it in a browser.")
        if outcome.violations:
            again = f"meshai sim run {scenario} --seed {seed}" + (f" --hours {hours:g}" if hours is not None else "")
            dim(f"Something went wrong that must not, in a run that repeats with: {again}")
            sys.exit(1)

    run_plain(work, as_json=as_json)


def outcome_form(outcome: Outcome, figures: Summary) -> dict[str, Any]:
    """A run as `--json` tells it; equal runs give equal forms."""
    stations = [
        {
            "name": station.name,
            "role": station.role,
            "models": list(station.models),
            "packets": use.packets,
            "relayed": use.relayed,
            "heard": use.heard,
            "lost": use.lost,
            "sent_s": round(use.sent_s, 3),
            "asked": use.asked,
            "answered": use.answered,
            "energy_wh": round(use.energy_wh, 3),
            "off_s": round(use.off_s, 1),
        }
        for station, use in zip(outcome.stations, outcome.use, strict=True)
    ]
    return {
        "scenario": outcome.scenario.name,
        "seed": outcome.seed,
        "simulated_s": outcome.simulated_s,
        "summary": figures.form(),
        "airtime_by_kind_s": outcome.airtime_by_kind_s,
        "stations": stations,
        "faults": outcome.faults,
        "violations": outcome.violations,
        "events": outcome.events,
        "trace_hash": outcome.trace_hash,
    }


def _show(outcome: Outcome, figures: Summary) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    scenario = outcome.scenario
    tell(f"{clean(scenario.title, lines=False)}: {minutes(outcome.simulated_s)}, seed {outcome.seed}")
    table = Table(show_header=False, box=None)

    def row(what: str, value: str) -> None:
        table.add_row(Text(what), Text(clean(value, lines=False)))

    row("questions", f"{figures.asked} asked, {figures.answered} answered")
    row("answered", share_range(figures.answered_percent, figures.answered_low_percent, figures.answered_high_percent))
    row("from a cache", percent(figures.cached_percent))
    row("half of them within", seconds(figures.seconds_p50))
    row("19 of 20 within", seconds(figures.seconds_p95))
    row("air per answer", seconds(figures.air_per_answer_s))
    energy_wh = figures.energy_per_answer_wh
    row("energy per answer", "-" if energy_wh is None else f"{energy_wh:.1f} Wh, waiting included")
    busiest = max(figures.hours, key=lambda hour: hour.mean_percent, default=None)
    if busiest is not None:
        used = f"{percent(busiest.mean_percent)} of the air from {busiest.hour}:00 to {(busiest.hour + 1) % 24}:00"
        row("busiest hour", f"{used}, {percent(busiest.worst_percent)} where it was worst")
    row("by hour", " ".join(f"{hour.mean_percent:.0f}" for hour in figures.hours[:48]) + " % in use")
    relay = figures.busiest_relay
    if relay is not None:
        row("busiest relay", f"{relay.name}: passed on {relay.relayed} packets, {relay.sent_s:.0f} s of air")
    if outcome.faults:
        row("faults", ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in outcome.faults.items()))
    Console().print(table)
    for reason, count in list(figures.failed.items())[:_REASONS_SHOWN]:
        tell(f"  {count} times: {clean(reason, lines=False)}")
    for violation in outcome.violations:
        tell(f"MUST NOT HAPPEN: {clean(violation, lines=False)}")
    if not scenario.terrain:
        dim("Hills and walls are unknown to this run.")
