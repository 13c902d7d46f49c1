"""Hills from SRTM `.hgt` tiles: the height of the ground at a point, along a path, and what that path loses by it.

Reads files of one folder, maps them into memory and knows nothing of radios beyond `simulator.lora`. Latitudes and
longitudes are degrees, north and east positive; heights are metres above sea level. Where no tile reaches, the ground
is unknown, and the answer is None.
"""

from __future__ import annotations

import math
import mmap
import re
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import Self

from protocol.errors import LocalError
from simulator.lora import diffraction_db

__all__ = ["Profile", "Terrain", "distance_m"]

_POINTS_OF_SIZE = {1201 * 1201 * 2: 1201, 3601 * 3601 * 2: 3601}
"""Bytes of a tile -> points along each of its sides: three arc seconds or one (USGS, SRTM documentation)."""
_NAME = re.compile(r"([NS])(\d{2})([EW])(\d{3})\.hgt", re.IGNORECASE)
_VOID = -32768
_TWO_HEIGHTS = Struct(">hh")
_STEP_M = 30.0
"""Distance between points of a profile; more on long paths."""
_STEPS_MAX = 256
_STEPS_MIN = 8
_MEAN_EARTH_RADIUS_M = 6_371_000.0


@dataclass(frozen=True, slots=True)
class Profile:
    """The ground along a straight path, at equal steps, both ends included."""

    step_m: float
    ground_m: tuple[float, ...]

    @property
    def mean_m(self) -> float:
        """Mean height of the ground."""
        return math.fsum(self.ground_m) / len(self.ground_m)

    def loss_db(self, one_m: float, other_m: float, frequency_hz: float) -> float:
        """What hills take from a signal between antennas at these heights above the ground of the two ends."""
        return diffraction_db(self.ground_m, self.step_m, one_m, other_m, frequency_hz)


