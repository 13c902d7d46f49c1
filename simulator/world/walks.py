"""Moves the places of a scenario that walk: their links are made anew as they go.

Where a place is when, `simulator.walking` says; what its links are there, `simulator.links`, with the same draws of
chance, which hang on names.
"""

from __future__ import annotations

from dataclasses import replace

import trio

from simulator.links import links_of
from simulator.medium import Link
from simulator.scenario.plan import Place
from simulator.walking import Course, course_of, moved
from simulator.world.faults import FaultMaker
from simulator.world.village import Village, matches

__all__ = ["Walks"]


class Walks:
    """Everybody's walks in one run."""

    def __init__(self, village: Village, faults: FaultMaker, start_s: float) -> None:
        """Links are set through `faults`, which holds back what a fault cut; `start_s`: when the scenario begins."""
        self._village = village
        self._faults = faults
        self._start_s = start_s
        self._places = list(village.scenario.places)
        """Where everybody is now."""

    async def run(self) -> None:
        """Walk until all have arrived."""
        scenario = self._village.scenario
        async with trio.open_nursery() as nursery:
            for walk in scenario.walks:
                for index, place in enumerate(scenario.places):
                    if matches(place.name, walk.at):
                        nursery.start_soon(self._walk, index, place, course_of(walk, place, scenario.start_hour))

    async def _walk(self, index: int, home: Place, course: Course) -> None:
        for time_s in course.looks_s():
            await trio.sleep_until(self._start_s + time_s)
            self._places[index] = moved(home, *course.at(time_s))
            self._link(index)

    def _link(self, index: int) -> None:
        """Make the links of one place anew, both ways."""
        village = self._village
        scenario = replace(village.scenario, places=tuple(self._places))
        found: dict[tuple[int, int], Link] = {}
        hears: set[int] = set()
        heard: set[int] = set()
        for link in links_of(scenario, village.seed, index, self._places[index]):
            found[link.sender, link.receiver] = Link(link.snr_db, scenario.faults.loss)
            if link.is_audible:
                (heard if link.sender == index else hears).add(link.receiver if link.sender == index else link.sender)
        village.medium.catch_up()
        for other in range(len(self._places)):
            if other != index:
                for pair in ((index, other), (other, index)):
                    self._faults.connect(*pair, found.get(pair))
        village.meet(index, hears & heard)
