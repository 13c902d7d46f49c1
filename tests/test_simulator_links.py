"""Links of a scenario: what power, distance, height, walls, hills, measurements and chance make of pairs of places."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from dataclasses import replace
from random import Random
from statistics import mean, stdev

import pytest

from protocol.airtime import PRESETS
from protocol.errors import LocalError
from simulator.links import FAINTEST_MARGIN_DB, Link, links, reach_m, unknown_ground
from simulator.lora import noise_floor_dbm, path_loss, required_snr_db
from simulator.scenario.plan import BlockedPair, MeasuredLink, Place, RadioPlan, Scenario, SpecialRadio

LONG_FAST = PRESETS["LONG_FAST"]
EU_868_HZ = 869.525e6
STEADY = RadioPlan(asymmetry_db=0, shadowing_db=0)
"""Without chance."""


def scenario(*places: Place, radio: RadioPlan = STEADY, **more: object) -> Scenario:
    return Scenario("test", "Test", "", places, radio=radio, **more)


def pair(distance_m: float = 1000, **more: object) -> tuple[Place, Place]:
    return Place("A", 0, 0, **more), Place("B", distance_m, 0, **more)


def by_ends(found) -> dict[tuple[int, int], Link]:
    return {(link.sender, link.receiver): link for link in found}


def scattered(count: int, side_m: float, seed: int = 1, **more: object) -> tuple[Place, ...]:
    rng = Random(seed)
    return tuple(Place(f"house {i}", rng.uniform(0, side_m), rng.uniform(0, side_m), **more) for i in range(count))


def test_an_snr_is_power_less_path_loss_less_noise():
    found = by_ends(links(scenario(*pair()), 1))
    expected_db = 27 - path_loss("suburban", EU_868_HZ).loss_db(1000, 2, 2) - noise_floor_dbm(250_000)
    assert found[0, 1].snr_db == found[1, 0].snr_db == pytest.approx(expected_db, abs=0.001)
    assert found[0, 1].margin_db == pytest.approx(expected_db + 17.5, abs=0.001)
    assert found[0, 1].is_audible


def test_a_margin_of_nothing_is_audible_and_what_is_too_faint_to_disturb_is_left_out():
    reach = reach_m(LONG_FAST, 27, "suburban", (2, 2), EU_868_HZ)
    assert all(link.is_audible for link in links(scenario(*pair(reach - 1)), 1))
    beyond = list(links(scenario(*pair(reach + 20)), 1))
    assert len(beyond) == 2
    assert not any(link.is_audible for link in beyond)
    disturbs_m = reach_m(LONG_FAST, 27 - FAINTEST_MARGIN_DB, "suburban", (2, 2), EU_868_HZ)
    assert len(links(scenario(*pair(disturbs_m - 1)), 1)) == 2
    assert len(links(scenario(*pair(disturbs_m + 1)), 1)) == 0


def test_links_come_by_sender_then_receiver_and_as_often_as_wanted():
    found = links(scenario(*scattered(60, 3000), radio=RadioPlan()), 4)
    ends = [(link.sender, link.receiver) for link in found]
    assert ends == sorted(set(ends))
    assert len(ends) == len(found)
    assert list(found) == list(found)
    assert all(type(value) in (int, float) for value in next(iter(found)))


def test_special_radios_have_their_own_power_gain_and_preset():
    special = (
        SpecialRadio(("A*",), power_dbm=14, antenna_gain_db=3),
        SpecialRadio(("nobody", "A"), antenna_gain_db=6),
    )
    plain, odd = (by_ends(links(scenario(*pair(), radio=replace(STEADY, special=some)), 1)) for some in ((), special))
    assert odd[0, 1].snr_db - plain[0, 1].snr_db == pytest.approx(14 + 6 - 27, abs=0.002)
    assert odd[1, 0].snr_db - plain[1, 0].snr_db == pytest.approx(6, abs=0.002)


def test_an_snr_is_in_the_receivers_bandwidth_and_judged_by_its_spreading_factor():
    special = (SpecialRadio(("B",), preset="SHORT_TURBO"),)
    found = by_ends(links(scenario(*pair(300), radio=replace(STEADY, special=special)), 1))
    assert found[1, 0].snr_db - found[0, 1].snr_db == pytest.approx(10 * math.log10(2), abs=0.002)
    assert found[0, 1].margin_db == pytest.approx(found[0, 1].snr_db - required_snr_db(7))
    assert found[1, 0].margin_db == pytest.approx(found[1, 0].snr_db - required_snr_db(11))


def test_power_noise_figure_and_region_are_the_plans():
    base = by_ends(links(scenario(*pair(500)), 1))[0, 1].snr_db
    for change, db in (({"power_dbm": 20.0}, -7), ({"noise_figure_db": 9.0}, -3), ({"antenna_gain_db": 2.0}, 4)):
        changed = by_ends(links(scenario(*pair(500), radio=replace(STEADY, **change)), 1))[0, 1].snr_db
        assert changed - base == pytest.approx(db, abs=0.002), change
    us = by_ends(links(scenario(*pair(500), radio=replace(STEADY, region="US")), 1))[0, 1].snr_db
    expected_db = 27 - path_loss("suburban", 915e6).loss_db(500, 2, 2) - noise_floor_dbm(250_000)
    assert us == pytest.approx(expected_db, abs=0.001)


def test_blocked_pairs_lose_what_is_said_both_ways_and_everything_by_default():
    places = (*pair(), Place("C", 0, 900))
    free = by_ends(links(scenario(*places), 1))
    walls = (BlockedPair("B", "A", 12.5), BlockedPair("A", "C"))
    found = by_ends(links(scenario(*places, blocked=walls), 1))
    assert set(found) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    for ends in ((0, 1), (1, 0)):
        assert free[ends].snr_db - found[ends].snr_db == pytest.approx(12.5, abs=0.002)
    assert found[1, 2] == free[1, 2]


def test_a_measured_snr_replaces_the_model_in_its_direction_alone_however_far():
    places = (*pair(), Place("C", 90_000, 0))
    measured = (MeasuredLink("A", "B", 1.0), MeasuredLink("A", "B", -8.25), MeasuredLink("C", "A", -17.5))
    found = by_ends(links(scenario(*places, measured=measured, blocked=(BlockedPair("A", "B", 3),)), 1))
    model = by_ends(links(scenario(*places), 1))
    assert found[0, 1] == Link(0, 1, -8.25, 9.25)
    assert found[1, 0].snr_db == pytest.approx(model[1, 0].snr_db - 3, abs=0.002)
    assert found[2, 0] == Link(2, 0, -17.5, 0.0)
    assert found[2, 0].is_audible
    assert set(found) == {(0, 1), (1, 0), (2, 0)}


def test_a_measured_snr_too_faint_to_disturb_leaves_no_link():
    found = by_ends(links(scenario(*pair(), measured=(MeasuredLink("A", "B", -30.0),)), 1))
    assert set(found) == {(1, 0)}


def test_the_same_seed_gives_the_same_links_and_another_gives_others():
    village = scenario(*scattered(50, 2500), radio=RadioPlan())
    assert list(links(village, 5)) == list(links(village, 5))
    assert list(links(village, 5)) != list(links(village, 6))


def test_another_process_gives_the_same_links():
    program = (
        "from simulator.links import links; from simulator.scenario.plan import Place, Scenario;"
        "places = tuple(Place(f'p{i}', 137.0 * i, 71.0 * (i % 7)) for i in range(30));"
        "print(*links(Scenario('s', 's', '', places), 9))"
    )
    places = tuple(Place(f"p{i}", 137.0 * i, 71.0 * (i % 7)) for i in range(30))
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"}
    )
    assert ran.stdout.strip() == " ".join(map(str, links(Scenario("s", "s", "", places), 9)))


def test_another_house_a_new_order_or_a_farther_mast_change_no_link_between_others():
    radio = RadioPlan(special=(SpecialRadio(("mast",), power_dbm=30, antenna_gain_db=8),))
    houses = scattered(40, 4000)
    mast = Place("mast", -500, 2000, antenna_m=25, ground_m=150, is_house=False)

    def named(*places: Place) -> dict[tuple[str, str], float]:
        return {
            (places[link.sender].name, places[link.receiver].name): link.snr_db
            for link in links(scenario(*places, radio=radio), 3)
        }

    alone, more = named(*houses), named(mast, *reversed(houses), Place("far", 50_000, -3000, ground_m=-80))
    assert alone == {ends: snr_db for ends, snr_db in more.items() if not {"mast", "far"} & set(ends)}
    assert sum("mast" in ends for ends in more) > 40


def test_shadowing_is_one_draw_per_pair_and_offsets_one_per_direction_of_the_sizes_asked_for():
    places = scattered(120, 300)
    steady = by_ends(links(scenario(*places), 2))
    for radio, same_both_ways in (
        (replace(STEADY, shadowing_db=4), True),
        (replace(STEADY, asymmetry_db=4), False),
    ):
        found = by_ends(links(scenario(*places, radio=radio), 2))
        assert set(found) == set(steady)
        draws = {ends: link.snr_db - steady[ends].snr_db for ends, link in found.items()}
        assert mean(draws.values()) == pytest.approx(0, abs=0.15)
        assert stdev(draws.values()) == pytest.approx(4, rel=0.05)
        assert max(map(abs, draws.values())) <= 12.002
        alike = [draws[one, other] == pytest.approx(draws[other, one], abs=0.002) for one, other in draws]
        assert all(alike) if same_both_ways else mean(alike) < 0.01


def test_the_links_of_the_grid_are_those_of_every_pair_taken_alone():
    radio = RadioPlan(special=(SpecialRadio(("house 1*",), power_dbm=14, preset="SHORT_FAST"),))
    rng = Random(8)
    places = tuple(
        replace(place, antenna_m=rng.choice((1.0, 2.0, 8.0, 30.0)), ground_m=rng.uniform(0, 120))
        for place in scattered(60, 40_000, seed=8)
    )
    alone = {}
    for i, one in enumerate(places):
        for j, other in enumerate(places[i + 1 :], i + 1):
            for link in links(scenario(one, other, radio=radio), 7):
                alone[(i, j) if link.sender == 0 else (j, i)] = link.snr_db
    assert {ends: link.snr_db for ends, link in by_ends(links(scenario(*places, radio=radio), 7)).items()} == alone
    assert 100 < len(alone) < 60 * 59 / 2


def test_a_relay_on_a_hill_is_heard_farther_both_ways():
    flat, hill = (
        by_ends(links(scenario(Place("relay", 0, 0, 6, ground_m=ground_m), Place("house", 4000, 0, 2)), 1))
        for ground_m in (0, 90)
    )
    assert all(hill[ends].snr_db > flat[ends].snr_db + 15 for ends in flat)
    assert hill[0, 1].snr_db == hill[1, 0].snr_db


def test_two_places_at_one_spot_and_a_single_place_are_no_trouble():
    assert len(links(scenario(Place("A", 5, 5), Place("B", 5, 5)), 1)) == 2
    assert list(links(scenario(Place("A", 5, 5)), 1)) == []
    assert list(links(scenario(), 1)) == []


def test_names_used_twice_unknown_names_presets_regions_and_models_are_errors():
    wrong = (
        (scenario(Place("A", 0, 0), Place("A", 9, 0)), "two places"),
        (scenario(*pair(), blocked=(BlockedPair("A", "X"),)), "'X'"),
        (scenario(*pair(), measured=(MeasuredLink("Y", "A", 1),)), "'Y'"),
        (scenario(*pair(), measured=(MeasuredLink("A", "A", 1),)), "itself"),
        (scenario(*pair(), radio=replace(STEADY, preset="LOUD")), "LOUD"),
        (scenario(*pair(), radio=replace(STEADY, region="MARS")), "MARS"),
        (scenario(*pair(), radio=replace(STEADY, path_loss="jungle")), "jungle"),
        (scenario(*pair(), terrain="/nowhere/at/all"), "terrain folder"),
    )
    for plan, words in wrong:
        with pytest.raises(LocalError, match=words):
            links(plan, 1)


def hilly(folder) -> None:
    """One tile: level land at 100 m, and a ridge of 350 m that runs north to south through its middle."""
    row = b"".join(max(350 - 10 * abs(column - 600), 100).to_bytes(2, "big", signed=True) for column in range(1201))
    (folder / "N47E008.hgt").write_bytes(row * 1201)


def on_earth(name: str, east: float, north: float = 47.5, **more: object) -> Place:
    metres = 111_195 * math.cos(math.radians(47.5))
    return Place(name, (east - 8.5) * metres, (north - 47.5) * 111_195, latitude=north, longitude=east, **more)


def test_a_ridge_parts_two_valleys_and_a_relay_on_it_joins_them(tmp_path):
    hilly(tmp_path)
    spots = {"west": (8.48,), "east": (8.52,), "west too": (8.48, 47.52), "top": (8.5,)}
    places = [on_earth(name, *spot, antenna_m=4) for name, spot in spots.items()]
    known, unknown = (by_ends(links(scenario(*places, terrain=folder), 1)) for folder in (str(tmp_path), ""))
    assert unknown[0, 1].is_audible
    assert (0, 1) not in known
    assert known[0, 2].snr_db == pytest.approx(unknown[0, 2].snr_db, abs=1)
    assert all(known[ends].is_audible for ends in ((0, 3), (3, 0), (1, 3), (3, 1)))
    assert known[0, 3].snr_db == known[3, 0].snr_db


def test_hilltops_hear_one_another_across_a_valley_better_than_over_level_land(tmp_path):
    row = b"".join((100 if 450 < column < 750 else 300).to_bytes(2, "big", signed=True) for column in range(1201))
    (tmp_path / "N47E008.hgt").write_bytes(row * 1201)
    places = (on_earth("one", 8.374, antenna_m=8), on_earth("other", 8.626, antenna_m=8))
    with_valley = by_ends(links(scenario(*places, terrain=str(tmp_path)), 1))
    level = by_ends(links(scenario(*places), 1))
    assert with_valley[0, 1].is_audible
    assert (0, 1) not in level or with_valley[0, 1].snr_db > level[0, 1].snr_db + 15


def test_hills_are_the_same_whatever_the_order_of_the_places(tmp_path):
    hilly(tmp_path)
    rng = Random(3)
    places = [
        on_earth(f"p{i}", rng.uniform(8.47, 8.53), rng.uniform(47.48, 47.52), antenna_m=rng.choice((2, 9)))
        for i in range(30)
    ]

    def named(some: list[Place]) -> dict[tuple[str, str], float]:
        found = links(scenario(*some, radio=RadioPlan(), terrain=str(tmp_path)), 1)
        return {(some[link.sender].name, some[link.receiver].name): link.snr_db for link in found}

    assert named(places) == named(places[::-1])
    left = {place.name for place in places[5:]}
    assert named(places[5:]) == {ends: snr_db for ends, snr_db in named(places).items() if set(ends) <= left}


def test_places_outside_of_the_tiles_are_named_and_keep_their_links(tmp_path):
    hilly(tmp_path)
    inside, outside = on_earth("in", 8.99), on_earth("out", 9.01, ground_m=100)
    plan = scenario(inside, outside, terrain=str(tmp_path))
    assert unknown_ground(plan) == ("out",)
    assert unknown_ground(scenario(inside, outside)) == ("in", "out")
    flat = scenario(replace(inside, ground_m=100), outside)
    assert list(links(plan, 1)) == list(links(flat, 1))


def test_terrain_with_places_of_unknown_position_is_an_error(tmp_path):
    hilly(tmp_path)
    plan = scenario(on_earth("known", 8.5), Place("lost", 0, 0), terrain=str(tmp_path))
    for ask in (lambda: links(plan, 1), lambda: unknown_ground(plan)):
        with pytest.raises(LocalError, match="'lost'"):
            ask()


@pytest.mark.parametrize(
    ("model", "one_m", "two_m", "ten_m"),
    [
        ("log-distance", 1252, 1252, 1252),
        ("hata-open", 7460, 11_715, 94_768),
        ("hata-suburban", 2888, 4341, 31_195),
        ("hata-urban", 1742, 2559, 17_265),
        ("suburban", 1788, 2629, 17_791),
        ("urban", 1533, 2238, 14_858),
    ],
)
def test_reach_of_long_fast_with_the_legal_power_of_europe(model, one_m, two_m, ten_m):
    """As this model gives it; a change here changes what everybody is told about his range."""
    for height_m, metres in ((1, one_m), (2, two_m), (10, ten_m)):
        assert reach_m(LONG_FAST, 27, model, (height_m, height_m), EU_868_HZ) == pytest.approx(metres, rel=5e-4)


def test_reach_grows_with_slower_presets_and_gain():
    reaches = [reach_m(PRESETS[name], 20, "urban", (2, 2), EU_868_HZ) for name in ("SHORT_TURBO", "MEDIUM_FAST")]
    assert reaches[0] < reaches[1] < reach_m(LONG_FAST, 20, "urban", (2, 2), EU_868_HZ)
    louder = reach_m(LONG_FAST, 20, "urban", (2, 2), EU_868_HZ, gains_db=7)
    assert louder == reach_m(LONG_FAST, 27, "urban", (2, 2), EU_868_HZ)
    assert louder == reach_m(LONG_FAST, 30, "urban", (2, 2), EU_868_HZ, noise_figure_db=9)


def test_the_work_grows_with_neighbours_and_not_with_the_square_of_the_places():
    """Three thousand places in as many hamlets: a comparison of all with all would take seconds."""
    rng = Random(2)
    places = tuple(
        Place(f"p{i}", 30_000 * (i // 2 % 40) + rng.uniform(0, 100), 30_000 * (i // 80)) for i in range(3000)
    )
    began_s = time.process_time()
    found = links(scenario(*places, radio=RadioPlan()), 1)
    assert time.process_time() - began_s < 2
    assert len(found) == 3000
