"""One point of a map's file, before it stands on a plane; and what a place may be called.

Pure data and checks, shared by all kinds of maps.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from simulator.scenario.layout import Origin, origin_of
from simulator.scenario.plan import Place

__all__ = ["KINDS", "NAME_CHARS_MAX", "Spot", "cleaned_name", "name_problem", "place_of", "places_of"]

KINDS = ("house", "relay")
"""What a place can be."""
NAME_CHARS_MAX = 40

_WILD = frozenset("*?[]")
_HOUSE_ANTENNA_M = Place("", 0.0, 0.0).antenna_m
_RELAY_ANTENNA_M = 8.0


@dataclass(frozen=True, slots=True)
class Spot:
    """A point as a file tells of it; None for what it does not tell."""

    line: int
    name: str
    """Empty where it has none."""
    latitude: float | None = None
    longitude: float | None = None
    x_m: float = 0.0
    y_m: float = 0.0
    """Only where there are no degrees."""
    antenna_m: float | None = None
    ground_m: float | None = None
    is_house: bool = True


def place_of(spot: Spot, origin: Origin | None) -> Place:
    """The place that a point becomes; `origin` for points in degrees, and for giving degrees to others."""
    x_m, y_m = spot.x_m, spot.y_m
    latitude, longitude = spot.latitude, spot.longitude
    if latitude is not None and longitude is not None:
        x_m, y_m = (origin or Origin(latitude, longitude)).metres(latitude, longitude)
    elif origin is not None:
        latitude, longitude = origin.degrees(x_m, y_m)
    usual_m = _HOUSE_ANTENNA_M if spot.is_house else _RELAY_ANTENNA_M
    antenna_m = usual_m if spot.antenna_m is None else spot.antenna_m
    return Place(spot.name, x_m, y_m, antenna_m, spot.ground_m or 0.0, spot.is_house, latitude, longitude)


def places_of(spots: Sequence[Spot]) -> tuple[tuple[Place, ...], Origin | None]:
    """The places that points become, the nameless counted as `house 3` or `relay 1`; and where their metres count from.

    All points are in degrees, or none is.
    """
    points = [(spot.latitude, spot.longitude) for spot in spots]
    known = [(latitude, longitude) for latitude, longitude in points if latitude is not None and longitude is not None]
    origin = origin_of(known) if known else None
    counts = {True: 0, False: 0}
    places: list[Place] = []
    for spot in spots:
        counts[spot.is_house] += 1
        place = place_of(spot, origin)
        fallback = f"{'house' if spot.is_house else 'relay'} {counts[spot.is_house]}"
        places.append(place if place.name else replace(place, name=fallback))
    return tuple(places), origin


def name_problem(name: str) -> str:
    """What is wrong with a place's name; empty when it will do, or is empty itself."""
    if len(name) > NAME_CHARS_MAX:
        return f"expected at most {NAME_CHARS_MAX} characters"
    if _WILD & set(name):
        return "expected a name without * ? [ ], which stand for other names"
    if name != cleaned_name(name):
        return "expected a name without line breaks and other invisible characters"
    return ""


def cleaned_name(name: str) -> str:
    """A stranger's name without what a place's name must not hold, cut to its length."""
    kept = "".join(
        character
        for character in name
        if character not in _WILD and unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
    )
    return kept.strip()[:NAME_CHARS_MAX].strip()
