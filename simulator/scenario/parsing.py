"""Reads a scenario file: TOML made into a `Scenario`, or one error that names every mistake with its line.

What may stand in a file is data in `simulator.scenario.sections`; what must fit together is the table of rules below.
Files named in it are looked for beside it. Runs nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from protocol.airtime import PRESETS
from simulator.channels import REGIONS
from simulator.lora import region_power_dbm
from simulator.scenario.kinds import Source, read_table
from simulator.scenario.layout import Layout
from simulator.scenario.locating import Lines
from simulator.scenario.locating import Path as KeyPath
from simulator.scenario.mapping import read_places
from simulator.scenario.plan import Place, Scenario
from simulator.scenario.sections import ROOT, Head
from simulator.scenario.trouble import ScenarioError, Troubles, did_you_mean, read_text, shown
from simulator.walking import course_of

__all__ = ["FILE_BYTES_MAX", "Reading", "parse", "read"]

FILE_BYTES_MAX = 256 << 10
"""Largest scenario file; long maps stand in files of their own, which may be larger."""
_LINE_CHARS_MAX = 1000
"""A key of thousands of parts takes tomllib minutes: no line is longer than that."""
_WALK_S_MAX = 23.9 * 3600
_AT_LINE = re.compile(r"(.*?) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reading:
    """A scenario and what its reader should know of it."""

    scenario: Scenario
    notes: tuple[str, ...] = ()
    """Such as which nodes of a list were left out."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """What the rules look at."""

    head: Head
    layout: Layout
    folder: Path

    @property
    def places(self) -> Sequence[Place]:
        return self.layout.places


@dataclass(frozen=True, slots=True)
class _Broken:
    """A rule that is broken, and at which key."""

    path: KeyPath
    what: str
    expected: str


def read(path: str | Path) -> Reading:
    """Read the scenario in a file; raises ScenarioError (a LocalError) that names file, line and what was expected."""
    path = Path(path)
    troubles = Troubles()
    text = read_text(path, path.name, FILE_BYTES_MAX, troubles)
    if text is None:
        raise ScenarioError(troubles.found)
    return parse(text, name=path.stem, file=path.name, folder=path.parent)


def parse(text: str, *, name: str, file: str = "", folder: str | Path = ".") -> Reading:
    """Read a scenario from its text: `file` is how messages call it, `folder` where the files that it names are.

    Raises ScenarioError.
    """
    file = file or name
    troubles = Troubles()
    form, lines = _toml(text, file, troubles)
    source = Source(file, lines, troubles)
    head: Head = read_table(source, ROOT, form, ())
    if "places" not in form:
        source.note((), "there is no [places]", 'add it, with shape = "line" or file = "houses.csv"')
        raise ScenarioError(troubles.found)
    layout = read_places(source, head.places, Path(folder))
    if layout is not None:
        draft = _Draft(head, layout, Path(folder))
        for rule in _RULES:
            for broken in rule(draft):
                source.note(broken.path, broken.what, broken.expected)
    troubles.settle()
    assert layout is not None, "whoever returns none has noted why"
    scenario = Scenario(
        name=name,
        title=head.title or name,
        about=head.about,
        places=layout.places,
        terrain=str(Path(folder) / head.terrain) if head.terrain else "",
        hours=head.hours,
        start_hour=head.start_hour,
        blocked=layout.blocked,
        measured=layout.measured,
        radio=head.radio,
        devices=head.devices,
        people=head.people,
        faults=head.faults,
        walks=head.walks,
    )
    return Reading(scenario, layout.notes)


def _toml(text: str, file: str, troubles: Troubles) -> tuple[dict[str, Any], Lines]:
    """The file's tables, and where their keys stand; raises ScenarioError when it is no TOML."""
    rows = text.split("\n")
    for number, row in enumerate(rows, 1):
        if len(row) > _LINE_CHARS_MAX:
            troubles.note(file, number, f"a line of {len(row)} characters", f"at most {_LINE_CHARS_MAX} are read")
            raise ScenarioError(troubles.found)
    try:
        return tomllib.loads(text), Lines(text)
    except tomllib.TOMLDecodeError as error:
        told = _AT_LINE.fullmatch(str(error))
        what = told[1] if told else str(error)
        line = int(told[2]) if told and told[2] else text.rstrip("\n").count("\n") + 1
        troubles.note(
            file, line, f"this can't be read: {what[:1].lower()}{what[1:]}", _hint(text.split("\n")[line - 1])
        )
    except (RecursionError, ValueError):
        troubles.note(file, 0, "brackets or numbers in it go beyond all measure", "write it more simply")
    raise ScenarioError(troubles.found)


