"""Batteries and panels: exact between events, and honest about when they run dry and come back."""

from __future__ import annotations

from itertools import pairwise
from math import pi
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalError
from simulator.energy import ESP32, NRF52, Sky, Supply

DAY = 86_400.0
CLEAR = Sky(6.0, (False,) * 30)
"""Second 0 is sunrise."""
FULL_DAY_S = 12 * 3600 * 2 / pi
"""Seconds of full sun that a clear day is worth."""


# The sun


def test_the_sun_shines_from_six_to_six_and_most_at_noon():
    assert [CLEAR.share(hours * 3600) for hours in (0, 12, 18, 24)] == [0, 0, 0, 0]
    assert CLEAR.share(6 * 3600) == pytest.approx(1)
    assert CLEAR.share(2 * 3600) == pytest.approx(0.5)
    assert CLEAR.sun_s(0, DAY) == pytest.approx(FULL_DAY_S)


def test_a_cloudy_day_gives_a_fifth():
    sky = Sky(0.0, (False, True))
    assert sky.share(DAY + 12 * 3600) == pytest.approx(0.2)
    assert sky.sun_s(DAY, 2 * DAY) == pytest.approx(0.2 * FULL_DAY_S)
    assert sky.sun_s(0, 5 * DAY) == pytest.approx((1 + 4 * 0.2) * FULL_DAY_S)


@given(begin=st.floats(0, 3 * DAY), length=st.floats(0, 2 * DAY), start_hour=st.floats(0, 23.9))
def test_the_suns_integral_is_what_many_small_steps_add_up_to(begin, length, start_hour):
    sky = Sky(start_hour, (False, True, False))
    steps = 400
    width = length / steps
    summed = sum(sky.share(begin + (step + 0.5) * width) for step in range(steps)) * width
    assert sky.sun_s(begin, begin + length) == pytest.approx(summed, abs=2 * width + 1)


def test_clouds_come_from_the_seed():
    skies = [Sky.drawn(6.0, 1000, 0.3, Random(seed)) for seed in (1, 1, 2)]
    assert skies[0] == skies[1] != skies[2]
    assert sum(skies[0].cloudy) == pytest.approx(300, abs=50)
    with pytest.raises(LocalError, match="cloudy"):
        Sky.drawn(6.0, 1, 1.5, Random(1))


# Batteries


def test_mains_never_run_dry_and_count_what_is_taken():
    supply = Supply(CLEAR)
    supply.draw("radio", 2.0, 0)
    assert supply.used_wh(1800) == pytest.approx(1)
    assert (supply.percent(1800), supply.when_empty(1800), supply.is_on(DAY), supply.surplus_w(0)) == (
        None,
        None,
        True,
        0,
    )


def test_a_battery_runs_dry_when_it_was_said_to():
    supply = Supply(CLEAR, battery_wh=10, start_share=0.5)
    supply.draw("radio", 2.0, 0)
    empty = supply.when_empty(0)
    assert empty == pytest.approx(2.5 * 3600)
    assert supply.percent(empty / 2) == pytest.approx(25)
    assert supply.is_on(empty - 1)
    assert not supply.is_on(empty)
    assert supply.when_back(empty) is None
    assert supply.off_s(empty + 100) == pytest.approx(100)
    assert supply.used_wh(DAY) == pytest.approx(5)


def test_what_ran_dry_comes_back_with_a_tenth_in_its_battery():
    supply = Supply(Sky(18.0, (False,) * 9), battery_wh=10, solar_w=5, start_share=0.1)
    supply.draw("radio", 1.0, 0)
    assert supply.when_empty(0) == pytest.approx(3600)
    back = supply.when_back(2 * 3600)
    assert 12 * 3600 < back < 15 * 3600
    assert not supply.is_on(back - 1)
    assert supply.is_on(back)
    assert supply.percent(back) == pytest.approx(10)
    assert supply.off_s(back) == pytest.approx(back - 3600)


