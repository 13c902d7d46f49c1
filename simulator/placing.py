"""Where relays go so that houses that can't hear one another become one mesh: decided from median links with a margin.

Pure decisions over places and `simulator.links`; knows no models, no people and no costs, which are
`simulator.planning`'s. The same places give the same relays.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from simulator.links import links
from simulator.scenario.layout import Layout, Origin
from simulator.scenario.plan import BlockedPair, Place, RadioPlan, Scenario
from simulator.terrain import Terrain

__all__ = ["CHAIN_MAX", "Net", "Site", "chain_length", "mutual_links", "parts", "place_relays", "sites"]

CHAIN_MAX = 4
"""So many relays in a row are placed at most to join two groups of houses."""

_CELLS = 12
"""Cells along the longer side of the map; in each, one spot is tried, and more where houses are near."""
_NEAR_M = 3000.0
_SPOTS, _SPOTS_WITH_HILLS = 576, 256
"""So many spots are tried at most, unless so many cells are needed anyway: hills take time."""
_FINER_MAX = 10
"""Cells near houses are divided into so many along each side at most."""
_CELL_M = 50.0
"""No cell is smaller."""
_TRIED_IN_CELL = 6
"""With terrain, so many points along each side of a cell are looked at for its highest."""
_ROUND_M = 10.0
_OPEN_LAND = 0.005
"""By how much a relay in the open counts for more than a mast on a house, which has power and a door."""
_WEAK = 0.01
"""By how much a link that just holds counts for more than one that is `_STRONG_DB` above the margin."""
_STRONG_DB = 15.0

Net = Sequence[dict[int, float]]
"""For each place, whom it hears and who hears it, with what the weaker direction has to spare, in dB."""


@dataclass(frozen=True, slots=True)
class Site:
    """A spot where a relay could stand."""

    place: Place
    """Antenna on its mast; for a house, the house's own place with the higher antenna."""
    house: int | None
    """Index of the house on whose roof it is; None in the open."""


def mutual_links(
    places: Sequence[Place], blocked: Iterable[BlockedPair], radio: RadioPlan, terrain: str, margin_db: float
) -> list[dict[int, float]]:
    """Pairs that hear each other with at least that margin in both directions, no chance drawn.

    Several places may have one name, as a house and the mast on its roof: what blocks one blocks all. Raises LocalError
    as `simulator.links.links` does.
    """
    still = replace(radio, shadowing_db=0.0, asymmetry_db=0.0, special=())
    numbered = tuple(replace(place, name=str(index)) for index, place in enumerate(places))
    called: dict[str, list[str]] = {}
    for place, number in zip(places, numbered, strict=True):
        called.setdefault(place.name, []).append(number.name)
    walls = tuple(
        BlockedPair(one, other, pair.loss_db)
        for pair in blocked
        for one in called.get(pair.one, ())
        for other in called.get(pair.other, ())
    )
    heard: list[dict[int, float]] = [{} for _ in places]
    for link in links(Scenario("plan", "", "", numbered, terrain, blocked=walls, radio=still), 0):
        if link.margin_db >= margin_db:
            heard[link.sender][link.receiver] = link.margin_db
    return [
        {other: min(spare_db, heard[other][one]) for other, spare_db in others.items() if one in heard[other]}
        for one, others in enumerate(heard)
    ]


def sites(layout: Layout, terrain: str, mast_m: float) -> list[Site]:
    """Spots to try: a mast on each house that has none so high, then one spot in each cell of the map.

    With terrain, a cell's spot is the highest point in it, else its middle; the ground there counts as that of the
    nearest place. `mast_m` is the height of the antenna above ground.
    """
    places = layout.places
    roofs = [
        Site(replace(place, antenna_m=mast_m), index)
        for index, place in enumerate(places)
        if place.is_house and place.antenna_m < mast_m
    ]
    if terrain:
        with Terrain(terrain) as land:
            return roofs + [Site(place, None) for place in _open_land(layout, mast_m, land)]
    return roofs + [Site(place, None) for place in _open_land(layout, mast_m, None)]


def parts(net: Net, active: Collection[int]) -> list[set[int]]:
    """Groups of `active` places that can speak with one another over others of the group, in order of their first."""
    left = set(active)
    found = []
    for start in sorted(active):
        if start not in left:
            continue
        left.discard(start)
        part, line = {start}, [start]
        for one in line:
            new = left.intersection(net[one])
            left -= new
            part |= new
            line.extend(sorted(new))
        found.append(part)
    return found


