"""The formulas of one link: sensitivity, path loss, diffraction, with published numbers."""

from __future__ import annotations

import math

import pytest

from protocol.airtime import PRESETS
from protocol.errors import LocalError
from simulator import lora
from simulator.channels import REGIONS

LONG_FAST = PRESETS["LONG_FAST"]


@pytest.mark.parametrize(("factor", "snr_db"), [(5, -2.5), (6, -5), (7, -7.5), (9, -12.5), (11, -17.5), (12, -20)])
def test_a_spreading_factor_needs_the_snr_of_the_datasheet(factor, snr_db):
    assert lora.required_snr_db(factor) == snr_db


def test_spreading_factors_that_lora_has_not_are_an_error():
    for factor in (4, 13):
        with pytest.raises(LocalError, match="spreading factor"):
            lora.required_snr_db(factor)


@pytest.mark.parametrize(
    ("preset", "dbm"),
    [
        ("SHORT_TURBO", -118.5),
        ("SHORT_FAST", -121.5),
        ("SHORT_SLOW", -124.0),
        ("MEDIUM_FAST", -126.5),
        ("MEDIUM_SLOW", -129.0),
        ("LONG_TURBO", -128.5),
        ("LONG_FAST", -131.5),
        ("LONG_MODERATE", -134.5),
        ("LONG_SLOW", -137.0),
    ],
)
def test_sensitivity_is_as_published(preset, dbm):
    assert lora.sensitivity_dbm(PRESETS[preset]) == pytest.approx(dbm, abs=0.05)


def test_activity_is_detected_three_decibels_below_sensitivity():
    assert lora.detection_dbm(LONG_FAST) == lora.sensitivity_dbm(LONG_FAST) - 3


def test_a_noisier_receiver_hears_less():
    assert lora.sensitivity_dbm(LONG_FAST, 9) == lora.sensitivity_dbm(LONG_FAST) + 3


def test_every_region_has_a_power_limit_and_a_frequency_in_its_band():
    assert set(lora.REGION_POWER_DBM) == set(REGIONS)
    for region, (low_mhz, high_mhz, _) in REGIONS.items():
        assert low_mhz * 1e6 < lora.frequency_hz(region) < high_mhz * 1e6
        assert lora.default_power_dbm(region) == min(lora.region_power_dbm(region), 27)


def test_an_unknown_region_is_an_error_that_names_the_known_ones():
    for ask in (lora.frequency_hz, lora.region_power_dbm, lora.default_power_dbm):
        with pytest.raises(LocalError, match="EU_868"):
            ask("ATLANTIS")


def test_long_fast_with_thirty_dbm_and_antennas_at_one_metre_reaches_2013_metres_in_a_suburb():
    model = lora.path_loss("suburban", 908.75e6)
    assert lora.distance_for_loss_m(model, 30 + 131.5) == pytest.approx(2013.5, abs=0.1)


def test_free_space_loses_what_friis_says():
    assert lora.free_space_db(1000, 868e6) == pytest.approx(91.22, abs=0.01)
    assert lora.path_loss("free-space", 868e6).loss_db(10_000) == pytest.approx(111.22, abs=0.01)


def test_lorasims_path_loss_is_the_log_distance_formula_with_natural_logarithm():
    for distance_m in (40, 99, 500):
        exponent = 2.08 * math.log(10)
        expected_db = 127.41 + 20.8 * math.log(distance_m / 40)
        assert lora.log_distance_db(distance_m, 127.41, 40, exponent) == pytest.approx(expected_db)
    assert lora.path_loss("log-distance", 868e6).loss_db(40) == pytest.approx(127.41)


@pytest.mark.parametrize(
    ("model", "loss_db"), [("hata-urban", 137.01), ("hata-suburban", 127.06), ("hata-open", 108.50)]
)
def test_okumura_hata_gives_the_textbooks_value(model, loss_db):
    """900 MHz, base at 30 m, mobile at 1.5 m, 2 km; worked by hand from Hata's formulas."""
    assert lora.path_loss(model, 900e6).loss_db(2000, 30, 1.5) == pytest.approx(loss_db, abs=0.02)


def test_a_city_costs_three_decibels_more_than_a_suburb():
    suburban, urban = (lora.path_loss(name, 868e6) for name in ("suburban", "urban"))
    assert urban.loss_db(1500, 2, 5) - suburban.loss_db(1500, 2, 5) == pytest.approx(3)


@pytest.mark.parametrize("name", lora.PATH_LOSS_MODELS)
def test_path_loss_is_the_same_both_ways_grows_with_distance_and_is_never_below_free_space(name):
    model = lora.path_loss(name, 869.525e6)
    losses = [model.loss_db(distance_m, 2, 12) for distance_m in (1, 5, 30, 200, 1000, 5000, 30_000)]
    assert losses == sorted(losses)
    for distance_m in (0, 1, 30, 1000):
        assert model.loss_db(distance_m, 2, 12) == model.loss_db(distance_m, 12, 2)
        assert model.loss_db(distance_m, 2, 12) >= lora.free_space_db(max(distance_m, 1), 869.525e6) - 1e-9


