"""Hills from SRTM `.hgt` tiles: the height of the ground at a point, along a path, and what that path loses by it.

Reads files of one folder, maps them into memory and knows nothing of radios beyond `simulator.lora`. Latitudes and
longitudes are degrees, north and east positive; heights are metres above sea level. Where no tile reaches, the ground
is unknown: None for one point or path, NaN for many. numpy is loaded when a height is asked for.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from protocol.errors import LocalError
from simulator.lora import diffraction_db, diffraction_losses_db

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bytes = np.memmap[Any, np.dtype[np.int16]]

__all__ = ["Profile", "Terrain", "distance_m"]

_POINTS_OF_SIZE = {1201 * 1201 * 2: 1201, 3601 * 3601 * 2: 3601}
"""Bytes of a tile -> points along each of its sides: three arc seconds or one (USGS, SRTM documentation)."""
_NAME = re.compile(r"([NS])(\d{2})([EW])(\d{3})\.hgt", re.IGNORECASE)
_VOID = -32768
_STEP_M = 30.0
"""Largest distance between points of a profile, unless that took too many."""
_STEPS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Into so many steps a path is divided; the fewest that are short enough."""
_POINTS_AT_ONCE = 1 << 16
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
        self._tiles: dict[tuple[int, int], Bytes] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; a point asked for later opens them again."""
        self._tiles.clear()

    def height_m(self, latitude: float, longitude: float) -> float | None:
        """Height of the ground; None outside of all tiles, and where they have a hole.

        Raises LocalError for a tile of the wrong size.
        """
        import numpy as np

        height_m = float(self.heights_m(np.array([latitude]), np.array([longitude]))[0])
        return None if math.isnan(height_m) else height_m

    def heights_m(self, latitude: Floats, longitude: Floats) -> Floats:
        """Heights of the ground at many points, between the four points of the tile around each.

        Points without a measured height don't count; NaN where none of the four has one, and outside of all tiles.
        """
        import numpy as np

        known = np.isfinite(latitude) & np.isfinite(longitude) & (np.abs(latitude) <= 90)
        latitude, longitude = np.where(known, latitude, 0.0), (np.where(known, longitude, 0.0) + 180) % 360 - 180
        south, west = np.floor(latitude), np.floor(longitude)
        found_m = np.full(latitude.shape, np.nan)
        for below, before in product((0, 1), (0, 1)):
            # a point on a tile's northern or eastern edge is found there when the next tile is missing
            left = np.flatnonzero(
                known & np.isnan(found_m) & ((latitude == south) | (not below)) & ((longitude == west) | (not before))
            )
            corners = (south.flat[left] - below) * 1000 + west.flat[left] - before
            for corner in np.unique(corners).tolist():
                row = round(corner / 1000)
                column = int(corner - row * 1000)
                tile = self._tile(row, (column + 180) % 360 - 180)
                if tile is not None:
                    here = left[corners == corner]
                    found_m.flat[here] = _between(tile, latitude.flat[here] - row, longitude.flat[here] - column)
            if not np.isnan(found_m).any():
                break
        return found_m

    def profile(self, one: tuple[float, float], other: tuple[float, float]) -> Profile | None:
        """The ground between two points (latitude, longitude); None where some of it is unknown.

        A point every 30 m at least, but 256 steps at most, so that long paths are sampled more coarsely.
        """
        import numpy as np

        length_m = distance_m(one, other)
        steps = int(_steps_of(np.array([length_m]))[0])
        ground_m = self._along(np.array([one]), np.array([other]), steps)[0]
        return None if np.isnan(ground_m).any() else Profile(length_m / steps, tuple(ground_m.tolist()))

    def loss_db(
        self, one: tuple[float, float], one_m: float, other: tuple[float, float], other_m: float, frequency_hz: float
    ) -> float | None:
        """What hills take from a signal between two points, antennas so high above ground; None where unknown."""
        profile = self.profile(one, other)
        return None if profile is None else profile.loss_db(one_m, other_m, frequency_hz)

    def hills(
        self, one: Floats, one_m: Floats, other: Floats, other_m: Floats, frequency_hz: float
    ) -> tuple[Floats, Floats]:
        """Loss by hills on many paths, and the mean height of the ground there; NaN where some of it is unknown.

        `one` and `other` have a row of latitude and longitude for each path.
        """
        import numpy as np

        losses_db, means_m = np.empty(len(one)), np.empty(len(one))
        lengths_m = _distances_m(one[:, 0], one[:, 1], other[:, 0], other[:, 1])
        steps = _steps_of(lengths_m)
        for count in np.unique(steps).tolist():
            alike, at_once = np.flatnonzero(steps == count), _POINTS_AT_ONCE // count
            for first in range(0, len(alike), at_once):
                rows = alike[first : first + at_once]
                ground_m = self._along(one[rows], other[rows], count)
                means_m[rows] = ground_m.mean(axis=1)
                losses_db[rows] = diffraction_losses_db(
                    ground_m, lengths_m[rows] / count, one_m[rows], other_m[rows], frequency_hz
                )
        losses_db[np.isnan(means_m)] = np.nan
        return losses_db, means_m

    def _along(self, one: Floats, other: Floats, steps: int) -> Floats:
        import numpy as np

        share = np.arange(steps + 1) / steps
        latitude = one[:, :1] + (other - one)[:, :1] * share
        longitude = one[:, 1:] + _turn((other - one)[:, 1:]) * share
        return self.heights_m(latitude, longitude)

    def _tile(self, south: int, west: int) -> Bytes | None:
        tile = self._tiles.get((south, west))
        if tile is None and (path := self._paths.get((south, west))) is not None:
            tile = self._tiles[south, west] = _mapped(path)
        return tile


def _mapped(path: Path) -> Bytes:
    import numpy as np

    try:
        size = path.stat().st_size
        points = _POINTS_OF_SIZE.get(size)
        if points is not None:
            return np.memmap(path, dtype=">i2", mode="r", shape=(points, points))
    except (OSError, ValueError) as error:
        raise LocalError(f"can't read {path.name}", str(error), "check the folder of terrain tiles") from None
    raise LocalError(
        f"{path.name} is no SRTM tile",
        f"it has {size} bytes, and a tile {' or '.join(map(str, _POINTS_OF_SIZE))}",
        "fetch it again, or unpack it first",
    )


def _between(tile: Bytes, north: Floats, east: Floats) -> Floats:
    """Heights so many degrees (0 to 1) north and east of a tile's south-west corner."""
    import numpy as np

    last = len(tile) - 1
    row, column = (1 - north) * last, east * last
    top, left = (np.minimum(value.astype(np.int64), last - 1) for value in (row, column))
    down, right = row - top, column - left
    weight, total_m = np.zeros(north.shape), np.zeros(north.shape)
    for lower, farther in product((0, 1), (0, 1)):
        height_m = tile[top + lower, left + farther]
        share = (down if lower else 1 - down) * (right if farther else 1 - right) * (height_m != _VOID)
        weight += share
        total_m += share * height_m
    return np.where(weight > 1e-9, total_m / np.maximum(weight, 1e-9), np.nan)


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Length of the way between two points (latitude, longitude) on a round Earth."""
    return float(_distances_m(*one, *other))


def _distances_m(latitude: Any, longitude: Any, other_latitude: Any, other_longitude: Any) -> Any:
    import numpy as np

    north, east = np.radians(other_latitude - latitude), np.radians(_turn(other_longitude - longitude))
    shrunk = np.cos(np.radians(latitude)) * np.cos(np.radians(other_latitude))
    half = np.sin(north / 2) ** 2 + shrunk * np.sin(east / 2) ** 2
    return 2 * _MEAN_EARTH_RADIUS_M * np.arcsin(np.sqrt(np.minimum(half, 1.0)))


def _steps_of(lengths_m: Floats) -> NDArray[np.int64]:
    import numpy as np

    enough = np.searchsorted(np.array(_STEPS) * _STEP_M, lengths_m)
    return np.array(_STEPS)[np.minimum(enough, len(_STEPS) - 1)]


def _turn(degrees: Any) -> Any:
    """The shorter way round."""
    return (degrees + 180) % 360 - 180


def _corner(north: str, latitude: str, east: str, longitude: str) -> tuple[int, int]:
    return (
        int(latitude) if north.upper() == "N" else -int(latitude),
        int(longitude) if east.upper() == "E" else -int(longitude),
    )
