"""Plans for small maps: who takes part, where relays go, how many models, and that the plan reads back and works."""

import sys
from array import array
from dataclasses import replace
from random import Random

import pytest

from protocol.errors import LocalError
from simulator.placing import mutual_links, parts
from simulator.planfile import plan_file
from simulator.planning import RELAY_MODE, RELAY_ROLE, SPARE_M, Wishes, link_holds_percent, make_plan
from simulator.scenario.layout import Layout, Origin, located
from simulator.scenario.parsing import parse
from simulator.scenario.plan import BlockedPair, PeoplePlan, Place, RadioPlan
from simulator.world.live import run_scenario

RADIO = RadioPlan(power_dbm=22)
HERE = Origin(47.5, 8.5)


def wishes(**how):
    return Wishes(radio=RADIO, hours=0.3, antenna_m=3.0, **how)


def cluster(name, x_m, count=4, seed=1):
    rng = Random(f"{name} {seed}")
    return [Place(f"{name} {index}", x_m + rng.uniform(-100, 100), rng.uniform(-100, 100)) for index in range(count)]


def two_clusters(apart_m=4800):
    return Layout((*cluster("west", 0), *cluster("east", apart_m)))


def test_a_dense_street_needs_no_relay_and_one_model():
    plan = make_plan(Layout(tuple(Place(f"house {index}", 25.0 * index, 0) for index in range(12))), wishes())
    assert (plan.relays, plan.left_out, plan.relay_radios, plan.masts) == ((), (), 0, 0)
    assert len(plan.houses) == 12
    assert (len(plan.models), plan.groups_before, plan.scenario.radio.hop_limit) == (1, 1, 3)


def test_two_clusters_get_one_relay_between_them_and_questions_are_answered_across():
    plan = make_plan(two_clusters(), wishes(people=PeoplePlan(questions_per_day=600), models=1))
    assert (plan.groups_before, plan.left_out) == (2, ())
    (relay,) = plan.relays
    assert not relay.on_roof
    assert 1500 < relay.place.x_m < 3300
    assert relay.place.antenna_m == 8
    (special,) = plan.scenario.radio.special
    assert (special.at, special.role, special.rebroadcast_mode) == ((relay.place.name,), RELAY_ROLE, RELAY_MODE)
    side = plan.models[0].split()[0]
    other = "east" if side == "west" else "west"
    assert all(house.startswith(other) for house in relay.needed_by)
    assert len(relay.needed_by) == 4
    outcome = run_scenario(plan.scenario, 3)
    across = [asked for asked in outcome.asked if outcome.stations[asked.station].name.startswith(other)]
    assert across, "seed 3"
    assert any(asked.ending == "answered" and asked.answered_by is not None for asked in across), "seed 3"
    assert not outcome.violations


def test_masts_on_two_roofs_join_what_no_single_relay_does():
    plan = make_plan(two_clusters(6500), wishes())
    assert plan.relays
    assert plan.left_out == ()
    assert len(plan.relays) == 2
    roofs = {relay.place.name for relay in plan.relays if relay.on_roof}
    heights = {place.name: place.antenna_m for place in plan.scenario.places}
    assert all(heights[name] == 8 for name in roofs)
    assert plan.relay_radios == 2 - len(roofs)
    assert len(plan.houses) == 8


def test_each_relay_of_a_plan_is_needed():
    places = [*cluster("a", 0), *cluster("b", 4500), *cluster("c", 9000), *cluster("d", 13_500, count=2)]
    plan = make_plan(Layout(tuple(places)), wishes())
    assert plan.left_out == ()
    assert len(plan.relays) >= 2
    for relay in plan.relays:
        without = [
            replace(place, antenna_m=3.0) if relay.on_roof and place.name == relay.place.name else place
            for place in plan.scenario.places
            if relay.on_roof or place.name != relay.place.name
        ]
        net = mutual_links(without, (), RADIO, "", 6.0)
        assert len(parts(net, range(len(without)))) > 1, relay


def test_an_island_is_named_as_left_out_with_the_reason():
    layout = Layout((*cluster("west", 0), *cluster("east", 4800), Place("island", 2000, 25_000)))
    plan = make_plan(layout, wishes())
    (left_out,) = plan.left_out
    assert left_out.houses == ("island",)
    assert "25.0 km away" in left_out.why
    assert "relays in a row would be needed for 1 house" in left_out.why
    assert "island" not in plan.houses
    assert len(plan.houses) == 8