def place_relays(
    net: Net, houses: Collection[int], fixed: Collection[int], tries: Sequence[int], on_roof: Callable[[int], bool]
) -> list[int]:
    """Choose among `tries` the relays that make the `houses` one mesh, as far as that can be; those needed alone.

    All are indices in `net`; `fixed` are radios that are there anyway. Each time the relay is taken that joins most
    houses, a roof before open land, then the one whose weakest link is the best. Where no single one joins any, a chain
    of them is: the one that joins most houses for each relay, as long as it joins no fewer houses than it has relays.
    """
    houses = set(houses)
    active = {*houses, *fixed}
    chosen: list[int] = []
    while True:
        groups = [part for part in parts(net, active) if part & houses]
        if len(groups) < 2:
            break
        free = [one for one in tries if one not in active]
        new = _best_single(net, groups, houses, free, on_roof) or _best_chain(
            net, groups, houses, free, active, on_roof
        )
        if not new:
            break
        chosen += new
        active |= set(new)
    return _needed(net, houses, set(fixed), chosen, on_roof)


def chain_length(net: Net, start: Collection[int], goal: Collection[int], tries: Collection[int]) -> int | None:
    """How many relays at `tries` it takes at least to join two groups; None where no number does."""
    found = _chain(net, set(start), set(goal), set(tries), lambda _: True)
    return None if found is None else len(found)


def _best_single(
    net: Net, groups: Sequence[set[int]], houses: set[int], free: Sequence[int], on_roof: Callable[[int], bool]
) -> list[int]:
    group_of = {one: number for number, group in enumerate(groups) for one in group}
    weight = [len(group & houses) for group in groups]
    best: tuple[tuple[float, ...], int] | None = None
    for order, one in enumerate(free):
        strongest_db: dict[int, float] = {}
        for other, spare_db in net[one].items():
            number = group_of.get(other)
            if number is not None:
                strongest_db[number] = max(spare_db, strongest_db.get(number, -math.inf))
        if len(strongest_db) < 2:
            continue
        joined = [weight[number] for number in strongest_db]
        score = (max(joined) - sum(joined), not on_roof(one), -round(min(strongest_db.values()), 1), order)
        if best is None or score < best[0]:
            best = score, one
    return [best[1]] if best else []


def _best_chain(
    net: Net,
    groups: Sequence[set[int]],
    houses: set[int],
    free: Sequence[int],
    active: set[int],
    on_roof: Callable[[int], bool],
) -> list[int]:
    largest = max(range(len(groups)), key=lambda number: (len(groups[number] & houses), -number))
    best: tuple[tuple[float, int, int], list[int]] | None = None
    for number, group in enumerate(groups):
        weight = len(group & houses)
        if number == largest:
            continue
        chain = _chain(net, group, active - group, set(free), on_roof)
        if chain is None or len(chain) > min(weight, CHAIN_MAX):
            continue
        score = (-weight / len(chain), len(chain), number)
        if best is None or score < best[0]:
            best = score, chain
    return best[1] if best else []


def _chain(
    net: Net, start: set[int], goal: set[int], tries: set[int], on_roof: Callable[[int], bool]
) -> list[int] | None:
    """The fewest relays between two groups; of equal numbers, roofs and strong links before others (Dijkstra)."""
    waiting: list[tuple[float, int, int | None]] = [(0.0, one, None) for one in sorted(start)]
    before: dict[int, int | None] = {}
    while waiting:
        cost, one, came_from = heapq.heappop(waiting)
        if one in before:
            continue
        before[one] = came_from
        if one in goal:
            chain = []
            step = came_from
            while step is not None and step not in start:
                chain.append(step)
                step = before[step]
            return chain[::-1]
        for other, spare_db in net[one].items():
            if other in before or not (other in tries or other in goal):
                continue
            weak = _WEAK * max(0.0, 1 - spare_db / _STRONG_DB)
            stands = 0.0 if other in goal else 1.0 + (0.0 if on_roof(other) else _OPEN_LAND)
            heapq.heappush(waiting, (cost + weak + stands, other, one))
    return None


