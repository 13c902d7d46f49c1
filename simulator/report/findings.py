"""What a run shows, in words that need no knowledge of radio: what is wrong, where, and what would help.

A pure function from an `Outcome` and its `Summary`; each rule is a small function that returns what it found. Knows
nothing of how the words are shown.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from simulator.outcome import Asked, Outcome
from simulator.report.reach import MAX_HOP_LIMIT, Reach, Spot, best_spot, reach
from simulator.report.wording import counted, duration, hour_list, listed, metres_words, seconds_words, verb
from simulator.summary import Summary

__all__ = ["BUSY_PERCENT", "SEVERITIES", "Finding", "findings"]

SEVERITIES = ("unknown", "bad", "warning", "note", "good")
"""From what must be read first to what may be read last."""
BUSY_PERCENT = 25.0
"""Above this channel utilisation the firmware holds back its own chatter, and packets meet often."""
_WELL_PERCENT = 95.0
_POOR_PERCENT = 80.0
_EVENING = range(18, 22)
_ENOUGH = 10
"""Fewer answers than that say nothing about usual seconds."""
_SLOWER = 2.0
_FULL_LOAD_PERCENT = 70.0
"""A model that works more of an hour than that makes people wait in line."""
_CHARACTERS_A_TOKEN = 4.0
_MANY_ONE_WAY_PERCENT = 10.0
_DIRECTIONS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")
_METRES_A_DEGREE = 111_320.0
_HERE_M = 30.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a person should know."""

    severity: str
    """One of `SEVERITIES`."""
    title: str
    """What is the case, in one sentence."""
    advice: str = ""
    """What that means or what would help; may be empty."""
    stations: tuple[int, ...] = ()
    """Whom it concerns: indices in `Outcome.stations`."""
    spot_m: tuple[float, float] | None = None
    """Where to put something: metres east and north of the map's origin."""


@dataclass(frozen=True, slots=True)
class _Case:
    """What every rule looks at."""

    outcome: Outcome
    figures: Summary
    reach: Reach

    @property
    def houses(self) -> list[int]:
        return [index for index, station in enumerate(self.outcome.stations) if station.is_house]

    @property
    def models(self) -> list[int]:
        return [index for index, station in enumerate(self.outcome.stations) if station.models]

    def named(self, stations: Iterable[int]) -> str:
        return listed([self.outcome.stations[station].name for station in stations])


def findings(outcome: Outcome, figures: Summary) -> tuple[Finding, ...]:
    """Return what `outcome` shows, the most urgent first; good news when there is nothing to mend."""
    case = _Case(outcome, figures, reach(outcome))
    found = [finding for rule in _RULES for finding in rule(case)]
    if figures.asked and not any(finding.severity in ("bad", "warning") for finding in found):
        found.append(_all_well(case))
    return tuple(sorted(found, key=lambda finding: SEVERITIES.index(finding.severity)))


def _land(case: _Case) -> Iterable[Finding]:
    if not case.outcome.scenario.terrain:
        yield Finding(
            "unknown",
            "Hills and walls unknown.",
            "Without a map of heights the land counts as even, with usual houses and trees. Before you buy, walk the "
            "longest links with two radios, or give a folder of height tiles.",
        )


def _checks(case: _Case) -> Iterable[Finding]:
    for violation in dict.fromkeys(case.outcome.violations):
        yield Finding("bad", f"A check of the run failed: {violation.rstrip('.')}.", "Please report it with the seed.")


def _deaf(case: _Case) -> Iterable[Finding]:
    deaf = [house for house in case.houses if case.reach.unheard_by(house)]
    if not deaf:
        return
    spot = best_spot(case.outcome, case.reach, deaf)
    yield Finding(
        "bad",
        f"{counted(len(deaf), 'house')} never {verb(len(deaf), 'hears', 'hear')} anybody: {case.named(deaf)}.",
        _mend(case, deaf, spot),
        tuple(deaf),
        (spot.x_m, spot.y_m) if spot else None,
    )


def _mute(case: _Case) -> Iterable[Finding]:
    """Houses that hear, and are not heard by those whom they hear."""
    mute = [house for house in case.houses if case.reach.hears[house] and not case.reach.mutual[house]]
    if mute:
        yield Finding(
            "bad",
            f"{counted(len(mute), 'house')} {verb(len(mute), 'hears', 'hear')} others but "
            f"{verb(len(mute), 'is', 'are')} not heard back: {case.named(mute)}.",
            "Their questions get nowhere. Raise the antenna, or set the radio to more power where the law allows it.",
            tuple(mute),
        )


