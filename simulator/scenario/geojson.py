"""GeoJSON as a map: points are places, lines between two points are blocked pairs.

Properties that are read: `name`, `antenna_m`, `ground_m`, `kind` and `blocked` (names) of points, `loss_db` of lines.
Source of the format: RFC 7946. Knows no other kind of map.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from math import hypot, isfinite
from typing import Any

from simulator.scenario.layout import PLACES_MAX, Layout, Origin
from simulator.scenario.plan import BlockedPair, Place
from simulator.scenario.spots import KINDS, Spot, name_problem, places_of
from simulator.scenario.trouble import Troubles, line_numbers, shown

__all__ = ["geojson_layout", "is_geojson", "read_json"]

_FEATURE = re.compile(r'"type"\s*:\s*"Feature"')
_NEAR_M = 50.0
"""A line that ends so near to a place means that place."""
_LINES_MAX = 1000
_TYPES = ("FeatureCollection", "Feature")
_LIMITS = {"antenna_m": (0.1, 1000.0), "ground_m": (-500.0, 9000.0), "loss_db": (0.0, 1000.0)}


def is_geojson(text: str) -> bool:
    """Whether a text is rather GeoJSON than something else in JSON."""
    return text.lstrip().startswith("{") and any(f'"{kind}"' in text for kind in _TYPES)


def geojson_layout(text: str, file: str, troubles: Troubles) -> Layout | None:
    """The map in a GeoJSON text, or None after noting what is wrong with it."""
    before = len(troubles.found)
    form = read_json(text, file, troubles)
    features = _features(form)
    if features is None:
        if len(troubles.found) == before:
            troubles.note(file, 1, "this is no GeoJSON", "expected a FeatureCollection of points")
        return None
    if len(features) > PLACES_MAX + _LINES_MAX:
        expected = f"at most {PLACES_MAX} points and {_LINES_MAX} lines are read"
        troubles.note(file, 1, f"{len(features)} features are too many", expected)
        return None
    starts = line_numbers(text, [found.start() for found in islice(_FEATURE.finditer(text), len(features))])
    spots: list[Spot] = []
    walls: list[tuple[int, Mapping[str, Any], Any]] = []
    said: list[tuple[int, int, Mapping[str, Any]]] = []
    for number, feature in enumerate(features):
        line = starts[number] if number < len(starts) else 1
        shape, kind, properties = _parts(feature)
        if kind == "Point":
            spot = _spot(line, shape, properties, file, troubles)
            if spot is not None:
                said.append((len(spots), line, properties))
                spots.append(spot)
        elif kind == "LineString":
            walls.append((line, properties, shape))
        else:
            troubles.note(
                file, line, f"the geometry is {shown(kind)}", "expected Point, or LineString between two points"
            )
    if len(troubles.found) > before:
        return None
    if len(spots) > PLACES_MAX or len(walls) > _LINES_MAX:
        expected = f"at most {PLACES_MAX} points and {_LINES_MAX} lines are read"
        troubles.note(file, 1, f"{len(spots)} points and {len(walls)} lines are too many", expected)
        return None
    if not spots:
        return Layout(())
    places, origin = places_of(spots)
    assert origin is not None
    blocked = [
        *_said(said, places, file, troubles),
        *(pair for wall in walls for pair in _crossed(*wall, places, origin, file, troubles)),
    ]
    return Layout(places, tuple(blocked), lines=tuple(spot.line for spot in spots), origin=origin)


def read_json(text: str, file: str, troubles: Troubles) -> Any:
    """What a JSON text holds; None after noting that it can't be read."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        troubles.note(file, error.lineno, f"this is no JSON: {error.msg}", "save or export the file once more")
    except (ValueError, RecursionError):
        troubles.note(file, 1, "this is no JSON of a map", "save or export the file once more")
    return None


def _no_number(_: str) -> None:
    raise ValueError


def _features(form: Any) -> list[Any] | None:
    if not isinstance(form, dict) or form.get("type") not in _TYPES:
        return None
    features = [form] if form["type"] == "Feature" else form.get("features")
    return features if isinstance(features, list) else None


