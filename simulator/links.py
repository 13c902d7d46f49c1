"""Who could hear whom in a scenario, and how well: places, powers, path loss, hills, walls and chance made into links.

Formulas are `simulator.lora`, heights of the ground `simulator.terrain`; what is sent over a link, and what overlaps
there, is the medium's business. The work grows with the neighbours that places have, not with the square of the places:
only places in neighbouring cells of a grid are compared. numpy is loaded when links are made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from fnmatch import fnmatchcase
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from protocol.airtime import Preset, preset_named
from protocol.errors import LocalError
from simulator.lora import (
    HIGH_RANGE_M,
    NOISE_FIGURE_DB,
    default_power_dbm,
    distance_for_loss_m,
    frequency_hz,
    noise_floor_dbm,
    path_loss,
    required_snr_db,
    sensitivity_dbm,
)
from simulator.scenario.plan import Place, Scenario
from simulator.terrain import Terrain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Words = NDArray[np.uint64]
    Indices = NDArray[np.int64]
    Found = tuple[Indices, Indices, Floats]

__all__ = ["FAINTEST_MARGIN_DB", "Link", "Links", "links", "links_of", "reach_m", "unknown_ground"]

FAINTEST_MARGIN_DB = -6.0
"""Links weaker than this against what reception needs are left out: they neither carry nor disturb."""

_SIGMAS_MAX = 3.0
"""Draws are cut at so many standard deviations, so that a largest range exists."""
_DEEPEST_M = 100.0
"""A valley between two places counts as that deep at most."""
_PAIRS_AT_ONCE = 1 << 16
"""Pairs computed in one go: bounds the memory, whatever the scenario."""
_LINKS_AT_ONCE = 1 << 12
_DB_DIGITS = 3
"""Digits of an SNR: machines whose logarithms differ in the last bit give the same links."""


class Link(NamedTuple):
    """One direction between two radios: `Link(0, 3, 4.25, 21.75)` says that place 3 hears place 0 at 4.25 dB SNR.

    Each direction is a link of its own: powers, presets and chance may differ. A link says nothing of packets; it may
    be too weak to carry any and still disturb others.
    """

    sender: int
    """Index of the sender in `Scenario.places`."""
    receiver: int
    snr_db: float
    """In the receiver's bandwidth, before fading from packet to packet."""
    margin_db: float
    """By how much that is above what the receiver's spreading factor needs; negative where it is too weak."""

    @property
    def is_audible(self) -> bool:
        """Whether packets come through when nothing disturbs."""
        return self.margin_db >= 0


class Links:
    """Many links, kept as columns of numbers; each becomes a `Link` when its turn comes in a loop."""

    __slots__ = ("_columns",)

    def __init__(self, sender: Indices, receiver: Indices, snr_db: Floats, margin_db: Floats) -> None:
        self._columns = sender, receiver, snr_db, margin_db

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[Link]:
        for start in range(0, len(self), _LINKS_AT_ONCE):
            rows = (column[start : start + _LINKS_AT_ONCE].tolist() for column in self._columns)
            yield from map(Link._make, zip(*rows, strict=True))


def links(scenario: Scenario, seed: int) -> Links:
    """Every direction in which a radio is received or at least disturbs another, by sender, then receiver.

    SNR = power + both antennas' gains - path loss - hills - walls - shadowing - offset - the receiver's noise floor.

    - Shadowing is drawn once per pair, the offset once per direction, each from the seed and the names of the two
      places alone, cut at three standard deviations: another house changes no link between others.
    - The lower of two antennas counts above its ground, the higher one above the lower one's ground if that is lower.
      With terrain it counts above the mean ground between them if that is lower still, as between two hilltops.
    - With `scenario.terrain`, heights of the ground come from the tiles. Places outside of all tiles keep their
      `ground_m`, and on paths that leave the tiles no hills are assumed: `unknown_ground` names the places.
    - A measured SNR replaces all that for its direction, walls included.

    Raises LocalError for unknown presets, regions, path losses and places, for names used twice, for terrain that can't
    be read, and for terrain with places that have no latitude and longitude.
    """
    with Terrain(scenario.terrain) if scenario.terrain else nullcontext() as terrain:
        model = _Model(scenario, seed, terrain)
        blocks = [model.heard(one, other) for one, other in _near_pairs(model)]
    return _kept(model, blocks, model.measured())


