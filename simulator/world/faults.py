"""What goes wrong in a run, drawn from the seed beforehand, and how it is done to the village.

`draw_faults` is pure. `FaultMaker` carries faults out through the same switches that people and nature have: the power,
the cable, the disk, the clock, the air.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import trio

from simulator.medium import Link
from simulator.scenario.plan import FaultPlan
from simulator.world.village import Village

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Fault", "FaultMaker", "draw_faults"]

_LASTS_S = {
    "partition": (60.0, 400.0),
    "crash": (1.0, 120.0),
    "disk_full": (60.0, 600.0),
    "freeze": (10.0, 240.0),
    "battery_empty": (30.0, 400.0),
    "radio_unplugged": (5.0, 240.0),
}
"""Faults that last, and how long."""
_AT_ONCE = ("duplicate", "reorder", "corrupt", "clock_jump")
_OF_RADIOS = ("partition", "battery_empty")
"""Faults that befall radios without a node too."""
_CLOCK_ERROR_S_MAX = 10 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong."""

    time_s: float
    """Seconds since the start of the scenario."""
    kind: str
    """A field of `FaultPlan`."""
    place: int
    """Index of the place; for a partition, only part of how the map falls apart."""
    lasts_s: float = 0.0
    amount: float = 0.0
    """Seconds by which a clock is wrong from then on; radians of the line along which the map falls apart."""


def draw_faults(
    plan: FaultPlan, places: Sequence[int], radios: Sequence[int], length_s: float, rng: Random
) -> list[Fault]:
    """Draw times, places and lengths of all faults of `plan`, in the order of time; all end within `length_s`.

    `places` are those with a node, `radios` all.
    """
    faults = []
    for kind in (*_LASTS_S, *_AT_ONCE):
        for _ in range(getattr(plan, kind)):
            low_s, high_s = _LASTS_S.get(kind, (0.0, 0.0))
            lasts_s = min(rng.uniform(low_s, high_s), length_s / 2)
            time_s = rng.uniform(0.0, length_s - lasts_s)
            place = rng.choice(radios if kind in _OF_RADIOS else places)
            amount = rng.uniform(-_CLOCK_ERROR_S_MAX, _CLOCK_ERROR_S_MAX) if kind == "clock_jump" else 0.0
            amount = rng.uniform(0.0, math.pi) if kind == "partition" else amount
            faults.append(Fault(time_s, kind, place, lasts_s, amount))
    return sorted(faults, key=lambda fault: (fault.time_s, fault.kind, fault.place))


class FaultMaker:
    """Carries out the faults of one run."""

    def __init__(self, village: Village, faults: Sequence[Fault], start_s: float) -> None:
        self.made: Counter[str] = Counter()
        """Faults so far, by kind."""
        self.starts: Counter[int] = Counter()
        """By place: how often its node started anew after one."""
        self._village = village
        self._faults = faults
        self._start_s = start_s
        self._lasting: Counter[tuple[str, int]] = Counter()
        self._apart: Counter[frozenset[int]] = Counter()
        """Ways in which the map is apart now: the places of one side."""
        self._cut: dict[tuple[int, int], Link] = {}
        self._index = {radio.name: number for number, radio in enumerate(village.radios)}

    async def run(self) -> None:
        """Carry all of them out, to the end of the last."""
        async with trio.open_nursery() as nursery:
            for fault in self._faults:
                await trio.sleep_until(self._start_s + fault.time_s)
                self.made[fault.kind] += 1
                if fault.kind in _LASTS_S:
                    nursery.start_soon(self._last, fault)
                elif fault.kind == "clock_jump":
                    self._village.devices[fault.place][0].clock_error_s = fault.amount
                else:
                    self._village.ports[fault.place].trouble_next(fault.kind)

    def connect(self, sender: int, receiver: int, link: Link | None) -> None:
        """Set how one place hears another, None for not at all; while they are apart, from when that ends."""
        radios = self._village.radios
        if not self._is_apart(sender, receiver):
            self._village.medium.connect(radios[sender].name, radios[receiver].name, link)
        elif link is None:
            self._cut.pop((sender, receiver), None)
        else:
            self._cut[sender, receiver] = link

    async def _last(self, fault: Fault) -> None:
        side = self._side(fault)
        key = (fault.kind, fault.place)
        self._lasting[key] += 1
        self._apart[side] += fault.kind == "partition"
        self._switch(fault, begins=True)
        await trio.sleep(fault.lasts_s)
        self._lasting[key] -= 1
        self._apart[side] -= fault.kind == "partition"
        if not self._lasting[key] or fault.kind == "partition":
            self._switch(fault, begins=False)

    def _switch(self, fault: Fault, *, begins: bool) -> None:
        village, place = self._village, fault.place
        match fault.kind:
            case "partition":
                self._part()
            case "crash":
                village.devices[place][0].switch(on=not begins)
                self.starts[place] += not begins
            case "disk_full":
                village.devices[place][0].fill_disk(full=begins)
            case "freeze":
                village.ports[place].freeze(frozen=begins)
            case "battery_empty" if begins:
                village.radios[place].switch_off("its battery is empty")
            case "battery_empty":
                village.radios[place].switch_on()
            case "radio_unplugged":
                village.ports[place].plug(plugged=not begins)

    def _side(self, fault: Fault) -> frozenset[int]:
        """The half of the places that lies on one side of a line through the middle."""
        places = self._village.scenario.places
        along = [place.x_m * math.cos(fault.amount) + place.y_m * math.sin(fault.amount) for place in places]
        order = sorted(range(len(places)), key=lambda index: (along[index], index))
        return frozenset(order[: len(order) // 2])

    def _is_apart(self, one: int, other: int) -> bool:
        return any((one in side) != (other in side) for side, times in self._apart.items() if times)

    def _part(self) -> None:
        """Cut the links between the sides of every partition that holds now, and mend the others."""
        medium, index = self._village.medium, self._index
        cut, self._cut = self._cut, {}
        for (sender, receiver), link in cut.items():
            self.connect(sender, receiver, link)
        for name, sender in index.items():
            for other, link in medium.links_of(name).items():
                if self._is_apart(sender, index[other]):
                    self._cut[sender, index[other]] = link
                    medium.connect(name, other, None)
