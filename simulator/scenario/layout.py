"""What a map or a shape gives: places, and what is known of the links between them. And degrees made into metres.

Pure data and arithmetic; knows no file and no radio.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import cos, degrees, hypot, radians

from simulator.scenario.plan import BlockedPair, MeasuredLink, Place

__all__ = ["EXTENT_MAX_M", "PAIRS_MAX", "PLACES_MAX", "Layout", "Origin", "farthest", "located", "origin_of"]

PLACES_MAX = 5000
"""Places of one scenario."""
PAIRS_MAX = 200_000
"""Blocked pairs of one scenario."""
EXTENT_MAX_M = 300_000.0
"""A map wider than that has a mistake in its coordinates, and metres on a plane would no longer do."""

_EARTH_RADIUS_M = 6_371_000.0


@dataclass(frozen=True, slots=True)
class Origin:
    """The point of the Earth from which metres east and north count."""

    latitude: float
    longitude: float

    def metres(self, latitude: float, longitude: float) -> tuple[float, float]:
        """Metres east and north of here: equirectangular, right to 0.1 % within 50 km below 60 degrees."""
        east = (longitude - self.longitude + 540) % 360 - 180
        scale_m = _EARTH_RADIUS_M * cos(radians(self.latitude))
        north_m = _EARTH_RADIUS_M * radians(latitude - self.latitude)
        return round(scale_m * radians(east), 2), round(north_m, 2)

    def degrees(self, x_m: float, y_m: float) -> tuple[float, float]:
        """Latitude and longitude of a point that many metres east and north of here."""
        scale_m = max(_EARTH_RADIUS_M * cos(radians(self.latitude)), 1.0)
        longitude = (self.longitude + degrees(x_m / scale_m) + 540) % 360 - 180
        return round(self.latitude + degrees(y_m / _EARTH_RADIUS_M), 7), round(longitude, 7)


@dataclass(frozen=True, slots=True)
class Layout:
    """A map."""

    places: tuple[Place, ...]
    blocked: tuple[BlockedPair, ...] = ()
    measured: tuple[MeasuredLink, ...] = ()
    lines: tuple[int, ...] = ()
    """For each place, the line of the map's file that tells of it; empty for a shape."""
    origin: Origin | None = None
    """None where no degrees are known."""
    notes: tuple[str, ...] = ()
    """What its reader should know, such as which nodes were left out."""


def origin_of(points: Sequence[tuple[float, float]]) -> Origin:
    """The middle of points given as latitude and longitude, also on both sides of the date line; at least one point."""
    first = points[0][1]
    east = [(longitude - first + 540) % 360 - 180 for _, longitude in points]
    longitude = (first + sum(east) / len(points) + 540) % 360 - 180
    return Origin(sum(latitude for latitude, _ in points) / len(points), longitude)


def located(places: Iterable[Place], origin: Origin) -> tuple[Place, ...]:
    """The places with their latitude and longitude, from their metres."""
    with_degrees = []
    for place in places:
        latitude, longitude = origin.degrees(place.x_m, place.y_m)
        with_degrees.append(replace(place, latitude=latitude, longitude=longitude))
    return tuple(with_degrees)


def farthest(places: Sequence[Place]) -> tuple[int, float]:
    """Index of the place that is farthest from the middle one in each direction, and that distance in metres."""
    middle_x_m = sorted(place.x_m for place in places)[len(places) // 2]
    middle_y_m = sorted(place.y_m for place in places)[len(places) // 2]
    distances_m = [hypot(place.x_m - middle_x_m, place.y_m - middle_y_m) for place in places]
    return max(enumerate(distances_m), key=lambda each: each[1])
