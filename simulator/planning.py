"""A plan for houses that want meshai: which take part, where relays and models go, and which hop limit to set.

Decided from median links with a margin, so that most draws of chance hold it; `simulator.placing` finds the relays'
spots. The plan is a `Scenario`, so that running it over several seeds tells what it is worth. Pure: the same houses and
wishes give the same plan. Knows no prices.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from statistics import NormalDist, fmean

from protocol.airtime import preset_named
from protocol.errors import LocalError
from simulator.channels import REGIONS
from simulator.demand import air_questions_per_hour, answer_s, models_needed, questions_at_peak
from simulator.firmware.settings import MAX_HOP_LIMIT
from simulator.placing import CHAIN_MAX, Net, Site, chain_length, mutual_links, parts, place_relays, sites
from simulator.report.reach import Reach
from simulator.scenario.layout import Layout
from simulator.scenario.plan import DevicePlan, PeoplePlan, Place, RadioPlan, Scenario, SpecialRadio

__all__ = ["HOUSES_MAX", "LeftOut", "Plan", "Relay", "Wishes", "link_holds_percent", "make_plan"]

HOUSES_MAX = 300
"""More places than that are not planned at once."""
HOP_LIMIT_MIN = 3
"""What radios come with: less saves little."""
RELAY_ROLE, RELAY_MODE = "ROUTER", "ALL"
"""A ROUTER passes on at once and does not drop its copy when it hears a house near it do so, which is what a bridge
between two groups needs; its own rebroadcast mode would leave out meshai's packets, so it is set to ALL."""
SPARE_M = 10.0
"""A spare relay that can only stand where the other does stands so far beside it."""

_DEPENDING_MIN = 2
_EVENING_RUN_H = 6.0


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the planner was told."""

    radio: RadioPlan = field(default_factory=RadioPlan)
    """Its hop limit and special radios are the plan's to choose."""
    people: PeoplePlan = field(default_factory=PeoplePlan)
    device: DevicePlan = field(default_factory=lambda: DevicePlan("mini PC", model="qwen2.5-1.5b", busy_w=35, idle_w=8))
    """What stands in each house with a model; `at` and `count` are the plan's to choose."""
    terrain: str = ""
    antenna_m: float | None = None
    """Height of the houses' antennas above ground; None for what the map says."""
    mast_m: float = 8.0
    """Height of a relay's antenna, in the open and on a roof."""
    margin_db: float = 6.0
    """What a link must have to spare in the median for the plan to count on it."""
    models: int | None = None
    """In how many houses a model stands; None for as many as the questions need."""
    spare: bool = False
    """Whether no two houses shall depend on one radio, but for those with a model."""
    hours: float = 4.0
    """How long is simulated."""


@dataclass(frozen=True, slots=True)
class Relay:
    """A relay of the plan."""

    place: Place
    """Where; antenna on its mast."""
    on_roof: bool
    """Whether it is the radio of a house, on a mast there, and none to buy beside it."""
    given: bool = False
    """Whether the map had it already."""
    spare: bool = False
    """Whether it is there in case another fails."""
    needed_by: tuple[str, ...] = ()
    """Houses that have no way to a model without it."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Houses that stay out."""

    houses: tuple[str, ...]
    why: str
    """In plain words, to stand behind a colon."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to buy, where to put it, and how to set it."""

    scenario: Scenario
    """The plan as what can be run: houses that take part, relays, models."""
    layout: Layout
    """The places of the scenario, and where their metres count from."""
    relays: tuple[Relay, ...]
    left_out: tuple[LeftOut, ...]
    groups_before: int
    """Groups of houses that could not speak with one another before."""
    models: tuple[str, ...]
    """Houses with a model, the most central first."""
    hops: dict[str, int]
    """House -> how often its packets are passed on, at least, on the way to the nearest model."""
    depends: dict[str, tuple[str, ...]]
    """Radio -> houses that have no way to a model without it; two at least, most first."""
    questions_at_peak: float
    """In an hour of the evening."""
    model_busy_percent: float
    """How much of such an hour each model works."""
    air_questions_per_hour: float
    """About so many the air lets pass, by what meshai's nodes may use of it together."""

    @property
    def houses(self) -> tuple[str, ...]:
        """Houses that take part: each needs a radio."""
        return tuple(place.name for place in self.scenario.places if place.is_house)

    @property
    def relay_radios(self) -> int:
        """Radios to buy beside those of the houses."""
        return sum(not relay.on_roof for relay in self.relays)

    @property
    def masts(self) -> int:
        """Masts on roofs."""
        return sum(relay.on_roof for relay in self.relays)


