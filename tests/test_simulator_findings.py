"""What a run shows, in plain words: each rule with the smallest map that it must speak about, and one it must not."""

from __future__ import annotations

from random import Random

import pytest
from outcomes import both_ways, outcome, station

from simulator.outcome import Asked, LinkUse, Outcome, Station
from simulator.report.findings import SEVERITIES, Finding, findings
from simulator.report.reach import reach
from simulator.scenario.plan import DevicePlan, RadioPlan, SpecialRadio
from simulator.summary import summary


def found(run: Outcome) -> tuple[Finding, ...]:
    return findings(run, summary(run))


def said(run: Outcome, words: str) -> Finding:
    fitting = [finding for finding in found(run) if words in finding.title]
    assert len(fitting) == 1, [finding.title for finding in found(run)]
    return fitting[0]


def silent(run: Outcome, words: str) -> bool:
    return not any(words in finding.title for finding in found(run))


def row(length: int, *, model_at: int = 0, step_m: float = 1000.0) -> list[Station]:
    """House 0, House 1 … in a row, one with a model."""
    return [
        station(f"House {number}", number * step_m, 0.0, *(("tiny",) if number == model_at else ()))
        for number in range(length)
    ]


def chain(length: int) -> list[LinkUse]:
    return both_ways(*((number, number + 1) for number in range(length - 1)))


def answered(count: int, *, at_hour: float = 6.0, seconds: float = 10.0, ending: str = "answered") -> list[Asked]:
    by = 0 if ending == "answered" else None
    return [Asked(at_hour * 3600 + number, 1, "en", ending, seconds, by, 1) for number in range(count)]


def test_without_terrain_the_first_thing_said_is_that_hills_and_walls_are_unknown() -> None:
    run = outcome(row(2), [], terrain="")
    assert found(run)[0].title == "Hills and walls unknown."
    assert silent(outcome(row(2), []), "Hills")


def test_all_is_well_is_said_when_nothing_is_to_be_mended() -> None:
    run = outcome(row(3), chain(3), answered(20))
    run.use[0].answered = 5
    assert [finding.severity for finding in found(run)] == ["good"]
    assert said(run, "All is well: 20 of 20").severity == "good"


def test_houses_that_hear_nobody_are_named_with_a_place_for_a_router() -> None:
    stations = [*row(3), station("Far", 3700, 0), station("Farther", 3900, 200)]
    finding = said(outcome(stations, chain(3)), "Two houses never hear anybody: Far and Farther.")
    assert finding.severity == "bad"
    assert finding.stations == (3, 4)
    assert finding.spot_m is not None
    assert 2900 <= finding.spot_m[0] <= 3000
    assert "put a router" in finding.advice
    assert "m west of Far (2920 m east, 200 m north on the map)" in finding.advice


def test_the_place_for_a_router_comes_with_coordinates_where_the_map_has_them() -> None:
    stations = [*row(3), station("Far", 3700, 0)]
    run = outcome(stations, chain(3))
    places = run.scenario.places
    object.__setattr__(places[0], "latitude", 47.0)
    object.__setattr__(places[0], "longitude", 8.0)
    assert "(47.0000, 8.03" in said(run, "One house never hears anybody").advice


def test_a_house_beyond_what_one_relay_can_do_is_told_so() -> None:
    run = outcome([*row(3), station("Far", 9000, 0)], chain(3))
    finding = said(run, "One house never hears anybody: Far.")
    assert finding.spot_m is None
    assert "too far for one relay" in finding.advice


def test_a_house_that_hears_but_is_not_heard_is_named() -> None:
    run = outcome(row(3), [*chain(2), LinkUse(1, 2, -15.0)])
    assert said(run, "One house hears others but is not heard back: House 2.").severity == "bad"
    assert said(run, "1 of 2 links work in one direction only.").severity == "note"


