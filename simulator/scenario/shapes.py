"""Maps made up from a few numbers: a street, a ring, a village in hamlets, a hill, two valleys, an apartment block.

Each shape is a function of the same random generator and its own numbers; the same generator state gives the same map.
Knows no file. Metres; x is east, y is north.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from math import ceil, cos, exp, hypot, pi, sin, sqrt
from random import Random

from simulator.scenario.layout import Layout
from simulator.scenario.plan import BlockedPair, Place

__all__ = ["SHAPES", "block", "disc", "grid", "hill", "line", "ring", "two_valleys", "village"]

Point = tuple[float, float]

_APART_M = 10.0
"""Houses stand at least so far apart, where the map has room."""
_TRIES = 50
_STREET_M = 14.0
"""Between the houses of two sides of a street."""
_HILL_FOOT = 0.4
"""Houses around a hill begin at that part of the radius."""
_HILL_WIDTH = 0.25
"""Part of the radius at which a hill has lost 63 % of its height."""


def line(
    rng: Random,
    *,
    houses: int = 12,
    spacing_m: float = 80.0,
    antenna_m: float = 4.0,
    relays: int = 0,
    relay_antenna_m: float = 8.0,
) -> Layout:
    """A street from west to east, houses on both sides by turns; relays stand evenly along it."""
    points = [(index * spacing_m + rng.uniform(-0.1, 0.1) * spacing_m, _side(index)) for index in range(houses)]
    length_m = (houses - 1) * spacing_m
    masts = [((index + 0.5) / relays * length_m, 0.0) for index in range(relays)]
    return Layout((*_houses(points, antenna_m), *_relays(masts, relay_antenna_m)))


def grid(
    rng: Random,
    *,
    houses: int = 25,
    spacing_m: float = 60.0,
    columns: int = 0,
    antenna_m: float = 4.0,
    relays: int = 0,
    relay_antenna_m: float = 8.0,
) -> Layout:
    """Rows of houses, off their corners by a tenth of the spacing at most; as wide as long without `columns`."""
    wide = columns or ceil(sqrt(houses))
    off_m = 0.1 * spacing_m
    points = [
        (index % wide * spacing_m + rng.uniform(-off_m, off_m), index // wide * spacing_m + rng.uniform(-off_m, off_m))
        for index in range(houses)
    ]
    return _with_masts(points, antenna_m, relays, relay_antenna_m)


def ring(
    rng: Random,
    *,
    houses: int = 16,
    radius_m: float = 500.0,
    antenna_m: float = 4.0,
    relays: int = 0,
    relay_antenna_m: float = 8.0,
) -> Layout:
    """Houses around a lake or a park, evenly, but for a twentieth of the spacing."""
    turn = 2 * pi / houses
    angles = [(index + rng.uniform(-0.05, 0.05)) * turn for index in range(houses)]
    return _with_masts([_polar(radius_m, angle) for angle in angles], antenna_m, relays, relay_antenna_m)


def disc(
    rng: Random,
    *,
    houses: int = 50,
    radius_m: float = 1000.0,
    antenna_m: float = 2.0,
    relays: int = 0,
    relay_antenna_m: float = 8.0,
) -> Layout:
    """Anywhere within a circle, ten metres apart where there is room."""
    crowd = _Crowd()
    for _ in range(houses):
        crowd.add(lambda: _in_disc(rng, 0.0, radius_m))
    return _with_masts(crowd.points, antenna_m, relays, relay_antenna_m)


def village(
    rng: Random,
    *,
    houses: int = 40,
    hamlets: int = 5,
    radius_m: float = 1500.0,
    hamlet_m: float = 150.0,
    antenna_m: float = 4.0,
    relays: int = 0,
    relay_antenna_m: float = 10.0,
) -> Layout:
    """Hamlets within a circle, equally large; in each, most houses are within `hamlet_m` of its middle."""
    centres: list[Point] = []
    for _ in range(hamlets):
        tries = [_in_disc(rng, 0.0, radius_m) for _ in range(12)]
        centres.append(max(tries, key=lambda point: min((_distance(point, other) for other in centres), default=0.0)))
    crowd = _Crowd()
    for index in range(houses):
        crowd.add(lambda centre=centres[index % hamlets]: _around(rng, centre, hamlet_m))  # type: ignore[misc]
    return _with_masts(crowd.points, antenna_m, relays, relay_antenna_m)


def hill(
    rng: Random,
    *,
    houses: int = 20,
    radius_m: float = 1500.0,
    hill_m: float = 100.0,
    hill_loss_db: float = 25.0,
    antenna_m: float = 4.0,
    relays: int = 1,
    relay_antenna_m: float = 6.0,
) -> Layout:
    """Houses around a hill of `hill_m`, with relays on its top; what goes through the hill loses `hill_loss_db`.

    The first relay is called `hill`, others `hill 2` and so on.
    """
    crowd = _Crowd()
    for _ in range(houses):
        crowd.add(lambda: _in_disc(rng, _HILL_FOOT * radius_m, radius_m))
    built = tuple(
        Place(f"house {number}", *point, antenna_m, _slope_m(point, radius_m, hill_m))
        for number, point in enumerate(crowd.points, 1)
    )
    tops = _spread(relays, (0.0, 0.0), 0.1 * radius_m)
    masts = _masts("hill", tops, relay_antenna_m, [_slope_m(point, radius_m, hill_m) for point in tops])
    behind = [
        BlockedPair(one.name, other.name, hill_loss_db)
        for one, other in combinations(built, 2)
        if _passes((one.x_m, one.y_m), (other.x_m, other.y_m)) < _HILL_WIDTH * radius_m
    ]
    return Layout((*built, *masts), tuple(behind))


def two_valleys(
    rng: Random,
    *,
    houses: int = 30,
    radius_m: float = 500.0,
    between_m: float = 2500.0,
    ridge_m: float = 120.0,
    ridge_loss_db: float = 60.0,
    antenna_m: float = 4.0,
    relays: int = 1,
    relay_antenna_m: float = 6.0,
) -> Layout:
    """Two settlements with a ridge between them, which takes `ridge_loss_db` from what crosses it.

    Houses are called `west 1` … and `east 1` …, relays on the ridge `ridge`, `ridge 2` and so on.
    """
    crowd = _Crowd()
    for index in range(houses):
        middle_m = between_m / 2 * (1 if index % 2 else -1)
        crowd.add(lambda x_m=middle_m: _shifted(_in_disc(rng, 0.0, radius_m), x_m))  # type: ignore[misc]
    west = _houses(crowd.points[0::2], antenna_m, "west")
    east = _houses(crowd.points[1::2], antenna_m, "east")
    tops = [(0.0, (index - (relays - 1) / 2) * radius_m) for index in range(relays)]
    masts = _masts("ridge", tops, relay_antenna_m, [ridge_m] * relays)
    across = [BlockedPair(one.name, other.name, ridge_loss_db) for one in west for other in east]
    return Layout((*west, *east, *masts), tuple(across))


def block(
    rng: Random,
    *,
    floors: int = 8,
    flats: int = 6,
    flat_m: float = 9.0,
    floor_m: float = 3.0,
    floor_loss_db: float = 12.0,
    wall_loss_db: float = 5.0,
    relays: int = 0,
    relay_antenna_m: float = 3.0,
) -> Layout:
    """An apartment block: `flats` on each of `floors`, on both sides of a corridor.

    A link loses `floor_loss_db` for each floor and `wall_loss_db` for each wall between; ITU-R P.1238 gives 9 dB for
    one floor of an office at 900 MHz, and concrete takes more. Flats are called `flat 1.2` for the second one of the
    first floor, relays on the roof `roof`, `roof 2` and so on.
    """
    off_m = flat_m / 4
    rooms = [(floor, flat) for floor in range(floors) for flat in range(flats)]
    built = [
        Place(
            f"flat {floor + 1}.{flat + 1}",
            round(flat // 2 * flat_m + rng.uniform(-off_m, off_m), 1),
            round(flat % 2 * flat_m + rng.uniform(-off_m, off_m), 1),
            floor * floor_m + 1.0,
        )
        for floor, flat in rooms
    ]
    middle = (ceil(flats / 2) - 1) * flat_m / 2, flat_m / 2
    masts = _masts("roof", _spread(relays, middle, flat_m), floors * floor_m + relay_antenna_m, [0.0] * relays)
    every = [*zip(built, rooms, strict=True), *((mast, (floors, flats // 2)) for mast in masts)]
    inside = [
        BlockedPair(one.name, other.name, loss_db)
        for (one, here), (other, there) in combinations(every, 2)
        if (loss_db := _through(here, there, floor_loss_db, wall_loss_db)) > 0
    ]
    return Layout((*built, *masts), tuple(inside))


SHAPES: dict[str, Callable[..., Layout]] = {
    "line": line,
    "grid": grid,
    "ring": ring,
    "disc": disc,
    "village": village,
    "hill": hill,
    "two-valleys": two_valleys,
    "block": block,
}
"""Name in a scenario file -> the function that makes the map."""


class _Crowd:
    """Points that keep apart, found again by their square of the map."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self._squares: dict[tuple[int, int], list[Point]] = {}

    def add(self, draw: Callable[[], Point]) -> None:
        """Add a point from `draw`: the first that is far enough from the others, or else the last one tried."""
        for _ in range(_TRIES):
            x_m, y_m = draw()
            point = round(x_m, 1), round(y_m, 1)
            if not self._is_crowded(point):
                break
        self.points.append(point)
        self._squares.setdefault(_square(point), []).append(point)

    def _is_crowded(self, point: Point) -> bool:
        column, row = _square(point)
        return any(
            _distance(point, other) < _APART_M
            for across in (-1, 0, 1)
            for up in (-1, 0, 1)
            for other in self._squares.get((column + across, row + up), ())
        )


