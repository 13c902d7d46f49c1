"""A plan said in plain words: what to buy, where it goes, how to set it, and whether it will do.

Pure functions from data to strings; `meshai.commands.sim.plan` shows them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from simulator.planning import RELAY_MODE, RELAY_ROLE, link_holds_percent
from simulator.report.wording import listed, metres_words

if TYPE_CHECKING:
    from simulator.planning import Plan, Relay, Wishes
    from simulator.sweep import RunFigures

__all__ = ["Spread", "cost", "remarks", "sections", "spread_of"]

_WELL_PERCENT, _POOR_PERCENT = 90.0, 70.0
_BUSY_PERCENT = 25.0
_DEPENDS_SHOWN = 3
_DIRECTIONS = ("east", "north-east", "north", "north-west", "west", "south-west", "south", "south-east")


class Spread(NamedTuple):
    """A figure over the seeds."""

    mean: float
    low: float
    """In the run where it was least."""
    high: float


def spread_of(runs: Sequence[RunFigures]) -> dict[str, Spread | None]:
    """The figures that are told of the trial runs; None where no run has one. The share answered is that of all."""
    asked, answered = sum(run.asked for run in runs), sum(run.answered for run in runs)
    share = _spread([run.answered_percent for run in runs])
    return {
        "answered_percent": share._replace(mean=100 * answered / asked) if share and asked else None,
        "seconds_p50": _spread([run.seconds_p50 for run in runs]),
        "seconds_p95": _spread([run.seconds_p95 for run in runs]),
        "utilisation_percent": _spread([run.utilisation_percent for run in runs]),
        "utilisation_percent_worst": _spread([run.utilisation_percent_worst for run in runs]),
    }


def cost(plan: Plan, radio_price: float | None, relay_price: float | None) -> float | None:
    """What the radios cost together; None unless a price is known. A relay costs as much as a radio unless told."""
    if radio_price is None and relay_price is None:
        return None
    each = radio_price if radio_price is not None else 0.0
    return round(len(plan.houses) * each + plan.relay_radios * (each if relay_price is None else relay_price), 2)


def sections(
    plan: Plan, wishes: Wishes, runs: Sequence[RunFigures], radio_price: float | None, relay_price: float | None
) -> Iterator[tuple[str, list[str]]]:
    """Titles, and the lines below each, in the order in which a planner asks."""
    if runs:
        yield "Will it work?", list(_verdict(plan, runs))
    yield "To buy", list(_shopping(plan, radio_price, relay_price))
    if plan.relays:
        yield "Relays", [_relay_line(plan, relay) for relay in plan.relays]
    yield "Settings", list(_settings(plan))
    yield "Models", list(_models(plan))
    if plan.left_out:
        yield "Staying out", [f"{listed(each.houses)}: {each.why}" for each in plan.left_out]
    yield "To bear in mind", list(_caveats(plan, wishes))


def remarks(plan: Plan, wishes: Wishes) -> list[str]:
    """What is worth keeping in the plan's file."""
    return [
        *_shopping(plan, None, None),
        *(_relay_line(plan, relay) for relay in plan.relays),
        *(f"Staying out: {listed(each.houses)}: {each.why}" for each in plan.left_out),
        *_caveats(plan, wishes),
    ]


def _verdict(plan: Plan, runs: Sequence[RunFigures]) -> Iterator[str]:
    found = spread_of(runs)
    share, half, most = found["answered_percent"], found["seconds_p50"], found["seconds_p95"]
    if share is None:
        yield "Nobody asked anything in the trial runs: nothing can be said."
        return
    word = "Yes" if share.mean >= _WELL_PERCENT else "In part" if share.mean >= _POOR_PERCENT else "Not well"
    yield (
        f"{word}: {share.mean:.0f} % of the questions were answered, {share.low:.0f} to {share.high:.0f} % over "
        f"{len(runs)} trial run{'s' if len(runs) > 1 else ''} of {plan.scenario.hours:g} hours from "
        f"{plan.scenario.start_hour:.0f}:00."
    )
    if half and most:
        yield f"Half of the answers came within {half.mean:.0f} s, 19 of 20 within {most.mean:.0f} s."
    use, worst = found["utilisation_percent"], found["utilisation_percent_worst"]
    if use and worst:
        full = " That is too much: a faster preset gives room." if worst.mean > _BUSY_PERCENT else ""
        yield f"The air was in use {use.mean:.0f} % of the time, {worst.mean:.0f} % where and when it was worst.{full}"


