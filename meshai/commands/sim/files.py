"""`meshai sim list`, `new` and `check`: the scenario files. Shows and asks; `simulator.scenario` reads them."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from meshai.commands.options import json_option
from meshai.run import run, tell, tell_json
from meshai.words import clean

if TYPE_CHECKING:
    from simulator.scenario.plan import DevicePlan, Scenario
    from simulator.scenario.reading import Reading
    from simulator.scenario.trouble import ScenarioError

__all__ = ["check", "list_", "new"]


@click.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the scenarios that come with meshai."""

    async def work() -> None:
        from simulator.scenario.reading import load, names

        scenarios = [load(name).scenario for name in names()]
        if as_json:
            tell_json({"scenarios": [_form(scenario) for scenario in scenarios]})
            return
        _print_table(scenarios)
        tell("\nMake one your own: meshai sim new NAME --from street")

    run(work, as_json=as_json)


@click.command("new")
@click.argument("name")
@click.option(
    "--from", "model", default="street", show_default=True, metavar="SCENARIO", help="Which one to begin with."
)
@json_option
def new(name: str, model: str, as_json: bool) -> None:
    """Write NAME.toml, a copy of a scenario with a comment beside each key, to be changed.

    A file that is there already is left alone.
    """

    async def work() -> None:
        from simulator.scenario.reading import write_new

        path = write_new(name, model)
        if as_json:
            tell_json({"file": str(path), "from": model})
        else:
            tell(f"Wrote {clean(str(path), lines=False)}, a copy of {model}.")
            tell(f"Change it, then: meshai sim check {clean(str(path), lines=False)}")

    run(work, as_json=as_json)


@click.command("check")
@click.argument("scenario", metavar="FILE")
@json_option
def check(scenario: str, as_json: bool) -> None:
    """Check a scenario FILE, or one that comes with meshai by its name, and tell what it holds.

    Every mistake is told with its line and what was expected.
    """

    async def work() -> None:
        from simulator.scenario.reading import load
        from simulator.scenario.trouble import ScenarioError

        try:
            reading = load(scenario)
        except ScenarioError as error:
            if not as_json:
                raise
            tell_json(_problems_form(error))
            sys.exit(1)
        if as_json:
            tell_json({"ok": True, "problems": [], "notes": list(reading.notes), **_form(reading.scenario)})
            return
        for line in _summary(reading):
            tell(clean(line, lines=False))

    run(work, as_json=as_json)


def _problems_form(error: ScenarioError) -> dict[str, Any]:
    problems = [
        {"file": problem.file, "line": problem.line or None, "found": problem.what, "expected": problem.expected}
        for problem in error.problems
    ]
    return {"ok": False, "problems": problems}


def _form(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "about": scenario.about,
        "hours": scenario.hours,
        "start_hour": scenario.start_hour,
        "houses": sum(place.is_house for place in scenario.places),
        "relays": sum(not place.is_house for place in scenario.places),
        "blocked_pairs": len(scenario.blocked),
        "measured_links": len(scenario.measured),
        "terrain": bool(scenario.terrain),
        "preset": scenario.radio.preset,
        "region": scenario.radio.region,
        "hop_limit": scenario.radio.hop_limit,
        "devices": [
            {"name": device.name, "count": _count(scenario, device), "model": device.model}
            for device in scenario.devices
        ],
        "questions_per_day": scenario.people.questions_per_day,
        "languages": scenario.people.languages,
        "emergencies": len(scenario.people.emergencies),
        "faults": scenario.faults.total,
    }


def _summary(reading: Reading) -> Iterator[str]:
    """What a scenario holds, a line for each kind of thing."""
    scenario = reading.scenario
    form = _form(scenario)
    yield scenario.title
    for title, told in (
        ("places", _places(scenario, form)),
        ("links", _links(scenario, form)),
        ("radios", _radios(scenario)),
        ("devices", _devices(scenario)),
        ("people", _people(scenario)),
        ("faults", _faults(scenario)),
        ("time", f"{_counted(scenario.hours, 'hour')} from {_clock(scenario.start_hour)} on"),
        *(("note", note) for note in reading.notes),
    ):
        if told:
            yield f"  {title:<8} {told}"
    yield "Nothing needs mending."


def _places(scenario: Scenario, form: dict[str, Any]) -> str:
    relays = f", {_counted(form['relays'], 'relay')}" if form["relays"] else ""
    wide, high = (
        (max(values) - min(values)) / 1000
        for values in ([place.x_m for place in scenario.places], [place.y_m for place in scenario.places])
    )
    return f"{_counted(form['houses'], 'house')}{relays}, on {wide:.1f} by {high:.1f} km"


def _links(scenario: Scenario, form: dict[str, Any]) -> str:
    parts = [
        "hills from tiles" if scenario.terrain else "hills and walls unknown" if not scenario.blocked else "",
        f"{_counted(form['blocked_pairs'], 'pair')} with something in the way" if scenario.blocked else "",
        f"{_counted(form['measured_links'], 'link')} as measured" if scenario.measured else "",
    ]
    return ", ".join(part for part in parts if part)


def _radios(scenario: Scenario) -> str:
    radio = scenario.radio
    special = f", {_counted(len(radio.special), 'kind')} of special ones" if radio.special else ""
    return (
        f"{radio.preset}, {radio.region}, {radio.role}, hop limit {radio.hop_limit}, firmware {radio.firmware}{special}"
    )


def _devices(scenario: Scenario) -> str:
    told = [
        f"{device.name} in {_counted(_count(scenario, device), 'place')} ({device.model})"
        for device in scenario.devices
    ]
    return ", ".join(told) or "none: nobody can answer"


def _people(scenario: Scenario) -> str:
    people = scenario.people
    languages = ", ".join(f"{language} {share * 100:.0f} %" for language, share in people.languages.items())
    emergencies = f", {_counted(len(people.emergencies), 'emergency', 'emergencies')}" if people.emergencies else ""
    texts = f", {people.texts_per_day:g} texts a day" if people.texts_per_day else ""
    return f"{people.questions_per_day:g} questions a day ({languages}){texts}{emergencies}"


def _faults(scenario: Scenario) -> str:
    faults = scenario.faults
    parts = [
        _counted(faults.total, "fault") if faults.total else "",
        f"{faults.loss * 100:g} % of receptions lost" if faults.loss else "",
    ]
    return ", ".join(part for part in parts if part)


def _count(scenario: Scenario, device: DevicePlan) -> int:
    """How many of a device there are."""
    from fnmatch import fnmatchcase

    if not device.at:
        return device.count
    return sum(any(fnmatchcase(place.name, pattern) for pattern in device.at) for place in scenario.places)


def _counted(count: float, one: str, many: str = "") -> str:
    return f"{count:g} {one if count == 1 else many or one + 's'}"


def _clock(hour: float) -> str:
    minutes = round(hour * 60) % 1440
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _print_table(scenarios: Sequence[Scenario]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in ("name", "houses", "relays", "models", "hours", ""):
        table.add_column(title, no_wrap=bool(title), justify="right" if title not in ("name", "") else "left")
    for scenario in scenarios:
        kinds = Counter(place.is_house for place in scenario.places)
        models = sum(_count(scenario, device) for device in scenario.devices)
        cells = (scenario.name, kinds[True], kinds[False], models, f"{scenario.hours:g}", scenario.title)
        table.add_row(*(Text(clean(str(cell), lines=False)) for cell in cells))
    Console().print(table)
