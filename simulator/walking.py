"""Where places that move are at any time, and how often that is worth a look. Pure arithmetic; knows no radio."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, pairwise
from math import ceil, hypot

from simulator.scenario.layout import Origin
from simulator.scenario.plan import Place, Walk

__all__ = ["LOOK_M", "LOOK_S_MIN", "Course", "course_of", "moved"]

LOOK_M = 25.0
"""Links are made anew after each such part of a way,"""
LOOK_S_MIN = 5.0
"""and not more often than that."""
_DAY_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Course:
    """One place's way, there and perhaps back."""

    points: tuple[tuple[float, float], ...]
    """Metres east and north: where it stands, where it goes, and the way back if there is one."""
    speed_m_s: float
    starts_s: float
    """Seconds since the start of the run."""
    is_daily: bool
    """Whether it goes again each day; it has to be back by then."""

    @property
    def lasts_s(self) -> float:
        """How long it is on its way."""
        return sum(hypot(x - from_x, y - from_y) for (from_x, from_y), (x, y) in pairwise(self.points)) / self.speed_m_s

    def at(self, time_s: float) -> tuple[float, float]:
        """Metres east and north, so many seconds after the start of the run."""
        since_s = max(time_s - self.starts_s, 0.0)
        left_m = (since_s % _DAY_S if self.is_daily else since_s) * self.speed_m_s
        for (from_x, from_y), (x, y) in pairwise(self.points):
            leg_m = hypot(x - from_x, y - from_y)
            if left_m < leg_m:
                part = left_m / leg_m
                return from_x + part * (x - from_x), from_y + part * (y - from_y)
            left_m -= leg_m
        return self.points[-1]

    def looks_s(self) -> Iterator[float]:
        """Times since the start of the run at which it is somewhere else than before; without end if it is daily."""
        each_s = max(LOOK_M / self.speed_m_s, LOOK_S_MIN)
        looks = ceil(self.lasts_s / each_s)
        for day in count() if self.is_daily and looks else range(1):
            for number in range(1, looks + 1):
                yield self.starts_s + day * _DAY_S + number * each_s


def course_of(walk: Walk, place: Place, start_hour: float) -> Course:
    """How a place follows a walk in a run that begins at that time of the day."""
    points = ((place.x_m, place.y_m), *walk.path)
    if walk.and_back:
        points += points[-2::-1]
    starts_s = (walk.starts_hour - start_hour) % 24 * 3600
    return Course(points, walk.speed_kmh / 3.6, starts_s, walk.and_back)


def moved(place: Place, x_m: float, y_m: float) -> Place:
    """The place at another spot, with its degrees if it had some; the ground counts as high there as before."""
    if place.latitude is None or place.longitude is None:
        return replace(place, x_m=x_m, y_m=y_m)
    here = Origin(place.latitude, place.longitude)
    latitude, longitude = here.degrees(x_m - place.x_m, y_m - place.y_m)
    return replace(place, x_m=x_m, y_m=y_m, latitude=latitude, longitude=longitude)