def links_of(scenario: Scenario, seed: int, index: int, place: Place) -> Links:
    """What `links` finds, from and to one place, if `place` stood there instead of `scenario.places[index]`.

    Draws go by names, so that a place which moves keeps its own. The work grows with the number of places. Raises
    LocalError as `links` does.
    """
    import numpy as np

    places = (*scenario.places[:index], place, *scenario.places[index + 1 :])
    with Terrain(scenario.terrain) if scenario.terrain else nullcontext() as terrain:
        model = _Model(replace(scenario, places=places), seed, terrain)
        others = np.delete(np.arange(len(places)), index)
        found = model.heard(np.full_like(others, index), others)
    measured = model.measured()
    its = (measured[0] == index) | (measured[1] == index)
    return _kept(model, [found], (measured[0][its], measured[1][its], measured[2][its]))


def _kept(model: _Model, blocks: list[Found], measured: Found) -> Links:
    """The links that count, by sender, then receiver; a measured one in place of a computed one."""
    import numpy as np

    sender, receiver, snr_db = (np.concatenate(columns) for columns in zip(*blocks, measured, strict=True))
    margin_db = snr_db - model.required_db[receiver]
    key = sender * len(model.x_m) + receiver
    modelled = np.arange(len(key)) < len(key) - len(measured[0])
    replaced = modelled & np.isin(key, key[~modelled])
    kept = np.flatnonzero((margin_db >= FAINTEST_MARGIN_DB) & ~replaced)
    kept = kept[np.argsort(key[kept], kind="stable")]
    return Links(sender[kept], receiver[kept], snr_db[kept], margin_db[kept])


def reach_m(
    preset: Preset,
    power_dbm: float,
    model: str,
    heights_m: tuple[float, float],
    frequency: float,
    *,
    gains_db: float = 0.0,
    noise_figure_db: float = NOISE_FIGURE_DB,
) -> float:
    """How far a preset carries between two antennas at these heights, in metres: no hills, no chance, frequency in Hz.

    `gains_db` are those of both antennas together. Raises LocalError for an unknown model.
    """
    budget_db = power_dbm + gains_db - sensitivity_dbm(preset, noise_figure_db)
    return distance_for_loss_m(path_loss(model, frequency), budget_db, *heights_m)


def unknown_ground(scenario: Scenario) -> tuple[str, ...]:
    """Names of the places outside of the scenario's terrain tiles, or in a hole of them; all of them without terrain.

    Raises LocalError as `links` does for terrain.
    """
    if not scenario.terrain:
        return tuple(place.name for place in scenario.places)
    with Terrain(scenario.terrain) as terrain:
        located = zip(scenario.places, _points(scenario.places), strict=True)
        return tuple(place.name for place, point in located if terrain.height_m(*point) is None)