class _Tile:
    """One degree by one degree."""

    __slots__ = ("_data", "_file", "_last", "_points")

    def __init__(self, path: Path) -> None:
        try:
            size = path.stat().st_size
            if size not in _POINTS_OF_SIZE:
                raise LocalError(
                    f"{path.name} is no SRTM tile",
                    f"it has {size} bytes, and a tile {' or '.join(map(str, _POINTS_OF_SIZE))}",
                    "fetch it again, or unpack it first",
                )
            self._file = path.open("rb")
            self._data = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise LocalError(f"can't read {path.name}", str(error), "check the folder of terrain tiles") from None
        self._points = _POINTS_OF_SIZE[size]
        self._last = self._points - 1

    def height_m(self, north: float, east: float) -> float | None:
        """Height so many degrees (0 to 1) north and east of its south-west corner, between the four points around.

        Points without a measured height don't count; None where none has one.
        """
        last = self._last
        row, column = (1 - north) * last, east * last
        top, left = min(int(row), last - 1), min(int(column), last - 1)
        down, right = row - top, column - left
        offset = (top * self._points + left) * 2
        one, two = _TWO_HEIGHTS.unpack_from(self._data, offset)
        three, four = _TWO_HEIGHTS.unpack_from(self._data, offset + self._points * 2)
        if _VOID not in (one, two, three, four):
            upper, lower = one + (two - one) * right, three + (four - three) * right
            return float(upper + (lower - upper) * down)
        weights = ((1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right)
        known = [
            (weight, height)
            for weight, height in zip(weights, (one, two, three, four), strict=True)
            if height != _VOID and weight > 0
        ]
        total = sum(weight for weight, _ in known)
        return sum(weight * height for weight, height in known) / total if known else None

    def close(self) -> None:
        self._data.close()
        self._file.close()


class Terrain:
    """The tiles of one folder; a context manager that closes them at its end."""

    def __init__(self, folder: str | Path) -> None:
        """Look for tiles such as `N47E008.hgt`; each is checked and mapped when a point in it is first asked for.

        Raises LocalError where there is no such folder, or no tile in it.
        """
        path = Path(folder)
        try:
            names = [(_NAME.fullmatch(entry.name), entry) for entry in sorted(path.iterdir())]
        except OSError as error:
            raise LocalError(
                f"can't read the terrain folder {str(folder)!r}",
                error.strerror or str(error),
                "give a folder with SRTM .hgt tiles, or leave terrain out",
            ) from None
        self._paths = {_corner(*found.groups()): entry for found, entry in names if found}
        if not self._paths:
            raise LocalError(
                f"there is no terrain tile in {str(folder)!r}",
                "a tile is called as its south-west corner, such as N47E008.hgt",
                "unpack the tiles into it",
            )
        self._tiles: dict[tuple[int, int], _Tile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; a point asked for later opens them again."""
        while self._tiles:
            self._tiles.popitem()[1].close()

    def height_m(self, latitude: float, longitude: float) -> float | None:
        """Height of the ground; None outside of all tiles, and where they have a hole.

        Raises LocalError for a tile of the wrong size.
        """
        if not (math.isfinite(latitude) and math.isfinite(longitude) and abs(latitude) <= 90):
            return None
        longitude = (longitude + 180) % 360 - 180
        south, west = math.floor(latitude), math.floor(longitude)
        tile = self._tile(south, west)
        if tile is not None:
            return tile.height_m(latitude - south, longitude - west)
        return self._on_edge(latitude, longitude, south, west)

    def profile(self, one: tuple[float, float], other: tuple[float, float]) -> Profile | None:
        """The ground between two points (latitude, longitude); None where some of it is unknown.

        A point every 30 m, at most 256 steps, so that far hills are sampled more coarsely.
        """
        length_m = distance_m(one, other)
        steps = min(max(math.ceil(length_m / _STEP_M), _STEPS_MIN), _STEPS_MAX)
        north, east = (other[0] - one[0]) / steps, _turn(other[1] - one[1]) / steps
        ground_m = []
        for step in range(steps + 1):
            height_m = self.height_m(one[0] + north * step, one[1] + east * step)
            if height_m is None:
                return None
            ground_m.append(height_m)
        return Profile(length_m / steps, tuple(ground_m))

    def loss_db(
        self, one: tuple[float, float], one_m: float, other: tuple[float, float], other_m: float, frequency_hz: float
    ) -> float | None:
        """What hills take from a signal between two points, antennas so high above ground; None where unknown."""
        profile = self.profile(one, other)
        return None if profile is None else profile.loss_db(one_m, other_m, frequency_hz)

    def _tile(self, south: int, west: int) -> _Tile | None:
        tile = self._tiles.get((south, west))
        if tile is None and (path := self._paths.get((south, west))) is not None:
            tile = self._tiles[south, west] = _Tile(path)
        return tile

    def _on_edge(self, latitude: float, longitude: float, south: int, west: int) -> float | None:
        """Height on the northern or eastern edge of a tile, which the next one has too, if it is there."""
        for below in (0, 1) if latitude == south else (0,):
            for before in (0, 1) if longitude == west else (0,):
                tile = self._tile(south - below, (west - before + 180) % 360 - 180)
                if tile is not None:
                    return tile.height_m(latitude - south + below, longitude - west + before)
        return None


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Length of the way between two points (latitude, longitude) on a round Earth."""
    north, east = math.radians(other[0] - one[0]), math.radians(_turn(other[1] - one[1]))
    half = math.sin(north / 2) ** 2
    half += math.cos(math.radians(one[0])) * math.cos(math.radians(other[0])) * math.sin(east / 2) ** 2
    return 2 * _MEAN_EARTH_RADIUS_M * math.asin(math.sqrt(min(half, 1.0)))


def _turn(degrees: float) -> float:
    """The shorter way round."""
    return (degrees + 180) % 360 - 180


def _corner(north: str, latitude: str, east: str, longitude: str) -> tuple[int, int]:
    return (
        int(latitude) if north.upper() == "N" else -int(latitude),
        int(longitude) if east.upper() == "E" else -int(longitude),
    )
