"""Terrain tiles: small landscapes written into a folder, with a ridge, a plain, holes and broken files."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import LocalError
from simulator.terrain import Terrain, distance_m

POINTS = 1201
FREQUENCY_HZ = 869.525e6
WEST, EAST = (47.5, 8.47), (47.5, 8.53)
"""Two valleys 4.5 km apart; the ridge, if any, stands between."""


def write_tile(folder: Path, name: str, height_at: Callable[[int, int], int], points: int = POINTS) -> Path:
    """A tile whose height is given by row (from the north) and column (from the west)."""
    heights = array("h", (height_at(row, column) for row in range(points) for column in range(points)))
    if sys.byteorder == "little":
        heights.byteswap()
    path = folder / name
    path.write_bytes(heights.tobytes())
    return path


def level_tile(folder: Path, name: str, height_m: int, points: int = POINTS) -> Path:
    path = folder / name
    path.write_bytes(height_m.to_bytes(2, "big", signed=True) * (points * points))
    return path


def ridge(_row: int, column: int) -> int:
    return max(400 - 10 * abs(column - 600), 100)


def test_a_ridge_between_two_valleys_costs_much_and_level_land_nothing(tmp_path):
    ridges, plains = tmp_path / "ridges", tmp_path / "plains"
    ridges.mkdir()
    plains.mkdir()
    write_tile(ridges, "N47E008.hgt", ridge)
    level_tile(plains, "N47E008.hgt", 400)
    with Terrain(ridges) as hills, Terrain(plains) as plain:
        assert hills.loss_db(WEST, 2, EAST, 2, FREQUENCY_HZ) > 30
        assert hills.loss_db(WEST, 2, (47.55, 8.47), 2, FREQUENCY_HZ) < 0.5
        assert plain.loss_db(WEST, 2, EAST, 2, FREQUENCY_HZ) < 0.5


def test_a_relay_on_the_ridge_hears_both_valleys(tmp_path):
    write_tile(tmp_path, "N47E008.hgt", ridge)
    with Terrain(tmp_path) as terrain:
        top = (47.5, 8.5)
        assert terrain.height_m(*top) == 400
        across_db = terrain.loss_db(WEST, 2, EAST, 2, FREQUENCY_HZ)
        assert terrain.loss_db(WEST, 2, top, 10, FREQUENCY_HZ) < across_db / 4
        assert terrain.loss_db(EAST, 2, top, 10, FREQUENCY_HZ) < across_db / 4


def test_loss_is_the_same_both_ways(tmp_path):
    write_tile(tmp_path, "N47E008.hgt", ridge)
    with Terrain(tmp_path) as terrain:
        there_db = terrain.loss_db(WEST, 2, EAST, 12, FREQUENCY_HZ)
        assert there_db == pytest.approx(terrain.loss_db(EAST, 12, WEST, 2, FREQUENCY_HZ), abs=0.2)


def test_heights_between_points_are_interpolated_and_rows_run_from_the_north(tmp_path):
    write_tile(tmp_path, "N47E008.hgt", lambda row, column: row + 2 * column)
    with Terrain(tmp_path) as terrain:
        assert terrain.height_m(48.0, 8.0) == 0
        assert terrain.height_m(47.0, 8.0) == 1200
        assert terrain.height_m(47.0, 9.0) == 3600
        assert terrain.height_m(47.5 - 0.25 / 1200, 8.25 + 0.5 / 1200) == pytest.approx(600.25 + 601)


def test_southern_and_western_tiles_are_found_by_their_south_west_corner_in_any_case(tmp_path):
    level_tile(tmp_path, "s01w079.HGT", 2800)
    with Terrain(tmp_path) as terrain:
        assert terrain.height_m(-0.2, -78.5) == 2800
        assert terrain.height_m(-0.2, 281.5) == 2800
        assert terrain.height_m(-1.2, -78.5) is None


def test_fine_tiles_are_read_too(tmp_path):
    level_tile(tmp_path, "N47E008.hgt", 512, 3601)
    with Terrain(tmp_path) as terrain:
        assert terrain.height_m(47.3, 8.7) == 512


def test_a_path_crosses_from_tile_to_tile_and_over_the_date_line(tmp_path):
    level_tile(tmp_path, "N47E008.hgt", 100)
    level_tile(tmp_path, "N47E009.hgt", 300)
    level_tile(tmp_path, "S17E179.hgt", 5)
    level_tile(tmp_path, "S17W180.hgt", 15)
    with Terrain(tmp_path) as terrain:
        profile = terrain.profile((47.5, 8.98), (47.5, 9.02))
        assert {profile.ground_m[0], profile.ground_m[-1]} == {100, 300}
        assert profile.mean_m == pytest.approx(200, abs=10)
        island = terrain.profile((-16.5, 179.99), (-16.5, -179.99))
        assert (island.ground_m[0], island.ground_m[-1]) == (5, 15)
        assert island.step_m * (len(island.ground_m) - 1) == pytest.approx(2132, abs=5)


def test_the_edge_that_two_tiles_share_is_known_when_either_is_there(tmp_path):
    level_tile(tmp_path, "N47E008.hgt", 100)
    with Terrain(tmp_path) as terrain:
        assert terrain.height_m(48, 9) == terrain.height_m(48, 8.5) == terrain.height_m(47.5, 9) == 100
        assert terrain.height_m(48.001, 8.5) is None


def test_outside_of_all_tiles_the_ground_is_unknown(tmp_path):
    level_tile(tmp_path, "N47E008.hgt", 100)
    with Terrain(tmp_path) as terrain:
        for point in ((10.0, 10.0), (91.0, 8.5), (float("nan"), 8.5), (47.5, float("inf"))):
            assert terrain.height_m(*point) is None
        assert terrain.profile((47.5, 8.99), (47.5, 9.01)) is None
        assert terrain.loss_db((47.5, 8.99), 2, (47.5, 9.01), 2, FREQUENCY_HZ) is None


def test_holes_are_filled_from_the_points_around_and_large_ones_are_unknown(tmp_path):
    write_tile(tmp_path, "N47E008.hgt", lambda row, column: -32768 if (row, column) == (600, 600) or row > 900 else 70)
    with Terrain(tmp_path) as terrain:
        assert terrain.height_m(47.5 + 0.4 / 1200, 8.5 + 0.4 / 1200) == pytest.approx(70)
        assert terrain.height_m(47.5, 8.5) is None
        assert terrain.height_m(47.1, 8.5) is None


def test_a_profile_has_a_point_every_thirty_metres_and_not_too_many(tmp_path):
    level_tile(tmp_path, "N47E008.hgt", 100)
    with Terrain(tmp_path) as terrain:
        near, far = terrain.profile(WEST, EAST), terrain.profile((47.1, 8.1), (47.9, 8.9))
        assert 15 < near.step_m <= 30
        assert len(far.ground_m) == 257
        assert terrain.profile(WEST, WEST).loss_db(2, 2, FREQUENCY_HZ) == 0


def test_distance_is_the_great_circles():
    assert distance_m((0, 0), (0, 1)) == pytest.approx(111_195, abs=1)
    assert distance_m((47.5, 8), (48.5, 8)) == pytest.approx(111_195, abs=1)
    assert distance_m((0, 179.5), (0, -179.5)) == pytest.approx(111_195, abs=1)


def test_a_missing_folder_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(LocalError, match="leave terrain out"):
        Terrain(tmp_path / "nowhere")


def test_a_folder_without_tiles_is_an_error_that_shows_a_name(tmp_path):
    (tmp_path / "N47E008.tif").write_bytes(b"no tile")
    with pytest.raises(LocalError, match="N47E008"):
        Terrain(tmp_path)


def test_a_tile_of_the_wrong_size_is_an_error_that_names_it(tmp_path):
    (tmp_path / "N47E008.hgt").write_bytes(bytes(100))
    with Terrain(tmp_path) as terrain, pytest.raises(LocalError, match=r"N47E008.hgt.*100 bytes"):
        terrain.height_m(47.5, 8.5)


def test_a_tile_that_cannot_be_opened_is_an_error(tmp_path):
    (tmp_path / "N47E008.hgt").symlink_to(tmp_path / "gone.hgt")
    with Terrain(tmp_path) as terrain, pytest.raises(LocalError, match="Can't read"):
        terrain.height_m(47.5, 8.5)


def test_closed_terrain_opens_again_when_asked(tmp_path):
    level_tile(tmp_path, "N47E008.hgt", 100)
    terrain = Terrain(tmp_path)
    assert terrain.height_m(47.5, 8.5) == 100
    terrain.close()
    assert terrain.height_m(47.5, 8.5) == 100
    terrain.close()