class _Model:
    """The scenario as arrays, one entry for each place, and what follows for pairs of them."""

    def __init__(self, scenario: Scenario, seed: int, terrain: Terrain | None) -> None:
        import numpy as np

        self._scenario, self._plan, self._terrain = scenario, scenario.radio, terrain
        places = scenario.places
        self._index = {place.name: index for index, place in enumerate(places)}
        if len(self._index) < len(places):
            twice = [name for name, count in Counter(place.name for place in places).items() if count > 1]
            raise LocalError(f"the name {twice[0]!r} stands for two places", "", "give each place a name of its own")
        points = _points(places) if terrain else [(math.nan, math.nan)] * len(places)
        self._points = np.array(points, dtype=np.float64).reshape(-1, 2)
        self._path_loss = path_loss(self._plan.path_loss, frequency_hz(self._plan.region))
        self.x_m = np.array([place.x_m for place in places], dtype=np.float64)
        self.y_m = np.array([place.y_m for place in places], dtype=np.float64)
        self._antenna_m = np.array([place.antenna_m for place in places], dtype=np.float64)
        self._ground_m = np.array([self._ground_of(index) for index in range(len(places))], dtype=np.float64)
        settings = [self._radio_of(place.name) for place in places]
        self._gain_db = np.array([gain for _, gain, _ in settings], dtype=np.float64)
        self._eirp_dbm = np.array([power + gain for power, gain, _ in settings], dtype=np.float64)
        noise = [noise_floor_dbm(preset.bandwidth_hz, self._plan.noise_figure_db) for *_, preset in settings]
        self._noise_dbm = np.array(noise, dtype=np.float64)
        required = [required_snr_db(preset.spreading_factor) for *_, preset in settings]
        self.required_db = np.array(required, dtype=np.float64)
        words = [blake2b(f"{seed} {place.name}".encode(), digest_size=8).digest() for place in places]
        self._word = np.array([int.from_bytes(word, "big") for word in words], dtype=np.uint64)
        self._walls_db = self._walls()
        self._luck_db = _SIGMAS_MAX * (abs(self._plan.shadowing_db) + abs(self._plan.asymmetry_db))

    def reaches_m(self) -> Floats:
        """For each place, farther than this it has no link with anything whose antenna is not higher."""
        import numpy as np

        if not len(self.x_m):
            return np.zeros(0)
        needed_dbm = float((self._noise_dbm + self.required_db - self._gain_db).min()) + FAINTEST_MARGIN_DB
        loss_db = float(self._eirp_dbm.max()) - needed_dbm + self._luck_db
        tallest_m = float(self._antenna_m.max())
        foot_m = float(self._ground_m.min()) - (_DEEPEST_M if self._terrain else 0)
        heights_m = np.ceil(np.clip(self._antenna_m + self._ground_m - foot_m, *HIGH_RANGE_M)).tolist()
        reach_of = {
            high_m: distance_for_loss_m(self._path_loss, loss_db, high_m, min(tallest_m, high_m))
            for high_m in set(heights_m)
        }
        return np.array([reach_of[high_m] for high_m in heights_m])

    def heard(self, one: Indices, other: Indices) -> tuple[Indices, Indices, Floats]:
        """Sender, receiver and SNR of the links among these pairs, both directions."""
        import numpy as np

        least_db = self._loss_db(one, other, -math.inf if self._terrain else math.inf)
        loss_db = least_db + self._wall_db(one, other)
        best_db = np.maximum(self._margin_db(one, other), self._margin_db(other, one)) - loss_db
        hopeful = best_db >= FAINTEST_MARGIN_DB - self._luck_db
        one, other, loss_db = one[hopeful], other[hopeful], loss_db[hopeful]
        words = self._word[one], self._word[other]
        # offsets come from the complements of the places' words, so that they have nothing to do with the shadowing
        loss_db += _normal(_mix(_mix(np.minimum(*words)) + np.maximum(*words)), self._plan.shadowing_db)
        there_db = _normal(_mix(_mix(~words[0]) + words[1]), self._plan.asymmetry_db)
        back_db = _normal(_mix(_mix(~words[1]) + words[0]), self._plan.asymmetry_db)
        if self._terrain is not None:
            best_db = np.maximum(self._margin_db(one, other) - there_db, self._margin_db(other, one) - back_db)
            hopeful = best_db - loss_db >= FAINTEST_MARGIN_DB
            one, other, loss_db = one[hopeful], other[hopeful], loss_db[hopeful]
            there_db, back_db = there_db[hopeful], back_db[hopeful]
            hills_db, mean_m = self._hills(one, other)
            loss_db += hills_db + self._loss_db(one, other, mean_m) - self._loss_db(one, other, -math.inf)
        sender, receiver = np.concatenate((one, other)), np.concatenate((other, one))
        margin_db = self._margin_db(sender, receiver) - np.concatenate((loss_db + there_db, loss_db + back_db))
        strong = margin_db >= FAINTEST_MARGIN_DB
        snr_db = margin_db + self.required_db[receiver]
        return sender[strong], receiver[strong], np.round(snr_db[strong], _DB_DIGITS)

    def measured(self) -> tuple[Indices, Indices, Floats]:
        """What the scenario knows by measurement; of several for one direction the last."""
        import numpy as np

        rows = {self._pair(link.sender, link.receiver): link.snr_db for link in self._scenario.measured}
        ends = np.array(list(rows), dtype=np.int64).reshape(-1, 2)
        return ends[:, 0], ends[:, 1], np.array(list(rows.values()), dtype=np.float64)

    def _margin_db(self, sender: Indices, receiver: Indices) -> Any:
        """What the receiver has to spare where nothing is lost on the way."""
        gained_dbm = self._eirp_dbm[sender] + self._gain_db[receiver]
        return gained_dbm - self._noise_dbm[receiver] - self.required_db[receiver]

    def _loss_db(self, one: Indices, other: Indices, mean_m: Floats | float) -> Any:
        """Path loss, where the mean ground between the ends is that high; infinity where it counts for nothing."""
        import numpy as np

        one_top, other_top = (self._antenna_m[ends] + self._ground_m[ends] for ends in (one, other))
        one_higher = (one_top > other_top) | ((one_top == other_top) & (self._antenna_m[one] > self._antenna_m[other]))
        high, low = np.where(one_higher, one, other), np.where(one_higher, other, one)
        foot_m = self._ground_m[low] - np.clip(self._ground_m[low] - mean_m, 0, _DEEPEST_M)
        high_m = self._antenna_m[high] + np.maximum(self._ground_m[high] - foot_m, 0)
        distance_m = np.hypot(self.x_m[one] - self.x_m[other], self.y_m[one] - self.y_m[other])
        return self._path_loss.losses_db(distance_m, high_m, self._antenna_m[low])

    def _hills(self, one: Indices, other: Indices) -> tuple[Floats, Floats]:
        """Loss by the ground between the ends, and its mean height; none and infinity where it is unknown."""
        import numpy as np

        assert self._terrain is not None
        forth = self._word[one] < self._word[other]  # whatever the order of the places, the path is walked the same way
        ends = np.where(forth, one, other), np.where(forth, other, one)
        start, end = ((self._points[places], self._antenna_m[places]) for places in ends)
        hills_db, mean_m = self._terrain.hills(*start, *end, self._path_loss.frequency_hz)
        return np.nan_to_num(hills_db), np.where(np.isnan(mean_m), np.inf, mean_m)

    def _wall_db(self, one: Indices, other: Indices) -> Any:
        import numpy as np

        keys, losses_db = self._walls_db
        if not len(keys):
            return 0.0
        key = np.minimum(one, other) * len(self.x_m) + np.maximum(one, other)
        at = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
        return np.where(keys[at] == key, losses_db[at], 0.0)

    def _walls(self) -> tuple[Indices, Floats]:
        """Blocked pairs as sorted keys of both indices, and their losses; of several for one pair, the sum."""
        import numpy as np

        losses_db: dict[int, float] = {}
        for wall in self._scenario.blocked:
            low, high = sorted(self._pair(wall.one, wall.other))
            key = low * len(self.x_m) + high
            losses_db[key] = losses_db.get(key, 0.0) + wall.loss_db
        rows = sorted(losses_db.items())
        keys, losses = [key for key, _ in rows], [loss_db for _, loss_db in rows]
        return np.array(keys, dtype=np.int64), np.array(losses, dtype=np.float64)

    def _pair(self, *names: str) -> tuple[int, int]:
        if unknown := [name for name in names if name not in self._index]:
            raise LocalError(f"there is no place called {unknown[0]!r}", "", "check its name in the scenario")
        one, other = (self._index[name] for name in names)
        if one == other:
            raise LocalError(f"{names[0]!r} has no link with itself", "", "name two places")
        return one, other

    def _ground_of(self, index: int) -> float:
        known_m = self._terrain.height_m(*self._points[index].tolist()) if self._terrain else None
        return self._scenario.places[index].ground_m if known_m is None else known_m

    def _radio_of(self, name: str) -> tuple[float, float, Preset]:
        """Power, gain and preset of the radio at a place: everybody's, unless a special one says otherwise."""
        power_dbm, gain_db, preset = self._plan.power_dbm, self._plan.antenna_gain_db, self._plan.preset
        for special in self._plan.special:
            if any(fnmatchcase(name, pattern) for pattern in special.at):
                power_dbm = special.power_dbm if special.power_dbm is not None else power_dbm
                gain_db = special.antenna_gain_db if special.antenna_gain_db is not None else gain_db
                preset = special.preset or preset
        if power_dbm is None:
            power_dbm = default_power_dbm(self._plan.region)
        return power_dbm, gain_db, preset_named(preset)