def test_a_group_of_houses_gets_no_more_relays_than_it_has_houses():
    places = [*cluster("west", 0), Place("far 1", 14_000, 0), Place("far 2", 14_050, 0)]
    (left_out,) = make_plan(Layout(tuple(places)), wishes()).left_out
    assert left_out.houses == ("far 1", "far 2")
    assert "mesh by themselves" in left_out.why


def write_hill(folder, top=(600, 600), height_m=250):
    """A tile N47E008 of 100 m, with one cone of 900 m radius; row counts from the north."""
    points = 1201

    def height(row, column):
        distance_m = (((row - top[0]) * 92.7) ** 2 + ((column - top[1]) * 62.6) ** 2) ** 0.5
        return int(100 + max(0.0, height_m * (1 - distance_m / 900)))

    heights = array("h", [100]) * (points * points)
    for row in range(top[0] - 20, top[0] + 21):
        for column in range(top[1] - 20, top[1] + 21):
            heights[row * points + column] = height(row, column)
    if sys.byteorder == "little":
        heights.byteswap()
    (folder / "N47E008.hgt").write_bytes(heights.tobytes())


def test_a_hill_draws_the_relay_to_its_top(tmp_path):
    write_hill(tmp_path)
    around = [Place("west", -2600, 0), Place("east", 2600, 0), Place("north", 0, 2600), Place("south", 0, -2600)]
    twins = [replace(place, name=f"{place.name} 2", x_m=place.x_m + 40) for place in around]
    layout = Layout(located([*around, *twins], HERE), origin=HERE)
    plan = make_plan(layout, wishes(terrain=str(tmp_path)))
    (relay,) = plan.relays
    assert plan.left_out == ()
    assert (relay.place.x_m**2 + relay.place.y_m**2) ** 0.5 < 300
    assert relay.place.ground_m > 280
    assert relay.place.latitude == pytest.approx(47.5, abs=0.003)
    assert (relay.place.x_m, relay.place.y_m) == HERE.metres(relay.place.latitude, relay.place.longitude)


def test_what_is_blocked_on_the_map_is_blocked_for_a_mast_on_the_same_roof():
    pair = Layout((Place("one", 0, 0), Place("two", 500, 0)), (BlockedPair("one", "two"),))
    plan = make_plan(pair, wishes())
    assert plan.relays
    assert all(not relay.on_roof for relay in plan.relays)
    assert plan.scenario.blocked == pair.blocked


def test_relays_that_the_map_has_are_kept_and_used():
    layout = two_clusters()
    mast = Place("church", 2400, 0, antenna_m=12, is_house=False)
    plan = make_plan(replace(layout, places=(*layout.places, mast)), wishes())
    (relay,) = plan.relays
    assert relay.given
    assert relay.place == mast
    assert plan.scenario.radio.special[0].at == ("church",)


def test_a_spare_gives_a_second_way():
    alone = make_plan(two_clusters(), wishes())
    assert alone.depends
    plan = make_plan(two_clusters(), wishes(spare=True))
    assert not plan.depends
    assert any(relay.spare for relay in plan.relays)
    assert len(plan.relays) > len(alone.relays)
    assert all(relay.needed_by == () for relay in plan.relays)


def test_a_house_that_others_depend_on_gets_a_spare_too():
    bridges = Place("bridge 1", 1700, 0), Place("bridge 2", 3400, 0)
    row = Layout((*cluster("west", 0), *bridges, *cluster("east", 5100)))
    alone = make_plan(row, wishes(models=1))
    assert (alone.models, alone.relays) == (("bridge 1",), ())
    assert alone.depends == {"bridge 2": tuple(f"east {index}" for index in range(4))}
    plan = make_plan(row, wishes(models=1, spare=True))
    assert not plan.depends
    assert all(relay.spare for relay in plan.relays)


def test_a_spare_that_can_stand_nowhere_else_stands_beside_the_relay():
    wall = [BlockedPair(f"west {one}", f"east {other}") for one in range(4) for other in range(4)]
    places = (*cluster("west", 0), *cluster("east", 4800), Place("church", 2400, 0, antenna_m=60, is_house=False))
    far = tuple(replace(place, x_m=place.x_m * 1.6) for place in places)
    plan = make_plan(Layout(far, tuple(wall)), replace(wishes(spare=True), mast_m=4.0))
    beside = [relay for relay in plan.relays if relay.spare]
    assert [(relay.place.x_m, relay.place.antenna_m) for relay in beside] == [(3840 + SPARE_M, 60)]