def test_houses_that_only_hear_one_another_are_told_apart_by_whether_they_have_a_model() -> None:
    without = outcome(row(5), both_ways((0, 1), (1, 2), (3, 4)))
    assert said(without, "Two places hear one another but not the rest: House 3 and House 4.").severity == "bad"
    with_model = outcome(
        [*row(3), station("X", 3500, 0, "tiny"), station("Y", 4000, 0)], both_ways((0, 1), (1, 2), (3, 4))
    )
    assert said(with_model, "Two places hear one another").severity == "warning"


def test_the_hop_limit_to_raise_to_is_the_one_that_reaches_the_last_house() -> None:
    run = outcome(row(7), chain(7))
    finding = said(run, "too many hops from the nearest model: House 5 and House 6.")
    assert "Raise the hop limit to 5" in finding.advice
    assert silent(outcome(row(7), chain(7), radio=RadioPlan(hop_limit=5)), "too many hops")


def test_radios_with_a_hop_limit_of_their_own_are_judged_by_it() -> None:
    raised = RadioPlan(special=(SpecialRadio(("House *",), hop_limit=5),))
    assert silent(outcome(row(7), chain(7), radio=raised), "too many hops")


def test_what_no_hop_limit_can_reach_is_said_without_advice_to_raise_it() -> None:
    finding = said(outcome(row(10), chain(10), radio=RadioPlan(hop_limit=7)), "further from any model than packets can")
    assert finding.stations == (9,)


def test_a_relay_that_several_houses_hang_on_is_named_with_them() -> None:
    stations = [*row(2), station("Hill", 500, 900, house=False), station("C"), station("D")]
    run = outcome(stations, both_ways((0, 1), (0, 2), (2, 3), (2, 4), (3, 4)))
    finding = said(run, "Two houses depend on Hill alone.")
    assert finding.stations == (2, 3, 4)
    ring = both_ways((0, 2), (2, 3), (3, 4), (4, 0), (0, 1))
    assert silent(outcome(stations, ring), "depend on")


def test_a_mute_radio_passes_nothing_on() -> None:
    stations = row(4)
    stations[1] = Station("Mute", 1000, 0, 2, "CLIENT_MUTE", True)
    known = reach(outcome(stations, chain(4)))
    assert known.distances([0]) == {0: 0, 1: 1}
    assert [sorted(part) for part in known.parts()] == [[0, 1], [2, 3]]


@pytest.mark.parametrize("seed", range(40))
def test_who_depends_on_whom_is_what_taking_each_radio_away_shows(seed: int) -> None:
    rng = Random(f"dependents {seed}")
    size = 12
    stations = [
        Station(str(number), 0, 0, 2, rng.choice(("CLIENT", "CLIENT", "CLIENT_MUTE")), True) for number in range(size)
    ]
    pairs = {tuple(sorted(rng.sample(range(size), 2))) for _ in range(16)}
    goals = rng.sample(range(size), 2)
    known = reach(outcome(stations, both_ways(*pairs)))
    whole = set(known.distances(goals))
    wanted = {
        one: lost
        for one in range(size)
        if one not in goals and (lost := whole - set(known.distances(goals, without=one)) - {one})
    }
    assert known.dependents(goals) == wanted, f"seed {seed}"


def test_nobody_with_a_model_is_bad_news() -> None:
    assert said(outcome(row(3, model_at=9), chain(3)), "Nobody has a model.").severity == "bad"


def test_air_above_a_quarter_is_named_with_its_hours() -> None:
    run = outcome(row(3), chain(3), answered(20))
    for use in run.use:
        use.utilisation_by_hour = [5.0] * 24
        use.utilisation_by_hour[12:15] = [30.0, 41.0, 26.0]
    assert said(run, "The air is too busy from 18 to 21 h: up to 41 %.").severity == "warning"


def test_air_that_is_busy_at_one_place_only_is_a_note_that_names_it() -> None:
    run = outcome(row(6), chain(6), answered(20))
    run.use[2].utilisation_by_hour[23] = 60.0
    finding = said(run, "The air is too busy from 5 to 6 h at House 2: up to 60 %.")
    assert (finding.severity, finding.stations) == ("note", (2,))


