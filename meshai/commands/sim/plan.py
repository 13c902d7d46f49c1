"""`meshai sim plan`: what to buy for a map of houses, where to put it, and whether it will do.

Reads the map, has the plan made and tried, and shows it; decides nothing itself.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meshai.commands.options import json_option
from meshai.run import dim, run_plain, tell, tell_json
from meshai.words import clean
from protocol.errors import LocalError

if TYPE_CHECKING:
    from simulator.planning import Plan, Wishes
    from simulator.scenario.layout import Layout
    from simulator.sweep import RunFigures

__all__ = ["command"]

_USUAL_DBM = 22.0
"""What most boards give."""


@click.command("plan")
@click.argument("houses", metavar="FILE")
@click.option("--preset", default="LONG_FAST", show_default=True, help="Modem preset of all radios.")
@click.option("--region", default="EU_868", show_default=True, help="Whose rules the radios keep.")
@click.option(
    "--power-dbm", type=click.FloatRange(-10, 36), help="Transmit power; 22, or what the region allows, if not given."
)
@click.option("--terrain", type=click.Path(path_type=Path), metavar="DIR", help="Folder of SRTM .hgt tiles.")
@click.option(
    "--path-loss", default="suburban", show_default=True, help="The land: hata-open, suburban, urban, free-space..."
)
@click.option(
    "--antenna-m",
    type=click.FloatRange(0.1, 100),
    help="Height of the antennas at the houses; if not given what FILE says, or 2.",
)
@click.option(
    "--mast-m", type=click.FloatRange(1, 100), default=8.0, show_default=True, help="Height of a relay's antenna."
)
@click.option(
    "--margin-db",
    type=click.FloatRange(0, 40),
    default=6.0,
    show_default=True,
    help="What a link must have to spare to be counted on.",
)
@click.option("--models", type=click.IntRange(1, 300), help="Houses with a model; as many as needed if not given.")
@click.option(
    "--tokens-per-s",
    type=click.FloatRange(0, 10_000, min_open=True),
    default=12.0,
    show_default=True,
    help="How fast a model writes.",
)
@click.option(
    "--questions-per-day",
    type=click.FloatRange(0, 100_000),
    default=100.0,
    show_default=True,
    help="All houses together.",
)
@click.option("--spare", is_flag=True, help="Plan a second way where houses depend on a single radio.")
@click.option(
    "--seeds", type=click.IntRange(0, 1000), default=5, show_default=True, help="Trial runs; 0 for the plan alone."
)
@click.option(
    "--hours",
    type=click.FloatRange(0, 24 * 31, min_open=True),
    default=4.0,
    show_default=True,
    help="Length of each; up to 6 hours begin at 18:00, when most is asked.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that make runs; one per core if not given.")
@click.option("--radio-price", type=click.FloatRange(0), help="Price of a house's radio, for a sum.")
@click.option("--relay-price", type=click.FloatRange(0), help="Price of a relay with its mast.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page on the middle run to this file."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the plan as a scenario, for `meshai sim run`, to this .toml file.",
)
@json_option
def command(
    houses: str,
    preset: str,
    region: str,
    power_dbm: float | None,
    terrain: Path | None,
    path_loss: str,
    antenna_m: float | None,
    mast_m: float,
    margin_db: float,
    models: int | None,
    tokens_per_s: float,
    questions_per_day: float,
    spare: bool,
    seeds: int,
    hours: float,
    workers: int | None,
    radio_price: float | None,
    relay_price: float | None,
    report: Path | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Plan radios, relays and models for the houses in FILE, and try the plan.

    FILE is a table (.csv) with the columns name, and latitude and longitude or x_m and y_m; or GeoJSON; or a node list
    of a Meshtastic radio. Nothing is bought or sent.
    """

    def work() -> None:
        from protocol.airtime import preset_named
        from simulator.planning import Wishes, make_plan
        from simulator.scenario.plan import PeoplePlan, RadioPlan

        _check_files(out, report, seeds)
        layout = _layout(houses)
        known_region = region.upper()
        radio = RadioPlan(
            preset=preset_named(preset).name,
            region=known_region,
            power_dbm=_power_dbm(power_dbm, known_region),
            path_loss=path_loss,
        )
        usual = Wishes()
        wishes = replace(
            usual,
            radio=radio,
            people=PeoplePlan(questions_per_day=questions_per_day),
            device=replace(usual.device, tokens_per_s=tokens_per_s),
            terrain=str(terrain.resolve()) if terrain is not None else "",
            antenna_m=antenna_m,
            mast_m=mast_m,
            margin_db=margin_db,
            models=models,
            spare=spare,
            hours=hours,
        )
        dim(f"Planning for {len(layout.places)} places.")
        plan = make_plan(layout, wishes)
        runs = _runs(plan, range(1, seeds + 1), workers)
        if as_json:
            tell_json(_form(plan, wishes, runs, radio_price, relay_price))
        else:
            _show(plan, wishes, runs, radio_price, relay_price)
        _write(plan, wishes, runs, out, report)
        _judge(runs, houses)

    run_plain(work, as_json=as_json)


