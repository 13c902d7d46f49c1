"""Maps from files: a table of coordinates (CSV), GeoJSON, or the node list of a Meshtastic radio.

Decides by the file what it is, reads tables itself, and places what has degrees on a plane. Mistakes are noted with
their line. Knows no scenario.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.scenario.geojson import geojson_layout, is_geojson
from simulator.scenario.layout import EXTENT_MAX_M, PAIRS_MAX, PLACES_MAX, Layout, farthest
from simulator.scenario.nodelist import NodeListOptions, node_list_layout
from simulator.scenario.plan import BlockedPair
from simulator.scenario.spots import KINDS, Spot, name_problem, places_of
from simulator.scenario.trouble import Troubles, read_text, shown

__all__ = ["MAP_BYTES_MAX", "read_blocked", "read_map"]

MAP_BYTES_MAX = 4 << 20
"""Largest file of places or of blocked pairs that is read."""

_SEPARATORS = ";\t,"
_CELL_CHARS_MAX = 1000
_LATITUDES = -90.0, 90.0
_LONGITUDES = -180.0, 180.0
_METRES = -1e6, 1e6
_ANTENNAS_M = 0.1, 1000.0
_GROUNDS_M = -500.0, 9000.0


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of a table."""

    names: tuple[str, ...]
    """As a header may spell it; the first is ours."""
    limits: tuple[float, float] | None = None
    """What its numbers may be; None for words."""


_PLACE_COLUMNS = {
    column.names[0]: column
    for column in (
        _Column(("name", "place", "house")),
        _Column(("latitude", "lat"), _LATITUDES),
        _Column(("longitude", "lon", "lng", "long"), _LONGITUDES),
        _Column(("x_m", "x"), _METRES),
        _Column(("y_m", "y"), _METRES),
        _Column(("antenna_m", "height_m"), _ANTENNAS_M),
        _Column(("ground_m", "altitude_m", "elevation_m"), _GROUNDS_M),
        _Column(("kind", "type")),
    )
}
_PAIR_COLUMNS = {
    column.names[0]: column
    for column in (_Column(("one", "from")), _Column(("other", "to")), _Column(("loss_db",), (0.0, 1000.0)))
}


def read_map(folder: Path, file: str, troubles: Troubles, options: NodeListOptions | None = None) -> Layout | None:
    """The map in a file beside a scenario, or None after noting what is wrong with it.

    `.csv` is a table, `.geojson` is GeoJSON, `.json` and `.txt` are GeoJSON or a node list, by what is in them.
    `options` are for node lists alone.
    """
    read = _READERS.get(Path(file).suffix.lower())
    if read is None:
        troubles.note(file, 0, "the map's kind is unknown", f"expected a file that ends in {', '.join(_READERS)}")
        return None
    text = read_text(folder / file, file, MAP_BYTES_MAX, troubles)
    if text is None:
        return None
    layout = read(text, file, troubles, options)
    if layout is None:
        return None
    if len(layout.places) > 1:
        index, distance_m = farthest(layout.places)
        if distance_m > EXTENT_MAX_M:
            troubles.note(
                file,
                layout.lines[index],
                f"{shown(layout.places[index].name)} is {distance_m / 1000:,.0f} km away from the others",
                "check its coordinates: latitude and longitude may be swapped",
            )
            return None
    return layout


def read_blocked(folder: Path, file: str, names: Sequence[str], troubles: Troubles) -> tuple[BlockedPair, ...]:
    """The blocked pairs in a table with the columns `one`, `other` and, if wanted, `loss_db`; mistakes are noted."""
    text = read_text(folder / file, file, MAP_BYTES_MAX, troubles)
    if text is None:
        return ()
    known = set(names)
    pairs = []
    for line, row in _rows(text, file, _PAIR_COLUMNS, ("one", "other"), troubles):
        ends = str(row["one"]), str(row["other"])
        strangers = [name for name in ends if name not in known]
        for name in strangers:
            troubles.note(file, line, f"there is no place called {shown(name)}", "spell it as on the map")
        if ends[0] == ends[1]:
            troubles.note(file, line, f"{shown(ends[0])} stands on both sides", "expected two places")
        elif not strangers:
            loss_db = row.get("loss_db")
            pairs.append(BlockedPair(*ends) if loss_db is None else BlockedPair(*ends, float(loss_db)))
        if len(pairs) > PAIRS_MAX:
            troubles.note(file, line, "too many blocked pairs", f"at most {PAIRS_MAX} are read")
            return ()
    return tuple(pairs)


def _table(text: str, file: str, troubles: Troubles, _options: NodeListOptions | None) -> Layout | None:
    spots: list[Spot] = []
    for line, row in _rows(text, file, _PLACE_COLUMNS, (), troubles):
        if len(spots) == PLACES_MAX:
            troubles.note(file, line, "too many places", f"at most {PLACES_MAX} are read")
            return None
        spot = _spot(line, row, file, troubles)
        if spot is not None:
            spots.append(spot)
    return _on_a_plane(spots, file, troubles)