def _near_pairs(model: _Model) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of places that may be near enough for a link, each once, in portions.

    Places with a similar reach share a grid whose cell is the largest of these reaches: each looks for others of the
    same or a smaller reach in its own cell and the eight around. So one mast on a hill looks far, and houses do not.
    """
    import numpy as np

    reach_m = np.maximum(model.reaches_m(), 1.0)
    kind = np.ceil(np.log2(reach_m)).astype(np.int64)
    waiting: list[tuple[Indices, Indices]] = []

    def joined() -> tuple[Indices, Indices]:
        return np.concatenate([rows for rows, _ in waiting]), np.concatenate([columns for _, columns in waiting])

    for largest in np.unique(kind):
        cell_m = float(reach_m[kind == largest].max())
        for row, column in _in_cells(model, np.flatnonzero(kind <= largest), kind == largest, cell_m):
            once = (kind[column] < largest) | (column > row)
            near = np.hypot(model.x_m[row] - model.x_m[column], model.y_m[row] - model.y_m[column]) <= cell_m
            waiting.append((row[once & near], column[once & near]))
            if sum(len(rows) for rows, _ in waiting) >= _PAIRS_AT_ONCE:
                yield joined()
                waiting.clear()
    if waiting:
        yield joined()


def _in_cells(
    model: _Model, places: Indices, seekers: NDArray[np.bool_], cell_m: float
) -> Iterator[tuple[Indices, Indices]]:
    """Each seeker among the places with every place in its cell and those around, in portions."""
    import numpy as np

    across = np.floor((model.x_m[places] - model.x_m[places].min()) / cell_m).astype(np.int64)
    up = np.floor((model.y_m[places] - model.y_m[places].min()) / cell_m).astype(np.int64)
    width = int(across.max()) + 3
    cell = up * width + across + 1
    order = np.argsort(cell, kind="stable")
    places, cell = places[order], cell[order]
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(cell)), strict=True):
        inside = places[start:end]
        inside = inside[seekers[inside]]
        if not len(inside):
            continue
        rows = [int(cell[start]) + width * row for row in (-1, 0, 1)]
        bounds = np.searchsorted(cell, [(row - 1, row + 2) for row in rows])
        around = np.concatenate([places[first:last] for first, last in bounds])
        at_once = max(_PAIRS_AT_ONCE // len(around), 1)
        for first in range(0, len(inside), at_once):
            some = inside[first : first + at_once]
            yield np.repeat(some, len(around)), np.tile(around, len(some))


def _mix(words: Words) -> Words:
    """Scatter 64-bit words so that neighbours have nothing in common (Steele et al., "SplitMix", 2014)."""
    import numpy as np

    words = words + np.uint64(0x9E3779B97F4A7C15)
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def _normal(words: Words, sigma_db: float) -> Floats:
    """Normal draws from scattered words, cut at three standard deviations (Box and Muller, 1958)."""
    import numpy as np

    first = ((words >> np.uint64(11)).astype(np.float64) + 1) * 2.0**-53
    second = (_mix(words) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    draws = np.sqrt(-2 * np.log(first)) * np.cos(2 * math.pi * second)
    return np.asarray(np.clip(draws, -_SIGMAS_MAX, _SIGMAS_MAX) * sigma_db)


def _points(places: tuple[Place, ...]) -> list[tuple[float, float]]:
    points = []
    for place in places:
        if place.latitude is None or place.longitude is None:
            raise LocalError(
                f"where {place.name!r} stands on the Earth is unknown",
                "terrain needs a latitude and a longitude for each place",
                "add them, or leave terrain out",
            )
        points.append((place.latitude, place.longitude))
    return points