def link_holds_percent(radio: RadioPlan, margin_db: float) -> float:
    """In how many of a hundred draws a link that just has the margin in the median works in a given direction."""
    sigma_db = math.hypot(radio.shadowing_db, radio.asymmetry_db)
    return 100 * NormalDist(0, sigma_db).cdf(margin_db) if sigma_db else 100.0


def make_plan(layout: Layout, wishes: Wishes) -> Plan:
    """Plan a mesh for the houses of a map.

    Relays that the map has are kept. Its measured links are not used: they were measured with the antennas of then.
    Raises LocalError for a map that is too small or too large, terrain without degrees, a preset wider than the band,
    and houses of which none hears another, with whatever relay.
    """
    layout = _prepared(layout, wishes)
    places = layout.places
    houses = [index for index, place in enumerate(places) if place.is_house]
    given = [index for index, place in enumerate(places) if not place.is_house]
    net = mutual_links(places, layout.blocked, wishes.radio, wishes.terrain, wishes.margin_db)
    before = sum(bool(part & set(houses)) for part in parts(net, {*houses, *given}))
    found = sites(layout, wishes.terrain, wishes.mast_m) if before > 1 or wishes.spare else []
    spots = [*places, *(site.place for site in found)]
    if before > 1:
        net = mutual_links(spots, layout.blocked, wishes.radio, wishes.terrain, wishes.margin_db)
    tries = range(len(places), len(spots))

    def on_roof(one: int) -> bool:
        return found[one - len(places)].house is not None

    chosen = place_relays(net, houses, given, tries, on_roof) if before > 1 else []
    main, groups = _main_part(net, houses, given, chosen)
    if sum(one in main for one in houses) < 2:
        nearest_m = min(math.dist(_at(places[one]), _at(places[two])) for one in houses for two in houses if one < two)
        raise LocalError(
            "no two houses can be joined",
            f"the nearest two are {nearest_m / 1000:.1f} km apart, which {CHAIN_MAX} relays don't bridge for one house",
            "raise the antennas, choose a slower preset, or add houses between them",
        )
    relays = [_relay(found[one - len(places)]) for one in chosen if one in main]
    joined = [one for one in (*houses, *given) if one in main]
    draft = _Draft(layout, wishes, [places[one] for one in joined if places[one].is_house])
    draft.add([Relay(places[one], on_roof=False, given=True) for one in joined if not places[one].is_house])
    draft.add(relays)
    models = draft.choose_models()
    if wishes.spare:
        draft.add_spares(found)
        models = draft.choose_models()
    out = tuple(_left_out(net, places, main, group, set(tries)) for group in groups)
    return draft.plan(models, before, out)