def _power_dbm(wanted_dbm: float | None, region: str) -> float:
    from simulator.lora import region_power_dbm

    most_dbm = region_power_dbm(region)
    if wanted_dbm is None:
        return min(_USUAL_DBM, most_dbm)
    if wanted_dbm > most_dbm:
        raise LocalError(f"{wanted_dbm:g} dBm are too many", f"{region} allows {most_dbm:g}", "lower --power-dbm")
    return wanted_dbm


def _check_files(out: Path | None, report: Path | None, seeds: int) -> None:
    """Find out before the runs what would fail after them."""
    if report is not None and not seeds:
        raise LocalError("without runs there is nothing to report", "", "leave out --report, or --seeds 0")
    if out is not None and out.suffix != ".toml":
        raise LocalError(f"the plan can't be called {out.name}", "scenario files end in .toml", "choose such a name")
    if out is not None and out.exists():
        raise LocalError(f"there is a file {out} already", "", "choose another name for --out")
    for path in (out, report):
        if path is not None and not path.parent.is_dir():
            raise LocalError(f"there is no folder {path.parent}", "", f"make it before {path.name} is to stand in it")


def _layout(file: str) -> Layout:
    from simulator.scenario.maps import read_map
    from simulator.scenario.nodelist import NodeListOptions
    from simulator.scenario.trouble import Troubles

    path, troubles = Path(file), Troubles()
    layout = read_map(path.parent, path.name, troubles, NodeListOptions(leave_out_incomplete=True))
    troubles.settle()
    assert layout is not None, "whoever returns none has noted why"
    _check_names([place.name for place in layout.places])
    for note in layout.notes:
        dim(clean(note, lines=False))
    if layout.measured:
        dim("Its SNRs are not used: they were measured with today's antennas.")
    return layout


def _check_names(names: Sequence[str]) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise LocalError(f'two places are called "{twice[0]}"', "", "give each a name of its own")


def _runs(plan: Plan, seeds: Sequence[int], workers: int | None) -> list[RunFigures]:
    from meshai.commands.sim.runs import RunsProgress
    from simulator.spreading import cores, in_processes
    from simulator.sweep import Job

    if not seeds:
        return []
    jobs = [Job(0, seed, plan.scenario, "the plan") for seed in seeds]
    runs = []
    dim(f"Trying the plan {len(seeds)} times.")
    with in_processes(min(workers or cores(), len(seeds))) as spread, RunsProgress("Trying the plan", len(jobs)) as bar:
        for run in spread(jobs):
            runs.append(run)
            bar.one_more()
    return sorted(runs, key=lambda run: run.seed)