def _apart(case: _Case) -> Iterable[Finding]:
    parts = [part for part in case.reach.parts()[1:] if len(part) > 1]
    for part in parts:
        group = sorted(part)
        spot = best_spot(case.outcome, case.reach, group)
        has_model = any(case.outcome.stations[station].models for station in group)
        yield Finding(
            "warning" if has_model else "bad",
            f"{counted(len(group), 'place')} hear one another but not the rest: {case.named(group)}.",
            ("They have a model of their own. " if has_model else "None of them has a model. ")
            + _mend(case, group, spot),
            tuple(group),
            (spot.x_m, spot.y_m) if spot else None,
        )


def _too_far(case: _Case) -> Iterable[Finding]:
    """Houses to which there is a way, but a longer one than packets may go."""
    distance = case.reach.distances(case.models)
    nearest_limit = min((case.reach.hop_limit[model] for model in case.models), default=0)
    beyond = {
        house: distance[house] - 1
        for house in case.houses
        if distance.get(house, 0) - 1 > min(case.reach.hop_limit[house], nearest_limit)
    }
    near = [house for house, hops in beyond.items() if hops <= MAX_HOP_LIMIT]
    far = [house for house, hops in beyond.items() if hops > MAX_HOP_LIMIT]
    if near:
        wanted = max(beyond[house] for house in near)
        yield Finding(
            "bad",
            f"{counted(len(near), 'house')} {verb(len(near), 'is', 'are')} too many hops from the nearest model: "
            f"{case.named(near)}.",
            f"Raise the hop limit to {wanted}: so often must a packet be passed on. Each hop costs everybody air; "
            f"a relay on high ground in between may do better.",
            tuple(near),
        )
    if far:
        yield Finding(
            "bad",
            f"{counted(len(far), 'house')} {verb(len(far), 'is', 'are')} further from any model than packets can "
            f"go: {case.named(far)}.",
            f"Packets are passed on {MAX_HOP_LIMIT} times at most. Put a device with a model nearer, or a relay on "
            f"high ground.",
            tuple(far),
        )


def _dependence(case: _Case) -> Iterable[Finding]:
    houses = set(case.houses)
    cut = {station: lost & houses for station, lost in case.reach.dependents(case.models).items()}
    worst = sorted((station for station in cut if len(cut[station]) > 1), key=lambda one: (-len(cut[one]), one))
    for station in worst[:3]:
        lost = sorted(cut[station])
        name = case.outcome.stations[station].name
        yield Finding(
            "warning",
            f"{counted(len(lost), 'house')} depend on {name} alone.",
            f"When its radio fails, {case.named(lost)} can't reach a model. Put a second relay near it, with a "
            f"battery of its own.",
            (station, *lost),
        )
    answering = [index for index in case.models if case.outcome.use[index].answered]
    answers = sum(case.outcome.use[index].answered for index in answering)
    if len(answering) == 1 and answers >= _ENOUGH:
        yield Finding(
            "warning",
            f"Only {case.named(answering)} answers others.",
            "When that device is off, nobody gets a new answer. A second one in another part of the map helps.",
            tuple(answering),
        )


def _models(case: _Case) -> Iterable[Finding]:
    if not case.models:
        yield Finding("bad", "Nobody has a model.", "Put at least one device with a model in one of the houses.")
        return
    overworked = sorted({house for (house, _), percent in _load(case).items() if percent > _FULL_LOAD_PERCENT})
    if overworked:
        hours = hour_list(hour for (_, hour), percent in sorted(_load(case).items()) if percent > _FULL_LOAD_PERCENT)
        yield Finding(
            "warning",
            f"Models have more work than they can do {hours}: {case.named(overworked)}.",
            "People wait in line there. Another device, a faster one or a smaller model shortens the wait.",
            tuple(overworked),
        )
    idle = [house for house in case.models if not case.outcome.use[house].answered]
    if idle and case.figures.answered >= _ENOUGH:
        yield Finding(
            "note",
            f"{counted(len(idle), 'house')} with a model answered nobody: {case.named(idle)}.",
            "Others were nearer or faster. That device may do more good in another place.",
            tuple(idle),
        )