class _Draft:
    """A plan in the making: houses that take part and the relays so far."""

    def __init__(self, layout: Layout, wishes: Wishes, houses: Sequence[Place]) -> None:
        self._layout, self._wishes = layout, wishes
        self._houses = {place.name: place for place in houses}
        self._relays: list[Relay] = []
        self._used = {place.name for place in layout.places}
        self._models: list[int] = []

    def add(self, relays: Sequence[Relay]) -> None:
        """Put relays into the plan; those in the open get names."""
        for relay in relays:
            place = relay.place
            if relay.on_roof:
                self._houses[place.name] = place
            elif not place.name:
                number = 1
                while f"relay {number}" in self._used:
                    number += 1
                place = replace(place, name=f"relay {number}")
                self._used.add(place.name)
            self._relays.append(replace(relay, place=place))
        self._measure()

    def _measure(self) -> None:
        self.places = [*self._houses.values(), *(relay.place for relay in self._relays if not relay.on_roof)]
        wishes = self._wishes
        net = mutual_links(self.places, self._layout.blocked, wishes.radio, wishes.terrain, wishes.margin_db)
        hears = tuple(frozenset(others) for others in net)
        self.reach = Reach(hears, hears, (True,) * len(net), (MAX_HOP_LIMIT,) * len(net))
        self._house_count = len(self._houses)

    def choose_models(self) -> list[int]:
        """Houses with a model: each time the one that shortens the ways of all most (p-median, greedily)."""
        wishes, count = self._wishes, self._house_count
        wanted = wishes.models or models_needed(wishes.people, wishes.device, preset_named(wishes.radio.preset))
        steps = [self.reach.distances([house]) for house in range(count)]
        best = [math.inf] * count
        self._models = []
        while len(self._models) < min(wanted, count) or (not wishes.models and max(best) - 1 > MAX_HOP_LIMIT):
            tried = [
                [min(best[one], steps[house].get(one, math.inf)) for one in range(count)] for house in range(count)
            ]
            free = [house for house in range(count) if house not in self._models]
            new = min(free, key=[(math.fsum(lengths), max(lengths)) for lengths in tried].__getitem__)
            self._models.append(new)
            best = tried[new]
        return self._models

    def add_spares(self, found: Sequence[Site]) -> None:
        """For each radio on which two houses or more depend, a relay that joins them when it fails.

        It stands elsewhere if a single one there will do, else beside it.
        """
        for place in list(self.places):
            failed = [other.name for other in self.places].index(place.name)
            lost = [one for one in self.reach.dependents(self._models).get(failed, ()) if one < self._house_count]
            if len(lost) >= _DEPENDING_MIN:
                others = self._without(failed, [site for site in found if not _is_at(site, place)])
                spare = others[0] if len(others) == 1 else Relay(self._beside(place), on_roof=False)
                self.add([replace(spare, spare=True)])

    def _without(self, failed: int, free: Sequence[Site]) -> list[Relay]:
        """Relays that join all but a failed radio; none where none do."""
        wishes = self._wishes
        left = [one for one in range(len(self.places)) if one != failed]
        spots = [*(self.places[one] for one in left), *(site.place for site in free)]
        net = mutual_links(spots, self._layout.blocked, wishes.radio, wishes.terrain, wishes.margin_db)
        houses = {number for number, one in enumerate(left) if one < self._house_count}
        fixed = set(range(len(left))) - houses
        tries = range(len(left), len(spots))
        new = place_relays(net, houses, fixed, tries, lambda one: free[one - len(left)].house is not None)
        groups = [part for part in parts(net, {*houses, *fixed, *new}) if part & houses]
        return [_relay(free[one - len(left)]) for one in new] if len(groups) == 1 else []

    def _beside(self, place: Place) -> Place:
        x_m, y_m, origin = place.x_m + SPARE_M, place.y_m, self._layout.origin
        antenna_m = max(place.antenna_m, self._wishes.mast_m)
        beside = replace(place, name="", x_m=x_m, antenna_m=antenna_m, is_house=False)
        if origin is None:
            return beside
        latitude, longitude = (round(degrees, 5) for degrees in origin.degrees(x_m, y_m))
        x_m, y_m = origin.metres(latitude, longitude)
        return replace(beside, x_m=x_m, y_m=y_m, latitude=latitude, longitude=longitude)

    def plan(self, models: Sequence[int], groups_before: int, left_out: tuple[LeftOut, ...]) -> Plan:
        """The plan as it stands."""
        wishes, names = self._wishes, [place.name for place in self.places]
        steps = self.reach.distances(models)
        hops = {names[house]: max(steps.get(house, 0) - 1, 0) for house in range(self._house_count)}
        limit = min(max(HOP_LIMIT_MIN, *hops.values()), MAX_HOP_LIMIT)
        too_far = tuple(name for name, count in hops.items() if count > limit)
        if too_far:
            why = f"a packet is passed on {MAX_HOP_LIMIT} times at most: give more models, or leave their number open."
            left_out = (*left_out, LeftOut(too_far, f"too far from the nearest model; {why}"))
        staying = [place for place in self.places if place.name not in too_far]
        depends = {
            names[one]: tuple(names[house] for house in sorted(lost) if house < self._house_count)
            for one, lost in self.reach.dependents(models).items()
        }
        known = {place.name for place in staying}
        relays = tuple(
            replace(each, needed_by=depends.get(each.place.name, ()))
            for each in self._relays
            if each.place.name in known
        )
        layout = replace(
            self._layout,
            places=tuple(staying),
            blocked=tuple(pair for pair in self._layout.blocked if {pair.one, pair.other} <= known),
            measured=(),
            lines=(),
        )
        at = tuple(names[one] for one in models)
        peak = questions_at_peak(wishes.people)
        ways = fmean(count + 1 for count in hops.values())
        return Plan(
            scenario=self._scenario(layout, limit, tuple(relay.place.name for relay in relays), at),
            layout=layout,
            relays=relays,
            left_out=left_out,
            groups_before=groups_before,
            models=at,
            hops={name: count for name, count in hops.items() if name in known},
            depends={
                name: lost
                for name, lost in sorted(depends.items(), key=lambda each: (-len(each[1]), each[0]))
                if len(lost) >= _DEPENDING_MIN
            },
            questions_at_peak=peak,
            model_busy_percent=100 * peak * answer_s(wishes.people, wishes.device) / 3600 / len(at),
            air_questions_per_hour=air_questions_per_hour(wishes.people, preset_named(wishes.radio.preset), ways),
        )

    def _scenario(self, layout: Layout, limit: int, relays: tuple[str, ...], at: tuple[str, ...]) -> Scenario:
        wishes = self._wishes
        special = (SpecialRadio(relays, role=RELAY_ROLE, rebroadcast_mode=RELAY_MODE),) if relays else ()
        return Scenario(
            name="plan",
            title=f"A plan for {sum(place.is_house for place in layout.places)} houses",
            about="",
            places=layout.places,
            terrain=wishes.terrain,
            hours=wishes.hours,
            start_hour=18.0 if wishes.hours <= _EVENING_RUN_H else 6.0,
            blocked=layout.blocked,
            radio=replace(wishes.radio, hop_limit=limit, special=special),
            devices=(replace(wishes.device, count=0, at=at),),
            people=wishes.people,
        )