def _write(plan: Plan, wishes: Wishes, runs: Sequence[RunFigures], out: Path | None, report: Path | None) -> None:
    from meshai.commands.sim.plan_words import remarks
    from meshai.commands.sim.showing import ProgressBar
    from simulator.planfile import plan_file
    from simulator.report import report_html
    from simulator.world.live import run_scenario

    if out is not None:
        try:
            with out.open("x", encoding="utf-8", newline="\n") as file:
                file.write(plan_file(plan.scenario, plan.layout.origin, remarks(plan, wishes)))
        except OSError as error:
            raise LocalError(f"{out} can't be written", error.strerror or str(error), "choose another name") from None
        dim(f"The plan is in {clean(str(out), lines=False)}: meshai sim run {clean(str(out), lines=False)}")
    if report is not None:
        middle = sorted(runs, key=lambda run: (run.answered_percent or 0.0, run.seed))[len(runs) // 2]
        with ProgressBar(f"Report of seed {middle.seed}") as progress:
            outcome = run_scenario(plan.scenario, middle.seed, keep_packets=True, progress=progress)
        try:
            report.write_text(report_html(outcome), encoding="utf-8")
        except OSError as error:
            raise LocalError(
                f"{report} can't be written", error.strerror or str(error), "choose another name"
            ) from None
        dim(f"The report on seed {middle.seed} is in {clean(str(report), lines=False)}: open it in a browser.")


def _judge(runs: Sequence[RunFigures], file: str) -> None:
    violated = [run.seed for run in runs if run.violations]
    if violated:
        again = f"meshai sim plan {clean(file, lines=False)} --out plan.toml"
        dim(f"Something went wrong that must not. It repeats: {again}; meshai sim run plan.toml --seed {violated[0]}")
        sys.exit(1)


def _show(
    plan: Plan, wishes: Wishes, runs: Sequence[RunFigures], radio_price: float | None, relay_price: float | None
) -> None:
    from meshai.commands.sim.plan_words import sections

    for title, lines in sections(plan, wishes, runs, radio_price, relay_price):
        tell(f"{title}")
        for line in lines:
            tell(f"  {clean(line, lines=False)}")
    if not wishes.terrain:
        dim("Hills and walls are unknown to this plan: walk the longest links with two radios before you buy.")


def _form(
    plan: Plan, wishes: Wishes, runs: Sequence[RunFigures], radio_price: float | None, relay_price: float | None
) -> dict[str, Any]:
    from meshai.commands.sim.plan_words import cost, spread_of
    from simulator.planning import RELAY_MODE, RELAY_ROLE, link_holds_percent

    relays = [
        {
            "name": relay.place.name,
            "on_roof": relay.on_roof,
            "x_m": round(relay.place.x_m, 2),
            "y_m": round(relay.place.y_m, 2),
            "latitude": relay.place.latitude,
            "longitude": relay.place.longitude,
            "antenna_m": relay.place.antenna_m,
            "ground_m": relay.place.ground_m,
            "role": RELAY_ROLE,
            "rebroadcast_mode": RELAY_MODE,
            "given": relay.given,
            "spare": relay.spare,
            "needed_by": list(relay.needed_by),
        }
        for relay in plan.relays
    ]
    radio = plan.scenario.radio
    return {
        "houses": list(plan.houses),
        "left_out": [{"houses": list(each.houses), "why": each.why} for each in plan.left_out],
        "buy": {
            "house_radios": len(plan.houses),
            "relay_radios": plan.relay_radios,
            "masts_on_roofs": plan.masts,
            "models": len(plan.models),
            "price": cost(plan, radio_price, relay_price),
        },
        "relays": relays,
        "models": list(plan.models),
        "preset": radio.preset,
        "region": radio.region,
        "power_dbm": radio.power_dbm,
        "hop_limit": radio.hop_limit,
        "hops": plan.hops,
        "groups_without_relays": plan.groups_before,
        "depends": {name: list(houses) for name, houses in plan.depends.items()},
        "margin_db": wishes.margin_db,
        "link_holds_percent": round(link_holds_percent(radio, wishes.margin_db), 1),
        "questions_per_hour": {
            "busiest": round(plan.questions_at_peak, 1),
            "air_lets_pass": round(plan.air_questions_per_hour, 1),
        },
        "model_busy_percent": round(plan.model_busy_percent, 1),
        "terrain_known": bool(wishes.terrain),
        "tried": {
            "hours": plan.scenario.hours,
            "start_hour": plan.scenario.start_hour,
            "seeds": [run.seed for run in runs],
            "asked": sum(run.asked for run in runs),
            "answered": sum(run.answered for run in runs),
            **{
                name: None if found is None else {key: round(value, 2) for key, value in found._asdict().items()}
                for name, found in spread_of(runs).items()
            },
            "violations": sum(run.violations for run in runs),
        },
    }
