"""The rules of next-hop routing by themselves, without a radio: what is learned, trusted, doubted and forgotten."""

from dataclasses import replace

import pytest

from simulator.firmware.nexthop import (
    FAILURES_MAX,
    NEIGHBOUR_FRESH_S,
    ROUTE_KEPT_S,
    Again,
    Passages,
    Routes,
    last_byte,
    passes_on,
    resolve,
)
from simulator.firmware.settings import KnownNode
from simulator.packet import ROUTING_PORT, Packet

A, B, C, D, FAR = 0x1A, 0x2B, 0x3C, 0x4D, 0x5E
OTHER_B = 0x0100002B
"""Another node whose number ends as B's."""


def node(number, hops_away=0, heard_s=0.0, **more):
    return KnownNode(number, hops_away=hops_away, heard_s=heard_s, **more)


def known(*nodes):
    return {node.number: node for node in nodes}


def message(relay_node=A, hop_limit=3, sender=A, to=C):
    return Packet(sender, to, 7, 256, b"x", hop_limit=hop_limit, hop_start=3, relay_node=relay_node)


def answer(relay_node, hops_away=0, to=A, sender=C):
    return Packet(
        sender, to, 9, ROUTING_PORT, b"", hop_limit=3 - hops_away, hop_start=3, relay_node=relay_node, request_id=7
    )


def test_nobody_is_the_byte_zero():
    assert [last_byte(number) for number in (0x1A, 0x100, 0xFFFFFF00, 0x1FF)] == [0x1A, 0xFF, 0xFF, 0xFF]


def test_only_the_named_relay_passes_a_directed_packet_on_and_everybody_a_flood():
    assert [passes_on(replace(message(), next_hop=next_hop), B) for next_hop in (0, B, C)] == [True, True, False]


def test_a_byte_means_a_node_only_while_it_can_mean_no_other():
    def meaning(*nodes, only_neighbours=False, now_s=0.0):
        return resolve(B, known(*nodes), A, now_s, only_neighbours=only_neighbours)

    assert meaning(node(B), node(C)) == B
    assert meaning(node(B), node(OTHER_B)) is None
    assert meaning(node(B), node(OTHER_B, hops_away=1)) == B
    assert meaning(node(B, hops_away=1)) is None
    assert meaning(node(B, hops_away=2, role="ROUTER")) == B
    assert meaning(node(B, hops_away=2, favourite=True)) == B
    assert meaning(node(B), node(OTHER_B, hops_away=2, role="ROUTER_LATE")) is None
    assert meaning(node(B), node(OTHER_B, hops_away=2, role="ROUTER_LATE"), only_neighbours=True) == B
    assert meaning(node(A | 0x100), only_neighbours=True) is None


def test_a_radio_is_not_its_own_neighbour():
    assert resolve(A, known(node(A)), A, 0.0, only_neighbours=False) is None


@pytest.mark.parametrize(("heard_s", "fresh"), [(None, False), (0.0, False), (1.0, True)])
def test_a_neighbour_is_aimed_at_only_when_heard_in_the_last_two_hours(heard_s, fresh):
    nodes = known(node(B, heard_s=heard_s))
    assert (resolve(B, nodes, A, NEIGHBOUR_FRESH_S, only_neighbours=True) == B) is fresh
    assert resolve(B, nodes, A, NEIGHBOUR_FRESH_S, only_neighbours=False) == B


def test_the_sender_learns_the_relay_that_carried_the_message_there_and_the_answer_back():
    at_a = Passages(A)
    assert at_a.note(message(), 0.0) is None
    at_a.note(message(relay_node=B, hop_limit=2), 1.0)
    assert at_a.proves(answer(relay_node=B, hops_away=1))
    assert not at_a.proves(answer(relay_node=D, hops_away=1))


def test_an_answer_through_a_relay_that_did_not_carry_the_message_proves_nothing():
    at_a = Passages(A)
    at_a.note(message(), 0.0)
    assert not at_a.proves(answer(relay_node=B, hops_away=1))


def test_a_lone_relay_learns_from_an_answer_that_comes_straight_from_its_sender():
    at_b = Passages(B)
    at_b.note(message(), 0.0)
    assert not at_b.proves(answer(relay_node=C))
    at_b.note(message(relay_node=B, hop_limit=2), 0.0)
    assert at_b.proves(answer(relay_node=C))
    assert not at_b.proves(answer(relay_node=D, hops_away=1))


def test_a_relay_that_heard_another_one_pass_the_message_on_is_no_lone_one():
    at_b = Passages(B)
    at_b.note(message(), 0.0)
    at_b.note(message(relay_node=B, hop_limit=2), 0.0)
    at_b.note(message(relay_node=D, hop_limit=2), 1.0)
    assert not at_b.proves(answer(relay_node=C))
    assert at_b.proves(answer(relay_node=D, hops_away=1))


def test_a_relay_that_cannot_have_heard_us_does_not_count():
    at_b = Passages(B)
    at_b.note(message(), 0.0)
    at_b.note(message(relay_node=B, hop_limit=2), 0.0)
    at_b.note(message(relay_node=D, hop_limit=0), 1.0)
    assert at_b.proves(answer(relay_node=C))


def test_a_relay_that_withdrew_its_copy_learns_nothing():
    at_b = Passages(B)
    at_b.note(message(), 0.0)
    at_b.note(message(relay_node=B, hop_limit=2), 0.0)
    at_b.withdraw((A, 7))
    at_b.withdraw((A, 8))
    assert not at_b.proves(answer(relay_node=C))