def _square(point: Point) -> tuple[int, int]:
    return int(point[0] // _APART_M), int(point[1] // _APART_M)


def _houses(points: Iterable[Point], antenna_m: float, name: str = "house") -> tuple[Place, ...]:
    return tuple(
        Place(f"{name} {number}", round(x_m, 1), round(y_m, 1), antenna_m)
        for number, (x_m, y_m) in enumerate(points, 1)
    )


def _relays(points: Iterable[Point], antenna_m: float) -> tuple[Place, ...]:
    return tuple(
        Place(f"relay {number}", round(x_m, 1), round(y_m, 1), antenna_m, is_house=False)
        for number, (x_m, y_m) in enumerate(points, 1)
    )


def _masts(name: str, points: Sequence[Point], antenna_m: float, grounds_m: Sequence[float]) -> tuple[Place, ...]:
    """Relays with a name of their own: `hill`, `hill 2` …"""
    return tuple(
        Place(name if number == 1 else f"{name} {number}", round(x_m, 1), round(y_m, 1), antenna_m, ground_m, False)
        for number, ((x_m, y_m), ground_m) in enumerate(zip(points, grounds_m, strict=True), 1)
    )


def _with_masts(points: Sequence[Point], antenna_m: float, relays: int, relay_antenna_m: float) -> Layout:
    """Houses, and relays spread over them: one in the middle, the others half-way to the edge."""
    middle = sum(x_m for x_m, _ in points) / len(points), sum(y_m for _, y_m in points) / len(points)
    reach_m = max(_distance(point, middle) for point in points)
    return Layout((*_houses(points, antenna_m), *_relays(_spread(relays, middle, reach_m / 2), relay_antenna_m)))


def _spread(count: int, middle: Point, radius_m: float) -> list[Point]:
    """One point in the middle, the others evenly around it."""
    if not count:
        return []
    around = [_polar(radius_m, 2 * pi * index / max(count - 1, 1)) for index in range(count - 1)]
    return [middle, *((middle[0] + x_m, middle[1] + y_m) for x_m, y_m in around)]


def _side(index: int) -> float:
    return _STREET_M / 2 if index % 2 else -_STREET_M / 2


def _polar(radius_m: float, angle: float) -> Point:
    return radius_m * cos(angle), radius_m * sin(angle)


def _in_disc(rng: Random, inner_m: float, outer_m: float) -> Point:
    """Anywhere between two circles, each square metre as likely as the other."""
    return _polar(sqrt(rng.uniform(inner_m**2, outer_m**2)), rng.uniform(0, 2 * pi))


def _around(rng: Random, centre: Point, spread_m: float) -> Point:
    """Near a centre: two thirds within `spread_m`, none beyond three times that."""
    while True:
        x_m, y_m = rng.gauss(0, spread_m / 1.5), rng.gauss(0, spread_m / 1.5)
        if hypot(x_m, y_m) <= 3 * spread_m:
            return centre[0] + x_m, centre[1] + y_m


def _shifted(point: Point, x_m: float) -> Point:
    return point[0] + x_m, point[1]


def _distance(one: Point, other: Point) -> float:
    return hypot(one[0] - other[0], one[1] - other[1])


def _slope_m(point: Point, radius_m: float, hill_m: float) -> float:
    """Height of the ground on the hill's side."""
    return round(hill_m * exp(-((hypot(*point) / (_HILL_WIDTH * radius_m)) ** 2)), 1)


def _passes(one: Point, other: Point) -> float:
    """How near to the map's middle the straight way between two points comes."""
    length_m = _distance(one, other)
    if length_m == 0:
        return hypot(*one)
    along = -(one[0] * (other[0] - one[0]) + one[1] * (other[1] - one[1])) / length_m**2
    part = min(max(along, 0.0), 1.0)
    return hypot(one[0] + part * (other[0] - one[0]), one[1] + part * (other[1] - one[1]))


def _through(here: tuple[int, int], there: tuple[int, int], floor_loss_db: float, wall_loss_db: float) -> float:
    """What floors and walls take between two rooms, each given by floor and flat."""
    walls = abs(here[1] // 2 - there[1] // 2) + abs(here[1] % 2 - there[1] % 2)
    return floor_loss_db * abs(here[0] - there[0]) + wall_loss_db * walls