@pytest.mark.parametrize("name", ["hata-open", "hata-suburban", "hata-urban", "suburban", "urban"])
def test_higher_antennas_reach_farther_within_the_models_range(name):
    model = lora.path_loss(name, 869.525e6)
    reaches = [lora.distance_for_loss_m(model, 158.5, height, 2) for height in (1, 2, 5, 30, 200)]
    assert reaches == sorted(set(reaches))
    assert model.loss_db(1000, 0.1, 0.1) == model.loss_db(1000, 1, 1)
    assert model.loss_db(1000, 5000, 2) == model.loss_db(1000, 200, 2)
    assert model.loss_db(1000, 80, 80) == model.loss_db(1000, 80, 10)


def test_an_unknown_path_loss_is_an_error_that_names_the_known_ones():
    with pytest.raises(LocalError, match="hata-suburban"):
        lora.path_loss("jungle", 868e6)


def test_the_distance_for_a_loss_has_that_loss_and_is_nothing_where_all_is_too_much():
    model = lora.path_loss("urban", 868e6)
    distance_m = lora.distance_for_loss_m(model, 140, 3, 2)
    assert model.loss_db(distance_m, 3, 2) == pytest.approx(140, abs=1e-4)
    assert lora.distance_for_loss_m(model, 10) == 0


@pytest.mark.parametrize(("parameter", "loss_db"), [(-1, 0), (-0.78, 0), (0, 6.03), (1, 13.93), (2.4, 20.54)])
def test_a_knife_edge_costs_what_itu_says(parameter, loss_db):
    assert lora.knife_edge_db(parameter) == pytest.approx(loss_db, abs=0.05)


def test_a_knife_edge_costs_nothing_when_well_below_and_never_less_the_higher_it_is():
    losses = [lora.knife_edge_db(parameter / 100) for parameter in range(-200, 500)]
    assert losses == sorted(losses)
    assert losses[0] == 0


def test_one_sharp_ridge_costs_what_the_single_edge_costs():
    """Antennas on tall masts, so that even ground costs nothing."""
    ground_m = [0.0] * 101
    ground_m[50] = 160.0
    step_m, frequency = 50.0, 868e6
    bulge_m = 2500 * 2500 / (2 * lora.EARTH_RADIUS_M)
    expected_db = lora.knife_edge_db(lora.edge_parameter(160 + bulge_m - 80, 2500, 2500, frequency))
    assert lora.diffraction_db(ground_m, step_m, 80, 80, frequency) == pytest.approx(expected_db)
    assert expected_db > 20


def test_a_second_and_third_ridge_cost_more_and_a_fourth_no_more():
    def loss_db(*ridges: tuple[int, float]) -> float:
        ground_m = [0.0] * 201
        for index, height_m in ridges:
            ground_m[index] = height_m
        return lora.diffraction_db(ground_m, 50, 20, 20, 868e6)

    main, left, right = (100, 150.0), (50, 120.0), (150, 120.0)
    assert loss_db(main) + 5 < loss_db(main, left) < loss_db(main, left, right) - 5
    assert loss_db(main, left) == pytest.approx(loss_db(main, right))
    assert loss_db(main, left, right, (20, 30.0)) == loss_db(main, left, right)


def test_level_land_and_even_slopes_cost_next_to_nothing_and_valleys_nothing():
    for rise in (0.0, 0.5, -3.0):
        assert lora.diffraction_db([rise * i for i in range(101)], 30, 2, 2, 868e6) < 0.3
    assert lora.diffraction_db([100 - i * (100 - i) / 40 for i in range(101)], 30, 2, 2, 868e6) == 0


def test_the_earths_curvature_is_a_hill_on_long_paths_at_sea():
    short_db, long_db = (lora.diffraction_db([0.0] * 201, metres / 200, 2, 2, 868e6) for metres in (2000, 60_000))
    assert short_db < 0.2
    assert long_db > 8


def test_a_path_too_short_to_hold_a_hill_costs_nothing():
    assert lora.diffraction_db([0.0, 100.0], 30, 2, 2, 868e6) == 0
    assert lora.diffraction_db([0.0], 30, 2, 2, 868e6) == 0


def test_the_rejection_matrix_holds_capture_on_its_diagonal():
    assert {wanted: row[wanted] for wanted, row in lora.REJECTION_DB.items()} == dict.fromkeys(
        range(7, 13), lora.CAPTURE_DB
    )
    assert all(db < -15 for wanted, row in lora.REJECTION_DB.items() for other, db in row.items() if other != wanted)
    assert lora.PREAMBLE_SPARE_SYMBOLS == 11
