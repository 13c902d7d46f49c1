"""Places that move: where they are when, what links they have there, and what they hear once they are near."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import pytest
import trio

from nodes.sharing import always
from simulator import kernel
from simulator.links import links, links_of
from simulator.scenario.parsing import parse
from simulator.scenario.plan import DevicePlan, PeoplePlan, Place, RadioPlan, Scenario, Walk
from simulator.scenario.reading import load_scenario
from simulator.scenario.trouble import ScenarioError
from simulator.walking import LOOK_M, LOOK_S_MIN, course_of, moved
from simulator.world.faults import Fault, FaultMaker
from simulator.world.live import run_scenario
from simulator.world.village import Village
from simulator.world.walks import Walks

HOME = Place("house 3", 0.0, 100.0)
WALK = Walk(("house 3",), ((0.0, 0.0), (300.0, 0.0)), speed_kmh=3.6, starts_hour=8.0)
"""A hundred metres and three hundred, a metre a second."""


@pytest.mark.parametrize(
    ("time_s", "there"),
    [
        (-300, (0, 100)),
        (3600, (0, 100)),
        (3630, (0, 70)),
        (3700, (0, 0)),
        (3850, (150, 0)),
        (4000, (300, 0)),
        (9000, (300, 0)),
        (3600 + 86400, (300, 0)),
    ],
)
def test_a_walker_is_on_its_way_from_its_hour_on_and_stays_where_it_ends(time_s, there):
    assert course_of(WALK, HOME, 7.0).at(time_s) == pytest.approx(there)


@pytest.mark.parametrize(
    ("time_s", "there"), [(4000, (300, 0)), (4300, (0, 0)), (4350, (0, 50)), (4400, (0, 100)), (4000 + 86400, (300, 0))]
)
def test_who_comes_back_takes_the_same_way_and_goes_again_the_next_day(time_s, there):
    assert course_of(replace(WALK, and_back=True), HOME, 7.0).at(time_s) == pytest.approx(there)


def test_a_walk_whose_hour_is_past_when_the_run_begins_waits_for_the_next_day():
    assert course_of(WALK, HOME, 9.0).starts_s == 23 * 3600


@pytest.mark.parametrize("speed_kmh", [0.5, 3.6, 90.0])
def test_a_way_is_looked_at_every_so_many_metres_and_to_its_end(speed_kmh):
    course = course_of(replace(WALK, speed_kmh=speed_kmh), HOME, 8.0)
    looks = list(course.looks_s())
    each_s = looks[1] - looks[0]
    assert each_s == pytest.approx(max(LOOK_M / (speed_kmh / 3.6), LOOK_S_MIN))
    assert course.at(looks[-1]) == (300.0, 0.0)
    assert course.at(looks[-1] - each_s) != (300.0, 0.0)


def test_a_daily_walk_is_looked_at_each_day_and_a_walk_to_nowhere_never():
    daily = course_of(replace(WALK, and_back=True), HOME, 8.0)
    looks = list(islice(daily.looks_s(), 64))
    assert looks[32:] == [time_s + 86400 for time_s in looks[:32]]
    for and_back in (False, True):
        assert list(course_of(Walk(("*",), ((0.0, 100.0),), and_back=and_back), HOME, 8.0).looks_s()) == []


def test_a_place_with_degrees_has_those_of_where_it_is():
    there = moved(replace(HOME, latitude=60.0, longitude=10.0), 1000.0, 100.0)
    assert (there.x_m, there.latitude) == (1000.0, 60.0)
    assert there.longitude == pytest.approx(10.0179864, abs=1e-6)
    assert moved(HOME, 5.0, 6.0) == replace(HOME, x_m=5.0, y_m=6.0)


# Links


@pytest.mark.parametrize("name", ["hill-relay", "apartment-block", "festival-1000"])
def test_links_of_one_place_are_those_that_all_links_have_for_it(name):
    scenario = load_scenario(name)
    for x_m, y_m in ((0.0, 0.0), (900.0, -400.0)):
        place = replace(scenario.places[5], x_m=x_m, y_m=y_m)
        there = replace(scenario, places=(*scenario.places[:5], place, *scenario.places[6:]))
        wanted = [link for link in links(there, 7) if 5 in link[:2]]
        assert list(links_of(scenario, 7, 5, place)) == wanted
        assert wanted


# In a village

FAR = (Place("house 0", 0.0, 0.0), Place("hut", 20_000.0, 0.0))
COMES = Walk(("hut",), ((300.0, 0.0),), speed_kmh=60.0, starts_hour=12.0)
"""In reach after about twenty minutes."""


def far_hut(**changes: object) -> Scenario:
    plan = Scenario(
        "hut",
        "A hut",
        "",
        FAR,
        hours=1.0,
        start_hour=12.0,
        radio=RadioPlan(preset="MEDIUM_FAST", chatter=False, shadowing_db=0.0, asymmetry_db=0.0),
        devices=(DevicePlan("computer", at=("house 0",), tokens_per_s=20.0),),
        people=PeoplePlan(questions_per_day=24 * 60, answer_chars=120, patience_s=60),
        walks=(COMES,),
    )
    return replace(plan, **changes)


def test_who_is_out_of_reach_is_answered_once_in_reach_and_the_same_seed_walks_the_same_way():
    outcome = run_scenario(far_hut(), 1)
    asked = [one for one in outcome.asked if one.station == 1]
    endings = {early: [one.ending for one in asked if (one.time_s < 900) == early] for early in (True, False)}
    assert set(endings[True]) == {"failed"}
    assert endings[False].count("answered") > 5
    first_s = min(one.time_s for one in asked if one.ending == "answered")
    late = [one.ending for one in asked if one.time_s > first_s + 120]
    assert late.count("failed") < 0.2 * len(late)
    assert outcome.violations == []
    assert [(station.x_m, station.y_m) for station in outcome.stations] == [(0.0, 0.0), (20_000.0, 0.0)]
    assert run_scenario(far_hut(), 1).trace_hash == outcome.trace_hash


def test_who_stays_out_of_reach_is_never_answered():
    outcome = run_scenario(far_hut(walks=()), 1)
    assert {one.ending for one in outcome.asked if one.station == 1} == {"failed"}


def test_a_link_that_moves_stays_cut_until_the_partition_ends_and_then_is_as_it_has_become():
    scenario = far_hut(places=(FAR[0], replace(FAR[1], x_m=600.0)), walks=(replace(COMES, speed_kmh=3.6),))

    async def main():
        village = Village(
            scenario, 1, script=lambda question: question, coder=None, folder=None, sharing=lambda place, plan: always()
        )
        maker = FaultMaker(village, [Fault(60.0, "partition", 0, 100.0, 0.0)], 0.0)
        at_first = village.medium.link("hut", "house 0")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(maker.run)
            nursery.start_soon(Walks(village, maker, 0.0).run)
            await trio.sleep(61)
            assert village.medium.link("hut", "house 0") is None
            await trio.sleep(90)
            assert village.medium.links_of("hut") == village.medium.links_of("house 0") == {}
            await trio.sleep(20)
            for sender, receiver, index in (("hut", "house 0", 1), ("house 0", "hut", 0)):
                there = moved(scenario.places[1], 450.0, 0.0)
                (wanted,) = [link for link in links_of(scenario, 1, 1, there) if link.sender == index]
                assert village.medium.link(sender, receiver).snr_db == wanted.snr_db > at_first.snr_db
            nursery.cancel_scope.cancel()

    kernel.run(main, seed=1)


def test_a_walk_that_leaves_takes_its_links_away():
    scenario = far_hut(places=(FAR[0], replace(FAR[1], x_m=600.0)), walks=(replace(COMES, path=((20_000.0, 0.0),)),))

    async def main():
        village = Village(
            scenario, 1, script=lambda question: question, coder=None, folder=None, sharing=lambda place, plan: always()
        )
        assert village.medium.link("hut", "house 0") is not None
        await Walks(village, FaultMaker(village, [], 0.0), 0.0).run()
        assert village.medium.links_of("hut") == village.medium.links_of("house 0") == {}

    kernel.run(main, seed=1)


# In a file

STREET = '[places]\nshape = "line"\nhouses = 4\n'


def test_walks_are_read_from_a_file():
    text = f'{STREET}[[walks]]\nat = "house 2"\npath = [[0, 0], [40.5, -2]]\nstarts = "09:30"\nand_back = true\n'
    assert parse(text, name="ours").scenario.walks == (
        Walk(("house 2",), ((0.0, 0.0), (40.5, -2.0)), starts_hour=9.5, and_back=True),
    )
    assert parse(STREET, name="ours").scenario.walks == ()


@pytest.mark.parametrize(
    ("walk", "words"),
    [
        ("{ path = [[0, 0]] }", '[walks] has no "at"'),
        ("{ at = '*' }", '[walks] has no "path"; expected it, points in metres'),
        ("{ at = 'house 9', path = [[0, 0]] }", '"house 9" is no place'),
        ("{ at = '*', path = [] }", "expected points in metres east and north"),
        ("{ at = '*', path = [3, 4] }", "expected points in metres east and north"),
        ("{ at = '*', path = [[1, 2, 3]] }", "expected points in metres east and north"),
        ("{ at = '*', path = [[0, inf]] }", "expected points in metres east and north"),
        ("{ at = '*', path = [[0, true]] }", "expected points in metres east and north"),
        ("{ at = '*', path = [[0, 0]], speed_kmh = 0 }", "speed_kmh in [walks] is 0; expected a number above 0"),
        ("{ at = '*', path = [[0, 0]], starts = 24 }", "starts in [walks] is 24; expected a time of the day"),
        ("{ at = '*', path = [[0, 0]], starts = 5 }", "starts 23 hours after the start of the run; expected below 20"),
        ("{ at = '*', path = [[0, 1e5]], and_back = true }", "is back after 50 hours; expected less than 24"),
        ("{ at = '*', path = [[0, 0]] }, { at = 'house 2', path = [[0, 0]] }", '"house 2" goes two ways'),
    ],
)
def test_a_walk_that_can_not_be_is_told_with_its_line_and_what_was_expected(walk, words):
    with pytest.raises(ScenarioError) as caught:
        parse(f"about = 'x'\nhours = 20\nwalks = [{walk}]\n{STREET}", name="ours")
    assert {problem.line for problem in caught.value.problems} == {3}
    assert any(words in f"{problem.what}; {problem.expected}" for problem in caught.value.problems), caught.value


def test_whose_links_were_measured_does_not_walk(tmp_path):
    def node(number, name, **heard):
        position = {"latitude": 47.0 + number / 100, "longitude": 9.0}
        user = {"id": f"!{number:08x}", "longName": name, "shortName": name[:2]}
        return f"!{number:08x}", {"num": number, "user": user, "position": position, **heard}

    nodes = dict([node(1, "Ada"), node(2, "Ben", snr=6.25, hopsAway=0)])
    (tmp_path / "nodes.txt").write_text(f"Nodes in mesh: {json.dumps(nodes)}\n")
    text = "walks = [{ at = 'Ben', path = [[0, 0]] }]\n[places]\nfile = 'nodes.txt'\nlistener = 'Ada'\n"
    with pytest.raises(ScenarioError, match='SNRs of "Ben" were measured where it stood'):
        parse(text, name="ours", folder=tmp_path)