def test_a_full_battery_takes_no_more():
    supply = Supply(CLEAR, battery_wh=10, solar_w=100)
    assert supply.percent(12 * 3600) == 100
    supply.draw("radio", 1.0, 12 * 3600)
    assert supply.percent(13 * 3600) == pytest.approx(90)


def test_the_moment_of_a_percentage_is_found_on_the_way_down_and_up():
    supply = Supply(CLEAR, battery_wh=10, solar_w=2, start_share=0.5)
    supply.draw("device", 0.5, 0)
    above = supply.when_above(60, 0)
    assert supply.when_above(40, 0) is None
    assert supply.percent(above) == pytest.approx(60)
    below = supply.when_below(60, above + 3600)
    assert supply.percent(below) == pytest.approx(60, abs=1e-6)
    assert below > above + 3600


def test_a_transmission_can_be_taken_at_once():
    supply = Supply(CLEAR, battery_wh=1, start_share=0.5)
    supply.take(0.2, 0)
    assert supply.percent(0) == pytest.approx(30)
    supply.take(5, 0)
    assert not supply.is_on(0)
    supply.take(1, 0)
    assert supply.used_wh(0) == pytest.approx(0.5)


def test_a_small_panel_keeps_an_nrf52_through_the_clouds_and_an_esp32_not():
    lives = {}
    for name, radio in (("nrf52", NRF52), ("esp32", ESP32)):
        supply = Supply(Sky(6.0, (True,) * 60), battery_wh=12, solar_w=1)
        supply.draw(name, radio.receive_w, 0)
        lives[name] = supply.when_empty(0)
    assert lives["nrf52"] is None
    assert lives["esp32"] == pytest.approx(DAY * 1.5, rel=0.3)


@pytest.mark.parametrize(
    "values",
    [{"battery_wh": -1}, {"solar_w": 5}, {"battery_wh": 1, "solar_w": -1}, {"battery_wh": 1, "start_share": 2}],
)
def test_impossible_supplies_are_refused(values):
    with pytest.raises(LocalError):
        Supply(CLEAR, **values)


def test_a_draw_below_zero_is_refused():
    with pytest.raises(LocalError, match="draw"):
        Supply(CLEAR).draw("radio", -1, 0)


@given(
    seed=st.integers(0, 10_000),
    battery_wh=st.floats(0.5, 50),
    solar_w=st.floats(0, 20),
    draws=st.lists(st.tuples(st.floats(60, 20_000), st.floats(0, 8)), min_size=1, max_size=20),
)
def test_energy_is_the_same_however_often_it_is_looked_at(seed, battery_wh, solar_w, draws):
    rng = Random(seed)
    sky = Sky.drawn(rng.uniform(0, 24), 5, 0.4, rng)
    seldom, often = (Supply(sky, battery_wh=battery_wh, solar_w=solar_w, start_share=0.3) for _ in range(2))
    now = 0.0
    for length, watts in draws:
        for supply in (seldom, often):
            supply.draw("device", watts, now)
        for step in range(7):
            often.is_on(now + length * step / 7)
        now += length
    for what in ("percent", "used_wh", "off_s"):
        assert getattr(seldom, what)(now) == pytest.approx(getattr(often, what)(now), abs=1e-3), (seed, what)
    assert 0 <= seldom.percent(now) <= 100


@given(seed=st.integers(0, 10_000), watts=st.floats(0.1, 5), solar_w=st.floats(0.1, 20))
def test_it_switches_exactly_when_predicted(seed, watts, solar_w):
    rng = Random(seed)
    supply = Supply(Sky.drawn(rng.uniform(0, 24), 9, 0.5, rng), battery_wh=5, solar_w=solar_w)
    supply.draw("device", watts, 0)
    now, moments = 0.0, [0.0]
    for _ in range(6):
        was_on = supply.is_on(now)
        then = supply.when_empty(now) if was_on else supply.when_back(now)
        if then is None:
            break
        assert supply.is_on(then - 0.001) is was_on
        assert supply.is_on(then) is not was_on, seed
        moments.append(then)
        now = then
    assert all(later > earlier for earlier, later in pairwise(moments))