def _hint(line: str) -> str:
    """What is mostly wrong with a line that is no TOML."""
    return 'expected a line such as `hours = 24`, `title = "Our street"` (words in quotes) or `[people]`' + (
        f", not {shown(line.strip())}" if line.strip() else ""
    )


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _at_names(draft: _Draft) -> Iterator[_Broken]:
    """Names in `at` that mean no place."""
    named: list[tuple[KeyPath, tuple[str, ...]]] = [
        *((("radio", "special", number, "at"), each.at) for number, each in enumerate(draft.head.radio.special)),
        *((("devices", number, "at"), each.at) for number, each in enumerate(draft.head.devices)),
        *((("walks", number, "at"), each.at) for number, each in enumerate(draft.head.walks)),
    ]
    names = [place.name for place in draft.places]
    for path, patterns in named:
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in names):
                hint = "expected a name from the map" if "*" in pattern else did_you_mean(pattern, names[:20])
                yield _Broken(path, f"{shown(pattern)} is no place", hint)


def _device_places(draft: _Draft) -> Iterator[_Broken]:
    """Devices stand in some houses, or in houses by name."""
    for number, device in enumerate(draft.head.devices):
        if bool(device.count) == bool(device.at):
            found = "both count and at" if device.count else "neither count nor at"
            expected = 'expected either, such as count = 3 or at = ["house 2"]'
            yield _Broken(("devices", number), f"{shown(device.name)} has {found}", expected)


def _device_room(draft: _Draft) -> Iterator[_Broken]:
    """There are houses for all devices that hold a radio."""
    taken: set[str] = set()
    houses = [place.name for place in draft.places if place.is_house]
    drawn = 0
    for number, device in enumerate(draft.head.devices):
        free = len(houses) - len(taken.intersection(houses)) - drawn
        if device.count > max(free, 0):
            what = f"{device.count} devices called {shown(device.name)}"
            yield _Broken(("devices", number, "count"), what, f"only {max(free, 0)} houses have no device yet")
        if device.has_radio:
            drawn += device.count
            taken.update(name for name in houses if device.at and _matches(name, device.at))


def _device_names(draft: _Draft) -> Iterator[_Broken]:
    """Devices are told apart by their names."""
    seen: set[str] = set()
    for number, device in enumerate(draft.head.devices):
        if device.name in seen:
            yield _Broken(("devices", number, "name"), f"{shown(device.name)} is there twice", "expected another name")
        seen.add(device.name)


def _panels(draft: _Draft) -> Iterator[_Broken]:
    """A panel needs a battery."""
    supplies: list[tuple[KeyPath, float, float]] = [
        *((("devices", number), each.solar_w, each.battery_wh) for number, each in enumerate(draft.head.devices)),
        *(
            (("radio", "special", number, "power"), each.power.solar_w, each.power.battery_wh)
            for number, each in enumerate(draft.head.radio.special)
            if each.power
        ),
    ]
    for path, solar_w, battery_wh in supplies:
        if solar_w and not battery_wh:
            yield _Broken((*path, "solar_w"), f"a panel of {solar_w:g} W without a battery", "add battery_wh")


def _busy(draft: _Draft) -> Iterator[_Broken]:
    """Work takes power."""
    for number, device in enumerate(draft.head.devices):
        if device.busy_w < device.idle_w:
            what = f"{shown(device.name)} takes {device.busy_w:g} W at work and {device.idle_w:g} W at rest"
            yield _Broken(("devices", number), what, "expected busy_w to be no less than idle_w")


def _bands(draft: _Draft) -> Iterator[_Broken]:
    """Each preset fits the region's band."""
    radio = draft.head.radio
    low_mhz, high_mhz, _ = REGIONS[radio.region]
    chosen: list[tuple[KeyPath, str]] = [
        (("radio", "preset"), radio.preset),
        *((("radio", "special", number, "preset"), each.preset or "") for number, each in enumerate(radio.special)),
    ]
    for path, preset in chosen:
        width_mhz = PRESETS[preset].bandwidth_hz / 1e6 if preset else 0
        if width_mhz > high_mhz - low_mhz + 1e-9:
            band = f"the band of {radio.region} {(high_mhz - low_mhz) * 1000:.0f}"
            what = f"{preset} is {width_mhz * 1000:g} kHz wide, {band}"
            yield _Broken(path, what, "expected a narrower preset, such as LONG_FAST")