def _prepared(layout: Layout, wishes: Wishes) -> Layout:
    """The map with the wished antennas, after a look at what can't be planned."""
    places = layout.places
    if sum(place.is_house for place in places) < 2:
        what = f"the map has {'one house' if any(place.is_house for place in places) else 'no house'}"
        raise LocalError(what, "a mesh needs two at least", "add the others")
    if len(places) > HOUSES_MAX:
        why = f"{HOUSES_MAX} are the most that are planned at once"
        raise LocalError(f"{len(places)} places are too many", why, "plan each part of the map by itself")
    if wishes.terrain and (layout.origin is None or any(place.latitude is None for place in places)):
        why = "the map is in metres, terrain tiles are in degrees"
        raise LocalError("terrain is of no use for this map", why, "give latitude and longitude, or leave it out")
    preset, region = preset_named(wishes.radio.preset), wishes.radio.region
    if region in REGIONS:  # links tell of one that is not
        low_mhz, high_mhz, _ = REGIONS[region]
        if preset.bandwidth_hz / 1e6 > high_mhz - low_mhz + 1e-9:
            why = f"it is {preset.bandwidth_hz / 1000:g} kHz wide"
            raise LocalError(f"{preset.name} does not fit the band of {region}", why, "use LONG_FAST")
    if wishes.antenna_m is None:
        return layout
    return replace(
        layout,
        places=tuple(replace(place, antenna_m=wishes.antenna_m) if place.is_house else place for place in places),
    )


def _main_part(
    net: Net, houses: Sequence[int], given: Sequence[int], chosen: Sequence[int]
) -> tuple[set[int], list[set[int]]]:
    """The group with most houses, and the houses of each other group."""
    found = [part for part in parts(net, {*houses, *given, *chosen}) if part & set(houses)]
    found.sort(key=lambda part: (-len(part & set(houses)), min(part)))
    return found[0], [part & set(houses) for part in found[1:]]


def _left_out(net: Net, places: Sequence[Place], main: set[int], group: set[int], tries: set[int]) -> LeftOut:
    names = tuple(places[one].name for one in sorted(group))
    near = [one for one in main if one < len(places) and places[one].is_house]
    distance_m = min(math.dist(_at(places[one]), _at(places[two])) for one in group for two in near)
    wanted = chain_length(net, group, main, tries)
    far = f"the nearest house that takes part is {distance_m / 1000:.1f} km away"
    own = " With a model of their own they can be a mesh by themselves." if len(group) > 1 else ""
    if wanted is None:
        return LeftOut(names, f"{far}, and no chain of relays on this map bridges that.{own}")
    count = f"{len(names)} house{'s' if len(names) > 1 else ''}"
    return LeftOut(names, f"{far}: {wanted} relays in a row would be needed for {count}.{own}")


def _relay(site: Site) -> Relay:
    return Relay(site.place, on_roof=site.house is not None)


def _is_at(site: Site, place: Place) -> bool:
    """Whether a site is where a radio stands already: it would fail with it."""
    return _at(site.place) == _at(place) and (place.is_house or site.house is None)


def _at(place: Place) -> tuple[float, float]:
    return place.x_m, place.y_m