def test_a_packet_met_again_tells_whether_this_radio_was_asked_for_it():
    asked, other = Passages(B), Passages(D)
    assert asked.note(replace(message(), next_hop=B), 0.0) is None
    assert asked.note(message(relay_node=B, hop_limit=2), 0.0) == Again(falls_back=False, was_asked=True)
    assert other.note(replace(message(), next_hop=B), 0.0) is None
    assert other.note(message(relay_node=B, hop_limit=2), 0.0) == Again(falls_back=False, was_asked=False)


def test_a_relay_that_gave_its_copy_up_for_another_one_helps_when_that_one_falls_back_to_flooding():
    at_d = Passages(D)
    at_d.note(replace(message(), next_hop=C), 0.0)
    at_d.note(message(relay_node=D, hop_limit=2), 1.0)
    at_d.note(message(relay_node=B, hop_limit=2), 2.0)
    at_d.withdraw((A, 7))
    assert at_d.note(message(relay_node=B, hop_limit=2), 3.0) == Again(falls_back=True, was_asked=False)
    assert at_d.note(replace(message(relay_node=B, hop_limit=2), next_hop=C), 3.0) == Again(
        falls_back=False, was_asked=False
    )


def test_a_packet_is_forgotten_after_ten_minutes_and_the_memory_is_bounded():
    passages = Passages(A)
    passages.note(message(), 0.0)
    assert passages.note(message(), 599.0) is not None
    assert passages.note(message(), 1200.0) is None
    for packet_id in range(2000):
        passages.note(replace(message(), packet_id=packet_id + 100), 1200.0)
    assert passages.note(message(), 1200.0) is None


def test_a_learned_hop_is_used_until_half_an_hour_without_news():
    routes = Routes(A, known(node(B, heard_s=3000.0), node(C, hops_away=1)), checked=True)
    assert routes.next_hop(C, 0.0) == 0
    assert routes.learn(C, B, 0.0)
    assert routes.next_hop(C, ROUTE_KEPT_S - 1) == B
    routes.confirm(C, 1000.0)
    assert routes.next_hop(C, 1000.0 + ROUTE_KEPT_S - 1) == B
    assert routes.next_hop(C, 1000.0 + ROUTE_KEPT_S) == 0
    assert routes.next_hop(C, 1000.0) == 0


def test_the_last_try_drops_the_hop_and_a_hop_that_fails_three_times_is_not_learned_back():
    routes = Routes(A, known(node(B, heard_s=0.0), node(C, hops_away=1)), checked=True)
    for failures in range(1, FAILURES_MAX + 1):
        assert routes.learn(C, B, 0.0)
        assert routes.next_hop(C, 0.0) == B
        routes.give_up(C)
        assert routes.next_hop(C, 0.0) == 0, failures
    assert routes.learn(C, B, 0.0)
    assert routes.next_hop(C, 0.0) == 0
    assert routes.learn(C, B, 0.0)
    assert routes.next_hop(C, 0.0) == B


def test_another_hop_starts_without_the_failures_of_the_one_before_and_so_does_one_that_worked():
    routes = Routes(A, known(node(B), node(D), node(C, hops_away=1)), checked=True)
    for hop in (B, B, D):
        routes.learn(C, hop, 0.0)
        routes.give_up(C)
    routes.learn(C, D, 0.0)
    assert routes.next_hop(C, 0.0) == D
    routes.give_up(C)
    routes.learn(C, D, 0.0)
    routes.confirm(C, 0.0)
    routes.give_up(C)
    routes.learn(C, D, 0.0)
    assert routes.next_hop(C, 0.0) == D


def test_a_byte_that_could_mean_two_neighbours_is_neither_learned_nor_used():
    nodes = known(node(B), node(C, hops_away=1))
    routes = Routes(A, nodes, checked=True)
    routes.learn(C, B, 0.0)
    nodes[OTHER_B] = node(OTHER_B)
    assert routes.next_hop(C, 0.0) == 0
    assert not routes.learn(C, B, 0.0)
    del nodes[OTHER_B]
    assert routes.next_hop(C, 0.0) == B


def test_older_firmware_trusts_what_it_learned_whatever_the_byte_or_the_time():
    routes = Routes(A, known(node(B), node(OTHER_B), node(C, hops_away=1)), checked=False)
    assert routes.learn(C, B, 0.0)
    assert routes.next_hop(C, 1e6) == B
    routes.give_up(C)
    assert routes.next_hop(C, 0.0) == 0


def test_no_way_is_kept_to_strangers_through_nobody_or_through_oneself():
    routes = Routes(A, known(node(C, hops_away=1)), checked=False)
    assert not routes.learn(FAR, B, 0.0)
    assert not routes.learn(C, 0, 0.0)
    assert routes.learn(C, A, 0.0)
    assert routes.next_hop(C, 0.0) == 0
    routes.confirm(FAR, 0.0)
    routes.give_up(FAR)


def test_the_memory_of_routes_is_bounded():
    nodes = known(node(B), *(node(1000 + index, hops_away=1) for index in range(400)))
    routes = Routes(A, nodes, checked=True)
    for number in list(nodes)[1:]:
        routes.learn(number, B, 0.0)
    used = [number for number in nodes if routes.next_hop(number, 0.0)]
    assert len(used) == 250