def _spot(line: int, row: Mapping[str, str | float], file: str, troubles: Troubles) -> Spot | None:
    kind = str(row.get("kind", "house")).casefold()
    if kind not in KINDS:
        troubles.note(file, line, f"the kind is {shown(kind)}", f"expected {' or '.join(KINDS)}")
        return None
    name = str(row.get("name", ""))
    if problem := name_problem(name):
        troubles.note(file, line, f"the name is {shown(name)}", problem)
        return None
    degrees = "latitude" in row and "longitude" in row
    metres = "x_m" in row and "y_m" in row
    if not degrees and not metres:
        who = shown(name) if name else "the place"
        troubles.note(file, line, f"{who} has no position", "expected latitude and longitude, or x_m and y_m")
        return None
    return Spot(
        line,
        name,
        latitude=float(row["latitude"]) if degrees else None,
        longitude=float(row["longitude"]) if degrees else None,
        x_m=0.0 if degrees else float(row["x_m"]),
        y_m=0.0 if degrees else float(row["y_m"]),
        antenna_m=float(row["antenna_m"]) if "antenna_m" in row else None,
        ground_m=float(row["ground_m"]) if "ground_m" in row else None,
        is_house=kind == "house",
    )


def _on_a_plane(spots: Sequence[Spot], file: str, troubles: Troubles) -> Layout | None:
    """Places in metres, named, all from degrees or none."""
    with_degrees = [spot for spot in spots if spot.latitude is not None]
    if with_degrees and len(with_degrees) < len(spots):
        odd = next(spot for spot in spots if spot.latitude is None)
        troubles.note(file, odd.line, "the position is in metres, others are in degrees", "expected the same for all")
        return None
    if not spots:
        return None if troubles.found else Layout(())
    places, origin = places_of(spots)
    return Layout(places, lines=tuple(spot.line for spot in spots), origin=origin)


def _geojson(text: str, file: str, troubles: Troubles, _options: NodeListOptions | None) -> Layout | None:
    return geojson_layout(text, file, troubles)


def _geojson_or_nodes(text: str, file: str, troubles: Troubles, options: NodeListOptions | None) -> Layout | None:
    if is_geojson(text):
        return geojson_layout(text, file, troubles)
    return node_list_layout(text, file, troubles, options or NodeListOptions())


_READERS: dict[str, Callable[[str, str, Troubles, NodeListOptions | None], Layout | None]] = {
    ".csv": _table,
    ".geojson": _geojson,
    ".json": _geojson_or_nodes,
    ".txt": _geojson_or_nodes,
}


def _rows(
    text: str, file: str, columns: Mapping[str, _Column], required: Sequence[str], troubles: Troubles
) -> Iterator[tuple[int, dict[str, str | float]]]:
    """Line and cells of each row that is not empty; cells by the column's own name, empty ones left out.

    A separator is `;`, tab or `,`, whichever the header holds first in this order; with `;` or tab, decimal commas are
    read.
    """
    header = text.partition("\n")[0]
    separator = next((each for each in _SEPARATORS if each in header), ",")
    reader = csv.reader(text.split("\n"), delimiter=separator)
    try:
        titles = _titles(next(reader, []), file, columns, required, troubles)
        if titles is None:
            return
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) > len(titles) and any(cell.strip() for cell in cells[len(titles) :]):
                what = f"{len(cells)} columns where the header has {len(titles)}"
                troubles.note(file, reader.line_num, what, "put text with separators in quotes")
                continue
            row = _cells(reader.line_num, cells, titles, separator != ",", file, columns, troubles)
            missing = [name for name in required if row is not None and name not in row]
            for name in missing:
                troubles.note(file, reader.line_num, f"the column {name} is empty", "expected a name")
            if row is not None and not missing:
                yield reader.line_num, row
    except csv.Error as error:
        troubles.note(file, reader.line_num, f"the table can't be read: {error}", "save it as CSV once more")


def _titles(
    header: Sequence[str], file: str, columns: Mapping[str, _Column], required: Sequence[str], troubles: Troubles
) -> list[str] | None:
    """For each column, our name of it; empty for one that is of no use here."""
    spelled = {name: ours for ours, column in columns.items() for name in column.names}
    words = [title.strip().casefold().replace(" ", "_") for title in header]
    titles = [spelled.get(word, "") for word in words]
    twice = sorted({title for title in titles if title and titles.count(title) > 1})
    wanted = [name for name in required if name not in titles]
    if not required and not {"latitude", "longitude"} <= set(titles) and not {"x_m", "y_m"} <= set(titles):
        wanted = ["latitude and longitude (or x_m and y_m)"]
    if twice:
        troubles.note(file, 1, f"the column {twice[0]} is there twice", "leave one")
        return None
    if wanted:
        found = f"the first line is {shown(' '.join(words))}" if any(words) else "the first line is empty"
        expected = f"expected the names of columns there: {', '.join(columns)}; missing: {', '.join(wanted)}"
        troubles.note(file, 1, found, expected)
        return None
    return titles


def _cells(
    line: int,
    cells: Sequence[str],
    titles: Sequence[str],
    commas: bool,
    file: str,
    columns: Mapping[str, _Column],
    troubles: Troubles,
) -> dict[str, str | float] | None:
    """The cells of a row by name, numbers as such; None after noting one that is wrong."""
    row: dict[str, str | float] = {}
    for title, cell in zip(titles, cells, strict=False):
        word = cell.strip()
        if not title or not word:
            continue
        limits = columns[title].limits
        if limits is None:
            row[title] = word[:_CELL_CHARS_MAX]
            continue
        number = _number(word, commas)
        if number is None or not limits[0] <= number <= limits[1]:
            expected = f"expected a number from {limits[0]:,g} to {limits[1]:,g}"
            troubles.note(file, line, f"{title} is {shown(word)}", expected)
            return None
        row[title] = number
    return row


def _number(word: str, commas: bool) -> float | None:
    try:
        number = float(word.replace(",", ".") if commas else word)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
