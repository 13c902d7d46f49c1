"""The figures of a run that matter to a person."""

from __future__ import annotations

import json

import pytest
from outcomes import both_ways, outcome, station, village

from simulator.outcome import Asked
from simulator.summary import percentile, summary, wilson_percent


def test_a_run_in_which_nobody_asked_has_no_shares_and_no_seconds() -> None:
    form = summary(outcome([station("A"), station("B")], [])).form()
    assert form["asked"] == 0
    for name in ("answered_percent", "answered_percent_range", "cached_percent", "seconds_p50", "seconds_p95"):
        assert form[name] is None, name
    assert form["air_s_per_answer"] is None
    assert form["energy_wh_per_answer"] is None
    assert form["busiest_relay"] is None


def test_a_run_without_any_station_has_figures_too() -> None:
    assert summary(outcome([], [])).form()["utilisation_percent_by_hour"] == []


def test_cached_and_fixed_answers_count_as_answered_and_failures_are_sorted_by_reason() -> None:
    asked = [
        Asked(0, 0, "en", "answered", 10.0, 1),
        Asked(1, 0, "en", "cached", 0.0),
        Asked(2, 0, "en", "fixed", 0.0),
        Asked(3, 0, "en", "failed", 300.0, why="too late"),
        Asked(4, 0, "en", "failed", 300.0, why="nobody there"),
        Asked(5, 0, "en", "failed", 300.0, why="nobody there"),
        Asked(6, 0, "en", "failed", 300.0),
        Asked(7, 0, "en", "answered", 30.0, 1),
    ]
    figures = summary(outcome([station("A"), station("B", 9, 9, "tiny")], both_ways((0, 1)), asked))
    assert (figures.asked, figures.answered, figures.cached, figures.fixed) == (8, 4, 1, 1)
    assert (figures.answered_percent, figures.cached_percent) == (50.0, 12.5)
    assert list(figures.failed.items()) == [("nobody there", 2), ("no reason given", 1), ("too late", 1)]
    assert (figures.seconds_p50, figures.seconds_p95) == (5.0, pytest.approx(27.0))


def test_air_and_energy_are_charged_to_the_answers_failed_questions_included() -> None:
    asked = [Asked(0, 0, "en", "answered", 9.0, 1), Asked(1, 0, "en", "failed", 300.0)]
    run = outcome([station("A"), station("B", 9, 9, "tiny")], both_ways((0, 1)), asked)
    run.airtime_by_kind_s = {"question": 2.0, "answer": 3.0, "control": 1.0, "telemetry": 50.0}
    run.use[0].energy_wh, run.use[1].energy_wh = 3.0, 4.0
    figures = summary(run)
    assert figures.air_per_answer_s == 6.0
    assert figures.energy_per_answer_wh == 7.0


def test_use_by_hour_follows_the_clock_and_names_mean_and_worst() -> None:
    run = outcome([station("A"), station("B")], [], start_hour=22.0)
    run.use[0].utilisation_by_hour = [10.0, 20.0, 30.0]
    run.use[1].utilisation_by_hour = [30.0, 20.0]
    assert summary(run).form()["utilisation_percent_by_hour"] == [
        {"hour": 22, "mean": 20.0, "worst": 30.0},
        {"hour": 23, "mean": 20.0, "worst": 20.0},
        {"hour": 0, "mean": 30.0, "worst": 30.0},
    ]


def test_the_busiest_relay_is_who_passed_on_most() -> None:
    run = outcome([station("A"), station("Hill", house=False), station("C")], [])
    run.use[0].relayed, run.use[1].relayed = 3, 9
    run.use[1].sent_s, run.use[1].utilisation_by_hour = 12.34, [10.0, 31.0]
    assert summary(run).form()["busiest_relay"] == {
        "name": "Hill",
        "relayed": 9,
        "sent_s": 12.3,
        "utilisation_percent": 20.5,
        "utilisation_percent_worst_hour": 31.0,
    }


def test_answers_are_counted_for_every_house_with_a_model_and_no_other() -> None:
    run = outcome([station("A", 0, 0, "tiny"), station("B"), station("C", 0, 0, "tiny")], [])
    run.use[2].answered = 4
    assert list(summary(run).answers_by_house.items()) == [("C", 4), ("A", 0)]


@pytest.mark.parametrize(
    ("successes", "tries", "low", "high"),
    [(0, 10, 0.0, 27.75), (10, 10, 72.25, 100.0), (5, 10, 23.66, 76.34), (380, 400, 92.40, 96.74)],
)
def test_the_interval_of_a_share_is_wilsons(successes: int, tries: int, low: float, high: float) -> None:
    assert wilson_percent(successes, tries) == pytest.approx((low, high), abs=0.01)


def test_a_percentile_lies_on_the_line_between_two_values() -> None:
    assert percentile([], 50) is None
    assert percentile([7.0], 95) == 7.0
    assert percentile([1.0, 2.0, 3.0, 4.0], 50) == 2.5
    assert percentile([1.0, 2.0], 100) == 2.0


def test_the_form_is_json_and_the_same_for_equal_runs() -> None:
    forms = [json.dumps(summary(village(5, houses=12, models=3, questions=60, hours=6)).form()) for _ in range(2)]
    assert forms[0] == forms[1]
    assert json.loads(forms[0])["asked"] == 60