def _parts(feature: Any) -> tuple[Any, str, Mapping[str, Any]]:
    """Coordinates, kind of geometry and properties of a feature, however odd it is."""
    feature = feature if isinstance(feature, dict) else {}
    geometry = feature.get("geometry")
    geometry = geometry if isinstance(geometry, dict) else {}
    properties = feature.get("properties")
    return geometry.get("coordinates"), str(geometry.get("type")), properties if isinstance(properties, dict) else {}


def _point(found: Any) -> tuple[float, float] | None:
    """Latitude and longitude of a position, which GeoJSON writes the other way round."""
    if not isinstance(found, list) or len(found) < 2 or not all(_is_number(each) for each in found[:2]):
        return None
    longitude, latitude = float(found[0]), float(found[1])
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < 1e9 and isfinite(found)


def _spot(line: int, shape: Any, properties: Mapping[str, Any], file: str, troubles: Troubles) -> Spot | None:
    point = _point(shape)
    name = str(properties.get("name") or "").strip()
    kind = str(properties.get("kind", "house")).casefold()
    antenna_m = _limited(properties, "antenna_m", line, file, troubles)
    ground_m = _limited(properties, "ground_m", line, file, troubles)
    if point is None:
        expected = "expected [longitude, latitude] in degrees"
        troubles.note(file, line, f"the position of {shown(name or 'a point')} is wrong", expected)
        return None
    if kind not in KINDS:
        troubles.note(file, line, f"the kind of {shown(name)} is {shown(kind)}", f"expected {' or '.join(KINDS)}")
        return None
    if problem := name_problem(name):
        troubles.note(file, line, f"the name is {shown(name)}", problem)
        return None
    return Spot(line, name, *point, antenna_m=antenna_m, ground_m=ground_m, is_house=kind == "house")


def _limited(properties: Mapping[str, Any], key: str, line: int, file: str, troubles: Troubles) -> float | None:
    """A number among the properties; None where there is none, or after noting that it is impossible."""
    found = properties.get(key)
    if found is None:
        return None
    low, high = _LIMITS[key]
    if not _is_number(found) or not low <= found <= high:
        troubles.note(file, line, f"{key} is {shown(found)}", f"expected a number from {low:,g} to {high:,g}")
        return None
    return float(found)


def _said(
    said: Sequence[tuple[int, int, Mapping[str, Any]]], places: Sequence[Place], file: str, troubles: Troubles
) -> Iterator[BlockedPair]:
    """Pairs from the lists of names that points carry."""
    names = {place.name for place in places}
    for index, line, properties in said:
        blocked = properties.get("blocked", [])
        if not isinstance(blocked, list):
            troubles.note(file, line, f"blocked is {shown(blocked)}", "expected a list of names")
            continue
        loss_db = _limited(properties, "loss_db", line, file, troubles)
        for name in blocked:
            if not isinstance(name, str) or name not in names or name == places[index].name:
                troubles.note(file, line, f"{shown(name)} is blocked from here", "expected the name of another place")
            else:
                yield _pair(places[index].name, name, loss_db)


def _crossed(
    line: int,
    properties: Mapping[str, Any],
    shape: Any,
    places: Sequence[Place],
    origin: Origin,
    file: str,
    troubles: Troubles,
) -> Iterator[BlockedPair]:
    """The pair that a line joins."""
    ends = [_point(end) for end in shape] if isinstance(shape, list) else []
    loss_db = _limited(properties, "loss_db", line, file, troubles)
    found = [_nearest(origin.metres(*end), places) for end in ends if end is not None]
    if len(ends) == 2 and len(found) == 2 and found[0] and found[1] and found[0] != found[1]:
        yield _pair(found[0], found[1], loss_db)
    else:
        expected = f"expected a line of two points, each within {_NEAR_M:g} m of a place of its own"
        troubles.note(file, line, "a LineString that joins no two places", expected)


def _nearest(point: tuple[float, float], places: Sequence[Place]) -> str:
    """Name of the place near that point; empty where there is none."""
    nearest = min(places, key=lambda place: hypot(place.x_m - point[0], place.y_m - point[1]))
    return nearest.name if hypot(nearest.x_m - point[0], nearest.y_m - point[1]) <= _NEAR_M else ""


def _pair(one: str, other: str, loss_db: float | None) -> BlockedPair:
    return BlockedPair(one, other) if loss_db is None else BlockedPair(one, other, loss_db)