def _evening(case: _Case) -> Iterable[Finding]:
    inside = [each for each in case.outcome.asked if _hour(case, each) in _EVENING]
    outside = [each for each in case.outcome.asked if _hour(case, each) not in _EVENING]
    evening, day = _usual_seconds(inside), _usual_seconds(outside)
    lost_evening, lost_day = _failed_percent(inside), _failed_percent(outside)
    is_slow = evening is not None and day is not None and evening > _SLOWER * day
    is_lossy = len(inside) >= _ENOUGH and len(outside) >= _ENOUGH and lost_evening > lost_day + 10
    if not (is_slow or is_lossy):
        return
    busy = [use for use in case.figures.hours if use.hour in _EVENING and use.mean_percent > BUSY_PERCENT]
    crowded_somewhere = any(use.hour in _EVENING and use.worst_percent > BUSY_PERCENT for use in case.figures.hours)
    told_of_air = sum("of the air" in each.why or "airtime" in each.why for each in inside)
    is_crowded = crowded_somewhere or told_of_air > sum(each.ending == "failed" for each in inside) / 2
    what = (
        f"In the evening an answer takes {seconds_words(evening)} instead of {seconds_words(day)}."
        if is_slow and evening is not None and day is not None
        else f"In the evening {lost_evening:.0f} % of the questions fail, else {lost_day:.0f} %."
    )
    yield Finding(
        "warning",
        what,
        "The air is full then: fewer packets help more than faster models."
        if busy
        else "The air is full at some places then, or nodes have sent their share of it: a faster preset, or models "
        "nearer to those who ask, help more than faster models."
        if is_crowded
        else "The air is free then, so the models are too few or too slow: another device would help.",
    )


def _busy_air(case: _Case) -> Iterable[Finding]:
    busy = [use for use in case.figures.hours if use.mean_percent > BUSY_PERCENT]
    crowded = [use for use in case.figures.hours if use.worst_percent > BUSY_PERCENT]
    use = busy or crowded
    if not use:
        return
    peak = max(each.mean_percent if busy else each.worst_percent for each in use)
    places = [
        index
        for index, each in enumerate(case.outcome.use)
        if max(each.utilisation_by_hour, default=0.0) > BUSY_PERCENT
    ]
    where = "" if busy else f" at {case.named(places)}"
    yield Finding(
        "warning" if busy else "note",
        f"The air is too busy {hour_list(each.hour for each in use)}{where}: up to {peak:.0f} %.",
        f"Above {BUSY_PERCENT:.0f} % packets often meet and are lost. A faster preset, fewer relays that pass on "
        f"everything, or rarer position and telemetry messages give it room. {_chatter(case)}".rstrip(),
        () if busy else tuple(places),
    )


def _batteries(case: _Case) -> Iterable[Finding]:
    empty = [index for index, use in enumerate(case.outcome.use) if use.off_s > 0]
    if empty:
        longest = max(empty, key=lambda index: case.outcome.use[index].off_s)
        yield Finding(
            "bad",
            f"The battery ran empty at {counted(len(empty), 'place', low=True)}: {case.named(empty)}.",
            f"Longest at {case.outcome.stations[longest].name}, {duration(case.outcome.use[longest].off_s)}. "
            f"A larger panel or battery helps, or fewer hours in which the device works for others.",
            tuple(empty),
        )


def _one_way(case: _Case) -> Iterable[Finding]:
    pairs = case.reach.one_way()
    total = len(pairs) + sum(map(len, case.reach.mutual)) // 2
    if total and 100 * len(pairs) / total > _MANY_ONE_WAY_PERCENT:
        yield Finding(
            "note",
            f"{len(pairs)} of {total} links work in one direction only.",
            "One side hears the other but is not heard back. A higher antenna at the weaker side mends most of them.",
        )


def _answers(case: _Case) -> Iterable[Finding]:
    figures = case.figures
    if not figures.asked:
        yield Finding("note", "Nobody asked anything.", "So this run says only who hears whom.")
        return
    share = figures.answered_percent or 0.0
    if figures.failed:
        failed = figures.asked - figures.answered
        where = Counter(each.station for each in case.outcome.asked if each.ending == "failed")
        most = [station for station, _ in where.most_common()]
        reasons = "; ".join(f"{reason.rstrip('.')} ({count})" for reason, count in list(figures.failed.items())[:3])
        severity = "note" if share >= _WELL_PERCENT else "warning" if share >= _POOR_PERCENT else "bad"
        yield Finding(
            severity,
            f"{failed} of {figures.asked} questions got no answer.",
            f"What people were told: {reasons}. Asked at {case.named(most)}.",
            tuple(most),
        )


def _emergencies(case: _Case) -> Iterable[Finding]:
    urgent = [each for each in case.outcome.asked if each.emergency]
    if urgent:
        answered = sum(each.ending != "failed" for each in urgent)
        seconds = _usual_seconds(urgent, enough=1)
        share = 100 * answered / len(urgent)
        yield Finding(
            "note" if share >= _WELL_PERCENT else "bad",
            f"In the emergency {answered} of {len(urgent)} questions got an answer"
            + (f", half of them within {seconds_words(seconds)}." if seconds is not None else "."),
            "" if share >= _WELL_PERCENT else "Many ask at once then. More models and a faster preset help most.",
        )


