"""Time on air and contention slots, against the values of Semtech's calculator and the firmware's own."""

import pytest

from protocol.airtime import (
    PRESETS,
    Preset,
    data_bytes_on_air,
    path_time_s,
    preset_named,
    time_on_air_s,
    transmissions,
)
from protocol.errors import LocalError


@pytest.mark.parametrize(
    ("spreading_factor", "bandwidth_khz", "coding_rate", "phy_bytes", "preamble_symbols", "milliseconds"),
    [
        (7, 125, 5, 13, 8, 46.336),
        (9, 125, 5, 51, 8, 328.704),
        (10, 125, 5, 20, 8, 370.688),
        (11, 125, 5, 20, 8, 741.376),
        (12, 125, 5, 13, 8, 1155.072),
        (12, 125, 8, 20, 8, 1712.128),
        (12, 250, 5, 20, 8, 659.456),
        (7, 500, 5, 56, 16, 28.992),
        (9, 250, 5, 56, 16, 190.976),
        (11, 250, 5, 56, 16, 681.984),
        (11, 250, 5, 255, 16, 2156.544),
        (12, 125, 8, 56, 16, 4071.424),
    ],
)
def test_time_on_air_is_semtechs(
    spreading_factor, bandwidth_khz, coding_rate, phy_bytes, preamble_symbols, milliseconds
):
    preset = Preset("any", spreading_factor, bandwidth_khz * 1000, coding_rate)
    seconds = time_on_air_s(preset, phy_bytes, preamble_symbols=preamble_symbols)
    assert seconds * 1000 == pytest.approx(milliseconds, abs=1e-6)


def test_every_preset_has_the_firmwares_contention_slot():
    assert {name: round(preset.slot_s * 1000) for name, preset in PRESETS.items()} == {
        "SHORT_TURBO": 8,
        "SHORT_FAST": 8,
        "SHORT_SLOW": 10,
        "MEDIUM_TURBO": 10,
        "MEDIUM_FAST": 12,
        "MEDIUM_SLOW": 17,
        "LONG_TURBO": 17,
        "LONG_FAST": 28,
        "LONG_MODERATE": 48,
        "LONG_SLOW": 89,
        "LITE_FAST": 17,
        "LITE_SLOW": 28,
        "NARROW_FAST": 12,
        "NARROW_SLOW": 17,
        "TINY_FAST": 28,
        "TINY_SLOW": 48,
    }


@pytest.mark.parametrize(
    ("preset", "seconds"),
    [
        ("SHORT_TURBO", 0.10),
        ("SHORT_FAST", 0.20),
        ("SHORT_SLOW", 0.36),
        ("MEDIUM_FAST", 0.64),
        ("MEDIUM_SLOW", 1.18),
        ("LONG_TURBO", 1.66),
        ("LONG_FAST", 2.16),
        ("LONG_MODERATE", 7.9),
        ("LONG_SLOW", 14.3),
    ],
)
def test_a_full_packet_takes_what_meshtastic_users_know(preset, seconds):
    assert time_on_air_s(PRESETS[preset], 255) == pytest.approx(seconds, rel=0.03)


@pytest.mark.parametrize(
    ("payload_bytes", "port", "phy_bytes"),
    [(19, 1, 41), (20, 256, 43), (2, 5, 24), (232, 1, 255), (231, 256, 255), (0, 1, 22)],
)
def test_a_data_packet_has_the_size_that_the_native_firmware_sent(payload_bytes, port, phy_bytes):
    assert data_bytes_on_air(payload_bytes, port) == phy_bytes


@pytest.mark.parametrize("phy_bytes", [-1, 256])
def test_no_lora_packet_is_longer_than_255_bytes(phy_bytes):
    with pytest.raises(LocalError, match="0 to 255 bytes"):
        time_on_air_s(PRESETS["LONG_FAST"], phy_bytes)


def test_a_preset_is_found_in_any_case_and_an_unknown_one_is_explained():
    assert preset_named("long_fast") is PRESETS["LONG_FAST"]
    with pytest.raises(LocalError, match="Use one of SHORT_TURBO"):
        preset_named("WARP")


def test_a_longer_path_takes_one_relay_more():
    preset = PRESETS["LONG_FAST"]
    one, two, three = (path_time_s(preset, 56, hops) for hops in (1, 2, 3))
    assert one < two
    assert three - two == pytest.approx(two - one)


def test_relays_beside_the_path_are_counted():
    assert [transmissions(hops) for hops in (0, 1, 3)] == pytest.approx([1, 2.2, 4.6])