def test_slow_evenings_are_blamed_on_the_models_while_the_air_is_free() -> None:
    asked = [*answered(20), *answered(20, at_hour=13, seconds=60)]
    finding = said(outcome(row(3), chain(3), asked), "In the evening an answer takes 60 s instead of 10 s.")
    assert "models are too few or too slow" in finding.advice


def test_slow_evenings_are_blamed_on_the_air_when_it_is_full() -> None:
    run = outcome(row(3), chain(3), [*answered(20), *answered(20, at_hour=13, seconds=60)])
    for use in run.use:
        use.utilisation_by_hour = [40.0] * 24
    assert "air is full" in said(run, "In the evening an answer takes").advice
    assert said(run, "The air is too busy all day").severity == "warning"


def test_failures_in_the_evening_are_compared_with_the_rest_of_the_day() -> None:
    asked = [*answered(20), *answered(12, at_hour=13), *answered(8, at_hour=14, ending="failed", seconds=300)]
    assert said(outcome(row(3), chain(3), asked), "In the evening 40 % of the questions fail, else 0 %.")


def test_a_model_with_more_work_than_time_is_named_with_its_hours() -> None:
    devices = (DevicePlan("old phone", model="tiny", tokens_per_s=1.0),)
    run = outcome(row(3), chain(3), answered(40, at_hour=13), devices=devices)
    assert said(run, "Models have more work than they can do from 19 to 20 h: House 0.").severity == "warning"


def test_one_single_house_that_answers_everybody_is_a_risk() -> None:
    run = outcome(row(3), chain(3), answered(20))
    run.use[0].answered = 20
    assert said(run, "Only House 0 answers others.").severity == "warning"


def test_empty_batteries_are_named_with_the_longest() -> None:
    run = outcome(row(3), chain(3))
    run.use[1].off_s, run.use[2].off_s = 600.0, 9 * 3600.0
    finding = said(run, "The battery ran empty at two places: House 1 and House 2.")
    assert "Longest at House 2, 9 hours" in finding.advice


@pytest.mark.parametrize(("failures", "severity"), [(1, "note"), (10, "warning"), (60, "bad")])
def test_failed_questions_are_said_with_what_people_were_told(failures: int, severity: str) -> None:
    failed = [Asked(0, 2, "en", "failed", 300.0, why="nobody is in reach.") for _ in range(failures)]
    finding = said(outcome(row(3), chain(3), [*answered(99), *failed]), f"{failures} of {99 + failures} questions")
    assert finding.severity == severity
    assert f"nobody is in reach ({failures}). Asked at House 2." in finding.advice


def test_an_emergency_is_reported_on_its_own() -> None:
    asked = [Asked(60, 1, "en", "answered", 20.0, 0, emergency=True), Asked(60, 1, "en", "failed", 9.0, emergency=True)]
    assert said(outcome(row(3), chain(3), asked), "In the emergency 1 of 2 questions got an answer").severity == "bad"


def test_what_a_checker_found_stands_first_and_faults_are_a_note() -> None:
    run = outcome(row(2), chain(2), answered(20))
    run.violations = ["an answer reached a wrong asker", "an answer reached a wrong asker"]
    run.faults = {"crash": 2, "disk_full": 1}
    assert found(run)[0].title == "A check of the run failed: an answer reached a wrong asker."
    assert said(run, "3 faults were put into this run").advice == "Crash 2, disk full 1."


def test_findings_come_in_the_order_of_their_severity() -> None:
    run = outcome([*row(7), station("Far", 50_000, 0)], chain(7), answered(5), terrain="")
    order = [SEVERITIES.index(finding.severity) for finding in found(run)]
    assert order == sorted(order)


def test_a_run_of_one_radio_or_none_can_be_told_too() -> None:
    assert said(outcome(row(1), []), "One house never hears anybody")
    assert said(outcome([], []), "Nobody asked anything.")


def test_long_lists_of_names_are_cut() -> None:
    stations = [station(f"Lone {number}", number * 90_000.0) for number in range(14)]
    title = said(outcome(stations, []), "14 houses never hear anybody").title
    assert title.endswith("Lone 0, Lone 1, Lone 2, Lone 3, Lone 4 and 9 more.")
