"""Maps that are made up: the same numbers give the same map, names are told apart, what stands between is there."""

from itertools import combinations, pairwise
from math import hypot
from random import Random

import pytest

from simulator.scenario.shapes import SHAPES, block, disc, grid, hill, line, ring, two_valleys, village


def distance_m(one, other):
    return hypot(one.x_m - other.x_m, one.y_m - other.y_m)


def houses(layout):
    return [place for place in layout.places if place.is_house]


@pytest.mark.parametrize("name", SHAPES)
def test_the_same_seed_gives_the_same_map_and_another_seed_another(name):
    shape = SHAPES[name]
    assert shape(Random(3)) == shape(Random(3))
    assert shape(Random(3)) != shape(Random(4))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("relays", [0, 1, 4])
def test_names_are_told_apart_and_relays_are_no_houses(name, relays):
    layout = SHAPES[name](Random(1), relays=relays)
    names = [place.name for place in layout.places]
    assert len(set(names)) == len(names)
    assert sum(not place.is_house for place in layout.places) == relays
    known = set(names)
    assert all(pair.one in known and pair.other in known and pair.one != pair.other for pair in layout.blocked)


def test_a_line_has_its_houses_one_spacing_apart_on_both_sides():
    places = line(Random(1), houses=10, spacing_m=100.0, relays=2).places
    assert [place.name for place in places[-2:]] == ["relay 1", "relay 2"]
    assert all(80 <= other.x_m - one.x_m <= 120 for one, other in pairwise(places[:10]))
    assert {place.y_m > 0 for place in places[:10]} == {True, False}


def test_a_grid_has_its_columns_and_a_ring_its_radius():
    assert len({round(place.x_m / 60) for place in grid(Random(1), houses=12, columns=4).places}) == 4
    assert all(hypot(place.x_m, place.y_m) == pytest.approx(500, abs=0.2) for place in ring(Random(1)).places)


def test_houses_of_a_disc_stay_inside_and_keep_apart():
    places = disc(Random(1), houses=300, radius_m=400.0).places
    assert all(hypot(place.x_m, place.y_m) <= 400.1 for place in places)
    assert min(distance_m(one, other) for one, other in combinations(places, 2)) >= 9.8
    middle = sum(hypot(place.x_m, place.y_m) <= 400 / 2**0.5 for place in places)
    assert 120 <= middle <= 180, "half of the houses are in half of the area"


def test_a_crowded_disc_is_filled_all_the_same():
    assert len(disc(Random(1), houses=500, radius_m=20.0).places) == 500


def test_a_thousand_radios_are_placed_quickly():
    assert len(disc(Random(1), houses=5000, radius_m=1000.0).places) == 5000


def test_a_village_has_hamlets():
    places = village(Random(1), houses=40, hamlets=4, radius_m=3000.0, hamlet_m=100.0).places
    for start in range(4):
        hamlet = places[start::4]
        assert max(distance_m(one, other) for one, other in combinations(hamlet, 2)) <= 600


def test_a_hill_stands_between_houses_and_below_its_relay():
    layout = hill(Random(1), houses=20, radius_m=1000.0, hill_m=90.0, hill_loss_db=33.0)
    (top,) = [place for place in layout.places if not place.is_house]
    assert (top.name, top.ground_m) == ("hill", 90.0)
    assert all(place.ground_m < 10 for place in houses(layout))
    assert {pair.loss_db for pair in layout.blocked} == {33.0}
    by_name = {place.name: place for place in layout.places}
    for pair in layout.blocked:
        one, other = by_name[pair.one], by_name[pair.other]
        assert one.x_m * other.x_m + one.y_m * other.y_m < 0.6 * hypot(one.x_m, one.y_m) * hypot(other.x_m, other.y_m)
    assert "hill" not in {name for pair in layout.blocked for name in (pair.one, pair.other)}


def test_two_valleys_see_each_other_over_the_ridge_only():
    layout = two_valleys(Random(1), houses=9, relays=2, ridge_m=100.0, ridge_loss_db=50.0)
    west, east = ([place for place in layout.places if place.name.startswith(side)] for side in ("west", "east"))
    assert (len(west), len(east)) == (5, 4)
    assert all(place.x_m < 0 for place in west)
    assert all(place.x_m > 0 for place in east)
    assert len(layout.blocked) == 20
    assert [place.name for place in layout.places if place.ground_m == 100.0] == ["ridge", "ridge 2"]


def test_a_block_loses_by_floors_and_walls():
    layout = block(Random(1), floors=3, flats=4, floor_loss_db=10.0, wall_loss_db=3.0, relays=1)
    losses = {(pair.one, pair.other): pair.loss_db for pair in layout.blocked}
    assert losses["flat 1.1", "flat 2.1"] == 10.0
    assert losses["flat 1.1", "flat 3.4"] == 26.0
    assert losses["flat 1.1", "flat 1.2"] == 3.0
    assert losses["flat 3.3", "roof"] == 10.0
    heights = {place.name: place.antenna_m for place in layout.places}
    assert (heights["flat 1.1"], heights["flat 3.1"], heights["roof"]) == (1.0, 7.0, 12.0)