def _needed(
    net: Net, houses: set[int], fixed: set[int], chosen: Sequence[int], on_roof: Callable[[int], bool]
) -> list[int]:
    """The relays without those that join nobody any more, now that the later ones stand: open land goes first."""
    kept = list(chosen)
    for one in sorted(chosen, key=lambda one: (on_roof(one), chosen.index(one))):
        fewer = [other for other in kept if other != one]
        if _joined(net, houses, fixed, fewer) == _joined(net, houses, fixed, kept):
            kept = fewer
    return kept


def _joined(net: Net, houses: set[int], fixed: set[int], chosen: Collection[int]) -> list[int]:
    found = [len(part & houses) for part in parts(net, {*houses, *fixed, *chosen})]
    return sorted(count for count in found if count)


def _open_land(layout: Layout, mast_m: float, land: Terrain | None) -> Iterator[Place]:
    places = layout.places
    for x_m, y_m, cell_m in _cells(places, _SPOTS if land is None else _SPOTS_WITH_HILLS):
        if land is not None and layout.origin is not None:
            yield _highest(layout.origin, land, (x_m, y_m), cell_m, mast_m)
            continue
        middle_x_m, middle_y_m = (round((edge_m + cell_m / 2) / _ROUND_M) * _ROUND_M for edge_m in (x_m, y_m))
        distances_m = [math.hypot(place.x_m - middle_x_m, place.y_m - middle_y_m) for place in places]
        ground_m = places[distances_m.index(min(distances_m))].ground_m
        yield _spot(layout.origin, middle_x_m, middle_y_m, mast_m, ground_m)


def _cells(places: Sequence[Place], most: int) -> list[tuple[float, float, float]]:
    """South-west corners and sides of the cells of a map, finer near places, so that a far one makes none coarse."""
    left, right = min(place.x_m for place in places), max(place.x_m for place in places)
    low, high = min(place.y_m for place in places), max(place.y_m for place in places)
    cell_m = max(_CELL_M, (right - left) / _CELLS, (high - low) / _CELLS)
    columns, rows = (max(1, math.ceil(length_m / cell_m - 1e-9)) for length_m in (right - left, high - low))
    corners = [(left + column * cell_m, low + row * cell_m) for row in range(rows) for column in range(columns)]
    near = {
        corner
        for corner in corners
        if any(
            math.hypot(corner[0] + cell_m / 2 - place.x_m, corner[1] + cell_m / 2 - place.y_m) <= cell_m + _NEAR_M
            for place in places
        )
    }
    finer = 1
    while (
        finer < _FINER_MAX
        and cell_m / (finer + 1) >= _CELL_M
        and len(corners) + len(near) * ((finer + 1) ** 2 - 1) <= most
    ):
        finer += 1
    side_m = cell_m / finer
    found = []
    for corner in corners:
        if corner not in near:
            found.append((*corner, cell_m))
            continue
        found += [
            (corner[0] + column * side_m, corner[1] + row * side_m, side_m)
            for row in range(finer)
            for column in range(finer)
        ]
    return found


def _highest(origin: Origin, land: Terrain, corner_m: tuple[float, float], cell_m: float, mast_m: float) -> Place:
    """The highest point of a cell; its first where the ground is unknown."""
    import numpy as np

    steps = (np.arange(_TRIED_IN_CELL) + 0.5) * cell_m / _TRIED_IN_CELL
    points = [(corner_m[0] + float(east), corner_m[1] + float(north)) for north in steps for east in steps]
    known = np.array([origin.degrees(*point) for point in points])
    heights_m = np.nan_to_num(land.heights_m(known[:, 0], known[:, 1]), nan=-np.inf)
    top = int(heights_m.argmax())
    ground_m = float(heights_m[top])
    return _spot(origin, *points[top], mast_m, round(ground_m, 1) if math.isfinite(ground_m) else 0.0)


def _spot(origin: Origin | None, x_m: float, y_m: float, mast_m: float, ground_m: float) -> Place:
    """A place in the open; its metres are those that its degrees give when read back."""
    if origin is None:
        return Place("", float(x_m), float(y_m), mast_m, ground_m, is_house=False)
    latitude, longitude = (round(degrees, 5) for degrees in origin.degrees(x_m, y_m))
    return Place("", *origin.metres(latitude, longitude), mast_m, ground_m, False, latitude, longitude)