def _faults(case: _Case) -> Iterable[Finding]:
    if total := sum(case.outcome.faults.values()):
        kinds = ", ".join(f"{kind.replace('_', ' ')} {count}" for kind, count in sorted(case.outcome.faults.items()))
        yield Finding("note", f"{total} faults were put into this run on purpose.", f"{kinds.capitalize()}.")


_RULES: tuple[Callable[[_Case], Iterable[Finding]], ...] = (
    _land,
    _checks,
    _models,
    _deaf,
    _mute,
    _apart,
    _too_far,
    _answers,
    _emergencies,
    _batteries,
    _dependence,
    _busy_air,
    _evening,
    _one_way,
    _faults,
)


def _all_well(case: _Case) -> Finding:
    figures = case.figures
    seconds = f", half of them within {seconds_words(figures.seconds_p50)}" if figures.seconds_p50 is not None else ""
    return Finding(
        "good",
        f"All is well: {figures.answered} of {figures.asked} questions got an answer{seconds}.",
        "Every house has a way to a model, and the air has room.",
    )


def _mend(case: _Case, stranded: Sequence[int], spot: Spot | None) -> str:
    if spot is None:
        return "They are too far for one relay: raise the antennas, or put two or more relays in between."
    if spot.at is not None and spot.at in stranded:
        where = f"raise the antenna at {case.outcome.stations[spot.at].name}, and let its radio pass on for the others"
        return f"To mend it, {where}." if len(stranded) > 1 else "Raise the antenna there by some metres."
    joins = "" if len(spot.connects) == len(stranded) else f" It would join {case.named(spot.connects)}."
    return f"Raise an antenna, or put a router (a relay with a good place) {_place(case, spot)}.{joins}"


def _place(case: _Case, spot: Spot) -> str:
    near = case.outcome.stations[spot.nearest]
    east_m, north_m = spot.x_m - near.x_m, spot.y_m - near.y_m
    distance_m = math.hypot(east_m, north_m)
    if spot.at is not None or distance_m < _HERE_M:
        return f"at {near.name}"
    direction = _DIRECTIONS[round(math.atan2(north_m, east_m) / (math.pi / 4)) % 8]
    return f"{metres_words(distance_m)} {direction} of {near.name} ({_coordinates(case, spot)})"


def _coordinates(case: _Case, spot: Spot) -> str:
    for place in case.outcome.scenario.places:
        if place.latitude is not None and place.longitude is not None:
            latitude = place.latitude + (spot.y_m - place.y_m) / _METRES_A_DEGREE
            metres = _METRES_A_DEGREE * max(0.01, math.cos(math.radians(place.latitude)))
            return f"{latitude:.4f}, {place.longitude + (spot.x_m - place.x_m) / metres:.4f}"
    return f"{spot.x_m:.0f} m east, {spot.y_m:.0f} m north on the map"


def _load(case: _Case) -> dict[tuple[int, int], float]:
    """(House with a model, hour of the day) -> percent of its busiest such hour in which it wrote for others."""
    people = case.outcome.scenario.people
    rate = {device.model: device.tokens_per_s * device.slots for device in case.outcome.scenario.devices}
    work_s: Counter[tuple[int, int]] = Counter()
    for each in case.outcome.asked:
        if each.answered_by is not None:
            fastest = max((rate.get(model, 0.0) for model in case.outcome.stations[each.answered_by].models), default=0)
            if fastest > 0:
                seconds = people.answer_chars / _CHARACTERS_A_TOKEN / fastest
                work_s[each.answered_by, int(each.time_s // 3600)] += math.ceil(seconds)
    load: dict[tuple[int, int], float] = {}
    for (house, hour), seconds in work_s.items():
        key = house, int(case.outcome.scenario.start_hour + hour) % 24
        load[key] = max(load.get(key, 0.0), seconds / 36)
    return load


def _chatter(case: _Case) -> str:
    air = case.outcome.airtime_by_kind_s
    own_s = sum(air.get(kind, 0.0) for kind in ("nodeinfo", "position", "telemetry"))
    total_s = sum(air.values())
    return f"{100 * own_s / total_s:.0f} % of the air went to such messages." if total_s else ""


def _hour(case: _Case, asked: Asked) -> int:
    return int(case.outcome.scenario.start_hour + asked.time_s / 3600) % 24


def _usual_seconds(asked: Iterable[Asked], enough: int = _ENOUGH) -> float | None:
    seconds = [each.seconds for each in asked if each.ending == "answered"]
    return median(seconds) if len(seconds) >= enough else None


def _failed_percent(asked: Sequence[Asked]) -> float:
    return 100 * sum(each.ending == "failed" for each in asked) / len(asked) if asked else 0.0
