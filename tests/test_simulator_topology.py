"""Shapes of neighbourhoods and the node numbers drawn for them."""

import pytest

from protocol.errors import LocalError
from simulator.topology import Topology, full, line, node_numbers


def test_in_a_line_each_radio_hears_its_neighbours_only():
    assert set(line(3).links) == {("A", "B"), ("B", "A"), ("B", "C"), ("C", "B")}


def test_in_a_full_mesh_each_radio_hears_all_others():
    assert len(full(4).links) == 12


def test_after_z_names_go_on_with_two_letters():
    assert line(28).names[25:] == ("Z", "AA", "AB")


def test_hops_are_the_fewest_transmissions():
    assert line(4).hops("A") == {"A": 0, "B": 1, "C": 2, "D": 3}


def test_a_one_way_link_is_not_walked_backwards():
    topology = Topology(("A", "B"), (("A", "B"),))
    assert topology.hops("B") == {"B": 0}


@pytest.mark.parametrize(
    ("names", "links"), [((), ()), (("A", "A"), ()), (("A",), (("A", "B"),))], ids=["empty", "twice", "stranger"]
)
def test_an_impossible_topology_is_refused(names, links):
    with pytest.raises(LocalError):
        Topology(names, links)


@pytest.mark.parametrize("shape", [line, full])
def test_a_neighbourhood_of_nobody_is_refused(shape):
    with pytest.raises(LocalError, match="at least one radio"):
        shape(0)


def test_node_numbers_follow_from_the_seed_alone():
    names = line(9).names
    assert node_numbers(names, 7) == node_numbers(names, 7)
    assert node_numbers(names, 7) != node_numbers(names, 8)


def test_node_numbers_are_valid_and_their_last_bytes_tell_neighbours_apart():
    numbers = list(node_numbers(line(255).names, 1).values())
    assert all(4 <= number < 0xFFFFFFFF for number in numbers)
    last_bytes = {number & 0xFF for number in numbers}
    assert len(last_bytes) == 255
    assert 0 not in last_bytes


def test_more_radios_than_last_bytes_still_have_numbers_of_their_own():
    numbers = node_numbers(line(600).names, 1)
    assert len(set(numbers.values())) == 600