def _shopping(plan: Plan, radio_price: float | None, relay_price: float | None) -> Iterator[str]:
    yield f"{_count(len(plan.houses), 'radio')} for as many houses"
    if plan.relay_radios:
        yield f"{_count(plan.relay_radios, 'relay')}: a radio, battery and panel, and a mast each"
    elif not plan.masts:
        yield "no relay: the houses hear one another"
    if plan.masts:
        yield f"{_count(plan.masts, 'mast')} on {'a roof' if plan.masts == 1 else 'roofs'}, for radios of houses"
    yield f"{_count(len(plan.models), 'device')} with a model"
    if (price := cost(plan, radio_price, relay_price)) is not None:
        yield f"Radios and relays cost {price:,.2f} together."


def _relay_line(plan: Plan, relay: Relay) -> str:
    place = relay.place
    where = f"on the roof of {place.name}" if relay.on_roof else f"{place.name}: {_where(plan, relay)}"
    extras = [f"antenna at {place.antenna_m:g} m"]
    if relay.given:
        extras.append("the map has it")
    if relay.spare:
        extras.append("in case another fails")
    if relay.needed_by:
        extras.append(f"needed by {listed(relay.needed_by)}")
    start = f"{where}, {_coordinates(relay)}" if relay.on_roof else where
    return f"{start}; {', '.join(extras)}"


def _where(plan: Plan, relay: Relay) -> str:
    place = relay.place
    houses = [one for one in plan.scenario.places if one.is_house]
    near = min(houses, key=lambda one: (math.dist((one.x_m, one.y_m), (place.x_m, place.y_m)), one.name))
    east_m, north_m = place.x_m - near.x_m, place.y_m - near.y_m
    direction = _DIRECTIONS[round(math.atan2(north_m, east_m) / (math.pi / 4)) % 8]
    return f"{_coordinates(relay)}, {metres_words(math.hypot(east_m, north_m))} {direction} of {near.name}"


def _coordinates(relay: Relay) -> str:
    place = relay.place
    if place.latitude is not None and place.longitude is not None:
        return f"{place.latitude:.5f}, {place.longitude:.5f}"
    east, north = "west" if place.x_m <= -0.5 else "east", "south" if place.y_m <= -0.5 else "north"
    return f"{abs(place.x_m):.0f} m {east}, {abs(place.y_m):.0f} m {north} of the map's origin"


def _settings(plan: Plan) -> Iterator[str]:
    radio = plan.scenario.radio
    most = max(plan.hops.values(), default=0)
    power = "" if radio.power_dbm is None else f", {radio.power_dbm:g} dBm"
    yield f"All radios: {radio.preset}, {radio.region}{power}, hop limit {radio.hop_limit}, role {radio.role}"
    if plan.relays:
        yield f"Relays: role {RELAY_ROLE}, rebroadcast mode {RELAY_MODE}; else a router drops meshai's packets"
    yield f"The farthest house's questions are passed on {_count(most, 'time')} on the way to the nearest model."


def _models(plan: Plan) -> Iterator[str]:
    device = plan.scenario.devices[0]
    yield f"They stand best at {listed(plan.models)}."
    yield (
        f"In the busiest hour {plan.questions_at_peak:.0f} questions come; a device that writes "
        f"{device.tokens_per_s:g} tokens a second is busy {plan.model_busy_percent:.0f} % of it."
    )
    if plan.questions_at_peak > plan.air_questions_per_hour:
        yield (
            f"The air lets about {plan.air_questions_per_hour:.0f} an hour pass: more models won't help, "
            f"a faster preset does."
        )
    if len(plan.models) == 1:
        yield "With a single one nobody gets new answers while it is off: a second one is worth having."


def _caveats(plan: Plan, wishes: Wishes) -> Iterator[str]:
    radio = plan.scenario.radio
    yield (
        f"Links count where they have {wishes.margin_db:g} dB to spare: with usual houses and trees even the weakest "
        f"of them works {link_holds_percent(radio, wishes.margin_db):.0f} times of 100."
    )
    for name, houses in list(plan.depends.items())[:_DEPENDS_SHOWN]:
        yield f"{_count(len(houses), 'house')} depend on the radio at {name} alone: {listed(houses)}."
    if plan.depends and not wishes.spare:
        yield "With --spare the plan has a second way for them."


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _spread(values: Sequence[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(fmean(known), min(known), max(known)) if known else None
