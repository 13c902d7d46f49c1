"""The section [places] of a scenario made into a map: a shape or a file, places beside it, and what stands between.

Mistakes are noted with their line. Knows nothing of radios, devices and people.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Any

from simulator.scenario.kinds import Kind, Section, Source, read_table
from simulator.scenario.layout import PAIRS_MAX, PLACES_MAX, Layout, Origin, located
from simulator.scenario.maps import read_blocked, read_map
from simulator.scenario.nodelist import NodeListOptions
from simulator.scenario.plan import BlockedPair
from simulator.scenario.sections import PLACES, SHAPE_KEYS, Extra, PlacesTable
from simulator.scenario.shapes import SHAPES
from simulator.scenario.spots import Spot, name_problem, place_of
from simulator.scenario.trouble import did_you_mean, shown

__all__ = ["read_places"]

_HERE = ("places",)
_OF_FILES = ("listener", "leave_out_incomplete")
_OF_SHAPES = ("layout_seed", "latitude", "longitude")


def read_places(source: Source, found: Any, folder: Path) -> Layout | None:
    """The map of [places], or None after noting what is wrong with it."""
    before = len(source.troubles.found)
    table = _table(source, found)
    if table is None or len(source.troubles.found) > before:
        return None
    layout = _ground(source, table, folder)
    if layout is None:
        return None
    from_map = len(layout.places)
    layout = _with_extras(source, layout, table)
    _check_names(source, layout, from_map, table)
    if len(layout.places) < 2 and len(source.troubles.found) == before:
        what = "the map has one place" if layout.places else "the map has no place"
        _note_map(source, table, what, "expected at least two")
    if len(layout.places) > PLACES_MAX:
        _note_map(source, table, f"the map has {len(layout.places)} places", f"expected at most {PLACES_MAX}")
    if len(source.troubles.found) > before:
        return None
    names = [place.name for place in layout.places]
    blocked = [*layout.blocked, *_barriers(source, table, names)]
    if table.blocked_file:
        blocked += read_blocked(folder, table.blocked_file, names, source.troubles)
    if len(blocked) > PAIRS_MAX:
        source.note((*_HERE, "blocked"), f"{len(blocked)} blocked pairs", f"expected at most {PAIRS_MAX}")
    return None if len(source.troubles.found) > before else replace(layout, blocked=tuple(blocked))


def _table(source: Source, found: Any) -> PlacesTable | None:
    """The section as data: which keys it may have depends on where its places come from."""
    shape = found.get("shape") if isinstance(found, dict) else None
    keys: dict[str, Kind | Section] = dict(PLACES)
    own: Mapping[str, Kind] = {}
    if isinstance(shape, str) and shape.casefold() in SHAPE_KEYS:
        own = SHAPE_KEYS[shape.casefold()]
        keys = {**{key: kind for key, kind in keys.items() if key not in _OF_FILES}, **own}
    elif isinstance(found, dict) and shape is None:
        keys = {key: kind for key, kind in keys.items() if key not in _OF_SHAPES or "file" not in found}
    if isinstance(found, dict) and shape is None and "file" not in found and "extra" not in found:
        expected = 'expected shape = "line" (or another), or file = "houses.csv"'
        source.note(_HERE, "[places] says neither shape nor file", expected)
        return None
    if isinstance(found, dict) and shape is not None and "file" in found:
        source.note((*_HERE, "file"), "[places] has both shape and file", "expected either")
        return None

    def make(**values: Any) -> PlacesTable:
        numbers = {key: values.pop(key) for key in own if key in values}
        return PlacesTable(**values, numbers=numbers)

    table: PlacesTable | None = read_table(source, Section(make, keys), found, _HERE)
    return table


def _ground(source: Source, table: PlacesTable, folder: Path) -> Layout | None:
    """What the shape or the file gives."""
    if table.file:
        options = NodeListOptions(table.listener, table.leave_out_incomplete)
        return read_map(folder, table.file, source.troubles, options)
    origin = None
    if table.latitude is not None and table.longitude is not None:
        origin = Origin(table.latitude, table.longitude)
    elif table.latitude is not None or table.longitude is not None:
        source.note(_HERE, "of latitude and longitude one is missing", "expected both, or none")
        return None
    layout = SHAPES[table.shape](Random(f"layout {table.layout_seed}"), **table.numbers) if table.shape else Layout(())
    return replace(layout, places=located(layout.places, origin), origin=origin) if origin else layout


def _with_extras(source: Source, layout: Layout, table: PlacesTable) -> Layout:
    places = list(layout.places)
    lines = list(layout.lines or [0] * len(places))
    origin = layout.origin
    for number, extra in enumerate(table.extra):
        path = (*_HERE, "extra", number)
        if not extra.name or (problem := name_problem(extra.name)):
            source.note(
                (*path, "name"), f"the name is {shown(extra.name)}", problem if extra.name else "expected a name"
            )
            continue
        spot = _spot(extra)
        if spot is None:
            what = f"{shown(extra.name)} has no position"
            source.note(path, what, "expected x_m and y_m, or latitude and longitude")
            continue
        if spot.latitude is not None and spot.longitude is not None and origin is None:
            if places:
                what = f"{shown(extra.name)} stands in degrees, the map in metres"
                source.note(path, what, "expected x_m and y_m, or latitude and longitude of the map in [places]")
                continue
            origin = Origin(spot.latitude, spot.longitude)
        places.append(place_of(spot, origin))
        lines.append(source.lines.of(path))
    return replace(layout, places=tuple(places), lines=tuple(lines), origin=origin)


def _spot(extra: Extra) -> Spot | None:
    is_house = extra.kind == "house"
    spot = Spot(0, extra.name, antenna_m=extra.antenna_m, ground_m=extra.ground_m, is_house=is_house)
    if extra.latitude is not None and extra.longitude is not None:
        return replace(spot, latitude=extra.latitude, longitude=extra.longitude)
    if extra.x_m is not None and extra.y_m is not None:
        return replace(spot, x_m=extra.x_m, y_m=extra.y_m)
    return None


def _check_names(source: Source, layout: Layout, from_map: int, table: PlacesTable) -> None:
    """Note names that stand for two places; the first `from_map` places come from the map."""
    seen: dict[str, str] = {}
    for index, (place, line) in enumerate(zip(layout.places, layout.lines, strict=True)):
        file = table.file if table.file and index < from_map else source.file
        if place.name in seen:
            what = f"the name {shown(place.name)} is already that of a place in {seen[place.name]}"
            source.troubles.note(file, line, what, "expected a name of its own for each place")
        seen.setdefault(place.name, f"{file}, line {line}" if line else f"the shape {shown(table.shape)}")


def _note_map(source: Source, table: PlacesTable, what: str, expected: str) -> None:
    """Note a mistake of the map as a whole, in the file that it comes from."""
    if table.file:
        source.troubles.note(table.file, 0, what, expected)
    else:
        source.note(_HERE, what, expected)


def _barriers(source: Source, table: PlacesTable, names: Sequence[str]) -> Iterator[BlockedPair]:
    """The pairs that [[places.blocked]] means."""
    total = 0
    for number, barrier in enumerate(table.blocked):
        path = (*_HERE, "blocked", number, "between")
        if len(barrier.between) != 2:
            expected = 'expected two names, such as ["house 1", "east *"]'
            source.note(path, f"between holds {len(barrier.between)} names", expected)
            continue
        sides = [[name for name in names if fnmatchcase(name, pattern)] for pattern in barrier.between]
        for pattern, side in zip(barrier.between, sides, strict=True):
            if not side:
                hint = "expected a name from the map" if "*" in pattern else did_you_mean(pattern, names[:20])
                source.note(path, f"{shown(pattern)} is no place", hint)
        pairs = {(min(one, other), max(one, other)) for one in sides[0] for other in sides[1] if one != other}
        total += len(pairs)
        if total > PAIRS_MAX:
            source.note(path, "too many blocked pairs", f"expected at most {PAIRS_MAX}")
            return
        for one, other in sorted(pairs):
            yield BlockedPair(one, other, barrier.loss_db)