def _powers(draft: _Draft) -> Iterator[_Broken]:
    """No radio sends more than its firmware lets it."""
    radio = draft.head.radio
    most_dbm = region_power_dbm(radio.region)
    chosen: list[tuple[KeyPath, float | None]] = [
        (("radio", "power_dbm"), radio.power_dbm),
        *((("radio", "special", number, "power_dbm"), each.power_dbm) for number, each in enumerate(radio.special)),
    ]
    for path, power_dbm in chosen:
        if power_dbm is not None and power_dbm > most_dbm:
            what = f"power_dbm is {power_dbm:g}"
            yield _Broken(path, what, f"expected at most {most_dbm:g}, which is what {radio.region} allows")


def _emergencies(draft: _Draft) -> Iterator[_Broken]:
    """Emergencies happen within the run."""
    for number, each in enumerate(draft.head.people.emergencies):
        if each.at_hour >= draft.head.hours:
            what = f"an emergency {each.at_hour:g} hours after the start"
            expected = f"expected below {draft.head.hours:g}, the hours of the whole run"
            yield _Broken(("people", "emergencies", number, "at_hour"), what, expected)


def _walkers(draft: _Draft) -> Iterator[_Broken]:
    """Nobody is in two places, nor is a walker's link measured."""
    measured = {name for link in draft.layout.measured for name in (link.sender, link.receiver)}
    walking: set[str] = set()
    for number, walk in enumerate(draft.head.walks):
        named = [place.name for place in draft.places if _matches(place.name, walk.at)]
        for name in named:
            if name in walking:
                yield _Broken(
                    ("walks", number, "at"), f"{shown(name)} goes two ways", "expected one walk for each place"
                )
                break
            if name in measured:
                what = f"SNRs of {shown(name)} were measured where it stood"
                yield _Broken(("walks", number, "at"), what, "expected a place without them")
                break
        walking.update(named)


def _walks(draft: _Draft) -> Iterator[_Broken]:
    """Walks begin within the run, and who goes each day is back by the next."""
    head = draft.head
    for number, walk in enumerate(head.walks):
        ways = [course_of(walk, place, head.start_hour) for place in draft.places if _matches(place.name, walk.at)]
        if ways and ways[0].starts_s >= head.hours * 3600:
            what = f"a walk that starts {ways[0].starts_s / 3600:g} hours after the start of the run"
            yield _Broken(("walks", number), what, f"expected below {head.hours:g}, the hours of the whole run")
        lasts_s = max((way.lasts_s for way in ways), default=0.0)
        if walk.and_back and lasts_s > _WALK_S_MAX:
            what = f"a walk that is back after {lasts_s / 3600:.0f} hours"
            yield _Broken(("walks", number), what, "expected less than 24: who comes back goes again the next day")


def _askers(draft: _Draft) -> Iterator[_Broken]:
    """Somebody lives there."""
    if not any(place.is_house for place in draft.places):
        yield _Broken(("places",), "there is no house, only relays", "expected at least one house")


def _land(draft: _Draft) -> Iterator[_Broken]:
    """Hills are known only for places on the Earth, and from a folder that is there."""
    if not draft.head.terrain:
        return
    if not (draft.folder / draft.head.terrain).is_dir():
        what = f"terrain is {shown(draft.head.terrain)}"
        yield _Broken(("terrain",), what, "expected a folder of SRTM .hgt tiles, beside this file")
    if any(place.latitude is None for place in draft.places):
        expected = "expected latitude and longitude in [places]: the map's origin"
        yield _Broken(("terrain",), "terrain for a map without degrees", expected)


_RULES: tuple[Callable[[_Draft], Iterator[_Broken]], ...] = (
    _askers,
    _at_names,
    _device_names,
    _device_places,
    _device_room,
    _panels,
    _busy,
    _bands,
    _powers,
    _emergencies,
    _walkers,
    _walks,
    _land,
)
"""What must fit together; each says what does not."""