def test_more_questions_get_more_models_that_stand_apart():
    few = make_plan(two_clusters(), wishes(people=PeoplePlan(questions_per_day=100)))
    many = make_plan(two_clusters(), wishes(people=PeoplePlan(questions_per_day=500)))
    assert len(few.models) == 1
    assert len(many.models) > 1
    assert {name.split()[0] for name in many.models[:2]} == {"west", "east"}
    assert len(make_plan(two_clusters(), wishes(models=3)).models) == 3


def line(count, apart_m=1700.0):
    return Layout(tuple(Place(f"house {index:02}", apart_m * index, 0) for index in range(count)))


def test_the_hop_limit_is_the_smallest_that_reaches_a_model():
    plan = make_plan(line(12), wishes(models=1))
    assert plan.relays == ()
    assert plan.models == ("house 05",)
    assert (max(plan.hops.values()), plan.scenario.radio.hop_limit) == (5, 5)
    assert make_plan(line(5), wishes(models=1)).scenario.radio.hop_limit == 3


def test_houses_beyond_seven_hops_get_a_model_or_stay_out():
    plan = make_plan(line(20), wishes())
    assert len(plan.models) > 1
    assert plan.left_out == ()
    plan = make_plan(line(20), wishes(models=1))
    (left_out,) = plan.left_out
    assert "too far from the nearest model" in left_out.why
    assert set(plan.houses) | set(left_out.houses) == {f"house {index:02}" for index in range(20)}
    assert max(plan.hops.values()) == plan.scenario.radio.hop_limit == 7


def test_the_margin_holds_in_most_draws():
    assert link_holds_percent(RADIO, 6.0) == pytest.approx(91.0, abs=0.1)
    assert link_holds_percent(replace(RADIO, shadowing_db=0, asymmetry_db=0), 6.0) == 100
    apart_m = 2400.0
    pair = Layout((Place("one", 0, 0), Place("two", apart_m, 0)))
    assert make_plan(pair, wishes(margin_db=0)).relays == ()
    assert make_plan(pair, wishes(margin_db=15)).relays != ()


def test_equal_maps_get_equal_plans():
    layout = Layout((*cluster("west", 0), *cluster("east", 4800), Place("island", 2000, 25_000)))
    assert make_plan(layout, wishes(spare=True)) == make_plan(layout, wishes(spare=True))


@pytest.mark.parametrize("on_earth", [True, False])
def test_the_file_of_a_plan_reads_back_equal(on_earth, tmp_path):
    odd = Place('o"h\\no é', 300.25, 10.5, ground_m=12.5)
    layout = two_clusters()
    layout = replace(layout, places=(*layout.places, odd), blocked=(BlockedPair("west 0", "west 1", 12.5),))
    if on_earth:
        layout = replace(layout, places=located(layout.places, HERE), origin=HERE)
        places = tuple(
            replace(place, x_m=metres[0], y_m=metres[1])
            for place in layout.places
            for metres in [HERE.metres(place.latitude, place.longitude)]
        )
        layout = replace(layout, places=places)
    plan = make_plan(layout, wishes(spare=True))
    text = plan_file(plan.scenario, plan.layout.origin, ["a remark", "two\nlines"])
    read = parse(text, name="plan", folder=tmp_path)
    assert read.scenario == plan.scenario
    assert "# two lines\n" in text


@pytest.mark.parametrize(
    ("layout", "how", "words"),
    [
        (Layout(()), {}, "no house"),
        (Layout((Place("one", 0, 0),)), {}, "one house"),
        (Layout((Place("one", 0, 0), Place("two", 90_000, 0))), {}, "no two houses can be joined"),
        (line(301), {}, "too many"),
        (line(3), {"terrain": "hills"}, "terrain is of no use"),
        (line(3), {"radio": RadioPlan(preset="SHORT_TURBO")}, "does not fit the band"),
        (line(3), {"radio": RadioPlan(preset="FAST")}, "unknown preset"),
        (line(3), {"radio": RadioPlan(region="MARS")}, "unknown region"),
    ],
)
def test_what_cannot_be_planned_is_told(layout, how, words):
    with pytest.raises(LocalError, match=f"(?i){words}"):
        make_plan(layout, replace(wishes(), **how))
