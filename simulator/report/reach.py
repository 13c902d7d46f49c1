"""Who can speak with whom in a run, over how many transmissions, and where one more relay would help.

Pure sums over an `Outcome`'s stations and links. Knows no words: `findings` says what these sums mean.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from statistics import median

from simulator.outcome import Outcome
from simulator.scenario.plan import Scenario

__all__ = ["MAX_HOP_LIMIT", "Reach", "Spot", "best_spot", "reach"]

MAX_HOP_LIMIT = 7
"""Meshtastic's header has three bits for it."""
_GRID = 40
"""So many places a side are tried for one more relay, beside those that have a radio."""
_ROUND_M = 10.0


@dataclass(frozen=True, slots=True)
class Reach:
    """Which stations hear which. All numbers are indices in `Outcome.stations`."""

    hears: tuple[frozenset[int], ...]
    """For each station, those that it hears."""
    mutual: tuple[frozenset[int], ...]
    """For each station, those that it hears and that hear it."""
    relays: tuple[bool, ...]
    """Whether a station passes on packets of others."""
    hop_limit: tuple[int, ...]
    """How often a packet of each station may be passed on."""

    def unheard_by(self, station: int) -> bool:
        """Whether `station` hears nobody."""
        return not self.hears[station]

    def one_way(self) -> list[tuple[int, int]]:
        """Pairs (sender, receiver) that work in that direction only."""
        return [
            (sender, receiver)
            for receiver, senders in enumerate(self.hears)
            for sender in sorted(senders - self.mutual[receiver])
        ]

    def distances(self, goals: Iterable[int], *, without: int | None = None) -> dict[int, int]:
        """Fewest transmissions between each station and the nearest of `goals`; those without a way are left out.

        `without` is a station that shall not help.
        """
        found = {goal: 0 for goal in goals if goal != without}
        starts = frozenset(found)
        line = list(found)
        for station in line:
            if not (self.relays[station] or station in starts):
                continue
            for other in self.mutual[station]:
                if other not in found and other != without:
                    found[other] = found[station] + 1
                    line.append(other)
        return found

    def parts(self) -> list[set[int]]:
        """Groups of stations that can speak with one another, over others of the group; largest first."""
        left = set(range(len(self.mutual)))
        parts: list[set[int]] = []
        while left:
            start = min(left, key=lambda station: (not self.relays[station], station))
            part = set(self.distances([start]))
            parts.append(part & left)
            left -= part
        return sorted(parts, key=lambda part: (-len(part), min(part)))

    def dependents(self, goals: Collection[int]) -> dict[int, set[int]]:
        """Station -> those that have no way to any of `goals` without it, itself and the goals not counted."""
        whole = set(self.distances(goals))
        depend: dict[int, set[int]] = {}
        for station in sorted(self._needed(goals)):
            lost = whole - set(self.distances(goals, without=station)) - {station}
            if lost:
                depend[station] = lost
        return depend

    def _needed(self, goals: Collection[int]) -> set[int]:
        """Stations that some other may need: those that cut the net, and only neighbours (Tarjan 1972)."""
        root = len(self.mutual)
        near: list[list[int]] = [
            [other for other in self.mutual[station] if self.relays[other] or other in goals]
            if self.relays[station] or station in goals
            else []
            for station in range(root)
        ]
        near.append(list(goals))
        for goal in goals:
            near[goal] = [*near[goal], root]
        order, low = {root: 0}, {root: 0}
        needed: set[int] = set()
        stack = [(root, root, iter(near[root]))]
        while stack:
            station, parent, others = stack[-1]
            for other in others:
                if other not in order:
                    order[other] = low[other] = len(order)
                    stack.append((other, station, iter(near[other])))
                    break
                if other != parent:
                    low[station] = min(low[station], order[other])
            else:
                stack.pop()
                low[parent] = min(low[parent], low[station])
                if parent != root and low[station] >= order[parent]:
                    needed.add(parent)
        for station, relays in enumerate(self.relays):
            helpers = self.mutual[station] & order.keys()
            if not relays and len(helpers) == 1:
                needed |= helpers
        return needed - set(goals)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where one more relay would help most."""

    x_m: float
    y_m: float
    connects: tuple[int, ...]
    """Stations that it would join to the rest."""
    at: int | None
    """A station that stands there, or None."""
    nearest: int
    """The station that is nearest to it."""


def reach(outcome: Outcome) -> Reach:
    """Sort out who hears whom in `outcome`."""
    hears: list[set[int]] = [set() for _ in outcome.stations]
    for link in outcome.links:
        hears[link.receiver].add(link.sender)
    mutual = tuple(
        frozenset(sender for sender in senders if receiver in hears[sender]) for receiver, senders in enumerate(hears)
    )
    names = [station.name for station in outcome.stations]
    return Reach(
        tuple(frozenset(senders) for senders in hears),
        mutual,
        tuple(station.role != "CLIENT_MUTE" for station in outcome.stations),
        tuple(_hop_limit(outcome.scenario, name) for name in names),
    )


def best_spot(outcome: Outcome, known: Reach, stranded: Collection[int]) -> Spot | None:
    """Find where one more relay joins most of the `stranded` to the largest part; None where none would.

    A place joins a station that is no further than a usual station's furthest partner in this run.
    """
    carries_m = _usual_reach_m(outcome, known)
    main = [station for station in known.parts()[0] if known.relays[station] and station not in stranded]
    if carries_m is None or not stranded or not main:
        return None
    at = [(station.x_m, station.y_m) for station in outcome.stations]
    best: tuple[tuple[float, ...], Spot] | None = None
    for station, (x_m, y_m) in _tries(at):
        near = tuple(one for one in sorted(stranded) if math.dist(at[one], (x_m, y_m)) <= carries_m)
        to_main_m = min(math.dist(at[one], (x_m, y_m)) for one in main)
        if not near or to_main_m > carries_m:
            continue
        longest_m = max(to_main_m, *(math.dist(at[one], (x_m, y_m)) for one in near))
        score = (-len(near), longest_m, 0 if station is not None else 1)
        if best is None or score < best[0]:
            nearest = min(range(len(at)), key=lambda one: math.dist(at[one], (x_m, y_m)))
            best = score, Spot(x_m, y_m, near, station, nearest)
    return best[1] if best else None


def _tries(at: list[tuple[float, float]]) -> Iterable[tuple[int | None, tuple[float, float]]]:
    yield from enumerate(at)
    left, right = min(x_m for x_m, _ in at), max(x_m for x_m, _ in at)
    low, high = min(y_m for _, y_m in at), max(y_m for _, y_m in at)
    for column in range(_GRID + 1):
        for row in range(_GRID + 1):
            x_m = left + (right - left) * column / _GRID
            y_m = low + (high - low) * row / _GRID
            yield None, (round(x_m / _ROUND_M) * _ROUND_M, round(y_m / _ROUND_M) * _ROUND_M)


def _usual_reach_m(outcome: Outcome, known: Reach) -> float | None:
    at = [(station.x_m, station.y_m) for station in outcome.stations]
    furthest = [
        max(math.dist(at[station], at[other]) for other in others)
        for station, others in enumerate(known.mutual)
        if others
    ]
    return median(furthest) if furthest else None


def _hop_limit(scenario: Scenario, name: str) -> int:
    limit = scenario.radio.hop_limit
    for special in scenario.radio.special:
        if special.hop_limit is not None and any(fnmatchcase(name, pattern) for pattern in special.at):
            limit = special.hop_limit
    return limit
